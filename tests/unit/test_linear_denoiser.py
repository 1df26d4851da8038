"""The best linear predictor of the noise against regression, Bayes' rule for normal data, and its own error."""

import numpy as np
import pytest
import torch

from deepfake_kit.diffusion import NoiseSchedule, q_sample, sample
from deepfake_kit.diffusion.linear import LinearDenoiser

SCHEDULE = NoiseSchedule.linear()


def skewed(n, seed=0):
    """Images [n, 1, 2, 3] in float64 that are neither normal nor white nor centred."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.tensor(np.random.default_rng(5).normal(size=(6, 6)))
    return (torch.rand(n, 6, generator=generator, dtype=torch.float64).square() @ mixing + 0.3).reshape(n, 1, 2, 3)


def noised(images, t, seed):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(images.shape, generator=generator, dtype=images.dtype)
    steps = torch.full((len(images),), t)
    return q_sample(images, steps, noise, SCHEDULE), steps, noise


@pytest.mark.parametrize("t", [10, 200, 700])
def test_it_is_the_least_squares_fit(t):
    images = skewed(200_000)
    x, steps, noise = noised(images, t, seed=1)
    inputs = np.c_[x.flatten(1).numpy(), np.ones(len(x))]
    fit, *_ = np.linalg.lstsq(inputs, noise.flatten(1).numpy(), rcond=None)
    found = LinearDenoiser(images, SCHEDULE)(x[:50], steps[:50]).flatten(1)
    assert np.abs(found.numpy() - inputs[:50] @ fit).max() < 0.05


def test_it_is_exact_for_normal_data():
    """E[noise | x_t] by conditioning the joint normal law of data and noise."""
    mean, root = torch.tensor([0.5, -1.0], dtype=torch.float64), torch.tensor([[1.0, 0.0], [0.8, 0.3]]).double()
    model = LinearDenoiser(torch.zeros(2, 1, 1, 2, dtype=torch.float64), SCHEDULE)
    covariance = root @ root.T
    model.mean, (model.variances, model.directions) = mean, torch.linalg.eigh(covariance)
    bar = SCHEDULE.alpha_bars[300]
    x = torch.tensor([0.7, 0.2], dtype=torch.float64)
    joint = bar * covariance + (1 - bar) * torch.eye(2)
    expected = (1 - bar).sqrt() * torch.linalg.inv(joint) @ (x - bar.sqrt() * mean)
    assert torch.allclose(model(x.reshape(1, 1, 1, 2), torch.tensor([300])).flatten(), expected, atol=1e-12)


def test_its_error_is_what_it_says():
    images = skewed(50_000)
    model = LinearDenoiser(images, SCHEDULE)
    for t in (5, 100, 600):
        x, steps, noise = noised(images, t, seed=2)
        measured = (model(x, steps) - noise).square().mean()
        assert measured.item() == pytest.approx(model.error(steps[:1]).item(), rel=0.02)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_any_type_is_float64_but_for_rounding(dtype):
    model = LinearDenoiser(skewed(1000), SCHEDULE).to(dtype)
    exact = LinearDenoiser(skewed(1000), SCHEDULE)
    exact.load_state_dict({name: x.double() for name, x in model.state_dict().items()})
    x, t = skewed(4, seed=9).to(dtype), torch.tensor([0, 1, 300, 999])
    found, wanted = model(x, t), exact(x.double(), t)
    assert found.dtype == dtype and torch.isfinite(model.error(t)).all()
    assert (found - wanted).abs().max() <= 2 * torch.finfo(dtype).eps * wanted.abs().max() + 2e-4


def test_sampling_with_it_returns_mean_and_covariance():
    images = skewed(20_000)
    model = LinearDenoiser(images, SCHEDULE)
    drawn = sample(model.float(), (4000, 1, 2, 3), SCHEDULE, generator=torch.Generator().manual_seed(3)).flatten(1)
    real = images.float().flatten(1)
    assert torch.allclose(drawn.mean(0), real.mean(0), atol=0.06)
    assert torch.allclose(drawn.T.cov(), real.T.cov(), atol=0.12)


@pytest.mark.parametrize("images", [torch.zeros(1, 1, 2, 2), torch.zeros(5, 2, 2), torch.zeros(5, 1, 2, 2).byte()])
def test_images_that_have_no_covariance_are_refused(images):
    with pytest.raises(ValueError, match="images: got"):
        LinearDenoiser(images, SCHEDULE)


def test_a_step_outside_the_schedule_is_refused():
    with pytest.raises(ValueError, match="0 to 999"):
        LinearDenoiser(skewed(5), SCHEDULE)(skewed(1), torch.tensor([1000]))
