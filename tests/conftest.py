"""The order of the tests."""

from __future__ import annotations

from collections import Counter


def pytest_collection_modifyitems(items) -> None:
    """Files with most slow tests first: pytest-xdist hands files out in this order, and the last should be short."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])
