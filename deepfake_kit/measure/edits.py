r"""How far an edit was broken: distances between an edited face and a reference, as printed and as meant.

Yang et al. (2024) measure from the *unedited input*. The field (Ruiz et al. 2020, CMUA-Watermark 2022) measures from
the *edit of the unprotected face*, as a mean square on [-1, 1]. Images are float [N, C, H, W] in [0, 1] throughout.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepfake_kit.valid import finite, require

#: The field's threshold of :func:`mean_square` above which an edit counts as broken; 28.5 grey levels RMS.
BROKEN = 0.05


def _difference(a: Tensor, b: Tensor) -> Tensor:
    """a - b, in at least float32, of two finite batches of one shape."""
    require(a.ndim == 4 and a.shape == b.shape, "images", (a, b), "two equal [N, C, H, W]")
    single = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    return finite("images", a).to(single) - finite("images", b).to(single)


def _mask(a: Tensor, mask: Tensor) -> Tensor:
    wanted = (len(a), *a.shape[2:])
    require(mask.dtype == torch.bool and mask.shape == wanted, "mask", mask, f"torch.bool {wanted}")
    return mask[:, None].to(a.dtype)


def pixel_distance(a: Tensor, b: Tensor) -> Tensor:
    r"""Pixel distance as printed, one number [N] an image: no division by the number of values.

    .. math:: d_{pix}=\sqrt{\textstyle\sum_i (a_i-b_i)^2}

    Yang et al. 2024, Eq. (19).

    Raises
    ------
    ValueError
        If the two batches are not finite [N, C, H, W] of one shape.

    Examples
    --------
    >>> pixel_distance(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5)).item() == 3**0.5
    True
    """
    return _difference(a, b).double().square().sum((1, 2, 3)).sqrt()


def mask_distance(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    r"""Mask distance as printed, [N]: :func:`pixel_distance` over the pixels where the mask is True.

    .. math:: d_M=\sqrt{\textstyle\sum_i M_i(a_i-b_i)^2}

    Yang et al. 2024, Eq. (20). `mask` is bool [N, H, W].

    Raises
    ------
    ValueError
        For unequal shapes, values that are not finite, or a mask of another shape or type.

    Examples
    --------
    >>> x = torch.ones(1, 1, 2, 2)
    >>> mask_distance(x, 0 * x, torch.tensor([[[True, False], [False, False]]])).tolist()
    [1.0]
    """
    change = _difference(a, b)
    return (_mask(change, mask) * change.double().square()).sum((1, 2, 3)).sqrt()


def mean_square(a: Tensor, b: Tensor) -> Tensor:
    r"""Mean square on [-1, 1], [N]: what the field calls :math:`L_2`; 4 times that of values in [0, 1].

    .. math:: \tfrac1n\textstyle\sum_i \big(2a_i-2b_i\big)^2

    Ruiz et al. 2020.

    Raises
    ------
    ValueError
        If the two batches are not finite [N, C, H, W] of one shape.

    Examples
    --------
    >>> mean_square(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5)).tolist()
    [1.0]
    """
    return 4 * _difference(a, b).square().mean((1, 2, 3))


def masked_mean_square(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    r"""Mean square on [-1, 1] over the pixels of a mask bool [N, H, W], [N]; not a number where the mask is empty.

    .. math:: \textstyle\sum_i M_i\,(2a_i-2b_i)^2 \big/ \sum_i M_i

    Huang et al. 2022 (CMUA-Watermark).

    Raises
    ------
    ValueError
        For unequal shapes, values that are not finite, or a mask of another shape or type.

    Examples
    --------
    >>> x = torch.ones(1, 3, 2, 2)
    >>> masked_mean_square(x, 0 * x, torch.tensor([[[True, False], [False, False]]])).tolist()
    [4.0]
    """
    change = _difference(a, b)
    m = _mask(change, mask)
    return (m * 4 * change.square()).sum((1, 2, 3)) / (a.shape[1] * m.sum((1, 2, 3)))


def edit_mask(edit: Tensor, images: Tensor) -> Tensor:
    r"""Where an edit changes the picture, bool [N, H, W]: :math:`\sum_c |{\rm edit}-x| > 0.5` on [-1, 1].

    Huang et al. 2022 (CMUA-Watermark).

    Examples
    --------
    >>> edit_mask(torch.full((1, 3, 1, 1), 0.1), torch.zeros(1, 3, 1, 1)).tolist()
    [[[True]]]
    """
    return 2 * _difference(edit, images).abs().sum(1) > 0.5
