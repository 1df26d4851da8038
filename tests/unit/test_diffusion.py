"""Diffusion mathematics against diffusers, sympy, closed forms and Monte Carlo; the known traps by name."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from deepfake_kit import diffusion as d

T = 1000
LINEAR, COSINE = d.NoiseSchedule.linear(T), d.NoiseSchedule.cosine(T)
F64 = torch.float64


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def nonlinear_model(x, t):
    """A smooth stand-in for a network, so that whole sampling loops can be compared exactly."""
    return torch.tanh(x) * (0.5 + t.to(x.dtype).reshape(-1, 1, 1, 1) / (2 * T))


def mixture(weights, means, std):
    """Exact noise predictor of a Gaussian mixture: eps = (x - sqrt(ab) E[x0|x]) / sqrt(1 - ab)."""

    def eps(x, t):
        ab = LINEAR.alpha_bars[t].reshape(-1, *[1] * (x.ndim - 1)).to(x.dtype)
        var = ab * std**2 + 1 - ab
        logits = torch.stack(
            [math.log(w) - (x - ab.sqrt() * m) ** 2 / (2 * var) for w, m in zip(weights, means, strict=True)]
        )
        resp = logits.softmax(0)
        return (1 - ab).sqrt() * sum(r * (x - ab.sqrt() * m) for r, m in zip(resp, means, strict=True)) / var

    return eps


DTYPES = [torch.float16, torch.bfloat16, torch.float32, F64]


# -- schedules -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", [LINEAR, COSINE, d.NoiseSchedule.linear(50, 1e-3, 0.5)])
def test_trap_schedule_is_monotone(schedule):
    assert bool((schedule.betas.diff() >= 0).all())
    assert bool((schedule.alpha_bars.diff() < 0).all())
    assert bool((schedule.snr.diff() < 0).all())


@pytest.mark.parametrize("schedule", [LINEAR, COSINE])
def test_alpha_bars_are_the_running_product(schedule):
    product, expected = 1.0, []
    for beta in schedule.betas.tolist():
        product *= 1 - beta
        expected.append(product)
    np.testing.assert_allclose(schedule.alpha_bars.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(("schedule", "name"), [(LINEAR, "linear"), (COSINE, "squaredcos_cap_v2")])
def test_schedule_agrees_with_diffusers(schedule, name):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDPMScheduler(T, 1e-4, 0.02, beta_schedule=name)
    torch.testing.assert_close(schedule.betas, theirs.betas.double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(schedule.alpha_bars, theirs.alphas_cumprod.double(), atol=1e-5, rtol=0)


def test_linear_schedule_ends_where_ddpm_says():
    assert LINEAR.betas[0].item() == pytest.approx(1e-4, abs=1e-15)
    assert LINEAR.betas[-1].item() == pytest.approx(0.02, abs=1e-15)
    assert LINEAR.alpha_bars[-1].sqrt().item() == pytest.approx(0.00635, abs=1e-5)


@pytest.mark.parametrize("betas", [[], [0.0, 0.1], [0.1, 1.0], [[0.1]], [float("nan")]])
def test_bad_betas_are_named(betas):
    with pytest.raises(ValueError, match="betas"):
        d.NoiseSchedule(torch.tensor(betas))


# -- forward process -----------------------------------------------------------------------------------------


def test_trap_alpha_bar_off_by_one():
    """At t = 0 the data have met one noise, beta_1 = 1e-4; an index shifted by one gives 2.2 times that."""
    x = d.q_sample(torch.zeros(1, dtype=F64), 0, torch.ones(1, dtype=F64), LINEAR)
    assert x.item() ** 2 == pytest.approx(1e-4, rel=1e-9)
    x = d.q_sample(torch.ones(1, dtype=F64), T - 1, torch.zeros(1, dtype=F64), LINEAR)
    assert x.item() == pytest.approx(math.sqrt(np.prod(1 - np.linspace(1e-4, 0.02, T))), rel=1e-9)


@pytest.mark.parametrize("t", [0, 9, 99, 499, 999])
def test_closed_form_equals_the_chain_of_single_steps(t):
    mean, variance = 1.7, 0.0
    for beta in np.linspace(1e-4, 0.02, T)[: t + 1]:
        mean, variance = math.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
    one, zero = torch.ones(1, dtype=F64), torch.zeros(1, dtype=F64)
    assert d.q_sample(1.7 * one, t, zero, LINEAR).item() == pytest.approx(mean, abs=1e-12)
    assert d.q_sample(0 * one, t, one, LINEAR).item() ** 2 == pytest.approx(variance, abs=1e-12)


def test_monte_carlo_moments_of_the_marginal():
    n = 400_000
    x0 = torch.where(normal(n) > 0, 1.0, -0.5).double()
    for t in (50, 300, 800):
        x = d.q_sample(x0, t, normal(n, seed=t), LINEAR)
        ab = LINEAR.alpha_bars[t]
        assert abs(x.mean() - ab.sqrt() * x0.mean()) < 5 / math.sqrt(n)
        assert abs(x.var() - (ab * x0.var() + 1 - ab)) < 10 / math.sqrt(n)


def test_q_sample_agrees_with_diffusers_add_noise():
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDPMScheduler(T, 1e-4, 0.02)
    theirs.alphas_cumprod = LINEAR.alpha_bars
    t = torch.tensor([0, 1, 500, 999])
    x0, noise = normal(4, 1, 3, 3), normal(4, 1, 3, 3, seed=1)
    torch.testing.assert_close(d.q_sample(x0, t, noise, LINEAR), theirs.add_noise(x0, noise, t), atol=1e-10, rtol=0)


def test_predict_x0_inverts_q_sample():
    x0, noise, t = normal(4, 1, 3, 3), normal(4, 1, 3, 3, seed=1), torch.tensor([0, 10, 500, 999])
    back = d.predict_x0(d.q_sample(x0, t, noise, LINEAR), noise, t, LINEAR)
    torch.testing.assert_close(back, x0, atol=1e-10, rtol=0)


@pytest.mark.parametrize("t", [-1, T, torch.tensor([0, T])])
def test_a_step_outside_the_schedule_is_an_error(t):
    with pytest.raises(ValueError, match="t: got"):
        d.q_sample(torch.zeros(2), t, torch.zeros(2), LINEAR)


def test_a_noise_of_the_wrong_shape_is_an_error():
    with pytest.raises(ValueError, match="noise: got"):
        d.q_sample(torch.zeros(2, 1), 0, torch.zeros(2), LINEAR)


# -- posterior and steps -------------------------------------------------------------------------------------


def test_posterior_follows_from_bayes_by_sympy():
    sp = pytest.importorskip("sympy")
    x, xt, x0 = sp.symbols("x x_t x_0", real=True)
    a, s = sp.symbols("alpha s", positive=True)  # s is alpha-bar before the step, alpha * s after it
    exponent = -((xt - sp.sqrt(a) * x) ** 2) / (2 * (1 - a)) - (x - sp.sqrt(s) * x0) ** 2 / (2 * (1 - s))
    second = sp.diff(exponent, x, 2)
    variance, mean = -1 / second, sp.solve(sp.diff(exponent, x), x)[0]
    for t in (1, 10, 500, 999):
        values = {a: LINEAR.alphas[t].item(), s: LINEAR.alpha_bars[t - 1].item(), x0: 0.7, xt: -0.3}
        ours = d.posterior(torch.tensor([0.7], dtype=F64), torch.tensor([-0.3], dtype=F64), t, LINEAR)
        assert ours.mean.item() == pytest.approx(float(mean.subs(values)), abs=1e-10)
        assert ours.variance.item() == pytest.approx(float(variance.subs(values)), rel=1e-9)


def test_posterior_agrees_with_regression_on_simulated_chains():
    n, t = 400_000, 300
    x0 = normal(n, seed=3)
    before = d.q_sample(x0, t - 1, normal(n, seed=4), LINEAR)
    after = LINEAR.alphas[t].sqrt() * before + LINEAR.betas[t].sqrt() * normal(n, seed=5)
    fitted = torch.linalg.lstsq(torch.stack([x0, after], 1), before[:, None]).solution.flatten()
    one, zero = torch.ones(1, dtype=F64), torch.zeros(1, dtype=F64)
    exact = torch.cat([d.posterior(one, zero, t, LINEAR).mean, d.posterior(zero, one, t, LINEAR).mean])
    torch.testing.assert_close(fitted, exact, atol=2e-3, rtol=0)
    residual = (before - torch.stack([x0, after], 1) @ fitted).var()
    assert residual.item() == pytest.approx(d.posterior(one, one, t, LINEAR).variance.item(), rel=0.01)


def test_ddpm_mean_is_the_form_printed_by_ho_et_al():
    x, eps = normal(3, 1, 2, 2), normal(3, 1, 2, 2, seed=1)
    for t in (0, 1, 77, 999):
        beta, ab = np.linspace(1e-4, 0.02, T)[t], np.prod(1 - np.linspace(1e-4, 0.02, T)[: t + 1])
        expected = (x - beta / math.sqrt(1 - ab) * eps) / math.sqrt(1 - beta)
        torch.testing.assert_close(d.ddpm_step(x, eps, t, LINEAR, None), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize(("variance", "theirs_name"), [("posterior", "fixed_small"), ("beta", "fixed_large")])
@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("steps", [1000, 20])
def test_ddpm_step_agrees_with_diffusers(variance, theirs_name, clip, steps):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDPMScheduler(
        T, 1e-4, 0.02, variance_type=theirs_name, clip_sample=clip is not None, timestep_spacing="trailing"
    )
    theirs.alphas_cumprod, theirs.one = LINEAR.alpha_bars, torch.tensor(1.0, dtype=F64)
    theirs.set_timesteps(steps)
    times = d.sampling_times(LINEAR, steps)
    assert theirs.timesteps.tolist() == times
    for i in {0, 1, steps // 2, steps - 2, steps - 1}:
        x, eps, z = normal(2, 1, 3, 3, seed=i), normal(2, 1, 3, 3, seed=i + 1), normal(2, 1, 3, 3, seed=7)
        expected = theirs.step(eps, times[i], x, generator=torch.Generator().manual_seed(7)).prev_sample
        t_prev = times[i + 1] if i + 1 < steps else -1
        # Their guard against noise at the last step is t > 0, so a strided schedule, whose last step has t > 0,
        # slips through it. It matters for "fixed_large" only: the posterior variance is 0 there anyway.
        options = {"t_prev": t_prev, "variance": variance, "clip": clip, "noise_at_last_step": times[i] > 0}
        ours = d.ddpm_step(x, eps, times[i], LINEAR, z, **options)
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("steps", [1000, 50])
def test_whole_ddim_loop_agrees_with_diffusers(steps):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDIMScheduler(
        T, 1e-4, 0.02, clip_sample=False, set_alpha_to_one=True, timestep_spacing="trailing"
    )
    theirs.alphas_cumprod, theirs.final_alpha_cumprod = LINEAR.alpha_bars, torch.tensor(1.0, dtype=F64)
    theirs.set_timesteps(steps)
    x = normal(2, 1, 3, 3, seed=5)
    ours = d.sample(
        nonlinear_model, (2, 1, 3, 3), LINEAR, "ddim", steps, generator=torch.Generator().manual_seed(5), dtype=F64
    )
    for t in theirs.timesteps:
        x = theirs.step(nonlinear_model(x, t[None].expand(2)), t, x).prev_sample
    torch.testing.assert_close(ours, x, atol=1e-5, rtol=0)


@pytest.mark.parametrize("steps", [20, 5])
def test_whole_second_order_loop_agrees_with_diffusers(steps):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DPMSolverMultistepScheduler(T, 1e-4, 0.02, timestep_spacing="trailing", final_sigmas_type="zero")
    bars = LINEAR.alpha_bars
    theirs.set_timesteps(steps)
    times = d.sampling_times(LINEAR, steps)
    assert theirs.timesteps.tolist() == times
    theirs.sigmas = torch.cat([((1 - bars) / bars).sqrt()[times], torch.zeros(1)])
    x = normal(2, 1, 3, 3, seed=5)
    ours = d.sample(
        nonlinear_model, (2, 1, 3, 3), LINEAR, "dpm", steps, generator=torch.Generator().manual_seed(5), dtype=F64
    )
    for t in theirs.timesteps:
        x = theirs.step(nonlinear_model(x, t[None].expand(2)), t, x).prev_sample
    torch.testing.assert_close(ours, x.double(), atol=1e-6, rtol=5e-6)  # they step in float32


@pytest.mark.parametrize(("sampler", "order"), [("ddim", 1), ("dpm", 2)])
def test_a_solvers_error_falls_by_its_order(sampler, order):
    """In one dimension the probability flow keeps every quantile, so where a sample must arrive is known exactly."""
    from scipy.stats import norm

    def quantile(mass, bar):
        grid = np.linspace(-4, 4, 100_001)
        cdf = sum(w * norm.cdf(grid, m * bar**0.5, (bar * 0.25 + 1 - bar) ** 0.5) for w, m in ((0.7, -1), (0.3, 1)))
        return torch.tensor(np.interp(mass, cdf, grid))

    mass, errors, eps = np.linspace(0.02, 0.98, 49), [], mixture([0.7, 0.3], [-1, 1], 0.5)
    target = quantile(mass, 1.0)
    for steps in (20, 40):
        x, before = quantile(mass, LINEAR.alpha_bars[-1].item()), None
        times = d.sampling_times(LINEAR, steps, "quadratic")
        for t, s in zip(times, [*times[1:], -1], strict=True):
            guess = eps(x, torch.tensor([t]))
            if sampler == "ddim":
                x = d.ddim_step(x, guess, t, LINEAR, s)
            else:
                x, x0 = d.dpm_step(x, guess, t, LINEAR, s, before=before)
                before = x0, t
        errors.append((x - target).abs().mean().item())
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.4), errors


def test_whole_ddpm_loop_agrees_with_diffusers():
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDPMScheduler(T, 1e-4, 0.02, clip_sample=False, timestep_spacing="trailing")
    theirs.alphas_cumprod, theirs.one = LINEAR.alpha_bars, torch.tensor(1.0, dtype=F64)
    theirs.set_timesteps(100)
    ours = d.sample(
        nonlinear_model, (2, 1, 3, 3), LINEAR, "ddpm", 100, generator=torch.Generator().manual_seed(5), dtype=F64
    )
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(2, 1, 3, 3, generator=generator, dtype=F64)
    for t in theirs.timesteps:
        x = theirs.step(nonlinear_model(x, t[None].expand(2)), t, x, generator=generator).prev_sample
        if t == theirs.timesteps[-1]:
            break
    torch.testing.assert_close(ours, x, atol=1e-5, rtol=0)


@pytest.mark.parametrize("variance", ["posterior", "beta"])
@pytest.mark.parametrize("t", [0, torch.tensor([0, 0])])
def test_trap_no_noise_at_the_last_step(variance, t):
    x, eps = normal(2, 1, 3, 3), normal(2, 1, 3, 3, seed=1)
    one = d.ddpm_step(x, eps, t, LINEAR, normal(2, 1, 3, 3, seed=2), variance=variance)
    other = d.ddpm_step(x, eps, t, LINEAR, normal(2, 1, 3, 3, seed=3), variance=variance)
    assert torch.equal(one, other)


def test_the_noise_at_the_last_step_can_be_switched_on_and_has_the_stated_size():
    x, z = normal(2, 1, 3, 3), normal(2, 1, 3, 3, seed=2)
    for t in (0, 49, 99):
        options = {"t_prev": -1, "variance": "beta"}
        clean = d.ddpm_step(x, x, t, LINEAR, z, **options)
        grainy = d.ddpm_step(x, x, t, LINEAR, z, noise_at_last_step=True, **options)
        torch.testing.assert_close(grainy - clean, (1 - LINEAR.alpha_bars[t]).sqrt() * z, atol=1e-12, rtol=0)


def test_mixed_steps_in_one_batch_equal_single_steps():
    x, eps, z, t = (
        normal(3, 1, 2, 2),
        normal(3, 1, 2, 2, seed=1),
        normal(3, 1, 2, 2, seed=2),
        torch.tensor([0, 5, 999]),
    )
    together = d.ddpm_step(x, eps, t, LINEAR, z)
    for i in range(3):
        alone = d.ddpm_step(x[i : i + 1], eps[i : i + 1], int(t[i]), LINEAR, z[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-14, rtol=0)


# -- samplers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sampler", "steps"), [("ddpm", None), ("ddim", 250)])
def test_exact_noise_predictor_returns_the_right_modes_and_widths(sampler, steps):
    eps = mixture((0.8, 0.2), (-1.0, 1.0), 0.1)
    x = d.sample(eps, (20_000, 1, 1, 1), LINEAR, sampler, steps, generator=torch.Generator().manual_seed(0), dtype=F64)
    x = x.flatten()
    assert (x > 0).double().mean().item() == pytest.approx(0.2, abs=0.012)  # 4 standard errors
    assert x[x < 0].std().item() == pytest.approx(0.1, rel=0.05)
    assert x[x < 0].mean().item() == pytest.approx(-1.0, abs=0.01)


def test_reading_one_symbol_everywhere_collapses_the_minority_mode():
    """DD-TMA Eq. (7) with n = alpha everywhere: the error that the chapter shows."""
    eps, x = mixture((0.8, 0.2), (-1.0, 1.0), 0.1), normal(4000, 1, 1, 1)
    for t in range(T - 1, -1, -1):
        a = LINEAR.alphas[t]
        z = normal(4000, 1, 1, 1, seed=t) if t else 0
        x = (x - (1 - a) / (1 - a).sqrt() * eps(x, torch.full((4000,), t))) / a.sqrt() + (1 - a).sqrt() * z
    assert (x > 0).double().mean().item() < 0.005


STEPS = {
    "q_sample": lambda x, y, z, t, s: [d.q_sample(x, t, y, s)],
    "predict_x0": lambda x, y, z, t, s: [d.predict_x0(x, y, t, s)],
    "posterior": lambda x, y, z, t, s: d.posterior(x, y, t, s),
    "ddpm": lambda x, y, z, t, s: [d.ddpm_step(x, y, t, s, z), d.ddpm_step(x, y, t, s, z, clip=1.0)],
    "ddpm, beta": lambda x, y, z, t, s: [d.ddpm_step(x, y, t, s, z, variance="beta", noise_at_last_step=True)],
    "ddpm, mean": lambda x, y, z, t, s: [d.ddpm_step(x, y, t, s, None)],
    "ddim": lambda x, y, z, t, s: [d.ddim_step(x, y, t, s), d.ddim_step(x, y, t, s, clip=1.0)],
    "dpm": lambda x, y, z, t, s: [d.dpm_step(x, y, t, s)[0], d.dpm_step(x, y, t, s, clip=1.0)[0]],
    "dpm, second": lambda x, y, z, t, s: [d.dpm_step(x, y, t, s, t - 1, before=(z, t + 9))[0]],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("schedule", [LINEAR, COSINE], ids=["linear", "cosine"])
def test_a_step_in_any_type_is_that_in_float64_rounded_once(name, schedule, dtype):
    """In float16 the first alpha-bars are 1: taken from 1 after rounding they leave no noise, and 0 / 0."""
    x, y, z = (normal(4, 3, 4, 4, seed=seed).to(dtype) for seed in range(3))
    least = 1 if name == "dpm, second" else 0
    # 1 - alpha-bar of a float32 alpha-bar has few digits at the first step.
    few = 0 if dtype == F64 else torch.finfo(torch.float32).eps / float(1 - schedule.alpha_bars[0])
    for t in (least, 1, 500, 980, torch.tensor([least, 1, 500, 980])):
        exact = STEPS[name](x.to(F64), y.to(F64), z.to(F64), t, schedule)
        for found, wanted in zip(STEPS[name](x, y, z, t, schedule), exact, strict=True):
            near = (torch.finfo(dtype).eps + few) * wanted.abs().max()
            assert found.dtype == dtype and (found.to(F64) - wanted).abs().max() <= near, t


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("sampler", "steps"), [("ddpm", None), ("ddim", 50), ("dpm", 20)])
def test_normal_data_come_back_normal_in_any_type(sampler, steps, dtype):
    for schedule in (LINEAR, COSINE):

        def best(x, t, s=schedule):
            return (x * (1 - s.alpha_bars[t]).sqrt().reshape(-1, 1, 1, 1)).to(x.dtype)

        generator = torch.Generator().manual_seed(0)
        drawn = d.sample(best, (2000, 1, 1, 1), schedule, sampler, steps, generator=generator, dtype=dtype)
        assert drawn.dtype == dtype and drawn.double().std().item() == pytest.approx(1, abs=0.1)
        assert drawn.double().mean().abs() < 0.1


def test_sampling_times_are_distinct_and_run_from_the_last_step_down():
    for steps, spacing in itertools.product((1, 7, 10, 50, 999, 1000), ("even", "quadratic")):
        times = d.sampling_times(LINEAR, steps, spacing)
        assert len(times) == steps == len(set(times))
        assert times[0] == T - 1
        assert times == sorted(times, reverse=True)
        assert times[-1] >= 0


def test_clipping_keeps_samples_in_range():
    def wild(x, t):
        return -3 * x

    assert d.sample(wild, (4, 1, 2, 2), LINEAR, "ddpm", 10, clip=1.0).abs().max() <= 1
    assert d.sample(wild, (4, 1, 2, 2), LINEAR, "ddpm", 10).abs().max() > 1


def test_samples_depend_on_the_generator_alone():
    torch.manual_seed(0)
    one = d.sample(nonlinear_model, (2, 1, 2, 2), LINEAR, steps=5, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(99)
    other = d.sample(nonlinear_model, (2, 1, 2, 2), LINEAR, steps=5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "euler"}, "sampler: got 'euler'"),
        ({"spacing": "cubic"}, "spacing: got 'cubic'"),
        ({"steps": 0}, "steps: got 0"),
        ({"steps": 1001}, "steps: got 1001"),
        ({"variance": "learned"}, "variance: got 'learned'"),
    ],
)
def test_bad_sampler_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        d.sample(nonlinear_model, (1, 1, 2, 2), LINEAR, **options)


# -- training ------------------------------------------------------------------------------------------------


class Tiny(torch.nn.Module):
    """eps = scale[t] * x, whose best scale for standard normal data is sqrt(1 - alpha_bar)."""

    def __init__(self, steps=4):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.zeros(steps))

    def forward(self, x, t):
        return self.scale[t].reshape(-1, 1, 1, 1) * x


def test_training_finds_the_known_optimum():
    schedule = d.NoiseSchedule(torch.tensor([0.1, 0.2, 0.4, 0.6]))
    model, generator = Tiny(), torch.Generator().manual_seed(0)
    images = torch.randn(20_000, 1, 2, 2, generator=generator)
    log = d.train(model, images, schedule, 400, 512, lr=0.02, generator=generator, decay=True)
    torch.testing.assert_close(model.scale.detach().double(), (1 - schedule.alpha_bars).sqrt(), atol=0.02, rtol=0)
    assert len(log.losses) == len(log.seconds) == 400
    assert log.seconds == sorted(log.seconds)
    assert not log.ema.scale.requires_grad


def test_train_step_is_one_adamw_step_on_the_mean_square():
    schedule, x0 = d.NoiseSchedule.linear(4), torch.randn(8, 1, 2, 2)
    ours, theirs = Tiny(), Tiny()
    value = d.train_step(
        ours, x0, schedule, torch.optim.AdamW(ours.parameters(), lr=0.1), torch.Generator().manual_seed(3)
    )
    generator = torch.Generator().manual_seed(3)
    t = torch.randint(4, (8,), generator=generator)
    noise = torch.randn(8, 1, 2, 2, generator=generator)
    expected = (theirs(d.q_sample(x0, t, noise, schedule), t) - noise).square().mean()
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=0.1)
    expected.backward()
    optimizer.step()
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(ours.scale, theirs.scale)


class RefusesAsAGPU(TorchFunctionMode):
    """Torch refuses a generator of another device on a GPU, and takes it on the meta device."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if kwargs.get("generator") is not None:
            assert kwargs["generator"].device == torch.device(kwargs.get("device") or "cpu")
        return function(*args, **kwargs)


def test_a_generator_of_the_images_device_serves_a_model_elsewhere(monkeypatch):
    """The trainer moves each batch to the model; meta stands in for a GPU, and has no numbers to check."""
    monkeypatch.setattr(d.steps, "check_step", lambda t, schedule: None)
    model = Tiny().to("meta")
    optimizer, x0 = torch.optim.SGD(model.parameters(), lr=0.1), torch.zeros(8, 1, 2, 2).to("meta")
    with RefusesAsAGPU():
        value = d.train_step(model, x0, d.NoiseSchedule.linear(4), optimizer, torch.Generator().manual_seed(0))
        d.train_step(model, x0, d.NoiseSchedule.linear(4), optimizer)
    assert value.device.type == "meta"


def test_ema_equals_the_weighted_sum_it_stands_for():
    model, decay = Tiny(1), 0.5
    average, history, expected = d.EMA(model, decay), [3.0, -1.0, 4.0, 1.0], 0.0
    for n, value in enumerate(history):
        with torch.no_grad():
            model.scale.fill_(value)
        average.update(model)
        keep = min(decay, (1 + n) / (10 + n))
        expected = keep * expected + (1 - keep) * value
    assert average.model.scale.item() == pytest.approx(expected, rel=1e-6)
    assert model.scale.item() == 1.0


def test_learning_rate_warms_up_and_decays():
    seen, original = [], torch.optim.AdamW.step

    def spy(self, *args, **kwargs):
        seen.append(self.param_groups[0]["lr"])
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", spy)
        d.train(Tiny(), torch.zeros(2, 1, 2, 2), d.NoiseSchedule.linear(4), 20, 2, lr=1.0, warmup=4, decay=True)
    assert seen[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert seen[4:] == sorted(seen[4:], reverse=True)
    assert seen[-1] < 0.02


def test_uint8_images_are_scaled_to_minus_one_to_one():
    assert d.to_model_range(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist() == pytest.approx([-1, -0.6, 1])


def test_bad_training_settings_are_named():
    with pytest.raises(ValueError, match="images: got none"):
        d.train(Tiny(), torch.zeros(0, 1, 2, 2), d.NoiseSchedule.linear(4), 1)
    with pytest.raises(ValueError, match="decay: got 1"):
        d.EMA(Tiny(), 1.0)


# -- network -------------------------------------------------------------------------------------------------


def small_net(**options):
    torch.manual_seed(0)
    net = d.UNet(channels=(16, 32), blocks=1, precision="float32", **options)
    for module in net.modules():  # undo the zero initialisation, which would hide wiring faults
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.reset_parameters()
    return net.eval()


@pytest.mark.parametrize(
    ("shape", "options"),
    [((2, 1, 28, 28), {}), ((1, 3, 64, 32), {"in_channels": 3}), ((2, 1, 28, 28), {"stem": 1, "attention": False})],
)
def test_unet_returns_the_shape_it_is_given(shape, options):
    net = small_net(**options)
    assert net(torch.zeros(shape), torch.zeros(shape[0], dtype=torch.long)).shape == shape


def test_unet_uses_every_parameter_and_starts_at_zero():
    net = d.UNet(channels=(16, 32), blocks=1, condition_dim=3)
    x, t = torch.randn(2, 1, 28, 28), torch.tensor([3, 900])
    assert net(x, t, torch.randn(2, 3)).abs().max() == 0
    net = small_net(condition_dim=3)
    net(x, t, torch.randn(2, 3)).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or p.grad.abs().max() == 0] == []


def test_unet_treats_images_of_a_batch_alone_and_reads_its_step():
    net, x, t = small_net(), torch.randn(3, 1, 28, 28), torch.tensor([1, 500, 999])
    together = net(x, t)
    torch.testing.assert_close(together[1:2], net(x[1:2], t[1:2]), atol=1e-5, rtol=1e-5)
    assert (net(x, t.flip(0))[0] - together[0]).abs().max() > 1e-3


def test_unet_sees_the_whole_image():
    """Attention at the coarsest resolution: one corner must reach the opposite one."""
    net, x = small_net(), torch.randn(1, 1, 28, 28, requires_grad=True)
    net(x, torch.tensor([5]))[0, 0, 27, 27].backward()
    assert x.grad[0, 0, 0, 0] != 0


def test_unet_in_bfloat16_stays_near_float32_and_keeps_the_output_type():
    net, x, t = small_net(), torch.randn(4, 1, 28, 28), torch.tensor([1, 200, 500, 999])
    exact = net(x, t)
    net.precision = "bfloat16"
    rough = net(x, t)
    assert rough.dtype == torch.float32
    assert ((rough - exact).norm() / exact.norm()).item() < 0.03


def test_unet_names_bad_input():
    with pytest.raises(ValueError, match="multiples of 4"):
        small_net()(torch.zeros(1, 1, 30, 30), torch.tensor([0]))
    with pytest.raises(ValueError, match=r"x: got torch.float32 \(1, 3, 28, 28\); valid: \[N, 1, H, W\]"):
        small_net()(torch.zeros(1, 3, 28, 28), torch.tensor([0]))
    with pytest.raises(ValueError, match="precision: got 'half'"):
        d.UNet(precision="half")
    with pytest.raises(ValueError, match=r"channels: got \(15, 32\)"):
        d.UNet(channels=(15, 32))
    with pytest.raises(ValueError, match="condition"):
        small_net()(torch.zeros(1, 1, 28, 28), torch.tensor([0]), torch.zeros(1, 3))


def test_time_embedding_is_the_sinusoid_of_vaswani_et_al():
    from deepfake_kit.diffusion.unet import time_embedding

    t, dim = np.array([0, 1, 37, 999]), 8
    omega = 10_000.0 ** (-2 * np.arange(dim // 2) / dim)
    expected = np.concatenate([np.cos(t[:, None] * omega), np.sin(t[:, None] * omega)], axis=1)
    np.testing.assert_allclose(time_embedding(torch.tensor(t), dim).numpy(), expected, atol=1e-4)


def test_attention_agrees_with_torch_multihead_attention():
    from deepfake_kit.diffusion.unet import Attention

    torch.manual_seed(0)
    ours, theirs = Attention(64), torch.nn.MultiheadAttention(64, 2, batch_first=True)
    torch.nn.init.normal_(ours.out.weight, std=0.1)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.copy_(ours.qkv.bias)
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    x = torch.randn(2, 64, 3, 5)
    tokens = torch.nn.functional.group_norm(x, 4, eps=1e-5).flatten(2).transpose(1, 2)
    expected = x + theirs(tokens, tokens, tokens, need_weights=False)[0].transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(ours(x), expected, atol=1e-5, rtol=1e-5)


def test_residual_block_is_its_formula():
    from deepfake_kit.diffusion.unet import ResBlock

    torch.manual_seed(0)
    block, x, emb = ResBlock(8, 16, 4), torch.randn(2, 8, 5, 5), torch.randn(2, 4)
    block.conv2.reset_parameters()

    def normalised(h):  # one group over everything, for these narrow widths
        return (h - h.mean((1, 2, 3), keepdim=True)) / h.var((1, 2, 3), keepdim=True, correction=0).add(1e-5).sqrt()

    silu = torch.nn.SiLU()
    scale, shift = (emb @ block.emb.weight.T + block.emb.bias)[:, :, None, None].split(16, dim=1)
    h = normalised(block.conv1(silu(normalised(x)))) * (1 + scale) + shift
    torch.testing.assert_close(block(x, emb), block.skip(x) + block.conv2(silu(h)), atol=1e-5, rtol=1e-5)
