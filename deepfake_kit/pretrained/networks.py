"""The networks that the weights of the registry belong to, and how their weights get in."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.pretrained import small
from deepfake_kit.valid import one_of, require


def build(name: str, **options) -> nn.Module:
    """The network of one name of the registry, untrained; `options` are those of its function below."""
    return BUILDERS[one_of("network", name, BUILDERS)](**options)


def fill(network: nn.Module, tensors: dict[str, Tensor]) -> nn.Module:
    """Copy weights into a network, all of them but a head that it lacks; positions are resized to its grid.

    Positions are resized bicubically without antialiasing, as CLIP's users do; timm's own loader antialiases, which at
    half the side gives other positions (their cosine is about .5) and about the same accuracy.
    """
    wanted = {name for name in network.state_dict() if not name.endswith("num_batches_tracked")}
    given = {name: value for name, value in tensors.items() if name in wanted}
    if "pos_embed" in wanted:
        given["pos_embed"] = _resized(tensors["pos_embed"], network.state_dict()["pos_embed"].shape[1])
    missing = network.load_state_dict(given, strict=False).missing_keys
    if left := [name for name in missing if name in wanted]:
        raise ValueError(f"no weights for {len(left)} of {len(wanted)} arrays, the first is {left[0]}")
    return network.eval()


def _resized(positions: Tensor, tokens: int) -> Tensor:
    """The class token's position, and those of a square grid, for another number of tokens."""
    old, new = (round((count - 1) ** 0.5) for count in (positions.shape[1], tokens))
    if old == new:
        return positions
    grid = positions[:, 1:].transpose(1, 2).reshape(1, -1, old, old)
    grid = F.interpolate(grid, size=(new, new), mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], 1)


def clip_vit_b16(image_side: int = 224, head: bool = False) -> nn.Module:
    """timm's ViT-B/16 as CLIP has it; 768 numbers an image, or with `head` the 512 of the space shared with text.

    Parameters
    ----------
    image_side : int
        Pixels, a multiple of 16; it was trained at 224.
    head : bool
        Whether the projection follows.
    """
    require(image_side >= 16 and not image_side % 16, "image_side", image_side, "a multiple of 16")
    return _timm("vit_base_patch16_clip_quickgelu_224", img_size=image_side, num_classes=512 if head else 0)


def efficientnet_lite0(head: bool = False) -> nn.Module:
    """timm's EfficientNet-Lite0; 1280 numbers an image, or with `head` the logits of ImageNet's 1000 classes."""
    return _timm("tf_efficientnet_lite0", num_classes=1000 if head else 0)


def _timm(architecture: str, **options) -> nn.Module:
    from deepfake_kit import _compat

    _compat.torchvision()
    import timm

    return timm.create_model(architecture, **options)


BUILDERS = {
    "clip-vit-b16": clip_vit_b16,
    "efficientnet-lite0": efficientnet_lite0,
    "face-attributes": small.FaceAttributes,
    "face-embedder": small.FaceEmbedder,
    "rivagan": small.Watermark,
    "styles-26": small.Stylist,
}
WHOLE = {"clip-vit-b16": {"head": True}, "efficientnet-lite0": {"head": True}}  # options that leave no weight out
