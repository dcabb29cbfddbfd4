"""Words of a text against pieces cut anywhere, and words as a reader would point at them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_demo.backbones.word_spans import group_pieces


def characters(text):
    return [(n, n + 1) for n in range(len(text))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tide table", ["tide", "table"]),
        ("Müller's 1,234.50 €?", ["Müller's", "1,234.50", "€", "?"]),
        ("at 12:30, then follow-up.", ["at", "12:30", ",", "then", "follow-up", "."]),
        ("one,two a:b", ["one", ",", "two", "a", ":", "b"]),
        ("mu\u0308de हिन्दी", ["mu\u0308de", "हिन्दी"]),
        ("水位 表", ["水", "位", "表"]),
        ("light\u00adhouse zero\u200bwidth \ufefftide", ["light\u00adhouse", "zero\u200bwidth", "\ufeff", "tide"]),
        ("", []),
        (" \n", []),
    ],
)
def test_words_as_a_reader_would_point_at_them(text, words):
    assert list(group_pieces(text, characters(text))[1]) == words


def test_a_sentence_without_spaces_is_cut_where_the_tokenizer_cut_it():
    assert group_pieces("水位表在", [(0, 2), (2, 3), (3, 4)]) == ((0, 1, 2), ("水位", "表", "在"))


def test_a_character_of_several_tokens_is_one_word():
    assert group_pieces("🌊 up", [(0, 1), (0, 1), (0, 1), (1, 4)]) == ((0, 0, 0, 1), ("🌊", "up"))


def test_a_piece_over_several_words_makes_them_one():
    assert group_pieces("red star up", [(0, 6), (6, 9), (9, 11)]) == ((0, 0, 1), ("red star", "up"))


@st.composite
def cut_texts(draw):
    text = draw(st.text(max_size=40))
    cuts = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=20))})
    return text, list(pairwise(cuts))


@given(cut_texts())
def test_every_piece_with_something_in_it_has_a_word_and_words_stand_in_order(cut):
    text, pieces = cut
    words, spelled = group_pieces(text, pieces)
    assert [word >= 0 for word in words] == [bool(text[start:end].strip()) for start, end in pieces]
    assert sorted(set(words) - {-1}) == list(range(len(spelled)))
    own = [word for word in words if word >= 0]
    assert own == sorted(own)
    assert all(word in text for word in spelled)


@given(st.text(st.sampled_from("ab1 .,-'"), max_size=30))
def test_words_hold_every_sign_of_the_text_once(text):
    assert "".join(group_pieces(text, characters(text))[1]) == "".join(text.split())
