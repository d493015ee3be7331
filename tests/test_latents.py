"""Seeds to latents, and the ways between two."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dcgan.latents import MAX_SEED, latent, latents, lerp, path, slerp

seeds = st.integers(0, MAX_SEED)
fractions = st.floats(0, 1)


@given(seeds, st.integers(1, 300))
def test_a_seed_is_torchs_own_draw(seed, nz):
    assert torch.equal(latent(seed, nz), torch.randn(nz, generator=torch.Generator("cpu").manual_seed(seed)))


def test_a_batch_holds_the_latent_of_each_seed_in_order_and_draws_nothing_elsewhere():
    before = torch.get_rng_state()
    batch = latents([7, 0, 7, MAX_SEED], 12)
    assert batch.shape == (4, 12)
    assert torch.equal(batch[1], latent(0, 12))
    assert torch.equal(batch[0], batch[2])
    assert not torch.equal(batch[0], batch[3])
    assert latents([], 5).shape == (0, 5)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, 10**30])
def test_a_seed_out_of_range_is_refused_in_one_line(seed):
    with pytest.raises(ValueError, match=f"0 to {MAX_SEED}") as caught:
        latent(seed, 10)
    assert "\n" not in str(caught.value)


@given(seeds, seeds)
def test_slerp_starts_at_a_and_ends_at_b(one, other):
    a, b = latent(one, 50), latent(other, 50)
    torch.testing.assert_close(slerp(a, b, 0.0), a, atol=1e-4, rtol=0)
    torch.testing.assert_close(slerp(a, b, 1.0), b, atol=1e-4, rtol=0)


@given(seeds, seeds, fractions)
def test_slerp_keeps_a_length_between_the_ends(one, other, t):
    a, b = latent(one, 50), latent(other, 50)
    length = slerp(a, b, t).norm().item()
    low, high = sorted((a.norm().item(), b.norm().item()))
    assert low * 0.999 - 1e-3 <= length <= high * 1.001 + 1e-3


def test_slerp_turns_evenly():
    a, b = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    torch.testing.assert_close(slerp(a, b, 1 / 3), torch.tensor([3**0.5, 1.0]))


@pytest.mark.parametrize("scale", [1.0, 3.0, 1.0001, -1.0, -2.0, 0.0])
@pytest.mark.parametrize("t", [0.0, 0.25, 0.5, 1.0])
def test_slerp_of_parallel_opposite_or_zero_vectors_is_finite_and_on_their_line(scale, t):
    a = latent(5, 40)
    torch.testing.assert_close(slerp(a, scale * a, t), lerp(a, scale * a, t), atol=1e-4, rtol=0)


@given(seeds, st.floats(-1e-2, 1e-2), fractions, st.sampled_from([1.0, -1.0]))
def test_slerp_is_finite_close_to_the_parallel_and_the_opposite(seed, nearness, t, sign):
    a = latent(seed, 30)
    b = sign * a + nearness * latent((seed + 1) % MAX_SEED, 30)
    assert torch.isfinite(slerp(a, b, t)).all()


@given(st.integers(1, 5), st.integers(1, 40), st.booleans())
def test_a_path_has_its_steps_and_both_ends(stops, steps, spherical):
    corners = latents(range(stops), 20)
    way = path(corners, steps, spherical)
    assert way.shape == (steps, 20)
    torch.testing.assert_close(way[0], corners[0], atol=1e-4, rtol=0)
    if steps > 1:
        torch.testing.assert_close(way[-1], corners[-1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("spherical", [True, False])
def test_a_path_and_a_loop_pass_through_every_stop(spherical):
    corners = latents(range(4), 20)
    torch.testing.assert_close(path(corners, 13, spherical)[::4], corners, atol=1e-4, rtol=0)
    way = path(corners, 16, spherical, loop=True)
    torch.testing.assert_close(way[::4], corners, atol=1e-4, rtol=0)
    move = slerp if spherical else lerp
    torch.testing.assert_close(way[-1], move(corners[3], corners[0], 0.75), atol=1e-4, rtol=0)


def test_a_straight_path_is_evenly_spaced():
    way = path(torch.tensor([[0.0], [1.0], [3.0]]), 5, spherical=False)
    assert way.flatten().tolist() == [0, 0.5, 1, 2, 3]


def test_a_path_of_one_stop_stays_there():
    way = path(latents([4], 8), 3)
    assert torch.equal(way, latents([4, 4, 4], 8))
