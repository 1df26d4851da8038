"""What each data set is, as ``sources.yml`` says: files, checksums, addresses, licence, terms. No reading, no network.

`deepfake_kit.data` looks sets up here; `data_scripts/fetch.py` prints the terms from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from deepfake_kit.paths import beside


@dataclass(frozen=True)
class Source:
    """One data set: where its files lie under a root, what they must hash to, on which terms to use them.

    `folders` are tried in turn under every root. `sha256` maps a file name to its published hash. `urls` maps
    a file name to the publisher's address; empty where a person must ask for the set.
    """

    name: str
    title: str
    licence: str
    terms: str
    citation: str
    folders: tuple[str, ...]
    splits: tuple[str, ...]
    classes: tuple[str, ...] = ()
    sha256: dict[str, str] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    photographs_of_people: bool = False
    has_stand_in: bool = False
    by_hand: tuple[str, ...] = ()


EMNIST_ARCHIVE = "gzip.zip"  # of all six splits; it is not kept
EMNIST_ARCHIVE_SHA256 = "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"
PEOPLE = (
    "The persons shown are real and did not agree to be in this project. Use it for teaching, research and testing "
    "only. Do not recognise or identify anybody with it, do not print single photographs, and take a picture out when "
    "its subject asks."
)


def _read() -> dict[str, Source]:
    found = {}
    for name, about in beside(__file__).items():
        about |= {key: tuple(about.get(key, ())) for key in ("folders", "splits", "classes", "by_hand")}
        if about.get("photographs_of_people"):
            about["terms"] += f" {PEOPLE}"
        found[name] = Source(name, **about)
    return found


SOURCES: dict[str, Source] = _read()
