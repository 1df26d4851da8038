r"""SimCLR: two altered views of each picture, one network, and a loss that asks which two belong together.

Chen et al., "A simple framework for contrastive learning of visual representations", ICML 2020 (arXiv:2002.05709), with
the seven alterations of Marogna's thesis (section 3.4). No label is used until :func:`linear_probe` reads the features.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.detect.losses import nt_xent
from deepfake_kit.valid import one_of

GREY = (0.299, 0.587, 0.114)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Augment:
    """Random alterations of a batch, each image on its own; a strength of 0 switches one off.

    The thesis names the seven alterations and no strength; the crop, without resizing, is ours and makes steps cheaper.

    Attributes
    ----------
    crop : int
        Side of a random square cut-out that becomes the view; 0 keeps the whole image.
    flip : float
        Probability of a mirror image.
    colour : float
        Brightness, contrast and saturation are each multiplied by 1 - colour to 1 + colour.
    grey : float
        Probability of dropping the colours.
    blur : float
        Largest standard deviation of a Gaussian blur, in pixels.
    noise : float
        Largest standard deviation of added Gaussian noise.
    cutout : float
        Side of a mid-grey square as a share of the view's side.
    jpeg : int
        Lowest JPEG quality; qualities are drawn up to 95. 0 means no compression.
    probability : float
        Of each of colour, blur, noise, cutout and jpeg, for each image.

    Examples
    --------
    >>> views = Augment(crop=24)(torch.rand(2, 3, 32, 32), torch.Generator().manual_seed(0))
    >>> views.shape, bool(views.min() >= 0), bool(views.max() <= 1)
    (torch.Size([2, 3, 24, 24]), True, True)
    """

    crop: int = 0
    flip: float = 0.5
    colour: float = 0.4
    grey: float = 0.2
    blur: float = 1.0
    noise: float = 0.05
    cutout: float = 0.3
    jpeg: int = 30
    probability: float = 0.5

    def __post_init__(self):
        for name in ("flip", "grey", "cutout", "probability", "colour"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: got {getattr(self, name)}; valid: 0 to 1")
        for name in ("blur", "noise", "crop"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: got {getattr(self, name)}; valid: 0 or more")
        if self.jpeg and not 1 <= self.jpeg <= 95:
            raise ValueError(f"jpeg: got {self.jpeg}; valid: 0, or a quality from 1 to 95")

    def only(self, *names: str) -> Augment:
        """The same alterations with all but the named ones off, and the named ones always on.

        >>> Augment().only("blur")
        Augment(crop=0, flip=0, colour=0, grey=0, blur=1.0, noise=0, cutout=0, jpeg=0, probability=1.0)
        """
        kept = {one_of("name", name, ALTERATIONS) for name in names}
        always = {name: 1.0 for name in ("flip", "grey") if name in kept}
        return replace(self, **{name: 0 for name in ALTERATIONS if name not in kept}, **always, probability=1.0)

    def without(self, *names: str) -> Augment:
        """The same alterations with the named ones off.

        >>> Augment().without("jpeg", "blur").jpeg
        0
        """
        return replace(self, **{one_of("name", name, ALTERATIONS): 0 for name in names})

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Alter images float [N, 3, S, S] in [0, 1]; the result is in [0, 1] too.

        Raises
        ------
        ValueError
            For another shape or range, or a crop larger than the images.
        """
        _check_images(images)
        if self.crop > min(images.shape[2:]):
            raise ValueError(f"crop: got {self.crop}; valid: at most the images' side {min(images.shape[2:])}")
        x = random_crop(images, self.crop, generator) if self.crop else images
        x = torch.where(_chosen(x, self.flip, generator), x.flip(-1), x) if self.flip else x
        for name in ("colour", "blur", "noise", "cutout"):
            if strength := getattr(self, name):
                chosen = _chosen(x, self.probability, generator)
                x = torch.where(chosen, STEPS[name](x, strength, generator), x).clamp(0, 1)
        if self.grey:
            x = torch.where(_chosen(x, self.grey, generator), _to_grey(x).expand_as(x), x)
        if self.jpeg:
            quality = torch.randint(self.jpeg, 96, (len(x),), generator=generator, device=x.device)
            chosen = _chosen(x, self.probability, generator).flatten()
            x = x.clone()
            x[chosen] = jpeg(x[chosen], quality[chosen].tolist())
        return x


ALTERATIONS = tuple(f.name for f in fields(Augment) if f.name not in ("crop", "probability"))


def random_crop(images: Tensor, side: int, generator: torch.Generator | None = None) -> Tensor:
    """A square of `side` pixels from a random place of each image, not resized.

    >>> random_crop(torch.rand(2, 3, 8, 8), 5).shape
    torch.Size([2, 3, 5, 5])
    """
    n, _, height, width = images.shape
    top = torch.randint(height - side + 1, (n,), generator=generator, device=images.device)
    left = torch.randint(width - side + 1, (n,), generator=generator, device=images.device)
    rows = (top[:, None] + torch.arange(side, device=images.device))[:, :, None]
    columns = (left[:, None] + torch.arange(side, device=images.device))[:, None, :]
    return (
        images.permute(0, 2, 3, 1)[torch.arange(n, device=images.device)[:, None, None], rows, columns]
        .permute(0, 3, 1, 2)
        .contiguous()
    )


def jpeg(images: Tensor, qualities: list[int]) -> Tensor:
    """Each image through a real JPEG file of its own quality, colours stored at half the side (4:2:0).

    >>> jpeg(torch.full((1, 3, 16, 16), 0.5), [50]).shape
    torch.Size([1, 3, 16, 16])
    """
    if len(qualities) != len(images):
        raise ValueError(f"qualities: got {len(qualities)}; valid: one for each of the {len(images)} images")
    pixels = (images.detach().cpu() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    out = np.empty_like(pixels)
    for i, quality in enumerate(qualities):
        file = io.BytesIO()
        Image.fromarray(pixels[i]).save(file, "JPEG", quality=int(quality), subsampling=2)
        out[i] = np.asarray(Image.open(file))
    return torch.from_numpy(out).permute(0, 3, 1, 2).to(images) / 255


def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur each image by its own standard deviation [N] in pixels, mirrored at the border.

    >>> gaussian_blur(torch.ones(1, 1, 16, 16), torch.ones(1)).allclose(torch.ones(1, 1, 16, 16))
    True
    """
    reach = max(1, int(np.ceil(3 * float(sigma.max()))))
    offsets = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    taps = torch.exp(-0.5 * (offsets / sigma.to(images).clamp(min=1e-3)[:, None]) ** 2)
    taps = (taps / taps.sum(1, keepdim=True)).repeat_interleave(images.shape[1], 0)[:, None]
    flat = F.pad(images.reshape(1, -1, *images.shape[2:]), (reach,) * 4, mode="reflect")
    groups = flat.shape[1]
    flat = F.conv2d(F.conv2d(flat, taps[..., None], groups=groups), taps[..., None, :], groups=groups)
    return flat.reshape(images.shape)


def _colour(x: Tensor, strength: float, generator) -> Tensor:
    """Brightness, then contrast about the mean level, then saturation about the grey image."""
    by = 1 + strength * (2 * _uniform(x, 3, generator) - 1)
    x = x * by[0]
    level = _to_grey(x).mean((2, 3), keepdim=True)
    x = level + (x - level) * by[1]
    grey = _to_grey(x)
    return grey + (x - grey) * by[2]


def _blur(x: Tensor, strength: float, generator) -> Tensor:
    return gaussian_blur(x, strength * (0.1 + 0.9 * _uniform(x, 1, generator)).flatten())


def _noise(x: Tensor, strength: float, generator) -> Tensor:
    noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return x + strength * _uniform(x, 1, generator)[0] * noise


def _cutout(x: Tensor, strength: float, generator) -> Tensor:
    size = x.shape[-1]
    side = max(1, round(strength * size))
    corner = torch.randint(size - side + 1, (2, len(x), 1), generator=generator, device=x.device)
    offset = torch.arange(size, device=x.device) - corner
    inside = (offset >= 0) & (offset < side)
    return x.masked_fill((inside[0][:, :, None] & inside[1][:, None, :])[:, None], 0.5)


STEPS: dict[str, Callable] = {"colour": _colour, "blur": _blur, "noise": _noise, "cutout": _cutout}


def normalise(images: Tensor) -> Tensor:
    """Subtract ImageNet's mean colour and divide by its deviation, as the thesis does.

    >>> normalise(torch.full((1, 3, 1, 1), 0.485)).flatten()[0].item()
    0.0
    """
    mean = images.new_tensor(MEAN)[:, None, None]
    return ((images - mean) / images.new_tensor(DEVIATION)[:, None, None]).contiguous(memory_format=torch.channels_last)


def projection_head(width: int, hidden: int = 2048, out: int = 128) -> nn.Sequential:
    """The head g that training needs and nobody keeps: linear, ReLU, linear (thesis: 2048 and 128).

    >>> projection_head(4, 8, 2)(torch.zeros(1, 4)).shape
    torch.Size([1, 2])
    """
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, out))


def pretrain(
    net: nn.Module,
    images: Tensor,
    augment: Augment,
    *,
    steps: int,
    batch_size: int = 32,
    temperature: float = 0.5,
    lr: float = 2e-3,
    hidden: int = 256,
    generator: torch.Generator,
    watch: Callable[[int, nn.Module, nn.Module], None] | None = None,
) -> list[float]:
    """Train `net` in place with SimCLR on pictures alone (the thesis' Algorithm 1, Chen et al. 2020).

    Parameters
    ----------
    net : nn.Module
        Backbone with a ``width``; takes normalised images.
    images : Tensor float [M, 3, S, S] in [0, 1]
    augment : Augment
        Draws the two views.
    steps, batch_size : int
        Optimiser steps, and images (not views) in each.
    temperature, lr : float
        Of the loss and of Adam; the rate falls to zero along a cosine.
    hidden : int
        Width of the projection head's hidden layer; 128 numbers come out.
    generator : torch.Generator
        For batches and views. The head's weights come from torch's global generator.
    watch : callable, optional
        ``watch(step, net, head)`` before each step and once at the end.

    Returns
    -------
    list of float
        The loss at each step.

    Raises
    ------
    ValueError
        For images of another shape or range, fewer than 2 images a batch, or no steps.

    Examples
    --------
    >>> from deepfake_kit.detect.edge import PhiNet
    >>> net = PhiNet(0.2, t0=2, layers=2)
    >>> len(pretrain(net, torch.rand(4, 3, 16, 16), Augment(), steps=2, batch_size=2, generator=torch.Generator()))
    2
    """
    _check_images(images)
    if not 2 <= batch_size <= len(images):
        raise ValueError(f"batch_size: got {batch_size}; valid: 2 to the number of images, {len(images)}")
    if steps < 1:
        raise ValueError(f"steps: got {steps}; valid: at least 1")
    head = projection_head(net.width, hidden).to(images.device)
    optimiser, schedule = _optimiser([*net.parameters(), *head.parameters()], lr, steps)
    losses = []
    for step in range(steps):
        if watch:
            watch(step, net, head)
        net.train()
        batch = images[torch.randperm(len(images), generator=generator, device=images.device)[:batch_size]]
        views = torch.cat([augment(batch, generator), augment(batch, generator)])
        z_a, z_b = head(net(normalise(views))).chunk(2)
        loss = nt_xent(z_a, z_b, temperature)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    if watch:
        watch(steps, net, head)
    net.eval()
    return losses


def supervise(
    net: nn.Module,
    images: Tensor,
    labels: Tensor,
    augment: Augment,
    *,
    steps: int,
    batch_size: int = 64,
    lr: float = 2e-3,
    generator: torch.Generator,
) -> nn.Linear:
    """Train `net` and a linear head in place with labels and binary cross-entropy; the control to SimCLR.

    Give it twice SimCLR's `batch_size`, and both see equally many pictures a step.

    Parameters
    ----------
    labels : Tensor [M] of 0 and 1

    Returns
    -------
    nn.Linear
        The head: logits of label 1.

    Raises
    ------
    ValueError
        For images of another shape or range, or labels that are not one 0 or 1 each.

    Examples
    --------
    >>> from deepfake_kit.detect.edge import PhiNet
    >>> supervise(PhiNet(0.2, t0=2, layers=2), torch.rand(4, 3, 16, 16), torch.tensor([0, 1, 0, 1]), Augment(), steps=1,
    ...           batch_size=4, generator=torch.Generator()).out_features
    1
    """
    _check_images(images)
    _check_labels(labels, len(images))
    head = nn.Linear(net.width, 1).to(images.device)
    optimiser, schedule = _optimiser([*net.parameters(), *head.parameters()], lr, steps)
    net.train()
    for _ in range(steps):
        chosen = torch.randperm(len(images), generator=generator, device=images.device)[:batch_size]
        logits = head(net(normalise(augment(images[chosen], generator))))[:, 0]
        loss = F.binary_cross_entropy_with_logits(logits, labels[chosen].to(logits))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    net.eval()
    return head


@torch.no_grad()
def embed(net: nn.Module, images: Tensor, batch_size: int = 32) -> Tensor:
    """Features [N, width] in evaluation mode, unaltered images; small parts, so that the memory is used again.

    >>> from deepfake_kit.detect.edge import PhiNet
    >>> embed(PhiNet(0.2, t0=2, layers=2), torch.rand(3, 3, 16, 16)).shape
    torch.Size([3, 8])
    """
    _check_images(images)
    net.eval()
    return torch.cat([net(normalise(part)) for part in images.split(batch_size)])


@dataclass(frozen=True)
class Probe:
    """A linear classifier on standardised features; call it for the log-odds of label 1."""

    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: float

    def __call__(self, features: Tensor) -> Tensor:
        """Log-odds float64 [N] of label 1 for features [N, D]."""
        return ((features.double() - self.mean) / self.scale) @ self.weight + self.bias


def linear_probe(features: Tensor, labels: Tensor, strength: float = 0.1) -> Probe:
    """Fit scikit-learn's logistic regression to features [N, D] and labels [N] of 0 and 1.

    Parameters
    ----------
    strength : float
        scikit-learn's C, the inverse of the ridge penalty; fixed in advance, not searched.

    Raises
    ------
    ValueError
        For features that are not [N, D] and finite, or labels that are not one 0 or 1 each, both present.

    Examples
    --------
    >>> probe = linear_probe(torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1]))
    >>> bool(probe(torch.tensor([[2.0]])) > 0)
    True
    """
    from sklearn.linear_model import LogisticRegression

    if features.ndim != 2 or not bool(torch.isfinite(features).all()):
        raise ValueError(f"features: got shape {tuple(features.shape)}; valid: finite numbers [N, D]")
    _check_labels(labels, len(features))
    if len(labels.unique()) < 2:
        raise ValueError("labels: got one class; valid: both 0 and 1")
    x = features.double().cpu()
    mean, scale = x.mean(0), x.std(0, correction=0)
    scale = torch.where(scale > 1e-9, scale, 1.0)
    fitted = LogisticRegression(C=strength, max_iter=2000).fit(((x - mean) / scale).numpy(), labels.cpu().numpy())
    return Probe(mean, scale, torch.from_numpy(fitted.coef_[0]), float(fitted.intercept_[0]))


def _optimiser(parameters, lr: float, steps: int):
    optimiser = torch.optim.Adam(parameters, lr=lr, weight_decay=1e-6)
    return optimiser, torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)


def _uniform(x: Tensor, n: int, generator) -> Tensor:
    """`n` uniform numbers for each image, shaped to multiply images."""
    return torch.rand((n, len(x), 1, 1, 1), generator=generator, device=x.device, dtype=x.dtype)


def _chosen(x: Tensor, probability: float, generator) -> Tensor:
    return _uniform(x, 1, generator)[0] < probability


def _to_grey(x: Tensor) -> Tensor:
    return (x * x.new_tensor(GREY)[:, None, None]).sum(1, keepdim=True)


def _check_images(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(f"images: got {images.dtype} {tuple(images.shape)}; valid: float [N, 3, S, S] in [0, 1]")
    if images.numel() and not (float(images.min()) >= 0 and float(images.max()) <= 1):
        raise ValueError(f"images: got values from {float(images.min()):g} to {float(images.max()):g}; valid: 0 to 1")


def _check_labels(labels: Tensor, n: int) -> None:
    if labels.shape != (n,) or not bool(((labels == 0) | (labels == 1)).all()):
        raise ValueError(f"labels: got shape {tuple(labels.shape)}; valid: {n} numbers, each 0 or 1")
