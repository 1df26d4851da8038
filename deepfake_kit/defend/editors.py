r"""Small attribute editors to attack: networks that recolour hair, age a face or put sunglasses on it.

Three designs keep what distinguishes the published ones: where the wish enters the network.
:class:`StarGAN` (Choi et al., CVPR 2018) reads it as extra input channels, :class:`StarGANv2` (Choi et al.,
CVPR 2020) as a style that sets mean and spread inside the decoder only, :class:`STGAN` (Liu et al., CVPR 2019)
as an attribute difference at every gated skip of a U-Net.

They are stand-ins in two respects. Drawn faces come with the *true* edited picture, so :func:`fit` minimises the
distance to it; the published editors have no such pairs and learn from a discriminator and a cycle instead. And all
three end in the same :func:`paint`, which leaves what need not change as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit import faces
from deepfake_kit.draws import seed_of
from deepfake_kit.faces.attributes import HAIR_STYLES
from deepfake_kit.faces.studio import portraits
from deepfake_kit.images import check_images, to_model, to_unit
from deepfake_kit.training import check_steps, fast_arithmetic, minimise, seeded
from deepfake_kit.valid import invalid, one_of

#: What each edit sets. Every face of :func:`pairs` begins young, dark-haired and without glasses.
EDITS = {
    "blond": {"hair_colour": "blond"},
    "old": {"age": 80.0, "hair_colour": "white"},
    "sunglasses": {"glasses": "sunglasses"},
}


@dataclass(frozen=True)
class Pairs:
    """Faces before and after each edit.

    ``before`` is float32 [N, 3, S, S] in [0, 1], ``after`` [N, 3 edits, 3, S, S], ``changed`` bool [N, 3 edits, S, S]:
    the pixels that the true edit changes; ``skin`` int64 [N], 1 (lightest) to 10 of the Monk scale.
    """

    before: Tensor
    after: Tensor
    changed: Tensor
    skin: Tensor

    def __len__(self) -> int:
        return len(self.before)


def pairs(n: int, seed: int, size: int = 32, start: int = 0) -> Pairs:
    """Draw young, dark-haired faces without glasses, and each of them after every edit.

    Parameters
    ----------
    n, seed, size, start : int
        As in :func:`deepfake_kit.faces.draw`; person i depends on the seed and i alone, so ranges of `start` that do
        not overlap share no person.

    Examples
    --------
    >>> pairs(2, seed=0).after.shape
    torch.Size([2, 3, 3, 32, 32])
    """
    index = np.arange(start, start + n)
    look = {
        "hair_colour": np.array(["black", "dark_brown", "brown"], dtype=object)[index % 3],
        "hair_style": np.array(HAIR_STYLES[2:], dtype=object)[index % 10],
        "age": 20.0 + index * 7 % 16,
    }
    before = portraits(n, seed, size, start=start, **look)
    after = []
    for change in EDITS.values():
        after.append(faces.render(before.attributes.assign(**change), before.identity, seed, size).images)
    stacked = torch.stack(after, dim=1)
    changed = (stacked - before.images[:, None]).abs().amax(dim=2) > 0.5 / 255
    return Pairs(before.images, stacked, changed, torch.tensor(before.attributes["skin_level"].to_numpy(np.int64)))


def paint(x: Tensor, raw: Tensor) -> Tensor:
    r"""What an editor shows, [N, 3, S, S] from five channels `raw` over its input `x` in [-1, 1]: it paints a colour
    with an opacity a, and lays k times the fine grain of the input over it.

    .. math:: x + a\,(\tanh c - x) + a\,k\,(x - \mathrm{blur}_5(x)),\qquad a = \sigma(r_4),\ k = r_5

    >>> paint(torch.zeros(1, 3, 8, 8), torch.full((1, 5, 8, 8), -50.0)).abs().max().item() < 1e-6
    True
    """
    opacity = torch.sigmoid(raw[:, 3:4])
    grain = x - F.avg_pool2d(x, 5, 1, 2, count_include_pad=False)
    return x + opacity * (torch.tanh(raw[:, :3]) - x + raw[:, 4:] * grain)


class _Editor(nn.Module):
    """What the three share: the condition of an edit, the last layer, and the range [0, 1] outside."""

    def head(self, width: int) -> nn.Conv2d:
        """The last layer, to the five channels of :func:`paint`; at first it paints little."""
        layer = _conv(width, 5)
        nn.init.normal_(layer.weight, std=0.02)
        nn.init.constant_(layer.bias, 0.0)
        nn.init.constant_(layer.bias[3], -1.0)
        return layer

    def forward(self, x: Tensor, wish: Tensor) -> Tensor:
        return paint(x, self.raw(x, wish).float())

    def edit(self, images: Tensor, attribute: str) -> Tensor:
        """Edit float images [N, 3, S, S] in [0, 1]; `attribute` is a name in :data:`EDITS`. Differentiable.

        Raises
        ------
        ValueError
            For an unknown edit, a wrong shape, or a side that is no multiple of 8.
        """
        one_of("attribute", attribute, EDITS)
        check_side(images)
        return to_unit(self(to_model(images), condition(attribute, len(images)).to(images)))


def check_side(images: Tensor, least: int = 8) -> None:
    """Refuse anything but float images [N, 3, S, S] in [0, 1] whose side three halvings divide."""
    check_images(images)
    if images.shape[-1] % 8 or images.shape[-1] < least:
        raise invalid("images", f"side {images.shape[-1]}", f"a multiple of 8 from {least} on")


def condition(attribute: str, n: int) -> Tensor:
    """The wish as a float tensor [n, 3]: 1 at the edit. Our faces begin with none of the attributes, so target and
    difference are the same vector.

    >>> condition("old", 1).tolist()
    [[0.0, 1.0, 0.0]]
    """
    row = torch.zeros(len(EDITS))
    row[list(EDITS).index(one_of("attribute", attribute, EDITS))] = 1
    return row.expand(n, -1)


def _conv(a: int, b: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(a, b, 4 if stride == 2 else 3, stride, 1)


def _norm(width: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(width, affine=True)


def stage(a: int, b: int, stride: int = 1, norm=_norm) -> list[nn.Module]:
    """A convolution [N, a, H, W] to [N, b, H / stride, W / stride], its norm, and the rectifier."""
    return [_conv(a, b, stride), norm(b), nn.ReLU()]


class Residual(nn.Module):
    """Two convolutions with norms, added to what went in."""

    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(_conv(width, width), _norm(width), nn.ReLU(), _conv(width, width), _norm(width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2)


class StarGAN(_Editor):
    """Condition as constant input channels; two halvings, residual blocks, two doublings; instance norm; no skips.

    `width` counts the channels at full resolution; there are four times as many in the middle.

    >>> StarGAN(4).edit(torch.zeros(1, 3, 16, 16), "old").shape
    torch.Size([1, 3, 16, 16])
    """

    def __init__(self, width: int = 16, blocks: int = 3):
        super().__init__()
        w = width
        self.down = nn.Sequential(*stage(3 + len(EDITS), w), *stage(w, 2 * w, 2), *stage(2 * w, 4 * w, 2))
        self.middle = nn.Sequential(*[Residual(4 * w) for _ in range(blocks)])
        self.up1 = nn.Sequential(*stage(4 * w, 2 * w))
        self.up2 = nn.Sequential(*stage(2 * w, w))
        self.out = self.head(w)

    def raw(self, x: Tensor, wish: Tensor) -> Tensor:
        planes = wish[:, :, None, None].expand(-1, -1, *x.shape[2:])
        h = self.middle(self.down(torch.cat([x, planes], dim=1)))
        return self.out(self.up2(_up(self.up1(_up(h)))))


class _Styled(nn.Module):
    """AdaIN, then ReLU and a convolution: the style sets mean and spread of every channel."""

    def __init__(self, a: int, b: int, style: int):
        super().__init__()
        self.affine = nn.Linear(style, 2 * a)
        self.conv = _conv(a, b)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.affine(style)[:, :, None, None].chunk(2, dim=1)
        return self.conv(F.relu(F.instance_norm(x) * (1 + scale) + shift))


class StarGANv2(_Editor):
    """Encoder that never sees the condition; a style made from it enters each decoder layer by AdaIN.

    One style for each edit; the random styles of the published network are left out.

    >>> StarGANv2(4).edit(torch.zeros(1, 3, 16, 16), "old").shape
    torch.Size([1, 3, 16, 16])
    """

    def __init__(self, width: int = 16, style: int = 16):
        super().__init__()
        w = width
        self.down = nn.Sequential(*stage(3, w), *stage(w, 2 * w, 2), *stage(2 * w, 4 * w, 2), Residual(4 * w))
        self.style = nn.Sequential(nn.Linear(len(EDITS), style), nn.ReLU(), nn.Linear(style, style))
        self.layers = nn.ModuleList(
            [_Styled(4 * w, 4 * w, style), _Styled(4 * w, 2 * w, style), _Styled(2 * w, w, style)]
        )
        self.out = _Styled(w, 5, style)
        self.out.conv = self.head(w)

    def raw(self, x: Tensor, wish: Tensor) -> Tensor:
        style = self.style(wish)
        h = self.layers[0](self.down(x), style)
        h = self.layers[2](_up(self.layers[1](_up(h), style)), style)
        return self.out(h, style)


class _Transfer(nn.Module):
    r"""Selective transfer unit: a gated skip, with the deeper state h and the wish d.

    .. math:: r, z = \sigma(W[f, \mathrm{up}(h), d]);\quad
        f' = (1-z)\,\mathrm{up}(h) + z\tanh(V[f, r\,\mathrm{up}(h)])

    Liu et al. 2019, Eqs. (1) to (6).
    """

    def __init__(self, skip: int, deep: int):
        super().__init__()
        self.reduce = _conv(deep + len(EDITS), skip)
        self.gates = _conv(2 * skip, 2 * skip)
        self.mix = _conv(2 * skip, skip)

    def forward(self, skip: Tensor, deep: Tensor, wish: Tensor) -> Tensor:
        planes = wish[:, :, None, None].expand(-1, -1, *deep.shape[2:])
        state = _up(self.reduce(torch.cat([deep, planes], dim=1)))
        reset, gate = torch.sigmoid(self.gates(torch.cat([skip, state], dim=1))).chunk(2, dim=1)
        return (1 - gate) * state + gate * torch.tanh(self.mix(torch.cat([skip, reset * state], dim=1)))


class STGAN(_Editor):
    """U-Net of three halvings with batch norm; the wish enters at the bottom and in gated skips.

    >>> STGAN(4).eval().edit(torch.zeros(1, 3, 16, 16), "old").shape
    torch.Size([1, 3, 16, 16])
    """

    def __init__(self, width: int = 16):
        super().__init__()
        w = width
        self.e1 = nn.Sequential(_conv(3, w), nn.BatchNorm2d(w), nn.ReLU())
        self.e2 = nn.Sequential(_conv(w, 2 * w, 2), nn.BatchNorm2d(2 * w), nn.ReLU())
        self.e3 = nn.Sequential(_conv(2 * w, 4 * w, 2), nn.BatchNorm2d(4 * w), nn.ReLU())
        self.e4 = nn.Sequential(_conv(4 * w, 4 * w, 2), nn.BatchNorm2d(4 * w), nn.ReLU())
        self.t3, self.t2, self.t1 = _Transfer(4 * w, 4 * w), _Transfer(2 * w, 4 * w), _Transfer(w, 2 * w)
        self.d3 = nn.Sequential(_conv(8 * w + len(EDITS), 4 * w), nn.BatchNorm2d(4 * w), nn.ReLU())
        self.d2 = nn.Sequential(_conv(6 * w, 2 * w), nn.BatchNorm2d(2 * w), nn.ReLU())
        self.d1 = nn.Sequential(_conv(3 * w, w), nn.BatchNorm2d(w), nn.ReLU())
        self.out = self.head(w)

    def raw(self, x: Tensor, wish: Tensor) -> Tensor:
        f1 = self.e1(x)
        f2 = self.e2(f1)
        f3 = self.e3(f2)
        f4 = self.e4(f3)
        planes = wish[:, :, None, None].expand(-1, -1, *f4.shape[2:])
        s3 = self.t3(f3, f4, wish)
        s2 = self.t2(f2, s3, wish)
        h = self.d3(torch.cat([_up(torch.cat([f4, planes], dim=1)), s3], dim=1))
        h = self.d2(torch.cat([_up(h), s2], dim=1))
        h = self.d1(torch.cat([_up(h), self.t1(f1, s2, wish)], dim=1))
        return self.out(h)


#: The three designs by name.
DESIGNS = {"StarGAN": StarGAN, "StarGANv2": StarGANv2, "STGAN": STGAN}


def new_editor(design: str, width: int = 16, generator: torch.Generator | None = None) -> _Editor:
    """A fresh editor whose weights come from `generator`; the global random state is left as it was.

    >>> new_editor("STGAN", width=4).training
    True
    """
    one_of("design", design, DESIGNS)
    with seeded(seed_of(generator)):
        return DESIGNS[design](width)


def fit(
    editor: nn.Module,
    drawn: Pairs,
    steps: int,
    batch_size: int = 16,
    lr: float = 2e-3,
    generator: torch.Generator | None = None,
) -> list[float]:
    r"""Train on pairs by the mean :math:`|\mathrm{editor}(x, c) - y_c|`, the pixels that the true edit changes counted
    once more for themselves, so that a small edit is not forgotten; returns the loss of each step.

    Parameters
    ----------
    editor : StarGAN, StarGANv2 or STGAN
        Changed in place, and left frozen and in evaluation mode.
    drawn : Pairs
    steps, batch_size : int
    lr : float
        Adam's highest step size; half a cosine down to zero.
    generator : torch.Generator, optional
        Chooses faces and edits.

    Raises
    ------
    ValueError
        For steps or a batch size below 1, or a side that is no multiple of 8.
    """
    check_steps(steps, batch_size)
    check_side(drawn.before)
    editor.train().requires_grad_(True)
    optimizer = torch.optim.Adam(editor.parameters(), lr=lr, betas=(0.9, 0.99))
    wishes = torch.eye(len(EDITS))

    def loss(step: int) -> Tensor:
        who = torch.randint(len(drawn), (batch_size,), generator=generator)
        edit = torch.randint(len(EDITS), (batch_size,), generator=generator)
        x, y, mask = to_model(drawn.before[who]), to_model(drawn.after[who, edit]), drawn.changed[who, edit][:, None]
        if torch.rand((), generator=generator) < 0.5:
            x, y, mask = x.flip(-1), y.flip(-1), mask.flip(-1)
        with fast_arithmetic():
            gap = (editor(x, wishes[edit]) - y).abs()
        share = mask.float().mean((1, 2, 3)).clamp(min=0.02)
        return gap.mean() + ((gap * mask).mean((1, 2, 3)) / share).mean()

    losses = minimise(loss, optimizer, steps, schedule="cosine", clip=5.0)
    editor.eval().requires_grad_(False)
    return losses
