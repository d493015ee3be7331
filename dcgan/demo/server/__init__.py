"""How the demo is served: what pages ask and fetch past Gradio, and who is let in."""
