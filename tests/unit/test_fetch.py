"""The script of `data_scripts/`: terms first, imports checked, manifests, downloads resumed, damage found."""

import dataclasses
import hashlib
import importlib.util
import os
import subprocess
import sys
import threading
import zipfile
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from deepfake_kit import data
from deepfake_kit.data.sources import SOURCES

HERE = Path(__file__).parent
SCRIPT = HERE.parents[1] / "data_scripts" / "fetch.py"


def module(path):
    spec = importlib.util.spec_from_file_location(f"{path.stem}_under_test", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


fetch, trees, served = module(SCRIPT), module(HERE / "test_readers.py"), module(HERE / "test_data.py")


@pytest.fixture(autouse=True)
def clean_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home-cache"))
    monkeypatch.delenv("DEEPFAKE_KIT_DATA", raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def publisher(monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), served.Publisher) as httpd:
        httpd.files, httpd.cut, httpd.ranges, httpd.silent, httpd.asked = (
            served.fashion_files(5),
            None,
            True,
            False,
            [],
        )
        httpd.base = f"http://127.0.0.1:{httpd.server_address[1]}/"
        served.publish(monkeypatch, httpd.files, httpd.base)
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield httpd
        httpd.shutdown()


def run(*arguments):
    return fetch.main([str(argument) for argument in arguments])


@pytest.mark.parametrize("name", fetch.SETS)
def test_terms_come_first_and_nothing_is_taken_before_they_are_accepted(name, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fetch.downloads, "fetch", lambda *a, **k: pytest.fail("a download began"))
    root = tmp_path / "root"
    assert run(name, "--root", root, "--from", tmp_path) == 2
    shown = capsys.readouterr().out
    source = SOURCES[name]
    for words in (source.licence, source.terms, source.citation, "--accept-terms"):
        assert words in shown
    assert not root.exists()


@pytest.mark.parametrize("name", [name for name in fetch.SETS if not SOURCES[name].urls])
def test_a_set_to_be_asked_for_by_hand_says_how(name, tmp_path, capsys):
    assert run(name, "--root", tmp_path, "--accept-terms") == 1
    shown = capsys.readouterr()
    assert "requested by hand" in shown.err and "  1. " in shown.err and "  2. " in shown.err
    assert "{root}" not in shown.err and "Licence" in shown.out


def test_download_verify_and_no_second_download(publisher, tmp_path, capsys):
    assert run("fashion-mnist", "--root", tmp_path, "--accept-terms", "--quiet") == 0
    assert len(publisher.asked) == 4 and "good" in capsys.readouterr().out
    assert data.load("fashion-mnist", root=tmp_path).labels.unique().tolist() == [5]
    assert run("fashion-mnist", "--root", tmp_path, "--accept-terms") == 0
    assert len(publisher.asked) == 4 and "Already here" in capsys.readouterr().out


def test_a_download_that_was_cut_is_resumed_by_the_next_command(publisher, tmp_path, capsys):
    name = next(iter(publisher.files))
    whole = publisher.files[name]
    # The publisher's machine breaks down in the middle of the first file ...
    publisher.cut, publisher.ranges = 3000, True
    original = served.Publisher.do_GET

    def once(handler):
        if len(publisher.asked) >= 1:
            handler.server.asked.append((handler.path, handler.headers.get("Range")))
            handler.send_error(503)
            return
        original(handler)

    served.Publisher.do_GET = once
    try:
        assert run("fashion-mnist", "--root", tmp_path, "--accept-terms", "--quiet") == 1
    finally:
        served.Publisher.do_GET = original
    assert "503" in capsys.readouterr().err
    folder = tmp_path / "FashionMNIST" / "raw"
    assert not (folder / name).exists() and (folder / f".{name}.part").read_bytes() == whole[:3000]
    # ... and is up again later.
    publisher.cut = None
    publisher.asked.clear()
    assert run("fashion-mnist", "--root", tmp_path, "--accept-terms", "--quiet") == 0
    assert publisher.asked[0] == (f"/{name}", "bytes=3000-") and (folder / name).read_bytes() == whole


def test_a_damaged_file_in_the_way_is_named_and_left(publisher, tmp_path, capsys):
    name = next(iter(publisher.files))
    folder = served.put(tmp_path / "FashionMNIST" / "raw", {name: b"damaged"})
    assert run("fashion-mnist", "--root", tmp_path, "--accept-terms", "--quiet") == 1
    shown = capsys.readouterr().err
    assert str(folder / name) in shown and hashlib.sha256(b"damaged").hexdigest() in shown
    assert SOURCES["fashion-mnist"].sha256[name] in shown and (folder / name).read_bytes() == b"damaged"


def test_no_network_is_an_error_in_words(monkeypatch, tmp_path, capsys):
    served.publish(monkeypatch, served.fashion_files(), f"http://127.0.0.1:{served.closed_port()}/")
    assert run("fashion-mnist", "--root", tmp_path, "--accept-terms") == 1
    assert "error: 127.0.0.1:" in capsys.readouterr().err


def zipped(source, target, top=""):
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(source.rglob("*")):
            if path.is_file():
                archive.write(path, f"{top}{path.relative_to(source).as_posix()}")


def obtained(name, folder):
    """The set as its publisher hands it out, made tiny: archives and tables in one folder."""
    tree = folder / "tree"
    trees.TREES[name](tree)
    given = folder / "obtained"
    given.mkdir()
    if name == "trueface":
        return tree
    zipped(tree, given / "archive.zip")
    return given / "archive.zip"


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Tiny versions cannot have the publishers' hashes: none are published for them."""
    for name in trees.TREES:
        monkeypatch.setitem(SOURCES, name, dataclasses.replace(SOURCES[name], sha256={}))
    return tmp_path / "root"


@pytest.mark.parametrize("name", list(trees.TREES))
def test_import_from_what_the_publisher_hands_out(name, tiny, tmp_path, capsys):
    assert run(name, "--root", tiny, "--accept-terms", "--from", obtained(name, tmp_path)) == 0, capsys.readouterr()
    first = data.load(name, root=tiny, size=8)
    assert len(first) > 0 and first.images.shape[1:] == (3, 8, 8) and not first.stand_in
    assert run("verify", name, "--root", tiny, "--deep") == 0
    pictures = sorted(path for path in tiny.rglob("*") if path.suffix in (".jpg", ".png", ".bmp"))
    victim = pictures[len(pictures) // 2]
    victim.write_bytes(victim.read_bytes()[:-30])
    capsys.readouterr()
    assert run("verify", name, "--root", tiny) == 1
    assert victim.name in capsys.readouterr().out
    victim.unlink()
    assert run("verify", name, "--root", tiny) == 1
    assert victim.name in capsys.readouterr().out


@pytest.mark.parametrize("name", list(trees.TREES))
def test_importing_again_mends_a_file_that_was_damaged_and_has_its_size(name, tiny, tmp_path):
    given = tmp_path / "given"
    trees.TREES[name](given)
    assert run(name, "--root", tiny, "--accept-terms", "--from", given) == 0
    victim = sorted(path for path in tiny.rglob("*") if path.suffix in (".jpg", ".png", ".bmp"))[0]
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert run("verify", name, "--root", tiny) == 1
    assert run(name, "--root", tiny, "--accept-terms", "--from", given) == 0
    assert victim.read_bytes() == whole and run("verify", name, "--root", tiny) == 0


def test_deep_verify_decodes_where_no_manifest_is(tiny, capsys):
    victim = trees.tree_140k(tiny / "140k-faces")
    assert run("verify", "140k-faces", "--root", tiny, "--deep") == 0
    trees.cut(victim)
    assert run("verify", "140k-faces", "--root", tiny) == 0
    assert run("verify", "140k-faces", "--root", tiny, "--deep") == 1
    assert f"{victim.name}: truncated" in capsys.readouterr().out


def test_import_refuses_a_wrong_checksum_before_it_writes(tmp_path, capsys):
    given = tmp_path / "given"
    given.mkdir()
    (given / "index.csv").write_text("not the real table")
    root = tmp_path / "root"
    assert run("ffhq-stylegan", "--root", root, "--accept-terms", "--from", given) == 1
    shown = capsys.readouterr().err
    assert "index.csv" in shown and SOURCES["ffhq-stylegan"].sha256["index.csv"] in shown and not root.exists()


def test_import_refuses_another_folder_and_a_cut_archive(tiny, tmp_path, capsys):
    given = tmp_path / "given"
    given.mkdir()
    (given / "notes.txt").write_text("hello")
    assert run("trueface", "--root", tiny, "--accept-terms", "--from", given) == 1
    assert "not TrueFace" in capsys.readouterr().err
    archive = obtained("140k-faces", tmp_path)
    trees.cut(archive)
    assert run("140k-faces", "--root", tiny, "--accept-terms", "--from", archive) == 1
    assert "archive.zip: truncated" in capsys.readouterr().err
    assert run("140k-faces", "--root", tiny, "--accept-terms", "--from", tmp_path / "absent") == 1
    assert "no such file or folder" in capsys.readouterr().err


SECRETS = {"id_rsa": b"secret", "holiday.mp4": b"film", "notes.txt": b"x", "photo.jpg": b"x", "table.csv": b"a,b"}


@pytest.mark.parametrize("name", list(trees.TREES))
def test_import_from_a_full_folder_takes_only_what_is_part_of_the_set(name, tiny, tmp_path, capsys, monkeypatch):
    given = obtained(name, tmp_path)
    if given.is_file():
        (tmp_path / "downloads").mkdir()
        given = given.rename(tmp_path / "downloads" / given.name).parent
    tiny.mkdir()
    monkeypatch.chdir(tiny)  # a relative folder is relative to where the command is given
    assert run(name, "--root", "a", "--accept-terms", "--from", given) == 0
    served.put(given, SECRETS)
    served.put(given / "priv", SECRETS)
    served.put(given / "__MACOSX" / "train", {"._1.jpg": b"x"})
    with zipfile.ZipFile(given / "tax-return.zip", "w") as archive:
        archive.writestr("priv/salary-2025.txt", "much")
    for path in given.glob("*.zip"):
        if path.name != "tax-return.zip":
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr("priv/salary-2025.txt", "much")
                archive.writestr("__MACOSX/._1.jpg", "x")
    capsys.readouterr()
    assert run(name, "--root", tiny / "b", "--accept-terms", "--from", given) == 0, capsys.readouterr()
    assert "left alone" in capsys.readouterr().out
    one, two = ({path.relative_to(tiny / x) for path in (tiny / x).rglob("*") if path.is_file()} for x in "ab")
    assert one == two
    manifests = [next((tiny / x).rglob(fetch.MANIFEST)).read_text() for x in "ab"]
    assert manifests[0] == manifests[1] and "id_rsa" not in manifests[1]


def test_import_of_a_file_that_is_no_part_of_the_set(tiny, tmp_path, capsys):
    served.put(tmp_path, SECRETS)
    assert run("fairface", "--root", tiny, "--accept-terms", "--from", tmp_path / "id_rsa") == 1
    assert "not FairFace" in capsys.readouterr().err and not list(tiny.rglob("id_rsa"))


def test_import_of_idx_files_from_an_archive(monkeypatch, tmp_path, capsys):
    """Kaggle's archive of Fashion-MNIST holds tables besides."""
    files = served.fashion_files(5)
    served.publish(monkeypatch, files)
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        for name, content in (files | {"fashion-mnist_train.csv": b"1,2"}).items():
            archive.writestr(f"some/{name}", content)
    assert run("fashion-mnist", "--root", tmp_path / "r", "--accept-terms", "--from", tmp_path / "archive.zip") == 0
    assert data.load("fashion-mnist", root=tmp_path / "r").labels.unique().tolist() == [5]
    assert not list((tmp_path / "r").rglob("*.csv"))


def test_an_interrupted_import_goes_on_where_it_stopped(tiny, tmp_path, monkeypatch):
    archive = obtained("140k-faces", tmp_path)
    replace, done = os.replace, []

    def stop_after_five(source, target):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(target)
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fetch.downloads.os, "replace", stop_after_five)
        run("140k-faces", "--root", tiny, "--accept-terms", "--from", archive)
    before = {path: Path(path).stat().st_mtime_ns for path in done}
    assert run("140k-faces", "--root", tiny, "--accept-terms", "--from", archive) == 0
    assert before == {path: Path(path).stat().st_mtime_ns for path in done}
    assert not list(tiny.rglob("*.part"))


def test_a_folder_for_a_lab_is_judged_by_what_lies_in_it_and_not_by_what_lies_elsewhere(tmp_path, monkeypatch, capsys):
    home, lab = tmp_path / "home", tmp_path / "lab"
    served.put(home / "FashionMNIST" / "raw", served.fashion_files())
    monkeypatch.setenv("DEEPFAKE_KIT_DATA", str(home))
    assert any(place.found for place in data.locate("fashion-mnist"))
    for folder in (lab, lab / "made"):
        assert run("verify", "fashion-mnist", "--root", folder) == 1
        assert "fashion-mnist: not found" in capsys.readouterr().out
        assert run("verify", "--root", folder) == 1 and f"no set is in {folder}" in capsys.readouterr().out
        assert run("list", "--root", folder) == 0 and "used: " not in capsys.readouterr().out
        (lab / "made").mkdir(parents=True, exist_ok=True)
    assert run("list") == 0 and f"used: {home}" in capsys.readouterr().out


def test_list_names_every_set_its_licence_and_where_it_is(tmp_path, capsys):
    served.put(tmp_path / "KMNIST" / "raw", served.fashion_files())
    assert run("list", "--root", tmp_path) == 0
    shown = capsys.readouterr().out
    for name in fetch.SETS:
        assert name in shown and SOURCES[name].licence in shown
    assert str(tmp_path / "KMNIST" / "raw") in shown and "to be asked for by hand" in shown


def test_verify_finds_a_wrong_checksum_and_a_set_that_is_not_there(tmp_path, capsys):
    served.put(tmp_path / "KMNIST" / "raw", served.fashion_files())
    assert run("verify", "kmnist", "--root", tmp_path) == 1
    assert "wrong checksum" in capsys.readouterr().out
    assert run("verify", "trueface", "--root", tmp_path) == 1
    assert "trueface: not found" in capsys.readouterr().out


def test_a_reader_who_has_seen_enough_is_no_error(tmp_path):
    done = subprocess.run(
        f"'{sys.executable}' -u '{SCRIPT}' list --root '{tmp_path}' | head -1; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0 and done.stderr == "" and done.stdout.count("\n") == 1


def test_bad_usage_exits_with_two_and_no_traceback(tmp_path):
    for arguments in ([], ["nope"], ["verify", "nope"], ["kmnist", "--nope"]):
        done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 2 and "Traceback" not in done.stderr and "usage" in done.stderr
        assert "verify" not in arguments or "data set: got 'nope'; valid: fashion-mnist, " in done.stderr


def test_unpacking_again_mends_a_file_of_the_same_size(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("a.txt", "hello")
    (tmp_path / "a.txt").write_text("hellX")
    assert fetch.downloads.unpack(tmp_path / "a.zip", tmp_path) == 1
    assert (tmp_path / "a.txt").read_text() == "hello"
    assert fetch.downloads.unpack(tmp_path / "a.zip", tmp_path) == 0  # and then leaves it


def test_a_locked_archive_is_an_error_in_words(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("index.csv", "hello")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    for place in (6, content.index(b"PK\1\2") + 8):  # the flag of encryption, in both heads (APPNOTE 4.4.4)
        content[place] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ValueError, match="encrypted"):
        fetch.downloads.unpack(tmp_path / "a.zip", tmp_path / "out")
    with pytest.raises(ValueError, match="encrypted"):
        fetch.readers.read_ffhq_stylegan(tmp_path / "a.zip", "train")


def test_a_name_that_is_no_text_is_imported_and_verified(tiny, tmp_path):
    home = trees.tree_140k(tmp_path / "given").parent
    trees.picture(home / os.fsdecode(b"\xff.png"), 7)
    (home / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert run("140k-faces", "--root", tiny, "--accept-terms", "--from", tmp_path / "given") == 0
    assert run("verify", "140k-faces", "--root", tiny) == 0
    (odd,) = tiny.rglob(os.fsdecode(b"\xff.png"))
    odd.unlink()
    assert run("verify", "140k-faces", "--root", tiny) == 1
