"""Attacks against closed forms and hand-made cases; the losses against their formulas; the distances by hand."""

import math

import pytest
import torch

from deepfake_kit.defend import protect
from deepfake_kit.defend.editors import Residual
from deepfake_kit.measure import edits as ed


def random(seed=0):
    return torch.Generator().manual_seed(seed)


W = torch.randn(3, 8, 8, generator=random(1))
GREY = torch.full((4, 3, 8, 8), 0.5)


def linear(images):
    """One output, so the best attack is +-epsilon sign(w)."""
    return (images * W).sum((1, 2, 3), keepdim=True)


# -- projection -------------------------------------------------------------------------


def test_projection_is_the_nearest_point():
    x, z = torch.rand(2, 3, 4, 4, generator=random()), 2 * torch.randn(2, 3, 4, 4, generator=random(2))
    found = protect.project(z, x, 0.1)
    grid = torch.linspace(0, 1, 2001)
    for value, original, far in zip(found.flatten().tolist(), x.flatten().tolist(), z.flatten().tolist(), strict=True):
        allowed = grid[(grid - original).abs() <= 0.1]
        assert abs(value - allowed[(allowed - far).abs().argmin()].item()) <= 6e-4


def test_projection_leaves_what_is_allowed():
    x = torch.rand(2, 3, 4, 4, generator=random())
    inside = protect.random_start(x, 0.1, random(3))
    assert torch.equal(protect.project(inside, x, 0.1), inside)


@pytest.mark.parametrize("epsilon", [0.025, 0.03, 8 / 255, 0.1])
def test_a_file_is_whole_grey_levels_within_the_ball(epsilon):
    x = torch.randint(0, 256, (8, 3, 8, 8), generator=random()) / 255
    saved = protect.to_file(x + 0.2 * torch.randn(x.shape, generator=random(1)), x, epsilon)
    assert (saved * 255 - (saved * 255).round()).abs().max() < 1e-4
    assert (saved - x).abs().max() <= epsilon + 1e-6
    assert (saved - x).abs().max() > epsilon - 1 / 255


# -- projected gradients ----------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [0.01, 0.1])
def test_pgd_finds_the_optimum_of_a_linear_editor(epsilon):
    z = protect.pgd(linear, GREY, epsilon, epsilon / 4, 12, random())
    assert linear(z - GREY).abs().flatten().tolist() == pytest.approx([epsilon * W.abs().sum().item()] * 4, rel=1e-4)


def test_one_step_is_a_signed_step_from_the_start():
    start = protect.random_start(GREY, 0.1, random(4))
    z = protect.pgd(linear, GREY, 0.1, 0.02, 1, random(4))
    side = linear(start - GREY).sign()
    assert torch.allclose(z, protect.project(start + 0.02 * side * W.sign(), GREY, 0.1))


def test_the_attack_stays_in_ball_and_range():
    x = torch.rand(3, 3, 8, 8, generator=random())
    z = protect.pgd(linear, x, 0.2, 0.1, 5, random())
    assert (z - x).abs().max() <= 0.2 + 1e-6 and z.min() >= 0 and z.max() <= 1


def test_weights_choose_the_editor():
    other = torch.randn(3, 8, 8, generator=random(9))

    def second(images):
        return (images * other).sum((1, 2, 3), keepdim=True)

    alone = protect.pgd(second, GREY, 0.1, 0.05, 6, random())
    assert torch.allclose(protect.pgd([linear, second], GREY, 0.1, 0.05, 6, random(), weights=[0, 1]), alone)
    both = protect.pgd([linear, second], GREY, 0.1, 0.05, 6, random(), weights=[1, 1])
    assert not torch.allclose(both, alone)


# -- losses and networks ----------------------------------------------------------------


def test_recogniser_loss_by_hand():
    true, false = torch.tensor([0.8, 0.6]), torch.tensor([0.3, 0.1])
    exact = (math.log(0.8) + math.log(0.6)) / 2 + (math.log(0.7) + math.log(0.9)) / 2
    assert protect.recogniser_loss(torch.logit(true), torch.logit(false)).item() == pytest.approx(exact, rel=1e-5)


def test_hinge_loss_takes_the_largest_value_of_each_image():
    delta = torch.zeros(2, 3, 4, 4)
    delta[0, 1, 2, 3], delta[1, 0, 0, 0] = -0.3, 0.04
    assert protect.hinge_loss(delta, 0.05).item() == pytest.approx(0.125)


def test_generator_has_the_printed_parts():
    net = protect.Generator(0.025)
    assert sum(isinstance(m, Residual) for m in net.modules()) == 4
    assert sum(getattr(m, "stride", None) == (2, 2) for m in net.body) == 3
    assert sum(isinstance(m, torch.nn.Upsample) for m in net.body) == 3
    x = torch.rand(2, 3, 32, 32, generator=random())
    assert net(x).shape == x.shape and net(x).abs().max() <= 0.025
    loud = protect.Generator(0.025, bounded=False)
    with torch.no_grad():
        loud.body[-1].weight.mul_(100)
    assert loud(x).abs().max() > 0.025
    assert (loud.eval().protect(x) - x).abs().max() <= 0.025 + 1e-6


def smooth(images):
    return torch.sigmoid(8 * (torch.nn.functional.avg_pool2d(images, 3, 1, 1) - 0.5))


def test_players_follow_their_seed_and_leave_the_global_state():
    state = torch.random.get_rng_state()
    a, b, c = (protect.new_players(width=4, generator=random(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    x = torch.rand(1, 3, 16, 16, generator=random())
    assert torch.equal(a(x), b(x)) and not torch.equal(a(x), c(x))


@pytest.fixture(scope="module")
def lesson():
    x = torch.rand(24, 3, 16, 16, generator=random(5)) * 0.2 + 0.4
    return x, protect.pgd(smooth, x, 0.05, 0.01, 10, random(6))


def test_direct_training_breaks_an_editor_far_better_than_noise(lesson):
    x, z = lesson
    net, history = protect.train_dadfi(
        [smooth], x, [z], 60, objective="direct", epsilon=0.05, batch_size=8, generator=random()
    )
    harm = ed.mean_square(smooth(net.protect(x)), smooth(x)).mean()
    noise = ed.mean_square(smooth(protect.random_start(x, 0.05, random(7))), smooth(x)).mean()
    # Each output rises with every input, so no pixel can be moved further than by all of them at one end of the ball.
    ends = torch.stack([smooth(x + side * 0.05) - smooth(x) for side in (-1, 1)])
    best = 4 * ends.square().amax(dim=0).mean()
    assert 3 * noise < harm <= best * (1 + 1e-5)
    assert len(history) == 60 and history[-1].keys() == {"largest"}


def test_dadfi_moves_both_recognisers_and_repeats(lesson):
    x, z = lesson
    runs = [
        protect.train_dadfi([smooth], x, [z], 4, epsilon=0.05, batch_size=8, width=4, generator=random(3))
        for _ in range(2)
    ]
    assert runs[0][1] == runs[1][1]
    assert runs[0][1][0].keys() == {"largest", "x true", "x false", "y true", "y false"}
    a, b = (net.protect(x[:2]) for net, _ in runs)
    assert torch.equal(a, b)


def test_the_ablation_never_calls_an_editor_in_training(lesson):
    x, z = lesson
    calls = []

    def counted(images):
        calls.append(len(images))
        return smooth(images)

    protect.train_dadfi([counted], x, [z], 3, objective="without second recogniser", width=4, generator=random())
    assert calls == []


def test_a_soft_hinge_weighs_on_the_size(lesson):
    x, z = lesson
    sizes = [
        protect.train_dadfi(
            [smooth], x, [z], 40, objective="direct", bounded=False, mu=mu, epsilon=0.01, batch_size=8, width=4
        )[1][-1]["largest"]
        for mu in (0.0, 50.0)
    ]
    assert sizes[1] < sizes[0] / 2


# -- distances --------------------------------------------------------------------------


def test_distances_by_hand():
    a = torch.zeros(1, 3, 2, 2)
    b = torch.zeros(1, 3, 2, 2)
    b[0, :, 0, 0], b[0, 0, 1, 1] = 0.5, 0.3
    mask = torch.tensor([[[True, False], [False, False]]])
    assert ed.pixel_distance(a, b).item() == pytest.approx(math.sqrt(3 * 0.25 + 0.09))
    assert ed.mask_distance(a, b, mask).item() == pytest.approx(math.sqrt(0.75))
    assert ed.mean_square(a, b).item() == pytest.approx(4 * 0.84 / 12)
    assert ed.masked_mean_square(a, b, mask).item() == pytest.approx(4 * 0.75 / 3)
    assert ed.edit_mask(b, a).tolist() == [[[True, False], [False, True]]]
    assert math.isnan(ed.masked_mean_square(a, b, torch.zeros_like(mask)).item())


def test_the_printed_distance_grows_with_the_picture_and_the_mean_does_not():
    small, large = (torch.full((1, 3, n, n), 0.1) for n in (8, 16))
    assert ed.pixel_distance(large, 0 * large) / ed.pixel_distance(small, 0 * small) == pytest.approx(2)
    assert ed.mean_square(large, 0 * large).item() == pytest.approx(ed.mean_square(small, 0 * small).item())


X = torch.full((2, 3, 8, 8), 0.5)
Y, ODD = torch.full((2, 3, 16, 16), 0.5), torch.full((2, 3, 12, 12), 0.5)


def broken_at(number):
    """An editor whose output is not finite in its call of this number, and not before."""
    calls = []

    def editor(images):
        calls.append(images)
        return images if len(calls) < number else images / 0

    return editor


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: protect.pgd(linear, X + 1), "values"),
        (lambda: protect.pgd(linear, X, epsilon=0), "epsilon"),
        (lambda: protect.pgd(linear, X, step=-1), "step"),
        (lambda: protect.pgd(linear, X, iterations=0), "steps"),
        (lambda: protect.pgd([linear], X, weights=[1, 2]), "weights"),
        (lambda: protect.pgd([], X), "weights"),
        (lambda: protect.Generator(-1), "epsilon"),
        (lambda: protect.pgd(linear, X, epsilon=5), "epsilon: got 5; valid: a number in"),
        (lambda: protect.pgd(linear, X, step=float("nan")), "step"),
        (lambda: protect.Generator(6.4), "epsilon"),
        (lambda: protect.pgd(broken_at(1), X), "384 values not finite"),
        (lambda: protect.pgd(broken_at(3), X), "not finite"),
        (lambda: protect.pgd(lambda z: z[:1], X), "editor: got shape"),
        (lambda: protect.train_dadfi([broken_at(1)], Y, [Y], 1), "not finite"),
        (lambda: protect.train_dadfi([broken_at(2)], Y, [Y], 1), "not finite"),
        (lambda: protect.train_dadfi([linear], ODD, [ODD], 1), "side 12; valid: a multiple of 8 from 16 on"),
        (lambda: protect.train_dadfi([linear], Y, [X], 1), "taught: got shape"),
        (lambda: protect.Generator().protect(ODD), "side 12"),
        (lambda: protect.Generator().protect(X), "side 8"),
        (lambda: protect.train_dadfi([linear], Y, [Y], 1, objective="dafdi"), "did you mean 'dadfi'"),
        (lambda: protect.train_dadfi([linear], Y, [], 1), "taught"),
        (lambda: protect.protect(protect.Generator(), X[0]), "shape"),
        (lambda: ed.pixel_distance(X, X[:1]), "images: got .* and "),
        (lambda: ed.mask_distance(X, X, torch.ones(2, 8, 8)), "mask"),
        (lambda: ed.masked_mean_square(X, X, torch.ones(1, 8, 8, dtype=torch.bool)), "mask"),
    ],
)
def test_errors_name_the_fault(call, words):
    with pytest.raises(ValueError, match=words):
        call()
