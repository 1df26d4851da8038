r"""A small network that reads drawn faces: their identity numbers, skin level and expression.

Its last hidden layer is the *feature space* in which chapter 1 compares generators by Fréchet distance and coverage.
Because drawn faces carry their exact numbers, the instrument's own error is known.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.faces.attributes import IDENTITY_NAMES
from deepfake_kit.faces.drawing import Faces
from deepfake_kit.images import check_images, to_model
from deepfake_kit.training import check_steps, fast_arithmetic, initialise, minimise

EXPRESSION_NAMES = ("mouth_open", "smile", "yaw")
#: What the probe reads, in the order of its outputs.
TARGET_NAMES = (*IDENTITY_NAMES, "skin_level", *EXPRESSION_NAMES)


class FaceProbe(nn.Module):
    """Images [N, 3, 32, 32] in [0, 1] to estimates [N, 25] of :data:`TARGET_NAMES`, in their own units.

    Parameters
    ----------
    features : int
        Width of the last hidden layer.

    Examples
    --------
    >>> FaceProbe()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 25])
    """

    def __init__(self, features: int = 48):
        super().__init__()
        self.size = 32
        steps = ((nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.1)) for a, b in ((3, 24), (24, 48), (48, 64)))
        layers = [layer for step in steps for layer in step]
        self.trunk = nn.Sequential(*layers)
        self.hidden = nn.Linear(64 * 16, features)
        self.out = nn.Linear(features, len(TARGET_NAMES))
        self.register_buffer("mean", torch.zeros(len(TARGET_NAMES)))
        self.register_buffer("deviation", torch.ones(len(TARGET_NAMES)))

    def features(self, images: Tensor) -> Tensor:
        """Features [N, features] of the last hidden layer, before its nonlinearity."""
        return self.hidden(self.trunk(to_model(images)).flatten(1)).float()

    def forward(self, images: Tensor) -> Tensor:
        return self.out(F.leaky_relu(self.features(images), 0.1)).float() * self.deviation + self.mean


def targets(drawn: Faces) -> Tensor:
    """The true values [N, 25] of :data:`TARGET_NAMES`."""
    table = drawn.attributes[["skin_level", *EXPRESSION_NAMES]].to_numpy(np.float32)
    return torch.cat([drawn.identity, torch.from_numpy(table)], dim=1)


def fit_probe(
    probe: FaceProbe,
    drawn: Faces,
    steps: int,
    batch_size: int = 64,
    lr: float = 2e-3,
    noise: float = 0.02,
    generator: torch.Generator | None = None,
) -> list[float]:
    """Train on drawn faces by least squares on standardised targets; returns the loss of each step.

    Parameters
    ----------
    probe : FaceProbe
        Changed in place.
    drawn : Faces
        Of side 32.
    steps, batch_size : int
    lr : float
        Adam's highest step size; half a cosine down to zero.
    noise : float
        Standard deviation of noise added to the images; half of each batch is blurred as well. Generators blur and
        leave out camera noise, and the probe should not mind.
    generator : torch.Generator, optional

    Raises
    ------
    ValueError
        For faces of another size, or steps below 1.
    """
    check_images(drawn.images, probe.size)
    check_steps(steps, batch_size)
    truth = targets(drawn)
    probe.mean, probe.deviation = truth.mean(0), truth.std(0).clamp_min(1e-6)
    truth = (truth - probe.mean) / probe.deviation
    optimizer = torch.optim.AdamW(probe.parameters(), lr=lr, weight_decay=0.02)

    def loss(step: int) -> Tensor:
        index = torch.randint(len(truth), (batch_size,), generator=generator)
        x = drawn.images[index]
        half = batch_size // 2
        x = torch.cat([F.avg_pool2d(F.pad(x[:half], (1, 1, 1, 1), mode="replicate"), 3, 1), x[half:]])
        x = (x + noise * torch.randn(x.shape, generator=generator)).clamp(0, 1)
        with fast_arithmetic():
            read = probe(x)
        return F.mse_loss((read - probe.mean) / probe.deviation, truth[index])

    return minimise(loss, optimizer, steps, schedule="cosine")


def explained(probe: FaceProbe, drawn: Faces) -> dict[str, float]:
    r"""Share of variance explained, :math:`R^2`, for each target on faces the probe has not seen."""
    truth = targets(drawn)
    with torch.no_grad():
        rest = (probe(drawn.images) - truth).square().sum(0)
    total = (truth - truth.mean(0)).square().sum(0)
    return dict(zip(TARGET_NAMES, (1 - rest / total).tolist(), strict=True))


def new_probe(generator: torch.Generator | None = None) -> FaceProbe:
    """A fresh probe whose weights come from `generator`."""
    probe = FaceProbe()
    initialise(probe, generator)
    return probe
