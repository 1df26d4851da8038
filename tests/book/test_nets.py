"""The book's networks in the page: nothing before a click, equal to the kit to 1e-4, nothing sent anywhere."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import missing
from nbformat.v4 import new_markdown_cell
from PIL import Image
from press import bind, browser, export, nets

from deepfake_kit import diffusion, pretrained
from deepfake_kit.data import readers
from deepfake_kit.detect import detector
from deepfake_kit.faces import studio

ROOT = Path(__file__).resolve().parents[2]
PAGE = """<!DOCTYPE html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>Networks</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="../_static/exercise.css"><script src="../_static/desk.js"></script>
<script src="../_static/explore.js"></script><style>:root {{ --pst-color-text-base: #222; --pst-color-text-muted: #555;
--pst-color-surface: #f5f5f5; --pst-color-background: #fff; --pst-color-primary: #05a;
--pst-color-border: #999; }}</style></head><body><main><h1>Networks</h1>{}</main></body></html>"""


def boxes(ready) -> str:
    """What the press puts onto the pages, all on one."""
    cells = [
        cell
        for box in nets.BOXES.values()
        for cell in nets.placed([new_markdown_cell("", id=box.after)], box.chapter, ready)[1:]
    ]
    return "".join(cell.outputs[0].data["text/html"] for cell in cells)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A site of one page with all networks that this machine can make."""
    if not nets.can():
        missing("the package onnx, or onnxruntime for the page, cannot be had here")
    site = tmp_path_factory.mktemp("site")
    ready = nets.write(site / nets.PLACE, [box.chapter for box in nets.BOXES.values()], ROOT)
    for name in ("desk.js", "explore.js", "exercise.css"):
        shutil.copy(ROOT / "book" / "static" / name, site / "_static" / name)
    shutil.copytree(ROOT / "book" / "live", site / "_static" / "live")
    (site / "notebooks").mkdir()
    (site / "notebooks" / "all.html").write_text(PAGE.format(boxes(ready)), encoding="utf-8")
    return site


@pytest.fixture(scope="module")
def opened(folder, chromium):
    """The page over HTTP, and all that it asked for."""
    page, asked = browser.new_page(chromium), []
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    with browser.serve(folder) as base:
        page.goto(base + "notebooks/all.html")
        yield page, asked, base
    page.context.close()


def start(page, name: str):
    """The box of a network, which it loads the first time."""
    box = page.locator(f"#net-{name}")
    if not box.count() or box.get_attribute("data-nets") is None:
        missing(f"the network {name} cannot be had here")
    if (load := box.get_by_role("button", name="Load the network")).count():
        load.click()
        page.wait_for_function(f"() => document.querySelector('#net-{name}').kitNet", timeout=120_000)
    return box


def told(box, words: str) -> str:
    """What a box says, once these words are in it."""
    found = box.get_by_role("status").filter(has_text=words)
    found.wait_for(timeout=120_000)
    return found.inner_text()


def test_nothing_of_a_network_is_loaded_before_a_click(opened):
    page, asked, base = opened
    assert page.get_by_role("button", name="Load the network").count() >= 1
    assert {url.removeprefix(base) for url in asked} == {
        "notebooks/all.html", "_static/desk.js", "_static/explore.js", "_static/exercise.css"
    }  # fmt: skip


@pytest.mark.parametrize("passes", [5, 10])
def test_garments_are_those_of_the_kit(opened, passes):
    page, asked, base = opened
    start(page, "garments")
    x = torch.randn(export.AT_ONCE, 1, 28, 28, generator=torch.Generator().manual_seed(passes))
    found = page.evaluate(
        """async ([x, passes]) => {
          const { now, step } = document.querySelector("#net-garments").kitNet;
          Object.assign(now, { x: Float32Array.from(x), at: 0, times: kitNets.times(passes, 1000) });
          while (now.at < passes) await step();
          return [Array.from(now.x), now.times];
        }""",
        [x.flatten().tolist(), passes],
    )
    model = export.evening(nets.BOXES["garments"].chapter, ROOT)
    assert found[1] == diffusion.sampling_times(model.schedule, passes)
    *_, (_, right) = diffusion.trajectory(model, x, model.schedule, "ddim", passes, clip=1.0)
    assert np.abs(np.array(found[0]) - right.flatten().numpy()).max() < 1e-4
    assert right.std() > 0.3, "a picture, not a grey sheet"
    assert all(not browser.is_foreign(url, base) for url in asked)


def test_the_noise_is_normal(opened):
    page, *_ = opened
    start(page, "garments")
    one, other = (np.array(page.evaluate(f"Array.from(kitNets.noise({seed}, 20000))")) for seed in (1, 2))
    assert abs(one.mean()) < 4 / 20000**0.5 and abs(one.var() - 1) < 4 * (2 / 20000) ** 0.5
    assert abs((one * other).mean()) < 4 / 20000**0.5


def test_garments_by_keyboard(opened):
    page, *_ = opened
    box = start(page, "garments")
    box.get_by_label("Passes", exact=True).select_option("5")
    told(box, "No pass yet")
    box.get_by_role("button", name="One pass").focus()
    page.keyboard.press("Enter")
    assert told(box, "Pass 1 of 5").endswith("% of the amplitude is picture.")
    box.get_by_role("button", name="Draw").focus()
    page.keyboard.press("Enter")
    told(box, "Finished after 5 passes from noise number 1")
    first = page.evaluate("() => Array.from(document.querySelector('#net-garments').kitNet.now.x)")
    box.get_by_role("button", name="Other noise").click()
    told(box, "Noise number 2. No pass yet.")
    assert first != page.evaluate("() => Array.from(document.querySelector('#net-garments').kitNet.now.x)")


def png(image: np.ndarray) -> bytes:
    """Pixels [H, W, 3] or [H, W, 4] as a file that loses none."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("height", "width", "side"), [(90, 70, 32), (20, 31, 32), (32, 32, 32), (40, 32, 32), (151, 212, 128)]
)
def test_a_picture_is_opened_as_the_kit_opens_it(opened, height, width, side):
    page, *_ = opened
    start(page, "detector")
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    found = page.evaluate(
        """async ([bytes, size]) =>
          Array.from(kitNets.square(await kitNets.pixels(new Blob([Uint8Array.from(bytes)])), size))""",
        [list(png(image)), side],
    )
    right = readers.resize(readers.read_image("a.png", data=png(image))[None], side)[0]
    assert found == right.flatten().tolist()


def put(box, name: str, data: bytes) -> None:
    """Choose a file in a box's field."""
    box.locator("input[type=file]").set_input_files({"name": name, "mimeType": "image/png", "buffer": data})


@pytest.mark.parametrize("kind", ["portrait", "noise", "small", "not square"])
def test_the_detector_says_what_the_kit_says(opened, kind, tmp_path):
    page, asked, base = opened
    box, random = start(page, "detector"), np.random.default_rng(5)
    shape = {"small": (20, 20, 3), "not square": (130, 200, 3)}.get(kind, (64, 64, 3))
    image = random.integers(0, 256, shape, dtype=np.uint8)
    if kind == "portrait":
        image = (studio.portraits(1, seed=11).images[0] * 255).round().byte().permute(1, 2, 0).numpy()
    path = tmp_path / "a.png"
    path.write_bytes(png(image))
    put(box, f"{kind}.png", path.read_bytes())
    said = told(box, f"{kind}.png: ")
    made = detector.load("drawn-spectrum")
    picture, pixels = made.open(path)
    odds, distance = (float(x) for x in made(picture[None]))
    now = page.evaluate("() => document.querySelector('#net-detector').kitNet.now")
    assert abs(now["odds"] - odds) < 1e-4 and abs(now["distance"] - distance) < 1e-4
    why = made.cannot_say(distance, pixels)
    score = f"probability of fake {torch.tensor(odds).sigmoid():.3f}"
    assert said == f"{kind}.png: " + (f"cannot say ({why})." if why else f"{score}.")
    assert bool(why) == (kind != "portrait")
    assert made.said() in box.inner_text()
    box.get_by_role("button", name="Save what it sees as JPEG").click()
    told(box, f"{kind}.png, small and saved as JPEG 30: ")
    assert all(not browser.is_foreign(url, base) for url in asked)


@pytest.mark.parametrize("name", ["detector", "mark"])
def test_what_is_no_picture_is_named(opened, name):
    page, *_ = opened
    box = start(page, name)
    put(box, "letter.png", b"Dear reader")
    told(box, "letter.png is not a picture that this browser can read")
    box.get_by_role("button", name="A drawn portrait").click()
    told(box, {"detector": "Drawn portrait 2: ", "mark": "The middle square of a drawn portrait"}[name])


def test_a_mark_is_put_and_read_as_by_the_kit(opened):
    page, asked, base = opened
    box = start(page, "mark")
    network = pretrained.find("rivagan").network()
    box.get_by_role("button", name="A drawn portrait").click()
    told(box, "The middle square of a drawn portrait")
    box.get_by_label("Letters to hide").fill("kit!")
    box.get_by_role("button", name="Hide the letters").click()
    assert float(told(box, "“kit!” is hidden").split(": ")[1].split()[0]) > 35
    now, scores = page.evaluate(
        """async () => {
          const { now, scores } = document.querySelector("#net-mark").kitNet;
          const of = (bytes) => Array.from(bytes);
          return [{ bytes: of(now.bytes), marked: of(now.marked), bits: of(now.bits) }, of(await scores(now.marked))];
        }"""
    )
    assert "".join(str(int(bit)) for bit in now["bits"]) == "".join(f"{ord(letter):08b}" for letter in "kit!")
    side = round((len(now["bytes"]) / 3) ** 0.5)
    before, marked = (
        torch.tensor(now[name], dtype=torch.float32).view(1, 3, side, side) / 255 for name in ("bytes", "marked")
    )
    with torch.no_grad():
        right, read = network.encode(before, torch.tensor([now["bits"]])), network.decode(marked)
    stored = (marked - right).abs().max() * 255
    assert stored <= 0.5 + 255e-4, "the kit's marked picture, as 8 bits store it"
    # A score is a mean of 16,384 products of two sums of thousands of terms; what rounding makes of it grows with it.
    assert np.abs(np.array(scores) - read[0].numpy()).max() < 1e-4 * read.abs().max()
    for quality, least in (("95", 30), ("10", 0)):
        box.get_by_label("JPEG quality").fill(quality)
        box.get_by_role("button", name="Save as JPEG and read").click()
        told(box, f"Quality {quality}: ")
        cells = box.locator("tbody tr").first.locator("td").all_inner_texts()
        assert cells[0] == quality and least <= int(cells[2]) and 4 < int(cells[4]) < 28
    high, low = (row.locator("td").all_inner_texts() for row in box.locator("tbody tr").all()[::-1])
    assert int(low[2]) < int(high[2]) and int(low[1]) < int(high[1])
    assert high[3] == "kit!" or int(high[2]) < 32
    box.get_by_label("Letters to hide").fill("ë")
    box.get_by_role("button", name="Hide the letters").click()
    told(box, "one to four of the Latin letters")
    assert all(not browser.is_foreign(url, base) for url in asked)


def test_screen_readers_and_phones_are_served(opened, axe):
    page, *_ = opened
    for name in nets.BOXES:
        if page.locator(f"#net-{name}[data-nets]").count():
            start(page, name)
    assert browser.violations(page, axe) == []
    page.set_viewport_size({"width": browser.PHONE, "height": 844})
    assert page.evaluate(browser.TOO_WIDE) <= 1
    assert page.errors == []


def test_from_the_disk(folder, chromium):
    page, asked = browser.new_page(chromium, width=browser.PHONE, dark=True), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((folder / "notebooks" / "all.html").as_uri())
    box = start(page, "detector")
    assert "probability of fake" in told(box, "Drawn portrait 1: ")
    assert not any("garments" in url or "mark" in url for url in asked), "only what this network needs"
    assert all(url.startswith((folder.as_uri(), "blob:", "data:")) for url in asked)
    page.context.close()


def test_without_scripts_or_networks_the_page_says_how_it_goes_elsewhere(chromium, folder, tmp_path):
    text = boxes(set())
    assert "make lab" in text and "data-nets" not in text
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((folder / "notebooks" / "all.html").as_uri())
    assert page.locator("#net-detector").inner_text().count("deepfake-kit detect") == 1
    context.close()


def test_the_light_archive_leaves_out_the_networks_and_nothing_else(folder):
    assert {path.parent.relative_to(folder).as_posix() for path in folder.rglob(bind.PARTS)} == {nets.PLACE}
    assert sum(path.stat().st_size for path in (folder / nets.PLACE).iterdir()) < 15e6


def test_each_box_stands_in_its_chapter():
    for box in nets.BOXES.values():
        assert f'"id": "{box.after}"' in (ROOT / "notebooks" / f"{box.chapter}.ipynb").read_text(encoding="utf-8")
