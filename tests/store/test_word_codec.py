"""The stored form of a page's words: whatever the words are, they come back; whatever the bytes are, nothing breaks."""

import json
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo.page_text import Box, Word
from smart_demo.store import word_codec
from smart_demo.store.word_codec import decode_words, encode_words

STEP = 1 / 65_534
coordinates = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0]))
box_values = st.builds(Box, coordinates, coordinates, coordinates, coordinates)
texts = st.text(st.characters(exclude_categories=()), max_size=12)  # halves of surrogate pairs too


@st.composite
def divided_words(draw):
    text = draw(texts)
    starts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=2)))
    return Word(text, draw(box_values), tuple((start, draw(box_values)) for start in starts))


def on_steps(box: Box) -> list[int]:
    """Return the coordinates of a box in fixed-point steps, off by less than half of one."""
    sides = (box.left, box.top, box.right, box.bottom)
    steps = [round(side / STEP) for side in sides]
    assert all(abs(side - step * STEP) < 0.51 * STEP for side, step in zip(sides, steps, strict=True))
    return steps


def plain(word: Word):
    return word.text, on_steps(word.box), [(start, on_steps(box)) for start, box in word.parts]


@settings(max_examples=150, deadline=None)
@given(words=st.lists(divided_words(), max_size=30))
def test_any_words_come_back_in_their_order_with_boxes_off_by_half_a_step(words):
    stored = encode_words(words)
    found = decode_words(stored)
    assert stored
    assert [word.text for word in found] == [word.text for word in words]
    for word, other in zip(words, found, strict=True):
        sides = [(word.box, other.box), *((a, b) for (_, a), (_, b) in zip(word.parts, other.parts, strict=True))]
        assert [start for start, _ in word.parts] == [start for start, _ in other.parts]
        for one, two in sides:
            for name in ("left", "top", "right", "bottom"):
                assert abs(getattr(one, name) - getattr(two, name)) < 0.51 * STEP
    assert encode_words(found) == stored  # so that a page stored twice has the same bytes
    assert [plain(word) for word in decode_words(encode_words(found))] == [plain(word) for word in found]


def test_a_printed_page_of_five_hundred_words_takes_some_five_kilobytes():
    rng, words, left, top = random.Random(3), [], 0.1, 0.08
    for _ in range(500):
        text = "".join(rng.choices("etaoinshrdlucmfwypvbgkjqxz", weights=range(26, 0, -1), k=rng.randint(2, 10)))
        width = 0.0082 * len(text) * rng.uniform(0.9, 1.1)
        if left + width > 0.9:
            left, top = 0.1, top + 0.0171
        words.append(Word(text, Box(left, top, left + width, top + 0.0142)))
        left += width + 0.0041
    assert len(encode_words(words)) < 5_500  # random letters: written language takes less


def packed(value: object) -> bytes:
    return zlib.compress(json.dumps(value).encode())


NO_PLACES = [[], [], [], []]
ONE_PLACE = [[0], [0], [1], [1]]


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"no zlib",
        packed([]),
        packed({}),
        packed({"texts": []}),
        packed({"texts": ["a"], "places": NO_PLACES}),
        packed({"texts": [1], "places": ONE_PLACE}),
        packed({"texts": "a", "places": ONE_PLACE})[:-1],
        packed({"texts": ["a"], "places": [[-1], [0], [1], [1]]}),
        packed({"texts": ["a"], "places": [[2**80], [0], [1], [1]]}),
        packed({"texts": ["a"], "places": [["x"], [0], [1], [1]]}),
        packed({"texts": [], "places": ONE_PLACE, "parts": [[0, 0]]}),
        packed({"texts": [], "places": ONE_PLACE, "parts": [[0]]}),
        packed({"texts": ["a"], "places": ONE_PLACE}) + b"more",
        zlib.compress(b"[" * 10**6),
    ],
)
def test_other_bytes_are_no_words(stored):
    with pytest.raises(ValueError):  # noqa: PT011 - callers turn any into one sentence
        decode_words(stored)


def test_words_that_would_fill_the_memory_are_not_unpacked(monkeypatch):
    stored = encode_words([Word("tide " * 100, Box(0, 0, 1, 1))] * 50)
    assert len(decode_words(stored)) == 50
    monkeypatch.setattr(word_codec, "MAX_JSON_BYTES", 10_000)
    with pytest.raises(ValueError, match="too long"):
        decode_words(stored)
