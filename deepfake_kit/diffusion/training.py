r"""Training a noise model: one step, a loop, and the moving average of the weights.

Source: Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020, Algorithm 1; DD-TMA
Eqs. (3)-(4).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.diffusion.steps import NoiseSchedule, q_sample
from deepfake_kit.images import to_model_range
from deepfake_kit.training import EMA, Checkpoint, NotFinite
from deepfake_kit.valid import require, whole


def train_step(
    model: nn.Module,
    x0: Tensor,
    schedule: NoiseSchedule,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""One optimiser step on :math:`\lVert\epsilon-\epsilon_\theta(x_t, t)\rVert^2` at uniformly drawn t.

    Ho et al. 2020, Algorithm 1; DD-TMA Eqs. (3)-(4).

    Parameters
    ----------
    model : nn.Module, callable (x_t [N, C, H, W], t [N]) -> eps
    x0 : Tensor [N, C, H, W]
        Clean data, on the model's device.
    schedule : NoiseSchedule
    optimizer : torch.optim.Optimizer over the model's parameters
    generator : torch.Generator, optional
        Source of t and the noise, which are drawn on its device.

    Returns
    -------
    Tensor, scalar
        The mean loss over the batch before the step, detached.

    Examples
    --------
    >>> net = nn.Conv2d(1, 1, 1); net.forward = lambda x, t: x * net.bias
    >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    >>> train_step(net, torch.zeros(2, 1, 8, 8), NoiseSchedule.linear(), optimizer).shape
    torch.Size([])
    """
    draw = {"generator": generator, "device": generator.device if generator else x0.device}
    t = torch.randint(len(schedule), (len(x0),), **draw).to(x0.device)
    noise = torch.randn(x0.shape, dtype=x0.dtype, **draw).to(x0.device)
    value = F.mse_loss(model(q_sample(x0, t, noise, schedule), t), noise)
    optimizer.zero_grad(set_to_none=True)
    value.backward()
    optimizer.step()
    return value.detach()


class TrainLog(NamedTuple):
    """What :func:`train` returns: loss and seconds since the start [steps], the averaged model or None."""

    losses: list[float]
    seconds: list[float]
    ema: nn.Module | None


def train(
    model: nn.Module,
    images: Tensor,
    schedule: NoiseSchedule,
    steps: int,
    batch_size: int = 64,
    lr: float = 2e-3,
    ema_decay: float | None = 0.999,
    generator: torch.Generator | None = None,
    *,
    warmup: int = 0,
    decay: bool = False,
    callback: Callable[[int, float, nn.Module | None], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> TrainLog:
    """Train a noise model with AdamW on batches drawn with replacement.

    Parameters
    ----------
    model : nn.Module
        Trained in place, and left in training mode.
    images : Tensor [M, C, H, W]
        uint8 (scaled to [-1, 1] batch by batch) or floating point (used as they are).
    schedule : NoiseSchedule
    steps : int
        Optimiser steps.
    batch_size : int
    lr : float
        Highest learning rate.
    ema_decay : float or None
        Decay of the averaged weights; None keeps no average.
    generator : torch.Generator, optional
        On the device of `images`.
    warmup : int
        Steps over which the learning rate rises linearly from 0.
    decay : bool
        Lower the learning rate to 0 along half a cosine after the warm-up.
    callback : callable (step, loss, averaged model or None), optional
        Called after each step, for instance to report progress.
    checkpoint : Checkpoint, optional
        Where the state is kept, so that a training that was killed goes on.

    Returns
    -------
    TrainLog(losses, seconds, ema)

    Raises
    ------
    ValueError
        For no images, or steps below 1.
    NotFinite
        At the first loss that is NaN or infinite.

    Examples
    --------
    >>> net = nn.Conv2d(1, 1, 1); net.forward = lambda x, t: x * net.bias
    >>> log = train(net, torch.zeros(4, 1, 8, 8), NoiseSchedule.linear(), steps=2)
    >>> len(log.losses)
    2
    """
    whole("steps", steps, 1)
    require(len(images), "images", "none", "at least one image")
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, fused=True)
    average = None if ema_decay is None else EMA(model, ema_decay)
    device = next(model.parameters()).device
    model.train()
    seconds: list[float] = []
    losses = checkpoint.resume(model, optimizer, average, generator, seconds) if checkpoint else []
    whole("steps", steps, len(losses))
    start = time.perf_counter() - (seconds[-1] if seconds else 0.0)
    for step in range(len(losses), steps):
        progress = max(0, step - warmup) / max(1, steps - warmup)
        scale = min(1.0, (step + 1) / (warmup + 1)) * (0.5 + 0.5 * math.cos(math.pi * progress) if decay else 1.0)
        for group in optimizer.param_groups:
            group["lr"] = lr * scale
        index = torch.randint(len(images), (batch_size,), generator=generator, device=images.device)
        x0 = to_model_range(images[index].to(device))
        value = float(train_step(model, x0, schedule, optimizer, generator))
        if not math.isfinite(value):
            raise NotFinite(step, f"the loss is {value}")
        if average:
            average.update(model)
        losses.append(value)
        seconds.append(time.perf_counter() - start)
        if callback:
            callback(step, value, average.model if average else None)
        if checkpoint:
            checkpoint.step(losses, step == steps - 1)
    if not all(p.isfinite().all() for p in model.parameters()):
        raise NotFinite(steps - 1, "the weights are not finite")
    return TrainLog(losses, seconds, average.model if average else None)
