r"""The forger zoo: each small generator is trained once for its data and settings, then kept with its provenance.

Weights are stored as safetensors (numbers only: loading runs no code), beside a JSON file with their SHA-256, the
data's SHA-256, every setting and the time it took. Change the data, a setting or the generators' source, and it is
trained anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from deepfake_kit import provenance
from deepfake_kit.cache import alone, write_whole
from deepfake_kit.cache import cache_folder as user_cache
from deepfake_kit.generators.kinds import KINDS, settings_of
from deepfake_kit.images import check_images
from deepfake_kit.training import seeded
from deepfake_kit.valid import require, whole

# Drawn faces enter by the data's own SHA-256; the others train nothing.
NOT_CODE = ("", "faces", "valid", "provenance", "cache", "_compat")


@dataclass(frozen=True)
class Forger:
    """A trained generator.

    Attributes
    ----------
    kind : str
        Key of :data:`deepfake_kit.generators.kinds.KINDS`.
    model : nn.Module
        In evaluation mode, without gradients.
    provenance : dict
        Settings, seed, SHA-256 of data, code and weights, seconds of training, library versions, processor.
    reused : bool
        Whether the weights came from the cache.
    """

    kind: str
    model: nn.Module
    provenance: dict
    reused: bool

    @property
    def title(self) -> str:
        return KINDS[self.kind].title

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw fakes [n, 3, S, S] in [0, 1]; "swap" films its source anew and swaps each frame."""
        whole("n", n, 1)
        return KINDS[self.kind].sample(self.model, n, generator)


def cache_folder() -> Path:
    """Where the zoo lives: ``$DEEPFAKE_KIT_CACHE/zoo``, else ``zoo`` in the user's cache folder for this kit."""
    given = os.environ.get("DEEPFAKE_KIT_CACHE")
    return (Path(given) if given else user_cache()) / "zoo"


def data_sha256(images: Tensor | Sequence[Tensor]) -> str:
    """SHA-256 over shape and float32 bytes of one or several batches of images.

    >>> data_sha256(torch.zeros(1, 3, 8, 8)) == data_sha256([torch.zeros(1, 3, 8, 8)])
    True
    """
    digest = hashlib.sha256()
    for one in [images] if isinstance(images, Tensor) else images:
        digest.update(str(tuple(one.shape)).encode())
        digest.update(one.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def code() -> dict[str, Path]:
    """The modules that decide what a forger becomes: all that the kinds import, but for drawn faces and checks."""
    reached = provenance.reached(["generators.kinds"])
    return {name: path for name, path in reached.items() if name.split(".")[0] not in NOT_CODE}


def code_sha256() -> str:
    """SHA-256 of the sources that decide what a forger becomes."""
    return hashlib.sha256(b"".join(path.read_bytes() for _, path in sorted(code().items()))).hexdigest()


def forger(
    kind: str, images: Tensor | Sequence[Tensor], *, seed: int = 0, cache: Path | None = None, **settings
) -> Forger:
    """A trained generator, from the cache if it was trained before.

    Parameters
    ----------
    kind : {"gan", "style-gan", "vae", "ddpm", "swap"}
    images : Tensor [M, 3, S, S], or for "swap" two of them
        What it learns from, in [0, 1].
    seed : int
        Of the weights, batches and noise.
    cache : Path, optional
        Folder; by default :func:`cache_folder`.
    **settings
        Changes to the kind's defaults, e.g. ``steps=100``.

    Returns
    -------
    Forger

    Raises
    ------
    ValueError
        For an unknown kind or setting, or images that are not [M, 3, S, S] in [0, 1].

    Warns
    -----
    UserWarning
        If the cached file is damaged: it is named, not used, and replaced. If the folder cannot be written.
    """
    chosen = settings_of(kind, **settings)
    needed = "a list of two tensors" if kind == "swap" else "one tensor"
    require((kind == "swap") != isinstance(images, Tensor), "images", type(images).__name__, f"{kind} needs {needed}")
    for one in [images] if isinstance(images, Tensor) else images:
        check_images(one)
    some = images if isinstance(images, Tensor) else images[0]
    facts = {
        "kind": kind,
        "seed": seed,
        "settings": json.loads(json.dumps(asdict(chosen))),  # as they are read back
        "size": some.shape[-1],
        "data_sha256": data_sha256(images),
        "code_sha256": code_sha256(),
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]
    path = (cache or cache_folder()) / f"{kind}-{key}.safetensors"
    kept = path.with_suffix(".json").is_file()  # otherwise one process trains, and those that want the same wait
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # nobody waits, and nothing is kept, where the folder cannot be written
            held.enter_context(contextlib.nullcontext() if kept else alone(path.with_suffix(".lock")))
        held.enter_context(seeded(0, some.device))  # what is drawn afterwards does not depend on who trained
        return _recall(path, facts, some.device) or _train(path, facts, chosen, images, some.device)


def _train(path: Path, facts: dict, chosen, images: Tensor | Sequence[Tensor], device: torch.device) -> Forger:
    start = time.perf_counter(), time.process_time()
    with device:  # weights are drawn where their generator is
        model = chosen.train(images, torch.Generator(device).manual_seed(facts["seed"]))
    facts = {
        **facts,
        "seconds": time.perf_counter() - start[0],
        "processor_seconds": time.process_time() - start[1],
        "threads": torch.get_num_threads(),
        "processor": provenance.processor(),
        "versions": provenance.library_versions(),
    }
    facts["weights_sha256"] = _keep(path, model, facts)
    return Forger(facts["kind"], _rested(model), facts, reused=False)


def _rested(model: nn.Module) -> nn.Module:
    return model.eval().requires_grad_(False)


def _keep(path: Path, model: nn.Module, facts: dict) -> str:
    from safetensors.torch import save

    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    weights = save(state)
    digest = hashlib.sha256(weights).hexdigest()
    record = json.dumps({**facts, "weights_sha256": digest}, indent=1, sort_keys=True)
    try:
        write_whole(path, weights)  # the record is written last: weights without a record count as absent
        write_whole(path.with_suffix(".json"), record)
    except OSError as error:
        warnings.warn(f"{path} cannot be written ({error.strerror}): next time it is trained again.", stacklevel=4)
    return digest


def _recall(path: Path, facts: dict, device: torch.device) -> Forger | None:
    """The forger kept at `path`, or None where there is none or it is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    record_path = path.with_suffix(".json")
    if not (path.is_file() and record_path.is_file()):
        return None
    try:
        record = json.loads(record_path.read_text(encoding="utf-8"))
    except ValueError:
        return _refuse(record_path, "it is not JSON")
    if not isinstance(record, dict) or any(record.get(name) != value for name, value in facts.items()):
        return _refuse(record_path, "it describes another forger")
    weights = path.read_bytes()
    found = hashlib.sha256(weights).hexdigest()
    if found != record.get("weights_sha256"):
        noted = str(record.get("weights_sha256"))
        return _refuse(path, f"its SHA-256 is {found[:12]}..., its record says {noted[:12]}...")
    model = settings_of(facts["kind"], **facts["settings"]).build(facts["size"], None)
    try:
        model.load_state_dict(load(weights))
    except (SafetensorError, RuntimeError) as error:
        return _refuse(path, str(error))
    return Forger(facts["kind"], _rested(model.to(device)), record, reused=True)


def _refuse(path: Path, why: str) -> None:
    warnings.warn(f"{path} is damaged and not used: {why}. The forger is trained again.", stacklevel=4)
