"""Losses of the detection chapters: contrastive (chapter 9), single-center (7), and the worst share of losses (8)."""

from __future__ import annotations

import torch
from torch import Tensor

from deepfake_kit.valid import at_least_single, finite, invalid, require, within


def _directions(z: Tensor) -> Tensor:
    """Rows [N, D] at length 1; a row of zeros has no direction and stays zero, with a finite gradient."""
    z = at_least_single(z)
    # A power of two changes no digit, and keeps the squares of very large or small rows in range.
    exponent = torch.frexp(z.detach().abs().amax(1, keepdim=True)).exponent.clamp(-126, 126)
    z = z * torch.ldexp(torch.ones_like(z[:, :1]), -exponent)
    length = torch.linalg.vector_norm(z, dim=1, keepdim=True)
    return z / length.where(length != 0, 1)


def _check_views(name: str, z: Tensor, dimensions: int) -> None:
    if z.ndim != dimensions or not z.is_floating_point():
        raise invalid(name, z, f"float {'[V, N, D]' if dimensions == 3 else '[N, D]'}")
    finite(name, z)


def nt_xent(z_a: Tensor, z_b: Tensor, temperature: float = 0.5) -> Tensor:
    r"""Normalised, temperature-scaled cross entropy of two views of each image (Chen et al. 2020, Eq. 1).

    .. math:: \ell_{i,j} = -\log\frac{\exp(\mathrm{sim}(z_i,z_j)/\tau)}
                                      {\sum_{k=1}^{2N}\mathbb 1_{k\ne i}\exp(\mathrm{sim}(z_i,z_k)/\tau)},
              \qquad \mathrm{sim}(u,v) = \frac{u^\top v}{\lVert u\rVert\,\lVert v\rVert},

    averaged over the 2N pairs (i, j) and (j, i) of two views of one image. Marogna's thesis prints it rightly as
    Eq. (2.3).

    Parameters
    ----------
    z_a, z_b : Tensor float [N, D]
        Row n of both belongs to image n. Only directions count, not lengths; a row of zeros is at a right angle to
        all others.
    temperature : float
        :math:`\tau`, above 0.

    Returns
    -------
    Tensor, scalar
        :math:`\log(2N-1)` where all embeddings are equal. In float32 for half precision, as torch's own losses.

    Raises
    ------
    ValueError
        For shapes that are not [N, D] and equal, numbers that are not finite, fewer than 2 images, or a temperature
        that is not above 0 or infinite.

    Examples
    --------
    >>> round(nt_xent(torch.ones(2, 4), torch.ones(2, 4), 0.07).item(), 4)
    1.0986
    """
    _check_views("z_a", z_a, 2)
    _check_views("z_b", z_b, 2)
    require(z_a.shape == z_b.shape and len(z_a) >= 2, "z_a, z_b", (z_a, z_b), "equal, at least 2 rows")
    return multi_view_nt_xent(torch.stack([z_a, z_b]), temperature)


def multi_view_nt_xent(z: Tensor, temperature: float = 0.5) -> Tensor:
    r"""NT-Xent for V views of each image: the mean over an anchor's V - 1 positives (Khosla et al. 2020, Eq. 2).

    .. math:: \ell_i = -\frac{1}{V-1}\sum_{p\in P(i)}
              \log\frac{\exp(\mathrm{sim}(z_i,z_p)/\tau)}{\sum_{k\ne i}\exp(\mathrm{sim}(z_i,z_k)/\tau)}

    With two views it is :func:`nt_xent`.

    Parameters
    ----------
    z : Tensor float [V, N, D]
        At least 2 views of at least 2 images.
    temperature : float
        Above 0.

    Returns
    -------
    Tensor, scalar

    Raises
    ------
    ValueError
        For another shape, numbers that are not finite, or a temperature that is not above 0 or infinite.

    Examples
    --------
    >>> round(multi_view_nt_xent(torch.ones(3, 2, 4)).item(), 4)
    1.6094
    """
    _check_views("z", z, 3)
    require(min(z.shape[:2]) >= 2, "z", z, "at least 2 views of at least 2 images")
    within("temperature", temperature, "(0, inf)")
    views, n, _ = z.shape
    unit = _directions(z.flatten(0, 1))
    itself = torch.eye(views * n, dtype=torch.bool, device=z.device)
    logits = (unit @ unit.T / temperature).masked_fill(itself, -torch.inf)
    image = torch.arange(n, device=z.device).repeat(views)
    positive = (image[:, None] == image) & ~itself
    shares = logits.log_softmax(1).masked_fill(~positive, 0)
    return -(shares.sum(1) / (views - 1)).mean()


def _check_labelled(features: Tensor, is_fake: Tensor, center: Tensor) -> Tensor:
    """`is_fake` as bool [N], after the three arguments have been found to fit together."""
    if features.ndim != 2 or not features.is_floating_point() or len(features) == 0:
        raise invalid("features", features, "float [N, D] with N >= 1")
    require(center.shape == features.shape[1:], "center", center, f"shape {tuple(features.shape[1:])}")
    if is_fake.shape != features.shape[:1] or not bool(((is_fake == 0) | (is_fake == 1)).all()):
        raise invalid("is_fake", is_fake, f"{len(features)} times True or False, or 1 for fake and 0 for real")
    return is_fake.bool()


def center_distance(features: Tensor, center: Tensor, squared: bool = False) -> Tensor:
    r"""Mean distance of features from a centre, :math:`d=\frac1N\sum_{i=1}^N\lVert f_i-C\rVert_2`.

    Li et al., "Frequency-aware discriminative feature learning supervised by single-center loss for face forgery
    detection", CVPR 2021. The extracted text of the Hanyang report has it broken, as Eqn. (2): "f_iC^2".

    Parameters
    ----------
    features : Tensor float [N, D]
    center : Tensor float [D]
    squared : bool
        The other reading of the 2 that is left there: the mean of :math:`\lVert f_i-C\rVert_2^2`.

    Returns
    -------
    Tensor, scalar
        0 for no features; in float32 for half precision. At :math:`f_i=C`, where the norm has no derivative, the
        gradient is 0.

    Examples
    --------
    >>> center_distance(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.zeros(2)).item()
    2.5
    """
    features, center = at_least_single(features), at_least_single(center)
    if len(features) == 0:
        return features.sum()
    distance = torch.linalg.vector_norm(features - center, dim=1)
    return (distance.square() if squared else distance).mean()


def single_center_loss(features: Tensor, is_fake: Tensor, center: Tensor, margin: float = 0.3) -> Tensor:
    r"""Pull real features to a centre and push fake ones a margin further away (Li et al., CVPR 2021).

    .. math:: L = d_{real} + \max(d_{real} - d_{fake} + m\sqrt D,\ 0)

    with :math:`d` from :func:`center_distance`. The Hanyang report takes it from Kong, Li and Wang (2023); in its
    extracted text the minus of Eqn. (1) is missing, as most signs of Eqn. (2) are.

    Parameters
    ----------
    features : Tensor float [N, D]
        One row an image.
    is_fake : Tensor [N]
        bool, or 1 for fake and 0 for real.
    center : Tensor float [D]
        The centre C of the real features; it is learned like a weight.
    margin : float
        :math:`m\ge0`, in units of :math:`\sqrt D`, so that it means the same for any number of features.

    Returns
    -------
    Tensor, scalar
        A class that is missing from the batch contributes nothing: without fakes :math:`d_{real}`, without reals
        :math:`\max(m\sqrt D - d_{fake}, 0)`.

    Raises
    ------
    ValueError
        For features that are not [N, D], labels or a centre that do not fit them, or a negative margin.

    Examples
    --------
    >>> features = torch.tensor([[1.0, 0.0, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0]])
    >>> single_center_loss(features, torch.tensor([False, True]), torch.zeros(4), margin=1.5).item()
    2.0
    """
    fake = _check_labelled(features, is_fake, center)
    within("margin", margin, "[0, inf)")
    real_part = center_distance(features[~fake], center)
    if not fake.any():
        return real_part
    gap = real_part - center_distance(features[fake], center) + margin * features.shape[1] ** 0.5
    # A fake infinitely far away would vanish in the maximum; no number hides in a loss.
    return real_part + torch.where(gap.isfinite(), gap.clamp(min=0), torch.nan)


def cvar(losses: Tensor, alpha: float) -> Tensor:
    r"""Conditional value at risk: the mean of the worst share :math:`\alpha` of the losses.

    .. math:: \min_\eta\ \eta+\frac1{\alpha n}\sum_{i=1}^n[\ell_i-\eta]_+
              = \frac1{\alpha n}\sum_{k=1}^n\min\{1,\max\{0,\alpha n-k+1\}\}\,\ell_{(k)}

    with the losses sorted from the largest: the right side needs no search, and the last of the worst counts in part
    (Rockafellar and Uryasev 2002; Williamson and Menon 2019 of groups; (2a) and (2b) of the Hanyang report).

    Parameters
    ----------
    losses : Tensor float [N]
        At least one.
    alpha : float
        In (0, 1]; 1 gives the mean, 1/N or less the largest.

    Returns
    -------
    Tensor, scalar
        In the losses' dtype; computed in float32 for half precision.

    Raises
    ------
    ValueError
        For another shape, no loss, or an alpha outside (0, 1].

    Examples
    --------
    >>> cvar(torch.tensor([4.0, 1.0, 2.0, 1.0]), 0.375).item()  # the worst one and a half
    3.3333332538604736
    """
    require(losses.ndim == 1 and losses.is_floating_point() and len(losses), "losses", losses, "float [N] with N >= 1")
    within("alpha", alpha, "(0, 1]")
    share, single = alpha * len(losses), at_least_single(losses)
    weight = (share - torch.arange(len(losses), device=losses.device, dtype=single.dtype)).clamp(0, 1)
    return (single.sort(descending=True).values @ weight / weight.sum()).to(losses.dtype)


def nested_cvar(losses: Tensor, groups: Tensor, alpha: float, alpha_within: float) -> Tensor:
    r"""The bi-level fair loss of Lin et al. (CVPR 2024): the CVaR over groups of the CVaR within each group.

    Parameters
    ----------
    losses : Tensor float [N]
    groups : Tensor of int [N]
        Which group each loss belongs to; groups that do not occur are left out, as in the public code.
    alpha, alpha_within : float
        Shares over groups and within a group, in (0, 1]; the public code has 0.5 and 0.9.

    Examples
    --------
    >>> nested_cvar(torch.tensor([1.0, 3.0, 5.0, 7.0]), torch.tensor([0, 0, 1, 1]), 0.5, 1.0).item()
    6.0
    """
    require(groups.shape == losses.shape, "groups", groups, f"that of the losses, {tuple(losses.shape)}")
    return cvar(torch.stack([cvar(losses[groups == g], alpha_within) for g in groups.unique()]), alpha)
