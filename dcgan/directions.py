"""The earlier spelling `python -m dcgan.directions` of `python -m dcgan directions`."""

from dcgan.__main__ import moved

if __name__ == "__main__":
    moved("directions")
