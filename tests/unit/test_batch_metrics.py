"""What measures allow of one another: against confusion matrices by brute force, and simulation."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from deepfake_kit.measure import batches as bm


def auc(y, scores):
    """Share of pairs in the right order, counted one by one."""
    return np.mean([a > b for a in scores[y == 1] for b in scores[y == 0]])


@pytest.mark.parametrize("positives", [1, 2, 3, 4])
@pytest.mark.parametrize("correct", [2, 3, 4, 5])
def test_lowest_auc_against_all_rankings(correct, positives):
    """Five images in every order, cut at every place: none falls below the bound, and the bound is no idle one."""
    y = np.array([0] * (5 - positives) + [1] * positives)
    aucs = [
        auc(y, np.array(order))
        for order in itertools.permutations(range(5))
        for cut in range(6)
        if ((np.array(order) >= cut) == y).sum() == correct
    ]
    lowest = bm.lowest_auc(correct / 5, positives / 5)
    assert lowest == pytest.approx(min(aucs), abs=1e-9)


def test_lowest_auc_at_the_ends():
    assert bm.lowest_auc(1.0) == 1 and bm.lowest_auc(0.3) == 0


def test_batch_measures_against_simulation():
    rng = np.random.default_rng(0)
    y = (rng.random((20_000, 4)) < 7 / 15).astype(int)
    called = np.where(y == 1, rng.random(y.shape) < 0.8, rng.random(y.shape) < 0.3)
    f1 = [f1_score(a, b, zero_division=0) for a, b in zip(y[:100], called)]
    hits, wrong = (y & called).sum(1), (y != called).sum(1)
    by_hand = 2 * hits / np.maximum(2 * hits + wrong, 1)
    assert by_hand[:100].tolist() == pytest.approx(f1)
    assert by_hand.mean() == pytest.approx(bm.batch_f1(0.8, 0.3), abs=0.01)
    scores = y + rng.normal(size=y.shape)
    whole = roc_auc_score(y.ravel(), scores.ravel())
    in_fours = [auc(a, b) if 0 < a.sum() < 4 else 0.0 for a, b in zip(y[:4000], scores)]
    assert np.mean(in_fours) == pytest.approx(bm.batch_auc(whole), abs=0.02)


def test_perfect_constant_and_blind_answers():
    assert bm.batch_f1(1, 0) == pytest.approx(1 - (8 / 15) ** 4)
    assert bm.batch_f1(0, 0.5) == 0
    assert bm.batch_f1(1, 1, 0.5, 1) == 0.5
    assert bm.batch_f1(1, 1, batch=40) == pytest.approx(2 * 7 / 22, abs=5e-3)
    assert bm.batch_auc(1, 0.5, 1) == 0


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: bm.lowest_auc(1.2), "accuracy"),
        (lambda: bm.batch_f1(0.5, -1), "false_positives"),
        (lambda: bm.batch_f1(1, 0, batch=0), "batch"),
        (lambda: bm.batch_auc(0.5, 2), "positives"),
        (lambda: bm.lowest_auc(float("nan")), "accuracy"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
