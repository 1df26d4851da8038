"""`deepfake-kit detect` and the detectors that it loads: their cards, their range, their manners with files."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from deepfake_kit import detect, pretrained
from deepfake_kit.__main__ import main
from deepfake_kit.detect import detector as d
from deepfake_kit.faces.studio import portraits

SCRIPT = Path(__file__).resolve().parents[2] / "data_scripts" / "teach_detectors.py"
SMALL = "drawn-spectrum"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("teach_detectors", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def small():
    return detect.load(SMALL)


@pytest.fixture(scope="module")
def drawn():
    return portraits(60, seed=4001).images


def as_file(image: torch.Tensor, path: Path, **options) -> Path:
    Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(path, **options)
    return path


# -- cards and files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", detect.names())
def test_a_card_says_what_it_is_and_its_numbers_carry_intervals(name):
    card = json.loads((d.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert set(d.CARD) <= set(card) and card["name"] == name
    numbers = [x for one in card["metrics"].values() for key, x in one.items() if key != "images"]
    assert numbers and all(low <= middle <= high and low < high or middle in (0, 1) for middle, low, high in numbers)
    assert sum((d.FOLDER / f"{name}{end}").stat().st_size for end in (".json", ".safetensors")) < 400_000


def planted(tmp_path: Path, change) -> Path:
    """A copy of the small detector with one fault in its card or numbers."""
    from safetensors.torch import load_file, save_file

    card = json.loads((d.FOLDER / f"{SMALL}.json").read_text(encoding="utf-8"))
    tensors = load_file(d.FOLDER / f"{SMALL}.safetensors")
    change(card, tensors)
    save_file(tensors, tmp_path / "copy.safetensors")
    (tmp_path / "copy.json").write_text(json.dumps(card), encoding="utf-8")
    return tmp_path / "copy.safetensors"


def signed(card: dict, tensors: dict, **other) -> None:
    """Other numbers, and a card that stands by them."""
    tensors |= other
    card["sha256"] = pretrained.store.digest(tensors)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda card, tensors: tensors["weight"].neg_(), "does not match the weights"),
        (lambda card, tensors: card.pop("never_seen"), "does not say never_seen"),
        (lambda card, tensors: card.update(reads="tea leaves"), "reads 'tea leaves'; valid: spectrum, clip-vit-b16"),
        (lambda card, tensors: card.update(side="wide"), "side on the card of .*: got 'wide'; valid: a whole number"),
        (lambda card, tensors: signed(card, tensors, bias=torch.tensor([0.0, 1.0])), "make no detector"),
        (lambda card, tensors: signed(card, tensors, weight=tensors["weight"] * torch.nan), "make no detector"),
        (lambda card, tensors: card.update(quantile="x"), "make no detector"),
        (lambda card, tensors: tensors.update(bias=tensors["bias"].bfloat16()), "cannot be read .*BFloat16"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(tmp_path, change, said):
    with pytest.raises(ValueError, match=said):
        detect.load(planted(tmp_path, change))


def test_a_copy_scores_as_the_original_and_nothing_is_overwritten(tmp_path, small, drawn):
    again = detect.load(planted(tmp_path, lambda card, tensors: None))
    assert torch.equal(again(drawn[:3])[0], small(drawn[:3])[0])
    d.save(tmp_path / "new.safetensors", small.tensors, small.card)
    assert torch.equal(detect.load(tmp_path / "new.safetensors")(drawn[:3])[1], small(drawn[:3])[1])
    with pytest.raises(ValueError, match="nothing is overwritten"):
        d.save(tmp_path / "new.safetensors", small.tensors, small.card)


def test_a_damaged_file_is_named(tmp_path):
    path = planted(tmp_path, lambda card, tensors: None)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match="copy.safetensors .* cannot be read"):
        detect.load(path)


# -- scores --------------------------------------------------------------------------------------------


def swayed(detector, images) -> bool:
    """Whether a picture's numbers change with the pictures beside it, by more than float64's rounding."""
    together, alone = detector(images), [detector(image) for image in images.split(1)]
    return any((torch.cat(column) - found).abs().max() > 1e-9 for column, found in zip(zip(*alone), together))


class ByBatch(d.Detector):
    """The fault: features are centred over whatever comes together."""

    def features(self, images):
        found = super().features(images)
        return found - found.mean(0)


def test_no_picture_is_swayed_by_its_company(small, drawn):
    assert not swayed(small, drawn[:5])
    assert swayed(ByBatch(small.card, small.tensors), drawn[:5])


def test_new_portraits_are_real_and_in_range_and_other_pictures_are_not(small, drawn):
    odds, distance = small(drawn)
    assert (odds > 0).float().mean() < 0.1 and (distance > 1).float().mean() < 0.1
    noise = torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    flat = torch.tensor([0.0, 0.45, 1.0]).view(3, 1, 1, 1).expand(3, 3, 32, 32)
    assert (small(noise)[1] > 1).all() and (small(flat)[1] > 1).all()


def test_pictures_of_another_kind_or_side_are_refused(small):
    for images, said in ((torch.zeros(1, 3, 64, 64), "side 64"), (torch.full((1, 3, 32, 32), 2.0), "from 2 to 2")):
        with pytest.raises(ValueError, match=said):
            small(images)


@pytest.mark.skipif(pretrained.find(d.CLIP) is None, reason="CLIP's weights are not on this machine")
def test_the_large_detector_reads_what_chapter_7_reads():
    from deepfake_kit.detect.tail import tokens

    detector, images = detect.load(), torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    cls, _ = tokens(detector.network, pretrained.load(d.CLIP).prepare(images))
    read = detector.features(images)
    assert (torch.cat([cls[:, k] for k in detector.card["blocks"]], 1) - read).abs().max() < 0.1 * read.abs().max()
    assert not swayed(detector, images)


class OnePlace(d.Detector):
    """Reads the mean of each of 8 by 8 cells, and is told by the weights which of them counts."""

    def features(self, images):
        return torch.nn.functional.adaptive_avg_pool2d(images.mean(1, keepdim=True), 8).flatten(1)


def test_an_occlusion_map_points_at_the_place_that_counts():
    weight = torch.zeros(64)
    weight[2 * 8 + 5] = 1  # third row, sixth column
    numbers = dict(mean=torch.zeros(64), spread=torch.ones(64), weight=weight, bias=torch.zeros(1))
    numbers |= dict(directions=torch.eye(64)[:2], variances=torch.ones(2), limits=torch.ones(2))
    image = torch.zeros(3, 32, 32)
    image[:, 8:12, 20:24] = 1
    lost = OnePlace({"side": 32}, numbers).occlusion(image)
    assert lost[2, 5] == lost.max() > 0 and lost[5, 2] == 0
    assert d.drawn_map(image, lost).size == (384, 384)


# -- how they are made ----------------------------------------------------------------------------------


def samples(n, apart, seed, width=30):
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    x = random.normal(size=(n, width)) * np.linspace(3, 0.5, width)
    x[:, -1] += apart * labels
    return torch.tensor(x).float(), torch.tensor(labels)


def test_fit_is_calibrated_and_holds_its_quantile_on_new_pictures(script):
    tensors = script.fit(*samples(600, 1.5, 0), directions=8)
    new, labels = samples(20000, 1.5, 1)
    odds, distance = d.Detector({"side": 1}, tensors).judge(new)
    promised, found = torch.sigmoid(odds), labels.float()
    for part in promised.argsort().chunk(5):
        assert abs(float(promised[part].mean() - found[part].mean())) < 0.08
    assert 0.002 < float((distance > 1).float().mean()) < 0.03
    far = new + 8 * torch.nn.functional.one_hot(torch.tensor(29), 30)
    assert float((d.Detector({"side": 1}, tensors).judge(far)[1] > 1).float().mean()) > 0.9


def test_a_limit_from_the_training_pictures_themselves_would_be_too_tight(script):
    """The fault that the folds avoid: with many features, the directions leave over little of what made them."""
    (x, labels), (new, _) = samples(120, 1.5, 2, width=80), samples(5000, 1.5, 3, width=80)
    t = {name: value.double() for name, value in script.fit(x, labels, directions=30).items()}
    own, left = (d.distances((y - t["mean"]) / t["spread"], t["directions"], t["variances"])[:, 1] for y in (x, new))
    assert (
        float((left > own.quantile(0.99)).float().mean()) > 0.5 > 0.05 > float((left > t["limits"][1]).float().mean())
    )


@pytest.mark.parametrize("change", ["shape", "class", "nan", "directions"])
def test_fit_refuses_bad_input(script, change):
    x, labels = samples(40, 1.0, 0)
    options = {"directions": 100 if change == "directions" else 4}
    if change == "nan":
        x[3, 3] = float("nan")
    labels = labels[:-1] if change == "shape" else labels * 0 if change == "class" else labels
    with pytest.raises(ValueError, match="features"):
        script.fit(x, labels, **options)


def test_the_script_that_teaches_from_drawn_forgers_runs(script, monkeypatch, tmp_path):
    """Each forger learns for one step from a few pictures; what stands in for its fakes are blurred portraits."""
    forger = script.zoo.forger

    def hasty(kind, images):
        few = [film[:32] for film in images] if kind == "swap" else images[:96]
        forger(kind, few, cache=tmp_path, steps=1)
        blurred = torch.nn.functional.avg_pool2d(portraits(600, seed=70 + len(kind), size=32).images, 3, 1, 1)
        return SimpleNamespace(sample=lambda n, generator: blurred)

    monkeypatch.setattr(script.zoo, "forger", hasty)
    monkeypatch.setattr(
        script.contest, "training_faces", lambda kind, made=script.contest.training_faces: made(kind, 320)
    )
    tensors, card = script.drawn_spectrum()
    assert set(card["matrix"]) == {*script.MET, *script.UNMET} and len(card["metrics"]) == 5
    detector = d.Detector(card, tensors)
    assert torch.isfinite(detector.judge(d.spectrum(portraits(4, seed=1, size=32).images))[0]).all()


# -- the command ----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, drawn):
    """Pictures of several formats and sizes, one cut off, and a file that is no picture's."""
    large = torch.nn.functional.interpolate(drawn[:4], size=(96, 70))
    inside = tmp_path / "pictures" / "more"
    inside.mkdir(parents=True)
    as_file(drawn[0], inside.parent / "a.png")
    as_file(large[1], inside.parent / "b.JPG", format="JPEG", quality=95)
    as_file(large[2], inside / "c.webp", lossless=True)
    as_file(drawn[3, :, :20, :20], inside / "d.bmp")
    Image.fromarray(np.full((40, 40), 30000, np.uint16)).save(inside / "e.tiff")
    whole = as_file(large[0], inside / "f.png").read_bytes()
    (inside / "f.png").write_bytes(whole[: len(whole) // 2])
    (inside / "notes.txt").write_text("no picture")
    return inside.parent


def test_a_folder_is_scored_line_by_line_and_a_corrupt_file_is_skipped(folder, tmp_path, capsys):
    table = tmp_path / "out" / "scores.csv"
    assert (
        main(["detect", str(folder), "--model", SMALL, "--csv", str(table), "--explain", str(tmp_path / "maps")]) == 1
    )
    out, error = capsys.readouterr()
    lines = out.splitlines()
    assert len(lines) == 5 and "a.png: probability of fake 0." in lines[0]
    assert "cannot say (smaller than 32 pixels)" in next(line for line in lines if "d.bmp" in line)
    assert "cannot say (unlike" in next(line for line in lines if "e.tiff" in line)
    assert "A teaching model, not evidence" in error and "skipped: " in error and "f.png" in error
    assert "100%" in error and "notes.txt" not in out + error
    rows = list(csv.reader(table.open(encoding="utf-8")))
    assert len(rows) == 7 and [row[4] for row in rows if "f.png" in row[0]] == ["not read"]
    assert all(bool(row[1]) == (not row[4]) for row in rows[1:])
    assert len(list((tmp_path / "maps").iterdir())) == 5


def test_who_stops_it_keeps_the_scores_of_what_was_looked_at(folder, tmp_path, monkeypatch):
    left = ["", ""]

    def cannot_say(self, distance, pixels):
        if not left:
            raise KeyboardInterrupt
        return left.pop()

    monkeypatch.setattr(d.Detector, "cannot_say", cannot_say)
    stopped = main(["detect", str(folder), "--model", SMALL, "--csv", str(tmp_path / "s.csv")])
    rows = list(csv.reader((tmp_path / "s.csv").open(encoding="utf-8")))[1:]
    assert stopped == 130 and [row[4] for row in rows] == ["", "", *["not looked at"] * 4]
    assert all(row[1] for row in rows[:2]) and not any(row[1] for row in rows[2:])


def test_no_model_is_loaded_where_no_picture_can_be_read(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(d, "load", lambda name: pytest.fail("a network was loaded"))
    for name in ("a.png", "b.JPG"):
        (folder / name).write_text("no picture")
    for path in ("c.webp", "d.bmp", "e.tiff"):
        (folder / "more" / path).unlink()
    for place, count in ((folder, 3), (folder / "more" / "notes.txt", 1)):
        table = tmp_path / f"{count}.csv"
        assert main(["detect", str(place), "--csv", str(table)]) == 1
        assert capsys.readouterr().err.count("deepfake-kit: skipped: ") == count
        assert [row[4] for row in csv.reader(table.open())] == ["remark", *["not read"] * count]


def test_one_picture_scores_as_in_its_folder(folder, capsys):
    main(["detect", str(folder), "--model", SMALL])
    among = capsys.readouterr().out.splitlines()[1]
    assert main(["detect", str(folder / "b.JPG"), "--model", SMALL]) == 0
    assert capsys.readouterr().out.splitlines() == [among]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such-file"], "IMAGE_OR_FOLDER: got"),
        (["empty"], "valid: a picture's file, or a folder with pictures in it"),
        (["pictures", "--model", "clip-deeps"], "valid: clip-depths, drawn-spectrum, or the path"),
        (["pictures", "--model", SMALL, "--csv", "kept.csv"], "--csv: got 'kept.csv', which exists"),
        (["pictures", "--model", SMALL, "--explain", "pictures"], "--explain: got 'pictures', which is not empty"),
        (["pictures", "--model", SMALL, "--explain", "kept.csv"], "kept.csv is no folder to write in"),
        (["pictures", "--model", SMALL, "--csv", "kept.csv/new/scores.csv"], "kept.csv is no folder to write in"),
        (["pictures", "--model", SMALL, "--csv", ""], "--csv: got '', which exists"),
        (
            ["pictures", "--model", SMALL, "--csv", "new", "--explain", "new"],
            "--csv: got 'new', which exists or is --explain's",
        ),
        (
            ["pictures", "--model", SMALL, "--csv", "new", "--explain", "new/a"],
            "--csv: got 'new', which exists or is --explain's",
        ),
        (["pictures", "--model", "pickle.pt"], "model: got pickle.pt; valid: clip-depths"),
        (["pictures", "--model", "pickle.safetensors"], "pickle.safetensors with its card pickle.json cannot be read"),
        (["pipe.png"], "IMAGE_OR_FOLDER: got"),
    ],
)
def test_bad_input_is_one_line_and_status_2_and_nothing_is_overwritten(
    folder, tmp_path, monkeypatch, capsys, words, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "kept.csv").write_text("mine")
    for name in ("pickle.pt", "pickle.safetensors"):
        torch.save({"weight": 1}, tmp_path / name)
    os.mkfifo(tmp_path / "pipe.png")
    assert main(["detect", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("deepfake-kit: ") and error.count("\n") == 1 and said in error
    assert (tmp_path / "kept.csv").read_text() == "mine" and len(list(folder.iterdir())) == 3


def test_a_name_may_be_anything_and_takes_one_line(tmp_path, drawn, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    picture = as_file(drawn[0], tmp_path / "a.png").read_bytes()
    odd = [
        b"=1+1.png",
        b"forged\nreal.png: probability of fake 0.png",
        b"\x1b[2J.png",
        b"\xff.png",
        b"l" * 251 + b".png",
    ]
    for name in odd:
        (tmp_path / os.fsdecode(name)).write_bytes(picture)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop").symlink_to(tmp_path)
    with open(tmp_path / "sparse.png", "wb") as file:
        file.truncate(3 << 30)
    assert main(["detect", ".", "--model", SMALL, "--csv", "s.csv", "--explain", "maps"]) == 1
    out, error = capsys.readouterr()
    lines = out.splitlines()
    assert len(lines) == 6 and all(": probability of fake 0." in line and line.isprintable() for line in lines), lines
    assert "sparse.png: got no file, or 3,221,225,472 bytes; valid" in error
    names = [row[0] for row in csv.reader((tmp_path / "s.csv").open(encoding="utf-8", newline=""))]
    assert len(names) == 8 and "./=1+1.png" in names and "forged\nreal.png: probability of fake 0.png" in names
    assert len(list((tmp_path / "maps").iterdir())) == 6


def test_without_clips_weights_one_line_says_so(monkeypatch, tmp_path, folder, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("DEEPFAKE_KIT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("DEEPFAKE_KIT_OFFLINE", "1")
    assert main(["detect", str(folder)]) == 2
    assert "clip-vit-b16" in capsys.readouterr().err
