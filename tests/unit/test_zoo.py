"""The zoo: trained once, found again, retrained when anything changes, and never fooled by a damaged file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from deepfake_kit.faces.studio import crop, footage, portraits
from deepfake_kit.generators import zoo
from deepfake_kit.generators.kinds import KINDS, settings_of

TINY = {
    "gan": {"channels": [8, 8, 8, 8]},
    "style-gan": {"channels": [8, 8, 8, 8], "depth": 1},
    "vae": {"width": 16},
    "ddpm": {"components": 12, "width": 16, "depth": 1, "channels": [16, 16]},
    "swap": {"width": 16},
}
IMAGES = portraits(24, seed=5).images


def images_of(kind):
    return [crop(footage(person, 20, 10).images) for person in (25, 16)] if kind == "swap" else IMAGES


def tiny(kind, folder, **changed):
    return zoo.forger(kind, images_of(kind), cache=folder, **{"steps": 2, "batch_size": 4, **TINY[kind], **changed})


def draw(forger, seed=1):
    return forger.sample(3, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_trained_once_and_found_again_bit_for_bit(kind, tmp_path):
    first, second = tiny(kind, tmp_path), tiny(kind, tmp_path)
    assert (first.reused, second.reused) == (False, True)
    assert torch.equal(draw(first), draw(second))
    assert not torch.equal(draw(first, 1), draw(first, 2))
    made = draw(second)
    assert made.shape == (3, 3, 32, 32) and made.min() >= 0 and made.max() <= 1
    assert first.provenance["weights_sha256"] == second.provenance["weights_sha256"]
    assert not any(p.requires_grad for p in second.model.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_training_does_not_depend_on_the_global_generator(kind, tmp_path):
    torch.manual_seed(1)
    first = tiny(kind, tmp_path / "a")
    torch.manual_seed(2)
    assert tiny(kind, tmp_path / "b").provenance["weights_sha256"] == first.provenance["weights_sha256"]


def elsewhere(cache: Path) -> subprocess.Popen:
    """Another process that asks for a tiny forger and says whether it found one, and its weights' digest."""
    code = (
        "import torch; torch.set_num_threads(1)\n"
        "from deepfake_kit.generators import zoo; from deepfake_kit.faces.studio import portraits\n"
        "f = zoo.forger('vae', portraits(24, seed=5).images, steps=2, batch_size=4, width=16)\n"
        "print(f.reused, f.provenance['weights_sha256'])"
    )
    root = str(Path(__file__).resolve().parents[2])
    about = {**os.environ, "DEEPFAKE_KIT_CACHE": str(cache), "PYTHONPATH": root}
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root, env=about)


def test_another_process_finds_the_same_forger(tmp_path):
    here = tiny("vae", tmp_path / "zoo")
    assert elsewhere(tmp_path).communicate()[0].split() == ["True", here.provenance["weights_sha256"]]


def test_of_two_chapters_at_once_one_trains_and_the_other_waits(tmp_path):
    answers = [one.communicate()[0].split() for one in [elsewhere(tmp_path), elsewhere(tmp_path)]]
    assert sorted(reused for reused, _ in answers) == ["False", "True"]
    assert answers[0][1] == answers[1][1]


def test_data_settings_and_seed_each_make_another_forger(tmp_path):
    tiny("vae", tmp_path)
    assert not tiny("vae", tmp_path, lr=1e-4).reused
    assert not tiny("vae", tmp_path, seed=1).reused
    assert not zoo.forger("vae", 1 - IMAGES, cache=tmp_path, steps=2, batch_size=4, **TINY["vae"]).reused
    assert tiny("vae", tmp_path).reused
    assert len(list(tmp_path.glob("*.safetensors"))) == 4


def test_another_source_makes_another_forger(tmp_path, monkeypatch):
    tiny("vae", tmp_path)
    monkeypatch.setattr(zoo, "code_sha256", lambda: "0" * 64)
    assert not tiny("vae", tmp_path).reused


@pytest.mark.parametrize("name", sorted(zoo.code()))
def test_a_change_to_any_source_changes_the_key(name, tmp_path, monkeypatch):
    sources = zoo.code()
    before = zoo.code_sha256()
    changed = tmp_path / "changed.py"
    changed.write_bytes(sources[name].read_bytes() + b"#")
    monkeypatch.setattr(zoo, "code", lambda: {**sources, name: changed})
    assert zoo.code_sha256() != before


def test_the_sources_are_those_a_forger_is_made_with_and_no_drawn_face():
    names = set(zoo.code())
    assert {"diffusion.unet", "diffusion.training", "generators.gan", "generators.kinds"} <= names
    assert not [name for name in names if name.startswith(("faces", "notebook", "measure", "generators.zoo"))]


@pytest.mark.parametrize("damage", ["bit", "cut", "empty"])
def test_a_damaged_file_is_named_and_not_used(damage, tmp_path):
    good = tiny("vae", tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes({"bit": bytes(data), "cut": bytes(data[:-50]), "empty": b""}[damage])
    with pytest.warns(UserWarning, match=path.name):
        again = tiny("vae", tmp_path)
    assert not again.reused and torch.equal(draw(again), draw(good))
    assert tiny("vae", tmp_path).reused


@pytest.mark.parametrize("text", ["{", "[]", '{"kind": "gan"}'])
def test_a_damaged_record_is_named_and_not_used(text, tmp_path):
    tiny("vae", tmp_path)
    (record,) = tmp_path.glob("*.json")
    record.write_text(text, encoding="utf-8")
    with pytest.warns(UserWarning, match=record.name):
        assert not tiny("vae", tmp_path).reused


def test_right_checksum_with_wrong_tensors_is_not_used(tmp_path):
    import hashlib

    from safetensors.torch import save

    tiny("vae", tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    record = path.with_suffix(".json")
    path.write_bytes(save({"other": torch.zeros(1)}))
    facts = json.loads(record.read_text(encoding="utf-8"))
    facts["weights_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    record.write_text(json.dumps(facts), encoding="utf-8")
    with pytest.warns(UserWarning, match=path.name):
        assert not tiny("vae", tmp_path).reused


def test_weights_without_a_record_are_trained_anew(tmp_path):
    tiny("vae", tmp_path)
    (record,) = tmp_path.glob("*.json")
    record.unlink()
    assert not tiny("vae", tmp_path).reused


def test_the_record_says_where_the_weights_come_from(tmp_path):
    tiny("vae", tmp_path)
    record = json.loads(next(tmp_path.glob("*.json")).read_text(encoding="utf-8"))
    assert record["data_sha256"] == zoo.data_sha256(IMAGES) and record["settings"]["steps"] == 2
    assert {"seconds", "versions", "processor", "weights_sha256", "code_sha256", "seed"} <= record.keys()
    assert not list(tmp_path.glob(".*"))


def test_the_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("DEEPFAKE_KIT_CACHE", str(tmp_path))
    assert zoo.cache_folder() == tmp_path / "zoo"
    monkeypatch.delenv("DEEPFAKE_KIT_CACHE")
    assert zoo.cache_folder().name == "zoo" and tmp_path not in zoo.cache_folder().parents


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: zoo.forger("gann", IMAGES), "did you mean 'gan'"),
        (lambda: settings_of("vae", step=3), "did you mean 'steps'"),
        (lambda: settings_of("vae", steps=0), "at least 1"),
        (lambda: zoo.forger("vae", IMAGES * 2), "finite values in \\[0, 1\\]"),
        (lambda: zoo.forger("vae", IMAGES[:, :, :16]), "valid: \\[N, 3, S, S\\]"),
        (lambda: zoo.forger("vae", (IMAGES * 255).to(torch.uint8)), "float tensor"),
        (lambda: zoo.forger("swap", IMAGES), "list of two"),
        (lambda: zoo.forger("gan", [IMAGES, IMAGES]), "one tensor"),
    ],
)
def test_bad_input_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_asking_for_no_samples_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1"):
        tiny("vae", tmp_path).sample(0)


def test_what_is_drawn_afterwards_does_not_depend_on_the_cache(tmp_path):
    drawn = []
    for _ in range(2):
        torch.manual_seed(0)
        tiny("vae", tmp_path)
        drawn.append(torch.rand(2).tolist())
    assert drawn[0] == drawn[1]


def test_a_cache_that_cannot_be_written_is_said_and_no_reason_to_stop(tmp_path):
    (tmp_path / "zoo").write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="cannot be written"):
        made = tiny("vae", tmp_path / "zoo")
    assert made.provenance["weights_sha256"] == tiny("vae", tmp_path / "other").provenance["weights_sha256"]


def test_a_forger_is_built_and_found_where_its_pictures_are(tmp_path, monkeypatch):
    """The device "meta" in place of a GPU; it has no generator."""
    first, device = tiny("vae", tmp_path), torch.device("meta")
    facts = {
        name: first.provenance[name] for name in ("kind", "seed", "settings", "size", "data_sha256", "code_sha256")
    }
    path = next(tmp_path.glob("*.safetensors"))
    assert {p.device for p in zoo._recall(path, facts, device).model.parameters()} == {device}

    class Spy:
        def train(self, images, generator):
            self.device = torch.empty(1).device
            return torch.nn.Linear(1, 1, device="cpu")

    monkeypatch.setattr(torch, "Generator", lambda device: torch.default_generator)
    spy = Spy()
    with torch.random.fork_rng(devices=[]):
        zoo._train(tmp_path / "spy.safetensors", facts, spy, IMAGES, device)
    assert spy.device == device


def test_a_style_gan_does_not_grow():
    with pytest.raises(ValueError, match="grow: got 0.4; valid: 0"):
        settings_of("style-gan", grow=0.4)
