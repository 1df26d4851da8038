"""The detector of chapter 7: adapters, training, scores and what is said of them."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from sklearn.metrics import roc_auc_score

from deepfake_kit import data, faces
from deepfake_kit.detect import pictures as detector_data
from deepfake_kit.detect import pretraining, tail, vit
from deepfake_kit.measure import scores as dm
from deepfake_kit.notebook.run import start
from deepfake_kit.training import seeded


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def count(model):
    """Trainable parameters, and all."""
    every = list(model.parameters())
    return sum(p.numel() for p in every if p.requires_grad), sum(p.numel() for p in every)


@pytest.fixture(scope="module")
def tiny():
    return vit.small_vit(side=32, patch=16, width=16, depth=2, heads=2, generator=random())


# -- adapters -----------------------------------------------------------------------------------------


def test_the_printed_parameter_counts_come_out_to_the_digit():
    def counts(**options):
        return count(vit.vit_lora(pretrained=False, device="meta", **options))

    assert counts(classes=1000, train_head=False) == (589_824, 87_157_480)
    assert counts(classes=2, train_head=False) == (589_824, 86_390_018)
    assert counts(classes=2) == (591_362, 86_391_556)


def test_an_adapter_starts_at_nothing_and_only_adapters_and_head_may_change(tiny):
    model = vit.vit_lora(tiny, rank=2, alpha=4, generator=random(1)).eval()
    x = torch.rand(3, 3, 32, 32, generator=random(2))
    assert torch.equal(model(x), tiny(x))
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    assert all("lora_" in name or "head" in name for name in names) and any("head" in name for name in names)
    frozen = vit.vit_lora(tiny, rank=2, alpha=4, train_head=False)
    assert count(frozen)[0] == 2 * 2 * (16 + 48)  # two blocks of rank 2


def test_merged_weights_are_the_equation_and_give_the_same_outputs(tiny):
    model = vit.vit_lora(tiny, rank=3, alpha=5, generator=random(1)).eval()
    for name, p in model.named_parameters():
        if "lora_B" in name:
            p.data.normal_(generator=random(4))
    x = torch.rand(3, 3, 32, 32, generator=random(2))
    merged = copy.deepcopy(model).merge_and_unload()
    assert torch.allclose(merged(x), model(x), atol=1e-5)
    assert not torch.allclose(merged(x), tiny(x), atol=1e-3)
    layer = model.get_base_model().blocks[1].attn.qkv
    by_hand = layer.base_layer.weight + 5 / 3 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    assert torch.allclose(merged.blocks[1].attn.qkv.weight, by_hand, atol=1e-6)


def test_the_same_generator_gives_the_same_model_and_leaves_the_global_stream_alone(tiny):
    before = torch.random.get_rng_state()
    first, second, other = (vit.vit_lora(tiny, rank=2, generator=random(k)) for k in (5, 5, 6))
    assert torch.equal(torch.random.get_rng_state(), before)
    a, b, c = (dict(m.named_parameters()) for m in (first, second, other))
    assert all(torch.equal(a[k], b[k]) for k in a) and any(not torch.equal(a[k], c[k]) for k in a)


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda t: vit.vit_lora(t, rank=0), "rank"),
        (lambda t: vit.vit_lora(t, rank=2.0), "rank"),
        (lambda t: vit.vit_lora(t, dropout=1.0), "dropout"),
        (lambda t: vit.vit_lora("vit_nonesuch"), "name"),
        (lambda t: vit.small_vit(side=60), "side"),
        (lambda t: vit.small_vit(width=30, heads=4), "width"),
        (lambda t: tail.tokens(t, torch.ones(1, 3, 32, 32), keep=(3,)), "keep"),
        (lambda t: tail.Tail(t, 1, 3), "last"),
        (lambda t: tail.Tail(t, 1, 1), "first"),
        (lambda t: tail.Tail(t, 0, 1, rank=-1), "rank"),
        (lambda t: tail.Tail(t, 0, 1, dropout=1.0), "dropout"),
    ],
)
def test_bad_input_is_refused_by_name(tiny, call, name):
    with pytest.raises(ValueError, match=name):
        call(tiny)


def test_weights_that_cannot_be_had_are_said_to_be_so(monkeypatch):
    vit.small_vit()  # makes timm importable
    import timm

    def no_network(*args, pretrained, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(timm, "create_model", no_network)
    with pytest.raises(ConnectionError, match="vit_base_patch16_224.*pretrained=False"):
        vit.vit(pretrained=True)
    with pytest.raises(OSError, match="no network"):
        vit.vit(pretrained=False)


def test_a_fault_that_is_none_of_the_network_is_told_as_it_is(monkeypatch):
    vit.small_vit()
    import timm

    def full(*args, **kwargs):
        raise MemoryError("no room for the model")

    monkeypatch.setattr(timm, "create_model", full)
    with pytest.raises(MemoryError, match="no room"):
        vit.vit(pretrained=True)


# -- training -----------------------------------------------------------------------------------------


@pytest.fixture
def exact(tiny):
    """A network in float64 with adapters that are not zero, its images, and what it gives for them."""
    model = vit.vit_lora(tiny, rank=2, alpha=6, dropout=0.5, generator=random(1)).double().eval()
    for name, p in model.named_parameters():
        if "lora_B" in name:
            p.data.normal_(generator=random(4))
    images, inner = torch.rand(5, 3, 32, 32, generator=random(2), dtype=torch.float64), model.get_base_model()
    with torch.no_grad():
        yield inner, images, inner.forward_head(inner.forward_features(images), pre_logits=True)


def in_tail(inner, first, **options):
    """The kit's tail with the same adapters."""
    made = tail.Tail(vit.small_vit(side=32, patch=16, width=16, depth=2, heads=2), first, 2, rank=2, alpha=6, **options)
    made = made.double().eval()
    made.norm.load_state_dict(inner.norm.state_dict())
    for k, block in enumerate(inner.blocks[first:]):
        qkv = block.attn.qkv
        made.down[k].data, made.up[k].data = (getattr(qkv, f"lora_{x}")["default"].weight.data for x in "AB")
        plain = {name.replace("base_layer.", ""): x for name, x in block.state_dict().items() if "lora_" not in name}
        made.blocks[k].load_state_dict(plain)
    return made


@pytest.mark.parametrize("first", [0, 1])
def test_a_tail_gives_what_the_whole_network_with_peft_gives(exact, first):
    inner, images, expected = exact
    x = inner.norm_pre(inner._pos_embed(inner.patch_embed(images)))
    for block in inner.blocks[:first]:
        x = block(x)
    made = in_tail(inner, first)
    prepared = made.prepare(x)
    assert len(prepared) == (5 if first else 1)  # a single block works from what was kept of it
    assert torch.allclose(made(*prepared), expected, atol=1e-10, rtol=0)
    assert torch.allclose(in_tail(inner, first, full=True)(x), expected, atol=1e-10, rtol=0)
    made.up[-1].data *= 1.01  # a planted fault shows
    assert not torch.allclose(made(*prepared), expected, atol=1e-6, rtol=0)


def test_gradients_of_the_short_way_are_those_of_the_long_one(exact):
    inner, images, _ = exact
    x = inner.blocks[0](inner.norm_pre(inner._pos_embed(inner.patch_embed(images))))
    with torch.enable_grad():
        grads = []
        for short in (True, False):
            made = in_tail(inner, 1)
            (made(*(made.prepare(x) if short else (x,))) * torch.arange(16)).sum().backward()
            grads.append([made.down[0].grad, made.up[0].grad])
    assert all(torch.allclose(a, b, atol=1e-10) and a.abs().max() > 1e-3 for a, b in zip(*grads))


def test_tokens_are_the_networks_own(tiny):
    images = torch.rand(5, 3, 32, 32, generator=random(2))
    model = copy.deepcopy(tiny).eval()
    with torch.no_grad():
        cls, kept = tail.tokens(model, images, keep=(0, 2), batch_size=2)
        expected = model.forward_features(images)
        slack = 0.05  # eight bits of mantissa, two blocks
        assert torch.allclose(model.norm(kept[2].float()), expected, atol=slack)
        assert torch.allclose(model.norm(cls[:, 2]), expected[:, 0], atol=slack)
    assert cls.shape == (5, 3, 16) and set(kept) == {0, 2} and kept[0].dtype == torch.float16


def test_a_tail_starts_at_the_frozen_network_trains_only_adapters_and_copies(tiny):
    x = torch.randn(4, 5, 16, generator=random(3))
    plain, made = tail.Tail(tiny, 1, 2, rank=0), tail.Tail(tiny, 1, 2, rank=2, generator=random(1))
    assert torch.equal(made.eval()(*made.prepare(x)), plain.eval()(*plain.prepare(x)))
    assert count(made)[0] == 2 * (16 + 48) and count(plain)[0] == 0
    made.train()(*made.prepare(x)).sum().backward()
    assert made.up[0].grad.abs().max() > 0 and tiny.blocks[1].attn.qkv.weight.grad is None
    full = tail.Tail(tiny, 1, 2, rank=0, full=True)
    assert count(full)[0] == sum(p.numel() for p in full.parameters())
    again = tail.Tail(tiny, 1, 2, rank=2, generator=random(1))
    assert torch.equal(again.down[0], made.down[0])


def test_frozen_weights_lie_in_memory_once_and_a_tail_that_is_converted_changes_nobody_else(tiny):
    before = {name: x.clone() for name, x in tiny.state_dict().items()}
    frozen = copy.deepcopy(tiny).requires_grad_(False)
    settled = tail.light(copy.deepcopy(frozen))  # in the type of fast arithmetic already
    places = {p.data_ptr() for p in settled.parameters()}
    one, two = (tail.Tail(settled, 1, 2, rank=2, generator=random(k)) for k in (1, 2))
    assert {p.data_ptr() for p in (*one.blocks.parameters(), *one.norm.parameters())} <= places
    assert not {p.data_ptr() for p in one.parameters() if p.requires_grad} & {p.data_ptr() for p in two.parameters()}
    x = torch.randn(4, 5, 16, generator=random(3))
    read = two.eval()(*two.prepare(x))
    one.double().requires_grad_(True)
    assert torch.equal(two(*two.prepare(x)), read) and not any(p.requires_grad for p in settled.parameters())
    for other in (tail.Tail(frozen, 1, 2, rank=0, full=True), tail.Tail(tiny, 1, 2, rank=0)):  # trained here, or there
        for p in other.parameters():
            p.data.add_(1)
    for model in (tiny, frozen):
        assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())


def test_dropout_of_a_tail_keeps_nine_in_ten_and_their_mean(tiny):
    made, x = tail.Tail(tiny, 1, 2, rank=64, alpha=64, dropout=0.1), torch.ones(50, 65, 64)
    made.down[0].data = torch.eye(64)
    assert torch.equal(made.eval()._low(0, x), x)
    with seeded(1):
        dropped = made.train()._low(0, x).detach()
    kept = (dropped > 0).float()
    assert abs(kept.mean() - 0.9) < 0.003 and torch.allclose(dropped[dropped > 0], torch.tensor(1 / 0.9))
    for there, beside in ((kept[1:], kept[:-1]), (kept[:, :, 1:], kept[:, :, :-1])):  # no draw decides two numbers
        assert abs(((1 - there) * (1 - beside)).mean() - 0.01) < 0.001
    with seeded(1):
        assert torch.equal(made._low(0, x), dropped)


def test_random_crops_are_parts_of_their_images_or_mirrored():
    images = torch.arange(2 * 3 * 6 * 6.0).reshape(2, 3, 6, 6)
    seen = set()
    for seed in range(40):
        for k, crop in enumerate(vit._random_crops(images, torch.arange(2), 4, random(seed))):
            options = {
                (i, j, flip): images[k, :, i : i + 4, j : j + 4].flip(-1)
                if flip
                else images[k, :, i : i + 4, j : j + 4]
                for i, j, flip in itertools.product(range(3), range(3), (False, True))
            }
            place = [name for name, option in options.items() if torch.equal(option, crop)]
            assert len(place) == 1
            seen.add(place[0])
    assert len(seen) == 18


def test_pretraining_reads_attributes_and_leaves_the_head(tiny):
    drawn = faces.draw(48, seed=1, size=32)
    model, head = copy.deepcopy(tiny), tiny.head.weight.clone()
    assert pretraining.pretrain(model, drawn, 0) == {}
    assert torch.equal(model.blocks[0].attn.qkv.weight, tiny.blocks[0].attn.qkv.weight)
    found = pretraining.pretrain(model, drawn, 5, test=8, generator=random(0))
    assert set(found) == set(pretraining.KINDS)
    assert all(0 <= right <= 1 and 0 < common <= 1 for right, common in found.values())
    assert torch.equal(model.head.weight, head)
    assert not torch.equal(model.blocks[0].attn.qkv.weight, tiny.blocks[0].attn.qkv.weight)
    wanted = pretraining.targets(drawn)
    assert wanted.numbers.mean(0).abs().max() < 1e-5 and torch.allclose(
        wanted.numbers.std(0, correction=0), torch.ones(wanted.numbers.shape[1]), atol=1e-4
    )
    with pytest.raises(ValueError, match="test"):
        pretraining.pretrain(model, drawn, 1, test=48)


# -- what is said of scores -----------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
def test_the_area_agrees_with_scikit_learn_and_lies_in_its_interval(ties):
    draw = np.random.default_rng(4)
    y = draw.integers(0, 2, 61)
    s = draw.normal(0.8 * y - 0.4)
    s = np.round(s) if ties else s
    assert dm.auc(s, y) == pytest.approx(roc_auc_score(y, s))
    low, high = dm.delong_interval(s, y)
    assert low <= roc_auc_score(y, s) <= high


def test_delong_variance_by_loops_and_coverage():
    draw = np.random.default_rng(2)
    fakes, reals = draw.normal(1, 1, 9), draw.normal(0, 1, 7)
    s, y = np.concatenate([fakes, reals]), np.repeat([1, 0], (9, 7))
    of_fake = [sum((f > r) + 0.5 * (f == r) for r in reals) / 7 for f in fakes]
    of_real = [sum((f > r) + 0.5 * (f == r) for f in fakes) / 9 for r in reals]
    variance = np.var(of_fake, ddof=1) / 9 + np.var(of_real, ddof=1) / 7
    low, high = dm.delong_interval(s, y)
    assert high == min(1.0, np.mean(of_fake) + 1.959963984540054 * math.sqrt(variance))
    assert low == pytest.approx(np.mean(of_fake) - 1.959963984540054 * math.sqrt(variance))
    true, hits = 0.5 * math.erfc(-1 / 2), 0
    for _ in range(300):
        s = np.concatenate([draw.normal(1, 1, 60), draw.normal(0, 1, 60)])
        low, high = dm.delong_interval(s, np.repeat([1, 0], 60))
        hits += low <= true <= high
    assert 0.90 < hits / 300 < 0.99


def test_wilson_is_where_the_score_test_turns():
    for right, of in ((420, 500), (0, 10), (10, 10), (3, 7)):
        for side, end in zip(("low", "high"), dm.wilson_interval(right, of)):
            if 1e-9 < end < 1 - 1e-9:
                assert abs(right / of - end) / math.sqrt(end * (1 - end) / of) == pytest.approx(1.959963984540054)
            assert end == pytest.approx(getattr(stats.binomtest(right, of).proportion_ci(0.95, "wilson"), side))
    with pytest.raises(ValueError, match="right"):
        dm.wilson_interval(6, 5)


def test_difference_of_runs_covers_both_kinds_of_luck():
    draw = np.random.default_rng(5)
    y = np.repeat([1, 0], 80)
    worse = draw.normal(0.5 * y, 1, (4, 160))
    better = worse + 1.0 * y
    value, low, high = dm.auc_difference(better, worse, y)
    assert value == pytest.approx(np.mean([roc_auc_score(y, b) - roc_auc_score(y, a) for a, b in zip(worse, better)]))
    assert 0 < low < value < high
    assert dm.auc_difference(worse, worse, y) == (0, 0, 0)
    # With one run only the images are drawn: the interval of one run against chance is DeLong's.
    _, low, high = dm.auc_difference(worse[:1], np.zeros((1, 160)), y)
    assert np.allclose([low, high], np.array(dm.delong_interval(worse[0], y)) - 0.5)
    # Trainings that are perfect or guess: the images leave no doubt, so Student's t over the trainings is left.
    mixed = np.stack([1.0 * y, np.zeros(160), 1.0 * y])
    found = dm.auc_difference(mixed, np.zeros((3, 160)), y)
    expected = stats.ttest_1samp([0.5, 0, 0.5], 0).confidence_interval()
    assert found == pytest.approx((1 / 3, *np.minimum(expected, 1)))
    with pytest.raises(ValueError, match="scores_a"):
        dm.auc_difference(worse, worse[:2], y)


@pytest.mark.parametrize(
    "scores, labels, name",
    [
        ([1.0, 2.0], [1, 1], "is_fake"),
        ([1.0, 2.0], [0, 2], "is_fake"),
        ([1.0, math.nan], [0, 1], "scores"),
        ([1.0, 2.0, 3.0], [0, 1], "scores"),
        ([1.0, 2.0], [0, 1], "is_fake"),
    ],
)
def test_scores_that_cannot_be_judged_are_refused(scores, labels, name):
    with pytest.raises(ValueError, match=name):
        dm.delong_interval(scores, labels)


# -- pictures -------------------------------------------------------------------------------------------


def test_a_missing_set_is_replaced_by_digits_that_say_so(monkeypatch):
    def nowhere(*args, **kwargs):
        raise FileNotFoundError("nowhere")

    monkeypatch.setattr(data, "load", nowhere)
    run = start("07_vit_lora", profile="smoke")
    pictures = detector_data.load(run, "train", side=32, limit=40)
    assert len(pictures) == 40 and pictures.images.shape == (40, 3, 32, 32)
    assert 0 <= pictures.images.min() and pictures.images.max() <= 1
    assert run.data[0]["stand_in"] and run.data[0]["name"] == "ffhq-stylegan"
    assert run.records[-1]["type"] == "data" and run.records[-1]["stand_in"]
    assert set(pictures.source) == {"real", *detector_data.GENERATORS}


def test_the_pictures_of_another_set_go_by_the_same_names(tmp_path, monkeypatch):
    """TrueFace as its authors hand it out, made tiny: chapter 9 takes it at profile `paper`."""
    for home in ("TrueFace_PreSocial", "TrueFace_PostSocial/Facebook"):
        for kind in ("Real/FFHQ", "Fake/StyleGAN/images-psi-0.7", "Fake/StyleGAN2/conf-f-psi-0p5"):
            (tmp_path / "TrueFace" / home / kind).mkdir(parents=True)
            for i in range(30):
                shade = Image.new("RGB", (12, 10), (8 * i, 255 * kind.startswith("Real"), 255 * ("Post" in home)))
                shade.save(tmp_path / "TrueFace" / home / kind / f"{i}.png")
    monkeypatch.setenv("DEEPFAKE_KIT_DATA", str(tmp_path))
    run = start("09_simclr_on_edge", profile="paper")
    assert run.chapter.data_sets({"profile": "paper"}) == [run.settings.photographs] == ["trueface"]
    train, val = (detector_data.load(run, split, side=8, name=run.settings.photographs) for split in ("train", "val"))
    assert [row["split"] for row in run.data] == ["train", "test"] and not any(row["stand_in"] for row in run.data)
    assert len(train) + len(val) == 90 and min(len(train), len(val)) > 5
    for part in (train, val):
        assert part.generators == ["StyleGAN1", "StyleGAN2"]
        assert part.images[:, 2].max() == 0  # nothing that was shared
        assert torch.equal(part.images[:, 1].amax((1, 2)) > 0.5, part.is_fake == 0)
        assert [name == "real" for name in part.source] == (part.is_fake == 0).tolist()
        psi = dict(zip(part.source, part.psi.tolist()))
        assert psi["StyleGAN1"] == pytest.approx(0.7) and psi["StyleGAN2"] == pytest.approx(0.5)


def test_every_set_of_real_against_fake_can_be_learned_from(tmp_path, monkeypatch):
    for split in ("train", "valid"):
        for i, kind in enumerate(("real", "fake", "fake")):
            (tmp_path / "140k-faces" / split / kind).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (12, 12), (80 * i,) * 3).save(tmp_path / "140k-faces" / split / kind / f"{i}.png")
    monkeypatch.setenv("DEEPFAKE_KIT_DATA", str(tmp_path))
    found = detector_data.load(start("07_vit_lora", profile="smoke"), "train", 8, name="140k-faces")
    assert sorted(found.source) == ["StyleGAN1", "StyleGAN1", "real"] and found.is_fake.sum() == 2
    assert [name == "real" for name in found.source] == (found.is_fake == 0).tolist()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"init_values": 0.1}, "ls1, ls2"),
        ({"qk_norm": True}, "k_norm, q_norm"),
        ({"scale_attn_norm": True}, "norm"),
        ({"qkv_bias": False}, "a qkv without bias"),
        ({"attn_drop_rate": 0.1}, "attn_drop"),
        ({"proj_drop_rate": 0.1}, "proj_drop"),
        ({"drop_path_rate": 0.1}, "drop_path1, drop_path2"),
    ],
)
def test_a_tail_is_refused_where_it_would_be_another_network(more, said):
    """What timm's blocks may hold besides; without it a tail is the network, as the tests above say."""
    vit.small_vit()  # makes timm importable
    from timm.models.vision_transformer import VisionTransformer

    model = VisionTransformer(img_size=32, patch_size=16, embed_dim=16, depth=2, num_heads=2, num_classes=2, **more)
    with pytest.raises(ValueError, match=f"model: got blocks with {said}; valid: plain blocks"):
        tail.Tail(model, 1, 2)


def test_a_tail_is_refused_where_blocks_are_of_another_kind():
    vit.small_vit()
    from timm.models.beit import Beit
    from timm.models.vision_transformer import ParallelThingsBlock, VisionTransformer

    size = dict(img_size=32, patch_size=16, embed_dim=16, depth=2, num_heads=2, num_classes=2)
    for model in (Beit(init_values=0.1, **size), VisionTransformer(block_fn=ParallelThingsBlock, **size)):
        with pytest.raises(ValueError, match="model: got blocks with"):
            tail.Tail(model, 1, 2)


def test_train_and_val_stand_ins_share_no_digit():
    train, val = (detector_data.stand_in(split, side=8).images for split in ("train", "val"))
    seen = {bytes(image.numpy()) for image in train}
    assert not any(bytes(image.numpy()) in seen for image in val)


def test_t_interval_is_scipys_and_wider_than_a_bootstrap_of_three():
    x = [0.2, 0.7, 0.4]
    mean, low, high = dm.t_interval(x)
    assert mean == pytest.approx(np.mean(x))
    assert (low, high) == pytest.approx(tuple(stats.ttest_1samp(x, 0).confidence_interval()))
    draws = np.random.default_rng(0).choice(x, (4000, 3)).mean(1)
    assert high - low > 2 * np.diff(np.quantile(draws, (0.025, 0.975)))[0]
    assert np.isnan(dm.t_interval([1.0])[1:]).all()
    with pytest.raises(ValueError, match="values"):
        dm.t_interval([])
