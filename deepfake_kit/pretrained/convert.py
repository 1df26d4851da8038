"""Weights as published, turned into tensors under the names of our networks. Nothing of a package is ever run.

Each converter takes the published files, {name: bytes}, and returns {name: tensor}.
"""

from __future__ import annotations

import io
import json
import math
import re
from pathlib import PurePosixPath

import numpy as np
import torch
from torch import Tensor


def read_onnx(data: bytes) -> tuple[dict[str, np.ndarray], list[tuple[str, str, list[str]]]]:
    """Arrays by name, and operators as (kind, name, inputs), of an ONNX model that keeps its arrays inside.

    Raises
    ------
    ValueError
        If the bytes are no such model, or cut short.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load_model_from_string(data).graph
        arrays = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    except (DecodeError, TypeError, ValueError) as error:
        raise ValueError(f"not a whole ONNX model ({type(error).__name__}: {error})") from error
    if not graph.node:
        raise ValueError("not a whole ONNX model: it holds no operator")
    return arrays, [(node.op_type, node.name, list(node.input)) for node in graph.node]


def clip_int8(files: dict[str, bytes]) -> dict[str, Tensor]:
    """CLIP's image tower from an ONNX export with matrices in 8 bits, w = scale * (q - zero), under timm's names."""
    arrays, nodes = read_onnx(next(iter(files.values())))
    found = {name: array for name, array in arrays.items() if name.startswith("vision_model")}
    for kind, name, inputs in nodes:
        if kind == "MatMulInteger" and inputs[1] in arrays:
            matrix = inputs[1].removesuffix("_quantized")
            q = arrays[inputs[1]].astype(np.float32) - arrays[f"{matrix}_zero_point"].astype(np.float32)
            layer = name.strip("/").removesuffix("/MatMul_quant").replace("/", ".")
            found[f"{layer}.weight"] = (q * arrays[f"{matrix}_scale"]).T
    v = "vision_model."
    out = {
        "cls_token": found[f"{v}embeddings.class_embedding"].reshape(1, 1, -1),
        "pos_embed": found[f"{v}embeddings.position_embedding.weight"][None],
        "patch_embed.proj.weight": found[f"{v}embeddings.patch_embedding.weight"],
        "head.weight": found["visual_projection.weight"],
        "head.bias": np.zeros(len(found["visual_projection.weight"]), np.float32),
    }
    pairs = {"pre_layrnorm": "norm_pre", "post_layernorm": "norm"}
    inner = {"self_attn.out_proj": "attn.proj", "layer_norm1": "norm1", "layer_norm2": "norm2"}
    inner |= {"mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
    depth = 1 + max(int(number) for name in found for number in re.findall(r"encoder\.layers\.(\d+)\.", name))
    for i in range(depth):
        layer, block = f"encoder.layers.{i}.", f"blocks.{i}."
        pairs |= {layer + theirs: block + ours for theirs, ours in inner.items()}
        for kind in ("weight", "bias"):
            qkv = [found[f"{v}{layer}self_attn.{part}_proj.{kind}"] for part in "qkv"]
            out[f"{block}attn.qkv.{kind}"] = np.concatenate(qkv)
    for theirs, ours in pairs.items():
        out |= {f"{ours}.{kind}": found[f"{v}{theirs}.{kind}"] for kind in ("weight", "bias")}
    return {name: torch.tensor(array, dtype=torch.float32) for name, array in out.items()}


def clip_openai(files: dict[str, bytes]) -> dict[str, Tensor]:
    """CLIP's image tower from OpenAI's own TorchScript archive: its tensors, under the names timm gives them."""
    from deepfake_kit import _compat

    _compat.torchvision()
    from timm.models.vision_transformer import _convert_openai_clip

    state = torch.jit.load(io.BytesIO(next(iter(files.values()))), map_location="cpu").state_dict()
    named = _convert_openai_clip({name: value.float() for name, value in state.items()}, None)
    return {name: value.clone() for name, value in named.items()}


def efficientnet_lite0(files: dict[str, bytes]) -> dict[str, Tensor]:
    """An EfficientNet-Lite0 of another code base under timm's names: the layers stand in the same order in both."""
    from deepfake_kit.pretrained import networks

    state = torch.load(io.BytesIO(next(iter(files.values()))), map_location="cpu", weights_only=True)
    ours = networks.build("efficientnet-lite0", head=True).state_dict()
    if len(ours) != len(state):
        raise ValueError(f"{len(state)} arrays, {len(ours)} expected")
    pairs = zip(ours, state.values(), strict=True)
    return {name: value.clone() for name, value in pairs if not name.endswith("num_batches_tracked")}


def tfjs(files: dict[str, bytes]) -> dict[str, np.ndarray]:
    """Arrays of TensorFlow.js files: for each manifest (JSON) its binary, where a number of 8 bits is scale * q + min.

    Raises
    ------
    ValueError
        If a binary is shorter or longer than its manifest says.
    """
    found = {}
    for name, text in files.items():
        if not name.endswith(".json"):
            continue
        for group in json.loads(text):
            data, at = b"".join(files[str(PurePosixPath(name).with_name(path))] for path in group["paths"]), 0
            for one in group["weights"]:
                packed = one.get("quantization")
                kind = np.dtype(packed["dtype"] if packed else one["dtype"]).newbyteorder("<")
                count = math.prod(one["shape"])
                if at + count * kind.itemsize > len(data):
                    raise ValueError(f"{name}: {one['name']} ends at byte {at + count * kind.itemsize} of {len(data)}")
                array = np.frombuffer(data, kind, count, at).astype(np.float32).reshape(one["shape"])
                at += count * kind.itemsize
                found[one["name"]] = (
                    array * np.float32(packed["scale"]) + np.float32(packed["min"]) if packed else array
                )
            if at != len(data):
                raise ValueError(f"{name}: {len(data) - at} bytes are left over")
    return found


def _as_torch(arrays: dict[str, np.ndarray], rename: dict[str, str]) -> dict[str, Tensor]:
    """TensorFlow's names and orders of axes as torch's: filters [H,W,in,out], matrices [in,out]."""
    out = {}
    for name, array in arrays.items():
        for old, new in rename.items():
            name = re.sub(old, new, name)
        layer, _, part = name.rpartition("/")
        layer = layer.replace("/", ".")
        if part == "depthwise_filter":
            out[f"{layer}.0.weight"] = array.transpose(2, 3, 0, 1)
        elif part == "pointwise_filter":
            out[f"{layer}.1.weight"] = array.transpose(3, 2, 0, 1)
        elif part == "filters":
            out[f"{layer}.weight"] = array.transpose(3, 2, 0, 1)
        elif part == "weights":
            out[f"{layer}.weight"] = array.T
        else:
            out[f"{layer}.1.bias" if f"{layer}.1.weight" in out else f"{layer}.bias"] = array
    return {name: torch.from_numpy(np.ascontiguousarray(array, np.float32)) for name, array in out.items()}


def face_attributes(files: dict[str, bytes]) -> dict[str, Tensor]:
    """face-api's networks for age and gender and for expression, as one network here."""
    first, second = (tfjs({n: d for n, d in files.items() if word in n}) for word in ("age_gender", "expression"))
    return _as_torch(first, {}) | _as_torch(second, {r"^dense(\d)/": r"dense/\1/", r"^fc/": "expression/"})


def face_embedder(files: dict[str, bytes]) -> dict[str, Tensor]:
    """face-api's recognition network; y = scale * (conv(x) + bias) + shift becomes one convolution with a bias."""
    arrays = tfjs(files)
    folded = {"fc/weights": arrays["fc"]}
    for name in arrays:
        if name.endswith("/conv/filters"):
            layer = name.removesuffix("/conv/filters")
            scale, shift = arrays[f"{layer}/scale/weights"], arrays[f"{layer}/scale/biases"]
            folded[f"{layer}/filters"] = arrays[name] * scale
            folded[f"{layer}/bias"] = arrays[f"{layer}/conv/bias"] * scale + shift
    return _as_torch(folded, {})


def rivagan(files: dict[str, bytes]) -> dict[str, Tensor]:
    """RivaGAN's encoder and decoder from their ONNX files; kernels one frame deep become flat."""
    out = {}
    for part in ("encoder", "decoder"):
        data = next(data for name, data in files.items() if part in name)
        for name, array in read_onnx(data)[0].items():
            if name.startswith("_"):
                flat = array.reshape(*array.shape[:2], *array.shape[3:]) if array.ndim == 5 else array
                out[f"{part}.{name[1:]}"] = torch.tensor(flat, dtype=torch.float32)
    return out


def styles(files: dict[str, bytes]) -> dict[str, Tensor]:
    """A style network whose ONNX file keeps the names of its layers."""
    arrays = read_onnx(next(iter(files.values())))[0]
    return {name: torch.tensor(array) for name, array in arrays.items() if not name.startswith(("/", "onnx"))}
