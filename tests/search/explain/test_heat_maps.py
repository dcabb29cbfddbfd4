"""Maps show the right place the right way up, add up where they say so, and share one range of colours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo.methods import LATE
from smart_demo.search import explain
from smart_demo.search.explain import (
    ColourRange,
    Measure,
    PageMap,
    colour_range,
    similarity_map,
    whole_query_map,
    winner_map,
)
from smart_demo.types import TokenBoxes, TokenGrid
from tests.search.explain.cases import (
    CONTENT,
    PATCH,
    TAIL,
    axis,
    block_page,
    query_of,
    random_page,
    random_query,
    seeds,
    weightings,
)

SHAPES = [(3, 7, (0, 6)), (7, 3, (6, 0)), (1, 5, (0, 4)), (5, 1, (4, 0)), (4, 4, (1, 2))]


@pytest.mark.parametrize(("rows", "cols", "cell"), SHAPES)
def test_one_distinct_block_is_hot_where_it_stands_and_nowhere_else(rows, cols, cell):
    match = explain.match_tokens(query_of(axis(2)[None]), block_page(rows, cols, [cell]))
    found = similarity_map(match, [0])
    expected = np.zeros((rows, cols))
    expected[cell] = 1
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    assert not found.flat
    term = explain.attribute(match, LATE.weights).tokens[0]
    assert (term.winner.cell.row, term.winner.cell.col) == cell


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_values_are_the_cosines_of_the_placed_tokens(seed):
    rng = np.random.default_rng(seed)
    query, page = random_query(rng), random_page(rng)
    match = explain.match_tokens(query, page)
    chosen = sorted(set(rng.integers(0, len(query.tokens), 3).tolist()))
    found = similarity_map(match, chosen)
    best = [max(float(query.tokens[n] @ row) for n in chosen) for row in page.tokens]
    if isinstance(page.place, TokenGrid):
        assert found.values.shape == (page.place.rows, page.place.cols)
        for token in np.flatnonzero(match.placed):
            assert found.values[page.place.cell(int(token))] == pytest.approx(best[token], abs=1e-5)
    else:
        nowhere = np.isnan(page.place.boxes[:, 0])
        np.testing.assert_allclose(found.values, np.where(nowhere, np.nan, best), atol=1e-5)


def test_the_whole_query_is_what_was_asked_its_words_and_its_picture():
    page = block_page(2, 3, [(1, 1)])
    words = explain.match_tokens(query_of(np.stack([axis(1), axis(2)]), [TAIL, CONTENT]), page)
    np.testing.assert_array_equal(whole_query_map(words).values, similarity_map(words, [1]).values)
    picture = explain.match_tokens(query_of(np.stack([axis(1), axis(2)]), [PATCH, TAIL]), page)
    np.testing.assert_array_equal(whole_query_map(picture).values, similarity_map(picture, [0]).values)
    neither = explain.match_tokens(query_of(np.stack([axis(1), axis(2)]), [TAIL, TAIL]), page)
    np.testing.assert_array_equal(whole_query_map(neither).values, similarity_map(neither, [0, 1]).values)


@given(seeds, weightings)
@settings(max_examples=80, deadline=None)
def test_the_winner_map_and_its_remainder_add_up_to_late(seed, weights):
    rng = np.random.default_rng(seed)
    found = explain.attribute(explain.match_tokens(random_query(rng), random_page(rng)), weights)
    winners = winner_map(found)
    assert winners.map.measure is Measure.CONTRIBUTION
    remainder = sum(term.contribution for term in winners.remainder)
    assert np.nansum(winners.map.values) + remainder == pytest.approx(found.late, abs=1e-5)
    assert winners.map.shown.sum() + remainder == pytest.approx(found.late, abs=1e-5)
    assert not any(term.winner.placed for term in winners.remainder)


def boxes_map(values, boxes, measure=Measure.SIMILARITY):
    return PageMap(measure, TokenBoxes(np.array(boxes, np.float32)), np.array(values, np.float32))


def test_pieces_of_one_word_share_its_box():
    boxes = [(0.5, 0, 1, 1), (0, 0, 0.5, 1), (0.5, 0, 1, 1), (np.nan,) * 4]
    values = [0.25, 0.125, 0.5, np.nan]
    assert sorted(boxes_map(values, boxes).shown.tolist()) == [0.125, 0.5]
    assert sorted(boxes_map(values, boxes, Measure.CONTRIBUTION).shown.tolist()) == [0.125, 0.75]


def grid_map(values, measure=Measure.SIMILARITY):
    values = np.atleast_2d(np.array(values, np.float32))
    return PageMap(measure, TokenGrid(0, *values.shape), values)


def test_one_range_for_all_maps_between_their_percentiles():
    one, other = grid_map(np.linspace(0, 0.5, 51)[None]), grid_map(np.linspace(0.5, 1, 51)[:, None])
    found = colour_range([one, other])
    assert (found.low, found.high) == pytest.approx((0.02, 0.99), abs=0.002)
    np.testing.assert_allclose(
        found.scale(np.array([-1, found.low, 0.5, found.high, 2], "f4")), [0, 0, 0.5, 1, 1], atol=0.01
    )


def test_noise_is_flat_and_never_stretched_to_full_colour():
    noise = grid_map(0.4 + 0.001 * np.random.default_rng(0).random((9, 9)))
    assert noise.flat
    found = colour_range([noise])
    assert found.scale(noise.values).max() < 0.1


def test_a_single_hot_patch_among_thousands_is_a_clear_location():
    values = np.full((50, 40), 0.3, np.float32)
    values[49, 0] = 0.9
    assert not grid_map(values).flat
    found = colour_range([grid_map(values)])
    assert found.scale(values)[49, 0] == 1
    assert (found.scale(values) > 0).sum() == 1


def test_the_word_that_decides_is_hotter_than_one_that_is_not_on_the_page():
    rng = np.random.default_rng(0)
    hopeless, decisive = (rng.uniform(0, 0.2, (30, 30)).astype("f4") for _ in range(2))
    decisive[3, 4] = 0.9
    found = colour_range([grid_map(hopeless), grid_map(decisive)])
    assert found.scale(decisive).max() == 1
    assert found.scale(hopeless).max() < 0.3


def test_a_flat_map_knows_that_it_is_flat():
    clear, flat = grid_map([[0, 0], [0, 0.9]]), grid_map([[0.5, 0.5], [0.5, 0.51]])
    assert (clear.flat, flat.flat) == (False, True)


def test_contributions_run_from_nothing_to_the_largest():
    found = colour_range([grid_map([[0, 0.2]], Measure.CONTRIBUTION), grid_map([[0.3], [0]], Measure.CONTRIBUTION)])
    assert (found.low, found.high) == (0, pytest.approx(0.3))
    assert colour_range([grid_map([[0, 0]], Measure.CONTRIBUTION)]) == ColourRange(0, 1)


def test_no_maps_and_no_places_have_a_range_that_shows_nothing():
    assert colour_range([]) == ColourRange(0, 1)
    assert colour_range([boxes_map([np.nan], [(np.nan,) * 4])]) == ColourRange(0, 1)


def test_similarities_and_contributions_are_never_mixed():
    with pytest.raises(ValueError, match="no common range"):
        colour_range([grid_map([[1]]), grid_map([[1]], Measure.CONTRIBUTION)])


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=30))
def test_a_range_always_has_a_width_and_scales_into_it(values):
    found = colour_range([grid_map([values])])
    assert found.high > found.low
    scaled = found.scale(np.array(values, np.float32))
    assert ((scaled >= 0) & (scaled <= 1)).all()


def test_a_map_of_no_tokens_or_unknown_ones_is_refused():
    match = explain.match_tokens(query_of(axis(2)[None]), block_page(2, 2, []))
    with pytest.raises(ValueError, match="no query tokens"):
        similarity_map(match, [])
    with pytest.raises(IndexError):
        similarity_map(match, [1])


def test_a_prefix_token_is_never_drawn():
    match = explain.match_tokens(query_of(axis(3)[None]), block_page(2, 2, []))  # the prefix's own direction
    assert similarity_map(match, [0]).values.tolist() == [[0, 0], [0, 0]]
    winners = winner_map(explain.attribute(match, LATE.weights))
    assert winners.map.flat
    assert [term.contribution for term in winners.remainder] == [1]


def test_boxes_are_asked_of_boxes_only():
    with pytest.raises(ValueError, match="no boxes"):
        grid_map([[1]]).by_box()
