"""All clients as one computation, against one client after the other: the same weights but for rounding."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch
from torch import nn

from deepfake_kit import federated
from deepfake_kit.diffusion import NoiseSchedule, UNet, q_sample
from deepfake_kit.diffusion.velocity import NoiseFromVelocity, velocity, velocity_to_noise
from deepfake_kit.federated import Plan, train
from deepfake_kit.federated import batched as federated_batched
from deepfake_kit.federated.batched import BatchedWorker
from deepfake_kit.federated.client import FlatWeights, Worker, client_seed, error_weight, local_optimizer, withheld

SCHEDULE = NoiseSchedule.linear(50)


def unet(**more):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        settings = {"channels": (8, 12), "blocks": 1, "stem": 2, "precision": "float32", **more}
        net = UNet(**settings)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():  # the last layers start at zero, where no gradient would pass
            for parameter in net.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return net


class Odd(nn.Module):
    """Tied weights, a frozen one, batch statistics and a whole-number buffer; eps(x, t) of [N, 1, 8, 8]."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.one, self.two = nn.Conv2d(1, 1, 3, padding=1, bias=False), nn.Conv2d(1, 1, 3, padding=1)
        self.two.weight = self.one.weight
        self.frozen = nn.Parameter(torch.full((1,), 0.7), requires_grad=False)
        self.norm = nn.BatchNorm2d(1)
        with torch.no_grad():
            self.one.weight.copy_(0.3 * torch.randn(1, 1, 3, 3, generator=generator))
            self.two.bias.fill_(0.1)

    def forward(self, x, t):
        return self.two(self.norm(self.frozen * self.one(x)))


def plan(**more):
    return Plan(**{"rounds": 2, "local_steps": 3, "batch_size": 2, "lr": 0.003, "seed": 5, **more})


def toy(dtype=torch.float32, clients=4):
    """Images, and parts of 1, 4, 7, ... of them."""
    sizes = [1 + 3 * k for k in range(clients)]
    images = torch.rand(sum(sizes), 1, 8, 8, generator=torch.Generator().manual_seed(2), dtype=dtype)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(4))
    return images * 2 - 1, list(order.split(sizes))


def rounding(p, dtype=torch.float64):
    """How far apart rounding alone can take two runs of the same arithmetic, done in another order.

    A gradient sums up to n products of size one, so it is uncertain by sqrt(n) eps: n is the numbers in a batch that
    one weight meets, times the products behind each. AdamW divides a gradient by its size, or by 1e-8 where rounding
    is all there is of it (a convolution's bias before a norm), and so enlarges the uncertainty.
    """
    uncertain = (p.batch_size * 8 * 8 * 12 * 9) ** 0.5 * torch.finfo(dtype).eps
    return p.rounds * p.local_steps * p.lr * uncertain / (1e-8 if p.optimizer == "adamw" else 1)


def both(make, p, dtype=torch.float32, clients=4, **more):
    """Weights after a run of each engine, and how far the run moved them."""
    images, parts = toy(dtype, clients)
    found, histories = [], []
    for engine in ("loop", "batched"):
        net = make().to(dtype)
        start = FlatWeights(net).read()
        histories.append(train(net, images, parts, SCHEDULE, p, engine=engine, **more))
        found.append(FlatWeights(net).read())
    near = 1e-5 if getattr(net, "precision", "float32") == "float32" else 0.03
    torch.testing.assert_close(*(torch.tensor(h.losses) for h in histories), atol=near, rtol=near)
    assert histories[0].participants == histories[1].participants
    gap = float((found[0] - found[1]).abs().max())
    return gap, float((found[0] - start).abs().max())


CASES = {
    "adamw": {},
    "sgd": {"optimizer": "sgd", "lr": 0.05},
    "fedprox": {"prox": 0.4, "optimizer": "sgd", "lr": 0.05},
    "two of four a round": {"sampled": 2, "rounds": 3},
    "median of equals": {"rule": "median", "weighting": "uniform"},
    "a velocity's error and a falling rate": {"target": "velocity", "decay": True, "optimizer": "sgd", "lr": 0.05},
}


@pytest.mark.parametrize("case", CASES)
def test_float64_weights_agree_to_rounding(case):
    """Rounding aside the engines compute the same, so in float64 hardly anything may differ."""
    p = plan(**CASES[case])
    gap, moved = both(unet, p, torch.float64)
    assert gap < rounding(p) and moved > 1e-3


@pytest.mark.parametrize("case", ["sgd", "fedprox"])
def test_float32_weights_agree_to_rounding(case):
    p = plan(**CASES[case])
    gap, moved = both(unet, p)
    assert gap < rounding(p, torch.float32) and moved > 1e-3


def test_float32_adamw_agrees_where_a_gradient_is_not_rounding_itself():
    """Adam divides a gradient by its size: where it is all rounding, a step in either direction is right.

    Such weights are those whose gradient vanishes: convolution biases before a norm, here.
    """
    images, parts = toy()
    net, p = unet(), plan(rounds=1)
    start = FlatWeights(net).read()
    rows, _ = BatchedWorker(net, p)(start, images, parts, SCHEDULE, 0, [0, 1, 2, 3])
    alone = torch.stack([Worker(net, p)(start, images, parts[k], SCHEDULE, 0, k)[0] for k in range(4)])
    gap = (rows - alone).abs()
    assert gap.median() < 1e-7 and gap.quantile(0.97) < 1e-5
    assert gap.max() <= 2 * p.lr * p.local_steps  # not even those can be further apart than both have gone


@pytest.mark.parametrize("clients", [1, 2])
def test_few_clients_and_a_client_with_one_image(clients):
    gap, moved = both(unet, plan(), torch.float64, clients)
    assert gap < rounding(plan()) and moved > 1e-3


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_batches_of_one_image(precision):
    """Sizes of one leave the order of memory open, which once broke the group norms."""
    gap, moved = both(lambda: unet(channels=(8,), precision=precision), plan(batch_size=1, rounds=1, **CASES["sgd"]))
    assert gap < 0.2 * moved


def test_tied_frozen_and_counted_weights():
    p = plan(optimizer="sgd", lr=0.05)
    gap, moved = both(Odd, p, torch.float64)
    assert gap < rounding(p) and moved > 1e-3
    net = Odd()
    train(net, *toy(), SCHEDULE, plan(), engine="batched")
    assert net.frozen.item() == pytest.approx(0.7) and net.norm.num_batches_tracked == 6


def test_conditions_reach_the_model_image_by_image():
    labels = torch.nn.functional.one_hot(torch.arange(22) % 3).double()

    def make():
        return unet(condition_dim=3)

    gap, moved = both(make, plan(), torch.float64, conditions=labels)
    assert gap < rounding(plan()) and moved > 1e-3
    images, parts = toy(torch.float64)
    ends = []
    for rows in (labels, labels.roll(1, 0)):
        net = make().double()
        train(net, images, parts, SCHEDULE, plan(), conditions=rows)
        ends.append(FlatWeights(net).read())
    assert (ends[0] - ends[1]).abs().max() > 1e-4  # other labels, other weights
    with pytest.raises(ValueError, match=r"conditions: got torch.float\d+ \(21, 3\); valid: one row for each of 22"):
        train(make().double(), images, parts, SCHEDULE, plan(), conditions=labels[:21])


def test_groups_bound_the_memory_and_change_nothing():
    images, parts = toy(torch.float64)
    net, p = unet().double(), plan(rounds=1)
    start = FlatWeights(net).read()
    kept = start.clone()
    whole = BatchedWorker(net, p)(start, images, parts, SCHEDULE, 0, [3, 0, 2])
    parted = BatchedWorker(net, p, at_once=2)(start, images, parts, SCHEDULE, 0, [3, 0, 2])
    torch.testing.assert_close(whole, parted, atol=rounding(p), rtol=0)
    assert torch.equal(start, kept) and torch.equal(FlatWeights(net).read(), kept)  # both only read
    with pytest.raises(ValueError, match="at_once: got 0; valid: a whole number of at least 1"):
        BatchedWorker(net, p, at_once=0)
    with pytest.raises(ValueError, match=r"start: got torch.float32 \(2,\); valid: shape"):
        BatchedWorker(net, p)(torch.zeros(2), images, parts, SCHEDULE, 0, [0])


def test_the_comparison_can_fail(monkeypatch):
    """Clients that draw with another's seed, or a proximal anchor that is forgotten, are far outside."""
    monkeypatch.setattr(federated_batched, "client_seed", lambda s, r, k: client_seed(s, r, k + 1))
    assert both_without_losses(plan())[0] > 1e-4
    monkeypatch.undo()
    images, parts = toy(torch.float64)
    p = plan(prox=0.4, optimizer="sgd", lr=0.05)
    net = unet().double()
    start = FlatWeights(net).read()
    without, _ = BatchedWorker(net, replace(p, prox=0.0))(start, images, parts, SCHEDULE, 0, [1])
    alone, _ = Worker(net, p)(start, images, parts[1], SCHEDULE, 0, 1)
    assert (without[0] - alone).abs().max() > 1e-4


def both_without_losses(p):
    images, parts = toy(torch.float64)
    ends = []
    for engine in ("loop", "batched"):
        net = unet().double()
        train(net, images, parts, SCHEDULE, p, engine=engine)
        ends.append(FlatWeights(net).read())
    return [float((ends[0] - ends[1]).abs().max())]


def test_bfloat16_is_the_models_own_choice_in_both_engines():
    images, parts = toy()
    p, losses = plan(rounds=3, local_steps=4, batch_size=8), {}
    for precision in ("float32", "bfloat16"):
        for engine in ("loop", "batched"):
            net = unet(precision=precision)
            losses[precision, engine] = train(net, images, parts, SCHEDULE, p, engine=engine).losses[-1]
            assert FlatWeights(net).read().dtype == torch.float32
    assert losses["bfloat16", "batched"] == pytest.approx(losses["bfloat16", "loop"], rel=0.03)
    assert losses["bfloat16", "batched"] != losses["float32", "batched"]  # so it did compute in bfloat16


def test_without_a_compiler_a_warning_tells_and_the_run_goes_on(monkeypatch):
    def broken(function):
        def fails(*args):
            raise RuntimeError("no C++ compiler\nand many more lines")

        return fails

    images, parts = toy(torch.float64)
    plain, fallen = unet().double(), unet().double()
    train(plain, images, parts, SCHEDULE, plan(), engine="batched")
    monkeypatch.setattr(torch, "compile", broken)
    with pytest.warns(UserWarning, match="goes on without it: no C\\+\\+ compiler$") as caught:
        train(fallen, images, parts, SCHEDULE, plan(), engine="compiled")
    assert len([w for w in caught if "torch.compile" in str(w.message)]) == 1  # said once, not every step
    assert torch.equal(FlatWeights(plain).read(), FlatWeights(fallen).read())


def test_a_fault_of_the_model_is_not_taken_for_the_compilers(monkeypatch):
    class Faulty(nn.Module):
        def __init__(self):
            super().__init__()
            self.b = nn.Parameter(torch.zeros(1))

        def forward(self, x, t):
            raise ValueError("the model's own fault")

    monkeypatch.setattr(torch, "compile", lambda function: function)
    images, parts = toy()
    with warnings.catch_warnings(), pytest.raises(ValueError, match="the model's own fault"):
        warnings.simplefilter("ignore")
        train(Faulty(), images, parts, SCHEDULE, plan(), engine="compiled")


def test_unknown_engine_and_images_elsewhere_are_refused():
    images, parts = toy()
    with pytest.raises(ValueError, match="engine: got 'batch'; did you mean 'batched'"):
        train(unet(), images, parts, SCHEDULE, plan(), engine="batch")
    with pytest.raises(ValueError, match="images: got those on cpu; valid: on meta, as the model"):
        train(unet().to("meta"), images, parts, SCHEDULE, plan())


def test_nothing_passes_from_client_to_client_through_a_worker():
    """Moments, anchors and weights of the client before are gone: a worn worker equals a new one, bit for bit."""
    images, parts = toy()
    for p in (plan(), plan(prox=0.4)):
        net = unet()
        start = FlatWeights(net).read()
        FlatWeights(net).write(start - 0.1)  # nor from what the model held when the worker was made
        worn = Worker(net, p)
        worn(start + 0.1, images, parts[3], SCHEDULE, 0, 3)
        again = worn(start, images, parts[1], SCHEDULE, 0, 1)
        fresh = federated.local_update(unet(), start, images, parts[1], SCHEDULE, p, 0, 1)
        assert torch.equal(again[0], fresh[0]) and again[1] == fresh[1]


def test_flat_weights_copy_both_ways_and_round_whole_numbers():
    net = nn.BatchNorm1d(2)
    flat = FlatWeights(net)
    read = flat.read()
    read.fill_(9)
    kept = flat.read()
    flat.write(torch.arange(9.0))
    assert kept.tolist() == [1, 1, 0, 0, 0, 0, 1, 1, 0]  # later weights do not reach what was handed out
    flat.write(kept)
    assert net.weight.tolist() == [1, 1] and flat.read().tolist() == [1, 1, 0, 0, 0, 0, 1, 1, 0]
    flat.write(torch.tensor([1, 2, 3, 4, 5, 6, 7, 8, 8.6]))
    assert net.num_batches_tracked == 9 and net.running_var.tolist() == [7, 8]
    with pytest.raises(ValueError, match=r"vector: got torch.float32 \(8,\); valid: shape \(9,\)"):
        flat.write(torch.zeros(8))


def test_the_local_optimiser_is_the_plans_and_fedprox_pulls_to_where_it_began():
    """One step by hand, theta - lr (g + mu (theta - start)), and a parameter without a gradient stays."""
    w, spare = nn.Parameter(torch.tensor([3.0, -1.0])), nn.Parameter(torch.ones(2))
    optimizer = local_optimizer([w, spare], plan(optimizer="sgd", lr=0.1, prox=0.5))
    with torch.no_grad():
        w += 1.0
    (2 * w).sum().backward()
    optimizer.step()
    torch.testing.assert_close(w.detach(), torch.tensor([4.0, 0.0]) - 0.1 * (2 + 0.5 * 1.0))
    assert spare.tolist() == [1, 1]
    adam = local_optimizer([w], plan(lr=0.03)).param_groups[0]
    assert (adam["lr"], adam["betas"], adam["eps"], adam["weight_decay"]) == (0.03, (0.9, 0.999), 1e-8, 0.01)


class Told(nn.Module):
    """Predicts a weighted sum of what it is told: the loss shows whether it was told at all."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([2.0, -1.0]))

    def forward(self, x, t, c):
        return (c @ self.weight).reshape(-1, 1, 1, 1).expand_as(x)


def test_withheld_conditions_are_the_same_in_both_engines_and_as_many_as_asked():
    images, parts = toy()
    conditions = torch.eye(2)[torch.arange(len(images)) % 2]
    found = {}
    for drop in (0.0, 0.5):
        p = plan(optimizer="sgd", lr=0.05, drop=drop)
        for engine in ("loop", "batched"):
            net = Told()
            train(net, images, parts, SCHEDULE, p, engine=engine, conditions=conditions)
            found[drop, engine] = FlatWeights(net).read()
        torch.testing.assert_close(found[drop, "loop"], found[drop, "batched"])
    assert (found[0.0, "loop"] - found[0.5, "loop"]).abs().max() > 1e-3
    kept = withheld((4000,), plan(drop=0.25), torch.Generator().manual_seed(0))
    assert kept.shape == (4000, 1) and abs(float(kept.mean()) - 0.75) < 4 * (0.25 * 0.75 / 4000) ** 0.5


def test_the_velocitys_error_is_the_noises_over_alpha_bar():
    """Against the velocities themselves: with eps-hat = sqrt(1-a) x + sqrt(a) v-hat, as a network would give it."""
    generator = torch.Generator().manual_seed(6)
    x0, noise, guess = (torch.randn(50, 3, generator=generator, dtype=torch.float64) for _ in range(3))
    t = torch.arange(50)
    x = q_sample(x0, t, noise, SCHEDULE)
    error = velocity_to_noise(x, guess, t, SCHEDULE) - noise
    weights = {target: error_weight(t, noise, SCHEDULE, plan(target=target)) for target in ("noise", "velocity")}
    torch.testing.assert_close(
        weights["velocity"] * error.square(), (velocity(x0, noise, t, SCHEDULE) - guess).square(), rtol=1e-9, atol=1e-12
    )
    assert torch.equal(weights["noise"], torch.ones(50, 1, dtype=torch.float64))


def test_the_rate_falls_along_half_a_cosine_in_both_engines():
    p = plan(rounds=4, lr=0.1, decay=True)
    assert [round(p.rate(r), 4) for r in range(4)] == [0.1, 0.0854, 0.05, 0.0146] and plan(lr=0.1).rate(1) == 0.1
    for kind in ("adamw", "sgd"):
        optimizer = local_optimizer([nn.Parameter(torch.ones(1))], replace(p, optimizer=kind), 2)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)


def test_clients_may_start_apart_and_a_shift_is_added_to_each_gradient():
    """Plain descent: a shift moves client k by -lr * steps * shift_k, and the gradients returned are without it."""
    images, parts = toy()
    net, p = Told(), plan(optimizer="sgd", lr=0.05, local_steps=1)
    conditions = torch.eye(2)[torch.arange(len(images)) % 2]
    start = torch.tensor([[2.0, -1.0], [0.5, 0.5]])
    shift = torch.tensor([[1.0, 0.0], [0.0, -3.0]])
    work = BatchedWorker(net, p, at_once=1)
    plain, _ = work(start, images, parts, SCHEDULE, 0, [1, 2], conditions)
    assert work.gradients is None
    moved, _ = work(start, images, parts, SCHEDULE, 0, [1, 2], conditions, shift)
    torch.testing.assert_close(moved - plain, -p.lr * shift)
    torch.testing.assert_close(work.gradients, (start - plain) / p.lr)
    for row, client in enumerate((1, 2)):
        alone, _ = Worker(Told(), p)(start[row], images, parts[client], SCHEDULE, 0, client, conditions)
        torch.testing.assert_close(plain[row], alone)
    with pytest.raises(ValueError, match="or that for each of 2"):
        BatchedWorker(net, p)(start[:, :1], images, parts, SCHEDULE, 0, [1, 2], conditions)


def test_a_network_that_checks_its_steps_trains_in_every_engine():
    """The velocity's network checks its steps, which no batched run may stumble over."""
    gap, moved = both(lambda: NoiseFromVelocity(unet(), SCHEDULE), plan(rounds=1), torch.float64)
    assert gap < rounding(plan()) and moved > 1e-3
