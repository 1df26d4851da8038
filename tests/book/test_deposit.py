"""Chapter 5's contracts in the page: an Ethereum machine in the browser against the kit's, to the wei and the gas."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from press import browser, live

evm = pytest.importorskip("deepfake_kit.chain.evm")

from deepfake_kit.chain.evm import TaskRefused  # noqa: E402
from deepfake_kit.chain.market import TaskMarket  # noqa: E402
from deepfake_kit.chain.merkle import Tree, exact_average  # noqa: E402
from deepfake_kit.chain.repaired import RepairedMarket, sealed  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
KINDS = {"task_market": TaskMarket, "repaired_market": RepairedMarket}
PARTIES = ("DSP", "Ann", "Bob", "Eve", "Aunt", "Cousin")
PLANS = (
    "train, like Ann", "copy Ann's hash", "copy it under three names", "three names, and a dear machine",
    "declare as many images as go", "record a false average", "challenge Ann in each round", "hand in noise",
)  # fmt: skip
PAGE = """<!DOCTYPE html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>Steal</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="../_static/exercise.css">
<script src="../_static/explore.js"></script><style>:root { --pst-color-text-base: #222; --pst-color-text-muted: #555;
--pst-color-border: #999; --pst-color-primary: #05a; --book-fair: #9a5b00; --book-radius: 4px }</style></head>
<body><main><h1>Steal</h1><div class="cell"><span id="exp-05-steal"></span></div></main></body></html>"""
PLAY = "c.play(g[0], c.scripted(g[0], c.PLANS[g[1]]), g[2]).then(({ chain, ...run }) => run)"
PLAIN = """(g) => { const two = (b) => b.toString(16).padStart(2, "0"), plain = (x) => typeof x === "bigint" ?
{int: String(x)} : x instanceof Uint8Array ? {hex: Array.from(x, two).join("")} : x && x.address ? {who: x.name} :
Array.isArray(x) ? x.map(plain) : x && typeof x === "object" ?
Object.fromEntries(Object.entries(x).map(([k, v]) => [k, plain(v)])) : x;
const c = window.kitLive.known.deposit.compute; return (async () => plain(await (BODY)))(); }"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, third_party):
    """A site of one page with the card."""
    site = tmp_path_factory.mktemp("site")
    (site / "notebooks").mkdir()
    shutil.copytree(ROOT / "book" / "live", site / "_static" / "live")
    for name in ("explore.js", "exercise.css"):
        shutil.copy(ROOT / "book" / "static" / name, site / "_static" / name)
    live.market(site / "_static" / "live", third_party)
    (site / "notebooks" / "all.html").write_text(PAGE, encoding="utf-8")
    return site


@pytest.fixture(scope="module")
def page(chromium, folder):
    """The page from the disk on a phone, with all that it asked for; the machine is loaded by the first click."""
    page = browser.new_page(chromium, width=browser.PHONE)
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url.removeprefix(folder.as_uri() + "/")))
    page.on("pageerror", lambda error: page.asked.append(f"broken: {error}"))
    page.goto((folder / "notebooks" / "all.html").as_uri())
    page.locator("#live-deposit").wait_for()
    page.before = list(page.asked)
    played(page)
    yield page
    page.context.close()


def played(page):
    """Press Play and wait until both contracts have been played."""
    page.locator("#live-deposit .kit-check").click()
    page.locator("#live-deposit .kit-check:not([aria-disabled])").wait_for(timeout=60_000)
    return page.locator("#live-deposit .kit-told").inner_text()


def js(page, body: str, given=None):
    """Evaluate an expression over ``c``, what the card computes with, and ``g``; numbers and bytes come as Python's."""
    return plain(page.evaluate(PLAIN.replace("BODY", body), given))


def plain(x):
    if isinstance(x, dict):
        if x.keys() == {"int"}:
            return int(x["int"])
        if x.keys() == {"hex"}:
            return bytes.fromhex(x["hex"])
        return {name: plain(value) for name, value in x.items()}
    return [plain(one) for one in x] if isinstance(x, list) else x


def test_the_machine_is_loaded_by_a_click_from_the_own_folder(page):
    ours = ["explore.js", "exercise.css", "live/frame.js", "live/deposit.js"]
    assert sorted(page.before) == sorted(["notebooks/all.html", *(f"_static/{name}" for name in ours)])
    assert sorted(set(page.asked) - set(page.before)) == ["_static/live/contracts.js", "_static/live/machine.js"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PLANS)
def test_each_plan_is_the_kit_s_to_the_wei_and_the_gas(page, name, kind):
    replayed(kind, js(page, PLAY, [kind, name, 12.5]))


def replayed(kind: str, run: dict) -> None:
    """Send the calls that a page sent, at 12.5 gwei, to the kit's machine, and compare all that either said."""
    assert run["error"] == "" and len(run["rows"]) >= 19
    chain = KINDS[kind]()
    chain.base_fee = 12_500_000_000
    who = {party: chain.account(party) for party in PARTIES}
    start, seen = {party: chain.balance(who[party]) for party in PARTIES}, 0
    for row in run["rows"]:
        if "wait" in row:
            chain.advance(row["wait"])
            continue
        values = [who[x["who"]] if isinstance(x, dict) else x for x in row["values"]]
        refused = None
        try:
            chain._contract.call(row["call"], *values, sender=who[row["sender"]], value=row["value"])
        except TaskRefused as refusal:
            refused = refusal.reason
        assert (row["refused"], row["gas"]) == (refused, chain.receipts[-1].gas), row["source"]
        balances = {party: chain.balance(who[party]) for party in PARTIES}
        assert row["balances"] == {**balances, "contract": chain.balance(chain.address)}, row["source"]
        events = [
            {"name": one.name, "fields": {key: chain.names.get(value, value) for key, value in one.fields.items()}}
            for one in chain.events[seen:]
        ]
        assert row["events"] == events, row["source"]
        seen = len(chain.events)
    gas = {party: sum(r.gas for r in chain.receipts if r.sender == who[party]) for party in PARTIES}
    nets = {p: (chain.balance(who[p]) - start[p] - gas[p] * chain.base_fee) / evm.ETHER for p in PARTIES}
    nets["Eve"] = sum(nets[party] for party in PARTIES[3:])
    assert run["nets"] == pytest.approx(nets, abs=1e-12)
    assert run["gas"] == sum(gas.values()) and run["left"] == 0


def test_who_is_robbed_is_said(page):
    runs = {}
    for name in PLANS:
        for kind in KINDS:
            runs[name, kind] = js(page, PLAY, [kind, name, 10])
    first, repaired = ({name: runs[name, kind] for name in PLANS} for kind in KINDS)
    unearned = {name: (round(first[name]["unearned"], 6), round(repaired[name]["unearned"], 6)) for name in PLANS}
    pay = 0.021  # two rounds
    assert unearned["copy Ann's hash"] == (pay, 0) and unearned["copy it under three names"] == (3 * pay, 0)
    assert unearned["three names, and a dear machine"][0] == pytest.approx(6 * 0.18033688, abs=1e-6)
    assert unearned["hand in noise"] == (pay, pay), "no contract sees work"
    assert unearned[PLANS[0]] == unearned["record a false average"] == (0, 0)
    assert [first[n]["wrong"] for n in PLANS] == [0, 0, 0, 0, 0, 2, 0, 0] and not any(
        repaired[n]["wrong"] for n in PLANS
    )
    name = "declare as many images as go"
    assert first[name]["share"] > 0.999 and repaired[name]["share"] == 0.5 and repaired["copy Ann's hash"]["share"] == 0
    name = "challenge Ann in each round"
    assert first[name]["nets"]["Ann"] < first[PLANS[0]]["nets"]["Ann"]
    assert repaired[name]["nets"]["Ann"] > repaired[PLANS[0]]["nets"]["Ann"]
    assert repaired["record a false average"]["nets"]["Eve"] < -0.1


def test_the_plans_are_the_chapter_s(page):
    source = (ROOT / "notebooks" / "05_tasks_on_a_chain.ipynb").read_text(encoding="utf-8")
    assert js(page, "Object.keys(c.PLANS)") == list(PLANS)
    assert all(f'\\"{name}\\": ' in source for name in PLANS)


def test_hashes_trees_and_averages_are_the_kit_s(page):
    body = """(() => { const w = c.WORDS, of = (name) => ({ name, address: g[name] });
    const ann = of("Ann"), a = w.update(ann, 1), b = w.noise(of("Bob"), 0), m = w.mean(a, 3n, b, 2n ** 20n);
    return { a: a.data, b: b.data, m: m.data, root: w.root(m), node: w.node(m, 3n, 5n), proof: w.proof(a, 77n),
    number: w.number(a, 77n), hash: w.hash(a), word: w.hash("seven"), s: w.salt(ann, 1),
    sealed: w.sealed(ann, w.salt(ann, 1), w.root(a)) }; })()"""
    chain = RepairedMarket()
    who = {name: chain.account(name) for name in PARTIES}
    found = js(page, body, who)
    a, b = (
        b"".join(hashlib.sha256(f"{name} {k}".encode()).digest() for k in range(512))
        for name in ("update Ann 1", "noise Bob 0")
    )
    average = exact_average([a, b], [3, 2**20])
    tree = Tree(a)
    assert (found["a"], found["b"], found["m"]) == (a, b, average)
    assert (found["root"], found["node"]) == (Tree(average).root, Tree(average).node(3, 5))
    assert (found["proof"], found["number"]) == (tree.proof(77), tree.number(77))
    assert found["hash"] == hashlib.sha256(a).digest() and found["word"] == hashlib.sha256(b"seven").digest()
    assert found["sealed"] == sealed(who["Ann"], found["s"], tree.root)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("DSP refund(7)", "refused: no_such_task"),
        ("Eve join(0, 256, 0.0105) with 1000.0", "refused: insufficient_funds"),
        ("DSP publish(hash(\"x\"), 1, 1, 0.006, 1, 1.0, 1.0, 0.005, 60)", "refused: task_underfunded"),
        ("DSP refund()", "line 1: 1 arguments are wanted: uint256"),
        ("DSP refund(0 - 1)", "line 1: a uint256 is wanted"),
        ("DSP refund(2**256)", "line 1: a uint256 is wanted"),
        ("DSP refund(Ann)", "line 1: a uint256 is wanted"),
        ("DSP rob(0)", "line 1: the contract has no rob; it has "),
        ("DSP constructor(0)", "line 1: the contract has no constructor"),
        ("Mallory refund(0)", "line 1: who is Mallory? There are DSP, Ann"),
        ("\n\nDSP refund(0", 'line 3: "," is missing'),
        ("DSP refund(0) 7", 'line 1: "7" is too much'),
        ("wait Ann", "line 1: a number of seconds is missing"),
        ("x = ?", 'line 1: what is "?"'),
        ("Eve submit(0, 0, hash(nothing))", "line 1: what is nothing?"),
    ],
)  # fmt: skip
def test_own_calls_are_played_and_what_is_wrong_is_said(page, script, words):
    page.get_by_label("First contract: the calls").fill(script)
    played(page)
    card = page.locator("#live-deposit")
    assert words in card.inner_text()


def test_by_keyboard_on_a_phone_and_for_a_screen_reader(page, axe):
    card = page.locator("#live-deposit")
    page.get_by_label("plan to play").select_option("copy it under three names")
    page.locator("#live-deposit .kit-check:not([aria-disabled])").wait_for(timeout=60_000)
    said = card.get_by_role("status").inner_text()
    assert "First contract: 0.0630 ether of the deposit pay for no training" in said
    assert "Repaired contract: nobody is paid for no training; no honest party nets less" in said
    assert card.inner_text().count("refused: does_not_open") == 6
    assert page.evaluate(browser.TOO_WIDE) <= 1 and browser.violations(page, axe) == []
    call = page.get_by_label("A call of the repaired contract")
    call.select_option("withdraw")
    call.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    area = page.get_by_label("Repaired contract: the calls")
    assert area.input_value().endswith("\nEve withdraw(Eve)\n")
    price = page.get_by_label("gas price, gwei")
    price.fill("0")
    price.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#live-deposit .kit-check:not([aria-disabled])").wait_for(timeout=60_000)
    assert "refused: nothing_due" in card.inner_text()
    nets = card.get_by_role("row").filter(has_text="Eve nets").inner_text()
    assert "+0.0630" in nets and "0.0000" in nets, "without gas the copier keeps all she was paid"
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert not [one for one in page.asked if one.startswith(("http", "broken"))]


def test_over_http_and_when_a_file_is_missing(folder, chromium, tmp_path):
    site = shutil.copytree(folder, tmp_path / "site")
    page = browser.new_page(chromium)
    with browser.serve(site) as base:
        page.goto(base + "notebooks/all.html")
        (site / "_static" / "live" / "machine.js").rename(site / "machine.js")
        assert "a file of it is missing" in played(page)
        (site / "machine.js").rename(site / "_static" / "live" / "machine.js")
        assert "nobody is paid for no training" in played(page)
    page.context.close()
