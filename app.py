"""The demo of this folder's checkpoints: `python app.py` opens it, and a Hugging Face Space starts it."""

import sys
from pathlib import Path

from dcgan.demo.app import build_demo, launch, main

__all__ = ["build_demo", "launch", "main"]

HERE = Path(__file__).parent

if __name__ == "__main__":
    sys.exit(main(home=HERE))
