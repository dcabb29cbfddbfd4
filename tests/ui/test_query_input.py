"""Pictures of queries: cut from pages, uploaded, kept for their visitor, and shown beside the query box."""

import io
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from smart_demo.config import Limits
from smart_demo.errors import InputRefused, LibraryError
from smart_demo.search.request import make_region
from smart_demo.types import SAMPLES, PageId, Scope
from smart_demo.ui import query_input
from smart_demo.ui.query_input import PicturePreview, QueryPictures
from tests.ui.cases import HOSTILE, stored
from tests.ui.parsed_markup import ParsedMarkup

RED, GREEN, BLUE, WHITE = (200, 0, 0), (0, 160, 0), (0, 0, 200), (255, 255, 255)
PAGE = PageId("a" * 16, 1)


def region(*corners):
    return str(make_region(SAMPLES, PAGE, list(corners)))


def pictures_of_page(pixels):
    """Return pictures over one page with these pixels, and the list of pages that are looked up."""
    looked_up, stream = [], io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", lossless=True)

    def find_page(scope, page):
        looked_up.append((scope, page))
        return stored(1)

    return QueryPictures(find_page, lambda _: stream.getvalue(), Limits()), looked_up


def no_crop(*_):
    raise AssertionError("an uploaded picture has no page")


@pytest.fixture
def upload(tmp_path):
    """Upload a picture of this size and return its reference."""

    def store(pictures, width=20, height=20):
        path = tmp_path / "q.png"
        Image.new("RGB", (width, height), GREEN).save(path)
        return pictures.store(path)

    return store


def test_a_region_is_cut_where_it_was_drawn():
    sheet = np.full((100, 60, 3), WHITE, np.uint8)
    sheet[20:50, 30:60] = RED
    sheet[60:100, 0:20] = BLUE
    pictures, looked_up = pictures_of_page(sheet)
    red = pictures.load_pixels(region(0.5, 0.2, 1, 0.5))
    assert red.shape == (30, 30, 3)
    assert (red == RED).all()
    blue = pictures.load_pixels(region(0, 0.6, 1 / 3, 1))
    assert blue.shape == (40, 20, 3)
    assert (blue == BLUE).all()
    np.testing.assert_array_equal(pictures.load_pixels(region(0, 0, 1, 1)), sheet)
    assert set(looked_up) == {(SAMPLES, PAGE)}


def test_a_region_too_small_to_recognise_is_refused_with_a_message():
    pictures, _ = pictures_of_page(np.zeros((1000, 700, 3), np.uint8))
    assert pictures.load_pixels(region(0, 0, 16 / 700, 0.016)).shape[:2] >= (16, 16)
    with pytest.raises(InputRefused, match="too small to ask with"):
        pictures.load_pixels(region(0.1, 0.1, 0.9, 0.114))


def test_a_damaged_stored_picture_raises():
    pictures = QueryPictures(lambda *_: stored(1), lambda _: b"RIFF nothing", Limits())
    with pytest.raises(LibraryError, match="cannot be read"):
        pictures.load_pixels(region(0, 0, 1, 1))


def test_an_uploaded_picture_is_reduced_and_has_a_random_name(upload):
    pictures, _ = pictures_of_page(np.zeros((20, 20, 3), np.uint8))
    first, second = upload(pictures, 2400, 1200), upload(pictures, 2400, 1200)
    assert first != second
    assert pictures.load_pixels(first).shape == (800, 1600, 3)
    assert (pictures.load_pixels(first) == GREEN).all()
    preview = pictures.preview(first, no_crop)
    assert preview.page is None
    assert (preview.width, preview.height) == (192, 96)
    assert preview.address.startswith("data:image/webp;base64,")


def test_a_part_of_a_page_is_shown_by_an_address_in_its_own_shape():
    pictures, _ = pictures_of_page(np.zeros((20, 20, 3), np.uint8))
    asked = []
    preview = pictures.preview(region(0, 0.5, 1, 1), lambda *given: asked.append(given) or "pictures/own/x")
    page, box, width = asked[0]
    assert (preview.address, preview.page, preview.whole) == ("pictures/own/x", page, False)
    assert width == preview.width
    aspect = box.bottom - box.top, page.width / page.height
    assert preview.width / preview.height == pytest.approx(aspect[1] / aspect[0], rel=0.05)
    assert (preview.width, preview.height) <= query_input.PREVIEW_SIZE


def test_the_least_recently_used_picture_is_evicted_by_count_and_by_bytes(upload, monkeypatch):
    monkeypatch.setattr(query_input, "MAX_PICTURES", 3)
    monkeypatch.setattr(query_input, "MAX_PICTURES_BYTES", 2 * 50 * 40 * 3)
    pictures, _ = pictures_of_page(np.zeros((20, 20, 3), np.uint8))

    def is_kept(reference):
        try:
            return bool(pictures.load_pixels(reference).size)
        except InputRefused as error:
            return error.sentence != "That picture is no longer kept. Choose it again."

    small = [upload(pictures) for _ in range(4)]
    assert [is_kept(one) for one in small] == [False, True, True, True]
    is_kept(small[1])  # loaded again, so it is not the oldest
    large = upload(pictures, 50, 40)
    assert [is_kept(one) for one in [*small, large]] == [False, True, False, True, True]
    largest = upload(pictures, 100, 39)
    assert [is_kept(one) for one in [*small, large, largest]] == [False] * 5 + [True]


def test_an_uploaded_picture_is_available_to_its_visitor_only_and_evicted_by_their_own(upload):
    visitor = Scope("alice")
    pictures = QueryPictures(lambda *_: stored(1), lambda _: b"", Limits(), lambda: visitor)
    hers = upload(pictures)
    visitor = Scope("bob")
    his = [upload(pictures) for _ in range(query_input.MAX_PICTURES + 1)]
    for reference in (hers, his[0]):
        with pytest.raises(InputRefused, match="no longer kept"):
            pictures.load_pixels(reference)
    assert pictures.load_pixels(his[-1]).size
    pictures.delete(Scope("bob"))
    with pytest.raises(InputRefused, match="no longer kept"):
        pictures.load_pixels(his[-1])
    visitor = Scope("alice")
    assert pictures.load_pixels(hers).size


def test_a_slow_picture_delays_only_its_own_visitor(tmp_path, monkeypatch):
    """A visitor decodes one picture at a time, and an upload is refused if too many are being decoded."""
    slow, begun, who = threading.Event(), threading.Semaphore(0), threading.local()

    def decode(path, *_):
        begun.release()
        if path.name == "slow.png":
            assert slow.wait(60)
        return np.zeros((40, 40, 3), np.uint8)

    monkeypatch.setattr("smart_demo.ui.query_input.ingest.decode_image_file", decode)
    kept = QueryPictures(None, None, Limits(), lambda: who.is_, timeout=0.0)

    def keep(name, owner):
        who.is_ = Scope(owner)
        return kept.store(tmp_path / name)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(keep, "slow.png", "a")
        begun.acquire()
        with pytest.raises(InputRefused, match="Other pictures"):
            keep("quick.png", "a")
        assert keep("quick.png", "b").startswith("kept:")
        second = threads.submit(keep, "slow.png", "b")
        begun.acquire()  # of the quick one
        begun.acquire()
        with pytest.raises(InputRefused, match="Other pictures"):
            keep("quick.png", "c")
        slow.set()
        assert {first.result()[:5], second.result()[:5]} == {"kept:"}
    assert keep("quick.png", "c").startswith("kept:")


@pytest.mark.parametrize("document", HOSTILE)
def test_a_name_in_the_tag_is_only_a_name(document):
    markup = query_input.render_picture_tag(
        PicturePreview("data:image/webp;base64,", 9, 9, stored(3, document), whole=False)
    )
    seen = ParsedMarkup(markup)
    assert "<b>A part of page 3</b> <span>of <bdi>" in markup
    assert set(seen.tags) == {"div", "img", "span", "b", "bdi", "button"}
    assert not re.search("[\u202e\x00\x1b]", markup)


def test_a_whole_page_is_called_a_page():
    assert "<b>Page 3</b>" in query_input.render_picture_tag(
        PicturePreview("pictures/own/x", 9, 9, stored(3), whole=True)
    )
