"""A chapter's run: settings, seed and device going in; figures, tables and numbers coming out.

Everything that a run shows carries a record in the output's metadata (key
``deepfake_kit``). The press reads the records from the executed notebook; a reader
sees the caption and, folded away, how the thing was made.
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import io
import json
import os
import time
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

from deepfake_kit import provenance
from deepfake_kit.cache import cache_folder, write_whole
from deepfake_kit.notebook import bands, kept, marks, settings, style

METADATA_KEY = "deepfake_kit"
NIGHT_KEY = "deepfake_kit_night"  # the same picture for a dark page
GLUE_MIME = "application/papermill.record/text/plain"


def start(chapter: str, profile: str = "book", seed: int = 0, **parameters) -> Run:
    """Open the run of a chapter: seed the generators, choose the device, set the figure style.

    Parameters
    ----------
    chapter : str
        The notebook's name without ``.ipynb``, e.g. ``"02_diffusion_math"``.
    profile : {"smoke", "book", "long", "paper"}
        Which column of the chapter's settings holds.
    seed : int
        Seed of python's, numpy's and torch's global generators, >= 0.
    **parameters
        The chapter's own knobs, kept for provenance.

    Raises
    ------
    ValueError
        If the chapter or the profile is unknown, or the seed is not a whole number >= 0.

    Examples
    --------
    >>> run = start("02_diffusion_math", profile="smoke", seed=1)
    >>> run.seed
    1
    """
    import torch

    found = settings.load(chapter)
    values = found.at(profile)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number >= 0; {seed!r} given")
    provenance.seed_everything(seed)
    style.use()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Run(found, profile, seed, parameters, values, device)


class Run:
    """One run of one chapter; made by :func:`start`."""

    def __init__(
        self, chapter: settings.Chapter, profile: str, seed: int, parameters: dict, values: SimpleNamespace, device
    ):
        self.chapter = chapter
        self.profile = profile
        self.seed = seed
        self.parameters = parameters
        self.settings = values
        self.device = device
        self.environment = provenance.environment()
        self.data: list[dict] = []
        self.networks: list[dict] = []
        self.records: list[dict] = []
        self._began = time.perf_counter()
        self._checkpoints: list = []  # their trainings' seconds in killed runs count as this one's
        self._publish(
            {"text/plain": ""},
            {
                "type": "start",
                "id": "start",
                "environment": self.environment,
                "settings": vars(values),
                "parameters": parameters,
            },
        )

    # -- what goes in ------------------------------------------------------------------

    def load(self, name: str, split: str = "train", **options):
        """Load a data set with :func:`deepfake_kit.data.load` and remember which bytes were used."""
        import warnings

        from deepfake_kit import data

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", data.StandInWarning)  # `take` tells the reader, without this file's path
            return self.take(data.load(name, split, **options))

    def take(self, found):
        """Remember which bytes a :class:`deepfake_kit.data.Dataset` holds, and return it. A stand-in says so.

        For a set that was not opened by :meth:`load`, such as a chapter's own stand-in.
        """
        self.data.append(
            {
                "name": found.name,
                "split": found.split,
                "count": len(found.images),
                "sha256": found.sha256,
                "stand_in": bool(found.stand_in),
                "description": found.description,
                "photographs_of_people": bool(getattr(found, "photographs_of_people", False)),
            }
        )
        shown = {"text/plain": ""}
        if found.stand_in:
            text = f"{found.name} ({found.split}) was not found on this machine. In its place: {found.description}."
            notice = f'<p class="kit-stand-in"><strong>Stand-in data.</strong> {html.escape(text)}</p>'
            shown = {"text/html": notice, "text/plain": f"Stand-in data. {text}"}
        self._publish(shown, {"type": "data", "id": f"{found.name}-{found.split}", **self.data[-1]})
        return found

    def weights(self, name: str):
        """Find pretrained weights with :func:`deepfake_kit.pretrained.load` and remember which bytes were used.

        Returns None, and tells the reader, where they cannot be had: the chapter then takes a small network of its own.
        """
        from deepfake_kit import pretrained

        try:
            found = pretrained.load(name)
        except pretrained.Missing as error:
            found, reason = None, str(error)
        row = {"name": name, "missing": found is None, "source": found.source if found else ""}
        self.networks.append({**row, "sha256": found.sha256 if found else pretrained.MISSING})
        shown = {"text/plain": ""}
        if found is None:
            text = f"{name} could not be had. In its place: the small network of this chapter."
            notice = (
                f'<p class="kit-stand-in" title="{html.escape(reason)}"><strong>Stand-in network.</strong> {text}</p>'
            )
            shown = {"text/html": notice, "text/plain": f"Stand-in network. {text}\n{reason}"}
        self._publish(shown, {"type": "weights", "id": name, **self.networks[-1]})
        return found

    def settings_table(self):
        """Show the chapter's settings, one column a profile, with units and reasons."""
        import pandas as pd

        rows = self.chapter.settings
        own = any(row[settings.KEPT] != row["book"] for row in rows.values())  # else the column says nothing
        profiles = [p for p in settings.PROFILES if own or p in (self.profile, "book") or p != settings.KEPT]
        rows = {
            name.replace("_", " "): {
                **{p: row[p] for p in profiles},
                "unit": row.get("unit", ""),
                "why": row.get("why", ""),
            }
            for name, row in rows.items()
        }
        return self.table(
            "settings",
            pd.DataFrame.from_dict(rows, orient="index"),
            caption=f"Settings of each profile. This page ran <b>{self.profile}</b>; "
            "<b>paper</b> holds the papers' own values where they state them.",
        )

    # -- what a chapter needs again and again -----------------------------------------

    def generator(self, k: int):
        """The chapter's `k`-th source of randomness, a torch generator on the CPU seeded with 1000 * seed + k."""
        import torch

        return torch.Generator().manual_seed(1000 * self.seed + k)

    def seconds(self, work, repeats: int = 3) -> float:
        """Least wall-clock time in seconds of `repeats` calls of `work`: what else ran beside it disturbs least."""
        taken = []
        for _ in range(repeats):
            began = time.perf_counter()
            work()
            taken.append(time.perf_counter() - began)
        return min(taken)

    # -- long work ---------------------------------------------------------------------

    def checkpoint(self, name: str, *parts):
        """Where a long training keeps its state, so that a run that was killed goes on; None at `smoke` and `book`.

        Parameters
        ----------
        name : str
            The training's name, unique in the chapter.
        *parts
            See :class:`deepfake_kit.training.Checkpoint`; trainers take it as ``checkpoint=``.
        """
        from deepfake_kit.training import Checkpoint

        file = self._resumable(name)
        if file is None:
            return None
        self._checkpoints.append(Checkpoint(file, *parts))
        return self._checkpoints[-1]

    def once(self, name: str, work):
        """The value of ``work()``; at the profiles of hours it is stored, so that a run that was killed goes on.

        Parameters
        ----------
        name : str
            The work's name, unique in the chapter.
        work : callable () -> tensors, numbers and texts, or lists and dictionaries of them
            It draws from generators of its own.
        """
        import torch

        file = self._resumable(name)
        if file is None:
            return work()
        if file.is_file():
            kept_work = torch.load(file, weights_only=True)
            self._began -= kept_work["seconds"]
            return kept_work["value"]
        began = time.perf_counter()
        value, content = work(), io.BytesIO()
        torch.save({"value": value, "seconds": time.perf_counter() - began}, content)
        write_whole(file, content.getvalue())
        return value

    def _resumable(self, name: str) -> Path | None:
        """The file of a piece of long work: another one once the code before it, its settings or its data change."""
        if self.profile not in (settings.KEPT, "paper"):
            return None
        cells = self._cells()
        named = {key: x for key, x in vars(self.settings).items() if any(key in cell for cell in cells)}
        facts = [cells, provenance.code(cells), named, self.profile, self.seed, self.parameters, self.data]
        key = hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()[:16]
        cache = Path(os.environ.get("DEEPFAKE_KIT_CACHE") or cache_folder())
        file = cache / "runs" / self.chapter.name / f"{name}-{key}.pt"
        for old in file.parent.glob(f"{name}-{'?' * 16}.pt"):
            if old != file:
                old.unlink()
        return file

    def _cells(self) -> list[str]:
        """What the cells executed so far compute, the one that runs included."""
        from IPython import get_ipython

        shell = get_ipython()
        lines = []
        for cell in dict.fromkeys(shell.user_ns.get("In", []) if shell is not None else []):
            with contextlib.suppress(SyntaxError):  # somebody's slip, which computed nothing
                lines.append(provenance.essential(cell))
        return [text for text in lines if text and not text.startswith(("profile = ", "seed = ", "repository = "))]

    def keep(self, name: str, state: dict) -> None:
        """Keep a small network with the results of a ``--keep`` run; at other runs only see that it could be kept.

        Parameters
        ----------
        name : str
            The network's name, unique in the chapter.
        state : dict of Tensor
            Its `state_dict`; kept as float16.

        Raises
        ------
        ValueError
            If it would take more than 4 MB, or a weight does not fit into float16.
        """
        content = kept.network_bytes(name, state)
        if place := os.environ.get(kept.FOLDER):
            write_whole(Path(place) / f"{name}.safetensors", content)
        digest = hashlib.sha256(content).hexdigest()
        record = {"type": "network", "id": name, "bytes": len(content), "sha256": digest}
        self._publish({"text/plain": ""}, record)

    @cached_property
    def long(self) -> kept.Kept | None:
        """The kept run of this chapter; None where there is none, or none with these parameters, and in itself."""
        found = None if self.profile == settings.KEPT else kept.load(self.chapter.name)
        same = found and all(found.about["parameters"].get(name) == x for name, x in self.parameters.items())
        return found if same else None

    def kept(self, id: str):
        """What the kept run recorded under an id, see :meth:`deepfake_kit.notebook.kept.Kept.get`; None without one."""
        return self.long.get(id) if self.long else None

    def recheck(self, name: str, measure, number: str, band: float):
        """Measure the kept network anew, and stop the run if the number kept with it lies beyond a band.

        Parameters
        ----------
        name : str
            A network that :meth:`keep` kept.
        measure : callable (state dict) -> float
            Loads it (its settings are ``run.long.settings``) and measures it on a slice.
        number : str
            The id of the kept number.
        band : float
            Largest allowed difference.

        Returns
        -------
        float or None
            None where there is no kept run, or where a stand-in is all the data there is.

        Raises
        ------
        AssertionError
            If the numbers differ by more.
        """
        if not self.long or any(row["stand_in"] for row in self.data):
            return None
        again = float(measure(self.kept(name)))
        how = f"{number.replace('_', ' ')} of the kept network, measured anew, against the kept number"
        self.verify(f"kept-{name}", again - self.kept(number), band, how)
        return again

    # -- what comes out ----------------------------------------------------------------

    def figure(self, id: str, fig, alt: str, caption: str, show_photographs: bool | None = None, kept: bool = False):
        """Show a matplotlib figure with its caption, alternative text and provenance.

        Parameters
        ----------
        id : str
            Name of the figure, unique in the chapter.
        fig : matplotlib.figure.Figure
            The figure; it is closed afterwards.
        alt : str
            What a reader who cannot see the figure must know, at least 40 characters.
        caption : str
            The finding, as plain text or inline HTML, mathematics between ``$``.
        show_photographs : bool, optional
            Whether single photographs of real people can be seen in it; the press refuses such figures. It must be
            said for every figure once the chapter has loaded a data set marked ``photographs_of_people``.
        kept : bool
            Show the figure of the kept run below it, if there is one.

        Raises
        ------
        ValueError
            If the alternative text is too short, the caption is empty, the id is taken, or photographs of people
            were loaded and `show_photographs` is not given.
        """
        import base64

        import matplotlib.pyplot as plt

        if len(alt.strip()) < 40:
            raise ValueError(f"alt of figure {id!r} must say what it shows in at least 40 characters; got {alt!r}")
        marked = sorted({row["name"] for row in self.data if row["photographs_of_people"]})
        if marked and show_photographs is None:
            raise ValueError(
                f"{', '.join(marked)} holds photographs of people: say show_photographs=False if figure "
                f"{id!r} shows aggregates only; single photographs are never printed"
            )
        if not caption.strip():
            raise ValueError(f"figure {id!r} needs a caption that states its finding")
        day, night = io.BytesIO(), io.BytesIO()
        fig.savefig(day, format="png", dpi=150)
        width, height = (fig.get_size_inches() * 110).round().astype(int).tolist()
        style.night(fig)
        exact = not any(ax.images for ax in fig.axes)  # letters stay sharp, pictures light
        fig.savefig(night, format="webp", dpi=150, facecolor="none", pil_kwargs={"lossless": exact, "quality": 90})
        plt.close(fig)
        day, night = (base64.b64encode(picture.getvalue()).decode() for picture in (day, night))
        self._publish(
            {"image/png": day, "text/plain": alt},
            {
                "type": "figure",
                "id": id,
                "alt": alt,
                "caption": caption,
                "photographs_of_people": bool(show_photographs),
            },
            {"image/png": {"width": width, "height": height}, NIGHT_KEY: night},
        )
        self._under(id, "figure", caption)
        self._beside("figure", id, kept)

    def table(self, id: str, df, caption: str = "", digits: int = 4, kept: bool = False):
        """Show a pandas table with its caption and provenance; its cells are kept in the results.

        Parameters
        ----------
        id : str
            Name of the table, unique in the chapter.
        df : pandas.DataFrame
            The table.
        caption : str
            The finding, as plain text or inline HTML.
        digits : int
            Significant digits shown for floating-point cells.
        kept : bool
            Show the table of the kept run below it, if there is one.
        """
        box = marks.table(df, self._anchor("tab", id), marks.plain(caption) or id, digits)
        cells = json.loads(df.to_json(orient="split", default_handler=str))
        self._publish(
            {"text/html": box, "text/plain": df.to_string()},
            {"type": "table", "id": id, "caption": caption, "cells": cells},
        )
        self._under(id, "table", caption)
        self._beside("table", id, kept, digits)

    def value(self, id: str, x):
        """Record one number (or short text) under a name; shows nothing and returns `x`."""
        plain = marks.scalar(id, x)
        record = {"type": "value", "id": id, "value": plain}
        self._publish(
            {GLUE_MIME: repr(plain)},
            record,
            {"scrapbook": {"name": id, "mime_prefix": "application/papermill.record/"}},
        )
        return x

    def say(self, sentence: str, kept: bool = False, **values):
        """Show a Markdown sentence with measured numbers filled in, and record each of them.

        Parameters
        ----------
        sentence : str
            Markdown with :meth:`str.format` fields, e.g. ``"It keeps {mass:.1%} of the mass."``
        kept : bool
            Say it again with the numbers of the kept run, if there is one that recorded them all.
        **values
            The numbers, by field name; the names are unique in the chapter.
        """
        text = sentence.format(**values)
        for name, x in values.items():
            self.value(name, x)
        self._publish(
            {"text/markdown": text, "text/plain": text},
            {"type": "sentence", "id": f"sentence-{len(self.records)}", "text": text},
        )
        if kept and self.long and all(self.long.record(name, "value") for name in values):
            then = {name: self.long.record(name, "value")["value"] for name in values}
            words = f"**After an evening** ({self._when(next(iter(values)), 'value')}): {sentence.format(**then)}"
            self._publish({"text/markdown": words, "text/plain": words}, None)

    compare_words = staticmethod(marks.compare_words)

    def claim(self, claim_id: str, value, note: str = "", interval=None, empty=None, needs: str | None = None) -> None:
        """Hold a measured value against what a paper states, show the verdict, feed the ledger.

        Parameters
        ----------
        claim_id : str
            The row of the claims file, e.g. ``"ddtma-eq-7"``.
        value : float or sequence of float
            What was measured; see :func:`deepfake_kit.notebook.claims.compare` for how it is judged.
        note : str
            One more sentence to show beside the verdict.
        interval : pair, optional
            Low and high end of the interval around `value`, each shaped like it; required where the row is random.
        empty : float or sequence of float, optional
            The same measurement with the row's empty method; required where the row names one.
        needs : str, optional
            Pretrained weights that the verdict rests on; where this run had to do without, it is *not attempted*.
        """
        from deepfake_kit.notebook import claims

        row = claims.find(claim_id)
        verdict = claims.compare(claim_id, value, interval, empty)
        if needs and any(known["name"] == needs and known["missing"] for known in self.networks):
            verdict, note = claims.OPEN[-1], f"Its verdict needs {needs}, which could not be had. {note}".strip()
        ours, *ends = (marks.numbers(x) for x in (value, *(interval or ())))
        void = None if empty is None else marks.numbers(empty)
        text = claims.sentence(row, verdict, ours, ends, void, note)
        sign = claims.SIGNS[verdict]
        shown = marks.mark(
            f"check-{claim_id}", verdict, sign, row.label, verdict.replace("-", " "), html.escape(text, quote=False)
        )
        self._publish(
            {"text/html": shown, "text/plain": f"{sign} {text}"},
            {
                "type": "claim",
                "id": claim_id,
                "value": ours,
                "interval": ends or None,
                "empty": void,
                "verdict": verdict,
                "note": note,
            },
        )

    def verify(self, id: str, residual, tolerance: float = 0.0, how: str = ""):
        """Check an equation of this book by machine and show a mark where it passed.

        Parameters
        ----------
        id : str
            Name of the check, unique in the chapter.
        residual : float
            How far the equation is from holding; a sympy expression that should be zero is fine.
        tolerance : float
            Largest allowed ``|residual|``.
        how : str
            What was compared with what.

        Raises
        ------
        AssertionError
            If the residual exceeds the tolerance or is not a number.
        """
        # A tensor that still remembers its gradient warns when it becomes a number.
        size = abs(float(residual.detach() if hasattr(residual, "detach") else residual))
        if not size <= tolerance:
            raise AssertionError(f"check {id!r} failed: residual {size:g} > tolerance {tolerance:g} ({how})")
        text = f"checked: {how or id} (residual {size:.1e}, allowed {tolerance:.0e})"
        shown = marks.mark(self._anchor("check", id), "verified", "✓", id.replace("-", " "), "checked", text)
        self._publish(
            {"text/html": shown, "text/plain": f"✓ {text}"},
            {"type": "check", "id": id, "value": size, "tolerance": tolerance, "how": how},
        )

    def explorable(self, id: str, widget, caption: str, alt: str = ""):
        """Show a slider of precomputed frames made by :func:`deepfake_kit.notebook.explore.slider`."""
        from IPython.display import display

        self._publish(
            {"text/html": f'<span id="{self._anchor("exp", id)}"></span>', "text/plain": ""},
            {"type": "explorable", "id": id, "caption": caption, "alt": alt},
        )
        display(widget)
        self._under(id, "explorable", caption)

    def compare(self) -> None:
        """Show this run beside the book's: which numbers lie inside what other seeds give, which do not, and why."""
        about = {"data": self.data, "parameters": self.parameters, "environment": self.environment}
        first, *lines = bands.report(about, self.chapter.name, self.profile, self.records)
        plain = "\n".join([first, *lines])
        shown = f"<p>{html.escape(first)}</p>"
        if outside := [line for line in lines if "OUTSIDE" in line or line.startswith("Likely")]:
            shown += f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in outside)}</ul>"
        if lines:
            listed = "".join(f"<li>{html.escape(line)}</li>" for line in lines if line not in outside)
            shown += f"<details><summary>The others, one by one</summary><ul>{listed}</ul></details>"
        anchor = self._anchor("compare", "run")
        record = {"type": "compare", "id": "run", "outside": sum("OUTSIDE" in line for line in lines)}
        self._publish(
            {"text/html": f'<div class="kit-compare" id="{anchor}">{shown}</div>', "text/plain": plain}, record
        )

    # -- how it is shown ---------------------------------------------------------------

    def _anchor(self, kind: str, id: str) -> str:
        return f"{kind}-{self.chapter.number}-{id.replace('_', '-')}"

    def _record(self, record: dict) -> dict:
        if any(old["type"] == record["type"] and old["id"] == record["id"] for old in self.records):
            raise ValueError(f"{record['type']} id {record['id']!r} is already used in this chapter")
        if number := self._number(record):
            record["number"] = number
        record = {
            **record,
            "chapter": self.chapter.name,
            "profile": self.profile,
            "seed": self.seed,
            "seconds": round(time.perf_counter() - self._began + sum(x.spent for x in self._checkpoints), 3),
            "peak_memory_mb": round(provenance.peak_memory_mb(), 1),
            **({"cells": self._cells_digest()} if self.profile == settings.KEPT else {}),
        }
        self.records.append(record)
        return record

    def _number(self, record: dict) -> str:
        """What a figure, slider or table is called, e.g. "Fig. 6.4"; the settings and all else have no number."""
        name = marks.NUMBERED.get(record["type"])
        if not name or record["id"] == "settings":
            return ""
        count = sum(old.get("number", "").startswith(name) for old in self.records)
        return f"{name} {int(self.chapter.number)}.{count + 1}"

    def _publish(self, data: dict, record: dict | None, metadata: dict | None = None) -> None:
        from IPython import get_ipython
        from IPython.display import publish_display_data

        metadata = dict(metadata or {})
        if record is not None:
            metadata[METADATA_KEY] = self._record(record)
        shell = get_ipython()
        # A terminal would print an empty line for a record that only a notebook keeps.
        if shell is not None and (hasattr(shell, "kernel") or data.get("text/plain")):
            publish_display_data(data, metadata)

    def _when(self, id: str, kind: str) -> str:
        """How long the kept run took to a record, how long this one did, and what has changed since."""
        then, now = self.long.record(id, kind), self.records[-1]["seconds"]
        changed = self.long.changed() + ["this chapter's cells"] * (then["cells"] != self._cells_digest())
        since = f"changed since then: {', '.join(changed)}" if changed else "by the same code"
        minutes = f"{then['seconds'] / 60:.0f} minutes" if then["seconds"] > 99 else f"{then['seconds']:.0f} seconds"
        return f"{minutes} into the kept run; here, {now:.0f} seconds into this one; {since}"

    def _cells_digest(self) -> str:
        return hashlib.sha256("\n".join(self._cells()).encode()).hexdigest()[:12]

    def _beside(self, kind: str, id: str, wanted: bool, digits: int = 4) -> None:
        """Show what the kept run has under the same id."""
        record = self.long.record(id, kind) if wanted and self.long else None
        if record is None:
            return
        anchor = self._anchor("kept", f"{kind}-{id}")
        shown = marks.kept(kind, record, self.long.get(id), anchor, self._when(id, kind), digits)
        text = f"After an evening: {marks.plain(record['caption'])}"
        self._publish({"text/html": shown, "text/plain": text}, {"type": "kept", "id": f"{kind}-{id}"})

    def _under(self, id: str, what: str, caption: str) -> None:
        """Show caption and provenance below a figure, table or explorable."""
        stand_ins = [row["name"] for row in self.data if row["stand_in"]]
        data = (
            "; ".join(
                f"{row['name']} {row['split']}: {row['description']}, sha256 {row['sha256'][:12]}"
                f"{' (stand-in)' if row['stand_in'] else ''}"
                for row in self.data
            )
            or "none"
        )
        networks = [f"{row['name']} {row['sha256'][:12]} {row['source']}".strip() for row in self.networks]
        machine = self.environment
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        knobs = "".join(f" -p {name}={value}" for name, value in {"seed": self.seed, **self.parameters}.items())
        command = f"deepfake-kit run {self.chapter.name} --profile {self.profile}{knobs}"
        rows = {
            "profile": f"{self.profile}, seed {self.seed}",
            "data": data,
            **({"weights": "; ".join(networks)} if networks else {}),
            "settings": ", ".join(f"{name} {value}" for name, value in vars(self.settings).items()),
            "code": f"git {machine['git']}",
            "libraries": versions,
            "machine": f"{machine['accelerator'] or machine['processor']}, {machine['system']}, "
            f"{machine['threads']} thread(s)",
            "made": f"{self.records[-1]['seconds']:.0f} s after the chapter began",
        }
        missing = [row["name"] for row in self.networks if row["missing"]]
        number = self.records[-1].get("number", "")
        shown = marks.made(what, number, caption, rows, command, stand_ins, missing)
        self._publish(
            {"text/html": shown, "text/plain": f"{number} {marks.plain(caption)}".strip()},
            None,
            {"deepfake_kit_under": {"id": id, "what": what}},
        )
