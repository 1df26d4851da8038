r"""Networks for the edge: PhiNet, MicroNet-M1 and, to compare, ResNet50.

Each network maps images [N, 3, H, W] to one feature vector an image [N, width], without a classifier. PhiNet follows
Paissan et al., "PhiNets: a scalable backbone for low-power AI at the edge", 2022 (arXiv:2110.00337), MicroNet follows
Li et al., "MicroNet: improving image recognition with extremely low FLOPs", ICCV 2021 (arXiv:2108.05894). What the two
papers leave open was settled by the numbers of their public code; the docstrings name each such choice.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.valid import one_of, require, within


def expansion(block: int, layers: int, t0: float = 5.0, beta: float = 0.75) -> float:
    r"""Expansion factor of PhiNet's block n of N.

    .. math:: t = t_0\,\frac{(\beta-1)\,n+N}{N}

    (Paissan et al. 2022; Marogna's thesis, section 1.3.2.) Blocks count from 1, so :math:`t_0` itself never occurs.

    Raises
    ------
    ValueError
        If `block` is not between 0 and `layers`.

    Examples
    --------
    >>> [expansion(n, 8) for n in (0, 1, 8)]
    [5.0, 4.84375, 3.75]
    """
    require(layers >= 1 and 0 <= block <= layers, "block", f"{block} of {layers} layers", f"0 to {max(layers, 1)}")
    return t0 * ((beta - 1) * block + layers) / layers


def make_divisible(channels: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to a number of channels, never more than a tenth below it.

    Examples
    --------
    >>> make_divisible(26), make_divisible(18), make_divisible(2)
    (24, 24, 8)
    """
    require(divisor >= 1 and channels > 0, "channels, divisor", (channels, divisor), "more than 0, at least 1")
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


class SqueezeExcite(nn.Module):
    r"""Weigh each channel by a number in (0, 1) read from all channels' means (Hu et al. 2018).

    .. math:: y_c = x_c\;\sigma\big(W_2\,h(W_1\,\bar x)\big)_c

    without biases and with the hard swish :math:`h`, as in PhiNet's code.

    Examples
    --------
    >>> SqueezeExcite(8, 2)(torch.ones(1, 8, 4, 4)).shape
    torch.Size([1, 8, 4, 4])
    """

    def __init__(self, channels: int, squeezed: int):
        super().__init__()
        self.down = nn.Conv2d(channels, squeezed, 1, bias=False)
        self.up = nn.Conv2d(squeezed, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(F.hardswish(self.down(x.mean((2, 3), keepdim=True)))))


class PhiNetBlock(nn.Module):
    """Inverted residual block: widen (1x1), filter each channel (3x3), weigh the channels, narrow (1x1).

    The input is added to the output where both have one shape. Public code drops whole channels with probability 0.05
    before the 3x3 filters; the papers do not say so.

    Examples
    --------
    >>> block = PhiNetBlock(56, 56, factor=4.375)
    >>> sum(p.numel() for p in block.parameters()), block.skip
    (50952, True)
    """

    def __init__(self, c_in: int, c_out: int, factor: float, stride: int = 1, divisor: int = 8):
        super().__init__()
        wide = make_divisible(int(factor * c_in), divisor)
        self.skip = stride == 1 and c_in == c_out
        self.layers = nn.Sequential(
            nn.Conv2d(c_in, wide, 1, bias=False),
            _norm(wide),
            nn.Hardswish(),
            nn.Dropout2d(0.05),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            _norm(wide),
            nn.Hardswish(),
            SqueezeExcite(wide, make_divisible(max(1, int(wide / 6)), divisor)),
            nn.Conv2d(wide, c_out, 1, bias=False),
            _norm(c_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.skip else self.layers(x)


class PhiNet(nn.Module):
    """PhiNet's backbone, from images to one vector an image.

    Parameters
    ----------
    alpha : float
        Width: multiplies the channels 48 (stem), 24, 24, 48, 48, 96, 96, 192, 192, ... of the blocks.
    beta : float
        Shape: the last block's expansion factor is `beta` times `t0`.
    t0 : float
        Base expansion factor; see :func:`expansion`.
    layers : int
        Number N of blocks, at least 1. Blocks 1, 3, 5 and 7 halve the side.
    divisor : int
        Channels are rounded to multiples of it. Neither the paper's text nor the thesis names it; 8 gives the thesis'
        operation count.

    Attributes
    ----------
    width : int
        Length of the feature vector.

    Raises
    ------
    ValueError
        For factors that are not above 0 or no layers.

    Examples
    --------
    >>> net = PhiNet()
    >>> sum(p.numel() for p in net.parameters()), net.width
    (1039675, 208)
    """

    def __init__(self, alpha: float = 1.1, beta: float = 0.75, t0: float = 5, layers: int = 8, *, divisor: int = 8):
        super().__init__()
        for name, value in (("alpha", alpha), ("beta", beta), ("t0", t0), ("layers", layers)):
            within(name, value, "(0, inf]")

        def wide(base: int) -> int:
            return make_divisible(int(alpha * base), divisor)

        stem, first = wide(48), wide(24)
        self.stem = nn.Sequential(
            nn.ZeroPad2d((0, 1, 0, 1)),
            nn.Conv2d(3, 3, 3, 2, groups=3, bias=False),
            nn.Conv2d(3, stem, 1, bias=False),
            _norm(stem),
            nn.Hardswish(),
        )
        self.first = nn.Sequential(
            nn.Dropout2d(0.05),
            nn.Conv2d(stem, stem, 3, 1, 1, groups=stem, bias=False),
            _norm(stem),
            nn.Hardswish(),
            nn.Conv2d(stem, first, 1, bias=False),
            _norm(first),
        )
        blocks, channels = [], first
        for n in range(1, layers + 1):
            out = wide(24 * 2 ** (min((n - 1) // 2, 3)))
            blocks.append(
                PhiNetBlock(channels, out, expansion(n, layers, t0, beta), 2 if n in (1, 3, 5, 7) else 1, divisor)
            )
            channels = out
        self.blocks = nn.Sequential(*blocks)
        self.width = channels

    def forward(self, images: Tensor) -> Tensor:
        """Images float [N, 3, H, W], normalised as the caller likes, at least 2 pixels wide and high, to [N, width]."""
        require(min(images.shape[2:]) >= 2, "images", images, "[N, 3, H, W] of at least 2 x 2 pixels")
        return self.blocks(self.first(self.stem(images))).mean((2, 3))


def shift_channels(x: Tensor, groups: int) -> Tensor:
    """Channels moved by one group and, within its group, by one channel.

    Examples
    --------
    >>> shift_channels(torch.arange(6.).reshape(1, 6, 1, 1), 2).flatten().tolist()
    [4.0, 5.0, 3.0, 1.0, 2.0, 0.0]
    """
    n, c, h, w = x.shape
    require(groups >= 1 and not c % groups, "groups", groups, f"a divisor of the {c} channels")
    return x.reshape(n, groups, c // groups, h, w).roll((-1, -1), (1, 2)).reshape(n, c, h, w)


class DynamicShiftMax(nn.Module):
    r"""MicroNet's activation: the largest of K mixtures of a channel and its shifted neighbour.

    .. math:: y = \max_k\big[(a_k+\theta_{a,k})\,x + (b_k+\theta_{b,k})\,\tilde x\big],\qquad
              \theta = 4\,\big(\sigma_h(W_2\,\mathrm{relu}(W_1\bar x))-\tfrac12\big)

    (Li et al. 2021, Eq. 8 in words; :math:`\sigma_h` is the hard sigmoid, :math:`\tilde x` is :func:`shift_channels`,
    :math:`a=1`, :math:`b=0`.) The weights :math:`\theta` may be negative.

    Examples
    --------
    >>> DynamicShiftMax(8, groups=2, squeezed=4, fusions=1)(torch.ones(1, 8, 2, 2)).shape
    torch.Size([1, 8, 2, 2])
    """

    def __init__(self, channels: int, groups: int, squeezed: int, fusions: int = 2):
        super().__init__()
        self.groups, self.fusions = groups, fusions
        self.down, self.up = nn.Linear(channels, squeezed), nn.Linear(squeezed, 2 * fusions * channels)

    def forward(self, x: Tensor) -> Tensor:
        theta = 4 * (F.hardsigmoid(self.up(F.relu(self.down(x.mean((2, 3)))))) - 0.5)
        theta = theta.reshape(len(x), 2, self.fusions, x.shape[1], 1, 1)
        shifted = shift_channels(x, self.groups)
        return ((1 + theta[:, 0]) * x[:, None] + theta[:, 1] * shifted[:, None]).amax(1)


# Type, kernel, stride; channels in, hidden, out; groups of the first and of the last 1x1 and of the inner activations;
# reduction.
M1 = (
    ("A", 3, 2, 6, 24, 8, 0, 2, 0, 8),
    ("A", 3, 2, 8, 32, 16, 0, 4, 8, 8),
    ("A", 5, 2, 16, 64, 16, 0, 4, 16, 8),
    ("C", 5, 1, 16, 96, 32, 4, 4, 4, 8),
    ("C", 5, 2, 32, 192, 64, 8, 8, 8, 8),
    ("C", 3, 1, 64, 384, 96, 8, 8, 8, 16),
)
VARIANTS = {"m1": M1}


def micro_block(
    kind: str,
    kernel: int,
    stride: int,
    c_in: int,
    hidden: int,
    out: int,
    groups_in: int,
    groups_out: int,
    inner: int,
    reduction: int,
) -> nn.Sequential:
    """One of MicroNet's blocks: A widens inside the k x 1 and 1 x k filters, C before them with a grouped 1x1.

    Examples
    --------
    >>> sum(p.numel() for p in micro_block("C", 5, 1, 16, 96, 32, 4, 4, 4, 8).parameters())
    15904
    """
    one_of("kind", kind, ("A", "C"))

    def squeezed(channels: int, by: int) -> int:
        return make_divisible(max(1, channels // by), 4)

    if kind == "A":
        layers = _thin(c_in, 2 * c_in, hidden, kernel, stride)
        # The first block's inner activation is static in M1, so nothing has to be shuffled back.
        layers += (
            [
                DynamicShiftMax(hidden, inner, squeezed(hidden, reduction)),
                nn.ChannelShuffle(inner),
                nn.ChannelShuffle(hidden // 2),
            ]
            if inner
            else [nn.ReLU6(), nn.ChannelShuffle(6)]
        )
    else:
        layers = [
            nn.Conv2d(c_in, hidden, 1, groups=groups_in, bias=False),
            nn.BatchNorm2d(hidden),
            DynamicShiftMax(hidden, inner, squeezed(hidden, reduction)),
            nn.ChannelShuffle(inner),
            *_thin(hidden, hidden, hidden, kernel, stride),
            DynamicShiftMax(hidden, hidden // inner, squeezed(hidden, reduction)),
            nn.ChannelShuffle(hidden // 4),
        ]
    # The last activation of each block takes no maximum (K = 1).
    layers += [
        nn.Conv2d(hidden, out, 1, groups=groups_out, bias=False),
        nn.BatchNorm2d(out),
        DynamicShiftMax(out, groups_out, squeezed(out, reduction // 2), fusions=1),
        nn.ChannelShuffle(groups_out),
        nn.ChannelShuffle(out // 2),
    ]
    return nn.Sequential(*layers)


class MicroNet(nn.Module):
    """MicroNet's features: stem, six micro-blocks, a grouped 1x1 convolution, mean and hard swish.

    Parameters
    ----------
    variant : {"m1"}

    Attributes
    ----------
    width : int
        Length of the feature vector, 576.

    Raises
    ------
    ValueError
        For an unknown variant.

    Examples
    --------
    >>> net = MicroNet("m1")
    >>> sum(p.numel() for p in net.parameters()), net.width
    (258747, 576)
    """

    def __init__(self, variant: str = "m1"):
        super().__init__()
        blocks = VARIANTS[one_of("variant", variant, VARIANTS)]
        self.width = 576
        self.layers = nn.Sequential(
            nn.Conv2d(3, 3, (3, 1), (2, 1), (1, 0), bias=False),
            nn.BatchNorm2d(3),
            nn.Conv2d(3, 6, (1, 3), (1, 2), (0, 1), groups=3, bias=False),
            nn.BatchNorm2d(6),
            nn.ChannelShuffle(3),
            nn.ReLU6(),
            *(micro_block(*row) for row in blocks),
            nn.Conv2d(blocks[-1][5], self.width, 1, groups=12, bias=False),
            nn.BatchNorm2d(self.width),
            DynamicShiftMax(self.width, 12, self.width // 16, fusions=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images float [N, 3, H, W] to features [N, 576]."""
        return F.hardswish(F.relu6(self.layers(images)).mean((2, 3)))


def resnet50() -> nn.Module:
    """torchvision's ResNet50 without its classifier and without trained weights; 2048 features an image.

    Examples
    --------
    >>> with torch.device("meta"): net = resnet50()
    >>> sum(p.numel() for p in net.parameters()), net.width
    (23508032, 2048)
    """
    from deepfake_kit._compat import torchvision

    torchvision()
    from torchvision.models import resnet50 as build

    net = build(weights=None)
    net.width, net.fc = net.fc.in_features, nn.Identity()
    return net


def _norm(channels: int) -> nn.BatchNorm2d:
    # Public code sets momentum 0.999 in torch's sense, which keeps a thousandth of the history; see the chapter.
    return nn.BatchNorm2d(channels, eps=1e-3)


def _thin(c_in: int, middle: int, out: int, kernel: int, stride: int) -> list[nn.Module]:
    """k x 1 and 1 x k filters in place of k x k, each channel on its own (Li et al. 2021, micro-factorisation)."""
    half = kernel // 2
    return [
        nn.Conv2d(c_in, middle, (kernel, 1), (stride, 1), (half, 0), groups=c_in, bias=False),
        nn.BatchNorm2d(middle),
        nn.Conv2d(middle, out, (1, kernel), (1, stride), (0, half), groups=middle, bias=False),
        nn.BatchNorm2d(out),
    ]
