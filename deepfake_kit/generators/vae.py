r"""A small variational autoencoder.

Source: Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014. The encoder gives a normal distribution over
codes for each image; the decoder draws the image back; a divergence keeps the codes near a standard normal, so that a
code drawn from it decodes to a new face.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.images import check_images, to_model
from deepfake_kit.training import batch, check_steps, dense, fast_arithmetic, initialise, minimise


class VAE(nn.Module):
    """Encoder to mean and log-variance of a code, decoder back to the image.

    Parameters
    ----------
    size : int
        Side of the image.
    width : int
        Units of each hidden layer. All layers are fully connected: at this size they learn faster than convolutions,
        and a decoder that never enlarges a small picture leaves no trace of enlarging.
    latent : int
        Length of the code.

    Examples
    --------
    >>> VAE(16, 8, latent=4).decode(torch.zeros(2, 4)).shape
    torch.Size([2, 3, 16, 16])
    """

    def __init__(self, size: int = 32, width: int = 384, latent: int = 32):
        super().__init__()
        self.size, self.latent, pixels = size, latent, 3 * size * size
        self.encoder = nn.Sequential(nn.Flatten(), *dense(pixels, width, width, 2 * latent))
        self.decoder = nn.Sequential(*dense(latent, width, width, pixels), nn.Unflatten(1, (3, size, size)))
        self.register_buffer("average", torch.zeros(3, size, size))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance [N, latent] of the codes of images x [N, 3, S, S] in [-1, 1]."""
        mean, log_variance = self.encoder(x - self.average).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 6)

    def decode(self, z: Tensor) -> Tensor:
        """Images [N, 3, S, S] of codes z [N, latent]."""
        return self.average + self.decoder(z)

    def draw_codes(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Codes [n, latent] from the standard normal prior."""
        return torch.randn(n, self.latent, generator=generator, device=self.average.device)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    r""":math:`\tfrac12\sum_j(\mu_j^2+\sigma_j^2-\log\sigma_j^2-1)` for each image [N].

    Kingma and Welling 2014, appendix B.

    >>> kl_to_standard_normal(torch.ones(1, 2), torch.zeros(1, 2)).item()
    1.0
    """
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1)


class VaeLog(NamedTuple):
    """Squared error and divergence, each a mean over an image [steps], and seconds since the start [steps]."""

    error: list[float]
    divergence: list[float]
    seconds: list[float]


def fit_vae(
    model: VAE,
    images: Tensor,
    steps: int,
    batch_size: int = 32,
    lr: float = 2e-3,
    noise: float = 0.2,
    generator: torch.Generator | None = None,
) -> VaeLog:
    r"""Train by minimising :math:`\frac{1}{2s^2}\lVert x-\hat x\rVert^2 + \mathrm{KL}`.

    Parameters
    ----------
    model : VAE
        Changed in place.
    images : Tensor [M, 3, S, S]
        In [0, 1].
    steps, batch_size : int
    lr : float
        Adam's highest step size; it falls to zero along half a cosine.
    noise : float
        Standard deviation s of a pixel around its decoded value, in the model's range [-1, 1]; larger values keep less
        detail and make drawn codes more plausible.
    generator : torch.Generator, optional

    Returns
    -------
    VaeLog

    Raises
    ------
    ValueError
        For images of another size than the model's, or steps below 1.
    """
    check_images(images, model.size)
    check_steps(steps, batch_size)
    model.average.copy_(to_model(images).mean(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    log, start = VaeLog([], [], []), time.perf_counter()

    def loss(step: int) -> Tensor:
        x = batch(images, batch_size, generator)
        with fast_arithmetic(images.device):
            mean, log_variance = model.encode(x)
            z = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=generator, device=mean.device)
            made = model.decode(z)
        error = F.mse_loss(made.float(), x, reduction="none").sum(dim=(1, 2, 3)).mean()
        divergence = kl_to_standard_normal(mean, log_variance).mean()
        log.error.append(error.item())
        log.divergence.append(divergence.item())
        return error / (2 * noise**2) + divergence

    def clock(step: int, value: float) -> None:
        log.seconds.append(time.perf_counter() - start)

    minimise(loss, optimizer, steps, schedule="cosine", after=clock)
    return log


def new_vae(size: int, width: int, latent: int, generator: torch.Generator | None) -> VAE:
    """A fresh autoencoder whose weights come from `generator`."""
    model = VAE(size, width, latent)
    initialise(model, generator, gain=1.0)
    with torch.no_grad():
        # Otherwise the random pixels that an untrained last layer adds outlive the training as grain.
        model.decoder[-2].weight.mul_(0.1)
    return model
