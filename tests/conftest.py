"""The order of the tests."""

from __future__ import annotations


def pytest_collection_modifyitems(items) -> None:
    """Files with slow tests first: pytest-xdist hands the files out in this order, and the last one should be short."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
