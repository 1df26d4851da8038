"""Networks that others trained, by name: found on disk, else fetched, checked and converted once.

What each is, may be used for and where it lies says ``registry.yml``; :func:`load` is offered as
``deepfake_kit.weights``.
"""

from __future__ import annotations

from deepfake_kit.pretrained.store import (
    MISSING,
    Missing,
    Weights,
    ensure,
    find,
    fingerprint,
    load,
    locate,
    names,
    read,
)
