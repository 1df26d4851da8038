"""Work of hours: checkpoints on which a killed run goes on, and the kept run that stands beside the book's."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from functools import cached_property
from pathlib import Path

from deepfake_kit import provenance
from deepfake_kit.cache import cache_folder, write_whole
from deepfake_kit.notebook import kept, settings
from deepfake_kit.notebook.opened import Opened


class LongWork(Opened):
    """What a :class:`deepfake_kit.notebook.run.Run` can do with work of hours."""

    _began: float
    _checkpoints: list  # their trainings' seconds in killed runs count as this one's

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

        from deepfake_kit.training import save

        file = self._resumable(name)
        if file is None:
            return work()
        if file.is_file():
            kept_work = torch.load(file, weights_only=True)
            self._began -= kept_work["seconds"]
            return kept_work["value"]
        began = time.perf_counter()
        value = work()
        save(file, {"value": value, "seconds": time.perf_counter() - began})
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
        ours = hashlib.sha256(json.dumps(facts[3:6], default=str).encode()).hexdigest()[:8]  # runs beside this one
        file = cache / "runs" / self.chapter.name / f"{name}-{ours}-{key}.pt"
        for old in file.parent.glob(f"{name}-{ours}-{'?' * 16}.pt"):
            if old != file:
                old.unlink(missing_ok=True)
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
            None where there is no kept run, a stand-in is all the data there is, or the seed is another, for it chooses
            the slice.

        Raises
        ------
        AssertionError
            If the numbers differ by more.
        """
        if not self.long or self.seed != self.long.about["seed"] or any(row["stand_in"] for row in self.data):
            return None
        again = float(measure(self.long.get(name, "network")))  # a figure may have the same id
        how = f"{number.replace('_', ' ')} of the kept network, measured anew, against the kept number"
        self.verify(f"kept-{name}", again - self.kept(number), band, how)
        return again
