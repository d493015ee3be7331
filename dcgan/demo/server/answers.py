"""What a page may ask: the server's side of dcgan/explorer/engine.js.

Each answer is a few facts, and bytes: pixels or a file. A visitor's mistake is a ValueError.
"""

from dataclasses import asdict
from typing import Any

from dcgan.demo.studio import Studio
from dcgan.pictures import Pixels, encoded, grid

COLUMNS = 8  # of a sheet that holds all frames of a way
Answer = tuple[dict[str, Any], bytes]


class Answers:
    """The questions of a page, but for single faces, which are drawn for several visitors in one go."""

    def __init__(self, studio: Studio):
        self.studio = studio

    def summary(self, checkpoint: str) -> Answer:
        return self.studio.shelf.summary(checkpoint), b""

    def latent(self, checkpoint: str, seed: int, walk: list[int], origin: list[float] | None = None) -> Answer:
        return {"z": [round(value, 4) for value in self.studio.latent(seed, checkpoint, walk, origin)]}, b""

    def ranking(self, checkpoint: str) -> Answer:
        return {"ranking": self.studio.ranking(checkpoint)}, b""

    def around(self, **state: Any) -> Answer:
        numbers, faces, opinion = self.studio.around(**state)
        return {"numbers": numbers, "opinion": opinion and asdict(opinion)}, _sheet(faces, len(faces))

    def path(self, checkpoint: str, faces: list[dict], kind: str, frames: int, loop: bool) -> Answer:
        sheet = _sheet(self.studio.path(faces, kind, frames, checkpoint, loop), COLUMNS)
        return {"columns": COLUMNS, "count": frames}, sheet

    def animation(
        self, checkpoint: str, faces: list[dict], kind: str, frames: int, loop: bool, format: str, seconds: float
    ) -> Answer:
        pictures = self.studio.path(faces, kind, frames, checkpoint, loop)
        return {}, self.studio.animation(pictures, format, seconds, loop)

    def sheet(self, checkpoint: str, faces: list[Any], columns: int) -> Answer:
        return {}, _sheet(self.studio.faces(faces, checkpoint), columns)

    def slider(self, checkpoint: str, having: list[Any], lacking: list[Any]) -> Answer:
        return {"vector": self.studio.slider(having, lacking, checkpoint)}, b""

    def arithmetic(self, checkpoint: str, start: list[Any], minus: list[Any], plus: list[Any]) -> Answer:
        return {"origin": self.studio.arithmetic(start, minus, plus, checkpoint)}, b""

    def replay(self, checkpoint: str) -> Answer:
        return self.studio.shelf.replay(checkpoint), b""

    def snapshot(self, checkpoint: str, index: int) -> Answer:
        return {}, self.studio.shelf.snapshot(index, checkpoint)


def _sheet(faces: Pixels, columns: int) -> bytes:
    return encoded(grid(faces, columns), "jpeg")
