r"""What accuracy, F1 and AUC allow of one another, and what happens when they are averaged over small batches.

Over one test set the three measures constrain each other. Averaged over batches of four, as training code often logs
them, they do not mean the same any more: a batch without a positive has F1 = 0, a batch of one class has no AUC and
libraries return 0. The positive class of Marogna's thesis is "real", a share of 70/150 of its images.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import numpy as np

from deepfake_kit.valid import finite, invalid, numbers, whole, within

REAL_SHARE = 70 / 150


def _share(name: str, value: float) -> float:
    within(name, value, "[0, 1]")
    return float(value)


def possible_f1(accuracy: float, positives: float = REAL_SHARE) -> tuple[float, float]:
    r"""Smallest and largest F1 over a whole set that an accuracy permits.

    With :math:`TP` the share of true positives, :math:`F_1 = \frac{2\,TP}{2\,TP + 1 - acc}` grows with TP, and
    :math:`\max(0, acc-(1-p)) \le TP \le \min(p, acc)`.

    Examples
    --------
    >>> [round(x, 4) for x in possible_f1(0.999)]
    [0.9989, 0.9989]
    """
    accuracy, positives = _share("accuracy", accuracy), _share("positives", positives)
    low, high = max(0.0, accuracy - (1 - positives)), min(positives, accuracy)
    return tuple(2 * tp / (2 * tp + 1 - accuracy) if tp > 0 else 0.0 for tp in (low, high))


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


def possible_batch_f1(
    accuracy: float, positives: float = REAL_SHARE, batch: int = 4, points: int = 101
) -> tuple[float, float]:
    """Smallest and largest expected F1 of a batch that an accuracy permits, over a grid of recalls.

    Examples
    --------
    >>> [round(x, 2) for x in possible_batch_f1(0.999)]
    [0.92, 0.92]
    """
    accuracy, p = _share("accuracy", accuracy), _share("positives", positives)
    low, high = max(0.0, accuracy - (1 - p)) / p, min(1.0, accuracy / p)
    values = [
        batch_f1(tpr, min(1.0, max(0.0, 1 - (accuracy - p * tpr) / (1 - p))), p, batch)
        for tpr in np.linspace(low, high, points).tolist()
    ]
    return min(values), max(values)


def batch_mean(metric: Callable, labels, scores, batch: int = 4) -> float:
    """Mean of ``metric(labels, scores)`` over consecutive full batches, 0 where a batch has one class.

    For metrics that need both classes, such as AUC; F1 is 0 only where a batch lacks positives.

    Examples
    --------
    >>> batch_mean(lambda y, s: 1.0, [0, 1, 1, 1], [0, 0, 0, 0], batch=2)
    0.5
    """
    labels, scores = np.asarray(labels), numbers(scores)
    if labels.shape != scores.shape or labels.ndim != 1 or len(labels) < batch or batch < 1:
        raise invalid("labels, scores, batch", (labels, scores, batch), "equal [N], N >= batch")
    finite("labels", labels), finite("scores", scores)
    full = len(labels) // batch * batch
    pairs = zip(labels[:full].reshape(-1, batch), scores[:full].reshape(-1, batch))
    return float(np.mean([metric(y, s) if 0 < y.sum() < batch else 0.0 for y, s in pairs]))
