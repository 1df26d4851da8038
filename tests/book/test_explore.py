"""Explorables that compute in the page: equal to the kit to 1e-6, moved by pointer and keyboard, quick, light."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from press import browser
from scipy import stats
from scipy.optimize import linprog
from scipy.stats import binom
from torch.nn.functional import softplus

from deepfake_kit import diffusion
from deepfake_kit.defend.protect import project
from deepfake_kit.detect.losses import single_center_loss
from deepfake_kit.federated import aggregation
from deepfake_kit.game import stackelberg
from deepfake_kit.generators import gan
from deepfake_kit.measure import batches

ROOT = Path(__file__).resolve().parents[2]
ANCHORS = {
    "duel": "fig-01-one-d",
    "dice": "fig-02-paths",
    "guide": "exp-03-guidance",
    "price": "exp-04-surfaces",
    "rules": "tab-06-faults-by-defence",
    "centre": "exp-07-margin",
    "gap": "tab-08-chance",
    "batch": "fig-09-tables",
    "cube": "check-10-linear-optimum",
    "mixed": "tab-11-answers",
    "alarm": "fig-12-alarms",
}
PAGE = """<!DOCTYPE html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>Explorables</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="../_static/exercise.css">
<script src="../_static/explore.js"></script><style>:root {{ --pst-color-text-base: #222; --pst-color-text-muted: #555;
--pst-color-border: #999; --pst-color-primary: #05a; --book-radius: 4px }}</style></head>
<body><main><h1>Explorables</h1>{}</main></body></html>"""


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    """One page with all of them, opened from the disk on a phone."""
    site = tmp_path_factory.mktemp("site")
    (site / "notebooks").mkdir()
    (site / "_static").mkdir()
    for name in ("explore.js", "exercise.css"):
        shutil.copy(ROOT / "book" / "static" / name, site / "_static" / name)
    shutil.copytree(ROOT / "book" / "live", site / "_static" / "live")
    figures = "".join(f'<div class="cell"><figure id="{anchor}"></figure></div>' for anchor in ANCHORS.values())
    (site / "notebooks" / "all.html").write_text(PAGE.format(figures), encoding="utf-8")
    page = browser.new_page(chromium, width=browser.PHONE)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("request", lambda request: request.url.startswith(site.as_uri()) or page.errors.append(request.url))
    page.goto((site / "notebooks" / "all.html").as_uri())
    page.locator(f"#live-{list(ANCHORS)[-1]} .kit-told").wait_for()
    yield page
    page.context.close()


def js(page, name: str, body: str, given=None):
    """Evaluate an expression over ``c``, the functions of one explorable, and ``g``, what is given."""
    return page.evaluate(f"(g) => {{ const c = window.kitLive.known.{name}.compute; return {body}; }}", given)


def test_an_axis_has_round_numbers(page):
    ends = [(0, 1), (-3, 3), (-2.2, 2.2), (1, 32), (0.4, 1), (0, 0.05), (-4, 4), (2, 700)]
    for (low, high), found in zip(ends, page.evaluate("(g) => g.map((ends) => kitLive.rounds(...ends))", ends)):
        steps = np.diff(found)
        assert 3 <= len(found) <= 7 and low - 1e-9 <= found[0] and found[-1] <= high + 1e-9, (low, high, found)
        assert np.allclose(steps, steps[0]) and f"{steps[0]:.0e}"[0] in "125", (low, high, found)
        assert np.allclose(np.divide(found, steps[0]), np.round(np.divide(found, steps[0])))


def test_price_equals_the_kit(page):
    q, p, cost = (np.random.default_rng(1).random((3, 200)) * [[1], [1], [3]] + [[0], [0], [0.001]]).tolist()
    found = np.array(
        js(
            page,
            "price",
            "g[0].map((q, i) => [c.node(q, g[1][i], g[2][i]), c.provider(q, g[1][i]), c.answer(g[1][i], g[2][i]),"
            " ...c.equilibrium(g[2][i])])",
            [q, p, cost],
        )
    )
    q, p, cost = np.array(q), np.array(p), np.array(cost)
    right = [stackelberg.node_utility(q, p, cost), stackelberg.dsp_utility(q, p), stackelberg.best_response(p, cost)]
    right += stackelberg.equilibrium(cost)
    assert np.abs(found - np.array(right).T).max() < 1e-6


def test_batch_equals_the_kit(page):
    rows = [
        (tpr, fpr, p, n) for tpr in (0, 0.7, 1) for fpr in (0, 0.2, 1) for p in (0.1, 0.47, 0.9) for n in (1, 4, 32)
    ]
    found = js(page, "batch", "g.map(([t, f, p, n]) => [c.f1(t, f, p, n), c.auc(t, p, n)])", rows)
    right = [(batches.batch_f1(t, f, p, n), batches.batch_auc(t, p, n)) for t, f, p, n in rows]
    assert np.abs(np.array(found) - right).max() < 1e-6
    whole = js(page, "batch", "c.whole(0.9, 0.2, 0.4)")
    assert abs(whole - 2 * 0.36 / (2 * 0.36 + 0.12 + 0.04)) < 1e-12


@pytest.mark.parametrize("margin", [0.0, 0.3, 2.0])
def test_centre_equals_the_kit_with_its_slopes(page, margin):
    random = np.random.default_rng(3)
    points, centre = random.normal(size=(20, 2)), random.normal(size=2)
    points[0] = centre
    fake = np.arange(20) % 3 == 0
    found = js(
        page,
        "centre",
        "c.loss(g)",
        {"points": points.tolist(), "fake": fake.tolist(), "centre": centre.tolist(), "margin": margin},
    )
    x, c = torch.tensor(points, requires_grad=True), torch.tensor(centre, requires_grad=True)
    loss = single_center_loss(x, torch.tensor(fake), c, margin)
    loss.backward()
    assert abs(found["value"] - loss.item()) < 1e-6
    assert np.abs(np.array(found["slopes"]) - x.grad.numpy()).max() < 1e-6
    assert np.abs(np.array(found["ofCentre"]) - c.grad.numpy()).max() < 1e-6


def test_a_descent_lowers_the_loss(page):
    steps = "for (let k = 0; k < 20; k++) { out.push(c.loss(now).value); c.descend(now, 1); }"
    values = js(page, "centre", f"(() => {{ const now = c.fresh(), out = []; {steps} return out; }})()")
    assert all(after < before + 1e-9 for before, after in zip(values, values[1:])) and values[-1] < values[0]


@pytest.mark.parametrize(
    ("groups", "each", "rate"), [(14, 30, 0.2), (2, 210, 0.2), (30, 1000, 0.5), (3, 10, 0), (3, 9, 1)]
)
def test_gap_is_the_mean_over_all_tests(page, groups, each, rate):
    least, most = js(page, "gap", "c.ends(...g)", [groups, each, rate])
    k = np.arange(each + 1)
    highest = np.diff(np.concatenate([[0], binom.cdf(k, each, rate) ** groups]))
    lowest = np.diff(np.concatenate([[0], 1 - binom.sf(k, each, rate) ** groups]))
    assert abs(most - highest @ k / each) < 1e-6 and abs(least - lowest @ k / each) < 1e-6
    drawn = np.random.default_rng(4).binomial(each, rate, size=(4000, groups)) / each  # chapter 8 draws them
    gaps = np.ptp(drawn, axis=1)
    assert abs(most - least - gaps.mean()) <= 4 * gaps.std() / 4000**0.5 + 1e-9


@pytest.mark.parametrize(("t", "s"), [(999, 950), (400, 399), (60, 0), (30, -1)])
def test_samplers_equal_the_kit(page, t, s):
    random = np.random.default_rng(7)
    x, z, modes = random.normal(size=2), random.normal(size=2), random.normal(size=(3, 2))
    schedule = diffusion.NoiseSchedule.linear(1000)
    call = (
        "((b, n, e) => [e, c.ddim(g[2], e, b, n), c.ddpm(g[2], e, b, n, g[3]), c.bare(g[2], e, b, n, g[3])])"
        "(c.bars[g[0]], g[1] < 0 ? 1 : c.bars[g[1]], c.guess(g[2], c.bars[g[0]], g[4], 0.2))"
    )
    found = np.array(js(page, "dice", call, [t, s, x.tolist(), z.tolist(), modes.tolist()]))
    bar, at = float(schedule.alpha_bars[t]), torch.tensor(x, requires_grad=True)
    spread = bar * 0.2**2 + 1 - bar
    logs = -(at - bar**0.5 * torch.tensor(modes)).square().sum(1) / (2 * spread)
    torch.logsumexp(logs, 0).backward()  # Tweedie: eps = -sqrt(1 - bar) times the score
    eps = -((1 - bar) ** 0.5) * at.grad
    given, noise = torch.tensor(x)[None], torch.tensor(z)[None]
    alpha = bar / (float(schedule.alpha_bars[s]) if s >= 0 else 1)
    lost = (x - (1 - alpha) ** 0.5 * eps.numpy()) / alpha**0.5 + (s >= 0) * (1 - alpha) ** 0.5 * z
    right = [
        eps,
        diffusion.ddim_step(given, eps[None], t, schedule, s)[0],
        diffusion.ddpm_step(given, eps[None], t, schedule, noise, t_prev=s, variance="beta")[0],
        torch.tensor(lost),
    ]
    assert np.abs(found - torch.stack(right).numpy()).max() < 1e-6


@pytest.mark.parametrize("count", [1, 4, 9])
def test_rules_equal_the_kit(page, count):
    random = np.random.default_rng(count)
    steps, weights = random.normal(size=(count, 2)), random.integers(1, 9, count)
    found = js(
        page, "rules", "[c.mean(g[0], g[1]), c.median(g[0]), ...c.clip(g[0], 0.8)]", [steps.tolist(), weights.tolist()]
    )
    given = torch.tensor(steps)
    right = [aggregation.weighted_mean(given, weights.tolist()), aggregation.coordinate_median(given)]
    right += list(aggregation.clip_updates(given, torch.zeros(2, dtype=torch.float64), 0.8))
    assert np.abs(np.array(found) - torch.stack(right).numpy()).max() < 1e-6


@pytest.mark.parametrize(("angle", "stretch", "bound"), [(0.5, 3.0, 0.2), (2.0, 1.0, 0.4), (1.1, 6.0, 0.05)])
def test_cube_equals_the_kit(page, angle, stretch, bound):
    random = np.random.default_rng(5)
    x, z = random.random(2), random.random(2)
    call = (
        "((A) => [A, c.harm(A, g[2], g[1]), c.slope(A, g[2], g[1]), c.project(g[2], g[1], g[3]),"
        " c.step(A, g[2], g[1], g[3], 0.03), c.strongest(A, g[1], g[3])])(c.matrix(...g[0]))"
    )
    A, harm, slope, inside, after, corner = js(page, "cube", call, [[angle, stretch], x.tolist(), z.tolist(), bound])
    A, original, seen = torch.tensor(A, dtype=torch.float64), torch.tensor(x), torch.tensor(z, requires_grad=True)
    loss = (A @ seen - A @ original).square().sum()  # as in protect.pgd
    loss.backward()
    assert abs(loss.item() - harm) < 1e-6 and np.abs(seen.grad.numpy() - slope).max() < 1e-6
    assert np.abs(project(seen.detach(), original, bound).numpy() - inside).max() < 1e-6
    taken = project(seen.detach() + 0.03 * seen.grad.sign(), original, bound)
    assert np.abs(taken.numpy() - after).max() < 1e-6
    grid = project(original + bound * (2 * torch.rand(3000, 2, dtype=torch.float64) - 1), original, bound)
    most = (A @ (torch.tensor(corner) - original)).square().sum()
    assert (((grid - original) @ A.T).square().sum(1) <= most + 1e-9).all()
    assert np.abs(A.numpy() @ A.numpy().T - np.diag([stretch**2, 1])).max() < 1e-9


def chapter(number: str, cell: str, name: str):
    """A function that a code cell of a chapter defines."""
    (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    (source,) = [one.source for one in nbformat.read(path, as_version=4).cells if one.id == cell]
    (found,) = [one for one in ast.parse(source).body if isinstance(one, ast.FunctionDef) and one.name == name]
    names = {"np": np, "linprog": linprog, "stats": stats}
    exec(compile(ast.Module([found], []), str(path), "exec"), names)
    return names[name]


@pytest.mark.parametrize("shape", [(2, 4), (1, 3), (4, 1), (5, 6), (20, 13)])
def test_mixed_strategies_equal_the_chapters_linear_programme(page, shape):
    minimax, random = chapter("11", "minimax", "minimax"), np.random.default_rng(11)
    for A in (random.random(shape) for _ in range(5)):
        found, (value, x, y) = js(page, "mixed", "c.minimax(g)", A.tolist()), minimax(A)
        assert abs(found["value"] - value) < 1e-6
        assert np.abs(np.subtract(found["x"], x)).max() < 1e-6 and np.abs(np.subtract(found["y"], y)).max() < 1e-6
    for A in (random.integers(0, 3, shape) / 2 for _ in range(5)):  # ties: the strategies need not be the same
        found, (value, _, _) = js(page, "mixed", "c.minimax(g)", A.tolist()), minimax(A)
        assert abs(found["value"] - value) < 1e-6
        assert (found["x"] @ A).max() < value + 1e-6 and (A @ found["y"]).min() > value - 1e-6
        assert min(found["x"] + found["y"]) >= 0 and abs(sum(found["x"]) - 1) + abs(sum(found["y"]) - 1) < 1e-9


def test_who_may_answer(page):
    minimax, A = chapter("11", "minimax", "minimax"), np.random.default_rng(12).random((2, 4))
    for who, (rows, columns) in enumerate([([0], [0, 1, 3]), ([0, 1], [0, 1, 3]), ([0], range(4)), ([0, 1], range(4))]):
        found = js(page, "mixed", "c.solve(...g)", [A.tolist(), who])
        assert abs(found["value"] - minimax(A[np.ix_(rows, columns)])[0]) < 1e-6
        assert [k for k, part in enumerate(found["x"]) if part > 0] <= list(rows)
        assert abs(np.array(found["x"]) @ A @ found["y"] - found["value"]) < 1e-9


@pytest.mark.parametrize("bits", [8, 32, 96])
def test_the_threshold_of_a_mark_equals_the_chapter_s(page, bits):
    smallest = chapter("12", "threshold", "smallest")
    rates = [10.0**-k for k in range(1, 16)] + [2.0**-bits, 0.99 * 2.0**-bits, 0.5, 1.0]
    right = [
        smallest(rate, bits) if rate >= 2.0**-bits else bits + 1 for rate in rates
    ]  # his argmax has no answer there
    assert js(page, "alarm", "g[0].map(rate => c.smallest(rate, g[1]))", [rates, bits]) == right
    for least in range(bits + 1):
        for p in (0.5, 0.9, 1.0):
            found = js(page, "alarm", "c.reached(...g)", [least, bits, p])
            assert abs(found - binom.sf(least - 1, bits, p)) < 1e-9


@pytest.mark.parametrize("saturating", [0, 1])
def test_the_gan_trains_as_torch_does(page, saturating):
    random, rate = np.random.default_rng(13), 0.01
    batches = random.normal(size=(5, 3, 16, 2))
    call = (
        "(() => { const game = c.fresh(4).game; const all = () => [game.judge, game.forger].map(one => "
        "one.layers.map(({ w, b }) => [Array.from(w), Array.from(b)])); const before = all(); const slopes = "
        "g[0].map(batch => c.step(game, ...batch.map(one => Float64Array.from(one)), g[1], g[2]));"
        " return [before, all(), slopes]; })()"
    )
    before, after, slopes = js(page, "duel", call, [batches.reshape(5, 3, 32).tolist(), saturating, rate])

    def network(layers):
        net = torch.nn.Sequential()
        for weights, biases in layers:
            layer = torch.nn.Linear(len(weights) // len(biases), len(biases), dtype=torch.float64)
            layer.weight.data, layer.bias.data = (
                torch.tensor(weights).view_as(layer.weight).double(),
                torch.tensor(biases).double(),
            )
            net.extend([layer, torch.nn.Tanh()])
        return net[:-1]

    judge, forger = map(network, before)
    of_judge, of_forger = (torch.optim.Adam(net.parameters(), lr=rate, betas=(0.5, 0.999)) for net in (judge, forger))
    for (real, codes, more), slope in zip(torch.tensor(batches), slopes):
        of_judge.zero_grad()
        gan.discriminator_loss(judge(real), judge(forger(codes).detach())).backward()
        of_judge.step()
        logits = judge(forger(more))
        logits.retain_grad()
        loss = -softplus(logits).mean() if saturating else gan.generator_loss(logits)
        of_forger.zero_grad()
        loss.backward()
        of_forger.step()
        assert abs(logits.grad.abs().sum().item() - slope) < 1e-6
    for net, layers in zip((judge, forger), after):
        for layer, (weights, biases) in zip(net[::2], layers):
            assert np.abs(layer.weight.detach().numpy().ravel() - weights).max() < 1e-6
            assert np.abs(layer.bias.detach().numpy() - biases).max() < 1e-6


def test_the_gan_learns_its_data(page):
    """Mean over four starts: a single duel depends on the last digits of the browser's own functions."""
    call = (
        "[1, 2, 3, 4].map((k) => { const now = { modes: [[-1, 0.5], [1, -0.5]], width: 0.2, rate: 0.003, kind: 0,"
        " ...c.fresh(k) }; const made = () => Array.from(c.forward(now.game.forger.layers, now.codes).at(-1));"
        " const before = made(); c.train(now, 1500); return [before, made()]; })"
    )
    points = np.reshape(js(page, "duel", call), (4, 2, -1, 1, 2))  # start, before and after, point, -, coordinate
    modes = np.array([[-1, 0.5], [1, -0.5]])
    far = np.linalg.norm(points - modes, axis=-1).min(-1).mean((0, 2))
    assert far[1] < far[0] / 2


@pytest.mark.parametrize("weight", [0, 1, 3.5])
def test_guidance_equals_the_kit(page, weight):
    random = np.random.default_rng(14)
    modes, points = random.normal(size=(3, 2)), random.normal(size=(4, 2))
    about = {"modes": modes.tolist(), "width": 0.5, "weight": weight, "done": 1}
    call = "[g[1].map(x => c.guided(x, c.bars[400], g[0])), c.run(g[0], g[1]), c.measured(g[1], g[0]), c.STRIDES]"
    guided, ends, told, strides = js(page, "guide", call, [about, points.tolist()])
    schedule = diffusion.NoiseSchedule.linear(1000)

    def density(x, bar, shares):
        spread = bar * 0.5**2 + 1 - bar
        away = (x[:, None] - bar**0.5 * torch.tensor(modes)).square().sum(2)
        return torch.log(torch.tensor(shares, dtype=torch.float64)) - away / (2 * spread)

    def noise(x, t):
        """From the density that guidance samples: p(z) (p(z|c) / p(z))^w, by its score."""
        bar, x = schedule.alpha_bars[t].double(), x.detach().requires_grad_()
        deaf, hears = density(x, bar, (0.25, 0.25, 0.5)).logsumexp(1), density(x, bar, (0.5, 0.5, 0.0)).logsumexp(1)
        (score,) = torch.autograd.grad((deaf + weight * (hears - deaf)).sum(), x)
        return -((1 - bar) ** 0.5) * score

    x = torch.tensor(points)
    assert np.abs(noise(x, 400).numpy() - guided).max() < 1e-6
    read = density(x, 1.0, (0.25, 0.25, 0.5)).softmax(1)
    assert abs(told["agreement"] - (1 - read[:, 2]).mean().item()) < 1e-6
    assert abs(told["variety"] - np.sqrt(points.var(0).sum())) < 1e-6
    steps = [*(int(999 * (1 - k / strides) + 0.5) for k in range(strides)), -1]  # as JavaScript rounds
    for t, s in zip(steps, steps[1:]):
        x = diffusion.ddim_step(x, noise(x, t), t, schedule, s)
    assert np.abs(x.numpy() - ends).max() < 1e-6


@pytest.mark.parametrize("name", ANCHORS)
def test_it_moves_by_keyboard_and_pointer_and_is_quick(page, name):
    card = page.locator(f"#live-{name}")
    picture = "() => document.querySelector('#live-NAME canvas').toDataURL()".replace("NAME", name)
    state = lambda: (page.evaluate(picture), card.locator(".kit-told").inner_text())  # noqa: E731
    frames = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    for slider in card.locator("input[type=range]").all():
        before = state()
        slider.focus()
        way = "ArrowLeft" if slider.input_value() == slider.get_attribute("max") else "ArrowRight"
        for _ in range(5):
            page.keyboard.press(way)
        page.evaluate(frames)
        quiet = slider.get_attribute("id").endswith(("picked", "kind", "rate"))  # seen when the next step is taken
        assert state()[0] != before[0] or quiet
    knob = card.locator(".kit-knob").first
    before = state()
    knob.focus()
    page.keyboard.press("Shift+ArrowLeft")
    page.evaluate(frames)
    after = state()
    assert after[0] != before[0] and after[1] != before[1]
    knob.scroll_into_view_if_needed()
    box = knob.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 30)
    page.mouse.up()
    page.evaluate(frames)
    assert state()[0] != after[0]
    spent = page.evaluate(  # the quickest of thirty, with pauses between: the machine may be busy
        f"async () => {{ const draw = document.getElementById('live-{name}').kitDraw; let best = Infinity;"
        " for (let k = 0; k < 30; k++) { await new Promise(done => setTimeout(done, 20)); const t = performance.now();"
        " draw(); best = Math.min(best, performance.now() - t); } return best; }"
    )
    assert spent < 1000 / 30, f"{spent:.1f} ms a frame"
    assert page.evaluate(browser.TOO_WIDE) <= 1 and page.errors == []


def test_the_gan_runs_and_stops(page):
    card, steps = (
        page.locator("#live-duel"),
        lambda: int(re.search(r"Step (\d+)", card.locator(".kit-told").inner_text())[1]),
    )
    card.get_by_role("button", name="Start again").click()
    page.wait_for_function("() => document.querySelector('#live-duel .kit-told').textContent.startsWith('Step 0,')")
    card.get_by_role("button", name="Run").press("Enter")
    page.wait_for_function("() => !document.querySelector('#live-duel .kit-told').textContent.startsWith('Step 0,')")
    card.get_by_role("button", name="Stop").press("Enter")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    stopped = steps()
    page.wait_for_timeout(200)
    assert steps() == stopped > 0
    card.get_by_role("button", name="100 steps").click()
    page.wait_for_function(
        f"() => document.querySelector('#live-duel .kit-told').textContent.startsWith('Step {stopped + 100},')"
    )
    spent = page.evaluate(  # training and picture, the quickest of each: the machine may be busy, so it pauses between
        "async () => { const now = kitLive.known.duel.start(), best = [Infinity, Infinity]; const time = (k, work) => {"
        " const t = performance.now(); work(); best[k] = Math.min(best[k], performance.now() - t); };"
        " for (let k = 0; k < 30; k++) { await new Promise(done => setTimeout(done, 20));"
        " time(0, () => kitLive.known.duel.tick(now)); time(1, document.getElementById('live-duel').kitDraw); }"
        " return best[0] + best[1]; }"
    )
    assert spent < 1000 / 30, f"{spent:.1f} ms a frame"


def test_screen_readers_are_served(page, axe):
    assert browser.violations(page, axe) == []
    assert page.locator(".kit-live canvas[role=img][aria-label]").count() == len(ANCHORS)


def test_each_is_light_and_stands_beside_a_figure_of_its_chapter():
    assert all(path.stat().st_size < 30_000 for path in (ROOT / "book" / "live").glob("*.js"))
    text = (ROOT / "book" / "static" / "explore.js").read_text()
    for name, anchor in ANCHORS.items():
        assert f'"{anchor}": "{name}"' in text
        kind, chapter, id = anchor.split("-", 2)
        method = {"exp": "explorable", "tab": "table", "fig": "figure", "check": "verify"}[kind]
        (notebook,) = (ROOT / "notebooks").glob(f"{chapter}_*.ipynb")
        source = notebook.read_text()
        assert f'run.{method}(\\"{id}\\"' in source or f'run.{method}(\\n",\n    "    \\"{id}\\"' in source
