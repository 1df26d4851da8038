"""NT-Xent: against two loops, closed forms, invariances, finite differences and, where installed, another library."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepfake_kit.detect.losses import multi_view_nt_xent, nt_xent


def views(n=4, d=6, seed=0, count=2):
    return torch.randn(count, n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_loops(z_a, z_b, tau):
    """Chen et al., Eq. 1, pair by pair, with plain floats."""
    z = [row.tolist() for pair in zip(z_a, z_b) for row in pair]

    def sim(u, v):
        return sum(a * b for a, b in zip(u, v)) / math.sqrt(sum(a * a for a in u) * sum(b * b for b in v))

    losses = []
    for i, anchor in enumerate(z):
        j = i ^ 1
        rivals = [sim(anchor, z[k]) / tau for k in range(len(z)) if k != i]
        losses.append(math.log(sum(math.exp(x - rivals[0]) for x in rivals)) + rivals[0] - sim(anchor, z[j]) / tau)
    return sum(losses) / len(losses)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 6), st.integers(1, 8), st.floats(0.05, 3), st.integers(0, 1000))
def test_equals_two_loops(n, d, tau, seed):
    z_a, z_b = views(n, d, seed)
    assert nt_xent(z_a, z_b, tau).item() == pytest.approx(by_loops(z_a, z_b, tau), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("n", [2, 8, 32])
def test_equal_embeddings_cost_a_guess(n):
    same = torch.ones(n, 3, dtype=torch.float64)
    assert nt_xent(same, same, 0.07).item() == pytest.approx(math.log(2 * n - 1))


def test_two_opposite_pictures_cost_next_to_nothing():
    z = torch.tensor([[1.0, 0], [-1, 0]], dtype=torch.float64)
    assert nt_xent(z, z, 0.5).item() == pytest.approx(math.log(1 + 2 * math.exp(-4)))


def test_symmetric_scale_free_and_blind_to_order():
    z_a, z_b = views(seed=3)
    loss = nt_xent(z_a, z_b, 0.2).item()
    assert nt_xent(z_b, z_a, 0.2).item() == pytest.approx(loss)
    lengths = torch.linspace(0.1, 7, 4, dtype=torch.float64)[:, None]
    assert nt_xent(z_a * lengths, 5 * z_b, 0.2).item() == pytest.approx(loss)
    order = torch.tensor([2, 0, 3, 1])
    assert nt_xent(z_a[order], z_b[order], 0.2).item() == pytest.approx(loss)
    assert nt_xent(z_a[order], z_b, 0.2).item() != pytest.approx(loss)


def test_gradient_against_finite_differences():
    z_a, z_b = (z.requires_grad_() for z in views(3, 4, 5))
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, 0.3), (z_a, z_b))


def test_cold_temperatures_stay_finite():
    z_a, z_b = views(seed=7)
    assert torch.isfinite(nt_xent(z_a.float(), z_b.float(), 1e-3))


def test_three_views_are_the_mean_over_positives():
    z = views(2, 5, 9, count=3)
    unit = torch.nn.functional.normalize(z.flatten(0, 1), dim=1)
    sim = (unit @ unit.T / 0.4).tolist()
    losses = []
    for i in range(6):
        total = sum(math.exp(sim[i][k]) for k in range(6) if k != i)
        losses += [-math.log(math.exp(sim[i][k]) / total) for k in range(6) if k != i and k % 2 == i % 2]
    assert multi_view_nt_xent(z, 0.4).item() == pytest.approx(sum(losses) / len(losses))
    assert multi_view_nt_xent(z[:2], 0.4).item() == pytest.approx(nt_xent(z[0], z[1], 0.4).item())


def test_agrees_with_pytorch_metric_learning():
    from pytorch_metric_learning import losses as library

    z_a, z_b = views(5, 7, 11)
    theirs = library.NTXentLoss(temperature=0.07)(torch.cat([z_a, z_b]), torch.arange(5).repeat(2))
    assert nt_xent(z_a, z_b, 0.07).item() == pytest.approx(theirs.item())


@pytest.mark.parametrize(
    "arguments, says",
    [
        ((torch.zeros(3), torch.zeros(3), 0.5), "z_a"),
        ((torch.zeros(3, 2), torch.zeros(3), 0.5), "z_b"),
        ((torch.zeros(3, 2), torch.zeros(2, 2), 0.5), "equal"),
        ((torch.zeros(1, 2), torch.zeros(1, 2), 0.5), "at least 2"),
        ((torch.zeros(3, 2).long(), torch.zeros(3, 2).long(), 0.5), "float"),
        ((torch.full((3, 2), torch.nan), torch.ones(3, 2), 0.5), "z_a: got 6 of 6 .* finite"),
        ((torch.ones(3, 2), torch.tensor([[1.0, 1], [torch.inf, 1], [1, 1]]), 0.5), "z_b: got 1 of 6 .* finite"),
        ((torch.ones(3, 2), torch.ones(3, 2), 0.0), "temperature"),
        ((torch.ones(3, 2), torch.ones(3, 2), -0.5), "temperature"),
        ((torch.ones(3, 2), torch.ones(3, 2), float("nan")), "temperature"),
    ],
)
def test_bad_input_is_named(arguments, says):
    with pytest.raises(ValueError, match=says):
        nt_xent(*arguments)


def test_one_view_has_no_positive():
    for views_of_four in (torch.ones(1, 4, 3), torch.ones(2, 1, 3)):
        with pytest.raises(ValueError, match="2 views of at least 2 images"):
            multi_view_nt_xent(views_of_four)


def test_numbers_that_are_not_finite_are_counted_in_any_view():
    z = views(3, 2, count=3)
    z[2, 0, 1] = torch.nan
    with pytest.raises(ValueError, match="z: got 1 of 18"):
        multi_view_nt_xent(z)
