"""Words of PDF pages: those of plain pdftotext, or those of the author where it fails, and their boxes on the ink.

Each kind of page is generated from random words in Courier, whose characters are all 0.6 em wide. A character beyond
ASCII is drawn as some other glyph, and the font's ToUnicode map gives its meaning: no font file is needed.
"""

from __future__ import annotations

import random
import re
import subprocess
import unicodedata
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pdf2image import convert_from_path

from smart_demo.ingest import pdf_words
from smart_demo.ingest.pdf_words import Line, Piece, join_words, mark_spaces, parse_layout, read_words
from smart_demo.page_text import Box
from tests.ingest.cases import CATALOG, raw_pdf, stream_object

EM = 12
ADVANCE = 0.6 * EM
SIDE = 400
PAGES = 3
"""Random pages of each kind."""
HEBREW = "אבגדהוזחטילמנסעפצקרשת"
PLAIN_GLYPHS = [code for code in range(0xA1, 0xBF) if code not in {0xA8, 0xAF, 0xB4, 0xB8}] + [0xC6, 0xD7, 0xD8, 0xDE]
"""Bytes of WinAnsiEncoding whose glyphs have no accent, which would rise above the box that poppler gives."""
MARKS = re.compile("[\u202a-\u202c]")


@dataclass
class Sheet:
    """One page under construction: its drawing commands, and its words in reading order."""

    chance: random.Random
    codes: dict[str, int]
    """The byte of each character beyond ASCII, shared by all pages of a file."""
    rotation: int = 0
    commands: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def word(self, letters="abcdefghijklmnopqrstuvwxyz", length=(3, 9)):
        return "".join(self.chance.choices(letters, k=self.chance.randint(*length)))

    def phrase(self, count=3):
        return [self.word() for _ in range(count)]

    def draw(self, x, y, text, turn=0):
        """Show `text` from (x, y) on, turned counter-clockwise about that point."""
        cosine, sine = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[turn]
        shown = "".join(f"{self._code(character):02x}" for character in text)
        self.commands.append(f"BT /F1 {EM} Tf {cosine} {sine} {-sine} {cosine} {x:.3f} {y:.3f} Tm <{shown}> Tj ET")

    def draw_letters(self, x, y, text, gap=0.0, offsets=((0, 0),)):
        """Show each letter by a command of its own, `gap` apart, at each of the offsets."""
        for index, character in enumerate(text):
            for across, up in offsets if character != " " else ():
                self.draw(x + index * (ADVANCE + gap) + across, y + up, character)

    def _code(self, character):
        return ord(character) if character < "\x7f" else self.codes.setdefault(character, PLAIN_GLYPHS[len(self.codes)])


def write_sheets(path, kind, seed):
    """Write a PDF with some pages of a kind; return them."""
    codes: dict[str, int] = {}
    sheets = [Sheet(random.Random(f"{seed} {number}"), codes) for number in range(PAGES)]
    for sheet in sheets:
        kind(sheet)
    meanings = "".join(f"<{code:02x}> <{ord(character):04x}>\n" for character, code in codes.items())
    ascii_range = "1 beginbfrange\n<20> <7e> <0020>\nendbfrange\n"
    cmap = f"1 begincodespacerange\n<00> <ff>\nendcodespacerange\n{ascii_range}"
    cmap += f"{len(codes)} beginbfchar\n{meanings}endbfchar\n" if codes else ""
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Courier/Encoding/WinAnsiEncoding/ToUnicode 4 0 R>>"
    kids = " ".join(f"{5 + 2 * index} 0 R" for index in range(PAGES)).encode()
    objects = [CATALOG, b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, PAGES), font, stream_object(cmap.encode())]
    for index, sheet in enumerate(sheets):
        page = f"/MediaBox[0 0 {SIDE} {SIDE}]/Rotate {sheet.rotation}/Contents {6 + 2 * index} 0 R"
        objects.append(f"<</Type/Page/Parent 2 0 R{page}/Resources<</Font<</F1 3 0 R>>>>>>".encode())
        objects.append(stream_object("\n".join(sheet.commands).encode()))
    path.write_bytes(raw_pdf(*objects))
    return sheets


def plain_words(path):
    """Return the words of each page as plain pdftotext prints them, without the marks of direction."""
    output = subprocess.run(["pdftotext", "-enc", "UTF-8", str(path), "-"], capture_output=True, check=True).stdout
    return [MARKS.sub("", page).split() for page in output.decode().split("\f")[:-1]]


# The kinds of pages.


def paragraph(sheet, hyphen="-", x=40, y=360):
    """Lines of which all but the last end in a divided word."""
    rest = ""
    for row in range(5):
        is_last = row == 4
        middle, first = sheet.phrase(2), sheet.word()
        sheet.draw(x, y - 16 * row, " ".join(filter(None, [rest, *middle, first + hyphen * (not is_last)])))
        if rest:
            sheet.words[-1] += rest
        sheet.words += [*middle, first]
        rest = sheet.word()


def unicode_hyphens(sheet):
    paragraph(sheet, sheet.chance.choice("\u2010\u00ad"))


def soft_hyphens_inside(sheet):
    for row in range(4):
        halves = [(sheet.word(), sheet.word()) for _ in range(2)]
        sheet.draw(40, 360 - 16 * row, " ".join(map("\u00ad".join, halves)))
        sheet.words += map("".join, halves)


def columns(sheet):
    for x in (20, 220):
        for row in range(6):
            words = [sheet.word(length=(2, 6)) for _ in range(3)]
            sheet.draw(x, 360 - 14 * row, " ".join(words))
            sheet.words += words


def letter_by_letter(sheet, gap=0.0, offsets=((0, 0),)):
    for row in range(4):
        words = sheet.phrase(3)
        sheet.draw_letters(30, 360 - 24 * row, " ".join(words), gap, offsets)
        sheet.words += words


def spaced_capitals(sheet):
    letter_by_letter(sheet, gap=0.12 * EM)


def far_letters(sheet):
    """Gaps that plain pdftotext takes for spaces, or even for those between columns."""
    for row in range(3):
        words = [sheet.word(length=(2, 4)), sheet.word(length=(4, 6)), sheet.word(length=(2, 4))]
        sheet.draw_letters(20, 360 - 60 * row, " ".join(words), sheet.chance.uniform(0.45, 0.7) * EM)
        sheet.draw(20, 330 - 60 * row, " ".join(below := sheet.phrase(3)))
        sheet.words += [*words, *below]


def struck_letters(sheet):
    letter_by_letter(sheet, offsets=[(0, 0), (sheet.chance.uniform(0.1, 0.9), sheet.chance.uniform(-0.9, 0.9))])


def struck_lines(sheet, reach=0.9):
    for row in range(4):
        words = sheet.phrase(3)
        for offset in (0, reach):
            sheet.draw(40 + offset, 360 - 24 * row - offset, " ".join(words))
        sheet.words += words


def strong_shadows(sheet):
    struck_lines(sheet, reach=0.18 * EM)


def shadowed_short_words(sheet):
    """Words of one and two letters beside longer ones, the whole line drawn twice, to any side."""
    across, up = (sheet.chance.choice([-1, 1]) * sheet.chance.uniform(0.1, 0.15) * EM for _ in range(2))
    for row in range(5):
        words = [sheet.word(length=(1, 2)) for _ in range(6)] + sheet.phrase(2 * (row != 1))
        sheet.chance.shuffle(words)
        for offset in (0, 1):
            sheet.draw(40 + offset * across, 360 - 24 * row + offset * up, " ".join(words))
        sheet.words += words


def ligatures(sheet):
    for row in range(4):
        words = [sheet.word() + sheet.word("\ufb00\ufb01\ufb02\ufb03\ufb04æß", (1, 1)) + sheet.word() for _ in range(2)]
        sheet.draw(40, 360 - 16 * row, " ".join(words))
        sheet.words += words


def replaced(sheet):
    """Words for which the file gives another text than the glyphs', with spaces at any place."""
    for row in range(3):
        words = sheet.phrase(2)
        text = sheet.chance.choice(["{} {}", " {} {} "]).format(*words).encode("utf-16-be").hex()
        sheet.draw(40, 360 - 16 * row, before := sheet.word())
        sheet.commands.append(f"/Span <</ActualText <feff{text}>>> BDC")
        sheet.draw(40 + (len(before) + 1) * ADVANCE, 360 - 16 * row, sheet.word(length=(17, 17)))
        sheet.commands.append("EMC")
        sheet.words += [before, *words]


def hebrew(sheet, numbers=False, as_read=False):
    for row in range(4):
        words = [sheet.word(HEBREW) for _ in range(3)]
        words[1] = words[1][:-1] + sheet.word("םןףץך", (1, 1))
        if numbers:
            words[1:1] = [sheet.chance.choice(["2024", "12.50", "31/12/2024", "1,250", "page", "USB"])]
        drawn = words if as_read else [word if word.isascii() else word[::-1] for word in reversed(words)]
        sheet.draw(40, 360 - 16 * row, " ".join(drawn))
        sheet.words += words


def hebrew_with_numbers(sheet):
    hebrew(sheet, numbers=True)


def hebrew_drawn_as_read(sheet):
    hebrew(sheet, numbers=True, as_read=True)


def hebrew_letter_by_letter(sheet):
    """Each letter set by itself, the first one at the right: stored in logical order and drawn as shown."""
    for row in range(4):
        words = [sheet.word(HEBREW) + "ם" for _ in range(3)]
        for index, character in enumerate(" ".join(words)):
            if character != " ":
                sheet.draw(360 - index * ADVANCE, 360 - 16 * row, character)
        sheet.words += words


def hebrew_in_english(sheet):
    for row in range(4):
        before, after, inner = sheet.phrase(2), sheet.phrase(1), [sheet.word(HEBREW, (2, 3)) for _ in range(2)]
        sheet.draw(40, 360 - 16 * row, " ".join([*before, *(word[::-1] for word in reversed(inner)), *after]))
        sheet.words += [*before, *inner, *after]


def turned(sheet):
    """Upright lines at one edge, lines turned by each angle in the middle, and a page turned by each."""
    sheet.rotation = sheet.chance.choice([0, 90, 180, 270])
    turn = sheet.chance.choice([90, 180, 270])
    for row in range(2):
        words = sheet.phrase(3)
        sheet.draw(40, 40 - 16 * row, " ".join(words))
        sheet.words += words
    for row in range(3):
        words = [sheet.word(length=(3, 6)) for _ in range(3)]
        step = 16 * row
        x, y = {90: (150 + step, 120), 180: (320, 200 + step), 270: (250 - step, 340)}[turn]
        sheet.draw(x, y, " ".join(words), turn)
        sheet.words += words


def turned_page(sheet):
    sheet.rotation = sheet.chance.choice([90, 180, 270])
    paragraph(sheet)


AS_PLAIN = [
    paragraph,
    columns,
    letter_by_letter,
    spaced_capitals,
    struck_letters,
    struck_lines,
    ligatures,
    replaced,
    hebrew,
    hebrew_letter_by_letter,
    turned,
    turned_page,
]
"""Kinds that plain pdftotext reads rightly."""
BEYOND_PLAIN = [
    unicode_hyphens,
    soft_hyphens_inside,
    far_letters,
    strong_shadows,
    shadowed_short_words,
    hebrew_with_numbers,
    hebrew_drawn_as_read,
    hebrew_in_english,
]


@pytest.mark.parametrize("kind", [*AS_PLAIN, *BEYOND_PLAIN], ids=lambda kind: kind.__name__)
def test_words_are_the_written_ones_and_boxes_cover_their_ink(tmp_path, kind):
    path = tmp_path / "a.pdf"
    sheets = write_sheets(path, kind, seed=kind.__name__)
    pictures = convert_from_path(str(path), dpi=144, grayscale=True)
    for number, (sheet, plain, picture) in enumerate(zip(sheets, plain_words(path), pictures, strict=True), 1):
        words = read_words(path, number, (SIDE, SIDE), 30, None, 2**24)
        texts = [word.text for word in words]
        if kind in AS_PLAIN:
            assert texts == plain
        if kind in (turned, shadowed_short_words):
            assert sorted(texts) == sorted(sheet.words)  # which of two parts comes first, poppler decides
        else:
            assert texts == sheet.words
        assert_boxes_cover_ink(words, np.asarray(picture) < 128)


def assert_boxes_cover_ink(words, ink):
    """Each box holds ink, no ink lies outside all boxes, and no box is much larger than its text."""
    uncovered = ink.copy()
    for word in words:
        starts = [0, *(start for start, _ in word.parts), len(word.text)]
        assert starts == sorted(set(starts))
        for (start, end), box in zip(pairwise(starts), [word.box, *(box for _, box in word.parts)], strict=True):
            left, right = round(box.left * ink.shape[1]), round(box.right * ink.shape[1])
            top, bottom = round(box.top * ink.shape[0]), round(box.bottom * ink.shape[0])
            assert ink[top:bottom, left:right].any()
            uncovered[max(0, top - 5) : bottom + 5, max(0, left - 5) : right + 5] = False
            length, height = max(right - left, bottom - top) / 2, min(right - left, bottom - top) / 2
            # A hyphen that is dropped, and the offset of a shadow, widen the box; spacing at most doubles it.
            assert height <= 1.6 * EM or end - start < 3
            assert length <= (max(end - start, 8) + 1) * 2.2 * ADVANCE
    assert not uncovered.any()


def test_without_plain_pdftotext_words_are_those_of_the_layout(tmp_path, monkeypatch):
    path = tmp_path / "a.pdf"
    (sheet, *_) = write_sheets(path, columns, seed="degrade")
    run = pdf_words._run
    monkeypatch.setattr(
        pdf_words, "_run", lambda command, *rest: run(command, *rest) if "-bbox-layout" in command else ""
    )
    assert [word.text for word in read_words(path, 1, (SIDE, SIDE), 30, None, 2**24)] == sheet.words


# The match with plain pdftotext, against a literal copy of poppler's rules.


def poppler_text(text, left_to_right):
    """Return what poppler's reorderText writes for a line."""
    kinds = [{"AL": "R", "EN": "#", "AN": "#"}.get(kind := unicodedata.bidirectional(c), kind) for c in text]
    out = ""
    if left_to_right:
        i = 0
        while i < len(text):
            j = i
            while j < len(text) and kinds[j] != "R":
                j += 1
            out += text[i:j]
            i = j
            while j < len(text) and kinds[j] not in "L#":
                j += 1
            out += "\u202b" + text[i:j][::-1] + "\u202c" if j > i else ""
            i = j
        return out
    i = len(text) - 1
    while i >= 0:
        j = i
        while j >= 0 and kinds[j] not in "L#":
            j -= 1
        out += text[j + 1 : i + 1][::-1]
        i = j
        while j >= 0 and kinds[j] != "R":
            j -= 1
        out += "\u202a" + text[j + 1 : i + 1] + "\u202c" if j < i else ""
        i = j
    return "\u202b" + out + "\u202c"


PIECES = st.lists(
    st.tuples(st.text("abאבج٣1 .-%".replace(" ", ""), min_size=1, max_size=4), st.booleans()), min_size=1, max_size=6
)


@settings(max_examples=40)
@given(st.lists(PIECES, min_size=1, max_size=5), st.data())
def test_spaces_are_found_again_in_any_mixture_of_directions(lines, data):
    letters = [unicodedata.bidirectional(c) for line in lines for text, _ in line for c in text]
    left_to_right = letters.count("L") >= letters.count("R") + letters.count("AL")
    page, plain, expected = [], "", []
    for number, line in enumerate(lines, 1):
        ends_flow = number == len(lines) or data.draw(st.booleans())
        text = "".join(part + " " * space for part, space in line[:-1]) + line[-1][0]
        is_joined = text.endswith("-") and not ends_flow
        plain += poppler_text(text[:-1] if is_joined else text, left_to_right) + "\n" * (not is_joined)
        page.append(Line([Piece(part, (0, 0, 1, 1)) for part, _ in line], number, ends_flow))
        expected.append([space for _, space in line[:-1]])
    mark_spaces(page, plain)
    assert [[piece.space_after for piece in line.pieces[:-1]] for line in page] == expected


@settings(max_examples=40)
@given(st.lists(PIECES, min_size=1, max_size=5), st.text("abאב 1-\n\u202b\u202c", max_size=30))
def test_another_text_never_fails_and_an_absent_one_leaves_the_layout_as_it_is(lines, plain):
    page = [Line([Piece(part, (0, 0, 1, 1)) for part, _ in line]) for line in lines]
    mark_spaces(page, plain)
    page = [Line([Piece(part, (0, 0, 1, 1)) for part, _ in line]) for line in lines]
    mark_spaces(page, "§")
    assert all(piece.space_after for line in page for piece in line.pieces[:-1])


SENTENCES = [
    "הדוח השנתי של חברת הספנות מתאר את מצב האוניות",
    "يصف التقرير السنوي حالة السفن في الميناء",
    "گزارش سالانه وضعیت کشتی ها را در بندر نشان می دهد که است",
    "\ufed7\ufeaa\ufef3\ufee2 \ufedb\ufe98\ufe8e\ufe8f",
]
"""Hebrew, Arabic, Persian, and Arabic in the presentation forms that name a letter's place in its word."""


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("as_read", [False, True])
def test_real_sentences_are_read_from_either_order_of_drawing(sentence, as_read):
    words = sentence.split()
    drawn = words if as_read else [word[::-1] for word in reversed(words)]
    line = Line([Piece(word, (20 * index, 0, 20 * index + 15, 9)) for index, word in enumerate(drawn)])
    assert [word.text for word in join_words([line], (1000, 10))] == words


# Broken and hostile output.

SIDES = st.floats() | st.floats(0, 100)
ANY_PIECE = st.builds(
    Piece, st.text("ab-\u00adאל1 \u202b", max_size=5), st.tuples(SIDES, SIDES, SIDES, SIDES), st.booleans()
)
ANY_LINE = st.builds(Line, st.lists(ANY_PIECE, max_size=6), st.integers(0, 3), st.booleans())


@settings(max_examples=40)
@given(st.lists(ANY_LINE, max_size=5))
def test_any_layout_gives_visible_words_on_the_page(lines):
    for word in join_words(lines, (100, 100)):
        assert word.text == word.text.strip() != ""
        assert not set(word.text) & {"\u00ad", "\u202b"}
        starts = [0, *(start for start, _ in word.parts), len(word.text)]
        assert starts == sorted(set(starts))
        for box in (word.box, *(box for _, box in word.parts)):
            assert 0 <= box.left < box.right <= 1
            assert 0 <= box.top < box.bottom <= 1


def test_a_word_over_very_many_lines_is_cut():
    lines = [Line([Piece("ab-", (0, 10 * row, 9, 10 * row + 9))]) for row in range(2_000)]
    words = join_words(lines, (10, 20_000))
    assert {len(word.parts) for word in words} == {pdf_words.MAX_PARTS - 1}


@pytest.mark.parametrize("letters", ["x" * 10**6, "אב1" * 330_000, "x " + "y" * 10**6], ids=["latin", "hebrew", "two"])
def test_a_megabyte_of_replacement_text_is_cut_to_the_length_of_a_word(tmp_path, letters):
    path = tmp_path / "a.pdf"
    shown = f"/Span <</ActualText <feff{letters.encode('utf-16-be').hex()}>>> BDC BT /F1 12 Tf 40 90 Td (ab) Tj ET EMC"
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Courier>>"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 5 0 R/Resources<</Font<</F1 3 0 R>>>>>>"
    objects = (CATALOG, b"<</Type/Pages/Kids[4 0 R]/Count 1>>", font, page, stream_object(shown.encode()))
    path.write_bytes(raw_pdf(*objects))
    words = read_words(path, 1, (200, 200), 30, None, 2**24)
    assert [len(word.text) for word in words] == [min(len(text), pdf_words.MAX_WORD_LENGTH) for text in letters.split()]


def test_a_long_word_over_lines_is_cut_with_the_boxes_of_what_is_kept():
    lines = [Line([Piece("a" * 250 + "-", (0, 10 * row, 9, 10 * row + 9))]) for row in range(4)]
    (word,) = join_words(lines, (10, 50))
    assert len(word.text) == pdf_words.MAX_WORD_LENGTH
    assert [start for start, _ in word.parts] == [250]


def test_an_output_too_large_to_be_matched_is_left_alone(monkeypatch):
    monkeypatch.setattr(pdf_words, "MAX_PLAIN_CHARACTERS", 3)
    line = Line([Piece("ab", (0, 0, 1, 1)), Piece("cd", (1, 0, 2, 1))])
    mark_spaces([line], "abcd")
    assert line.pieces[0].space_after


def test_single_letters_that_are_no_spaced_words_stay_apart():
    def row(text, gap, width=6.0):
        boxes = [(index * (width + gap), 0.0, index * (width + gap) + width, 12.0) for index in range(len(text))]
        return Line([Piece(letter, box) for letter, box in zip(text, boxes, strict=True)])

    for line in (row("xyz", 6), row("ABCD", 30), row("123456", 6)):
        count = len(line.pieces)
        assert len(join_words([line], (1000, 1000))) == count
    assert [word.text for word in join_words([row("tide", 6)], (1000, 1000))] == ["tide"]


def test_short_words_stay_double_without_longer_ones_that_are_drawn_twice_at_their_offset():
    def line(*words):
        return Line([Piece(text, (left, 0.0, left + 5.0 * len(text), 10.0)) for text, left in words])

    def texts(*words):
        return [word.text for word in join_words([line(*words)], (1000, 1000))]

    assert texts(("l", 0), ("l", 2), ("12", 20), ("12", 22)) == ["l", "l", "12", "12"]
    torque = ("torque", 50), ("torque", 52)
    assert texts(("l", 0), ("l", 2), ("12", 20), ("12", 22), *torque) == ["l", "12", "torque"]
    apart = [line(*torque), Line([Piece("of", (left, 90.0, left + 9, 100.0)) for left in (5, 7)], block=2)]
    assert [word.text for word in join_words(apart, (1000, 1000))] == ["torque", "of"]
    assert texts(("l", 0), ("l", 2.5), *torque) == ["l", "l", "torque"]
    once = [(text, 100 + 50 * index) for index, text in enumerate(("many", "words", "drawn", "once"))]
    assert texts(("l", 0), ("l", 2), *torque, *once)[:3] == ["l", "l", "torque"]


WORD = '<word xMin="{}" yMin="0" xMax="{}" yMax="10">{}</word>'
LAYOUT = '<html><body>\n<page width="1" height="1"><flow><block><line>{}</line></block></flow></page></body></html>'


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (WORD.format(-50, 50, "out"), [("out", Box(0.0, 0.0, 0.5, 0.1))]),
        (WORD.format(120, 150, "beyond"), []),
        (WORD.format(0, 50, "  "), []),
        (WORD.format(0, 50, "\u202ea\x01b\u00ad"), [("ab", Box(0.0, 0.0, 0.5, 0.1))]),
        (WORD.format(0, 50, "&lt;script&gt;"), [("<script>", Box(0.0, 0.0, 0.5, 0.1))]),
        (WORD.format("nan", 50, "x"), []),
        (WORD.format("x", 50, "x"), []),
        (WORD.format(0, 50, "&evil;"), []),
        ("<word>", []),
    ],
)
def test_words_are_cleaned_and_clipped_and_broken_ones_give_none(words, expected):
    found = join_words(parse_layout(LAYOUT.format(words)), (100, 100))
    assert [(word.text, word.box) for word in found] == expected


def test_an_entity_declared_by_a_file_is_never_expanded():
    attack = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + LAYOUT
    assert parse_layout(attack.format(WORD.format(0, 50, "&e;"))) == []
