"""Content-addressed stores: what is read is what was written, or a named refusal."""

import hashlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepfake_kit.chain.store import BytesMismatch, BytesMissing, FolderStore, pack, sha256, unpack


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "store")


AWKWARD = [b"x", b"\r\n--\r\n", bytes(range(256)) * 300, b"\r\n", b"--" * 40]


@pytest.mark.parametrize("data", AWKWARD, ids=range(len(AWKWARD)))
def test_what_is_put_is_got(store, data):
    digest = store.put(data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert digest in store and store.get(digest) == data and store.put(data) == digest


def test_changed_bytes_are_refused_on_every_read(store):
    digest = store.put(b"an honest update")
    store.path(digest).write_bytes(b"a poisoned update")
    for _ in range(2):
        with pytest.raises(BytesMismatch) as caught:
            store.get(digest)
        assert caught.value.digest == digest
        assert caught.value.found == hashlib.sha256(b"a poisoned update").hexdigest()
    assert store.get(digest, verify=False) == b"a poisoned update"
    store.put(b"an honest update")
    assert store.get(digest) == b"an honest update", "putting the bytes again must heal the store"


def test_lost_bytes_are_named(store):
    digest = store.put(b"here today")
    assert digest in store
    store.path(digest).unlink()
    assert digest not in store
    with pytest.raises(BytesMissing, match=digest[:12]) as caught:
        store.get(digest)
    assert caught.value.digest == digest


@pytest.mark.parametrize("bad", ["../../etc/passwd", "AB" * 32, "ab" * 31, "", None, "ab" * 31 + "/."])
def test_an_address_is_64_hex_digits_and_nothing_else(store, bad):
    with pytest.raises(ValueError, match="digest: got .*; valid: 64"):
        store.get(bad)
    with pytest.raises(ValueError, match="digest: got .*; valid: 64"):
        bad in store  # noqa: B015


@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=400), position=st.integers(0, 399), flip=st.integers(1, 255))
def test_any_single_byte_changed_is_noticed(tmp_path_factory, data, position, flip):
    store = FolderStore(tmp_path_factory.mktemp("store"))
    digest = store.put(data)
    changed = bytearray(data or b"\0")
    changed[position % len(changed)] ^= flip
    store.path(digest).write_bytes(changed)
    with pytest.raises(BytesMismatch):
        store.get(digest)


def test_an_address_is_the_sha256_of_the_standard():
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4


def test_parameters_survive_packing():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Linear(2, 2).bfloat16())
    state = {name: x for name, x in net.state_dict().items() if x.is_floating_point()}
    back = unpack(pack({k: v.float() for k, v in state.items()}), {k: v.float() for k, v in state.items()})
    assert all(torch.equal(back[name], state[name].float()) for name in state)
    half = unpack(pack({"w": torch.tensor([1 / 3])}, "float16"), {"w": torch.zeros(1)}, "float16")
    assert half["w"].item() == pytest.approx(1 / 3, rel=1e-3) and half["w"].item() != 1 / 3
    assert pack({"b": torch.zeros(1), "a": torch.ones(1)}) == pack({"a": torch.ones(1), "b": torch.zeros(1)})


def test_bad_packing_is_refused():
    with pytest.raises(ValueError, match="data: got .*; valid: 8 bytes long"):
        unpack(b"1234", {"w": torch.zeros(2)})
    with pytest.raises(ValueError, match="dtype: got 'int8'; valid: float64"):
        pack({"w": torch.zeros(2)}, "int8")


def test_parameters_come_back_in_the_order_of_the_model():
    state = {"weight": torch.arange(3.0), "bias": torch.tensor([7.0])}
    back = unpack(pack(state), state)
    assert list(back) == ["weight", "bias"]
    assert torch.cat(list(back.values())).tolist() == [0.0, 1.0, 2.0, 7.0]


def test_float64_survives_and_an_unknown_format_is_refused():
    import torch

    state = {"w": torch.tensor([1 / 3, 1e-300], dtype=torch.float64)}
    assert torch.equal(unpack(pack(state, "float64"), state, "float64")["w"], state["w"])
    with pytest.raises(ValueError, match="float65"):
        pack(state, "float65")
