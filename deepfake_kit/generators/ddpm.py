r"""A small diffusion model in two stages: a face's code is diffused first, then its pixels.

Diffusion in pixels needs a convolutional network at every step. Its early, noisiest steps settle what concerns the
whole picture (who it is, the hair's length), which a convolution, seeing a few pixels at a time, learns slowly. So the
work is divided by noise, as in Balaji et al., "eDiff-I: Text-to-Image Diffusion Models with an Ensemble of Expert
Denoisers", 2022:

1. *The plan.* A fully connected network diffuses the image's principal components, each scaled to unit variance: latent
   diffusion (Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022) with the
   simplest code there is.
2. *The pixels.* :mod:`deepfake_kit.generators.ddpm_pixels` noises the planned picture once more and takes that
   noise away with a U-Net (Meng et al., "SDEdit", ICLR 2022).

The mathematics of noise and sampling is that of :mod:`deepfake_kit.diffusion`, untouched.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.diffusion import NoiseSchedule, sample
from deepfake_kit.diffusion.training import train
from deepfake_kit.diffusion.unet import time_embedding
from deepfake_kit.generators.ddpm_pixels import PIXEL_DDIM_STEPS, PixelDenoiser, finish_pixels, fit_pixels
from deepfake_kit.images import check_images, to_model, to_unit
from deepfake_kit.training import check_steps, initialise, seeded
from deepfake_kit.valid import invalid

#: Steps of the plan's noise schedule, and of the strided sampler that stands in for all of them.
SCHEDULE_STEPS, DDIM_STEPS = 1000, 50


class CodeDenoiser(nn.Module):
    """Noise in codes: residual fully connected blocks that see the step.

    Parameters
    ----------
    size : int
        Side of the images.
    components : int
        Length of a code.
    width : int
        Units of each layer, even.
    depth : int
        Residual blocks.

    Examples
    --------
    >>> net = CodeDenoiser(8, components=4, width=16, depth=1)
    >>> net(torch.zeros(2, 4, 1, 1), torch.tensor([0, 9])).shape, net.decode(torch.zeros(2, 4, 1, 1)).shape
    (torch.Size([2, 4, 1, 1]), torch.Size([2, 3, 8, 8]))
    """

    def __init__(self, size: int = 32, components: int = 160, width: int = 256, depth: int = 3):
        super().__init__()
        self.size, self.components, self.width = size, components, width
        self.first, self.last = nn.Linear(components, width), nn.Linear(width, components)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.steps = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(depth))
        self.inner = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.outer = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        # At late steps x_t is nearly the noise itself; this gate lets it pass.
        self.gate = nn.Linear(width, components)
        self.register_buffer("average", torch.zeros(3 * size * size))
        self.register_buffer("basis", torch.zeros(components, 3 * size * size))
        self.register_buffer("deviation", torch.ones(components))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Noise in codes x [N, components, 1, 1] at steps t [N]."""
        code = x.flatten(1)
        seen = time_embedding(t, self.width)
        h = self.first(code)
        for norm, step, inner, outer in zip(self.norms, self.steps, self.inner, self.outer, strict=True):
            scale, shift = step(seen).chunk(2, dim=1)
            h = h + outer(F.silu(inner(norm(h) * (1 + scale) + shift)))
        return (self.gate(seen) * code + self.last(h)).reshape(x.shape)

    @torch.no_grad()
    def learn_code(self, images: Tensor) -> None:
        """Set average, basis and scale from images [M, 3, S, S] in [0, 1], their mirror images included."""
        flat = to_model(torch.cat([images, images.flip(-1)])).flatten(1)
        self.average.copy_(flat.mean(0))
        with seeded(0, flat.device):  # the randomised factorisation draws from the global generator
            _, values, vectors = torch.pca_lowrank(flat, self.components, niter=3)
        self.basis.copy_(vectors.T)
        self.deviation.copy_((values / len(flat) ** 0.5).clamp_min(1e-6))

    def encode(self, images: Tensor) -> Tensor:
        """Codes [N, components, 1, 1] of images [N, 3, S, S] in [0, 1]."""
        return (((to_model(images).flatten(1) - self.average) @ self.basis.T) / self.deviation)[:, :, None, None]

    def decode(self, codes: Tensor) -> Tensor:
        """Images [N, 3, S, S], about [-1, 1], of codes [N, components, 1, 1]."""
        flat = (codes.flatten(1) * self.deviation) @ self.basis + self.average
        return flat.reshape(len(codes), 3, self.size, self.size)


class TwoStages(nn.Module):
    """The plan and the pixels, kept together.

    Examples
    --------
    >>> TwoStages(CodeDenoiser(8, 4, 16, 1), PixelDenoiser(8, (8, 8), 1, 4)).size
    8
    """

    def __init__(self, plan: CodeDenoiser, pixels: PixelDenoiser):
        super().__init__()
        self.plan, self.pixels, self.size = plan, pixels, plan.size


def fit_plan(
    model: CodeDenoiser,
    images: Tensor,
    steps: int,
    batch_size: int = 128,
    lr: float = 1e-3,
    ema_decay: float = 0.995,
    generator: torch.Generator | None = None,
) -> tuple[nn.Module, list[float]]:
    """Learn the code, then train its denoiser; returns the averaged model and the loss of each step.

    Raises
    ------
    ValueError
        For images of another size, fewer images than half the components, or steps below 1.
    """
    check_images(images, model.size)
    check_steps(steps, batch_size)
    if 2 * len(images) < model.components:
        raise invalid("images", len(images), f"at least {-(-model.components // 2)}, for {model.components} components")
    model.learn_code(images)
    codes = torch.cat([model.encode(images), model.encode(images.flip(-1))])
    schedule, slow = NoiseSchedule.linear(SCHEDULE_STEPS), {"warmup": min(50, steps // 4), "decay": True}
    log = train(model, codes, schedule, steps, batch_size, lr, ema_decay, generator, **slow)
    return log.ema, log.losses


def fit_ddpm(
    model: TwoStages,
    images: Tensor,
    steps: int,
    pixel_steps: int,
    batch_size: int = 128,
    pixel_batch_size: int = 16,
    lr: float = 1e-3,
    pixel_lr: float = 3e-3,
    ema_decay: float = 0.995,
    generator: torch.Generator | None = None,
) -> tuple[TwoStages, list[float], list[float]]:
    """Train both stages, one after the other; returns the averaged model and the losses of plan and pixels.

    Raises
    ------
    ValueError
        As :func:`fit_plan` and :func:`fit_pixels`.
    """
    check_steps(pixel_steps, pixel_batch_size)
    plan, plan_losses = fit_plan(model.plan, images, steps, batch_size, lr, ema_decay, generator)
    model.pixels.learn_covariance(images, plan.basis)
    # The pixels take fewer steps, so their average forgets sooner.
    rest = (pixel_steps, pixel_batch_size, pixel_lr, min(ema_decay, 0.99), generator)
    pixels, pixel_losses = fit_pixels(model.pixels, images, *rest)
    return TwoStages(plan, pixels), plan_losses, pixel_losses


@torch.no_grad()
def sample_plan(
    model: TwoStages,
    n: int,
    generator: torch.Generator | None = None,
    sampler: str = "ddim",
    steps: int | None = DDIM_STEPS,
) -> Tensor:
    """The first stage's pictures [n, 3, S, S], about [-1, 1]."""
    # Codes have unit variance and end near 4 deviations; early, rough guesses would leave that range by far.
    schedule, shape = NoiseSchedule.linear(SCHEDULE_STEPS), (n, model.plan.components, 1, 1)
    codes = sample(model.plan, shape, schedule, sampler, steps, 4.0, generator, device=model.plan.average.device)
    return model.plan.decode(codes)


def sample_ddpm(
    model: TwoStages,
    n: int,
    generator: torch.Generator | None = None,
    sampler: str = "ddim",
    steps: int | None = DDIM_STEPS,
) -> Tensor:
    """Images [n, 3, S, S] in [0, 1]: DDIM in a few steps, or ``sampler="ddpm", steps=None`` for both full chains."""
    pixel_steps = None if steps is None else PIXEL_DDIM_STEPS
    planned = sample_plan(model, n, generator, sampler, steps)
    return to_unit(finish_pixels(model.pixels, planned, generator, sampler, pixel_steps))


def new_ddpm(
    size: int,
    components: int,
    width: int,
    depth: int,
    channels: tuple[int, ...],
    blocks: int,
    generator: torch.Generator | None,
) -> TwoStages:
    """Fresh networks whose weights come from `generator`; they start by predicting no noise and no correction."""
    model = TwoStages(CodeDenoiser(size, components, width, depth), PixelDenoiser(size, channels, blocks, components))
    initialise(model, generator, gain=1.0)
    plan, unet = model.plan, model.pixels.unet
    zeroed = [plan.last, plan.gate, *plan.outer, *plan.steps, unet.out]
    zeroed += [block.conv2 for block in unet.modules() if hasattr(block, "conv2")]
    for layer in zeroed:
        nn.init.zeros_(layer.weight)
    return model
