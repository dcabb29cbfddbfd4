"""Metrics against figures computed by hand, and ranx."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo.evaluation.metrics import METRICS, mrr, ndcg, paired_difference, recall, stratified_difference

PAGES = [f"p{n}" for n in range(14)]
rankings = st.permutations(PAGES).flatmap(lambda order: st.integers(0, 14).map(lambda depth: order[:depth]))
judgements = st.dictionaries(st.sampled_from([*PAGES, "never-1", "never-2"]), st.integers(0, 4), max_size=16)


@pytest.mark.parametrize(
    ("ranking", "grades", "k", "expected"),
    [
        (["a", "b"], {"a": 1}, 2, 1.0),  # best possible
        (["b", "a"], {"a": 1}, 2, 1 / log2(3)),  # one place too low
        (["b"], {}, 5, 0.0),  # nothing relevant: 0, not a division by zero
        (["b"], {"a": 0, "b": 0}, 5, 0.0),
        ([], {"a": 1}, 5, 0.0),
        (["c", "a"], {"a": 3, "b": 3}, 2, 3 / log2(3) / (3 + 3 / log2(3))),  # a relevant page never retrieved
        (["b", "a"], {"a": 3, "b": 1}, 10, (1 + 3 / log2(3)) / (3 + 1 / log2(3))),  # linear gain, not 2^3 - 1
        (["a", "b", "c"], {"a": 1, "b": 1, "c": 1}, 2, 1.0),  # the ideal is cut at k, too
        (["x", "y", "a"], {"a": 1}, 2, 0.0),  # beyond the cut
        (["a"], {"a": 0.5, "b": 1.5}, 1, 0.5 / 1.5),  # grades need not be whole
    ],
)
def test_ndcg_by_hand(ranking, grades, k, expected):
    assert ndcg(ranking, grades, k) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ranking", "grades", "k", "share", "reciprocal"),
    [
        (["a", "b", "c"], {"a": 1, "c": 2}, 1, 1 / 2, 1.0),
        (["b", "a", "c"], {"a": 1, "c": 2}, 2, 1 / 2, 1 / 2),
        (["b", "c", "a"], {"a": 1, "c": 2, "d": 1}, 3, 2 / 3, 1 / 2),  # the grade's size does not matter
        (["b", "a"], {"a": 4}, 1, 0.0, 0.0),  # just beyond the cut
        (["a", "b"], {"a": 0, "b": 1}, 5, 1.0, 1 / 2),  # a grade of 0 is a judgement that it is not relevant
        (["a"], {"a": 0}, 5, 0.0, 0.0),
        ([], {"a": 1}, 5, 0.0, 0.0),
    ],
)
def test_recall_and_mrr_by_hand(ranking, grades, k, share, reciprocal):
    assert recall(ranking, grades, k) == pytest.approx(share)
    assert mrr(ranking, grades, k) == pytest.approx(reciprocal)


@given(ranking=rankings, grades=judgements)
def test_metrics_stay_within_0_and_1_and_never_look_beyond_the_cut(ranking, grades):
    for name, metric in METRICS.items():
        value, cut = metric(ranking, grades), int(name.split("@")[1])
        assert 0.0 <= value <= 1.0 + 1e-12
        assert metric(ranking[:cut] + sorted(ranking[cut:]), grades) == value


def test_metrics_agree_with_ranx_over_a_whole_random_run(ranx):
    random = np.random.default_rng(7)
    qrels, run, expected = {}, {}, {name: [] for name in METRICS}
    for query in range(60):
        order = list(random.permutation(PAGES))[: random.integers(1, 15)]
        pool = random.choice([*PAGES, "never-1", "never-2"], size=random.integers(1, 9), replace=False)
        grades = {str(page): int(random.integers(0, 5)) for page in pool}
        qrels[f"q{query}"] = grades
        run[f"q{query}"] = {str(page): 1.0 / rank for rank, page in enumerate(order, start=1)}
        for name, metric in METRICS.items():
            expected[name].append(metric([str(page) for page in order], grades))
    theirs = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), list(METRICS))
    for name, values in expected.items():
        assert np.mean(values) == pytest.approx(theirs[name], abs=1e-9), name


@pytest.mark.parametrize("metric", [ndcg, recall, mrr])
def test_rankings_and_cuts_that_make_no_sense_are_refused(metric):
    with pytest.raises(ValueError, match="repeat"):
        metric(["a", "b", "a"], {"a": 1}, 3)
    with pytest.raises(ValueError, match="1 or more"):
        metric(["a"], {"a": 1}, 0)


def test_difference_counts_queries_and_is_the_same_every_time():
    smart, pooled = [0.9, 0.4, 0.5, 0.0, 1.0], [0.5, 0.4, 0.7, 0.0, 0.1]
    found = paired_difference(smart, pooled)
    assert (found.better, found.same, found.worse) == (2, 2, 1)
    assert found.mean == pytest.approx((0.4 - 0.2 + 0.9) / 5)
    assert found.low < found.mean < found.high
    assert found == paired_difference(smart, pooled)


def test_interval_of_one_constant_difference_is_that_difference():
    found = paired_difference([0.75] * 4, [0.5] * 4, resamples=50)
    assert (found.low, found.mean, found.high) == (0.25, 0.25, 0.25)


def test_interval_is_that_of_the_binomial_distribution_where_it_can_be_worked_out():
    """Half of 100 differences are 1, half 0: a resample's mean is Binomial(100, 1/2) / 100, whose 2.5th and 97.5th
    percentiles are 0.40 and 0.60.
    """
    found = paired_difference([1.0] * 50 + [0.0] * 50, [0.0] * 100)
    assert (found.low, found.high) == (pytest.approx(0.40), pytest.approx(0.60))


def test_pairs_stay_together():
    """Hard and easy queries differ by far more than the methods do; unpaired, the interval would be wide."""
    base = list(np.linspace(0, 0.9, 30))
    found = paired_difference([value + 0.1 for value in base], base)
    assert found.low == pytest.approx(0.1)
    assert found.high == pytest.approx(0.1)


def test_sets_count_alike_and_their_queries_are_drawn_apart():
    """A set of 90 equal differences of 0.2 adds no width: half of the binomial interval of the other set remains."""
    found = stratified_difference([[0.2] * 90, [1.0] * 50 + [0.0] * 50], [[0.0] * 90, [0.0] * 100])
    assert found.mean == pytest.approx((0.2 + 0.5) / 2)
    assert (found.low, found.high) == (pytest.approx(0.1 + 0.40 / 2), pytest.approx(0.1 + 0.60 / 2))
    assert (found.better, found.same, found.worse) == (140, 50, 0)
    with pytest.raises(ValueError, match="no sets"):
        stratified_difference([], [])


@settings(max_examples=20)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12), st.integers(0, 99))
def test_swapping_the_methods_mirrors_the_interval(pairs, seed):
    left, right = [a for a, _ in pairs], [b for _, b in pairs]
    one = paired_difference(left, right, resamples=200, seed=seed)
    other = paired_difference(right, left, resamples=200, seed=seed)
    assert (one.mean, one.low, one.high) == pytest.approx((-other.mean, -other.high, -other.low), abs=1e-12)
    assert (one.better, one.same, one.worse) == (other.worse, other.same, other.better)


@pytest.mark.parametrize(("values", "base"), [([], []), ([0.5], []), ([0.5, 0.5], [0.5])])
def test_values_that_cannot_be_paired_are_refused(values, base):
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_difference(values, base)
