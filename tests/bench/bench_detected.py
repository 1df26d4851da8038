"""What detectors and defences are made of, each against a named alternative.

Run by hand:  python tests/bench/bench_detected.py [--out FOLDER] [--repeats 5]

NT-Xent against one matrix product of its size and against torch's cross entropy on the whole matrix; two views of
SimCLR, with a real JPEG file in them, against torchvision's transforms picture by picture; PhiNet and MicroNet in
onnxruntime against PyTorch; the area under the curve against scikit-learn; the detector of the kit against timm's
network on the picture enlarged to its 224 pixels; ten steps of PGD on three editors against a loop that forgets the
clean edits.
"""

from __future__ import annotations

import argparse
import copy
import io
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import ratios
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from deepfake_kit import _compat, faces
from deepfake_kit.defend import editors, protect, robust
from deepfake_kit.detect import augment, detector, edge, losses
from deepfake_kit.measure import scores


def contrastive(repeats: int) -> list[dict]:
    """NT-Xent of 4096 pairs in 128 dimensions, forward. Another library's needs 550 GB for it."""
    a, b = torch.randn(2, 4096, 128)
    both, other = torch.cat([a, b]), torch.arange(8192).roll(4096)

    def whole():
        z = F.normalize(both, dim=1)
        return F.cross_entropy((z @ z.T / 0.5).fill_diagonal_(-torch.inf), other)

    rows = []
    with torch.no_grad():
        assert abs(whole() - losses.nt_xent(a, b)) < 1e-4
        for against, theirs, aim in (
            ("one matrix product of that size", lambda: both @ both.T, 1.5),
            ("torch's cross entropy on the whole matrix", whole, 0.4),
        ):
            pairs = ratios.by_turns(lambda: losses.nt_xent(a, b), theirs, repeats)
            rows.append(ratios.row("NT-Xent of 4,096 pairs", against, ratios.of(pairs), aim))
    return rows


def filed(picture: Image.Image) -> Image.Image:
    """A picture written as a JPEG file and read again."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=int(torch.randint(30, 96, ())))
    return Image.open(file).convert("RGB")


def one_view():
    """SimCLR's view of one picture, by torchvision on Pillow's pictures."""
    _compat.torchvision()
    from torchvision import transforms

    colour = transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8)
    steps = [transforms.RandomResizedCrop(128), transforms.RandomHorizontalFlip()]
    steps += [colour, transforms.RandomGrayscale(0.2)]
    steps += [transforms.RandomApply([transforms.GaussianBlur(13)], 0.5), transforms.RandomApply([filed], 0.5)]
    return transforms.Compose([*steps, transforms.ToTensor()])


def views(repeats: int) -> dict:
    """Two views of 64 pictures."""
    images = faces.draw(64, 0, 128).images
    whole = [Image.fromarray(x) for x in (images * 255).byte().permute(0, 2, 3, 1).numpy()]
    theirs, ours = one_view(), augment.Augment(crop=128)
    draws = torch.Generator().manual_seed(0)
    pairs = ratios.by_turns(
        lambda: [ours(images, draws) for _ in range(2)], lambda: [theirs(x) for _ in range(2) for x in whole], repeats
    )
    return ratios.row("two views of 64 pictures of 128 px, with JPEG", "torchvision's", ratios.of(pairs), 0.3)


class Shuffle(nn.Module):
    """A channel shuffle as reshapes, which ONNX has."""

    def __init__(self, groups: int):
        super().__init__()
        self.groups = groups

    def forward(self, x):
        return x.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)


def session_of(net: nn.Module, x: torch.Tensor) -> onnxruntime.InferenceSession:
    """A network in onnxruntime, on one thread."""
    net = copy.deepcopy(net)
    for part in list(net.modules()):
        for name, layer in part.named_children():
            if isinstance(layer, nn.ChannelShuffle):
                setattr(part, name, Shuffle(layer.groups))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the newer exporter needs further packages
        file = str(Path(folder, "net.onnx"))
        torch.onnx.export(net, (x,), file, input_names=["x"], opset_version=17, dynamo=False)
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def on_the_edge(repeats: int) -> list[dict]:
    """Twenty times one picture through each small network."""
    rows, x = [], torch.rand(1, 3, 64, 64)
    for name, net, aim in (("PhiNet", edge.PhiNet().eval(), 0.35), ("MicroNet", edge.MicroNet().eval(), 0.5)):
        session, given = session_of(net, x), {"x": x.numpy()}
        assert np.abs(session.run(None, given)[0] - net(x).numpy()).max() < 1e-3

        def ours(run=session.run, given=given):
            return [run(None, given) for _ in range(20)]

        pairs = ratios.by_turns(ours, lambda net=net: [net(x) for _ in range(20)], repeats)
        rows.append(ratios.row(f"{name} in onnxruntime, one picture of 64 px", "PyTorch", ratios.of(pairs), aim))
    return rows


def area(repeats: int) -> dict:
    """The area under the curve of 100,000 scores."""
    fake = torch.arange(100_000) % 2
    marks = torch.randn(100_000) + fake
    pairs = ratios.by_turns(lambda: scores.auc(marks, fake), lambda: roc_auc_score(fake, marks), repeats)
    return ratios.row("AUC of 100,000 scores", "scikit-learn", ratios.of(pairs), 1.2)


@torch.no_grad()
def judged(repeats: int) -> dict:
    """Eight pictures of 128 px through the detector that comes with the kit."""
    _compat.torchvision()
    import timm

    images, ours = faces.draw(8, 0, 128).images, detector.load("clip-depths")
    theirs = timm.create_model("vit_base_patch16_clip_quickgelu_224.openai", pretrained=False).eval()
    large = F.interpolate(images, size=224, mode="bicubic")
    pairs = ratios.by_turns(lambda: ours(images), lambda: [theirs(x) for x in large.split(1)], repeats)
    return ratios.row("eight pictures judged", "timm's network on each at its 224 px", ratios.of(pairs), 1 / 1.5)


def attacked(repeats: int) -> dict:
    """Ten steps of PGD on three editors at once, eight faces of 64 px."""
    x = (faces.draw(8, 0, 64).images * 255).round() / 255
    nets = [kind().eval().requires_grad_(False) for kind in (editors.StarGAN, editors.StarGANv2, editors.STGAN)]
    edits = [lambda z, net=net: net.edit(z, "old") for net in nets]

    def loop():
        z = protect.random_start(x, 0.025)
        for _ in range(10):
            slope = 0
            for edit in edits:
                z = z.detach().requires_grad_()
                (part,) = torch.autograd.grad((edit(z) - edit(x).detach()).square().sum(), z)
                slope = slope + part
            z = protect.project(z.detach() + 0.005 * slope.sign(), x, 0.025)
        return z

    pairs = ratios.by_turns(lambda: robust.robust(edits, x, 0.025, 10, through=()), loop, repeats)
    return ratios.row("ten steps of PGD on three editors", "a loop of one editor at a time", ratios.of(pairs), 1 / 1.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder for bench_detected.json")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    rows = []
    for work in (contrastive, views, on_the_edge, area, judged, attacked):
        found = work(options.repeats)
        rows += found if isinstance(found, list) else [found]
    ratios.write(options.out, "bench_detected", rows, threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
