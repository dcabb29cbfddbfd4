"""A page's words are those that it shows: of the layer, of OCR, or of both, none twice and each at its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from smart_demo.backbones import ocr, text_lines
from smart_demo.backbones.ocr import Reading
from smart_demo.errors import BackboneUnavailable, InputRefused, PageRefused
from smart_demo.indexing.page_words import merge, read_pages
from smart_demo.indexing.uncovered_areas import find_uncovered
from smart_demo.page_text import Box, Word, WordSource
from smart_demo.types import Page, PageId, Pixels
from tests.backbones.cases import boxes, page

WIDTH, HEIGHT = 900, 1_200
TEXT = (
    "Torque of the flange bolts of the north pier\nTighten the flange bolts to 45 newton metres\n"
    "Use part number 2291 for the gasket\n"
    "Check the bolts again after fifty hours\nKeep the north pier clear of vessels"
)
GARBAGE = str.maketrans("abcdefghijklmnopqrstuvwxyzTUCK", "defghijklmnopqrstuvwxyzabcWXFN")


@dataclass
class DrawnPage:
    """A page of drawn words, and an OCR that knows them: it finds a crop by the page's faint noise."""

    size: int = 22
    top: int = 150
    text: str = TEXT
    words: list[Word] = field(default_factory=list)
    calls: int = 0

    def __post_init__(self) -> None:
        noise = np.random.default_rng(7).integers(248, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        image = Image.fromarray(noise)
        draw, font = ImageDraw.Draw(image), ImageFont.load_default(self.size)
        for row, line in enumerate(self.text.split("\n")):
            x, y = 60.0, self.top + row * 2 * self.size
            for word in line.split():
                draw.text((x, y), word, font=font, fill="black")
                left, top, right, bottom = draw.textbbox((x, y), word, font=font)
                self.words.append(Word(word, Box(left / WIDTH, top / HEIGHT, right / WIDTH, bottom / HEIGHT)))
                x = right + self.size / 3
        self.pixels: Pixels = np.array(image)

    def read(self, pictures: Sequence[Pixels], *, turn: bool) -> list[Reading]:
        self.calls += len(pictures)
        return [Reading(self._words_in(picture)) for picture in pictures]

    def _words_in(self, crop: Pixels) -> tuple[Word, ...]:
        height, width = crop.shape[:2]
        top, left = self._locate(crop)
        found = []
        for word in self.words:
            corners = np.array([word.box.left, word.box.top, word.box.right, word.box.bottom])
            x0, y0, x1, y1 = corners * [WIDTH, HEIGHT, WIDTH, HEIGHT] - [left, top, left, top]
            if x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height:
                found.append(Word(word.text, Box(x0 / width, y0 / height, x1 / width, y1 / height)))
        return tuple(found)

    def _locate(self, crop: Pixels) -> tuple[int, int]:
        rows = crop[:, :6].reshape(len(crop), -1)
        for left in range(WIDTH - 5):
            columns = self.pixels[:, left : left + 6].reshape(HEIGHT, -1)
            for top in np.flatnonzero((columns == rows[0]).all(axis=1)):
                if top + len(crop) <= HEIGHT and (self.pixels[top : top + len(crop), left] == crop[:, 0]).all():
                    return int(top), left
        raise AssertionError("the crop is no part of the page")

    def page(self, words: Sequence[Word]) -> Page:
        return Page(PageId("00" * 8, 1), "a.pdf", 1, self.pixels, tuple(words))


def read_page(page: Page, **options: Any) -> Page | PageRefused:
    (read,) = read_pages([page], **options)
    return read


def texts(words: Sequence[Word]) -> list[str]:
    return [word.text for word in words]


def refuse(_: Sequence[Pixels], *, turn: bool) -> list[Reading]:
    raise AssertionError("OCR is not needed")


def test_a_whole_layer_needs_no_ocr() -> None:
    drawn = DrawnPage()
    read = read_page(drawn.page(drawn.words), use_ocr=True, engine=refuse)
    assert (read.words, read.source, read.notices) == (tuple(drawn.words), WordSource.LAYER, ())


def test_a_page_without_words_is_read_by_ocr() -> None:
    drawn = DrawnPage()
    read = read_page(drawn.page([]), use_ocr=True, engine=drawn.read)
    assert texts(read.words) == TEXT.split()
    assert read.source is WordSource.OCR
    blank = read_page(drawn.page([]), use_ocr=True, engine=lambda *_, turn: [Reading(())])
    assert (blank.words, blank.source) == ((), WordSource.NONE)


@settings(max_examples=12, deadline=None)
@given(first=st.integers(0, 4), count=st.integers(0, 3), size=st.sampled_from([22, 26, 30]))
def test_what_the_layer_lacks_is_read_and_no_word_comes_twice(first: int, count: int, size: int) -> None:
    drawn = DrawnPage(size=size)
    lines = TEXT.split("\n")
    starts = [sum(len(line.split()) for line in lines[:n]) for n in range(6)]
    layer = drawn.words[: starts[first]] + drawn.words[starts[min(5, first + count)] :]
    read = read_page(drawn.page(layer), use_ocr=True, engine=drawn.read)
    assert texts(read.words) == TEXT.split()
    for word, drawn_word in zip(read.words, drawn.words, strict=True):
        for side in ("left", "top", "right", "bottom"):
            assert getattr(word.box, side) == pytest.approx(getattr(drawn_word.box, side), abs=0.002)
    expected = WordSource.LAYER if count == 0 or first == 5 else WordSource.BOTH if layer else WordSource.OCR
    assert read.source is expected


def test_a_stamp_over_a_scan_leaves_the_scan_s_words() -> None:
    drawn = DrawnPage()
    stamp = Word("SMITH-000417", Box(0.8, 0.95, 0.95, 0.97))
    read = read_page(drawn.page([stamp]), use_ocr=True, engine=drawn.read)
    assert texts(read.words) == [*TEXT.split(), "SMITH-000417"]
    assert read.source is WordSource.BOTH
    assert read.notices == ("Words in pictures were read by OCR.",)


def test_a_layer_without_sense_gives_way_to_ocr() -> None:
    drawn = DrawnPage()
    layer = [Word(word.text.translate(GARBAGE), word.box) for word in drawn.words]
    read = read_page(drawn.page(layer), use_ocr=True, engine=drawn.read)
    assert texts(read.words) == TEXT.split()
    assert read.source is WordSource.OCR
    assert "damaged" in read.notices[0]


def test_a_layer_in_another_script_than_the_page_shows_gives_way_to_ocr() -> None:
    drawn = DrawnPage()
    layer = [Word("".join(chr(0x430 + ord(c) % 32) for c in word.text), word.box) for word in drawn.words]
    read = read_page(drawn.page(layer), use_ocr=True, engine=drawn.read)
    assert texts(read.words) == TEXT.split()
    assert read.source is WordSource.OCR


@pytest.mark.parametrize(
    "shown", ["ТЕХНИЧЕСКОЕ описание болтов и гаек для механика завода", "zqxj wvkq qzjx kkqz vvxq jjqz"]
)
def test_words_that_ocr_cannot_read_better_stay(shown: str) -> None:
    drawn = DrawnPage()
    layer = [Word(text, word.box) for text, word in zip(shown.split() * 9, drawn.words, strict=False)]
    nonsense = Reading((Word("xqzw", Box(0, 0, 1, 1)),))
    read = read_page(drawn.page(layer), use_ocr=True, engine=lambda *_, turn: [nonsense])
    assert texts(read.words)[:4] == texts(layer)[:4]


def test_serial_numbers_beside_a_broken_font_do_not_save_it_and_stay_themselves():
    serials = "QXZ WKV JHQ ZZX QWJ KXQ VVZ"
    drawn = DrawnPage(text=f"{serials}\n{TEXT}\n{serials}")
    count = len(serials.split())
    layer = [
        word if n < count or n >= len(drawn.words) - count else Word(word.text.translate(GARBAGE), word.box)
        for n, word in enumerate(drawn.words)
    ]
    read = read_page(drawn.page(layer), use_ocr=True, engine=drawn.read)
    assert sorted(texts(read.words)) == sorted(f"{serials} {TEXT} {serials}".split())
    assert "damaged" in read.notices[0]


def test_a_frame_around_a_figure_covers_none_of_its_words():
    drawn = DrawnPage()
    frame = Word("Figure", Box(0.02, 0.05, 0.98, 0.95))
    read = read_page(drawn.page([frame]), use_ocr=True, engine=drawn.read)
    assert set(texts(read.words)) == {"Figure", *TEXT.split()}


def test_a_huge_title_is_read_once():
    drawn = DrawnPage(text="TORQUE\n" + TEXT, size=60, top=60)
    drawn.words[0] = replace(drawn.words[0], box=Box(0.05, 0.04, 0.6, 0.13))
    read = read_page(drawn.page(drawn.words), use_ocr=True, engine=drawn.read)
    assert sorted(texts(read.words)) == sorted(["TORQUE", *TEXT.split()])


def test_pictures_above_and_below_typed_text_keep_their_places():
    drawn = DrawnPage(text=TEXT + "\n\n\n" + "Typed words stay between both pictures\n\n\n" + TEXT, size=18, top=60)
    count = len(TEXT.split())
    read = read_page(drawn.page(drawn.words[count:-count]), use_ocr=True, engine=drawn.read)
    assert texts(read.words) == texts(drawn.words)


def test_charts_and_rules_are_no_print() -> None:
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    for n in range(12):
        draw.line((100, 100 + 50 * n, 800, 100 + 50 * n), fill="grey")
    for n in range(6):
        draw.line((100 + 120 * n, 100, 100 + 120 * n, 700), fill="grey")
        draw.rectangle((120 + 120 * n, 700 - 80 * n, 180 + 120 * n, 700), fill="navy")
    draw.line([(100 + n, 400 + 200 * np.sin(n / 60)) for n in range(700)], fill="red", width=3)
    assert find_uncovered(np.array(image), ()) == []


def test_without_ocr_the_layer_is_kept_and_a_scan_says_why() -> None:
    drawn = DrawnPage()

    def missing(_: Sequence[Pixels], *, turn: bool) -> list[Reading]:
        raise BackboneUnavailable("Reading pictures needs rapidocr.", "Install it.")

    kept = read_page(drawn.page(drawn.words[:3]), use_ocr=True, engine=missing)
    assert kept.words == tuple(drawn.words[:3])
    assert kept.notices == ("Words in pictures could not be read.",)
    refused = read_page(drawn.page([]), use_ocr=True, engine=missing)
    assert isinstance(refused, PageRefused)

    def broken(_: Sequence[Pixels], *, turn: bool) -> list[Reading]:
        raise InputRefused("The picture's words could not be read.")

    assert read_page(drawn.page(drawn.words[:3]), use_ocr=True, engine=broken).source is WordSource.LAYER


def test_merge_keeps_both_in_reading_order() -> None:
    def row(text: str, top: float) -> Word:
        return Word(text, Box(0.1, top, 0.2, top + 0.02))

    layer, found = [row("a", 0.1), row("d", 0.9)], [row("b", 0.4), row("c", 0.5)]
    assert texts(merge(layer, found)) == ["a", "b", "c", "d"]
    assert texts(merge([], found)) == ["b", "c"]
    assert texts(merge(layer, [])) == ["a", "d"]


FOUND = tuple(map(Word, ("tide", "table"), boxes(2)))


def reads(monkeypatch, result):
    """Replace OCR: it returns `result` for each picture, or raises it."""

    def read(pictures, *, turn):
        if isinstance(result, Exception):
            raise result
        return [Reading(result)] * len(pictures)

    monkeypatch.setattr(ocr, "read_pages", read)


@given(
    text=st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="\ufffd"), min_size=1, max_size=9)
)
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

    monkeypatch.setattr(text_lines, "detect", broken)
    refusal = read_page(page("", number=3), use_ocr=True)
    assert "age 3" in refusal.sentence
    assert "could not be read" in refusal.sentence
    assert "onnxruntime" not in refusal.sentence


def test_a_turned_scan_is_kept_upright_and_one_broken_page_is_refused_alone(monkeypatch):
    turned, broken, plain = (replace(page("", n), pixels=page("").pixels.copy()) for n in (1, 2, 3))

    def read(pictures, *, turn):
        assert turn
        if any(pixels is broken.pixels for pixels in pictures):
            raise InputRefused("The picture's words could not be read.", "Try another picture.")
        return [Reading(FOUND, 1 if pixels is turned.pixels else 0) for pixels in pictures]

    monkeypatch.setattr(ocr, "read_pages", read)
    first, second, third = read_pages([turned, broken, plain], use_ocr=True)
    assert (first.pixels == np.rot90(turned.pixels)).all()
    assert first.notices == ("The scan was turned upright.",)
    assert isinstance(second, PageRefused)
    assert (third.pixels is plain.pixels, third.words) == (True, FOUND)
