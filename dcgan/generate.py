"""The earlier spelling `python -m dcgan.generate` of `python -m dcgan generate`."""

import sys

from dcgan.__main__ import moved

if __name__ == "__main__":
    sys.exit(moved("generate"))
