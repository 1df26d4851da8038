r"""Stable Diffusion's own classes, trained small on drawn portraits of which every attribute is known.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022: an autoencoder, a text
encoder, and a U-Net that takes noise away from the autoencoder's codes while it reads the caption. The same
:func:`make` runs a pipeline that others trained.

A portrait's labels are whole numbers [N, 8], one a name of :data:`VALUES`, each the position of a value there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit import _compat, faces
from deepfake_kit.draws import numpy_generator, seed_of
from deepfake_kit.faces import studio
from deepfake_kit.images import to_model
from deepfake_kit.paths import beside
from deepfake_kit.training import EMA, Checkpoint, check_steps, minimise, seeded
from deepfake_kit.valid import invalid, within

_SET = beside(__file__)
VALUES: dict[str, dict] = _SET["values"]  # for each attribute the words of a caption and what is drawn for each
NAMES = tuple(VALUES)
SIZES = tuple(len(values) for values in VALUES.values())
GENERIC, REALISTIC = "a photo of human face", "a realistic photo of human face"
SENTENCE = "this face image should be similar to the initial image ."
LENGTH = _SET["text"]["max_position_embeddings"]  # tokens a caption
CODES = _SET["autoencoder"]["latent_channels"]


def random_labels(n: int, generator: torch.Generator | None = None) -> Tensor:
    """Labels [n, 8], every value of every attribute equally likely and independent of the others."""
    random = numpy_generator(generator)
    return torch.from_numpy(np.stack([random.integers(size, size=n) for size in SIZES], 1))


def labelled(labels: Tensor, seed: int, size: int = 32, **fixed) -> faces.Faces:
    """Draw portraits with these labels in the studio of :func:`deepfake_kit.faces.studio.portraits`, without noise.

    The seed is the name of the pictures, as there.

    Raises
    ------
    ValueError
        If labels are not [N, 8] or one is out of range.

    Examples
    --------
    >>> labelled(random_labels(2), seed=0).images.shape
    torch.Size([2, 3, 32, 32])
    """
    sizes = torch.tensor(SIZES)
    if labels.ndim != 2 or labels.shape[1] != len(sizes) or not ((labels >= 0) & (labels < sizes)).all():
        raise invalid("labels", labels, f"[N, {len(sizes)}], each below {SIZES}")
    drawn = {name: [list(VALUES[name].values())[k] for k in labels[:, i]] for i, name in enumerate(NAMES)}
    smile, mouth_open = zip(*drawn["mood"], strict=True) if len(labels) else ((), ())
    chosen = {attribute: drawn[name] for name, attribute in _SET["drawn as"].items()}
    chosen |= {"smile": smile, "mouth_open": mouth_open, **_SET["still"]}
    return studio.portraits(len(labels), seed, size, **(chosen | fixed))


def scene(label: Sequence[int]) -> str:
    """What a captioner says who looks at the whole picture: skin, hair, what is worn, background."""
    word = {name: list(VALUES[name])[int(k)] for name, k in zip(NAMES, label)}
    hair = "bald" if word["style"] == "bald" else f"{word['style']} {word['hair']} hair"
    parts = [f"{word['skin']} skin", hair, word["eyes"], word["hat"], f"{word['background']} background"]
    return f"a face image of a person with {' , '.join(part for part in parts if part)} ."


def person(label: Sequence[int]) -> str:
    """What a reader of attributes says: skin, beard, mood."""
    word = {name: list(VALUES[name])[int(k)] for name, k in zip(NAMES, label)}
    beard = " , beard" if word["beard"] else ""
    return f"and the person has {word['skin']} skin{beard} and is {word['mood']} ."


def training_captions(labels: Tensor, generator: torch.Generator | None = None) -> list[str]:
    """A caption for each portrait: mostly both sentences, else one, a generic one or none; the last one at times added.

    The sentence about the "initial image" stands beside a tenth of them and says nothing about the portrait, so the
    network knows its words and nothing by them.
    """
    random, captions = numpy_generator(generator), []
    for label in labels.tolist():
        kind, extra = random.random(2)
        both = [scene(label), person(label)]
        text = " ".join(both if kind < 0.55 else both[::-1] if kind < 0.65 else both[:1] if kind < 0.75 else both[1:])
        text = text if kind < 0.85 else (GENERIC if kind < 0.875 else REALISTIC) if kind < 0.9 else ""
        captions.append(f"{text} {SENTENCE}" if text and extra < 0.1 else text)
    return captions


def tokenizer(words: Sequence[str]):
    """CLIP's byte-pair tokenizer with merges learnt until each of `words` is one token.

    >>> tokenizer(["face", "fact"]).tokenize("face fact face")
    ['face</w>', 'fact</w>', 'face</w>']
    """
    _compat.torchvision()
    from transformers import CLIPTokenizer

    split = [[*word[:-1], f"{word[-1]}</w>"] for word in sorted(set(words))]
    symbols, merges = sorted({symbol for parts in split for symbol in parts}), []
    while pairs := [pair for parts in split for pair in zip(parts, parts[1:])]:
        merges.append(max(sorted(set(pairs)), key=pairs.count))
        symbols.append("".join(merges[-1]))
        for parts in split:
            i = 0
            while i < len(parts) - 1:
                if (parts[i], parts[i + 1]) == merges[-1]:
                    parts[i : i + 2] = [symbols[-1]]
                i += 1
    vocabulary = {s: i for i, s in enumerate(["<|startoftext|>", "<|endoftext|>", *dict.fromkeys(symbols)])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)


def words() -> list[str]:
    """Every word that a caption of this module may hold."""
    said = [
        scene(one) + person(one) for one in [[0] * 8, *random_labels(200, torch.Generator().manual_seed(0)).tolist()]
    ]
    return sorted({word for text in [*said, GENERIC, REALISTIC, SENTENCE] for word in text.split()})


def pipeline(vae_widths=(8, 16, 32), unet_widths=(48, 96), generator: torch.Generator | None = None, size: int = 32):
    """An untrained `StableDiffusionPipeline` for pictures of `size` pixels, halved by each VAE width but the first.

    Velocity is predicted, and the last step of the schedule is pure noise (Lin et al. 2024).
    """
    _compat.torchvision()
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    words_to_numbers, levels = tokenizer(words()), len(vae_widths)
    with seeded(seed_of(generator)):
        down, up = ["DownEncoderBlock2D"] * levels, ["UpDecoderBlock2D"] * levels
        blocks = {"down_block_types": down, "up_block_types": up, "block_out_channels": vae_widths}
        vae = AutoencoderKL(sample_size=size, **blocks, **_SET["autoencoder"])
        text = CLIPTextModel(CLIPTextConfig(vocab_size=len(words_to_numbers), **_SET["text"]))
        nn.init.normal_(text.get_input_embeddings().weight, std=0.3)
        down = ("DownBlock2D",) * (len(unet_widths) - 1) + ("CrossAttnDownBlock2D",)
        up = ("CrossAttnUpBlock2D",) + ("UpBlock2D",) * (len(unet_widths) - 1)
        blocks = {"down_block_types": down, "up_block_types": up, "block_out_channels": unet_widths}
        unet = UNet2DConditionModel(sample_size=size >> (levels - 1), **blocks, **_SET["denoiser"])
    with torch.no_grad():  # little noise in the first codes
        vae.quant_conv.weight[CODES:] = 0
        vae.quant_conv.bias[CODES:] = -5
    schedule = DDIMScheduler(**_SET["schedule"])
    parts = {"vae": vae, "text_encoder": text, "unet": unet, "tokenizer": words_to_numbers, "scheduler": schedule}
    whole = StableDiffusionPipeline(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    whole.set_progress_bar_config(disable=True)
    return whole


def load(name: str):
    """A `StableDiffusionPipeline` that others trained, by its name on the model hub or its folder; without the checker.

    The safety checker replaces pictures that it takes for nudity by black ones; here every prompt is about a portrait.
    """
    _compat.torchvision()
    from diffusers import StableDiffusionPipeline

    whole = StableDiffusionPipeline.from_pretrained(name, safety_checker=None, requires_safety_checker=False)
    whole.set_progress_bar_config(disable=True)
    return whole.to("cuda" if torch.cuda.is_available() else "cpu")


def image_to_image(pipe):
    """The image-to-image pipeline of the same networks."""
    from diffusers import StableDiffusionImg2ImgPipeline

    whole = StableDiffusionImg2ImgPipeline(**pipe.components, requires_safety_checker=False)
    whole.set_progress_bar_config(disable=True)
    return whole


def _fit(model: nn.Module, loss, steps: int, lr: float, decay: float, checkpoint: Checkpoint | None) -> list[float]:
    """AdamW with warm-up and half a cosine; the model ends as the average over its last steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=0.01)
    rate = lambda k: min(1, (k + 1) / 30) * (0.02 + 0.49 * (1 + math.cos(math.pi * k / steps)))  # noqa: E731
    average = EMA(model, decay)
    if checkpoint:
        checkpoint.parts += [model, average]
    how = {"clip": 1.0, "after": lambda step, value: average.update(model), "checkpoint": checkpoint}
    plan = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    losses = minimise(loss, optimizer, steps, schedule=plan, **how)
    model.load_state_dict(average.model.state_dict())
    model.requires_grad_(False).eval()
    return losses


def train_autoencoder(
    vae, images: Tensor, steps: int, lr: float, generator: torch.Generator, checkpoint: Checkpoint | None = None
) -> list[float]:
    """Train the autoencoder on images [N, 3, S, S] in [0, 1], then give its codes mean 0 and variance 1.

    The loss is L1, twice that of colour (what grey does not explain), that of 4 x 4 means, and a little of the
    Kullback-Leibler term. The scaling goes into the network's own 1 x 1 convolutions. Returns the loss of each step.
    """
    check_steps(steps, 1)

    def loss(step: int) -> Tensor:
        x = to_model(images[torch.randint(len(images), (16,), generator=generator)])
        codes = vae.encode(x).latent_dist
        off = vae.decode(codes.sample(generator)).sample - x
        grey = off.mean(1, keepdim=True)
        close = off.abs().mean() + 2 * (off - grey).abs().mean() + F.avg_pool2d(off, 4).abs().mean()
        return close + 1e-4 * codes.kl().mean() / x[0, 0].numel() * 4

    losses = _fit(vae, loss, steps, lr, 0.98, checkpoint)
    z = encode(vae, images[:2000])
    mean, spread = z.mean((0, 2, 3)), z.std((0, 2, 3))
    into, out = vae.quant_conv, vae.post_quant_conv
    out.bias += out.weight[:, :, 0, 0] @ mean
    out.weight *= spread[None, :, None, None]
    into.weight[:CODES] /= spread[:, None, None, None]
    into.bias[:CODES] = (into.bias[:CODES] - mean) / spread
    into.bias[CODES:] -= 2 * spread.log()
    return losses


@torch.no_grad()
def encode(vae, images: Tensor) -> Tensor:
    """Mean codes [N, 8, s, s] of images [N, 3, S, S] in [0, 1]."""
    return torch.cat([vae.encode(to_model(x)).latent_dist.mean for x in images.split(200)])


@torch.no_grad()
def decode(vae, codes: Tensor) -> Tensor:
    """Images in [0, 1] of codes."""
    return torch.cat([(vae.decode(z).sample / 2 + 0.5).clamp(0, 1) for z in codes.split(200)])


def tokens(pipe, captions: Sequence[str]) -> Tensor:
    """Token numbers [N, length] of captions, filled up to the tokenizer's length."""
    length = pipe.tokenizer.model_max_length
    return pipe.tokenizer(list(captions), padding="max_length", max_length=length, return_tensors="pt").input_ids


def train_denoiser(
    pipe,
    codes: Tensor,
    captions: Sequence[str],
    steps: int,
    lr: float,
    generator: torch.Generator,
    *,
    batch_size: int = 64,
    decay: float = 0.99,
    checkpoint: Checkpoint | None = None,
) -> list[float]:
    r"""Train U-Net and text encoder to predict the velocity, by least squares; returns the loss of each step.

    .. math:: \|v_\theta(z_t,t,c)-(\sqrt{\bar\alpha_t}\,\epsilon-\sqrt{1-\bar\alpha_t}\,z)\|^2

    The steps t are stratified over a batch.
    """
    check_steps(steps, batch_size)
    ids, noise, length = tokens(pipe, captions), pipe.scheduler, pipe.scheduler.config.num_train_timesteps

    def loss(step: int) -> Tensor:
        i = torch.randint(len(codes), (batch_size,), generator=generator)
        start = torch.rand(1, generator=generator)
        t = (((torch.arange(batch_size) + start) * length) / batch_size).long()
        e = torch.randn(codes[i].shape, generator=generator)
        told = pipe.text_encoder(ids[i]).last_hidden_state
        v = pipe.unet(noise.add_noise(codes[i], e, t), t, told).sample
        return F.mse_loss(v, noise.get_velocity(codes[i], e, t))

    return _fit(nn.ModuleList([pipe.unet, pipe.text_encoder]), loss, steps, lr, decay, checkpoint)


def make(pipe, captions: Sequence[str], seeds: Sequence[int], guidance: float = 3.0, steps: int = 20, **more) -> Tensor:
    """Pictures [N, 3, S, S] in [0, 1] for captions, each from the noise of its own seed; any Stable Diffusion will do.

    Parameters
    ----------
    pipe : StableDiffusionPipeline or StableDiffusionImg2ImgPipeline
    captions : sequence of str, N
    seeds : sequence of int, N
        Picture i depends on caption i and seed i alone.
    guidance : float
        Weight w of the caption: above 1 overstates it. At 1 and below diffusers does not guide and takes the
        conditional prediction as it is, so 0 is not the picture without a caption: give "" as the caption.
    steps : int
        Network passes, at least 1.
    **more
        Passed on, e.g. ``image=`` [N, 3, S, S] in [0, 1] and ``strength=`` of image-to-image.

    Raises
    ------
    ValueError
        If captions and seeds differ in number, there are none, or guidance is not finite.
    """
    if not len(captions) == len(seeds) > 0:
        raise invalid("captions, seeds", (len(captions), len(seeds)), "equally many, at least one")
    within("guidance", guidance, "(-inf, inf)")
    check_steps(steps, 1)
    made, images = [], more.pop("image", None)
    for i in range(0, len(captions), 32):
        part = slice(i, i + 32)
        given = {} if images is None else {"image": images[part]}
        generators = [torch.Generator(pipe.device).manual_seed(int(seed)) for seed in seeds[part]]
        how = {"num_inference_steps": steps, "guidance_scale": guidance, "output_type": "pt", **given, **more}
        made.append(pipe(list(captions[part]), generator=generators, **how).images)
    return torch.cat(made).float().cpu()
