r"""The price game between one service provider and its training nodes.

A deepfake service provider (DSP) leads: it posts a price :math:`p` for each unit of model quality. A node
follows: it sees the price and delivers the quality :math:`q \in [0, 1]` that serves it best, at the resource
cost :math:`C q^2` with :math:`C = cyc \cdot data \cdot fre^2`. Prices lie in [0, 1]: full quality is worth
:math:`\log_2 2 = 1` to the provider, which above that price would lose even on a perfect delivery. Yang et al.
(2024), IEEE Access ("DD-TMA"), Sec. II.E, Eqs. 8-24; where the paper's print departs from its own model, the
model is followed here and the printed formula is kept behind ``printed=True``.

Every function takes floats, numpy arrays and torch tensors alike, broadcasts them, and gives back the kind it
was given; torch inputs keep their device, dtype and gradient.
"""

from __future__ import annotations

import math
import sys

import numpy as np

from deepfake_kit.valid import invalid, require, whole

INVERSE_LN2 = 1 / math.log(2)
#: Above this cost the provider buys less than full quality: 1 / (8 ln 2). The paper prints 1/8.
THRESHOLD = INVERSE_LN2 / 8
#: Uniform ranges of Eq. (25). The paper gives no units.
PAPER_RANGES = {"data": (0.8, 1.2), "cycles": (0.4, 0.5), "frequency": (0.1, 0.2)}

# What each argument may be: lower bound, is the bound itself allowed, upper bound, words for the message.
_VALID = {
    "cost": (0.0, False, math.inf, "a finite number > 0"),
    "price": (0.0, True, 1.0, "a number in [0, 1]"),
    "quality": (0.0, True, 1.0, "a number in [0, 1]"),
}
_CHUNK = 16384  # three float64 buffers of this length stay in a core's second-level cache


def _is_torch(value) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _as_array(value, dtype=None) -> np.ndarray:
    array = np.asarray(value)
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(dtype or np.float64)
    return array


def _refuse_outside(name: str, values, offset: int | None = 0) -> None:
    """Raise ValueError unless every value is valid for the argument `name`. NaN survives min and max.

    `values` start at position `offset` of what the caller gave; None means that the caller gave one number.
    """
    low, closed, high, words = _VALID[name]
    if math.prod(values.shape) == 0:
        return
    smallest, largest = float(values.min()), float(values.max())
    fits_below = smallest >= low if closed else smallest > low
    fits_above = largest <= high if math.isfinite(high) else largest < high
    if fits_below and fits_above:
        return
    flat = values.reshape(-1)
    bad = ~((flat >= low if closed else flat > low) & (flat <= high if math.isfinite(high) else flat < high))
    where = int(bad.nonzero()[0][0])
    position = f" at position {offset + where}" if values.ndim and offset is not None else ""
    raise invalid(name, f"{float(flat[where])!r}{position}", words)


def _inputs(**arguments) -> tuple[list, bool]:
    """Checked arguments as arrays of one kind, and whether all of them were plain numbers."""
    tensors = [value for value in arguments.values() if _is_torch(value)]
    if tensors:
        import torch

        floating = [one for one in tensors if one.is_floating_point()]
        dtype = floating[0].dtype if floating else torch.get_default_dtype()
        arrays = [
            value
            if _is_torch(value) and value.is_floating_point()
            else torch.as_tensor(value, dtype=dtype, device=tensors[0].device)
            for value in arguments.values()
        ]
    else:
        arrays = [_as_array(value) for value in arguments.values()]
    for name, values in zip(arguments, arrays, strict=True):
        _refuse_outside(name, values.detach() if tensors else values)
    plain = not any(
        _is_torch(value) or isinstance(value, np.ndarray | np.generic | list | tuple) for value in arguments.values()
    )
    return arrays, plain


def _finish(values, plain: bool):
    return float(values) if plain else values


def node_utility(quality, price, cost):
    r"""What a node keeps: income less the resources it burns.

    .. math:: u_n(q, p; C) = q\,p - q^2 C, \qquad q \in [0, 1]

    DD-TMA, Eq. (8), with :math:`C = cyc \cdot data \cdot fre^2` (no units are given in the paper).

    Parameters
    ----------
    quality, price, cost : float, array or tensor
        Quality in [0, 1], price in [0, 1] for a unit of quality, cost > 0; they broadcast.

    Returns
    -------
    float, array or tensor
        Utility, in the currency of `price`.

    Raises
    ------
    ValueError
        If an argument lies outside its range, or is NaN.

    Examples
    --------
    >>> node_utility(quality=1.0, price=0.5, cost=0.25)
    0.25
    """
    (quality, price, cost), plain = _inputs(quality=quality, price=price, cost=cost)
    return _finish(quality * (price - quality * cost), plain)


def dsp_utility(quality, price):
    r"""What the provider keeps of one node: satisfaction less payment.

    .. math:: u_0(q, p) = \log_2(1 + q) - q\,p

    DD-TMA, Eq. (10); Eq. (9) is its sum over the nodes.

    Parameters
    ----------
    quality, price : float, array or tensor
        Quality and price in [0, 1]; they broadcast.

    Returns
    -------
    float, array or tensor
        Utility of the provider from each node.

    Raises
    ------
    ValueError
        If an argument lies outside its range, or is NaN.

    Examples
    --------
    >>> dsp_utility(quality=1.0, price=0.25)
    0.75
    """
    (quality, price), plain = _inputs(quality=quality, price=price)
    satisfaction = (quality.log1p() if _is_torch(quality) else np.log1p(quality)) * INVERSE_LN2
    return _finish(satisfaction - quality * price, plain)


def best_response(price, cost):
    r"""The quality that a node of this cost delivers at this price.

    .. math:: q^*(p) = \min\!\left(1, \frac{p}{2C}\right)

    DD-TMA, Eqs. (11)-(13) and (16): :math:`\partial u_n/\partial q = p - 2Cq`, and :math:`u_n` is concave.
    A node of cost above 1/2 never delivers full quality, for that would take a price of :math:`2C > 1`.

    Parameters
    ----------
    price, cost : float, array or tensor
        Price in [0, 1] and cost > 0; they broadcast.

    Returns
    -------
    float, array or tensor
        Quality in [0, 1].

    Raises
    ------
    ValueError
        If an argument lies outside its range, or is NaN.

    Examples
    --------
    >>> best_response(price=0.2, cost=0.4)
    0.25
    """
    (price, cost), plain = _inputs(price=price, cost=cost)
    if _is_torch(price):
        return (price / (2 * cost)).clamp(max=1)
    # A cost near zero makes the ratio infinite, which the minimum below reads correctly.
    with np.errstate(over="ignore"):
        return _finish(np.minimum(price / (2 * cost), 1), plain)


def equilibrium(cost, printed: bool = False):
    r"""Price and quality of the Stackelberg equilibrium: the provider moves first, the node answers.

    .. math:: q^* = \min\!\left(1, \frac{a/2}{C + \sqrt{C(C + a)}}\right), \qquad p^* = 2 C q^*,
              \qquad a = \frac{1}{\ln 2}

    This is :math:`p^* = \sqrt{C^2 + C/\ln 2} - C` for :math:`C > 1/(8\ln 2)` and :math:`(2C, 1)` otherwise,
    written so that no digits cancel when :math:`C` is large. DD-TMA, Eq. (24), prints the optimum of the
    natural-log game, :math:`a = 1` and the threshold 1/8: ``printed=True`` gives that.

    Parameters
    ----------
    cost : float, array or tensor
        Cost of full quality, > 0, any shape.
    printed : bool
        Use the formula as the paper prints it.

    Returns
    -------
    price, quality : float, array or tensor
        Of the shape of `cost`; the price never exceeds 1/(2 ln 2), about 0.72, whatever the cost.

    Raises
    ------
    ValueError
        If a cost is not a finite number > 0.

    Examples
    --------
    >>> equilibrium(0.1)
    (0.2, 1.0)
    """
    slope = 1.0 if printed else INVERSE_LN2
    if _is_torch(cost):
        (cost,), _ = _inputs(cost=cost)
        quality = (slope / 2 / (cost + cost.sqrt() * (cost + slope).sqrt())).clamp(max=1)
        return 2 * cost * quality, quality
    plain = not isinstance(cost, np.ndarray | np.generic | list | tuple)
    cost = _as_array(cost)
    price, quality = np.empty(cost.shape, cost.dtype), np.empty(cost.shape, cost.dtype)
    flat, flat_price, flat_quality = cost.reshape(-1), price.reshape(-1), quality.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        _refuse_outside("cost", flat[part], start if cost.ndim else None)
        c = flat[part]
        flat_quality[part] = q = np.minimum(slope / 2 / (c + np.sqrt(c) * np.sqrt(c + slope)), 1)
        flat_price[part] = 2 * c * q
    return _finish(price, plain), _finish(quality, plain)


def leader_utility(price, cost):
    r"""The provider's utility from posting `price`, the node answering with its best response.

    .. math:: U_0(p; C) = u_0\big(q^*(p), p\big)

    DD-TMA, Eq. (14) for :math:`p \ge 2C` and Eq. (17) below. There is a kink at :math:`p = 2C`.

    Parameters
    ----------
    price, cost : float, array or tensor
        Price in [0, 1] and cost > 0; they broadcast.

    Returns
    -------
    float, array or tensor
        Utility of the provider.

    Raises
    ------
    ValueError
        If an argument lies outside its range, or is NaN.

    Examples
    --------
    >>> leader_utility(price=0.2, cost=0.1)
    0.8
    """
    return dsp_utility(best_response(price, cost), price)


def draw_costs(
    n_nodes: int,
    generator: np.random.Generator,
    data=PAPER_RANGES["data"],
    cycles=PAPER_RANGES["cycles"],
    frequency=PAPER_RANGES["frequency"],
) -> np.ndarray:
    r"""Draw the costs of `n_nodes` nodes, :math:`C = cyc \cdot data \cdot fre^2`, each factor uniform.

    DD-TMA, Eq. (25); the defaults are its ranges, for which the paper gives no units.

    Parameters
    ----------
    n_nodes : int
        How many nodes, >= 1.
    generator : numpy.random.Generator
        Source of the draws.
    data, cycles, frequency : tuple of two floats
        Low and high end of each factor, 0 < low <= high.

    Returns
    -------
    ndarray of float64 [n_nodes]

    Raises
    ------
    ValueError
        If `n_nodes` is below 1 or a range is not 0 < low <= high.

    Examples
    --------
    >>> costs = draw_costs(100, np.random.default_rng(0))
    >>> bool(0.0032 <= costs.min() and costs.max() <= 0.024)
    True
    """
    whole("n_nodes", n_nodes, 1)
    for name, ends in (("data", data), ("cycles", cycles), ("frequency", frequency)):
        require(len(ends) == 2 and 0 < ends[0] <= ends[1] < math.inf, name, tuple(ends), "a pair with 0 < low <= high")
    volume = generator.uniform(*data, n_nodes)
    work = generator.uniform(*cycles, n_nodes)
    return volume * work * generator.uniform(*frequency, n_nodes) ** 2
