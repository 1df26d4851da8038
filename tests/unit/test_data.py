"""`data.load`: places in order, checksums, downloads from a server on this machine, and the stand-in."""

import contextlib
import dataclasses
import gzip
import hashlib
import http.server
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets  # noqa: F401  imported here so that no timed test pays for it
import torch

from deepfake_kit import cache, data
from deepfake_kit.data import downloads
from deepfake_kit.data import hashes as file_hashes
from deepfake_kit.data.sources import SOURCES

REAL = Path(os.environ.get("DEEPFAKE_KIT_DATA", "nowhere"))
real_sets = pytest.mark.skipif(not (REAL / "mnist-family").is_dir(), reason="set $DEEPFAKE_KIT_DATA to the real sets")


@pytest.fixture(autouse=True)
def clean_home(tmp_path, monkeypatch):
    """No data folder, an empty cache, an empty working folder: nothing is found by accident."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home-cache"))
    monkeypatch.delenv("DEEPFAKE_KIT_DATA", raising=False)
    monkeypatch.delenv("DEEPFAKE_KIT_OFFLINE", raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def fashion_files(label=0, n=12):
    """Four files of a made-up set in the MNIST family's format; each label is `label`, to tell copies."""
    files = {}
    for prefix, count in (("train", n), ("t10k", n // 2)):
        images = np.random.default_rng(label + count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        files[f"{prefix}-images-idx3-ubyte.gz"] = gzip.compress(idx(images), mtime=0)
        files[f"{prefix}-labels-idx1-ubyte.gz"] = gzip.compress(idx(np.full(count, label, np.uint8)), mtime=0)
    return files


def put(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def publish(monkeypatch, files=None, base=None, name="fashion-mnist"):
    """Make the made-up files the official ones: published hashes are theirs, the publisher is `base`."""
    sums = {key: hashlib.sha256(content).hexdigest() for key, content in (files or {}).items()}
    urls = {key: base + key for key in sums} if base else {}
    monkeypatch.setitem(SOURCES, name, dataclasses.replace(SOURCES[name], sha256=sums, urls=urls))


class Publisher(http.server.BaseHTTPRequestHandler):
    """Serves `server.files`; can cut each answer after `server.cut` bytes, ignore ranges, or never answer."""

    def do_GET(self):
        server = self.server
        server.asked.append((self.path, self.headers.get("Range")))
        if server.silent:
            server.finished.wait(20)
            return
        content = server.files.get(self.path.lstrip("/"))
        if content is None:
            self.send_error(404)
            return
        start = 0
        if self.headers.get("Range") and server.ranges:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        for key, value in getattr(server, "headers", {}).items():
            self.send_header(key, value)
        self.end_headers()
        end = len(content) if server.cut is None else min(len(content), start + server.cut)
        self.wfile.write(content[start:end])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Publisher) as httpd:
        httpd.files, httpd.cut, httpd.ranges, httpd.silent, httpd.asked = {}, None, True, False, []
        httpd.finished = threading.Event()
        httpd.base = f"http://127.0.0.1:{httpd.server_address[1]}/"
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield httpd
        httpd.finished.set()
        httpd.shutdown()


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def stand_in_expected(seconds=5.0):
    began = time.perf_counter()
    with pytest.warns(data.StandInWarning, match="stand in"):
        yield
    assert time.perf_counter() - began < seconds


# ---- the real sets, read a second time by four lines of NumPy


@real_sets
@pytest.mark.parametrize(("name", "folder"), [("fashion-mnist", "FashionMNIST"), ("kmnist", "KMNIST")])
def test_real_idx_sets(name, folder, monkeypatch):
    monkeypatch.setenv("DEEPFAKE_KIT_DATA", str(REAL))
    for split, prefix, n in (("train", "train", 60_000), ("test", "t10k", 10_000)):
        raw = REAL / "mnist-family" / folder / "raw"
        images = np.frombuffer(
            gzip.decompress((raw / f"{prefix}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16
        )
        labels = np.frombuffer(
            gzip.decompress((raw / f"{prefix}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8
        )
        found = data.load(name, split)
        assert not found.stand_in and found.images.dtype == torch.uint8 and found.labels.dtype == torch.int64
        np.testing.assert_array_equal(found.images.numpy(), images.reshape(n, 1, 28, 28))
        np.testing.assert_array_equal(found.labels.numpy(), labels)
        assert torch.bincount(found.labels).tolist() == [n // 10] * 10
        assert f"{n:,}" in found.description and not found.photographs_of_people


@real_sets
def test_real_emnist_is_upright(monkeypatch):
    """Class means of scikit-learn's digits (upright) resemble ours, and resemble their transposes less."""
    from sklearn.datasets import load_digits

    monkeypatch.setenv("DEEPFAKE_KIT_DATA", str(REAL))
    ours, theirs = data.load("emnist-mnist", "test"), load_digits()
    pooled = torch.nn.functional.adaptive_avg_pool2d(ours.images.float(), 8)[:, 0].numpy()
    for digit in (2, 3, 4, 5, 6, 7, 9):
        mean, upright = (pooled[ours.labels.numpy() == digit].mean(0), theirs.images[theirs.target == digit].mean(0))
        match = np.corrcoef(mean.ravel(), upright.ravel())[0, 1]
        assert match > np.corrcoef(mean.T.ravel(), upright.ravel())[0, 1] + 0.05, digit


@real_sets
def test_real_emnist_takes_one_official_split_for_both_parts(monkeypatch):
    monkeypatch.setenv("DEEPFAKE_KIT_DATA", str(REAL))
    train, test = data.load("emnist"), data.load("emnist", "test")
    assert len(train.classes) == len(test.classes) == 47
    assert "balanced" in test.description and "2,000" in test.description
    assert len(train.extra["writer_ids"]) == 2000 and train.extra["writer_ids"].unique().numel() == 1491
    digits = data.load("emnist-mnist", "test")
    assert len(digits) == 10_000 and torch.bincount(digits.labels).tolist() == [1000] * 10


@real_sets
def test_real_faces(monkeypatch):
    monkeypatch.setenv("DEEPFAKE_KIT_DATA", str(REAL))
    faces = data.load("fairface", "val")
    assert faces.images.shape == (420, 3, 64, 64) and faces.photographs_of_people
    assert torch.bincount(faces.extra["race"]).tolist() == [60] * 7
    assert torch.bincount(faces.extra["gender"]).tolist() == [210, 210]
    fakes = data.load("ffhq-stylegan", "train", size=32)
    assert fakes.images.shape == (600, 3, 32, 32) and fakes.photographs_of_people and fakes.labels.sum() == 300
    assert all(
        (source == "ffhq") == (label == 0) for source, label in zip(fakes.extra["source"], fakes.labels, strict=True)
    )


@real_sets
def test_loading_writes_nothing_beside_the_data_and_is_quick(monkeypatch):
    monkeypatch.setenv("DEEPFAKE_KIT_DATA", str(REAL))
    before = {path: path.stat().st_mtime_ns for path in REAL.rglob("*")}
    began = time.perf_counter()
    data.load("fashion-mnist")
    assert time.perf_counter() - began < 5
    assert before == {path: path.stat().st_mtime_ns for path in REAL.rglob("*")}


# ---- names, places, forms


def test_unknown_names_offer_the_nearest():
    with pytest.raises(ValueError, match="'fashon-mnist'.*did you mean 'fashion-mnist'.*kmnist"):
        data.load("fashon-mnist")
    with pytest.raises(ValueError, match="split of data set 'kmnist': got 'tests'.*did you mean 'test'"):
        data.load("kmnist", "tests")
    for call in (data.fingerprint, data.locate, data.source, data.ensure):
        with pytest.raises(ValueError, match="data set: got"):
            call("nope")


@pytest.mark.parametrize("bad", [{"limit": 0}, {"limit": 2.5}, {"size": -1}, {"size": True}])
def test_bad_numbers_are_named(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))}: got .*whole number of at least 1"):
        data.load("kmnist", download=False, **bad)


def test_places_in_order(tmp_path, monkeypatch):
    publish(monkeypatch)
    here = [tmp_path / "given", tmp_path / "env", Path("data").absolute(), cache.cache_folder()]
    for label, root in enumerate(here):
        put(root / "FashionMNIST" / "raw", fashion_files(label))
    monkeypatch.setenv("DEEPFAKE_KIT_DATA", str(here[1]))
    for label, root in enumerate(here):
        assert data.load("fashion-mnist", root=here[0]).labels.unique().tolist() == [label]
        used = [place for place in data.locate("fashion-mnist", root=here[0]) if place.used]
        assert len(used) == 1 and used[0].folder.resolve().is_relative_to(root.resolve())
        for path in root.rglob("*.gz"):
            path.unlink()
    with stand_in_expected():
        assert data.load("fashion-mnist", root=here[0]).stand_in


@pytest.mark.parametrize("folder", ["FashionMNIST/raw", "FashionMNIST", "mnist-family/FashionMNIST/raw"])
@pytest.mark.parametrize("packed", [True, False])
def test_torchvision_layouts_packed_or_not(tmp_path, monkeypatch, folder, packed):
    files = fashion_files(3)
    publish(monkeypatch)
    put(tmp_path / folder, files if packed else {name[:-3]: gzip.decompress(c) for name, c in files.items()})
    found = data.load("fashion-mnist", "test", root=tmp_path)
    assert found.labels.tolist() == [3] * 6 and not found.stand_in


def test_a_place_with_half_of_a_pair_is_passed_over(tmp_path, monkeypatch):
    publish(monkeypatch)
    files = fashion_files(1)
    put(tmp_path / "a" / "FashionMNIST" / "raw", {name: c for name, c in files.items() if "labels" in name})
    put(tmp_path / "b" / "FashionMNIST" / "raw", files)
    monkeypatch.setenv("DEEPFAKE_KIT_DATA", str(tmp_path / "b"))
    assert data.load("fashion-mnist", root=tmp_path / "a").labels.unique().tolist() == [1]


def emnist_part(official, split, n=4):
    images = np.random.default_rng(n).integers(0, 256, (n, 28, 28), dtype=np.uint8)
    names = (f"emnist-{official}-{split}-images-idx3-ubyte.gz", f"emnist-{official}-{split}-labels-idx1-ubyte.gz")
    return images, {names[0]: gzip.compress(idx(images)), names[1]: gzip.compress(idx(np.arange(n, dtype=np.uint8)))}


def test_emnist_does_not_mix_official_splits(tmp_path, monkeypatch):
    for name in ("emnist", "emnist-balanced", "emnist-mnist"):
        publish(monkeypatch, name=name)
    _, only_test = emnist_part("mnist", "test")
    put(tmp_path / "a" / "EMNIST" / "raw", only_test)
    assert "mnist" in data.load("emnist", "test", root=tmp_path / "a").description
    balanced, parts = emnist_part("balanced", "test", 5)
    put(tmp_path / "b" / "EMNIST" / "raw", parts | emnist_part("balanced", "train", 7)[1])
    monkeypatch.setenv("DEEPFAKE_KIT_DATA", str(tmp_path / "b"))
    found = data.load("emnist", "test", root=tmp_path / "a")
    assert "balanced" in found.description and len(found.classes) == 47
    np.testing.assert_array_equal(found.images[2, 0].numpy(), balanced[2].T)
    assert len(data.load("emnist-mnist", "test", root=tmp_path / "a")) == 4


def test_limit_and_size_keep_images_labels_and_extras_together(tmp_path, monkeypatch):
    publish(monkeypatch, name="emnist")
    n = 10
    stored = {
        f"x_{part}": np.repeat(np.arange(n, dtype=np.uint8), 784).reshape(n, 28, 28) for part in ("train", "test")
    }
    stored |= {f"y_{part}": np.arange(n, dtype=np.uint8) for part in ("train", "test")}
    stored |= {f"writer_{part}": np.arange(n, dtype=np.uint16) + 100 for part in ("train", "test")}
    (tmp_path / "EMNIST").mkdir()
    np.savez(tmp_path / "EMNIST" / "emnist-balanced-first2000.npz", **stored)
    part = data.load("emnist", root=tmp_path, limit=5, size=14)
    assert part.images.shape == (5, 1, 14, 14) and part.labels.tolist() == [0, 2, 4, 6, 8]
    assert part.images[:, 0, 3, 3].tolist() == [0, 2, 4, 6, 8]
    assert part.extra["writer_ids"].tolist() == [100, 102, 104, 106, 108] and "5 of them" in part.description


def test_folder_sets_go_through_load(tmp_path):
    from PIL import Image

    for split in ("train", "valid", "test"):
        for kind in ("real", "fake"):
            home = tmp_path / "140k-faces" / split / kind
            home.mkdir(parents=True)
            for i in range(3):
                Image.new("RGB", (20, 16), (50 * i, 0, 255 * (kind == "fake"))).save(home / f"{i}.png")
    found = data.load("140k-faces", "valid", root=tmp_path, size=16)
    assert found.images.shape == (6, 3, 16, 16) and found.labels.tolist() == [1, 1, 1, 0, 0, 0]
    assert found.images[:, 2, 0, 0].tolist() == [255, 255, 255, 0, 0, 0] and found.photographs_of_people
    before = data.fingerprint("140k-faces", tmp_path)
    assert found.sha256 == before
    (tmp_path / "140k-faces" / "test" / "real" / "2.png").unlink()
    assert data.fingerprint("140k-faces", tmp_path) != before
    assert "140k" in str(data.locate("140k-faces", tmp_path))


def test_a_tilde_is_the_users_home_everywhere(tmp_path, monkeypatch):
    publish(monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    put(tmp_path / "sets" / "FashionMNIST" / "raw", fashion_files(3))
    assert data.load("fashion-mnist", root="~/sets").labels.unique().tolist() == [3]
    assert data.load("fashion-mnist", root=Path("~/sets")).labels.unique().tolist() == [3]
    assert data.fingerprint("fashion-mnist", "~/sets") not in ("stand-in", "missing")
    monkeypatch.setenv("DEEPFAKE_KIT_DATA", "~/sets")
    assert data.load("fashion-mnist").labels.unique().tolist() == [3]


@pytest.mark.parametrize(
    "folder",
    [
        "Fashion-MNIST/raw",
        "fashion-mnist",
        "FASHION_MNIST/raw",
        "Fashion MNIST",
        "fashion-mnist/data/fashion",
        "MNIST-family/fashion_mnist/Raw",
    ],
)
def test_other_spellings_of_a_folder(tmp_path, monkeypatch, folder):
    publish(monkeypatch)
    put(tmp_path / folder, fashion_files(3))
    assert data.load("fashion-mnist", root=tmp_path).labels.unique().tolist() == [3]
    with stand_in_expected():
        assert data.load("kmnist", root=tmp_path, download=False).stand_in


@pytest.mark.parametrize(
    "root", ["FashionMNIST/raw", "FashionMNIST", "mnist-family", "mnist-family/FashionMNIST", "Fashion-MNIST"]
)
def test_a_root_that_is_the_sets_own_folder(tmp_path, monkeypatch, root):
    for name in ("fashion-mnist", "kmnist"):
        publish(monkeypatch, name=name)
    inner = {"mnist-family": "FashionMNIST/raw", "FashionMNIST": "raw", "mnist-family/FashionMNIST": "raw"}
    put(tmp_path / root / inner.get(root, ""), fashion_files(3))
    assert data.load("fashion-mnist", root=tmp_path / root).labels.unique().tolist() == [3]
    monkeypatch.chdir(tmp_path / root)
    assert data.load("fashion-mnist", root=".").labels.unique().tolist() == [3]
    with stand_in_expected():  # the two sets' files have the same names
        assert data.load("kmnist", root=tmp_path / root, download=False).stand_in


@pytest.mark.parametrize("packed", [True, False])
def test_files_with_a_dot_before_idx(tmp_path, monkeypatch, packed):
    files = fashion_files(3)
    raw = {name[:-3]: gzip.decompress(content) for name, content in files.items()}
    publish(monkeypatch, files | raw)
    folder = put(
        tmp_path / "FashionMNIST", {name.replace("-idx", ".idx"): c for name, c in (files if packed else raw).items()}
    )
    assert data.load("fashion-mnist", root=tmp_path).labels.unique().tolist() == [3]
    victim = sorted(folder.iterdir())[-1]
    victim.write_bytes(b"damaged")
    with pytest.raises(ValueError, match="wrong checksum"):
        data.load("fashion-mnist", root=tmp_path)


def test_files_that_a_browser_unpacked_and_a_cut_one_beside_a_whole_one(tmp_path, monkeypatch):
    files = fashion_files(3)
    raw = {name[:-3]: gzip.decompress(content) for name, content in files.items()}
    publish(monkeypatch, files | raw)
    put(tmp_path / "a" / "FashionMNIST", {name: raw[name[:-3]] for name in files})  # called .gz, and is not
    assert data.load("fashion-mnist", root=tmp_path / "a").labels.unique().tolist() == [3]
    put(tmp_path / "b" / "FashionMNIST", {name: content[:-40] for name, content in files.items()} | raw)
    assert data.load("fashion-mnist", root=tmp_path / "b").labels.unique().tolist() == [3]


def test_the_warning_names_every_place_and_why_nothing_was_found_there(tmp_path, monkeypatch):
    publish(monkeypatch)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    put(tmp_path / "half" / "FashionMNIST", {"train-images-idx3-ubyte": b""})
    for root, why in (
        ("absent", "no such folder"),
        ("empty", "no folder FashionMNIST/raw or"),
        ("file", "not a directory"),
        ("half", "holds other files"),
    ):
        monkeypatch.setenv("DEEPFAKE_KIT_DATA", str(tmp_path / "elsewhere"))
        with pytest.warns(data.StandInWarning) as caught:
            data.load("fashion-mnist", root=tmp_path / root, download=False)
        said = str(caught[0].message)
        assert f"root= {tmp_path / root} ({why}" in said
        for place in (str(tmp_path / "elsewhere"), "./data", str(cache.cache_folder())):
            assert place in said
        with pytest.raises(FileNotFoundError, match=rf"root= \S+{root} \("):
            data.load("trueface", root=tmp_path / root)


def test_a_stand_in_never_mixes_with_the_set_itself(tmp_path, monkeypatch):
    publish(monkeypatch)
    put(tmp_path / "FashionMNIST", {name: c for name, c in fashion_files(3).items() if name.startswith("train")})
    assert not data.load("fashion-mnist", root=tmp_path, download=False).stand_in
    with pytest.raises(FileNotFoundError, match=r"its test part was not found.*its train part lies in .*FashionMNIST"):
        data.load("fashion-mnist", "test", root=tmp_path, download=False)


def test_emnists_parts_never_come_from_two_official_splits(tmp_path, monkeypatch):
    for name in ("emnist", "emnist-balanced", "emnist-mnist"):
        publish(monkeypatch, name=name)
    put(tmp_path / "a" / "EMNIST" / "raw", emnist_part("balanced", "train")[1])
    put(tmp_path / "b" / "EMNIST" / "raw", emnist_part("mnist", "test")[1])
    monkeypatch.setenv("DEEPFAKE_KIT_DATA", str(tmp_path / "b"))
    assert "balanced" in data.load("emnist", root=tmp_path / "a", download=False).description
    with pytest.raises(FileNotFoundError, match="its test part"):
        data.load("emnist", "test", root=tmp_path / "a", download=False)
    assert "mnist" in data.load("emnist-mnist", "test", root=tmp_path / "a").description


# ---- what may not be read


@pytest.fixture
def deny(monkeypatch):
    """Make paths unreadable for this process, also where it is root, whom no mode stops."""
    denied = []

    def guarded(original):
        def call(path=".", *arguments, **options):
            if any(Path(os.path.abspath(path)).is_relative_to(each) for each in denied):
                raise PermissionError(13, "Permission denied", str(path))
            return original(path, *arguments, **options)

        return call

    for name in ("scandir", "stat", "listdir"):
        monkeypatch.setattr(os, name, guarded(getattr(os, name)))
    for name in ("open", "stat", "is_file", "is_dir", "exists", "read_bytes"):
        monkeypatch.setattr(Path, name, guarded(getattr(Path, name)))
    return denied.append


def test_a_folder_that_may_not_be_read_is_passed_over_and_told_of(tmp_path, monkeypatch, deny):
    publish(monkeypatch)
    put(tmp_path / "theirs" / "FashionMNIST" / "raw", fashion_files(3))
    for closed in (tmp_path / "theirs", tmp_path / "theirs" / "FashionMNIST" / "raw"):
        deny(closed)
        with pytest.warns(data.StandInWarning, match="permission denied"):
            data.load("fashion-mnist", root=tmp_path / "theirs", download=False)
        assert "permission denied" in str(data.locate("fashion-mnist", tmp_path / "theirs"))


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch, deny):
    files = fashion_files(3)
    publish(monkeypatch, files)
    folder = put(tmp_path / "FashionMNIST" / "raw", files)
    monkeypatch.setattr(
        file_hashes, "of_file", lambda path: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
    )
    monkeypatch.setattr(
        file_hashes, "read", lambda path: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
    )
    with pytest.raises(PermissionError, match=r"train-images.*permission denied\. Let yourself read it"):
        data.load("fashion-mnist", root=tmp_path)
    assert str(data.locate("fashion-mnist", tmp_path)).count("CANNOT BE READ (Permission denied)") == len(files)
    assert folder.is_dir()


# ---- damaged files


@pytest.mark.parametrize("harm", ["cut", "changed", "empty"])
def test_a_damaged_file_is_named_with_both_hashes_and_left_alone(tmp_path, monkeypatch, harm):
    files = fashion_files()
    publish(monkeypatch, files)
    folder = put(tmp_path / "FashionMNIST" / "raw", files)
    victim = folder / "train-images-idx3-ubyte.gz"
    whole = victim.read_bytes()
    bad = {"cut": whole[:-40], "changed": whole[:50] + bytes([whole[50] ^ 1]) + whole[51:], "empty": b""}[harm]
    victim.write_bytes(bad)
    # A good copy in a later place must not hide the damage, nor may the stand-in.
    put(Path("data") / "FashionMNIST" / "raw", files)
    with warnings.catch_warnings(), pytest.raises(ValueError) as caught:
        warnings.simplefilter("error")
        data.load("fashion-mnist", root=tmp_path)
    message = str(caught.value)
    assert str(victim) in message
    assert hashlib.sha256(whole).hexdigest() in message and hashlib.sha256(bad).hexdigest() in message
    assert victim.read_bytes() == bad
    assert any(good is False for place in data.locate("fashion-mnist", tmp_path) for _, _, good in place.files)
    assert "WRONG CHECKSUM" in str(data.locate("fashion-mnist", tmp_path))


def test_a_damaged_file_without_published_hash_is_refused_too(tmp_path, monkeypatch):
    publish(monkeypatch)
    folder = put(tmp_path / "FashionMNIST" / "raw", fashion_files())
    victim = folder / "train-images-idx3-ubyte.gz"
    victim.write_bytes(victim.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz: truncated"):
        data.load("fashion-mnist", root=tmp_path)


# ---- fingerprints


def test_fingerprint_follows_the_files_and_is_remembered(tmp_path, monkeypatch):
    publish(monkeypatch)
    assert data.fingerprint("fashion-mnist", tmp_path) == "stand-in"
    assert data.fingerprint("trueface", tmp_path) == "missing"
    files = fashion_files()
    folder = put(tmp_path / "FashionMNIST" / "raw", files)
    first = data.fingerprint("fashion-mnist", tmp_path)
    lines = sorted(f"{name} {hashlib.sha256(content).hexdigest()}\n" for name, content in files.items())
    assert first == hashlib.sha256("".join(lines).encode()).hexdigest()
    for split in ("train", "test"):
        assert data.load("fashion-mnist", split, tmp_path).sha256 == data.fingerprint("fashion-mnist", tmp_path, split)

    def never(path):
        raise AssertionError(f"{path} was read again")

    with monkeypatch.context() as patch:
        patch.setattr(file_hashes, "plain", never)
        assert data.fingerprint("fashion-mnist", tmp_path) == first
        victim = folder / "train-labels-idx1-ubyte.gz"
        victim.write_bytes(gzip.compress(idx(np.full(12, 9, np.uint8))))
        with pytest.raises(AssertionError, match="read again"):
            data.fingerprint("fashion-mnist", tmp_path)
    assert data.fingerprint("fashion-mnist", tmp_path) != first


@pytest.mark.parametrize("memory", ["{cut", "[]", '{"x": 3}'])
def test_a_broken_memory_of_hashes_is_not_trusted(tmp_path, monkeypatch, memory):
    publish(monkeypatch)
    put(tmp_path / "FashionMNIST" / "raw", fashion_files())
    first = data.fingerprint("fashion-mnist", tmp_path)
    (cache.cache_folder() / "file-hashes.json").write_text(memory)
    assert data.fingerprint("fashion-mnist", tmp_path) == first
    assert isinstance(json.loads((cache.cache_folder() / "file-hashes.json").read_text()), dict)


def test_a_home_that_cannot_be_written_only_costs_time(tmp_path, monkeypatch):
    publish(monkeypatch)
    put(tmp_path / "FashionMNIST" / "raw", fashion_files())
    first = data.fingerprint("fashion-mnist", tmp_path)
    (tmp_path / "a-file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a-file"))
    assert data.fingerprint("fashion-mnist", tmp_path) == first


def test_fingerprint_needs_no_torch():
    code = (
        "import sys; from deepfake_kit import data; data.fingerprint('kmnist'); data.locate('kmnist'); "
        "sys.exit('torch' in sys.modules)"
    )
    root = Path(data.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(root)}).returncode == 0


# ---- downloads


def test_download_into_the_cache_and_no_second_time(server, monkeypatch):
    server.files = fashion_files(4)
    publish(monkeypatch, server.files, server.base)
    found = data.load("fashion-mnist")
    assert found.labels.unique().tolist() == [4] and not found.stand_in
    assert len(server.asked) == 4
    cached = cache.cache_folder() / "FashionMNIST" / "raw"
    assert {path.name: path.read_bytes() for path in cached.glob("*.gz")} == server.files
    assert not list(cached.glob(".*.part")) and not list(cached.glob("tmp*"))
    data.load("fashion-mnist", "test")
    assert len(server.asked) == 4


def test_ensure_fetches_once_and_returns_the_fingerprint(server, monkeypatch):
    server.files = fashion_files(4)
    publish(monkeypatch, server.files, server.base)
    assert data.fingerprint("fashion-mnist") == "stand-in" and not server.asked
    assert (
        data.ensure("fashion-mnist") == data.ensure("fashion-mnist") == data.fingerprint("fashion-mnist") != "stand-in"
    )
    assert len(server.asked) == 4


def test_a_cut_transfer_is_resumed_within_one_call(server, monkeypatch):
    server.files = fashion_files(2)
    server.cut = 4000
    publish(monkeypatch, server.files, server.base)
    assert data.load("fashion-mnist", download=True).labels.unique().tolist() == [2]
    images = "/train-images-idx3-ubyte.gz"
    ranges = [asked for path, asked in server.asked if path == images]
    assert ranges[:3] == [None, "bytes=4000-", "bytes=8000-"]


def test_an_interrupted_download_goes_on_in_the_next_call(server, monkeypatch):
    server.files = fashion_files(2)
    publish(monkeypatch, server.files, server.base)
    name = "train-images-idx3-ubyte.gz"
    folder = put(cache.cache_folder() / "FashionMNIST" / "raw", {f".{name}.part": server.files[name][:5000]})
    data.load("fashion-mnist", download=True)
    assert server.asked[0] == (f"/{name}", "bytes=5000-")
    assert (folder / name).read_bytes() == server.files[name]


@pytest.mark.parametrize("left", ["whole", "too long"])
def test_a_kept_part_that_is_not_shorter_than_the_file(server, monkeypatch, left):
    server.files = fashion_files(2)
    publish(monkeypatch, server.files, server.base)
    name = "train-images-idx3-ubyte.gz"
    kept = server.files[name] + (b"" if left == "whole" else b"!!")
    put(cache.cache_folder() / "FashionMNIST" / "raw", {f".{name}.part": kept})
    assert not data.load("fashion-mnist", download=True).stand_in


def test_a_server_without_ranges_starts_again(server, monkeypatch):
    server.files = fashion_files(2)
    server.ranges = False
    publish(monkeypatch, server.files, server.base)
    name = "train-images-idx3-ubyte.gz"
    put(cache.cache_folder() / "FashionMNIST" / "raw", {f".{name}.part": b"x" * 5000})
    assert not data.load("fashion-mnist", download=True).stand_in


def test_a_download_with_the_wrong_checksum_is_refused(server, monkeypatch):
    files = fashion_files(2)
    publish(monkeypatch, files, server.base)
    name = "train-images-idx3-ubyte.gz"
    server.files = files | {name: files[name][:-1] + b"?"}
    with pytest.raises(ValueError) as caught:
        data.load("fashion-mnist")
    assert name in str(caught.value) and hashlib.sha256(files[name]).hexdigest() in str(caught.value)
    assert hashlib.sha256(server.files[name]).hexdigest() in str(caught.value)
    assert not (cache.cache_folder() / "FashionMNIST" / "raw" / name).exists()


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><title>Log in</title>", b'{"error": "quota"}', b"\n\n", b"PK\3\4"])
def test_a_page_in_place_of_the_file_is_a_reason_for_the_stand_in(server, monkeypatch, page):
    """A hotel's network, a proxy and some mirrors answer 200 and a page of their own."""
    files = fashion_files(2)
    publish(monkeypatch, files, server.base)
    name = "train-images-idx3-ubyte.gz"
    server.files = dict.fromkeys(files, page)
    kept = put(cache.cache_folder() / "FashionMNIST" / "raw", {f".{name}.part": files[name][:5000]})
    server.ranges = False
    with pytest.warns(data.StandInWarning, match="something else than the file.*log-in page"):
        assert data.load("fashion-mnist").stand_in
    assert [path.name for path in kept.iterdir() if not path.name.endswith(".lock")] == [f".{name}.part"]
    assert (kept / f".{name}.part").read_bytes() == files[name][:5000]
    with pytest.raises(ConnectionError, match="something else"):
        data.load("fashion-mnist", download=True)
    server.files, server.ranges = files, True
    assert data.load("fashion-mnist").labels.unique().tolist() == [2]


@pytest.mark.parametrize("variable", ["ALL_PROXY", "all_proxy", "http_proxy"])
def test_a_proxy_for_everything_is_asked(server, monkeypatch, variable):
    """The publisher's own name cannot be looked up; the proxy answers for it."""
    files = fashion_files(8)
    publish(monkeypatch, files, "http://publisher.invalid/")
    server.files = {f"http://publisher.invalid/{name}": content for name, content in files.items()}
    monkeypatch.setenv(variable, server.base)
    assert data.load("fashion-mnist").labels.unique().tolist() == [8] and len(server.asked) == 4


def test_a_missing_page_is_a_reason_for_the_stand_in(server, monkeypatch):
    publish(monkeypatch, fashion_files(), server.base)
    with pytest.warns(data.StandInWarning, match="404"):
        assert data.load("fashion-mnist").stand_in
    with pytest.raises(ConnectionError, match="404"):
        data.load("fashion-mnist", download=True)


def test_download_false_opens_no_connection(server, monkeypatch):
    server.files = fashion_files()
    publish(monkeypatch, server.files, server.base)
    with stand_in_expected(), monkeypatch.context() as patch:
        patch.setattr(socket, "create_connection", lambda *a, **k: pytest.fail("a connection was opened"))
        assert data.load("fashion-mnist", download=False).stand_in
    monkeypatch.setenv("DEEPFAKE_KIT_OFFLINE", "1")
    with stand_in_expected():
        data.load("fashion-mnist")
    assert not server.asked


def test_a_closed_port_is_noticed_at_once(monkeypatch):
    publish(monkeypatch, fashion_files(), f"http://127.0.0.1:{closed_port()}/")
    with stand_in_expected(3.0):
        assert data.load("fashion-mnist").stand_in


def test_an_address_that_never_answers_is_noticed_within_five_seconds(monkeypatch):
    publish(monkeypatch, fashion_files(), "http://10.255.255.1/")
    with stand_in_expected():
        assert data.load("fashion-mnist").stand_in


def test_a_hanging_name_look_up_is_noticed_within_five_seconds(monkeypatch):
    publish(monkeypatch, fashion_files(), "http://publisher.invalid/")
    released = threading.Event()

    def hang(*arguments, **options):
        released.wait(30)
        raise socket.gaierror("no answer")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with stand_in_expected():
        assert data.load("fashion-mnist").stand_in
    released.set()


def test_a_server_that_accepts_and_says_nothing_is_noticed_within_five_seconds(server, monkeypatch):
    server.silent = True
    publish(monkeypatch, fashion_files(), server.base)
    with stand_in_expected():
        assert data.load("fashion-mnist").stand_in


def test_a_silent_server_is_noticed_as_fast_when_a_part_is_kept(server, monkeypatch):
    server.silent = True
    publish(monkeypatch, fashion_files(), server.base)
    put(cache.cache_folder() / "FashionMNIST" / "raw", {".train-images-idx3-ubyte.gz.part": b"x" * 100})
    with stand_in_expected():
        assert data.load("fashion-mnist").stand_in


def test_a_file_that_is_called_a_packed_page_is_kept_as_it_is(server, monkeypatch):
    server.files = fashion_files(7)
    server.headers = {"Content-Encoding": "gzip"}
    publish(monkeypatch, server.files, server.base)
    assert data.load("fashion-mnist", download=True).labels.unique().tolist() == [7]


def test_a_cache_that_cannot_be_written_is_a_reason_for_the_stand_in(server, monkeypatch, tmp_path):
    server.files = fashion_files()
    publish(monkeypatch, server.files, server.base)
    (tmp_path / "a-file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a-file"))
    with stand_in_expected():
        assert data.load("fashion-mnist").stand_in


def test_two_at_once_download_each_file_once(server, monkeypatch):
    server.files = fashion_files(6)
    publish(monkeypatch, server.files, server.base)
    found = []
    threads = [threading.Thread(target=lambda: found.append(data.load("fashion-mnist"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [item.labels.unique().tolist() for item in found] == [[6]] * 3
    assert len(server.asked) == 4


def test_emnist_is_taken_out_of_the_publishers_archive(server, monkeypatch, tmp_path):
    import zipfile

    parts = {}
    for official in ("balanced", "mnist"):
        for split, n in (("train", 6), ("test", 4)):
            parts |= emnist_part(official, split, n)[1]
    with zipfile.ZipFile(tmp_path / "gzip.zip", "w") as archive:
        for name, content in (parts | {"emnist-letters-train-images-idx3-ubyte.gz": b"not wanted"}).items():
            archive.writestr(f"gzip/{name}", content)
    server.files = {"gzip.zip": (tmp_path / "gzip.zip").read_bytes()}
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in (parts | server.files).items()}
    monkeypatch.setitem(
        SOURCES,
        "emnist",
        dataclasses.replace(SOURCES["emnist"], sha256=sums, urls={"gzip.zip": server.base + "gzip.zip"}),
    )
    found = data.load("emnist", "test", download=True)
    assert len(found) == 4 and "balanced" in found.description
    cached = cache.cache_folder() / "EMNIST"
    assert sorted(path.name for path in cached.rglob("*.gz")) == sorted(parts) and not (cached / "gzip.zip").exists()
    data.load("emnist", "train", download=True)
    assert len(server.asked) == 1


def test_an_archive_may_not_write_outside_its_folder(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../outside.txt", "x")
    with pytest.raises(ValueError, match="outside"):
        downloads.unpack(tmp_path / "a.zip", tmp_path / "inside")
    assert not (tmp_path / "outside.txt").exists()


# ---- the stand-in


def test_the_stand_in_is_scikit_learns_digits_and_says_so():
    from sklearn.datasets import load_digits

    theirs = load_digits()
    with pytest.warns(data.StandInWarning, match="kmnist.*download=False"):
        train = data.load("kmnist", download=False)
    with pytest.warns(data.StandInWarning):
        test = data.load("kmnist", "test", download=False)
    assert train.stand_in and train.sha256 == "stand-in" == data.fingerprint("kmnist")
    assert train.images.shape[1:] == (1, 28, 28) and len(train) + len(test) == len(theirs.target)
    np.testing.assert_array_equal(torch.cat([train.labels, test.labels]).numpy(), theirs.target)
    grown = torch.nn.functional.interpolate(torch.tensor(theirs.images)[:, None] * 255 / 16, size=28, mode="bicubic")
    ours, expected = train.images.double(), grown[: len(train)].clamp(0, 255)
    assert (ours - expected).abs().mean() < 5 and np.corrcoef(ours.ravel(), expected.ravel())[0, 1] > 0.99
    assert train.images.max() == 255 and train.classes == tuple("0123456789") and "stand-in" in train.description


@pytest.mark.parametrize("name", [name for name in data.names() if not SOURCES[name].has_stand_in])
def test_faces_have_no_digits_for_a_stand_in(name, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        data.load(name, root=tmp_path)
    message = str(caught.value)
    assert str(tmp_path) in message and SOURCES[name].folders[0] in message and SOURCES[name].licence in message
    assert SOURCES[name].photographs_of_people
