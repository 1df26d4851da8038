"""The arena says what is wrong with an entry; a hostile one costs its author the row and nobody else anything."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from deepfake_kit import arena
from deepfake_kit.__main__ import main
from deepfake_kit.arena import contest, sandbox
from deepfake_kit.arena.sandbox import Limits, Refused
from deepfake_kit.measure import spectra

STARTERS = Path(arena.__file__).parent / "starters"
QUICK = Limits(seconds=3, megabytes=2048)
DETECTOR = """
import os, sys, time
import numpy as np

class Mine:
    "Mean brightness, and something besides."
    def fit(self, real, fake, generator):
        self.sign = np.sign(fake.mean() - real.mean())
    def score(self, images):
        {besides}
        return self.sign * images.mean((1, 2, 3))
"""


def blurred(n, generator):
    faces = contest.real_faces("gan", n, int(torch.randint(1, 2**20, (1,), generator=generator)))
    return torch.nn.functional.avg_pool2d(faces, 3, 1, 1)


@pytest.fixture(scope="module")
def world():
    """Two forgers that need no training, and an editor that doubles a difference."""
    makers = {"blur": blurred, "dark": lambda n, generator: 0.5 * blurred(n, generator)}
    judges = {"thumbnail": contest.thumbnail, "spectrum": contest.spectrum}
    return contest.World(99, makers, judges, lambda x: torch.roll(x, 1, 3) * 0.5 + 0.3 * (8 * x).sin(), n=24)


@pytest.mark.parametrize("across,down", [(1, 0), (3, 2), (6, 5), (11, 11), (16, 16)])
def test_a_wave_lies_in_the_ring_of_its_own_frequency(across, down, monkeypatch):
    monkeypatch.setattr(spectra, "residual", lambda images: images)
    place = torch.arange(contest.SIDE) * 2 * torch.pi / contest.SIDE
    wave = torch.cos(across * place + down * place[:, None])
    lit = contest.spectrum(wave.expand(1, 3, 32, 32))[0].argmax()
    rings = spectra.radial_average(torch.ones(contest.SIDE, contest.SIDE))[0]
    assert abs(float(rings[lit]) - (across**2 + down**2) ** 0.5 / contest.SIDE) < 1 / contest.SIDE


def written(folder: Path, besides: str = "pass", text: str = DETECTOR, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text.replace("{besides}", besides))
    return path


def walls_here() -> dict[str, bool]:
    return contest.check(STARTERS / "detector.py")[1]


# -- what is hostile -----------------------------------------------------------------------------------

HOSTILE = {
    "endless loop": ("while True: pass", "longer than 3 s"),
    "sleeps": ("time.sleep(60)", "longer than 3 s"),
    "memory bomb": ("x = bytearray(1 << 31)", "MemoryError"),
    "fork bomb": ("while True: os.fork()", "PermissionError"),
    "threads that never end": (
        "import threading; [threading.Thread(target=time.sleep, args=(60,)).start() for _ in range(9000)]",
        "RuntimeError|MemoryError|longer than|ended with",
    ),
    "another program": ("import subprocess; subprocess.run(['touch', '{victim}'])", "PermissionError"),
    "writes outside": ("open('{victim}', 'w').write('x')", "PermissionError|OSError"),
    "deletes files": ("os.remove('{victim}')", "PermissionError|OSError"),
    "reads the board": ("raise ValueError(open('{board}').read() + 'END')", "ValueError: END"),
    "opens a socket": ("import socket; socket.create_connection(('127.0.0.1', {port}), 1)", "PermissionError"),
    "asks the kernel for a socket": (
        "import ctypes; c = ctypes.CDLL(None, use_errno=True); c.socket(2, 1, 0); raise OSError(ctypes.get_errno(), 0)",
        "PermissionError",
    ),
    "kills its parent": ("os.kill(os.getppid(), 9)", "PermissionError"),
    "bounds its parent": ("import resource as r; r.prlimit(os.getppid(), r.RLIMIT_CPU, (1, 1))", "PermissionError"),
    "reads its parent's memory": ("open(f'/proc/{os.getppid()}/mem', 'rb').read(1)", "PermissionError"),
    "undoes the walls": (
        "import ctypes; c = ctypes.CDLL(None, use_errno=True)\n        if c.umount2(b'{board}', 2) or "
        "c.mount(None, b'/', None, 0x1021, None): raise OSError(ctypes.get_errno(), 'umount')",
        "PermissionError",
    ),
    "exits early with 0": ("os._exit(0)", "ended with status 0"),
    "raises the end": ("sys.exit(0)", "SystemExit"),
    "NaN scores": ("return images.mean((1, 2, 3)) * np.nan", "not finite"),
    "complex scores": ("return images.mean((1, 2, 3)) * 1j", "TypeError.*complex"),
    "texts for scores": ("return np.array(['1'] * len(images))", "TypeError"),
    "an answer of terabytes that takes no room": ("return np.broadcast_to(np.float32(0), 1 << 40)", "MemoryError"),
    "reads the variables": (
        "raise ValueError(*sorted({*os.environ} - {'LC_CTYPE'}))",
        r"'HOME', 'MKL_NUM_THREADS', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'PATH', 'TMPDIR'\)",
    ),
    "reads its parent's variables": ("open(f'/proc/{os.getppid()}/environ', 'rb').read()", "PermissionError"),
    "goes through its parent": ("open(f'/proc/{os.getppid()}/root{board}').read()", "PermissionError"),
    "wrong shape": ("return images.mean((2, 3))", "shape"),
    "a pickle for scores": ("return np.array([{}] * len(images), object)", "TypeError"),
    "writes its own answer": (
        'os.write(int(sys.argv[1]), b\'{"shape": [192], "walls": 1}\\n\' + bytes(4 * 192)); os._exit(0)',
        "not written by the arena",
    ),
    "an answer of gigabytes": (
        "[os.write(int(sys.argv[1]), bytes(1 << 24)) for _ in range(64)]",
        "not written by the arena|OSError|ended with",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_entry_costs_its_author_the_row_and_nobody_else_anything(name, world, tmp_path):
    besides, said = HOSTILE[name]
    if name in ("asks the kernel for a socket", "reads the board", "bounds its parent", "undoes the walls"):
        if missing := [wall for wall, stands in walls_here().items() if not stands]:
            pytest.skip(f"{', '.join(missing)} cannot be had on this machine")
    (tmp_path / "safe").mkdir()
    victim, board = tmp_path / "safe" / "victim", tmp_path / "safe" / "board.json"
    victim.write_text("mine")
    board.write_text(json.dumps({"other": {"kind": "detector", "points": 0.5}}))
    with socket.create_server(("127.0.0.1", 0)) as server:
        for word, value in (("victim", victim), ("board", board), ("port", server.getsockname()[1])):
            besides = besides.replace(f"{{{word}}}", str(value))
        began = time.monotonic()
        row = contest.enter(world, written(tmp_path, besides), board, QUICK)
    assert time.monotonic() - began < 15
    assert row["points"] is None and row["cells"] == {} and re.search(said, row["refused"]), row
    rows = json.loads(board.read_text())
    assert rows.pop("mine") == row and rows == {"other": {"kind": "detector", "points": 0.5}}
    assert victim.read_text() == "mine"
    assert sorted(x.name for x in victim.parent.iterdir()) == [".board.json.lock", "board.json", "victim"]


def test_prints_of_gigabytes_go_nowhere_and_a_patched_scorer_is_its_own(world, tmp_path, capfd):
    besides = (
        "import deepfake_kit.measure.scores as s; s.auc = lambda *a: 1.0; sys.stdout.write('x' * 10**8); "
        "sys.stderr.write('x' * 10**8); return np.zeros(len(images))"
    )
    row = contest.enter(world, written(tmp_path, besides), tmp_path / "board.json", Limits(20, 4096))
    assert row["points"] == 0.5
    assert capfd.readouterr() == ("", "")


def test_labels_are_nowhere_in_the_entrys_process(world, tmp_path):
    """It gets pictures in a secret order, and the seed of its generator is not the secret one."""
    look = (
        "f = sys._getframe(1); task = f.f_locals['task']; "
        "raise ValueError(sorted(task), task['plan'].tobytes().decode())"
    )
    row = contest.enter(world, written(tmp_path, look), tmp_path / "board.json", QUICK)
    assert "['fake', 'images', 'plan', 'real', 'source']" in row["refused"]
    assert '"seed": 99,' not in row["refused"] and '"seed"' in row["refused"]


def test_nothing_is_left_running_or_lying_about(world, tmp_path):
    before = set(os.listdir("/tmp")) if sys.platform == "linux" else set()
    mark = f"{os.getpid()}{time.monotonic_ns()}"
    row = contest.enter(world, written(tmp_path, f"m = '{mark}'; time.sleep(60)"), tmp_path / "board.json", Limits(1.5))
    assert "longer than 1.5 s" in row["refused"]
    if sys.platform == "linux":
        running = [Path(f"/proc/{p}/cmdline") for p in os.listdir("/proc") if p.isdecimal()]
        texts = [path.read_bytes() for path in running if path.exists()]
        assert not [text for text in texts if b"arena/cage.py" in text and mark.encode() in text]
        assert not {name for name in set(os.listdir("/tmp")) - before if (Path("/tmp") / name / "entry").exists()}


def test_python_alone_refuses_too_where_the_kernel_cannot(world, tmp_path, monkeypatch):
    """The audit hook, tried by a cage whose two other walls are torn down."""
    source = Path(sandbox.__file__).with_name("cage.py").read_text()
    torn = source.replace("libc.unshare(", "True or (").replace(
        'if sys.platform != "linux" or machine', "if True or machine"
    )
    assert torn != source
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit" / "cage.py").write_text(torn)
    monkeypatch.setattr(sandbox, "__file__", str(tmp_path / "kit" / "sandbox.py"))
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for besides in (f"open('{victim}', 'w')", f"os.remove('{victim}')", "os.fork()", "import socket; socket.socket()"):
        row = contest.enter(world, written(tmp_path, besides), tmp_path / "board.json", QUICK)
        assert "not permitted in the arena" in row["refused"], row
    assert victim.read_text() == "mine"
    row = contest.enter(world, written(tmp_path, "open('note', 'w').write('x')"), tmp_path / "board.json", QUICK)
    assert "refused" not in row


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_an_entry_ends_with_a_command_that_is_killed(tmp_path):
    mark = tmp_path / f"sleeps{time.monotonic_ns()}.py"
    mark.write_text('class A:\n    "x"\n    def protect(self, images):\n        import time; time.sleep(60)\n')
    command = subprocess.Popen([sys.executable, "-m", "deepfake_kit", "arena", "check", str(mark)])

    def caged() -> list[str]:
        children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
        return [pid for pid in children if b"arena/cage.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def state(pid: str) -> str:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return "gone"

    until = time.monotonic() + 60
    while not (pids := caged()) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(1)  # for it to shut itself in
    command.kill()
    command.wait()
    while state(pids[0]) not in ("gone", "Z") and time.monotonic() < until:
        time.sleep(0.05)
    assert time.monotonic() < until, "an entry goes on after its command was killed"


# -- what is wrong is said -----------------------------------------------------------------------------

WRONG = {
    "no class": ("x = 1", "classes: got none; valid: one"),
    "two classes": ("class A: 'x'\nclass B: 'y'", "classes: got A, B"),
    "no Python": ("class A(:\n", "line 1: this is not Python"),
    "no docstring": ("class A:\n def protect(self, images): return images", "line 1: class A has no docstring"),
    "no method": ("class A:\n 'x'\n def go(self): pass", "methods of A: got go; valid: one of make, score, protect"),
    "two kinds": ("class A:\n 'x'\n def make(self): 0\n def score(self): 0", "got make, score"),
    "no fit": ("class A:\n 'x'\n def score(self, images): return images", "a detector has fit(self, real, fake, gen"),
    "arguments": (
        "class A:\n 'x'\n def make(self, n): return n",
        "make: too many positional arguments; valid: make(self,",
    ),
    "own error": ("class A:\n 'x'\n def protect(self, images):\n  return images + oh", "line 4: NameError: name 'oh'"),
    "range": ("class A:\n 'x'\n def protect(self, images): return images + 1", "valid: 0 to 1"),
    "too far": ("class A:\n 'x'\n def protect(self, images): return 1 - images", "valid: at most 0.025"),
    "nothing": ("class A:\n 'x'\n def protect(self, images): pass", "protect gives nothing back"),
}


@pytest.mark.parametrize("name", WRONG)
def test_check_says_what_is_wrong(name, tmp_path):
    text, said = WRONG[name]
    with pytest.raises(Refused, match=re.escape(said)):
        contest.check(written(tmp_path, text=text), QUICK)


@pytest.mark.parametrize("name", ["my entry.py", "=cmd.py", "entry.txt", "x" * 50 + ".py"])
def test_names_that_a_table_could_choke_on_are_refused(name, tmp_path):
    with pytest.raises(Refused, match="file name"):
        sandbox.read(written(tmp_path, name=name))


@pytest.mark.parametrize("kind", sandbox.CALLS)
def test_starters_are_ready(kind, capsys):
    assert main(["arena", "check", str(STARTERS / f"{kind}.py")]) == 0
    assert f"a {kind}, ready to enter" in capsys.readouterr().out


def test_the_command_says_what_is_wrong_and_fails(tmp_path, capsys):
    assert main(["arena", "check", str(written(tmp_path, text="x = 1"))]) == 2
    assert "classes: got none" in capsys.readouterr().err


# -- the numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sandbox.CALLS)
def test_starters_are_scored(kind, world, tmp_path):
    row = contest.enter(world, STARTERS / f"{kind}.py", tmp_path / "board.json")
    assert [*row["cells"]] == world.cells(kind) and row["seconds"] > 0
    assert all(low <= value <= high for value, low, high in row["cells"].values())
    assert row["points"] == pytest.approx(np.mean([cell[0] for cell in row["cells"].values()]))


def test_scores_of_a_detector_return_to_their_pictures(world, tmp_path):
    """Brightness parts the dark forger's from genuine pictures, not the blurring one's; a mixed-up order would not."""
    row = contest.enter(world, written(tmp_path), tmp_path / "board.json", QUICK)
    assert row["cells"]["dark | none"][0] > 0.8
    assert abs(row["cells"]["blur | none"][0] - 0.5) < 0.25


def test_the_number_of_a_detector_is_the_auc_of_its_scores(world, tmp_path):
    real, fake = (contest.share(x, "none", 0) for x in world.pictures("dark", world.seed))
    pairs = (real.mean((1, 2, 3))[:, None] > fake.mean((1, 2, 3))[None]).double().mean()
    row = contest.enter(world, written(tmp_path), tmp_path / "board.json", QUICK)
    assert row["cells"]["dark | none"][0] == pytest.approx(float(pairs), abs=1e-6)


def test_what_is_seen_twice_is_not_known_to_be_genuine(world, tmp_path):
    count = "_, back, n = np.unique(images.reshape(len(images), -1), axis=0, return_inverse=True, return_counts=True)"
    row = contest.enter(world, written(tmp_path, f"{count}; return -1.0 * n[back.ravel()]"), tmp_path / "board.json")
    assert row["points"] == 0.5, row


def test_only_missing_cells_run(world, tmp_path, monkeypatch):
    board, path, asked = tmp_path / "board.json", written(tmp_path), []

    def score(world, entry, cells, **options):
        asked.append(cells)
        return dict.fromkeys(cells, [0.5, 0.4, 0.6]), 1.0

    monkeypatch.setitem(contest.SCORE, "detector", score)
    contest.enter(world, path, board)
    contest.enter(world, path, board)
    assert asked == [world.cells("detector")]
    rows = json.loads(board.read_text())
    del rows["mine"]["cells"]["dark | twitter"]
    board.write_text(json.dumps(rows))
    contest.enter(world, path, board)
    assert asked[1:] == [["dark | twitter"]]
    written(tmp_path, "images = images + 0")
    contest.enter(world, path, board)
    assert asked[2:] == [world.cells("detector")]  # another text, another entry


def test_copies_are_no_forgeries(world, tmp_path):
    for made in ("self.real[:n]", "np.repeat(self.real[:1] * 0.9, n, 0)", "(self.real[:n] + 0.004).clip(0, 1)"):
        text = "class A:\n 'x'\n def fit(self, real, generator): self.real = real\n"
        text += f" def make(self, generator, n): return {made}"
        row = contest.enter(
            world, written(tmp_path, text="import numpy as np\n" + text), tmp_path / "board.json", QUICK
        )
        assert "copies" in row["refused"]


def test_genuine_new_faces_fool_every_detector_half_of_the_time(world, tmp_path):
    """What no forger can beat, by one that cheats and draws; it also shows that nothing else gives the genuine away."""
    text = """
class A:
    "Draws."
    def make(self, generator, n):
        from deepfake_kit.faces.studio import portraits
        return portraits(n, int(generator.integers(2**40))).images
"""
    row = contest.enter(world, written(tmp_path, text=text), tmp_path / "board.json", Limits(30))
    assert all(low - 0.1 < 0.5 < high + 0.1 for _, low, high in row["cells"].values()), row


def test_noise_scores_one_as_a_defence(world, tmp_path):
    text = "class A:\n 'x'\n def protect(self, x): return (x + 0.025 * np.random.choice([-1, 1], x.shape)).clip(0, 1)"
    row = contest.enter(world, written(tmp_path, text="import numpy as np\n" + text), tmp_path / "board.json", QUICK)
    assert row["cells"]["editor | none"][0] == pytest.approx(1, abs=0.1)
    text = "class A:\n 'x'\n def protect(self, images): return images"
    assert contest.enter(world, written(tmp_path, text=text), tmp_path / "board.json", QUICK)["points"] == 0


def test_the_book_s_own_contest_has_all_its_sides(monkeypatch):
    """Its forgers learn for a step or three instead of minutes; all else is as it is."""
    train = contest.zoo.forger

    def quickly(kind, images, **settings):
        small = [part[:40] for part in images] if kind == "swap" else images[:170]
        return train(kind, small, steps=2, **settings)

    monkeypatch.setattr(contest.zoo, "forger", quickly)
    monkeypatch.setattr(contest.editors, "fit", lambda *given, **more: None)
    found = contest.world(5, n=4)
    assert [*found.makers] == [*contest.kinds.KINDS]
    for kind in found.makers:
        real, fake = found.pictures(kind, 5)
        assert real.shape == fake.shape == (4, 3, 32, 32) and not torch.equal(real, found.pictures(kind)[0])
    assert found.edit(real).shape == real.shape


def test_two_at_once_lose_no_row(world, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    paths = [written(tmp_path, name=f"mine{k}.py") for k in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda path: contest.enter(world, path, tmp_path / "board.json", Limits(20)), paths))
    assert sorted(json.loads((tmp_path / "board.json").read_text())) == ["mine0", "mine1", "mine2"]


def test_the_command_makes_its_secret_and_keeps_it(tmp_path, world, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(contest, "world", lambda seed: seen.append(seed) or world)
    words = ["arena", "run", str(written(tmp_path)), "--leaderboard", str(tmp_path / "board.json")]
    assert main(words) == 0 and main(words) == 0
    secret = tmp_path / "board.json.seed"
    assert seen == [int(secret.read_text())] * 2 and secret.stat().st_mode & 0o077 == 0
    assert "points 0." in capsys.readouterr().out
    for text in ("soon", "7", "\u0662" * 12, "1" * 5000):
        secret.write_text(text)
        assert main(words) == 2 and "valid: a whole number from 4294967296" in capsys.readouterr().err
    assert len(seen) == 2


@pytest.mark.parametrize("board", ["[]", "{", '{"mine": 3}', None])
def test_what_cannot_be_scored_is_said_before_the_world_is_made(board, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(contest, "world", lambda seed: pytest.fail("minutes are lost"))
    place = tmp_path / "board.json"
    place.write_text(board) if board else place.mkdir()
    entry, words = str(written(tmp_path)), ["--leaderboard", str(place)]
    assert main(["arena", "run", entry, *words]) == 2
    assert f"leaderboard: got {place}; valid: a new file" in capsys.readouterr().err
    for name in ("nobody.py", "pipe.py", "."):
        os.mkfifo(tmp_path / name) if name == "pipe.py" else None
        for words in (["check"], ["run", "--leaderboard", str(tmp_path / "new.json")]):
            assert main(["arena", *words, str(tmp_path / name)]) == 2
            assert "valid: a Python file with one class" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"mine.py", "pipe.py", "board.json"}


def test_a_contests_name_is_no_quick_hash_of_its_seed(world, tmp_path):
    row = contest.enter(world, written(tmp_path), tmp_path / "board.json", QUICK)
    quick = (hashlib.new(name, f"{world.seed} {world.n}".encode()).hexdigest() for name in ("md5", "sha1", "sha256"))
    assert not [text for text in quick if text.startswith(row["contest"])]


def test_a_file_that_is_none_or_huge_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.py")
    with open(tmp_path / "huge.py", "wb") as file:
        file.truncate(1 << 40)
    for name in ("pipe.py", "huge.py"):
        with pytest.raises(Refused, match="valid: a file of at most 200,000"):
            sandbox.read(tmp_path / name)
