"""Accuracy in both directions: systems that bind, do not bind, or always take the same side; ties and intervals."""

from functools import cache

import numpy as np
import pytest

from smart_demo.backbones.words import WordBackbone
from smart_demo.errors import PageRefused
from smart_demo.evaluation.runner import silent
from smart_demo.evidence.binding import DIRECTIONS, PANELS, Duels, ask, make_pairs, one_sided
from smart_demo.evidence.marker_pages import draw_pair
from smart_demo.types import LATE, POOLED, SMART, Weights
from tests.evidence_cases import Binder, Partial

PAIRS = 2


@cache
def sheets():
    return [draw_pair(pair) for pair in make_pairs(PAIRS)]


def duels(backbone, codec="float32"):
    return Duels(ask(backbone, make_pairs(PAIRS), sheets(), silent), codec)


@pytest.mark.parametrize("codec", ["float32", "int8"])
def test_who_binds_perfectly_is_right_in_both_directions(codec):
    told = duels(Binder(), codec).describe(1)
    for direction in DIRECTIONS:
        assert told[direction]["late"] == told[direction]["smart"] == 1.0
        assert told[direction]["pooled"] == 0.5  # all pooled vectors are alike: nothing but ties
        assert told["ties"][direction] == {"pooled": PAIRS * PANELS, "late": 0, "smart": 0, "smart_sum": 0}
    assert told["one_sided"]["smart"] == 0.0
    assert told["intervals"]["both"]["smart"] == {"low": 1.0, "high": 1.0}


def test_who_reads_bags_of_words_is_right_half_of_the_time_by_ties_alone():
    """The word counts of both reports are equal, so no part may prefer one: a proof that the pairs are fair."""
    told = duels(WordBackbone()).describe(1)
    for direction in DIRECTIONS:
        assert set(told[direction].values()) == {0.5}
        assert set(told["ties"][direction].values()) == {PAIRS * PANELS}
    assert told["pooled_cosine"] == pytest.approx(1.0)


def test_who_always_takes_the_same_report_is_found_out_by_the_other_direction():
    told = duels(Partial()).describe(1)
    for method in ("pooled", "late", "smart"):
        assert (told["a_to_b"][method], told["b_to_a"][method]) == (1.0, 0.0)
        assert told["both"][method] == 0.5
        assert told["one_sided"][method] == 1.0


def test_the_form_of_the_answer():
    told = duels(Binder()).describe(20)
    assert set(told["a_to_b"]) == set(told["b_to_a"]) == {"pooled", "late", "smart", "smart_sum"}
    assert (told["pairs"], told["panels"], told["questions"], told["seed"]) == (PAIRS, 25, 2 * PAIRS * 25, 20)
    assert told["paper"] == {"pooled": 0.319, "late": 0.568, "smart": 0.426}
    curve = {point["late_weight"]: point for point in told["curve"]}
    assert (min(curve), max(curve)) == (0.0, 4.0)
    assert curve[0.0]["both"] == told["both"]["pooled"]
    assert curve[1.0]["a_to_b"] == told["a_to_b"]["smart"]


def test_outcomes_are_those_of_the_scores_one_by_one():
    made = duels(Partial())
    for weights, first in ((POOLED.weights, 1.0), (LATE.weights, 1.0), (SMART.weights, 1.0), (Weights(0, 0), 0.5)):
        outcomes = made.outcomes(weights)
        assert outcomes.shape == (PAIRS, 2, PANELS)
        assert (outcomes[:, 0] == first).all()
        assert (outcomes[:, 1] == 1 - first).all()
        assert made.accuracy(weights) == 0.5


def test_a_difference_is_over_the_same_pairs():
    bound, blind = duels(Binder()), duels(WordBackbone())
    found = bound.difference(SMART.weights, blind, SMART.weights)
    assert (found["mean"], found["low"], found["high"]) == (0.5, 0.5, 0.5)
    assert (found["better"], found["same"], found["worse"]) == (PAIRS, 0, 0)


def test_the_interval_draws_whole_pairs():
    """Twenty pairs all right and twenty all wrong: 40 facts, not 1,000. By the normal law ±15 points, not ±3."""
    from smart_demo.evidence.binding import _interval

    found = _interval(np.repeat([0.0, 1.0], 20))
    assert found["low"] == pytest.approx(0.5 - 1.96 * np.sqrt(0.25 / 40), abs=0.03)
    assert found["high"] == pytest.approx(0.5 + 1.96 * np.sqrt(0.25 / 40), abs=0.03)


def test_one_sidedness_by_hand():
    outcomes = np.zeros((2, 2, PANELS))
    outcomes[0, 0] = 1.0  # the first pair: A always; the second: neither side is ever right
    assert one_sided(outcomes) == 0.5


def test_a_report_that_cannot_be_read_ends_the_test():
    class Blind(WordBackbone):
        def encode_pages(self, pages):
            return [PageRefused(f"Page 1 of {page.document} has no words.") for page in pages]

    with pytest.raises(PageRefused, match=r"report-01-a\.png"):
        duels(Blind())
