"""The networks that run in the reader's page, from the kit's own to ONNX."""

from __future__ import annotations

import base64
import io
import math
import warnings
from pathlib import Path

import torch
from PIL import Image
from scipy.stats import binom
from torch import Tensor, nn

from deepfake_kit import diffusion, pretrained
from deepfake_kit.defend import editors
from deepfake_kit.detect import detector
from deepfake_kit.diffusion.velocity import NoiseFromVelocity
from deepfake_kit.faces import studio
from deepfake_kit.notebook import kept, settings

AT_ONCE = 4  # garments


class Reader(nn.Module):
    """A detector that reads spectra, from images [1, 3, S, S] in [0, 1] to log-odds and distance, in float64.

    A discrete Fourier transform is two matrices, which every version of ONNX has.
    """

    def __init__(self, made: detector.Detector):
        super().__init__()
        self.made = made
        place = torch.arange(made.side, dtype=torch.float64)
        turn = 2 * math.pi * place[:, None] * place / made.side
        self.cos, self.sin = turn.cos(), turn.sin()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        grey, half = images.double().mean(1), self.made.side // 2 + 1
        across, up = grey @ self.cos[:, :half], grey @ self.sin[:, :half]
        real, imaginary = self.cos @ across - self.sin @ up, self.sin @ across + self.cos @ up
        size = (real.square() + imaginary.square()).sqrt() / self.made.side
        return self.made.judge((size + 1e-2).log().flatten(1))


class Encoder(nn.Module):
    """What hides bits, as a module of its own."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, bits: Tensor) -> Tensor:
        return self.network.encode(images, bits)


class Decoder(Encoder):
    """What reads them."""

    def forward(self, images: Tensor) -> Tensor:
        return self.network.decode(images)


def evening(chapter: str, root: Path | None = None) -> NoiseFromVelocity | None:
    """A chapter's kept network as a predictor of the noise, or None where none is kept."""
    found = kept.load(chapter, root)
    if found is None or (state := found.get("unet")) is None:
        return None
    large = found.settings
    network = diffusion.UNet(channels=tuple(large.channels), blocks=large.blocks, precision="float32")
    model = NoiseFromVelocity(network, diffusion.NoiseSchedule.linear(large.diffusion_steps)).eval()
    model.load_state_dict(state)
    return model


def onnx(module: nn.Module, inputs: dict[str, Tensor], outputs: tuple[str, ...]) -> bytes:
    """A module as an ONNX graph that takes inputs of these shapes."""
    file = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shapes are fixed here; the newer exporter would need two further packages
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            file,
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=17,
            dynamo=False,
        )
    return file.getvalue()


def _png(image: Tensor) -> str:
    file = io.BytesIO()
    Image.fromarray((image.permute(1, 2, 0) * 255).round().byte().numpy()).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _garments(chapter: str, root: Path):
    if (model := evening(chapter, root)) is None:
        return None
    x = {"x": torch.zeros(AT_ONCE, 1, 28, 28), "t": torch.zeros(AT_ONCE, dtype=torch.long)}
    return {"garments": onnx(model, x, ("noise",))}, {"bars": model.schedule.alpha_bars.tolist()}


def _mark(chapter: str, root: Path):
    if (weights := pretrained.find("rivagan")) is None:
        return None
    network, about = weights.network(), settings.load(chapter).at("book")
    side, rate = about.side, about.rate
    images, bits = torch.zeros(1, 3, side, side), torch.zeros(1, network.bits)
    graphs = {
        "mark-put": onnx(Encoder(network), {"images": images, "bits": bits}, ("marked",)),
        "mark-read": onnx(Decoder(network), {"images": images}, ("scores",)),
    }
    least = next(k for k in range(network.bits + 1) if binom.sf(k - 1, network.bits, 0.5) <= rate)
    picture = _png(editors.pairs(1, seed=0, size=side).before[0])
    return graphs, {"side": side, "threshold": network.threshold, "least": least, "rate": rate, "picture": picture}


def _detector(chapter: str, root: Path):
    made = detector.load("drawn-spectrum")
    graph = onnx(Reader(made), {"images": torch.full((1, 3, made.side, made.side), 0.5)}, ("odds", "distance"))
    pictures = [_png(image) for image in studio.portraits(6, seed=0, size=made.side).images]
    return {"detector": graph}, {"side": made.side, "said": made.said(), "pictures": pictures}


#: What makes each: graphs by their names and what the page must know, or None where something is missing.
MADE = {"garments": _garments, "mark": _mark, "detector": _detector}
