"""What the pretrained networks are worth on the book's own sets: the numbers that `registry.yml` cites as measured.

Run ``python tests/bench/measure_pretrained.py [NAME ...]``; it prints one JSON line a measurement. Half an hour of one
core for all. A probe is a logistic regression over standardised features, its strength chosen by four folds of the
training part; the validation part is looked at once.
"""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import deepfake_kit as kit  # noqa: E402
from deepfake_kit import data  # noqa: E402


def tell(**facts) -> None:
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in facts.items()}), flush=True)


def scaled(pictures: torch.Tensor, side: int) -> torch.Tensor:
    """uint8 [N,3,H,W] as float in [0,1] of another side."""
    x = pictures.float() / 255
    if x.shape[-1] == side:
        return x
    return torch.nn.functional.interpolate(x, size=side, mode="bicubic", antialias=True).clamp(0, 1)


def stages(network):
    """Mean and spread over the picture of what each stage of an EfficientNet gives."""

    def of(images: torch.Tensor) -> torch.Tensor:
        maps = network.forward_intermediates(images, intermediates_only=True)
        return torch.cat([part for x in maps for part in (x.mean((2, 3)), x.std((2, 3)))], 1)

    return of


@torch.no_grad()
def features(found, network, pictures: torch.Tensor, side: int) -> tuple[np.ndarray, float]:
    began = time.process_time()
    got = [network(found.prepare(scaled(part, side))) for part in pictures.split(16)]
    return torch.cat(got).numpy(), (time.process_time() - began) / len(pictures)


def probe(train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray) -> dict:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    grid = GridSearchCV(model, {"logisticregression__C": [1e-4, 1e-3, 1e-2, 1e-1, 1.0]}, scoring="roc_auc", cv=folds)
    score = grid.fit(train, labels).decision_function(test)
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(truth), len(truth)) for _ in range(1000)]
    low, high = np.quantile([roc_auc_score(truth[i], score[i]) for i in draws], [0.025, 0.975])
    c = grid.best_params_["logisticregression__C"]
    return {"auc": float(roc_auc_score(truth, score)), "low": float(low), "high": float(high), "C": c}


def detectors(names: list[str]) -> None:
    train, test = (data.load("ffhq-stylegan", split, size=128, download=False) for split in ("train", "val"))
    y, truth = (part.labels.numpy() for part in (train, test))
    small = [torch.nn.functional.adaptive_avg_pool2d(p.images.float(), 16).flatten(1).numpy() for p in (train, test)]
    tell(what="probe of a 16 x 16 thumbnail", **probe(small[0], y, small[1], truth), train=len(y), test=len(truth))
    cases = {"clip-vit-b16": [({"image_side": 128}, 128)], "efficientnet-lite0": []}
    cases["efficientnet-lite0"] = [({}, 128), ({}, 224), ({"stages": True}, 128), ({"stages": True}, 224)]
    for name in [name for name in cases if name in names]:
        found = kit.weights(name)
        for options, side in cases[name]:
            network = stages(found.network()) if "stages" in options else found.network(**options)
            a, seconds = features(found, network, train.images, side)
            b, _ = features(found, network, test.images, side)
            told = {"what": f"probe of {name}", "options": options, "side": side, "cpu_ms_an_image": 1000 * seconds}
            tell(**told, **probe(a, y, b, truth), source=found.source)
            if name == "clip-vit-b16":  # the 512 numbers that it shares with text
                a, b = (x @ found.tensors["head.weight"].numpy().T for x in (a, b))
                tell(**told | {"what": "probe of clip-vit-b16, projected"}, **probe(a, y, b, truth))


def attributes() -> None:
    """Rates over groups only: the network is under audit, not the persons."""
    found = kit.weights("face-attributes")
    network, parts = found.network(), [data.load("fairface", split, download=False) for split in ("train", "val")]
    pictures, gender, race = (
        torch.cat([get(part) for part in parts])
        for get in (lambda part: part.images, lambda part: part.extra["gender"], lambda part: part.extra["race"])
    )
    with torch.no_grad():
        male = torch.cat([network(found.prepare(scaled(part, 112)))["male"] for part in pictures.split(64)])
    wrong = ((male < 0.5).long() != gender).float()  # 0 is male in FairFace's table
    groups = {
        name: round(float(wrong[race == code].mean()), 3) for code, name in enumerate(parts[0].extra["race_names"])
    }
    tell(what="face-attributes: gender other than FairFace's label", rate=float(wrong.mean()), n=len(wrong), by=groups)


def watermark() -> None:
    fakes = data.load("ffhq-stylegan", "train", size=128, download=False)
    pictures = scaled(fakes.images[fakes.labels == 1][:24], 256)
    network = kit.weights("rivagan").network()
    bits = torch.randint(0, 2, (len(pictures), 32), generator=torch.Generator().manual_seed(0)).float()

    def eight(x: torch.Tensor) -> torch.Tensor:
        return (255 * x).round() / 255

    def jpeg(x: torch.Tensor, quality: int, side: int = 256) -> torch.Tensor:
        out = []
        for one in (255 * x).round().byte().permute(0, 2, 3, 1).numpy():
            box = io.BytesIO()
            Image.fromarray(one).resize((side, side), Image.LANCZOS).save(box, "JPEG", quality=quality)
            out.append(np.asarray(Image.open(box).resize((256, 256), Image.LANCZOS)))
        return torch.from_numpy(np.stack(out)).permute(0, 3, 1, 2).float() / 255

    with torch.no_grad():
        marked = eight(network.encode(pictures, bits))
        mse = (marked - eight(pictures)).square().mean((1, 2, 3))
        ways = {
            "clean": marked,
            **{f"JPEG {q}": jpeg(marked, q) for q in (90, 75, 50)},
            "to .7, JPEG 75": jpeg(marked, 75, 179),
            "unmarked": pictures,
        }
        read = {way: (network.decode(x) > network.threshold) == bits for way, x in ways.items()}
    right = {way: round(float(good.float().mean()), 3) for way, good in read.items()}
    tell(what="rivagan", psnr=float((-10 * mse.log10()).mean()), n=len(pictures), bits_right=right)


def main(names: list[str]) -> None:
    names = names or ["clip-vit-b16", "efficientnet-lite0", "face-attributes", "rivagan"]
    if {"clip-vit-b16", "efficientnet-lite0"} & set(names):
        detectors(names)
    if "face-attributes" in names:
        attributes()
    if "rivagan" in names:
        watermark()


if __name__ == "__main__":
    main(sys.argv[1:])
