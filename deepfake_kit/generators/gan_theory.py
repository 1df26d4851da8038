r"""The value function of a generative adversarial network, its optimum, and a one-dimensional GAN where it is known.

Source: Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014, sections 3 and 4. Densities are given on a grid,
so that every expectation is a sum.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from scipy.special import xlog1py, xlogy
from torch import nn
from torch.nn import functional as F

from deepfake_kit.training import descend


def optimal_discriminator(p_data, p_g):
    r"""The discriminator that maximises the value: :math:`D^*(x) = p_{data}(x)/(p_{data}(x)+p_g(x))`.

    Goodfellow et al. 2014, Proposition 1. Also the probability that x is real, if real and generated are equally
    frequent. Where both densities vanish it is not defined; 1/2 is given there.

    Parameters
    ----------
    p_data, p_g : array_like [N]
        Densities, not negative.

    Returns
    -------
    ndarray [N]

    Raises
    ------
    ValueError
        If a density is negative or the shapes differ.

    Examples
    --------
    >>> optimal_discriminator([0.3, 0.0], [0.1, 0.2]).round(3).tolist()
    [0.75, 0.0]
    """
    p, q = np.asarray(p_data, dtype=float), np.asarray(p_g, dtype=float)
    if p.shape != q.shape or (p < 0).any() or (q < 0).any():
        raise ValueError(f"p_data, p_g: got shapes {p.shape}, {q.shape}; valid: equal shapes and no negative value")
    total = p + q
    return np.divide(p, total, out=np.full_like(total, 0.5), where=total > 0)


def value(discriminator, p_data, p_g, dx: float = 1.0) -> float:
    r"""The value function :math:`V = \int p_{data}\log D + p_g\log(1-D)\,dx` on a grid.

    Goodfellow et al. 2014, Eq. (1); the survey's value function.

    Parameters
    ----------
    discriminator, p_data, p_g : array_like [N]
        D in [0, 1] and two densities at the grid points.
    dx : float
        Grid spacing; 1 for probabilities.

    Examples
    --------
    >>> round(value([0.5, 0.5], [0.4, 0.6], [0.4, 0.6]), 6)  # -log 4
    -1.386294
    """
    d = np.asarray(discriminator, dtype=float)
    return float(np.sum(xlogy(p_data, d) + xlog1py(p_g, -d)) * dx)


class Game(NamedTuple):
    """One play of the one-dimensional GAN; every list has one entry a step.

    ``mean`` and ``deviation`` are those of the generated normal, ``value`` is V of the trained discriminator and
    ``best`` that of the optimal one, both exact on a grid; ``accuracy`` is the trained discriminator's, with equally
    many real and generated samples and threshold 1/2.
    """

    mean: list[float]
    deviation: list[float]
    value: list[float]
    best: list[float]
    accuracy: list[float]
    discriminator: nn.Module


GRID = torch.linspace(-4, 6, 1001)


def play(
    steps: int,
    target: tuple[float, float] = (2.0, 0.5),
    start: tuple[float, float] = (0.0, 1.0),
    batch_size: int = 128,
    d_steps: int = 2,
    lr: float = 0.01,
    frozen: bool = False,
    generator: torch.Generator | None = None,
) -> Game:
    r"""Train :math:`G(z) = a + bz` against a small network D on data from a normal distribution.

    The generated density is then :math:`\mathcal N(a, b^2)` exactly, so the best discriminator is known at each step.

    Parameters
    ----------
    steps : int
    target, start : (float, float)
        Mean and deviation of the data, and of the generator before training.
    batch_size, d_steps : int
        Samples of each kind in a batch, and discriminator steps for one of the generator.
    lr : float
        Adam's step size of the discriminator; the generator takes half of it. Both fall to a tenth.
    frozen : bool
        Keep the generator as it is: the discriminator alone learns.
    generator : torch.Generator, optional

    Returns
    -------
    Game

    Raises
    ------
    ValueError
        If steps is below 1 or a deviation is not positive.
    """
    if steps < 1 or min(target[1], start[1]) <= 0:
        raise ValueError(f"steps, target, start: got {steps}, {target}, {start}; valid: steps >= 1, deviations > 0")
    a, log_b = (torch.tensor(v, requires_grad=True) for v in (float(start[0]), math.log(start[1])))
    net = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
    with torch.no_grad():
        for layer in net[::2]:
            layer.weight.normal_(0, layer.in_features**-0.5, generator=generator)
            layer.bias.normal_(0, 0.5, generator=generator)
    first = torch.optim.Adam(net.parameters(), lr=lr, betas=(0.5, 0.99))
    second = torch.optim.Adam([a, log_b], lr=lr / 2, betas=(0.5, 0.99))
    game = Game([], [], [], [], [], net)
    for step in range(steps):
        for group, rate in ((first, lr), (second, lr / 2)):
            group.param_groups[0]["lr"] = rate * 0.1 ** (step / steps)
        for _ in range(d_steps):
            real = target[0] + target[1] * torch.randn(batch_size, 1, generator=generator)
            fake = (a + log_b.exp() * torch.randn(batch_size, 1, generator=generator)).detach()
            descend(F.softplus(-net(real)).mean() + F.softplus(net(fake)).mean(), first, step)
        if not frozen:
            made = a + log_b.exp() * torch.randn(batch_size, 1, generator=generator)
            descend(F.softplus(-net(made)).mean(), second, step)
        _record(game, net, target, (a.item(), log_b.exp().item()))
    return game


def _record(game: Game, net: nn.Module, target: tuple[float, float], made: tuple[float, float]) -> None:
    with torch.no_grad():
        d = torch.sigmoid(net(GRID[:, None]).squeeze(1)).numpy()
    p, q = (stats.norm(*which).pdf(GRID) for which in (target, made))
    dx = float(GRID[1] - GRID[0])
    game.mean.append(made[0])
    game.deviation.append(made[1])
    game.value.append(value(d.clip(1e-7, 1 - 1e-7), p, q, dx))
    game.best.append(value(optimal_discriminator(p, q), p, q, dx))
    game.accuracy.append(float(0.5 * (p * (d > 0.5) + q * (d <= 0.5)).sum() * dx))
