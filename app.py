"""The demo: explore what a checkpoint can draw. `python app.py` opens it; a Hugging Face Space starts it.

The page is built in dcgan/demo/app.py, a tab a module of dcgan/demo/tabs.
"""

import sys
from pathlib import Path

from dcgan.demo.command import main

if __name__ == "__main__":
    sys.exit(main(home=Path(__file__).parent))
