"""The platforms: real JPEG, smaller and worse as the quality falls, and nothing left of the metadata."""

from __future__ import annotations

import doctest
import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from PIL.JpegImagePlugin import get_sampling

from deepfake_kit import faces, social
from deepfake_kit.social import platforms as social_platforms


@pytest.fixture(scope="module")
def batch() -> torch.Tensor:
    return faces.draw(12, seed=0, size=128).images


def as_file(image: torch.Tensor, kind="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("platform", social.PLATFORMS)
def test_sharing_keeps_the_shape_and_is_deterministic(batch, platform):
    shared, record = social.share_with_record(batch, platform, seed=1)
    assert shared.shape == batch.shape and shared.dtype == batch.dtype
    assert shared.min() >= 0 and shared.max() <= 1
    assert torch.equal(shared, social.share(batch, platform, seed=1))
    assert torch.equal(shared[:5], social.share(batch[:5], platform, seed=1))
    low, high = social.PLATFORMS[platform].quality
    assert record.quality.between(low, high).all()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert torch.equal(shared, social.share(batch, platform, seed=1))
    finally:
        torch.set_num_threads(threads)


def test_the_seed_chooses_the_quality(batch):
    many = batch.repeat(4, 1, 1, 1)
    first, second = (social.share_with_record(many, "facebook", seed=s)[1] for s in (0, 1))
    assert first.quality.nunique() > 3 and not first.quality.equals(second.quality)
    assert set(first.width) == {90, 120, 128}  # 720, 960 and 2048 of a 1024 upload, at 128 pixels


def test_sizes_and_psnr_fall_with_the_quality(batch):
    records = [social.share_with_record(batch, "twitter", seed=0, quality=q)[1] for q in (95, 80, 60, 40, 20, 5)]
    for better, worse in zip(records, records[1:], strict=False):
        assert (worse.bytes < better.bytes).all()
        assert (worse.psnr < better.psnr).all()


def test_psnr_is_the_psnr_of_what_came_back(batch):
    shared, record = social.share_with_record(batch, "telegram", seed=0)
    error = ((shared.double() - batch.double()) ** 2).mean(dim=(1, 2, 3))
    assert np.allclose(record.psnr, (10 * torch.log10(1 / error)).numpy(), atol=1e-3)


def test_without_resizing_share_is_pillows_codec(batch):
    shared, record = social.share_with_record(batch, "twitter", seed=0, upload_side=128)
    for image, file_bytes, out in zip(batch, record.bytes, shared, strict=True):
        code = as_file(image, "JPEG", quality=85, subsampling="4:2:0", progressive=True)
        assert len(code) == file_bytes
        want = np.asarray(Image.open(io.BytesIO(code)))
        assert np.array_equal((out * 255).round().byte().permute(1, 2, 0).numpy(), want)


def test_the_cap_binds_only_when_it_is_smaller_than_the_upload(batch):
    _, plain = social.share_with_record(batch, "facebook", seed=0, upload_side=128)
    assert (plain.width == 128).all()
    _, huge = social.share_with_record(batch, "twitter", seed=0, upload_side=4096)
    assert set(huge.width) == {round(128 * 1200 / 4096), round(128 * 2048 / 4096)}


def test_facebook_resizing_costs_high_frequencies(batch):
    def energy(images):
        spectrum = torch.fft.fft2(images.double().mean(1)).abs() ** 2
        frequency = torch.fft.fftfreq(128).abs()
        high = torch.maximum(frequency[:, None], frequency[None, :]) > 0.4
        return spectrum[:, high].sum() / spectrum.sum()

    assert energy(social.share(batch, "facebook", seed=0)) < 0.7 * energy(batch)


@pytest.mark.parametrize("platform", social.PLATFORMS)
def test_an_uploaded_file_loses_its_metadata_and_gets_the_documented_coding(platform):
    image = faces.draw(1, seed=1, size=256).images[0]
    exif = Image.Exif()
    exif[0x010F], exif[0x0132] = "Maker of cameras", "2024:01:01 00:00:00"
    sent = as_file(image, "JPEG", quality=98, exif=exif, comment=b"who took this")
    assert b"Maker of cameras" in sent
    served = social.upload(sent, platform)
    with Image.open(io.BytesIO(served)) as seen:
        assert seen.format == "JPEG" and seen.size == (256, 256)
        assert not seen.getexif() and "comment" not in seen.info and "icc_profile" not in seen.info
        assert bool(seen.info.get("progressive")) == social.PLATFORMS[platform].progressive
        assert get_sampling(seen) == 2  # 4:2:0
        tables = seen.quantization
    assert b"Maker of cameras" not in served
    # The table of the Independent JPEG Group's rule, worked out by hand for the first entry (16) of Annex K.
    q = social.PLATFORMS[platform].quality[1]
    assert tables[0][0] == (16 * (200 - 2 * q) + 50) // 100


def test_the_longer_side_is_capped():
    buffer = io.BytesIO()
    Image.new("RGB", (3000, 1500), (90, 120, 30)).filter(ImageFilter.BLUR).save(buffer, "PNG")
    for platform, side in (("facebook", 2048), ("telegram", 1280), ("twitter", 2048)):
        assert Image.open(io.BytesIO(social.upload(buffer.getvalue(), platform))).size == (side, side // 2)
    assert Image.open(io.BytesIO(social.upload(buffer.getvalue(), "facebook", side=720))).size == (720, 360)


def test_the_report_and_the_sources_are_whole(batch):
    report = social.platform_report(batch, seed=0)
    assert list(report.index) == ["facebook", "telegram", "twitter"]
    assert report.ssim.between(0.5, 1).all() and report.psnr.between(20, 60).all() and (report.bytes > 500).all()
    table = social.platform_table()
    for name in social.PLATFORMS:
        mine = table[table.platform == name]
        assert set(mine.parameter) == {"sides", "quality", "subsampling", "progressive", "filter", "metadata"}
        assert mine.source.str.len().gt(8).all()
    assert set(table.evidence) <= {"measured", "reported", "source code", "inferred"}


def test_sensitivity_tries_every_inferred_parameter_and_changes_nothing_else(batch):
    table = social.sensitivity(batch, seed=0)
    inferred = social.platform_table().query("evidence == 'inferred'")
    assert {*zip(table.platform, table.parameter)} == {*zip(inferred.platform, inferred.parameter)}
    assert (table.groupby(["platform", "parameter"]).used.sum() == 1).all()
    report = social.platform_report(batch, seed=0)
    for row in table[table.used].itertuples():
        assert row.value == getattr(social.PLATFORMS[row.platform], row.parameter)
        assert [row.bytes, row.psnr, row.ssim] == report.loc[row.platform, ["bytes", "psnr", "ssim"]].tolist()
    for _, rows in table[table.parameter == "subsampling"].groupby("platform"):
        by = rows.set_index("value")  # more colour samples: a larger file that is nearer to the upload
        assert by.bytes["4:2:0"] < by.bytes["4:2:2"] < by.bytes["4:4:4"]
        assert by.psnr["4:2:0"] < by.psnr["4:2:2"] < by.psnr["4:4:4"]
    # A filter is used only where a picture is shrunk: none at 128 pixels under caps of 1200 and 2048.
    plain = social.sensitivity(batch, seed=0, upload_side=128).query("parameter == 'filter'")
    assert plain.value.tolist() == ["lanczos", "bicubic", "bilinear"] and plain.psnr.nunique() == 1
    shrunk = social.sensitivity(batch, seed=0, upload_side=4096).query("parameter == 'filter'").set_index("value")
    assert shrunk.psnr["lanczos"] > shrunk.psnr["bicubic"] > shrunk.psnr["bilinear"]


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    platform=st.sampled_from(sorted(social.PLATFORMS)),
    quality=st.one_of(st.none(), st.integers(1, 100)),
    seed=st.integers(0, 2**64 - 1),
    upload_side=st.integers(1, 5000),
    double=st.booleans(),
)
def test_any_picture_can_be_shared(height, width, platform, quality, seed, upload_side, double):
    generator = torch.Generator().manual_seed(seed % 2**63)
    images = torch.rand(2, 3, height, width, generator=generator, dtype=torch.float64 if double else torch.float32)
    shared, record = social.share_with_record(images, platform, seed, quality=quality, upload_side=upload_side)
    assert shared.shape == images.shape and shared.dtype == images.dtype and torch.isfinite(shared).all()
    assert shared.min() >= 0 and shared.max() <= 1
    assert (record.height <= height).all() and (record.width <= width).all() and (record.bytes > 0).all()


GOOD = torch.full((1, 3, 16, 16), 0.5)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: social.share(GOOD, "facebok", 0), ["platform", "facebok", "facebook"]),
        (lambda: social.share((GOOD * 255).byte(), "twitter", 0), ["images", "uint8", "float"]),
        (lambda: social.share(GOOD.numpy(), "twitter", 0), ["images", "ndarray"]),
        (lambda: social.share(GOOD * 3, "twitter", 0), ["images", "1.5", "[0, 1]"]),
        (lambda: social.share(GOOD - 1, "twitter", 0), ["images", "-0.5"]),
        (lambda: social.share(GOOD * float("nan"), "twitter", 0), ["images", "nan"]),
        (lambda: social.share(GOOD[:, :1], "twitter", 0), ["images", "(1, 1, 16, 16)"]),
        (lambda: social.share(GOOD[0], "twitter", 0), ["images", "(3, 16, 16)"]),
        (lambda: social.share(GOOD, "twitter", 0, quality=0), ["quality", "0", "100"]),
        (lambda: social.share(GOOD, "twitter", -1), ["seed", "-1"]),
        (lambda: social.share(GOOD, "twitter", 0, upload_side=0), ["upload_side", "0"]),
        (lambda: social.upload(b"not a picture", "twitter"), ["file", "13 bytes"]),
        (lambda: social.upload(as_file(GOOD[0])[:40], "twitter"), ["file", "40 bytes"]),
        (lambda: social.upload("a.jpg", "twitter"), ["file", "str", "bytes"]),
        (lambda: social.upload(b"", "twitter", side=0), ["side", "0"]),
        (lambda: social.share(GOOD, ["twitter"], 0), ["platform", "twitter"]),
        (lambda: social.share(GOOD, "twitter", "0"), ["seed", "'0'", "whole"]),
        (lambda: social.share(GOOD, "twitter", 0, quality=85.0), ["quality", "85.0", "whole"]),
        (lambda: social.platform_report(GOOD.byte(), 0), ["images", "uint8"]),
        (lambda: social.platform_report(GOOD[..., :8], 0), ["images", "(1, 3, 16, 8)", "11"]),
        (lambda: social.sensitivity(GOOD * 2 - 1.5, 0), ["images", "-0.5"]),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError) as problem:
        call()
    assert all(word in str(problem.value) for word in words), problem.value


def test_no_images_are_a_batch_too():
    shared, record = social.share_with_record(torch.zeros(0, 3, 8, 8), "telegram", 0)
    assert shared.shape == (0, 3, 8, 8) and len(record) == 0


def test_examples_run():
    assert doctest.testmod(social).failed == 0 and doctest.testmod(social_platforms).failed == 0
