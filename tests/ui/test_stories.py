"""What the stories claim, compared with the bundled model on the sample library; their markup and their links."""

from dataclasses import replace
from urllib.parse import parse_qsl

import numpy as np
import pytest

from smart_demo.methods import LATE, POOLED, SMART, Found, Weights
from smart_demo.search.request import ON_SAMPLES, format_url_query, parse_request, parse_url_query
from smart_demo.types import LOCAL, SAMPLES, Query
from smart_demo.ui import stories
from smart_demo.ui.stories import STORIES, STORY_QUERIES, find_outcome
from tests.ui.cases import found
from tests.ui.parsed_markup import ParsedMarkup

MEASURED_RANKS = {
    "restricted area, no anchoring": (3, 1),
    "lost-time injuries per million hours": (13, 1),
    "service engineer at sea, day rate 2024": (24, 5),
    "serial number P3-2309": (10, 2),
    "warranty in the 2023 price list": (1, 1),
    "wind rose of wave directions": (7, 11),
    "Wie wird die Boje verankert?": (3, 2),
}
"""Ranks by pooled only and by SMART, measured with minilm on the sample library of 71 pages."""


@pytest.fixture(scope="module")
def ranks(sample_engine) -> dict[str, tuple[int, int]]:
    """Every story's ranks by the bundled model over the whole sample library."""
    answers = (sample_engine.search(Query(query), (SAMPLES,), (POOLED, SMART, LATE)) for query in STORY_QUERIES)
    return {one.story.query: (one.left, one.right) for one in map(find_outcome, answers) if one}


def directions(ranks: dict[str, tuple[int, int]]) -> dict[str, int]:
    """Return 1 for a story whose page SMART raises, -1 for one that it lowers, 0 for one that stays."""
    return {query: int(np.sign(pooled - smart)) for query, (pooled, smart) in ranks.items()}


def test_every_story_has_its_measured_ranks(ranks):
    assert directions(ranks) == directions(MEASURED_RANKS)
    for query, measured in MEASURED_RANKS.items():
        assert ranks[query] == pytest.approx(measured, abs=2), query  # another CPU may turn near ties


def test_some_win_one_loses_and_one_changes_nothing():
    assert 5 <= len(MEASURED_RANKS) <= 8
    assert sorted(set(directions(MEASURED_RANKS).values())) == [-1, 0, 1]
    assert tuple(MEASURED_RANKS) == STORY_QUERIES


def first_story(pooled: list[float], late: list[float], weights: Weights = SMART.weights) -> Found:
    """Return the search of the first story over two pages, the first of which answers it."""
    return found(pooled, late, document=STORIES[0].document, query=STORIES[0].query, weights=weights)


def test_a_story_needs_its_own_page_among_the_samples():
    story, pooled, late = STORIES[0], [0.9, 0.1], [0.1, 0.9]
    assert find_outcome(first_story(pooled, late))
    assert find_outcome(found(pooled, late, document=story.document, query="another question")) is None
    assert find_outcome(found(pooled, late, document="other.pdf", query=story.query)) is None
    mine = first_story(pooled, late)
    pages = tuple(replace(page, scope=LOCAL) for page in mine.parts.pages)
    assert find_outcome(replace(mine, parts=replace(mine.parts, pages=pages))) is None


@pytest.mark.parametrize(
    ("pooled", "late", "weights", "sentence"),
    [
        ([0.9, 0.8], [0.9, 0.1], (1, 1), "Place 1 in both: SMART changes nothing here."),
        ([0.9, 0.8], [0.1, 0.9], (1, 1), "SMART loses here: the answer falls from place 1 to 2."),
        ([0.8, 0.9], [0.9, 0.1], (1, 1), "SMART lifts the answer from place 2 to 1."),
        ([0.8, 0.9], [0.9, 0.1], (1, 0), "Place 2 in both: pooled only changes nothing here."),
    ],
)
def test_the_outcome_is_computed_from_the_rankings(pooled, late, weights, sentence):
    outcome = find_outcome(first_story(pooled, late, Weights(*weights)))
    assert outcome.sentence == sentence
    markup = ParsedMarkup(stories.render_story(outcome))
    assert sentence in markup.joined


def test_no_story_no_panel():
    assert stories.render_story(None) == ""
    below = replace(find_outcome(first_story([0.9, 0.8], [0.9, 0.1])), right=None)
    assert stories.render_story(below) == "", "the right ranking did not reach the page"


@pytest.mark.parametrize(("pooled", "late"), [(pooled, late) for _, pooled, late in stories.PRESETS])
def test_a_link_carries_weights_by_their_short_names_and_old_ones_still_open(pooled, late):
    wanted = parse_request("tide", ON_SAMPLES, 7, pooled, late)
    otherwise = parse_request("other", ON_SAMPLES, 5, 2, 2)
    parameters = dict(parse_qsl(format_url_query(wanted)))
    assert {"q", "in", "k", "lp", "ll"} == set(parameters)
    assert parse_url_query(parameters, otherwise) == wanted
    older = {"q": "tide", "in": ON_SAMPLES, "k": "7", "pooled": f"{pooled:g}", "late": f"{late:g}"}
    assert parse_url_query(older, otherwise) == wanted
