"""Seeds to begin with: faces that a page can open on, because they lie where real ones are dense."""

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dcgan.latents import latents
from dcgan.metrics.distances import NEIGHBOURS
from dcgan.metrics.face_nets import shape_features
from dcgan.metrics.features import PIECE, Features
from dcgan.model import Generator
from dcgan.sampling import render

COUNT = 32
CANDIDATES = 1024
ALIKE = 0.02  # two that are nearer to each other than all but so many pairs are alike


def opening_seeds(generator: Generator, features: Features, real: Tensor) -> list[int]:
    """COUNT of the seeds below CANDIDATES, the most typical first, but of those that are alike only the first.

    generator: in eval mode. features: of images. real: uint8 images [N, nc, S, S].
    An image is typical where real images are dense, in these features and in those that tell whole faces from torn
    ones: its rank is the worse of two.
    """
    fake = render(generator, latents(range(CANDIDATES), generator.config.nz))
    pieces = tqdm(torch.cat([fake, real.cpu()]).split(PIECE), "choosing seeds to begin with", unit="batch")
    seen = zip(*((features(piece).cpu(), shape_features(piece)) for piece in pieces), strict=True)
    views = [standardised(*torch.cat(view).tensor_split([CANDIDATES])) for view in seen]
    rank = torch.stack([sparsity(*view).argsort().argsort() for view in views]).amax(dim=0)
    apart = torch.cdist(views[0][0], views[0][0])
    alike = apart < np.quantile(apart.numpy(), ALIKE)
    typical = rank.argsort(stable=True).tolist()
    taken: list[int] = []
    for seed in typical:
        if len(taken) < COUNT and not alike[seed, taken].any():
            taken.append(seed)
    return (taken + [seed for seed in typical if seed not in taken])[:COUNT]


def standardised(fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Features [N, D] and [M, D] in deviations of the real ones.

    A feature that hardly varies among real images counts by a tenth of what features vary by.
    """
    centre, spread = real.mean(dim=0), real.std(dim=0)
    spread = spread.clamp(min=max(float(spread.square().mean().sqrt()) / 10, 1e-6))
    return (fake - centre) / spread, (real - centre) / spread


def sparsity(fake: Tensor, real: Tensor) -> Tensor:
    """The distance of each fake [N, D] to the real one that is its NEIGHBOURS-th nearest [N]."""
    return torch.cdist(fake, real).kthvalue(min(NEIGHBOURS, len(real)), dim=1).values
