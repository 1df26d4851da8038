#!/usr/bin/env python3
"""Make the detectors of `deepfake-kit detect` again, from the data and seeds that their cards name.

Usage::

    python data_scripts/teach_detectors.py --to FOLDER [NAME ...]

Each becomes NAME.safetensors and NAME.json in FOLDER; nothing is overwritten. About six minutes on one thread, most of
them for CLIP's features of 800 pictures and, once, for the five forgers of the zoo.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

try:
    import deepfake_kit  # noqa: F401
except ImportError:  # run from a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from deepfake_kit import data, pretrained, provenance
from deepfake_kit.arena import contest
from deepfake_kit.detect import detector as d
from deepfake_kit.faces.studio import portraits
from deepfake_kit.generators import zoo
from deepfake_kit.measure.scores import auc, delong_interval, wilson_interval
from deepfake_kit.valid import finite

SEED = 0
MET, UNMET = ("gan", "style-gan", "vae"), ("ddpm", "swap")


def fit(
    features: torch.Tensor,
    is_fake: torch.Tensor,
    strengths=(3e-4, 3e-3, 3e-2),
    directions=32,
    quantile=0.99,
    folds=4,
    seed=0,
) -> dict[str, torch.Tensor]:
    """The numbers of a detector: logistic regression on standardised features, calibrated, with its range.

    What is chosen, is chosen on folds: the strength with the best AUC, the line that calibrates (Platt 1999), and the
    limits of the two distances, which a share `quantile` of the pictures left out keeps, half of the rest for each.

    Parameters
    ----------
    features : Tensor [N, D]
    is_fake : Tensor [N]
        1 for fake, 0 for real.
    strengths : sequence of float
        Inverse weights of the penalty, scikit-learn's ``C``.
    directions : int
        How many directions have a variance of their own.
    quantile, folds, seed : float, int, int

    Raises
    ------
    ValueError
        For shapes that do not fit, features that are not finite, or fewer than `folds` pictures of a class.
    """
    y = np.asarray(is_fake)
    counts = [int((y == kind).sum()) for kind in (0, 1)]
    if (
        features.ndim != 2
        or y.shape != features.shape[:1]
        or sum(counts) != len(y)
        or min(counts) < folds
        or not directions < min(features.shape)
    ):
        raise ValueError(
            f"features, is_fake: got shapes {tuple(features.shape)} and {y.shape} with {counts[0]} real and "
            f"{counts[1]} fake; valid: [N, D] and [N] of 0 and 1, at least {folds} of each, "
            f"with N and D above {directions}"
        )
    x = finite("features", features).double()

    def ranged(x):
        _, scale, axes = torch.linalg.svd(x, full_matrices=False)
        power = scale.square() / (len(x) - 1)
        return axes[:directions], power[:directions]

    def learned(rows, strength):
        mean, spread = x[rows].mean(0), x[rows].std(0) + 1e-4
        known = (x[rows] - mean) / spread
        return mean, spread, known, LogisticRegression(C=strength, max_iter=2000).fit(known.numpy(), y[rows])

    outside, far = {strength: np.zeros(len(y)) for strength in strengths}, torch.zeros(len(y), 2, dtype=x.dtype)
    areas = {strength: [] for strength in strengths}
    for rows, left in StratifiedKFold(folds, shuffle=True, random_state=seed).split(y, y):
        for strength in strengths:
            mean, spread, known, rule = learned(rows, strength)
            new = (x[left] - mean) / spread
            outside[strength][left] = rule.decision_function(new.numpy())
            areas[strength].append(auc(outside[strength][left], y[left]))
        far[left] = d.distances(new, *ranged(known))
    best = max(strengths, key=lambda strength: np.mean(areas[strength]))
    line = LogisticRegression(C=1e6).fit(outside[best][:, None], y)
    mean, spread, known, rule = learned(slice(None), best)
    slope, shift = float(line.coef_[0, 0]), float(line.intercept_[0])
    weight, bias = slope * torch.tensor(rule.coef_[0]), slope * torch.tensor(rule.intercept_[0]) + shift
    numbers = (mean, spread, weight, bias, *ranged(known), far.quantile((1 + quantile) / 2, 0))
    return {name: value.half() if name == "directions" else value.float() for name, value in zip(d.ARRAYS, numbers)}


def measured(odds, distance, is_fake) -> dict:
    """AUC, shares of fakes found and of real pictures accused, and of all that are out of range, with intervals."""
    counts = {
        "fakes found": odds[is_fake == 1] > 0,
        "real accused": odds[is_fake == 0] > 0,
        "out of range": distance > 1,
    }
    found = {"auc": [auc(odds, is_fake), *delong_interval(odds, is_fake)]}
    for name, hits in counts.items():
        found[name] = [float(hits.float().mean()), *wilson_interval(int(hits.sum()), len(hits))]
    return {"images": len(odds), **{name: [round(x, 4) for x in numbers] for name, numbers in found.items()}}


def by_source(judged, source, is_fake) -> dict:
    """What is measured over all pictures, and for each generator's fakes beside all real pictures."""
    odds, distance = judged
    named = {"all": np.full(len(source), True)} | {
        name: (source == name) | (is_fake == 0) for name in sorted(set(source[is_fake == 1]))
    }
    return {name: measured(odds[keep], distance[keep], is_fake[keep]) for name, keep in named.items()}


def clip_depths() -> tuple[dict, dict]:
    """A linear rule on CLIP's class tokens after four of its blocks, from photographs and StyleGAN's faces."""
    card = {"side": 128, "reads": d.CLIP, "blocks": [6, 8, 10, 12]}
    network = pretrained.load(d.CLIP).network(image_side=card["side"]).requires_grad_(False)
    reader, features, parts = d.Detector(card, {}, network), {}, {}
    for split in ("train", "val"):
        parts[split] = data.load("ffhq-stylegan", split, size=card["side"])
        if parts[split].stand_in:
            raise FileNotFoundError("ffhq-stylegan is not here; a detector is not made of a stand-in")
        features[split] = reader.features(parts[split].images.float() / 255)
    train, val = parts["train"], parts["val"]
    tensors = fit(features["train"], train.labels, seed=SEED)
    judged = d.Detector(card, tensors, network).judge(features["val"])
    names = {"stylegan2-thispersondoesnotexist": "StyleGAN2", "stylegan3-r-ffhq": "StyleGAN3"}
    source = np.array([names.get(one, "real") for one in val.extra["source"]])
    return tensors, card | {
        "title": "CLIP's ViT-B/16 frozen, read after four depths, and a linear rule",
        "trained_on": "300 photographs of FFHQ against 150 faces each by StyleGAN2 and StyleGAN3, 128 pixels, aligned",
        "never_seen": "diffusion models, face swaps, edited or drawn pictures, other cameras, other crops of the face",
        "data": {part.split: part.sha256 for part in parts.values()} | {d.CLIP: pretrained.fingerprint(d.CLIP)},
        "metrics": {f"validation, {name}": x for name, x in by_source(judged, source, val.labels.numpy()).items()},
    }


def crossed(learned, real, tested) -> dict:
    """AUC with its interval, on each forger's fakes, of a rule that learned from one forger and as many portraits."""
    one = torch.cat([real["train"][: len(learned)], learned])
    tensors = fit(d.spectrum(one), torch.arange(len(one)) >= len(learned), seed=SEED)
    found = {}
    for name, fakes in tested.items():
        judged = d.Detector({}, tensors).judge(d.spectrum(torch.cat([real["test"], fakes])))[0]
        y = np.repeat([0, 1], [len(real["test"]), len(fakes)])
        found[name] = [round(x, 4) for x in (auc(judged, y), *delong_interval(judged, y))]
    return found


def drawn_spectrum() -> tuple[dict, dict]:
    """A linear rule on the Fourier magnitudes of drawn faces, against three small generators; needs no network."""
    rounded = {}
    for kind in (*MET, *UNMET):
        forger = zoo.forger(kind, contest.training_faces(kind))
        rounded[kind] = contest.to_file(forger.sample(600, torch.Generator().manual_seed(SEED + 5)))
    real = {"train": portraits(1200, SEED + 777).images, "test": portraits(400, SEED + 778).images}
    card = {"side": 32, "reads": "spectrum"}
    learn = torch.cat([real["train"], *(rounded[kind][:400] for kind in MET)])
    tensors = fit(d.spectrum(learn), torch.arange(len(learn)) >= len(real["train"]), seed=SEED)
    test = torch.cat([real["test"], *(fakes[400:] for fakes in rounded.values())])
    source = np.repeat(["real", *rounded], [400, *[200] * len(rounded)])
    judged = d.Detector(card, tensors).judge(d.spectrum(test))
    found = by_source(judged, source, (source != "real").astype(int))
    del found["all"]
    matrix = {
        kind: crossed(fakes[:400], real, {name: x[400:] for name, x in rounded.items()})
        for kind, fakes in rounded.items()
    }
    return tensors, card | {
        "title": "Fourier magnitudes of a drawn passport portrait, and a linear rule",
        "trained_on": "1200 drawn portraits against 400 each by the kit's GAN, style-based GAN and VAE, 32 pixels",
        "never_seen": "the kit's DDPM and face swap, drawings of any other style, photographs, larger generators",
        "data": {"drawn faces": zoo.data_sha256(real["train"]), "forgers": zoo.code_sha256()},
        "metrics": {f"{'met' if name in MET else 'not met'}, {name}": x for name, x in found.items()},
        "matrix": matrix,
    }


MADE = {"clip-depths": clip_depths, "drawn-spectrum": drawn_spectrum}


def main(arguments: list[str] | None = None) -> int:
    """Make the named detectors; 0 when all were written, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "names", nargs="*", choices=[*MADE, []], metavar="NAME", help=f"{', '.join(MADE)}; default: all"
    )
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="where they are written")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # sums in one order
    for name in options.names or MADE:
        try:
            tensors, card = MADE[name]()
            card |= {
                "name": name,
                "seed": SEED,
                "profile": "as shipped",
                "quantile": 0.99,
                "made_by": Path(__file__).name,
            }
            d.save(options.to / f"{name}.safetensors", tensors, card | {"versions": provenance.library_versions()})
        except (ValueError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        print(options.to / f"{name}.safetensors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
