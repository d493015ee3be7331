"""Training images: their sources, how they are cropped, and the cache of packed pixels that batches come from."""

from dcgan.data.images import Images
from dcgan.data.loading import load_images
from dcgan.errors import DataError

__all__ = ["DataError", "Images", "load_images"]
