"""The step that all trainings share: it stops at a loss that is not finite and says where; every training uses it."""

import copy
import math

import pytest
import torch
from torch import nn

from deepfake_kit import faces, training
from deepfake_kit.defend import editors, protect
from deepfake_kit.detect import edge, pretraining, simclr, vit
from deepfake_kit.detect.augment import Augment
from deepfake_kit.diffusion import NoiseSchedule, UNet
from deepfake_kit.diffusion import training as diffusion_training
from deepfake_kit.faces import probe as face_probe
from deepfake_kit.faces.studio import portraits
from deepfake_kit.generators import ddpm, gan, swap, vae
from deepfake_kit.generators import ddpm_pixels as pixels


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n=6, side=16, seed=0):
    return torch.rand(n, 3, side, side, generator=random(seed))


def seeded(build):
    """A network from torch's own initialisation, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build()


LABELS = torch.tensor([0, 1, 0, 1, 0, 1])


def _gan(lr, break_it):
    pair = gan.new_gan(16, (4, 4, 4), 4, random())
    break_it(pair[1])
    log = gan.fit_gan(*pair, pictures(), 4, 4, lr=lr, grow=0.5, generator=random(1))
    return [*pair, log.ema], log.discriminator + log.generator


def _vae(lr, break_it):
    net = vae.new_vae(16, 4, 3, random())
    break_it(net)
    log = vae.fit_vae(net, pictures(), 4, 4, lr=lr, generator=random(1))
    return [net], log.error + log.divergence


def _pixels(lr, break_it):
    net = pixels.PixelDenoiser(16, (8, 8), 1, 4)
    training.initialise(net, random())
    break_it(net)
    average, losses = pixels.fit_pixels(net, pictures(), 4, 4, lr=lr, generator=random(1))
    return [net, average], losses


def _plan(lr, break_it):
    net = ddpm.new_ddpm(16, 4, 8, 1, (8, 8), 1, random()).plan
    break_it(net)
    average, losses = ddpm.fit_plan(net, pictures(), 4, 4, lr=lr, generator=random(1))
    return [net, average], losses


def _swap(lr, break_it):
    net = swap.new_swap(16, 4, 4, True, random())
    break_it(net)
    log = swap.fit_swap(net, [pictures(), pictures(seed=2)], 4, 4, lr=lr, generator=random(1))
    return [net], log.error


def _diffusion(lr, break_it):
    net = seeded(lambda: UNet(channels=(8,), blocks=1))
    break_it(net)
    log = diffusion_training.train(
        net, pictures()[:, :1] * 2 - 1, NoiseSchedule.linear(), 4, 4, lr, generator=random(1), warmup=1, decay=True
    )
    return [net, log.ema], log.losses


def _attributes(lr, break_it):
    net = vit.small_vit(generator=random())
    break_it(net)
    drawn = faces.draw(8, seed=1, size=vit.side_of(net))
    found = pretraining.pretrain(net, drawn, 3, lr=lr, batch_size=4, test=2, generator=random(1))
    return [net], [value for pair in found.values() for value in pair]


def _simclr(lr, break_it):
    net = seeded(lambda: edge.PhiNet(0.2, t0=2, layers=2))
    break_it(net)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        losses = simclr.pretrain(net, pictures(), Augment(), steps=4, batch_size=4, lr=lr, generator=random(1))
    return [net], losses


def _supervised(lr, break_it):
    net = seeded(lambda: edge.PhiNet(0.2, t0=2, layers=2))
    break_it(net)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        head = simclr.supervise(net, pictures(), LABELS, Augment(), steps=4, batch_size=4, lr=lr, generator=random(1))
    return [net, head], []


def _editor(lr, break_it):
    net = editors.new_editor("STGAN", 4, random(5))
    break_it(net)
    return [net], editors.fit(net, editors.pairs(4, seed=0), 4, 4, lr=lr, generator=random(1))


def _dadfi(lr, break_it, objective="dadfi"):
    def edit(x):
        return (x + 0.1).clamp(0, 1)

    net, history = protect.train_dadfi(
        [edit],
        pictures(),
        [pictures(seed=3)],
        4,
        objective=objective,
        batch_size=4,
        width=4,
        lr=lr,
        mu=1.0,
        generator=random(),
    )
    return [net], [value for row in history for value in row.values()]


def _face_probe(lr, break_it):
    net = face_probe.new_probe(random())
    break_it(net)
    return [net], face_probe.fit_probe(net, portraits(8, seed=1), 4, 4, lr=lr, generator=random(1))


LOOPS = {
    "gan": (_gan, 2e-3),
    "vae": (_vae, 2e-3),
    "pixels": (_pixels, 3e-3),
    "plan": (_plan, 1e-3),
    "swap": (_swap, 2e-3),
    "diffusion": (_diffusion, 2e-3),
    "attributes": (_attributes, 1e-3),
    "simclr": (_simclr, 2e-3),
    "supervised": (_supervised, 2e-3),
    "editor": (_editor, 2e-3),
    "dadfi": (_dadfi, 2e-3),
    "dadfi, direct": (lambda lr, break_it: _dadfi(lr, break_it, "direct"), 2e-3),
    "face probe": (_face_probe, 2e-3),
}


def whole(net):
    """Leave a network as it is."""


def poison(net):
    """One weight of each layer that is not a number."""
    for parameter in net.parameters():
        parameter.data[(0,) * parameter.ndim] = math.nan


@pytest.mark.parametrize("name", [name for name in LOOPS if not name.startswith("dadfi")])
def test_a_training_that_meets_what_is_no_number_stops_and_says_where(name):
    run, _ = LOOPS[name]
    with pytest.raises(training.NotFinite, match="step 0: the") as caught:
        run(1e-3, poison)
    assert caught.value.step == 0


# These normalise or squash whatever their weights make.
BOUNDED = {
    "game",
    "simclr",
    "supervised",
    "editor",
    "dadfi",
    "dadfi, direct",
}  # they normalise or squash whatever their weights make


@pytest.mark.parametrize("name", [name for name, (_, lr) in LOOPS.items() if lr])
def test_a_learning_rate_that_is_far_too_large_does_not_end_in_silence(name):
    run, _ = LOOPS[name]
    try:
        nets, values = run(1e30, whole)
    except training.NotFinite as stopped:
        assert 0 <= stopped.step <= 3
    except ValueError as refused:  # DADFI looks at what its editors return
        assert name in BOUNDED and "not finite" in str(refused)
    else:
        assert name in BOUNDED and all(map(math.isfinite, values))
        assert all(p.isfinite().all() for net in nets for p in net.parameters())


def test_an_attack_stops_where_the_editor_has_no_slope():
    with pytest.raises(training.NotFinite, match="step 0: the gradient") as caught:
        protect.pgd(lambda z: (z - z.detach()).abs().sqrt(), pictures(), 0.1, 0.05, 3, random())
    assert caught.value.step == 0


@pytest.mark.parametrize("name", LOOPS)
def test_a_training_that_goes_well_is_repeatable_and_finite(name):
    run, lr = LOOPS[name]
    nets, values = run(lr, whole)
    again, values_again = run(lr, whole)
    assert values == values_again and all(map(math.isfinite, values))
    for one, two in zip(nets, again, strict=True):
        for key, value in one.state_dict().items():
            assert torch.equal(value, two.state_dict()[key]) and value.isfinite().all()


def by_hand(lr, steps, cosine, clip=None):
    """A regression trained by a loop as the books write it."""
    net, x = seeded(lambda: nn.Linear(3, 1)), torch.randn(8, 3, generator=random())
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps) if cosine else None
    losses = []
    for _ in range(steps):
        loss = (net(x) - x.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimizer.step()
        if schedule:
            schedule.step()
        losses.append(loss.item())
    return net, losses


@pytest.mark.parametrize(("schedule", "clip"), [("constant", None), ("cosine", None), ("constant", 0.1)])
def test_minimise_is_the_loop_written_out(schedule, clip):
    expected, losses = by_hand(0.1, 7, schedule == "cosine", clip)
    net, x, seen = seeded(lambda: nn.Linear(3, 1)), torch.randn(8, 3, generator=random()), []
    found = training.minimise(
        lambda step: (net(x) - x.sum(1, keepdim=True)).square().mean(),
        torch.optim.Adam(net.parameters(), lr=0.1),
        7,
        schedule=schedule,
        clip=clip,
        after=lambda step, value: seen.append((step, value)),
    )
    assert found == losses and seen == list(enumerate(losses))
    assert torch.equal(net.weight, expected.weight) and torch.equal(net.bias, expected.bias)


def test_minimise_refuses_what_it_cannot_do():
    w = nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match="did you mean 'cosine'"):
        training.minimise(lambda step: w.sum(), torch.optim.SGD([w], 0.1), 2, schedule="cosin")
    with pytest.raises(ValueError, match="steps"):
        training.minimise(lambda step: w.sum(), torch.optim.SGD([w], 0.1), 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nothing_moves_in_the_step_that_is_not_finite(bad):
    w = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([w], lr=0.1)
    losses = iter([1.0, 1.0, bad])
    with pytest.raises(training.NotFinite, match="step 2: the loss is") as caught:
        training.minimise(lambda step: w.sum() * next(losses), optimizer, 5)
    before = copy.deepcopy(w.data)
    with pytest.raises(training.NotFinite, match="gradient"):  # the root's slope at 0 is infinite, the root is not
        training.descend((w - w.detach()).abs().sqrt().sum(), optimizer, 7)
    assert caught.value.step == 2 and torch.equal(w.data, before)


def test_a_long_gradient_that_is_finite_is_no_fault():
    """Its length overflows float32, its numbers do not."""
    w = nn.Parameter(torch.ones(100))
    assert training.descend((w * 1e36).sum(), torch.optim.SGD([w], lr=0.0), 0) > 9e37
    assert training.descend((w - 1).mul(3e38).sum(), torch.optim.SGD([w], lr=0.0), 0) == 0
