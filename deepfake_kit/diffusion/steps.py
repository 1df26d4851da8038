r"""Noise schedules and single steps of a denoising diffusion model, forward and reverse.

Sources: Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020 (DDPM); Nichol and
Dhariwal, "Improved DDPM", ICML 2021 (cosine schedule); Song, Meng and Ermon, "Denoising Diffusion Implicit
Models", ICLR 2021 (DDIM); Lu et al., "DPM-Solver++", 2022 (second order). DD-TMA Eqs. (1)-(7) are the federated use
of the same mathematics.

Conventions: step ``t`` counts from 0, so ``betas[0]`` is the first noise the data meets; the product
:math:`\bar\alpha` before the first step is 1; nothing is clipped unless asked. Steps of half precision are computed in
float32 and rounded once, at the end: in float16 :math:`1-\bar\alpha` of the first steps is 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from deepfake_kit.valid import at_least_single, invalid, one_of, require, whole


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    r"""The variances of the forward process, in float64.

    Parameters
    ----------
    betas : Tensor [T]
        Noise variance added at each step, each in (0, 1).

    Raises
    ------
    ValueError
        If `betas` is not one-dimensional, is empty, or leaves (0, 1).

    Examples
    --------
    >>> NoiseSchedule.linear(1000).alpha_bars[-1].item() < 5e-5
    True
    """

    betas: Tensor
    alphas: Tensor = field(init=False)
    alpha_bars: Tensor = field(init=False)

    def __post_init__(self):
        betas = torch.as_tensor(self.betas, dtype=torch.float64)
        require(betas.ndim == 1 and len(betas), "betas", betas, "a vector with one variance a step")
        require(
            0 < betas.min() and betas.max() < 1, "betas", f"{betas.min():g} to {betas.max():g}", "numbers in (0, 1)"
        )
        object.__setattr__(self, "betas", betas)
        object.__setattr__(self, "alphas", 1 - betas)
        object.__setattr__(self, "alpha_bars", (1 - betas).cumprod(0))

    @classmethod
    def linear(cls, steps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> NoiseSchedule:
        r""":math:`\beta_t` in equal increments (Ho et al. 2020, section 4).

        >>> NoiseSchedule.linear(3, 0.1, 0.3).betas.tolist()
        [0.1, 0.2, 0.3]
        """
        whole("steps", steps, 1)
        return cls(torch.linspace(beta_start, beta_end, steps, dtype=torch.float64))

    @classmethod
    def cosine(cls, steps: int = 1000, offset: float = 0.008, max_beta: float = 0.999) -> NoiseSchedule:
        r""":math:`\bar\alpha_t = f(t)/f(0),\ f(t) = \cos^2\frac{t/T + s}{1 + s}\frac\pi2`.

        Nichol and Dhariwal 2021, Eq. (17); each beta is capped at `max_beta` as they do.

        >>> bool(NoiseSchedule.cosine().alpha_bars[499] > NoiseSchedule.linear().alpha_bars[499])
        True
        """
        whole("steps", steps, 1)
        time_axis = torch.arange(steps + 1, dtype=torch.float64) / steps
        f = torch.cos((time_axis + offset) / (1 + offset) * math.pi / 2) ** 2
        return cls((1 - f[1:] / f[:-1]).clamp(max=max_beta))

    def __len__(self) -> int:
        return len(self.betas)

    @property
    def steps(self) -> int:
        """Number of steps T."""
        return len(self.betas)

    @property
    def snr(self) -> Tensor:
        r"""Signal-to-noise ratio :math:`\bar\alpha_t/(1-\bar\alpha_t)`: power of data over power of noise.

        >>> float(NoiseSchedule(torch.tensor([0.5])).snr)
        1.0
        """
        return self.alpha_bars / (1 - self.alpha_bars)


def at_step(values: Tensor, t: int | Tensor, like: Tensor) -> Tensor:
    """values[t] in at least float32, shaped to multiply `like` [N, ...]; t = -1 is before the first: alpha_bar is 1."""
    values = torch.cat([values.new_ones(1), values]).to(like.device, torch.promote_types(like.dtype, torch.float32))
    t = torch.as_tensor(t, device=like.device)
    if not torch.is_floating_point(t):
        return values[t.long() + 1].reshape(t.shape + (1,) * (like.ndim - t.ndim))
    raise invalid("t", t.dtype, "a whole number, which counts from 0")


def check_step(t: int | Tensor, schedule: NoiseSchedule) -> None:
    """Raise ValueError if a step is not one of the schedule's."""
    low, high = (t, t) if isinstance(t, int) else (int(t.min()), int(t.max()))
    require(
        0 <= low and high < len(schedule), "t", f"{low} to {high}", f"0 to {len(schedule) - 1}, the schedule's steps"
    )


def q_sample(x0: Tensor, t: int | Tensor, noise: Tensor, schedule: NoiseSchedule) -> Tensor:
    r"""Noise clean data to step t at once.

    .. math:: x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\epsilon

    Ho et al. 2020, Eq. (4); DD-TMA Eq. (2), first line.

    Parameters
    ----------
    x0, noise : Tensor [N, ...]
        Clean data, and standard normal noise of the same shape.
    t : int or long Tensor [N]
        Step, 0 to T - 1.
    schedule : NoiseSchedule

    Returns
    -------
    Tensor [N, ...]

    Raises
    ------
    ValueError
        If t leaves the schedule or the shapes differ.

    Examples
    --------
    >>> q_sample(torch.ones(1, 1), 0, torch.zeros(1, 1), NoiseSchedule(torch.tensor([0.75]))).item()
    0.5
    """
    check_step(t, schedule)
    require(x0.shape == noise.shape, "noise", noise, f"the shape of x0, {tuple(x0.shape)}")
    alpha_bar = at_step(schedule.alpha_bars, t, x0)
    return (alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * noise).to(x0.dtype)


def predict_x0(x_t: Tensor, eps: Tensor, t: int | Tensor, schedule: NoiseSchedule) -> Tensor:
    r"""Clean data implied by a noise estimate.

    .. math:: \hat x_0 = (x_t - \sqrt{1-\bar\alpha_t}\,\epsilon)/\sqrt{\bar\alpha_t}

    Ho et al. 2020, Eq. (4) solved for :math:`x_0`. Shapes as in :func:`q_sample`.

    >>> predict_x0(torch.tensor([[0.5]]), torch.zeros(1, 1), 0, NoiseSchedule(torch.tensor([0.75]))).item()
    1.0
    """
    check_step(t, schedule)
    alpha_bar = at_step(schedule.alpha_bars, t, x_t)
    return ((x_t - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()).to(x_t.dtype)


class Posterior(NamedTuple):
    """Mean [N, ...] and variance (broadcastable to the mean) of the step before, given the clean data."""

    mean: Tensor
    variance: Tensor


def posterior(
    x0: Tensor, x_t: Tensor, t: int | Tensor, schedule: NoiseSchedule, t_prev: int | Tensor | None = None
) -> Posterior:
    r"""Mean and variance of :math:`q(x_s \mid x_t, x_0)` for s < t (default t - 1; -1 is the clean data).

    .. math::
        \mu = \frac{\sqrt{\bar\alpha_s}\,(1-\alpha)}{1-\bar\alpha_t}x_0
            + \frac{\sqrt{\alpha}\,(1-\bar\alpha_s)}{1-\bar\alpha_t}x_t,\qquad
        \tilde\beta = \frac{1-\bar\alpha_s}{1-\bar\alpha_t}(1-\alpha),\qquad
        \alpha = \bar\alpha_t/\bar\alpha_s

    Ho et al. 2020, Eqs. (6)-(7), where s = t - 1. Shapes as in :func:`q_sample`.

    >>> posterior(torch.ones(1, 1), torch.zeros(1, 1), 0, NoiseSchedule.linear(10)).mean.item()
    1.0
    """
    check_step(t, schedule)
    alpha_bar = at_step(schedule.alpha_bars, t, x_t)
    alpha_bar_prev = at_step(schedule.alpha_bars, t - 1 if t_prev is None else t_prev, x_t)
    alpha = alpha_bar / alpha_bar_prev
    beta = 1 - alpha
    mean = (alpha_bar_prev.sqrt() * beta * x0 + alpha.sqrt() * (1 - alpha_bar_prev) * x_t) / (1 - alpha_bar)
    return Posterior(mean.to(x_t.dtype), ((1 - alpha_bar_prev) / (1 - alpha_bar) * beta).to(x_t.dtype))


def ddpm_step(
    x_t: Tensor,
    eps: Tensor,
    t: int | Tensor,
    schedule: NoiseSchedule,
    noise: Tensor | None,
    *,
    t_prev: int | Tensor | None = None,
    variance: str = "posterior",
    clip: float | None = None,
    noise_at_last_step: bool = False,
) -> Tensor:
    r"""One ancestral sampling step.

    .. math::
        x_{t-1} = \frac1{\sqrt{\alpha_t}}
            \Big(x_t - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}\,\epsilon\Big) + \sigma_t z

    Ho et al. 2020, Algorithm 2; the right reading of DD-TMA Eq. (7).

    Parameters
    ----------
    x_t, eps : Tensor [N, ...]
        Noisy data and the predicted noise.
    t : int or long Tensor [N]
        Step of `x_t`, 0 to T - 1.
    noise : Tensor [N, ...] or None
        Standard normal z; None gives the mean.
    t_prev : int or long Tensor [N], optional
        Step to go to; default t - 1, and -1 is the clean data. A longer stride uses the merged
        :math:`\alpha = \bar\alpha_t/\bar\alpha_s`.
    variance : {"posterior", "beta"}
        :math:`\sigma_t^2` is :math:`\tilde\beta_t` or :math:`1-\alpha_t` (DD-TMA's choice).
    clip : float, optional
        Clamp the implied clean data to [-clip, clip] first.
    noise_at_last_step : bool
        A known error, kept to be shown: adds noise when arriving at the clean data too.

    Returns
    -------
    Tensor [N, ...]

    Raises
    ------
    ValueError
        For an unknown variance or a step outside the schedule.

    Examples
    --------
    >>> ddpm_step(torch.ones(1, 1), torch.zeros(1, 1), 0, NoiseSchedule(torch.tensor([0.75])), None).item()
    2.0
    """
    one_of("variance", variance, ("posterior", "beta"))
    t_prev, dtype, x_t = t - 1 if t_prev is None else t_prev, x_t.dtype, at_least_single(x_t)
    x0 = predict_x0(x_t, eps, t, schedule)
    if clip is not None:
        x0 = x0.clamp(-clip, clip)
    mean, sigma2 = posterior(x0, x_t, t, schedule, t_prev)
    if noise is None:
        return mean.to(dtype)
    if variance == "beta":
        sigma2 = 1 - at_step(schedule.alpha_bars, t, x_t) / at_step(schedule.alpha_bars, t_prev, x_t)
    if not noise_at_last_step:
        arrived = torch.as_tensor(t_prev, device=x_t.device) < 0
        sigma2 = sigma2.masked_fill(arrived.reshape(arrived.shape + (1,) * (x_t.ndim - arrived.ndim)), 0.0)
    return (mean + sigma2.sqrt() * noise).to(dtype)


def ddim_step(
    x_t: Tensor,
    eps: Tensor,
    t: int | Tensor,
    schedule: NoiseSchedule,
    t_prev: int | Tensor | None = None,
    *,
    clip: float | None = None,
) -> Tensor:
    r"""One deterministic DDIM step (eta = 0) from t to t_prev.

    .. math:: x_s = \sqrt{\bar\alpha_s}\,\hat x_0 + \sqrt{1-\bar\alpha_s}\,\hat\epsilon

    Song et al. 2021, Eq. (12) with :math:`\sigma = 0`. Arguments as in :func:`ddpm_step`. After clipping, the
    noise is computed again from the clipped clean data, so that the pair stays consistent with `x_t`.

    >>> ddim_step(torch.ones(1, 1), torch.zeros(1, 1), 0, NoiseSchedule(torch.tensor([0.75]))).item()
    2.0
    """
    x0 = predict_x0(at_least_single(x_t), eps, t, schedule)
    if clip is not None:
        x0 = x0.clamp(-clip, clip)
        alpha_bar = at_step(schedule.alpha_bars, t, x_t)
        eps = (x_t - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()
    alpha_bar_prev = at_step(schedule.alpha_bars, t - 1 if t_prev is None else t_prev, x_t)
    return (alpha_bar_prev.sqrt() * x0 + (1 - alpha_bar_prev).sqrt() * eps).to(x_t.dtype)


def dpm_step(
    x_t: Tensor,
    eps: Tensor,
    t: int | Tensor,
    schedule: NoiseSchedule,
    t_prev: int | Tensor | None = None,
    *,
    before: tuple[Tensor, int | Tensor] | None = None,
    clip: float | None = None,
) -> tuple[Tensor, Tensor]:
    r"""One step of the second-order solver DPM-Solver++(2M): DDIM with a clean estimate that looks ahead.

    .. math:: D = \hat x_0 + \frac{\lambda_s-\lambda_t}{2(\lambda_t-\lambda_r)}(\hat x_0 - \hat x_0^{(r)}),\qquad
        x_s = \sqrt{\bar\alpha_s}\,D + \sqrt{1-\bar\alpha_s}\,\frac{x_t-\sqrt{\bar\alpha_t}\,D}{\sqrt{1-\bar\alpha_t}},
        \qquad \lambda = \tfrac12\log\mathrm{SNR}

    Lu et al., "DPM-Solver++", 2022, Algorithm 2, written with :math:`e^{-(\lambda_s-\lambda_t)}` put in. The last step,
    to the clean data, and a first one without `before` have D as the estimate itself. Arguments as in
    :func:`ddim_step`.

    Parameters
    ----------
    before : (Tensor [N, ...], int), optional
        The estimate that the last step returned, and that step.

    Returns
    -------
    (Tensor [N, ...], Tensor [N, ...])
        The data at `t_prev`, and the clean estimate :math:`\hat x_0` at `t`, which stays in at least float32.

    Examples
    --------
    >>> x, x0 = dpm_step(torch.ones(1, 1), torch.zeros(1, 1), 0, NoiseSchedule(torch.tensor([0.75])))
    >>> x.item(), x0.item()
    (2.0, 2.0)
    """
    x0 = predict_x0(at_least_single(x_t), eps, t, schedule)
    if clip is not None:
        x0 = x0.clamp(-clip, clip)
    s, ahead = t - 1 if t_prev is None else t_prev, x0
    if before is not None and bool((torch.as_tensor(s) >= 0).all()):
        here, there, past = (at_step(schedule.snr.log(), step, x_t) for step in (t, s, before[1]))
        ahead = x0 + (there - here) / (2 * (here - past)) * (x0 - before[0])
    alpha_bar, alpha_bar_prev = (at_step(schedule.alpha_bars, step, x_t) for step in (t, s))
    eps = (x_t - alpha_bar.sqrt() * ahead) / (1 - alpha_bar).sqrt()
    return (alpha_bar_prev.sqrt() * ahead + (1 - alpha_bar_prev).sqrt() * eps).to(x_t.dtype), x0
