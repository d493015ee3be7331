"""The adversarial losses, by their kind in LOSSES: functions of logits [N] that return a scalar, in float32."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import relu, softplus

LOSSES = ("bce", "lsgan", "hinge", "relativistic")


def discriminator_loss(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss: high logits for reals, low ones for fakes.

    bce: Goodfellow et al. 2014, the tutorial's. lsgan: Mao et al. 2017. hinge: Lim and Ye 2017. relativistic: a real
    against the fake beside it (Jolicoeur-Martineau 2019, as in R3GAN, Huang et al. 2024).
    """
    real, fake = real.float(), fake.float()
    if kind == "bce":
        return cross_entropy(real, torch.ones_like(real)) + cross_entropy(fake, torch.zeros_like(fake))
    if kind == "lsgan":
        return ((real - 1).square().mean() + fake.square().mean()) / 2
    if kind == "hinge":
        return relu(1 - real).mean() + relu(1 + fake).mean()
    return softplus(fake - real).mean()


def generator_loss(kind: str, fake: Tensor, real: Tensor | None = None) -> Tensor:
    """The generator's loss: high logits for fakes (non-saturating). `relativistic` also needs those of the reals."""
    fake = fake.float()
    if kind == "bce":
        return cross_entropy(fake, torch.ones_like(fake))
    if kind == "lsgan":
        return (fake - 1).square().mean() / 2
    if kind == "hinge":
        return -fake.mean()
    assert real is not None, "the relativistic loss compares fakes with reals"
    return softplus(real.float() - fake).mean()


def probability(kind: str, logits: Tensor) -> Tensor:
    """The discriminator's estimate, in [0, 1], that each image is real: the printed D(x) and D(G(z))."""
    return logits.float().clamp(0, 1) if kind == "lsgan" else logits.float().sigmoid()


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Mean squared gradient of the logits by the images: R1 on reals, R2 on fakes (Mescheder et al. 2018)."""
    (gradient,) = torch.autograd.grad(logits.float().sum(), images, create_graph=True)
    return gradient.float().square().sum(dim=(1, 2, 3)).mean()
