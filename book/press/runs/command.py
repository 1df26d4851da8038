"""The commands ``deepfake-kit run``, ``reproduce`` and ``report``, for a copy of the repository."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tqdm import tqdm

from deepfake_kit import data, paths
from deepfake_kit.cache import write_whole
from deepfake_kit.notebook import bands, claims, kept, settings
from deepfake_kit.valid import one_of, whole
from press import places, report
from press.runs import execute, keep, reproduce, results, source


def _checked(options) -> tuple[settings.Chapter, dict]:
    """The chapter and the overrides that the command line names, or a ValueError before anything runs."""
    parameters = source.parse_parameters(options.parameters)
    if "profile" in parameters:
        raise ValueError(f"the profile is given as --profile {parameters['profile']}, not as a parameter")
    name = next((name for name in settings.chapters() if name[:2] == options.chapter.zfill(2)), options.chapter)
    about = settings.load(name)
    one_of("profile", options.profile, settings.PROFILES)
    if options.keep and (options.profile != settings.KEPT or parameters):
        raise ValueError(
            f"--keep: got --profile {options.profile} with {parameters or 'no parameters'}; "
            f"valid: --profile {settings.KEPT} at the notebook's own parameters"
        )
    if options.output:
        execute.checked_output(options.output, paths.notebooks())
    notebook = paths.notebooks() / f"{name}.ipynb"
    if notebook.is_file():
        values = source.checked_parameters(notebook, {**parameters, "profile": options.profile})
        whole("seed", values.get("seed", 0), 0, 2**53)  # a run's generators take 1000 times the seed, in 64 bits
        for each in about.data_sets(values):
            data.source(each)  # raises, and lists the valid names
    return about, parameters


def _executed(about: settings.Chapter, profile: str, parameters: dict | None = None, **options) -> Path:
    """Execute a chapter with a bar of its progress."""
    with tqdm(total=1, desc=f"{about.name} ({profile})", unit="cell", file=sys.stderr) as bar:

        def show(done: int, total: int, seconds: float) -> None:
            bar.total, bar.n = total, done
            left = 60 * about.minutes[profile] - seconds
            bar.set_postfix_str(f"about {left:.0f} s left" if left > 0 else "longer than stated")

        return execute.run(
            about.name,
            profile,
            parameters,
            progress=show,
            check=lambda found: results.other_data(found["data"]),
            **options,
        )


def _run(options) -> int:
    about, parameters = _checked(options)
    code = keep.code(about.name) if options.keep else {}
    networks = tempfile.TemporaryDirectory()
    with networks, paths.variables({kept.FOLDER: networks.name} if options.keep else {}):
        path = _executed(about, options.profile, parameters, limit_seconds=options.limit, output=options.output)
        if options.keep:
            print(f"kept in {keep.write(path, Path(networks.name), kept.folder(about.name), code)}")
    found = results.collect(path)
    kinds = ("figure", "table", "explorable", "claim", "check")
    counts = ", ".join(f"{sum(r['type'] == kind for r in found['records'])} {kind}s" for kind in kinds)
    print(f"{path}\n{counts}; {found['seconds']:.0f} s, {found['peak_memory_mb']:.0f} MiB at most")
    if stand_ins := sorted({row["name"] for row in found["data"] if row["stand_in"]}):
        print(f"STAND-IN DATA: {', '.join(stand_ins)} could not be found; see deepfake-kit doctor")
    print("\n".join(bands.report(found, found["chapter"], found["profile"], found["records"])))
    return 0


def _reproduce(options) -> int:
    folder = paths.notebooks()
    one_of("profile", options.profile, settings.PROFILES)
    chapter, kind, id = reproduce.find(options.id, folder)
    if kind == "claim":
        row = claims.find(id)
        print(f"{id}: {claims.load(id.partition('-')[0])[0]['short']}, {row.label}. {row.states}")
    if chapter is None:
        print(f"verdict: {row.verdict}, by {claims.EVIDENCE[row.evidence]}; no run speaks to it. {row.reason or ''}")
        return 0
    path = _executed(settings.load(chapter), options.profile)
    picture = path.with_name(f"{path.stem}-{id}.png")
    if kind == "figure":
        picture.write_bytes(results.pictures(path)[id])
    theirs = reproduce.book(chapter, options.profile, folder.parent)
    print("\n".join(reproduce.lines(kind, id, results.collect(path), theirs, picture)))
    return 0


def _report(options) -> int:
    out = paths.absolute(options.out) if options.out else None
    if out and (out.is_dir() or options.out.endswith("/")):
        raise ValueError(f"--out: got {options.out!r}, a folder; valid: a file's name, such as {options.paper}.md")
    built = paths.absolute(options.results or places.build(paths.notebooks().parent) / "html" / "results.json")
    if options.results and not built.is_file():
        raise ValueError(f"--results: no file {options.results!r}; valid: the results.json of a built book")
    try:
        found = json.loads(built.read_text(encoding="utf-8")) if built.is_file() else []
        if type(found) is not list or not all({"chapter", "records"} <= row.keys() for row in found):
            raise ValueError("no chapters with their records")
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"--results: got {built} ({error}); valid: the results.json of a built book") from None
    text = report.article(options.paper, found)
    write_whole(out, text) if out else print(text)
    return 0


COMMANDS = {"report": _report, "reproduce": _reproduce, "run": _run}
