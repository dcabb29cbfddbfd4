"""Files that want to do harm: each gives pages or one sentence, the rest of the batch unharmed, nothing left behind."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from smart_demo.config import Limits
from smart_demo.errors import FileRefused, InputRefused, PageRefused
from smart_demo.ingest import inspect, pdf, render
from tests.ingest.cases import boxed_pdf, picture, text_pdf
from tests.ingest.hostile_files import ENDING, LONG_METADATA, PAGES_REFUSED, POLYGLOTS, REFUSED, TAKEN, long_metadata

pytestmark = pytest.mark.usefixtures("empty_temporary_folder")
LIMITS, QUICK = Limits(), Limits(seconds=2)


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_file_is_refused_in_one_sentence_that_says_why_and_what_to_do(hostile, name):
    with pytest.raises(FileRefused) as refusal:
        inspect(hostile[name], name, LIMITS)
    assert REFUSED[name] in str(refusal.value)
    assert name in str(refusal.value)
    assert refusal.value.hint.endswith(".")
    assert "\n" not in refusal.value.sentence


@pytest.mark.parametrize("name", PAGES_REFUSED)
def test_a_bad_page_is_refused_by_name_and_the_other_pages_are_kept(hostile, name):
    upload = inspect(hostile[name], name, QUICK)
    refusals = {}
    for number, page in enumerate(render(upload, QUICK), 1):
        if isinstance(page, PageRefused):
            refusals[number] = page
        else:
            assert page.number == number
            assert min(page.pixels.shape[:2]) > 2
    assert set(refusals) == set(PAGES_REFUSED[name])
    for number, words in PAGES_REFUSED[name].items():
        assert words in str(refusals[number])
        assert name in str(refusals[number])
        assert upload.kind != "pdf" or f"Page {number} of" in str(refusals[number])


@pytest.mark.parametrize("name", TAKEN)
def test_an_odd_file_is_taken_whole_for_what_it_shows_and_never_as_one_pixel(hostile, name):
    upload = inspect(hostile[name], name, LIMITS)
    pages = list(render(upload, LIMITS))
    assert upload.pages == len(pages) == TAKEN[name]
    assert upload.kind == POLYGLOTS.get(name, upload.kind)
    for page in pages:
        assert not isinstance(page, PageRefused)
        assert page.pixels.shape[0] * page.pixels.shape[1] <= LIMITS.rendered_pixels
        assert page.pixels.size > 3


def test_stopping_after_the_first_page_leaves_nothing_behind(hostile):
    pages = render(inspect(hostile["zero-box.pdf"], "a.pdf", QUICK), QUICK)
    next(pages)
    pages.close()


def test_a_program_started_for_a_file_sees_no_secret_and_has_bounds(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "secret")
    spy = tmp_path / "spies"
    spy.mkdir()
    (spy / "pdfinfo").write_text("#!/bin/sh\n/usr/bin/env; ulimit -v; ulimit -t\n")
    (spy / "pdfinfo").chmod(0o755)
    for program in ("pdftoppm", "pdftotext"):
        (spy / program).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", f"{spy}:{os.environ['PATH']}")
    with pdf.limited_poppler(7) as folder:
        output = subprocess.run([f"{folder}/{pdf.LIMITED_PDFINFO}"], capture_output=True, text=True, check=True).stdout
    assert "secret" not in output
    assert output.split()[-2:] == [str(pdf.MAX_MEMORY_BYTES // 1_024), "8"]


@pytest.mark.parametrize("name", ENDING)
def test_a_bomb_on_one_page_ends_and_leaves_the_next_page(hostile, name):
    bomb, harmless = render(inspect(hostile[name], name, QUICK), QUICK)
    assert not isinstance(bomb, PageRefused) or "took more than 2 seconds" in str(bomb)
    assert not isinstance(harmless, PageRefused)
    assert harmless.pixels.min() == 255


def test_forty_megabytes_of_metadata_are_left_out_or_refused(tmp_path):
    for name, content in long_metadata().items():
        assert len(content) < 1.5 * LONG_METADATA
        path = tmp_path / name
        path.write_bytes(content)
        try:
            (page,) = render(inspect(path, name, LIMITS), LIMITS)
        except FileRefused as refusal:
            page = refusal
        if isinstance(page, FileRefused | PageRefused):
            assert name in str(page)
        else:
            assert page.pixels.shape in {(9, 9, 3), (1, 2, 3)}
        path.unlink()


def test_a_file_of_a_thousand_pages_can_be_stopped_after_any_of_them(tmp_path):
    path = tmp_path / "long.pdf"
    path.write_bytes(boxed_pdf(*[b"/MediaBox [0 0 60 60]"] * 1_000))
    limits = replace(LIMITS, pages=1_000)
    upload = inspect(path, path.name, limits)
    assert upload.pages == 1_000
    with closing(render(upload, limits)) as pages:
        assert [next(pages).number for _ in range(2)] == [1, 2]
    (last,) = render(upload, limits, skip=range(1, 1_000))
    assert last.number == 1_000
    with pytest.raises(FileRefused, match=r"1,000 pages; the limit is 200"):
        inspect(path, path.name, LIMITS)


def test_a_file_whose_pages_all_take_long_is_left_after_a_few(tmp_path, monkeypatch):
    """Others wait behind it: two hundred pages of twenty seconds would be an hour."""
    clock = iter(range(0, 10**6, 7))
    monkeypatch.setattr("smart_demo.ingest.reader.time.monotonic", lambda: next(clock))
    path = tmp_path / "slow.pdf"
    path.write_bytes(text_pdf(*"abcdefgh"))
    limits = replace(LIMITS, seconds=1)
    pages = list(render(inspect(path, path.name, limits), limits))
    taken = [page for page in pages if not isinstance(page, PageRefused)]
    # 10 slow pages of one second and 2 for each of 8; each page takes 7 by this clock.
    assert len(taken) == 4
    assert len(pages) == 8
    assert str(pages[4]) == "Page 5 of slow.pdf was not tried: the pages before it took too long."


# -- damaged bytes: whatever is flipped, cut or spliced, the answer is a page or one of our refusals

DAMAGED = Limits(seconds=5, pages=20, pixels=1_000_000, rendered_pixels=100_000)


@cache
def seeds():
    """One small file of every kind we read."""
    image = Image.effect_noise((48, 32), 80).convert("RGB")
    frames = {"save_all": True, "append_images": [image.rotate(180)]}
    exif = Image.Exif()
    exif[0x0112] = 6
    pictures = [picture(image, kind, exif=exif) for kind in ("PNG", "JPEG", "WEBP", "TIFF", "HEIC", "AVIF")]
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
        results = list(render(inspect(path, path.name, DAMAGED), DAMAGED))
    except InputRefused as refusal:
        results = [refusal]
    for result in results:
        if isinstance(result, InputRefused):
            assert path.name in str(result)
        else:
            height, width, channels = result.pixels.shape
            assert channels == 3
            assert 0 < height * width <= DAMAGED.pixels


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(damaged(seeds))
def test_a_damaged_picture_is_taken_or_refused_but_never_crashes(tmp_path_factory, content):
    outcome(tmp_path_factory.getbasetemp() / "fuzzed.bin", content)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(damaged(lambda: [text_pdf("a page", "and another")]))
def test_a_damaged_pdf_is_taken_or_refused_but_never_crashes(tmp_path_factory, content):
    outcome(tmp_path_factory.getbasetemp() / "fuzzed.pdf", content)
