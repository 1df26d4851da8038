r"""Protecting a face by a perturbation that breaks the editor: projected gradients, and a generator taught by them.

An *editor* is any differentiable callable from images float [N, 3, H, W] in [0, 1] to images of that shape. `epsilon`
is the largest change of a value in these units: 0.025 here is the field's "0.05 on [-1, 1]", 6.4 grey levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.defend.editors import Residual, check_side, stage
from deepfake_kit.draws import seed_of
from deepfake_kit.images import check_images, to_model
from deepfake_kit.training import NotFinite, check_steps, descend, seeded
from deepfake_kit.valid import invalid, one_of, within

Editor = Callable[[Tensor], Tensor]
OBJECTIVES = ("dadfi", "without second recogniser", "direct")


def _share(name: str, value: float) -> None:
    """Refuse a size that is no share of the pixel range; 6.4 grey levels are 0.025."""
    within(name, value, "(0, 1]")


def _edits(editor: Editor, images: Tensor) -> Tensor:
    """One finite output an image, or a ValueError."""
    out = editor(images)
    if len(out) != len(images) or not out.isfinite().all():
        raise invalid(
            "editor",
            f"shape {tuple(out.shape)}, {(~out.isfinite()).sum()} values not finite, for {len(images)} images",
            "one finite output for each",
        )
    return out


def project(candidate: Tensor, images: Tensor, epsilon: float) -> Tensor:
    r"""The nearest picture within the ball and the pixel range.

    .. math:: \Pi(z) = \min\{1, x+\epsilon, \max\{0, x-\epsilon, z\}\}

    Madry et al. 2018; what the operator "sli" of Yang et al. 2024, Eq. (6), must mean.

    >>> project(torch.tensor([0.9, -0.3]), torch.tensor([0.5, 0.1]), 0.2).tolist()
    [0.699999988079071, 0.0]
    """
    return torch.minimum(torch.maximum(candidate, images - epsilon), images + epsilon).clamp(0, 1)


def to_file(protected: Tensor, images: Tensor, epsilon: float) -> Tensor:
    """What can be saved: whole multiples of 1/255 within the ball around `images`, if these are such multiples.

    Rounds towards the original, so that no value leaves the ball.

    >>> 255 * to_file(torch.tensor([0.5061]), torch.tensor([128 / 255]), 0.01)
    tensor([129.])
    """
    grey = (project(protected, images, epsilon) - images) * 255
    return (images + grey.add(grey.sign() * 1e-3).trunc() / 255).clamp(0, 1)


def random_start(images: Tensor, epsilon: float, generator: torch.Generator | None = None) -> Tensor:
    """A picture drawn uniformly from the ball, clipped to the pixel range."""
    noise = torch.rand(images.shape, generator=generator).to(images) * 2 - 1
    return project(images + epsilon * noise, images, epsilon)


def pgd(
    editor: Editor | Sequence[Editor],
    images: Tensor,
    epsilon: float = 0.025,
    step: float = 0.005,
    iterations: int = 10,
    generator: torch.Generator | None = None,
    weights: Sequence[float] | None = None,
    last: float | None = None,
    momentum: float = 0.0,
    through: Sequence[Editor] = (),
) -> Tensor:
    r"""Projected gradient ascent on the distance between the edits of the protected and of the original face.

    .. math:: z_{t+1} = \Pi\big(z_t + \alpha\,\mathrm{sign}\,\nabla_{z}\textstyle\sum_k w_k
        \lVert G_k(z_t)-G_k(x)\rVert_2^2\big),\qquad z_0 = x+\mathcal U(-\epsilon,\epsilon)

    Madry et al. 2018; Ruiz et al. 2020 for editors. Yang et al. 2024, Eqs. (5) and (6), with their gaps filled. With
    momentum Dong et al. 2018, Eq. (6); through random processings T, of both faces, Athalye et al. 2018, Eq. (3).

    Parameters
    ----------
    editor : callable or sequence of callables
        One editor, or several whose distances are added.
    images : Tensor
        float [N, 3, S, S] in [0, 1].
    epsilon, step : float
        Radius of the ball and length of a step, in units of [0, 1], above 0 and at most 1.
    iterations : int
    generator : torch.Generator, optional
    weights : sequence of float, optional
        One an editor; 1 by default.
    last : float, optional
        The step falls to this length along half a cosine; by default it stays.
    momentum : float
        Share of the earlier directions that is kept, from 0 to below 1.
    through : sequence of callables, optional
        Differentiable processings, images to images, one drawn in each iteration.

    Returns
    -------
    Tensor
        Protected images, same shape, within the ball and [0, 1].

    Raises
    ------
    ValueError
        For images of another shape or range, numbers out of range, or an editor whose output is not finite.

    Examples
    --------
    >>> x = torch.full((1, 3, 4, 4), 0.5)
    >>> round(float((pgd(lambda z: 3 * z, x, 0.1, 0.05) - x).abs().min()), 4)
    0.1
    """
    check_images(images)
    _share("epsilon", epsilon)
    _share("step", step)
    check_steps(iterations, 1)
    editors = [editor] if callable(editor) else list(editor)
    weights = [1.0] * len(editors) if weights is None else list(weights)
    if len(weights) != len(editors) or not editors:
        raise invalid("weights", f"{len(weights)} for {len(editors)} editors", "one for each, at least one")
    within("momentum", momentum, "[0, 1)")
    _share("last", last := step if last is None else last)
    roads = list(through) or [lambda images: images]
    with torch.no_grad():
        clean = [[_edits(edit, road(images)) for edit in editors] for road in roads]
    z, direction = random_start(images, epsilon, generator), torch.zeros_like(images)
    for iteration in range(iterations):
        road = int(torch.randint(len(roads), (), generator=generator)) if len(roads) > 1 else 0
        z.requires_grad_(True)
        sent = roads[road](z)
        terms = zip(weights, editors, clean[road], strict=True)
        loss = sum(w * (_edits(edit, sent) - y).square().sum() for w, edit, y in terms)
        (gradient,) = torch.autograd.grad(loss, z)
        if not gradient.isfinite().all():
            raise NotFinite(iteration, "the gradient is not finite")
        size = gradient.abs().mean((1, 2, 3), keepdim=True).clamp(min=1e-20)
        direction = momentum * direction + gradient / size
        length = last + (step - last) * (1 + math.cos(math.pi * iteration / iterations)) / 2
        z = project(z.detach() + length * direction.sign(), images, epsilon)
    return z


class Generator(nn.Module):
    r"""The paper's generator: three convolutions, four residual blocks, three upsamplings, instance norm between.

    .. math:: \delta = \epsilon\tanh f_\theta(x) \quad\text{(bounded)},\qquad \delta = 0.1 f_\theta(x) \quad\text{(not)}

    Yang et al. 2024, Eq. (1) and the prose beside it. Widths, strides, activation and the output layer are ours;
    an instance norm after the last layer, which the words allow, would fix the variance of every perturbation.

    Parameters
    ----------
    epsilon : float
        Bound of the perturbation in units of [0, 1].
    width : int
        Channels of the first convolution; twice and four times as many below.
    bounded : bool
        False leaves the size to the hinge loss alone, as the paper does.

    Examples
    --------
    >>> Generator(0.025)(torch.rand(1, 3, 16, 16)).abs().max().item() <= 0.025
    True
    """

    def __init__(self, epsilon: float = 0.025, width: int = 12, bounded: bool = True):
        super().__init__()
        _share("epsilon", epsilon)
        self.epsilon, self.bounded = epsilon, bounded
        layers: list[nn.Module] = []
        for a, b in ((3, width), (width, 2 * width), (2 * width, 4 * width)):
            layers += stage(a, b, 2)
        layers += [Residual(4 * width) for _ in range(4)]
        for a, b in ((4 * width, 2 * width), (2 * width, width), (width, width)):
            layers += [nn.Upsample(scale_factor=2), *stage(a, b)]
        self.body = nn.Sequential(*layers, nn.Conv2d(width, 3, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        raw = self.body(to_model(images))
        return self.epsilon * torch.tanh(raw) if self.bounded else 0.1 * raw

    def protect(self, images: Tensor) -> Tensor:
        """See :func:`protect`."""
        return protect(self, images)


class Recognizer(nn.Module):
    """A recogniser of the paper, whose layers it leaves open: a patch discriminator; logits [N, 1, H/4, W/4].

    >>> Recognizer(4)(torch.zeros(1, 3, 16, 16)).shape
    torch.Size([1, 1, 4, 4])
    """

    def __init__(self, width: int = 12):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, 2, 1),
            nn.InstanceNorm2d(2 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 3, 1, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.body(to_model(images))


def recogniser_loss(true_logits: Tensor, false_logits: Tensor) -> Tensor:
    r"""What a recogniser maximises and the generator minimises; D is the sigmoid of a logit.

    .. math:: \mathbb E\log D(\text{true}) + \mathbb E\log(1-D(\text{false}))

    Yang et al. 2024, Eqs. (3) and (7).

    >>> round(recogniser_loss(torch.zeros(2), torch.zeros(2)).item(), 4)
    -1.3863
    """
    return F.logsigmoid(true_logits).mean() + F.logsigmoid(-false_logits).mean()


def hinge_loss(perturbation: Tensor, limit: float) -> Tensor:
    r"""Penalty on the largest value of each perturbation [N, C, H, W] above a limit.

    .. math:: \mathbb E_x\max(0, \lVert\delta\rVert_\infty - \mathrm{lim})

    Yang et al. 2024, Eq. (4).

    >>> round(hinge_loss(torch.tensor([[[[0.3]]], [[[0.1]]]]), 0.2).item(), 4)
    0.05
    """
    return (perturbation.abs().amax((1, 2, 3)) - limit).clamp(min=0).mean()


def new_players(epsilon=0.025, width: int = 8, bounded=True, lr=2e-3, generator: torch.Generator | None = None):
    """A fresh generator, two recognisers and one Adam for each side, the recognisers' at half the rate.

    Weights come from `generator`; the global random state is left as it was.

    >>> [type(player).__name__ for player in new_players(width=4)]
    ['Generator', 'Recognizer', 'Recognizer', 'Adam', 'Adam']
    """
    with seeded(seed_of(generator)):
        gen, ide_x, ide_y = Generator(epsilon, width, bounded), Recognizer(width), Recognizer(width)
    fast = {"betas": (0.5, 0.99), "eps": 1e-6}
    opt_gen = torch.optim.Adam(gen.parameters(), lr=lr, **fast)
    opt_ide = torch.optim.Adam([*ide_x.parameters(), *ide_y.parameters()], lr=lr / 2, **fast)
    return gen, ide_x, ide_y, opt_gen, opt_ide


def train_dadfi(
    editors: Sequence[Editor],
    images: Tensor,
    taught: Sequence[Tensor],
    steps: int,
    *,
    objective: str = "dadfi",
    bounded: bool = True,
    epsilon: float = 0.025,
    mu: float = 0.5,
    batch_size: int = 16,
    lr: float = 2e-3,
    width: int = 8,
    generator: torch.Generator | None = None,
    weights: Sequence[float] | None = None,
) -> tuple[Generator, list[dict[str, float]]]:
    r"""Train the generator and its two recognisers.

    .. math:: \min_{\mathrm{Gen}}\max_{\mathrm{Ide}_x,\mathrm{Ide}_y}\;
        \mathcal L_x + \textstyle\sum_k w_k\mathcal L_{y,k} + \mu\,\mathcal L_{hinge}

    Yang et al. 2024, Eqs. (3), (4), (7), (9) and (10), the weight :math:`\mu` put where their words want it.

    Parameters
    ----------
    editors : sequence of callables
        The editors to break; frozen.
    images : Tensor
        float [N, 3, S, S] in [0, 1]; 8 divides S, 16 or more.
    taught : sequence of Tensor
        For each editor the images [N, 3, S, S] protected by :func:`pgd`; they are made once, before training.
    steps, batch_size : int
    objective : {"dadfi", "without second recogniser", "direct"}
        The paper's; its ablation, which knows no editor; and :math:`-\sum_k w_k\lVert G_k(x+\delta)-G_k(x)\rVert^2`,
        the plain alternative, in which no recogniser takes part.
    bounded : bool
        As in :class:`Generator`.
    epsilon, mu, lr : float
    generator : torch.Generator, optional
        Of the weights and the batches.
    weights : sequence of float, optional
        One an editor; 1 by default.

    Returns
    -------
    generator : Generator
        In evaluation mode.
    history : list of dict
        For each step the mean output of both recognisers on true and false images, and the largest perturbation.

    Raises
    ------
    ValueError
        For an unknown objective, lists of unequal length, images of another size or range, or an editor whose output
        is not finite.

    Examples
    --------
    >>> x = torch.rand(4, 3, 16, 16)
    >>> train_dadfi([lambda z: z], x, [x], steps=1, width=4)[0].bounded
    True
    """
    one_of("objective", objective, OBJECTIVES)
    check_side(images, 16)
    check_steps(steps, batch_size)
    weights = _weights(editors, images, taught, weights)
    random, uses_y, history = torch.Generator().manual_seed(seed_of(generator)), objective == "dadfi", []
    gen, ide_x, ide_y, opt_gen, opt_ide = new_players(epsilon, width, bounded, lr, random.clone_state())
    with torch.no_grad():
        clean = [_edits(edit, images) for edit in editors if objective == "direct"]
        aims = [_edits(edit, z) for edit, z in zip(editors, taught, strict=True) if uses_y]
    for step in range(steps):
        who = torch.randint(len(images), (batch_size,), generator=random)
        x, delta = images[who], gen(images[who])
        protected = (x + delta).clamp(0, 1)  # Eq. (2), clipped
        broken = [_edits(edit, protected) for edit in editors] if objective != "without second recogniser" else []
        row = {"largest": delta.detach().abs().max().item()}
        if objective == "direct":
            loss = -sum(w * (y - c[who]).square().mean() for w, y, c in zip(weights, broken, clean, strict=True))
        else:
            # 1. Both recognisers climb: Eq. (3), and Eq. (9), which is Eq. (7) summed over the editors.
            value = recogniser_loss(ide_x(x), ide_x(protected.detach()))
            if uses_y:
                value = value + sum(
                    w * recogniser_loss(ide_y(a[who]), ide_y(y.detach()))
                    for w, a, y in zip(weights, aims, broken, strict=True)
                )
            descend(-value, opt_ide, step)
            # 2. The generator descends on the terms that it can move.
            false = ide_x(protected)
            loss = F.logsigmoid(-false).mean()
            row |= {"x true": ide_x(x).sigmoid().mean().item(), "x false": false.sigmoid().mean().item()}
            if uses_y:
                outputs = [ide_y(y) for y in broken]
                loss = loss + sum(w * F.logsigmoid(-o).mean() for w, o in zip(weights, outputs, strict=True))
                row |= {
                    "y true": ide_y(aims[0][who]).sigmoid().mean().item(),
                    "y false": outputs[0].sigmoid().mean().item(),
                }
        loss = loss + mu * hinge_loss(delta, epsilon)  # Eqs. (4) and (10)
        descend(loss, opt_gen, step)
        history.append(row)
    return gen.eval().requires_grad_(False), history


def _weights(editors, images: Tensor, taught: Sequence[Tensor], weights: Sequence[float] | None) -> list[float]:
    """One weight an editor, if there is one taught batch an editor too, each of the images' shape."""
    weights = [1.0] * len(editors) if weights is None else list(weights)
    if not len(weights) == len(taught) == len(editors) > 0:
        lengths = f"{len(editors)}, {len(taught)} and {len(weights)}"
        raise invalid("editors, taught and weights", f"lengths {lengths}", "equal and at least 1")
    if wrong := [tuple(z.shape) for z in taught if z.shape != images.shape]:
        raise invalid("taught", f"shape {wrong[0]}", f"that of images, {tuple(images.shape)}")
    return weights


def protect(generator: Generator, images: Tensor) -> Tensor:
    r"""Protect a batch by one forward pass; no editor is called: :math:`\Pi(x + \mathrm{Gen}(x))`, in 8 bits.

    Yang et al. 2024, Eq. (2), completed. A generator that is not bounded is held to its epsilon here.

    Raises
    ------
    ValueError
        For images that are not float [N, 3, S, S] in [0, 1], or whose side 8 does not divide.

    Examples
    --------
    >>> protect(Generator(0.025, width=4), torch.zeros(1, 3, 16, 16)).shape
    torch.Size([1, 3, 16, 16])
    """
    check_side(images, 16)
    with torch.no_grad():
        return to_file(images + generator(images), images, generator.epsilon)
