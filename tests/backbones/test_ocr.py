"""OCR: the words of a drawn picture, where they stand, and what has none."""

import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from smart_demo.backbones import line_words, ocr_networks, ocr_workers, text_lines
from smart_demo.backbones.ocr import Reading, read_pages, read_words
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
    picture, places = drawn([((1500, 900), "Harbour office")], size=(2100, 1300), height=60)
    words = read_words(picture)
    assert [word.text for word in words] == ["Harbour", "office"]
    assert all(inside(word, places["Harbour office"]) for word in words)


@pytest.mark.parametrize("shape", [(64, 48), (1, 1), (400, 3), (2, 20_000)])
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
    "prose": lambda rng: sheet(rng, (600, 330))[0],
    "columns": lambda rng: sheet(rng, (1000, 330), columns=2)[0],
    "table": lambda rng: sheet(rng, (900, 300), columns=5, fill=0.2)[0],
    "short lines": lambda rng: sheet(rng, (600, 360), fill=0.3)[0],
}


def turns_of(*pictures):
    return [reading.turns for reading in read_pages(pictures, turn=True)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_turned_back_as_often_as_it_was_turned_and_no_upright_one_is(kind):
    picture = KINDS[kind](np.random.default_rng(len(kind)))
    assert turns_of(*(np.rot90(picture, turns) for turns in range(4))) == [0, 3, 2, 1]


def test_a_part_of_a_page_is_turned_by_itself():
    upright, sideways = (sheet(np.random.default_rng(n), (600, 300))[0] for n in (1, 2))
    page = np.concatenate([upright, np.pad(np.rot90(sideways), ((0, 0), (0, 300), (0, 0)), mode="edge")])
    (reading,) = read_pages([page[300:, :300]], turn=True)
    assert reading.turns == 3
    assert reading.confidence > 0.9


def test_vertical_text_in_a_margin_and_pages_with_little_text_turn_nothing():
    picture, _ = sheet(np.random.default_rng(5), (800, 500), fill=0.6)
    margin, _ = drawn([((20, 4), "Form SF-11 keep with the instrument"), ((20, 34), "Tidewerk Skarhavn")], (500, 70))
    form = np.concatenate([np.rot90(margin), picture], axis=1)
    blank = np.full((300, 200, 3), 255, np.uint8)
    few, _ = drawn([((40, 40), "Harbour"), ((40, 100), "Office"), ((40, 160), "Skarhavn")], (400, 300))
    assert turns_of(form, blank, *(np.rot90(few, turns) for turns in range(4))) == [0] * 6


def test_pages_are_read_together_each_as_it_lies():
    pages = [sheet(np.random.default_rng(n), (700, 300)) for n in range(2)]
    readings = read_pages([pages[0][0], np.rot90(pages[1][0])], turn=True)
    assert [reading.turns for reading in readings] == [0, 3]
    assert all(same_words(r.words, placed, allowed=2) for r, (_, placed) in zip(readings, pages, strict=True))
    assert read_pages([]) == []


def test_without_the_8_bit_network_the_original_reads(monkeypatch):
    monkeypatch.setattr(ocr_networks, "_processor_flags", set)
    session, characters = ocr_networks.recogniser.__wrapped__()
    assert len(characters) == 18_710
    monkeypatch.setattr(text_lines, "recogniser", lambda: (session, characters))
    picture, _ = drawn([((40, 40), "Invoice 2024-017")])
    assert [word.text for word in read_words(picture)] == ["Invoice", "2024-017"]


def test_a_missing_package_is_said_with_its_cure(monkeypatch):
    monkeypatch.setattr(ocr_networks, "find_spec", lambda name: None)
    with pytest.raises(BackboneUnavailable, match="rapidocr") as refused:
        ocr_networks.load_network(ocr_networks.DETECTOR)
    assert "pip install" in refused.value.hint


# -- what a picture may cost


@given(
    height=st.integers(1, 400) | st.integers(1, 3),
    width=st.integers(1, 400) | st.integers(1_000, 60_000),
    turned=st.booleans(),
    scale=st.floats(*text_lines.SCALES),
)
@settings(deadline=None, max_examples=60)
def test_a_picture_of_any_shape_is_scaled_to_twice_its_pixels_at_most(height, width, turned, scale):
    shape = (width, height, 3) if turned else (height, width, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_lines, "print_scale", lambda pixels: scale)
        scaled = text_lines._scaled(np.full(shape, 200, np.uint8))
    rows, columns = scaled.padded.shape[:2]
    assert rows % 32 == columns % 32 == 0
    assert scaled.height * scaled.width <= 2 * height * width + height + width
    assert 0 <= rows - scaled.height < 32
    assert 0 <= columns - scaled.width < 32
    assert (scaled.padded == 200).all()


class Cheap(ocr_workers.Workers):
    """Threads whose pictures may have few lines or cost little."""

    def __init__(self, lines=9, seconds=60):
        super().__init__("cheap", 2, 1, lines=lines, seconds=seconds)


def test_of_too_many_lines_the_largest_are_read_and_the_page_says_that_it_is_cut(monkeypatch):
    picture, _ = sheet(np.random.default_rng(3), (600, 450))
    page = np.concatenate([picture, drawn([((10, 20), "HARBOUR OFFICE")], (600, 100), 56)[0]])
    (whole,) = read_pages([page])
    assert not whole.cut
    monkeypatch.setattr(ocr_workers, "page_workers", Cheap)
    few, also_few = read_pages([page, picture])
    assert few.cut
    assert also_few.cut
    assert {"HARBOUR", "OFFICE"} < {word.text for word in few.words}
    assert 0 < len(few.words) < len(whole.words)
    assert {(word.text, word.box) for word in few.words} <= {(word.text, word.box) for word in whole.words}
    monkeypatch.setattr(ocr_workers, "query_workers", lambda: Cheap(lines=1))
    assert [word.text for word in read_words(page)] == ["HARBOUR", "OFFICE"]


def test_specks_take_no_line_from_the_text():
    found = np.zeros((640, 640), np.uint8)
    found[4:632:8, 4:632:8] = 255  # specks are 2 pixels wide after the mask has grown
    for top in (101, 301, 501):
        found[top : top + 20, 100:500] = 255
    (budget,) = Cheap(lines=3).budgets(1)
    lines = text_lines._boxes(found, (640, 640), budget)
    assert not budget.cut
    assert sorted(round(line[:, 1].mean()) for line in lines) == pytest.approx([111, 311, 511], abs=3)


def test_a_page_that_takes_too_long_is_returned_as_far_as_it_was_read(monkeypatch):
    picture, placed = sheet(np.random.default_rng(6), (700, 500))
    monkeypatch.setattr(ocr_workers, "page_workers", lambda: Cheap(lines=999, seconds=0.0))
    assert read_pages([picture]) == [Reading((), cut=True)]
    monkeypatch.setattr(text_lines, "PORTION_COLUMNS", 3_000)
    spent = []

    def read_portion(lines, workers, read=text_lines._read_portion):
        result = read(lines, workers)
        spent.extend(lines)
        if lines and len(spent) >= 4:
            lines[0][2].charge(1_000)
        return result

    monkeypatch.setattr(text_lines, "_read_portion", read_portion)
    monkeypatch.setattr(ocr_workers, "page_workers", lambda: Cheap(lines=999))
    (reading,) = read_pages([picture])
    assert reading.cut
    assert 4 <= len(spent) <= 8
    assert 0 < len(reading.words) < len(placed)
    assert {word.text for word in reading.words} <= {word for word, _ in placed}


def test_reading_is_charged_to_the_picture_that_it_is_spent_on():
    workers = Cheap(lines=999)
    pages = [sheet(np.random.default_rng(n), (500, 60 + 240 * n))[0] for n in range(2)]
    budgets = workers.budgets(2)
    before = [budget.seconds for budget in budgets]
    found = text_lines.detect(pages, workers, budgets)
    text_lines.recognise(list(zip(pages, found, strict=True)), workers, budgets)
    small, large = (start - budget.seconds for start, budget in zip(before, budgets, strict=True))
    assert 0 < small < large


def test_a_dense_page_is_not_cut():
    # 300 lines of a newspaper, by the detector's map alone: reading them takes seconds.
    found = np.zeros((1760, 1248), np.uint8)
    for top in range(20, 1740, 16):
        for left in (20, 430, 840):
            found[top : top + 7, left : left + 380] = 255
    (budget,) = ocr_workers.page_workers().budgets(1)
    assert len(text_lines._boxes(found, (1760, 1248), budget)) == 324
    assert not budget.cut


def test_a_query_is_read_while_all_threads_of_pages_are_busy():
    pages, done = ocr_workers.page_workers(), threading.Event()
    picture, _ = drawn([((40, 40), "Invoice 2024-017")])
    read_pages([picture])
    busy = [
        threading.Thread(target=work, args=(lambda _: done.wait(30), range(64))) for work in (pages.read, pages.detect)
    ]
    try:
        for thread in busy:
            thread.start()
        assert [word.text for word in read_words(picture)] == ["Invoice", "2024-017"]
        assert not done.is_set()
    finally:
        done.set()
        for thread in busy:
            thread.join()


def test_tiles_of_several_pages_are_detected_together_but_few_at_once(monkeypatch):
    monkeypatch.setattr(text_lines, "MAX_TILE_PIXELS", 100_000)
    monkeypatch.setattr(text_lines, "TILE_SIDE", 256)
    running, most, lock, pair = 0, 0, threading.Lock(), threading.Barrier(2)

    def detect_tile(padded, top, left):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        pair.wait(10)  # breaks if tiles run one after the other
        with lock:
            running -= 1
        return np.zeros((32, 32), np.uint8)

    monkeypatch.setattr(text_lines, "_detect_tile", detect_tile)
    workers = ocr_workers.Workers("many", 16, 2, lines=9, seconds=60)
    pages = [np.full((512, 512, 3), 255, np.uint8)] * 2
    assert text_lines.detect(pages, workers, workers.budgets(2)) == [[], []]
    assert most == 2


def test_confidence_tells_print_from_what_only_looks_like_it():
    picture, _ = sheet(np.random.default_rng(8), (500, 200))
    blurred = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(4.5)))
    sure, guessed, none = read_pages([picture, blurred, picture[:5, :5]])
    assert sure.confidence > 0.95
    assert guessed.confidence < sure.confidence - 0.1
    assert none == Reading(())


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
