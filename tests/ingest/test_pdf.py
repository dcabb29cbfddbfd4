"""PDF pages: drawn at the planned size, the right way up, with the words of the text layer where they stand."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from smart_demo.config import Limits
from smart_demo.errors import FileRefused, PageRefused
from smart_demo.ingest import clean_name, inspect, pdf, render
from smart_demo.ingest.files import PdfMarks, find_pdf_marks
from smart_demo.ingest.pdf import MAX_LONG_SIDE, NARROW_SIDE, plan_size
from tests.ingest.cases import CATALOG, boxed_pdf, raw_pdf, stream_object, text_pdf

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
    assert page.pixels.shape[1] / page.pixels.shape[0] == pytest.approx(105 / 50, rel=0.01)
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


@given(st.floats(9, 14_400), st.floats(1, 40), st.booleans(), st.integers(10_000, 12_000_000))
def test_a_plan_keeps_its_bounds_and_the_shape_of_the_page(long, aspect, upright, pixels):
    points = (long / aspect, long) if upright else (long, long / aspect)
    planned = plan_size(points, replace(LIMITS, rendered_pixels=pixels))
    assert max(planned) <= MAX_LONG_SIDE or min(planned) <= NARROW_SIDE
    assert planned[0] * planned[1] <= pixels + max(planned) + 1  # the rounding of one side
    if min(planned) > 50:
        assert planned[1] / planned[0] == pytest.approx(points[1] / points[0], rel=0.03)


@given(st.floats(9, 2_000), st.floats(1, 40))
def test_a_page_is_drawn_readable_however_small_or_narrow(long, aspect):
    """Readable: at 150 dpi, or as large as A5 at 150 dpi, or with lines of 500 pixels."""
    planned = plan_size((long / aspect, long), LIMITS)
    dpi = planned[1] / long * 72
    assert dpi >= 149 or planned[1] >= MAX_LONG_SIDE
    assert planned[1] >= 1_239
    if long / aspect >= 240:
        assert planned[0] >= 499


@pytest.mark.parametrize("box", [b"[0 0 59.5 84.2]/UserUnit 10", b"[0 0 84 60]", b"[0 0 9 9]", b"[0 0 200 300]"])
def test_tiny_boxes_are_drawn_large_with_or_without_a_user_unit(tmp_path, box):
    (page,) = pages_of(tmp_path / "tiny.pdf", boxed_pdf(b"/MediaBox " + box))
    assert max(page.pixels.shape[:2]) >= 1_239


def test_a_receipt_is_taken_and_drawn_whole_with_readable_lines(tmp_path):
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(226, 226 * 39), invariant=1)
    canvas.drawString(10, 226 * 39 - 30, "first")
    canvas.drawString(10, 20, "last")
    canvas.save()
    (page,) = pages_of(tmp_path / "receipt.pdf", buffer.getvalue())
    assert page.pixels.shape == (pytest.approx(18_362, abs=2), 471, 3)
    assert [word.text for word in page.words] == ["first", "last"]
    first, last = (word.box for word in page.words)
    for box in (first, last):
        height, width, _ = page.pixels.shape
        rows = page.pixels[int(box.top * height) : int(box.bottom * height) + 1]
        assert rows[:, int(box.left * width) : int(box.right * width)].min() < 128


# -- odd bytes around a good document


def odd_pdf(before=b"", after=b"", cut=0):
    whole = text_pdf("torque", "and more").rstrip()
    return before + whole[: len(whole) - cut] + after


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.binary(min_size=1, max_size=64) | st.just(b""),
    st.sampled_from([1, 60, 1_000, 40_000]),
    st.binary(min_size=1, max_size=64) | st.just(b""),
    st.sampled_from([1, 60, 1_000, 40_000]),
)
def test_odd_bytes_around_a_pdf_change_nothing_but_a_notice(tmp_path_factory, before, repeat, after, again):
    before, after = b"x" * bool(before) + before * repeat, after * again
    if set(before + after) & set(b"%"):  # it might become a mark or a comment of the file itself
        return
    path = tmp_path_factory.getbasetemp() / "odd.pdf"
    path.write_bytes(odd_pdf(before, b"\n" + after if after else b""))
    upload = inspect(path, path.name, LIMITS)
    assert upload.pages == 2
    padded = len(after) < 1_000 and not after.strip(b" \t\r\n\f\0\x1a\xef\xbb\xbf")
    places = ["before its start"] * bool(before) + ["after its end"] * (bool(after) and not padded)
    notice = f"odd.pdf has odd bytes {' and '.join(places)}; they were skipped."
    assert upload.notices == ((notice,) if places else ())


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_a_pdf_that_lacks_its_last_bytes_is_read_and_the_count_of_pages_said(tmp_path, cut):
    path = tmp_path / "cut.pdf"
    path.write_bytes(odd_pdf(cut=cut))
    upload = inspect(path, path.name, LIMITS)
    assert upload.notices == ("cut.pdf is cut off at its end; 2 pages could be found. Check that none is missing.",)
    assert [page.words[0].text for page in render(upload, LIMITS)] == ["torque", "and"]


def test_what_poppler_cannot_open_is_refused_for_what_it_seems_to_be(tmp_path):
    path = tmp_path / "a.bin"
    for content, words in (
        (b"x" * 5_000 + b"about %PDF-1.4 and startxref", "neither a PDF nor a picture"),
        (b"PK\3\4" + bytes(5_000) + text_pdf("inside"), "neither a PDF nor a picture"),
        (b"%PDF-1.4 but no more", "damaged"),
        (bytes(5_000) + text_pdf("x", encrypt=StandardEncryption("user", "owner")), "password-protected"),
    ):
        path.write_bytes(content)
        with pytest.raises(FileRefused, match=words):
            inspect(path, path.name, LIMITS)


@pytest.mark.parametrize("place", range(-12, 12, 3))
def test_marks_are_found_across_the_blocks_in_which_a_file_is_read(tmp_path, monkeypatch, place):
    monkeypatch.setattr("smart_demo.ingest.files.BLOCK_BYTES", 2_048)
    path = tmp_path / "a.pdf"
    content = odd_pdf(b"x" * (2_048 + place), b"y" * 3_000)
    path.write_bytes(content)
    assert find_pdf_marks(path, content[:1_024]) == PdfMarks(
        found=True, odd_start=True, odd_end=True, complete=True, joined=False
    )


SEVERAL = ("a.pdf holds several PDFs; only one of them was read. Split it.",)


@pytest.mark.parametrize("between", [b"", b"\n", b"\r\n", b"\0" * 50, b"\n" * 700])
def test_of_pdfs_joined_in_one_file_one_is_read_and_this_is_said(tmp_path, between):
    path = tmp_path / "a.pdf"
    path.write_bytes(between.join(text_pdf(*words) for words in (["one", "two"], ["three", "four", "five"], ["six"])))
    upload = inspect(path, path.name, LIMITS)
    assert upload.notices == SEVERAL
    assert [page.words[0].text for page in render(upload, LIMITS)] == ["six"]
    path.write_bytes(between.join(map(text_pdf, ("same", "size"))))
    upload = inspect(path, path.name, LIMITS)
    assert (upload.notices, len(list(render(upload, LIMITS)))) == (SEVERAL, 1)


@pytest.mark.parametrize("place", range(-20, 20, 3))
def test_a_joint_is_found_across_the_blocks_in_which_a_file_is_read(tmp_path, monkeypatch, place):
    monkeypatch.setattr("smart_demo.ingest.files.BLOCK_BYTES", 2_048)
    first, last = boxed_pdf(b"/MediaBox [0 0 9 9]"), text_pdf("last")
    path = tmp_path / "a.pdf"
    content = first.replace(b"\n", b"\n" * (2_048 + place - len(first)), 1) + last
    path.write_bytes(content)
    assert find_pdf_marks(path, content[:1_024]).joined


def updated_pdf():
    """One PDF with two later versions of its page, each appended with a table and an end of its own."""
    whole = boxed_pdf(b"/MediaBox [0 0 200 200]")
    for side in (300, 400):
        start = whole.rindex(b"startxref") + len(b"startxref\n")
        before = int(whole[start:].split()[0])
        body = b"3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]>>\nendobj\n" % (side, side)
        table = b"xref\n3 1\n%010d 00000 n \ntrailer\n<</Size 4/Root 1 0 R/Prev %d>>\n" % (len(whole), before)
        whole += body + table + b"startxref\n%d\n%%%%EOF\n" % (len(whole) + len(body))
    return whole


def test_one_pdf_with_later_versions_or_others_inside_is_not_several(tmp_path):
    path = tmp_path / "a.pdf"
    inside = text_pdf("inside")
    stored = b"<</Length %d/Type/EmbeddedFile>>stream\n%s\nendstream" % (len(inside), inside)
    holder = raw_pdf(
        CATALOG,
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
        stored,
        stored,
    )
    comment = text_pdf("torque").rstrip() + b"\n%PDF-1.4 is its format"
    for content in (updated_pdf(), holder, inside + updated_pdf()[9:], comment):
        path.write_bytes(content)
        assert inspect(path, path.name, LIMITS).notices in (
            (),
            ("a.pdf has odd bytes after its end; they were skipped.",),
        )
    path.write_bytes(updated_pdf())
    assert inspect(path, path.name, LIMITS).notices == ()


# -- what is in a file beside its pages


def attached_pdf(*names, form=b""):
    files = b"".join(b"(%d)<</Type/Filespec/F(%s)/EF<</F 4 0 R>>>>" % (n, name) for n, name in enumerate(names))
    tree = b"/Names<</EmbeddedFiles<</Names[%s]>>>>" % files if names else b""
    return raw_pdf(
        b"<</Type/Catalog/Pages 2 0 R%s%s>>" % (tree, form),
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>",
        stream_object(b"attached", b"/Type/EmbeddedFile"),
    )


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], ()),
        ([b"inside.pdf"], ("1 attached file of a.pdf was not read: inside.pdf. Save it",)),
        (
            [b"a.pdf", b"b.pdf", b"c.pdf", b"d.pdf"],
            ("4 attached files of a.pdf were not read: a.pdf, b.pdf, c.pdf, …",),
        ),
        ([b"../../<b>x.pdf"], ("1 attached file of a.pdf was not read: <b>x.pdf. Save it",)),
    ],
)
def test_attached_files_are_named_in_a_notice(tmp_path, names, words):
    path = tmp_path / "a.pdf"
    path.write_bytes(attached_pdf(*names))
    notices = inspect(path, path.name, LIMITS).notices
    assert len(notices) == len(words)
    assert all(notice.startswith(start) for notice, start in zip(notices, words, strict=True))


def test_an_xfa_form_says_what_was_not_read_and_what_to_do(tmp_path):
    path = tmp_path / "form.pdf"
    path.write_bytes(attached_pdf(form=b"/AcroForm<</Fields[]/XFA 4 0 R>>"))
    (notice,) = inspect(path, path.name, LIMITS).notices
    assert notice == "form.pdf may not be complete: it is an XFA form. Print it to PDF and add that too."


def test_attachments_with_megabytes_of_names_are_counted_and_only_the_shown_names_are_cleaned(tmp_path, monkeypatch):
    raw = []
    monkeypatch.setattr(pdf, "clean_name", lambda name: raw.append(name) or clean_name(name))
    path = tmp_path / "a.pdf"
    path.write_bytes(attached_pdf(*[b"x" * 9 + b" " * 6_000] * 3_000))
    assert len(path.read_bytes()) > pdf.MAX_OUTPUT_BYTES
    notices = inspect(path, path.name, LIMITS).notices
    assert len(raw) == 3
    assert max(map(len, raw)) <= pdf.MAX_RAW_NAME
    assert [notice[:52] for notice in notices] == ["3,000 attached files of a.pdf were not read: xxxxxxx"]
    assert len(notices[0]) < 400


def test_attachments_that_cannot_be_listed_refuse_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.pdf"
    path.write_bytes(attached_pdf(b"inside.pdf"))
    monkeypatch.setitem(pdf.PROGRAMS, "pdfdetach", ("false", ""))
    assert inspect(path, path.name, LIMITS).notices == ()


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
