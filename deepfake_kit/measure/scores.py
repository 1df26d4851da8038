r"""How well scores tell fakes from real images, with intervals.

A score is any number that is higher for images held to be fake; the decision is ``score > threshold``. Intervals are
95 %: DeLong's for the area under the ROC curve, Wilson's for shares, Student's t over trainings. Accuracy, F1 and the
rest of what scikit-learn measures, chapters ask of scikit-learn.
"""

from __future__ import annotations

import math

import numpy as np

from deepfake_kit.valid import finite, invalid, numbers, require

Z = 1.959963984540054  # 97.5 % point of the standard normal distribution


def _both(scores, is_fake) -> tuple[np.ndarray, np.ndarray]:
    """Scores of fakes and of real images, float64, after checking that both exist."""
    s, y = numbers(scores), numbers(is_fake) if hasattr(is_fake, "detach") else np.asarray(is_fake)
    require(s.ndim == 1 and y.shape == s.shape, "scores, is_fake", (s, y), "[N] both")
    finite("scores", s)
    if not np.isin(y, (0, 1)).all() or len(np.unique(y)) < 2:
        raise invalid("is_fake", f"the values {np.unique(y).tolist()}", "0 and 1, both present")
    return s[y == 1], s[y == 0]


def placements(fakes: np.ndarray, reals: np.ndarray) -> np.ndarray:
    """For each fake, the share of real images that score below it, a tie counting one half.

    From ranks, hence in O(n log n) (Sun and Xu, "Fast implementation of DeLong's algorithm", 2014). The mean is the
    area under the curve.

    >>> placements(np.array([1.0, 0.0]), np.array([0.0])).tolist()
    [1.0, 0.5]
    """
    from scipy.stats import rankdata

    return (rankdata(np.concatenate([fakes, reals]))[: len(fakes)] - rankdata(fakes)) / len(reals)


def auc(scores, is_fake) -> float:
    r"""Area under the ROC curve: :math:`P(s_{fake}>s_{real})+\frac12P(s_{fake}=s_{real})`.

    >>> auc([0.9, 0.4, 0.6, 0.1], [1, 1, 0, 0])
    0.75
    """
    from sklearn.metrics import roc_auc_score

    _both(scores, is_fake)
    return float(roc_auc_score(numbers(is_fake), numbers(scores)))


def delong_interval(scores, is_fake) -> tuple[float, float]:
    r"""95 % interval of the area under the ROC curve (DeLong, DeLong and Clarke-Pearson, *Biometrics* 1988).

    .. math:: \widehat{\mathrm{var}} = \frac{S_{10}}{m}+\frac{S_{01}}{n}

    with the sample variances over fakes (real images) of the share of real images (fakes) on the right side.

    Returns
    -------
    tuple of float
        Lower and upper end, clipped to [0, 1]; it shrinks to a point where the classes are apart.

    Raises
    ------
    ValueError
        As :func:`auc`, and for fewer than 2 images of a class.

    Examples
    --------
    >>> delong_interval([2.0, 3.0, 0.0, 1.0], [1, 1, 0, 0])
    (1.0, 1.0)
    """
    fakes, reals = _both(scores, is_fake)
    m, n = len(fakes), len(reals)
    require(min(m, n) >= 2, "is_fake", f"{m} fakes and {n} real", "at least 2 of each")
    of_fakes, of_reals = placements(fakes, reals), placements(-reals, -fakes)
    area, half = float(of_fakes.mean()), Z * math.sqrt(of_fakes.var(ddof=1) / m + of_reals.var(ddof=1) / n)
    return max(0.0, area - half), min(1.0, area + half)


class Reversed(ArithmeticError):
    """Scores rank real images above fakes beyond doubt: a coding or a column is the wrong way round, or a cue is."""


def refuse_reversed(scores, is_fake) -> None:
    """Stop where DeLong's interval lies below one half, since that is information with its sign turned.

    Raises
    ------
    Reversed
        With the interval, and the test that tells why: send *training* images through the *test* path.

    Examples
    --------
    >>> refuse_reversed([1.0, 2.0, 1.5, 2.5], [1, 1, 0, 0])  # too few to say
    >>> refuse_reversed([1.0, 2.0, 3.0, 4.0], [1, 1, 0, 0])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    deepfake_kit.measure.scores.Reversed: AUC 0.000, interval 0.000 to 0.000, lies below one half...
    """
    low, high = delong_interval(scores, is_fake)
    if high < 0.5:
        raise Reversed(
            f"AUC {auc(scores, is_fake):.3f}, interval {low:.3f} to {high:.3f}, lies below one half. Send training "
            "images through the test path: below one half again means a coding or a column, above it a cue that turned"
        )


def wilson_interval(right: int, of: int) -> tuple[float, float]:
    r"""95 % interval of a share :math:`\hat p` of n (Wilson 1927).

    .. math:: \frac{\hat p+z^2/2n\pm z\sqrt{\hat p(1-\hat p)/n+z^2/4n^2}}{1+z^2/n}

    >>> [round(x, 4) for x in wilson_interval(420, 500)]
    [0.8053, 0.8695]
    """
    require(0 <= right <= of and of >= 1, "right, of", f"{right} of {of}", "0 <= right <= of, of >= 1")
    p, spread = right / of, Z * Z / of
    middle, half = p + spread / 2, math.sqrt(spread * p * (1 - p) + spread**2 / 4)
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def t_interval(values) -> tuple[float, float, float]:
    r"""Mean of independent values with its 95 % interval by Student's t, :math:`\bar x\pm t_{n-1}\,s/\sqrt n`.

    A bootstrap of three values understates their spread, since it divides by n and not by n - 1.

    Returns
    -------
    tuple of float
        Mean, lower and upper end; NaN ends for a single value, which says nothing of its spread.

    Raises
    ------
    ValueError
        If there is no value, or one is not finite.

    Examples
    --------
    >>> [round(x, 3) for x in t_interval([1.0, 2.0, 3.0])]
    [2.0, -0.484, 4.484]
    """
    from scipy import stats

    x = numbers(values).ravel()
    if len(x) == 0 or not np.isfinite(x).all():
        raise invalid("values", x[:5].tolist(), "finite numbers, at least one")
    half = stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)) if len(x) > 1 else math.nan
    return float(x.mean()), float(x.mean() - half), float(x.mean() + half)


def auc_difference(scores_a, scores_b, is_fake) -> tuple[float, float, float]:
    r"""Mean area under the curve over runs, A minus B, with a 95 % interval over runs and images.

    Run s of A and run s of B are a pair (same seed) and saw the same test images; both pairings are kept. Luck in the
    images has DeLong's variance V, of the mean over runs; luck in training goes by Student's t, since runs are few:

    .. math:: \pm\sqrt{z_{0.975}^2\,V + t_{R-1,\,0.975}^2\,s^2/R}

    with the standard deviation s of the R differences.

    Parameters
    ----------
    scores_a, scores_b : array [R, N]
        One row a run; a single run only has luck in the images.
    is_fake : array [N]

    Returns
    -------
    tuple of float
        Difference, lower and upper end, clipped to [-1, 1].

    Raises
    ------
    ValueError
        If the two differ in shape, or as :func:`auc`.

    Examples
    --------
    >>> a = np.array([[2.0, 3.0, 0.0, 1.0]])
    >>> auc_difference(a, a, [1, 1, 0, 0])
    (0.0, 0.0, 0.0)
    """
    from scipy import stats

    a, b = np.atleast_2d(numbers(scores_a)), np.atleast_2d(numbers(scores_b))
    require(a.shape == b.shape, "scores_a, scores_b", (a, b), "equal, [runs, N]")
    pairs = [(_both(x, is_fake), _both(z, is_fake)) for x, z in zip(a, b)]
    of_fakes = np.stack([placements(*of_a) - placements(*of_b) for of_a, of_b in pairs])  # [R, fakes]
    of_reals = np.stack([placements(-ra, -fa) - placements(-rb, -fb) for (fa, ra), (fb, rb) in pairs])  # [R, reals]
    each, runs = of_fakes.mean(1), len(pairs)
    images = sum(x.mean(0).var(ddof=1) / x.shape[1] for x in (of_fakes, of_reals))
    training = stats.t.ppf(0.975, runs - 1) ** 2 * each.var(ddof=1) / runs if runs > 1 else 0.0
    middle, half = float(each.mean()), math.sqrt(Z**2 * images + training)
    return middle, max(-1.0, middle - half), min(1.0, middle + half)
