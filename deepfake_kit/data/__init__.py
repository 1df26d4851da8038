"""Real data sets by name: found on disk, else fetched with a checksum, else a stand-in that says it is one."""

from __future__ import annotations

from deepfake_kit.data.dataset import (
    Dataset,
    Located,
    Place,
    StandInWarning,
    ensure,
    fingerprint,
    load,
    locate,
    names,
    source,
)
