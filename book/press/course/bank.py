"""Question banks: numeric questions drawn from the exercises, as QTI 2.1 (Moodle, Canvas) and as exam sheets on paper.

A question asks what an exercise's function gives for one set of numbers, or for the exercise's own number. The numbers
are those on which the grader calls the solution, moved by a seed; the answer is computed by the solution.
"""

from __future__ import annotations

import contextlib
import re
import zipfile
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from deepfake_kit.notebook import kept
from deepfake_kit.notebook.check import judge
from press import guess
from press.course import mutants, notebooks, plan, reference

SPACE = "http://www.imsglobal.org/xsd/imsqti_v2p1"
PACKAGE = "http://www.imsglobal.org/xsd/imscp_v1p1"
TOLERANCE = 0.01  # relative, of what a student types
STAY = ("8.1",)  # numbers that belong together, which nothing may move


@dataclass(frozen=True)
class Question:
    """A question whose answer is a number."""

    name: str
    exercise: str
    text: str
    answer: float
    points: int
    whole: bool = False
    wrong: tuple[float, ...] = ()  # what the solution gives after one fault

    @property
    def slack(self) -> float:
        """How far a right answer may be off: one per cent, and nothing for a whole number."""
        return 0.4 if self.whole else TOLERANCE * abs(self.answer) or 5e-4


def _calls(exercise, function) -> list[tuple]:
    """The arguments with which the grader calls a right answer."""
    seen: list[tuple] = []

    def noted(*given):
        seen.append(given)
        return function(*given)

    with np.errstate(all="ignore"):
        judge(exercise.number, noted)
    return seen


def _plain(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def questions(outline, seed: int, each: int = 2) -> list[Question]:
    """Questions of a chapter: for each exercise with numbers in and a number out, `each` sets of numbers."""
    found, random = [], np.random.default_rng([seed, int(outline.number)])
    for exercise in outline.exercises:

        def add(number: int, text: str, answer, solution: str, given=None, exercise=exercise) -> None:
            whole, name = isinstance(answer, int | np.integer), f"{exercise.number}-{number}"
            wrong = faults(solution, outline.notebook, given, float(answer))
            found.append(Question(name, exercise.number, text, float(answer), plan.points(exercise), whole, wrong))

        if not exercise.is_function:
            for kind in range(len(notebooks.variants.table()[exercise.number]) + 1):
                words, _, solution = notebooks.asked(exercise, kind)
                add(kind, _words(words), reference.answer(solution, outline.notebook), solution)
            continue
        function = reference.answer(exercise.solution, outline.notebook)
        calls = [given for given in _calls(exercise, function) if all(map(_plain, given))]
        names = re.search(rf"def {exercise.name}\((.*?)\)", exercise.stub)[1].split(", ")
        for number, place in enumerate(random.permutation(len(calls))):
            given = calls[place] if exercise.number in STAY else tuple(_moved(x, random) for x in calls[place])
            value = function(*given)
            if (
                isinstance(value, int | float | np.number)
                and not isinstance(value, bool)
                and 1e-9 < abs(value) < np.inf
            ):
                shown = ", ".join(f"`{name}` = {one:g}" for name, one in zip(names, given, strict=True))
                text = f"{_asked(exercise.prompt)} Give the number for {shown}."
                add(number, text, value, exercise.solution, given)
            if sum(question.exercise == exercise.number for question in found) == each:
                break
    return found


def faults(solution: str, notebook, given: tuple | None, right: float) -> tuple[float, ...]:
    """Three numbers that a solution gives after one fault each, well apart from the right one and from each other."""
    found: list[float] = []

    def values():
        for text in mutants.mutants(solution):
            with contextlib.suppress(mutants.Late, Exception), mutants.within(0.5):
                answer = reference.answer(text, notebook)
                yield float(answer if given is None else answer(*given))
        yield from (2 * right, right / 2, -right, 3 * right)

    for value in values():
        apart = all(abs(value - one) > 0.05 * max(abs(value), abs(one)) for one in (right, *found))
        if np.isfinite(value) and apart and abs(value) < 1e12:
            found.append(value)
        if len(found) == 3:
            break
    return tuple(found)


def _moved(value, random):
    """A fraction moves by up to a tenth; whole numbers, and 0 and 1, stay."""
    return float(f"{value * random.uniform(0.9, 1):.3g}") if isinstance(value, float) and value not in (0, 1) else value


def _asked(prompt: str) -> str:
    """A function's prompt for paper: no questions beside the task, which no number answers, and no code to call."""
    text = re.sub(r" \(`[\w.]+[(`].*?\.\)|(?<=\()You may use `\w+`\. | `statistics\.\w+` helps\.", "", _words(prompt))
    text = re.sub(r"\b(Write|Return)\b", "Find", text, count=1)
    task = re.search(r"\bFind\b", text)
    head, tail = (text[: task.start()], text[task.start() :]) if task else (text, "")
    return head + re.sub(r"(?<=[.)]) [A-Z](?:[^.?]|\.(?=\d))*\?(?= |$)", "", tail)


def _words(prompt: str) -> str:
    """A prompt without headings and bold type; formulas stay between dollar signs, code between backticks."""
    text = re.sub(r"^#+ .*$|\*\*(Exercise )?[\d.]+\*\*\.?|\(\d+ minutes\)\.?", "", prompt, flags=re.MULTILINE)
    return " ".join(text.replace("**", "").split())


FEEDBACK = '  <outcomeDeclaration identifier="FEEDBACK" cardinality="single" baseType="identifier"/>'


def _head(name: str, title: str, kind: str, right: str) -> str:
    """How every QTI 2.1 item begins: its names, the right response and a score of nought."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<assessmentItem xmlns="{SPACE}" identifier="q{name}" title="{title}"
    adaptive="false" timeDependent="false">
  <responseDeclaration identifier="RESPONSE" cardinality="single" baseType="{kind}">
    <correctResponse><value>{right}</value></correctResponse>
  </responseDeclaration>
  <outcomeDeclaration identifier="SCORE" cardinality="single" baseType="float">
    <defaultValue><value>0</value></defaultValue>
  </outcomeDeclaration>"""


def item(question: Question) -> str:
    """One question as a QTI 2.1 item: a text entry, right within one per cent."""
    low, high = question.answer - question.slack, question.answer + question.slack
    compare = '<{0}><variable identifier="RESPONSE"/><baseValue baseType="float">{1!r}</baseValue></{0}>'
    return f"""{_head(question.name, f"Exercise {question.exercise}", "float", repr(question.answer))}
  <itemBody>
    <p>{html(question.text)}</p>
    <p><textEntryInteraction responseIdentifier="RESPONSE" expectedLength="15"/></p>
  </itemBody>
  <responseProcessing>
    <responseCondition>
      <responseIf>
        <and>{compare.format("gte", low)}{compare.format("lte", high)}</and>
        <setOutcomeValue identifier="SCORE"><baseValue baseType="float">{question.points}</baseValue></setOutcomeValue>
      </responseIf>
    </responseCondition>
  </responseProcessing>
</assessmentItem>
"""


@dataclass(frozen=True)
class Choice:
    """A question with choices, one of them right, and a reply to each: a chapter's *Before you look*."""

    name: str
    text: str
    choices: tuple[str, ...]
    replies: tuple[str, ...]
    right: int


def choices(outline) -> list[Choice]:
    """The cells of a chapter that are tagged ``predict`` and offer choices."""
    found = []
    for cell in outline.notebook.cells:
        if "predict" not in cell.metadata.get("tags", []) or "guess" in cell.metadata:
            continue
        question, answer = cell.source.split("<details>")
        rows, replies = (
            re.findall(r"^\d\. (.+(?:\n(?!\d\.|\n|<).+)*)", part, re.MULTILINE) for part in (question, answer)
        )
        text = question.split("\n1. ")[0].removeprefix("**Before you look.**")
        right = [i for i, reply in enumerate(replies) if reply.startswith("**Right.**")]
        name = f"{int(outline.number)}.p{len(found) + 1}"
        found.append(Choice(name, _words(text), tuple(map(_words, rows)), tuple(map(_words, replies)), right[0]))
    return found


def choice_item(question: Choice) -> str:
    """One question with choices as a QTI 2.1 item; the reply to each choice is shown as its feedback."""
    rows = "\n".join(
        f'      <simpleChoice identifier="c{i}">{html(text)}</simpleChoice>' for i, text in enumerate(question.choices)
    )
    replies = "\n".join(
        f'  <modalFeedback outcomeIdentifier="FEEDBACK" identifier="c{i}" showHide="show">{html(text)}</modalFeedback>'
        for i, text in enumerate(question.replies)
    )
    return f"""{_head(question.name, f"Before you look {question.name}", "identifier", f"c{question.right}")}
{FEEDBACK}
  <itemBody>
    <choiceInteraction responseIdentifier="RESPONSE" shuffle="true" maxChoices="1">
      <prompt>{html(question.text)}</prompt>
{rows}
    </choiceInteraction>
  </itemBody>
  <responseProcessing>
    <responseCondition>
      <responseIf>
        <match><variable identifier="RESPONSE"/><correct identifier="RESPONSE"/></match>
        <setOutcomeValue identifier="SCORE"><baseValue baseType="float">1</baseValue></setOutcomeValue>
      </responseIf>
    </responseCondition>
    <setOutcomeValue identifier="FEEDBACK"><variable identifier="RESPONSE"/></setOutcomeValue>
  </responseProcessing>
{replies}
</assessmentItem>
"""


@dataclass(frozen=True)
class Number:
    """A number to guess before a figure; the true one is that of the chapter's kept run."""

    name: str
    asked: guess.Guess
    truth: float


def numbers(outline, root: Path) -> list[Number]:
    """The numbers that a chapter lets its reader guess, as far as a kept run of it has them."""
    run, found = kept.load(outline.name, root), []
    for cell in outline.notebook.cells if run else []:
        asked = guess.read(cell)
        record = run.record(asked.value, "value") if asked else None
        if record and (truth := asked.of(record["value"])) is not None:
            found.append(Number(f"{int(outline.number)}.g{len(found) + 1}", asked, truth))
    return found


def number_item(question: Number) -> str:
    """One number to guess as a QTI 2.1 item: a point where it is close, a reply on either side."""
    asked, low, high = question.asked, question.truth - question.asked.near, question.truth + question.asked.near
    replies = "\n".join(
        f'  <modalFeedback outcomeIdentifier="FEEDBACK" identifier="{kind.split()[-1].lower()}" showHide="show">'
        f"{kind}. {html(_words(asked.replies[kind]))}</modalFeedback>"
        for kind in ("Too low", "Too high", "Close")
    )
    unit = f", in {asked.unit}" if asked.unit else ""

    def told(name: str, score: int) -> str:
        return (
            f'<setOutcomeValue identifier="SCORE"><baseValue baseType="float">{score}</baseValue></setOutcomeValue>'
            f'<setOutcomeValue identifier="FEEDBACK"><baseValue baseType="identifier">{name}</baseValue>'
            "</setOutcomeValue>"
        )

    def beyond(kind: str, end: float) -> str:
        return f'<{kind}><variable identifier="RESPONSE"/><baseValue baseType="float">{end!r}</baseValue></{kind}>'

    return f"""{_head(question.name, f"Before you look {question.name}", "float", repr(question.truth))}
{FEEDBACK}
  <itemBody>
    <p>{html(_words(asked.question))} A number from {asked.low:g} to {asked.high:g}{unit}.</p>
    <p><textEntryInteraction responseIdentifier="RESPONSE" expectedLength="15"/></p>
  </itemBody>
  <responseProcessing>
    <responseCondition>
      <responseIf>{beyond("lt", low)}{told("low", 0)}</responseIf>
      <responseElseIf>{beyond("gt", high)}{told("high", 0)}</responseElseIf>
      <responseElse>{told("close", 1)}</responseElse>
    </responseCondition>
  </responseProcessing>
{replies}
</assessmentItem>
"""


ITEMS = {Question: item, Choice: choice_item, Number: number_item}


def html(text: str) -> str:
    """Text for an item: formulas as Moodle and Canvas write them, code as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(re.sub(r"\$([^$]+)\$", r"\\(\1\\)", text)))


def package(found: list[Question | Choice | Number], target: Path) -> Path:
    """A zip that a learning platform imports: one item a question, and the manifest."""
    rows = "\n".join(
        f'    <resource identifier="r{q.name}" type="imsqti_item_xmlv2p1" href="items/q{q.name}.xml">'
        f'<file href="items/q{q.name}.xml"/></resource>'
        for q in found
    )
    manifest = f"""<?xml version="1.0" encoding="UTF-8"?>
<manifest xmlns="{PACKAGE}" identifier="deepfakes">
  <metadata><schema>QTIv2.1 Package</schema><schemaversion>1.0.0</schemaversion></metadata>
  <organizations/>
  <resources>
{rows}
  </resources>
</manifest>
"""
    items = [(f"items/q{q.name}.xml", ITEMS[type(q)](q)) for q in found]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in [("imsmanifest.xml", manifest), *items]:
            file.writestr(zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0)), text)
    return target


def exam(found: list[Question], seed: int) -> list[Question]:
    """One question an exercise, drawn by the seed."""
    random, by = np.random.default_rng(seed), {}
    for question in found:
        by.setdefault(question.exercise, []).append(question)
    return [kinds[random.integers(len(kinds))] for kinds in by.values()]


def sheet(drawn: list[Question], seed: int, answers: bool) -> str:
    """An exam as text, or its answers."""
    lines = [f"# Exam, version {seed}{': answers' if answers else ''}", ""]
    lines += [] if answers else ["Name: ____________________", ""]
    for place, question in enumerate(drawn, 1):
        said = f"{question.answer:.4g}" if answers else question.text
        lines += [f"**{place}.** ({question.points} point{'s'[: question.points > 1]}) {said}", ""]
        lines += [] if answers else ["Answer: ____________________", ""]
    return "\n".join(lines)
