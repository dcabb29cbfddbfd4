"""Damaged bytes: whatever is flipped, cut or spliced, the answer is a page or one of our refusals."""

from __future__ import annotations

from functools import cache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from smart_demo.config import Limits
from smart_demo.errors import InputRefused
from smart_demo.ingest import inspect, render
from tests.ingest.hostile_files import picture, text_pdf

LIMITS = Limits(seconds=5, pages=20, pixels=1_000_000, rendered_pixels=100_000)


@cache
def seeds():
    """One small file of every kind we read."""
    image = Image.effect_noise((48, 32), 80).convert("RGB")
    frames = {"save_all": True, "append_images": [image.rotate(180)]}
    exif = Image.Exif()
    exif[0x0112] = 6
    pictures = [picture(image, kind, exif=exif) for kind in ("PNG", "JPEG", "WEBP", "TIFF")]
    pictures += [picture(image, kind, **frames) for kind in ("PNG", "TIFF", "GIF", "WEBP")]
    pictures += [picture(image, "TIFF", compression=name) for name in ("tiff_lzw", "jpeg", "packbits")]
    return [*pictures, picture(image, "BMP"), picture(image.convert("P"), "PNG")]


@st.composite
def damaged(draw, originals):
    content = bytearray(draw(st.sampled_from(originals())))
    for _ in range(draw(st.integers(1, 6))):
        # Half of all blows go to the first bytes, where headers are.
        place = draw(st.one_of(st.integers(0, len(content) - 1), st.integers(0, min(len(content), 200) - 1)))
        blow = draw(st.binary(min_size=1, max_size=6) | st.sampled_from([b"\xff" * 4, b"\0" * 4]))
        content[place : place + len(blow)] = blow
    return bytes(content[: draw(st.one_of(st.just(len(content)), st.integers(1, len(content))))])


def outcome(path, content):
    path.write_bytes(content)
    try:
        results = list(render(inspect(path, path.name, LIMITS), LIMITS))
    except InputRefused as refusal:
        results = [refusal]
    for result in results:
        if isinstance(result, InputRefused):
            assert path.name in str(result)
        else:
            height, width, channels = result.pixels.shape
            assert channels == 3
            assert 0 < height * width <= LIMITS.pixels


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(damaged(seeds))
def test_a_damaged_picture_is_taken_or_refused_but_never_crashes(tmp_path_factory, content):
    outcome(tmp_path_factory.getbasetemp() / "fuzzed.bin", content)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(damaged(lambda: [text_pdf("a page", "and another")]))
def test_a_damaged_pdf_is_taken_or_refused_but_never_crashes(tmp_path_factory, content):
    outcome(tmp_path_factory.getbasetemp() / "fuzzed.pdf", content)
