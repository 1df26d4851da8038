r"""The last noise, taken away in pixels: the best linear guess, corrected by a U-Net.

Were images normally distributed, the best denoiser would be linear and known in closed form. The U-Net only learns what
that guess misses, so that an untrained network already denoises as well as a linear filter can. Sources: Karras et al.,
"Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS 2022; Salimans and Ho, "Progressive
Distillation for Fast Sampling of Diffusion Models", ICLR 2022, for the velocity.
"""

from __future__ import annotations

import math
from collections import deque

import torch
from torch import Tensor, nn

from deepfake_kit.diffusion import EMA, NoiseSchedule, UNet, q_sample, trajectory
from deepfake_kit.diffusion.steps import at_step
from deepfake_kit.diffusion.velocity import velocity, velocity_to_noise
from deepfake_kit.images import check_images, to_model
from deepfake_kit.training import batch, check_steps, minimise
from deepfake_kit.valid import invalid

#: Steps of the noise schedule, and of the strided sampler that stands in for all of them.
PIXEL_STEPS, PIXEL_DDIM_STEPS = 200, 20
#: Ratio of noise to signal at the first and at the last step, in deviations of the data.
PIXEL_NOISE = (0.02, 0.6)


def ratio_schedule(steps: int, low: float, high: float) -> NoiseSchedule:
    r"""A schedule whose noise-to-signal ratio :math:`\sqrt{(1-\bar\alpha_t)/\bar\alpha_t}` climbs by equal factors.

    The logarithm of the signal-to-noise ratio falls linearly: Kingma et al., "Variational Diffusion Models", NeurIPS
    2021.

    Raises
    ------
    ValueError
        Unless 0 < low < high and steps is at least 2.

    Examples
    --------
    >>> [round(float(snr) ** -0.5, 6) for snr in ratio_schedule(3, 0.1, 0.9).snr]
    [0.1, 0.3, 0.9]
    """
    if steps < 2 or not 0 < low < high < math.inf:
        raise invalid("steps, low, high", (steps, low, high), "steps >= 2 and 0 < low < high")
    ratio = torch.logspace(math.log10(low), math.log10(high), steps, dtype=torch.float64)
    alpha_bars = 1 / (1 + ratio.square())
    return NoiseSchedule(1 - alpha_bars / torch.cat([alpha_bars.new_ones(1), alpha_bars[:-1]]))


def gaussian_velocity(variance: Tensor, t: Tensor, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
    r"""Best guess of the velocity, were the data normal: its slope, and the variance that no guess removes.

    .. math:: \mathrm E[v\mid x_t]=
        \frac{\sqrt{\bar\alpha_t(1-\bar\alpha_t)}\,(1-\lambda)}{\bar\alpha_t\lambda+1-\bar\alpha_t}\,x_t,\qquad
        \operatorname{Var}[v\mid x_t]=\frac{\lambda}{\bar\alpha_t\lambda+1-\bar\alpha_t}

    The Wiener filter, written for v. With :math:`\lambda=1` everywhere the slope is 0 and the variance 1, which are the
    skip and the output scale of Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models",
    NeurIPS 2022, Table 1.

    Parameters
    ----------
    variance : Tensor [K]
        Variances of independent, zero-mean normal components.
    t : Tensor [N]
        Steps.
    schedule : NoiseSchedule

    Returns
    -------
    (Tensor [N, K], Tensor [N, K])

    Examples
    --------
    >>> [x.tolist() for x in gaussian_velocity(torch.ones(1), torch.tensor([5]), NoiseSchedule.linear(10))]
    [[[0.0]], [[1.0]]]
    """
    alpha_bar = at_step(schedule.alpha_bars, t, variance[None])
    total = alpha_bar * variance + 1 - alpha_bar
    return ((alpha_bar * (1 - alpha_bar)).sqrt() * (1 - variance) / total).to(variance), (variance / total).to(variance)


class PixelDenoiser(nn.Module):
    r"""Noise in pixels: the linear guess for normal data, corrected by a U-Net.

    The data's covariance is that of its leading principal components, and the same small variance in every direction
    besides. The U-Net's output is scaled by what the linear guess leaves open, so that it always works at unit size.

    Parameters
    ----------
    size : int
        Side of the images, a multiple of 4.
    channels : tuple of int
        Widths of the U-Net at half and at quarter size.
    blocks : int
        Its residual blocks at each size.
    components : int
        Principal components.

    Examples
    --------
    >>> net = PixelDenoiser(8, (8, 8), 1, components=4)
    >>> net(torch.zeros(2, 3, 8, 8), torch.tensor([0, 9])).shape
    torch.Size([2, 3, 8, 8])
    """

    def __init__(self, size: int = 32, channels: tuple[int, ...] = (32, 64), blocks: int = 1, components: int = 160):
        super().__init__()
        self.size, self.schedule = size, ratio_schedule(PIXEL_STEPS, *PIXEL_NOISE)
        # Attention would cost a tenth of the time here, where nothing far away is left to decide.
        self.unet = UNet(3, channels, blocks, stem=2, attention=False)
        self.register_buffer("average", torch.zeros(3, size, size))
        self.register_buffer("unit", torch.ones(()))
        self.register_buffer("basis", torch.zeros(components, 3 * size * size))
        self.register_buffer("variances", torch.ones(components + 1))  # the last is that of every other direction

    def normalise(self, x: Tensor) -> Tensor:
        """Images in [-1, 1] as data of zero mean and, over all pixels, unit variance; shapes [N, 3, S, S]."""
        return (x - self.average) / self.unit

    def restore(self, data: Tensor) -> Tensor:
        """The inverse of :meth:`normalise`."""
        return data * self.unit + self.average

    @torch.no_grad()
    def learn_covariance(self, images: Tensor, basis: Tensor) -> None:
        """Set mean, unit and variances from images [M, 3, S, S] in [0, 1] and orthonormal rows [K, 3 * S * S]."""
        x = to_model(torch.cat([images, images.flip(-1)]))
        self.average.copy_(x.mean(0))
        self.unit.copy_((x - self.average).square().mean().sqrt().clamp_min(1e-6))
        self.basis.copy_(basis)
        flat = self.normalise(x).flatten(1)
        leading = (flat @ basis.T).square().mean(0)
        others = (flat.square().sum(1).mean() - leading.sum()) / (flat.shape[1] - len(basis))
        self.variances.copy_(torch.cat([leading, others[None]]).clamp_min(1e-6))

    def linear_velocity(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Linear guess of the velocity [N, 3, S, S], and the root of the mean variance it leaves [N, 1, 1, 1]."""
        slope, left = gaussian_velocity(self.variances, t, self.schedule)
        flat, (others, k) = x.flatten(1), (slope[:, -1:], len(self.basis))
        with torch.autocast(x.device.type, enabled=False):  # rounded to 8 bits, a guess would lose to no guess
            guess = others * flat + ((slope[:, :-1] - others) * (flat @ self.basis.T)) @ self.basis
        mean = (left[:, :-1].sum(1) + (flat.shape[1] - k) * left[:, -1]) / flat.shape[1]
        return guess.reshape(x.shape), mean.sqrt()[:, None, None, None]

    def velocity(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Velocity [N, 3, S, S] of noisy data x at steps t [N], and its expected error [N, 1, 1, 1] without U-Net."""
        guess, open_ = self.linear_velocity(x, t)
        return guess + open_ * self.unet(x, t), open_

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Noise in data x [N, 3, S, S] at steps t [N]."""
        return velocity_to_noise(x, self.velocity(x, t)[0], t, self.schedule)


def velocity_loss(model: PixelDenoiser, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    r"""Mean of :math:`\lVert v-\hat v\rVert^2/c_t^2`, where :math:`c_t^2` is what a linear guess leaves on average.

    The weight of Karras et al. 2022, Eq. (8): every step counts the same, and 1 is the loss of the best linear
    denoiser.

    Parameters
    ----------
    model : PixelDenoiser
    x0, noise : Tensor [N, 3, S, S]
        Normalised data, standard normal noise.
    t : Tensor [N]

    Returns
    -------
    Tensor, scalar

    Examples
    --------
    >>> net, x = PixelDenoiser(8, (8, 8), 1, 4), torch.ones(2, 3, 8, 8)
    >>> bool(velocity_loss(net, x, torch.tensor([0, 9]), x) > 0)
    True
    """
    found, open_ = model.velocity(q_sample(x0, t, noise, model.schedule), t)
    return ((found - velocity(x0, noise, t, model.schedule)) / open_).square().mean()


def fit_pixels(
    model: PixelDenoiser,
    images: Tensor,
    steps: int,
    batch_size: int = 16,
    lr: float = 3e-3,
    ema_decay: float = 0.99,
    generator: torch.Generator | None = None,
) -> tuple[nn.Module, list[float]]:
    """Train the U-Net of the second stage; returns the averaged model and the loss of each step.

    The steps of a batch are spread evenly over the schedule (Kingma et al. 2021), which steadies the loss.

    Raises
    ------
    ValueError
        For images of another size, or steps below 1.
    """
    check_images(images, model.size)
    check_steps(steps, batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0, betas=(0.9, 0.99), fused=True)
    warmup = min(30, steps // 4)
    plan = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / (warmup + 1)) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
    )
    average = EMA(model, ema_decay)

    def loss(step: int) -> Tensor:
        x0 = model.normalise(batch(images, batch_size, generator))
        start = torch.rand(1, generator=generator, device=x0.device)
        t = ((torch.arange(batch_size, device=x0.device) + start) / batch_size * PIXEL_STEPS).long()
        noise = torch.randn(x0.shape, generator=generator, device=x0.device)
        return velocity_loss(model, x0, t.clamp(max=PIXEL_STEPS - 1), noise)

    losses = minimise(loss, optimizer, steps, schedule=plan, after=lambda step, value: average.update(model))
    return average.model, losses


@torch.no_grad()
def finish_pixels(
    model: PixelDenoiser,
    planned: Tensor,
    generator: torch.Generator | None = None,
    sampler: str = "ddim",
    steps: int | None = PIXEL_DDIM_STEPS,
) -> Tensor:
    """Noise planned pictures [N, 3, S, S] in [-1, 1] to the last step and denoise them in pixels; the same shape."""
    done = []
    for part in planned.split(128):  # bounds the memory of the U-Net
        data = model.normalise(part)
        noise = torch.randn(data.shape, generator=generator, device=data.device)
        start = q_sample(data, PIXEL_STEPS - 1, noise, model.schedule)
        path = trajectory(model, start, model.schedule, sampler, steps, generator=generator)
        done.append(model.restore(deque(path, maxlen=1).pop()[1]))
    return torch.cat(done)
