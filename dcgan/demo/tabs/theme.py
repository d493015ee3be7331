"""The demo's colours and fonts. Fonts are the system's: the page asks nothing of the network."""

import gradio as gr

THEME = gr.themes.Base(
    primary_hue="teal",
    secondary_hue="teal",
    neutral_hue="stone",
    font=("system-ui", "sans-serif"),
    font_mono=("ui-monospace", "monospace"),
).set(
    body_background_fill="*neutral_50",
    body_background_fill_dark="*neutral_950",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_400",
    color_accent="*primary_700",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_400",
    button_primary_background_fill_hover_dark="*primary_300",
    button_primary_text_color="white",
    button_primary_text_color_dark="*neutral_950",
)
