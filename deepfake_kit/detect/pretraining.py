"""A general-purpose start for a small transformer: it learns to read the attributes of drawn faces.

This stands in for a network that others trained, where that one cannot be had. What carries over from drawings to
photographs is for the chapter to measure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.detect.vit import _random_crops, features, side_of
from deepfake_kit.faces import ATTRIBUTES, Faces
from deepfake_kit.training import minimise, seeded
from deepfake_kit.valid import invalid

KINDS = ("hair_colour", "hat", "glasses", "facial_hair", "background")


@dataclass(frozen=True)
class Targets:
    """What is read off a face: a class for each of :data:`KINDS`, and every number, centred and scaled.

    Attributes
    ----------
    classes : Tensor long [N, 5]
    sizes : list of int
        How many classes each of the five has.
    numbers : Tensor float [N, K]
        Mean 0 and standard deviation 1.
    """

    classes: Tensor
    sizes: list[int]
    numbers: Tensor


def targets(faces: Faces) -> Targets:
    """The attributes of drawn faces in the form that :func:`pretrain` learns."""
    table = faces.attributes
    codes = [[ATTRIBUTES[kind].values.index(value) for value in table[kind]] for kind in KINDS]
    names = [name for name, attribute in ATTRIBUTES.items() if not attribute.values]
    numbers = np.concatenate([table[names].to_numpy(float), faces.identity.double().numpy()], axis=1)
    spread = numbers.std(0)
    numbers = (numbers - numbers.mean(0))[:, spread > 0] / spread[spread > 0]
    return Targets(
        torch.tensor(codes).T.contiguous(),
        [len(ATTRIBUTES[kind].values) for kind in KINDS],
        torch.from_numpy(numbers).float(),
    )


def pretrain(
    model: nn.Module,
    faces: Faces,
    steps: int,
    *,
    lr: float = 2e-3,
    batch_size: int = 64,
    test: int = 0,
    generator: torch.Generator | None = None,
) -> dict[str, tuple[float, float]]:
    """Train a transformer, in place, to read attributes from crops of drawn faces; its head is left as it was.

    Parameters
    ----------
    model : nn.Module
        From :func:`deepfake_kit.detect.vit.small_vit`.
    faces : Faces
        Of the network's side or larger.
    steps : int
        0 changes nothing.
    lr, batch_size : float, int
        AdamW, with a learning rate that rises and falls once.
    test : int
        The last so many faces are kept out of training.
    generator : torch.Generator, optional
        Order and crops.

    Returns
    -------
    dict
        For each of :data:`KINDS` the share read rightly on the kept-out faces, from one crop in the middle, and the
        share of the commonest class there. Empty for no steps or no faces kept out.

    Raises
    ------
    ValueError
        For fewer than 0 steps, or no face left to train on.
    """
    learn = len(faces.images) - test
    if steps < 0 or learn < 1 or test < 0:
        raise invalid(
            "steps, test",
            f"{steps} and {test} of {len(faces.images)} faces",
            "0 or more, and at least one face to train on",
        )
    if steps == 0:
        return {}
    generator = generator or torch.Generator().manual_seed(0)
    wanted, side = targets(faces), side_of(model)
    device = next(model.parameters()).device
    with seeded(int(torch.randint(2**62, (1,), generator=generator))):
        reader = nn.Linear(model.num_features, sum(wanted.sizes) + wanted.numbers.shape[1]).to(device)
    optimiser = torch.optim.AdamW([*model.parameters(), *reader.parameters()], lr=lr, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps)
    parts = [*wanted.sizes, wanted.numbers.shape[1]]
    model.train()

    def loss(step: int) -> Tensor:
        batch = torch.randint(0, learn, (batch_size,), generator=generator)
        crops = _random_crops(faces.images, batch, side, generator).to(device)
        *classes, numbers = reader(features(model, crops)).split(parts, dim=1)
        named = sum(F.cross_entropy(found, wanted.classes[batch, k].to(device)) for k, found in enumerate(classes))
        return named / len(classes) + F.mse_loss(numbers, wanted.numbers[batch].to(device))

    minimise(loss, optimiser, steps, schedule=rate)
    model.eval()
    if not test:
        return {}
    middle = (faces.images.shape[2] - side) // 2
    with torch.no_grad():
        crops = faces.images[learn:, :, middle : middle + side, middle : middle + side].to(device)
        found = reader(features(model, crops)).cpu().split(parts, dim=1)
    truth = wanted.classes[learn:]
    return {
        kind: (float((found[k].argmax(1) == truth[:, k]).float().mean()), float(truth[:, k].bincount().max()) / test)
        for k, kind in enumerate(KINDS)
    }
