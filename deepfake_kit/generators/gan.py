r"""A small generative adversarial network that grows: transposed convolutions, logistic loss, R1 penalty.

Sources: Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014; Karras et al., "Progressive Growing of GANs",
ICLR 2018 (growing with a fade); Mescheder et al., "Which Training Methods for GANs do actually Converge?", ICML 2018
(R1 penalty). The generator takes its code at the first layer only, as the plain generator of the survey's Fig. 4.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.diffusion import EMA
from deepfake_kit.images import check_images, to_unit
from deepfake_kit.training import batch, check_steps, descend, fast_arithmetic, initialise
from deepfake_kit.valid import require, whole, within


def _levels(size: int) -> int:
    require(size >= 8 and not size & size - 1, "size", size, "a power of two, at least 8")
    return size.bit_length() - 3


def fade_in(old: Tensor, new: Tensor, alpha: float) -> Tensor:
    r"""Blend what a new block makes into what was there before it: :math:`(1-\alpha)\,x_{old}+\alpha\,x_{new}`.

    Karras et al. 2018, Fig. 2: the generator does so with its picture, the discriminator with its features, and the
    real pictures lose their detail by the same share.

    Parameters
    ----------
    old, new : Tensor
        Of the same shape.
    alpha : float
        0 gives `old`, 1 gives `new`, both exactly.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If alpha leaves [0, 1] or the shapes differ.

    Examples
    --------
    >>> fade_in(torch.tensor([0.0]), torch.tensor([8.0]), 0.25).tolist()
    [2.0]
    """
    within("alpha", alpha, "[0, 1]")
    require(old.shape == new.shape, "old, new", (old, new), "equal shapes")
    return torch.lerp(old, new, alpha)


def double(images: Tensor) -> Tensor:
    """Images [N, C, H, W] with every pixel doubled in both directions: [N, C, 2H, 2W].

    >>> double(torch.tensor([[[[1.0, 2.0]]]])).tolist()
    [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]
    """
    return F.interpolate(images, scale_factor=2)


def _stage(level: int | None, levels: int) -> int:
    level = levels if level is None else level
    whole("level", level, 1, levels)
    return level


class PixelNorm(nn.Module):
    r"""Scale each pixel's feature vector to mean square 1: :math:`x/\sqrt{\overline{x^2}}`.

    Karras et al. 2018, section 4.2.

    >>> PixelNorm()(torch.full((1, 4, 1, 1), 3.0)).flatten().tolist()[0]
    1.0
    """

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


class GrowingGenerator(nn.Module):
    """Code z [N, latent] to an image, through transposed convolutions that each double the side.

    Parameters
    ----------
    size : int
        Side of the finished image, a power of two from 8.
    channels : tuple of int
        Width at 4x4 and after each doubling; the last entries are used again if there are too few.
    latent : int
        Length of the code.

    Attributes
    ----------
    diary : Tensor [2 * levels - 1, 6, 3, size, size]
        The same six codes in [0, 1] at the end of each stage of growth and half-way through each fade; written by
        :func:`fit_gan`, kept with the weights.

    Examples
    --------
    >>> GrowingGenerator(16, (8, 8, 8))(torch.zeros(2, 64), level=1).shape
    torch.Size([2, 3, 8, 8])
    """

    def __init__(self, size: int = 32, channels: tuple[int, ...] = (128, 96, 64, 32), latent: int = 64):
        super().__init__()
        self.levels, self.latent, self.size = _levels(size), latent, size
        widths = [channels[min(i, len(channels) - 1)] for i in range(self.levels + 1)]
        self.first = nn.Linear(latent, widths[0] * 16)
        self.blocks = nn.ModuleList(nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in zip(widths, widths[1:], strict=False))
        self.to_rgb = nn.ModuleList(nn.Conv2d(width, 3, 1) for width in widths)
        self.norm = PixelNorm()
        self.register_buffer("diary", torch.zeros(2 * self.levels - 1, 6, 3, size, size))

    def forward(self, z: Tensor, level: int | None = None, fade: float = 1.0) -> Tensor:
        """Image [N, 3, 4*2**level, ...] in about [-1, 1]; `fade` < 1 blends in the newest block.

        Raises
        ------
        ValueError
            For a level or a fade out of range.
        """
        level = _stage(level, self.levels)
        h = self.first(self.norm(z)).reshape(len(z), -1, 4, 4)
        h = self.norm(F.leaky_relu(h, 0.2))
        before = h
        for block in self.blocks[:level]:
            before, h = h, self.norm(F.leaky_relu(block(h), 0.2))
        image = self.to_rgb[level](h)
        if fade == 1:
            return image
        return fade_in(double(self.to_rgb[level - 1](before)), image, fade)

    def draw_codes(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Codes z [n, latent], standard normal, on the network's device."""
        return torch.randn(n, self.latent, generator=generator, device=self.first.weight.device)

    def draw(self, n: int, generator: torch.Generator | None = None, **stage) -> Tensor:
        """Images [n, 3, ...] of fresh codes; `stage` is ``level=, fade=``."""
        return self(self.draw_codes(n, generator), **stage)


class Discriminator(nn.Module):
    """Image to logit: strided convolutions, the spread over the batch as an extra feature, one number.

    Parameters
    ----------
    size : int
        Side of the finished image.
    channels : tuple of int
        Width at the finest resolution and after each halving.

    Examples
    --------
    >>> Discriminator(16, (8, 8, 8))(torch.zeros(4, 3, 16, 16)).shape
    torch.Size([4])
    """

    def __init__(self, size: int = 32, channels: tuple[int, ...] = (32, 64, 96, 128)):
        super().__init__()
        self.levels, self.size = _levels(size), size
        widths = [channels[min(i, len(channels) - 1)] for i in range(self.levels + 1)]
        self.from_rgb = nn.ModuleList(nn.Conv2d(3, width, 1) for width in widths)
        self.blocks = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in zip(widths, widths[1:], strict=False))
        self.last = nn.Conv2d(widths[-1] + 1, widths[-1], 3, padding=1)
        self.out = nn.Linear(widths[-1] * 16, 1)

    def forward(self, x: Tensor, level: int | None = None, fade: float = 1.0) -> Tensor:
        """Logit [N] of "real"; `level` and `fade` as in the generator."""
        level = _stage(level, self.levels)
        first = self.levels - level
        h = F.leaky_relu(self.from_rgb[first](x), 0.2)
        for i, block in enumerate(self.blocks[first:]):
            h = F.leaky_relu(block(h), 0.2)
            if i == 0 and fade != 1:
                h = fade_in(F.leaky_relu(self.from_rgb[first + 1](F.avg_pool2d(x, 2)), 0.2), h, fade)
        h = torch.cat([h, spread(h)], dim=1)
        return self.out(F.leaky_relu(self.last(h), 0.2).flatten(1)).squeeze(1).float()


def spread(h: Tensor) -> Tensor:
    r"""Mean over features of the standard deviation over the batch, as one map [N, 1, H, W].

    It lets the discriminator see a generator that repeats itself (Karras et al. 2018, section 3).

    >>> spread(torch.ones(3, 2, 4, 4)).max().item() < 1e-3
    True
    """
    deviation = (h.float().var(0, unbiased=False) + 1e-8).sqrt().mean()
    return deviation.to(h.dtype).expand(len(h), 1, *h.shape[2:])


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    r""":math:`-\mathbb E\log D(x) - \mathbb E\log(1-D(G(z)))` from logits: minus the value function.

    Goodfellow et al. 2014, Eq. (1).

    >>> round(discriminator_loss(torch.zeros(2), torch.zeros(2)).item(), 4)  # log 4
    1.3863
    """
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    r"""The non-saturating :math:`-\mathbb E\log D(G(z))` from logits (Goodfellow et al. 2014, section 3).

    >>> round(generator_loss(torch.zeros(2)).item(), 4)  # log 2
    0.6931
    """
    return F.softplus(-fake).mean()


def r1_penalty(discriminator: nn.Module, x: Tensor, **level) -> Tensor:
    r""":math:`\tfrac12\,\mathbb E\lVert\nabla_x D(x)\rVert^2` at real data, where D is the logit.

    Mescheder et al. 2018, Eq. (9).

    >>> class Slope(nn.Module):
    ...     def forward(self, x):
    ...         return 2 * x.sum((1, 2, 3))
    >>> r1_penalty(Slope(), torch.zeros(5, 1, 1, 1)).item()
    2.0
    """
    x = x.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(x, **level).sum(), x, create_graph=True)
    return 0.5 * gradient.square().sum(dim=(1, 2, 3)).mean()


class GanLog(NamedTuple):
    """Value of D and G losses at each step [steps], seconds since the start [steps], and the averaged generator."""

    discriminator: list[float]
    generator: list[float]
    seconds: list[float]
    ema: nn.Module


def growth(step: int, steps: int, levels: int, grow: float) -> tuple[int, float]:
    """Level and fade at a step: the first `grow` share of training climbs from 8x8, each new level fading in first.

    >>> growth(0, 100, 3, 0.5), growth(99, 100, 3, 0.5)
    ((1, 1.0), (3, 1.0))
    """
    stages = levels - 1
    place = step / (steps * grow) * (stages + 0.5) if grow > 0 and stages else stages + 1.0
    # The first stage lasts one unit; every further one begins with half a unit of fading.
    level = min(levels, 1 + int(place))
    fade = 1.0 if level == 1 else min(1.0, 2 * (place - (level - 1)))
    return (level, fade) if place < stages + 0.5 else (levels, 1.0)


def real_at(images: Tensor, level: int, levels: int, fade: float = 1.0) -> Tensor:
    """Real images [N, 3, S, S] as the discriminator sees them at a stage: shrunk, and blurred as far as it fades.

    Without the blur the discriminator would know real pictures by the detail that the generator may not show yet.

    >>> real_at(torch.eye(8).expand(1, 3, 8, 8), level=1, levels=2).shape
    torch.Size([1, 3, 4, 4])
    """
    x = F.avg_pool2d(images, 2 ** (levels - level)) if level < levels else images
    return x if fade == 1 else fade_in(double(F.avg_pool2d(x, 2)), x, fade)


def diary_steps(steps: int, levels: int, grow: float) -> list[int]:
    """Steps after which a growing generator is shown: end of level 1, half-way to level 2, end of level 2, and so on.

    >>> diary_steps(100, 3, 0.5)
    [19, 25, 39, 45, 99]
    """
    stages = [growth(step, steps, levels, grow) for step in range(steps)]
    shown = []
    for level in range(1, levels + 1):
        if level > 1:
            shown.append(next((i for i, stage in enumerate(stages) if stage >= (level, 0.5)), steps - 1))
        shown.append(max(i for i, stage in enumerate(stages) if stage[0] <= level))
    return [max(shown[: i + 1]) for i in range(len(shown))]  # a few steps may skip a level


@torch.no_grad()
def _write_diary(average: GrowingGenerator, trained: GrowingGenerator, row: int, codes: Tensor, **stage) -> None:
    image = F.interpolate(to_unit(average(codes, **stage)), average.size)
    for model in (average, trained):  # the average copies the buffers of the trained one at every step
        model.diary[row] = image


def fit_gan(
    g: nn.Module,
    d: nn.Module,
    images: Tensor,
    steps: int,
    batch_size: int = 32,
    lr: float = 2e-3,
    r1_weight: float = 1.0,
    r1_every: int = 8,
    grow: float = 0.0,
    ema_decay: float = 0.995,
    generator: torch.Generator | None = None,
) -> GanLog:
    """Train generator and discriminator in turn; both networks are changed in place.

    Parameters
    ----------
    g : nn.Module
        The generator, with ``draw(n, generator) -> image [-1, 1]``; also ``level=, fade=`` if `grow` > 0.
    d : nn.Module
        The discriminator, ``(image) -> logit [N]``, likewise.
    images : Tensor [M, 3, S, S]
        Real images in [0, 1].
    steps, batch_size : int
    lr : float
        Adam's highest step size for both, with betas (0, 0.99); half a cosine down to a twentieth.
    r1_weight : float
        Weight of the R1 penalty, taken every `r1_every` steps and multiplied by that number.
    grow : float
        Share of the steps spent on lower resolutions first, below 1; 0 trains at full size from the start. Above 0 the
        averaged generator's diary is written.
    ema_decay : float
        Decay of the averaged generator, which is the one to sample from.
    generator : torch.Generator, optional
        Source of batches and codes.

    Returns
    -------
    GanLog

    Raises
    ------
    ValueError
        For images of another size than the networks', steps below 1, or a share outside [0, 1).
    """
    check_images(images, g.size)
    check_steps(steps, batch_size)
    within("grow", grow, "[0, 1)")
    shown = diary_steps(steps, g.levels, grow) if grow > 0 else []
    players = [torch.optim.Adam(net.parameters(), lr=lr, betas=(0.0, 0.99), fused=True) for net in (d, g)]
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(player, steps, 0.05 * lr) for player in players]
    average, device = EMA(g, ema_decay), images.device
    if shown:  # codes from a generator of their own: keeping a diary must not change the training
        codes = g.draw_codes(6, torch.Generator(device).manual_seed(6))
    log = GanLog([], [], [], average.model)
    start = time.perf_counter()
    for step in range(steps):
        level, fade = growth(step, steps, g.levels, grow)
        stage = {"level": level, "fade": fade} if grow > 0 else {}
        x = real_at(batch(images, batch_size, generator), level, g.levels, fade)
        with fast_arithmetic(device):
            made = g.draw(batch_size, generator, **stage)
            loss_d = discriminator_loss(d(x, **stage), d(made.detach(), **stage))
        total = loss_d
        if step % r1_every == 0:  # "lazy" penalty: Karras et al. 2020, appendix B
            total = loss_d + r1_weight * r1_every * r1_penalty(d, x, **stage)
        descend(total, players[0], step)
        with fast_arithmetic(device):
            loss_g = generator_loss(d(made, **stage))
        descend(loss_g, players[1], step)
        average.update(g)
        for row in (row for row, at in enumerate(shown) if at == step):
            _write_diary(average.model, g, row, codes, **stage)
        for schedule in schedules:
            schedule.step()
        log.discriminator.append(float(loss_d.detach()))
        log.generator.append(float(loss_g.detach()))
        log.seconds.append(time.perf_counter() - start)
    return log


def new_gan(
    size: int, channels: tuple[int, ...], latent: int, generator: torch.Generator | None
) -> tuple[GrowingGenerator, Discriminator]:
    """A fresh pair of networks whose weights come from `generator`."""
    pair = GrowingGenerator(size, channels, latent), Discriminator(size, tuple(reversed(channels)))
    for net in pair:
        initialise(net, generator, gain=1.0)
    return pair
