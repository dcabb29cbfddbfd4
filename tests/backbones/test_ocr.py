"""OCR: the words of a drawn picture, where they stand, and what has none."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from smart_demo.backbones import line_words, text_lines
from smart_demo.backbones.ocr import read_pages, read_region, read_words, upright
from smart_demo.errors import BackboneUnavailable
from smart_demo.page_text import Box
from tests.backbones.cases import drawn


def inside(word, place, slack=0.02):
    """Whether the middle of the word lies where its text was drawn."""
    x, y = (word.box.left + word.box.right) / 2, (word.box.top + word.box.bottom) / 2
    return place.left - slack <= x <= place.right + slack and place.top - slack <= y <= place.bottom + slack


def test_words_are_read_line_by_line_where_they_stand():
    lines = [((40, 40), "Invoice 2024-017"), ((520, 40), "Harbour office"), ((40, 140), "Total EUR 1,234.50")]
    picture, places = drawn(lines)
    words = read_words(picture)
    assert [word.text for word in words] == " ".join(text for _, text in lines).split()
    for word in words:
        (home,) = [place for text, place in places.items() if word.text in text.split()]
        assert inside(word, home)
        assert 0 <= word.box.left < word.box.right <= 1
        assert 0 <= word.box.top < word.box.bottom <= 1
    first, second = words[0].box, words[1].box
    assert first.right <= second.left + 0.01  # words of one line have places of their own


def test_a_strip_is_read_and_its_places_are_those_of_the_strip():
    picture, places = drawn([((500, 8), "Harbour office")], size=(900, 50))
    words = read_words(picture)
    assert [word.text for word in words] == ["Harbour", "office"]
    assert all(inside(word, places["Harbour office"], slack=0.1) for word in words)


def test_a_large_picture_is_read_and_its_places_stay_relative():
    picture, places = drawn([((1500, 900), "Harbour office")], size=(2400, 1500), height=60)
    words = read_words(picture)
    assert [word.text for word in words] == ["Harbour", "office"]
    assert all(inside(word, places["Harbour office"]) for word in words)


@pytest.mark.parametrize("shape", [(64, 48), (1, 1), (400, 3)])
def test_a_picture_without_words_has_none_and_logs_nothing(shape, capfd):
    assert read_words(np.full((*shape, 3), 255, dtype=np.uint8)) == ()
    assert capfd.readouterr() == ("", "")


FONT = ImageFont.load_default(22)
VOCABULARY = [
    "harbour",
    "pilot",
    "buoy",
    "lantern",
    "anchor",
    "station",
    "record",
    "voltage",
    "engine",
    "2024",
    "4,750",
]


def sheet(rng, size, columns=1, gap=60, fill=1.0):
    """Draw words at random in columns; return the picture with its words in reading order and their boxes."""
    picture = Image.new("RGB", size, "white")
    pen, placed = ImageDraw.Draw(picture), []
    wide = (size[0] - 40 - (columns - 1) * gap) // columns
    for column in range(columns):
        left = 20 + column * (wide + gap)
        for top in range(16, size[1] - 40, 34):
            x = float(left)
            while x < left + wide * fill:
                word = str(rng.choice(VOCABULARY))
                right = x + FONT.getlength(word)
                if right > left + wide:
                    break
                pen.text((x, top), word, font=FONT, fill="black")
                placed.append((word, Box(x / size[0], top / size[1], right / size[0], (top + 28) / size[1])))
                x = right + 9
    return np.asarray(picture), placed


def same_words(found, placed, allowed=0):
    """Whether the words come in order; as many as allowed may be misread, none may be missing or come twice."""
    texts = [word for word, _ in placed]
    if len(found) != len(texts):
        return False
    wrong = sum(a.text != b for a, b in zip(found, texts, strict=True))
    return wrong <= allowed and all(inside(a, b, 0.01) for a, (_, b) in zip(found, placed, strict=True))


@pytest.mark.parametrize(("size", "seed"), [((700, 900), 1), ((1500, 300), 2), ((360, 2400), 3)])
def test_a_picture_in_tiles_gives_each_word_once_in_order_at_its_box(size, seed, monkeypatch):
    # Small tiles stand for large pictures: lines cross the seams in both directions.
    monkeypatch.setattr(text_lines, "MAX_TILE_PIXELS", 100_000)
    monkeypatch.setattr(text_lines, "TILE_SIDE", 256)
    monkeypatch.setattr(text_lines, "print_scale", lambda pixels: 0.75)
    picture, placed = sheet(np.random.default_rng(seed), size)
    assert same_words(read_words(picture), placed, allowed=len(placed) // 50)


def test_a_strip_of_one_to_forty_is_read_at_full_size():
    picture, placed = sheet(np.random.default_rng(7), (130, 5200))
    found = read_words(picture)
    assert [word.text for word in found] == [word for word, _ in placed]


def test_columns_of_prose_are_read_one_after_the_other_and_rows_of_a_table_across():
    picture, placed = sheet(np.random.default_rng(4), (1100, 400), columns=2)
    assert same_words(read_words(picture), placed, allowed=2)
    cells = [((40 + 300 * column, 20 + 40 * row), f"{name} {row}{column}")
             for row in range(6) for column, name in enumerate(("Buoy", "Price", "Weight"))]  # fmt: skip
    table, _ = drawn(cells, size=(900, 280), height=24)
    assert [word.text for word in read_words(table)] == " ".join(text for _, text in cells).split()


KINDS = {
    "prose": lambda rng: sheet(rng, (800, 500))[0],
    "columns": lambda rng: sheet(rng, (1100, 500), columns=2)[0],
    "table": lambda rng: sheet(rng, (1000, 400), columns=5, fill=0.2)[0],
    "short lines": lambda rng: sheet(rng, (700, 400), fill=0.3)[0],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_turned_back_as_often_as_it_was_turned_and_no_upright_one_is(kind):
    picture = KINDS[kind](np.random.default_rng(len(kind)))
    assert [upright(np.rot90(picture, turns)) for turns in range(4)] == [0, 3, 2, 1]


def test_vertical_text_in_a_margin_and_pages_with_little_text_turn_nothing():
    picture, _ = sheet(np.random.default_rng(5), (800, 500), fill=0.6)
    margin, _ = drawn([((20, 4), "Form SF-11 keep with the instrument"), ((20, 34), "Tidewerk Skarhavn")], (500, 70))
    form = np.concatenate([np.rot90(margin), picture], axis=1)
    assert upright(form) == 0
    few, _ = drawn([((40, 40), "Harbour"), ((40, 100), "Office"), ((40, 160), "Skarhavn")], (400, 300))
    assert [upright(np.rot90(few, turns)) for turns in range(4)] == [0] * 4
    assert upright(np.full((300, 200, 3), 255, np.uint8)) == 0


def test_pages_are_read_together_each_as_it_lies():
    pages = [sheet(np.random.default_rng(n), (700, 300)) for n in range(2)]
    readings = read_pages([pages[0][0], np.rot90(pages[1][0])], turn=True)
    assert [reading.turns for reading in readings] == [0, 3]
    assert all(same_words(r.words, placed, allowed=2) for r, (_, placed) in zip(readings, pages, strict=True))
    assert read_pages([]) == []


def test_a_region_is_read_alone_and_its_boxes_are_those_of_the_page():
    picture, places = drawn([((60, 40), "Harbour office"), ((60, 400), "Grey lighthouse")], size=(900, 600))
    words = read_region(picture, Box(0, 0.5, 1, 1))
    assert [word.text for word in words] == ["Grey", "lighthouse"]
    assert all(inside(word, places["Grey lighthouse"]) for word in words)
    assert read_region(picture, Box(1, 1, 1, 1)) == ()


def test_without_the_8_bit_network_the_original_reads(monkeypatch):
    monkeypatch.setattr(text_lines, "_processor_flags", set)
    session, characters = text_lines._recogniser.__wrapped__()
    assert len(characters) == 18_710
    monkeypatch.setattr(text_lines, "_recogniser", lambda: (session, characters))
    picture, _ = drawn([((40, 40), "Invoice 2024-017")])
    assert [word.text for word in read_words(picture)] == ["Invoice", "2024-017"]


def test_a_missing_package_is_said_with_its_cure(monkeypatch):
    monkeypatch.setattr(text_lines, "find_spec", lambda name: None)
    with pytest.raises(BackboneUnavailable, match="rapidocr") as refused:
        text_lines._load(text_lines.DETECTOR)
    assert "pip install" in refused.value.hint


@given(
    ink=st.lists(st.booleans(), min_size=12, max_size=60),
    middles=st.lists(st.floats(0, 60), min_size=2, max_size=8).map(sorted),
)
def test_words_of_a_line_have_edges_in_order_on_the_line(ink, middles):
    spans = list(zip(middles[::2], middles[1::2], strict=False))
    edges = line_words._edges(np.array(ink, np.float32) * 200, spans)
    assert len(edges) == len(spans)
    assert all(a < b for a, b in edges)
    assert all(b <= c + 1 / len(ink) for (_, b), (c, _) in pairwise(edges))
    assert all(a >= 0 and b <= 1 + 1 / len(ink) for a, b in edges)


@pytest.mark.parametrize(("gap", "words"), [(12, ("0.90", "1.1")), (2, ("0.901.1",))])
def test_a_space_that_was_not_read_is_set_where_the_ink_leaves_one(gap, words):
    ends = np.cumsum([2, *[10] * 4, 10 + gap - 2, 10, 10])  # letters are 8 columns wide and 2 apart
    contrast = np.zeros(90, np.float32)
    for end in ends[1:]:
        contrast[end - 8 : end] = 200
    assert line_words.split_words(contrast, list("0.901.1"), [end - 4 for end in ends[1:]])[0] == words
