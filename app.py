"""The demo: explore what a checkpoint can draw. `python app.py` opens it; a Hugging Face Space starts it.

The page is built in dcgan/demo/app.py, a tab a module of dcgan/demo/tabs.
"""

from pathlib import Path

from dcgan.demo.app import opened_demo

if __name__ == "__main__":
    with opened_demo(home=Path(__file__).parent) as (demo, options):
        demo.launch(**options)
