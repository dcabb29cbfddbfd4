"""Pictures: upright RGB with every pixel they have, whatever the format made of them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from smart_demo.config import Limits
from smart_demo.errors import FileRefused, PageRefused, QueryRefused
from smart_demo.ingest import decode_image_bytes, decode_image_file, inspect, render
from tests.documents import write_pdf
from tests.evaluation.cases import colour
from tests.ingest.cases import picture, raw_tiff, text_pdf
from tests.ingest.hostile_files import REFUSED

LIMITS = Limits()
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def one_page(path, content):
    path.write_bytes(content)
    (page,) = render(inspect(path, path.name, LIMITS), LIMITS)
    assert page.pixels.dtype == np.uint8
    return page


def quarters():
    """2 × 2: red, green / blue, white."""
    return Image.fromarray(np.array([[RED, GREEN], [BLUE, WHITE]], np.uint8)).resize((32, 16), Image.Resampling.NEAREST)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP"])
def test_lossless_formats_keep_every_pixel(tmp_path, kind):
    noise = np.random.default_rng(1).integers(0, 256, (37, 53, 3), np.uint8)
    options = {"lossless": True} if kind == "WEBP" else {}
    page = one_page(tmp_path / "a.bin", picture(Image.fromarray(noise), kind, **options))
    assert np.array_equal(page.pixels, noise)
    assert (page.number, page.pages, page.words) == (1, 1, ())


@pytest.mark.parametrize(
    ("kind", "turn"), [("JPEG", 6), ("PNG", 6), ("WEBP", 6), ("TIFF", 6), ("JPEG", 3), ("JPEG", 8)]
)
def test_a_picture_taken_with_the_camera_turned_is_shown_upright(tmp_path, kind, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    lossless = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    page = one_page(tmp_path / "turned", picture(quarters(), kind, exif=exif, **lossless))
    # By the EXIF standard: 6 is turned clockwise by a quarter to be upright, 3 by a half, 8 counter-clockwise.
    upright = np.rot90(np.asarray(quarters()), {6: -1, 3: 2, 8: 1}[turn])
    assert page.pixels.shape == upright.shape
    assert np.abs(page.pixels.astype(int) - upright).max() < 40


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(tmp_path, mode):
    half = Image.new("RGBA", (20, 10), (0, 0, 0, 255))
    half.paste((0, 0, 0, 0), (0, 0, 10, 10))
    page = one_page(tmp_path / "clear.png", picture(half.convert(mode), "PNG"))
    assert (page.pixels[:, :10] == 255).all()
    assert (page.pixels[:, 10:] == 0).all()


def test_half_transparent_ink_is_half_white(tmp_path):
    page = one_page(tmp_path / "clear.png", picture(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG"))
    assert page.pixels[0, 0].tolist() == [127, 127, 127]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_clipped_to_white(tmp_path, kind):
    ramp = np.linspace(0, 65_535, 256).astype(np.uint16)[None].repeat(4, 0)
    page = one_page(tmp_path / "deep", picture(Image.fromarray(ramp), kind))
    assert np.abs(page.pixels[0, :, 0].astype(int) - np.arange(256)).max() <= 1


def test_float_tiffs_use_their_whole_range(tmp_path):
    values = np.array([[-1.0, 0.0, 3.0]], np.float32)
    page = one_page(tmp_path / "float.tif", picture(Image.fromarray(values), "TIFF"))
    assert page.pixels[0, :, 0].tolist() == [0, 63, 255]


def test_one_bit_palette_grey_and_cmyk_become_rgb(tmp_path):
    one_bit = one_page(tmp_path / "a.png", picture(Image.new("1", (9, 5), 1), "PNG"))
    assert (one_bit.pixels == 255).all()
    palette = one_page(tmp_path / "b.png", picture(quarters().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"))
    assert np.array_equal(palette.pixels, np.asarray(quarters()))
    grey = one_page(tmp_path / "c.png", picture(Image.new("L", (9, 5), 77), "PNG"))
    assert (grey.pixels == 77).all()
    ink = one_page(tmp_path / "d.jpg", picture(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))
    assert np.abs(ink.pixels[8, 8].astype(int) - RED).max() < 10


def test_every_frame_of_a_tiff_is_a_page(tmp_path):
    path = tmp_path / "scan.tif"
    frames = [Image.new("RGB", (10 + n, 20), colour) for n, colour in enumerate([RED, GREEN, BLUE])]
    path.write_bytes(picture(frames[0], "TIFF", save_all=True, append_images=frames[1:]))
    upload = inspect(path, path.name, LIMITS)
    assert (upload.kind, upload.pages, upload.notices) == ("TIFF", 3, ())
    pages = list(render(upload, LIMITS))
    assert [tuple(page.pixels[0, 0]) for page in pages] == [RED, GREEN, BLUE]
    assert [page.pixels.shape for page in pages] == [(20, 10, 3), (20, 11, 3), (20, 12, 3)]
    assert [page.number for page in render(upload, LIMITS, skip={2})] == [1, 3]
    with pytest.raises(FileRefused, match="more than 2 pages"):
        inspect(path, path.name, replace(LIMITS, pages=2))


def test_one_frame_over_the_limit_refuses_a_tiff_before_any_is_decoded(tmp_path):
    path = tmp_path / "scan.tif"
    frames = [Image.new("L", (10, 10)), Image.new("L", (200, 200))]
    path.write_bytes(picture(frames[0], "TIFF", save_all=True, append_images=frames[1:]))
    with pytest.raises(FileRefused, match="200 × 200 pixels"):
        inspect(path, path.name, replace(LIMITS, pixels=1_000))


def test_a_damaged_frame_is_refused_by_number_and_the_others_are_kept(tmp_path):
    path = tmp_path / "scan.tif"
    noise = [Image.effect_noise((64, 64), 90) for _ in range(3)]
    content = bytearray(picture(noise[0], "TIFF", save_all=True, append_images=noise[1:], compression="tiff_deflate"))
    path.write_bytes(content)
    with Image.open(path) as image:
        image.seek(1)
        start = image.tag_v2[273][0]
    content[start : start + 64] = bytes(64)
    path.write_bytes(content)
    first, second, third = render(inspect(path, path.name, LIMITS), LIMITS)
    assert isinstance(second, PageRefused)
    assert "Page 2 of scan.tif" in str(second)
    assert np.array_equal(first.pixels[..., 0], np.asarray(noise[0]))
    assert np.array_equal(third.pixels[..., 0], np.asarray(noise[2]))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame_and_says_so(tmp_path, kind):
    frames = [Image.new("RGB", (20, 10), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    path = tmp_path / "film"
    path.write_bytes(picture(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    upload = inspect(path, "film.gif", LIMITS)
    assert upload.notices == ("film.gif is animated; only its first frame is taken.",)
    (page,) = render(upload, LIMITS)
    assert np.abs(page.pixels.reshape(-1, 3).astype(int) - RED).max() <= 1


def test_a_picture_for_a_query_is_decoded_like_a_page(tmp_path):
    path = tmp_path / "q.png"
    path.write_bytes(picture(quarters(), "PNG"))
    assert np.array_equal(decode_image_file(path, LIMITS), np.asarray(quarters()))
    with pytest.raises(FileRefused, match="32 × 16 pixels"):
        decode_image_file(path, replace(LIMITS, pixels=500))
    path.write_bytes(text_pdf("no picture"))
    with pytest.raises(QueryRefused, match="not a picture"):
        decode_image_file(path, LIMITS)
    with pytest.raises(FileRefused, match="not there"):
        decode_image_file(tmp_path / "missing.png", LIMITS)


def test_a_tiff_whose_strips_end_before_its_last_row_is_damaged_and_not_black_below(tmp_path):
    """Found by fuzzing: by its path such a file was refused, as bytes its missing rows were black."""
    path = tmp_path / "short.tif"
    tags = {256: (4, 1, 8), 257: (4, 1, 64), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 0)}
    content = raw_tiff({**tags, 278: (4, 1, 6), 279: (4, 1, 48)}) + bytes(48)
    path.write_bytes(content)
    (page,) = render(inspect(path, path.name, LIMITS), LIMITS)
    assert "damaged" in str(page)
    with pytest.raises(FileRefused, match="rows of its pixels are missing"):
        decode_image_bytes(content, "short.tif", LIMITS)


def test_a_length_that_claims_gigabytes_makes_no_room_for_them(tmp_path):
    """Found by fuzzing: read from a file such a chunk was two gigabytes of memory, from bytes what there was."""
    content = bytearray(picture(quarters(), "PNG"))
    place = content.index(b"IDAT") - 4
    content[place : place + 4] = b"\x7f\xff\xff\xff"
    path = tmp_path / "claims.png"
    path.write_bytes(content)
    assert np.array_equal(decode_image_bytes(bytes(content), path.name, LIMITS), np.asarray(quarters()))
    assert np.array_equal(decode_image_file(path, LIMITS), np.asarray(quarters()))


def test_bytes_and_files_decode_alike(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(colour(9, 8, 7))
    pixels = decode_image_bytes(path.read_bytes(), "a.png", LIMITS)
    assert np.array_equal(pixels, decode_image_file(path, LIMITS))
    assert pixels.shape == (6, 8, 3)


def test_hostile_pictures_are_refused_as_bytes_too(hostile):
    """A file that is refused when it is looked at gives no pixels as bytes either: a refusal or, for what is refused by
    its number of frames, its first frame.
    """
    for name in REFUSED:
        with suppress(FileRefused):
            pixels = decode_image_bytes(hostile[name].read_bytes(), name, LIMITS)
            assert pixels.shape[0] * pixels.shape[1] <= LIMITS.pixels


def test_limits_hold_before_anything_is_decoded(tmp_path):
    data = colour(1, size=(60, 50))
    with pytest.raises(FileRefused, match="megapixels"):
        decode_image_bytes(data, "a.png", replace(LIMITS, pixels=2_999))
    with pytest.raises(FileRefused, match="the limit is 50 bytes"):
        decode_image_bytes(data, "a.png", replace(LIMITS, file_bytes=50))
    with pytest.raises(FileRefused, match=r"a\.png is empty"):
        decode_image_bytes(b"", "../../a.png", LIMITS)
    with pytest.raises(FileRefused, match="is not a picture"):
        decode_image_bytes(write_pdf(tmp_path / "a.pdf", "a").read_bytes(), "a.png", LIMITS)
