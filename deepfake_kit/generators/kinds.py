r"""Five small image generators behind one door: GAN, style-based GAN, VAE, DDPM and face swap.

Each kind holds its settings, builds its untrained network, trains it, and samples from a trained one.
:mod:`deepfake_kit.generators.zoo` trains them once and keeps the weights. They draw the book's invented people only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from torch import Tensor, nn

from deepfake_kit.faces.studio import crop, footage
from deepfake_kit.generators.ddpm import fit_ddpm, new_ddpm, sample_ddpm
from deepfake_kit.generators.gan import fit_gan, new_gan
from deepfake_kit.generators.style_gan import new_style_gan
from deepfake_kit.generators.swap import fit_swap, new_swap, swap
from deepfake_kit.generators.vae import fit_vae, new_vae
from deepfake_kit.images import to_unit
from deepfake_kit.training import check_steps
from deepfake_kit.valid import one_of, require

#: The invented person that "swap" films, and the seed of the film.
SOURCE, FOOTAGE_SEED = 25, 10


@dataclass(frozen=True)
class Gan:
    """Settings of a kind, its `title` in figures, and what it does; every kind has these three methods."""

    title: ClassVar[str] = "GAN"
    steps: int = 800
    batch_size: int = 32
    lr: float = 1e-3
    channels: tuple[int, ...] = (96, 64, 32, 16)
    latent: int = 64
    grow: float = 0.4
    r1_weight: float = 1.0
    ema_decay: float = 0.99

    def pair(self, size: int, generator: torch.Generator | None) -> tuple[nn.Module, nn.Module]:
        """Untrained generator and discriminator."""
        return new_gan(size, tuple(self.channels), self.latent, generator)

    def build(self, size: int, generator: torch.Generator | None) -> nn.Module:
        """The untrained network that will be sampled from."""
        return self.pair(size, generator)[0]

    def train(self, images: Tensor, generator: torch.Generator) -> nn.Module:
        """A network trained on images [N, 3, S, S] in [0, 1]."""
        g, d = (net.to(images.device) for net in self.pair(images.shape[-1], generator))
        options = dict(grow=self.grow, ema_decay=self.ema_decay, generator=generator)
        return fit_gan(g, d, images, self.steps, self.batch_size, self.lr, self.r1_weight, **options).ema

    @staticmethod
    def sample(model: nn.Module, n: int, generator: torch.Generator | None) -> Tensor:
        """Fakes [n, 3, S, S] in [0, 1]."""
        return to_unit(torch.cat([model.draw(len(part), generator) for part in torch.arange(n).split(256)]))


@dataclass(frozen=True)
class StyleGan(Gan):
    title: ClassVar[str] = "style-based GAN"
    steps: int = 360
    lr: float = 1.5e-3
    grow: float = 0.0
    depth: int = 4

    def pair(self, size: int, generator: torch.Generator | None) -> tuple[nn.Module, nn.Module]:
        return new_style_gan(size, tuple(self.channels), self.latent, self.depth, generator)


@dataclass(frozen=True)
class Vae:
    title: ClassVar[str] = "VAE"
    steps: int = 1000
    batch_size: int = 32
    lr: float = 1e-3
    width: int = 384
    latent: int = 32
    noise: float = 0.25

    def build(self, size: int, generator: torch.Generator | None) -> nn.Module:
        return new_vae(size, self.width, self.latent, generator)

    def train(self, images: Tensor, generator: torch.Generator) -> nn.Module:
        model = self.build(images.shape[-1], generator).to(images.device)
        fit_vae(model, images, self.steps, self.batch_size, self.lr, self.noise, generator)
        return model

    @staticmethod
    def sample(model: nn.Module, n: int, generator: torch.Generator | None) -> Tensor:
        return to_unit(model.decode(model.draw_codes(n, generator)))


@dataclass(frozen=True)
class Ddpm:
    title: ClassVar[str] = "DDPM"
    steps: int = 1500
    batch_size: int = 128
    lr: float = 1e-3
    components: int = 160
    width: int = 256
    depth: int = 3
    channels: tuple[int, ...] = (32, 64)
    blocks: int = 1
    pixel_share: float = 0.2
    pixel_batch_size: int = 16
    pixel_lr: float = 3e-3
    ema_decay: float = 0.995

    def build(self, size: int, generator: torch.Generator | None) -> nn.Module:
        widths = (self.components, self.width, self.depth, tuple(self.channels), self.blocks)
        return new_ddpm(size, *widths, generator)

    def train(self, images: Tensor, generator: torch.Generator) -> nn.Module:
        model = self.build(images.shape[-1], generator).to(images.device)
        steps = (self.steps, math.ceil(self.steps * self.pixel_share), self.batch_size, self.pixel_batch_size)
        return fit_ddpm(model, images, *steps, self.lr, self.pixel_lr, self.ema_decay, generator)[0]

    sample = staticmethod(sample_ddpm)


@dataclass(frozen=True)
class Swap:
    title: ClassVar[str] = "face swap"
    steps: int = 800
    batch_size: int = 16
    lr: float = 3e-3
    width: int = 256
    latent: int = 8
    shared: bool = True
    aligned: bool = True
    warp_strength: float = 0.02
    recolour_strength: float = 0.05

    def build(self, size: int, generator: torch.Generator | None) -> nn.Module:
        return new_swap(size, self.width, self.latent, self.shared, generator, self.aligned)

    def train(self, images: list[Tensor], generator: torch.Generator) -> nn.Module:
        """Two people swapped, from a list of both one's faces."""
        model = self.build(images[0].shape[-1], generator).to(images[0].device)
        strengths = (self.warp_strength, self.recolour_strength)
        fit_swap(model, images, self.steps, self.batch_size, self.lr, *strengths, generator)
        return model

    @staticmethod
    def sample(model: nn.Module, n: int, generator: torch.Generator | None) -> Tensor:
        # A take number from the generator: frames of the source that no training has seen.
        take = 1 + int(torch.randint(10_000, (1,), generator=generator))
        frames = crop(footage(SOURCE, n, FOOTAGE_SEED, take=take, aligned=model.aligned).images, model.size)
        return swap(model, frames.to(model.average.device), 0, 1)


Kind = Gan | Vae | Ddpm | Swap
KINDS: dict[str, type[Kind]] = {"gan": Gan, "style-gan": StyleGan, "vae": Vae, "ddpm": Ddpm, "swap": Swap}


def settings_of(kind: str, **changed) -> Kind:
    """A kind with some of its settings changed.

    Raises
    ------
    ValueError
        For an unknown kind or setting (with the nearest valid name), steps below 1, or a style-gan that grows.

    Examples
    --------
    >>> settings_of("vae", steps=10)
    Vae(steps=10, batch_size=32, lr=0.001, width=384, latent=32, noise=0.25)
    """
    wanted = KINDS[one_of("kind", kind, KINDS)]
    for name in changed:
        one_of(f"setting of {kind}", name, [field.name for field in fields(wanted)])
    made = wanted(**changed)
    check_steps(made.steps, made.batch_size)
    require(kind != "style-gan" or made.grow == 0, "grow", getattr(made, "grow", 0), "0: a style-gan cannot grow")
    return made
