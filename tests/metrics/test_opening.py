"""Seeds to begin with: typical ones, unlike each other."""

from pathlib import Path

import torch

from dcgan.checkpoint import load_checkpoint, save_seeds
from dcgan.latents import latents
from dcgan.metrics.opening import CANDIDATES, COUNT, opening_seeds
from dcgan.sampling import render
from tests import tiny


def test_seeds_to_begin_with_lie_where_real_images_are_dense() -> None:
    generator, _ = tiny.networks()
    features = lambda images: images.float().mean(dim=(2, 3))  # noqa: E731  # the mean colour
    faces = render(generator, latents(range(CANDIDATES), generator.config.nz))
    redness = features(faces)[:, 0]
    real = faces[redness.argsort()[-100:]]
    seeds = opening_seeds(generator, features, real)
    assert len(set(seeds)) == COUNT
    assert seeds == opening_seeds(generator, features, real)
    assert redness[seeds].mean() > redness.quantile(0.8)


def test_where_all_images_are_alike_there_are_as_many_seeds() -> None:
    generator, _ = tiny.networks()
    real = torch.zeros(10, 3, 16, 16, dtype=torch.uint8)
    assert len(set(opening_seeds(generator, lambda images: torch.zeros(len(images), 2), real))) == COUNT


def test_they_stay_with_the_weights(tmp_path: Path) -> None:
    save_seeds(tiny.save(tmp_path), [3, 1])
    assert load_checkpoint(tmp_path).config["seeds"] == [3, 1]
    assert tiny.save(tmp_path).config["seeds"] == [3, 1]
    assert "seeds" not in tiny.save(tmp_path, tiny.networks(seed=1)).config
