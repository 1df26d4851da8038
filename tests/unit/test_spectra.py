"""Spectra: against direct sums, scipy's filters and the theory of upsampling."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import median_filter

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


def test_zero_insertion_repeats_the_spectrum():
    x = torch.randn(4, 1, 8, 8, generator=random(2))
    before = torch.fft.ifftshift(spectra.power_spectrum(x))
    after = torch.fft.ifftshift(spectra.power_spectrum(spectra.insert_zeros(x)))
    assert torch.allclose(after, before.repeat(2, 2) / 4)


def test_ways_of_enlarging_keep_a_constant_away_from_the_border_except_the_uneven_one():
    flat = torch.ones(1, 1, 8, 8)
    for how in ("nearest", "bilinear"):
        assert torch.allclose(spectra.enlarge(flat, how), torch.ones(1, 1, 16, 16))
    uneven = spectra.enlarge(flat, "transposed")[0, 0, 4:12, 4:12]
    assert uneven.mean().item() == pytest.approx(1) and uneven.std() > 0.1


@pytest.mark.parametrize("kernel, stride", [(2, 2), (3, 2), (4, 2), (5, 3), (6, 3), (3, 1)])
def test_overlap_against_counting_by_hand(kernel, stride):
    line = np.zeros(stride * 11 + kernel)
    for i in range(12):
        line[i * stride : i * stride + kernel] += 1
    expected = np.outer(line, line)[kernel:-kernel, kernel:-kernel]
    assert np.array_equal(spectra.overlap(12, kernel, stride).numpy(), expected)


def test_natural_noise_falls_as_asked():
    images = spectra.natural_noise(400, 32, exponent=2.0, generator=random(3))
    f, level = spectra.radial_average(spectra.power_spectrum(images), bins=22)
    inner = (f > 0.05) & (f < 0.45)
    slope = np.polyfit(np.log(f[inner]), np.log(level[inner]), 1)[0]
    assert slope == pytest.approx(-2, abs=0.15)
    assert images.mean().abs() < 1e-5


def test_nyquist_energy_sees_a_checkerboard_row_pattern():
    stripes = torch.tensor([1.0, -1.0]).repeat(8)[None, None, :, None].expand(1, 1, 16, 16)
    assert spectra.nyquist_energy(spectra.power_spectrum(stripes)) == pytest.approx(1 / 31)
    assert spectra.nyquist_energy(spectra.power_spectrum(torch.ones(1, 1, 16, 16))) == pytest.approx(0)


def test_spike_suppression_against_its_closed_form():
    height, n = 50.0, 256
    found = spectra.spike_suppression(16, height, random(4))
    # Plain variance about 1; with the spike the variance gains height^2 (n-1)/n^2, plus a small cross term.
    assert found == pytest.approx((1 + height**2 * (n - 1) / n**2) ** -0.5, rel=0.1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: spectra.residual(torch.rand(1, 3, 8, 9)),
        lambda: spectra.power_spectrum(torch.rand(3, 8, 8)),
        lambda: spectra.power_spectrum(torch.rand(0, 3, 8, 8)),
        lambda: spectra.radial_average(torch.rand(4, 5)),
        lambda: spectra.radial_average(torch.rand(4, 4), bins=0),
        lambda: spectra.enlarge(torch.rand(1, 1, 4, 4), "cubic"),
        lambda: spectra.overlap(2, 3),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError, match="valid"):
        call()
