"""Federated training, against numpy written by hand, closed forms, and its own runs broken in known ways."""

from __future__ import annotations

import copy
import importlib.util
import math
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from deepfake_kit import federated
from deepfake_kit.diffusion import NoiseSchedule, UNet
from deepfake_kit.federated import Plan, aggregation, flatten, partition, train, unflatten
from deepfake_kit.federated import client as federated_client
from deepfake_kit.notebook import settings as chapters

SCHEDULE = NoiseSchedule.linear(50)
LABELS = np.random.default_rng(0).integers(0, 10, 2000)


class Affine(nn.Module):
    """eps(x, t) = W x + b on flattened pixels: small enough to differentiate by hand."""

    def __init__(self, size: int = 4):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.W = nn.Parameter(torch.randn(size, size, generator=generator) * 0.3)
        self.b = nn.Parameter(torch.randn(size, generator=generator) * 0.3)

    def forward(self, x, t):
        return (x.flatten(1) @ self.W.T + self.b).reshape(x.shape)


def toy(clients=3, per_client=6):
    images = torch.randn(clients * per_client + 3, 1, 2, 2, generator=torch.Generator().manual_seed(1))
    cuts = np.cumsum([per_client + k - 1 for k in range(clients - 1)])
    parts = [torch.from_numpy(part) for part in np.split(np.arange(len(images)), cuts)]
    return images, parts


def plan(**more):
    return Plan(**{"rounds": 3, "local_steps": 4, "batch_size": 5, "lr": 0.2, "seed": 7, "optimizer": "sgd", **more})


def by_hand(images, parts, p: Plan, prox=0.0, weights=None):
    """FedAvg of the affine model in numpy, gradients by hand; only the random draws come from torch."""
    net, x_all = Affine(), images.numpy().reshape(len(images), -1).astype(np.float64)
    W, b = net.W.detach().numpy().astype(np.float64), net.b.detach().numpy().astype(np.float64)
    alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, len(SCHEDULE)))
    sizes = np.array([len(part) for part in parts], dtype=float) if weights is None else np.array(weights, dtype=float)
    for round_ in range(p.rounds):
        results = []
        for k, part in enumerate(parts):
            seed = int(np.random.SeedSequence([p.seed, round_, k]).generate_state(1, np.uint64)[0] >> 1)
            generator = torch.Generator().manual_seed(seed)
            Wk, bk = W.copy(), b.copy()
            for _ in range(p.local_steps):
                i = torch.randint(len(part), (p.batch_size,), generator=generator).numpy()
                t = torch.randint(len(SCHEDULE), (p.batch_size,), generator=generator).numpy()
                eps = torch.randn(p.batch_size, 1, 2, 2, generator=generator).numpy().reshape(p.batch_size, -1)
                a = alpha_bar[t][:, None]
                x_t = np.sqrt(a) * x_all[part.numpy()[i]] + np.sqrt(1 - a) * eps
                residual = 2 * (x_t @ Wk.T + bk - eps) / eps.size
                gW, gb = residual.T @ x_t + prox * (Wk - W), residual.sum(0) + prox * (bk - b)
                Wk, bk = Wk - p.lr * gW, bk - p.lr * gb
            results.append((Wk, bk))
        W = sum(s * r[0] for s, r in zip(sizes, results)) / sizes.sum()
        b = sum(s * r[1] for s, r in zip(sizes, results)) / sizes.sum()
    return np.concatenate([W.ravel(), b])


# -- the round, weight for weight ----------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"prox": 0.7}, {"weighting": "uniform"}])
def test_train_equals_numpy_by_hand(more):
    images, parts = toy()
    p, net = plan(**more), Affine()
    train(net, images, parts, SCHEDULE, p)
    expected = by_hand(images, parts, p, p.prox, [1, 1, 1] if more.get("weighting") else None)
    np.testing.assert_allclose(flatten(net.state_dict()).numpy(), expected, atol=2e-6)
    other = by_hand(images, parts, p, 0.0 if p.prox else 0.3)  # the comparison must be able to fail
    assert np.abs(flatten(net.state_dict()).numpy() - other).max() > 1e-3


def test_state_dict_aliases_live_weights():
    """The trap: clients that start from model.state_dict() train one after the other, not side by side."""
    images, parts = toy()
    p, naive = plan(rounds=1), Affine()
    start = naive.state_dict()  # no copy
    for k, part in enumerate(parts):
        federated.local_update(naive, flatten(start), images, part, SCHEDULE, p, 0, k)
    expected = by_hand(images, parts, p)
    assert np.abs(flatten(start).numpy() - expected).max() > 1e-3
    honest, frozen = Affine(), flatten(Affine().state_dict())
    kept = frozen.clone()
    rows = [federated.local_update(honest, frozen, images, part, SCHEDULE, p, 0, k)[0] for k, part in enumerate(parts)]
    assert torch.equal(frozen, kept)
    np.testing.assert_allclose(
        aggregation.weighted_mean(torch.stack(rows), [len(q) for q in parts]), expected, atol=2e-6
    )


def test_flatten_copies_even_a_single_tensor():
    net = nn.Linear(3, 1, bias=False)
    vector = flatten(net.state_dict())
    vector.zero_()
    assert net.weight.abs().sum() > 0
    state = unflatten(vector, net.state_dict())
    state["weight"].fill_(9)
    assert vector.abs().sum() == 0


def test_unflatten_is_the_inverse_and_keeps_types():
    state = {"w": torch.randn(2, 3), "n": torch.tensor(7), "h": torch.ones(2, dtype=torch.bfloat16)}
    back = unflatten(flatten(state), state)
    assert all(torch.equal(back[name], state[name]) and back[name].dtype == state[name].dtype for name in state)
    with pytest.raises(ValueError, match=r"valid: shape \(9,\)"):
        unflatten(torch.zeros(8), state)


def test_one_client_is_ordinary_training():
    images, _ = toy()
    p, net, lone = plan(rounds=1, local_steps=20, optimizer="adamw", lr=0.01), Affine(), Affine()
    train(net, images, [torch.arange(len(images))], SCHEDULE, p)
    generator = torch.Generator().manual_seed(federated.client_seed(7, 0, 0))
    optimizer = torch.optim.AdamW(lone.parameters(), lr=0.01)
    ab = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 50, dtype=torch.float64), 0).float()
    for _ in range(20):
        i = torch.randint(len(images), (5,), generator=generator)
        t = torch.randint(50, (5,), generator=generator)
        eps = torch.randn(5, 1, 2, 2, generator=generator)
        a = ab[t].reshape(-1, 1, 1, 1)
        optimizer.zero_grad()
        ((lone(a.sqrt() * images[i] + (1 - a).sqrt() * eps, t) - eps) ** 2).mean().backward()
        optimizer.step()
    torch.testing.assert_close(flatten(net.state_dict()), flatten(lone.state_dict()), atol=1e-6, rtol=0)


def test_order_of_clients_does_not_matter():
    """A client is a pure function of weights, round, client and seed."""
    images, parts = toy()
    start, p = flatten(Affine().state_dict()), plan()
    forwards = [federated.local_update(Affine(), start, images, parts[k], SCHEDULE, p, 1, k)[0] for k in (0, 1, 2)]
    backwards = [federated.local_update(Affine(), start, images, parts[k], SCHEDULE, p, 1, k)[0] for k in (2, 1, 0)]
    assert all(torch.equal(a, b) for a, b in zip(forwards, backwards[::-1]))
    assert not torch.equal(forwards[0], federated.local_update(Affine(), start, images, parts[0], SCHEDULE, p, 2, 0)[0])


def test_history_and_callback():
    images, parts = toy()
    seen = []
    history = train(
        Affine(),
        images,
        parts,
        SCHEDULE,
        plan(sampled=2),
        callback=lambda r, m: seen.append(flatten(m.state_dict())) or r,
    )
    assert history.records == [0, 1, 2, 3]
    assert len(history.losses) == 3 and all(0 < x < 10 for x in history.losses)
    assert all(len(who) == 2 for who in history.participants) and history.rejected == []
    assert len({v.sum().item() for v in seen}) == 4


def test_training_learns():
    images = torch.zeros(40, 1, 8, 8)
    net = UNet(channels=(8,), blocks=1, precision="float32")
    history = train(
        net,
        images,
        federated.partition_iid(40, 4, torch.Generator().manual_seed(0)),
        SCHEDULE,
        plan(rounds=6, local_steps=8, optimizer="adamw", lr=5e-3, batch_size=8),
    )
    assert history.losses[-1] < 0.7 * history.losses[0]


# -- averages and robust rules -------------------------------------------------------------------------------

matrices = st.integers(1, 7).flatmap(
    lambda k: st.integers(1, 5).flatmap(
        lambda p: st.lists(st.lists(st.floats(-100, 100, width=32), min_size=p, max_size=p), min_size=k, max_size=k)
    )
)


@given(matrices, st.data())
@settings(max_examples=60, deadline=None)
def test_weighted_mean_and_median_equal_numpy(rows, data):
    weights = data.draw(st.lists(st.floats(0.01, 10), min_size=len(rows), max_size=len(rows)))
    array = np.array(rows, dtype=np.float32)
    np.testing.assert_allclose(
        aggregation.weighted_mean(torch.from_numpy(array), weights),
        np.average(array.astype(np.float64), axis=0, weights=weights),
        atol=1e-4,
    )
    np.testing.assert_allclose(
        aggregation.coordinate_median(torch.from_numpy(array)), np.median(array, axis=0), atol=1e-4
    )


def test_weighted_mean_of_small_integers():
    rows = torch.tensor([[0.0], [3.0], [9.0]])
    assert aggregation.weighted_mean(rows, [1, 2, 1]).tolist() == [3.75]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], "one number for each of 1 clients"),
        ([-1], "finite, >= 0 and not all 0"),
        ([0], "finite, >= 0 and not all 0"),
        ([math.nan], "finite, >= 0 and not all 0"),
    ],
)
def test_weighted_mean_refuses(weights, message):
    with pytest.raises(ValueError, match=message):
        aggregation.weighted_mean(torch.ones(1, 1), weights)


@given(st.floats(0.1, 50))
@settings(max_examples=30, deadline=None)
def test_clipping(norm):
    reference = torch.randn(30, generator=torch.Generator().manual_seed(0))
    rows = (
        reference + torch.randn(6, 30, generator=torch.Generator().manual_seed(1)) * torch.logspace(-2, 2, 6)[:, None]
    )
    clipped = aggregation.clip_updates(rows, reference, norm)
    before = np.linalg.norm(rows - reference, axis=1)
    np.testing.assert_allclose(
        np.linalg.norm(clipped - reference, axis=1), np.minimum(before, norm), rtol=1e-3, atol=1e-5
    )
    for a, b in zip(rows - reference, clipped - reference):  # the direction is kept
        assert torch.cosine_similarity(a, b, dim=0) > 1 - 1e-4
    with pytest.raises(ValueError, match="norm: got"):
        aggregation.clip_updates(rows, reference, 0.0)
    still = torch.cat([rows, reference[None]])
    torch.testing.assert_close(aggregation.clip_updates(still, reference, float("inf")), still)


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3))
@settings(max_examples=40, deadline=None)
def test_median_stays_in_the_honest_range(lies):
    honest = [0.1, 0.2, 0.3, 0.4]
    assert 0.1 - 1e-6 <= aggregation.coordinate_median(torch.tensor([[x] for x in honest + lies])).item() <= 0.4 + 1e-6


def test_fedprox_is_the_squared_norm_halved():
    """Against autograd of the penalty itself; the unsquared norm gives another gradient."""
    w = nn.Parameter(torch.tensor([3.0, -1.0]))
    anchor, mu = torch.tensor([1.0, 1.0]), 0.3
    penalty = mu / 2 * ((w - anchor) ** 2).sum()
    expected = torch.autograd.grad(penalty, w)[0]
    wrong = torch.autograd.grad(mu / 2 * (w - anchor).norm(), w)[0]
    w.grad = torch.ones(2)
    federated_client.add_proximal_gradient([w], [anchor], mu)
    torch.testing.assert_close(w.grad, 1 + expected)
    assert (expected - wrong).abs().max() > 0.1


def test_fedadam_equals_numpy():
    rng = np.random.default_rng(3)
    theta, m, v, state = rng.normal(size=4), np.zeros(4), np.full(4, 1e-6), None
    vector = torch.tensor(theta)
    for _ in range(5):
        aggregate = theta + rng.normal(size=4) * 0.1
        vector, state = aggregation.fedadam_step(vector, torch.tensor(aggregate), state, lr=0.05)
        delta = aggregate - theta
        m, v = 0.9 * m + 0.1 * delta, 0.99 * v + 0.01 * delta**2
        theta = theta + 0.05 * m / (np.sqrt(v) + 1e-3)
        np.testing.assert_allclose(vector, theta, atol=1e-12)


def test_noise_on_the_mean_has_the_promised_size():
    p = plan(clip=2.0, noise=1.5, weighting="data")
    rows = {k: torch.zeros(20_000) for k in range(3)}
    new, _, _ = federated.combine(
        rows, torch.zeros(20_000), [1, 2, 5], p.__class__(**{**vars(p), "validate": False}), 0
    )
    assert new.std().item() == pytest.approx(1.5 * 2.0 * 5 / 8, rel=0.03)
    again, _, _ = federated.combine(
        rows, torch.zeros(20_000), [1, 2, 5], p.__class__(**{**vars(p), "validate": False}), 1
    )
    assert abs(np.corrcoef(new, again)[0, 1]) < 0.05  # fresh noise each round


# -- faults --------------------------------------------------------------------------------------------------


def spoil(kind):
    def faults(round, updates, weights):
        if kind == "nan":
            updates[0][3] = math.nan
        elif kind == "inf":
            updates[0][:2] = math.inf
        elif kind == "foreign":
            updates[0] = torch.zeros(5)
        elif kind == "copy":
            updates[2] = updates[1].clone()
        elif kind == "flip":
            updates[0] = weights - 50 * (updates[0] - weights)
        elif kind == "drop":
            del updates[1]
        elif kind == "all":
            updates.clear()
        return updates

    return faults


@pytest.mark.parametrize(
    ("kind", "client", "reason"),
    [
        ("nan", 0, "holds 1 number that is not finite"),
        ("inf", 0, "holds 2 numbers that are not finite"),
        ("foreign", 0, "has 5 numbers, the model has 20"),
        ("copy", 2, "is a copy of client 1's"),
    ],
)
def test_validation_rejects_and_logs(kind, client, reason):
    images, parts = toy()
    spoiled, without = Affine(), Affine()
    history = train(spoiled, images, parts, SCHEDULE, plan(), faults=spoil(kind))
    assert history.rejected == [(r, client, reason) for r in range(3)]

    def leave_out(round, updates, weights):
        return {k: u for k, u in updates.items() if k != client}

    train(without, images, parts, SCHEDULE, plan(), faults=leave_out)
    assert torch.equal(flatten(spoiled.state_dict()), flatten(without.state_dict()))


def test_without_validation_one_nan_destroys_the_model():
    images, parts = toy()
    net = Affine()
    train(net, images, parts, SCHEDULE, plan(validate=False), faults=spoil("nan"))
    assert flatten(net.state_dict()).isnan().any()
    with pytest.raises(ValueError, match=r"client 0: got torch.float32 \(5,\)"):
        train(Affine(), images, parts, SCHEDULE, plan(validate=False), faults=spoil("foreign"))


def test_median_and_clipping_resist_a_boosted_flip():
    images, parts = toy(clients=5)

    def distance(spoiled=True, **more):
        net, clean = Affine(), Affine()
        train(clean, images, parts, SCHEDULE, plan())
        train(net, images, parts, SCHEDULE, plan(**more), faults=spoil("flip") if spoiled else None)
        return (flatten(net.state_dict()) - flatten(clean.state_dict())).norm().item()

    plain = distance()
    assert distance(rule="median") < 0.1 * plain and distance(clip=0.5) < 0.1 * plain
    assert distance(spoiled=False) == 0


def test_dropouts_and_an_empty_round():
    images, parts = toy()
    history = train(Affine(), images, parts, SCHEDULE, plan(), faults=spoil("drop"))
    assert history.participants == [[0, 2]] * 3
    net = Affine()
    train(net, images, parts, SCHEDULE, plan(), faults=spoil("all"))
    assert torch.equal(flatten(net.state_dict()), flatten(Affine().state_dict()))


# -- bad input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rounds": 0}, "rounds: got 0; valid: a whole number of at least 1"),
        ({"local_steps": 1.5}, "local_steps"),
        ({"seed": -1}, "seed: got"),
        ({"lr": math.nan}, "lr: got nan; valid: a number in"),
        ({"prox": -1}, "prox: got"),
        ({"rule": "mode"}, "rule: got 'mode'; .*valid: mean, median"),
        ({"clip": 0}, "clip: got"),
        ({"noise": 1}, "noise: got 1 with clip"),
        ({"batch_size": True}, "batch_size"),
        ({"noise": 1, "clip": 1.0, "rule": "median"}, "noise: got 1 with clip"),
        ({"sampled": 0}, "sampled: got"),
    ],
)
def test_plan_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        plan(**change)


def test_weights_that_do_not_match_are_refused():
    images, parts = toy()
    with pytest.raises(ValueError, match=r"vector: got torch.float32 \(19,\); valid: shape \(20,\)"):
        federated.local_update(Affine(), torch.zeros(19), images, parts[0], SCHEDULE, plan(), 0, 0)
    with pytest.raises(ValueError, match=r"vector: got torch.float32 \(20, 1\); valid: shape \(20,\)"):
        federated.load_vector(Affine(), torch.zeros(20, 1))


@pytest.mark.parametrize(
    ("parts", "more", "message"),
    [
        ([], {}, "parts: got none; valid: at least one client"),
        ([[0], []], {}, r"parts\[1\]: got \[\]"),
        ([[0], [99]], {}, r"parts\[1\]: got \[99\]; valid: at least one index from 0 to 20"),
        ([[-1]], {}, r"parts\[0\]: got \[-1\]"),
        ([[k % 21] for k in range(22)], {}, "parts: got 22 clients; valid: at most one an image, 21"),
        ([[0], [1]], {"sampled": 3}, "sampled: got 3; valid: a whole number from 1 to 2"),
    ],
)
def test_train_refuses(parts, more, message):
    with pytest.raises(ValueError, match=message):
        train(Affine(), toy()[0], parts, SCHEDULE, plan(**more))


# -- partitions ----------------------------------------------------------------------------------------------


def draws(seed):
    return torch.Generator().manual_seed(seed)


def class_counts(parts):
    return np.stack([np.bincount(LABELS[part], minlength=10) for part in parts])


SPLITS = {
    "iid": lambda clients, seed: partition.partition_iid(len(LABELS), clients, draws(seed)),
    "dirichlet": lambda clients, seed: partition.partition_dirichlet(LABELS, clients, 0.3, draws(seed)),
    "shards": lambda clients, seed: partition.partition_shards(torch.from_numpy(LABELS), clients, 2, draws(seed)),
}


@given(st.sampled_from(sorted(SPLITS)), st.integers(1, 60), st.integers(0, 10**6))
@settings(max_examples=80, deadline=None)
def test_every_image_has_exactly_one_owner(name, clients, seed):
    parts = SPLITS[name](clients, seed)
    assert len(parts) == clients and all(len(part) for part in parts)
    assert sorted(torch.cat(parts).tolist()) == list(range(len(LABELS)))
    again = SPLITS[name](clients, seed)
    assert all(torch.equal(a, b) for a, b in zip(parts, again))


def test_iid_is_like_the_whole():
    counts = class_counts(SPLITS["iid"](20, 0))
    assert stats.chi2_contingency(counts).pvalue > 1e-3
    assert counts.sum(1).tolist() == [100] * 20
    assert not all(torch.equal(a, b) for a, b in zip(SPLITS["iid"](20, 0), SPLITS["iid"](20, 1)))


@pytest.mark.parametrize("clients", [4, 20])
def test_dirichlet_limits(clients):
    even = class_counts(partition.partition_dirichlet(LABELS, clients, 1e9, draws(0)))
    assert np.abs(even - even.mean(0)).max() <= 1
    alone = class_counts(partition.partition_dirichlet(LABELS, clients, 1e-4, draws(0), minimum=0))
    assert (alone.max(0) / alone.sum(0)).min() > 0.99


def test_dirichlet_has_the_moments_of_its_distribution():
    """Var of one share is (1/K)(1 - 1/K)/(K alpha + 1)."""
    labels, clients, alpha = np.zeros(10_000, dtype=int), 5, 0.8
    shares = np.array(
        [[len(p) / 1e4 for p in partition.partition_dirichlet(labels, clients, alpha, draws(s))] for s in range(800)]
    )
    assert shares.mean() == pytest.approx(1 / clients)
    assert shares.var() == pytest.approx((1 / clients) * (1 - 1 / clients) / (clients * alpha + 1), rel=0.06)


def test_dirichlet_minimum_moves_as_little_as_it_can():
    free = partition.partition_dirichlet(LABELS, 20, 0.02, draws(3), minimum=0)
    kept = partition.partition_dirichlet(LABELS, 20, 0.02, draws(3), minimum=10)
    assert min(map(len, free)) < 10 <= min(map(len, kept))
    owner = {p: np.empty(2000, dtype=int) for p in ("free", "kept")}
    for name, parts in (("free", free), ("kept", kept)):
        for k, part in enumerate(parts):
            owner[name][part] = k
    assert (owner["free"] != owner["kept"]).sum() == sum(max(0, 10 - len(part)) for part in free)


def test_shards_hold_few_classes():
    counts = class_counts(SPLITS["shards"](20, 0))
    assert (counts > 0).sum(1).max() <= 4 and counts.sum(1).tolist() == [100] * 20


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: partition.partition_iid(10, 0), "clients: got 0; valid: a whole number of at least 1"),
        (lambda: partition.partition_iid(10, 11), "clients: got 11; valid: at most 10"),
        (lambda: partition.partition_dirichlet(LABELS, 2, 0), "alpha: got 0; valid: a number in"),
        (lambda: partition.partition_dirichlet(LABELS, 2, -1), "alpha: got"),
        (lambda: partition.partition_dirichlet(LABELS, 2, math.inf), "alpha: got"),
        (lambda: partition.partition_dirichlet(LABELS, 0, 1.0), "clients: got"),
        (lambda: partition.partition_dirichlet(LABELS[:5], 6, 1.0), "at most 5, as there are 5 images"),
        (lambda: partition.partition_dirichlet(LABELS / 2, 6, 1.0), "labels: got .*; valid: a vector of whole"),
        (lambda: partition.partition_shards(LABELS[:5], 3, 2), "there are 5 images"),
    ],
)
def test_partitions_refuse(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# -- killed runs, markets, many clients ----------------------------------------------------------------------


@pytest.mark.parametrize("server", ["average", "adam"])
def test_a_killed_run_resumes_to_the_same_weights(tmp_path, server):
    images, parts = toy()
    whole, broken, resumed = Affine(), Affine(), Affine()
    p = plan(rounds=6, server=server, sampled=2)
    expected = train(whole, images, parts, SCHEDULE, p, callback=lambda r, m: r)

    def kill(round, updates, weights):
        if round == 4:
            raise KeyboardInterrupt
        return updates

    with pytest.raises(KeyboardInterrupt):
        train(broken, images, parts, SCHEDULE, p, checkpoint=tmp_path / "run.pt", faults=kill, callback=lambda r, m: r)
    history = train(resumed, images, parts, SCHEDULE, p, checkpoint=tmp_path / "run.pt", callback=lambda r, m: r)
    assert torch.equal(flatten(whole.state_dict()), flatten(resumed.state_dict()))
    assert (history.losses, history.records) == (expected.losses, expected.records)
    with pytest.raises(ValueError, match="got one with lr=0.2; valid: one of this run, with 0.3"):
        train(
            Affine(),
            images,
            parts,
            SCHEDULE,
            plan(rounds=6, server=server, sampled=2, lr=0.3),
            checkpoint=tmp_path / "run.pt",
        )


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import test_federated as t
images, parts = t.toy()
t.train(t.Affine(), images, parts, t.SCHEDULE, t.plan(rounds=6), engine=sys.argv[3], checkpoint=sys.argv[2],
        callback=lambda r, m: os.kill(os.getpid(), signal.SIGKILL) if r == 4 else r)
"""


@pytest.mark.parametrize("engine", ["loop", "batched"])
def test_a_killed_process_resumes_to_the_same_weights(tmp_path, engine):
    """Not asked to stop but killed, after round 4 was trained and before it was written."""
    images, parts = toy()
    here, kept = str(Path(__file__).parent), str(tmp_path / "run.pt")
    done = subprocess.run([sys.executable, "-c", KILLED, here, kept, engine], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert torch.load(kept, weights_only=True)["done"] == 3
    whole, resumed = Affine(), Affine()
    train(whole, images, parts, SCHEDULE, plan(rounds=6), engine=engine)
    history = train(resumed, images, parts, SCHEDULE, plan(rounds=6), engine=engine, checkpoint=kept)
    assert torch.equal(flatten(whole.state_dict()), flatten(resumed.state_dict()))
    assert len(history.losses) == 6


def test_a_checkpoint_is_whole_or_absent(tmp_path, monkeypatch):
    images, parts = toy()
    path, real, written = tmp_path / "run.pt", Path.write_bytes, []

    def dies_half_way(file, content):
        written.append(file)
        real(file, content[: len(content) // len(written)])
        if len(written) == 2:
            raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", dies_half_way)
    with pytest.raises(OSError, match="disk full"):
        train(Affine(), images, parts, SCHEDULE, plan(), checkpoint=path)
    assert torch.load(path, weights_only=True)["done"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


def test_through_the_market_the_weights_are_bit_identical(tmp_path):
    pytest.importorskip("boa")
    from deepfake_kit.chain.market import TaskMarket
    from deepfake_kit.chain.store import FolderStore, pack, sha256
    from deepfake_kit.federated.exchange import MarketExchange

    images, parts = toy()
    p, direct, through = plan(), Affine(), Affine()
    train(direct, images, parts, SCHEDULE, p, faults=spoil("drop"))
    market = TaskMarket()
    exchange = MarketExchange(
        market, FolderStore(tmp_path), p, [len(q) for q in parts], [0.01, 0.02, 0.3], flatten(through.state_dict())
    )
    train(through, images, parts, SCHEDULE, p, exchange=exchange, faults=spoil("drop"))
    assert torch.equal(flatten(direct.state_dict()), flatten(through.state_dict()))
    final = sha256(pack({"weights": flatten(through.state_dict())}))
    assert market.digest(exchange.task, 2) == final
    bills = exchange.settle()
    assert [bill.paid for bill in bills] == [3 * bills[0].offer.reward, 0, 3 * bills[2].offer.reward]
    totals = market.totals()
    assert totals["held"] == 0 and totals["deposited"] == totals["paid"] + totals["refunded"]
    with pytest.raises(ValueError, match="costs: got 1; valid: one for each of 3 clients"):
        MarketExchange(TaskMarket(), FolderStore(tmp_path), p, [1, 2, 3], [0.1], torch.zeros(1))


@pytest.mark.parametrize("silent", [{0}, {1}, {2}, {0, 1}, {0, 1, 2}])
def test_a_round_without_updates_goes_on_through_the_market_as_without(tmp_path, silent):
    pytest.importorskip("boa")
    from deepfake_kit.chain.market import TaskMarket
    from deepfake_kit.chain.store import FolderStore, pack, sha256
    from deepfake_kit.federated.exchange import MarketExchange

    def lost(round, updates, weights):
        return {} if round in silent else updates

    images, parts = toy()
    direct, through, market = Affine(), Affine(), TaskMarket()
    exchange = MarketExchange(
        market, FolderStore(tmp_path), plan(), [len(q) for q in parts], [0.01] * 3, flatten(through.state_dict())
    )
    one = train(direct, images, parts, SCHEDULE, plan(), faults=lost)
    other = train(through, images, parts, SCHEDULE, plan(), exchange=exchange, faults=lost)
    assert torch.equal(flatten(direct.state_dict()), flatten(through.state_dict()))
    assert one.participants == other.participants == [[] if r in silent else [0, 1, 2] for r in range(3)]
    heard = 3 - len(silent)
    assert market.state(exchange.task).round == heard
    if heard:
        final = sha256(pack({"weights": flatten(through.state_dict())}))
        assert market.digest(exchange.task, heard - 1) == final
    assert [bill.paid for bill in exchange.settle()] == [heard * exchange.offers[0].reward] * 3
    totals = market.totals()
    assert totals["held"] == 0 and totals["deposited"] == totals["paid"] + totals["refunded"]


def test_a_changed_byte_in_the_store_is_noticed(tmp_path):
    pytest.importorskip("boa")
    from deepfake_kit.chain.market import TaskMarket
    from deepfake_kit.chain.store import BytesMismatch, FolderStore
    from deepfake_kit.federated.exchange import MarketExchange

    class Tampered(FolderStore):
        def get(self, digest, verify=True):
            data = bytearray(self.path(digest).read_bytes())
            data[0] ^= 1
            self.path(digest).write_bytes(bytes(data))
            return super().get(digest, verify)

    images, parts = toy()
    exchange = MarketExchange(TaskMarket(), Tampered(tmp_path), plan(), [9] * 3, [0.1] * 3, torch.zeros(20))
    with pytest.raises(BytesMismatch):
        train(Affine(), images, parts, SCHEDULE, plan(), exchange=exchange)


PEAK = """
import resource, sys

def peak():
    try:  # of this program alone; getrusage counts what the process was before it began, too
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
"""


@pytest.mark.parametrize("engine", ["loop", "batched"])
@pytest.mark.parametrize(("clients", "sampled", "limit"), [(20, None, 1.75), (1000, 10, 3.75)])
def test_memory(clients, sampled, limit, engine):
    """A small U-Net adds at most 1.75 GB to Python and torch with 20 clients, 3.75 GB with 1,000 simulated ones."""
    s = chapters.load("06_federated_diffusion").at("book")
    code = textwrap.dedent(f"""
        import torch
        from deepfake_kit.diffusion import NoiseSchedule, UNet
        from deepfake_kit.federated import Plan, partition_iid, train
        libraries = peak()
        images = torch.zeros({20 * clients if clients > 20 else s.n_images}, 1, 28, 28, dtype=torch.uint8)
        net = UNet(channels=(32,), blocks=1, stem=2, precision="float32")
        train(net, images, partition_iid(len(images), {clients}), NoiseSchedule.linear(),
              Plan(2, 2, 16, 1e-3, sampled={sampled}), engine={engine!r})
        print((peak() - libraries) / 1e9)
    """)
    done = subprocess.run([sys.executable, "-c", PEAK + code], capture_output=True, text=True, check=True)
    added = float(done.stdout)
    print(f"{clients} clients, {engine}: {added:.2f} GB")
    assert 0.05 < added < limit


def test_models_are_not_shared_between_runs():
    images, parts = toy()
    net = Affine()
    before = copy.deepcopy(net.state_dict())
    federated.local_update(copy.deepcopy(net), flatten(net.state_dict()), images, parts[0], SCHEDULE, plan(), 0, 0)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


# -- the Flower app, as far as it goes without Flower --------------------------------------------------------

APP = importlib.util.spec_from_file_location("app", Path(__file__).parents[1] / "flower" / "app" / "diffusion_app.py")
flower_app = importlib.util.module_from_spec(APP)
APP.loader.exec_module(flower_app)


def test_every_device_makes_the_same_federation_for_itself():
    config = {"n-images": 60, "width": 8, "alpha": 0.5, "seed": 2, "rounds": 1, "local-steps": 1}
    torch.manual_seed(123)
    one = flower_app.setup(config, 3)
    torch.manual_seed(321)
    state = torch.random.get_rng_state()
    two = flower_app.setup(config, 3)
    assert torch.equal(torch.random.get_rng_state(), state)  # the caller's generator is left alone
    assert torch.equal(flatten(one.model.state_dict()), flatten(two.model.state_dict()))
    assert all(torch.equal(a, b) for a, b in zip(one.parts, two.parts)) and one.plan == two.plan
    assert not torch.equal(
        flatten(one.model.state_dict()), flatten(flower_app.setup({**config, "seed": 3}, 3).model.state_dict())
    )
    assert [len(part) for part in flower_app.setup({**config, "alpha": 0}, 3).parts] == [20, 20, 20]
    with pytest.raises(ValueError, match="run setting: got 'alhpa'; did you mean 'alpha'"):
        flower_app.setup({"alhpa": 1}, 2)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = flower_app.nothing


class Answer:
    """As much of a Flower message as the server reads."""

    def __init__(self, client=0, weights=(0.0, 0.0), error=None):
        class Array:
            def numpy(self):
                return np.array(weights, dtype=np.float32)

        self.content = {"metrics": {"client": client}, "arrays": {"weights": Array()}}
        self.error = types.SimpleNamespace(reason=error)

    def has_error(self):
        return self.error.reason is not None


def test_the_server_believes_no_node():
    """Errors, numbers that are nobody's or another's, NaN and a wrong size are named and left out."""
    answers = [
        Answer(2, (3.0, 1.0)),
        Answer(error="out of memory"),
        Answer(0, (1.0, 1.0)),
        Answer(7),
        Answer(-1),
        Answer(2, (9.0, 9.0)),
        Answer(1, (math.nan, 1.0)),
        Answer(3, (1.0,)),
    ]
    updates, complaints = flower_app.collect(answers, 4)
    assert list(updates) == [0, 1, 2, 3] and updates[2].tolist() == [3.0, 1.0]
    assert complaints == [
        "a node answers with an error: out of memory",
        "a node calls itself client 7; valid are 0 to 3",
        "a node calls itself client -1; valid are 0 to 3",
        "two nodes call themselves client 2",
    ]
    weights, rejected, _ = federated.combine(updates, torch.zeros(2), [1, 5, 1, 5], plan(), 0)
    assert weights.tolist() == [2.0, 1.0]
    assert rejected == {1: "holds 1 number that is not finite", 3: "has 1 numbers, the model has 2"}


def test_who_took_part_is_whose_update_came_and_the_loss_is_theirs():
    images, parts = toy()
    each = [
        train(Affine(), images, parts, SCHEDULE, plan(rounds=1), faults=lambda r, u, w, k=k: {k: u[k]})
        for k in range(3)
    ]
    everybody = train(Affine(), images, parts, SCHEDULE, plan(rounds=1))
    assert [one.participants for one in each] == [[[0]], [[1]], [[2]]] and everybody.participants == [[0, 1, 2]]
    assert len({one.losses[0] for one in each}) == 3
    none = train(Affine(), images, parts, SCHEDULE, plan(rounds=1), faults=lambda r, updates, w: {})
    assert none.participants == [[]] and none.losses[0] != none.losses[0]


def test_a_run_begun_one_by_one_goes_on_all_at_once(tmp_path):
    images, parts = toy()
    whole, resumed, kept = Affine(), Affine(), tmp_path / "run.pt"
    train(whole, images, parts, SCHEDULE, plan(rounds=4))

    def stop(round, model):
        if round == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Affine(), images, parts, SCHEDULE, plan(rounds=4), checkpoint=kept, callback=stop, engine="loop")
    history = train(resumed, images, parts, SCHEDULE, plan(rounds=4), checkpoint=kept, engine="batched")
    assert len(history.losses) == 4
    assert torch.allclose(flatten(whole.state_dict()), flatten(resumed.state_dict()), atol=1e-5)
