"""Losses of the detection chapters: the single-center loss (chapter 7)."""

from __future__ import annotations

import math

import pytest
import torch

from deepfake_kit.detect.losses import center_distance, single_center_loss


def batch(n=12, d=5, seed=0, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    features = torch.randn(n, d, generator=random, dtype=dtype)
    return features, torch.arange(n) % 3 == 0, torch.randn(d, generator=random, dtype=dtype)


def by_loops(features, is_fake, center, margin):
    sums, counts = [0.0, 0.0], [0, 0]
    for row, fake in zip(features.tolist(), is_fake.tolist()):
        square = 0.0
        for x, c in zip(row, center.tolist()):
            square += (x - c) ** 2
        sums[int(fake)] += math.sqrt(square)
        counts[int(fake)] += 1
    real, fake = (total / max(1, n) for total, n in zip(sums, counts))
    return real + max(real - fake + margin * math.sqrt(features.shape[1]), 0)


@pytest.mark.parametrize("margin", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("n, d", [(3, 1), (12, 5), (40, 17)])
def test_center_loss_equals_loops_over_images_and_features(n, d, margin):
    features, fake, center = batch(n, d, seed=n)
    assert float(single_center_loss(features, fake, center, margin)) == pytest.approx(
        by_loops(features, fake, center, margin), abs=1e-12
    )


def test_center_loss_of_a_hand_made_batch():
    # Real at distances 5 and 1, fakes at 2 and 4, D = 4, so the margin is 2 m.
    features = torch.tensor([[3.0, 4, 0, 0], [1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 4]])
    fake = torch.tensor([0, 0, 1, 1])
    assert float(single_center_loss(features, fake, torch.zeros(4), 0.5)) == pytest.approx(3 + (3 - 3 + 1))
    far = features * torch.tensor([[1.0], [1], [10], [10]])
    assert float(single_center_loss(far, fake, torch.zeros(4), 0.5)) == pytest.approx(3)  # fakes are far enough


@pytest.mark.parametrize("margin", [0.3, 3.0])
def test_center_loss_gradient_by_finite_differences(margin):
    features, fake, center = batch()
    features.requires_grad_(), center.requires_grad_()
    assert torch.autograd.gradcheck(lambda f, c: single_center_loss(f, fake, c, margin), (features, center))


def test_center_loss_pushes_fakes_out_and_pulls_real_ones_in():
    features = torch.tensor([[0.5], [1.0]], requires_grad=True)
    single_center_loss(features, torch.tensor([0, 1]), torch.zeros(1), 1.0).backward()
    assert features.grad[1].item() == pytest.approx(-1.0)
    assert features.grad[0].item() > 0


def test_center_loss_does_not_notice_rotation_shift_or_order():
    features, fake, center = batch()
    expected = single_center_loss(features, fake, center, 0.3)
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[0]
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))
    for other in (
        single_center_loss(features @ turn, fake, center @ turn, 0.3),
        single_center_loss(features + 7, fake, center + 7, 0.3),
        single_center_loss(features[order], fake[order].long(), center, 0.3),
    ):
        assert torch.allclose(other, expected, atol=1e-12)


def test_a_class_missing_from_the_batch_contributes_nothing():
    features, _, center = batch()
    d = float(center_distance(features, center))
    nobody, everybody = torch.zeros(12, dtype=torch.bool), torch.ones(12, dtype=torch.bool)
    assert float(single_center_loss(features, nobody, center, 0.3)) == pytest.approx(d)
    assert float(single_center_loss(features, everybody, center, 3.0)) == pytest.approx(3 * math.sqrt(5) - d)
    assert float(single_center_loss(features, everybody, center, 0.0)) == 0
    features.requires_grad_()
    single_center_loss(features, everybody, center, 3.0).backward()
    assert torch.isfinite(features.grad).all() and bool(features.grad.any())


def test_gradient_is_finite_where_features_sit_on_the_centre():
    features = torch.zeros(4, 3, requires_grad=True)
    single_center_loss(features, torch.tensor([0, 0, 1, 1]), torch.zeros(3), 0.3).backward()
    assert torch.isfinite(features.grad).all()


def test_squared_distance():
    assert float(center_distance(torch.tensor([[3.0, 4], [0, 1]]), torch.zeros(2), squared=True)) == 13


@pytest.mark.parametrize(
    "change, name",
    [
        (dict(features=torch.ones(3)), "features"),
        (dict(features=torch.ones(3, 2, dtype=torch.long)), "features"),
        (dict(features=torch.ones(0, 2), is_fake=torch.ones(0)), "features"),
        (dict(center=torch.zeros(3)), "center"),
        (dict(is_fake=torch.ones(2)), "is_fake"),
        (dict(is_fake=torch.tensor([0, 1, 2])), "is_fake"),
        (dict(margin=-0.1), "margin"),
        (dict(margin=math.nan), "margin"),
    ],
)
def test_center_loss_refuses_bad_input_by_name(change, name):
    good = dict(features=torch.ones(3, 2), is_fake=torch.tensor([0, 1, 1]), center=torch.zeros(2), margin=0.3)
    with pytest.raises(ValueError, match=name):
        single_center_loss(**{**good, **change})
