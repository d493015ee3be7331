"""A set of images, divided into those that are trained on and those that are held out, and served in batches."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dcgan.data.split import Known, is_heldout, sides
from dcgan.errors import DataError

RESIDENT_SHARE = 0.5  # of a GPU's free memory, at most, for the images


@dataclass(frozen=True)
class Images:
    """A set of images, all of one size.

    pixels: uint8 [N, nc, S, S], memory-mapped and read-only. names: of their files; several faces of a photo share one.
    skipped: files that could not be read, with reasons; pending: those whose reason may pass; faceless: photos without
    a face, where faces were looked for. digest: of all pixels. folder: where they are packed.
    keys: uint64 [N], a hash of each file's pixels, by which a tenth is held out; None: by name, as in earlier versions.
    first: int [N], of each image the first that shows the same: only that one is used, unless `keep_duplicates`.
    known: keys of images that were divided before, and which of these were held out.
    """

    name: str
    pixels: np.ndarray
    names: list[str]
    skipped: list[tuple[str, str]]
    digest: str
    folder: Path | None = None
    pending: frozenset[str] = frozenset()
    keys: np.ndarray | None = None
    first: np.ndarray | None = None
    keep_duplicates: bool = False
    known: Known | None = None
    faceless: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def sides(self) -> tuple[np.ndarray, np.ndarray]:
        """Bool [N] and bool [N]: the images of the held-out tenth, copies among them, and the images that are used."""
        if self.keys is None or self.first is None:
            return np.array([is_heldout(name) for name in self.names], bool), np.ones(len(self), bool)
        heldout, used = sides(self.keys, self.first, self.names, self.known)
        return heldout, used | self.keep_duplicates

    @cached_property
    def heldout(self) -> np.ndarray:
        """Bool [N]: the tenth that is never trained on."""
        heldout, used = self.sides
        return heldout & used

    @cached_property
    def training(self) -> np.ndarray:
        """Indices of the images that are trained on, in an order that their names do not change."""
        heldout, used = self.sides
        found = np.flatnonzero(used & ~heldout)
        return found if self.keys is None else found[np.argsort(self.keys[found], kind="stable")]

    @cached_property
    def split(self) -> str | None:
        """Sixteen hexadecimal digits that stand for what is trained on and what is held out; None if by name."""
        if self.keys is None:
            return None
        sides = (np.sort(self.keys[part]) for part in (self.training, self.heldout))
        return hashlib.sha256(b"/".join(side.astype("<u8").tobytes() for side in sides)).hexdigest()[:16]

    @property
    def copies(self) -> int:
        """The number of images that show the same as an earlier one; 0 where that was not looked for."""
        return 0 if self.first is None else int((self.first != np.arange(len(self))).sum())

    def are_those_of(self, data: dict[str, Any]) -> bool:
        """Whether a checkpoint with these settings of its data was trained on these images, and on no held-out one."""
        return (data.get("split") or data.get("digest")) == (self.split or self.digest)

    def divided(self, by_name: bool, keep_duplicates: bool) -> "Images":
        """The same images, divided as `division` says of a checkpoint or a run."""
        return replace(self, keys=None, first=None) if by_name else replace(self, keep_duplicates=keep_duplicates)

    def batch(self, indices: np.ndarray) -> Tensor:
        """The images at `indices`: uint8 [len(indices), nc, S, S]."""
        return torch.from_numpy(self.pixels[indices])

    def some(self, count: int) -> Tensor:
        """Up to `count` training images from all over the set, always the same ones: uint8 [count, nc, S, S]."""
        return self.batch(np.sort(np.random.default_rng(0).permutation(self.training)[:count]))

    def epoch_length(self, batch_size: int, drop_last: bool, world: int = 1) -> int:
        """The number of images in an epoch; its last, smaller batch is cut to what `world` ranks share evenly."""
        last = len(self.training) % batch_size
        return len(self.training) - (last if drop_last else last % world)

    def batches(
        self,
        batch_size: int,
        seed: int,
        seen: int = 0,
        flip: bool = False,
        drop_last: bool = True,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
    ) -> Iterator[Tensor]:
        """Training batches without end, uint8 [B, nc, S, S] on `device`, from `seen` images on.

        Each epoch shows every training image once, in an order (and mirrored at random, with `flip`) that depends on
        the seed and the epoch alone: a resumed run sees what an unbroken one would have seen. Of `world` ranks each
        gets every world-th image of a batch. Raises DataError, at once, if a batch takes more images than there are.
        """
        if len(self.training) < batch_size:
            copies = f", {self.copies} show the same as others" if self.copies and not self.keep_duplicates else ""
            raise DataError(
                f"'{self.name}' has {len(self)} images, {len(self.training)} of them for training "
                f"({self.heldout.sum()} held out{copies}): fewer than one batch of {batch_size}. Add images or "
                "lower --batch-size"
            )
        length, device = self.epoch_length(batch_size, drop_last, world), torch.device(device)

        def stream() -> Iterator[Tensor]:
            resident = self._resident(device)  # not before the first batch: another stream's may still be there
            epoch, start = divmod(seen, length)
            while True:
                generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
                order = torch.from_numpy(self.training)[torch.randperm(len(self.training), generator=generator)]
                mirrored = (torch.rand(len(order), generator=generator) < 0.5).to(device)
                if resident is not None:
                    order = order.to(device)
                for i in range(start, length, batch_size):
                    part = slice(i + rank, min(i + batch_size, length), world)
                    if resident is not None:
                        batch = resident[order[part]]
                    else:
                        batch = self.batch(order[part].numpy())
                        if device.type == "cuda":
                            batch = batch.pin_memory()
                        batch = batch.to(device, non_blocking=device.type == "cuda")
                    yield torch.where(mirrored[part, None, None, None], batch.flip(3), batch) if flip else batch
                epoch, start = epoch + 1, 0

        return stream()

    def _resident(self, device: torch.device) -> Tensor | None:
        """All pixels in a GPU's memory, if there is room; else batches are copied while the step before still runs."""
        if device.type != "cuda" or self.pixels.nbytes > RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
            return None
        return torch.from_numpy(np.array(self.pixels)).to(device)
