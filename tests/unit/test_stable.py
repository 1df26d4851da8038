"""The small Stable Diffusion: captions, tokens, training, sampling; and the same code on a pipeline from a folder."""

import numpy as np
import pytest
import torch

from deepfake_kit.generators import stable
from deepfake_kit.images import to_model


def random(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def tiny():
    return stable.pipeline((8, 8, 8), (16, 16), random(1))


@pytest.fixture(scope="module")
def portraits():
    labels = stable.random_labels(48, random())
    return labels, stable.labelled(labels, 0).images


def test_labels_cover_every_value_and_captions_tell_them_apart():
    labels = stable.random_labels(3000, random())
    assert [set(column.tolist()) for column in labels.T] == [set(range(size)) for size in stable.SIZES]
    shown = labels.clone()
    shown[shown[:, 1] == 0, 2] = 0  # the hair colour of the bald is not told
    told = [stable.scene(label) + stable.person(label) for label in labels.tolist()]
    assert len(set(told)) == len({tuple(label) for label in shown.tolist()})


def test_a_portrait_is_drawn_as_its_label_says_and_only_that_changes():
    label = torch.tensor([[0, 2, 3, 1, 2, 1, 1, 2]])
    drawn = stable.labelled(label, 5)
    row = drawn.attributes.iloc[0]
    said = [row.skin_level, row.hair_style, row.hair_colour, row.hat, row.glasses, row.facial_hair, row.mouth_open]
    assert said == [2, "long", "auburn", "fedora", "sunglasses", "beard", 1.0]
    other = label.clone()
    other[0, 3] = 0
    after = stable.labelled(other, 5)
    assert torch.equal(drawn.identity, after.identity) and not torch.equal(drawn.images, after.images)
    left = drawn.attributes.columns[(drawn.attributes.iloc[0] != after.attributes.iloc[0]).to_numpy()]
    assert left.tolist() == ["hat"]


@pytest.mark.parametrize("labels", [torch.zeros(2, 7).long(), torch.full((1, 8), 9), torch.full((1, 8), -1)])
def test_bad_labels_are_named(labels):
    with pytest.raises(ValueError, match=r"labels: got torch.int64"):
        stable.labelled(labels, 0)


def test_tokens_come_back_as_the_words_they_were():
    tokenizer = stable.tokenizer(stable.words())
    for caption in [
        *stable.training_captions(stable.random_labels(200, random(3)), random(3)),
        stable.GENERIC,
        stable.REALISTIC,
    ]:
        ids = tokenizer(caption).input_ids
        assert len(ids) == len(caption.split()) + 2 <= stable.LENGTH, "one token a word, a start and an end"
        assert tokenizer.decode(ids, skip_special_tokens=True).split() == caption.split()


def test_training_captions_are_mixed_as_stated():
    captions = stable.training_captions(stable.random_labels(6000, random(1)), random(2))
    share = {
        "none": np.mean([not c for c in captions]),
        "generic": np.mean([c.startswith("a photo") or c.startswith("a realistic") for c in captions]),
        "both": np.mean(["face image of a person" in c and "and the person" in c for c in captions]),
        "sentence": np.mean([stable.SENTENCE in c for c in captions if c]),
    }
    wanted = {"none": 0.1, "generic": 0.05, "both": 0.65, "sentence": 0.1}
    assert all(abs(share[name] - p) < 4 * (p * (1 - p) / 5000) ** 0.5 for name, p in wanted.items()), share


def test_the_same_seed_builds_the_same_networks_and_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one, two, other = (stable.pipeline((8, 8, 8), (16, 16), random(k)) for k in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    weights = [torch.cat([p.flatten() for p in pipe.unet.parameters()]) for pipe in (one, two, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_training_learns_and_the_codes_end_standardised(portraits):
    labels, images = portraits
    pipe = stable.pipeline((8, 8, 8), (16, 16), random(1))
    losses = stable.train_autoencoder(pipe.vae, images, 60, 6e-3, random(1))
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    codes = stable.encode(pipe.vae, images)
    assert codes.mean((0, 2, 3)).abs().max() < 1e-4 and (codes.std((0, 2, 3)) - 1).abs().max() < 1e-3
    again = pipe.vae(to_model(images[:4])).sample / 2 + 0.5
    assert torch.allclose(stable.decode(pipe.vae, codes[:4]), again.clamp(0, 1), atol=1e-5)
    captions = stable.training_captions(labels, random(1))
    losses = stable.train_denoiser(pipe, codes, captions, 60, 3e-3, random(2), batch_size=16, decay=0.9)
    assert np.mean(losses[-15:]) < 0.9 * np.mean(losses[:15])
    assert not any(p.requires_grad for p in [*pipe.unet.parameters(), *pipe.text_encoder.parameters()])


def test_one_width_more_makes_pictures_of_64_pixels_from_codes_of_the_same_size():
    labels = stable.random_labels(24, random())
    images, small = (stable.labelled(labels, 0, size=size).images for size in (64, 32))
    shrunk = torch.nn.functional.interpolate(images, size=32, mode="bilinear", antialias=True)
    assert torch.equal(torch.cdist(shrunk.flatten(1), small.flatten(1)).argmin(1), torch.arange(24)), "the same persons"
    pipe = stable.pipeline((8, 8, 8, 8), (16, 16), random(1), size=64)
    losses = stable.train_autoencoder(pipe.vae, images, 40, 6e-3, random(1))
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    codes = stable.encode(pipe.vae, images)
    assert codes.shape == (24, stable.CODES, 8, 8) and stable.decode(pipe.vae, codes).shape == images.shape
    captions = [stable.scene(label) for label in labels[:2].tolist()]
    made = stable.make(pipe, captions, [1, 2], 3.0, 2)
    assert made.shape == (2, 3, 64, 64) and (made[1:] - stable.make(pipe, captions[1:], [2], 3.0, 2)).abs().max() < 1e-4


def test_a_picture_depends_on_its_caption_and_seed_alone(tiny):
    captions = [stable.scene(label) for label in stable.random_labels(34, random()).tolist()]
    made = stable.make(tiny, captions, range(34), 3.0, 2)
    alone = stable.make(tiny, captions[33:], [33], 3.0, 2)
    assert made.shape == (34, 3, 32, 32) and made.min() >= 0 and made.max() <= 1
    assert (made[33:] - alone).abs().max() < 1e-4
    assert (stable.make(tiny, captions[:1], [5], 3.0, 2) - made[:1]).abs().max() > 1e-3


def test_the_code_for_real_stable_diffusion_runs_on_a_folder_of_the_same_classes(tiny, tmp_path):
    tiny.save_pretrained(tmp_path)
    loaded = stable.load(str(tmp_path))
    captions = ["a photo of human face"] * 2
    assert torch.equal(stable.make(loaded, captions, [1, 2], 3.0, 2), stable.make(tiny, captions, [1, 2], 3.0, 2))
    picture = torch.rand(2, 3, 32, 32, generator=random())
    near, far = (
        stable.make(stable.image_to_image(loaded), captions, [1, 2], 3.0, 10, image=picture, strength=k)
        for k in (0.2, 0.9)
    )
    assert near.shape == far.shape == (2, 3, 32, 32) and not torch.equal(near, far)


@pytest.mark.parametrize(
    ("captions", "seeds", "more", "message"),
    [
        ([], [], {}, "captions, seeds: got 0 and 0"),
        (["a"], [1, 2], {}, "captions, seeds: got 1 and 2"),
        (["a"], [1], {"guidance": float("nan")}, "guidance: got nan"),
        (["a"], [1], {"steps": 0}, "steps: got 0"),
    ],
)
def test_bad_input_is_named(tiny, captions, seeds, more, message):
    with pytest.raises(ValueError, match=message):
        stable.make(tiny, captions, seeds, **more)
