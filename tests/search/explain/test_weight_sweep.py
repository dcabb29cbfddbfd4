"""Pairs, sweeps and anatomies against the scorer's own rankings."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo import scoring
from smart_demo.methods import LATE, SMART, Counted, Method, Parts, Reduce, Weights
from smart_demo.search import explain
from tests.search.explain.cases import (
    CONTENT,
    TEMPLATE,
    axis,
    block_page,
    parts_of,
    query_of,
    random_page,
    random_query,
    seeds,
    stored,
    weightings,
)


def random_parts(rng, visible=12, candidates=9, ties=False):
    """Parts as a search gives them; with ties, of few different values."""
    draw = (lambda *shape: rng.integers(-1, 2, shape) / 2) if ties else (lambda *shape: rng.uniform(-1, 1, shape))
    kinds = np.array([TEMPLATE, CONTENT, CONTENT, CONTENT], np.uint8)
    numbers = rng.permutation(visible) + 1
    rows = np.sort(rng.choice(visible, candidates, replace=False))
    pages = tuple(stored(int(number)) for number in numbers)
    return Parts(kinds, pages, draw(visible).astype("f4"), rows, draw(candidates, 4).astype("f4"))


@given(seeds, weightings)
@settings(max_examples=60, deadline=None)
def test_the_rows_of_a_pair_add_up_to_the_difference_of_the_scores(seed, weights):
    rng = np.random.default_rng(seed)
    query, pages = random_query(rng), [random_page(rng, 1), random_page(rng, 2)]
    x, y = (explain.attribute(explain.match_tokens(query, page), weights) for page in pages)
    pair = explain.compare_pages(x, y)
    hits = scoring.rank(parts_of(query, pages), Method("m", "M", weights), 2).hits
    scores = {hit.page.number: hit.score for hit in hits}
    assert sum(row.difference for row in pair.rows) == pytest.approx(scores[1] - scores[2], abs=1e-5)
    assert sum(row.first for row in pair.rows) == pytest.approx(scores[1], abs=1e-5)
    assert pair.difference == pytest.approx(scores[1] - scores[2], abs=1e-5)
    sizes = [abs(row.difference) for row in pair.rows]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(row.pooled for row in pair.rows) == 1


def test_a_pair_shows_where_the_word_stands_on_both_pages():
    query = query_of(np.stack([axis(2), axis(5)]))
    pages = [block_page(2, 3, [(1, 2)]), block_page(4, 1, [])]
    pair = explain.compare_pages(
        *(explain.attribute(explain.match_tokens(query, page), SMART.weights) for page in pages)
    )
    first, *rest = pair.rows
    assert (first.first_term.label, first.first, first.second, first.difference) == ("t0", 0.5, 0, 0.5)
    assert first.first_term.winner.cell == explain.Cell(1, 2)
    assert first.second_term.similarity == 0
    assert [row.pooled or row.first_term.label for row in rest] == [True, "t1"]


def test_pairs_of_different_questions_are_refused():
    match = explain.match_tokens(query_of(axis(2)[None]), block_page(2, 2, []))
    other = explain.match_tokens(query_of(axis(2)[None], text="other"), block_page(2, 2, []))
    again = explain.match_tokens(query_of(axis(2)[None]), block_page(2, 2, []))
    one = explain.attribute(match, SMART.weights)
    assert explain.compare_pages(one, explain.attribute(again, SMART.weights)).difference == 0
    for second in (explain.attribute(other, SMART.weights), explain.attribute(match, LATE.weights)):
        with pytest.raises(ValueError, match="one query and one set of weights"):
            explain.compare_pages(one, second)


@given(
    seeds,
    st.booleans(),
    st.sampled_from(list(Reduce)),
    st.sampled_from(list(Counted)),
    st.sampled_from([1.0, 0.0, 0.7]),
)
@settings(max_examples=40, deadline=None)
def test_a_sweep_gives_the_ranks_of_the_ranking_itself(seed, ties, reduce, counted, pooled):
    parts = random_parts(np.random.default_rng(seed), ties=ties)
    weights = Weights(pooled, 1.0, reduce, counted)
    late = explain.late_weights(16)
    page = parts.pages[parts.candidates[seed % len(parts.candidates)]]
    found = explain.sweep_late_weight(parts, page, weights, late)
    for value, rank in zip(late.tolist(), found.ranks.tolist(), strict=True):
        assert scoring.rank(parts, Method("m", "M", replace(weights, late=value)), 0).ranks[page.key] == rank


def test_a_sweep_runs_from_pooled_alone_to_the_end_of_the_slider():
    parts = random_parts(np.random.default_rng(3))
    found = explain.sweep_late_weight(parts, parts.pages[parts.candidates[0]], Weights())
    assert (found.late[0], found.late[-1], len(found.late)) == (0, explain.MAX_LATE_WEIGHT, len(found.ranks))


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_two_pages_swap_exactly_where_they_meet(seed):
    parts = random_parts(np.random.default_rng(seed))
    one, other = (parts.pages[parts.candidates[n]] for n in (0, 1))
    meeting = explain.find_swap_weight(parts, one, other, Weights())
    assert explain.find_swap_weight(parts, other, one, Weights()) == meeting

    def ahead(late):
        hits = {hit.page.key: hit for hit in scoring.rank(parts, Method("m", "M", Weights(1, late)), 99).hits}
        return hits[one.key].pooled + late * hits[one.key].late - hits[other.key].pooled - late * hits[other.key].late

    if meeting is None:
        assert ahead(0.001) * ahead(1000) > 0
    else:
        assert ahead(meeting) == pytest.approx(0, abs=1e-4 * (1 + meeting))
        assert ahead(meeting * 0.5) * ahead(meeting * 2) < 0


def parts_by_hand(pooled, late):
    count = len(pooled)
    return Parts(
        np.array([CONTENT], np.uint8),
        tuple(stored(n + 1) for n in range(count)),
        np.array(pooled, "f4"),
        np.arange(count),
        np.array(late, "f4")[:, None],
    )


@pytest.mark.parametrize(
    ("pooled", "late", "meeting"),
    [
        ([0.75, 0.5], [0.25, 0.75], 0.5),
        ([0.75, 0.5], [0.75, 0.25], None),  # ahead in both
        ([0.75, 0.5], [0.5, 0.5], None),  # parallel
        ([0.5, 0.5], [0.25, 0.75], None),  # they meet at 0 and nowhere else
        ([0.5, 0.5], [0.5, 0.5], None),
    ],
)
def test_a_swap_by_hand(pooled, late, meeting):
    parts = parts_by_hand(pooled, late)
    assert explain.find_swap_weight(parts, *parts.pages, Weights()) == meeting


def test_a_page_beyond_the_candidates_is_refused_by_name():
    parts = random_parts(np.random.default_rng(0))
    with pytest.raises(ValueError, match="00000000000000aa-5000 is not among"):
        explain.sweep_late_weight(parts, stored(5000), Weights())
    with pytest.raises(ValueError, match="not among"):
        explain.find_swap_weight(parts, parts.pages[parts.candidates[0]], stored(5000), Weights())
