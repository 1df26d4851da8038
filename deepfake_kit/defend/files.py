"""``deepfake-kit protect``: protected copies of picture files, beside their notes, whole or not at all."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from deepfake_kit import provenance
from deepfake_kit.cache import cache_folder, write_whole
from deepfake_kit.defend import editors
from deepfake_kit.defend.protect import Editor
from deepfake_kit.defend.robust import ROADS, robust
from deepfake_kit.images import open_picture
from deepfake_kit.measure.edits import mean_square
from deepfake_kit.measure.images import psnr
from deepfake_kit.paths import said
from deepfake_kit.valid import invalid, one_of, require

#: The book's own method, which looks at the face as platforms leave it, and the same ascent without them.
METHODS = {"robust": ROADS, "pgd": ()}
ENDING = ".protected.png"
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
CAVEATS = """What this is worth (chapter 10 measures it):
- It was made against the book's three small editors of drawn faces, edits blond, old and sunglasses. Other programs
  were not asked; against them expect little.
- A forger who trains an editor on protected faces undoes nearly all of it; a blur or a platform takes a part.
- It hides nothing: who is shown, where and when stays visible. Only the copy is protected, the original is not.
"""


def trained() -> list[Editor]:
    """The nine edits of the book's three editors at 64 pixels, trained once in about two minutes, then in the cache."""
    cache = Path(os.environ.get("DEEPFAKE_KIT_CACHE") or cache_folder()) / "editors"
    drawn, found = None, []
    for number, design in enumerate(editors.DESIGNS):
        file = cache / f"{design}-{provenance.module_code('defend.editors')[:16]}.pt"
        editor = editors.new_editor(design, 8, torch.Generator().manual_seed(number))
        if file.is_file():
            editor.load_state_dict(torch.load(file, weights_only=True))
        else:
            if drawn is None:
                print("Three small editors are trained once, in about two minutes.", file=sys.stderr, flush=True)
                drawn = editors.pairs(800, seed=0, size=64)
            editors.fit(editor, drawn, 360, 12, generator=torch.Generator().manual_seed(number))
            content = io.BytesIO()
            torch.save(editor.state_dict(), content)
            write_whole(file, content.getvalue())
        editor.eval().requires_grad_(False)
        found += [lambda z, editor=editor, name=name: editor.edit(z, name) for name in editors.EDITS]
    return found


def plan(source: Path, budget: float, method: str, out: Path | None = None) -> list[tuple[Path, Path]]:
    """Each picture and where its protected copy goes, once everything that was asked for is possible.

    Raises
    ------
    ValueError
        For an unknown method, a budget below one grey level or above 0.1 of the range, a folder without pictures, a
        copy that exists already, or two pictures with one copy.
    FileNotFoundError
        If `source` does not exist.
    """
    one_of("method", method, METHODS)
    valid = "0.004 (one grey level) to 0.1 of the range from black to white; the field's 0.05 on [-1, 1] is 0.025"
    require(1 / 255 <= budget <= 0.1, "--budget", f"{budget:g}", valid)
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such picture or folder")
    here = sorted(source.iterdir()) if source.is_dir() else [source]
    pictures = [p for p in here if p.suffix.lower() in SUFFIXES and not p.name.endswith(ENDING) and p.is_file()]
    require(pictures, source, "no picture", f"files ending in {', '.join(SUFFIXES)}, not in {ENDING}")
    targets = [(out or p.parent) / f"{p.stem}{ENDING}" for p in pictures]
    if twice := [t for t in targets if targets.count(t) > 1 or t.exists()]:
        raise ValueError(f"{said(twice[0])}: exists or would be written twice; nothing is ever overwritten")
    return list(zip(pictures, targets, strict=True))


def copies(
    planned: Sequence[tuple[Path, Path]], budget: float, method: str, edits: Callable[[], list[Editor]] = trained
) -> Iterator[str]:
    """Protect each picture of a :func:`plan`; yields what is to be said of each copy as soon as it is written.

    A copy and its note (``.txt``) appear whole or not at all, the note first; what exists is left as it is.

    Raises
    ------
    ValueError
        For a file that is no picture or no square of 32 to 512 pixels that 16 divides, or an editor that returns
        values that are not finite.
    FileExistsError
        If another program wrote a copy meanwhile.
    """
    opened = [np.asarray(open_picture(path)) for path, _ in planned]
    for (path, _), picture in zip(planned, opened, strict=True):
        high, wide = picture.shape[:2]
        if high != wide or high % 16 or not 32 <= high <= 512:
            raise invalid(said(path), f"{wide} x {high} pixels", "a square of 32 to 512 that 16 divides")
    known = edits()
    for (path, target), picture in zip(planned, opened, strict=True):
        x = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            weights = [1 / max(mean_square(edit(x), x).item(), 1e-4) for edit in known]
        weights = [w / max(weights) for w in weights]
        z = robust(known, x, budget, 60, torch.Generator().manual_seed(0), weights, METHODS[method])
        file = io.BytesIO()
        Image.fromarray((z[0] * 255).round().byte().permute(1, 2, 0).numpy()).save(file, "PNG")
        told = f"{said(target)}: {psnr(z, x).item():.1f} dB from {said(path.name)}, no value changed by more than "
        told += f"{budget * 255:.1f} of 255 grey levels; method {method}"
        _new(target.with_suffix(".txt"), f"{told}\n\n{CAVEATS}".encode())
        _new(target, file.getvalue())
        yield told


def _new(path: Path, content: bytes) -> None:
    """Write a file whole, and only where none is; a note that a killed run left is the same note."""
    beside = path.with_name(f".{path.name[:50]}.{os.getpid()}")
    write_whole(beside, content)
    try:
        os.link(beside, path)
    except FileExistsError:
        if path.read_bytes() != content:
            raise FileExistsError(f"{said(path)}: exists and is another file; nothing is overwritten") from None
    finally:
        beside.unlink()
