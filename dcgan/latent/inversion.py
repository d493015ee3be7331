"""Photo -> z: the latent whose face is nearest to the one in a photo.

As in Zhu et al. 2016 (Generative Visual Manipulation on the Natural Image Manifold) an encoder gives the start and
gradient descent the rest. The encoder is linear, fitted in seconds to faces that the generator draws.
"""

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, pad

from dcgan.checkpoint import Checkpoint, CheckpointError
from dcgan.convolution import has_bf16
from dcgan.data.crop import square, upright
from dcgan.data.faces import FRAME, find_faces, framed, own_frame
from dcgan.latents import latents
from dcgan.model import Discriminator
from dcgan.pictures import normalised, picture
from dcgan.sampling import folded, render

SAMPLES = 1024  # generated faces that the encoder is fitted to
SIDE = 16  # pixels: the encoder's input
RIDGE = 10.0  # best of 1, 10, 100 and 1,000 on held-out photos
RATE = 0.1  # of Adam, falling to nothing along a cosine
SPHERE = 0.1  # weight of the penalty for leaving the sphere on which latents lie
FRAMED = 32  # generated faces that show where a checkpoint puts its faces


@dataclass(frozen=True)
class Crop:
    """A photo cropped as the generator would frame it, uint8 [nc, S, S]; `face` is false for the photo's centre."""

    pixels: Tensor
    face: bool


@dataclass(frozen=True)
class Progress:
    """The best z [nz] so far, its loss (no unit), and the share (0 to 1) of the search that is done."""

    z: Tensor
    loss: float
    done: float


class Inversion:
    """Finds latents of one checkpoint. Takes seconds to make; its methods may be called from any thread."""

    def __init__(self, checkpoint: Checkpoint):
        self.model = checkpoint.model
        self._generator = folded(checkpoint.generator)
        try:
            self._discriminator: Discriminator | None = checkpoint.discriminator.requires_grad_(False)
        except CheckpointError:  # pixels alone must do
            self._discriminator = None
        z = latents(range(SAMPLES), self.model.nz)
        faces = render(checkpoint.generator, z)
        own = [picture(face.permute(1, 2, 0).numpy()) for face in faces[:FRAMED]]
        self.frame = FRAME if checkpoint.crop == "face" else own_frame(own)
        inputs = _encoder_input(faces)
        ridge = RIDGE * torch.eye(inputs.shape[1])
        self._encoder = torch.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ z)

    def crop(self, photo: Image.Image) -> Crop:
        """The largest face of a photo as the checkpoint frames faces; where none is found, the photo's centre."""
        size, nc = self.model.image_size, self.model.nc
        image = upright(photo, 3)
        faces = find_faces(image) if self.frame is not None else []
        if faces and self.frame is not None:
            image = framed(image, faces[0], size, self.frame)
        return Crop(torch.from_numpy(square(image, size, nc).copy()), bool(faces))

    def search(self, target: Tensor, seconds: float, steps: int) -> Iterator[Progress]:
        """The z whose face comes nearest to `target`, uint8 [nc, S, S], one step of Adam at a time.

        Ends after `steps` steps, or sooner when `seconds` have passed. The same number of steps from the same photo
        gives the same z. Nearness is that of pixels, at two sizes, and of the discriminator's features, each as a share
        of the variance in the photo.
        """
        began = time.monotonic()
        photo = target[None].to(self._encoder.device)
        views = self._views(normalised(photo))
        wanted = [(view, (view - view.mean()).square().sum().clamp(min=1)) for view in views]
        z = (_encoder_input(photo) @ self._encoder).requires_grad_()
        adam = torch.optim.Adam([z], RATE, betas=(0.9, 0.99))
        best, least, step, done = z[0].detach().cpu(), math.inf, 0, 0.0
        while done < 1:
            done = min(1.0, max(step / steps, (time.monotonic() - began) / seconds))
            adam.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * done)) / 2
            loss = self._loss(z, wanted)
            if loss.item() < least:
                best, least = z[0].detach().to("cpu", copy=True), loss.item()
            yield Progress(best, least, done)
            adam.zero_grad()
            loss.backward()
            adam.step()
            step += 1

    def to(self, device: torch.device) -> "Inversion":
        """A copy whose networks and tensors are on a device, where it then searches."""
        moved = copy.deepcopy(self)
        for name, part in vars(moved).items():
            if isinstance(part, nn.Module | Tensor):
                setattr(moved, name, part.to(device))
        return moved

    def _loss(self, z: Tensor, wanted: list[tuple[Tensor, Tensor]]) -> Tensor:
        """The share of the wanted views, each with its variance, that the face of z [1, nz] leaves unexplained."""
        with torch.autocast(z.device.type, torch.bfloat16, enabled=has_bf16(z.device)):
            face = self._generator(z[:, :, None, None]).float()
        loss = SPHERE * (z.square().mean() - 1).square()
        for view, (target, variance) in zip(self._views(face), wanted, strict=True):
            loss = loss + (view - target).square().sum() / variance / len(wanted)
        return loss

    def _views(self, images: Tensor) -> list[Tensor]:
        """What faces are compared by: pixels, pixels at a quarter of the size, the discriminator's features."""
        views = [images, avg_pool2d(images, 4)]
        for layer in list(self._discriminator.main)[:-1] if self._discriminator else []:
            images = layer(images)
            if isinstance(layer, nn.LeakyReLU):
                views.append(images)
        return views


def _encoder_input(images: Tensor) -> Tensor:
    """uint8 [N, nc, S, S] -> the pixels at 16 px and a one, [N, nc * 16 * 16 + 1]."""
    return pad(adaptive_avg_pool2d(normalised(images), SIDE).flatten(1), (0, 1), value=1.0)
