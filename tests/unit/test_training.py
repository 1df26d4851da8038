"""What every training shares: seeded leaves every global generator alone."""

import torch

from deepfake_kit.training import seeded


def test_seeded_gives_the_numbers_of_manual_seed_and_restores_the_cpu():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(9)
    before = torch.random.get_rng_state()
    with seeded(3):
        assert torch.equal(torch.rand(3), expected)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_seeded_on_the_cpu_seeds_no_gpu(monkeypatch):
    """`torch.manual_seed` seeds every GPU, also inside ``fork_rng(devices=[])``, which then does not restore them."""
    touched = []
    for name in ("manual_seed", "manual_seed_all", "set_rng_state"):
        monkeypatch.setattr(torch.cuda, name, lambda *arguments, name=name: touched.append(name))
    torch.manual_seed(0)
    assert touched  # the instrument works: the fault would be seen
    touched.clear()
    with seeded(1):
        torch.rand(1)
    assert touched == []


def test_no_module_of_the_kit_seeds_the_global_generators_itself():
    from deepfake_kit.provenance import PACKAGE

    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name not in ("training.py", "provenance.py") or path.parent != PACKAGE:
            assert "torch.manual_seed" not in text and "fork_rng" not in text, path
