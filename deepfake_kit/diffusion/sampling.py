r"""Denoising diffusion in one place: schedules, steps, samplers, the U-Net and its trainer.

The single steps live in :mod:`deepfake_kit.diffusion.steps`, the trainer in
:mod:`deepfake_kit.diffusion.training`, the network in :mod:`deepfake_kit.diffusion.unet`; all are offered here. This
module adds the samplers.

Conventions: step ``t`` counts from 0, so ``betas[0]`` is the first noise the data meets; the product
:math:`\bar\alpha` before the first step is 1; nothing is clipped unless asked. A *noise model* is any
callable ``(x_t [N, C, H, W], t [N] long) -> eps`` of the shape of ``x_t``. Data are expected around zero with
values of order one (images: [-1, 1]).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from deepfake_kit.diffusion.steps import NoiseSchedule, ddim_step, ddpm_step, dpm_step
from deepfake_kit.valid import one_of, whole

NoiseModel = Callable[[Tensor, Tensor], Tensor]


def sampling_times(schedule: NoiseSchedule, steps: int | None = None, spacing: str = "even") -> list[int]:
    """Steps a sampler visits, from T - 1 downwards and always starting at T - 1 ("trailing").

    The start matters: begun below T - 1, a sampler takes pure noise for slightly less than pure noise, an
    error that Lin et al. (WACV 2024) trace through to the samples. Of the others "quadratic" puts more where little
    noise is left (Song et al. 2021, appendix D.2), no two of them equal.

    >>> sampling_times(NoiseSchedule.linear(1000), 4)
    [999, 749, 499, 249]
    >>> sampling_times(NoiseSchedule.linear(1000), 4, "quadratic")
    [999, 561, 249, 61]
    """
    total = len(schedule)
    steps = whole("steps", total if steps is None else steps, 1, total)
    left = [total - i * total / steps for i in range(steps)]
    if one_of("spacing", spacing, ("even", "quadratic")) == "quadratic":
        left = [max(x * x / total, steps - i) for i, x in enumerate(left)]
    return [round(x) - 1 for x in left]


@torch.no_grad()
def trajectory(
    model: NoiseModel,
    x: Tensor,
    schedule: NoiseSchedule,
    sampler: str = "ddpm",
    steps: int | None = None,
    *,
    clip: float | None = None,
    generator: torch.Generator | None = None,
    variance: str = "posterior",
    noise_at_last_step: bool = False,
    spacing: str = "even",
) -> Iterator[tuple[int, Tensor]]:
    """Denoise `x` step by step; yields (t, x_t) after each step, ending with t = -1, the sample.

    Arguments as in :func:`sample`, but with the starting noise `x` [N, C, H, W] instead of a shape.

    >>> run = trajectory(lambda x, t: x, torch.ones(1, 1, 2, 2), NoiseSchedule.linear(10), "ddim", steps=5)
    >>> [t for t, _ in run]
    [7, 5, 3, 1, -1]
    """
    one_of("sampler", sampler, ("ddpm", "ddim", "dpm"))
    times, before = sampling_times(schedule, steps, spacing), None
    how = {"variance": variance, "clip": clip, "noise_at_last_step": noise_at_last_step}
    for t, t_prev in zip(times, [*times[1:], -1], strict=True):
        eps = model(x, torch.full((len(x),), t, device=x.device, dtype=torch.long))
        if sampler == "ddim":
            x = ddim_step(x, eps, t, schedule, t_prev, clip=clip)
        elif sampler == "dpm":
            x, x0 = dpm_step(x, eps, t, schedule, t_prev, before=before, clip=clip)
            before = x0, t
        else:
            noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
            x = ddpm_step(x, eps, t, schedule, noise, t_prev=t_prev, **how)
        yield t_prev, x


def sample(
    model: NoiseModel,
    shape: tuple[int, ...],
    schedule: NoiseSchedule,
    sampler: str = "ddpm",
    steps: int | None = None,
    clip: float | None = None,
    generator: torch.Generator | None = None,
    *,
    variance: str = "posterior",
    noise_at_last_step: bool = False,
    spacing: str = "even",
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw samples from a noise model.

    Ho et al. 2020, Algorithm 2 ("ddpm"); Song et al. 2021, Eq. (12), eta = 0 ("ddim"); Lu et al. 2022, DPM-Solver++(2M)
    ("dpm"). No gradients are kept.
    A model in training mode is used as it is: call ``model.eval()`` first if that matters to it.

    Parameters
    ----------
    model : callable (x_t [N, C, H, W], t [N]) -> eps
    shape : tuple
        Shape of the samples, (N, C, H, W).
    schedule : NoiseSchedule
        The one the model was trained with.
    sampler : {"ddpm", "ddim", "dpm"}
    steps : int, optional
        Number of model calls; default all T. Fewer are spread evenly (:func:`sampling_times`).
    clip : float, optional
        Clamp the implied clean data to [-clip, clip] at each step. Default: no clipping.
    generator : torch.Generator, optional
        Source of the starting noise and of each step's noise.
    variance, noise_at_last_step
        As in :func:`ddpm_step`; the others add no noise and ignore both.
    spacing : {"even", "quadratic"}
        Of the steps visited, :func:`sampling_times`.
    dtype : torch.dtype
        Floating type of the samples.
    device : torch.device, optional
        Default: the generator's, else the model's, else the CPU.

    Returns
    -------
    Tensor of `shape`

    Raises
    ------
    ValueError
        For an unknown sampler, variance or spacing, or steps outside 1 to T.

    Examples
    --------
    >>> sample(lambda x, t: x, (2, 1, 4, 4), NoiseSchedule.linear(10), "ddim", steps=5).shape
    torch.Size([2, 1, 4, 4])
    """
    if device is None:
        parameter = next(model.parameters(), None) if isinstance(model, nn.Module) else None
        device = generator.device if generator else "cpu" if parameter is None else parameter.device
    x = torch.randn(shape, generator=generator, device=device, dtype=dtype)
    path = trajectory(
        model, x, schedule, sampler, steps,
        clip=clip, generator=generator, variance=variance, noise_at_last_step=noise_at_last_step, spacing=spacing,
    )  # fmt: skip
    return deque(path, maxlen=1).pop()[1]  # the last x_t, without keeping the others
