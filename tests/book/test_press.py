"""The press at work on a small book: what is redone, what is kept, what is refused."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import psutil
import pytest
import small_book
from press import keys, stage, worker
from small_book import press

from deepfake_kit.notebook.run import NIGHT_KEY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(small, tmp_path_factory):
    """The small book, for this file."""
    return shutil.copytree(small, tmp_path_factory.mktemp("book") / "book", symlinks=True)


@pytest.fixture
def book(built, tmp_path):
    """A copy of the built book to break."""
    folder = tmp_path / "book"
    shutil.copytree(built, folder, symlinks=True)
    return folder


def page(folder: Path, chapter: str) -> str:
    return (folder / "_build" / "html" / "notebooks" / f"{chapter}.html").read_text()


def executed(folder: Path) -> dict[str, set[str]]:
    """The keys under which each chapter has results."""
    return {
        path.name: {key.name for key in path.glob("[0-9a-f]*")}
        for path in (folder / "_build" / "executed" / "book").iterdir()
    }


def test_the_page_shows_what_the_notebook_made(built):
    text = page(built, "91_demo")
    assert 'alt="A straight line that rises' in text and 'id="fig-91-line"' in text
    assert "How this figure was made" in text and "The line has 3 points." in text
    assert 'id="check-demo-eq-1"' in text and "Verdicts and checks of this section" in text
    home = (built / "_build" / "html" / "book" / "index.html").read_text()
    assert "What our runs say" in home and 'href="work-demo.html"' in home, "no totals on the home page"
    work = (built / "_build" / "html" / "book" / "work-demo.html").read_text()
    assert "What holds" in work and "ledger.html#ledger-demo-eq-1" in work and "here 3" in work
    ledger = (built / "_build" / "html" / "book" / "ledger.html").read_text()
    assert "../notebooks/91_demo.html#check-demo-eq-1" in ledger and "No clock." in ledger
    health = (built / "_build" / "html" / "book" / "health.html").read_text()
    assert "Demonstration 91" in health and "passed" in health


def test_title_and_contents_carry_the_number_that_the_text_uses(built):
    assert re.search(r"<h1>91 · Chapter 91_demo", page(built, "91_demo"))
    assert "92 · Chapter 92_other" in page(built, "91_demo"), "the contents do not number the chapters"
    assert "91 · Demonstration 91" in (built / "_build" / "html" / "book" / "health.html").read_text()


def test_the_download_is_the_notebook_that_ran(built):
    notebook = json.loads((built / "_build" / "html" / "_sources" / "notebooks" / "91_demo.ipynb").read_text())
    sources = ["".join(cell["source"]) for cell in notebook["cells"]]
    assert "pass" not in sources and any("run.figure" in source for source in sources)
    (ran,) = (built / "_build" / "executed" / "book" / "91_demo").glob("*/notebook.ipynb")
    assert NIGHT_KEY in ran.read_text() and NIGHT_KEY not in json.dumps(notebook), "no pictures for a dark page"


def test_no_machine_path_is_published(built, small):
    for path in (built / "_build" / "html").rglob("*"):
        if path.suffix in (".html", ".ipynb", ".json"):
            text = path.read_text()
            assert str(small) not in text and str(small.with_name("making")) not in text, path


def test_no_dead_buttons_without_a_repository(built):
    for path in (built / "_build" / "html").rglob("*.html"):
        text = path.read_text()
        assert "colab.research" not in text and "fa-rocket" not in text and "fa-github" not in text, path


def test_a_worker_has_one_numerical_thread(built):
    results = json.loads((built / "_build" / "html" / "results.json").read_text())
    assert [result["environment"]["threads"] for result in results] == [1, 1]


def test_nothing_changed_takes_seconds_and_redoes_nothing(built):
    before = os.readlink(built / "_build" / "html"), executed(built)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = press(built, "build")
    assert done.returncode == 0 and done.stdout.count("unchanged") == 2
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - spent < 15, "seconds of a processor, however busy"
    assert (os.readlink(built / "_build" / "html"), executed(built)) == before


def test_an_edited_notebook_runs_again_alone_and_says_its_cells_done_and_the_time_left(book):
    """Two builds begin at once: one waits, does no harm to the other, and then finds all done."""
    before = executed(book)
    climbs = small_book.FIGURE.replace("It rises", "It climbs")
    small_book.write(book, "92_other", "import time\ntime.sleep(2)", climbs)
    words = dict(cwd=book, env=small_book.environment(book), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    both = [subprocess.Popen([sys.executable, "-m", "press", "build"], **words) for _ in range(2)]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    (first,) = [out for out, error in said if "waiting for it to end" not in error]
    (second,) = [out for out, error in said if "waiting for it to end" in error]
    after = executed(book)
    assert after["91_demo"] == before["91_demo"] and len(after["92_other"]) == 2
    assert "It climbs" in page(book, "92_other") and "91_demo: unchanged" in first and second.count("unchanged") == 2
    shown = (
        r"92_other: cell \d of 6, (about \d+ s left|longer than expected)(.|\n)*92_other: cell 6 of 6, done in \d+ s"
    )
    assert re.search(shown, first), first


def test_a_failing_cell_is_named_and_the_rest_finishes(book):
    before = os.readlink(book / "_build" / "html")
    small_book.write(book, "91_demo", "x = 1\nraise ValueError('planted fault')")
    small_book.write(book, "92_other", small_book.FIGURE.replace("It rises", "It climbs"))
    done = press(book, "build")
    assert done.returncode == 1
    assert re.search(r"91_demo, cell \[\d+\] failed: ValueError: planted fault", done.stderr)
    assert "91_demo: FAILED; the other chapters go on" in done.stdout
    assert len(executed(book)["92_other"]) == 2, "the other chapter did not finish"
    assert os.readlink(book / "_build" / "html") == before and "It rises" in page(book, "92_other")


def test_an_edited_kit_module_reruns_the_chapters_that_reach_it_and_a_reference_that_leads_nowhere_stops_it(book):
    """Sphinx runs with -W -n --keep-going: both faults are named, and nothing is published."""
    before, site = executed(book), os.readlink(book / "_build" / "html")
    with (book / "deepfake_kit" / "game" / "stackelberg.py").open("a") as file:
        file.write("\n# edited\n")
    with (book / "book" / "index.md").open("a") as file:
        file.write("\nSee {ref}`nowhere` and [there](gone.md).\n")
    done = press(book, "build")
    after = executed(book)
    assert len(after["91_demo"]) == 2 and after["92_other"] == before["92_other"]
    assert done.returncode == 1
    assert "undefined label: 'nowhere'" in done.stderr and "gone.md" in done.stderr
    assert os.readlink(book / "_build" / "html") == site


def test_a_changed_verdict_and_a_measurement_that_nobody_makes_stop_the_build(book):
    papers = book / "deepfake_kit" / "papers" / "demo.yml"
    row = small_book.CLAIMS.partition("claims:\n")[2].partition("- {id: demo-claim-2")[0].replace("eq-1", "eq-3")
    papers.write_text(papers.read_text().replace("printed: 3", "printed: 4") + row)
    done = press(book, "build")
    assert done.returncode == 1
    assert (
        "demo-eq-1: chapter 91_demo computes 'contradicted'" in done.stderr and "approves 'reproduced'" in done.stderr
    )
    assert re.search("demo-eq-3.* no chapter measures it", done.stderr), done.stderr


def test_a_kept_run_stands_on_the_page_and_its_network_is_measured_by_each_build(book):
    lines = ['import torch\nrun.keep("net", {"w": torch.ones(1) * run.settings.points})', small_book.FIGURE]
    lines[1] = lines[1].replace('a step.")', 'a step.", kept=True)')
    lines += ['from deepfake_kit.game import stackelberg\nrun.claim("demo-eq-1", 3)']
    lines += ['run.say("The line has {points} points.", kept=True, points=run.settings.points)']
    measured = 'run.recheck("net", lambda state: state["w"].item(), "points", 0.1)'
    small_book.write(book, "91_demo", *lines, measured, "run.compare()")
    words = [sys.executable, "-m", "deepfake_kit", "run", "91_demo", "--profile", "long", "--keep"]
    done = subprocess.run(words, cwd=book, env=small_book.environment(book), capture_output=True, text=True)
    place = book / "results" / "long" / "91_demo"
    assert done.returncode == 0 and f"kept in {place}" in done.stdout, done.stdout + done.stderr
    assert {path.name for path in place.iterdir()} == {"kept.json", "line.png", "net.safetensors"}
    assert str(book) not in (place / "kept.json").read_text()
    done = press(book, "build")
    assert done.returncode == 0, done.stdout + done.stderr
    text = page(book, "91_demo")
    assert text.count("After an evening") == 2 and 'id="kept-91-figure-line"' in text and "same code" in text
    assert "How far the numbers of this chapter move with another seed was not measured" in text

    content = (place / "net.safetensors").read_bytes()
    (place / "net.safetensors").write_bytes(content[:-2] + b"\x00\x00")  # another weight
    done = press(book, "build")
    assert done.returncode != 0 and "check 'kept-net' failed: residual 3" in done.stdout + done.stderr


def start_build(book, stderr=subprocess.DEVNULL, through_make=False):
    """A build in a process group of its own, so that all of it can be killed at once.

    It minds Ctrl-C also where these tests run in the background of a script, which lets them ignore it.
    """
    words = [sys.executable, "-m", "press", "build"]
    if through_make:  # by our Makefile's own line
        recipe = re.search(r"^book:.*\n(\t.*\n)", (small_book.ROOT / "Makefile").read_text(), re.MULTILINE)[1]
        (book / "Makefile").write_text(f"PROFILE = book\nEXECUTOR =\n.PHONY: book\nbook:\n{recipe}")
        words = ["make", "book"]
    return subprocess.Popen(
        words,
        cwd=book,
        env=small_book.environment(book),
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_killed_at_any_moment_it_resumes(book):
    """Kill the whole build while one chapter is done and the other is not; then build again."""
    small_book.write(book, "91_demo", small_book.FIGURE, 'run.claim("demo-eq-1", 3)')
    wait = f"import pathlib, time\nwhile not pathlib.Path('{book}/go').exists():\n    time.sleep(0.1)"
    small_book.write(book, "92_other", wait, small_book.FIGURE.replace("It rises", "It climbs"))
    before, site = executed(book), os.readlink(book / "_build" / "html")
    process = start_build(book)
    deadline = time.monotonic() + 60
    while executed(book)["91_demo"] == before["91_demo"] or not finished(book, "91_demo", before):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert os.readlink(book / "_build" / "html") == site and "It rises" in page(book, "92_other")
    (book / "go").touch()
    first = {path: path.stat().st_mtime_ns for path in (book / "_build/executed/book/91_demo").rglob("results.json")}
    done = press(book, "build")
    assert done.returncode == 0, done.stderr
    assert "91_demo: unchanged" in done.stdout and "It climbs" in page(book, "92_other")
    assert first == {
        path: path.stat().st_mtime_ns for path in (book / "_build/executed/book/91_demo").rglob("results.json")
    }


def test_killed_while_the_pages_are_made_it_resumes(book):
    small_book.write(book, "92_other", small_book.FIGURE.replace("It rises", "It climbs"))
    site = Path(os.readlink(book / "_build" / "html"))
    process = start_build(book)
    deadline = time.monotonic() + 120
    sites = book / "_build" / "sites"
    while not [path for path in sites.glob("*/source/notebooks") if site.name.partition("-")[0] not in path.parts]:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert Path(os.readlink(book / "_build" / "html")) == site and "It rises" in page(book, "92_other")
    done = press(book, "build")
    assert done.returncode == 0 and done.stdout.count("unchanged") == 2, done.stdout + done.stderr
    assert "It climbs" in page(book, "92_other")


def test_a_site_of_another_profile_leaves_the_book_in_place(book):
    """A verdict approved at the book's size is not asked of a quick look, whose pages say what they are."""
    small_book.write(
        book,
        "91_demo",
        small_book.FIGURE,
        'run.claim("demo-eq-1", run.settings.points)',
        'run.say("The line has {points} points.", points=run.settings.points)',
    )
    done = press(book, "build", "--profile", "smoke")
    assert done.returncode == 0, done.stderr
    for name in ("notebooks/91_demo", "book/ledger"):
        assert "Made at profile smoke" in (book / "_build" / "html-smoke" / f"{name}.html").read_text()
    assert "Made at profile" not in page(book, "91_demo")
    assert "The line has 3 points." in page(book, "91_demo"), "the book's own site is gone"
    assert "The line has 2 points." in (book / "_build" / "html-smoke" / "notebooks" / "91_demo.html").read_text()


def finished(folder: Path, chapter: str, before: dict) -> bool:
    new = executed(folder)[chapter] - before[chapter]
    return any((folder / "_build/executed/book" / chapter / key / "results.json").is_file() for key in new)


def test_a_full_disk_leaves_the_last_good_site(book):
    """No file may grow beyond 2 kB: pages cannot be written, as on a full disk."""
    site = os.readlink(book / "_build" / "html")
    small_book.write(book, "92_other", small_book.FIGURE.replace("It rises", "It climbs"))
    done = press(book, "build", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)))
    assert done.returncode != 0
    assert os.readlink(book / "_build" / "html") == site and "It rises" in page(book, "92_other")
    assert press(book, "build").returncode == 0 and "It climbs" in page(book, "92_other")


def test_a_folder_that_cannot_be_written_is_named(book):
    shutil.rmtree(book / "_build" / "progress")
    (book / "_build" / "progress").write_text("a file where a folder should be")
    done = press(book, "build")
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "the last good site" in done.stderr and "progress" in done.stderr


def test_a_read_only_folder_leaves_the_last_good_site(book):
    """The file system itself says no: the build runs as a person who may not write there."""
    small_book.write(book, "92_other", small_book.FIGURE.replace("It rises", "It climbs"))
    site = os.readlink(book / "_build" / "html")
    with tempfile.TemporaryDirectory() as home:  # pytest's own folders are closed to others
        place = Path(home) / "book"
        shutil.move(book, place)
        subprocess.run(["chmod", "-R", "a+rX", home], check=True)
        as_root = os.geteuid() == 0
        options = dict(user=65534, group=65534, extra_groups=[]) if as_root else {}
        try:
            subprocess.run([sys.executable, "-c", "import yaml"], check=True, cwd="/", **options)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("this machine's other users cannot run this Python")
        if not as_root:
            subprocess.run(["chmod", "-R", "a-w", str(place)], check=True)
        try:
            done = press(place, "build", **options)
        finally:
            subprocess.run(["chmod", "-R", "u+w", str(place)], check=True)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert "Permission denied" in done.stderr and "the last good site" in done.stderr
        assert os.readlink(place / "_build" / "html") == site and "It rises" in page(place, "92_other")


def test_a_hanging_chapter_is_stopped(book):
    small_book.write(book, "92_other", "import time\ntime.sleep(600)")
    done = subprocess.run(
        [sys.executable, "-m", "deepfake_kit", "run", "92_other", "--profile", "smoke", "--limit", "4"],
        cwd=book,
        env=small_book.environment(book),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1 and "did not finish within 4 s" in done.stderr
    assert not (book / "_build" / "runs" / "92_other-smoke.ipynb").exists()


def test_what_is_written_through_the_published_folder_is_undone(book):
    """Jupyter Book's own command writes into `_build/html`; the finished site is another folder."""
    shown = book / "_build" / "html"
    good = stage.manifest(shown)
    start = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", "."]
    subprocess.run(start, cwd=book, env=small_book.environment(book), check=True, capture_output=True)
    assert "How this figure was made" not in page(book, "91_demo"), "it has written nothing there"
    (shown / "extra.html").write_text("another program's page")
    (shown / "results.json").unlink()
    done = press(book, "build")
    assert done.returncode == 0 and done.stdout.count("unchanged") == 2, done.stdout + done.stderr
    assert stage.manifest(shown) == good


def test_a_finished_site_that_was_damaged_is_made_again(book):
    """As is a chapter's result: nothing is called unchanged that is not what was written."""
    kept = next((book / "_build" / "sites").glob("*/html/notebooks/92_other.html"))
    good = kept.read_text()
    kept.write_text("damaged")
    notebook = next((book / "_build" / "executed" / "book" / "91_demo").glob("*/notebook.ipynb"))
    notebook.write_text(notebook.read_text().replace("3 points", "7 points"))
    done = press(book, "build")
    assert done.returncode == 0 and "92_other: unchanged" in done.stdout, done.stdout + done.stderr
    assert "91_demo: unchanged" not in done.stdout and "The line has 3 points." in page(book, "91_demo")
    assert "A straight line that rises" in good and "damaged" not in page(book, "92_other")


def test_an_odd_source_is_named_and_the_others_run(book):
    """One cell is no Python; the other chapter was saved by Colab and speaks IPython."""
    small_book.write(book, "91_demo", "x = 1", "def f(x)\n    return x")
    colab = small_book.notebook(
        "92_other",
        "%%time\nfrom deepfake_kit.game import stackelberg",
        "files = !echo one two\nwhere = %pwd\nlen?",
        "%%bash\nfor x in 1 2; do echo $x; done",
        "%%capture said\n!echo three",
        small_book.FIGURE.replace("It rises", "It climbs"),
    )
    colab.metadata = {
        "colab": {"provenance": [], "toc_visible": True},
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
    }
    colab.cells[3].metadata.update(id="aBcD", colab={"base_uri": "https://localhost:8080/"}, outputId="x")
    nbformat.write(colab, book / "notebooks" / "92_other.ipynb")
    before = executed(book)
    done = press(book, "build")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "chapter 91_demo, cell [5]: expected ':', line 1: def f(x)" in done.stderr, done.stderr
    assert len(executed(book)["92_other"] - before["92_other"]) == 1, "the other chapter did not run"
    small_book.write(book, "91_demo", 'run.claim("demo-eq-1", 3)')
    done = press(book, "build")
    assert done.returncode == 0 and "92_other: unchanged" in done.stdout, done.stdout + done.stderr
    assert "It climbs" in page(book, "92_other")


def test_what_killed_jobs_left_is_swept_and_what_is_in_use_stays(book):
    folder = book / "_build" / "executed" / "book" / "91_demo"
    left, used = folder / ".0a0a.1", folder / ".0b0b.2"
    for partial in (left, used):
        partial.mkdir()
        (partial / "notebook.ipynb").write_text("half")
    with small_book.locked(used):
        assert press(book, "build").returncode == 0
        assert not left.exists() and used.exists()
    assert press(book, "build").returncode == 0 and not used.exists()


def test_stopped_by_its_user_it_keeps_what_is_finished(book):
    """Ctrl-C goes to every process of the terminal."""
    small_book.write(book, "91_demo", small_book.FIGURE, 'run.claim("demo-eq-1", 3)')
    small_book.write(book, "92_other", "import time\ntime.sleep(100)", small_book.FIGURE)
    before = executed(book)
    process = start_build(book, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 100
    while executed(book)["91_demo"] == before["91_demo"] or not finished(book, "91_demo", before):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "the chapters that are finished are kept" in said and "Traceback" not in said
    (new,) = executed(book)["91_demo"] - before["91_demo"]
    assert worker.fresh(book / "_build" / "executed" / "book" / "91_demo" / new), "the next build would run it again"


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL", "make SIGKILL"])
def test_a_builder_that_is_ended_takes_its_chapters_along(book, how):
    """Whichever way it ends, and also when only the make that started it does: nothing goes on and keeps the lock."""
    small_book.write(book, "92_other", "import subprocess\nsubprocess.run(['sleep', '300'])")
    process = start_build(book, through_make="make" in how)
    kill_at_work(process, how)
    with (book / "_build" / "lock").open("w") as file:
        deadline = time.monotonic() + 60
        while True:  # a process that it was starting just then, too young for the list, ends as it comes to its work
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                assert time.monotonic() < deadline, "somebody keeps the lock"
                time.sleep(0.2)


def test_a_run_by_hand_that_is_killed_leaves_nothing_running(book):
    small_book.write(book, "92_other", "import subprocess\nsubprocess.run(['sleep', '300'])")
    words = [sys.executable, "-m", "deepfake_kit", "run", "92_other"]
    kill_at_work(subprocess.Popen(words, cwd=book, env=small_book.environment(book)), "SIGKILL")


def kill_at_work(process, how):
    """End a process once its chapter has started a program of its own; all that it started must end too."""
    deadline = time.monotonic() + 60
    while "sleep" not in (names := [one.name() for one in family(process.pid)]):
        assert time.monotonic() < deadline and process.poll() is None, names
        time.sleep(0.2)
    started = family(process.pid)
    os.kill(process.pid, getattr(signal, how.split()[-1]))
    process.wait(60)
    deadline = time.monotonic() + 20
    while (left := [one for one in started if lives(one)]) and time.monotonic() < deadline:
        time.sleep(0.2)
    for one in left:
        one.kill()
    assert not left and len(started) > 1


def lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def family(pid: int) -> list[psutil.Process]:
    """All processes that one has started, and they in turn."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


@pytest.mark.parametrize("words", [("build", "--profile", "boook")])
def test_bad_words_are_one_line(book, words):
    done = press(book, *words)
    assert done.returncode == 2 and "did you mean 'book'" in done.stderr and "Traceback" not in done.stderr


def test_reachable_follows_imports_aliases_and_methods(tmp_path):
    for name, text in {
        "__init__": "",
        "notebook/__init__": "",
        "notebook/run": "class Run:\n"
        "    def load(self):\n        from deepfake_kit import data\n"
        "    def claim(self):\n        from deepfake_kit.notebook import claims\n",
        "paths": "",
        "notebook/claims": "",
        "data/__init__": "from deepfake_kit.data.load import load",
        "data/load": "",
        "data/bytes": "",
        "rooms/__init__": "from deepfake_kit.rooms.b import x",
        "rooms/a": "from deepfake_kit.rooms.b import x",
        "rooms/b": 'PATH, KIND = "files/contract.vy", "data"',
        "c": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "rooms" / "files").mkdir()
    (tmp_path / "rooms" / "files" / "contract.vy").write_text("")
    always = {"__init__.py", "notebook/__init__.py", "notebook/run.py", "paths.py"}

    def names(*code):
        return {str(path.relative_to(tmp_path)) for path in keys.reachable(list(code), tmp_path)} - always

    b = {"rooms/__init__.py", "rooms/b.py", "rooms/files/contract.vy"}  # and not the room that "data" spells
    assert names("import deepfake_kit as kit\nkit.start('x')") == set()
    assert names("%pip install x\nfrom deepfake_kit.rooms import a") == {"rooms/a.py", *b}
    assert names("from deepfake_kit.rooms import x") == names("import deepfake_kit.rooms") == b
    assert names("import deepfake_kit as dk\ndk.c.f()") == {"c.py"}
    assert names("import deepfake_kit as dk\ndk.rooms.b.x()") == b
    assert names("run.load('x')") == {"data/__init__.py", "data/load.py"}
    assert names("run.claim('x')") == {"notebook/claims.py"}
    assert names("from deepfake_kit.data.bytes import x") == {"data/__init__.py", "data/bytes.py"}
