"""Contributions add up to what the scorer itself gives, and the winners are the page tokens that won."""

import numpy as np
import pytest
from hypothesis import given, settings

from smart_demo import scoring
from smart_demo.methods import LATE, Counted, Method, Reduce, Weights
from smart_demo.page_text import Box
from smart_demo.search import explain
from smart_demo.types import TokenBoxes, TokenGrid, TokenKind
from tests.search.explain.cases import (
    CONTENT,
    INSTRUCTION,
    PATCH,
    TAIL,
    TEMPLATE,
    D,
    axis,
    block_page,
    page_of,
    parts_of,
    query_of,
    random_page,
    random_query,
    seeds,
    unit,
    weightings,
)


def score_of(query, page, weights):
    """The whole score of one page, as a search gives it."""
    (hit,) = scoring.rank(parts_of(query, [page]), Method("m", "M", weights), 1).hits
    return hit


@given(seeds, weightings)
@settings(max_examples=80, deadline=None)
def test_contributions_add_up_to_the_score_and_to_its_late_part(seed, weights):
    rng = np.random.default_rng(seed)
    query, page = random_query(rng), random_page(rng)
    found = explain.attribute(explain.match_tokens(query, page), weights)
    if weights.late:
        late = weights.late * score_of(query, page, weights).late
        assert found.late == pytest.approx(late, abs=1e-5)
        assert found.score == pytest.approx(score_of(query, page, weights).score, abs=1e-5)
    for own in (found.tokens, found.terms):
        assert sum(term.contribution for term in own) == pytest.approx(found.late, abs=1e-9)
    assert sum(found.by_kind.values()) == pytest.approx(found.late, abs=1e-9)
    assert set(found.by_kind) == set(TokenKind)


@given(seeds, weightings)
@settings(max_examples=40, deadline=None)
def test_every_token_is_won_by_the_page_token_that_no_other_beats(seed, weights):
    rng = np.random.default_rng(seed)
    query, page = random_query(rng), random_page(rng)
    found = explain.attribute(explain.match_tokens(query, page), weights)
    counted = [kind == CONTENT or weights.counted is Counted.ALL for kind in query.kinds]
    for n, term in enumerate(found.tokens):
        cosines = [float(np.dot(query.tokens[n].astype(float), row)) for row in page.tokens]
        assert term.similarity == pytest.approx(max(cosines), abs=1e-5)
        assert cosines[term.winner.token] == pytest.approx(max(cosines), abs=1e-5)
        assert term.winner.kind == page.kinds[term.winner.token]
        assert term.tokens == (n,)
        if not counted[n] and any(counted):
            assert term.contribution == 0


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_a_word_is_the_sum_and_the_best_of_its_pieces(seed):
    rng = np.random.default_rng(seed)
    query, page = random_query(rng), random_page(rng)
    found = explain.attribute(explain.match_tokens(query, page), Weights())
    assert sorted(token for term in found.terms for token in term.tokens) == list(range(len(query.tokens)))
    words = [term for term in found.terms if term.word >= 0]
    assert [term.word for term in words] == sorted({word for word in query.words if word >= 0})
    for term in words:
        pieces = [found.tokens[n] for n in term.tokens]
        assert {query.words[n] for n in term.tokens} == {term.word}
        assert term.contribution == pytest.approx(sum(piece.contribution for piece in pieces))
        best = max(pieces, key=lambda piece: piece.similarity)
        assert (term.similarity, term.winner) == (best.similarity, best.winner)


def test_worked_by_hand():
    """Two words, one of two pieces; a grid of 1 × 2 patches behind an instruction token."""
    query = query_of(
        np.stack([axis(0), axis(1), axis(2), axis(3)]),
        [INSTRUCTION, CONTENT, CONTENT, CONTENT],
        (-1, 0, 0, 1),
        ("ab", "c"),
    )
    tokens = np.stack([axis(0), 0.6 * axis(1) + 0.8 * axis(4), 0.8 * axis(2) + 0.6 * axis(5)])
    page = page_of(tokens.astype(np.float32), [INSTRUCTION, PATCH, PATCH], TokenGrid(1, 1, 2))
    found = explain.attribute(explain.match_tokens(query, page), Weights(2.0, 2.0))
    assert [(t.label, round(t.contribution, 5)) for t in found.terms] == [("ab", 0.7), ("c", 0.0), ("t0", 0.5)]
    assert found.terms[0].winner == explain.TokenLocation(2, PATCH, Box(0.5, 0, 1, 1), explain.Cell(0, 1))
    assert found.pooled == pytest.approx(2.0)
    assert found.late == pytest.approx(1.2)  # 2 · (1 + .6 + .8 + 0) / 4
    assert found.by_kind[INSTRUCTION] == pytest.approx(0.5)
    assert found.by_kind[PATCH] == pytest.approx(0.7)
    assert found.share(PATCH) == pytest.approx(0.7 / 1.2)
    content = explain.attribute(explain.match_tokens(query, page), Weights(0, 1, Reduce.SUM, Counted.CONTENT))
    assert [round(t.contribution, 5) for t in content.tokens] == [0, 0.6, 0.8, 0]


def test_a_winner_without_a_place_names_the_closest_place_that_did_not_win():
    query = query_of(np.stack([0.8 * axis(3) + 0.6 * axis(2), axis(2)]).astype(np.float32))
    match = explain.match_tokens(query, block_page(3, 4, [(1, 2)]))
    lost, won = explain.attribute(match, LATE.weights).tokens
    assert not lost.winner.placed
    assert lost.winner.kind == TEMPLATE
    assert lost.closest == explain.TokenLocation(3 + 6, PATCH, Box(0.5, 1 / 3, 0.75, 2 / 3), explain.Cell(1, 2))
    assert won.winner == lost.closest
    assert won.closest is None


def test_a_page_without_places_has_no_closest_one():
    page = page_of(np.stack([axis(2)]), [CONTENT], TokenBoxes(np.full((1, 4), np.nan, np.float32)))
    match = explain.match_tokens(query_of(np.stack([axis(2)])), page)
    (term,) = explain.attribute(match, LATE.weights).tokens
    assert (term.winner.placed, term.closest) == (False, None)
    assert match.chance == 0


def test_no_late_part_is_no_share_and_no_division():
    found = explain.attribute(explain.match_tokens(query_of(np.stack([axis(2)])), block_page(2, 2, [])), Weights(1, 0))
    assert [found.share(kind) for kind in TokenKind] == [0] * 5


def test_what_cannot_be_compared_is_refused():
    query, page = query_of(np.stack([axis(2)])), block_page(2, 2, [])
    other = page_of(page.tokens, page.kinds, TokenGrid(5, 2, 2))
    with pytest.raises(ValueError, match="reaches beyond"):
        explain.match_tokens(query, other)
    with pytest.raises(ValueError, match="boxes of shape"):
        explain.match_tokens(query, page_of(page.tokens, page.kinds, TokenBoxes(np.zeros((2, 4), np.float32))))
    with pytest.raises(ValueError, match="cannot be compared"):
        explain.match_tokens(type(query)(query.query, "f", query.pooled, query.tokens, query.kinds, query.labels), page)
    with pytest.raises(IndexError):
        explain.match_tokens(query, page).locate(len(page.tokens))


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_chance_is_about_what_random_queries_show(seed):
    rng = np.random.default_rng(seed)
    tokens = unit(rng, 400, D) + 2 * unit(rng, D)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    page = page_of(tokens, [PATCH] * 400, TokenGrid(0, 20, 20))
    match = explain.match_tokens(query_of(unit(rng, 200, D)), page)
    stood_out = match.cosines.max(axis=1) - np.percentile(match.cosines, 2, axis=1)
    assert np.median(stood_out) < match.chance < 1.6 * np.median(stood_out)


def test_a_query_whose_parts_disagree_is_refused():
    tokens = np.stack([axis(0), axis(1)])
    assert query_of(tokens, [CONTENT, TAIL]).words == (0, -1)
    assert query_of(tokens, None, (0, 0)).word_texts == ("t0t1",)
    for words, kinds in (((0,), None), ((0, 1, 2), None), ((0, 0), [CONTENT, TAIL]), ((0, -2), None)):
        with pytest.raises(ValueError, match=r"differ in number|cannot be a piece"):
            query_of(tokens, kinds, words)
    with pytest.raises(ValueError, match="cannot be a piece"):
        query_of(tokens, None, (0, 1), ("one",))
