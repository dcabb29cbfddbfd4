"""Accuracy in both directions: systems that bind, do not bind, or always take the same side; ties and intervals."""

from functools import cache

import numpy as np
import pytest

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.errors import PageRefused
from smart_demo.evaluation.runner import ignore_progress
from smart_demo.evidence.binding import (
    DIRECTIONS,
    PANELS_PER_REPORT,
    BindingScores,
    cluster_interval,
    encode_pairs,
    make_pairs,
    one_sidedness,
)
from smart_demo.evidence.marker_pages import draw_pair
from smart_demo.methods import LATE, POOLED, SMART, Weights
from tests.evidence.cases import Binder, Partial

PAIRS = 2


@cache
def sheets():
    return [draw_pair(pair) for pair in make_pairs(PAIRS)]


def duels(backbone, codec="float32"):
    return BindingScores(encode_pairs(backbone, make_pairs(PAIRS), sheets(), ignore_progress), codec)


@pytest.mark.parametrize("codec", ["float32", "int8"])
def test_a_perfect_binder_is_right_in_both_directions(codec):
    found = duels(Binder(), codec).as_json(1)
    for direction in DIRECTIONS:
        assert found[direction]["late"] == found[direction]["smart"] == 1.0
        assert found[direction]["pooled"] == 0.5  # all pooled vectors are alike: nothing but ties
        assert found["ties"][direction] == {"pooled": PAIRS * PANELS_PER_REPORT, "late": 0, "smart": 0, "smart_sum": 0}
    assert found["one_sided"]["smart"] == 0.0
    assert found["intervals"]["both"]["smart"] == {"low": 1.0, "high": 1.0}


def test_bags_of_words_give_ties_alone():
    """Check that the pairs are fair: the word counts of both reports are equal, so no part may prefer one."""
    found = duels(WordBackbone()).as_json(1)
    for direction in DIRECTIONS:
        assert set(found[direction].values()) == {0.5}
        assert set(found["ties"][direction].values()) == {PAIRS * PANELS_PER_REPORT}
    assert found["pooled_cosine"] == pytest.approx(1.0)


def test_a_constant_preference_is_wrong_in_the_other_direction():
    found = duels(Partial()).as_json(1)
    for method in ("pooled", "late", "smart"):
        assert (found["a_to_b"][method], found["b_to_a"][method]) == (1.0, 0.0)
        assert found["both"][method] == 0.5
        assert found["one_sided"][method] == 1.0


def test_the_form_of_the_answer():
    found = duels(Binder()).as_json(20)
    assert set(found["a_to_b"]) == set(found["b_to_a"]) == {"pooled", "late", "smart", "smart_sum"}
    assert (found["pairs"], found["panels"], found["questions"], found["seed"]) == (PAIRS, 25, 2 * PAIRS * 25, 20)
    assert found["paper"] == {"pooled": 0.319, "late": 0.568, "smart": 0.426}
    curve = {point["late_weight"]: point for point in found["curve"]}
    assert (min(curve), max(curve)) == (0.0, 4.0)
    assert curve[0.0]["both"] == found["both"]["pooled"]
    assert curve[1.0]["a_to_b"] == found["a_to_b"]["smart"]


def test_outcomes_are_those_of_the_scores_one_by_one():
    made = duels(Partial())
    for weights, first in ((POOLED.weights, 1.0), (LATE.weights, 1.0), (SMART.weights, 1.0), (Weights(0, 0), 0.5)):
        outcomes = made.outcomes(weights)
        assert outcomes.shape == (PAIRS, 2, PANELS_PER_REPORT)
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
    found = cluster_interval(np.repeat([0.0, 1.0], 20).reshape(40, 1, 1))
    assert found["low"] == pytest.approx(0.5 - 1.96 * np.sqrt(0.25 / 40), abs=0.03)
    assert found["high"] == pytest.approx(0.5 + 1.96 * np.sqrt(0.25 / 40), abs=0.03)


def test_one_sidedness_by_hand():
    outcomes = np.zeros((2, 2, PANELS_PER_REPORT))
    outcomes[0, 0] = 1.0  # the first pair: A always; the second: neither side is ever right
    assert one_sidedness(outcomes) == 0.5


def test_a_report_that_cannot_be_read_ends_the_test():
    class Blind(WordBackbone):
        def encode_pages(self, pages):
            return [PageRefused(f"Page 1 of {page.document} has no words.") for page in pages]

    with pytest.raises(PageRefused, match=r"report-01-a\.png"):
        duels(Blind())
