r"""A vision transformer with low-rank adapters that tells generated faces from photographs.

:func:`vit_lora` builds it (timm's transformer, peft's adapters), :func:`fit` trains it with cross entropy and, if
asked, the single-center loss, :func:`predict` scores images and :func:`evaluate` judges the scores. Images are float
[N, 3, H, W] in [0, 1]; where they are larger than the network's side, it sees crops.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.detect.losses import single_center_loss
from deepfake_kit.images import check_images
from deepfake_kit.training import descend, seeded


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
    if side % patch or width % heads:
        raise ValueError(
            f"side, patch, width, heads: got {side}, {patch}, {width}, {heads}; valid: side a multiple of "
            "patch, width a multiple of heads"
        )
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
        raise ValueError(f"name: got {name!r}; valid: a model of timm such as {near}")
    try:
        with torch.device(device):
            return timm.create_model(name, pretrained=pretrained, num_classes=classes)
    except Exception as problem:  # the hub raises its own kinds of error, and different ones in each version
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
    """A transformer whose attention layers are adapted by LoRA while its own weights stay frozen.

    The defaults are the Hanyang report's (Sec. 3.2.2); the adapted layer is ``qkv``, the one that report names.

    Parameters
    ----------
    name : str or nn.Module
        A model of timm, or a transformer built and pre-trained already; that one is copied, not changed.
    rank, alpha, dropout : int, float, float
        Of the adapters; see :mod:`deepfake_kit.detect.low_rank`.
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
        raise ValueError(f"rank, dropout: got {rank!r}, {dropout!r}; valid: a whole number >= 1, and 0 <= dropout < 1")
    import copy

    base = vit(name, pretrained, classes, device) if isinstance(name, str) else copy.deepcopy(name)
    import peft

    config = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=["qkv"],
        modules_to_save=["head"] if train_head else None,
    )
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


def _fixed_crops(images: Tensor, side: int) -> list[Tensor]:
    """The four corners and the middle; the whole image where it has the network's side."""
    end = images.shape[2] - side
    places = [(0, 0), (0, end), (end, 0), (end, end), (end // 2, end // 2)] if end else [(0, 0)]
    return [images[:, :, i : i + side, j : j + side] for i, j in places]


def _check(images: Tensor, side: int) -> None:
    check_images(images)
    if images.shape[2] < side:
        raise ValueError(f"images: got shape {tuple(images.shape)}; valid: [N, 3, S, S] with S >= {side}")


@dataclass(frozen=True)
class Fitted:
    """What :func:`fit` returns.

    Attributes
    ----------
    cross_entropy, center : list of float
        Mean of each part over the batches of an epoch; the center part is recorded even where its weight is 0.
    validation : list of float
        Cross entropy on the validation images after each epoch; empty without any.
    point : Tensor [D]
        The centre C.
    """

    cross_entropy: list[float]
    center: list[float]
    validation: list[float]
    point: Tensor


def fit(
    model: nn.Module,
    images: Tensor,
    is_fake: Tensor,
    *,
    epochs: int,
    lr: float = 1e-3,
    batch_size: int = 50,
    center_weight: float = 0.0,
    margin: float = 0.3,
    generator: torch.Generator | None = None,
    validation: tuple[Tensor, Tensor] | None = None,
) -> Fitted:
    r"""Train with Adam on :math:`L_{CE}+w\,L_{SCL}`, a random crop of each image an epoch, mirrored half of the time.

    Parameters
    ----------
    model : nn.Module
        What requires a gradient is trained, in place; its head has two outputs, real and fake.
    images : Tensor float [N, 3, S, S]
        In [0, 1]; S is the network's side or larger.
    is_fake : Tensor [N]
        1 for fake, 0 for real.
    epochs, lr, batch_size : int, float, int
        Of Adam; an incomplete last batch is left out unless it is the only one.
    center_weight, margin : float
        :math:`w` and the margin of :func:`deepfake_kit.detect.losses.single_center_loss`. The centre starts at the mean
        feature of the real images of the first batch and is learned.
    generator : torch.Generator, optional
        On the CPU: order, crops, dropout.
    validation : (images, is_fake), optional
        Only watched: nothing is chosen by it.

    Raises
    ------
    ValueError
        For images or labels of the wrong shape, epochs or batch_size below 1, or a negative weight.
    """
    side = side_of(model)
    _check(images, side)
    if is_fake.shape != images.shape[:1]:
        raise ValueError(f"is_fake: got shape {tuple(is_fake.shape)}; valid: [{len(images)}], one label an image")
    if epochs < 1 or batch_size < 1 or center_weight < 0:
        raise ValueError(
            f"epochs, batch_size, center_weight: got {epochs}, {batch_size}, {center_weight}; "
            "valid: at least 1, at least 1, at least 0"
        )
    generator = generator or torch.Generator().manual_seed(int(torch.randint(2**62, (1,))))
    device = next(model.parameters()).device
    head, labels = _inner(model).head, is_fake.long()
    point: nn.Parameter | None = None
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=lr)
    history: dict[str, list[float]] = {"cross_entropy": [], "center": [], "validation": []}
    batch_size = min(batch_size, len(images))
    step = 0
    with _seeded(generator, device):
        for _ in range(epochs):
            model.train()
            order = torch.randperm(len(images), generator=generator)
            sums = torch.zeros(2)
            batches = order[: len(order) // batch_size * batch_size].split(batch_size)
            for batch in batches:
                x = _random_crops(images, batch, side, generator).to(device)
                y = labels[batch].to(device)
                token = features(model, x)
                if point is None:
                    real = token.detach()[y == 0] if bool((y == 0).any()) else token.detach()
                    point = nn.Parameter(real.mean(0))
                    optimiser.add_param_group({"params": [point]})
                entropy = F.cross_entropy(head(token), y)
                center = single_center_loss(token, y, point, margin)
                loss = entropy + center_weight * center if center_weight else entropy
                descend(loss, optimiser, step)
                step += 1
                sums += torch.stack([entropy.detach(), center.detach()]).cpu()
            for name, value in zip(("cross_entropy", "center"), (sums / len(batches)).tolist()):
                history[name].append(value)
            if validation is not None:
                logits = _logits(model, validation[0]).mean(0)
                history["validation"].append(float(F.cross_entropy(logits, validation[1].long().to(device))))
    model.eval()
    return Fitted(**history, point=point.detach().cpu())


@torch.no_grad()
def _logits(model: nn.Module, images: Tensor, batch_size: int = 250) -> Tensor:
    """Outputs of the head for each fixed crop: [crops, N, classes]."""
    model.eval()
    device, head = next(model.parameters()).device, _inner(model).head
    return torch.stack(
        [
            torch.cat([head(features(model, part.to(device))) for part in crop.split(batch_size)])
            for crop in _fixed_crops(images, side_of(model))
        ]
    )


def predict(model: nn.Module, images: Tensor) -> Tensor:
    r"""Score of each image: :math:`z_{fake}-z_{real}`, the log-odds of "fake", averaged over five fixed crops.

    Parameters
    ----------
    model : nn.Module
        Left in evaluation mode.
    images : Tensor float [N, 3, S, S]
        In [0, 1].

    Returns
    -------
    Tensor float [N]
        On the CPU; above 0 means fake.

    Raises
    ------
    ValueError
        For images of the wrong shape or dtype.

    Examples
    --------
    >>> predict(small_vit(), torch.zeros(2, 3, 80, 80)).shape
    torch.Size([2])
    """
    _check(images, side_of(model))
    logits = _logits(model, images)
    return (logits[..., 1] - logits[..., 0]).mean(0).cpu()
