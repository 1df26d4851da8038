r"""Five small image generators behind one door: GAN, style-based GAN, VAE, DDPM and face swap.

Each kind has default settings, a function that builds its untrained network, one that trains it, and one that samples.
:mod:`deepfake_kit.generators.zoo` trains them once and keeps the weights. They draw the book's invented people only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deepfake_kit.faces.studio import crop, footage, portraits
from deepfake_kit.generators.ddpm import fit_ddpm, new_ddpm, sample_ddpm
from deepfake_kit.generators.gan import fit_gan, new_gan
from deepfake_kit.generators.style_gan import new_style_gan
from deepfake_kit.generators.swap import fit_swap, new_swap, swap
from deepfake_kit.generators.vae import fit_vae, new_vae
from deepfake_kit.images import to_unit
from deepfake_kit.training import check_steps
from deepfake_kit.valid import one_of

#: Seeds of the invented populations; test faces come from others.
PORTRAIT_SEED, FOOTAGE_SEED = 2101, 10
SOURCE, TARGET = 25, 16


@dataclass(frozen=True)
class Kind:
    """One kind of generator.

    Attributes
    ----------
    title : str
        Its name in figures.
    defaults : dict
        Settings and their values; all of them JSON.
    build : callable (size, settings, random) -> nn.Module
        The untrained network that will be sampled from.
    train : callable (images, settings, random) -> nn.Module
        A trained one.
    sample : callable (model, n, random) -> Tensor [n, 3, S, S] in [0, 1]
    """

    title: str
    defaults: dict
    build: Callable
    train: Callable
    sample: Callable


def settings_of(kind: str, **changed) -> dict:
    """The settings of a kind with some changed.

    Raises
    ------
    ValueError
        For an unknown kind or setting (with the nearest valid name).

    Examples
    --------
    >>> settings_of("vae", steps=10)["steps"]
    10
    """
    defaults = KINDS[one_of("kind", kind, KINDS)].defaults
    for name in changed:
        one_of(f"setting of {kind}", name, defaults)
    settings = {**defaults, **changed}
    check_steps(settings["steps"], settings["batch_size"])
    return settings


def training_faces(kind: str, n: int = 4000, size: int = 32) -> Tensor | list[Tensor]:
    """The faces a kind learns from unless others are given.

    Returns
    -------
    Tensor [n, 3, size, size], or for "swap" a list of two: n // 10 frames each of source and target, cropped and
    aligned.
    """
    one_of("kind", kind, KINDS)
    if kind == "swap":
        return [crop(footage(person, n // 10, FOOTAGE_SEED).images, size) for person in (SOURCE, TARGET)]
    return portraits(n, PORTRAIT_SEED, size).images


def _pair_gan(size: int, s: dict, random):
    return new_gan(size, tuple(s["channels"]), s["latent"], random)


def _pair_style(size: int, s: dict, random):
    return new_style_gan(size, tuple(s["channels"]), s["latent"], s["depth"], random)


def _train_pair(pair: Callable) -> Callable:
    def train(images: Tensor, s: dict, random) -> nn.Module:
        generator, discriminator = (net.to(images.device) for net in pair(images.shape[-1], s, random))
        log = fit_gan(
            generator,
            discriminator,
            images,
            s["steps"],
            s["batch_size"],
            s["lr"],
            s["r1_weight"],
            grow=s["grow"],
            ema_decay=s["ema_decay"],
            random=random,
        )
        return log.ema

    return train


@torch.no_grad()
def _sample_gan(model: nn.Module, n: int, random) -> Tensor:
    return to_unit(torch.cat([model.draw(len(part), random) for part in torch.arange(n).split(256)]))


def _build_vae(size: int, s: dict, random):
    return new_vae(size, s["width"], s["latent"], random)


def _train_vae(images: Tensor, s: dict, random) -> nn.Module:
    model = _build_vae(images.shape[-1], s, random).to(images.device)
    fit_vae(model, images, s["steps"], s["batch_size"], s["lr"], s["noise"], random)
    return model


@torch.no_grad()
def _sample_vae(model: nn.Module, n: int, random) -> Tensor:
    return to_unit(model.decode(model.draw_codes(n, random)))


def _build_ddpm(size: int, s: dict, random):
    return new_ddpm(size, s["components"], s["width"], s["depth"], tuple(s["channels"]), s["blocks"], random)


def _train_ddpm(images: Tensor, s: dict, random) -> nn.Module:
    model = _build_ddpm(images.shape[-1], s, random).to(images.device)
    pixel_steps = math.ceil(s["steps"] * s["pixel_share"])
    return fit_ddpm(
        model,
        images,
        s["steps"],
        pixel_steps,
        s["batch_size"],
        s["pixel_batch_size"],
        s["lr"],
        s["pixel_lr"],
        s["ema_decay"],
        random,
    )[0]


def _build_swap(size: int, s: dict, random):
    return new_swap(size, s["width"], s["latent"], s["shared"], random, s["aligned"])


def _train_swap(images: list[Tensor], s: dict, random) -> nn.Module:
    model = _build_swap(images[0].shape[-1], s, random).to(images[0].device)
    fit_swap(model, images, s["steps"], s["batch_size"], s["lr"], s["warp_strength"], s["recolour_strength"], random)
    return model


def _sample_swap(model: nn.Module, n: int, random) -> Tensor:
    # A take number from the generator: frames of the source that no training has seen.
    take = 1 + int(torch.randint(10_000, (1,), generator=random))
    frames = crop(footage(SOURCE, n, FOOTAGE_SEED, take=take, aligned=model.aligned).images, model.size)
    return swap(model, frames.to(model.average.device), 0, 1)


KINDS: dict[str, Kind] = {
    "gan": Kind(
        "GAN",
        {
            "steps": 800,
            "batch_size": 32,
            "lr": 1e-3,
            "channels": [96, 64, 32, 16],
            "latent": 64,
            "grow": 0.4,
            "r1_weight": 1.0,
            "ema_decay": 0.99,
        },
        lambda size, s, random: _pair_gan(size, s, random)[0],
        _train_pair(_pair_gan),
        _sample_gan,
    ),
    "style-gan": Kind(
        "style-based GAN",
        {
            "steps": 360,
            "batch_size": 32,
            "lr": 1.5e-3,
            "channels": [96, 64, 32, 16],
            "latent": 64,
            "depth": 4,
            "grow": 0.0,
            "r1_weight": 1.0,
            "ema_decay": 0.99,
        },
        lambda size, s, random: _pair_style(size, s, random)[0],
        _train_pair(_pair_style),
        _sample_gan,
    ),
    "vae": Kind(
        "VAE",
        {"steps": 1000, "batch_size": 32, "lr": 1e-3, "width": 384, "latent": 32, "noise": 0.25},
        _build_vae,
        _train_vae,
        _sample_vae,
    ),
    "ddpm": Kind(
        "DDPM",
        {
            "steps": 1500,
            "batch_size": 128,
            "lr": 1e-3,
            "components": 160,
            "width": 256,
            "depth": 3,
            "channels": [32, 64],
            "blocks": 1,
            "pixel_share": 0.2,
            "pixel_batch_size": 16,
            "pixel_lr": 3e-3,
            "ema_decay": 0.995,
        },
        _build_ddpm,
        _train_ddpm,
        sample_ddpm,
    ),
    "swap": Kind(
        "face swap",
        {
            "steps": 800,
            "batch_size": 16,
            "lr": 3e-3,
            "width": 256,
            "latent": 8,
            "shared": True,
            "aligned": True,
            "warp_strength": 0.02,
            "recolour_strength": 0.05,
        },
        _build_swap,
        _train_swap,
        _sample_swap,
    ),
}
