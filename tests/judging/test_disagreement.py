"""RBO, Kendall's tau and the five for a slide: by hand, by a slow second opinion, and by scipy."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from smart_demo.evaluation.metrics import kendall_tau, measure_disagreement, ndcg, rbo
from smart_demo.judging.list_comparison import HighlightKind, compare_rankings, select_highlights, sort_by_disagreement
from tests.judging.cases import page

lists = st.permutations(range(9)).flatmap(lambda order: st.integers(0, 9).map(lambda n: order[:n]))


def slow_rbo(left, right, p):
    """(1-p) Σ p^(d-1) A_d to depth 2,000, agreements beyond the lists put in by hand: past the shorter list its
    agreement is kept for the ranks it lacks, past both the last agreement is.
    """
    short, long = sorted((left, right), key=len)
    s, n = len(short), len(long)
    total = 0.0
    for d in range(1, 2_000):
        depth = min(d, n)
        common = len(set(short[:depth]) & set(long[:depth]))
        if depth > s:
            common += len(set(short) & set(long[:s])) * (depth - s) / s
        total += (1 - p) * p ** (d - 1) * common / depth
    return total


@pytest.mark.parametrize(
    ("left", "right", "p", "expected"),
    [
        ("abc", "abc", 0.9, 1.0),
        ("abc", "xyz", 0.9, 0.0),
        ("", "", 0.9, 1.0),
        ("", "a", 0.9, 0.0),
        ("ab", "ba", 0.9, 0.9),
        ("ab", "ba", 0.5, 0.5),
        ("abc", "abx", 0.5, 2 / 3 * 1 / 8 + 1 * (1 / 2 + 1 / 4 + 2 / 3 * 1 / 8)),  # A = 1, 1, 2/3 and then 2/3
        ("ab", "acb", 0.5, 1 * (1 / 2 + 1 / 2 * 1 / 4 + (2 + 1 / 2) / 3 / 8) + (1 / 3 + 1 / 2) / 8),
        ("a", "ab", 0.9, 1.0),  # as far as one can see they agree
    ],
)
def test_rbo_by_hand(left, right, p, expected):
    assert rbo(left, right, p) == pytest.approx(expected, abs=1e-12)
    assert rbo(right, left, p) == rbo(left, right, p)


@settings(deadline=None, max_examples=60)
@given(left=lists, right=lists, p=st.sampled_from([0.5, 0.9]))
def test_rbo_agrees_with_its_definition_summed_slowly(left, right, p):
    found = rbo(left, right, p)
    assert 0.0 <= found <= 1.0
    if left and right:
        assert found == pytest.approx(slow_rbo(left, right, p), abs=1e-9)


@settings(deadline=None, max_examples=80)
@given(left=lists, right=lists)
def test_tau_is_scipys_tau_b_with_missing_items_tied_below(left, right):
    found = kendall_tau(left, right)
    union = sorted({*left, *right})
    ranks = [[list(side).index(item) if item in side else 99 for item in union] for side in (left, right)]
    if list(left) == list(right):
        assert found == 1.0
    elif not left or not right:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(kendalltau(*ranks, variant="b").statistic, abs=1e-12)
        assert found == pytest.approx(kendall_tau(right, left), abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 5, 10])
def test_tau_of_lists_without_a_common_item(k):
    assert kendall_tau(range(k), range(k, 2 * k)) == pytest.approx(-2 * k / (3 * k - 1))


@pytest.mark.parametrize("measure", [rbo, kendall_tau])
def test_rankings_that_repeat_an_item_are_refused(measure):
    with pytest.raises(ValueError, match="repeat"):
        measure("aab", "abc")
    with pytest.raises(ValueError, match="between 0 and 1"):
        rbo("a", "b", 1.0)


def test_a_list_and_its_beginning_are_not_the_same():
    found = measure_disagreement("a", "ab")
    assert (found.rbo, found.same, found.shared, found.k, found.new_first) == (1.0, False, 1, 2, False)
    assert measure_disagreement("ab", "ab").same
    assert measure_disagreement("ab", "ba").new_first


# -- a list of queries


def pages(*numbers):
    return [page(n) for n in numbers]


def asked(name, pooled, smart, grades=None):
    return compare_rankings(
        name, name, pages(*pooled), pages(*smart), 3, {page(n): g for n, g in (grades or {}).items()}
    )


RISE = asked("rise", (1, 2, 3, 4, 5, 6, 7, 8, 9), (9, 1, 2, 3, 4, 5, 6, 7, 8))
SWAP = asked("swap", (1, 2, 3, 4), (1, 3, 2, 4))
SAME = asked("same", (1, 2, 3, 4), (1, 2, 3, 4))
APART = asked("apart", (1, 2, 3, 4, 5, 6), (4, 5, 6, 1, 2, 3))
FALL = asked("fall", (1, 2, 3, 4), (2, 3, 4, 1))
OTHER = asked("other", (1, 2, 3, 4), (2, 1, 3, 4))


def test_the_most_different_come_first():
    found = sort_by_disagreement([SAME, SWAP, RISE, APART, FALL])
    assert [one.query for one in found] == ["apart", "rise", "fall", "swap", "same"]
    assert [one.disagreement.shared for one in found] == [0, 2, 2, 3, 3]


def test_steps_are_weighed_by_what_they_are_worth_at_the_top():
    assert (RISE.rise.before, RISE.rise.after) == (9, 1)
    assert (FALL.fall.before, FALL.fall.after) == (1, 4)
    assert (SAME.rise, SAME.fall) == (None, None)
    lost = compare_rankings("lost", "lost", pages(1, 2), pages(2), 2)
    assert (lost.fall.before, lost.fall.after) == (1, None)


def test_without_grades_nothing_is_called_good_or_bad():
    picked = select_highlights([SWAP, SAME, RISE, APART, FALL, OTHER])
    assert [(one.kind, one.comparison.query) for one in picked] == [
        (HighlightKind.RISE, "rise"),
        (HighlightKind.UNCHANGED, "same"),
        (HighlightKind.DIFFERENT, "apart"),
        (HighlightKind.FALL, "fall"),
        (HighlightKind.DIFFERENT, "other"),
    ]
    words = " ".join(one.sentence for one in picked).lower()
    assert not any(word in words for word in ("better", "worse", "win", "lose", "good", "bad", "gain", "loss", "grade"))
    assert "from rank 9 to rank 1" in words
    assert all(one.ndcg_gain is None and one.better == "" for one in (RISE, FALL))


def test_with_grades_a_loss_of_smart_is_always_among_them():
    loss = asked("loss", (1, 2, 3, 4), (2, 1, 3, 4), {1: 3})
    worst = asked("worst", (1, 2, 3, 4), (2, 3, 4, 1), {1: 3})
    gain = asked("gain", (2, 1, 3, 4), (1, 2, 3, 4), {1: 3})
    picked = select_highlights([SWAP, SAME, gain, RISE, APART, loss, worst, OTHER])
    by_kind = {one.kind: one for one in picked}
    assert by_kind[HighlightKind.LOSS].comparison == worst
    assert by_kind[HighlightKind.LOSS].sentence == "SMART loses: nDCG −1.00 by the grades."
    assert by_kind[HighlightKind.GAIN].comparison == gain
    assert [one.comparison.query for one in picked] == ["worst", "rise", "same", "apart", "gain"]
    value = ndcg(pages(2, 3, 4, 1), {page(1): 3}, 3) - ndcg(pages(1, 2, 3, 4), {page(1): 3}, 3)
    assert worst.ndcg_gain == pytest.approx(value)
    assert asked("no", (1, 2), (2, 1), {1: 0}).ndcg_gain is None  # nothing relevant says nothing


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.permutations(range(1, 6)), st.permutations(range(1, 6)), st.booleans()), max_size=9))
def test_five_are_always_different_queries_and_a_loss_is_never_hidden(drawn):
    found = [asked(f"q{n}", a, b, {1: 2} if judged else None) for n, (a, b, judged) in enumerate(drawn)]
    picked = select_highlights(found)
    names = [one.comparison.query for one in picked]
    assert len(names) == len({*names}) <= 5
    assert any(one.better == "pooled" for one in found) == any(one.kind is HighlightKind.LOSS for one in picked)
    assert len(picked) == min(5, len(found))
    for one in picked:
        if one.comparison.ndcg_gain is None:
            assert not any(word in one.sentence for word in ("better", "worse", "wins", "loses"))
