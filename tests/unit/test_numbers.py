"""Half precision, rows of zeros, NaN and infinity: every public loss and metric is right or raises a ValueError."""

import math

import numpy as np
import pytest
import torch

from deepfake_kit.chain.store import pack, unpack
from deepfake_kit.detect import losses
from deepfake_kit.measure import batches, edits, images, scores, sets, spectra, textures


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 0.9 + 0.05


PICTURES, OTHERS = random(3, 3, 16, 16), random(3, 3, 16, 16, seed=1)
MASK = torch.arange(256).reshape(16, 16).expand(3, 16, 16) % 3 == 0
FEATURES, CENTER = random(6, 5) - 0.5, random(5, seed=2)
FAKE = torch.tensor([0, 1, 0, 1, 1, 0])
S = np.array([0.9, 0.4, 0.6, 0.1, 0.8, 0.3])

LOSSES = {
    "nt_xent": (losses.nt_xent, [FEATURES[:3], FEATURES[3:]]),
    "multi_view_nt_xent": (losses.multi_view_nt_xent, [FEATURES.reshape(2, 3, 5)]),
    "center_distance": (losses.center_distance, [FEATURES, CENTER]),
    "cvar": (lambda x: losses.cvar(x[:, 2], 0.4), [FEATURES]),
    "nested_cvar": (lambda x: losses.nested_cvar(x[:, 2], FAKE, 0.5, 0.5), [FEATURES]),
    "single_center_loss": (lambda f, c: losses.single_center_loss(f, FAKE, c), [FEATURES, CENTER]),
}
REFUSE = {"nt_xent", "multi_view_nt_xent"}  # a similarity to an infinite vector means nothing
COMBINE_LOSSES = {"cvar", "nested_cvar"}  # they are given losses, and give what they are given
METRICS = {
    "frechet_distance": (sets.frechet_distance, [FEATURES, FEATURES + 0.1]),
    "bootstrap": (lambda x: sets.bootstrap(torch.mean, x, 5, torch.Generator().manual_seed(0)).value, [FEATURES]),
    "grain": (images.grain, [PICTURES]),
    "psnr": (images.psnr, [PICTURES, OTHERS]),
    "ssim": (images.ssim, [PICTURES, OTHERS]),
    "pixel_distance": (edits.pixel_distance, [PICTURES, OTHERS]),
    "mask_distance": (lambda a, b: edits.mask_distance(a, b, MASK), [PICTURES, OTHERS]),
    "mean_square": (edits.mean_square, [PICTURES, OTHERS]),
    "masked_mean_square": (lambda a, b: edits.masked_mean_square(a, b, MASK), [PICTURES, OTHERS]),
    "coverage": (sets.coverage, [FEATURES, FEATURES + 0.01]),
    "residual": (lambda x: spectra.residual(x).abs().mean(), [PICTURES]),
    "power_spectrum": (lambda x: spectra.power_spectrum(x).mean(), [PICTURES]),
    "radial_average": (lambda p: spectra.radial_average(p)[1], [random(8, 8)]),
    "gram": (textures.gram, [PICTURES]),
    "gram_distance": (lambda a, b: textures.gram_distance([a], [b]), [PICTURES, OTHERS]),
    "auc": (lambda s: scores.auc(s, FAKE), [S]),
    "delong_interval": (lambda s: scores.delong_interval(s, FAKE), [S]),
    "auc_difference": (lambda a, b: scores.auc_difference(a, b, FAKE), [S, S[::-1].copy()]),
    "t_interval": (scores.t_interval, [S]),
}
NOT_HERE = {"wilson_interval", "lowest_auc", "batch_f1", "batch_auc"}  # of numbers


def as_list(value):
    return np.asarray(value.detach().double() if torch.is_tensor(value) else value, dtype=float).ravel()


def in_half(value, dtype):
    return value.to(dtype) if torch.is_tensor(value) else torch.from_numpy(value).to(dtype).float().numpy()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", [*LOSSES, *METRICS])
def test_half_precision_costs_the_rounding_of_the_input_only(name, dtype):
    of, arguments = (LOSSES | METRICS)[name]
    half = [in_half(value, dtype) for value in arguments]
    rounded = [value.to(torch.float32) if torch.is_tensor(value) else value for value in half]
    found, expected = as_list(of(*half)), as_list(of(*rounded))
    step = {torch.float16: 2**-10, torch.bfloat16: 2**-7}[dtype]
    assert np.isfinite(found).all() and np.abs(found - expected).max() <= step * max(1, np.abs(expected).max())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_zeros_and_of_far_numbers_have_finite_gradients(name, dtype):
    of, arguments = LOSSES[name]
    for factor in (1.0, 1e-2, 1e4):
        leaves = [(factor * value).to(dtype).clone() for value in arguments]
        leaves[0].view(-1, leaves[0].shape[-1])[1] = 0  # one row of zeros
        leaves = [leaf.requires_grad_() for leaf in leaves]
        value = of(*leaves)
        kept = dtype if name in COMBINE_LOSSES else torch.promote_types(dtype, torch.float32)
        assert value.dtype == kept and torch.isfinite(value)
        value.backward()
        assert all(torch.isfinite(leaf.grad).all() for leaf in leaves), factor


@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1.0, 1e15, 1e30])
def test_only_directions_count(scale):
    """Squares of such rows leave float32; the directions are the same."""
    z = FEATURES.clone()
    expected = losses.nt_xent(z[:3].double(), z[3:].double())
    assert losses.nt_xent(scale * z[:3], z[3:]).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_row_of_zeros_is_at_a_right_angle_to_all():
    z = torch.eye(4, 6)
    z[1] = 0
    perpendicular = torch.eye(4, 6)
    assert torch.equal(losses.nt_xent(z[:2], z[2:]), losses.nt_xent(perpendicular[:2], perpendicular[2:]))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", METRICS)
def test_metrics_refuse_what_is_not_finite(name, bad):
    of, arguments = METRICS[name]
    for i, value in enumerate(arguments):
        spoilt = value.clone() if torch.is_tensor(value) else value.copy()
        spoilt[tuple(side // 2 for side in spoilt.shape)] = bad
        with pytest.raises(ValueError, match="finite|nan|inf"):
            of(*arguments[:i], spoilt, *arguments[i + 1 :])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_pass_on_or_refuse_what_is_not_finite(name, bad):
    """So that the training loop, which knows the step, can stop; a finite loss of such numbers would hide them."""
    of, arguments = LOSSES[name]
    spoilt = arguments[0].clone()
    spoilt.view(-1, spoilt.shape[-1])[1, 2] = bad
    if name in REFUSE:
        with pytest.raises(ValueError, match="got 1 of .* finite"):
            of(spoilt, *arguments[1:])
    else:
        assert not torch.isfinite(of(spoilt, *arguments[1:]))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_no_tensors_are_checked_too(bad):
    calls = [
        (losses.nt_xent, (FEATURES[:3], FEATURES[3:], bad)),
        (losses.single_center_loss, (FEATURES, FAKE, CENTER, bad)),
        (batches.lowest_auc, (bad,)),
        (batches.batch_f1, (bad, 0.1)),
        (batches.batch_auc, (bad,)),
    ]
    for of, arguments in calls:
        with pytest.raises(ValueError):
            of(*arguments)


def test_every_public_function_is_in_a_table():
    """A new loss or metric must be tried, too: functions of tensors that return numbers."""
    makers = {"residual", "insert_zeros", "enlarge", "overlap", "natural_noise", "frequencies", "spike_suppression"}
    makers |= {"edit_mask", "check_images", "placements", "finite", "refuse_reversed"}
    for module in (losses, edits, images, scores, sets, spectra, textures, batches):
        for name, of in vars(module).items():
            if (
                callable(of)
                and not isinstance(of, type)
                and not name.startswith("_")
                and of.__module__ == module.__name__
            ):
                assert name in LOSSES.keys() | METRICS.keys() | NOT_HERE | makers, f"{module.__name__}.{name}"


def test_pack_refuses_a_number_too_large_for_the_format():
    state = {"a": torch.ones(2), "w": torch.tensor([1.0, -1e6])}
    with pytest.raises(ValueError, match=r"state\['w'\]: got 1e\+06; valid: in float16, up to 65504"):
        pack(state, "float16")
    with pytest.raises(ValueError, match=r"state\['w'\].*float32"):
        pack({"w": torch.tensor([1e300], dtype=torch.float64)})
    kept = {"w": torch.tensor([65504.0, math.inf, math.nan, -0.0])}
    back = unpack(pack(kept, "float16"), kept, "float16")
    assert torch.equal(back["w"].nan_to_num(7), kept["w"].nan_to_num(7))
    halves = {"w": torch.tensor([1e30], dtype=torch.bfloat16)}
    with pytest.raises(ValueError, match="'w'"):
        pack(halves, "float16")


def test_area_under_the_curve_needs_no_table_of_pairs():
    """100,000 scores: a table of all pairs would take 20 GB, and quadratic time minutes."""
    import resource
    import time

    generator = np.random.default_rng(0)
    is_fake = np.arange(100_000) % 2
    score = generator.normal(is_fake, 1.0)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    area = scores.auc(score, is_fake)
    low, high = scores.delong_interval(score, is_fake)
    scores.auc_difference(score, -score, is_fake)
    assert time.process_time() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024
    exact = 0.5 * math.erfc(-0.5)  # P(N(1, 1) > N(0, 1))
    assert low < area < high and abs(area - exact) < 0.005 and high - low < 0.01
