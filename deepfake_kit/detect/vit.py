"""Vision transformers: a small one, timm's by name, and :func:`vit_lora`, timm's with peft's low-rank adapters."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn

from deepfake_kit.training import seeded
from deepfake_kit.valid import invalid, require


def _seeded(generator: torch.Generator | None, device: torch.device | str = "cpu"):
    """Let code that draws from torch's global stream draw from `generator`, and leave the global stream as it was."""
    if generator is None:
        return contextlib.nullcontext()
    return seeded(int(torch.randint(2**62, (1,), generator=generator)), device)


def small_vit(
    side: int = 64,
    patch: int = 16,
    width: int = 64,
    depth: int = 3,
    heads: int = 4,
    classes: int = 2,
    generator: torch.Generator | None = None,
) -> nn.Module:
    """timm's vision transformer in a size for one thread, with random weights.

    Parameters
    ----------
    side, patch : int
        Pixels of the images and of a patch; the side must be a multiple of the patch.
    width, depth, heads : int
        Numbers a token holds (a multiple of `heads`), blocks, attention heads.
    classes : int
        Outputs of the head.
    generator : torch.Generator, optional
        For the weights.

    Raises
    ------
    ValueError
        If the side is no multiple of the patch, or the width none of the heads.

    Examples
    --------
    >>> small_vit()(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 2])
    """
    require(side % patch == 0, "side", side, f"a multiple of the patch, {patch}")
    require(width % heads == 0, "width", width, f"a multiple of the heads, {heads}")
    from deepfake_kit import _compat

    _compat.torchvision()
    from timm.models.vision_transformer import VisionTransformer

    with _seeded(generator):
        return VisionTransformer(
            img_size=side, patch_size=patch, embed_dim=width, depth=depth, num_heads=heads, num_classes=classes
        )


def vit(
    name: str = "vit_base_patch16_224", pretrained: bool = False, classes: int = 2, device: str | torch.device = "cpu"
) -> nn.Module:
    """A named transformer of timm.

    Parameters
    ----------
    name : str
        One of timm's models.
    pretrained : bool
        Download ImageNet weights, as timm does, and keep them in its cache.
    classes : int
        Outputs of the head; 1000 keeps ImageNet's.
    device : str or torch.device
        ``"meta"`` gives shapes without numbers: a large model can be counted in no time and memory.

    Raises
    ------
    ValueError
        For a name that timm does not know.
    ConnectionError
        If the weights can neither be found nor downloaded.
    """
    from deepfake_kit import _compat

    _compat.torchvision()
    import timm

    if not timm.is_model(name):
        near = ", ".join(timm.list_models("vit_*_patch16_224")[:5])
        raise invalid("name", repr(name), f"a model of timm such as {near}")
    try:
        with torch.device(device):
            return timm.create_model(name, pretrained=pretrained, num_classes=classes)
    except OSError as problem:  # as each of the hub's and the web's kinds is; any other fault is told as it is
        if not pretrained:
            raise
        raise ConnectionError(
            f"the pre-trained weights of {name!r} are not in the cache and could not be downloaded "
            f"({type(problem).__name__}); connect once, or take pretrained=False"
        ) from problem


def vit_lora(
    name: str | nn.Module = "vit_base_patch16_224",
    rank: int = 16,
    alpha: float = 32,
    dropout: float = 0.1,
    pretrained: bool = True,
    *,
    classes: int = 2,
    train_head: bool = True,
    device: str | torch.device = "cpu",
    generator: torch.Generator | None = None,
) -> nn.Module:
    r"""A transformer whose attention layers are adapted by LoRA while its own weights stay frozen.

    The defaults are the Hanyang report's (Sec. 3.2.2); the adapted layer is ``qkv``, the one that report names.

    Parameters
    ----------
    name : str or nn.Module
        A model of timm, or a transformer built and pre-trained already; that one is copied, not changed.
    rank, alpha, dropout : int, float, float
        Of the adapters: :math:`W+\frac{\alpha}{r}BA`.
    pretrained : bool
        Download ImageNet weights; only for a name.
    classes : int
        Outputs of a named model's head.
    train_head : bool
        Whether the head is trained beside the adapters.
    device : str or torch.device
        For a named model; see :func:`vit`.
    generator : torch.Generator, optional
        For the adapters' random start.

    Returns
    -------
    peft.PeftModel

    Raises
    ------
    ValueError
        For a rank below 1, a dropout outside [0, 1), or an unknown name.
    ConnectionError
        If weights are asked for and cannot be had.

    Examples
    --------
    >>> model = vit_lora(small_vit(), rank=4, alpha=8)
    >>> sum(p.numel() for p in model.parameters() if p.requires_grad)
    3202
    """
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1 or not 0 <= dropout < 1:
        raise invalid("rank, dropout", (rank, dropout), "a whole number >= 1, and 0 <= dropout < 1")
    import copy

    base = vit(name, pretrained, classes, device) if isinstance(name, str) else copy.deepcopy(name)
    import peft

    target, saved = {"target_modules": ["qkv"]}, ["head"] if train_head else None
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, modules_to_save=saved, **target)
    with _seeded(generator, device), torch.device(device):
        return peft.get_peft_model(base, config)


def _inner(model: nn.Module) -> nn.Module:
    """The transformer itself, inside peft's wrapper or not."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def side_of(model: nn.Module) -> int:
    """Side in pixels of the images that a transformer takes."""
    return int(_inner(model).patch_embed.img_size[0])


def features(model: nn.Module, images: Tensor) -> Tensor:
    """The class token before the head: float [N, D] from images [N, 3, S, S] in [0, 1] of the network's side.

    >>> features(small_vit(), torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 64])
    """
    inner = _inner(model)
    return inner.forward_head(inner.forward_features(2 * images - 1), pre_logits=True)


def _random_crops(images: Tensor, chosen: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """One crop of each chosen image, mirrored half of the time."""
    room = images.shape[2] - side + 1
    corner = torch.randint(0, room, (len(chosen), 2), generator=generator).tolist()
    mirror = torch.rand(len(chosen), generator=generator) < 0.5
    # Slices of the whole tensor, so that only the crops are copied.
    out = torch.stack([images[k, :, i : i + side, j : j + side] for k, (i, j) in zip(chosen.tolist(), corner)])
    out[mirror] = out[mirror].flip(-1)
    return out
