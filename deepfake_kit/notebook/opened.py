"""What a run opens, data sets and pretrained weights: the bytes are remembered, and a reader is told what stands in."""

from __future__ import annotations

import html

from deepfake_kit.notebook.page import Page


class Opened(Page):
    """The opening half of :class:`deepfake_kit.notebook.run.Run`."""

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
        about = {"name": found.name, "split": found.split, "count": len(found.images), "sha256": found.sha256}
        about |= {"stand_in": bool(found.stand_in), "description": found.description}
        self.data.append({**about, "photographs_of_people": bool(getattr(found, "photographs_of_people", False))})
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
        stand_in = {"sha256": pretrained.MISSING, "description": "could not be had"}
        row = {"sha256": found.sha256, "description": f"weights from {found.source}"} if found else stand_in
        count = sum(x.numel() for x in found.tensors.values()) if found else 0
        about = {"name": name, "split": "weights", "count": count, "photographs_of_people": False}
        self.data.append({**about, **row, "stand_in": found is None})
        shown = {"text/plain": ""}
        if found is None:
            text = f"{name} could not be had. In its place: the small network of this chapter."
            said = f"<strong>Stand-in network.</strong> {text}"
            notice = f'<p class="kit-stand-in" title="{html.escape(reason)}">{said}</p>'
            shown = {"text/html": notice, "text/plain": f"Stand-in network. {text}\n{reason}"}
        self._publish(shown, {"type": "data", "id": f"{name}-weights", **self.data[-1]})
        return found
