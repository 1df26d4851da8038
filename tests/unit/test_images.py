"""Opening a picture file: what a viewer shows, or a ValueError that names the file."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from deepfake_kit import images, social
from deepfake_kit.data import readers

RAMP = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)


def coded(picture, kind, **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def opened(file):
    return np.asarray(images.open_picture(file)).astype(int)


def noise(side=48, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8))


def rgb_profile(*primaries, gamma):
    """An ICC version 2 profile by hand: three primaries as XYZ under D50, one gamma (ICC.1:2001-04, sec. 6)."""

    def fixed(*values):
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    text = b"by hand\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1.0, 0.8249),
    }
    tags |= {f"{c}XYZ".encode(): b"XYZ " + bytes(4) + fixed(*xyz) for c, xyz in zip("rgb", primaries, strict=True)}
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    tags |= {f"{c}TRC".encode(): curve for c in "rgb"}
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(0.9642, 1.0, 0.8249)
    return head.ljust(128, b"\0") + table + body


ADOBE_RGB = rgb_profile(
    (0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457), gamma=2.19921875
)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_comes_upright(kind, orientation):
    """The eight orientations of the EXIF standard, written down as the place of the marked corner."""
    stored = np.zeros((32, 64, 3), np.uint8)
    stored[:16, :32] = 255  # row 0, column 0
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = opened(coded(Image.fromarray(stored), kind, exif=exif))
    assert shown.shape == ((64, 32, 3) if orientation > 4 else (32, 64, 3))
    half, across = shown.shape[0] // 2, shown.shape[1] // 2
    quarters = [shown[:half, :across], shown[:half, across:], shown[half:, :across], shown[half:, across:]]
    corner = {1: 0, 2: 1, 3: 3, 4: 2, 5: 0, 6: 1, 7: 3, 8: 2}[orientation]
    assert [quarter.mean() > 128 for quarter in quarters] == [i == corner for i in range(4)]


def test_damaged_exif_data_turn_nothing():
    exif = Image.Exif()
    exif[0x0112] = 6
    file = coded(noise(), "JPEG", exif=exif)
    assert opened(
        file.replace(b"Exif\0\0MM\0*", b"Exif\0\0MM\xff*").replace(b"Exif\0\0II*\0", b"Exif\0\0II*\xff")
    ).shape


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled_and_not_cut(kind):
    found = opened(coded(Image.fromarray(RAMP), kind))
    assert np.abs(found - RAMP[..., None] / 257).max() <= 0.5 and abs(found.mean() - 127.5) < 1


def test_16_bit_grey_big_endian():
    little = coded(Image.fromarray(RAMP), "TIFF")
    big = coded(Image.fromarray(RAMP.astype(">u2").view(np.uint8)).convert("L"), "TIFF")
    assert little[:2] == b"II" and len(big)
    assert np.array_equal(
        opened(coded(Image.frombytes("I;16B", (16, 16), RAMP.astype(">u2").tobytes()), "TIFF")), opened(little)
    )


def test_float_pictures_reach_from_0_to_1():
    values = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    assert np.array_equal(opened(coded(Image.fromarray(values), "TIFF"))[..., 1], np.rint(values * 255))
    for bad in (np.nan, np.inf, 1.5, -0.1):
        values[3, 3] = bad
        with pytest.raises(ValueError, match=r"picture: .*float values from .*\[0, 1\]"):
            images.open_picture(coded(Image.fromarray(values), "TIFF"))


def test_numbers_of_unknown_range_are_refused():
    with pytest.raises(ValueError, match="32-bit whole numbers"):
        images.open_picture(coded(Image.fromarray(np.arange(256, dtype=np.int32).reshape(16, 16)), "TIFF"))


def alpha_forms():
    """Files that are half transparent over a hidden green, opaque red elsewhere; with the mode each has."""
    half = np.zeros((8, 8), np.uint8)
    half[:4] = 255
    colours = np.where(half[..., None] > 0, np.array([255, 0, 0]), np.array([0, 255, 0])).astype(np.uint8)
    rgba = Image.fromarray(np.dstack([colours, half]))
    yield "RGBA", rgba, coded(rgba, "PNG")
    yield "RGBA, WebP", rgba, coded(rgba, "WEBP", lossless=True, exact=True)
    yield "key of RGB", rgba, coded(Image.fromarray(colours), "PNG", transparency=(0, 255, 0))
    palette = Image.fromarray((half == 0).astype(np.uint8), "P")
    palette.putpalette([255, 0, 0, 0, 255, 0])
    yield "palette", rgba, coded(palette, "PNG", transparency=b"\xff\0")
    yield "palette, GIF", rgba, coded(palette, "GIF", transparency=1)
    grey = Image.fromarray(np.dstack([np.where(half > 0, 76, 150).astype(np.uint8), half]), "LA")
    yield "LA", grey.convert("RGBA"), coded(grey, "PNG")
    yield "key of L", grey.convert("RGBA"), coded(grey.getchannel("L"), "PNG", transparency=150)
    deep = Image.fromarray(np.where(half > 0, 76 * 257, 150 * 257).astype(np.uint16))
    yield "key of 16 bits", grey.convert("RGBA"), coded(deep, "PNG", transparency=150 * 257)


@pytest.mark.parametrize(("form", "meant", "file"), list(alpha_forms()), ids=[form for form, _, _ in alpha_forms()])
def test_hidden_colours_stay_hidden(form, meant, file):
    found = opened(file)
    assert np.array_equal(found[:4], np.asarray(meant)[:4, :, :3]), form
    assert (found[4:] == images.BACKGROUND).all(), form


def test_half_transparent_is_mixed_with_the_background():
    picture = Image.new("RGBA", (4, 4), (200, 100, 0, 51))
    expected = 0.2 * np.array([200, 100, 0]) + 0.8 * np.array(images.BACKGROUND)
    assert np.abs(opened(coded(picture, "PNG"))[0, 0] - expected).max() <= 1


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("JPEG", {"quality": 100, "subsampling": 0}), ("TIFF", {})])
def test_a_wide_gamut_is_brought_to_srgb(kind, options):
    """Adobe RGB (180, 119, 101) is sRGB (200, 120, 100): from both standards' own equations."""
    linear = (np.array([180, 119, 101]) / 255) ** 2.19921875
    to_xyz = np.array([[0.60974, 0.31111, 0.01947], [0.20528, 0.62567, 0.06087], [0.14919, 0.06322, 0.74457]]).T
    from_xyz = np.linalg.inv(
        np.array([[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410]]).T
    )
    srgb = from_xyz @ to_xyz @ linear
    srgb = 255 * np.where(srgb > 0.0031308, 1.055 * srgb ** (1 / 2.4) - 0.055, 12.92 * srgb)
    file = coded(Image.new("RGB", (16, 16), (180, 119, 101)), kind, icc_profile=ADOBE_RGB, **options)
    assert np.abs(opened(file)[4, 4] - srgb).max() < 2 and np.abs(srgb - [200, 120, 100]).max() < 1
    clear = Image.new("RGBA", (16, 16), (180, 119, 101, 255))
    clear.putpixel((0, 0), (180, 119, 101, 0))
    found = opened(coded(clear, "PNG", icc_profile=ADOBE_RGB))
    assert np.abs(found[4, 4] - srgb).max() < 2 and (found[0, 0] == images.BACKGROUND).all()


def test_a_profile_of_srgb_or_a_damaged_or_foreign_one_changes_next_to_nothing():
    picture = noise()
    plain = opened(coded(picture, "PNG"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.abs(opened(coded(picture, "PNG", icc_profile=srgb)) - plain).max() <= 1
    for profile in (b"not a profile", ADOBE_RGB[:200], ADOBE_RGB.replace(b"RGB XYZ ", b"CMYKXYZ ")):
        assert np.array_equal(opened(coded(picture, "PNG", icc_profile=profile)), plain)
    grey = picture.convert("L")
    assert opened(coded(grey, "PNG", icc_profile=srgb)).shape == (48, 48, 3)


def test_cmyk_lab_bilevel_and_palette():
    for kind, mode, options in (
        ("JPEG", "CMYK", {"quality": 95}),
        ("TIFF", "CMYK", {}),
        ("PNG", "P", {}),
        ("GIF", "P", {}),
    ):
        found = opened(coded(Image.new("RGB", (16, 16), (255, 0, 0)).convert(mode), kind, **options))
        assert np.abs(found[8, 8] - [255, 0, 0]).max() <= 3, (kind, mode)
    bits = Image.fromarray((np.indices((8, 8)).sum(0) % 2 * 255).astype(np.uint8)).convert("1")
    assert np.array_equal(opened(coded(bits, "PNG"))[..., 0], np.indices((8, 8)).sum(0) % 2 * 255)
    lab = ImageCms.profileToProfile(
        Image.new("RGB", (8, 8), (200, 120, 100)),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    assert np.abs(opened(coded(lab, "TIFF"))[4, 4] - [200, 120, 100]).max() <= 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_whatever_follows_the_picture_is_ignored(kind):
    """A motion photo is a JPEG with a film behind it; 60 films, of random bytes, of markers and of another picture."""
    file = coded(noise(), kind)
    plain, random = opened(file), np.random.default_rng(0)
    for draw in range(60):
        tail = [random.bytes(3000), b"\xff\xda" * 300, b"IDAT" * 300, file[:-2] if kind == "JPEG" else file[:-12]][
            draw % 4
        ]
        assert np.array_equal(opened(file + tail), plain)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True, "restart_marker_blocks": 2}])
def test_a_cut_jpeg_is_refused_wherever_it_is_cut(options, tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "a comment"
    file = coded(
        noise(), "JPEG", exif=exif.tobytes() + coded(noise(8), "JPEG"), **options
    )  # a thumbnail has an end, too
    images.open_picture(file)
    for end in [*range(0, len(file) - 2, 37), len(file) - 2, len(file) - 1]:
        (tmp_path / "cut.jpg").write_bytes(file[:end])
        with pytest.raises(ValueError, match="cut.jpg"):
            images.open_picture(tmp_path / "cut.jpg")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP", "GIF", "PPM"])
def test_other_cut_files_are_refused(kind):
    file = coded(noise(), kind)
    for share in (0.0, 0.05, 0.3, 0.6, 0.9):
        with pytest.raises(ValueError, match="here.xyz"):
            images.open_picture(file[: int(share * len(file))], "here.xyz")
    if kind == "PNG":
        with pytest.raises(ValueError, match="end-of-image"):
            images.open_picture(file[:-12])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP"])
def test_damage_gives_a_picture_or_a_value_error_and_nothing_else(kind):
    file, random = coded(noise(24), kind), np.random.default_rng(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(150):
            damaged = bytearray(file)
            for place in random.integers(0, min(len(file), 400), 4):
                damaged[place] = random.integers(256)
            try:
                assert images.open_picture(bytes(damaged)).mode == "RGB"
            except ValueError as error:
                assert str(error).startswith("picture: ")


def bomb(side=14_200):
    """A small file of 200 million white pixels: one bit each, packed."""
    return coded(Image.new("1", (side, side), 1), "PNG")


def test_a_decompression_bomb_is_refused_by_name_before_it_is_unpacked(tmp_path):
    (tmp_path / "bomb.png").write_bytes(bomb())
    for refuse in (images.open_picture, readers.read_image):
        with pytest.raises(ValueError, match="bomb.png"):
            refuse(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match="file"):
        social.upload((tmp_path / "bomb.png").read_bytes(), "twitter")


def test_what_is_no_file():
    with pytest.raises(FileNotFoundError):
        images.open_picture("nowhere.png")
    for given in (None, 3, Image.new("RGB", (2, 2))):
        with pytest.raises(ValueError, match="valid: a path, or the bytes"):
            images.open_picture(given)


def test_readers_and_platforms_open_pictures_this_way(tmp_path):
    """A phone's portrait: stored lying, in Adobe RGB."""
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.new("RGB", (100, 60), (180, 119, 101))
    file = coded(lying, "JPEG", quality=100, exif=exif, icc_profile=ADOBE_RGB)
    (tmp_path / "phone.jpg").write_bytes(file)
    read = readers.read_image(tmp_path / "phone.jpg")
    served = Image.open(io.BytesIO(social.upload(file, "twitter")))
    assert read.shape == (3, 100, 60) and served.size == (60, 100) and not served.getexif()
    assert np.abs(read[:, 50, 30].astype(int) - [200, 120, 100]).max() <= 2
    assert np.abs(np.array(served.getpixel((30, 50))) - [200, 120, 100]).max() <= 5


def grey_tiff(content, bits, white_is_zero):
    """A TIFF of 4 x 1 grey pixels by hand (TIFF 6.0, section 4)."""
    rows = [(256, 3, 4), (257, 3, 1), (258, 3, bits), (259, 3, 1), (262, 3, int(not white_is_zero))]
    rows += [(273, 4, 8), (277, 3, 1), (278, 3, 1), (279, 4, len(content))]
    start = 8 + len(content)
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in rows)
    return b"II*\0" + struct.pack("<I", start) + content + struct.pack("<H", len(rows)) + table + bytes(4)


def test_grey_in_bits_that_pillow_gives_as_16_is_refused_and_not_darkened_or_turned_over():
    sixteen = struct.pack("<4H", 0, 0x7FFF, 0x8000, 0xFFFF)
    assert opened(grey_tiff(sixteen, 16, False))[0, :, 0].tolist() == [0, 127, 128, 255]
    assert opened(grey_tiff(b"\0\x7f\x80\xff", 8, True))[0, :, 0].tolist() == [255, 128, 127, 0]
    for content, bits, white_is_zero in ((sixteen, 16, True), (bytes.fromhex("000800fff000"), 12, False)):
        with pytest.raises(ValueError, match="a TIFF of 9 to 15 bits or with 0 for white"):
            images.open_picture(grey_tiff(content, bits, white_is_zero))


def png(bits, colour, pixels, key):
    """A PNG of one row by hand, with the colour that is transparent."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", 2, 1, bits, colour, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"tRNS", key) + chunk(b"IDAT", zlib.compress(b"\0" + pixels))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def test_a_clear_colour_of_a_png_is_read_in_8_bits_and_else_refused():
    assert opened(png(8, 0, b"\x50\x60", b"\0\x60"))[0].tolist() == [[80] * 3, [255] * 3]
    for bits, colour, pixels, key in ((2, 0, b"\x10", b"\0\1"), (16, 2, bytes(6) + b"\x80\0" * 3, b"\x80\0" * 3)):
        with pytest.raises(ValueError, match="a PNG's clear colour not in 8 bits"):
            images.open_picture(png(bits, colour, pixels, key))


def test_a_drawing_is_handed_to_no_other_program(monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("another program was asked"))
    with pytest.raises(ValueError, match="a drawing"):
        images.open_picture(coded(noise(), "EPS"), "x.png")
