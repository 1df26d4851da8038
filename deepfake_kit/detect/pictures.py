"""Photographs and generated faces for a detector, or a stand-in that says so."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from deepfake_kit import data
from deepfake_kit.data import Dataset
from deepfake_kit.data.dataset import STAND_IN
from deepfake_kit.valid import one_of

NAME = "ffhq-stylegan"
GENERATORS = {"StyleGAN2": "stylegan2-thispersondoesnotexist", "StyleGAN3": "stylegan3-r-ffhq"}
#: What the sets call their generators, and what we call them.
NAMES = {**{theirs: ours for ours, theirs in GENERATORS.items()}, "StyleGAN": "StyleGAN1", "StyleGAN2": "StyleGAN2"}


@dataclass(frozen=True)
class Pictures:
    """Images of one split with what is known of each.

    Attributes
    ----------
    images : Tensor float [N, 3, S, S] in [0, 1]
    is_fake : Tensor long [N]
        1 for fake, 0 for real.
    source : list of str
        "real", or a generator as in :data:`NAMES`.
    psi : Tensor float [N]
        Truncation of each fake; NaN where there is none or it is not known.
    """

    images: Tensor
    is_fake: Tensor
    source: list[str]
    psi: Tensor | None = None

    def __len__(self) -> int:
        return len(self.source)

    @property
    def generators(self) -> list[str]:
        """Whose fakes these are, by name."""
        return sorted({source for source in self.source if source != "real"})

    def __getitem__(self, index: list[int]) -> Pictures:
        psi = None if self.psi is None else self.psi[index]
        return Pictures(self.images[index], self.is_fake[index], [self.source[i] for i in index], psi)


def load(run, split: str, side: int = 128, limit: int | None = None, name: str = NAME) -> Pictures:
    """Load a split of real against generated faces through a chapter's run; where they are nowhere, digits stand in.

    Parameters
    ----------
    run : deepfake_kit.notebook.run.Run
        Remembers which bytes were used, and puts a warning under each figure if digits stood in.
    split : {"train", "val"}
        What to learn from, and what to test on; the second is called "test" in some sets.
    side : int
        Pixels to scale to.
    limit : int, optional
        At most this many, evenly spaced over the split.
    name : str
        A real-against-fake set that :func:`deepfake_kit.data.load` knows; of "trueface" the pictures before sharing.
    """
    part = split if split == "train" else data.source(name).splits[1]
    try:
        found = run.load(name, part, size=side, limit=limit)
    except FileNotFoundError:
        found = run.take(replace(stand_in(split, side, limit), name=name, split=part))
    psi = torch.as_tensor(found.extra.get("psi", np.full(len(found.images), np.nan, np.float32)))
    sources = [
        NAMES.get(source, "unknown") if fake else "real" for source, fake in zip(found.extra["source"], found.labels)
    ]
    return Pictures(found.images.float() / 255, found.labels.long(), sources, psi)


def stand_in(split: str, side: int = 128, limit: int | None = None) -> Dataset:
    """scikit-learn's digits against digits made by two small generators: a Gaussian in 8 or 16 principal components.

    No face is in it. It lets the chapter run without data, and whatever is measured on it says so.

    >>> found = stand_in("val", side=64)
    >>> found.images.shape, found.stand_in, found.labels.float().mean().item()
    (torch.Size([200, 3, 64, 64]), True, 0.5)
    """
    one_of("split", split, ("train", "val"))
    from sklearn.datasets import load_digits

    n, start = (300, 0) if split == "train" else (100, 300)
    digits = load_digits().data / 16
    mean = digits[400:].mean(0)
    _, deviation, axes = np.linalg.svd(digits[400:] - mean, full_matrices=False)
    random = np.random.default_rng(start)
    parts, sources = [digits[start : start + n]], ["ffhq"] * n
    for components, source in zip((8, 16), GENERATORS.values()):
        spread = deviation[:components] / np.sqrt(len(digits) - 400)
        parts.append(mean + random.standard_normal((n // 2, components)) * spread @ axes[:components])
        sources += [source] * (n // 2)
    small = torch.from_numpy(np.concatenate(parts)).float().clamp(0, 1).reshape(-1, 1, 8, 8)
    large = torch.nn.functional.interpolate(small, size=(side, side), mode="bilinear").expand(-1, 3, -1, -1)
    keep = np.arange(2 * n) if limit is None else np.linspace(0, 2 * n - 1, min(limit, 2 * n)).round().astype(int)
    return Dataset(
        images=(large * 255).round().byte()[keep].contiguous(),
        labels=torch.tensor([0] * n + [1] * n)[keep],
        name=NAME,
        split=split,
        stand_in=True,
        sha256=STAND_IN,
        description=f"stand-in: scikit-learn digits against sampled ones, {split}, {len(keep)} images",
        classes=("real", "fake"),
        extra={"source": [sources[i] for i in keep]},
    )
