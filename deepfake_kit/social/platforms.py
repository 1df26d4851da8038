r"""What is known of the pipelines of Facebook, Telegram and Twitter, number by number, with its source.

No platform publishes its pipeline, so each parameter carries the kind of evidence that we could find:

measured
    somebody uploaded pictures and looked at what came back;
reported
    somebody who worked there said so;
source code
    it stands in the code of the very program that does it;
inferred
    it is the default of a library that the company published, which its servers may or may not run.

The numbers stand in ``platforms.yml``. :func:`deepfake_kit.social.sensitivity` says how much depends on the inferred
ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from deepfake_kit.paths import beside

#: What the inferred parameters might be instead.
ALTERNATIVES = {"subsampling": ("4:2:0", "4:2:2", "4:4:4"), "filter": ("lanczos", "bicubic", "bilinear")}


@dataclass(frozen=True)
class Platform:
    """One documented pipeline. ``sources`` says for each parameter where the number comes from."""

    sides: tuple[int, ...]
    quality: tuple[int, int]
    subsampling: str
    progressive: bool
    filter: str
    sources: dict[str, str]


PLATFORMS = {
    name: Platform(**{**known, "sides": tuple(known["sides"]), "quality": tuple(known["quality"])})
    for name, known in beside(__file__).items()
}


def platform_table() -> pd.DataFrame:
    """List every parameter of every platform with its value, the kind of evidence and the source.

    Returns
    -------
    pandas.DataFrame
        Columns platform, parameter, value, evidence (one of the four kinds above), source.

    Examples
    --------
    >>> sorted(platform_table().evidence.unique())
    ['inferred', 'measured', 'reported', 'source code']
    """
    rows = []
    for name, platform in PLATFORMS.items():
        for parameter, source in platform.sources.items():
            value = "stripped" if parameter == "metadata" else getattr(platform, parameter)
            evidence, _, text = source.partition(":")
            rows.append((name, parameter, str(value), evidence, text.strip()))
    return pd.DataFrame(rows, columns=["platform", "parameter", "value", "evidence", "source"])
