"""Spectra: against direct sums, scipy's filters and the theory of upsampling."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import median_filter
from torch.fx.experimental import _config

from deepfake_kit.measure import spectra


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def test_residual_is_the_image_minus_scipys_median():
    x = torch.rand(2, 3, 9, 9, generator=random())
    expected = x.numpy() - median_filter(x.numpy(), size=(1, 1, 3, 3), mode="mirror")
    assert np.allclose(spectra.residual(x), expected)


def test_power_spectrum_against_a_direct_fourier_sum():
    x = torch.rand(2, 1, 6, 6, generator=random(1)).double()
    power = spectra.power_spectrum(x)
    grid = np.arange(6)
    for u in range(-3, 3):
        for v in range(-3, 3):
            wave = np.exp(-2j * np.pi * (u * grid[:, None] + v * grid[None]) / 6)
            direct = np.mean([abs((image[0].numpy() * wave).sum()) ** 2 for image in x]) / 36
            assert power[u + 3, v + 3].item() == pytest.approx(direct)


@given(side=st.sampled_from([8, 9, 16]), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_parseval_and_the_rings_share_the_power(side, seed):
    x = torch.randn(3, 2, side, side, generator=random(seed))
    power = spectra.power_spectrum(x)
    assert power.sum().item() == pytest.approx(x.double().square().mean((0, 1)).sum().item(), rel=1e-6)
    radius, level = spectra.radial_average(power, bins=1)
    assert level.item() == pytest.approx(power.mean().item())


def test_radial_average_of_a_ring_function_returns_it():
    radius = spectra.frequencies(32)
    f, level = spectra.radial_average(radius)
    assert torch.allclose(f, level)


def test_rings_are_taken_where_the_spectrum_is(monkeypatch):
    """Meta stands in for a GPU: it refuses tensors of two devices too, and has no numbers to check or to count."""
    monkeypatch.setattr(spectra, "finite", lambda name, x: x)
    monkeypatch.setattr(_config, "meta_nonzero_assume_all_nonzero", True)
    assert [x.device.type for x in spectra.radial_average(torch.empty(8, 8, device="meta"))] == ["meta", "meta"]


@pytest.mark.parametrize(
    "call",
    [
        lambda: spectra.residual(torch.rand(1, 3, 8, 9)),
        lambda: spectra.power_spectrum(torch.rand(3, 8, 8)),
        lambda: spectra.power_spectrum(torch.rand(0, 3, 8, 8)),
        lambda: spectra.radial_average(torch.rand(4, 5)),
        lambda: spectra.radial_average(torch.rand(4, 4), bins=0),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError, match="valid"):
        call()
