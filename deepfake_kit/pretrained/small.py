"""Small networks rebuilt from what their publishers describe: face-api's three, and RivaGAN's watermark.

The names of the layers are the publishers'. What a network of faces may be used for stands in ``registry.yml``:
attributes to audit the network itself, in aggregates; the embedder on drawn and generated faces only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EXPRESSIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")


def _padded(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """TensorFlow's "same": of an odd number of pixels the greater half stands at the end."""
    pads = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in (x.shape[3], x.shape[2])]
    return F.pad(x, [part for pad in pads for part in (pad // 2, pad - pad // 2)], value=value)


class _Same(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(_padded(x, self.kernel_size[0], self.stride[0]))


def _separable(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    depthwise = _Same(inside, inside, 3, stride, groups=inside, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(inside, outside, 1))


class _Dense(nn.Module):
    """Four convolutions, each of which sees the sum of all before it."""

    def __init__(self, inside: int, outside: int, first: bool = False):
        super().__init__()
        self.conv0 = _Same(inside, outside, 3, 2) if first else _separable(inside, outside, 2)
        self.conv1, self.conv2, self.conv3 = (_separable(outside, outside) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        total = F.relu(self.conv0(x))
        for conv in (self.conv1, self.conv2, self.conv3):
            total = total + conv(F.relu(total))
        return F.relu(total)


class _Reduction(nn.Module):
    def __init__(self, inside: int, outside: int, first: bool = False):
        super().__init__()
        self.separable_conv0, self.separable_conv1 = _separable(inside, outside), _separable(outside, outside)
        self.expansion_conv, self.first = nn.Conv2d(inside, outside, 1, 2), first

    def forward(self, x: Tensor) -> Tensor:
        out = self.separable_conv1(F.relu(self.separable_conv0(x if self.first else F.relu(x))))
        return F.max_pool2d(_padded(out, 3, 2, -torch.inf), 3, 2) + self.expansion_conv(x)


class _Main(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.separable_conv0, self.separable_conv1, self.separable_conv2 = (_separable(width, width) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for conv in (self.separable_conv0, self.separable_conv1, self.separable_conv2):
            out = conv(F.relu(out))
        return x + out


class FaceAttributes(nn.Module):
    """face-api's guesses at age, gender and expression: an instrument under audit, never a statement about a person.

    Called with prepared faces [N,3,112,112], it returns ``age`` [N] in years, ``male`` [N] in [0,1] (what the network
    calls so) and ``expression`` [N,7] in the order of ``EXPRESSIONS``, rows of sum one.
    """

    def __init__(self):
        super().__init__()
        blocks = {"conv_in": _Same(3, 32, 3, 2), "reduction_block_0": _Reduction(32, 64, first=True)}
        self.entry_flow = nn.ModuleDict(blocks | {"reduction_block_1": _Reduction(64, 128)})
        self.middle_flow = nn.ModuleDict({f"main_block_{i}": _Main(128) for i in range(2)})
        self.exit_flow = nn.ModuleDict(
            {"reduction_block": _Reduction(128, 256), "separable_conv": _separable(256, 512)}
        )
        self.fc = nn.ModuleDict({"age": nn.Linear(512, 1), "gender": nn.Linear(512, 2)})
        self.dense = nn.Sequential(_Dense(3, 32, first=True), _Dense(32, 64), _Dense(64, 128), _Dense(128, 256))
        self.expression = nn.Linear(256, 7)

    def forward(self, faces: Tensor) -> dict[str, Tensor]:
        x = F.relu(self.entry_flow["conv_in"](faces))
        for flow in (self.entry_flow, self.middle_flow, self.exit_flow):
            for name, block in flow.items():
                x = x if name == "conv_in" else block(x)
        pooled = F.relu(x).mean((2, 3))
        return {
            "age": self.fc["age"](pooled).squeeze(1),
            "male": self.fc["gender"](pooled).softmax(1)[:, 0],
            "expression": self.expression(self.dense(faces).mean((2, 3))).softmax(1),
        }


class _Residual(nn.Module):
    """Two convolutions beside a short cut; `down` halves the side, widening fills the short cut up with zeros."""

    def __init__(self, inside: int, outside: int, down: bool = False):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, 2 if down else 1, padding=0 if down else 1)
        self.conv2, self.down = nn.Conv2d(outside, outside, 3, padding=1), down

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(F.relu(self.conv1(x)))
        if self.down:
            x = F.avg_pool2d(x, 2)
            x = F.pad(x, (0, 0, 0, 0, 0, out.shape[1] - x.shape[1]))
            out = F.pad(out, (0, x.shape[3] - out.shape[3], 0, x.shape[2] - out.shape[2]))
        return F.relu(x + out)


class FaceEmbedder(nn.Module):
    """face-api's face recognition network: prepared faces [N,3,150,150] to [N,128]; drawn and generated faces only.

    Its authors take two faces at a Euclidean distance below 0.6 for one person's.
    """

    def __init__(self):
        super().__init__()
        self.conv32_down = nn.Conv2d(3, 32, 7, 2)
        width = 32
        for outside, count in ((32, 3), (64, 3), (128, 2), (256, 2)):
            if outside > 32:
                self.add_module(f"conv{outside}_down", _Residual(width, outside, down=True))
            for i in range(count):
                self.add_module(f"conv{outside}_{i + 1}", _Residual(outside, outside))
            width = outside
        self.conv256_down_out = _Residual(256, 256, down=True)
        self.fc = nn.Linear(256, 128, bias=False)

    def forward(self, faces: Tensor) -> Tensor:
        first, *blocks, last = self.children()
        x = F.max_pool2d(F.relu(first(faces)), 3, 2)
        for block in blocks:
            x = block(x)
        return last(x.mean((2, 3)))


def _pair(inside: int, outside: int) -> list[nn.Module]:
    return [nn.Conv2d(inside, 32, 11, padding=5), nn.Tanh(), nn.BatchNorm2d(32), nn.Conv2d(32, outside, 11, padding=5)]


def _attention() -> nn.Sequential:
    return nn.Sequential(*_pair(3, 32), nn.Tanh(), nn.BatchNorm2d(32), nn.Softmax(1))


class Watermark(nn.Module):
    """RivaGAN: 32 bits hidden in an image, and read again. An attention map says which bit goes where.

    Inside, the channels stand as blue, green, red, the order in which its publishers give it pictures.
    """

    bits, threshold, strength = 32, 0.52, 0.016

    def __init__(self):
        super().__init__()
        self.encoder = nn.ModuleDict({"attention": _attention(), "conv": nn.Sequential(*_pair(4, 3))})
        self.decoder = nn.ModuleDict({"attention": _attention(), "conv": nn.Sequential(*_pair(3, 32))})

    def encode(self, images: Tensor, bits: Tensor) -> Tensor:
        """RGB images [N,3,H,W] in [0,1] with `bits` [N,32] of 0 and 1 hidden in them, in [0,1]."""
        x = 2 * images.flip(1) - 1
        spread = (self.encoder["attention"](x) * (2 * bits - 1)[:, :, None, None]).sum(1, keepdim=True)
        marked = x + self.strength * torch.tanh(self.encoder["conv"](torch.cat([x, spread], 1)))
        return ((marked + 1) / 2).clamp(0, 1).flip(1)

    def decode(self, images: Tensor) -> Tensor:
        """A score for each bit, [N,32]; above `threshold` it is read as 1."""
        x = 2 * images.flip(1) - 1
        return (self.decoder["conv"](x) * self.decoder["attention"](x)).mean((2, 3))


class _Styled(nn.Module):
    """A convolution at a mirrored edge, instance norm, and the style's own scale and shift."""

    def __init__(self, inside: int, outside: int, side: int, stride: int = 1):
        super().__init__()
        self.w, self.stride = nn.Parameter(torch.zeros(outside, inside, side, side)), stride
        self.norm = nn.ParameterDict({name: torch.zeros(26, outside) for name in ("gamma", "beta")})

    def forward(self, x: Tensor, style: int) -> Tensor:
        x = F.conv2d(F.pad(x, [self.w.shape[-1] // 2] * 4, "reflect"), self.w, stride=self.stride)
        return F.instance_norm(x) * self.norm["gamma"][style][:, None, None] + self.norm["beta"][style][:, None, None]


class Stylist(nn.Module):
    """One network for 26 styles (Dumoulin et al. 2017): images [N,3,H,W] in [0,1] painted in one of them, in [0,1]."""

    def __init__(self):
        super().__init__()
        self.contract = nn.ModuleList([_Styled(3, 32, 9), _Styled(32, 32, 3, 2), _Styled(32, 32, 3, 2)])
        self.res = nn.ModuleList(nn.ModuleList(_Styled(32, 32, 3) for _ in range(2)) for _ in range(6))
        self.expand = nn.ModuleList([_Styled(32, 8, 3), _Styled(8, 4, 3), _Styled(4, 3, 9)])

    def forward(self, images: Tensor, style: int = 0) -> Tensor:
        x = images
        for layer in self.contract:
            x = F.relu(layer(x, style))
        for first, second in self.res:
            x = x + second(F.relu(first(x, style)), style)
        for layer in self.expand[:2]:
            x = F.relu(layer(F.interpolate(x, scale_factor=2), style))
        return self.expand[2](x, style).sigmoid()
