"""The training step: an update of the discriminator, then one of the generator on the same fakes."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from tqdm import tqdm

from dcgan.device import CPU
from dcgan.errors import reason
from dcgan.model import ModelConfig
from dcgan.training.augment import augment
from dcgan.training.config import TrainConfig
from dcgan.training.cudagraph import GraphedStep
from dcgan.training.distributed import Ranks
from dcgan.training.losses import discriminator_loss, generator_loss, gradient_penalty, probability
from dcgan.training.networks import Networks
from dcgan.training.resume import TrainingError

STATS = ("loss_d", "loss_g", "d_real", "d_fake", "d_fake_after")


def stepper(nets: Networks) -> Callable[[Tensor, Tensor, bool], Tensor]:
    """`adversarial_step` of these networks, (real, noise, with_penalty) -> STATS; on one GPU as a CUDA graph."""
    step = partial(adversarial_step, nets)
    if nets.device.type != "cuda" or nets.ranks.world > 1:
        return step
    return GraphedStep(step, nets.config.batch_size, lambda: (nets.altered, nets.rates), tqdm.write)


def adversarial_step(nets: Networks, real: Tensor, noise: Tensor, with_penalty: bool = False) -> Tensor:
    """One update of D, then one of G on the same fakes. real: [B, nc, S, S] in [-1, 1]; noise: [B, nz, 1, 1].

    Returns the five STATS as a tensor on the device, so that nothing waits for it.
    """
    config = nets.config

    def judge(images: Tensor, exactly: bool = False) -> Tensor:
        with nets.cast(not exactly):
            return nets.discriminator(augment(images, config.augment, nets.altered)).float()

    # D: reals up, fakes down. Apart, so that BatchNorm in D never mixes them. A penalty differentiates twice, in fp32.
    nets.discriminator.requires_grad_(True)
    with nets.cast():
        fake = nets.generator(noise)
    real, shown = real.requires_grad_(with_penalty), fake.detach().to(real.dtype).requires_grad_(with_penalty)
    on_real, on_fake = judge(real, exactly=with_penalty), judge(shown, exactly=with_penalty)
    loss_d = total = discriminator_loss(config.loss, on_real, on_fake)
    for weight, images, logits in ((config.r1, real, on_real), (config.r2, shown, on_fake)):
        if with_penalty and weight:
            total = total + weight / 2 * config.penalty_every * gradient_penalty(logits, images)
    nets.opt_d.zero_grad(set_to_none=True)
    total.backward()
    nets.ranks.average_gradients(nets.discriminator)
    nets.opt_d.step()

    # G: the same fakes up, against the discriminator just updated and now held still.
    nets.discriminator.requires_grad_(False)
    real_again = judge(real.detach()) if config.loss == "relativistic" else None
    on_fake_after = judge(fake)
    loss_g = generator_loss(config.loss, on_fake_after, real_again)
    nets.opt_g.zero_grad(set_to_none=True)
    loss_g.backward()
    nets.ranks.average_gradients(nets.generator)
    nets.opt_g.step()

    beliefs = [probability(config.loss, logits.detach()).mean() for logits in (on_real, on_fake, on_fake_after)]
    return torch.stack([loss_d.detach(), loss_g.detach(), *beliefs])


def capable(ranks: Ranks, model: ModelConfig, config: TrainConfig) -> Ranks:
    """The ranks with an accelerator that can compute this training; else, after a line that says so, with the CPU."""
    if ranks.device.type in ("cpu", "cuda"):
        return ranks
    try:
        nets = Networks(replace(model, image_size=16, nz=4, ngf=4, ndf=4), config, ranks)
        nets.altered = 1.0
        images, noise = (torch.randn(4, *size, device=ranks.device) for size in ((model.nc, 16, 16), (4, 1, 1)))
        adversarial_step(nets, images, noise, with_penalty=config.r1 + config.r2 > 0)
        nets.calibrate()
        nets.finite()
        return ranks
    except (RuntimeError, TypeError) as error:  # NotImplementedError is a RuntimeError
        tqdm.write(f"{ranks.device} cannot compute this training ({reason(error)}): it runs on the CPU")
        return replace(ranks, device=CPU)


def check_penalty(config: TrainConfig) -> None:
    """Raise TrainingError where this torch cannot differentiate --augment twice, as a gradient penalty does."""
    if not (config.r1 + config.r2 and config.augment):
        return
    images = torch.zeros(1, 3, 8, 8, requires_grad=True)
    try:
        gradient_penalty(augment(images, config.augment).square(), images).backward()
    except RuntimeError:
        raise TrainingError(
            f"torch {torch.__version__} cannot differentiate --augment {config.augment} twice, as --r1 and --r2 need: "
            "leave translation out of --augment, or install a newer torch"
        ) from None
