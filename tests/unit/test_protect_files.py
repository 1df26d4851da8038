"""``deepfake-kit protect`` writes whole copies or none, over nothing; the book's own method survives a real codec."""

import io
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from deepfake_kit import social
from deepfake_kit.__main__ import main
from deepfake_kit.defend import files, protect, robust
from deepfake_kit.defend.editors import pairs
from deepfake_kit.measure.edits import mean_square

LIMIT = 6.4 / 255


def smooth(images):
    return torch.sigmoid(8 * (torch.nn.functional.avg_pool2d(images, 3, 1, 1) - 0.5))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two drawn faces as files, and an editor of a millisecond in place of the trained ones."""
    for name, face in zip(("a.png", "b.jpg"), pairs(2, seed=0, size=32).before, strict=True):
        Image.fromarray((face * 255).byte().permute(1, 2, 0).numpy()).save(tmp_path / name)
    monkeypatch.setattr(files.copies, "__defaults__", (lambda: [smooth],))
    return tmp_path


def listing(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_folder_gets_copies_within_the_budget_and_notes_and_stays_as_it_was(folder, capsys):
    before = listing(folder)
    assert main(["protect", str(folder), "--budget", "0.025"]) == 0
    after = listing(folder)
    new = {f"{stem}.protected.{ending}" for stem in "ab" for ending in ("png", "txt")}
    assert after.keys() - before.keys() == new and all(after[name] == before[name] for name in before)
    said = capsys.readouterr().out
    assert said.count(" dB from ") == 2 and "fine-tun" not in said and "expect little" in said
    for stem, source in (("a", "a.png"), ("b", "b.jpg")):
        one, other = (np.asarray(Image.open(folder / n).convert("RGB"), int) for n in (source, f"{stem}.protected.png"))
        assert 5 <= np.abs(one - other).max() <= 6
        decibels = 10 * np.log10(255**2 / np.square(one - other).mean())
        assert f"{decibels:.1f} dB from {source}" in after[f"{stem}.protected.txt"].decode()
    assert main(["protect", str(folder)]) == 2 and "nothing is ever overwritten" in capsys.readouterr().err
    assert listing(folder) == after


@pytest.mark.parametrize("budget", ["0", "-1", "0.002", "0.2", "5", "nan", "inf"])
def test_an_absurd_budget_is_refused_before_anything_is_written(folder, budget, capsys):
    before = listing(folder)
    assert main(["protect", str(folder / "a.png"), f"--budget={budget}"]) == 2
    assert "--budget: got" in capsys.readouterr().err and listing(folder) == before


@pytest.mark.parametrize("size", [(32, 48), (40, 40), (16, 16), (528, 528)])
def test_a_wrong_size_names_the_file_and_leaves_the_whole_folder_alone(folder, size, capsys):
    Image.new("RGB", size).save(folder / "c.png")
    before = listing(folder)
    assert main(["protect", str(folder)]) == 2
    assert f"c.png: got {size[0]} x {size[1]} pixels" in capsys.readouterr().err and listing(folder) == before


def test_the_editors_are_announced_where_they_are_trained_and_nowhere_else(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEEPFAKE_KIT_CACHE", str(tmp_path))
    monkeypatch.setattr(files.editors, "pairs", lambda *given, **named: "drawn")
    monkeypatch.setattr(files.editors, "fit", lambda *given, **named: None)
    assert len(files.trained()) == 9 and capsys.readouterr().err.count("trained once, in about two minutes") == 1
    assert len(files.trained()) == 9 and capsys.readouterr().err == ""


def test_other_bad_input_is_named(folder, capsys):
    (folder / "empty").mkdir()
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:200])
    os.mkfifo(folder / "pipe.png")
    (folder / "file").write_text("in the way")
    for words, said in (
        ([folder / "nobody.png"], "no such picture"),
        ([folder / "empty"], "got no picture"),
        ([folder / "cut.png"], "truncated or not a picture"),
        ([folder / "a.png", "--method", "robost"], "did you mean 'robust'"),
        ([folder / "pipe.png"], "got no picture"),
        ([folder / "a.png", "--out", folder / "file"], "file is no folder to write in"),
        ([folder / "a.png", "--out", folder / "file" / "new"], "file is no folder to write in"),
    ):
        assert main(["protect", *map(str, words)]) == 2 and said in capsys.readouterr().err


def test_folders_pipes_and_odd_names_among_the_pictures(folder, capsys):
    (folder / "b.jpg").rename(folder / "forged\na.png: 99 dB.jpg")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    assert main(["protect", str(folder), "--out", str(folder / "new" / "place")]) == 0
    assert sorted(path.suffix for path in (folder / "new" / "place").iterdir()) == [".png", ".png", ".txt", ".txt"]
    assert len(capsys.readouterr().out.split("\n\n")[0].splitlines()) == 2


def test_an_editor_that_gives_nan_writes_nothing(folder):
    plan = files.plan(folder, 0.025, "robust")
    before = listing(folder)
    for broken in (lambda z: z * torch.nan, lambda z: torch.where(z.requires_grad & (z > 0.4), z / 0, z)):
        with pytest.raises(ValueError, match="not finite"):
            list(files.copies(plan, 0.025, "robust", lambda broken=broken: [broken]))
    assert listing(folder) == before


def test_two_pictures_of_one_name_and_a_copy_made_meanwhile(folder):
    plan = files.plan(folder, 0.025, "pgd")
    plan[0][1].write_bytes(b"somebody else's")
    with pytest.raises(FileExistsError):
        list(files.copies(plan, 0.025, "pgd"))
    assert plan[0][1].read_bytes() == b"somebody else's" and not plan[1][1].exists()
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes())
    plan[0][1].unlink()
    with pytest.raises(ValueError, match=r"b\.protected\.png: exists or would be written twice"):
        files.plan(folder, 0.025, "pgd")


KILLED = """
import os, signal, sys, time
from pathlib import Path
from deepfake_kit.defend import files
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts with it ignored
real = os.link
def slow(*names):
    print("about to link", flush=True)
    time.sleep(60)
os.link = slow if sys.argv[2] == "stay" else real
import torch
edit = lambda z: torch.sigmoid(8 * (z - 0.5))
for told in files.copies(files.plan(Path(sys.argv[1]), 0.025, "pgd"), 0.025, "pgd", lambda: [edit]): print(told)
"""


def test_a_note_of_somebody_else_is_left_and_named(folder):
    note = folder / "a.protected.txt"
    note.write_text("mine")
    with pytest.raises(FileExistsError, match="a.protected.txt: exists and is another file"):
        list(files.copies(files.plan(folder / "a.png", 0.025, "pgd"), 0.025, "pgd", lambda: [torch.sigmoid]))
    assert note.read_text() == "mine" and not (folder / "a.protected.png").exists()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_leaves_no_half_copy_and_the_next_one_finishes(folder, how):
    words = [sys.executable, "-c", KILLED, str(folder)]
    process = subprocess.Popen([*words, "stay"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline().startswith("about")
    process.send_signal(how)
    process.wait()
    assert not [name for name in listing(folder) if name.endswith((".protected.png", ".protected.txt"))]
    done = subprocess.run([*words, "go"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count(" dB from ") == 2, done.stderr


# -- the book's own method ---------------------------------------------------------------


@pytest.mark.parametrize("quality", [50, 75, 90])
def test_soft_jpeg_is_near_the_codec_and_moves_where_it_rounds(quality):
    x = pairs(3, seed=1, size=64).before
    real = social.share(x, "twitter", 0, upload_side=64, quality=quality)
    soft = robust.soft_jpeg(x, quality)
    assert 255 * (soft - real).abs().mean() < 1.5 < 255 * (x - real).abs().mean()
    z = x.clone().requires_grad_()
    robust.soft_jpeg(z, quality).square().sum().backward()
    assert z.grad.isfinite().all() and z.grad.ne(0).double().mean() > 0.9
    flat = torch.full((1, 3, 16, 16), 0.5, requires_grad=True)  # its coefficients are 0: there, too, a slope is left
    (robust.soft_jpeg(flat, quality) * x[:1, :, :16, :16]).sum().backward()
    assert flat.grad[0, 1, :8, :8].std() > 5e-4


def test_soft_jpegs_tables_are_libjpegs_at_every_quality(monkeypatch):
    found, coded = [], robust._coded
    monkeypatch.setattr(
        robust, "_coded", lambda plane, steps: found.append(steps.flatten().tolist()) or coded(plane, steps)
    )
    for quality in range(1, 101):
        found.clear()
        robust.soft_jpeg(torch.full((1, 3, 16, 16), 0.5), quality)
        file = io.BytesIO()
        Image.new("RGB", (16, 16)).save(file, "JPEG", quality=quality)
        assert found == [Image.open(file).quantization[i] for i in (0, 1)], quality


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_platforms_are_expected_in_any_type(dtype):
    x = pairs(2, seed=1, size=32).before.to(dtype)
    for road in robust.ROADS:
        found, single = road(x), road(x.float())
        assert found.dtype == dtype and (found.float() - single).abs().max() <= torch.finfo(dtype).eps + 1e-5
    z = robust.robust([smooth], x, LIMIT, 2, torch.Generator().manual_seed(0))
    assert z.dtype == dtype and z.isfinite().all() and 0 < (z - x).abs().max() <= LIMIT + torch.finfo(dtype).eps


def test_what_is_made_through_jpeg_keeps_harm_that_the_plain_attack_loses():
    kernel = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).view(1, 1, 2, 2).expand(3, 1, 2, 2)

    def grainy(images):  # hears fine grain loudest, and coarse grain a little
        fine = torch.nn.functional.conv2d(torch.nn.functional.pad(images, (0, 1, 0, 1)), kernel, groups=3)
        return 3 * fine + images

    x = (pairs(2, seed=2, size=32).before * 0.8 + 0.1).mul(255).round() / 255
    made = {
        name: robust.robust([grainy], x, LIMIT, 40, torch.Generator().manual_seed(0), through=roads)
        for name, roads in (("plain", ()), ("robust", robust.ROADS))
    }

    def after(z):
        there, reference = (social.share(y, "twitter", 0, upload_side=32, quality=75) for y in (z, x))
        return mean_square(grainy(there), grainy(reference)).mean()

    harm = {name: mean_square(grainy(z), grainy(x)).mean() for name, z in made.items()}
    assert harm["plain"] > harm["robust"] and after(made["robust"]) > 1.2 * after(made["plain"])
    for z in made.values():
        assert (z - x).abs().max() <= LIMIT + 1e-6 and ((z * 255) - (z * 255).round()).abs().max() < 1e-3


def test_momentum_and_a_falling_step_reach_what_constant_steps_miss():
    x = torch.full((4, 3, 16, 16), 0.5)
    w = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(3))

    def linear(images):
        return (images * w).sum((1, 2, 3), keepdim=True)

    best = LIMIT * w.abs().sum()
    long = protect.pgd(
        linear, x, LIMIT, LIMIT / 2, 30, torch.Generator().manual_seed(1), last=LIMIT / 50, momentum=0.75
    )
    assert linear(long - x).abs().min() >= best * (1 - 1e-4)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda x: robust.soft_jpeg(x[..., :8, :8]), "sides that 16 divides"),
        (lambda x: robust.soft_jpeg(x, 0), "quality 0"),
        (lambda x: robust.soft_jpeg(x * torch.nan), "finite"),
        (lambda x: robust.robust([smooth], x, 0.0), "epsilon"),
        (lambda x: protect.pgd(smooth, x, momentum=1.0), "momentum: got 1.0"),
        (lambda x: protect.pgd(smooth, x, last=-1.0), "last: got -1.0"),
        (lambda x: robust.robust([lambda z: z * torch.nan], x), "not finite"),
    ],
)
def test_errors_name_the_fault(call, words):
    with pytest.raises(ValueError, match=words):
        call(torch.full((1, 3, 16, 16), 0.5))
