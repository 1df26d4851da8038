"""Question banks as a Common Cartridge 1.1 (Canvas, Moodle, Blackboard): an exam a chapter, of questions with choices.

A cartridge has no question whose answer is a number. Such a question becomes one with four numbers to choose from: the
right one, and what the solution gives after one fault each (`Question.wrong`).
"""

from __future__ import annotations

import random
import zipfile
from dataclasses import dataclass
from html import escape
from pathlib import Path

from press.course import bank

MANIFEST = "http://www.imsglobal.org/xsd/imsccv1p1/imscp_v1p1"
GENERAL = "http://ltsc.ieee.org/xsd/imsccv1p1/LOM/manifest"
QUESTIONS = "http://www.imsglobal.org/xsd/ims_qtiasiv1p2"
EXAM = "imsqti_xmlv1p2/imscc_xmlv1p1/assessment"
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


@dataclass(frozen=True)
class Exam:
    """The questions of a chapter."""

    name: str
    title: str
    questions: list[bank.Choice]


def chosen(question: bank.Question) -> bank.Choice:
    """A question whose answer is a number, as one with choices; their order follows the question's name."""
    values = [question.answer, *question.wrong]
    random.Random(question.name).shuffle(values)
    right = values.index(question.answer)
    replies = tuple(
        "Right." if i == right else "One fault in the formula gives this number." for i in range(len(values))
    )
    return bank.Choice(question.name, question.text, tuple(f"{value:.4g}" for value in values), replies, right)


def _fields(rows: dict[str, str]) -> str:
    inside = "".join(
        f"<qtimetadatafield><fieldlabel>{label}</fieldlabel><fieldentry>{entry}</fieldentry></qtimetadatafield>"
        for label, entry in rows.items()
    )
    return f"<qtimetadata>{inside}</qtimetadata>"


def _said(text: str) -> str:
    """Text as material: HTML inside XML, so it is escaped twice."""
    return f'<material><mattext texttype="text/html">{escape(bank.html(text))}</mattext></material>'


def item(question: bank.Choice) -> str:
    """One question: its choices, the reply to each, and full marks for the right one."""
    places = range(len(question.choices))
    labels = "".join(f'<response_label ident="c{i}">{_said(question.choices[i])}</response_label>' for i in places)
    told = "".join(
        f'<respcondition continue="Yes"><conditionvar><varequal respident="answer">c{i}</varequal></conditionvar>'
        f'<displayfeedback feedbacktype="Response" linkrefid="f{i}"/></respcondition>'
        for i in places
    )
    replies = "".join(
        f'<itemfeedback ident="f{i}"><flow_mat>{_said(question.replies[i])}</flow_mat></itemfeedback>' for i in places
    )
    return (
        f'<item ident="q{question.name}" title="{question.name}">'
        f"<itemmetadata>{_fields({'cc_profile': 'cc.multiple_choice.v0p1'})}</itemmetadata>"
        f'<presentation>{_said(question.text)}<response_lid ident="answer" rcardinality="Single">'
        f'<render_choice shuffle="Yes">{labels}</render_choice></response_lid></presentation>'
        '<resprocessing><outcomes><decvar varname="SCORE" vartype="Decimal" minvalue="0" maxvalue="100"/></outcomes>'
        f'{told}<respcondition continue="No"><conditionvar><varequal respident="answer">c{question.right}</varequal>'
        '</conditionvar><setvar varname="SCORE" action="Set">100</setvar></respcondition></resprocessing>'
        f"{replies}</item>\n"
    )


def assessment(exam: Exam) -> str:
    """One chapter's exam."""
    about = {"cc_profile": "cc.exam.v0p1", "qmd_assessmenttype": "Examination", "qmd_scoretype": "Percentage"}
    about["qmd_feedbackpermitted"] = "Yes"
    return (
        f'{HEAD}<questestinterop xmlns="{QUESTIONS}">\n<assessment ident="{exam.name}" title="{escape(exam.title)}">'
        f'{_fields(about)}\n<section ident="{exam.name}-all">\n{"".join(map(item, exam.questions))}</section>'
        "</assessment>\n"
        "</questestinterop>\n"
    )


def manifest(exams: list[Exam]) -> str:
    """What the cartridge holds: a flat list of exams."""
    items = "".join(
        f'    <item identifier="i-{exam.name}" identifierref="{exam.name}"><title>{escape(exam.title)}</title></item>\n'
        for exam in exams
    )
    resources = "".join(
        f'  <resource identifier="{exam.name}" type="{EXAM}"><file href="{exam.name}/assessment.xml"/></resource>\n'
        for exam in exams
    )
    title = "Deepfakes: made, shared, detected, defended"
    return (
        f'{HEAD}<manifest identifier="deepfakes" xmlns="{MANIFEST}" xmlns:lom="{GENERAL}">\n'
        "<metadata><schema>IMS Common Cartridge</schema><schemaversion>1.1.0</schemaversion><lom:lom><lom:general>"
        f'<lom:title><lom:string language="en">{title}</lom:string></lom:title></lom:general></lom:lom></metadata>\n'
        '<organizations><organization identifier="course" structure="rooted-hierarchy"><item identifier="all">\n'
        f"{items}</item></organization></organizations>\n<resources>\n{resources}</resources>\n</manifest>\n"
    )


def write(exams: list[Exam], target: Path) -> Path:
    """The cartridge as one file."""
    exams = [exam for exam in exams if exam.questions]
    files = {"imsmanifest.xml": manifest(exams)} | {f"{e.name}/assessment.xml": assessment(e) for e in exams}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in files.items():
            file.writestr(zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0)), text)
    return target
