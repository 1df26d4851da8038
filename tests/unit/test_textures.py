"""Gram matrices: against loops, under permutations, and as a maximum mean discrepancy."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepfake_kit.measure.textures import gram, gram_distance


def maps(channels, positions, seed):
    return torch.randn(1, channels, positions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.4


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_identities(channels, m, n, seed):
    f, g = maps(channels, m, seed), maps(channels, n, seed + 1)
    loops = [[sum(a * b for a, b in zip(x, y)) / m for y in f[0].tolist()] for x in f[0].tolist()]
    assert torch.allclose(gram(f)[0], torch.tensor(loops, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(gram(f), gram(f[:, :, torch.randperm(m)]), atol=1e-12)

    def kernel(x, y):
        return (x[0].T @ y[0]).square().mean()

    squared = (gram(f) - gram(g)).square().sum()
    assert abs(squared - (kernel(f, f) + kernel(g, g) - 2 * kernel(f, g))) < 1e-9 * (1 + kernel(f, f) + kernel(g, g))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8])
def test_the_sum_over_many_positions_neither_overflows_nor_wraps(dtype):
    f = torch.full((1, 2, 256, 256), 2.0)
    assert gram(f.to(dtype)).flatten().tolist() == [4.0] * 4
    assert gram(f.to(dtype)).dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert gram_distance([f.to(dtype)], [2 * f.to(dtype)]).item() == pytest.approx(0.75)


def test_distance_is_zero_for_shuffled_positions_and_scales_with_a_layer_out():
    f, g = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 5, 5)
    assert gram_distance([f], [f.flip(2, 3)]).max() < 1e-5
    one = gram_distance([f], [g])
    assert torch.allclose(gram_distance([10 * f], [10 * g]), one, atol=1e-5)
    assert torch.allclose(gram_distance([f, f], [g, g]), one, atol=1e-6)
    off, size = (gram(f) - gram(g)).flatten(1), gram(g).abs().mean()
    assert torch.allclose(one, off.abs().mean(1) / size) and torch.allclose(
        gram_distance([f], [g], "l2"), off.square().mean(1).sqrt() / size
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gram(torch.zeros(2, 3)), r"features: got torch.float32 \(2, 3\)"),
        (lambda: gram(torch.zeros(2, 3, 0)), "at least one position"),
        (lambda: gram(torch.full((1, 2, 3), torch.nan)), "features"),
        (lambda: gram_distance([], []), "a, b: got 0 and 0 layers"),
        (lambda: gram_distance([torch.zeros(1, 1, 1)], [torch.zeros(1, 1, 1)], "l3"), "norm"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
