"""Loops, nesting, polyglots, long metadata, a thousand pages: each gives pages or a sentence, and other files work."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing
from dataclasses import replace

import pytest

from smart_demo.config import Limits
from smart_demo.errors import FileRefused, PageRefused
from smart_demo.ingest import inspect, render
from tests.ingest.hostile_files import boxed_pdf, text_pdf
from tests.ingest.odd_files import ENDING, LONG_METADATA, PAGES_REFUSED, REFUSED, TAKEN, long_metadata, write_odd_files

LIMITS = Limits()
BRIEF = Limits(seconds=2)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    return write_odd_files(tmp_path_factory.mktemp("odd"))


@pytest.fixture(autouse=True)
def empty_temporary_folder(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert os.listdir(folder) == []


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_a_document_is_refused_in_one_sentence(odd, name):
    with pytest.raises(FileRefused, match=REFUSED[name]) as refusal:
        inspect(odd[name], name, LIMITS)
    assert name in str(refusal.value)
    assert "\n" not in refusal.value.sentence


@pytest.mark.parametrize("name", PAGES_REFUSED)
def test_a_page_of_no_use_is_refused_by_number(odd, name):
    (page,) = render(inspect(odd[name], name, LIMITS), LIMITS)
    assert isinstance(page, PageRefused)
    assert PAGES_REFUSED[name] in str(page)
    assert f"Page 1 of {name}" in str(page)


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_odd_inside_is_taken_for_what_it_shows(odd, name):
    upload = inspect(odd[name], name, LIMITS)
    pages = list(render(upload, LIMITS))
    assert len(pages) == TAKEN[name]
    for page in pages:
        assert not isinstance(page, PageRefused)
        assert min(page.pixels.shape[:2]) > 2
    assert upload.kind == {"jpg": "JPEG", "gif": "GIF"}.get(name[-3:], "pdf")


@pytest.mark.parametrize("name", ENDING)
def test_a_bomb_on_one_page_ends_and_leaves_the_next_page(odd, name):
    bomb, harmless = render(inspect(odd[name], name, BRIEF), BRIEF)
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
