"""What every training shares: seeded leaves every global generator alone."""

import contextlib

import pytest
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


class TwoGPUs:
    """Stands in for torch.cuda's generators: each GPU has one of its own, and ``device`` chooses the current."""

    def __init__(self):
        self.streams, self.current = [torch.Generator().manual_seed(100 + i) for i in range(2)], 0

    @contextlib.contextmanager
    def device(self, which):
        before, self.current = self.current, torch.device(which).index
        yield
        self.current = before

    def manual_seed(self, seed):
        self.streams[self.current].manual_seed(seed)

    def manual_seed_all(self, seed):
        for stream in self.streams:
            stream.manual_seed(seed)

    def get_rng_state(self, which):
        return self.streams[torch.device(which).index].get_state()

    def set_rng_state(self, state, which):
        self.streams[torch.device(which).index].set_state(state)


@pytest.mark.parametrize("planted", [False, True])
def test_seeded_on_a_gpu_seeds_that_one_alone_and_puts_it_back(monkeypatch, planted):
    gpus = TwoGPUs()
    for name in ("device", "manual_seed", "manual_seed_all", "get_rng_state", "set_rng_state"):
        monkeypatch.setattr(torch.cuda, name, getattr(gpus, name))
    before = [stream.get_state() for stream in gpus.streams]
    with seeded(3, "cuda:1"):
        if planted:  # what the kit did once
            torch.manual_seed(3)
        alone = torch.equal(gpus.streams[0].get_state(), before[0])
        drawn = torch.rand(3, generator=gpus.streams[1])
    assert alone != planted
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(3)))
    assert torch.equal(gpus.streams[1].get_state(), before[1])


def test_no_module_of_the_kit_seeds_the_global_generators_itself():
    from deepfake_kit.provenance import PACKAGE

    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name not in ("training.py", "provenance.py") or path.parent != PACKAGE:
            assert "torch.manual_seed" not in text and "fork_rng" not in text, path
