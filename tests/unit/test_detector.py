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
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score, roc_curve

from deepfake_kit import data, faces
from deepfake_kit.detect import low_rank, pretraining, vit
from deepfake_kit.detect import pictures as detector_data
from deepfake_kit.measure import scores as dm
from deepfake_kit.notebook.run import start


def random(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def tiny():
    return vit.small_vit(side=32, patch=16, width=16, depth=2, heads=2, generator=random())


@pytest.fixture(scope="module")
def easy():
    """Dark images are real, bright ones are fake."""
    labels = torch.arange(24) % 2
    noise = torch.rand(24, 3, 40, 40, generator=random(3)) * 0.2
    return noise + 0.6 * labels[:, None, None, None], labels


def bright(images):
    return images.mean((1, 2, 3))


# -- adapters -----------------------------------------------------------------------------------------


def test_the_printed_parameter_counts_come_out_to_the_digit():
    def counts(**options):
        return low_rank.count(vit.vit_lora(pretrained=False, device="meta", **options))

    assert counts(classes=1000, train_head=False) == (589_824, 87_157_480)
    assert counts(classes=2, train_head=False) == (589_824, 86_390_018)
    assert counts(classes=2) == (591_362, 86_391_556)
    assert 12 * low_rank.adapter_parameters(768, 2304, 16) == 589_824


def test_an_adapter_starts_at_nothing_and_only_adapters_and_head_may_change(tiny):
    model = vit.vit_lora(tiny, rank=2, alpha=4, generator=random(1)).eval()
    x = torch.rand(3, 3, 32, 32, generator=random(2))
    assert torch.equal(model(x), tiny(x))
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    assert all("lora_" in name or "head" in name for name in names) and any("head" in name for name in names)
    frozen = vit.vit_lora(tiny, rank=2, alpha=4, train_head=False)
    assert low_rank.count(frozen)[0] == 2 * low_rank.adapter_parameters(16, 48, 2)


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
    by_hand = low_rank.adapted_weight(
        layer.base_layer.weight, layer.lora_A["default"].weight, layer.lora_B["default"].weight, alpha=5
    )
    assert torch.allclose(merged.blocks[1].attn.qkv.weight, by_hand, atol=1e-6)
    changes = low_rank.updates(model)
    assert len(changes) == 2 and all(torch.linalg.matrix_rank(u) == 3 for u in changes.values())
    assert torch.allclose(layer.base_layer.weight + list(changes.values())[1], by_hand, atol=1e-6)


def adapted(rank_stabilised=False):
    """A layer with two adapters, none of them called "default", and what each adds to its weight."""
    import peft

    plain = torch.nn.Sequential(torch.nn.Linear(6, 4))
    config = {"r": 4, "lora_alpha": 6, "target_modules": ["0"], "use_rslora": rank_stabilised}
    model = peft.get_peft_model(plain, peft.LoraConfig(**config), adapter_name="faces")
    model.add_adapter("hands", peft.LoraConfig(**config | {"r": 2}))
    layer, expected, zero = model.get_base_model()[0], {}, torch.zeros(4, 6)
    for name in ("faces", "hands"):
        layer.lora_B[name].weight.data.normal_(generator=random(4))
        expected[name] = low_rank.adapted_weight(
            zero, layer.lora_A[name].weight, layer.lora_B[name].weight, 6, rank_stabilised=rank_stabilised
        )
    return model, layer, expected


@pytest.mark.parametrize("rank_stabilised", [False, True])
def test_adapters_of_any_name_and_scale(rank_stabilised):
    model, layer, expected = adapted(rank_stabilised)
    x = torch.rand(3, 6, generator=random(1))
    for name in ("faces", "hands"):
        model.set_adapter(name)
        found = low_rank.updates(model)
        assert list(found) == [key for key, part in model.named_modules() if part is layer]
        assert torch.allclose(*found.values(), expected[name], atol=1e-6)
        assert torch.allclose(model(x), layer.base_layer(x) + x @ expected[name].T, atol=1e-5)
    assert torch.allclose(*low_rank.updates(model, "faces").values(), expected["faces"], atol=1e-6)
    model.base_model.set_adapter(["faces", "hands"])
    assert torch.allclose(*low_rank.updates(model).values(), sum(expected.values()), atol=1e-6)
    with pytest.raises(ValueError, match="adapter: got 'default'; valid: faces, hands"):
        low_rank.updates(model, "default")


def test_adapters_that_are_merged():
    model, layer, expected = adapted()
    before = layer.base_layer.weight.clone()
    model.merge_adapter()
    assert torch.allclose(layer.base_layer.weight, before + expected["faces"], atol=1e-5)
    assert torch.allclose(*low_rank.updates(model).values(), expected["faces"], atol=1e-6)
    whole = model.merge_and_unload()
    assert low_rank.updates(whole) == {}
    with pytest.raises(ValueError, match="the model has none"):
        low_rank.updates(whole, "faces")


def test_adapted_weights_of_half_precision():
    random_halves = [
        torch.randn(*shape, generator=random(i)).half() for i, shape in enumerate([(4, 6), (2, 6), (4, 2)])
    ]
    found = low_rank.adapted_weight(*random_halves, alpha=300)
    exact = low_rank.adapted_weight(*(x.float() for x in random_halves), alpha=300)
    assert found.dtype == torch.float16 and torch.equal(found, exact.half())


def test_the_same_generator_gives_the_same_model_and_leaves_the_global_stream_alone(tiny):
    before = torch.random.get_rng_state()
    first, second, other = (vit.vit_lora(tiny, rank=2, generator=random(k)) for k in (5, 5, 6))
    assert torch.equal(torch.random.get_rng_state(), before)
    a, b, c = (dict(m.named_parameters()) for m in (first, second, other))
    assert all(torch.equal(a[k], b[k]) for k in a) and any(not torch.equal(a[k], c[k]) for k in a)


def test_effective_rank():
    assert low_rank.effective_rank(torch.diag(torch.tensor([1.0, 1, 0]))) == pytest.approx(2)
    assert low_rank.effective_rank(torch.diag(torch.tensor([2.0, 1]))) == pytest.approx(25 / 17)


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda t: vit.vit_lora(t, rank=0), "rank"),
        (lambda t: vit.vit_lora(t, rank=2.0), "rank"),
        (lambda t: vit.vit_lora(t, dropout=1.0), "dropout"),
        (lambda t: vit.vit_lora("vit_nonesuch"), "name"),
        (lambda t: vit.small_vit(side=60), "side"),
        (lambda t: vit.small_vit(width=30, heads=4), "width"),
        (lambda t: low_rank.adapter_parameters(4, 4, 0), "rank"),
        (lambda t: low_rank.adapted_weight(torch.ones(2, 3), torch.ones(1, 2), torch.ones(2, 1), 1), "down"),
        (lambda t: vit.predict(t, torch.ones(1, 3, 16, 16)), "images"),
        (lambda t: vit.predict(t, torch.ones(1, 3, 32, 32, dtype=torch.uint8)), "images"),
        (lambda t: vit.fit(t, torch.ones(4, 3, 32, 32), torch.ones(3), epochs=1), "is_fake"),
        (lambda t: vit.fit(t, torch.ones(4, 3, 32, 32), torch.ones(4), epochs=0), "epochs"),
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


# -- training -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [0.0, 0.05])
def test_an_easy_task_is_learned_and_frozen_weights_stay(tiny, easy, weight):
    images, labels = easy
    model = vit.vit_lora(tiny, rank=2, alpha=4, generator=random(1))
    fitted = vit.fit(
        model,
        images,
        labels,
        epochs=12,
        lr=5e-3,
        batch_size=12,
        center_weight=weight,
        generator=random(2),
        validation=(images, labels),
    )
    assert dm.auc(vit.predict(model, images), labels) == 1
    assert len(fitted.cross_entropy) == len(fitted.center) == len(fitted.validation) == 12
    assert fitted.cross_entropy[-1] < 0.5 * fitted.cross_entropy[0] and fitted.point.shape == (16,)
    kept = model.get_base_model().blocks[0].attn.qkv.base_layer.weight
    assert torch.equal(kept, tiny.blocks[0].attn.qkv.weight)


def test_training_is_repeatable_and_the_centre_weight_matters(tiny, easy):
    images, labels = easy

    def scores(seed, weight=0.0):
        model = copy.deepcopy(tiny)
        vit.fit(model, images, labels, epochs=2, generator=random(seed), center_weight=weight)
        return vit.predict(model, images)

    assert torch.equal(scores(1), scores(1))
    assert not torch.equal(scores(1), scores(2)) and not torch.equal(scores(1), scores(1, weight=1.0))


def test_the_centre_loss_lowers_its_own_part_and_teaches_the_head_nothing_alone(tiny, easy):
    images, labels = easy
    ends = {}
    for weight in (0.0, 5.0):
        model = copy.deepcopy(tiny)
        fitted = vit.fit(model, images, labels, epochs=6, generator=random(0), center_weight=weight)
        ends[weight] = fitted.center[-1]
    assert ends[5.0] < ends[0.0]
    from deepfake_kit.detect.losses import single_center_loss

    model = copy.deepcopy(tiny)
    single_center_loss(vit.features(model, images[:, :, :32, :32]), labels, torch.zeros(16), 0.3).backward()
    assert model.head.weight.grad is None and model.blocks[0].attn.qkv.weight.grad.abs().sum() > 0


def test_a_score_is_the_mean_log_odds_over_five_crops(tiny):
    images = torch.rand(4, 3, 40, 40, generator=random(7))
    crops = [images[:, :, i : i + 32, j : j + 32] for i, j in ((0, 0), (0, 8), (8, 0), (8, 8), (4, 4))]
    with torch.no_grad():
        logits = torch.stack([tiny(2 * crop - 1) for crop in crops]).mean(0)
    assert torch.allclose(vit.predict(tiny, images), logits[:, 1] - logits[:, 0], atol=1e-5)
    whole = images[:, :, :32, :32]
    with torch.no_grad():
        assert torch.allclose(vit.predict(tiny, whole), tiny(2 * whole - 1).diff(dim=1)[:, 0], atol=1e-5)


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
def test_metrics_agree_with_scikit_learn(ties):
    draw = np.random.default_rng(4)
    y = draw.integers(0, 2, 61)
    s = draw.normal(0.8 * y - 0.4)
    s = np.round(s) if ties else s
    assert dm.auc(s, y) == pytest.approx(roc_auc_score(y, s))
    found = dm.evaluate(s, y, repeats=20)
    assert found["accuracy"] == pytest.approx(accuracy_score(y, s > 0))
    assert found["f1"] == pytest.approx(f1_score(y, s > 0))
    alarms, hits, _ = roc_curve(y, s, drop_intermediate=False)
    grid = np.linspace(0, 1, 20001)
    crossing = grid[np.argmin(np.abs(np.interp(grid, alarms, hits) + grid - 1))] if not ties else None
    if crossing is not None:
        assert found["eer"] == pytest.approx(crossing, abs=0.02)
    for name in ("auc", "accuracy", "f1", "eer"):
        assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]


def test_equal_error_rate_in_closed_form():
    assert dm.equal_error_rate([2.0, 1, -1, -2], [1, 1, 0, 0]) == 0
    assert dm.equal_error_rate([-2.0, -1, 1, 2], [1, 1, 0, 0]) == 1
    assert dm.equal_error_rate([0.0, 0, 0, 0], [1, 1, 0, 0]) == 0.5  # a straight line crosses in the middle
    # Two normal curves two deviations apart: the rate is the tail beyond one.
    draw = np.random.default_rng(0)
    s, y = np.concatenate([draw.normal(2, 1, 40000), draw.normal(0, 1, 40000)]), np.repeat([1, 0], 40000)
    assert dm.equal_error_rate(s, y) == pytest.approx(0.5 * math.erfc(1 / math.sqrt(2)), abs=0.005)


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
        for end in dm.wilson_interval(right, of):
            if 1e-9 < end < 1 - 1e-9:
                assert abs(right / of - end) / math.sqrt(end * (1 - end) / of) == pytest.approx(1.959963984540054)
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
        dm.evaluate(scores, labels)


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


def test_parts_by_generator_are_balanced_and_share_no_image():
    full = detector_data.stand_in("train", side=16)
    names = {source: name for name, source in detector_data.GENERATORS.items()}
    pictures = detector_data.Pictures(
        full.images.float() / 255, full.labels, [names.get(source, "real") for source in full.extra["source"]]
    )
    two, three = pictures.of("StyleGAN2"), pictures.of("StyleGAN3")
    for part, name in ((two, "StyleGAN2"), (three, "StyleGAN3")):
        assert len(part) == 300 and part.is_fake.float().mean() == 0.5
        assert set(part.source) == {"real", name}
    marked = detector_data.Pictures(torch.arange(600).reshape(-1, 1, 1, 1).float(), pictures.is_fake, pictures.source)
    a, b = (set(marked.of(name).images.ravel().tolist()) for name in detector_data.GENERATORS)
    assert not a & b
    with pytest.raises(ValueError, match="generator"):
        pictures.of("StyleGAN1")


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
