"""The earlier spelling `python -m dcgan.evaluate` of `python -m dcgan evaluate`."""

from dcgan.__main__ import moved

if __name__ == "__main__":
    moved("evaluate")
