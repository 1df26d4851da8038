r"""Protecting a face by a perturbation that breaks the editor: projected gradients, and a generator taught by them.

An *editor* is any differentiable callable from images float [N, 3, H, W] in [0, 1] to images of that shape. `epsilon`
is the largest change of a value in these units: 0.025 here is the field's "0.05 on [-1, 1]", 6.4 grey levels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.training import check_images, check_steps
from deepfake_kit.valid import one_of

Editor = Callable[[Tensor], Tensor]
OBJECTIVES = ("dadfi", "without second recogniser", "direct")


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name}: got {value!r}; valid: a number above 0")


def project(candidate: Tensor, images: Tensor, epsilon: float) -> Tensor:
    r"""The nearest picture within the ball and the pixel range.

    .. math:: \Pi(z) = \min\{1, x+\epsilon, \max\{0, x-\epsilon, z\}\}

    Madry et al. 2018; what the operator "sli" of Yang et al. 2024, Eq. (6), must mean.

    Examples
    --------
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
) -> Tensor:
    r"""Projected gradient ascent on the distance between the edits of the protected and of the original face.

    .. math:: z_{t+1} = \Pi\big(z_t + \alpha\,\mathrm{sign}\,\nabla_{z}\textstyle\sum_k w_k
        \lVert G_k(z_t)-G_k(x)\rVert_2^2\big),\qquad z_0 = x+\mathcal U(-\epsilon,\epsilon)

    Madry et al. 2018; Ruiz et al. 2020 for editors. Yang et al. 2024, Eqs. (5) and (6), with their gaps filled.

    Parameters
    ----------
    editor : callable or sequence of callables
        One editor, or several whose distances are added.
    images : Tensor
        float [N, 3, H, W] in [0, 1].
    epsilon, step : float
        Radius of the ball and length of a step, in units of [0, 1], above 0.
    iterations : int
        At least 1.
    generator : torch.Generator, optional
        Draws the start.
    weights : sequence of float, optional
        One an editor; 1 by default.

    Returns
    -------
    Tensor
        Protected images, same shape, within the ball and [0, 1].

    Raises
    ------
    ValueError
        For images of another shape or range, or numbers out of range.

    Examples
    --------
    >>> x = torch.full((1, 3, 4, 4), 0.5)
    >>> round(float((pgd(lambda z: 3 * z, x, 0.1, 0.05) - x).abs().min()), 4)
    0.1
    """
    check_images(images)
    _positive("epsilon", epsilon)
    _positive("step", step)
    check_steps(iterations, 1)
    editors = [editor] if callable(editor) else list(editor)
    weights = [1.0] * len(editors) if weights is None else list(weights)
    if len(weights) != len(editors) or not editors:
        raise ValueError(f"weights: got {len(weights)} for {len(editors)} editors; valid: one for each, at least one")
    with torch.no_grad():
        clean = [edit(images) for edit in editors]
    z = random_start(images, epsilon, generator)
    for _ in range(iterations):
        z.requires_grad_(True)
        loss = sum(w * (edit(z) - y).square().sum() for w, edit, y in zip(weights, editors, clean, strict=True))
        (gradient,) = torch.autograd.grad(loss, z)
        z = project(z.detach() + step * gradient.sign(), images, epsilon)
    return z


def printed_pgd(
    editor: Editor,
    images: Tensor,
    start: Tensor,
    epsilon: float = 0.025,
    step: float = 0.005,
    iterations: int = 10,
    equation: int = 6,
) -> Tensor:
    r"""The two updates of Yang et al. (2024) as they are printed, with the same free numbers as :func:`pgd`.

    .. math:: \text{Eq. 6: } z_{t+1} = \Pi\{z_t + \alpha\nabla_{x}L(G(z_t),G(x))\}\qquad
        \text{Eq. 12: } z_{t+1} = \Pi\{z_t\} + \alpha\,\mathrm{sign}\nabla_{z}L

    Eq. (6): the gradient belongs to the *original* image and no sign is taken; L is the mean square on [-1, 1]. With
    z held fixed, the derivative passes through G(x) alone. Eq. (12) has lost its braces; to judge that slip by itself
    it gets the sign, the gradient at z and a clip to [0, 1].

    Raises
    ------
    ValueError
        For an equation other than 6 and 12.

    Examples
    --------
    >>> x = torch.full((1, 3, 4, 4), 0.5)
    >>> z = printed_pgd(lambda z: z, x, x + 0.02, iterations=1)
    >>> bool((z < x + 0.02).all())
    True
    """
    if equation not in (6, 12):
        raise ValueError(f"equation: got {equation!r}; valid: 6 or 12")
    z = start.detach()
    for _ in range(iterations):
        x, at = images.clone().requires_grad_(equation == 6), z.clone().requires_grad_(equation == 12)
        loss = 4 * (editor(at) - editor(x)).square().mean((1, 2, 3)).sum()
        (gradient,) = torch.autograd.grad(loss, x if equation == 6 else at)
        if equation == 6:
            z = project(z + step * gradient, images, epsilon)
        else:
            z = (project(z, images, epsilon) + step * gradient.sign()).clamp(0, 1)
    return z.detach()


class _Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1),
            nn.InstanceNorm2d(width, affine=True),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1),
            nn.InstanceNorm2d(width, affine=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


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
        _positive("epsilon", epsilon)
        self.epsilon, self.bounded = epsilon, bounded
        layers: list[nn.Module] = []
        for a, b in ((3, width), (width, 2 * width), (2 * width, 4 * width)):
            layers += [nn.Conv2d(a, b, 4, 2, 1), nn.InstanceNorm2d(b, affine=True), nn.ReLU()]
        layers += [_Block(4 * width) for _ in range(4)]
        for a, b in ((4 * width, 2 * width), (2 * width, width), (width, width)):
            layers += [
                nn.Upsample(scale_factor=2),
                nn.Conv2d(a, b, 3, 1, 1),
                nn.InstanceNorm2d(b, affine=True),
                nn.ReLU(),
            ]
        self.body = nn.Sequential(*layers, nn.Conv2d(width, 3, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        raw = self.body(images * 2 - 1)
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
        return self.body(images * 2 - 1)


def recogniser_loss(true_logits: Tensor, false_logits: Tensor) -> Tensor:
    r"""What a recogniser maximises and the generator minimises; D is the sigmoid of a logit.

    .. math:: \mathbb E\log D(\text{true}) + \mathbb E\log(1-D(\text{false}))

    Yang et al. 2024, Eqs. (3) and (7).

    Examples
    --------
    >>> round(recogniser_loss(torch.zeros(2), torch.zeros(2)).item(), 4)
    -1.3863
    """
    return F.logsigmoid(true_logits).mean() + F.logsigmoid(-false_logits).mean()


def hinge_loss(perturbation: Tensor, limit: float) -> Tensor:
    r"""Penalty on the largest value of each perturbation [N, C, H, W] above a limit.

    .. math:: \mathbb E_x\max(0, \lVert\delta\rVert_\infty - \mathrm{lim})

    Yang et al. 2024, Eq. (4).

    Examples
    --------
    >>> round(hinge_loss(torch.tensor([[[[0.3]]], [[[0.1]]]]), 0.2).item(), 4)
    0.05
    """
    return (perturbation.abs().amax((1, 2, 3)) - limit).clamp(min=0).mean()


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
    seed: int = 0,
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
        float [N, 3, H, W] in [0, 1], sides that 8 divides.
    taught : sequence of Tensor
        For each editor the images [N, 3, H, W] protected by :func:`pgd`; they are made once, before training.
    steps, batch_size : int
    objective : {"dadfi", "without second recogniser", "direct"}
        The paper's; its ablation, which knows no editor; and :math:`-\sum_k w_k\lVert G_k(x+\delta)-G_k(x)\rVert^2`,
        the plain alternative, in which no recogniser takes part.
    bounded : bool
        As in :class:`Generator`.
    epsilon, mu, lr : float
    seed : int
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
        For an unknown objective, or lists of unequal length.

    Examples
    --------
    >>> x = torch.rand(4, 3, 16, 16)
    >>> train_dadfi([lambda z: z], x, [x], steps=1, width=4)[0].bounded
    True
    """
    one_of("objective", objective, OBJECTIVES)
    check_images(images)
    check_steps(steps, batch_size)
    weights = [1.0] * len(editors) if weights is None else list(weights)
    if not len(weights) == len(taught) == len(editors) > 0:
        raise ValueError(
            f"editors, taught and weights: got lengths {len(editors)}, {len(taught)} and {len(weights)}; "
            "valid: equal and at least 1"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        gen, ide_x, ide_y = Generator(epsilon, width, bounded), Recognizer(width), Recognizer(width)
    random = torch.Generator().manual_seed(seed)
    fast = {"betas": (0.5, 0.99), "eps": 1e-6}
    opt_gen = torch.optim.Adam(gen.parameters(), lr=lr, **fast)
    opt_ide = torch.optim.Adam([*ide_x.parameters(), *ide_y.parameters()], lr=lr / 2, **fast)
    with torch.no_grad():
        clean = [edit(images) for edit in editors]
        aims = [edit(z) for edit, z in zip(editors, taught, strict=True)]
    uses_y, history = objective == "dadfi", []
    for _ in range(steps):
        who = torch.randint(len(images), (batch_size,), generator=random)
        x, delta = images[who], gen(images[who])
        protected = (x + delta).clamp(0, 1)
        broken = [edit(protected) for edit in editors] if objective != "without second recogniser" else []
        row = {"largest": delta.detach().abs().max().item()}
        if objective == "direct":
            loss = -sum(w * (y - c[who]).square().mean() for w, y, c in zip(weights, broken, clean, strict=True))
        else:
            value = recogniser_loss(ide_x(x), ide_x(protected.detach()))
            if uses_y:
                value = value + sum(
                    w * recogniser_loss(ide_y(a[who]), ide_y(y.detach()))
                    for w, a, y in zip(weights, aims, broken, strict=True)
                )
            opt_ide.zero_grad(set_to_none=True)
            (-value).backward()
            opt_ide.step()
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
        loss = loss + mu * hinge_loss(delta, epsilon)
        opt_gen.zero_grad(set_to_none=True)
        loss.backward()
        opt_gen.step()
        history.append(row)
    return gen.eval().requires_grad_(False), history


def protect(generator: Generator, images: Tensor) -> Tensor:
    r"""Protect a batch by one forward pass; no editor is called: :math:`\Pi(x + \mathrm{Gen}(x))`, in 8 bits.

    Yang et al. 2024, Eq. (2), completed. A generator that is not bounded is held to its epsilon here.

    Raises
    ------
    ValueError
        For images that are not float [N, 3, H, W] in [0, 1].

    Examples
    --------
    >>> protect(Generator(0.025, width=4), torch.zeros(1, 3, 16, 16)).shape
    torch.Size([1, 3, 16, 16])
    """
    check_images(images)
    with torch.no_grad():
        return to_file(images + generator(images), images, generator.epsilon)
