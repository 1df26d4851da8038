r"""Face swap with one encoder and two decoders, and the two-encoder control that must fail.

An encoder shared by two people learns a code of what their faces have in common, pose and expression; each decoder
knows one person. Decoding the code of a face of A with the decoder of B shows B with A's expression. This is the scheme
of the first public tools (survey, Fig. 2; Nguyen et al. 2022, section 2). Training inputs are warped and recoloured,
targets are not, as those tools do: the code cannot then hold what the warp destroys.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.images import check_images, to_model, to_unit
from deepfake_kit.training import batch, check_steps, dense, fast_arithmetic, initialise, minimise
from deepfake_kit.valid import whole


class SwapModel(nn.Module):
    """One encoder (or one a person) and one decoder a person.

    Parameters
    ----------
    size : int
        Side of the image.
    width : int
        Units of each hidden layer; at this size fully connected layers are faster than convolutions and as good.
    latent : int
        Length of the code.
    shared : bool
        False gives each person an encoder of their own: the control.
    people : int
        Number of decoders.
    aligned : bool
        Whether its faces are aligned by their landmarks; only a note for whoever films for it.

    Examples
    --------
    >>> SwapModel(16, 8, latent=4)(torch.zeros(2, 3, 16, 16), source=0, target=1).shape
    torch.Size([2, 3, 16, 16])
    """

    def __init__(
        self,
        size: int = 32,
        width: int = 256,
        latent: int = 12,
        shared: bool = True,
        people: int = 2,
        aligned: bool = True,
    ):
        super().__init__()
        self.size, self.latent, self.people, self.shared, self.aligned = size, latent, people, shared, aligned
        pixels = 3 * size * size
        self.encoders = nn.ModuleList(
            nn.Sequential(nn.Flatten(), *dense(pixels, width, width, latent)) for _ in range(1 if shared else people)
        )
        self.decoders = nn.ModuleList(
            nn.Sequential(*dense(latent, width, width, pixels), nn.Unflatten(1, (3, size, size))) for _ in range(people)
        )
        self.register_buffer("average", torch.zeros(people, 3, size, size))

    def encode(self, x: Tensor, person: int) -> Tensor:
        """Codes [N, latent] of images x in [-1, 1] of one person."""
        return self.encoders[0 if self.shared else person](3 * (x - self.average[self._known(person)]))

    def forward(self, x: Tensor, source: int, target: int) -> Tensor:
        """Images in [-1, 1] of the source, redrawn as the target."""
        return self.average[self._known(target)] + self.decoders[target](self.encode(x, source)) / 3

    def _known(self, person: int) -> int:
        whole("person", person, 0, self.people - 1)
        return person


@torch.no_grad()
def swap(model: SwapModel, images: Tensor, source: int, target: int) -> Tensor:
    """Redraw faces of the source as the target.

    Parameters
    ----------
    model : SwapModel
    images : Tensor [N, 3, S, S]
        In [0, 1], faces of person `source`.
    source, target : int
        Which person; equal numbers only reconstruct.

    Returns
    -------
    Tensor [N, 3, S, S]
        In [0, 1].

    Raises
    ------
    ValueError
        For an unknown person or images of another size or range.

    Examples
    --------
    >>> swap(SwapModel(16, 8, latent=4), torch.rand(2, 3, 16, 16), 0, 1).shape
    torch.Size([2, 3, 16, 16])
    """
    check_images(images, model.size)
    return to_unit(model(to_model(images), source, target))


def warp(x: Tensor, strength: float, generator: torch.Generator | None = None, grid: int = 5) -> Tensor:
    """Bend images by a smooth random displacement field.

    Parameters
    ----------
    x : Tensor [N, C, H, W]
    strength : float
        Standard deviation of the displacement at the nodes, in half image sides (0 leaves x as it is).
    generator : torch.Generator, optional
    grid : int
        Nodes along each side, between which the displacement is interpolated.

    Returns
    -------
    Tensor [N, C, H, W]

    Examples
    --------
    >>> x = torch.rand(1, 3, 8, 8)
    >>> torch.allclose(warp(x, 0.0), x, atol=1e-6)
    True
    """
    n, _, height, width = x.shape
    nodes = strength * torch.randn(n, 2, grid, grid, generator=generator, device=x.device)
    field = F.interpolate(nodes, (height, width), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    still = F.affine_grid(torch.eye(2, 3, device=x.device).expand(n, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, still + field, padding_mode="border", align_corners=False)


def recolour(x: Tensor, strength: float, generator: torch.Generator | None = None) -> Tensor:
    """Scale and shift each colour channel of each image [-1, 1] at random: factor and shift deviate by `strength`.

    >>> x = torch.rand(1, 3, 8, 8)
    >>> torch.equal(recolour(x, 0.0), x)
    True
    """
    gain = 1 + strength * torch.randn(len(x), 3, 1, 1, generator=generator, device=x.device)
    shift = strength * torch.randn(len(x), 3, 1, 1, generator=generator, device=x.device)
    return x * gain + shift


class SwapLog(NamedTuple):
    """Mean squared error of each step, both people together [steps], and seconds since the start [steps]."""

    error: list[float]
    seconds: list[float]


def fit_swap(
    model: SwapModel,
    images: list[Tensor],
    steps: int,
    batch_size: int = 32,
    lr: float = 2e-3,
    warp_strength: float = 0.02,
    recolour_strength: float = 0.05,
    generator: torch.Generator | None = None,
) -> SwapLog:
    """Teach each decoder its own person: redraw the clean face from the warped and recoloured one.

    Parameters
    ----------
    model : SwapModel
        Changed in place.
    images : list of Tensor [M, 3, S, S]
        Faces in [0, 1], one tensor a person.
    steps, batch_size : int
        Each step takes `batch_size` faces of every person.
    lr : float
        Adam's highest step size; half a cosine down to zero.
    warp_strength, recolour_strength : float
        Strength of the input augmentation; see :func:`warp` and :func:`recolour`.
    generator : torch.Generator, optional

    Returns
    -------
    SwapLog

    Raises
    ------
    ValueError
        If the number of people differs from the model's, or for images of another size.
    """
    whole("the number of people in images", len(images), model.people, model.people)
    for one in images:
        check_images(one, model.size)
    check_steps(steps, batch_size)
    for person, one in enumerate(images):
        model.average[person] = to_model(one).mean(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    seconds, start = [], time.perf_counter()

    def loss(step: int) -> Tensor:
        both = 0.0
        for person, one in enumerate(images):
            # Not mirrored: a code in which left and right are alike may swap them between two people.
            clean = batch(one, batch_size, generator, mirror=False)
            seen = recolour(clean, recolour_strength, generator) if recolour_strength else clean
            seen = warp(seen, warp_strength, generator) if warp_strength else seen
            with fast_arithmetic(clean.device):
                made = model(seen, person, person)
            both = both + F.mse_loss(made.float(), clean) / len(images)
        return both

    def clock(step: int, value: float) -> None:
        seconds.append(time.perf_counter() - start)

    return SwapLog(minimise(loss, optimizer, steps, schedule="cosine", after=clock), seconds)


def new_swap(
    size: int, width: int, latent: int, shared: bool, generator: torch.Generator | None, aligned: bool = True
) -> SwapModel:
    """A fresh model of two people whose weights come from `generator`."""
    model = SwapModel(size, width, latent, shared, aligned=aligned)
    initialise(model, generator)
    return model
