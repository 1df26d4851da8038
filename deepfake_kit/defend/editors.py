r"""Small attribute editors to attack: networks that recolour hair, age a face or put sunglasses on it.

Three designs keep what distinguishes the published ones: where the wish enters the network.
:class:`StarGAN` (Choi et al., CVPR 2018) reads it as extra input channels, :class:`StarGANv2` (Choi et al.,
CVPR 2020) as a style that sets mean and spread inside the decoder only, :class:`STGAN` (Liu et al., CVPR 2019)
as an attribute difference at every gated skip of a U-Net.

They are stand-ins in one respect: drawn faces come with the *true* edited picture, so :func:`fit` minimises the
distance to it. The published editors have no such pairs and learn from a discriminator and a cycle instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit import faces
from deepfake_kit.faces.attributes import HAIR_STYLES
from deepfake_kit.faces.studio import portraits
from deepfake_kit.images import check_images, to_model, to_unit
from deepfake_kit.training import check_steps, minimise, seeded
from deepfake_kit.valid import one_of

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
    the pixels that the true edit changes.
    """

    before: Tensor
    after: Tensor
    changed: Tensor

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
    return Pairs(before.images, stacked, (stacked - before.images[:, None]).abs().amax(dim=2) > 0.5 / 255)


class _Editor(nn.Module):
    """What the three share: the condition of an edit, and the range [0, 1] outside."""

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
        raise ValueError(f"images: got side {images.shape[-1]}; valid: a multiple of 8 from {least} on")


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

    Parameters
    ----------
    width : int
        Channels at full resolution; four times as many in the middle.

    Examples
    --------
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
        self.out = _conv(w, 3)

    def forward(self, x: Tensor, wish: Tensor) -> Tensor:
        planes = wish[:, :, None, None].expand(-1, -1, *x.shape[2:])
        h = self.middle(self.down(torch.cat([x, planes], dim=1)))
        return torch.tanh(self.out(self.up2(_up(self.up1(_up(h))))))


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

    Examples
    --------
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
        self.out = _Styled(w, 3, style)

    def forward(self, x: Tensor, wish: Tensor) -> Tensor:
        style = self.style(wish)
        h = self.layers[0](self.down(x), style)
        h = self.layers[2](_up(self.layers[1](_up(h), style)), style)
        return torch.tanh(self.out(h, style))


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

    Examples
    --------
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
        self.out = _conv(w, 3)

    def forward(self, x: Tensor, wish: Tensor) -> Tensor:
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
        return torch.tanh(self.out(h))


#: The three designs by name.
DESIGNS = {"StarGAN": StarGAN, "StarGANv2": StarGANv2, "STGAN": STGAN}


def new_editor(design: str, width: int = 16, seed: int = 0) -> _Editor:
    """A fresh editor whose weights come from `seed`; the global random state is left as it was.

    >>> type(new_editor("STGAN", width=4)).__name__
    'STGAN'
    """
    one_of("design", design, DESIGNS)
    with seeded(seed):
        return DESIGNS[design](width)


def fit(
    editor: nn.Module,
    drawn: Pairs,
    steps: int,
    batch_size: int = 16,
    lr: float = 2e-3,
    generator: torch.Generator | None = None,
) -> list[float]:
    r"""Train on pairs by :math:`\lVert \mathrm{editor}(x, c) - y_c\rVert_1`; returns the loss of each step.

    Parameters
    ----------
    editor : StarGAN, StarGANv2 or STGAN
        Changed in place, and left frozen and in evaluation mode.
    drawn : Pairs
    steps, batch_size : int
        At least 1.
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
        return F.l1_loss(editor(to_model(drawn.before[who]), wishes[edit]), to_model(drawn.after[who, edit]))

    losses = minimise(loss, optimizer, steps, schedule="cosine")
    editor.eval().requires_grad_(False)
    return losses


class EditProbe(nn.Module):
    """Reads which edits a face shows, as logits [N, 3] from images [N, 3, S, S] in [0, 1]; independent of any editor.

    >>> EditProbe()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 3])
    """

    def __init__(self, width: int = 12):
        super().__init__()
        widths = ((3, width), (width, 2 * width), (2 * width, 4 * width))
        layers = [layer for a, b in widths for layer in (_conv(a, b, 2), nn.ReLU())]
        end = (nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64 * width, len(EDITS)))
        self.body = nn.Sequential(*layers, *end)

    def forward(self, images: Tensor) -> Tensor:
        return self.body(to_model(images))


def fit_probe(drawn: Pairs, steps: int, batch_size: int = 32, seed: int = 0) -> EditProbe:
    """Train a probe on drawn faces, half of them before and half after an edit; it never sees an editor's output.

    Raises
    ------
    ValueError
        For steps or a batch size below 1.
    """
    check_steps(steps, batch_size)
    generator = torch.Generator().manual_seed(seed)
    with seeded(seed):
        probe = EditProbe()
    optimizer = torch.optim.AdamW(probe.parameters(), lr=3e-3, weight_decay=0.02)

    def loss(step: int) -> Tensor:
        who = torch.randint(len(drawn), (batch_size,), generator=generator)
        edit = torch.randint(len(EDITS), (batch_size,), generator=generator)
        edited = torch.rand(batch_size, generator=generator) < 0.5
        x = torch.where(edited[:, None, None, None], drawn.after[who, edit], drawn.before[who])
        x = (x + 0.03 * torch.randn(x.shape, generator=generator)).clamp(0, 1)
        truth = F.one_hot(edit, len(EDITS)).float() * edited[:, None]
        return F.binary_cross_entropy_with_logits(probe(x), truth)

    minimise(loss, optimizer, steps)
    return probe.eval().requires_grad_(False)
