"""Editors: true pairs, the place of the wish, determinism, gradients, and that one of them learns to edit."""

import pytest
import torch
from torch.nn import functional as F

from deepfake_kit.defend import editors


def random(k=0):
    return torch.Generator().manual_seed(k)


@pytest.fixture(scope="module")
def drawn():
    return editors.pairs(64, seed=3)


def test_pairs_begin_without_any_attribute_and_change_only_where_the_mask_says(drawn):
    assert drawn.before.shape == (64, 3, 32, 32) and drawn.after.shape == (64, 3, 3, 32, 32)
    apart = (drawn.after - drawn.before[:, None]).abs().amax(dim=2)
    assert torch.equal(apart > 0, drawn.changed)
    assert drawn.changed.flatten(2).any(dim=2).all()
    glasses = list(editors.EDITS).index("sunglasses")
    assert drawn.changed[:, glasses].double().mean() < 0.2, "glasses are a local edit"


def test_a_person_depends_on_seed_and_index_alone():
    assert torch.equal(editors.pairs(4, seed=1).after[2:], editors.pairs(2, seed=1, start=2).after)


@pytest.mark.parametrize("design", editors.DESIGNS)
def test_output_is_a_picture_and_the_wish_matters(design, drawn):
    editor = editors.new_editor(design, 4, random()).eval()
    one, other = (editor.edit(drawn.before[:2], name) for name in ("blond", "old"))
    assert one.shape == (2, 3, 32, 32) and one.min() >= 0 and one.max() <= 1
    assert not torch.allclose(one, other, atol=1e-4)


def test_a_painter_of_no_opacity_leaves_the_face_and_a_full_one_shows_its_colour_and_the_grain():
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    raw = torch.zeros(1, 5, 8, 8)
    raw[:, :3], raw[:, 3] = 0.3, -100.0
    assert torch.equal(editors.paint(x, raw), x)
    raw[:, 3] = 100.0
    assert torch.allclose(editors.paint(x, raw), torch.tensor(0.3).tanh().expand_as(x), atol=1e-6)
    raw[:, 4] = 2.0
    middle = (editors.paint(x, raw) - torch.tensor(0.3).tanh())[0, :, 4, 4]
    assert torch.allclose(middle, 2 * (x[0, :, 4, 4] - x[0, :, 2:7, 2:7].mean((1, 2))), atol=1e-5)


@pytest.mark.parametrize("design", editors.DESIGNS)
def test_gradients_reach_the_picture(design, drawn):
    x = drawn.before[:1].clone().requires_grad_()
    editors.new_editor(design, 4, random()).eval().edit(x, "old").sum().backward()
    assert x.grad.abs().amax(dim=1).gt(0).double().mean() > 0.9


def test_only_the_decoder_of_stargan_v2_sees_the_wish(drawn):
    editor, seen = editors.new_editor("StarGANv2", 4, random()).eval(), []
    editor.down.register_forward_hook(lambda module, given, out: seen.append(out))
    for name in editors.EDITS:
        editor.edit(drawn.before[:1], name)
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[0], seen[2])


def test_weights_follow_the_seed_and_leave_the_global_state():
    state = torch.random.get_rng_state()
    a, b, c = (editors.new_editor("STGAN", 4, random(k)).out.weight for k in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_it_learns_the_edit(drawn):
    unseen = editors.pairs(16, seed=3, start=500)
    editor = editors.new_editor("StarGAN", 6, random())
    losses = editors.fit(editor, drawn, 130, generator=torch.Generator().manual_seed(0))
    truth = unseen.after[:, list(editors.EDITS).index("old")]
    after = F.mse_loss(editor.edit(unseen.before, "old"), truth)
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5]) and after < F.mse_loss(unseen.before, truth) / 2
    assert not editor.training and not any(p.requires_grad for p in editor.parameters())


def test_training_repeats(drawn):
    runs = [editors.fit(editors.new_editor("STGAN", 4, random(5)), drawn, 2, 4, generator=random(1)) for _ in range(2)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: editors.new_editor("StarGan"), "did you mean 'StarGAN'"),
        (lambda: editors.new_editor("StarGAN", 4).edit(torch.zeros(1, 3, 16, 16), "blonde"), "did you mean 'blond'"),
        (lambda: editors.new_editor("StarGAN", 4).edit(torch.zeros(1, 3, 30, 30), "old"), "multiple of 8"),
        (lambda: editors.new_editor("StarGAN", 4).edit(torch.full((1, 3, 16, 16), 2.0), "old"), "values"),
        (lambda: editors.condition("young", 1), "attribute"),
        (lambda: editors.fit(editors.new_editor("STGAN", 4), editors.pairs(2, 0), 0), "steps"),
        (lambda: editors.fit(editors.new_editor("STGAN", 4), editors.pairs(2, 0), 1, 0), "batch_size"),
    ],
)
def test_errors_name_the_fault(call, words):
    with pytest.raises(ValueError, match=words):
        call()
