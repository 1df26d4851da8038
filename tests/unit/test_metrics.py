"""Distances between sets of features and images, against scipy, closed forms and planted noise."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from deepfake_kit.measure import images as metrics
from deepfake_kit.measure import sets


def features(n, dim, seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(dim, dim, generator=generator, dtype=torch.float64)
    return scale * torch.randn(n, dim, generator=generator, dtype=torch.float64) @ mix


@pytest.mark.parametrize("dim", [1, 3, 16])
def test_frechet_distance_agrees_with_scipy_square_root(dim):
    linalg = pytest.importorskip("scipy.linalg")
    a, b = features(200, dim, 0), features(300, dim, 1, 2.0) + 0.3
    sigma_a, sigma_b = np.atleast_2d(np.cov(a.numpy().T)), np.atleast_2d(np.cov(b.numpy().T))
    root = np.real(linalg.sqrtm(sigma_a @ sigma_b))
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum().item() + np.trace(sigma_a + sigma_b - 2 * root)
    assert sets.frechet_distance(a, b).item() == pytest.approx(expected, rel=1e-8)


def test_frechet_distance_of_one_dimensional_gaussians_is_the_closed_form():
    x = features(500, 1, 0)
    y = 3 * x + 2
    expected = (x.mean() - y.mean()) ** 2 + (x.std() - y.std()) ** 2
    assert sets.frechet_distance(x, y).item() == pytest.approx(expected.item(), rel=1e-10)


def test_frechet_distance_is_symmetric_zero_on_itself_and_blind_to_rotation():
    a, b = features(100, 4, 0), features(100, 4, 1)
    rotation = torch.linalg.qr(features(4, 4, 2)).Q
    assert sets.frechet_distance(a, a).item() == pytest.approx(0, abs=1e-9)
    forth, back = sets.frechet_distance(a, b).item(), sets.frechet_distance(b, a).item()
    assert forth == pytest.approx(back, rel=1e-9)
    rotated = sets.frechet_distance(a @ rotation, b @ rotation)
    assert rotated.item() == pytest.approx(forth, rel=1e-9)


def test_frechet_distance_survives_fewer_samples_than_dimensions():
    linalg = pytest.importorskip("scipy.linalg")
    a, b = features(5, 16, 0), features(400, 16, 1)
    sigma_a, sigma_b = np.cov(a.numpy().T), np.cov(b.numpy().T)
    values = linalg.eigvals(sigma_a @ sigma_b)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum().item() + np.trace(sigma_a + sigma_b)
    expected -= 2 * np.sqrt(np.clip(np.real(values), 0, None)).sum()
    assert sets.frechet_distance(a, b).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (torch.zeros(3), torch.zeros(3, 2), "features_a: got"),
        (torch.zeros(1, 2), torch.zeros(3, 2), "features_a: got"),
        (torch.zeros(3, 2), torch.zeros(3, 4), "features_a, features_b: got .*; valid: equally many columns"),
    ],
)
def test_bad_features_are_named(a, b, message):
    with pytest.raises(ValueError, match=message):
        sets.frechet_distance(a, b)


def test_bootstrap_standard_error_of_a_mean_is_the_textbook_one():
    x = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = sets.bootstrap(torch.mean, x, 2000, torch.Generator().manual_seed(1))
    assert found.value == pytest.approx(x.mean().item())
    assert found.standard_error == pytest.approx(x.std().item() / 20, rel=0.08)


def test_bootstrap_is_repeatable_and_names_bad_input():
    x = torch.arange(10.0)
    draw = [sets.bootstrap(torch.mean, x, 10, torch.Generator().manual_seed(4)) for _ in range(2)]
    assert draw[0] == draw[1]
    with pytest.raises(ValueError, match="repeats: got 1"):
        sets.bootstrap(torch.mean, x, 1)


@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.3])
def test_grain_finds_planted_noise_on_flat_and_edged_images(sigma):
    image = torch.zeros(20, 1, 40, 40)
    image[:, :, :, 20:] = 1.0
    noise = sigma * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    assert metrics.grain(image + noise).item() == pytest.approx(sigma, rel=0.05)
    assert metrics.grain(image).item() == 0


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64])
def test_grain_of_whole_grey_levels_is_no_whole_number(dtype):
    levels = torch.randint(100, 110, (4, 1, 32, 32), generator=torch.Generator().manual_seed(0))
    assert metrics.grain(levels.to(dtype)).item() == metrics.grain(levels.float()).item() > 2
    assert metrics.grain(levels.to(dtype)).item() % 1 > 0


def test_grain_names_bad_input():
    with pytest.raises(ValueError, match="images: got"):
        metrics.grain(torch.zeros(3, 3))


def test_ssim_matches_a_direct_sum_over_windows():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, 13, 12, generator=generator, dtype=torch.float64)
    y = (x + 0.2 * torch.rand(x.shape, generator=generator, dtype=torch.float64)).clamp(0, 1)
    t = np.arange(11) - 5
    w = np.exp(-(t[:, None] ** 2 + t[None, :] ** 2) / (2 * 1.5**2))
    w /= w.sum()
    values = []
    for c in range(3):
        for i in range(3):
            for j in range(2):
                a, b = x[0, c, i : i + 11, j : j + 11].numpy(), y[0, c, i : i + 11, j : j + 11].numpy()
                ma, mb = (w * a).sum(), (w * b).sum()
                va, vb, cov = ((w * (a - ma) ** 2).sum(), (w * (b - mb) ** 2).sum(), (w * (a - ma) * (b - mb)).sum())
                values.append((2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4)))
    assert float(metrics.ssim(x, y)) == pytest.approx(np.mean(values), abs=1e-10)


def test_ssim_and_psnr_know_equal_images_and_fall_with_noise():
    generator = torch.Generator().manual_seed(0)
    x = 0.25 + 0.5 * torch.rand(4, 3, 24, 20, generator=generator)
    assert torch.equal(metrics.ssim(x, x), torch.ones(4)) and metrics.psnr(x, x).isinf().all()
    noise = torch.rand(x.shape, generator=generator) - 0.5
    little, much = x + 0.02 * noise, x + 0.2 * noise
    assert (metrics.ssim(x, little) > metrics.ssim(x, much)).all()
    # Uniform noise of width w has variance w^2 / 12.
    for image, width in ((little, 0.02), (much, 0.2)):
        assert metrics.psnr(x, image).numpy() == pytest.approx(-10 * np.log10(width**2 / 12), abs=0.3)


class OneDevice(TorchDispatchMode):
    """Refuses an operation on arrays of two devices, as a GPU does and the meta device does not always."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert len({x.device for x in tree_leaves(args) if isinstance(x, torch.Tensor) and x.ndim}) < 2, function
        return function(*args, **kwargs or {})


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim])
def test_pictures_are_compared_where_they_are(measure, monkeypatch):
    """Meta stands in for a GPU, and has no numbers to check."""
    monkeypatch.setattr(metrics, "_check_pair", lambda x, y, least: None)
    x = torch.empty(2, 3, 16, 12, device="meta")
    with OneDevice():
        assert measure(x, x).device.type == "meta"


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim])
def test_bad_pictures_are_named(measure):
    good = torch.full((1, 3, 16, 16), 0.5)
    cases = [
        (good, good[..., :12], r"\(1, 3, 16, 16\) and torch.float32 \(1, 3, 16, 12\)"),
        (good, good.byte(), "y: .*uint8"),
        (good.numpy(), good, "x: .*ndarray"),
        (good * 3, good, "x: .*1.5"),
        (good, good[0], "y: .*3, 16"),
        (good * float("nan"), good, "x: .*nan"),
    ]
    for x, y, message in cases:
        with pytest.raises(ValueError, match=message):
            measure(x, y)
