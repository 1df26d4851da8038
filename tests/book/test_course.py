"""The course: no word of a solution in a student's copy, variants by name, a plan that names what exists."""

import json
import os
import re
import subprocess
import zipfile
from pathlib import Path

import nbformat
import pytest
from press import guess
from press.course import bank, cartridge, make, notebooks, plan, sheets, slides

from deepfake_kit.__main__ import main
from deepfake_kit.notebook import settings
from deepfake_kit.notebook.check import judge

ROOT = Path(__file__).resolve().parents[2]
ALL = [int(name[:2]) for name in settings.chapters() if (ROOT / "notebooks" / f"{name}.ipynb").is_file()]


@pytest.fixture(scope="module")
def course(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("course")
    (folder / "names.txt").write_text("ada\ngrace\nalan\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPFAKE_BOOK_REPOSITORY", "https://example.org/book")
        return make.course(ROOT, ALL, 6, 7, folder / "out", folder / "names.txt")


def leaks(text: str, notebook) -> list[str]:
    """Lines of the solutions that a notebook's file holds, in whatever field of it."""
    inside = json.dumps(json.loads(text), ensure_ascii=False)
    return [line for line in notebooks.told(notebook) if json.dumps(line, ensure_ascii=False)[1:-1] in inside]


def test_no_line_of_a_solution_stands_in_a_student_s_copy(course):
    copies = [path for part in ("student", "colab") for path in sorted((course / part).rglob("*.ipynb"))]
    assert len(copies) == 2 * 3 * len(ALL)
    for path in copies:
        notebook, _ = notebooks.chapter(ROOT / "notebooks" / path.name)
        text = path.read_text(encoding="utf-8")
        assert leaks(text, notebook) == [] and "solution" not in text.split('"cells"')[0], path
        assert "folded away" not in text and '"solution"' not in text and "# Solution" not in text
        nbformat.validate(nbformat.reads(text, as_version=4))


def test_every_solution_has_lines_that_the_chapter_itself_does_not_show():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook, found = notebooks.chapter(path)
        hidden = notebooks.told(notebook)
        for exercise in found:
            assert {line.strip() for line in exercise.solution.splitlines()} & set(hidden), exercise.number


@pytest.mark.parametrize("place", ["output", "metadata", "cell"])
def test_a_planted_solution_is_found(course, place):
    path = next((course / "student").rglob("02_*.ipynb"))
    notebook, found = notebooks.chapter(ROOT / "notebooks" / path.name)
    copy = nbformat.read(path, as_version=4)
    line = "return np.cumprod(1 - betas)"
    cell = next(cell for cell in copy.cells if cell.cell_type == "code")
    if place == "output":
        cell.outputs = [nbformat.v4.new_output("stream", text=f"see: {line}")]
    elif place == "metadata":
        copy.metadata["answers"] = [line]
    else:
        cell.source += f"\n# {line}"
    assert leaks(nbformat.writes(copy), notebook) == [line]


def test_the_solved_copy_asks_the_same_and_answers_it(course):
    for path in sorted((course / "student").rglob("*.ipynb")):
        student = nbformat.read(path, as_version=4)
        solved = nbformat.read(course / "solution" / path.relative_to(course / "student"), as_version=4)
        asked, answered = student.metadata["course"]["variants"], solved.metadata["course"]["variants"]
        assert asked == answered and len(solved.cells) - len(student.cells) == len(asked)
        given = {}
        for cell in student.cells:
            if cell.cell_type == "code" and (found := notebooks.call_of_check(cell.source)):
                given[found.args[0].value] = found.keywords[0].value.value if found.keywords else 0
        assert given == asked, path


def test_variants_differ_between_students_and_follow_the_seed(course):
    deals = json.loads((course / "course.json").read_text())["variants"]
    assert deals["ada"] != deals["grace"] != deals["alan"]
    numbers = list(deals["ada"])
    assert notebooks.drawn(7, "ada", numbers) == deals["ada"] != notebooks.drawn(8, "ada", numbers)


def test_the_colab_copy_knows_the_repository(course):
    text = next((course / "colab").rglob("02_*.ipynb")).read_text()
    assert "https://example.org/book" in text


@pytest.mark.parametrize("outline", plan.outlines(ROOT, ALL), ids=lambda outline: outline.number)
def test_the_plan_names_objectives_sections_and_exercises_that_exist(outline):
    record = outline.record
    assert record and len(record["objectives"]) == len(outline.objectives) >= 4
    assert all(tested for _, tested in record["objectives"]) and len(outline.exercises) >= 5
    assert {exercise.level for exercise in outline.exercises} == set(plan.load()["points"])
    for name in [section for sections, _ in record["objectives"] for section in sections] + record["skip"]:
        assert sum(heading.startswith(name) for heading in outline.sections) == 1, name
    numbers = {exercise.number for exercise in outline.exercises}
    named = [number for _, tested in record["objectives"] for number in tested]
    assert set(named) <= numbers and len(named) == len(set(named))
    assert {number for _, number in record["slips"]} <= numbers and len(record["slips"]) >= 3


@pytest.mark.parametrize("weeks", [1, 2, 5, 6, 12, 30])
@pytest.mark.parametrize("chapters", [1, 3, 10])
def test_a_syllabus_has_every_week_and_every_chapter_once_in_the_lab(weeks, chapters):
    found = plan.outlines(ROOT, ALL[:chapters])
    rows = plan.weeks(found, weeks)
    assert len(rows) == weeks
    assert [o.name for row, how in rows if how == "lab" for o in row] == [o.name for o in found]
    lines = plan.syllabus(found, weeks).splitlines()[4:]
    due = [number for line in lines for number in re.findall(r"\b\d+\.\d\b", line.split("|")[5])]
    assert sorted(due) == sorted(e.number for o in found for e in o.exercises), "each exercise is due once"
    assert not any(" exercises and " in line and not line.split("|")[5].strip() for line in lines)


def test_minutes_say_whether_they_were_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPFAKE_BOOK_BUILD", str(tmp_path))
    (tmp_path / "html").mkdir()
    rows = [{"chapter": "02_diffusion_math", "profile": "book", "seconds": 186.0}]
    (tmp_path / "html" / "results.json").write_text(json.dumps(rows))
    (tmp_path / "html-smoke").mkdir()
    rows = [{"chapter": "04_stackelberg_game", "profile": "smoke", "seconds": 42.0}]
    (tmp_path / "html-smoke" / "results.json").write_text(json.dumps(rows))
    text = plan.minutes(plan.outlines(ROOT, [2, 4]))
    assert "3.1 (measured)" in text and "0.7 (measured)" in text and text.count("(stated)") == 2


def test_the_rehearsal_is_a_script_that_ends_badly_where_a_chapter_fails(course, tmp_path):
    fake = tmp_path / "deepfake-kit"
    for body, status, said in (
        ("exit 0", 0, "The lab can begin."),
        ("echo STAND-IN DATA: digits", 1, "STAND-IN: 02_diffusion_math"),
        ("exit 1", 1, "FAILS: 04_stackelberg_game"),
    ):
        fake.write_text(f"#!/bin/sh\n{body}\n")
        fake.chmod(0o755)
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SKIP_ENVIRONMENT": "1"}
        done = subprocess.run(["sh", course / "rehearse.sh"], env=environment, capture_output=True, text=True)
        assert done.returncode == status and said in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--chapters", "2,44"], "--chapters: got 44; valid: 1, 2"),
        (["--chapters", "two"], "--chapters: got 'two'; valid: numbers"),
        (["--chapters", "2", "--weeks", "0"], "--weeks: got 0; valid: 1 to 52"),
        (["--chapters", "2", "--out", "{full}"], "holds other things"),
        (
            ["--chapters", "2", "--seed", "-1", "--out", "{full}/new"],
            "--seed: got -1; valid: a whole number of at least 0",
        ),
        (["--chapters", "2", "--students", "{names}"], "--students: got '../ada'"),
        (["--chapters", "2", "--students", "{full}"], "full; valid: a text file with one name a line"),
        (["--chapters", "2", "--out", "{names}"], "names holds other things"),
    ],
)
def test_bad_input_is_one_line(words, said, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    (tmp_path / "names").write_text("../ada\n")
    words = [word.format(full=tmp_path / "full", names=tmp_path / "names") for word in words]
    assert main(["course", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and (tmp_path / "full" / "thesis.tex").is_file()


def test_another_seed_leaves_no_sheet_of_the_first(tmp_path):
    for seed in (7, 20):
        make.course(ROOT, [4], 6, seed, tmp_path / "course")
    assert {path.name.split("-")[1][:2] for path in (tmp_path / "course").glob("exam-*.md")} == {"20", "21", "22"}


def test_the_command_needs_a_copy_of_the_repository(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["course"]) == 2
    assert "run this inside a copy of the repository" in capsys.readouterr().err


def score(text: str, given: float) -> float:
    """What a learning platform computes for an answer, from the item's own rules."""
    import xml.etree.ElementTree as ET

    root, space = ET.fromstring(text), {"q": bank.SPACE}
    low = float(root.find(".//q:gte/q:baseValue", space).text)
    high = float(root.find(".//q:lte/q:baseValue", space).text)
    return float(root.find(".//q:setOutcomeValue/q:baseValue", space).text) if low <= given <= high else 0.0


def test_a_package_holds_what_its_manifest_says_and_marks_by_its_own_rules(course):
    import xml.etree.ElementTree as ET

    questions = [q for o in plan.outlines(ROOT, ALL) for q in bank.questions(o, 7)]
    with zipfile.ZipFile(course / "questions-qti21.zip") as file:
        manifest = ET.fromstring(file.read("imsmanifest.xml"))
        named = [row.get("href") for row in manifest.iter(f"{{{bank.PACKAGE}}}resource")]
        assert sorted([*named, "imsmanifest.xml"]) == sorted(file.namelist())
        looked = [q for o in plan.outlines(ROOT, ALL) for q in [*bank.choices(o), *bank.numbers(o, ROOT)]]
        assert len(questions) >= 50 and len(named) == len(questions) + len(looked)
        for q in questions:
            text = file.read(f"items/q{q.name}.xml").decode()
            assert score(text, q.answer) == q.points and score(text, float(f"{q.answer:.4g}")) == q.points or q.whole
            off = q.answer + 1 if q.whole else q.answer * 1.02 + 1e-3
            assert score(text, off) == score(text, -q.answer or 1.0) == 0, q
    assert {int(q.exercise.split(".")[0]) for q in questions} == set(ALL)


def test_a_question_with_choices_has_a_reply_to_each_and_one_right(course):
    import xml.etree.ElementTree as ET

    for outline in plan.outlines(ROOT, ALL):
        cells = [c for c in outline.notebook.cells if "predict" in c.metadata.get("tags", []) and not guess.read(c)]
        looked = bank.choices(outline)
        assert len(looked) == len(cells)
        for q in looked:
            assert len(q.choices) == len(q.replies) >= 3 and q.replies[q.right].startswith("Right. ") and q.text
            root, space = ET.fromstring(bank.choice_item(q)), {"q": bank.SPACE}
            known = [row.get("identifier") for row in root.iterfind(".//q:simpleChoice", space)]
            assert root.find(".//q:correctResponse/q:value", space).text == known[q.right]
            assert [row.get("identifier") for row in root.iterfind(".//q:modalFeedback", space)] == known


def test_a_number_to_guess_is_that_of_the_kept_run_and_answers_each_side():
    import xml.etree.ElementTree as ET

    asked = [q for outline in plan.outlines(ROOT, [2, 4, 5]) for q in bank.numbers(outline, ROOT)]
    assert {q.name[0] for q in asked} == {"2", "4"}, "chapter 5 has no kept run"
    for q in asked:
        chapter = {"2": "02_diffusion_math", "4": "04_stackelberg_game"}[q.name[0]]
        records = json.loads((ROOT / "results" / "long" / chapter / "kept.json").read_text())["records"]
        (value,) = [r["value"] for r in records if r["type"] == "value" and r["id"] == q.asked.value]
        assert q.truth == value * q.asked.times and q.asked.low <= q.truth <= q.asked.high
        root, s = ET.fromstring(bank.number_item(q)), f"{{{bank.SPACE}}}"
        condition = root.find(f".//{s}responseCondition")

        def answered(given, condition=condition, s=s):
            for branch in condition:
                tests = [
                    (one.tag.removeprefix(s), float(one[1].text)) for one in branch if one.tag in (s + "lt", s + "gt")
                ]
                if all(given < end if kind == "lt" else given > end for kind, end in tests):
                    return [one[0].text for one in branch if one.tag == s + "setOutcomeValue"]

        near = q.asked.near
        assert answered(q.truth) == answered(q.truth + 0.9 * near) == ["1", "close"]
        assert answered(q.truth - 1.1 * near) == ["0", "low"] and answered(q.truth + 1.1 * near) == ["0", "high"]
        known = [row.get("identifier") for row in root.iterfind(f".//{s}modalFeedback")]
        assert sorted(known) == ["close", "high", "low"]


CHILDREN = {  # of the profile's schema: what an element may hold, in this order
    "questestinterop": ["assessment"],
    "assessment": ["qtimetadata", "section"],
    "section": ["item"],
    "item": ["itemmetadata", "presentation", "resprocessing", "itemfeedback"],
    "itemmetadata": ["qtimetadata"],
    "qtimetadata": ["qtimetadatafield"],
    "qtimetadatafield": ["fieldlabel", "fieldentry"],
    "presentation": ["material", "response_lid"],
    "response_lid": ["render_choice"],
    "render_choice": ["response_label"],
    "response_label": ["material"],
    "resprocessing": ["outcomes", "respcondition"],
    "outcomes": ["decvar"],
    "respcondition": ["conditionvar", "setvar", "displayfeedback"],
    "conditionvar": ["varequal"],
    "itemfeedback": ["flow_mat"],
    "flow_mat": ["material"],
    "material": ["mattext"],
}


def broken(path: Path) -> list[str]:
    """What a cartridge breaks of Common Cartridge 1.1: rules of its specification, its schema and its Schematron."""
    import xml.etree.ElementTree as ET

    cp, said = {"c": cartridge.MANIFEST}, []
    with zipfile.ZipFile(path) as file:
        names, root = set(file.namelist()), ET.fromstring(file.read("imsmanifest.xml"))
        said += ["schema"] * (root.findtext("c:metadata/c:schema", "", cp) != "IMS Common Cartridge")
        said += ["version"] * (root.findtext("c:metadata/c:schemaversion", "", cp) != "1.1.0")
        organization = root.findall("c:organizations/c:organization", cp)
        said += ["organization"] * ([o.get("structure") for o in organization] != ["rooted-hierarchy"])
        top = organization[0].findall("c:item", cp)
        said += ["one item on top, without a title"] * (len(top) != 1 or top[0].find("c:title", cp) is not None)
        resources = {row.get("identifier"): row for row in root.iterfind("c:resources/c:resource", cp)}
        shown = [(row.get("identifierref"), row.findtext("c:title", "", cp)) for row in top[0]]
        said += ["items and resources"] * (
            sorted(i for i, _ in shown) != sorted(resources) or not all(t for _, t in shown)
        )
        held = [f.get("href") for row in resources.values() for f in row]
        said += ["files"] * ({*held, "imsmanifest.xml"} != names or len(held) != len(resources))
        for row in resources.values():
            said += ["type"] * (
                row.get("type") != "imsqti_xmlv1p2/imscc_xmlv1p1/assessment" or row.get("href") is not None
            )
        for name in sorted(names.intersection(held)):
            said += exam_faults(ET.fromstring(file.read(name)))
    return said


def exam_faults(root) -> list[str]:
    said, q = [], f"{{{cartridge.QUESTIONS}}}"
    for element in root.iter():
        order = CHILDREN.get(element.tag.removeprefix(q), [])
        kinds = [child.tag.removeprefix(q) for child in element]
        if [k for k in order for _ in range(kinds.count(k))] != kinds:
            said.append(f"{element.tag.removeprefix(q)} holds {kinds}")
    items = root.findall(f".//{q}item")
    said += ["idents"] * (len({item.get("ident") for item in items}) < len(items) or not items)
    for item in items:
        fields = {f[0].text: f[1].text for f in item.iter(f"{q}qtimetadatafield")}
        said += ["profile"] * (fields != {"cc_profile": "cc.multiple_choice.v0p1"})
        labels = [row.get("ident") for row in item.iter(f"{q}response_label")]
        asked = item.find(f".//{q}response_lid")
        said += ["labels"] * (len(set(labels)) < 3 or asked.get("rcardinality") != "Single")
        tests = list(item.iter(f"{q}varequal"))
        said += ["tests"] * any(t.text not in labels or t.get("respident") != asked.get("ident") for t in tests)
        told = {row.get("linkrefid") for row in item.iter(f"{q}displayfeedback")}
        said += ["feedback"] * (told != {row.get("ident") for row in item.iter(f"{q}itemfeedback")})
        said += ["score"] * ([row.text for row in item.iter(f"{q}setvar")] != ["100"])
    return said


def test_the_cartridge_keeps_the_specification_s_rules_and_holds_every_question(course):
    assert broken(course / "questions.imscc") == []
    with zipfile.ZipFile(course / "questions.imscc") as file:
        texts = [file.read(name).decode() for name in file.namelist() if name.endswith("assessment.xml")]
    outlines = plan.outlines(ROOT, ALL)
    asked = [q for o in outlines for q in [*bank.questions(o, 7), *bank.choices(o)]]
    assert len(texts) == len(ALL) and sum(text.count("<item ") for text in texts) == len(asked)
    for question in asked:
        assert sum(f'ident="q{question.name}"' in text for text in texts) == 1
        if isinstance(question, bank.Question):
            made = cartridge.chosen(question)
            assert len(set(made.choices)) == 4 and made.choices[made.right] == f"{question.answer:.4g}", question


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<schemaversion>1.1.0", "<schemaversion>1.0", "version"),
        ('identifierref="chapter-02"', 'identifierref="chapter-2"', "items and resources"),
        ("imscc_xmlv1p1/assessment", "imscc_xmlv1p1/exam", "type"),
        ('href="chapter-02/', 'href="chapter-2/', "files"),
        ("cc.multiple_choice.v0p1", "cc.essay.v0p1", "profile"),
        (">c1</varequal><", ">c9</varequal><", "tests"),
        ('linkrefid="f1"', 'linkrefid="f8"', "feedback"),
        ("<itemmetadata>", "<other/><itemmetadata>", "item holds"),
    ],
)
def test_a_planted_fault_in_the_cartridge_is_found(old, new, said, tmp_path):
    choice = bank.Choice("2.p1", "Which?", ("a", "b & c", "$x<1$"), ("No.", "Right. Yes.", "No."), 1)
    exam = cartridge.Exam("chapter-02", "Diffusion <maths>", [choice])
    good = cartridge.write([exam, cartridge.Exam("chapter-03", "Nothing asked", [])], tmp_path / "good.imscc")
    assert broken(good) == []
    with zipfile.ZipFile(good) as file, zipfile.ZipFile(tmp_path / "bad.imscc", "w") as bad:
        texts = {name: file.read(name).decode() for name in file.namelist()}
        assert any(old in text for text in texts.values())
        for name, text in texts.items():
            bad.writestr(name, text.replace(old, new))
    assert any(word.startswith(said) for word in broken(tmp_path / "bad.imscc"))


@pytest.mark.skipif(
    "IMS_SCHEMAS" not in os.environ,
    reason="IMS lets nobody pass its schemas on: IMS_SCHEMAS names a folder of them by address, imsqti_v2p1.xsd in it",
)
def test_every_item_is_valid_against_the_schema_of_qti(course):
    etree, folder = pytest.importorskip("lxml.etree"), Path(os.environ["IMS_SCHEMAS"])

    class Local(etree.Resolver):
        def resolve(self, url, public, context):
            place = folder / re.sub(r"^https?://", "", url)
            return self.resolve_filename(str(place), context) if place.is_file() else None

    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(Local())
    schema = etree.XMLSchema(etree.parse(str(next(folder.rglob("imsqti_v2p1.xsd"))), parser))
    with zipfile.ZipFile(course / "questions-qti21.zip") as file:
        texts = [file.read(name) for name in file.namelist() if name.startswith("items/")]
    assert len(texts) > 100 and [text for text in texts if not schema.validate(etree.fromstring(text))] == []
    assert not schema.validate(etree.fromstring(texts[0].replace(b"<itemBody>", b"<x/><itemBody>")))


def test_questions_follow_the_seed_and_their_answers_pass_the_grader():
    outline = plan.outlines(ROOT, [4])[0]
    one, same, other = (bank.questions(outline, seed) for seed in (1, 1, 2))
    assert one == same and one != other
    values = [q.answer for q in one if q.exercise == "4.2"]
    assert [judge("4.2", value, kind) for kind, value in enumerate(values)] == [None] * 4
    assert judge("4.2", values[1], 2) is not None


def test_exam_sheets_differ_by_seed_and_the_answers_stand_on_another_sheet(course):
    asked = [(course / f"exam-{seed}.md").read_text() for seed in (7, 8, 9)]
    assert len(set(asked)) == 3
    answers = (course / "exam-7-answers.md").read_text()
    worth = [re.findall(r"\((?:1 point|[23] points)\)", text) for text in (asked[0], answers)]
    assert worth[0] == worth[1] and len(worth[0]) >= 20 and "Answer: ___" not in answers


def loads(text: str) -> list[str]:
    """What a sheet would fetch."""
    return re.findall(r"<(?:script|link|img|iframe)|url\(|@import|(?:src|href)=", text)


@pytest.mark.parametrize("name", ["exam-7", "exam-9", "exam-7-answers", "predictions"])
def test_a_sheet_is_one_file_that_says_what_the_text_says(course, name):
    page, text = (course / f"{name}.html").read_text(), (course / f"{name}.md").read_text()
    assert loads(page) == [] and loads(page + "<script src='x.js'></script>") != []
    assert "$" not in page and "`" not in page and "&lt;code" not in page
    assert page.count("<svg") == len(re.findall(r"\$[^$]+\$", text))
    assert len(re.findall(r"\(\d+ points?\)", page)) == len(re.findall(r"\(\d+ points?\)", text))
    assert re.findall(r"\) ([-\d.e+]+)</p>", page) == re.findall(r"points?\) ([-\d.e+]+)$", text, re.MULTILINE)
    assert ("Name:" in page) == ("answers" not in name) and (f"seed {name[5:6]}." in page or name == "predictions")


def test_every_formula_that_a_sheet_may_print_is_drawn():
    found = plan.outlines(ROOT, ALL)
    texts = [text for o in found for e in o.exercises for kind in range(4) for text in asked_text(e, kind)]
    texts += [o.record[key] for o in found for key in ("break", "first", "board", "vote", "answers")]
    formulas = {formula for text in texts for formula in re.findall(r"\$([^$]+)\$", text)}
    assert len(formulas) > 50 and all(len(sheets.formula(one)) > 200 for one in formulas)
    with pytest.raises(ValueError, match="Unknown symbol"):
        sheets.formula(r"\nosuchsign")


def asked_text(exercise, kind: int) -> list[str]:
    """A variant's prompt, where there is that variant."""
    return [notebooks.asked(exercise, kind)[0]] if kind <= len(notebooks.variants.table()[exercise.number]) else []


@pytest.mark.parametrize("size", ["A4", "Letter"])
def test_a_printed_sheet_cuts_no_question(course, chromium, size):
    high = {"A4": 297, "Letter": 279.4}[size] / 25.4 * 96
    for name in ("exam-7", "exam-8-answers", "predictions"):
        view = chromium.new_page(viewport={"width": 700, "height": 900})
        view.emulate_media(media="print")
        view.goto((course / f"{name}.html").as_uri())
        rows = view.evaluate(
            "[...document.querySelectorAll('tbody tr')].map(r => [getComputedStyle(r).breakInside, r.offsetHeight])"
        )
        assert {kind for kind, _ in rows} == {"avoid"} and max(height for _, height in rows) < high / 3
        assert view.evaluate("getComputedStyle(document.querySelector('tfoot')).display") == "table-footer-group"
        assert view.evaluate("document.documentElement.scrollWidth") <= 700
        pages = len(re.findall(rb"/Type\s*/Page\b", view.pdf(format=size)))
        assert pages >= sum(height for _, height in rows) / high
        view.close()


def executed(path: Path, photographs: bool = False) -> Path:
    """A small executed chapter: two sections, one of them with a figure."""
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    record = {"type": "figure", "id": "one", "alt": "<b>One</b> dot of a colour.", "caption": "It is $x^2$."}
    record |= {"profile": "smoke", "photographs_of_people": photographs, "number": "Fig. 1"}
    out = nbformat.v4.new_output("display_data", {"image/png": pixel}, metadata={"deepfake_kit": record})
    make_cell, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell("", outputs=[out])
    nbformat.write(nbformat.v4.new_notebook(cells=[make_cell("## Dots"), code, make_cell("## Empty")]), path)
    return path


def test_every_chapter_has_a_plan_of_its_own_for_the_notes():
    page = (ROOT / "book" / "instructors.md").read_text(encoding="utf-8")
    for number in ALL:
        rows = slides.lab_plan(page, number)
        assert number > 10 or (rows[0][0].startswith("0 to ") and rows[-1][0].endswith("to 90") and len(rows) >= 5)


@pytest.mark.parametrize("outline", plan.outlines(ROOT, ALL), ids=lambda outline: outline.number)
def test_the_exercises_of_a_lab_fit_into_its_minutes_and_the_reading_time_is_counted(outline):
    page, minutes = (
        (ROOT / "book" / "instructors.md").read_text(encoding="utf-8"),
        {e.number: e.minutes for e in outline.exercises},
    )
    for when, what, how in slides.lab_plan(page, int(outline.number)):
        begin, end = map(int, when.split(" to "))
        named = [number for number in re.findall(r"\b\d+\.\d\b", how) if number in minutes]
        assert sum(minutes[number] for number in named) <= end - begin, (what, named)
    assert abs(plan.counted(outline) + outline.exercise_minutes - outline.reading) <= 10


# Sections that the class reads in a step of the lab, by the minute at which it begins; the others are read at home.
READ = {
    "02": {10: ["2. Many steps at once"], 25: ["4. The way back", "5. Which reading of Eq. (7) returns the data?"]}
    | {65: ["9. Drawing images"], 73: ["11. Break it: noise at the last step"]},
    "04": {15: ["2. The follower"], 30: ["3. The leader"], 70: ["6. What the lost factor costs"], 80: ["8. Break it"]},
    "09": {0: ["1. What a network costs"], 15: ["3. Which two belong together?"]}
    | {30: ["4. Three measures, one test set?"], 70: ["8. Break it"]},
}
PREDICT, NAME = 3, 2  # minutes before the switch's run, in writing, and after it


def late(outline, rows: list[list[str]]) -> list[str]:
    """What of a lab does not fit: steps that overlap, a run that is not ready, a step too short for what is in it."""
    ends = [tuple(map(int, when.split(" to "))) for when, _, _ in rows]
    said = ["gap"] * ([begin for begin, _ in ends] != [0, *(end for _, end in ends[:-1])] or ends[-1][1] != 90)
    run, minutes = outline.about.minutes["book"], {e.number: e.minutes for e in outline.exercises}
    said += ["not ready"] * (run > outline.record["needed"] or outline.record["needed"] not in dict(ends))
    words = plan.words_by_section(outline)
    for (begin, end), (_, what, how) in zip(ends, rows, strict=True):
        read = [
            n for name in READ.get(outline.number, {}).get(begin, []) for s, n in words.items() if s.startswith(name)
        ]
        assert len(read) == len(READ.get(outline.number, {}).get(begin, [])), (
            what,
            "reads a section that is not there",
        )
        takes = sum(read) / 200 + sum(minutes.get(number, 0) for number in re.findall(r"\b\d+\.\d\b", how))
        takes += PREDICT + run + NAME if what.startswith("Break it") else 0
        said += [f"{what}: {takes:.1f} of {end - begin}"] * (takes > end - begin)
    return said


@pytest.mark.parametrize("outline", plan.outlines(ROOT, ALL), ids=lambda outline: outline.number)
def test_a_lab_at_book_fits_into_ninety_minutes(outline):
    page = (ROOT / "book" / "instructors.md").read_text(encoding="utf-8")
    rows = slides.lab_plan(page, int(outline.number))
    assert late(outline, rows) == []
    assert any(what.startswith("Break it") for _, what, _ in rows) or outline.number in ("05", "06")
    outline = plan.outlines(ROOT, [int(outline.number)])[0]
    outline.about.minutes["book"] = 16
    assert late(outline, rows) != [], "a run of sixteen minutes fits into no *Break it* here"


def test_a_step_too_short_is_found():
    (outline,) = plan.outlines(ROOT, [2])
    rows = slides.lab_plan((ROOT / "book" / "instructors.md").read_text(encoding="utf-8"), 2)
    assert late(outline, [*rows[:3], ["45 to 60", *rows[3][1:]], ["60 to 73", *rows[4][1:]], *rows[5:]]) == [
        "Exercises: 20.0 of 15"
    ]
    assert late(outline, [*rows[:3], ["45 to 60", *rows[3][1:]], *rows[4:]])[0] == "gap"


def test_photographs_of_people_are_on_no_slide(tmp_path):
    assert [name for name, _ in slides.sections(executed(tmp_path / "a.ipynb"))] == ["Dots"]
    assert slides.sections(executed(tmp_path / "a.ipynb", photographs=True)) == []


def test_slides_open_from_the_disk_and_load_nothing_else(tmp_path, chromium, third_party):
    outline = plan.outlines(ROOT, [2])[0]
    page = (ROOT / "book" / "instructors.md").read_text(encoding="utf-8")
    text = slides.deck(outline, executed(tmp_path / "a.ipynb"), page)
    slides.write(tmp_path / "s", {"two": text}, third_party)
    view, asked, wrong = chromium.new_page(), [], []
    view.on("request", lambda request: asked.append(request.url))
    view.on("pageerror", lambda error: wrong.append(str(error)))
    view.goto((tmp_path / "s" / "two.html").as_uri())
    view.wait_for_function("window.Reveal && Reveal.isReady() && document.querySelector('figcaption mjx-container')")
    assert view.evaluate("Reveal.getTotalSlides()") == 4 and wrong == []
    assert view.evaluate("[...document.querySelectorAll('section')].every(s => s.querySelectorAll('img').length < 2)")
    assert "0 to 10" in view.evaluate("document.querySelector('aside.notes').textContent")
    assert [url for url in asked if not url.startswith((tmp_path.as_uri(), "data:", "blob:"))] == []
    assert view.evaluate("document.querySelector('img').alt") == "<b>One</b> dot of a colour."
    view.close()
