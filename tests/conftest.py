"""The order of the tests, and what a rule that several files share says when it fails."""

from __future__ import annotations

from collections import Counter

import pytest

pytest.register_assert_rewrite("drawn", "shown")  # their asserts say what was found, as a test's own do


def pytest_collection_modifyitems(items) -> None:
    """The longest files first: pytest-xdist hands files out in this order, and the last should be short."""
    seconds = Counter()
    for item in items:
        if mark := item.get_closest_marker("slow"):
            seconds[item.path] += mark.args[0] if mark.args else 20
    items.sort(key=lambda item: -seconds[item.path])
