"""Train a DCGAN on your own pictures: python train.py --dataroot PHOTOS --out runs/mine"""

import sys

from dcgan.training.command import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
