"""Pictures: upright RGB with every pixel they have, whatever the format made of them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from smart_demo.config import Limits
from smart_demo.errors import FileRefused, PageRefused, QueryRefused
from smart_demo.ingest import decode_image_bytes, decode_image_file, images, inspect, render
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


# -- HEIC and AVIF


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_photos_of_phones_keep_their_colours_and_stand_upright(tmp_path, kind):
    page = one_page(tmp_path / "photo", picture(quarters().resize((64, 32)), kind, quality=95))
    assert page.pixels.shape == (32, 64, 3)
    corners = page.pixels[[8, 8, 24, 24], [16, 48, 16, 48]].astype(int)
    assert np.abs(corners - [RED, GREEN, BLUE, WHITE]).max() < 60
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = one_page(tmp_path / "turned", picture(quarters().resize((64, 32)), kind, quality=95, exif=exif))
    assert turned.pixels.shape == (64, 32, 3)
    corners = turned.pixels[[16, 16, 48, 48], [8, 24, 8, 24]].astype(int)
    assert np.abs(corners - [BLUE, RED, WHITE, GREEN]).max() < 60


def test_what_else_is_in_the_container_of_heic_is_refused(tmp_path):
    path = tmp_path / "film.heic"
    path.write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + bytes(100))
    with pytest.raises(FileRefused, match="neither a PDF nor a picture"):
        inspect(path, path.name, LIMITS)


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_a_decoder_that_is_missing_is_said_with_the_cure(monkeypatch, kind):
    monkeypatch.setattr(images, "FORMATS", ("PNG", "JPEG"))
    with pytest.raises(FileRefused, match=f"of the kind {kind}, which is not read here") as refusal:
        images.inspect_image(picture(quarters(), kind), "photo.heic", LIMITS)
    assert refusal.value.hint == "Save it as JPEG."


def test_several_pictures_in_a_heic_give_the_main_one_and_a_notice(tmp_path):
    path = tmp_path / "burst"
    frames = [Image.new("RGB", (64, 64), colour) for colour in (RED, BLUE)]
    path.write_bytes(picture(frames[0], "HEIC", append_images=frames[1:]))
    upload = inspect(path, "burst.heic", LIMITS)
    assert (upload.kind, upload.pages) == ("HEIF", 1)
    assert upload.notices == ("burst.heic holds several pictures; only its main one is taken.",)
    (page,) = render(upload, LIMITS)
    assert np.abs(page.pixels[32, 32].astype(int) - RED).max() < 30


# -- pixels that are not square


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "JPEG", "BMP"])
@pytest.mark.parametrize(
    ("dpi", "shape"),
    [
        ((204, 98), (round(100 * 204 / 98), 60)),
        ((98, 204), (100, round(60 * 204 / 98))),
        ((200, 200), (100, 60)),
        ((200, 180), (100, 60)),
        ((300, 20), (100, 60)),
    ],
)
def test_a_fax_is_shown_in_its_true_shape(tmp_path, kind, dpi, shape):
    page = one_page(tmp_path / "fax", picture(Image.new("L", (60, 100), 9), kind, dpi=dpi))
    assert page.pixels.shape[:2] == (pytest.approx(shape[0], abs=1), pytest.approx(shape[1], abs=1))
    assert page.pixels.max() < 30


def test_a_fax_on_its_side_is_stretched_before_it_is_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    page = one_page(tmp_path / "fax", picture(Image.new("L", (60, 100)), "TIFF", dpi=(200, 100), exif=exif))
    assert page.pixels.shape[:2] == (60, 200)


@given(st.integers(1, 300), st.integers(1, 300), st.tuples(*[st.integers(1, 700)] * 2), st.integers(500, 100_000))
@settings(deadline=None)
def test_square_pixels_stay_within_the_limit(width, height, dpi, pixels):
    image = Image.new("RGB", (width, height))
    image.info["dpi"] = dpi
    limits = replace(LIMITS, pixels=max(pixels, width * height))
    result = images._square_pixels(image, images._pixel_ratio(image), limits)
    assert result.width * result.height <= limits.pixels
    if 1.2 < max(dpi) / min(dpi) < 4 and min(result.size) > 60:
        shape = (width / dpi[0]) / (height / dpi[1])
        assert result.width / result.height == pytest.approx(shape, rel=0.05)


@pytest.mark.parametrize(
    "stated", [(0, 0), (float("nan"), 1), (1, 0), ("a", 2), (1,), None, (-204, 98), (1e300, 1e-300)]
)
def test_a_resolution_that_makes_no_sense_changes_nothing(stated):
    image = Image.new("RGB", (4, 4))
    image.info["dpi"] = stated
    assert images._pixel_ratio(image) == 1


# -- ink on transparent ground


def lettering(ink, mode):
    """Return words in a colour on transparent ground."""
    image = Image.new("RGBA", (200, 60), (*ink, 0))
    ImageDraw.Draw(image).text((10, 10), "torque", fill=(*ink, 255), font=ImageFont.load_default(40))
    return image.convert(mode)


INKS = st.tuples(*[st.integers(0, 255)] * 3)


@given(INKS, st.sampled_from(["RGBA", "P", "LA"]))
@settings(deadline=None, max_examples=60)
def test_ink_of_any_colour_is_shown_on_a_ground_that_shows_it(ink, mode):
    layered = lettering(ink, mode)
    flat = np.asarray(images._to_rgb(layered).convert("L")).astype(int)
    ground = flat[0, 0]
    assert np.abs(flat - ground).max() >= 80


@pytest.mark.parametrize(
    ("kind", "mode"),
    [(kind, "RGBA") for kind in ("PNG", "WEBP", "GIF", "TIFF", "AVIF", "HEIC")] + [("PNG", "LA"), ("PNG", "P")],
)
def test_white_words_on_transparency_are_white_on_dark(tmp_path, kind, mode):
    page = one_page(tmp_path / "white", picture(lettering((255, 255, 255), mode), kind))
    assert page.pixels[0, 0].max() < 60
    assert page.pixels.max() > 200


def test_a_drawing_with_white_boxes_and_black_lines_stays_on_white(tmp_path):
    image = Image.new("RGBA", (300, 200), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 20, 280, 150), fill="white", outline="black", width=3)
    draw.text((40, 160), "a label outside", fill="black", font=ImageFont.load_default(24))
    page = one_page(tmp_path / "drawing.png", picture(image, "PNG"))
    assert page.pixels[0, 0].tolist() == [255, 255, 255]


def test_a_window_with_a_shadow_stays_on_white(tmp_path):
    image = Image.new("RGBA", (400, 300), (0, 0, 0, 60))
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 20, 380, 280), fill="white")
    draw.text((40, 40), "words of a window", fill="black", font=ImageFont.load_default(30))
    page = one_page(tmp_path / "window.png", picture(image, "PNG"))
    assert page.pixels[0, 0].min() > 150


def test_a_screenshot_of_any_length_is_taken_whole(tmp_path):
    page = one_page(tmp_path / "web.png", picture(Image.new("RGB", (400, 16_000), "white"), "PNG"))
    assert page.pixels.shape == (16_000, 400, 3)


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


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
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


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("size", [(1, 101), (909, 9), (2, 40_000)])
def test_a_strip_is_refused_before_it_is_decoded(tmp_path, kind, size):
    path = tmp_path / "strip.bin"
    path.write_bytes(picture(Image.new("RGB", size), kind))
    with pytest.raises(FileRefused) as refused:
        inspect(path, "strip.bin", LIMITS)
    width, height = size
    assert str(refused.value) == f"strip.bin is a strip of {width:,} × {height:,} pixels."
    assert refused.value.hint == "Cut it into pages."


@pytest.mark.parametrize("size", [(1, 100), (900, 9), (1, 1)])
def test_a_narrow_picture_is_taken(tmp_path, size):
    page = one_page(tmp_path / "narrow.png", picture(Image.new("RGB", size), "PNG"))
    assert page.pixels.shape[1::-1] == size
