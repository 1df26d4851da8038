"""What the tests of the pages share: a browser, axe-core, the built site."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
import small_book
from press import assets, browser, places

ROOT = Path(__file__).resolve().parents[2]
THIRD_PARTY = places.build(ROOT) / "third_party"


def missing(reason: str) -> None:
    """Skip, or fail where everything must be there (CI=true)."""
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        pytest.fail(f"with CI set this must not be absent: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium():
    """A running headless browser."""
    if not browser.can_browse():
        missing(browser.HOW_TO_GET_ONE)
    with browser.open_browser() as running:
        yield running


@pytest.fixture(scope="session")
def third_party(tmp_path_factory) -> Path:
    """The folder of the pinned scripts; installed to a temporary place where no build has done so."""
    if assets.is_installed(THIRD_PARTY):
        return THIRD_PARTY
    folder = tmp_path_factory.mktemp("third_party")
    try:
        assets.install(folder)
    except assets.AssetError as error:
        missing(f"the pinned scripts are not installed (make book does it): {error}")
    return folder


@pytest.fixture(scope="session")
def axe(third_party) -> str:
    """The source of axe-core."""
    return assets.axe_script(third_party).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    """The small book, built once for all tests and all of pytest's processes; who changes it takes a copy."""
    base = tmp_path_factory.getbasetemp()
    # The processes of pytest-xdist have a folder each, side by side in the session's.
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "small"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (folder := shared / "book").exists():
            made = small_book.make_book(shared / "making")
            done = small_book.press(made, "build")
            assert done.returncode == 0, done.stdout + done.stderr
            made.rename(folder)
    return folder


@pytest.fixture(scope="session")
def site() -> Path:
    """The published site, or the one that BOOK_SITE names."""
    folder = Path(os.environ.get("BOOK_SITE", places.build(ROOT) / "html"))
    if not (folder / "index.html").is_file():
        if os.environ.get("BOOK_LEFT_OUT"):  # by .ci/run, where a slow machine has no time for it
            pytest.skip("the book was left out")
        missing("the book is not built: make book, then make site-test")
    return folder.resolve()
