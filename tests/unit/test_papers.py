"""Every claims file is whole: right ids, allowed words, reasons where due, text that renders."""

from __future__ import annotations

import copy
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from deepfake_kit.notebook import claims

COUNTS = {"ddtma": 88, "hanyang": 73, "marogna": 94, "dadfi": 84, "survey": 25}
# How each work's extracted text begins.
BEGINNINGS = {
    "ddtma": "Decentralized Deepfake Task Management Algorithm",
    "hanyang": "DEEPCODE GENERATION & DETECTION",
    "marogna": "TOWARDS EFFICIENT DEEPFAKES DETECTION WITH SELF SUPERVISED",
    "dadfi": "A destructive active defense algorithm",
    "survey": "DMSASD",
}
ABOVE = (folder / "shared" / "papers" / "text" for folder in Path(__file__).resolve().parents[3:])
TEXTS = next(filter(Path.is_dir, ABOVE), Path("no texts at hand"))
KINDS = {"equation", "figure", "table", "parameter", "dataset", "algorithm", "claim"}
FINDINGS = {"holds", "typo", "wrong", "inconsistent", "underspecified", "not-checkable"}
OPEN = {"not-comparable", "not-attempted"}
# Which verdicts a kind of evidence may reach, besides OPEN.
RUN = {"reproduced", "direction-holds", "contradicted", "undecided"}
REACH = {
    "re-derived": RUN,
    "small": RUN,
    "stated-size": RUN,
    "arithmetic": {"adds-up", "does-not-add-up", "undecided"},
    "reading": set(),
}
JUDGED = set.union(*REACH.values())
CHAPTERS = {
    "01_how_deepfakes_are_made",
    "02_diffusion_math",
    "03_caption_guided_faces",
    "04_stackelberg_game",
    "05_tasks_on_a_chain",
    "06_federated_diffusion",
    "07_vit_lora",
    "08_fair_detection",
    "09_simclr_on_edge",
    "10_dadfi",
    "11_arms_race",
}
REQUIRED = {"id", "kind", "label", "section", "states", "finding", "explanation", "chapter", "verdict", "evidence"}
OPTIONAL = {"measure", "printed", "expected", "tolerance", "direction", "values", "derived", "reason"}
OPTIONAL |= {"size", "where", "random", "empty", "seen", "long", "elsewhere"}
RECORD = {"id", "short", "title", "authors", "year", "venue", "doi", "licence"}
# What its page says in words of ours.
TOLD = {"aim", "easy", "hard", "ask"}
PROSE = ("label", "section", "states", "explanation", "measure", "reason", "size", "empty")
# One space is required: the comparison splits relation and bound at it.
DIRECTION = re.compile(r"^(<|<=|>|>=) -?[0-9.e-]+$")


# What a reader would have to decode: a bare subscript or power, a Greek letter by its name.
RAW_SYMBOL = re.compile(r"\w+[_^](?:\w|\{)\w*|\b(?:alpha|beta|gamma|mu|psi|rho|sigma|tau)\b")
NAME_OF_CHAPTER = re.compile(r"\b\d\d_[a-z_]+")


def is_number(x) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool)


def text_faults(field: str, text) -> list[str]:
    if not isinstance(text, str) or not text.strip():
        return [f"{field} is not a non-empty string"]
    found = []
    outside = re.sub(r"\$[^$]*\$", "", text)
    if text.count("$") % 2:
        found.append(f"{field}: unpaired $")
    if re.search(r"<[A-Za-z/!]", text):
        found.append(f"{field}: could be read as an HTML tag")
    if "\\" in outside or re.search(r"\\\(|\\\[", text):
        found.append(f"{field}: LaTeX outside $...$")
    if raw := RAW_SYMBOL.search(re.sub(r"`[^`]*`", "", NAME_OF_CHAPTER.sub("", outside))):
        found.append(f"{field}: {raw[0]!r} belongs between $...$")
    for maths in re.findall(r"\$([^$]*)\$", text):
        if maths.count("{") - maths.count(r"\{") != maths.count("}") - maths.count(r"\}"):
            found.append(f"{field}: unbalanced braces in ${maths}$")
        if re.search(r"[\t\b\f\r\a]", maths):
            found.append(f"{field}: a backslash was swallowed in ${maths}$")
    return found


def row_faults(row: dict) -> list[str]:
    """Everything wrong with one row, in words; an empty list if it is sound."""
    missing = REQUIRED - row.keys()
    if missing:
        return [f"missing {sorted(missing)}"]
    found = [f"unknown field {key!r}" for key in row.keys() - REQUIRED - OPTIONAL]
    for field, allowed in (("kind", KINDS), ("finding", FINDINGS), ("verdict", JUDGED | OPEN)):
        if row[field] not in allowed:
            found.append(f"{field} {row[field]!r} is not allowed")
    if row["chapter"] is not None and row["chapter"] not in CHAPTERS:
        found.append(f"no chapter {row['chapter']!r}")
    for field in PROSE:
        if field in REQUIRED or row.get(field) is not None:
            found += text_faults(field, row[field])
    if len(str(row["explanation"]).split()) > 60:
        found.append("explanation is longer than 60 words")
    numbers = number_faults(row)
    found += numbers + evidence_faults(row) + ([] if numbers else place_faults(row) + told_faults(row))

    if row["verdict"] in OPEN and not row.get("reason"):
        found.append(f"{row['verdict']} without a reason")
    if row["verdict"] in JUDGED and row["chapter"] is None:
        found.append(f"{row['verdict']} without a chapter that shows it")
    if row["verdict"] == "direction-holds" and row.get("direction") is None:
        found.append("direction-holds without a direction")
    return found


def number_faults(row: dict) -> list[str]:
    """What is wrong with the numbers that a row compares with, or lists."""
    found = []
    printed, expected, tolerance, direction = (row.get(k) for k in ("printed", "expected", "tolerance", "direction"))
    if printed is not None and expected is not None:
        found.append("both printed and expected: a number stands in the work's text or it does not")
    for name, stated in (("printed", printed), ("expected", expected)):
        if stated is None:
            continue
        numbers = stated if isinstance(stated, list) else [stated]
        if not numbers or not all(map(is_number, numbers)):
            found.append(f"{name} {stated!r} is not a number or a list of numbers")
        if not is_number(tolerance) or tolerance < 0:
            found.append(f"tolerance {tolerance!r} is not a number >= 0; YAML reads 1e-6 as text, not 1.0e-6")
    if direction is not None and not DIRECTION.match(str(direction)):
        found.append(f"direction {direction!r} does not read like '> 0'")
    stated = any(x is not None for x in (printed, expected, direction))
    if stated and not row.get("measure"):
        found.append("something to compare with, but no measure")
    if row["verdict"] in JUDGED and not stated:
        found.append(f"{row['verdict']} with nothing to compare with")
    for field in ("values", "derived", "elsewhere"):
        if not all(map(is_number, (row.get(field) or {}).values())):
            found.append(f"{field} are not all numbers")
        for name in row.get(field) or {}:
            found += text_faults(field, name)
    if row.get("random") not in (None, True):
        found.append(f"random {row['random']!r} is not true")
    if row.get("seen") not in (None, "page"):
        found.append(f"seen {row['seen']!r} is not 'page'")
    return found


# How often something was trained, or drawn: an interval over test pictures says nothing of another training.
TIMES = re.compile(
    r"\b(?:one|two|three|four|five|six|eight|ten|\d+)(?: [\w-]+){0,3}? (?:trainings?|seeds?|runs?|draws?|networks?)\b"
)


def evidence_faults(row: dict) -> list[str]:
    """Where a verdict says more than its evidence."""
    evidence, verdict = row.get("evidence"), row["verdict"]
    if evidence not in REACH:
        return [f"evidence {evidence!r} is not one of {sorted(REACH)}"]
    found = []
    if verdict not in REACH[evidence] | OPEN:
        found.append(f"evidence {evidence} cannot reach {verdict}")
    if row["finding"] == "not-checkable" and verdict in ("reproduced", "contradicted"):
        found.append(f"not checkable, yet {verdict}")
    if evidence in ("small", "stated-size"):
        if not row.get("size"):
            found.append(f"evidence {evidence} without a size")
        elif verdict in JUDGED and not TIMES.search(row["size"]):
            found.append(f"size {row['size']!r} does not say how many trainings, runs or draws there were")
        if verdict in JUDGED and not row.get("random"):
            found.append(f"{verdict} by a run without an interval; an exact count is re-derived")
        if verdict in ("reproduced", "direction-holds") and not row.get("empty"):
            found.append(f"{verdict} by a run that was not tried against an empty method")
    elif row.get("size"):
        found.append(f"evidence {evidence} has a size")
    if long := row.get("long"):  # what the ledger says where a kept run decides
        found += [f"long: unknown field {key!r}" for key in long.keys() - {"size", "verdict", "evidence"}]
        found += text_faults("size", long.get("size"))
        found += evidence_faults({**row, **long, "long": None})
    return found


def place_faults(row: dict) -> list[str]:
    """Numbers called printed that the quoted places, or the work's text, do not hold."""
    where = row.get("where") or []
    places = where if isinstance(where, list) else [where]
    if not all(isinstance(place, str) and place.strip() for place in places):
        return [f"where {where!r} is not a text or a list of texts"]
    printed = row.get("printed")
    printed = [] if printed is None else printed if isinstance(printed, list) else [printed]
    values = row.get("values") or {}
    if (printed or values) and not places:
        return ["printed numbers without a where"]
    found = [f"printed {x:g} stands in no quoted place" for x in printed if not any(stands(x, p) for p in places)]
    text = text_of(row["id"].partition("-")[0])
    if text:
        found += [f"not in the text: {place!r}" for place in places if unified(place) not in text]
        everywhere = [*places, text]
        found += [
            f"value {n}: {x:g} is not in the text"
            for n, x in values.items()
            if not any(stands(x, p) for p in everywhere)
        ]
    return found


# Numbers that only say where something stands: "chapters 3 and 7", "Eq. (20)", "[14]", "Ruiz 2020".
PLACES = re.compile(
    r"(?i:(?:chapter|fig(?:ure)?|table|section|row|page|line|equation|eqn?|algorithm)s?\.?\s*\(?\d[\d.]*\)?"
    r"(?:(?:,| to| and| or)\s*\(?\d[\d.]*\)?)*)|\[\d+(?:, ?\d+)*\]|\b(?!In\b|Since\b|By\b)[A-Z][\w-]+,? (?:19|20)\d\d\b"
)


def told_faults(row: dict) -> list[str]:
    """Numbers in our own words that stand neither in the work's text nor under `derived` or `elsewhere`."""
    text = text_of(row["id"].partition("-")[0])
    if not text:
        return []
    ours = [*(row.get("derived") or {}).items(), *(row.get("elsewhere") or {}).items()]
    labels = " ".join([text, *(name for name, _ in ours), *(row.get(k) or "" for k in ("size", "measure", "empty"))])
    expected = row.get("expected")
    known = [x for _, x in ours] + (expected if isinstance(expected, list) else [expected] * (expected is not None))
    found = []
    for field in ("explanation", "reason"):
        said = re.sub(r"\$[^$]*\$", " ", PLACES.sub(" ", row.get(field) or ""))
        for match in re.finditer(r"\d+(?:,\d{3})+(?:\.\d+)?|\d*\.?\d+", said):
            digits, after = match[0].replace(",", ""), said[match.end() : match.end() + 12]
            decimals = len(digits.partition(".")[2])
            last = 10.0**-decimals if decimals else 10.0 ** (len(digits) - len(digits.rstrip("0") or digits))
            scales = [1.0] + [0.01] * bool(re.match(r"\s*(?:%|percent)", after))
            near = any(abs(float(digits) * k - abs(x)) <= 0.501 * last * k for k in scales for x in known)
            if not near and not any(stands(float(digits) * k, labels) for k in scales):
                found.append(f"{field}: nothing says whence {match[0]} comes")
    return found


DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u00ad"), "-")
QUOTES = {
    **dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u0060\u00b4"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d"), '"'),
}
WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()


def unified(text: str) -> str:
    """Text with white space collapsed and one kind of dash and quote."""
    return " ".join(text.translate(DASHES).translate(QUOTES).split())


@cache
def text_of(paper: str) -> str:
    """The work's extracted text, or nothing where it is not at hand."""
    files = map(unified, (path.read_text(encoding="utf-8") for path in sorted(TEXTS.glob("*.txt"))))
    return next((text for text in files if BEGINNINGS[paper] in text[:3000]), "")


@cache
def numbers_in(text: str) -> frozenset[float]:
    """Each number that a text writes, whatever its sign; 84 % and 84 million count as .84 and 84,000,000 too."""
    text, found = unified(text), set()
    for match in re.finditer(r"\d+(?:,\d{3})+(?:\.\d+)?|\d*\.?\d+(?:[eE](?: ?- ?)?\d+)?", text):
        number, after = float(re.sub("[ ,]", "", match[0])), text[match.end() : match.end() + 24]
        found.add(number)
        if re.match(r"\s*(?:\\?%|percent)", after):
            found.add(number / 100)
        if power := re.match(r"\s*(?:×|\*|x|\\times|\\cdot)?\s*10\s*(?:\^|\*\*|<sup>)?\s*\{?(-?\d+)", after):
            found.add(number * 10.0 ** int(power[1]))
        if unit := re.match(r"\s*-?\s*(million|M\b|billion|B\b|thousand|k\b|K\b)", after):
            found.add(number * {"m": 1e6, "b": 1e9, "t": 1e3, "k": 1e3}[unit[1][0].lower()])
    found |= {10.0 ** int(power) for power in re.findall(r"\b10\s*(?:\^|\*\*|<sup>)?\s*\{?(-\d+)", text)}
    return frozenset(found | {WORDS.index(word) for word in re.findall(r"[a-z]+", text.lower()) if word in WORDS})


def stands(number: float, text: str) -> bool:
    """Whether a text writes a number, whatever its sign."""
    return any(abs(abs(number) - found) <= 1e-9 * abs(number) for found in numbers_in(text))


def read(paper: str) -> dict:
    return yaml.safe_load((claims.FOLDER / f"{paper}.yml").read_text(encoding="utf-8"))


def all_rows() -> list[dict]:
    return [row for paper in COUNTS for row in read(paper)["claims"]]


def test_the_files_are_those_of_the_known_papers():
    assert set(claims.papers()) == set(COUNTS)


@pytest.mark.parametrize("paper", COUNTS)
def test_record(paper):
    record = read(paper)["paper"]
    assert record.keys() == RECORD | TOLD
    for name in TOLD:
        told = record[name] if isinstance(record[name], list) else [record[name]]
        assert told and not [fault for text in told for fault in text_faults(name, text)]
    assert record["id"] == paper
    assert record["authors"] and all(isinstance(name, str) for name in record["authors"])
    assert isinstance(record["year"], int)


@pytest.mark.parametrize("paper", COUNTS)
def test_every_audited_item_is_there_once(paper):
    ids = [row["id"] for row in read(paper)["claims"]]
    assert len(ids) == COUNTS[paper]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(rf"{paper}-[a-z0-9.-]+", name) for name in ids)


@pytest.mark.parametrize("paper", COUNTS)
def test_rows_are_sound(paper):
    found = {row.get("id"): row_faults(row) for row in read(paper)["claims"]}
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_ids_are_unique_over_all_papers():
    ids = [row["id"] for row in all_rows()]
    assert len(set(ids)) == len(ids)


def compared(row: dict, value) -> str:
    """The verdict on an exact value, by a run whose empty method fails."""
    far = {">": -1e12, "<": 1e12}[(row.get("direction") or ">")[0]]
    return claims.compare(
        row["id"], value, (value, value) if row.get("random") else None, far if row.get("empty") else None
    )


def test_the_kit_reads_each_row_and_a_stated_number_reproduces_itself():
    for row in all_rows():
        assert claims.find(row["id"]).finding == row["finding"]
        stated = row.get("printed", row.get("expected"))
        if stated is not None and row.get("evidence") != "reading":
            best = "adds-up" if row.get("evidence") == "arithmetic" else "reproduced"
            assert compared(row, stated) == best, row["id"]


def test_each_direction_can_hold_and_can_fail():
    for row in all_rows():
        if row.get("direction") is None or row.get("evidence") == "reading":
            continue
        relation, bound = row["direction"].split()
        sign = -1.0 if relation.startswith("<") else 1.0
        stated = row.get("printed", row.get("expected"))
        size = len(stated) if isinstance(stated, list) else 1
        far = abs(float(bound)) + 1e9
        good, bad = (
            ("adds-up", "does-not-add-up")
            if row.get("evidence") == "arithmetic"
            else ("direction-holds", "contradicted")
        )
        assert compared(row, [sign * far] * size) == good, row["id"]
        assert compared(row, [-sign * far] * size) == bad, row["id"]


SOUND = {
    "id": "ddtma-eq-0",
    "kind": "equation",
    "label": "Eq. (0)",
    "section": "I",
    "finding": "holds",
    "states": r"A sum $\sum_{i} x_i$.",
    "explanation": "It holds.",
    "measure": "A residual",
    "printed": 0,
    "tolerance": 0.1,
    "direction": ">= -1.5e-3",
    "chapter": "02_diffusion_math",
    "verdict": "not-attempted",
    "evidence": "re-derived",
    "where": "leaves 0 of them",
    "reason": "Belongs to chapter 2.",
}


@pytest.fixture
def no_text(monkeypatch):
    """The work's text is not at hand."""
    monkeypatch.setattr(f"{__name__}.text_of", lambda _: "")


def test_a_sound_row_passes(no_text):
    assert row_faults(SOUND) == []


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "theorem"},
        {"finding": "false"},
        {"verdict": "confirmed"},
        {"chapter": "02_diffusion"},
        {"reason": None},
        {"reason": "", "verdict": "not-comparable"},
        {"direction": "=> 0"},
        {"direction": ">0"},
        {"direction": "> zero"},
        {"measure": None},
        {"tolerance": None},
        {"tolerance": -1},
        {"tolerance": "1e-6"},
        {"printed": "0.2"},
        {"printed": []},
        {"printed": True},
        {"explanation": "word " * 61},
        {"explanation": None},
        {"states": r"Uses \(x\)."},
        {"states": "Odd $x."},
        {"states": r"Lost $\frac{1{2}$."},
        {"states": "Swallowed $\frac12$."},
        {"states": "A tag $0<p$."},
        {"values": {"loss": "low"}},
        {"states": "Bare $x$ and x_{i}."},
        {"label": "d_pix above 0.6"},
        {"states": "Of x^2."},
        {"values": {"alpha_1": 0.9}},
        {"values": {"tau": 0.07}},
        {"verdict": "contradicted", "chapter": None},
        {"verdict": "direction-holds", "direction": None},
        {"verdict": "reproduced", "printed": None, "direction": None},
        {"note": "a field nobody reads"},
        {"expected": 0},
        {"random": "yes"},
        {"seen": "book"},
        {"derived": {"loss": "low"}},
        {"evidence": "hearsay"},
        {"long": {"verdict": "reproduced"}},
        {"long": {"size": "a size", "note": "a field nobody reads"}},
        {"long": {"size": "a size", "evidence": "small", "verdict": "adds-up"}},
    ],
    ids=str,
)
def test_a_planted_fault_is_found(change, no_text):
    assert row_faults({**copy.deepcopy(SOUND), **change})


MEASURED = {
    **SOUND,
    "printed": None,
    "expected": 0,
    "verdict": "reproduced",
    "evidence": "small",
    "size": "20 devices, one training",
    "empty": "an untrained network",
    "random": True,
    "where": "keeps 84% of them, 1,000 times",
    "values": {"share": 0.84, "times": 1000},
}


def test_a_measured_row_passes(monkeypatch):
    monkeypatch.setattr(f"{__name__}.text_of", lambda _: "It keeps 84% of them, 1,000 times in all.")
    assert row_faults(MEASURED) == []


@pytest.mark.parametrize(
    "change",
    [
        {"evidence": None},
        {"size": None},
        {"size": "20 devices"},
        {"empty": None},
        {"random": None},
        {"evidence": "re-derived"},
        {"evidence": "arithmetic", "size": None},
        {"evidence": "arithmetic", "size": None, "verdict": "contradicted"},
        {"evidence": "reading", "size": None, "verdict": "undecided"},
        {"verdict": "adds-up"},
        {"finding": "not-checkable"},
        {"finding": "not-checkable", "verdict": "contradicted"},
        {"where": None},
        {"where": []},
        {"where": "keeps 85% of them"},
        {"values": {"share": 0.85}},
        {"printed": 5, "expected": None},
    ],
    ids=str,
)
def test_a_verdict_beyond_its_evidence_is_found(change, monkeypatch):
    monkeypatch.setattr(f"{__name__}.text_of", lambda _: "It keeps 84% of them, 1,000 times in all. Five of 5.")
    assert row_faults({**MEASURED, **change})


@pytest.mark.parametrize(
    ("explanation", "faults"),
    [
        ("It keeps 84 of 100.", 0),
        ("It keeps 85 of 100.", 1),
        ("Chapters 4 and 9, Eq. (20), Ruiz 2020 and [17] say so.", 0),
        ("About 11,500 pictures, or 61%.", 0),
        ("About 11,400 pictures, or 63%.", 2),
        ("Another source has 0.617.", 0),
        ("On 20 devices.", 0),
        ("In 2019 it had 0.63.", 2),
    ],
)
def test_a_number_without_a_source_is_found_in_our_words(explanation, faults, monkeypatch):
    monkeypatch.setattr(f"{__name__}.text_of", lambda _: "It keeps 84% of 100.")
    row = {**MEASURED, "derived": {"pictures": 11506, "share": 0.611}, "elsewhere": {"AUC": 0.617}}
    assert len(told_faults({**row, "explanation": explanation, "reason": None})) == faults


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.84, "84 %"),
        (-0.5, "a loss of \u22120.5"),
        (2e-4, "2 \u00d7 10\u22124"),
        (1e-3, "$10^{-3}$"),
        (3, "three devices"),
        (22e6, "22M parameters"),
        (0.91, "of .91"),
        (2e-5, "a rate of $2e - 5$"),
    ],
)
def test_a_written_number_is_found(number, text):
    assert stands(number, text)
    assert not stands(number * 1.01, text)


@pytest.mark.skipif(not TEXTS.is_dir(), reason="the works' texts are not at hand")
def test_each_work_has_its_text():
    assert len({text_of(paper) for paper in COUNTS} - {""}) == len(COUNTS)


@pytest.mark.parametrize("field", sorted(REQUIRED))
def test_a_missing_field_is_found(field):
    assert row_faults({key: value for key, value in SOUND.items() if key != field})
