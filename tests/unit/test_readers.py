"""Readers against files written here byte by byte (struct, zipfile, Pillow), never by the kit itself."""

import csv
import gzip
import io
import os
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deepfake_kit.data import hashes, readers
from deepfake_kit.data.folders import LAYOUTS


def idx(array):
    codes = {"uint8": 8, "int16": 0x0B, "int32": 0x0C, "float64": 0x0E}
    head = bytes([0, 0, codes[array.dtype.name], array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def picture(path, value, size=(8, 8), kind=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(value).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    pixels[0, 0] = value
    Image.fromarray(pixels).save(path, format=kind)
    return pixels


def cut(path, keep=0.6):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


def table(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([header, *rows])


shapes = st.lists(st.integers(0, 5), min_size=1, max_size=4)


@settings(deadline=None)
@given(shapes, st.sampled_from(["uint8", "int16", "int32", "float64"]), st.booleans(), st.integers(0, 2**31))
def test_idx_round_trip(shape, dtype, packed, seed):
    array = np.random.default_rng(seed).integers(0, 100, shape).astype(dtype)
    data = gzip.compress(idx(array)) if packed else idx(array)
    found = readers.read_idx("x", data)
    assert found.dtype == array.dtype and found.shape == array.shape
    np.testing.assert_array_equal(found, array)


@settings(deadline=None)
@given(st.data(), st.booleans())
def test_every_cut_of_an_idx_file_is_refused_by_name(data, packed):
    whole = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    whole = gzip.compress(whole) if packed else whole
    end = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ValueError, match="some-file"):
        readers.read_idx("some-file", whole[:end])


def test_idx_too_long_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="too long"):
        readers.read_idx("x", idx(np.zeros((2, 2), np.uint8)) + b"!")
    path = tmp_path / "page.html"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(ValueError, match=r"page\.html: not an IDX file"):
        readers.read_idx(path)


def test_idx_pair_checks_counts_and_labels():
    images, labels = idx(np.zeros((3, 4, 4), np.uint8)), idx(np.array([0, 1, 2], np.uint8))
    read = readers.read_idx_pair(("a", images), ("b", labels), "xyz", "title")
    assert read.images.shape == (3, 1, 4, 4) and read.labels.dtype == np.int64
    with pytest.raises(ValueError, match="b: expected 3 labels"):
        readers.read_idx_pair(("a", images), ("b", idx(np.zeros(2, np.uint8))), "xyz", "title")
    with pytest.raises(ValueError, match="b: label 2 found, expected 0 to 1"):
        readers.read_idx_pair(("a", images), ("b", labels), "xy", "title")
    with pytest.raises(ValueError, match="a: expected a uint8 array"):
        readers.read_idx_pair(("a", labels), ("b", labels), "xyz", "title")


def emnist_npz(path, n=5):
    generator = np.random.default_rng(0)
    arrays = {}
    for split in ("train", "test"):
        arrays |= {
            f"x_{split}": generator.integers(0, 256, (n, 28, 28), dtype=np.uint8),
            f"y_{split}": np.arange(n, dtype=np.uint8),
            f"writer_{split}": np.array([7, 7, 9, 9, 9], np.uint16),
        }
    np.savez_compressed(path, **arrays)
    return arrays


def test_emnist_npz_is_turned_upright_and_keeps_writers(tmp_path):
    arrays = emnist_npz(tmp_path / "e.npz")
    read = readers.read_emnist_npz(tmp_path / "e.npz", "test", [str(i) for i in range(47)])
    for found, stored in zip(read.images, arrays["x_test"], strict=True):
        np.testing.assert_array_equal(found[0], stored.T)
    assert read.extra["writer_ids"].tolist() == [7, 7, 9, 9, 9]
    assert "5 test images" in read.description and "2 writers" in read.description


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_cut_npz_is_refused_by_name(tmp_path, keep):
    emnist_npz(tmp_path / "e.npz")
    cut(tmp_path / "e.npz", keep)
    with pytest.raises(ValueError, match=r"e\.npz: truncated"):
        readers.read_emnist_npz(tmp_path / "e.npz", "train", "x" * 47)


def test_npz_without_an_array_and_pickles_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(2))
    with pytest.raises(ValueError, match=r"a\.npz: .*no array y; it holds x"):
        readers.read_npz(tmp_path / "a.npz", ["x", "y"])
    np.savez(tmp_path / "b.npz", x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"b\.npz"):
        readers.read_npz(tmp_path / "b.npz", ["x"])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
def test_cut_pictures_are_refused_by_name(tmp_path, kind):
    path = tmp_path / f"face.{kind.lower()}"
    pixels = picture(path, 3, (32, 24), kind)
    whole = path.read_bytes()
    read = readers.read_image(path)
    assert read.shape == (3, 24, 32)
    if kind != "JPEG":
        np.testing.assert_array_equal(read, pixels.transpose(2, 0, 1))
    for end in sorted({*range(0, len(whole), 37), *range(len(whole) - 20, len(whole))}):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=rf"face\.{kind.lower()}: truncated"):
            readers.read_image(path)


def test_resize_takes_the_centre_square():
    image = np.zeros((1, 1, 4, 8), np.uint8)
    image[..., 2:6] = 200
    np.testing.assert_array_equal(readers.resize(image, 4), np.full((1, 1, 4, 4), 200, np.uint8))
    assert readers.resize(image, 9).shape == (1, 1, 9, 9)


@settings(deadline=None)
@given(st.integers(1, 500), st.integers(1, 600))
def test_spread_is_sorted_unique_and_of_the_asked_length(count, limit):
    keep = readers.spread(count, limit)
    assert len(keep) == min(count, limit) and len(set(keep.tolist())) == len(keep)
    assert keep.min() == 0 and keep.max() < count and (np.diff(keep) > 0).all()


# ---- the two curated face sets


def stylegan_zip(path, cut_picture=False):
    rows, columns = [], ("file", "label", "source", "psi", "seed", "split", "origin", "git_blob_sha1")
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(6):
            real = i % 2 == 0
            buffer = io.BytesIO()
            Image.fromarray(np.full((16, 16, 3), 40 * i, np.uint8)).save(buffer, "JPEG")
            data = buffer.getvalue()
            archive.writestr(f"images/{i:04d}.jpg", data[:100] if cut_picture and i == 3 else data)
            rows.append(
                (
                    f"images/{i:04d}.jpg",
                    "real" if real else "fake",
                    "ffhq" if real else "stylegan3-r-ffhq",
                    "" if real else "0.70",
                    "" if real else str(700 + i),
                    "val" if i > 3 else "train",
                    "o",
                    "g",
                )
            )
        text = io.StringIO()
        csv.writer(text).writerows([columns, *rows])
        archive.writestr("index.csv", text.getvalue())


def test_ffhq_stylegan(tmp_path):
    path = tmp_path / "faces.zip"
    stylegan_zip(path)
    read = readers.read_ffhq_stylegan(path, "train")
    assert read.labels.tolist() == [0, 1, 0, 1] and read.classes == ("real", "fake")
    assert read.images.shape == (4, 3, 16, 16)
    assert np.abs(read.images.mean((1, 2, 3)) - [0, 40, 80, 120]).max() < 2
    assert read.extra["seed"].tolist() == [-1, 701, -1, 703]
    np.testing.assert_allclose(read.extra["psi"], [np.nan, 0.7, np.nan, 0.7])
    assert len(readers.read_ffhq_stylegan(path, "val").labels) == 2


def test_ffhq_stylegan_refuses_a_cut_archive_and_a_cut_picture(tmp_path):
    stylegan_zip(tmp_path / "inner.zip", cut_picture=True)
    with pytest.raises(ValueError, match=r"inner\.zip!images/0003\.jpg: truncated"):
        readers.read_ffhq_stylegan(tmp_path / "inner.zip", "train")
    stylegan_zip(tmp_path / "outer.zip")
    cut(tmp_path / "outer.zip", 0.95)
    with pytest.raises(ValueError, match=r"outer\.zip: truncated"):
        readers.read_ffhq_stylegan(tmp_path / "outer.zip", "train")


def fairface_npz(path, **changes):
    arrays = {
        "images": np.arange(4 * 8 * 8 * 3, dtype=np.uint64).astype(np.uint8).reshape(4, 8, 8, 3),
        "gender": np.array([0, 1, 0, 1], np.uint8),
        "age": np.array([0, 1, 1, 0], np.uint8),
        "race": np.array([0, 0, 1, 1], np.uint8),
        "split": np.array([0, 1, 0, 1], np.uint8),
        "filename": np.array(["train/1.jpg", "val/1.jpg", "train/2.jpg", "val/2.jpg"]),
        "gender_names": np.array(["Male", "Female"]),
        "age_names": np.array(["20-29", "30-39"]),
        "race_names": np.array(["Black", "White"]),
        "split_names": np.array(["train", "val"]),
    }
    arrays |= changes
    np.savez(path, **arrays)
    return arrays


def test_fairface_npz(tmp_path):
    arrays = fairface_npz(tmp_path / "f.npz")
    read = readers.read_fairface_npz(tmp_path / "f.npz", "val")
    np.testing.assert_array_equal(read.images, arrays["images"][[1, 3]].transpose(0, 3, 1, 2))
    assert read.extra["gender"].tolist() == [1, 1] and read.extra["age"].tolist() == [1, 0]
    assert read.extra["filename"] == ["val/1.jpg", "val/2.jpg"]
    assert [read.classes[i] for i in read.labels] == ["Black", "White"]
    fairface_npz(tmp_path / "g.npz", gender=np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match=r"g\.npz: the arrays differ in length"):
        readers.read_fairface_npz(tmp_path / "g.npz", "val")
    fairface_npz(tmp_path / "h.npz", race=np.array([0, 0, 1, 2], np.uint8))
    with pytest.raises(ValueError, match=r"h\.npz: label 2 found"):
        readers.read_fairface_npz(tmp_path / "h.npz", "val")


# ---- the papers' sets, as tiny trees in the publishers' own layouts: (build, name, split, one picture of it)


def tree_trueface(root):
    inner = root / "TrueFace"
    for home in ("TrueFace_PreSocial", "TrueFace_PostSocial/Facebook", "TrueFace_PostSocial/Twitter"):
        for i in range(12):
            kind = "png" if home.endswith("PreSocial") else "jpg"
            picture(inner / home / "Real" / "FFHQ" / f"{i:05d}.{kind}", i)
            picture(inner / home / "Fake" / "StyleGAN" / "images-psi-0.7" / f"seed{i}.{kind}", i)
            picture(inner / home / "Fake" / "StyleGAN2" / "conf-f-psi-0p5" / f"{i}.{kind}", i)
    return None


def tree_140k(root):
    for split in ("train", "valid", "test"):
        rows = []
        for i, kind in enumerate(["real", "real", "fake", "fake"]):
            name = f"{split}/{kind}/{i:05d}.jpg"
            picture(root / "real_vs_fake" / "real-vs-fake" / name, i)
            rows.append((i, "elsewhere", f"{i:05d}", int(kind == "real"), kind, name))
        table(root / f"{split}.csv", ("", "original_path", "id", "label", "label_str", "path"), rows)
    return root / "real_vs_fake" / "real-vs-fake" / "train" / "fake" / "00002.jpg"


TREES = {"trueface": tree_trueface, "140k-faces": tree_140k}


def read(name, root, split="train", **options):
    layout = LAYOUTS[name]
    return layout.read(layout.find(root), split, **options)


def test_tree_refuses_a_cut_picture_by_name(tmp_path):
    victim = tree_140k(tmp_path)
    assert read("140k-faces", tmp_path).images.shape[1:] == (3, 64, 64)
    cut(victim)
    with pytest.raises(ValueError, match=rf"{victim.parent.name}/{victim.name}: truncated"):
        read("140k-faces", tmp_path)


@pytest.mark.parametrize("name", list(TREES))
def test_tree_is_not_found_in_another_folder(tmp_path, name):
    (tmp_path / "stuff").mkdir()
    picture(tmp_path / "stuff" / "a.jpg", 1)
    assert LAYOUTS[name].find(tmp_path) is None


@pytest.mark.parametrize("name", list(TREES))
def test_splits_share_no_file_and_limit_takes_a_part(tmp_path, name):
    TREES[name](tmp_path)
    layout = LAYOUTS[name]
    splits = ("train", "valid", "test") if name == "140k-faces" else ("train", "test")
    seen = [set(layout.index(layout.find(tmp_path), split).paths) for split in splits]
    assert all(seen) and sum(map(len, seen)) == len(set.union(*seen))
    part = read(name, tmp_path, limit=2, size=5)
    whole = read(name, tmp_path, size=5)
    assert part.images.shape == (2, 3, 5, 5) and "2 of them" in part.description
    np.testing.assert_array_equal(part.images[1], whole.images[len(whole.labels) // 2])
    for key, value in part.extra.items():
        if isinstance(whole.extra[key], list | np.ndarray) and len(whole.extra[key]) == len(whole.labels) != 2:
            if not key.endswith("_names"):
                assert len(value) == 2, key


def test_trueface_keeps_one_picture_on_one_side_on_every_platform(tmp_path):
    tree_trueface(tmp_path)
    layout = LAYOUTS["trueface"]
    sides = {}
    for split in ("train", "test", "train-shared", "test-shared"):
        index = layout.index(layout.find(tmp_path), split)
        assert index.paths and ("Post" in str(index.paths[0])) == split.endswith("shared")
        for path, platform, label, generator, psi in zip(
            index.paths, index.extra["platform"], index.labels, index.extra["source"], index.extra["psi"], strict=True
        ):
            assert label == int("Fake" in path.parts) and generator in path.parts
            assert platform == ("pre" if "TrueFace_PreSocial" in path.parts else path.parts[-4 - (label == 1)].lower())
            expected = {"FFHQ": np.nan, "StyleGAN": 0.7, "StyleGAN2": 0.5}[generator]
            np.testing.assert_allclose(psi, expected)
            sides.setdefault((generator, path.stem), set()).add(split.removesuffix("-shared"))
    assert len(sides) == 36 and all(len(side) == 1 for side in sides.values())
    victim = layout.index(layout.find(tmp_path), "train").paths[3]
    cut(victim)
    with pytest.raises(ValueError, match=f"{victim.name}: truncated"):
        read("trueface", tmp_path)


def test_trueface_refuses_a_strange_place(tmp_path):
    tree_trueface(tmp_path)
    picture(tmp_path / "TrueFace" / "TrueFace_PostSocial" / "Myspace" / "Real" / "FFHQ" / "1.jpg", 1)
    with pytest.raises(ValueError, match="Myspace.*not at a place of the layout of TrueFace"):
        read("trueface", tmp_path)


def test_a_split_without_pictures_is_refused(tmp_path):
    picture(tmp_path / "train" / "real" / "7.png", 7)
    assert read("140k-faces", tmp_path).labels.tolist() == [0]
    with pytest.raises(ValueError, match="no valid pictures"):
        read("140k-faces", tmp_path, "valid")


def test_a_jpeg_with_bytes_after_its_end_is_accepted(tmp_path):
    pixels = picture(tmp_path / "a.jpg", 1)
    whole = readers.read_image(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes() + bytes(500))
    np.testing.assert_array_equal(readers.read_image(tmp_path / "a.jpg"), whole)
    assert pixels.shape == (8, 8, 3)


def test_table_rows_names_the_line_that_is_cut_and_the_column_that_is_missing():
    assert readers.table_rows("t.csv", "a,b\n1,2\n", ("b",)) == [{"a": "1", "b": "2"}]
    with pytest.raises(ValueError, match=r"t\.csv: truncated at line 3"):
        readers.table_rows("t.csv", "a,b\n1,2\n3\n", ("a",))
    with pytest.raises(ValueError, match=r"t\.csv: no column c; found a, b"):
        readers.table_rows("t.csv", "a,b\n1,2\n", ("a", "c"))


@pytest.mark.parametrize("name", list(TREES))
def test_notes_of_the_system_are_no_pictures(name, tmp_path):
    """macOS puts a file ._x beside each x on foreign disks, and a folder __MACOSX into archives; others do alike."""
    TREES[name](tmp_path / "plain")
    TREES[name](tmp_path / "noted")
    for path in sorted((tmp_path / "noted").rglob("*")):
        if path.is_file():
            path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
        elif path.is_dir():
            (path / ".DS_Store").write_bytes(b"x")
            (path / "@eaDir").mkdir()
            (path / "@eaDir" / "000_0.bmp").write_bytes(b"x")
            (path / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "noted" / "__MACOSX").mkdir()
    (tmp_path / "noted" / "__MACOSX" / "._00000.jpg").write_bytes(b"x")
    (tmp_path / "noted" / "__MACOSX" / "00000.jpg").write_bytes(b"x")
    layout = LAYOUTS[name]
    for split in ("train", "val", "test", "valid"):
        try:
            plain = layout.read(layout.find(tmp_path / "plain"), split, size=8)
        except ValueError:
            continue
        noted = layout.read(layout.find(tmp_path / "noted"), split, size=8)
        np.testing.assert_array_equal(noted.images, plain.images)
        np.testing.assert_array_equal(noted.labels, plain.labels)
    assert hashes.of_tree(tmp_path / "noted") == hashes.of_tree(tmp_path / "plain")


def test_odd_names_and_links_that_lead_nowhere_stop_no_set(tmp_path):
    tree_140k(tmp_path)
    before = len(LAYOUTS["140k-faces"].index(tmp_path, "train").paths)
    home = next(tmp_path.rglob("train")) / "real"
    (home / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    digest = hashes.of_tree(tmp_path)
    assert len(LAYOUTS["140k-faces"].index(tmp_path, "train").paths) == before
    picture(home / os.fsdecode(b"\xff.png"), 7)
    assert len(LAYOUTS["140k-faces"].index(tmp_path, "train").paths) == before + 1
    assert hashes.of_tree(tmp_path) != digest
    odd = "TrueFace_PreSocial/Fake/StyleGAN/" + os.fsdecode(b"\xff.png")
    picture(tmp_path / "t" / odd, 7)
    assert sum(len(LAYOUTS["trueface"].index(tmp_path / "t", split).paths) for split in ("train", "test")) == 1


def test_a_label_below_zero_is_refused():
    images = idx(np.zeros((2, 4, 4), np.uint8))
    with pytest.raises(ValueError, match="label -1 found, expected 0 to 9"):
        readers.read_idx_pair(("x", images), ("y", idx(np.array([3, -1], np.int16))), list("0123456789"), "t")
