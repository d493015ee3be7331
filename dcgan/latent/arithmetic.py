"""Sliders from a few examples, and sums of faces (Radford et al. 2015)."""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from dcgan.latents import latents
from dcgan.model import Generator
from dcgan.sampling import render

MIN_EXAMPLES = 2
SEEDS = range(3_000_000, 3_002_048)  # of the faces that the response is measured on
SIDE = 32
SEPARATION = 1.6  # deviations between the means of the two halves of a normal distribution


def response(generator: Generator) -> Tensor:
    """J J^T [nz, nz] of the mean Jacobian J of the picture: v^T response v is the change of the picture along v."""
    z = latents(SEEDS, generator.config.nz)
    pictures = torch.cat([adaptive_avg_pool2d(render(generator, p).float(), SIDE).flatten(1) for p in z.split(256)])
    jacobian = torch.linalg.pinv(z) @ (pictures - pictures.mean(dim=0))  # z is normal: mean gradients (Stein 1981)
    return jacobian @ jacobian.T


def slider(having: Tensor, lacking: Tensor, response: Tensor) -> Tensor:
    """The unit vector [nz] from faces that lack a trait [M, nz] to faces that have it [N, nz].

    The difference of so few examples is mostly noise. It is filtered (Wiener) by what the generator responds to: what
    hardly changes the picture cannot be the trait. Raises ValueError for too few examples, or the same on both sides.
    """
    if min(len(having), len(lacking)) < MIN_EXAMPLES:
        raise ValueError(f"mark at least {MIN_EXAMPLES} faces that have the trait, and {MIN_EXAMPLES} that lack it")
    difference = having.mean(dim=0) - lacking.mean(dim=0)
    if difference.norm() < 1e-4:
        raise ValueError("the faces that have the trait and those that lack it are the same")
    signal = expected(response)
    noise = (1 / len(having) + 1 / len(lacking)) * torch.eye(len(response))
    vector = torch.linalg.solve(signal + noise, signal) @ difference
    return vector / vector.norm()


def expected(response: Tensor) -> Tensor:
    """The expected covariance [nz, nz] of the difference between faces with and without some trait."""
    return SEPARATION**2 * response / response.trace().clamp_min(1e-12)


def arithmetic(start: Tensor, minus: Tensor, plus: Tensor) -> Tensor:
    """The latent [nz] of a sum of faces: mean of `start` [N, nz] - mean of `minus` + mean of `plus`."""
    return start.mean(dim=0) - minus.mean(dim=0) + plus.mean(dim=0)
