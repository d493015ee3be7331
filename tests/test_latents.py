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
    assert torch.equal(latents([7, 0, MAX_SEED], 12), torch.stack([latent(seed, 12) for seed in (7, 0, MAX_SEED)]))
    assert latents([], 5).shape == (0, 5)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, 10**30])
def test_a_seed_out_of_range_is_refused_in_one_line(seed):
    with pytest.raises(ValueError, match=f"^a seed is a whole number from 0 to {MAX_SEED}, not .*$"):
        latent(seed, 10)


@given(seeds, seeds, fractions)
def test_slerp_goes_from_a_to_b_at_lengths_between_theirs(one, other, t):
    a, b = latent(one, 50), latent(other, 50)
    torch.testing.assert_close(slerp(a, b, 0.0), a, atol=1e-4, rtol=0)
    torch.testing.assert_close(slerp(a, b, 1.0), b, atol=1e-4, rtol=0)
    low, high = sorted((a.norm().item(), b.norm().item()))
    assert low * 0.999 - 1e-3 <= slerp(a, b, t).norm().item() <= high * 1.001 + 1e-3


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


@pytest.mark.parametrize(("move", "spherical"), [(slerp, True), (lerp, False)])
@pytest.mark.parametrize(("stops", "steps", "loop"), [(4, 13, False), (4, 16, True), (1, 4, False), (1, 4, True)])
def test_a_path_goes_evenly_through_every_stop_and_a_loop_back_to_the_first(move, spherical, stops, steps, loop):
    corners = latents(range(stops), 20)
    ends = torch.cat([corners, corners[:1]])
    way = path(corners, steps, spherical, loop)
    assert len(way) == steps
    for i, z in enumerate(way):
        leg, quarter = divmod(i, 4)
        expected = move(ends[leg], ends[leg + 1], quarter / 4) if quarter else ends[leg]
        torch.testing.assert_close(z, expected, atol=1e-4, rtol=0)
