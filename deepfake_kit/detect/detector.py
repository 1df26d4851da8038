r"""Detectors that stand on their own: a file of numbers, a card that says what they are, a score for any picture.

They are teaching models: linear rules on what a frozen reader sees, learned from a few hundred pictures of a few
generators. Each knows how far a picture lies from what it learned from, and beyond a stated distance it cannot say.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from deepfake_kit import paths, pretrained
from deepfake_kit.cache import write_whole
from deepfake_kit.data import readers
from deepfake_kit.images import check_images
from deepfake_kit.valid import finite, invalid, whole

FOLDER = Path(__file__).with_name("models")
CLIP = "clip-vit-b16"
#: What a card must say; `data_scripts/teach_detectors.py` writes both.
CARD = ("title", "reads", "side", "trained_on", "never_seen", "seed", "profile", "quantile", "metrics", "sha256")
ARRAYS = ("mean", "spread", "weight", "bias", "directions", "variances", "limits")


def names() -> list[str]:
    """The detectors that come with the kit.

    >>> names()
    ['clip-depths', 'drawn-spectrum']
    """
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


@dataclass(frozen=True)
class Detector:
    """A reader that stays as it is, and a linear rule on what it reads.

    Attributes
    ----------
    card : dict
        What it is: ``title``, ``trained_on``, ``never_seen``, ``metrics`` with intervals, and the other :data:`CARD`.
    tensors : dict of str to Tensor
        Under the names :data:`ARRAYS`.
    network : nn.Module or None
        The frozen network that reads, where it is one.
    """

    card: dict
    tensors: dict[str, Tensor]
    network: nn.Module | None = None

    @property
    def side(self) -> int:
        """Pixels of the square pictures that it reads."""
        return self.card["side"]

    def said(self) -> str:
        """What it is, in the words of its card."""
        card = self.card
        return (
            f"A teaching model, not evidence: {card['title']}. It learned from {card['trained_on']}. It has never seen "
            f"{card['never_seen']}. A probability of fake is meant for pictures of which half are fake; further from "
            f"the training pictures than {card['quantile']:.0%} of such pictures are, it cannot say."
        )

    def features(self, images: Tensor) -> Tensor:
        """What it reads off images [N, 3, side, side] in [0, 1]: float [N, D]; each alone, so that none sways another.

        Raises
        ------
        ValueError
            For another shape, side or range.
        """
        check_images(images, self.side)
        read = spectrum if self.network is None else self._tokens
        return torch.cat([read(image) for image in images.split(1)])

    def _tokens(self, images: Tensor) -> Tensor:
        """The class token after each of the card's blocks, in float32 on every machine."""
        about = pretrained.store.registry()[CLIP]
        mean, std = (images.new_tensor(about[key]).view(3, 1, 1) for key in ("mean", "std"))
        options = dict(n=[block - 1 for block in self.card["blocks"]], return_prefix_tokens=True)
        seen = self.network.get_intermediate_layers((images - mean) / std, **options)
        return torch.cat([prefix[:, 0] for _, prefix in seen], 1)

    def judge(self, features: Tensor) -> tuple[Tensor, Tensor]:
        r"""Log-odds of fake and distance from the training pictures, float64 [N] each, from features [N, D].

        The log-odds are calibrated for pictures of which half are fake. The distance is the larger of two, each in
        units of its own limit, so that beyond 1 the picture is out of range: Mahalanobis' along the k widest directions
        of the training pictures (Hotelling's T), and the length of what these leave over (Jackson and Mudholkar,
        "Control procedures for residuals associated with principal component analysis", 1979).

        .. math:: T^2=\sum_{i\le k}\frac{y_i^2}{\lambda_i},\qquad Q=\lVert x\rVert^2-\lVert y\rVert^2
        """
        t = {name: value.double() for name, value in self.tensors.items()}
        x = (features.double() - t["mean"]) / t["spread"]
        return x @ t["weight"] + t["bias"], (distances(x, t["directions"], t["variances"]) / t["limits"]).amax(1)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Log-odds and distance, as :meth:`judge`, of images [N, 3, side, side] in [0, 1]."""
        return self.judge(self.features(images))

    def open(self, path) -> tuple[Tensor, int]:
        """A file's middle square [3, side, side] in [0, 1], and the pixels of its shorter side; ValueError as
        :func:`deepfake_kit.images.open_picture`, which opens it."""
        picture = readers.read_image(path)
        return torch.from_numpy(readers.resize(picture[None], self.side)[0]) / 255, min(picture.shape[1:])

    def cannot_say(self, distance: float, pixels: int) -> str:
        """Why a picture is out of range, in words; empty if it is in range."""
        if pixels < self.side:
            return f"smaller than {self.side} pixels"
        return f"unlike what it learned from, distance {distance:.2f} of 1" if not distance <= 1 else ""

    def occlusion(self, image: Tensor, cells: int = 8) -> Tensor:
        """Log-odds of fake that a picture [3, side, side] loses when a place of it is greyed: [cells, cells].

        Each place is a cell and half a cell around it (Zeiler and Fergus, "Visualizing and understanding
        convolutional networks", 2014).
        """
        step = self.side / cells
        covered = image.repeat(1 + cells**2, 1, 1, 1)
        for k in range(cells**2):
            (top, left), reach = divmod(k, cells), 2 * step
            begins = ((j - 0.5) * step for j in (top, left))
            rows, columns = (slice(max(0, round(begin)), round(begin + reach)) for begin in begins)
            covered[k + 1, :, rows, columns] = image.mean((1, 2))[:, None, None]
        odds = self(covered)[0]
        return (odds[0] - odds[1:]).view(cells, cells)


def drawn_map(image: Tensor, lost: Tensor, side: int = 384) -> Image.Image:
    """A map of :meth:`Detector.occlusion` over its picture in grey: orange speaks for fake, blue for real."""
    share = (lost / lost.abs().max().clamp(min=1e-9)).float()[None, None]
    share = nn.functional.interpolate(share, (side, side), mode="bilinear")[0]
    grey = nn.functional.interpolate(image.mean(0)[None, None], (side, side), mode="bilinear")[0]
    orange, blue = torch.tensor([[0.9, 0.4, 0.0], [0.0, 0.4, 0.8]])[:, :, None, None]
    ink = torch.where(share > 0, orange, blue)
    mixed = (1 - 0.7 * share.abs()) * grey + 0.7 * share.abs() * ink
    return Image.fromarray((mixed.clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy())


def pictures_in(place: Path) -> list[Path]:
    """A picture's file, or all files in and below a folder that are named as pictures; ValueError without any."""
    Image.init()
    suffixes = {suffix for suffix, format in Image.registered_extensions().items() if format in Image.OPEN}
    inside = (path for path in place.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    if not (found := [place] if place.is_file() else sorted(inside)):
        raise invalid("IMAGE_OR_FOLDER", str(place), "a picture's file, or a folder with pictures in it")
    return found


def spectrum(images: Tensor) -> Tensor:
    """Logarithms of the Fourier magnitudes of the grey picture, half of the plane: [N, S (S/2 + 1)].

    >>> spectrum(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 544])
    """
    return torch.fft.rfft2(images.mean(1), norm="ortho").abs().add(1e-2).log().flatten(1)


def distances(x: Tensor, directions: Tensor, variances: Tensor) -> Tensor:
    """The two distances of :meth:`Detector.judge`, before their limits: [N, 2] from standardised features [N, D]."""
    along = x @ directions.T
    left = x.square().sum(1) - along.square().sum(1)
    return torch.stack([(along.square() / variances).sum(1), left.clamp(min=0)], 1).sqrt()


def save(path: Path, tensors: dict[str, Tensor], card: dict) -> None:
    """Write a detector, ``NAME.safetensors`` and its card ``NAME.json``, each whole; ValueError if one is there."""
    from safetensors.torch import save as packed

    path = Path(path)
    for place in (path, path.with_suffix(".json")):
        if place.exists():
            raise ValueError(f"path: {place} exists; valid: a new file, nothing is overwritten")
    write_whole(path, packed({name: value.contiguous() for name, value in tensors.items()}))
    about = {**card, "sha256": pretrained.store.digest(tensors)}
    write_whole(path.with_suffix(".json"), json.dumps(about, indent=1, ensure_ascii=False) + "\n")


def load(model: str | Path = "clip-depths", download: bool | None = None) -> Detector:
    """A detector by name, or from a file that :func:`save` wrote.

    Parameters
    ----------
    model : str or path
        One of :func:`names`, or the path of a ``.safetensors`` file with its card beside it.
    download : bool, optional
        Whether the network that it reads with may be fetched, see :func:`deepfake_kit.weights`.

    Raises
    ------
    ValueError
        For another name, a card that lacks something, or one that does not match the weights.
    FileNotFoundError
        If the network that it reads with cannot be had; "drawn-spectrum" needs none.

    Examples
    --------
    >>> detector = load("drawn-spectrum")
    >>> odds, distance = detector(torch.rand(2, 3, 32, 32))
    >>> odds.shape, bool((distance > 1).all())
    (torch.Size([2]), True)
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = FOLDER / f"{model}.safetensors" if str(model) in names() else paths.absolute(model)
    if path.suffix != ".safetensors" or not path.is_file():
        raise invalid("model", str(model), f"{', '.join(names())}, or the path of a .safetensors file")
    try:
        card, tensors = json.loads(path.with_suffix(".json").read_text(encoding="utf-8")), load_file(path)
        digest = pretrained.store.digest(tensors)
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise ValueError(f"model: {path} with its card {path.stem}.json cannot be read ({error})") from error
    if missing := [key for key in CARD if not isinstance(card, dict) or key not in card]:
        raise ValueError(f"model: the card of {path} does not say {', '.join(missing)}")
    if card["sha256"] != digest or set(tensors) != set(ARRAYS):
        raise ValueError(f"model: the card of {path} does not match the weights, whose sha256 is another")
    reads = card["reads"]
    if reads not in ("spectrum", CLIP):
        raise ValueError(f"model: the card of {path} reads {reads!r}; valid: spectrum, {CLIP}")
    network, side = None, whole(f"model: side on the card of {path}", card["side"], 8, 1024)
    if reads == CLIP:
        network = pretrained.load(CLIP, download).network(image_side=side).requires_grad_(False)
    detector = Detector(card, tensors, network)
    try:  # on a grey picture, where arrays of other shapes fail
        detector.said()
        finite("scores of a grey picture", torch.stack(detector(torch.full((1, 3, side, side), 0.5))))
    except Exception as error:  # a stranger's card may fail anywhere
        raise ValueError(f"model: {path} and its card make no detector, as what save writes does ({error})") from error
    return detector
