r"""A small diffusion model on principal components of faces.

Diffusion in pixels needs a network that sees every pixel at every step. Latent diffusion (Rombach et al.,
"High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022) denoises a short code instead. Here the code
is the simplest there is: the image's principal components, each scaled to unit variance. The mathematics of noise,
training and sampling is that of :mod:`deepfake_kit.diffusion`, untouched.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.diffusion import NoiseSchedule, sample
from deepfake_kit.diffusion_training import train
from deepfake_kit.generators_common import check_images, check_steps, initialise, to_model, to_unit
from deepfake_kit.unet import time_embedding

#: Steps of the noise schedule, and of the strided sampler that stands in for all of them.
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
        with torch.random.fork_rng(devices=[]):  # the randomised factorisation draws from the global generator
            torch.manual_seed(0)
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


def fit_ddpm(model: CodeDenoiser, images: Tensor, steps: int, batch_size: int = 128, lr: float = 1e-3,
             ema_decay: float = 0.995, random: torch.Generator | None = None) -> tuple[nn.Module, list[float]]:
    """Learn the code, then train the denoiser on it; returns the averaged model and the loss of each step.

    Raises
    ------
    ValueError
        For images of another size, fewer images than half the components, or steps below 1.
    """
    check_images(images, model.size)
    check_steps(steps, batch_size)
    if 2 * len(images) < model.components:
        raise ValueError(f"images: got {len(images)}; valid: at least {-(-model.components // 2)}, "
                         f"for {model.components} components")
    model.learn_code(images)
    codes = torch.cat([model.encode(images), model.encode(images.flip(-1))])
    log = train(model, codes, NoiseSchedule.linear(SCHEDULE_STEPS), steps, batch_size, lr, ema_decay, random,
                warmup=min(50, steps // 4), decay=True)
    return log.ema, log.losses


@torch.no_grad()
def sample_ddpm(model: CodeDenoiser, n: int, random: torch.Generator | None = None, sampler: str = "ddim",
                steps: int | None = DDIM_STEPS) -> Tensor:
    """Images [n, 3, S, S] in [0, 1]: DDIM in a few steps, or ``sampler="ddpm", steps=None`` for the full chain."""
    # Codes have unit variance and end near 4 deviations; early, rough guesses would leave that range by far.
    codes = sample(model, (n, model.components, 1, 1), NoiseSchedule.linear(SCHEDULE_STEPS), sampler, steps, 4.0,
                   generator=random, device=model.average.device)
    return to_unit(model.decode(codes))


def new_ddpm(size: int, components: int, width: int, depth: int, random: torch.Generator | None) -> CodeDenoiser:
    """A fresh denoiser whose weights come from `random`; it starts by predicting no noise."""
    model = CodeDenoiser(size, components, width, depth)
    initialise(model, random, gain=1.0)
    for layer in (model.last, model.gate, *model.outer, *model.steps):
        nn.init.zeros_(layer.weight)
    return model
