"""Where faces were found before: photos that come to a set later are the only ones that are searched."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from dcgan.data.faces import VERSION, Landmarks, find_faces


class FaceCache:
    """Finds faces as `find_faces` does, and searches each photo once.

    It is a file in the image cache: each line a photo, by a hash of its pixels, and the landmarks of its faces. Every
    process adds the photos that it has searched, so that a search that is broken off is not lost.
    """

    def __init__(self, cache: Path):
        self._path = cache / f"faces-{VERSION}.jsonl"
        self._known: dict[str, list[Landmarks]] = {}
        with suppress(OSError), self._path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                with suppress(ValueError, TypeError):  # cut by the end of a process
                    photo, faces = json.loads(line)
                    self._known[photo] = [*np.array(faces, np.float64).reshape(-1, 5, 2)]

    def find(self, photo: Image.Image) -> list[Landmarks]:
        """The faces of an upright RGB photo, the largest first. Raises NoDetector."""
        key = hashlib.blake2b(f"{photo.size}".encode() + photo.tobytes(), digest_size=16).hexdigest()
        if key not in self._known:
            self._known[key] = find_faces(photo)
            line = json.dumps([key, [face.tolist() for face in self._known[key]]])
            with suppress(OSError), self._path.open("a", encoding="utf-8") as file:  # the cache of another user
                file.write(line + "\n")
        return self._known[key]
