r"""What accuracy, F1 and AUC allow of one another, and what happens when they are averaged over small batches.

Over one test set the three measures constrain each other. Averaged over batches of four, as training code often logs
them, they do not mean the same any more: a batch without a positive has F1 = 0, a batch of one class has no AUC and
libraries return 0. The positive class of Marogna's thesis is "real", a share of 70/150 of its images.
"""

from __future__ import annotations

from math import comb

from deepfake_kit.valid import whole, within

REAL_SHARE = 70 / 150


def _share(name: str, value: float) -> float:
    within(name, value, "[0, 1]")
    return float(value)


def lowest_auc(accuracy: float, positives: float = REAL_SHARE) -> float:
    r"""Smallest AUC over a whole set that an accuracy at some threshold permits.

    A curve through (FPR, TPR) has an area of at least :math:`TPR\,(1-FPR)`; on the line
    :math:`p\,TPR+(1-p)(1-FPR)=acc` this product is smallest at an end.

    Examples
    --------
    >>> round(lowest_auc(0.97), 3)
    0.936
    """
    accuracy, p = _share("accuracy", accuracy), _share("positives", positives)
    ends = []
    for share in (p, 1 - p):
        low = max(0.0, (accuracy - share) / (1 - share)) if share < 1 else 0.0
        ends.append(low * min(1.0, (accuracy - (1 - share) * low) / share if share else 1.0))
    return min(ends)


def batch_f1(recall: float, false_positives: float, positives: float = REAL_SHARE, batch: int = 4) -> float:
    r"""Expected F1 of a random batch, 0 where it has no true positive.

    .. math:: \mathrm E\Big[\frac{2a}{a+b+k}\Big],\quad k\sim\mathrm{Bin}(B,p),\;
              a\sim\mathrm{Bin}(k,TPR),\;b\sim\mathrm{Bin}(B-k,FPR)

    Examples
    --------
    >>> round(batch_f1(1, 0), 4), round(1 - (8 / 15) ** 4, 4)
    (0.9191, 0.9191)
    """
    tpr, fpr = _share("recall", recall), _share("false_positives", false_positives)
    p = _share("positives", positives)
    whole("batch", batch, 1)

    def chance(k: int, n: int, q: float) -> float:
        return comb(n, k) * q**k * (1 - q) ** (n - k)

    return sum(
        chance(k, batch, p) * chance(a, k, tpr) * chance(b, batch - k, fpr) * 2 * a / (a + b + k)
        for k in range(1, batch + 1)
        for a in range(1, k + 1)
        for b in range(batch - k + 1)
    )


def batch_auc(auc: float, positives: float = REAL_SHARE, batch: int = 4) -> float:
    r"""Expected AUC of a random batch, 0 where it has one class: :math:`AUC\,(1-p^B-(1-p)^B)`.

    Examples
    --------
    >>> round(batch_auc(1.0), 4), round(batch_auc(0.5), 4)
    (0.8717, 0.4358)
    """
    p = _share("positives", positives)
    whole("batch", batch, 1)
    return _share("auc", auc) * (1 - p**batch - (1 - p) ** batch)
