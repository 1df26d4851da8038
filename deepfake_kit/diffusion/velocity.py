r"""The velocity, a target of unit size at every step, and the noise that it implies.

A network that predicts noise must pass nearly all of its input through at late steps, where :math:`x_t` is nearly the
noise itself; learning to do so takes many optimiser steps. A network that predicts the velocity is given that part for
nothing. Source: Salimans and Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", ICLR 2022,
section 4 and appendix D.
"""

from __future__ import annotations

import torch
from torch import nn

from deepfake_kit.diffusion.steps import NoiseSchedule, at_step, check_step


def velocity(x0: torch.Tensor, noise: torch.Tensor, t: torch.Tensor, schedule: NoiseSchedule) -> torch.Tensor:
    r""":math:`v=\sqrt{\bar\alpha_t}\,\epsilon-\sqrt{1-\bar\alpha_t}\,x_0`, of unit variance if data and noise are.

    Salimans and Ho 2022, section 4.

    Parameters
    ----------
    x0, noise : Tensor [N, ...]
    t : int or long Tensor [N]
        Steps, from 0.
    schedule : NoiseSchedule

    Returns
    -------
    Tensor [N, ...]

    Raises
    ------
    ValueError
        If t leaves the schedule.

    Examples
    --------
    >>> velocity(torch.ones(1, 1), torch.zeros(1, 1), torch.tensor([0]), NoiseSchedule(torch.tensor([0.36]))).item()
    -0.6000000238418579
    """
    check_step(t, schedule)
    alpha_bar = at_step(schedule.alpha_bars, t, x0)
    return (alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * x0).to(x0.dtype)


def velocity_to_noise(x_t: torch.Tensor, v: torch.Tensor, t: torch.Tensor, schedule: NoiseSchedule) -> torch.Tensor:
    r""":math:`\epsilon=\sqrt{1-\bar\alpha_t}\,x_t+\sqrt{\bar\alpha_t}\,v`, the noise that a velocity implies.

    Salimans and Ho 2022, section 4, solved for the noise.

    Parameters
    ----------
    x_t, v : Tensor [N, ...]
    t : int or long Tensor [N]
        Steps, from 0.
    schedule : NoiseSchedule

    Returns
    -------
    Tensor [N, ...]

    Raises
    ------
    ValueError
        If t leaves the schedule.

    Examples
    --------
    >>> schedule = NoiseSchedule(torch.tensor([0.36]))
    >>> velocity_to_noise(torch.ones(1, 1), torch.zeros(1, 1), torch.tensor([0]), schedule).item()
    0.6000000238418579
    """
    check_step(t, schedule)
    alpha_bar = at_step(schedule.alpha_bars, t, x_t)
    return ((1 - alpha_bar).sqrt() * x_t + alpha_bar.sqrt() * v).to(x_t.dtype)


class NoiseFromVelocity(nn.Module):
    """A noise model made of a network whose output is read as the velocity.

    The loss on the noise, the trainer and the samplers stay as they are; only what the network has to learn changes.

    Parameters
    ----------
    network : nn.Module, callable (x_t [N, C, H, W], t [N], ...) -> velocity
        Its output at the start should be zero, as that of :class:`deepfake_kit.diffusion.unet.UNet` is.
    schedule : NoiseSchedule
        The one that it is trained and sampled with.

    Examples
    --------
    >>> net = nn.Conv2d(1, 1, 1); net.forward = lambda x, t: torch.zeros_like(x)
    >>> model = NoiseFromVelocity(net, NoiseSchedule(torch.tensor([0.25])))
    >>> model(torch.full((1, 1, 1, 1), 3.0), torch.tensor([0])).item()
    1.5
    """

    def __init__(self, network: nn.Module, schedule: NoiseSchedule):
        super().__init__()
        self.network, self.schedule = network, schedule

    def forward(self, x: torch.Tensor, t: torch.Tensor, *condition: torch.Tensor) -> torch.Tensor:
        """Noise in `x` [N, C, H, W] at steps `t` [N] long; a condition is passed on to the network."""
        return velocity_to_noise(x, self.network(x, t, *condition), t, self.schedule)
