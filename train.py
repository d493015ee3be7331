"""Train a DCGAN on your own pictures: python train.py --dataroot PHOTOS --out runs/mine"""

import sys

from dcgan.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
