"""A chapter's run: settings, seed and device going in; figures, tables and numbers coming out.

Everything that a run shows carries a record in the output's metadata (key
``deepfake_kit``). The press reads the records from the executed notebook; a reader
sees the caption and, folded away, how the thing was made.
"""

from __future__ import annotations

import html
import io
import json
import time
from types import SimpleNamespace

from deepfake_kit import provenance
from deepfake_kit.notebook import bands, marks, settings, style
from deepfake_kit.notebook.long import LongWork
from deepfake_kit.valid import require, whole

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
    whole("seed", seed, 0)
    provenance.seed_everything(seed)
    style.use()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Run(found, profile, seed, parameters, values, device)


class Run(LongWork):
    """One run of one chapter; made by :func:`start`."""

    def __init__(
        self, chapter: settings.Chapter, profile: str, seed: int, parameters: dict, values: SimpleNamespace, device
    ):
        self.chapter, self.profile, self.seed, self.parameters = chapter, profile, seed, parameters
        self.settings, self.device = values, device
        self.environment = provenance.environment()
        self.data: list[dict] = []
        self.records: list[dict] = []
        self._began = time.perf_counter()
        self._checkpoints: list = []  # their trainings' seconds in killed runs count as this one's
        about = {"environment": self.environment, "settings": vars(values), "parameters": parameters}
        self._publish({"text/plain": ""}, {"type": "start", "id": "start", **about})

    # -- what goes in ------------------------------------------------------------------

    def settings_table(self):
        """Show the chapter's settings, one column a profile, with units and reasons."""
        import pandas as pd

        rows = self.chapter.settings
        own = any(row[settings.KEPT] != row["book"] for row in rows.values())  # else the column says nothing
        profiles = [p for p in settings.PROFILES if own or p in (self.profile, "book") or p != settings.KEPT]
        told = {"unit": "", "why": ""}
        rows = {
            name.replace("_", " "): {p: row.get(p, told.get(p)) for p in (*profiles, *told)}
            for name, row in rows.items()
        }
        told = f"Settings of each profile. This page ran <b>{self.profile}</b>; <b>paper</b> holds the papers' own"
        table = pd.DataFrame.from_dict(rows, orient="index")
        return self.table("settings", table, caption=f"{told} values where they state them.")

    # -- what a chapter needs again and again -----------------------------------------

    def generator(self, k: int):
        """The chapter's `k`-th source of randomness, a torch generator on the CPU seeded with 1000 * seed + k.

        `k` is below 10,000. Below 1000 no two seeds share a stream; from there on, k is the next seed's k - 1000, so
        that seeds are not quite independent. Of seed 0, k = 0 is also where :func:`start` leaves torch's global
        generator: what is drawn from both repeats itself.

        Raises
        ------
        ValueError
            For a k that is no whole number from 0 to 9999.
        """
        import torch

        return torch.Generator().manual_seed(1000 * self.seed + whole("k", k, 0, 9999))

    def seconds(self, work, repeats: int = 3) -> float:
        """Least wall-clock time in seconds of `repeats` calls of `work`: what else ran beside it disturbs least."""
        taken = []
        for _ in range(repeats):
            began = time.perf_counter()
            work()
            taken.append(time.perf_counter() - began)
        return min(taken)

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

        require(len(alt.strip()) >= 40, f"alt of figure {id!r}", alt, "what it shows, in at least 40 characters")
        marked = sorted({row["name"] for row in self.data if row["photographs_of_people"]})
        valid = f"False, if it shows aggregates of {', '.join(marked)} only; single photographs are never printed"
        require(not marked or show_photographs is not None, f"show_photographs of figure {id!r}", None, valid)
        require(caption.strip(), f"caption of figure {id!r}", caption, "a finding")
        day, night = io.BytesIO(), io.BytesIO()
        fig.savefig(day, format="png", dpi=150)
        width, height = (fig.get_size_inches() * 110).round().astype(int).tolist()
        style.night(fig)
        exact = not any(ax.images for ax in fig.axes)  # letters stay sharp, pictures light
        fig.savefig(night, format="webp", dpi=150, facecolor="none", pil_kwargs={"lossless": exact, "quality": 90})
        plt.close(fig)
        day, night = (base64.b64encode(picture.getvalue()).decode() for picture in (day, night))
        caption = marks.ranges(caption)
        record = {"type": "figure", "id": id, "alt": alt, "caption": caption}
        record["photographs_of_people"] = bool(show_photographs)
        look = {"image/png": {"width": width, "height": height}, NIGHT_KEY: night}
        self._publish({"image/png": day, "text/plain": alt}, record, look)
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
        cells = df.astype(object).where(df.notna(), None).to_dict("split")  # to_json would keep ten decimals
        cells = json.loads(json.dumps(cells, default=str), parse_constant={"Infinity": "inf", "-Infinity": "-inf"}.get)
        record = {"type": "table", "id": id, "caption": caption, "cells": cells}
        self._publish({"text/html": box, "text/plain": df.to_string()}, record)
        self._under(id, "table", caption)
        self._beside("table", id, kept, digits)

    def value(self, id: str, x):
        """Record one number (or short text) under a name; shows nothing and returns `x`."""
        plain = marks.scalar(id, x)
        glue = {"scrapbook": {"name": id, "mime_prefix": "application/papermill.record/"}}
        self._publish({GLUE_MIME: repr(plain)}, {"type": "value", "id": id, "value": plain}, glue)
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
        text = marks.ranges(sentence.format(**values))
        for name, x in values.items():
            self.value(name, x)
        record = {"type": "sentence", "id": f"sentence-{len(self.records)}", "text": text}
        self._publish({"text/markdown": text, "text/plain": text}, record)
        if kept and self.long and all(self.long.record(name, "value") for name in values):
            then = {name: self.long.record(name, "value")["value"] for name in values}
            again = marks.ranges(sentence.format(**then))
            words = f"**After an evening** ({self._when(next(iter(values)), 'value')}): {again}"
            self._publish({"text/markdown": words, "text/plain": words}, None)

    compare_words = staticmethod(marks.compare_words)

    def claim(
        self,
        claim_id: str,
        value,
        note: str = "",
        interval=None,
        empty=None,
        needs: str | None = None,
        empty_interval=None,
    ) -> None:
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
        empty_interval : pair, optional
            Low and high end of the interval around `empty`.
        needs : str, optional
            Pretrained weights that the verdict rests on; where this run had to do without, it is *not attempted*.
        """
        from deepfake_kit.notebook import claims

        row = claims.find(claim_id)
        verdict = claims.compare(claim_id, value, interval, empty, empty_interval)
        if needs and any(row["name"] == needs and row["stand_in"] for row in self.data):
            verdict, note = claims.OPEN[-1], f"Its verdict needs {needs}, which could not be had. {note}".strip()
        ours, *ends = (marks.numbers(x) for x in (value, *(() if interval is None else interval)))
        void = None if empty is None else marks.numbers(empty)
        void_ends = [] if empty_interval is None else [marks.numbers(x) for x in empty_interval]
        text = claims.sentence(row, verdict, ours, ends, void, note, void_ends)
        sign = claims.SIGNS[verdict]
        word, told = verdict.replace("-", " "), html.escape(text, quote=False)
        shown = marks.mark(f"check-{claim_id}", verdict, sign, row.label, word, told)
        record = {"type": "claim", "id": claim_id, "value": ours, "interval": ends or None, "empty": void}
        record |= {"empty_interval": void_ends or None, "verdict": verdict, "note": note}
        self._publish({"text/html": shown, "text/plain": f"{sign} {text}"}, record)

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
        record = {"type": "check", "id": id, "value": size, "tolerance": tolerance, "how": how}
        self._publish({"text/html": shown, "text/plain": f"✓ {text}"}, record)

    def explorable(self, id: str, widget, caption: str, alt: str = ""):
        """Show a slider of precomputed frames made by :func:`deepfake_kit.notebook.explore.slider`."""
        from IPython.display import display

        record = {"type": "explorable", "id": id, "caption": caption, "alt": alt}
        self._publish({"text/html": f'<span id="{self._anchor("exp", id)}"></span>', "text/plain": ""}, record)
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
        shown = f'<div class="kit-compare" id="{anchor}">{shown}</div>'
        self._publish({"text/html": shown, "text/plain": plain}, record)
