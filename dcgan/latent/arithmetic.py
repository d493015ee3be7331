"""What a visitor finds in latent space: a slider from a few examples, and sums of faces (Radford et al. 2015)."""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from dcgan.latents import latents
from dcgan.model import Generator
from dcgan.sampling import render

MIN_EXAMPLES = 2
SAMPLES = 2_048  # faces that the response is measured on
FIRST_SEED = 3_000_000  # of them: where nobody looks
SIDE = 32
SEPARATION = 1.6  # deviations between the means of the two halves of a normal distribution


def response(generator: Generator) -> Tensor:
    """J J^T [nz, nz] for the mean Jacobian J of the picture: v^T response v says how much a step along v changes."""
    z = latents(range(FIRST_SEED, FIRST_SEED + SAMPLES), generator.config.nz)
    pictures = [adaptive_avg_pool2d(render(generator, piece).float(), SIDE).flatten(1) for piece in z.split(256)]
    changes = torch.cat(pictures)
    jacobian = torch.linalg.pinv(z) @ (changes - changes.mean(dim=0))  # z is normal: mean gradients (Stein 1981)
    return jacobian @ jacobian.T


def slider(having: Tensor, lacking: Tensor, response: Tensor) -> Tensor:
    """The direction [nz], of length 1, from faces that lack a trait to faces that have it: latents [N, nz], [M, nz].

    The difference of the two means is mostly noise: a hundred numbers from a handful of faces. It is filtered (Wiener)
    by what the generator responds to: what hardly changes the picture cannot have been what the eye went by.
    Raises ValueError, in one line, for too few examples or the same ones on both sides.
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
    """How far apart the latents of faces with and without some trait lie, as a covariance [nz, nz]."""
    return SEPARATION**2 * response / response.trace().clamp_min(1e-12)


def arithmetic(start: Tensor, minus: Tensor, plus: Tensor) -> Tensor:
    """The z [nz] of a sum of faces: the mean of `start` [N, nz], less that of `minus`, and that of `plus` added."""
    return start.mean(dim=0) - minus.mean(dim=0) + plus.mean(dim=0)
