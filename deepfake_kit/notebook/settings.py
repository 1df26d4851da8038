"""What a chapter is set to: one YAML file a chapter, one column a profile.

The files are ``deepfake_kit/chapters/<chapter>.yml``. A setting gives its value
for each profile, a unit and the reason for the scaling, so that a page can show
the reader what was made smaller and by how much.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import yaml

from deepfake_kit.valid import one_of

PROFILES = ("smoke", "book", "long", "paper")
KEPT = "long"  # the profile whose results are kept: an evening on two cores
FOLDER = Path(__file__).parents[1] / "chapters"


@dataclass(frozen=True)
class Chapter:
    """One chapter's file: title, minutes, data, settings, what it writes out, and the weights each profile opens."""

    name: str
    title: str
    minutes: dict[str, float]
    data: tuple[str, ...]
    settings: dict[str, dict]
    shown: tuple[str, ...] = ()
    weights: dict[str, list[str]] = field(default_factory=dict)

    @property
    def number(self) -> str:
        """The two digits that the chapter's name begins with."""
        return self.name[:2]

    def at(self, profile: str) -> SimpleNamespace:
        """The settings of one profile, as attributes."""
        one_of("profile", profile, PROFILES)
        return SimpleNamespace(**{name: row[profile] for name, row in self.settings.items()})

    def data_sets(self, parameters: dict) -> list[str]:
        """The data sets that a run with these parameters opens; a name may stand in a parameter or in a setting."""
        known = {**vars(self.at(parameters.get("profile", "book"))), **parameters}
        return [name.format(**known) for name in self.data]


def chapters() -> list[str]:
    """The names of all chapters that exist, in the order of their numbers."""
    return sorted(path.stem for path in FOLDER.glob("*.yml"))


def load(chapter: str) -> Chapter:
    """Read one chapter's file. What states no value for ``long`` takes the one of ``book``.

    Raises
    ------
    ValueError
        If there is no such chapter, or a setting lacks a profile.

    Examples
    --------
    >>> load("02_diffusion_math").number
    '02'
    """
    one_of("chapter", chapter, chapters())
    text = yaml.safe_load((FOLDER / f"{chapter}.yml").read_text(encoding="utf-8"))
    settings = text.get("settings") or {}
    for row in (text["minutes"], *settings.values()):
        row.setdefault(KEPT, row.get("book"))
    for name, row in settings.items():
        missing = [profile for profile in PROFILES if profile not in row]
        if missing:
            raise ValueError(f"chapter {chapter}: setting {name!r} has no value for profile {', '.join(missing)}")
    weights = {KEPT: (text.get("weights") or {}).get("book", []), **(text.get("weights") or {})}
    for profile in weights:
        one_of(f"profile under weights: in chapter {chapter}", profile, PROFILES)
    data, shown = (tuple(text.get(key) or ()) for key in ("data", "shown"))
    return Chapter(chapter, text["title"], text["minutes"], data, settings, shown, weights)
