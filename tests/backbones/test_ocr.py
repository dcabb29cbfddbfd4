"""OCR: the words of a drawn picture, where they stand, and what has none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_demo.backbones.ocr import locate_words, read_words
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


LINE = np.array([[0, 0], [90, 0], [90, 10], [0, 10]], dtype=np.float32)


def quad(left, right):
    return [[left, 0], [right, 0], [right, 10], [left, 10]]


def test_words_take_the_places_of_the_pieces_that_spell_them():
    pieces = [("due", 0.9, quad(0, 30)), ("潮", 0.9, quad(40, 50)), ("汐", 0.9, quad(50, 60))]
    (due, first), (tide, second) = locate_words("due 潮汐", LINE, pieces)
    assert (due, tide) == ("due", "潮汐")
    assert (np.min(first, axis=0)[0], np.max(first, axis=0)[0]) == (0, 30)
    assert (np.min(second, axis=0)[0], np.max(second, axis=0)[0]) == (40, 60)


@given(
    text=st.text(alphabet="ab 潮", max_size=12),
    spelled=st.lists(st.text(alphabet="ab潮", max_size=4), max_size=5),
    placed=st.booleans(),
)
def test_whatever_the_pieces_say_every_word_comes_once_in_order_and_on_its_line(text, spelled, placed):
    pieces = [(piece, 0.9, quad(n, n + 1) if placed else None) for n, piece in enumerate(spelled)]
    found = list(locate_words(text, LINE, pieces))
    assert [word for word, _ in found] == text.split()
    for _, corners in found:
        assert np.min(corners) >= 0
        assert np.max(corners, axis=0)[0] <= 90
    if "".join(spelled) != "".join(text.split()):
        assert all(corners is LINE for _, corners in found)
