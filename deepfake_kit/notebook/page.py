"""How a run shows things: their records, their anchors, and what stands below each."""

from __future__ import annotations

import hashlib
import shlex
import time
from types import SimpleNamespace

from deepfake_kit import provenance
from deepfake_kit.notebook import marks, settings

METADATA_KEY = "deepfake_kit"


class Page:
    """The showing half of :class:`deepfake_kit.notebook.run.Run`."""

    chapter: settings.Chapter
    profile: str
    seed: int
    parameters: dict
    settings: SimpleNamespace
    environment: dict
    data: list[dict]
    records: list[dict]

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
            **({"source": self._cells_digest()} if self.profile == settings.KEPT else {}),
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
        """How long the kept run took to a record, how long this one did, and which rooms have changed since."""
        then, now = self.long.record(id, kind), self.records[-1]["seconds"]
        changed = sorted({name.partition(".")[0] for name in self.long.changed()})
        changed += ["this chapter's cells"] * (then.get("source", then.get("cells")) != self._cells_digest())
        since = f"code changed since: {', '.join(changed)}" if changed else "by the same code"
        took, takes = (f"{x / 60:.0f} minutes" if x > 99 else f"{x:.0f} seconds" for x in (then["seconds"], now))
        return f"from a larger run; {took} to this point, here {takes}; {since}"

    def _cells_digest(self) -> str:
        return hashlib.sha256("\n".join(self._cells()).encode()).hexdigest()[:12]

    def _beside(self, kind: str, id: str, wanted: bool, digits: int = 4) -> None:
        """Show what the kept run has under the same id."""
        record = self.long.record(id, kind) if wanted and self.long else None
        if record is None:
            return
        anchor = self._anchor("kept", f"{kind}-{id}")
        shown = marks.kept(kind, record, self.long.get(id, kind), anchor, self._when(id, kind), digits)
        text = f"After an evening: {marks.plain(record['caption'])}"
        self._publish({"text/html": shown, "text/plain": text}, {"type": "kept", "id": f"{kind}-{id}"})

    def _under(self, id: str, what: str, caption: str) -> None:
        """Show caption and provenance below a figure, table or explorable."""
        stand_ins = [row["name"] for row in self.data if row["stand_in"]]
        told = (
            f"{row['name']} {row['split']}: {row['description']}, sha256 {row['sha256'][:12]}"
            f"{' (stand-in)' if row['stand_in'] else ''}"
            for row in self.data
        )
        machine = self.environment
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        knobs = {"seed": self.seed, **self.parameters}.items()
        knobs = "".join(f" -p {shlex.quote(f'{name}={value}')}" for name, value in knobs)
        command = f"deepfake-kit run {self.chapter.name} --profile {self.profile}{knobs}"
        rows = {
            "profile": f"{self.profile}, seed {self.seed}",
            "data": "; ".join(told) or "none",
            "settings": ", ".join(f"{name} {value}" for name, value in vars(self.settings).items()),
            "code": f"git {machine['git']}",
            "libraries": versions,
            "machine": f"{machine['accelerator'] or machine['processor']}, {machine['system']}, "
            f"{machine['threads']} thread{'s' * (machine['threads'] != 1)}",
            "made": f"{self.records[-1]['seconds']:.0f} s after the chapter began",
        }
        number = self.records[-1].get("number", "")
        shown = marks.made(what, number, caption, rows, command, stand_ins)
        words, under = f"{number} {marks.plain(caption)}".strip(), {"id": id, "what": what}
        self._publish({"text/html": shown, "text/plain": words}, None, {"deepfake_kit_under": under})
