"""Explanations of what the backbones really give: words with boxes, patches in a grid."""

import numpy as np
import pytest

from smart_demo.methods import SMART
from smart_demo.page_text import Box
from smart_demo.search import explain
from smart_demo.types import PageEncoding, Query, TokenGrid, TokenKind
from tests.backbones.cases import boxes, loaded, page, speckled

TEXT = "embankment rules for small harbours"


@pytest.mark.parametrize("name", ["words", "minilm"])
def test_a_word_is_found_on_its_own_box(name):
    (encoded,) = loaded(name).encode_pages([page(TEXT)])
    query = loaded(name).encode_query(Query("embankment harbours"))
    found = explain.attribute(explain.match_tokens(query, encoded), SMART.weights)
    for term, place in zip(found.terms, (0, 4), strict=True):
        assert term.label == TEXT.split()[place]
        expected = boxes(5)[place]
        sides = ("left", "top", "right", "bottom")
        assert [getattr(term.winner.box, side) for side in sides] == pytest.approx(
            [getattr(expected, side) for side in sides], abs=1e-6
        )
        drawn = explain.similarity_map(found.match, term.tokens)
        assert not drawn.flat
        own, values = drawn.by_box()
        assert Box(*own[values.argmax()].tolist()) == term.winner.box


def test_patches_of_a_qwen_page_and_the_template_are_told_apart():
    qwen = loaded("tiny-qwen")
    (encoded,) = qwen.encode_pages([page("", pixels=speckled(96, 160, 1))])
    assert isinstance(encoded, PageEncoding)
    assert isinstance(encoded.place, TokenGrid)
    query = qwen.encode_query(Query("tide table"))
    match = explain.match_tokens(query, encoded)
    found = explain.attribute(match, SMART.weights)
    assert [term.label for term in found.terms if term.word >= 0] == ["tide", "table"]
    drawn = explain.whole_query_map(match)
    assert drawn.values.shape == (encoded.place.rows, encoded.place.cols)
    assert match.placed.sum() == drawn.values.size
    for term in found.tokens:
        assert term.winner.placed == (term.winner.kind == TokenKind.PATCH)
        assert (term.closest is None) == term.winner.placed
    winners = explain.winner_map(found)
    total = winners.map.values.sum() + sum(term.contribution for term in winners.remainder)
    assert total == pytest.approx(found.late, abs=1e-5)
    overlay = explain.draw_map(drawn, explain.colour_range([drawn]))
    assert overlay.shape == (encoded.place.rows * 16, encoded.place.cols * 16, 4)
    assert np.isfinite(found.score)
