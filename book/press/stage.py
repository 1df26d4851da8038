"""From executed notebooks to a published site: stage the sources, render, inspect, swap in."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from copy import deepcopy
from pathlib import Path

import nbformat
import yaml

from deepfake_kit.notebook import claims, kept, settings
from press import (
    assets,
    atlas,
    certificate,
    code_links,
    decorate,
    feedback,
    gates,
    glossary,
    health,
    home,
    kit,
    ledger,
    live,
    mend,
    nets,
    pages,
    places,
    previews,
    report,
    sources,
    still,
    verdicts,
)
from press.course import pages as course
from press.course.notebooks import exercises

MARKS = (
    ("book/index.md", "<!-- totals -->", ledger.totals),
    ("book/ledger.md", "<!-- ledger -->", ledger.table),
    ("book/health.md", "<!-- health -->", health.table),
    ("book/health.md", "<!-- beside -->", health.beside),
    ("book/health.md", "<!-- speed -->", health.speed),
    ("book/glossary.md", "<!-- glossary -->", glossary.words),
    ("book/glossary.md", "<!-- notation -->", glossary.notation),
    ("book/kit.md", "<!-- kit -->", kit.rooms),
    ("book/atlas.md", "<!-- atlas -->", atlas.tiles),
    ("book/instructors.md", "<!-- guides -->", course.guides),
    ("book/instructors.md", "<!-- graders -->", course.graders),
)
ANNOUNCEMENT = "Made at profile {profile}, not at the size of the book: its numbers judge no paper."


def chapters(root: Path) -> list[str]:
    """The notebooks in the table of contents, in its order."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    rows = [row for part in toc["parts"] for row in part["chapters"]]
    return [row["file"].removeprefix("notebooks/") for row in rows if row["file"].startswith("notebooks/")]


def repository(root: Path) -> str:
    """Address of the repository, or an empty text where none is known."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    return os.environ.get("DEEPFAKE_BOOK_REPOSITORY", config["repository"]["url"]).rstrip("/")


def render(root: Path, plan: dict, site: str) -> int:
    """Render and inspect one site; returns 0 if it may be published.

    Everything happens under ``_build/sites/<site>``; what is wrong is listed there in ``problems.txt``.
    """
    folder = places.build(root) / "sites" / site
    shutil.rmtree(folder, ignore_errors=True)
    source = folder / "source"
    source.mkdir(parents=True)
    results = _stage(root, plan, source)
    problems = _sphinx(source, folder)
    if plan["profile"] == "book":  # the verdicts are approved at this size; at another one they judge nothing
        problems += verdicts.problems(results)
    if not problems:
        os.replace(source / "_build" / "html", folder / "html")
        # A reader who downloads the page gets the executed notebook, not its dressed copy.
        shutil.copytree(folder / "downloads", folder / "html" / "_sources" / "notebooks", dirs_exist_ok=True)
        finish(folder / "html", results, places.build(root) / "third_party", repository(root))
        (folder / "html" / "results.json").write_text(json.dumps(results), encoding="utf-8")
        problems = gates.run(folder / "html", results, pages=pages.toc_pages(root / "_toc.yml"))
    if problems:
        (folder / "problems.txt").write_text("\n".join(f"- {problem}" for problem in problems) + "\n", encoding="utf-8")
        return 1
    shutil.rmtree(source)
    (folder / "complete").write_text(json.dumps(manifest(folder / "html")), encoding="utf-8")
    return 0


def finish(site: Path, results: list[dict], third_party: Path, address: str = "") -> None:
    """What is done to the rendered pages before they are inspected."""
    mend.mend(site)
    feedback.write(site, results, address)
    code_links.link(site)
    previews.write(site)
    still.write(site, third_party)


def manifest(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its path inside."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def whole(folder: Path) -> bool:
    """Whether the finished site in `folder` still is what was rendered: its files are those of its manifest."""
    try:
        return json.loads((folder / "complete").read_text(encoding="utf-8")) == manifest(folder / "html")
    except (OSError, ValueError):
        return False


def publish(folder: Path, site: str, profile: str) -> Path:
    """Make ``html`` in the build's folder (``html-<profile>`` for another profile) show a finished site, atomically.

    It leads to a copy. Whatever is written through it, by Jupyter Book's own command for one, which takes the same
    folder, leaves the finished site alone; a copy that differs from the site is replaced.
    """
    target = folder / ("html" if profile == "book" else f"html-{profile}")
    finished = folder / "sites" / site
    expected = json.loads((finished / "complete").read_text(encoding="utf-8"))
    if target.is_symlink() and os.readlink(target).startswith(f"shown/{site}-") and manifest(target) == expected:
        return target
    (folder / "shown").mkdir(exist_ok=True)
    copy = Path(tempfile.mkdtemp(prefix=f"{site}-", dir=folder / "shown"))
    shutil.copytree(finished / "html", copy, dirs_exist_ok=True)
    copy.chmod(0o755)
    link = folder / f".html.{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(copy.relative_to(folder))
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    os.replace(link, target)
    return target


def _stage(root: Path, plan: dict, source: Path) -> list[dict]:
    """Lay out Sphinx's source folder; returns the chapters' results."""
    address = repository(root)
    others = shutil.ignore_patterns("press", "static", "live", "Snakefile", "__pycache__")
    places.copied(root / "book", source / "book", ignore=others)
    shutil.copyfile(root / "_toc.yml", source / "_toc.yml")
    (source / "_config.yml").write_text(
        yaml.safe_dump(_config(root, address, plan["profile"]), sort_keys=False), encoding="utf-8"
    )
    (source / "notebooks").mkdir()
    downloads = source.parent / "downloads"
    downloads.mkdir()
    results, cards, thumbnails, contents = [], [], {}, pages.toc_pages(root / "_toc.yml")
    asked, wheel = {}, assets.numpy_wheel(fetch=False)
    ready = nets.write(source / "_extra" / nets.PLACE, list(plan["chapters"]), root)
    for name, row in plan["chapters"].items():
        executed = places.build(root) / "executed" / plan["profile"] / name / row["key"]
        notebook = nbformat.read(executed / "notebook.ipynb", as_version=4)
        (downloads / f"{name}.ipynb").write_text(sources.download(notebook, address), encoding="utf-8")
        for folder, pictures in ((mend.NIGHT, decorate.nights(notebook)), (mend.KEPT, decorate.evenings(notebook))):
            for anchor, picture in pictures.items():
                path = source / "_extra" / folder / f"{anchor}.webp"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(picture)
        thumbnails |= atlas.pictures(notebook)
        result = json.loads((executed / "results.json").read_text(encoding="utf-8"))
        cards.append(home.card(notebook, result, source / "_extra"))
        shown = settings.load(name).shown
        if exercises(notebook):
            asked[name] = deepcopy(notebook)
        dressed = decorate.decorated(notebook, int(name[:2]), shown, address, name, wheel is not None, ready)
        nbformat.write(dressed, source / "notebooks" / f"{name}.ipynb")
        if found := kept.load(name, root):
            result["kept"] = [record for record in found.about["records"] if record["type"] == "claim"]
            result["kept_networks"] = [record["id"] for record in found.about["records"] if record["type"] == "network"]
        results.append(result)
    for page, mark, make in (
        *MARKS,
        ("book/index.md", "<!-- home -->", lambda _: home.page(cards)),
        ("book/certificate.md", "<!-- certificate -->", lambda _: certificate.page(root)),
    ):
        path = source / page
        if page.removesuffix(".md") not in contents:  # no page is made of it
            continue
        text = path.read_text(encoding="utf-8")
        if mark not in text:
            raise ValueError(f"{page} has no line {mark}")
        path.write_text(text.replace(mark, make(results)), encoding="utf-8")
    for paper in claims.papers():
        page = report.article(paper, results, book=True)
        (source / "book" / f"work-{paper}.md").write_text(page, encoding="utf-8")
    ledger.write(source / "_extra" / "book", results)
    atlas.write(source / "_extra" / "book" / "atlas", thumbnails)
    if "file: book/kit" in (source / "_toc.yml").read_text(encoding="utf-8"):
        kit.write(source / kit.FILE)
    assets.copy(source, places.build(root) / "third_party")
    if any(name.startswith("05_") for name in plan["chapters"]):
        live.market(source / "_extra" / "_static" / "live", places.build(root) / "third_party")
    if wheel and asked:
        live.write(source / "_extra" / live.PLACE, places.build(root) / "third_party" / "node_modules", wheel, asked)
    return results


def _config(root: Path, address: str, profile: str) -> dict:
    """The book's configuration, with launch buttons if the repository is known."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    if profile != "book":
        config["html"]["announcement"] = ANNOUNCEMENT.format(profile=profile)
    if not address:
        del config["repository"]
        return config
    # Colab opens the copies on the branch `colab`, whose first cells know this address.
    config["repository"] = {"url": address, "branch": "colab", "path_to_book": ""}
    config["launch_buttons"] = {"colab_url": "https://colab.research.google.com", "notebook_interface": "classic"}
    config["html"]["use_repository_button"] = True
    return config


def _sphinx(source: Path, folder: Path) -> list[str]:
    """Run Jupyter Book strictly; returns its complaints."""
    # Its own script may lie below a path that no shell can read.
    start = "import press; from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", str(source), "-W", "-n", "--keep-going"]
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env={**os.environ, "NO_COLOR": "1"}
    )
    (folder / "sphinx.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode == 0 and (source / "_build" / "html" / "index.html").is_file():
        return []
    said = [
        line.replace(str(source), "").strip()
        for line in (done.stdout + done.stderr).splitlines()
        if "WARNING" in line or "ERROR" in line or "rror:" in line
    ]
    return [f"Sphinx: {line}" for line in dict.fromkeys(said)] or [f"Sphinx failed; see {folder / 'sphinx.log'}"]
