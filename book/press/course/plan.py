"""A course's papers: syllabus, objectives, minutes, guide, rubric, capstone, lab without network."""

from __future__ import annotations

import functools
import json
import math
import re
from pathlib import Path

import yaml

from deepfake_kit import data
from deepfake_kit.notebook import settings, variants
from press import places
from press.course.notebooks import Exercise, chapter
from press.runs import source as sources

FILE = Path(__file__).with_name("course.yml")
GUIDE = (("Show first", "first"), ("Board", "board"), ("Vote", "vote"), ("Break it", "break"), ("Answers", "answers"))
PREDICTIONS = "Break it: predictions, in writing, before the run"
PREDICTED = ("I expect:", "because:", "The line that gave it away:")


@functools.cache
def load() -> dict:
    """What ``course.yml`` says: rubric, points, and a record for each chapter."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def points(exercise: Exercise) -> int:
    """What a right answer to an exercise is worth."""
    return load()["points"][exercise.level]


def _seconds(root: Path, folder: str) -> dict[str, float]:
    """How long each chapter ran for the pages built there."""
    built = places.build(root) / folder / "results.json"
    rows = json.loads(built.read_text(encoding="utf-8")) if built.is_file() else []
    return {
        row["chapter"]: row["seconds"] for row in rows if row["profile"] == ("smoke" if "smoke" in folder else "book")
    }


class Outline:
    """One chapter as a teacher needs it: title, question, objectives, sections, exercises, minutes."""

    def __init__(self, root: Path, name: str):
        self.name, self.number = name, name[:2]
        self.notebook, self.exercises = chapter(root / "notebooks" / f"{name}.ipynb")
        texts = [cell.source for cell in self.notebook.cells if cell.cell_type == "markdown"]
        self.title = texts[0].splitlines()[0].removeprefix("# ")
        self.question = re.search(r"^\*(.+?)\*$", texts[0], re.MULTILINE | re.DOTALL)[1].replace("\n", " ")
        goals = next(text for text in texts if "After this chapter you can" in text)
        self.objectives = [
            " ".join(item.split()).rstrip(";.")
            for item in re.findall(r"^- (.+?)(?=^- |\n\n)", goals, re.MULTILINE | re.DOTALL)
        ]
        self.before = re.search(r"\*\*Prerequisites\.\*\*(.+?)(?=\n\n|\Z)", goals, re.DOTALL)[1].split()
        self.reading = int(re.search(r"About (\d+) minutes to read", goals)[1])
        self.sections = [line[3:] for text in texts for line in text.splitlines() if line.startswith("## ")]
        self.about = settings.load(name)
        self.record = load()["chapters"].get(self.number)
        measured = {profile: _seconds(root, folder) for profile, folder in (("book", "html"), ("smoke", "html-smoke"))}
        self.measured, self.measured_smoke = (name in measured[profile] for profile in ("book", "smoke"))
        self.run, self.smoke = (
            measured[p][name] / 60 if name in measured[p] else self.about.minutes[p] for p in ("book", "smoke")
        )

    @property
    def exercise_minutes(self) -> int:
        """Minutes that the exercises state, all together."""
        return sum(exercise.minutes for exercise in self.exercises)


def words_by_section(outline: Outline) -> dict[str, int]:
    """Words to read in each section, exercises not among them: its text and what its cells say."""
    found, section = {}, ""
    prompts = {exercise.cells[0] for exercise in outline.exercises}
    for i, cell in enumerate(outline.notebook.cells):
        text = cell.source
        if cell.cell_type == "markdown":
            section = next((line[3:] for line in text.splitlines() if line.startswith("## ")), section)
        elif "run.say" in text:
            text = " ".join(re.findall(r'"([^"\n]*)"', text))
        else:
            continue
        for exercise in outline.exercises if i in prompts else ():
            text = text.replace(exercise.prompt, "")
        found[section] = found.get(section, 0) + len(re.findall(r"[A-Za-z]{2,}", text))
    return found


def counted(outline: Outline) -> int:
    """Minutes to read a chapter without its exercises, at 200 words a minute."""
    return round(sum(words_by_section(outline).values()) / 200)


def outlines(root: Path, numbers: list[int]) -> list[Outline]:
    """The asked chapters, in the book's order.

    Raises
    ------
    ValueError
        If a number is no chapter's.
    """
    known = {int(name[:2]): name for name in settings.chapters() if (root / "notebooks" / f"{name}.ipynb").is_file()}
    for number in numbers:
        if number not in known:
            raise ValueError(f"--chapters: got {number}; valid: {', '.join(map(str, known))}")
    return [Outline(root, known[number]) for number in sorted(set(numbers))]


def weeks(found: list[Outline], count: int) -> list[tuple[list[Outline], str]]:
    """What each of `count` weeks holds: chapters and how they are met, or no chapter and a stage of the capstone.

    Where there are fewer chapters than weeks, a quarter of them, at most three, go to the capstone; what is left gives
    the first chapters a second week.
    """
    spare = count - len(found)
    final = min(3, max(1, count // 4), spare) if spare > 0 else 0
    rows: list[tuple[list[Outline], str]] = []
    if spare <= 0:
        per = math.ceil(len(found) / count)
        rows = [(found[i : i + per], "lab") for i in range(0, len(found), per)]
        rows += [([], "capstone, presentations") for _ in range(count - len(rows))]
    else:
        twice = count - final - len(found)
        for i, outline in enumerate(found):
            rows.append(([outline], "lab"))
            rows += [([outline], "exercises")] * (i < twice)
        rows += [([], "reading a row of the ledger")] * (count - final - len(rows))
    return rows + [([], "capstone, presentations" if i == final - 1 else "capstone") for i in range(final)]


def syllabus(found: list[Outline], count: int) -> str:
    """One table: a row a week (a day where all of it is one week)."""
    unit, lab = "day" if count == 1 else "week", load()["lab_minutes"]
    lines = [f"| {unit} | what | in class, minutes | at home, minutes | hand in |", "|---|---|---|---|---|"]
    rows = weeks(found, 5 if count == 1 else count)
    twice = {o.name for row, how in rows if how == "exercises" for o in row}
    for i, (row, how) in enumerate(rows):
        again = how == "exercises"
        home = sum(o.exercise_minutes if again else o.reading for o in row) or 120
        due = [e.number for o in row if again or o.name not in twice for e in o.exercises]
        what = "; ".join(f"{int(o.number)} {o.title}" for o in row)
        what = f"{what}: exercises and Break it" if again else what or how
        hand = ", ".join(due) or ("see capstone.md" if "capstone" in how else "")
        lines.append(f"| {i + 1} | {what} | {lab * max(1, len(row))} | {home} | {hand} |")
    return f"## {count} week{'s' if count > 1 else ''}\n\n" + "\n".join(lines) + "\n"


def syllabuses(found: list[Outline], count: int) -> str:
    """The asked syllabus, then those of 1, 6 and 12 weeks."""
    counts = [count, *(n for n in (1, 6, 12) if n != count)]
    head = (
        "# Syllabus\n\nIn class: one lab of 90 minutes a chapter, by the plan in *For instructors*. At home: reading "
        "with the exercises, as the chapter's own *Time* paragraph says.\n\n"
    )
    return head + "\n".join(syllabus(found, n) for n in counts)


def matrix(found: list[Outline]) -> str:
    """Objectives by sections, exercises and points; an objective that no exercise tests says so."""
    lines = ["# Objectives, sections, exercises, points", ""]
    untested = total = 0
    for o in found:
        lines += [
            f"## {int(o.number)} {o.title}",
            "",
            "| objective | sections | exercises | points |",
            "|---|---|---|---|",
        ]
        for goal, (sections, numbers) in zip(o.objectives, o.record["objectives"] if o.record else [], strict=False):
            worth = sum(points(e) for e in o.exercises if e.number in numbers)
            tested = ", ".join(numbers) or "none: ask for it in the Break-it sheet"
            untested, total = untested + (not numbers), total + 1
            lines.append(f"| {goal} | {'; '.join(sections)} | {tested} | {worth or ''} |")
        listed = {number for _, numbers in (o.record or {}).get("objectives", []) for number in numbers}
        if other := [e.number for e in o.exercises if e.number not in listed]:
            lines += ["", f"Without an objective of their own: {', '.join(other)}."]
        lines.append("")
    lines += [f"{total - untested} of {total} objectives are tested by a coded exercise."]
    return "\n".join(lines) + "\n"


def minutes(found: list[Outline]) -> str:
    """What a chapter takes: reading, exercises, the run, and what to leave out when late."""
    lines = [
        "# Minutes",
        "",
        "| chapter | to read, with exercises | text | exercises | run at book | at smoke | when late, leave out |",
        "|---|---|---|---|---|---|---|",
    ]
    for o in found:
        skip = "; ".join(o.record["skip"]) if o.record else ""
        run = f"{o.run:.1f}{' (measured)' if o.measured else ' (stated)'}"
        smoke = f"{o.smoke:.1f}{' (measured)' if o.measured_smoke else ' (stated)'}"
        cells = (f"{int(o.number)} {o.title}", o.reading, counted(o), o.exercise_minutes, run, smoke, skip)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += [
        "",
        "*Text*: its words, 200 a minute. *Measured*: by the last build of this copy. *Stated*: in the chapter's file.",
    ]
    return "\n".join(lines) + "\n"


def rubric(found: list[Outline]) -> str:
    """How an answer becomes points."""
    share = load()["rubric"]
    lines = [
        "# Rubric",
        "",
        "| answer | share of the points |",
        "|---|---|",
        "| right: every case of the grader passes | 1 |",
        f"| a function that runs and is wrong | {share['ran']:g}, and {share['cases']:g} times the share of cases that "
        "are right before the first wrong one |",
        "| a wrong number, an error, no time or memory left, or no answer | 0 |",
        "",
        "| exercise | level | minutes | points | variants |",
        "|---|---|---|---|---|",
    ]
    for o in found:
        for e in o.exercises:
            kinds = len(variants.table()[e.number]) + 1
            lines.append(f"| {e.number} | {e.level} | {e.minutes} | {points(e)} | {kinds} |")
    lines.append(f"\nTogether {sum(points(e) for o in found for e in o.exercises)} points.")
    return "\n".join(lines) + "\n"


def guide(o: Outline) -> str:
    """One chapter on one screen, for the person in front of the class."""
    record = o.record or {}
    lines = [f"## {int(o.number)} {o.title}", "", f"*{o.question}*", ""]
    for word, key in GUIDE:
        if key in record:
            lines.append(f"- **{word}.** {record[key]}")
    lines.append(
        f"- **Minutes.** {o.reading} to read with the exercises; the run takes {o.run:.1f} at `book`"
        f"{' (measured)' if o.measured else ''}, {o.smoke:.1f} at `smoke`: start it in the first minute, it "
        f"is needed at minute {record['needed']}."
    )
    if record.get("skip"):
        lines.append(f"- **When late, leave out** {', then '.join('*' + name + '*' for name in record['skip'])}.")
    for slip, number in record.get("slips", []):
        lines.append(f"- **Slip:** {slip}: exercise {number}.")
    return "\n".join(lines) + "\n"


def prediction_sheet(found: list[Outline]) -> str:
    """A prediction for each chapter's Break-it switch, in writing, before the run."""
    lines = [f"# {PREDICTIONS}", "", "Name: ____________________", ""]
    for o in found:
        lines += [f"## {int(o.number)} {o.title}", "", o.record["break"], ""]
        lines += [line for word in PREDICTED for line in (f"{word} {'_' * 50}", "")]
    return "\n".join(lines) + "\n"


def capstone(root: Path) -> str:
    """The handout; it names the arena's commands where the kit has them."""
    arena = (root / "deepfake_kit" / "arena").is_dir()
    words = "Hand in one notebook that runs at `smoke` within half a minute."
    if arena:
        words = "`deepfake-kit arena check` says whether it fits the rules, `deepfake-kit arena run` plays it."
    return FILE.with_name("capstone.md").read_text(encoding="utf-8").replace("{arena}", words)


def offline(root: Path, found: list[Outline]) -> tuple[str, str]:
    """What a lab without network needs, and a script that rehearses it there: (list, script)."""
    sets: dict[str, None] = {}
    weights: dict[str, None] = {}
    for o in found:
        values = {**sources.default_parameters(root / "notebooks" / f"{o.name}.ipynb"), "profile": "book"}
        sets |= dict.fromkeys(o.about.data_sets(values))
        weights |= dict.fromkeys(o.about.weights.get("book", []))
    names = " ".join(o.name for o in found)
    lines = [
        "# A lab without network: what to bring",
        "",
        "On a connected machine of the same system and Python, in a copy of the project:",
        "",
        "| what | command | where it goes |",
        "|---|---|---|",
        "| wheels | `python -m pip download -r requirements.lock -d offline/wheels` | `offline/wheels` |",
        "| pages | `make zip` | `offline/deepfakes-book.zip` |",
        "| notebooks, script | this folder's `student` and `rehearse.sh` | `offline` |",
    ]
    for name in sets:
        source = data.source(name)
        people = ", photographs of people" if source.photographs_of_people else ""
        command = f"python data_scripts/fetch.py {name} --root offline/data --accept-terms"
        command += "" if source.urls else " --from FILE"
        lines.append(f"| data: {name}{people} | `{command}` | `offline/data` |")
    for name in weights:
        lines.append(
            f"| weights: {name} | `deepfake-kit fetch-weights {name} --to offline/weights` | `offline/weights` |"
        )
    lines += [
        "",
        "A set with `--from FILE` has no address: without these words the command says of whom to ask for it.",
        "",
        "Then `sh offline/rehearse.sh` on one lab machine, in the copy of the project that holds the folder `offline`.",
    ]
    script = FILE.with_name("rehearse.sh").read_text(encoding="utf-8").replace("CHAPTERS", names)
    return "\n".join(lines) + "\n", script
