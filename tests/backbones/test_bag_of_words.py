"""The words backbone: its scores, worked out on paper."""

import subprocess
import sys
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.errors import QueryRefused
from smart_demo.page_text import Word
from smart_demo.types import Query
from tests.backbones.cases import BLANK, boxes, page

WORDS = ["tide", "table", "port", "north"]


def scores(backbone, query, text):
    """(pooled, late) by the definitions."""
    asked = backbone.encode_query(Query(query))
    (one,) = backbone.encode_pages([page(text)])
    return float(asked.pooled @ one.pooled), float((one.tokens @ asked.tokens.T).max(axis=0).mean())


@pytest.mark.parametrize(
    ("query", "text", "pooled", "late"),
    [
        ("tide table", "tide table", 1.0, 1.0),
        ("tide table", "port north", 0.0, 0.0),
        ("tide", "tide table port north", 1 / 2, 1.0),  # drowned in the mean, found by the maximum
        ("tide table", "tide tide port", 2 / sqrt(2 * 5), 1 / 2),
        ("Tide, TABLE!", "the-tide (table)", 2 / sqrt(2 * 3), 1.0),
    ],
)
def test_scores_are_those_of_the_paper(query, text, pooled, late):
    assert scores(WordBackbone(WORDS), query, text) == pytest.approx((pooled, late), abs=1e-6)


@given(words=st.lists(st.text(max_size=6), max_size=20))
def test_named_words_keep_their_axes_to_themselves(words):
    backbone = WordBackbone(WORDS, width=8)
    assert [backbone.axis(word) for word in WORDS] == [0, 1, 2, 3]
    assert all(4 <= backbone.axis(word) < 8 for word in words if word not in WORDS)


def test_every_part_of_a_word_stands_where_the_word_stands():
    (one,) = WordBackbone().encode_pages([page("tide-table port")])
    left, right = boxes(2)
    assert one.place.boxes[:, 0].tolist() == [left.left, left.left, right.left]


def test_a_part_of_a_word_broken_across_lines_is_placed_in_its_line():
    first, second = boxes(2)
    word = Word("İstanbul-harbour", first, ((9, second),))  # its lower case is longer than it is
    (one,) = WordBackbone().encode_pages([replace(page("tide"), words=(word,))])
    assert one.place.boxes[:, 0].tolist() == [first.left, first.left, second.left]


def test_axes_are_the_same_in_another_process():
    used = "from smart_demo.backbones.bag_of_words import WordBackbone"
    code = f"{used}; import sys; sys.exit(WordBackbone().axis('tide') % 100)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == WordBackbone().axis("tide") % 100


def test_another_width_or_vocabulary_is_another_encoder():
    prints = {
        WordBackbone(words, width).encoder.fingerprint
        for words in ((), ["tide"], ["tide", "table"])
        for width in (8, 9)
    }
    assert len(prints) == 6


@pytest.mark.parametrize(("vocabulary", "width"), [(["tide", "tide"], 8), (WORDS, 4), ([], 0)])
def test_a_vocabulary_that_cannot_be_kept_apart_is_refused(vocabulary, width):
    with pytest.raises(ValueError, match="axes"):
        WordBackbone(vocabulary, width)


def test_pictures_are_not_read_and_it_says_so():
    encoding = WordBackbone().encode_query(Query("tide", BLANK))
    (notice,) = encoding.notices
    assert notice.code == "picture-not-seen"
    assert "cannot see" in notice.text
    np.testing.assert_array_equal(encoding.pooled, WordBackbone().encode_query(Query("tide")).pooled)
    with pytest.raises(QueryRefused):
        WordBackbone().encode_query(Query("", BLANK))
