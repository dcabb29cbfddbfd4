"""Scores against a slow implementation that shares nothing with the code, and the properties they must have."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo import scoring
from smart_demo.methods import LATE, POOLED, SMART, Counted, Method, Reduce, Weights
from smart_demo.scoring.int8 import quantise
from smart_demo.types import Query, QueryEncoding, TokenCodes, TokenKind
from tests.scoring.cases import error_bound, page_of, unit

D = 8


def query_of(pooled, tokens, kinds=None):
    kinds = np.full(len(tokens), TokenKind.CONTENT, np.uint8) if kinds is None else np.array(kinds, np.uint8)
    return QueryEncoding(Query("q"), "e", pooled, tokens, kinds, tuple("abcdefgh"[: len(tokens)]))


def parts_of(query, pooled, tokens):
    pages = [page_of(i + 1) for i in range(len(tokens))]
    codes = {page.id: TokenCodes(t) for page, t in zip(pages, tokens, strict=True)}
    return scoring.compute_parts(
        query, pages, pooled @ query.pooled, np.arange(len(pages)), lambda page, _: codes[page.id]
    )


def slow_late(query, page, reduce="mean"):
    best = [max(sum(float(a) * float(b) for a, b in zip(q, t, strict=True)) for t in page) for q in query]
    return sum(best) if reduce == "sum" else sum(best) / len(best)


corpora = st.tuples(st.integers(0, 10_000), st.integers(1, 5), st.lists(st.integers(1, 9), min_size=1, max_size=6))


@given(corpora, st.floats(0, 4), st.floats(-1, 4), st.sampled_from(list(Reduce)))
@settings(max_examples=60, deadline=None)
def test_scores_agree_with_the_slow_version(corpus, weight_pooled, weight_late, reduce):
    seed, q, lengths = corpus
    rng = np.random.default_rng(seed)
    query, pooled = query_of(unit(rng, D), unit(rng, q, D)), unit(rng, len(lengths), D)
    tokens = [unit(rng, t, D) for t in lengths]
    method = Method("m", "M", Weights(weight_pooled, weight_late, reduce))
    found = scoring.rank(parts_of(query, pooled, tokens), method, top=99)
    for hit in found.hits:
        at = hit.page.number - 1
        cosine = sum(float(a) * float(b) for a, b in zip(query.pooled, pooled[at], strict=True))
        late = slow_late(query.tokens, tokens[at], reduce)
        assert hit.pooled == pytest.approx(cosine, abs=1e-5)
        assert hit.late == pytest.approx(late, abs=1e-5)
        assert hit.score == pytest.approx(weight_pooled * cosine + weight_late * late, abs=1e-4)
    for better, worse in pairwise(found.hits):
        assert better.score >= worse.score - 2e-6  # what agrees to six decimals is a tie and stands by id


@given(corpora)
@settings(max_examples=40, deadline=None)
def test_token_order_and_neighbours_do_not_matter(corpus):
    seed, q, lengths = corpus
    rng = np.random.default_rng(seed)
    query, tokens = unit(rng, q, D), unit(rng, lengths[0], D)
    alone = scoring.token_maxima(query, TokenCodes(tokens))
    shuffled = scoring.token_maxima(query, TokenCodes(rng.permutation(tokens)))
    np.testing.assert_allclose(alone, shuffled, atol=1e-6)
    together = parts_of(query_of(unit(rng, D), query), unit(rng, 3, D), [tokens, unit(rng, 30, D), -tokens])
    np.testing.assert_allclose(together.maxima[0], alone, atol=1e-6)


def test_a_page_of_opposite_tokens_scores_below_zero():
    eye = np.eye(2, D, dtype=np.float32)
    assert scoring.token_maxima(eye, TokenCodes(-eye[:1])).tolist() == [-1.0, 0.0]
    assert scoring.token_maxima(eye[:1], TokenCodes(-eye[:1])).tolist() == [-1.0]


@given(st.integers(0, 999), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_the_maximum_over_codes_is_the_maximum_over_decoded_states(seed, t):
    rng = np.random.default_rng(seed)
    page = TokenCodes(rng.integers(-127, 128, (t, D)).astype(np.int8), unit(rng, D), 0.004)
    query = unit(rng, 3, D)
    codes = page.codes.astype(np.float64)
    asked, steps = quantise(query)
    dots = 0.004 * (asked.astype(np.float64) * steps[:, None]) @ codes.T + query.astype(np.float64) @ page.mean[:, None]
    np.testing.assert_allclose(scoring.token_maxima(query, page), dots.max(axis=1), atol=1e-5)
    assert scoring.cosines(query, page).argmax(axis=1).tolist() == dots.round(12).argmax(axis=1).tolist()
    off = error_bound(query) * 0.004 * np.linalg.norm(codes, axis=1).max()  # of the query in 8 bits
    exact = (query @ (codes * 0.004 + page.mean).T).max(axis=1)
    assert (np.abs(scoring.token_maxima(query, page) - exact) <= off + 1e-5).all()


def test_worked_by_hand():
    """Two pages, two query tokens along the axes, 2-d: everything fits on paper."""
    query = query_of(np.array([1, 0], "f4"), np.array([[1, 0], [0, 1]], "f4"))
    pooled = np.array([[1, 0], [0.6, 0.8]], "f4")
    parts = parts_of(query, pooled, [np.array([[1, 0]], "f4"), np.array([[0.8, 0.6], [0, 1]], "f4")])
    hits = {m.name: scoring.rank(parts, m, 5).hits for m in (POOLED, LATE, SMART)}
    assert [(h.page.number, round(h.score, 5)) for h in hits["pooled"]] == [(1, 1.0), (2, 0.6)]
    assert [(h.page.number, round(h.score, 5)) for h in hits["late"]] == [(2, 0.9), (1, 0.5)]  # (.8+1)/2, (1+0)/2
    assert [(h.page.number, round(h.score, 5)) for h in hits["smart"]] == [(1, 1.5), (2, 1.5)]  # a tie: by id


def test_ties_stand_by_id_whatever_order_the_pages_came_in():
    rng = np.random.default_rng(1)
    query, tokens = query_of(unit(rng, D), unit(rng, 2, D)), unit(rng, 3, D)
    pooled = unit(rng, 1, D)
    for order in ([1, 2, 3], [3, 1, 2], [2, 3, 1]):
        pages = [page_of(n) for n in order]
        parts = scoring.compute_parts(
            query, pages, np.repeat(pooled, 3, 0) @ query.pooled, np.arange(3), lambda *_: TokenCodes(tokens)
        )
        assert [h.page.number for h in scoring.rank(parts, SMART, 9).hits] == [1, 2, 3]


def test_content_counts_only_the_words_of_the_query_and_never_nothing():
    tokens = np.eye(3, D, dtype=np.float32)
    page = [tokens[:1]]  # holds the first query token alone
    kinds = [TokenKind.INSTRUCTION, TokenKind.CONTENT, TokenKind.TAIL]
    parts = parts_of(query_of(tokens[0], tokens, kinds), tokens[:1], page)
    assert scoring.late_scores(parts, Weights()).tolist() == pytest.approx([1 / 3])
    assert scoring.late_scores(parts, Weights(counted=Counted.CONTENT)).tolist() == [0.0]
    none = replace(parts, kinds=np.array([TokenKind.TAIL] * 3, np.uint8))
    assert scoring.late_scores(none, Weights(counted=Counted.CONTENT)).tolist() == pytest.approx([1 / 3])


def test_pooled_ranks_every_page_and_smart_the_candidates():
    rng = np.random.default_rng(2)
    query, pooled = query_of(unit(rng, D), unit(rng, 2, D)), unit(rng, 6, D)
    pages, tokens = [page_of(i + 1) for i in range(6)], unit(rng, 4, D)
    parts = scoring.compute_parts(query, pages, pooled @ query.pooled, np.array([1, 4]), lambda *_: TokenCodes(tokens))
    by_pooled, by_smart = scoring.rank(parts, POOLED, 9), scoring.rank(parts, SMART, 9)
    assert (by_pooled.candidates, by_pooled.pages, len(by_pooled.hits)) == (6, 6, 6)
    assert (by_smart.candidates, by_smart.pages) == (2, 6)
    assert {h.page.number for h in by_smart.hits} == {2, 5}
    assert sorted(math.isnan(h.late) for h in by_pooled.hits) == [False] * 2 + [True] * 4


def test_nothing_to_rank_is_an_empty_ranking():
    parts = parts_of(query_of(np.ones(1, "f4"), np.ones((1, 1), "f4")), np.zeros((0, 1), "f4"), [])
    assert [scoring.rank(parts, m, 5).hits for m in (POOLED, LATE, SMART)] == [(), (), ()]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_weights_that_are_no_numbers_are_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        Weights(bad, 1.0)
