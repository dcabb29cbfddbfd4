"""The reading step: where a page's words come from, and what is refused."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_demo.backbones import ocr
from smart_demo.errors import BackboneUnavailable, InputRefused, PageRefused
from smart_demo.indexing.page_words import read_page
from smart_demo.types import Word, WordSource
from tests.backbones.cases import boxes, page

FOUND = tuple(map(Word, ("tide", "table"), boxes(2)))


def reads(monkeypatch, result):
    """Replace OCR: it returns `result`, or raises it."""

    def read(_):
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(ocr, "read_words", read)


@given(text=st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="\ufffd"), min_size=1))
def test_words_of_the_layer_are_kept_whatever_they_are(text):
    rendered = replace(page(text), notices=("Drawn smaller.",))
    read = read_page(rendered, use_ocr=True)
    assert (read.words, read.source) == (rendered.words, WordSource.LAYER)
    assert (read.id, read.pixels is rendered.pixels, read.notices) == (rendered.id, True, rendered.notices)


@pytest.mark.parametrize("text", ["", "\x00 \u200b \ud800", "\ufffd\ufffd"])
def test_ocr_reads_a_page_whose_layer_says_nothing(monkeypatch, text):
    reads(monkeypatch, FOUND)
    read, unread = (read_page(page(text), use_ocr=use_ocr) for use_ocr in (True, False))
    assert (read.words, read.source) == (FOUND, WordSource.OCR)
    assert (unread.words, unread.source) == ((), WordSource.NONE)
    reads(monkeypatch, ())
    assert read_page(page(text), use_ocr=True).source is WordSource.NONE


@pytest.mark.parametrize("public", [False, True])
def test_a_page_that_ocr_cannot_read_is_refused_with_the_cure(monkeypatch, public):
    reads(monkeypatch, BackboneUnavailable("Reading pictures needs rapidocr.", "Run: pip install rapidocr"))
    refused = read_page(page("", 4), use_ocr=True, public=public)
    assert isinstance(refused, PageRefused)
    assert "Page 4 of tides.pdf has no text layer." in str(refused)
    assert bool(re.search("pip install", refused.hint)) == (not public)
    reads(monkeypatch, InputRefused("The picture's words could not be read.", "Try another picture."))
    refused = read_page(page("", 4), use_ocr=True, public=public)
    assert "could not be read" in str(refused)
    assert refused.hint == "Try another picture."


def test_a_picture_that_breaks_the_reader_is_one_refused_page(monkeypatch):
    def broken(*_, **__):
        raise ValueError("onnxruntime: node failed")

    monkeypatch.setattr(ocr, "_load_ocr", lambda: broken)
    refusal = read_page(page("", number=3), use_ocr=True)
    assert "age 3" in refusal.sentence
    assert "could not be read" in refusal.sentence
    assert "onnxruntime" not in refusal.sentence
