"""PDF pages: drawn at the planned size, the right way up, with the words of the text layer where they stand."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reportlab.pdfgen.canvas import Canvas

from smart_demo.config import Limits
from smart_demo.errors import FileRefused, PageRefused
from smart_demo.ingest import inspect, render
from smart_demo.ingest.pdf import MAX_LONG_SIDE, plan_size
from tests.ingest.cases import boxed_pdf, text_pdf

LIMITS = Limits()


def pages_of(path, content, skip=(), limits=LIMITS):
    path.write_bytes(content)
    return list(render(inspect(path, path.name, limits), limits, skip))


def turned_pdf(rotation, crop=None):
    """400 × 600 points as drawn, with a black square and two words near the top left corner before any turning."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(400, 600) if rotation % 180 == 0 else (600, 400), invariant=1)
    canvas.setPageRotation(rotation)
    if crop:
        canvas.setCropBox(crop)
    canvas.translate(0, 0 if rotation % 180 == 0 else -200)
    canvas.rect(20, 560, 40, 20, fill=1)
    canvas.drawString(80, 565, "north west")
    canvas.save()
    return buffer.getvalue()


def test_words_come_in_reading_order_with_boxes_on_their_ink(tmp_path):
    (page,) = pages_of(tmp_path / "a.pdf", text_pdf("Hello wide world"))
    assert [word.text for word in page.words] == ["Hello", "wide", "world"]
    first = page.words[0].box
    # Drawn at 20 points from the left and 570 from the bottom of 400 × 600, in 12 point Helvetica: 27.34 points wide.
    assert (first.left, first.right) == (pytest.approx(20 / 400, abs=0.002), pytest.approx(47.34 / 400, abs=0.002))
    assert first.top < 30 / 600 < first.bottom < 40 / 600
    height, width, _ = page.pixels.shape
    rows, columns = np.nonzero(page.pixels.min(axis=2) < 128)
    assert columns.min() / width == pytest.approx(first.left, abs=0.01)
    assert first.top - 0.005 < rows.min() / height < first.bottom


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_turned_page_is_drawn_as_shown_and_its_words_lie_beside_its_ink(tmp_path, rotation):
    (page,) = pages_of(tmp_path / "turned.pdf", turned_pdf(rotation))
    box = next(word.box for word in page.words if word.text == "north")
    corner = {0: (0, 0), 90: (1, 0), 180: (1, 1), 270: (0, 1)}[rotation]  # clockwise, as a viewer shows it
    assert (round((box.left + box.right) / 2), round((box.top + box.bottom) / 2)) == corner
    height, width, _ = page.pixels.shape
    inside = page.pixels[round(box.top * height) : round(box.bottom * height)]
    inside = inside[:, round(box.left * width) : round(box.right * width)]
    assert inside.min() < 128


def test_a_quarter_turn_changes_the_shape_of_the_picture(tmp_path):
    (upright,) = pages_of(tmp_path / "a.pdf", boxed_pdf(b"/MediaBox [0 0 200 400]"))
    (across,) = pages_of(tmp_path / "b.pdf", boxed_pdf(b"/MediaBox [0 0 200 400]/Rotate 90"))
    assert upright.pixels.shape[0] > upright.pixels.shape[1]
    assert across.pixels.shape[0] < across.pixels.shape[1]


def test_only_the_visible_part_of_a_cropped_page_is_drawn_and_read(tmp_path):
    (page,) = pages_of(tmp_path / "cropped.pdf", turned_pdf(0, crop=(0, 550, 105, 600)))
    assert page.pixels.shape[:2] == (pytest.approx(50 * 150 / 72, abs=2), pytest.approx(105 * 150 / 72, abs=2))
    assert [word.text for word in page.words] == ["north"]
    assert page.words[0].box.right == 1.0


def test_pages_have_their_numbers_and_skipped_ones_are_left_out(tmp_path):
    pages = pages_of(tmp_path / "four.pdf", text_pdf("one", "two", "three", "four"), skip={1, 3})
    assert [(page.number, page.pages, page.words[0].text) for page in pages] == [(2, 4, "two"), (4, 4, "four")]
    assert pages_of(tmp_path / "none.pdf", text_pdf("one"), skip={1}) == []


def test_an_a4_page_is_drawn_at_150_dpi_as_rgb_bytes(tmp_path):
    (page,) = pages_of(tmp_path / "a4.pdf", boxed_pdf(b"/MediaBox [0 0 595.276 841.89]"))
    assert page.pixels.shape == (1754, pytest.approx(1240, abs=1), 3)
    assert page.pixels.dtype == np.uint8
    assert page.pixels.min() == 255


@given(st.floats(0.5, 14_400), st.floats(0.05, 20), st.integers(10_000, 12_000_000))
def test_a_plan_keeps_its_bounds_and_the_shape_of_the_page(width, aspect, pixels):
    points = (width, width * aspect)
    planned = plan_size(points, replace(LIMITS, rendered_pixels=pixels))
    assert max(planned) <= MAX_LONG_SIDE
    assert planned[0] * planned[1] <= pixels + max(planned) + 1  # the rounding of one side
    if min(planned) > 50:
        assert planned[1] / planned[0] == pytest.approx(aspect, rel=0.03)


def test_a_lower_limit_of_pixels_is_kept_by_the_drawn_page(tmp_path):
    (page,) = pages_of(tmp_path / "a.pdf", text_pdf("small"), limits=replace(LIMITS, rendered_pixels=60_000))
    assert page.pixels.shape == (300, 200, 3)


def test_a_page_without_words_and_one_whose_words_cannot_be_read_keep_their_picture(tmp_path, monkeypatch):
    (blank,) = pages_of(tmp_path / "blank.pdf", boxed_pdf(b"/MediaBox [0 0 200 200]"))
    assert blank.words == ()
    monkeypatch.setattr("smart_demo.ingest.pdf.MAX_OUTPUT_BYTES", 512)  # the text layer outgrows what it may write
    (page,) = pages_of(tmp_path / "words.pdf", text_pdf("many words of little use"))
    assert page.words == ()
    assert page.pixels.shape == (1250, 834, 3) or page.pixels.shape == (1250, 833, 3)


def test_too_many_pages_are_refused_in_numbers(tmp_path):
    path = tmp_path / "long.pdf"
    path.write_bytes(boxed_pdf(*[b"/MediaBox [0 0 9 9]"] * 3))
    with pytest.raises(FileRefused, match=r"long\.pdf has 3 pages; the limit is 2"):
        inspect(path, path.name, replace(LIMITS, pages=2))


def test_a_file_that_changed_after_it_was_inspected_is_not_taken_for_what_it_was(tmp_path):
    path = tmp_path / "a.pdf"
    path.write_bytes(text_pdf("before"))
    upload = inspect(path, path.name, LIMITS)
    path.write_bytes(text_pdf("after"))
    with pytest.raises(FileRefused, match="changed"):
        next(render(upload, LIMITS))
    path.unlink()
    with pytest.raises(FileRefused, match="not there"):
        next(render(upload, LIMITS))


def test_without_poppler_a_pdf_is_refused_with_the_cure_and_pictures_go_on(tmp_path, monkeypatch):
    path = tmp_path / "a.pdf"
    path.write_bytes(text_pdf("words"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileRefused) as refusal:
        inspect(path, path.name, LIMITS)
    assert "poppler" in refusal.value.hint


def test_pages_are_drawn_if_scripts_cannot_run(tmp_path, monkeypatch):
    monkeypatch.setattr("smart_demo.ingest.pdf._can_run_scripts", lambda folder: False)
    (page,) = pages_of(tmp_path / "a.pdf", text_pdf("still here"))
    assert not isinstance(page, PageRefused)
    assert [word.text for word in page.words] == ["still", "here"]
