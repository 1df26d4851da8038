"""Write a course's folder."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import nbformat

from deepfake_kit.notebook import settings
from deepfake_kit.valid import whole
from press import places, sources, stage
from press.course import bank, cartridge, notebooks, plan, sheets
from press.course import slides as deck
from press.runs import execute

DEFAULT = ["class"]


def roster(path: Path | None) -> list[str]:
    """The students of a list, one a line; without a list one copy for all.

    Raises
    ------
    ValueError
        If a name cannot be a folder's, or stands there twice.
    """
    if path is None:
        return DEFAULT
    if not path.is_file():
        raise ValueError(f"--students: got {path}; valid: a text file with one name a line")
    names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for name in names:
        if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name.startswith("."):
            raise ValueError(f"--students: got {name!r}; valid: letters, digits, '-', '_' and '.'")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"--students: got {len(names)} names, {len(set(names))} different; valid: each name once")
    return names


def course(
    root: Path,
    numbers: list[int],
    weeks: int,
    seed: int,
    out: Path,
    students: Path | None = None,
    slides: str | None = None,
) -> Path:
    """Write student notebooks, solutions, copies for Colab, papers and the list for a lab without network to `out`.

    Parameters
    ----------
    root : Path
        The copy of the repository.
    numbers : list of int
        Chapters.
    weeks : int
        Length of the course, 1 to 52.
    seed : int
        Draws every student's variants.
    out : Path
        A folder that is new, empty, or was written by this command.
    students : Path, optional
        A file with one name a line: each gets a folder with variants of their own.
    slides : str, optional
        A profile: each chapter is executed with it, and its figures become slides.

    Raises
    ------
    ValueError
        If a chapter, a name or the number of weeks is not valid, or `out` holds other things.
    """
    if not 1 <= weeks <= 52:
        raise ValueError(f"--weeks: got {weeks}; valid: 1 to 52")
    whole("--seed", seed, 0)
    if slides:
        settings.one_of("profile", slides, settings.PROFILES)
    names, found = roster(students), plan.outlines(root, numbers)
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not (out / "course.json").is_file():
        raise ValueError(f"--out: {out} holds other things; valid: a new folder, or one that this command wrote")
    deals = {name: notebooks.drawn(seed, name, [e.number for o in found for e in o.exercises]) for name in names}
    about = {"seed": seed, "chapters": [o.name for o in found], "variants": deals}
    _write(out / "course.json", json.dumps(about, indent=1))  # first: a run cut short may be taken up again
    for part in ("student", "solution", "colab"):
        shutil.rmtree(out / part, ignore_errors=True)
    for sheet in out.glob("exam-*"):  # of another seed, or of other chapters
        sheet.unlink()
    address = stage.repository(root)
    for name, deal in deals.items():
        place = Path() if names == DEFAULT else Path(name)
        for o in found:
            for part, solved in (("student", False), ("solution", True)):
                made = notebooks.dealt(o.notebook, o.exercises, deal, solved)
                made.metadata["course"] |= {"student": name, "seed": seed}
                _write(out / part / place / f"{o.name}.ipynb", nbformat.writes(made).rstrip("\n") + "\n")
            if address:
                text = (out / "student" / place / f"{o.name}.ipynb").read_text(encoding="utf-8")
                _write(out / "colab" / place / f"{o.name}.ipynb", sources.stamped(text, address))
    table, script = plan.offline(root, found)
    papers = {
        "syllabus.md": plan.syllabuses(found, weeks),
        "objectives.md": plan.matrix(found),
        "minutes.md": plan.minutes(found),
        "rubric.md": plan.rubric(found),
        "guide.md": "# Guide\n\n" + "\n".join(map(plan.guide, found)),
        "predictions.md": plan.prediction_sheet(found),
        "capstone.md": plan.capstone(root),
        "offline.md": table,
        "rehearse.sh": script,
    }
    asked = {o.name: bank.questions(o, seed) for o in found}
    found_questions = [question for questions in asked.values() for question in questions]
    book = f"Deepfakes: made, shared, detected, defended. Chapters {', '.join(str(int(o.number)) for o in found)}."
    for version in range(seed, seed + 3):
        drawn = bank.exam(found_questions, version)
        for answers in (False, True):
            name, title = f"exam-{version}{'-answers' if answers else ''}", f"Exam{': answers' if answers else ''}"
            rows = [("", q.points, f"{q.answer:.4g}" if answers else q.text, ["Answer:"][answers:]) for q in drawn]
            foot = f"{book} Numbers by seed {seed}, questions by seed {version}."
            papers |= {f"{name}.md": bank.sheet(drawn, version, answers)}
            papers |= {f"{name}.html": sheets.sheet(title, foot, rows, name=not answers)}
    rows = [(f"{int(o.number)} {o.title}", 0, o.record["break"], plan.PREDICTED) for o in found]
    papers["predictions.html"] = sheets.sheet(plan.PREDICTIONS, f"{book} To be filled in before the run.", rows)
    for name, text in papers.items():
        _write(out / name, text)
    looked = {o.name: bank.choices(o) for o in found}
    guessed = [question for o in found for question in bank.numbers(o, root)]
    chosen = [question for questions in looked.values() for question in questions]
    bank.package([*found_questions, *chosen, *guessed], out / "questions-qti21.zip")
    exams = [
        cartridge.Exam(f"chapter-{o.number}", o.title, [*looked[o.name], *map(cartridge.chosen, asked[o.name])])
        for o in found
    ]
    cartridge.write(exams, out / "questions.imscc")
    if slides:
        page = (root / "book" / "instructors.md").read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as made:
            decks = {
                o.name: deck.deck(o, execute.run(o.name, slides, output=Path(made) / f"{o.name}.ipynb"), page)
                for o in found
            }
        deck.write(out / "slides", decks, places.build(root) / "third_party")
    return out


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def whole_numbers(words: str) -> list[int]:
    """``"2,4,6"`` as numbers.

    Raises
    ------
    ValueError
        If there is anything else in it.

    Examples
    --------
    >>> whole_numbers("2, 4")
    [2, 4]
    """
    try:
        return [int(word) for word in words.split(",")]
    except ValueError:
        raise ValueError(f"--chapters: got {words!r}; valid: numbers with commas, such as 2,4,6") from None
