"""Every claims file is whole: right ids, allowed words, reasons where due, text that renders."""

from __future__ import annotations

import copy
import re

import pytest
import yaml

from deepfake_kit import claims

COUNTS = {"ddtma": 88, "hanyang": 65, "marogna": 94, "dadfi": 84, "survey": 25}
KINDS = {"equation", "figure", "table", "parameter", "dataset", "algorithm", "claim"}
FINDINGS = {"holds", "typo", "wrong", "inconsistent", "underspecified", "not-checkable"}
JUDGED = {"reproduced", "direction-holds", "contradicted"}
OPEN = {"not-comparable", "not-attempted"}
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
REQUIRED = {"id", "kind", "label", "section", "states", "finding", "explanation", "chapter", "verdict"}
OPTIONAL = {"measure", "printed", "tolerance", "direction", "values", "reason"}
RECORD = {"id", "short", "title", "authors", "year", "venue", "doi", "licence"}
PROSE = ("label", "section", "states", "explanation", "measure", "reason")
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

    printed, tolerance, direction = (row.get(k) for k in ("printed", "tolerance", "direction"))
    if printed is not None:
        numbers = printed if isinstance(printed, list) else [printed]
        if not numbers or not all(map(is_number, numbers)):
            found.append(f"printed {printed!r} is not a number or a list of numbers")
        if not is_number(tolerance) or tolerance < 0:
            found.append(f"tolerance {tolerance!r} is not a number >= 0; YAML reads 1e-6 as text, not 1.0e-6")
    if direction is not None and not DIRECTION.match(str(direction)):
        found.append(f"direction {direction!r} does not read like '> 0'")
    if (printed is not None or direction is not None) and not row.get("measure"):
        found.append("something to compare with, but no measure")
    if not all(map(is_number, (row.get("values") or {}).values())):
        found.append("values are not all numbers")
    for name in row.get("values") or {}:
        found += text_faults("values", name)

    if row["verdict"] in OPEN and not row.get("reason"):
        found.append(f"{row['verdict']} without a reason")
    if row["verdict"] in JUDGED and row["chapter"] is None:
        found.append(f"{row['verdict']} without a chapter that shows it")
    if row["verdict"] in JUDGED and printed is None and direction is None:
        found.append(f"{row['verdict']} with nothing to compare with")
    if row["verdict"] == "direction-holds" and direction is None:
        found.append("direction-holds without a direction")
    return found


def read(paper: str) -> dict:
    return yaml.safe_load((claims.FOLDER / f"{paper}.yml").read_text(encoding="utf-8"))


def all_rows() -> list[dict]:
    return [row for paper in COUNTS for row in read(paper)["claims"]]


def test_the_files_are_those_of_the_known_papers():
    assert set(claims.papers()) == set(COUNTS)


@pytest.mark.parametrize("paper", COUNTS)
def test_record(paper):
    record = read(paper)["paper"]
    assert record.keys() == RECORD
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


def test_the_kit_reads_each_row_and_a_printed_number_reproduces_itself():
    for row in all_rows():
        assert claims.find(row["id"]).finding == row["finding"]
        if row.get("printed") is not None:
            assert claims.compare(row["id"], row["printed"]) == "reproduced", row["id"]


def test_each_direction_can_hold_and_can_fail():
    for row in all_rows():
        if row.get("direction") is None:
            continue
        relation, bound = row["direction"].split()
        sign = -1.0 if relation.startswith("<") else 1.0
        size = len(row["printed"]) if isinstance(row.get("printed"), list) else 1
        far = abs(float(bound)) + 1e9
        assert claims.compare(row["id"], [sign * far] * size) == "direction-holds", row["id"]
        assert claims.compare(row["id"], [-sign * far] * size) == "contradicted", row["id"]


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
    "reason": "Belongs to chapter 2.",
}


def test_a_sound_row_passes():
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
    ],
    ids=str,
)
def test_a_planted_fault_is_found(change):
    assert row_faults({**copy.deepcopy(SOUND), **change})


@pytest.mark.parametrize("field", sorted(REQUIRED))
def test_a_missing_field_is_found(field):
    assert row_faults({key: value for key, value in SOUND.items() if key != field})
