"""SimCLR: alterations do what they say, training pulls views together, the probe is scikit-learn's."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch._subclasses.fake_tensor import FakeTensorMode

from deepfake_kit.detect import augment, edge, simclr
from deepfake_kit.detect.augment import Augment


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n=6, side=32, seed=0):
    return torch.rand(n, 3, side, side, generator=random(seed))


def test_same_generator_same_views_and_the_input_is_kept():
    x = pictures()
    kept = x.clone()
    first, again = (Augment(crop=24)(x, random(4)) for _ in range(2))
    assert torch.equal(first, again) and torch.equal(x, kept)
    assert not torch.equal(first, Augment(crop=24)(x, random(5)))
    assert first.shape == (6, 3, 24, 24) and 0 <= first.min() and first.max() <= 1


def test_all_off_changes_nothing():
    x = pictures()
    assert torch.equal(Augment().without(*augment.ALTERATIONS)(x, random()), x)


@pytest.mark.parametrize("name", augment.ALTERATIONS)
def test_each_alteration_alone_changes_every_image(name):
    x = pictures()
    altered = Augment().only(name)(x, random(1))
    assert bool((altered != x).flatten(1).any(1).all())
    off = Augment().only(name).without(name)
    assert torch.equal(off(x, random(1)), x)


def test_flip_grey_and_cutout_exactly():
    x = pictures()
    assert torch.equal(Augment().only("flip")(x, random()), x.flip(-1))
    grey = Augment().only("grey")(x, random())
    expected = 0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2]
    assert torch.allclose(grey, expected[:, None].expand_as(x), atol=1e-6)
    cut = Augment(cutout=0.25).only("cutout")(x, random())
    changed = (cut != x).any(1)
    assert changed.sum((1, 2)).tolist() == [64] * 6 and bool((cut.permute(0, 2, 3, 1)[changed] == 0.5).all())


def test_blur_is_scipys():
    x, sigma = pictures(3).double(), torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64)
    for image, width, ours in zip(x, sigma, augment.gaussian_blur(x, sigma)):
        reach = math.ceil(3 * float(width))  # each image's own three deviations
        theirs = [gaussian_filter(c, float(width), mode="mirror", radius=reach) for c in image.numpy()]
        assert np.allclose(ours.numpy(), theirs)


def test_noise_has_its_strength():
    x = torch.full((200, 3, 16, 16), 0.5)
    deviation = (Augment(noise=0.1).only("noise")(x, random(2)) - x).flatten(1).std(1)
    assert deviation.max() < 0.105 and deviation.mean().item() == pytest.approx(0.05, abs=0.006)


def test_jpeg_is_pillows_and_needs_a_quality_each(tmp_path):
    x = (pictures(2) * 255).round() / 255
    pixels = (x[1] * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=40, subsampling=2)
    expected = np.asarray(Image.open(tmp_path / "a.jpg"))
    assert np.array_equal((augment.jpeg(x, [90, 40])[1] * 255).round().byte().permute(1, 2, 0).numpy(), expected)
    with pytest.raises(ValueError, match="qualities"):
        augment.jpeg(x, [90])


def test_probability_is_a_share_of_images():
    altered = Augment(probability=0.3).without("flip", "grey", "colour", "blur", "cutout", "jpeg")(
        pictures(600, 8), random(3)
    )
    share = (altered != pictures(600, 8)).flatten(1).any(1).float().mean().item()
    assert share == pytest.approx(0.3, abs=0.06)


def test_crops_are_parts_of_the_image():
    x = torch.arange(64.0).reshape(1, 1, 8, 8).expand(50, 3, 8, 8) / 64
    parts = augment.random_crop(x, 5, random())
    corners = (parts[:, 0, 0, 0] * 64).long()
    for part, corner in zip(parts, corners.tolist()):
        top, left = divmod(corner, 8)
        assert torch.equal(part, x[0, :, top : top + 5, left : left + 5])
    assert len(set(corners.tolist())) > 8


def test_pretraining_pulls_views_of_one_picture_together():
    torch.manual_seed(0)
    colours = torch.rand(12, 3, 1, 1, generator=random(6))
    images = (colours + 0.1 * pictures(12, 24, 7)).clamp(0, 1)
    net, heads = edge.PhiNet(0.3, t0=2, layers=2), []
    still = Augment(colour=0, grey=0, blur=0.5)
    losses = simclr.pretrain(
        net,
        images,
        still,
        steps=30,
        batch_size=12,
        lr=5e-3,
        generator=random(),
        watch=lambda step, net, head: heads.append((step, head)),
    )
    assert np.mean(losses[-5:]) < 0.75 * np.log(23) and not net.training
    assert [step for step, _ in heads] == list(range(31))


def test_supervision_learns_an_easy_task():
    torch.manual_seed(1)
    images = pictures(32, 16) * 0.5
    labels = torch.tensor([0, 1]).repeat(16)
    images[labels == 1] += 0.4
    net = edge.PhiNet(0.2, t0=2, layers=2)
    plain = Augment().without(*augment.ALTERATIONS)
    head = simclr.supervise(net, images, labels, plain, steps=60, batch_size=32, lr=1e-2, generator=random())
    assert (((head(simclr.embed(net, images))[:, 0] > 0) == labels).float().mean()) > 0.95


def test_probe_is_scikit_learns():
    x = torch.randn(60, 4, generator=random(8))
    x[:, 3] = 2.0
    labels = (x[:, 0] + 0.5 * torch.randn(60, generator=random(9)) > 0).long()
    scaler = StandardScaler().fit(x.double().numpy())
    theirs = LogisticRegression(C=0.1, max_iter=2000).fit(scaler.transform(x.double().numpy()), labels.numpy())
    new = torch.randn(20, 4, generator=random(10))
    new[:, 3] = 2.0
    expected = theirs.decision_function(scaler.transform(new.double().numpy()))
    assert np.allclose(simclr.linear_probe(x, labels)(new).numpy(), expected, atol=1e-6)


def test_a_probe_reads_features_of_a_gpu():
    """By torch's fake tensors, which have a device and no numbers."""
    probe = simclr.linear_probe(torch.randn(8, 4, generator=random()), torch.arange(8) % 2)
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert probe(torch.empty(3, 4, device="cuda", dtype=torch.float16)).device.type == "cpu"


def test_embedding_draws_nothing_and_does_not_depend_on_the_batch():
    net, x = edge.PhiNet(0.2, t0=2, layers=2).train(), pictures(7, 16)
    assert torch.allclose(simclr.embed(net, x), simclr.embed(net, x, batch_size=2), atol=1e-6)


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: Augment(flip=2), "flip"),
        (lambda: Augment(jpeg=99), "jpeg"),
        (lambda: Augment(noise=-1), "noise"),
        (lambda: Augment().only("sharpen"), "sharpen"),
        (lambda: Augment(crop=40)(pictures()), "crop"),
        (lambda: Augment()(pictures() * 255), "values"),
        (lambda: Augment()(torch.zeros(2, 1, 8, 8)), "images"),
        *[(lambda k=k: Augment().only("blur")(pictures(2, 3), random(k)), "sides above 3 pixels") for k in range(8)],
        (lambda: simclr.embed(edge.PhiNet(0.2), pictures() * 3), "values"),
        (lambda: simclr.pretrain(edge.PhiNet(0.2), pictures(), Augment(), steps=1, generator=random()), "batch_size"),
        (
            lambda: simclr.pretrain(edge.PhiNet(0.2), pictures(), Augment(), steps=0, batch_size=2, generator=random()),
            "steps",
        ),
        (
            lambda: simclr.supervise(
                edge.PhiNet(0.2), pictures(), torch.zeros(3), Augment(), steps=1, generator=random()
            ),
            "labels",
        ),
        (lambda: simclr.linear_probe(torch.zeros(3), torch.zeros(3)), "features"),
        (lambda: simclr.linear_probe(torch.zeros(3, 2), torch.zeros(3)), "one class"),
        (lambda: simclr.linear_probe(torch.zeros(3, 2), torch.tensor([0, 1, 2])), "labels"),
        (lambda: simclr.linear_probe(torch.tensor([[float("nan")], [0]]), torch.tensor([0, 1])), "features"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_a_blurred_image_does_not_depend_on_its_neighbours():
    x = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    alone = augment.gaussian_blur(x[:1], torch.tensor([0.5]))
    beside = augment.gaussian_blur(x, torch.tensor([0.5, 3.0]))[:1]
    assert (alone - beside).abs().max() < 1e-14
