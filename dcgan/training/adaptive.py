"""Adaptive augmentation (Karras et al. 2020): few photos need it, and where it is not needed it slows learning."""

import numpy as np
import torch

from dcgan.data.images import Images
from dcgan.pictures import normalised
from dcgan.training.networks import Networks, evaluating

ADAPT_STEP = 0.1  # change of the share of altered images from tick to tick


def adapt(nets: Networks, images: Images) -> None:
    """Alter more of the images that D sees if it overfits, fewer if not; does nothing without --augment and --adapt."""
    if nets.config.augment and nets.config.adapt:
        more = nets.ranks.any(nets.ranks.first and overfitting(nets, images) > nets.config.adapt)
        nets.altered = round(min(max(nets.altered + (ADAPT_STEP if more else -ADAPT_STEP), 0.0), 1.0), 6)


@torch.no_grad()
def overfitting(nets: Networks, images: Images, count: int = 256) -> float:
    """r_v of Karras et al. 2020: 0 if D rates held-out images like training images, 1 if like fakes.

    1 where no image is held out, to be on the safe side; 0 where D rates training images no higher than fakes.
    """
    heldout = images.batch(np.flatnonzero(images.heldout)[:count])
    if not len(heldout):
        return 1.0
    noise = torch.randn(count, nets.generator.config.nz, 1, 1, generator=torch.Generator().manual_seed(0))
    with nets.cast(), evaluating(nets.shown) as generator, evaluating(nets.discriminator) as discriminator:
        fakes = generator(noise.to(nets.device))
        sets = normalised(images.some(count).to(nets.device)), normalised(heldout.to(nets.device)), fakes
        seen, unseen, fake = (discriminator(batch).mean().item() for batch in sets)
    return (seen - unseen) / (seen - fake) if seen > fake else 0.0
