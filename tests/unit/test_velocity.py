"""The velocity against diffusers, against its own inverse, and what it buys in the first optimiser steps."""

import pytest
import torch

from deepfake_kit.diffusion import NoiseSchedule, UNet, q_sample, sample, train, train_step
from deepfake_kit.diffusion.velocity import NoiseFromVelocity, velocity, velocity_to_noise

SCHEDULE = NoiseSchedule.linear()


def drawn(n=6):
    generator = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, n, 1, 8, 8, generator=generator, dtype=torch.float64)
    return x0, noise, torch.tensor([0, 1, 250, 500, 998, 999])


def test_the_velocity_is_that_of_diffusers():
    from deepfake_kit import _compat

    _compat.torchvision()
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, beta_schedule="linear")
    x0, noise, t = drawn()
    scheduler.alphas_cumprod = SCHEDULE.alpha_bars  # theirs are float32
    assert torch.allclose(velocity(x0, noise, t, SCHEDULE), scheduler.get_velocity(x0, noise, t), atol=1e-12)


def test_the_noise_comes_back_from_the_velocity():
    x0, noise, t = drawn()
    x_t = q_sample(x0, t, noise, SCHEDULE)
    assert torch.allclose(velocity_to_noise(x_t, velocity(x0, noise, t, SCHEDULE), t, SCHEDULE), noise, atol=1e-12)


def test_the_velocity_has_unit_variance_at_every_step():
    generator = torch.Generator().manual_seed(1)
    x0, noise = torch.randn(2, 200_000, generator=generator)
    for t in (0, 300, 999):
        assert velocity(x0, noise, t, SCHEDULE).var().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_any_type_is_float64_rounded_once(dtype):
    x0, noise, t = (x.to(dtype) if x.is_floating_point() else x for x in drawn())
    x0 = (100 * x0).to(dtype)  # beside much data the little noise of the first steps shows in v
    for of in (velocity, velocity_to_noise):
        found, exact = of(x0, noise, t, SCHEDULE), of(x0.double(), noise.double(), t, SCHEDULE)
        few = 0 if dtype == torch.float64 else torch.finfo(torch.float32).eps / 1e-4
        near = (torch.finfo(dtype).eps + few) * exact.abs().amax((1, 2, 3), keepdim=True)
        assert found.dtype == dtype and ((found.double() - exact).abs() <= near).all()


@pytest.mark.parametrize("t", [-1, 1000])
def test_a_step_outside_the_schedule_is_refused(t):
    x0, noise, _ = drawn()
    with pytest.raises(ValueError, match="0 to 999"):
        velocity(x0, noise, t, SCHEDULE)
    with pytest.raises(ValueError, match="0 to 999"):
        velocity_to_noise(x0, noise, t, SCHEDULE)


def test_a_condition_reaches_the_network():
    torch.manual_seed(0)
    network = UNet(channels=(8,), blocks=1, condition_dim=3, precision="float32")
    for parameter in network.parameters():  # some start at zero, and would hide the condition
        torch.nn.init.normal_(parameter, std=0.2)
    model = NoiseFromVelocity(network, SCHEDULE)
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([3, 400])
    one, other = torch.eye(3)[[0, 0]], torch.eye(3)[[1, 1]]
    assert torch.allclose(model(x, t, one), velocity_to_noise(x, network(x, t, one), t, SCHEDULE))
    assert not torch.allclose(model(x, t, one), model(x, t, other))


def test_late_noise_is_right_before_any_training_and_training_starts_ahead():
    images = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(2)) * 2 - 1
    generator = torch.Generator().manual_seed(3)
    t, noise = torch.randint(1000, (64,), generator=generator), torch.randn(images.shape, generator=generator)
    x_t = q_sample(images, t, noise, SCHEDULE)
    errors = {}
    for name, wrap in {"noise": lambda net: net, "velocity": lambda net: NoiseFromVelocity(net, SCHEDULE)}.items():
        torch.manual_seed(0)
        model = wrap(UNet(channels=(16,), blocks=1, precision="float32"))
        if name == "velocity":
            late = t > 900
            assert (model(x_t, t) - noise)[late].square().mean() < 1e-3
        train(model, images, SCHEDULE, steps=8, batch_size=16, generator=torch.Generator().manual_seed(4))
        with torch.no_grad():
            errors[name] = (model(x_t, t) - noise).square().mean().item()
    assert errors["velocity"] < 0.5 * errors["noise"], errors


def test_it_trains_and_samples_with_the_ordinary_trainer_and_samplers():
    model = NoiseFromVelocity(UNet(channels=(8,), blocks=1), SCHEDULE)
    optimizer = torch.optim.AdamW(model.parameters())
    assert train_step(model, torch.zeros(2, 1, 8, 8), SCHEDULE, optimizer).isfinite()
    assert sample(model, (2, 1, 8, 8), SCHEDULE, "ddim", 3).shape == (2, 1, 8, 8)
