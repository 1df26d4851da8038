"""An evening's run goes on after it was killed, is kept small, and is shown beside the run of the day."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import matplotlib
import pandas as pd
import pytest
import torch
from IPython import get_ipython
from IPython.testing.globalipapp import start_ipython
from IPython.utils.capture import capture_output
from safetensors.torch import load_file

from deepfake_kit import provenance
from deepfake_kit.notebook import kept, run, settings

matplotlib.use("Agg")
ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"
CHAPTER = "02_diffusion_math"

TRAINING = """
import sys, time, torch
from pathlib import Path
from deepfake_kit import diffusion
from deepfake_kit.training import Checkpoint

file, slow = Path(sys.argv[1]), float(sys.argv[2])
torch.manual_seed(0)
net = diffusion.UNet(channels=(8,), blocks=1, stem=4, precision="float32")
seen = []
def follow(step, loss, average):
    seen.append((step, loss))
    print(step, flush=True)
    time.sleep(slow)
images = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(1))
log = diffusion.train(net, images, diffusion.NoiseSchedule.linear(), 30, 4, generator=torch.Generator().manual_seed(2),
                      decay=True, callback=follow, checkpoint=Checkpoint(file, seen, every=0.0))
assert len(log.losses) == len(log.seconds) == 30 and [step for step, _ in seen] == list(range(30)), seen
torch.save([log.losses, seen, *net.parameters(), *log.ema.parameters()], sys.argv[3])
"""


def test_a_training_that_was_killed_ends_as_if_it_had_not_been(tmp_path):
    words = [sys.executable, "-c", TRAINING]
    whole = subprocess.run([*words, tmp_path / "a.pt", "0", tmp_path / "a.out"], capture_output=True, text=True)
    assert whole.returncode == 0, whole.stderr
    process = subprocess.Popen(
        [*words, tmp_path / "b.pt", "0.2", tmp_path / "b.out"], stdout=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if int(line) == 11:
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    assert not (tmp_path / "b.out").exists()
    rest = subprocess.run([*words, tmp_path / "b.pt", "0", tmp_path / "b.out"], capture_output=True, text=True)
    assert rest.returncode == 0, rest.stderr
    assert 10 <= int(rest.stdout.split()[0]) <= 12  # it went on, and did not begin again
    one, other = (torch.load(tmp_path / name, weights_only=False) for name in ("a.out", "b.out"))
    assert one[0] == other[0] and one[1] == other[1]
    assert all(torch.equal(x, y) for x, y in zip(one[2:], other[2:], strict=True))


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Open runs of chapter 2 in a notebook's shell, in a repository of its own."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "_toc.yml").write_text("root: book/index\n")
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.setenv("DEEPFAKE_KIT_CACHE", str(tmp_path / "cache"))
    start_ipython()
    monkeypatch.setattr(get_ipython(), "kernel", "what tells a notebook from a terminal", raising=False)

    def make(profile):
        with capture_output():
            return run.start(CHAPTER, profile=profile)

    return make


def test_work_is_done_once_and_anew_when_its_code_changes(opened, monkeypatch):
    done = []

    def work():
        done.append(1)
        return {"error": 0.5, "weights": torch.ones(2)}

    monkeypatch.setitem(get_ipython().user_ns, "In", ["", "x = 1"])
    for _ in range(2):
        assert opened("long").once("arm", work)["weights"].tolist() == [1, 1]
    assert len(done) == 1
    monkeypatch.setitem(get_ipython().user_ns, "In", ["", "x = 1  # a word more\nrun.say('x')"])
    opened("long").once("arm", work)
    assert len(done) == 2  # a trailing comment is no line of its own
    monkeypatch.setitem(get_ipython().user_ns, "In", ["", "# a word\nx = 1  # a word more"])
    opened("long").once("arm", work)
    assert len(done) == 2
    assert opened("book").once("arm", work) and len(done) == 3
    assert opened("smoke").checkpoint("net") is None and opened("long").checkpoint("net") is not None


def test_a_network_is_kept_as_float16_and_small(opened, tmp_path, monkeypatch):
    found = opened("long")
    found.keep("first", {"w": torch.tensor([1 / 3])})  # not kept: nothing asks for it
    monkeypatch.setenv(kept.FOLDER, str(tmp_path / "networks"))
    found.keep("net", {"w": torch.tensor([1 / 3]), "n": torch.tensor([3])})
    assert load_file(tmp_path / "networks" / "net.safetensors")["w"].dtype == torch.float16
    assert [path.name for path in (tmp_path / "networks").iterdir()] == ["net.safetensors"]
    with pytest.raises(ValueError, match="'large': got 4.20 MB as float16; valid: at most 4 MB"):
        found.keep("large", {"w": torch.zeros(2_100_000)})
    with pytest.raises(ValueError, match="got w too large for float16"):
        found.keep("wide", {"w": torch.tensor([1e6])})


def leave(place: Path, records: list[dict], **about) -> None:
    """A kept run of chapter 2 with these records."""
    place = place / "results" / "long" / CHAPTER
    place.mkdir(parents=True)
    facts = {"chapter": CHAPTER, "profile": "long", "seed": 0, "parameters": {}, "settings": {"channels": [8]}}
    facts |= {"environment": {}, "data": [], "seconds": 3600.0, "code": {}, **about}
    rows = [{"seconds": 3000.0, "cells": "none", **record} for record in records]
    (place / "kept.json").write_text(json.dumps({**facts, "records": rows}))


def test_a_page_shows_the_kept_result_beside_its_own(opened, tmp_path):
    import matplotlib.pyplot as plt

    assert opened("book").kept("error") is None  # there is no kept run yet
    picture = b"\x89PNG kept"
    alt = "Sixty-four garments, of which each can be told from the others."
    leave(
        tmp_path,
        [
            {"type": "value", "id": "error", "value": 0.02},
            {"type": "table", "id": "t", "caption": "Kept.", "cells": {"columns": ["a"], "index": [0], "data": [[7]]}},
            {"type": "figure", "id": "f", "alt": alt, "caption": "Kept too.", "file": "f.png"},
        ],
        code={"diffusion.steps": provenance.module_code("diffusion.steps"), "diffusion.unet": "another"},
    )
    (tmp_path / "results" / "long" / CHAPTER / "f.png").write_bytes(picture)
    found = opened("book")
    assert found.kept("error") == 0.02 and found.kept("f") == picture and found.kept("t")["a"].tolist() == [7]
    assert found.kept("other") is None and found.long.settings.channels == [8]
    with capture_output() as captured:
        found.say("The error is {error:.2f}.", kept=True, error=0.5)
        found.table("t", pd.DataFrame({"a": [1]}), "Of the day.", kept=True)
        figure, _ = plt.subplots()
        found.figure("f", figure, alt, "Of the day too.", kept=True)
        found.table("only-here", pd.DataFrame({"a": [1]}), "Of the day.", kept=True)
    texts = [output.data.get("text/markdown") or output.data.get("text/html", "") for output in captured.outputs]
    assert any("After an evening" in text and "The error is 0.02." in text for text in texts)
    beside = [text for text in texts if 'class="kit-kept"' in text]
    assert len(beside) == 2 and ">7<" in beside[0] and alt in beside[1] and "Kept too." in beside[1]
    assert all("50 minutes to this point" in text for text in beside)
    # one module of the two has changed since, and so has the chapter
    assert all("code changed since: diffusion, this chapter" in text for text in beside)
    assert [r["id"] for r in found.records if r["type"] == "kept"] == ["table-t", "figure-f"]
    assert opened("long").kept("error") is None  # a kept run is not shown beside itself
    with capture_output():
        assert run.start(CHAPTER, "book", dataset="kmnist").kept("error") is None  # nor beside another question


def test_a_table_is_kept_whole_beside_a_figure_of_the_same_name(opened, tmp_path):
    with capture_output():
        first = opened("long")
        first.table("t", pd.DataFrame({"a": [7]}), "Kept.")
    record = first.records[-1]
    assert record["cells"]["data"] == [[7]] and record["source"] == first._cells_digest()
    leave(tmp_path, [{"type": "figure", "id": "t", "alt": "", "caption": "", "file": "t.png"}, record])
    (tmp_path / "results" / "long" / CHAPTER / "t.png").write_bytes(b"kept")
    found = opened("book")
    assert found.long.get("t", "figure") == b"kept" and found.long.get("t", "table")["a"].tolist() == [7]
    with capture_output() as captured:
        found.table("t", pd.DataFrame({"a": [1]}), "Of the day.", kept=True)
    two = pd.DataFrame({"a": [1, 2]}, pd.MultiIndex.from_tuples([("x", "y"), ("x", "z")]))
    record |= {"cells": json.loads(two.to_json(orient="split"))}
    assert kept.Kept(tmp_path, {"records": [record]}).get("t").equals(two)
    (shown,) = [x for x in (out.data.get("text/html", "") for out in captured.outputs) if 'class="kit-kept"' in x]
    assert ">7<" in shown and "by the same code" in shown


def test_a_wrong_kept_network_stops_the_run(opened, tmp_path):
    from safetensors.torch import save_file

    records = [{"type": "value", "id": "error", "value": 0.5}, {"type": "network", "id": "net", "file": "n.st"}]
    leave(tmp_path, [{"type": "figure", "id": "net", "alt": "", "caption": "", "file": "n.st"}, *records])
    file = tmp_path / "results" / "long" / CHAPTER / "n.st"
    found = opened("smoke")
    save_file({"w": torch.tensor([0.5004]).half()}, file)
    with capture_output():
        assert found.recheck("net", lambda state: state["w"].item(), "error", 0.001) == pytest.approx(0.5, abs=1e-3)
    save_file({"w": torch.tensor([0.7]).half()}, file)
    with pytest.raises(AssertionError, match="kept-net"):
        opened("smoke").recheck("net", lambda state: state["w"].item(), "error", 0.001)
    with capture_output():
        other = run.start(CHAPTER, "smoke", seed=1)
    assert other.recheck("net", lambda state: state["w"].item(), "error", 0.001) is None
    found = opened("smoke")
    found.data.append({"stand_in": True})
    assert found.recheck("net", lambda state: state["w"].item(), "error", 0.001) is None


def test_what_counts_as_a_change_of_code():
    plain = "def f(x):\n    return x + 1\n"
    same = '"""Doc."""\n\n# word\ndef f(x):\n    """Doc."""\n\n    return x + 1\nrun.figure("a", f(1),\n    alt="b")\n'
    assert provenance.code_digest(plain) == provenance.code_digest(same)
    assert provenance.code_digest(plain) != provenance.code_digest(plain.replace("1", "2"))
    code = provenance.code(["from deepfake_kit import diffusion", "%pip install x"])
    assert "diffusion.steps" in code and "training" in code and not any(n.startswith("notebook") for n in code)


def test_a_setting_without_a_value_for_the_evening_takes_the_books():
    for name in settings.chapters():
        about = settings.load(name)
        assert about.minutes["long"] <= 120
    about = settings.load(CHAPTER)
    assert about.at("long").train_steps > about.at("book").train_steps
    assert about.at("long").batch_size == about.at("book").batch_size == about.settings["batch_size"]["book"]


def test_what_is_kept_is_small_and_tells_nothing_of_the_machine():
    files = [path for path in RESULTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 40e6
    for path in files:
        if path.suffix == ".safetensors":
            assert path.stat().st_size <= kept.LARGEST_NETWORK, path
        if path.suffix == ".json":
            assert not re.search(r"(?:/home/|/root/|/Users/|/tmp/|/work/)", path.read_text(encoding="utf-8")), path
    for path in RESULTS.glob("long/*/kept.json"):
        found = kept.Kept(path.parent, json.loads(path.read_text(encoding="utf-8")))
        assert found.about["profile"] == "long" and path.parent.name in settings.chapters()
        assert not any(row["stand_in"] for row in found.about["data"])
        for record in found.about["records"]:
            if record["type"] == "network":
                content = (path.parent / record["file"]).read_bytes()
                assert hashlib.sha256(content).hexdigest() == record["sha256"]
                assert isinstance(found.get(record["id"]), dict), f"{path}: {record['id']} is another record's id too"


def test_a_run_says_how_it_lies_to_the_books(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "FOLDER", tmp_path)
    band = {"seeds": [0, 1], "versions": {}, "parameters": {}, "code": {}, "numbers": {"n": [3.0, 3.0]}}
    (tmp_path / f"{CHAPTER}.bands.json").write_text(json.dumps({"smoke": band}))
    monkeypatch.setattr(settings, "FOLDER", run.settings.Path(settings.__file__).parents[1] / "chapters")
    found = opened("smoke")
    monkeypatch.setattr(settings, "FOLDER", tmp_path)
    found.value("n", 4)
    with capture_output() as captured:
        found.compare()
    (output,) = captured.outputs
    assert "0 of 1 numbers" in output.data["text/html"] and "n: 4" in output.data["text/html"]
    assert found.records[-1]["outside"] == 1


def test_runs_side_by_side_keep_each_others_checkpoints(opened):
    def at(seed, profile="long", **parameters):
        with capture_output():
            return run.start(CHAPTER, profile, seed, **parameters).checkpoint("plan").path

    files = []
    for words in ({"seed": 0}, {"seed": 1}, {"seed": 0, "profile": "paper"}, {"seed": 0, "dataset": "kmnist"}):
        files.append(at(**words))
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        files[-1].write_bytes(b"state")
    assert len(set(files)) == 4 and all(file.is_file() for file in files)
    get_ipython().user_ns["In"] = ["", "changed = 1"]  # what this run did before its code changed goes
    at(0)
    assert [file.is_file() for file in files] == [False, True, True, True]


def test_a_shorter_training_than_was_kept_is_refused(tmp_path):
    from deepfake_kit import diffusion, training

    w = torch.nn.Parameter(torch.tensor(3.0))

    def descend(steps):
        checkpoint = training.Checkpoint(tmp_path / "a.pt", torch.nn.ParameterList([w]))
        return training.minimise(lambda step: w.square(), torch.optim.SGD([w], 0.1), steps, checkpoint=checkpoint)

    def denoise(steps):
        net = torch.nn.Conv2d(1, 1, 1)
        net.forward = lambda x, t: x * net.bias
        about = dict(steps=steps, checkpoint=training.Checkpoint(tmp_path / "b.pt"))
        return diffusion.train(net, torch.zeros(4, 1, 8, 8), diffusion.NoiseSchedule.linear(), **about).losses

    for train in (descend, denoise):
        assert len(train(4)) == len(train(4)) == 4
        with pytest.raises(ValueError, match="steps: got 2; valid: a whole number of at least 4"):
            train(2)


def test_what_stands_beside_a_word_or_inside_a_text_is_code():
    assert provenance.essential("x = 1; run.say('a')") == "x = 1; run.say('a')"
    assert provenance.essential('x = """a\n# b\n"""\n# c') == 'x = """a\n# b\n"""'
    assert provenance.essential("run.say(\n'a')\nx = 1") == "x = 1"


def test_a_contract_is_code(tmp_path, monkeypatch):
    package = tmp_path / "deepfake_kit"
    shutil.copytree(provenance.PACKAGE / "chain", package / "chain")
    monkeypatch.setattr(provenance.module_file, "__defaults__", (package,))
    before = {name: provenance.module_code(f"chain.{name}") for name in ("evm", "merkle")}
    with (package / "chain" / "contracts" / "task_market.vy").open("a") as file:
        file.write("# more\n")
    assert provenance.module_code("chain.evm") != before["evm"]
    assert provenance.module_code("chain.merkle") == before["merkle"] is not None


def test_a_crash_leaves_no_half_kept_run(tmp_path, monkeypatch):
    from press.runs import keep

    def crash(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(keep.nbformat, "read", lambda *_, **__: None)
    monkeypatch.setattr(keep.results, "read", lambda *_: {"profile": "long", "chapter": CHAPTER, "data": []})
    monkeypatch.setattr(keep.results, "pictures", crash)
    with pytest.raises(KeyboardInterrupt):
        keep.write(Path("a.ipynb"), tmp_path, tmp_path / "results" / CHAPTER, {})
    assert list((tmp_path / "results").iterdir()) == []


def test_a_file_behind_a_link_is_written_and_the_link_stays(tmp_path):
    from deepfake_kit.cache import write_whole

    (tmp_path / "real").mkdir()
    (tmp_path / "link.txt").symlink_to(tmp_path / "real" / "file.txt")
    for text in ("old", "new"):
        write_whole(tmp_path / "link.txt", text)
        assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "real" / "file.txt").read_text() == text
