"""A page's place over the late weight: the line, the sentence, the weights it names, against the ranking itself."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo import scoring
from smart_demo.methods import Method, Weights
from smart_demo.search import explain
from smart_demo.search.explain import MAX_LATE_WEIGHT, Sweep
from smart_demo.search.explain.explainer import Explainer
from smart_demo.types import PageId
from smart_demo.ui.rank_plot import (
    BOTTOM,
    LEFT,
    MIN_LABEL_DISTANCE,
    RIGHT,
    TOP,
    choose_rank_labels,
    describe_ranks,
    list_ranks,
    plot_ranks,
    rank_y,
    render_rank_plot,
    weight_x,
)
from tests.search.explain.cases import axis, block_page, query_of, seeds
from tests.search.explain.test_weight_sweep import parts_by_hand, random_parts
from tests.ui.pair_cases import Shelf, searched
from tests.ui.parsed_markup import ParsedMarkup


def swept(ranks, late=None, candidates=9, pages=9):
    late = np.linspace(0, MAX_LATE_WEIGHT, len(ranks), dtype="f4") if late is None else np.array(late, "f4")
    return Sweep(late, np.array(ranks), candidates, pages)


def corners(path):
    """The points of a path of M, H and V, in order."""
    x = y = 0.0
    for step, numbers in re.findall(r"([MHV])([\d.,]+)", path):
        values = [float(number) for number in numbers.split(",")]
        x, y = values if step == "M" else (values[0], y) if step == "H" else (x, values[0])
        yield x, y


@given(st.lists(st.integers(1, 3000), min_size=2, max_size=90), st.floats(0, 4))
def test_the_line_stays_in_its_frame_and_holds_each_rank(ranks, late):
    line = plot_ranks(swept(ranks), late)
    found = list(corners(line.path))
    worst = max(*ranks, 5)
    assert found[0] == pytest.approx((LEFT, rank_y(ranks[0], worst)), abs=0.06)
    assert found[-1] == pytest.approx((RIGHT, rank_y(ranks[-1], worst)), abs=0.06)
    assert all(LEFT - 0.1 <= x <= RIGHT + 0.1 and TOP - 0.1 <= y <= BOTTOM + 0.1 for x, y in found)
    assert [x for x, _ in found] == sorted(x for x, _ in found)
    for rank in ranks:
        assert any(abs(y - rank_y(rank, worst)) < 0.06 for _, y in found)
    assert line.marker
    assert line.marker[0] == pytest.approx(weight_x(late))


@given(st.integers(5, 10_000))
def test_labels_of_ranks_leave_each_other_room(worst):
    heights = [rank_y(rank, worst) for rank in choose_rank_labels(worst)]
    assert (choose_rank_labels(worst)[0], choose_rank_labels(worst)[-1]) == (1, worst)
    assert all(after - before >= MIN_LABEL_DISTANCE - 1e-9 for before, after in pairwise(heights))
    assert len(heights) <= 9


def test_the_dot_stands_at_the_rank_of_the_weight_in_use():
    line = plot_ranks(swept([7, 7, 2, 1, 1]), 2.0)
    assert line.marker == (weight_x(2.0), rank_y(2, 7))
    assert plot_ranks(swept([7, 2]), 9.0).marker is None


@pytest.mark.parametrize(
    ("ranks", "leads", "said"),
    [
        ([7, 3, 1, 1, 1], (0.6189, np.inf), "Place 7 at weight 0; first from 0.62 on. Now, at 1.00: place 3."),
        ([1, 1, 2, 3, 4], (0.0, 1.234), "First up to 1.23; place 4 at weight 4. Now, at 1.00: place 1."),
        ([7, 1, 1, 1, 3], (0.6, 3.5), "Place 7 at weight 0; first from 0.60 to 3.50; place 3 at weight 4. Now, at"),
        ([2, 1, 1, 1, 1], (0.0, 9.0), "Place 2 at weight 0; first from there on. Now, at 1.00: place 1."),
        ([7, 2, 3, 4, 5], None, "Place 7 at weight 0, place 5 at weight 4, at best place 2 at 1.00; never first. Now"),
        ([7, 5, 4, 3, 2], (4.5, np.inf), "Place 7 at weight 0, place 2 at weight 4; never first. Now, at 1.00: place"),
        ([1, 2, 3, 3, 3], None, "First at weight 0 alone; place 3 at weight 4. Now, at 1.00: place 2."),
        ([1, 1, 1, 1, 1], (0.0, np.inf), "First at every late weight from 0 to 4."),
        ([3, 3, 3, 3, 3], None, "Place 3 at every late weight from 0 to 4."),
        ([2, 1, 1, 1, 2], (0.5, 0.503), "Place 2 at weight 0; first from 0.500 to 0.503; place 2 at weight 4. Now"),
    ],
)
def test_the_sentence_by_hand(ranks, leads, said):
    assert describe_ranks(swept(ranks), leads, Weights()).startswith(said)


def test_without_a_pooled_weight_the_late_part_ranks_alone():
    said = describe_ranks(swept([9, 3, 3]), None, Weights(0.0, 1.0))
    assert said == "At a pooled weight of 0 the late part alone ranks: place 3 at any late weight."


def test_the_drawing_has_words_for_those_who_do_not_see_it():
    assert list_ranks(swept([7, 3, 2, 1, 1])) == (
        "Place for late weights from 0 to 4: 7 at 0, 3 at 1, 2 at 2, 1 at 3, 1 at 4."
    )


@given(seeds, st.booleans(), st.sampled_from([1.0, 0.0, 0.7]))
@settings(max_examples=60, deadline=None)
def test_a_page_leads_exactly_between_the_weights_that_are_named(seed, ties, pooled):
    parts = random_parts(np.random.default_rng(seed), ties=ties)
    weights = Weights(pooled)
    page = parts.pages[parts.candidates[seed % len(parts.candidates)]]
    leads = explain.find_first_place_weights(parts, page, weights)

    def place(late):
        return scoring.rank(parts, Method("m", "M", replace(weights, late=late)), 0).ranks[page.key]

    start, end = leads or (np.inf, np.inf)
    for late in (0.001, 0.3, 1.0, 2.7, 50.0):
        if min(abs(late - start), abs(late - end)) > 1e-3:
            assert (place(late) == 1) == (start < late < end)
    if leads and end - start > 0.01:
        assert place(start + (min(end, start + 1) - start) / 2) == 1
        if start > 0.01:
            assert place(start * 0.99) > 1
        if end < 1e3:
            assert place(end * 1.01) > 1


def test_first_place_by_hand():
    parts = parts_by_hand([0.9, 0.5, 0.1], [0.1, 0.5, 0.6])
    one, two, three = parts.pages
    assert explain.find_first_place_weights(parts, one, Weights()) == (0.0, pytest.approx(1.0))
    assert explain.find_first_place_weights(parts, two, Weights()) == (pytest.approx(1.0), pytest.approx(4.0, rel=1e-5))
    assert explain.find_first_place_weights(parts, three, Weights()) == (pytest.approx(4.0, rel=1e-5), np.inf)
    equal = parts_by_hand([0.5, 0.5], [0.5, 0.5])
    assert explain.find_first_place_weights(equal, equal.pages[0], Weights()) == (0.0, np.inf)
    assert explain.find_first_place_weights(equal, equal.pages[1], Weights()) is None


def test_the_section_is_sound_markup_and_draws_what_the_ranking_says():
    pages = [block_page(2, 2, []), replace(block_page(2, 2, [(0, 0)]), page=PageId("00000000000000aa", 2))]
    found = searched(query_of(np.stack([axis(2)])), pages)
    told = Explainer(Shelf(pages)).explain(found, found.parts.pages[1].key, Weights(1.0, 0.37))
    assert told.sweep is not None
    assert np.float32(0.37) in told.sweep.late
    seen = ParsedMarkup(render_rank_plot(told))
    assert "Place 2 at weight 0; first from there on. Now, at 0.37: place 1." in seen.joined
    assert any("2 at 0, 1 at 1" in label for label in seen.values("aria-label"))
    assert "No line" in render_rank_plot(replace(told, scored=False))
