r"""A small detector built like that of Lin et al., "Preserving fairness generalization in deepfake detection" (2024).

Three encoders look at a picture for forgery, content and group; a decoder puts pictures together again from parts that
were exchanged; the score is read from the forgery features after AdaIN with the group's. Sizes are ours (theirs: three
Xceptions); the order of the operations is that of the public code, ``training/detectors/fair_df_detector.py`` in
Purdue-M2/Fairness-Generalization at commit e552a54, and the lines are named where they matter.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.detect.losses import nested_cvar
from deepfake_kit.images import to_model
from deepfake_kit.training import initialise
from deepfake_kit.valid import invalid, one_of

#: How the map that the score is read from is made of the forgery map f and the group map d.
FUSIONS = ("none", "published", "exchanged", "conv", "concat")
KINDS = ("separable", "inverted", "full")
#: Weights of the losses beside the fused one (lines 268 and 269).
WEIGHTS = {"common": 1.0, "specific": 0.1, "reconstruction": 0.3, "contrast": 0.05, "group": 0.1}


def adain(x: Tensor, y: Tensor, eps: float = 1e-5) -> Tensor:
    r"""Give map x the channel means and deviations of map y (lines 450 to 473).

    .. math:: \mathrm{AdaIN}(x,y)=\sigma(y)\,\frac{x-\mu(x)}{\sigma(x)}+\mu(y)

    Parameters
    ----------
    x, y : Tensor float [N, C, H, W]

    Examples
    --------
    >>> x, y = torch.rand(2, 2, 3, 4, 4)
    >>> torch.allclose(adain(x, y).mean((2, 3)), y.mean((2, 3)), atol=1e-6)
    True
    """
    spread = (y.var((2, 3), keepdim=True) + eps).sqrt()
    return F.instance_norm(x, eps=eps) * spread + y.mean((2, 3), keepdim=True)


def convolution(c_in: int, c_out: int, stride: int = 1, kind: str = "separable") -> nn.Sequential:
    """A 3x3 convolution of one of three kinds, with group norm and leaky rectifier.

    "separable" as in Xception, "inverted" (to twice the channels and back) as in EfficientNet, "full" as in ResNet.

    Examples
    --------
    >>> [sum(p.numel() for p in convolution(24, 24, kind=kind).parameters()) for kind in KINDS]
    [840, 2784, 5232]
    """
    wide = {"separable": c_in, "inverted": 2 * c_in, "full": 0}[one_of("kind", kind, KINDS)]
    layers = [nn.Conv2d(c_in, wide, 1, bias=False)] if kind == "inverted" else []
    layers += [nn.Conv2d(wide or c_in, wide or c_out, 3, stride, 1, groups=wide or 1, bias=False)]
    layers += [nn.Conv2d(wide, c_out, 1, bias=False)] if wide else []
    return nn.Sequential(*layers, nn.GroupNorm(4, c_out), nn.LeakyReLU(0.1))


class HighPass(nn.Module):
    """What a pixel has beyond the mean of its 3 x 3 neighbourhood, eight times: the traces without the picture."""

    def forward(self, x: Tensor) -> Tensor:
        return 8 * (x - F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, 1))


class Size(nn.Module):
    """Absolute values: traces have no sign."""

    def forward(self, x: Tensor) -> Tensor:
        return x.abs()


def encoder(width: int, kind: str = "separable", high_pass: bool = False) -> nn.Sequential:
    """Pictures [N, 3, S, S] to maps [N, width, S/8, S/8]: squares of 4 x 4 pixels become channels first.

    Examples
    --------
    >>> encoder(24, high_pass=True)(torch.rand(1, 3, 64, 64)).shape
    torch.Size([1, 24, 8, 8])
    """
    stem = [nn.PixelUnshuffle(4), nn.Conv2d(48, width, 1), Size() if high_pass else nn.LeakyReLU(0.1)]
    stem = [HighPass(), *stem] if high_pass else stem
    return nn.Sequential(*stem, convolution(width, width, kind=kind), convolution(width, width, 2, kind))


def block(c_in: int, c_out: int) -> nn.Sequential:
    """Two 1x1 convolutions with a rectifier between (lines 554 to 565 have three)."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1), nn.LeakyReLU(0.1), nn.Conv2d(c_out, c_out, 1))


class FairDetector(nn.Module):
    """Three encoders, the blocks and heads of the published method, and a decoder, small.

    Parameters
    ----------
    groups, forgers : int
        How many groups there are, and kinds of forgery.
    width : int
        Channels of each map, a multiple of 8.
    fusion : {"none", "published", "exchanged", "conv", "concat"}
        "none" reads the score from the forgery map; "published" from AdaIN(d, f), pooled; "exchanged" from AdaIN(f, d).
        The two repairs: "conv" puts a block between AdaIN and pooling, "concat" pools both maps and joins them.
    disentangle : bool
        Without it there is one encoder, one block and one head.
    kind : {"separable", "inverted", "full"}
        Convolutions of the encoders.
    generator : torch.Generator, optional
        Of the first weights.

    Examples
    --------
    >>> net = FairDetector(groups=14, forgers=3, fusion="published")
    >>> {name: tuple(x.shape) for name, x in net(torch.rand(2, 3, 64, 64)).items() if name in ("score", "group")}
    {'score': (2,), 'group': (2, 14)}
    """

    def __init__(
        self,
        groups: int,
        forgers: int = 1,
        width: int = 24,
        fusion: str = "none",
        disentangle: bool = True,
        kind: str = "separable",
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.fusion, self.disentangle, self.forgers = one_of("fusion", fusion, FUSIONS), disentangle, forgers
        half = width // 2
        self.forgery, self.shared = encoder(width, kind, high_pass=True), block(width, half)
        self.head = nn.Linear(2 * half if fusion == "concat" else half, 1)
        if disentangle:
            self.content, self.people = encoder(width, kind), encoder(width, kind)
            self.specific, self.group = block(width, half), block(width, half)
            self.head_common = nn.Linear(half, 1)
            self.head_specific, self.head_group = nn.Linear(half, forgers + 1), nn.Linear(half, groups)
            self.up, self.last = convolution(width, half), nn.Conv2d(half, 12, 1)
        if fusion == "conv":
            self.fused = block(half, half)
        initialise(self, generator)

    def fuse(self, f: Tensor, d: Tensor | None) -> Tensor:
        """From forgery and group maps [N, C, H, W] to what the head reads, [N, C] (line 343, and 568 to 582)."""
        if self.fusion == "none":
            return f.mean((2, 3))
        if self.fusion == "concat":
            return torch.cat([f.mean((2, 3)), d.mean((2, 3))], 1)
        fused = adain(f, d) if self.fusion == "exchanged" else adain(d, f)
        return (self.fused(fused) if self.fusion == "conv" else fused).mean((2, 3))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Pictures float [N, 3, S, S] in [0, 1] to the score, logit of fake [N], and, if disentangled, all the rest."""
        x = to_model(images)
        f = self.forgery(x)
        shared = self.shared(f)
        if not self.disentangle:
            return {"score": self.head(self.fuse(shared, None))[:, 0], "common": shared.mean((2, 3))}
        content, people = self.content(x), self.people(x)
        specific, d = self.specific(f), self.group(people)
        common = shared.mean((2, 3))
        return {
            "score": self.head(self.fuse(shared, d))[:, 0],
            "common": common,
            "specific": specific.mean((2, 3)),
            "content": content.mean((2, 3)),
            "people": d.mean((2, 3)),
            "common score": self.head_common(common)[:, 0],
            "forger": self.head_specific(specific.mean((2, 3))),
            "group": self.head_group(d.mean((2, 3))),
            "maps": torch.stack([torch.cat([specific, shared], 1), content, people]),
        }

    def decode(self, f: Tensor, style: Tensor) -> Tensor:
        """A picture of half the side from a forgery map and AdaIN(people, content) (lines 510 to 535)."""
        x = self.up(F.interpolate(adain(style, f), scale_factor=2.0))
        return torch.tanh(F.pixel_shuffle(self.last(x), 2))

    def reconstruction(self, images: Tensor, maps: Tensor) -> Tensor:
        """L1 distance of pictures put together from the parts of two halves (lines 224 to 234, 381 to 391).

        With its own forgery map or that of the other, each is to be the picture that content and group come from. Of
        an odd number the last is left out; one alone has nobody to swap with, and the distance is 0.
        """
        if not (n := len(images) // 2):
            return images.sum() * 0
        (f1, f2), (c1, c2), (d1, d2) = ((part[:n], part[n : 2 * n]) for part in maps)
        one, two = F.avg_pool2d(to_model(images[: 2 * n]), 2).chunk(2)
        wanted = ((adain(d1, c1), one), (adain(d2, c2), two))
        return sum((self.decode(f, style) - target).abs().mean() for f in (f1, f2) for style, target in wanted)


def margin_loss(logits: Tensor, labels: Tensor, counts: Tensor, largest: float = 0.5, scale: float = 30.0) -> Tensor:
    r"""Cross entropy with a margin that grows as a class gets rare (Cao et al., NeurIPS 2019; the report's M).

    .. math:: -\log\frac{e^{s(z_y-m_y)}}{e^{s(z_y-m_y)}+\sum_{j\ne y}e^{s z_j}},\qquad m_j\propto n_j^{-1/4}

    Examples
    --------
    >>> margin_loss(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([1, 1]), scale=0.0).item()
    0.6931471824645996
    """
    if counts.min() < 1:
        raise invalid("counts", counts.tolist(), "at least 1 of each class")
    margins = counts.to(logits.dtype) ** -0.25
    margins = largest * margins / margins.max()
    return F.cross_entropy(scale * (logits - F.one_hot(labels, logits.shape[1]) * margins), labels)


def contrast_loss(features: Tensor, kinds: Tensor, margin: float = 3.0) -> Tensor:
    r"""Triplets: the next picture of the same kind as positive, the next of another kind as negative (:math:`L_{con}`).

    .. math:: [b+\lVert f_a-f_+\rVert_2-\lVert f_a-f_-\rVert_2]_+

    Pictures come in an order drawn by lot, so the next one is a random one. The public code uses b = 3.

    Examples
    --------
    >>> contrast_loss(torch.tensor([[0.0], [1.0], [9.0]]), torch.tensor([0, 0, 1])).item()
    0.0
    """
    same = kinds[:, None] == kinds
    distance = torch.arange(len(kinds), device=kinds.device)
    ahead = (distance[None] - distance[:, None] - 1) % len(kinds)  # 0 for the next, the last for itself
    itself = ahead == len(kinds) - 1
    usable = (same & ~itself).any(1) & (~same).any(1)
    if not usable.any():
        return features.sum() * 0
    positive = ahead.masked_fill(~same | itself, len(kinds)).argmin(1)
    negative = ahead.masked_fill(same, len(kinds)).argmin(1)
    found = F.triplet_margin_loss(features, features[positive], features[negative], margin, reduction="none")
    return found[usable].mean()


def fair_loss(
    net: FairDetector,
    images: Tensor,
    forger: Tensor,
    groups: Tensor,
    counts: Tensor,
    alphas: tuple[float, float] | None = None,
    rec: float = WEIGHTS["reconstruction"],
) -> Tensor:
    """The whole loss of a batch; without disentangling, only that of the score.

    Parameters
    ----------
    net : FairDetector
    images : Tensor float [N, 3, S, S]
    forger : Tensor long [N]
        0 for real, otherwise which forger.
    groups, counts : Tensor long [N], [J]
        The group of each picture, and how many pictures of each there are to train on.
    alphas : pair of float, optional
        Shares over groups and within one of the nested CVaR; None: the mean of all losses.
    rec : float
        Weight of the reconstruction.
    """
    found, fake = net(images), (forger > 0).to(images.dtype)
    each = F.binary_cross_entropy_with_logits(found["score"], fake, reduction="none")
    loss = each.mean() if alphas is None else nested_cvar(each, groups, *alphas)
    if not net.disentangle:
        return loss
    loss = loss + WEIGHTS["common"] * F.binary_cross_entropy_with_logits(found["common score"], fake)
    if net.forgers > 1:  # with one forger the report leaves the specific part out
        loss = loss + WEIGHTS["specific"] * F.cross_entropy(found["forger"], forger)
    loss = loss + WEIGHTS["contrast"] * (
        contrast_loss(found["common"], (forger > 0).long()) + contrast_loss(found["specific"], forger)
    )
    loss = loss + WEIGHTS["group"] * margin_loss(found["group"], groups, counts)
    halves = fake.argsort(stable=True)  # real pictures first: a batch of the public code is half and half
    return loss + rec * net.reconstruction(images[halves], found["maps"][:, halves]) if rec else loss


def sam_step(loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer, rho: float = 0.05) -> float:
    r"""One step of sharpness-aware minimisation (Foret et al., ICLR 2021): the gradient is taken uphill.

    .. math:: \theta\leftarrow\theta-\gamma\,\nabla L(\theta+\rho u),\quad u=\nabla L/\lVert\nabla L\rVert

    Parameters
    ----------
    loss : callable () -> Tensor, scalar
        The same batch both times.
    optimizer : torch.optim.Optimizer
    rho : float
        How far uphill; 0 is a plain step.

    Returns
    -------
    float
        The loss before the step.

    Examples
    --------
    >>> w = nn.Parameter(torch.tensor(3.0))
    >>> sam_step(lambda: w.square(), torch.optim.SGD([w], lr=0.25), rho=1.0), w.item()
    (9.0, 1.0)
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.zero_grad(set_to_none=True)
    value = loss()
    value.backward()
    if rho:
        moved = [p for p in parameters if p.grad is not None]
        uphill = [p.grad.clone() for p in moved]
        length = torch.stack([g.norm() for g in uphill]).norm().clamp(min=1e-12)
        with torch.no_grad():
            torch._foreach_add_(moved, uphill, alpha=float(rho / length))
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        with torch.no_grad():
            torch._foreach_add_(moved, uphill, alpha=-float(rho / length))
    optimizer.step()
    return float(value.detach())
