"""Scoreboards by hand, the sign test by a second opinion, and what may not be concluded."""

from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import comb, log2

import pytest
from scipy.stats import binomtest, norm, t

from smart_demo.evaluation.metrics import MIN_DECIDED, MIN_QUERIES, SIGNIFICANCE_LEVEL, paired_difference, sign_test
from smart_demo.judging import scoreboard
from smart_demo.judging.records import replay
from smart_demo.judging.scoreboard import VoteCount, boards
from smart_demo.methods import Counted, Reduce, Weights
from tests.judging.cases import HOSTILE, Script, page, trial_of


def board_of(script):
    (board,) = boards(replay(script.events))
    return board


# -- votes


def test_the_sign_test_is_that_of_fair_throws():
    for wins, losses in product(range(13), range(13)):
        n = wins + losses
        p = sign_test(wins, losses)
        exact = min(Fraction(1), Fraction(2 * sum(comb(n, i) for i in range(min(wins, losses) + 1)), 2**n))
        assert p == pytest.approx(float(exact), abs=1e-15)
        if n:
            assert p == pytest.approx(binomtest(wins, n).pvalue, abs=1e-12)
    assert 0 <= sign_test(4_000, 1_000) < 1e-200  # no overflow on the way
    with pytest.raises(ValueError, match="cannot be"):
        sign_test(-1, 2)


def test_minimum_counts_follow_from_the_tests_they_serve():
    assert sign_test(MIN_DECIDED, 0) < SIGNIFICANCE_LEVEL <= sign_test(MIN_DECIDED - 1, 0)

    def held(n):
        """How often the percentile interval of n normal differences holds their mean, but for its small-sample bias."""
        return 2 * t.cdf(norm.ppf(0.975) * ((n - 1) / n) ** 0.5, n - 1) - 1

    assert held(MIN_QUERIES) >= 0.90 > held(MIN_QUERIES - 1)
    assert held(5) == pytest.approx(0.85, abs=0.01)


def test_votes_are_counted_from_smarts_side_whatever_the_columns():
    script = Script()
    said = ["smart"] * 4 + ["pooled"] * 2 + ["tie"] * 3 + ["bad"]
    for n, winner in enumerate(said):
        script.vote(trial_of(f"query {n}"), winner)
    assert {event.choice for event in script.events[:6]} == {"a", "b"}  # both methods stood on both sides
    found = board_of(script).votes
    assert (found.wins, found.ties, found.losses, found.bad) == (4, 3, 2, 1)
    assert (found.votes, found.decided, found.seen_before) == (10, 6, 0)
    assert found.p == sign_test(4, 2)


def test_one_query_has_one_vote_the_last():
    script, tide = Script(), trial_of("tide")
    script.vote(tide, "pooled")
    second = script.vote(tide, "smart")
    assert (board_of(script).votes.wins, board_of(script).votes.losses) == (1, 0)
    assert board_of(script).votes.seen_before == 1
    script.undo(second)
    assert (board_of(script).votes.wins, board_of(script).votes.losses) == (0, 1)


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (VoteCount(), "Too few to conclude: 0 decided votes"),
        (VoteCount(wins=1), "Too few to conclude: 1 decided vote,"),
        (VoteCount(wins=5, ties=100), "Too few to conclude: 5 decided"),
        (VoteCount(wins=6), "SMART is preferred: 6 of 6 decided votes, p = 0.031"),
        (VoteCount(losses=40), "Pooled only is preferred: 40 of 40 decided votes, p < 0.0001"),
        (VoteCount(wins=7, losses=5), "No preference shown: SMART has 7 of 12 decided votes, p = 0.77"),
    ],
)
def test_what_votes_say(count, said):
    assert count.conclusion.startswith(said)


# -- grades


@pytest.fixture
def graded():
    """Two scored queries at k = 2, one without a relevant page, one that was only voted on."""
    script = Script()
    tide = trial_of("tide", pooled=(1, 2, 3), late=(3, 2, 1), smart=(2, 1, 3), k=2)
    bolt = trial_of("bolt", pooled=(4, 5, 6), late=(5, 6, 4), smart=(5, 4, 6), k=2)
    script.grade(tide, {1: 1, 2: 3, 3: 0})
    script.grade(bolt, {4: 0, 5: 2, 6: 3})
    script.grade(trial_of(HOSTILE[0]), {1: 0})
    script.vote(trial_of("only a vote"), "tie")
    return script


def test_measures_by_hand(graded):
    board = board_of(graded)
    assert board.k == 2
    second = 1 / log2(3)
    ideal_tide, ideal_bolt = 3 + second, 3 + 2 * second
    assert board.means["pooled"]["ndcg"] == pytest.approx(((1 + 3 * second) / ideal_tide + 2 * second / ideal_bolt) / 2)
    assert board.means["late"]["ndcg"] == pytest.approx((3 * second / ideal_tide + (2 + 3 * second) / ideal_bolt) / 2)
    # SMART shows page 5 and never page 6, but the ideal knows it.
    assert board.means["smart"]["ndcg"] == pytest.approx((1 + 2 / ideal_bolt) / 2)
    assert board.means["pooled"]["mrr"] == pytest.approx((1 + 1 / 2) / 2)
    assert board.means["late"]["mrr"] == pytest.approx((1 / 2 + 1) / 2)
    assert board.means["smart"]["mrr"] == 1.0
    assert all(board.means[name]["hit"] == 1.0 for name in board.means)
    assert [query.trial.query.text for query in board.queries] == ["tide", "bolt"]
    assert [trial.query.text for trial in board.without_relevant] == [HOSTILE[0]]
    assert board.unjudged == {"pooled": 0, "late": 0, "smart": 0}


def test_differences_are_the_paired_bootstrap_of_the_queries(graded):
    board = board_of(graded)
    assert set(board.differences) == {("smart", "pooled"), ("late", "pooled"), ("smart", "late")}
    for (one, other), some in board.differences.items():
        for measure, found in some.items():
            values = [[query.values[name][measure] for query in board.queries] for name in (one, other)]
            assert found == paired_difference(*values)
            gap = board.means[one][measure] - board.means[other][measure]
            assert found.mean == pytest.approx(gap)


def test_the_ideal_knows_grades_of_pages_that_no_ranking_shows(graded):
    before = board_of(graded).means["smart"]["ndcg"]
    wide = trial_of("tide", pooled=(1, 2, 3, 9), smart=(2, 1, 3, 9), k=2)
    graded.grade(wide, {9: 3})
    graded.grade(trial_of("tide", pooled=(1, 2, 3), late=(3, 2, 1), smart=(2, 1, 3), k=2), {1: 1})
    board = board_of(graded)
    assert all(page(9) not in order for order in board.queries[0].trial.orders.values())
    assert board.queries[0].grades[page(9)] == 3
    assert board.means["smart"]["ndcg"] < before


def test_unjudged_pages_are_counted_by_method_and_reported(graded):
    code = trial_of("code", pooled=(1, 2, 3), late=(7, 8, 1), smart=(1, 9, 2), k=2)
    graded.grade(code, {1: 2, 2: 0})
    board = board_of(graded)
    assert board.unjudged == {"pooled": 0, "late": 2, "smart": 1}
    (told,) = [text for text in scoreboard.cautions(board) if "have no grade" in text]
    assert "2 of Late only, 1 of SMART" in told


def test_a_grade_counts_until_it_is_replaced_or_taken_back(graded):
    tide = trial_of("tide", pooled=(1, 2, 3), late=(3, 2, 1), smart=(2, 1, 3), k=2)
    (changed,) = graded.grade(tide, {2: 0})
    assert board_of(graded).queries[0].grades[page(2)] == 0
    graded.undo(changed)
    assert board_of(graded).queries[0].grades[page(2)] == 3


def test_the_cut_is_the_smallest_at_which_a_scored_query_was_judged():
    script = Script()
    script.grade(trial_of("tide", k=3), {1: 1})
    script.grade(trial_of("bolt", k=2), {1: 1})
    script.grade(trial_of("code", k=1), {1: 0})  # it is not among the scored ones
    assert board_of(script).k == 2


def test_nothing_judged_is_no_board():
    script = Script()
    script.skip(trial_of())
    assert boards(replay(script.events)) == ()
    script.undo(script.vote(trial_of(), "tie"))
    assert boards(replay(script.events)) == ()
    assert scoreboard.grouping_note(()) == ""


def test_a_board_of_votes_alone_has_no_measures():
    script = Script()
    script.vote(trial_of(), "smart")
    board = board_of(script)
    assert (board.means, board.differences, board.queries) == ({}, {}, ())
    assert scoreboard.conclusion(board, ("smart", "pooled"), "ndcg") == ""


# -- what may be counted together


def test_each_library_encoder_and_weights_has_its_own_board_the_latest_first():
    script = Script()
    conditions = [
        {},
        {"library": "0b" * 8},
        {"weights": Weights(1.0, 2.0)},
        {"weights": Weights(1.0, 1.0, Reduce.SUM)},
        {"weights": Weights(1.0, 1.0, Reduce.MEAN, Counted.CONTENT)},
    ]
    for given in conditions:
        script.vote(trial_of(**given), "smart")
    script.vote(trial_of("bolt", **conditions[1]), "pooled")
    found = boards(replay(script.events))
    assert len(found) == 5
    assert [board.votes.votes for board in found] == [2, 1, 1, 1, 1]
    assert found[0].conditions == trial_of(**conditions[1]).conditions
    assert found[-1].conditions == trial_of().conditions
    assert len({board.conditions.id for board in found}) == 5
    assert "5 settings" in scoreboard.grouping_note(found)


def test_grades_are_about_pages_so_they_count_under_other_weights_of_the_same_library():
    script = Script()
    script.grade(trial_of(), {1: 2, 2: 1})
    other = trial_of(weights=Weights(1.0, 3.0), smart=(3, 2, 1))
    script.vote(other, "pooled")
    latest, first = boards(replay(script.events))
    assert latest.queries[0].grades == {page(1): 2, page(2): 1}
    assert latest.queries[0].trial.weights.late == 3.0
    assert (latest.carried_grades, first.carried_grades) == (2, 0)
    assert any(text.startswith("2 grades were given under other weights") for text in scoreboard.cautions(latest))
    script.vote(trial_of(library="0b" * 8), "smart")
    elsewhere = boards(replay(script.events))[0]
    assert elsewhere.queries == ()  # another library's grades stay there
    assert replay(script.events).query_grades(trial_of().query.key).keys() == {page(1), page(2)}


# -- words


def many(better, worse):
    script = Script()
    for n in range(better + worse):
        smart, pooled = ((2, 1), (1, 2)) if n < better else ((1, 2), (2, 1))
        script.grade(trial_of(f"query {n}", pooled=pooled, smart=smart), {2: 3, 1: 0})
    return board_of(script)


@pytest.mark.parametrize(
    ("board", "measure", "said"),
    [
        ((9, 0), "ndcg", "Too few to conclude: 9 queries with a relevant page;"),
        ((1, 0), "ndcg", "Too few to conclude: 1 query with a relevant page;"),
        ((10, 0), "mrr", "SMART is better than Pooled only in MRR@2: +0.500 (95% +0.500 to +0.500)."),
        ((0, 12), "mrr", "SMART is worse than Pooled only in MRR@2: −0.500 (95% −0.500 to −0.500)."),
        ((6, 6), "ndcg", "No difference shown between SMART and Pooled only in nDCG@2: +0.000 (95% −"),
    ],
)
def test_conclusions_follow_the_interval_and_too_few_say_nothing(board, measure, said):
    assert scoreboard.conclusion(many(*board), ("smart", "pooled"), measure).startswith(said)


def test_an_interval_that_ends_at_0_shows_nothing_whatever_its_last_bit():
    board = many(12, 0)
    pair = ("smart", "pooled")
    for low, high in ((1e-17, 0.3), (-0.3, -1e-17), (0.0, 0.3)):
        found = replace(board.differences[pair]["ndcg"], low=low, high=high)
        board.__dict__["differences"] = {pair: {"ndcg": found}}
        assert scoreboard.conclusion(board, pair, "ndcg").startswith("No difference shown")


def test_titles_and_cautions_are_plain_lines(graded):
    graded.undo(graded.vote(trial_of("tide"), "smart"))
    graded.vote(trial_of("tide"), "smart")
    board = board_of(graded)
    assert scoreboard.board_title(board) == "minilm, 71 pages of the samples, 1 × pooled + 1 × late (mean)"
    told = list(scoreboard.cautions(board))
    assert any("1 vote was not blind" in text for text in told)
    assert any(HOSTILE[0] in text for text in told)  # data still: it is escaped where markup is made
    assert all(text.isprintable() for text in told)
