"""The frames of a film as images, some seconds apart."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from dcgan.data.sources import Source, digest, printable
from dcgan.errors import DataError, reason

AHEAD = 10.0  # seconds: a frame further on is looked up, a nearer one is decoded up to


class FilmSource(Source):
    """A frame of a film every `every` seconds. Raises DataError.

    Between two stretches a frame is left out, so that none that is trained on is next to one that is held out.
    """

    stretch = 9

    def __init__(self, path: Path, every: float = 1.0):
        self.path, self.every, self.name = path, every, printable(path.stem)
        self._opened: tuple[int, float, Iterator[Any]] | None = None  # process, time, the frames from there
        try:
            import av

            with av.open(path) as film:
                video = film.streams.video[0]
                tick = float(video.time_base or 0)
                length = video.duration * tick if video.duration else (film.duration or 0) / av.time_base
                self.start = (video.start_time or 0) * tick
        except ImportError:
            raise DataError("the frames of a film need PyAV: pip install av") from None
        except Exception as error:  # whatever a broken one makes the decoder raise
            raise DataError(f"'{path}' cannot be read as a film ({reason(error)})") from None
        count = int(length / every) + 1
        self.numbers = [number for number in range(count) if (number + 1) % (self.stretch + 1)]
        self.names = [f"{self.name}-{number:06d}" for number in self.numbers]
        stat = path.stat()
        self.fingerprint = digest(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns} {every}")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def open(self, index: int) -> Image.Image:
        """Decode the frame `names[index]`, turned as the camera was held. Raises ValueError beyond the last frame."""
        wanted = self.start + self.numbers[index] * self.every
        if self._opened is None or self._opened[0] != os.getpid() or not 0 <= wanted - self._opened[1] <= AHEAD:
            self._opened = os.getpid(), wanted, self._frames(wanted)
        frames = self._opened[2]
        self._opened = os.getpid(), wanted, frames
        for frame in frames:
            if frame.time is not None and frame.time >= wanted - 0.02:
                return frame.to_image().rotate(frame.rotation, expand=True)
        self._opened = None
        raise ValueError("the film ends before it")

    def _frames(self, start: float) -> Iterator[Any]:
        """The frames from the key frame before a time on."""
        import av

        with av.open(self.path) as film:
            film.seek(int(start * av.time_base))
            yield from film.decode(video=0)
