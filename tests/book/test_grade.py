"""Marking: right, half right and missing answers; hostile files that harm only their own mark."""

import csv
import json
import os
import time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from press.course import grade, make, similar, wire
from press.course import submission as handed

from deepfake_kit.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
LIMITS = grade.Limits(cell=1.5, total=25)
RIGHT = {
    "2.1": 'def alpha_bars(betas):\n    return np.cumprod(1 - betas)\n\n\ncheck("2.1", alpha_bars)',
    "2.3": 'def var(bar, prev):\n    return (1 - prev) / (1 - bar) * (1 - bar / prev)\n\n\ncheck("2.3", var)',
}


def notebook(*cells):
    rows = [{"cell_type": "code", "source": source, "metadata": {}, "outputs": []} for source in cells]
    return json.dumps({"cells": rows, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def mark(folder, *cells, deal=None, name="me.ipynb", covered=()):
    path = folder / name
    path.write_text(cells[0] if name.endswith(".py") else notebook(*cells))
    return grade.marked("me", path, deal, LIMITS, [*grade.hidden(), *covered])


def points(report):
    return {m.number: m.points for m in report.marks}


def test_right_wrong_half_right_and_missing(tmp_path):
    half = (
        'def two(bar, prev):\n    return (1 - prev) / (1 - bar) * (1 - bar / prev) * (bar < 0.8)\n\n\ncheck("2.3", two)'
    )
    half = half.replace("* (bar < 0.8)", "+ (bar == 0.2)")  # right until the last of four cases
    report = mark(
        tmp_path, RIGHT["2.1"], 'crossing = 3\ncheck("2.2", crossing)', half, 'check("2.4", lambda *a: 1 / 0)'
    )
    assert points(report) == {
        "2.1": 1,
        "2.2": 0,
        "2.3": 2 * (0.25 + 0.5 * 3 / 4),
        "2.4": 0,
        "2.5": 0,
        "2.6": 0,
        "2.7": 0,
    }
    said = {m.number: m.said for m in report.marks}
    assert said["2.1"] == "right." and said["2.2"].startswith("not yet. ") and said["2.5"] == "not answered yet."
    assert said["2.4"] == "not yet. your answer raised ZeroDivisionError: division by zero"


def test_the_variant_is_the_course_s_and_not_the_copy_s(tmp_path):
    assert points(mark(tmp_path, RIGHT["2.1"], deal={"2.1": 1}))["2.1"] < 1
    root = RIGHT["2.1"].replace("np.cumprod(1 - betas)", "np.sqrt(np.cumprod(1 - betas))")
    assert points(mark(tmp_path, root, deal={"2.1": 1}))["2.1"] == 1
    assert points(mark(tmp_path, root.replace(", alpha_bars)", ", alpha_bars, variant=1)")))["2.1"] == 1  # its own word


def test_an_answer_that_changes_its_input_is_seen_through_the_wire(tmp_path):
    greedy = 'def average(vectors, sizes):\n    vectors[0] *= 0\n    return vectors[0]\n\n\ncheck("6.1", average)'
    said = {m.number: m.said for m in mark(tmp_path, greedy).marks}
    assert "changes the clients' own vectors" in said["6.1"]


def test_a_program_is_read_part_by_part(tmp_path):
    text = f"import numpy as np\n\n{RIGHT['2.1']}\nwhile True: pass\ncheck('2.2', 1)\n{RIGHT['2.3']}\n"
    assert points(mark(tmp_path, text, name="me.py")) == {
        "2.1": 1,
        "2.2": 0,
        "2.3": 2,
        "2.4": 0,
        "2.5": 0,
        "2.6": 0,
        "2.7": 0,
    }


def test_a_name_of_the_chapter_is_explained(tmp_path):
    report = mark(
        tmp_path, 'check("2.1", lambda betas: schedule.alpha_bars)', 'crossing = schedule\ncheck("2.2", crossing)'
    )
    assert "with the chapter's imports" in next(m.said for m in report.marks if m.number == "2.2")


BAD = "def bad(betas):\n    {}\n\n\ncheck('2.1', bad)"
HOSTILE = {
    "loops in a call": BAD.format("while True: pass"),
    "loops in a cell": "while True:\n    try:\n        while 1: pass\n    except BaseException: pass\ncheck('2.1', 1)",
    "crashes": BAD.format("import ctypes; ctypes.string_at(0)"),
    "prints gigabytes": BAD.format("while True: print('x' * 10**6)"),
    "writes gigabytes": BAD.format("open('big', 'wb').write(b'x' * 10**9)"),
    "deletes files": BAD.format("import os, shutil; os.remove({victim!r}); shutil.rmtree({folder!r})"),
    "writes files": BAD.format("open({victim!r}, 'w').write('mine'); return 1 / 0"),
    "opens sockets": BAD.format("import socket; socket.create_connection(('127.0.0.1', {port})).send(b'x')"),
    "patches check": (
        "import deepfake_kit.notebook.check as c\nimport numpy, math\nc.check = c.judge = lambda *a, **k: True\n"
        "numpy.allclose = math.isclose = lambda *a, **k: True\n" + BAD.format("return 0 * betas")
    ),
    "forks": BAD.format("import os\n    while True: os.fork()"),
    "starts programs": BAD.format("import subprocess; subprocess.run(['touch', {started!r}])"),
    "eats memory": BAD.format("a = [b'x' * 10**8 for _ in range(10**4)]; return a"),
    "exits early": "import os, sys\n" + BAD.format("os._exit(0)"),
    "exits in a cell": "import os\nos._exit(0)\ncheck('2.1', 1)",
    "reads solutions": BAD.format(
        "text = open({book!r}).read(); space = {{}}; exec(open({grader!r}).read(), space); "
        "return np.cumprod(1 - betas) if text or space.get('EXERCISES') else betas"
    ),
    "reads another's answer": BAD.format("return np.cumprod(1 - betas) if open({victim!r}).read() else betas"),
    "answers in place of the course": (
        "import os\nfor fd in range(3, 40):\n    try:\n"
        '        os.write(fd, b\'{{"answers": {{"2.1": 1}}, "errors": {{}}, "printed": 0, "walls": {{}}}}\\n\' * 50)\n'
        "    except OSError: pass\n" + BAD.format("return 0 * betas")
    ),
    "returns what never ends": BAD.format("return [0] * 10**8"),
    "returns a strange thing": BAD.format("return type('T', (), {{'shape': betas.shape, '__array__': 1}})()"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_harms_only_its_own_mark(kind, tmp_path):
    import socket

    folder = tmp_path / "precious"
    folder.mkdir()
    victim = folder / "victim.txt"
    victim.write_text("def alpha_bars")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        names = {
            "victim": str(victim),
            "folder": str(folder),
            "started": str(folder / "started"),
            "port": server.getsockname()[1],
            "book": str(ROOT / "notebooks" / "02_diffusion_math.ipynb"),
            "grader": str(ROOT / "deepfake_kit" / "exercises" / "chapter_02.py"),
        }
        began = time.monotonic()
        report = mark(tmp_path, HOSTILE[kind].format(**names), RIGHT["2.3"], covered=[str(victim)])
        assert time.monotonic() - began < LIMITS.total + 10
        with pytest.raises(TimeoutError):
            server.accept()
    got = points(report)
    assert got["2.1"] <= 0.25 and sorted(path.name for path in folder.iterdir()) == ["victim.txt"], report
    assert victim.read_text() == "def alpha_bars"
    if kind != "answers in place of the course":
        assert got["2.3"] == 2, report
    assert not list(tmp_path.glob("big"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"x" * ((20 << 20) + 1), "at most 20 are read"),
        (b'{"cells": [', "no notebook: JSONDecodeError"),
        (b"\xff\xfe\x00", "no notebook: UnicodeDecodeError"),
        (b"[" * 200_000, "brackets in brackets"),
        (b'{"cells": [{"cell_type": "code"}]}', "no notebook: KeyError"),
        (b'{"cells": []}', "no cell ends in check"),
    ],
    ids=["huge", "cut", "no text", "deep", "no source", "empty"],
)
def test_a_file_that_is_no_notebook_gets_no_mark_and_a_reason(content, said, tmp_path):
    path = tmp_path / "bad.ipynb"
    path.write_bytes(content)
    report = grade.marked("me", path, None, LIMITS, [])
    assert report.marks == [] and said in report.trouble[0]


def test_a_folder_becomes_a_table_and_a_report_a_student(tmp_path, capsys):
    make.course(ROOT, [2], 6, 7, tmp_path / "course")
    inbox = tmp_path / "in"
    (inbox / "ada").mkdir(parents=True)
    (inbox / "ada" / "2.ipynb").write_bytes(next((tmp_path / "course" / "solution").glob("*.ipynb")).read_bytes())
    (inbox / "=bad<b>.ipynb").write_text("{")
    (inbox / "loop.ipynb").symlink_to("loop.ipynb")
    assert main(["grade", str(inbox), "--csv", str(tmp_path / "m.csv"), "--course", str(tmp_path / "course")]) == 0
    rows = {row["student"]: row for row in csv.DictReader((tmp_path / "m.csv").open())}
    assert rows["ada"]["points"] == "14.0" and rows["'=bad<b>"]["points"] == "0" and len(rows) == 2
    page = (tmp_path / "m" / "ada.html").read_text()
    assert "14 of 14 points" in page and "right." in page
    assert "<b>" not in (tmp_path / "m" / "=bad<b>.html").read_text()
    assert "without network" in capsys.readouterr().out
    assert main(["grade", str(tmp_path / "course" / "colab")]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--jobs", "0"], "--jobs: got 0; valid: a whole number from 1"),
        (["--csv", "{here}/marks"], "marks; valid: NAME.csv"),
        (["--csv", "{here}/in.csv"], "no submissions in the folder NAME"),
        (["--csv", "{here}/full.csv"], "full.csv; valid: NAME.csv"),
        (["--course", "{here}"], "with no course.json to read; valid: the folder that course wrote"),
        (["--course", "{here}/odd"], "with no course.json to read"),
    ],
)
def test_bad_input_is_one_line_before_anything_runs(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(grade, "_each", lambda *given: pytest.fail("it runs"))
    for name in ("in", "full.csv", "odd"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "ada.py").write_text(RIGHT["2.1"])
    (tmp_path / "odd" / "course.json").write_text('{"variants": {"ada": 1}}')
    assert main(["grade", str(tmp_path / "in"), *(word.format(here=tmp_path) for word in words)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("deepfake-kit: ") and said in error and error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full.csv", "in", "odd"]


def test_a_folder_without_a_submission_is_told_of_and_copies_that_programs_leave_are_nobody_s(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(grade, "marked", lambda student, path, *rest: grade.Report(student, path.name))
    left = ["ada/.ipynb_checkpoints/2-checkpoint.ipynb", "__MACOSX/ada/._2.ipynb", "ada/._2.ipynb"]
    for name in ["ada/2.ipynb", "bo/LAB.IPYNB", "cy/answers.pdf", "dee.zip", *left]:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text("{}")
    assert main(["grade", str(tmp_path / "in"), "--csv", str(tmp_path / "m.csv")]) == 0
    rows = [(row["student"], row["file"]) for row in csv.DictReader((tmp_path / "m.csv").open())]
    assert rows == [("ada", "2.ipynb"), ("bo", "LAB.IPYNB")]
    assert "in no table: cy, dee.zip\n" in capsys.readouterr().out
    assert {str((tmp_path / "in" / name).resolve()) for name in left} <= {*grade.hidden(tmp_path / "in")}


def test_a_cell_of_the_copy_handed_out_is_nobody_s_own_when_the_chapter_has_changed_since(tmp_path):
    old = "curve = of_an_older_chapter()"
    (tmp_path / "course" / "student" / "ada").mkdir(parents=True)
    (tmp_path / "course" / "student" / "ada" / "02_diffusion_math.ipynb").write_text(
        notebook(old, 'check("2.1", None)')
    )
    (tmp_path / "course" / "student" / "ada" / "03_cut.ipynb").write_text("{")
    path = tmp_path / "me.ipynb"
    path.write_text(notebook(old, "mine = 1", RIGHT["2.1"]))
    given, chapter = handed.read("me", path), grade.chapter("2.1")[0]
    assert [source for _, source in handed.own(given, chapter)] == [old, "mine = 1", RIGHT["2.1"]]
    known = handed.given(tmp_path / "course")
    assert [source for _, source in handed.own(given, chapter, known)] == ["mine = 1", RIGHT["2.1"]]
    report = grade.marked("me", path, None, LIMITS, grade.hidden(), known)
    assert points(report)["2.1"] == 1 and report.trouble == []


def test_one_file_may_be_marked_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(grade, "marked", lambda student, path, *rest: grade.Report(student, path.name))
    (tmp_path / "ada.py").write_text("pass")
    assert main(["grade", str(tmp_path / "ada.py"), "--csv", str(tmp_path / "m.csv")]) == 0
    assert [row["student"] for row in csv.DictReader((tmp_path / "m.csv").open())] == ["ada"]
    assert "in no table" not in capsys.readouterr().out
    assert main(["grade", str(tmp_path / "eve.py")]) == 2 and "eve.py, which does not exist;" in capsys.readouterr().err


def test_a_file_s_name_costs_nobody_their_mark(tmp_path, monkeypatch):
    monkeypatch.setattr(grade, "marked", lambda student, path, *rest: grade.Report(student, path.name))
    names = [b"\xff", b"l" * 252, b"a\nb", b"=1", b"\t=1"]
    (tmp_path / "in").mkdir()
    for name in names:
        (tmp_path / "in" / os.fsdecode(name + b".py")).write_text("pass")
    grade.grade(tmp_path / "in", tmp_path / "m.csv")
    rows = [row["student"] for row in csv.DictReader((tmp_path / "m.csv").open(encoding="utf-8", newline=""))]
    assert sorted(rows) == sorted(["\\udcff", "l" * 252, "a\nb", "'=1", "'\t=1"])
    assert len(list((tmp_path / "m").iterdir())) == 5 and not list(tmp_path.rglob(".*"))


def test_what_is_alike_is_a_number_and_names_do_not_hide_it(tmp_path):
    texts = {
        "a": RIGHT["2.3"],
        "b": RIGHT["2.3"].replace("bar", "x").replace("prev", "y").replace("var", "mine"),
        "c": 'def f(a, b):\n    kept = b\n    while kept > 1:\n        kept += a\n    return kept\ncheck("2.3", f)',
    }
    reports = [grade.Report(name, "2.ipynb", grams=similar.of([text])) for name, text in texts.items()]
    similar.write(reports, tmp_path / "alike.csv")
    table = csv.DictReader((tmp_path / "alike.csv").open())
    rows = {row["student"] + row["other"]: float(row["share of equal runs"]) for row in table}
    assert rows["ab"] == 1 and rows["ac"] == rows["bc"] < 0.5


def test_a_process_that_ends_while_it_reads_is_one_report(tmp_path, monkeypatch):
    import os

    def read(student, path):
        os.abort() if student == "bad" else None
        raise handed.Unreadable("seen")

    monkeypatch.setattr(handed, "read", read)
    for name in ("bad", "good"):
        (tmp_path / f"{name}.py").write_text("pass")
    reports = grade.grade(tmp_path, tmp_path / "marks" / "m.csv")
    assert [r.trouble for r in reports] == [["it ended the process that read it, or held it up"], ["seen"]]


def test_values_travel_whole():
    functions = []
    for value in (
        True,
        3,
        10**30,
        2.5,
        "x",
        b"\0\xff",
        (1, [2.0, None]),
        np.arange(6.0).reshape(2, 3),
        np.int64(4),
        np.bool_(True),
    ):
        back = wire.unpack(json.loads(json.dumps(wire.pack(value, functions))), None)
        assert type(back) is type(value) and np.all(back == value)
    for value, answer in (
        (Fraction(1, 8000), 1 / 8000),
        (Decimal("0.5"), 0.5),
        (range(3), [0, 1, 2]),
        ((k * k for k in (1, 2)), [1, 4]),
        ({4}, [4]),
    ):
        assert wire.unpack(json.loads(json.dumps(wire.pack(value, functions))), None) == answer
    with pytest.raises(TypeError, match="no answer"):
        wire.pack(np.array([object()]), functions)


def test_a_line_that_begins_with_a_sign_of_jupyter_s_is_left_where_it_is_python(tmp_path):
    wrapped = "def f(a, b):\n    return (\n        a\n        % b\n        != 0\n    )"
    cells = [{"cell_type": "code", "source": text} for text in (wrapped, "%pip install x\n!ls\nb = 2", "%%bash\nls")]
    path = tmp_path / "one.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    assert handed.read("one", path).cells == (wrapped, "b = 2", "")
