r"""SimCLR: two altered views of each picture, one network, and a loss that asks which two belong together.

Chen et al., "A simple framework for contrastive learning of visual representations", ICML 2020 (arXiv:2002.05709). The
views come from :mod:`deepfake_kit.detect.augment`; no label is used until :func:`linear_probe` reads the features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.detect.augment import Augment
from deepfake_kit.detect.losses import nt_xent
from deepfake_kit.images import check_images
from deepfake_kit.training import NotFinite, minimise
from deepfake_kit.valid import invalid, require, whole

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


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
    NotFinite
        At the first projection, loss or gradient that is NaN or infinite; it names the step.

    Examples
    --------
    >>> from deepfake_kit.detect.edge import PhiNet
    >>> net = PhiNet(0.2, t0=2, layers=2)
    >>> len(pretrain(net, torch.rand(4, 3, 16, 16), Augment(), steps=2, batch_size=2, generator=torch.Generator()))
    2
    """
    check_images(images)
    whole("batch_size", batch_size, 2, len(images))
    whole("steps", steps, 1)
    head = projection_head(net.width, hidden).to(images.device)
    optimiser = torch.optim.Adam([*net.parameters(), *head.parameters()], lr=lr, weight_decay=1e-6)

    def loss(step: int) -> Tensor:
        if watch:
            watch(step, net, head)
        net.train()
        batch = images[torch.randperm(len(images), generator=generator, device=images.device)[:batch_size]]
        views = torch.cat([augment(batch, generator), augment(batch, generator)])
        z = head(net(normalise(views)))
        if not bool(z.isfinite().all()):
            raise NotFinite(step, "the projections are not finite")
        return nt_xent(*z.chunk(2), temperature)

    losses = minimise(loss, optimiser, steps, schedule="cosine")
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
    check_images(images)
    _check_labels(labels, len(images))
    head = nn.Linear(net.width, 1).to(images.device)
    optimiser = torch.optim.Adam([*net.parameters(), *head.parameters()], lr=lr, weight_decay=1e-6)
    net.train()

    def loss(step: int) -> Tensor:
        chosen = torch.randperm(len(images), generator=generator, device=images.device)[:batch_size]
        logits = head(net(normalise(augment(images[chosen], generator))))[:, 0]
        return F.binary_cross_entropy_with_logits(logits, labels[chosen].to(logits))

    minimise(loss, optimiser, steps, schedule="cosine")
    net.eval()
    return head


@torch.no_grad()
def embed(net: nn.Module, images: Tensor, batch_size: int = 32) -> Tensor:
    """Features [N, width] in evaluation mode, unaltered images; small parts, so that the memory is used again.

    >>> from deepfake_kit.detect.edge import PhiNet
    >>> embed(PhiNet(0.2, t0=2, layers=2), torch.rand(3, 3, 16, 16)).shape
    torch.Size([3, 8])
    """
    check_images(images)
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
        """Log-odds float64 [N] of label 1 for features [N, D] of any device; on that of the fit, the CPU."""
        return ((features.double().to(self.mean.device) - self.mean) / self.scale) @ self.weight + self.bias


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

    require(features.ndim == 2 and bool(torch.isfinite(features).all()), "features", features, "finite numbers [N, D]")
    _check_labels(labels, len(features))
    require(len(labels.unique()) >= 2, "labels", "one class", "both 0 and 1")
    x = features.double().cpu()
    mean, scale = x.mean(0), x.std(0, correction=0)
    scale = torch.where(scale > 1e-9, scale, 1.0)
    fitted = LogisticRegression(C=strength, max_iter=2000).fit(((x - mean) / scale).numpy(), labels.cpu().numpy())
    return Probe(mean, scale, torch.from_numpy(fitted.coef_[0]), float(fitted.intercept_[0]))


def _check_labels(labels: Tensor, n: int) -> None:
    if labels.shape != (n,) or not bool(((labels == 0) | (labels == 1)).all()):
        raise invalid("labels", labels, f"{n} numbers, each 0 or 1")
