"""Train a DCGAN on your own pictures: python train.py --dataroot PHOTOS --out runs/mine"""

import sys

from dcgan import __main__ as dcgan


def main(argv: list[str] | None = None) -> int:
    """Run `dcgan train` with these arguments, or those of the command line; returns the exit code."""
    return dcgan.main(["train", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    sys.exit(main())
