r"""The contest: the book's own forgers, detectors and editor, what an entry is asked, and the leaderboard.

An entry meets the *other* side of the book's on pictures drawn from a secret seed:

========  ===========================  ==================================================================
entry     cells                        number
========  ===========================  ==================================================================
forger    each detector and platform   share of pairs that the detector gets wrong, 1 - AUC
detector  each forger and platform     AUC
defence   each platform                harm to the edit of an editor it never met, over that of noise at the bound
========  ===========================  ==================================================================

The points are the mean over the cells. Labels never enter the entry's process: it returns scores or pictures, and the
counting is done here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepfake_kit import cache, social
from deepfake_kit.arena import sandbox
from deepfake_kit.arena.sandbox import Entry, Refused
from deepfake_kit.defend import editors
from deepfake_kit.detect.simclr import linear_probe
from deepfake_kit.faces.studio import crop, footage, portraits
from deepfake_kit.generators import kinds, zoo
from deepfake_kit.measure import spectra
from deepfake_kit.measure.edits import mean_square
from deepfake_kit.measure.scores import Z, auc, delong_interval
from deepfake_kit.valid import invalid

SIDE, EPSILON = 32, 0.025
TARGET = 16  # of the drawn population: whom the swap imitates
PLACES = ("none", *social.PLATFORMS)


def to_file(images: Tensor) -> Tensor:
    """What a picture file holds: whole multiples of 1/255. Otherwise the type of the numbers tells fake from real."""
    return (images.clamp(0, 1) * 255).round() / 255


def share(images: Tensor, place: str, seed: int) -> Tensor:
    """Through a platform, or, for "none", only through a file."""
    return to_file(images) if place == "none" else social.share(to_file(images), place, seed)


def thumbnail(images: Tensor) -> Tensor:
    """Content without traces: the picture averaged down to 8 by 8 pixels."""
    return torch.nn.functional.adaptive_avg_pool2d(images, 8).flatten(1)


def spectrum(images: Tensor) -> Tensor:
    """Traces without content: the logarithm of each residual's power, averaged over rings of equal frequency."""
    power = torch.fft.fftshift(torch.fft.fft2(spectra.residual(images)), dim=(-2, -1)).abs().square().mean(1)
    return torch.stack([spectra.radial_average(one)[1] for one in power]).clamp(min=1e-9).log()


def training_faces(kind: str, n: int = 4000) -> Tensor | list[Tensor]:
    """What a forger learns from: n portraits, as in chapter 1, or for "swap" n // 10 frames of either person."""
    if kind == "swap":
        films = (footage(person, n // 10, kinds.FOOTAGE_SEED) for person in (kinds.SOURCE, TARGET))
        return [crop(film.images, SIDE) for film in films]
    return portraits(n, 2101, SIDE).images


def real_faces(kind: str, n: int, seed: int, start: int = 0) -> Tensor:
    """Genuine pictures to hold a forger's against: new portraits, or for "swap" new films of the person imitated."""
    if kind == "swap":
        return to_file(crop(footage(TARGET, n, kinds.FOOTAGE_SEED, take=1 + seed % 2**31).images, SIDE))
    return to_file(portraits(n, 3000 + seed, SIDE, start=start).images)


@dataclass(frozen=True)
class World:
    """All that the book brings to a contest.

    Attributes
    ----------
    seed : int
        The secret one: test pictures, the platforms' draws and the order of the pictures come from it. Above 0, which
        the pictures to learn from have.
    makers : dict
        The book's forgers by kind: (n, torch.Generator) to fakes [n, 3, 32, 32].
    judges : dict
        The book's detectors by name: images to features [N, D], which a linear probe reads.
    edit : callable
        The editor that a defence must break, and does not know.
    n : int
        Pictures of each forger, and as many genuine ones, to learn from; as many others to be tested on.
    """

    seed: int
    makers: dict[str, Callable[[int, torch.Generator], Tensor]]
    judges: dict[str, Callable[[Tensor], Tensor]]
    edit: Callable[[Tensor], Tensor]
    n: int = 100

    def pictures(self, kind: str, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Genuine pictures and fakes of one forger; those of seed 0 are to learn from and no secret.

        No two forgers have a genuine picture in common, or what is seen twice would be known to be genuine.
        """
        real = real_faces(kind, self.n, seed, start=self.n * [*self.makers].index(kind))
        return real, to_file(self.makers[kind](self.n, torch.Generator().manual_seed(seed)))

    def training(self) -> list[Tensor]:
        """Genuine pictures and fakes of all forgers together."""
        return [torch.cat(part) for part in zip(*(self.pictures(kind) for kind in self.makers))]

    def shared(self, real: Tensor, fake: Tensor, place: str) -> Tensor:
        """Both after a platform, the genuine ones first."""
        return torch.cat([share(real, place, self.seed), share(fake, place, self.seed + 1)])

    def cells(self, kind: str) -> list[str]:
        """Names of the cells that an entry of this kind fills."""
        others = {"forger": self.judges, "detector": self.makers, "defence": ["editor"]}[kind]
        return [f"{other} | {place}" for other in others for place in PLACES]

    def area(self, scores, wrong: bool = False) -> list[float]:
        """AUC of scores of n genuine pictures and n fakes, or what is wrong of it, and its interval."""
        is_fake = np.repeat([0, 1], self.n)
        found = [auc(scores, is_fake), *delong_interval(scores, is_fake)]
        return [1 - x for x in (found[0], *found[:0:-1])] if wrong else found


def world(seed: int, n: int = 100) -> World:
    """The book's own contest: the forger zoo (kept once it is trained), spectrum and thumbnail, and a StarGAN."""
    editor = editors.new_editor("StarGAN", 8, torch.Generator().manual_seed(1))
    editors.fit(editor, editors.pairs(400, seed=1), 240, generator=torch.Generator().manual_seed(1))
    makers = {kind: zoo.forger(kind, training_faces(kind)).sample for kind in kinds.KINDS}
    readers = {"thumbnail": thumbnail, "spectrum": spectrum}
    return World(seed, makers, readers, lambda images: editor.edit(images, "old"), n)


def score_detector(world: World, entry: Entry, cells: list[str], **options) -> tuple[dict, float]:
    """One fit, one batch of unlabelled pictures in an order drawn from the secret seed, and the counting."""
    tests = {kind: world.pictures(kind, world.seed) for kind in world.makers}
    images = torch.cat([world.shared(*tests[kind], place) for kind, place in (cell.split(" | ") for cell in cells)])
    order = np.random.default_rng(world.seed).permutation(len(images))
    arrays = dict(zip(("real", "fake", "images"), (x.numpy() for x in (*world.training(), images[order]))))
    answer = sandbox.run(entry, arrays, (len(images),), **options)
    scores = answer.values[np.argsort(order)].reshape(len(cells), -1)
    return dict(zip(cells, map(world.area, scores))), answer.seconds


def score_forger(world: World, entry: Entry, cells: list[str], **options) -> tuple[dict, float]:
    """Pictures of people who do not exist: copies of the faces learned from, or of each other, do not count."""
    learned, genuine = real_faces("gan", 4 * world.n, 0), real_faces("gan", world.n, world.seed)
    answer = sandbox.run(entry, {"real": learned.numpy()}, tuple(genuine.shape), **options)
    fake = _within(answer.values)
    near = torch.cdist(genuine.flatten(1), learned.flatten(1)).min() / 2
    apart = torch.cdist(fake.flatten(1), torch.cat([learned, fake]).flatten(1))
    apart[:, len(learned) :].fill_diagonal_(torch.inf)
    if copies := int((apart.amin(1) < near).sum()):
        raise Refused(f"fakes: {copies} of {len(fake)} are copies of the faces given, or of each other; valid: none")
    train = world.training()
    labels, found = torch.arange(2).repeat_interleave(len(train[0])), {}
    for name in dict.fromkeys(cell.split(" | ")[0] for cell in cells):
        probe = linear_probe(world.judges[name](torch.cat(train)), labels)
        for cell in (cell for cell in cells if cell.startswith(f"{name} | ")):
            both = world.shared(genuine, fake, cell.split(" | ")[1])
            found[cell] = world.area(probe(world.judges[name](both)).numpy(), wrong=True)
    return found, answer.seconds


def score_defence(world: World, entry: Entry, cells: list[str], **options) -> tuple[dict, float]:
    """Faces changed by at most 0.025; harm is what that does to the edit, over what noise at the bound does to it."""
    known, faces = editors.pairs(world.n, seed=2), to_file(editors.pairs(world.n, seed=3000 + world.seed).before)
    arrays = {"before": known.before, "after": known.after[:, 1], "images": faces}
    arrays = {name: images.numpy() for name, images in arrays.items()}
    answer = sandbox.run(entry, arrays, tuple(faces.shape), **options)
    protected = _within(answer.values, faces)
    sign = torch.randint(0, 2, faces.shape, generator=torch.Generator().manual_seed(world.seed)) * 2 - 1
    found = {}
    for cell in cells:
        given = (faces, protected, faces + EPSILON * sign)
        clean, *changed = (world.edit(share(x, cell.split(" | ")[1], world.seed)) for x in given)
        harm, empty = (mean_square(x, clean).numpy() for x in changed)
        ratio = harm.mean() / empty.mean()
        half = Z * (harm - ratio * empty).std(ddof=1) / len(harm) ** 0.5 / empty.mean()  # delta method
        found[cell] = [float(x) for x in (ratio, ratio - half, ratio + half)]
    return found, answer.seconds


def _within(values: np.ndarray, near: Tensor | None = None) -> Tensor:
    """Pictures as a file holds them, if they lie in [0, 1] and, where given, as near as a defence must stay."""
    if values.min() < 0 or values.max() > 1:
        raise Refused(f"images: got values from {values.min():.3g} to {values.max():.3g}; valid: 0 to 1")
    images = to_file(torch.tensor(values))
    if near is not None and (most := float((images - near).abs().max())) > EPSILON + 0.5 / 255:
        raise Refused(f"protected images: changed by up to {most:.3f}; valid: at most {EPSILON}")
    return images


SCORE = {"forger": score_forger, "detector": score_detector, "defence": score_defence}


def check(path: str | Path, limits: sandbox.Limits | None = None) -> tuple[Entry, dict[str, bool]]:
    """Try an entry on a few pictures of nobody, as its author may; the entry, and which walls stood.

    Raises
    ------
    Refused
        With what is wrong, and the line where it can be told.
    """
    entry = sandbox.read(path)
    fine = to_file(torch.rand(8, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)))
    arrays = dict.fromkeys(("real", "fake", "images", "before", "after"), fine.numpy())
    shape = (8,) if entry.kind == "detector" else tuple(fine.shape)
    answer = sandbox.run(entry, arrays, shape, limits or sandbox.Limits(seconds=20))
    if entry.kind != "detector":
        _within(answer.values, fine if entry.kind == "defence" else None)
    return entry, answer.walls


def enter(world: World, path: str | Path, board: str | Path, limits: sandbox.Limits | None = None, hidden=()) -> dict:
    """Score an entry on the cells that its row of the leaderboard lacks, and write the board.

    Parameters
    ----------
    world : World
    path : path
        The entry.
    board : path
        A JSON file, made where there is none; rows by the entry's name. It is replaced whole, by one process at a time.
    limits : Limits, optional
    hidden : sequence of paths
        Files besides the board that the entry must not read, such as the seed's.

    Returns
    -------
    dict
        The row: kind, sha256, contest, cells (name to value, low, high), points, seconds, and `refused` where it was.
    """
    board, name, row = Path(board), Path(path).stem[:60], {}
    with cache.alone(board.with_name(f".{board.name}.lock")):
        rows = read_board(board)
        try:
            entry = sandbox.read(path)
            # Slow on purpose: the entry knows this name, and must not find the seed by trying.
            contest = hashlib.pbkdf2_hmac("sha256", str(world.seed).encode(), b"%d" % world.n, 200_000).hex()[:12]
            row = {"kind": entry.kind, "sha256": entry.sha256, "contest": contest, "cells": {}, "seconds": 0.0}
            if "refused" not in (old := rows.get(name, {})) and all(old.get(k) == row[k] for k in [*row][:3]):
                row |= {"cells": old["cells"], "seconds": old["seconds"]}
            if missing := [cell for cell in world.cells(entry.kind) if cell not in row["cells"]]:
                options = {"limits": limits, "hidden": [board, *hidden], "seed": int(contest, 16)}
                found, seconds = SCORE[entry.kind](world, entry, missing, **options)
                row |= {"cells": row["cells"] | found, "seconds": row["seconds"] + seconds}
            row["points"] = float(np.mean([cell[0] for cell in row["cells"].values()]))
        except Refused as error:
            row |= {"cells": {}, "points": None, "refused": str(error)}
        rows[name] = row
        cache.write_whole(board, json.dumps(rows, indent=1, sort_keys=True))
    return row


def read_board(board: Path) -> dict:
    """The rows of a leaderboard, none where there is no file; ValueError for one that is no leaderboard."""
    try:
        rows = json.loads(board.read_text(encoding="utf-8")) if board.exists() else {}
        return {name: row | {} for name, row in rows.items()}
    except (ValueError, AttributeError, TypeError, OSError):
        raise invalid("leaderboard", str(board), "a new file, or one that the arena wrote") from None
