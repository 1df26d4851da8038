#!/usr/bin/env python3
"""Fetch, import, verify and list the data sets of the book; nothing is taken before its terms are accepted.

Usage::

    python data_scripts/fetch.py list
    python data_scripts/fetch.py fashion-mnist --accept-terms
    python data_scripts/fetch.py trueface --accept-terms --from ~/Downloads/TrueFace
    python data_scripts/fetch.py verify fashion-mnist
"""

from __future__ import annotations

import argparse
import filecmp
import os
import sys
import zipfile
from pathlib import Path

try:
    import deepfake_kit  # noqa: F401
except ImportError:  # run from a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deepfake_kit import cache, data, paths
from deepfake_kit.data import downloads, hashes, places, readers
from deepfake_kit.data import folders as face_folders
from deepfake_kit.data.sources import SOURCES, Source
from deepfake_kit.valid import one_of

MANIFEST = "MANIFEST.sha256"
SETS = [name for name in SOURCES if name not in ("emnist-balanced", "emnist-mnist")]


def main(arguments: list[str] | None = None) -> int:
    """Run one sub-command; 0 when it worked, 1 when a set is missing or damaged, 2 for bad usage or terms."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "list":
            return _list(options.root)
        if options.command == "verify":
            return _verify(options.sets or SETS, options.root, options.deep, named=bool(options.sets))
        return _fetch(SOURCES[options.command], options)
    except BrokenPipeError:  # the reader of our output, say `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], epilog="A cut download goes on where it stopped."
    )
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--root", type=Path, help="data folder (default: $DEEPFAKE_KIT_DATA, else the user's cache)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in SETS:
        command = commands.add_parser(name, parents=[where], help=SOURCES[name].title)
        command.add_argument("--accept-terms", action="store_true", help="you have read the terms and accept them")
        command.add_argument(
            "--from",
            dest="given",
            type=Path,
            metavar="PATH",
            help="import files that you obtained yourself: a file, or the folder that holds them",
        )
        command.add_argument("--quiet", action="store_true", help="no progress bar")
    verify = commands.add_parser("verify", parents=[where], help="check files against checksums and manifests")
    verify.add_argument("sets", nargs="*", metavar="SET", type=_set, help="default: every set that is here")
    verify.add_argument("--deep", action="store_true", help="also decode every picture")
    commands.add_parser("list", parents=[where], help="which sets are where, and on which terms")
    return parser


def _set(name: str) -> str:
    try:
        return one_of("data set", name, SETS)
    except ValueError as error:  # of which argparse would leave out the words
        raise argparse.ArgumentTypeError(str(error)) from None


def _root(given: Path | None) -> Path:
    if given is not None:
        return paths.absolute(given)
    if os.environ.get("DEEPFAKE_KIT_DATA"):
        return paths.absolute(os.environ["DEEPFAKE_KIT_DATA"])
    return cache.cache_folder()


def _found(name: str, root: Path | None) -> list[data.Place]:
    """Where a set is: in the folder asked for and nowhere else; without one, anywhere."""
    return [place for place in data.locate(name, root) if place.found and (root is None or place.where == "root=")]


def _list(root: Path | None) -> int:
    for name in SETS:
        found = _found(name, root)
        print(f"{name:16} {SOURCES[name].title}")
        print(f"{'':16} licence: {SOURCES[name].licence}")
        for place in found:
            splits = ", ".join(place.splits)
            print(f"{'':16} {'used' if place.used else 'also'}: {place.folder} ({place.variant}: {splits})")
        if not found:
            way = "download with this script" if SOURCES[name].urls else "to be asked for by hand"
            print(f"{'':16} not here; {way}")
    return 0


def _fetch(wanted: Source, options: argparse.Namespace) -> int:
    root = _root(options.root)
    print(f"{wanted.title}\n\nLicence:  {wanted.licence}\nTerms:    {wanted.terms}\nCite:     {wanted.citation}\n")
    if not options.accept_terms:
        print("Nothing was fetched. If you accept these terms, run the command again with --accept-terms.")
        return 2
    if options.given is not None:
        folder = _import(wanted, options.given.expanduser(), root)
    elif _here(wanted.name, options.root):
        print("Already here.")
        return _verify([wanted.name], options.root, deep=False, named=True)
    elif wanted.urls:
        folder = downloads.fetch(wanted, root, progress=not options.quiet)
    else:
        steps = "\n".join(f"  {i}. {step.format(root=root)}" for i, step in enumerate(wanted.by_hand, 1))
        message = f"This set cannot be downloaded by a script; it must be requested by hand:\n{steps}"
        print(message, file=sys.stderr)
        return 1
    print(f"In place: {folder}")
    return _verify([wanted.name], root, deep=False, named=True)


def _here(name: str, root: Path | None) -> bool:
    """Whether every split is in the folder asked for; without --root, anywhere."""
    return any(set(SOURCES[name].splits) <= set(place.splits) for place in _found(name, root))


def _import(wanted: Source, given: Path, root: Path) -> Path:
    """Copy or unpack the files of the set, and nothing else, into its folder; check them and write its manifest."""
    if not given.exists():
        raise FileNotFoundError(f"--from {given}: no such file or folder")
    files = _belonging(wanted, given)
    for path in files:
        expected = places.published(path.name, wanted)
        if expected and hashes.of_file(path) not in expected:
            found = hashes.plain(path)
            raise ValueError(
                f"{path}: wrong checksum: expected {expected[0]}, found sha256 {found}. Nothing was imported."
            )
    folder = root / wanted.folders[0]
    for path, inside in files.items():
        if inside is None:
            _copy(path, folder / (path.relative_to(given) if given.is_dir() else path.name))
        else:
            print(f"unpacking {path.name}")
            home = folder / "raw" if wanted.name == "emnist" else folder
            downloads.unpack(path, home, inside, wanted.sha256)
    if not any(place.found and place.folder.is_relative_to(folder) for place in data.locate(wanted.name, root)):
        raise ValueError(
            f"--from {given}: {len(files)} files of it belong to {wanted.title}, and they are not {wanted.title} in a "
            f"known layout. Expected: {' '.join(wanted.by_hand) or ', '.join(wanted.sha256)}"
        )
    _write_manifest(folder)
    return folder


def _belonging(wanted: Source, given: Path) -> dict[Path, dict[str, str] | None]:
    """Files of the set in what was given: None for one to copy, for an archive its members and their names here."""
    layout = face_folders.LAYOUTS.get(wanted.name)
    paths = [given] if given.is_file() else sorted(path for path in given.iterdir() if path.is_file())
    if given.is_dir() and layout is not None and layout.find(given) is not None:
        paths = sorted(path for path in given.rglob("*") if path.is_file())
    belonging, others = {}, []
    for path in paths:
        relative = path.relative_to(given).as_posix() if given.is_dir() else path.name
        packed = path.suffix == ".zip" and path.name not in wanted.sha256
        members = _members(wanted, path) if packed and not hashes.leftover(path.name) else {}
        if members:
            belonging[path] = members
        elif not packed and _is_part(wanted, relative):
            belonging[path] = None
        else:
            others.append(relative)
    if others:
        print(f"left alone: {len(others):,} files that are no part of the set, the first is {others[0]}")
    return belonging


def _members(wanted: Source, archive: Path) -> dict[str, str]:
    """Files of the set in an archive, each with its name in the set's folder."""
    try:
        with zipfile.ZipFile(archive) as packed:
            names = [info.filename for info in packed.infolist() if not info.is_dir()]
    except zipfile.BadZipFile as error:
        raise ValueError(f"{archive}: truncated or damaged archive ({error})") from error
    flat = wanted.name not in face_folders.LAYOUTS
    return {name: name.rpartition("/")[2] if flat else name for name in names if _is_part(wanted, name)}


def _is_part(wanted: Source, relative: str) -> bool:
    name = relative.rpartition("/")[2]
    layout = face_folders.LAYOUTS.get(wanted.name)
    published = bool(places.published(name, wanted)) and not any(map(hashes.leftover, relative.split("/")))
    return published or (layout is not None and layout.holds(relative))


def _copy(source: Path, target: Path) -> None:
    if target.is_file() and filecmp.cmp(source, target, shallow=False):  # of one size and damaged is not the same
        return
    cache.write_whole(target, source.read_bytes())


def _write_manifest(folder: Path) -> None:
    lines = [
        f"{hashes.plain(path)}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST and not hashes.leftover(path.name)
    ]
    cache.write_whole(folder / MANIFEST, "".join(lines).encode(errors="surrogateescape"))  # names are bytes
    print(f"manifest of {len(lines):,} files written")


def _verify(sets: list[str], root: Path | None, deep: bool, named: bool) -> int:
    bad, everywhere = 0, {name: _found(name, root) for name in sets}
    if not any(everywhere.values()) and not named:
        print(f"no set is in {root or 'any place where the kit looks'}")
        return 1
    for name, found in everywhere.items():
        if not found and named:
            print(f"{name}: not found")
            bad += 1
        for place in found:
            problems = _problems(name, place, deep)
            state = "damaged" if problems else "good"
            print(f"{name}: {place.folder} ({place.variant}): {state}")
            for problem in problems:
                print(f"  {problem}")
            bad += bool(problems)
    return 1 if bad else 0


def _problems(name: str, place: data.Place, deep: bool) -> list[str]:
    """What is wrong with the files of one place; every hash is computed anew."""
    problems = []
    for path, _, _ in place.files:
        expected = places.published(path.name, SOURCES[name])
        try:
            found = hashes.plain(path)
        except OSError as error:
            problems.append(f"{path}: cannot be read ({error.strerror})")
            continue
        if expected and found not in expected:
            problems.append(f"{path}: wrong checksum: expected {expected[0]}, found {found}")
    homes = (place.folder, *place.folder.parents[:2])
    manifest = next((home / MANIFEST for home in homes if (home / MANIFEST).is_file()), None)
    if manifest is not None:
        problems += _against_manifest(manifest)
    layout = None if place.files else face_folders.LAYOUTS.get(name)
    for split in place.splits if layout is not None else ():
        try:
            index = layout.index(place.folder, split)
        except ValueError as error:
            problems.append(str(error))
            continue
        problems += _undecodable(index.paths) if deep else []
    return problems


def _against_manifest(manifest: Path) -> list[str]:
    problems = []
    for line in manifest.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines():
        expected, _, listed = line.partition("  ")
        path = manifest.parent / listed
        found = hashes.plain(path) if path.is_file() else "no such file"
        if found != expected:
            problems.append(f"{path}: not as in {MANIFEST}: expected {expected}, found {found}")
    return problems


def _undecodable(paths: list[Path]) -> list[str]:
    problems = []
    for path in paths:
        try:
            readers.read_image(path)
        except ValueError as error:
            problems.append(str(error))
    return problems


if __name__ == "__main__":
    sys.exit(main())
