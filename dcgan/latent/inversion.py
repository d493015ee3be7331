"""Photo -> z: the face in a photo, framed as the generator frames its own faces, and the latent nearest to it.

As in Zhu et al. 2016 (Generative Visual Manipulation on the Natural Image Manifold) an encoder gives the start and
gradient descent the rest. The encoder is a linear one, fitted in a moment to faces that the generator draws.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

from dcgan.checkpoint import Checkpoint, CheckpointError
from dcgan.convolution import has_bf16
from dcgan.data.crop import square, upright
from dcgan.demo.zerogpu import on_gpu
from dcgan.latents import latents
from dcgan.model import Discriminator
from dcgan.pictures import Pixels, normalised, picture
from dcgan.sampling import folded

SAMPLES = 2048  # faces of its own that the encoder learns from, and that a search may begin with
SIDE = 16  # pixels: the encoder looks at faces of this size
RIDGE = 10.0  # best of 1, 10, 100 and 1,000 on held-out photos
BEGINNERS = 3  # of the samples most like the photo, beside the encoder's guess
RATE = 0.1  # of Adam, falling to nothing along a cosine
SPHERE = 0.1  # how much it weighs that z leaves the sphere where latents lie

LOOKED_AT = 480  # pixels: the longer side of a photo in which a face is looked for
SAMPLE_SIDE = 128  # and that of a generated face
MIN_FACE = 40  # pixels of these
FRAMED = 32  # faces of its own that show how a checkpoint frames them
LENT_FOR = 20  # seconds that a search has a GPU for: it takes a few of them, and the rest is for getting there


@dataclass(frozen=True)
class Box:
    """A square: its centre and its side, all in pixels, or all in shares of a picture's side."""

    x: float
    y: float
    side: float


@dataclass(frozen=True)
class Crop:
    """A photo as the generator would frame it, uint8 [nc, S, S]; `face` is false where it is only the centre."""

    pixels: Tensor
    face: bool


@dataclass(frozen=True)
class Progress:
    """The best z [nz] so far; what it leaves unexplained (`loss`, no unit); the share (0 to 1) of the search done."""

    z: Tensor
    loss: float
    done: float


class Finder:
    """Finds the latents of one checkpoint that come nearest to photos.

    Making one takes seconds: `draw`, latents [N, nz] -> faces uint8 [N, S, S, nc], has to make 2,048 to learn from. Its
    methods may be called from any thread.
    """

    def __init__(self, checkpoint: Checkpoint, draw: Callable[[Tensor], Pixels]):
        self.model = checkpoint.model
        self._generator = folded(checkpoint.generator)
        try:
            self._discriminator: Discriminator | None = checkpoint.discriminator.requires_grad_(False)
        except CheckpointError:  # pixels alone must do
            self._discriminator = None
        self._z = latents(range(SAMPLES), self.model.nz)
        pieces = [draw(piece) for piece in self._z.split(256)]
        self._samples = torch.cat([_small(torch.from_numpy(piece).permute(0, 3, 1, 2)) for piece in pieces])
        self.frame = own_frame([picture(face) for face in pieces[0][:FRAMED]])
        inputs = _with_one(self._samples)
        ridge = RIDGE * torch.eye(inputs.shape[1])
        self._encoder = torch.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ self._z)

    def crop(self, photo: Image.Image) -> Crop:
        """The largest face of a photo as the checkpoint frames faces; where none is found, the photo's centre."""
        size, nc = self.model.image_size, self.model.nc
        image = upright(photo, nc)
        face = find_face(image, _detector()) if self.frame else None
        if face is None or self.frame is None:
            return Crop(torch.from_numpy(square(image, size, nc).copy()), False)
        return Crop(framed(image, face, self.frame, size), True)

    def search(self, target: Tensor, seconds: float, steps: int) -> Iterator[Progress]:
        """The z whose face comes nearest to `target`, uint8 [nc, S, S], better and better; stop whenever you like.

        It ends after `steps` steps of Adam, or sooner when `seconds` have passed. The same number of steps from the
        same photo leads to the same z. Nearness is that of pixels, large and small, and of the discriminator's
        features, each as a share of what there is to explain in the photo.
        """
        began = time.monotonic()
        target = target.to(self._z.device)
        views = self._views(normalised(target[None]))
        wanted = [(view, (view - view.mean()).square().sum().clamp(min=1)) for view in views]
        z = self._start(target, wanted).requires_grad_()
        adam = torch.optim.Adam([z], RATE, betas=(0.9, 0.99))
        best, least, step, done = z[0].detach().to("cpu", copy=True), math.inf, 0, 0.0
        while done < 1:
            done = min(1.0, max(step / steps, (time.monotonic() - began) / seconds))
            adam.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * done)) / 2
            loss = self._losses(z, wanted)[0]
            if loss.item() < least:
                best, least = z[0].detach().to("cpu", copy=True), loss.item()
            yield Progress(best, least, done)
            adam.zero_grad()
            loss.backward()
            adam.step()
            step += 1

    def to(self, device: str) -> "Finder":
        """The same finder with its networks and tensors on a device, where it then searches."""
        moved = copy.deepcopy(self)
        for name, part in vars(moved).items():
            if isinstance(part, nn.Module | Tensor):
                setattr(moved, name, part.to(device))
        return moved

    @torch.no_grad()
    def _start(self, target: Tensor, wanted: list[tuple[Tensor, Tensor]]) -> Tensor:
        """The best [1, nz] of the encoder's guess, which it nearly always is, and the samples most like the photo."""
        small = _small(target[None])
        near = (self._samples - small).square().sum(1).argsort()[:BEGINNERS]
        starts = torch.cat([_with_one(small) @ self._encoder, self._z[near]])
        return starts[[int(self._losses(starts, wanted).argmin())]]

    def _losses(self, z: Tensor, wanted: list[tuple[Tensor, Tensor]]) -> Tensor:
        """What each z [N, nz] leaves unexplained of the views wanted, given with their variances: [N]."""
        with torch.autocast(z.device.type, torch.bfloat16, enabled=has_bf16(z.device)):
            faces = self._generator(z[:, :, None, None]).float()
        losses = SPHERE * (z.square().mean(1) - 1).square()
        for view, (target, variance) in zip(self._views(faces), wanted, strict=True):
            losses = losses + (view - target).square().flatten(1).sum(1) / variance / len(wanted)
        return losses

    def _views(self, images: Tensor) -> list[Tensor]:
        """What faces are compared by: pixels, the same at a quarter of the size, the discriminator's features."""
        views = [images, avg_pool2d(images, 4)]
        for layer in list(self._discriminator.main)[:-1] if self._discriminator else []:
            images = layer(images)
            if isinstance(layer, nn.LeakyReLU):
                views.append(images)
        return views


@on_gpu(LENT_FOR)
def search_with_gpu(finder: Finder, target: Tensor, seconds: float, steps: int) -> Iterator[Progress]:
    """As `finder.search`, on a GPU if there is one: on ZeroGPU the one that is lent for it."""
    yield from finder.to("cuda" if torch.cuda.is_available() else "cpu").search(target, seconds, steps)


# Faces in pictures


def own_frame(faces: list[Image.Image]) -> Box | None:
    """Where faces stand in square pictures, and how large: the median, in shares of the side.

    None where the detector knows fewer than a quarter of them for faces.
    """
    detector = _detector()
    boxes = [box for face in faces if (box := find_face(face, detector, SAMPLE_SIDE))]
    if 4 * len(boxes) < len(faces):
        return None
    x, y, side = np.median([(box.x, box.y, box.side) for box in boxes], axis=0) / faces[0].width
    return Box(float(x), float(y), float(side))


def find_face(image: Image.Image, detector, looked_at: int = LOOKED_AT) -> Box | None:
    """The largest face in a picture, in its pixels, or None."""
    import cv2

    scale = looked_at / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    grey = np.asarray(image.convert("L").resize((width, height)))
    margin = min(width, height) // 2  # a face may fill the picture, and the detector wants to see around it
    grey = cv2.copyMakeBorder(grey, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    found = detector.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=4, minSize=(MIN_FACE, MIN_FACE))
    if not len(found):
        return None
    left, top, side, _ = max(found.tolist(), key=lambda box: box[2])
    return Box((left + side / 2 - margin) / scale, (top + side / 2 - margin) / scale, side / scale)


def framed(image: Image.Image, face: Box, frame: Box, size: int) -> Tensor:
    """The square of a picture in which its `face` stands as in `frame`: uint8 [nc, size, size].

    Where it reaches beyond the picture, the picture's edge goes on.
    """
    from torchvision.transforms import functional as transforms

    side = face.side / frame.side
    left, top = face.x - frame.x * side, face.y - frame.y * side
    beyond = math.ceil(max(0, -left, -top, left + side - image.width, top + side - image.height))
    padded = transforms.pad(image, [beyond], padding_mode="edge")
    box = left + beyond, top + beyond, left + beyond + side, top + beyond + side
    return transforms.pil_to_tensor(padded.resize((size, size), Image.Resampling.BILINEAR, box))


def _detector():
    """OpenCV's own face cascade (Viola and Jones 2001): OpenCV 4 brings its data along, so nothing is downloaded.

    A new one each time: one alone must not be asked by two threads.
    """
    from cv2 import CascadeClassifier
    from cv2.data import haarcascades

    return CascadeClassifier(f"{haarcascades}haarcascade_frontalface_alt2.xml")


def _small(images: Tensor) -> Tensor:
    """uint8 [N, nc, S, S] -> what the encoder sees of them, [N, nc * 16 * 16]."""
    return adaptive_avg_pool2d(normalised(images), SIDE).flatten(1)


def _with_one(rows: Tensor) -> Tensor:
    return torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1)
