"""The earlier spelling `python -m dcgan.evaluate` of `python -m dcgan evaluate`."""

import sys

from dcgan.__main__ import moved

if __name__ == "__main__":
    sys.exit(moved("evaluate"))
