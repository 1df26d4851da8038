"""Gaps beside their null, the worst share of losses, and what reaches the score of the small fair detector."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from deepfake_kit.detect import fair
from deepfake_kit.detect.losses import cvar, nested_cvar
from deepfake_kit.measure import groups as by_group
from deepfake_kit.measure.scores import Reversed, auc, delong_interval, refuse_reversed


def generator(k=0):
    return torch.Generator().manual_seed(k)


class OnAGPU(torch.Tensor):
    """A stand-in for a tensor of a GPU, which numpy refuses until it is copied."""

    def __array__(self, *args, **kwargs):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def cpu(self):
        return self.as_subclass(torch.Tensor)


# -- gaps ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("statistic", "low"), [("sum", 0.04), ("gap", 0.01)])
def test_the_null_rings_in_five_per_cent_of_equal_groups(statistic, low):
    """A gap of shares of 30 has few values, so that it rings in less than 5 %; the sum has many."""
    random, group = np.random.default_rng(1), np.repeat(np.arange(14), 30)
    flags = random.random((2000, 420)) < 0.2
    rang = np.mean(
        [by_group.gap(f, group, statistic, repeats=300, generator=generator(k)).p <= 0.05 for k, f in enumerate(flags)]
    )
    assert low < rang < 0.06


@pytest.mark.parametrize("statistic", by_group.STATISTICS)
def test_the_null_is_that_of_permuted_pictures(statistic):
    random, group = np.random.default_rng(2), np.repeat(np.arange(4), [5, 9, 20, 6])
    flags = random.random(40) < 0.4
    found = by_group.gap(flags, group, statistic, repeats=4000, generator=generator())
    dealt = [by_group.gap(flags, random.permutation(group), statistic, repeats=1).value for _ in range(4000)]
    spread = np.sqrt((np.var(dealt) + found.null.var()) / 4000)
    assert abs(np.mean(dealt) - found.null.mean()) < 4 * spread
    assert (
        found.debiased == pytest.approx(found.value - found.null.mean()) and found.low <= found.debiased <= found.high
    )


def test_a_real_gap_is_found_and_the_published_sum_is_that_of_its_code():
    group = np.repeat([0, 1], 200)
    flags = np.concatenate([np.arange(200) < 20, np.arange(200) < 60])
    found = by_group.gap(flags, group)
    assert found.value == pytest.approx(0.2) and found.p < 0.01 < found.low
    summed = by_group.gap(flags, group, "sum").value
    assert summed == pytest.approx(abs(0.1 - 0.2) + abs(0.3 - 0.2))


@pytest.mark.parametrize(
    ("flags", "groups", "said"),
    [
        ([True], [0], "at least 2"),
        ([True, False], [0, 2], "no picture of group"),
        ([True, False], [0], "flags, groups: got"),
        ([0.5, 1.0], [0, 1], "flags"),
        ([True, False], [-1, 0], "whole numbers"),
        ([True, False], [0.0, 1.0], "whole numbers"),
        ([], [], "N >= 1"),
    ],
)
def test_bad_groups_are_named(flags, groups, said):
    with pytest.raises(ValueError, match=said):
        by_group.gap(flags, groups)


def test_an_empty_group_of_a_known_number_is_named():
    with pytest.raises(ValueError, match=r"group \[2\]"):
        by_group.gap([True, False], [0, 1], n_groups=3)


def test_the_gap_is_that_of_fairlearn():
    from fairlearn.metrics import MetricFrame, selection_rate

    random = np.random.default_rng(4)
    for n_groups in (2, 7, 14):
        group = np.concatenate([np.arange(n_groups), random.integers(0, n_groups, 200)])
        flags = random.random(len(group)) < 0.3
        frame = MetricFrame(metrics=selection_rate, y_true=flags, y_pred=flags, sensitive_features=group)
        assert by_group.gap(flags, group, repeats=1).value == pytest.approx(frame.difference(), abs=1e-12)


# -- the alarm -----------------------------------------------------------------------------------------


def test_the_alarm_rings_for_a_reversed_label_map_and_for_nothing_else():
    random, y = np.random.default_rng(3), np.arange(200) % 2
    good, noise = random.normal(size=200) + 1.5 * y, random.normal(size=200)
    refuse_reversed(good, y)
    refuse_reversed(noise, y)
    for scores, labels in ((good, 1 - y), (-good, y)):
        with pytest.raises(Reversed, match="training images"):
            refuse_reversed(scores, labels)


@pytest.mark.parametrize("kind", [OnAGPU, torch.Tensor, None])
@pytest.mark.parametrize("dtype", [torch.bool, torch.long, torch.uint8])
def test_groups_and_scores_take_tensors_of_any_device(kind, dtype):
    fake, group = torch.arange(40) % 3 == 0, torch.arange(40) % 2
    scores = torch.arange(40.0) % 7
    wanted = by_group.gap(fake.numpy(), group.numpy(), repeats=50), auc(scores.numpy(), fake.numpy())
    y, g, s = (x.numpy() if kind is None else x.as_subclass(kind) for x in (fake.to(dtype), group, scores))
    found = by_group.gap(y, g, repeats=50)
    assert (found.value, auc(s, y)) == (wanted[0].value, wanted[1])
    assert delong_interval(s, y) == delong_interval(scores.numpy(), fake.numpy())


# -- the worst share -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 7, 30])
@pytest.mark.parametrize("alpha", [1e-3, 0.1, 1 / 3, 0.5, 0.9, 1.0])
def test_cvar_is_the_minimum_and_so_is_its_gradient(n, alpha):
    losses = torch.randint(0, 5, (n,), generator=generator(n)).double().requires_grad_()  # with ties
    found = cvar(losses, alpha)
    flat = losses.detach()
    lowest = min(float(eta + (flat - eta).clamp(min=0).mean() / alpha) for eta in flat)
    assert found.item() == pytest.approx(lowest, abs=1e-12)
    found.backward()
    assert losses.grad.sum().item() == pytest.approx(1) and losses.grad.max() <= 1 / (alpha * n) + 1e-12 + (
        alpha * n < 1
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_cvar_of_many_losses_in_any_type(dtype):
    losses = torch.full((4096,), 20.0, dtype=dtype)
    for alpha in (0.3, 1.0):
        assert cvar(losses, alpha).item() == 20 and cvar(losses, alpha).dtype == dtype
    assert nested_cvar(losses, torch.arange(4096) % 2, 0.5, 0.9).item() == 20


def test_cvar_goes_from_the_mean_to_the_worst_and_nests():
    losses, group = torch.rand(50, generator=generator(5)), torch.arange(50) % 5
    assert cvar(losses, 1.0) == pytest.approx(losses.mean().item()) and cvar(losses, 0.02) == losses.max()
    means = torch.stack([losses[group == g].mean() for g in range(5)])
    assert nested_cvar(losses, group, 0.2, 1.0) == pytest.approx(means.max().item())
    assert nested_cvar(losses, torch.zeros(50), 0.1, 0.9) == cvar(losses, 0.9)


@pytest.mark.parametrize(
    ("losses", "alpha"),
    [
        (torch.empty(0), 0.5),
        (torch.ones(2, 2), 0.5),
        (torch.ones(2), 0.0),
        (torch.ones(2), 1.1),
        (torch.arange(3), 0.5),
    ],
)
def test_cvar_refuses(losses, alpha):
    with pytest.raises(ValueError, match="losses|alpha"):
        cvar(losses, alpha)


# -- the network ---------------------------------------------------------------------------------------


def reach(fusion):
    """Largest gradient of the score with respect to the forgery map and the group map."""
    net = fair.FairDetector(14, 3, 24, fusion, generator=generator(7))
    f, d = torch.randn(2, 4, 12, 8, 8, generator=generator(8)).requires_grad_()
    from_f, from_d = torch.autograd.grad(net.head(net.fuse(f, d)).sum(), (f, d), allow_unused=True)
    return from_f.abs().max().item(), 0.0 if from_d is None else from_d.abs().max().item()


@pytest.mark.parametrize(
    ("fusion", "forgery", "group"),
    [
        ("none", True, False),
        ("published", True, False),
        ("exchanged", False, True),
        ("conv", True, True),
        ("concat", True, True),
    ],
)
def test_what_reaches_the_score(fusion, forgery, group):
    from_f, from_d = reach(fusion)
    assert (from_f > 1e-4, from_d > 1e-4) == (forgery, group)
    assert forgery or from_f < 1e-7
    assert group or from_d < 1e-7


def test_adain_is_the_public_codes():
    x, y = torch.randn(2, 3, 5, 6, 6, generator=generator(9), dtype=torch.float64)
    mean, spread = (lambda m: m.mean((2, 3), True)), (lambda m: (m.flatten(2).var(-1) + 1e-5).sqrt()[..., None, None])
    theirs = (x - mean(x)) / spread(x) * spread(y) + mean(y)
    assert (fair.adain(x, y) - theirs).abs().max() < 0.05  # instance norm divides by n, theirs by n - 1
    assert (fair.adain(x, y).mean((2, 3)) - y.mean((2, 3))).abs().max() < 1e-12


def test_the_content_reaches_no_picture_and_the_group_does():
    net = fair.FairDetector(4, 1, 24, generator=generator(10)).double()
    f, c, other, d, e = torch.randn(5, 2, 24, 8, 8, generator=generator(11), dtype=torch.float64)
    with torch.no_grad():
        shown = net.decode(f, fair.adain(d, c))
        assert (net.decode(f, fair.adain(d, 5 + 3 * other)) - shown).abs().max() < 1e-4
        assert (net.decode(f, fair.adain(e, c)) - shown).abs().max() > 1e-3


def test_the_exchange_asks_for_the_picture_of_the_content_and_never_of_the_forgery_map():
    """As in the public code: the forgery map of a real picture with the content of a fake one is to be the fake one."""
    net = fair.FairDetector(4, 1, 24, generator=generator(20))
    net.decode = lambda f, style: style.mean((1, 2, 3), keepdim=True)  # AdaIN's mean is the content's
    grey = torch.rand(6, generator=generator(21))
    images = grey[:, None, None, None].expand(6, 3, 64, 64)
    f, c, d = torch.randn(3, 6, 24, 8, 8, generator=generator(22))
    c = c - c.mean((2, 3), keepdim=True) + (2 * grey - 1)[:, None, None, None]
    assert net.reconstruction(images, torch.stack([f, c, d])) < 1e-5
    assert net.reconstruction(images, torch.stack([f, c.roll(3, 0), d])) > 0.1
    # Of an odd number the last has nobody to swap with.
    maps = torch.stack([f, c.roll(3, 0), d])[:, :5]
    maps[:, 4] = float("nan")
    pairs = torch.stack([f, c.roll(3, 0), d])[:, :4]
    assert net.reconstruction(images[:5], maps) == net.reconstruction(images[:4], pairs) > 0
    assert net.reconstruction(images[:1], maps[:, :1]) == 0


def test_one_step_of_everything_moves_every_part_that_the_loss_reaches():
    net = fair.FairDetector(4, 2, 24, "conv", generator=generator(12))
    before = {name: p.clone() for name, p in net.named_parameters()}
    x, forger, group = torch.rand(8, 3, 64, 64, generator=generator(13)), torch.arange(8) % 3, torch.arange(8) % 4
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    value = fair.sam_step(lambda: fair.fair_loss(net, x, forger, group, torch.full((4,), 2), (0.5, 0.9)), optimizer)
    still = {name for name, p in net.named_parameters() if torch.equal(p, before[name])}
    assert np.isfinite(value) and not {name for name in still if not name.startswith("content")}


def test_sharpness_aware_steps_go_by_the_gradient_uphill():
    w = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    fair.sam_step(lambda: (w.square() * torch.tensor([1.0, 2.0])).sum(), torch.optim.SGD([w], 0.1), rho=0.5)
    g = np.array([6.0, 16.0])
    up = np.array([3.0, 4.0]) + 0.5 * g / np.linalg.norm(g)
    assert w.detach().numpy() == pytest.approx(np.array([3.0, 4.0]) - 0.1 * up * [2.0, 4.0], abs=1e-5)
    w = torch.nn.Parameter(torch.zeros(2))  # no slope, no direction
    fair.sam_step(lambda: w.square().sum(), torch.optim.SGD([w], 0.1))
    assert w.tolist() == [0.0, 0.0]


def test_margins_grow_as_a_class_gets_rare():
    logits, labels = torch.zeros(2, 2), torch.tensor([0, 1])
    rare, common = (fair.margin_loss(logits[k : k + 1], labels[k : k + 1], torch.tensor([1, 16])) for k in (0, 1))
    assert rare == pytest.approx(F.cross_entropy(torch.tensor([[-15.0, 0.0]]), labels[:1]).item())
    assert common == pytest.approx(F.cross_entropy(torch.tensor([[0.0, -7.5]]), labels[1:]).item())
    with pytest.raises(ValueError, match="counts"):
        fair.margin_loss(logits, labels, torch.tensor([0, 16]))


def test_triplets_take_the_next_of_each_kind_and_a_batch_of_one_kind_has_none():
    x, kinds = torch.randn(6, 4, generator=generator(14), dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1, 2])
    positive, negative = [3, 2, 4, 0, 1], [1, 3, 3, 4, 5]  # the last has no second of its kind
    by_hand = [
        max(float(3 + (x[a] - x[p] + 1e-6).norm() - (x[a] - x[n] + 1e-6).norm()), 0)
        for a, (p, n) in enumerate(zip(positive, negative))
    ]
    assert fair.contrast_loss(x, kinds).item() == pytest.approx(np.mean(by_hand), abs=1e-9)
    assert fair.contrast_loss(x, torch.zeros(6)).item() == 0


def test_unknown_fusions_are_named():
    with pytest.raises(ValueError, match="valid: none, published"):
        fair.FairDetector(2, fusion="publishd")
