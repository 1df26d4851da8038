"""The commands that take pictures or fetch weights: ``deepfake-kit detect``, ``protect`` and ``fetch-weights``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from deepfake_kit import paths
from deepfake_kit.cache import write_whole
from deepfake_kit.valid import invalid, one_of, spelt


def add(commands) -> None:
    """Give the command line its subcommands."""
    look = commands.add_parser(
        "detect",
        help="score pictures with a teaching detector",
        description="Score pictures with a teaching detector. No verdict on a picture or a person should rest on it.",
    )
    look.add_argument("pictures", metavar="IMAGE_OR_FOLDER", help="of any size and format")
    look.add_argument(
        "--model",
        default="clip-depths",
        metavar="NAME_OR_PATH",
        help="default: %(default)s; drawn-spectrum needs no download",
    )
    look.add_argument("--csv", metavar="FILE", help="also write the scores there; it must not exist")
    look.add_argument("--explain", metavar="FOLDER", help="write a map of what spoke for fake, one a picture, there")
    look.set_defaults(command=_detect)

    guard = commands.add_parser("protect", help="protected copies of pictures, against the book's small editors")
    guard.add_argument("source", metavar="IMAGE_OR_FOLDER", help="square pictures of 32 to 512 pixels, in steps of 16")
    number, largest = spelt(float, "a number"), "largest change, a share of the range; default: 0.025"
    guard.add_argument("--budget", type=number, default=0.025, help=largest)
    guard.add_argument("--method", default="robust", help="robust (default: through platforms) or pgd")
    guard.add_argument("--out", metavar="FOLDER", help="where the copies go; default: beside the pictures")
    guard.set_defaults(command=_protect)

    weights = commands.add_parser("fetch-weights", help="get pretrained weights, for a lab without network")
    weights.add_argument("names", nargs="*", metavar="NAME", help="which ones; default: all")
    weights.add_argument("--to", metavar="FOLDER", help="also copy them there; let $DEEPFAKE_KIT_WEIGHTS name it")
    weights.set_defaults(command=_fetch_weights)


def _written(option: str, given: str | None, folder: bool = False) -> Path | None:
    """Where a command may write, as it was asked; a ValueError that names the option before any work is done."""
    if given is None:
        return None
    place = paths.absolute(given)
    above = next(path for path in (place, *place.parents)[not folder :] if path.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise invalid(option, f"{given!r}, but {above} is no folder to write in", "a place that is")
    return place


def _refused(path: Path) -> Exception | None:
    """Why a file cannot be read as a picture."""
    from deepfake_kit.data.readers import read_image

    try:
        read_image(path)
    except (ValueError, OSError) as error:
        return error


def _detect(options) -> int:
    import csv
    import io

    import torch
    from tqdm import tqdm

    from deepfake_kit.data import readers
    from deepfake_kit.detect import detector as d

    files = d.pictures_in(paths.absolute(options.pictures))
    table, maps = _written("--csv", options.csv), _written("--explain", options.explain, folder=True)
    if table and (table.exists() or maps and table in (maps, *maps.parents)):
        raise invalid("--csv", f"{options.csv!r}, which exists or is --explain's", "a new file, nothing is overwritten")
    if maps and maps.exists() and (not maps.is_dir() or any(maps.iterdir())):
        raise invalid("--explain", f"{options.explain!r}, which is not empty", "a new or empty folder")
    detector = None if all(map(_refused, files)) else d.load(options.model)  # a network takes its time to load
    if detector:
        print(detector.said(), file=sys.stderr)
    rows, names = [], [os.path.relpath(path, paths.here()) for path in files]
    names = [f"./{name}" if name[0] in "=+-@" else name for name in names]  # a spreadsheet would take them for formulas
    try:
        for name, path in zip(names, tqdm(files, unit="picture", file=sys.stderr), strict=True):
            try:
                image, pixels = detector.open(path) if detector else readers.read_image(path)
            except (ValueError, OSError) as error:
                tqdm.write(f"deepfake-kit: skipped: {error}", file=sys.stderr)
                rows.append([name, "", "", "", "not read"])
                continue
            with torch.inference_mode():
                odds, distance = (float(x) for x in detector(image[None]))
                if maps:
                    drawn = io.BytesIO()
                    d.drawn_map(image, detector.occlusion(image)).save(drawn, "PNG")
                    write_whole(maps / f"{len(rows) + 1:04d}-{path.stem[:50]}.png", drawn.getvalue())
            why, score = detector.cannot_say(distance, pixels), f"{torch.tensor(odds).sigmoid():.3f}"
            rows.append([name, "" if why else score, f"{odds:.4f}", f"{distance:.4f}", why and f"cannot say: {why}"])
            tqdm.write(f"{paths.said(name)}: {f'cannot say ({why})' if why else f'probability of fake {score}'}")
    finally:  # who stops it keeps what was looked at
        rows += [[name, "", "", "", "not looked at"] for name in names[len(rows) :]]
        if table:
            text = io.StringIO()
            csv.writer(text).writerows([["picture", "probability of fake", "log-odds", "distance", "remark"], *rows])
            write_whole(table, text.getvalue().encode("utf-8", "backslashreplace"))  # a file's name need not be text
    return int(any(row[-1] == "not read" for row in rows))


def _fetch_weights(options) -> int:
    from deepfake_kit import pretrained

    names = [one_of("weights", name, pretrained.names()) for name in options.names]
    folder = _written("--to", options.to, folder=True)
    for name in names or pretrained.names():
        found = pretrained.load(name)
        path = found.path
        if folder and path.parent != folder:
            write_whole(folder / path.name, path.read_bytes())
            path = folder / path.name
            pretrained.read(name, path)
        print(f"{path}: {path.stat().st_size:,} bytes, sha256 of the arrays {found.sha256}, from {found.source}")
    return 0


def _protect(options) -> int:
    from deepfake_kit.defend import files

    out = _written("--out", options.out, folder=True)
    planned = files.plan(paths.absolute(options.source), options.budget, options.method, out)
    for told in files.copies(planned, options.budget, options.method):
        print(told)
    print(f"\n{files.CAVEATS}", end="")
    return 0
