"""The views of the panel Results: scoreboards with the figures and sentences of `judging.scoreboard`, and imports."""

import re

from hypothesis import given
from hypothesis import strategies as st

from smart_demo.evaluation.metrics import Difference
from smart_demo.judging import scoreboard
from smart_demo.judging.journal import ImportResult
from smart_demo.judging.records import replay
from smart_demo.judging.scoreboard import MEASURES, METHOD_PAIRS, boards
from smart_demo.judging.trials import METHOD_NAMES
from smart_demo.methods import Weights
from smart_demo.ui.format import format_difference
from smart_demo.ui.queries_tab import render_list_intro
from smart_demo.ui.render import render
from smart_demo.ui.results_tab import (
    PLOT_MARGIN,
    PLOT_WIDTH,
    fit_scale,
    interval_side,
    render_import_result,
    render_interval,
    render_scoreboards,
)
from tests.judging.cases import Script, trial_of
from tests.ui.parsed_markup import ParsedMarkup


def graded(better, worse, **changes):
    """Return a script of queries that SMART wins and loses at k = 2, with votes that agree with the grades."""
    script = Script()
    for n in range(better + worse):
        smart, pooled = ((2, 1), (1, 2)) if n < better else ((1, 2), (2, 1))
        trial = trial_of(f"query {n}", pooled=pooled, smart=smart, **changes)
        script.grade(trial, {2: 3, 1: 0})
        script.vote(trial, "smart" if n < better else "pooled")
    return script


def shown(script):
    found = boards(replay(script.events))
    return found, ParsedMarkup(render_scoreboards(found))


# -- scoreboards


def test_a_board_shows_every_figure_of_the_scoreboard():
    script = graded(9, 3)
    script.vote(trial_of("a tie"), "tie")
    script.vote(trial_of("both bad"), "bad")
    (board,), read = shown(script)
    assert scoreboard.board_title(board) in read.text
    assert board.votes.conclusion in read.text
    assert "SMART wins 9 ties 1 SMART loses 3 both bad, in no test 1" in read.text
    styles = " ".join(tag.get("style", "") for tag in read.find("i"))
    assert re.findall(r"flex-grow:(\d+)", styles) == ["9", "1", "3"]  # both bad are no part of the bar
    for method in METHOD_NAMES:
        for measure in MEASURES:
            assert f"{board.means[method][measure]:.3f}" in read.text
    for pair in METHOD_PAIRS:
        assert scoreboard.conclusion(board, pair, "ndcg") in read.text
        for found in board.differences[pair].values():
            assert (
                f"{format_difference(found.mean)} {format_difference(found.low)} to {format_difference(found.high)}"
                in read.text
            )
            assert f"{found.better} better, {found.same} same, {found.worse} worse" in read.text
    assert len(read.find("svg")) == 9
    for caution in scoreboard.cautions(board):
        assert caution in read.text


def test_too_few_queries_give_a_sentence_and_no_interval():
    (board,), read = shown(graded(4, 1))
    assert board.votes.conclusion.startswith("Too few to conclude")
    assert read.text.count("Too few to conclude: 5 queries with a relevant page") == 1
    assert not read.find("svg")
    difference = board.differences["smart", "pooled"]["ndcg"]
    assert format_difference(difference.mean) in read.text
    assert f"{format_difference(difference.low)} to" not in read.text


def test_votes_alone_and_grades_without_a_relevant_page_say_what_is_missing():
    script = Script()
    script.vote(trial_of(), "smart")
    assert "No page is graded yet" in shown(script)[1].text
    script.grade(trial_of(), {1: 0})
    assert "No graded page is relevant" in shown(script)[1].text


def test_nothing_judged_says_what_to_do():
    read = ParsedMarkup(render_scoreboards(()))
    assert "Nothing is judged yet. Under Vote" in read.text
    assert read.find(**{"data-panel": "vote"})


def test_other_settings_are_folded_below_the_latest():
    script = graded(2, 1)
    script.vote(trial_of(weights=Weights(1.0, 2.0)), "smart")
    found, read = shown(script)
    assert scoreboard.grouping_note(found) in read.text
    assert read.text.index("1 × pooled + 2 × late") < read.text.index("1 × pooled + 1 × late")
    assert len(read.find("details")) == 1
    ids = [tag["id"] for tag in read.find() if "id" in tag]
    assert len(ids) == len(set(ids))


# -- ranges

bounds = st.floats(-1, 1, allow_nan=False)


@given(st.lists(st.tuples(bounds, bounds, bounds), min_size=1, max_size=9))
def test_intervals_share_a_scale_keep_their_order_and_stay_inside(many):
    found = [Difference(sorted(some)[1], min(some), max(some), 1, 1, 1) for some in many]
    on = fit_scale(found)
    for one in found:
        places = [on.x(value) for value in (one.low, one.mean, one.high)]
        assert places == sorted(places)
        assert places[0] >= PLOT_MARGIN
        assert places[-1] <= PLOT_WIDTH - PLOT_MARGIN
        assert one.mean > 0 or on.x(one.mean) <= PLOT_WIDTH / 2
        assert one.mean / on.limit <= 1e-15 or on.x(one.mean) > PLOT_WIDTH / 2  # smaller steps are lost in rounding
        assert f"is-{interval_side(one)}" in render_interval(one, on)
    assert on.x(0.0) == PLOT_WIDTH / 2


def test_the_side_agrees_with_the_conclusion():
    script = graded(12, 0)
    board = boards(replay(script.events))[0]
    for pair in METHOD_PAIRS:
        for measure in MEASURES:
            said = scoreboard.conclusion(board, pair, measure)
            expected = "none" if said.startswith("No difference") else "up" if " is better " in said else "down"
            assert interval_side(board.differences[pair][measure]) == expected


# -- around the scoreboards


def test_panels_and_intros_state_their_limits():
    assert ParsedMarkup(render("results_panel")).find("button", **{"data-file": "zip"})
    assert "up to 32 MB" in ParsedMarkup(render("import_intro", megabytes=32, private=True)).text
    assert "takes no files" in ParsedMarkup(render("import_intro", megabytes=1, private=False)).text
    assert "up to 500 queries of 300 characters, 1 MB" in ParsedMarkup(render_list_intro(500, private=True)).text
    assert "upload" not in ParsedMarkup(render_list_intro(100, private=False)).text


def test_an_import_says_what_was_added_and_why_lines_were_refused():
    assert ParsedMarkup(render_import_result("<b>no</b>")).text == "<b>no</b>"
    assert ParsedMarkup(render_import_result(ImportResult(1, 0, 0, ()))).text == "1 entry imported."
    read = ParsedMarkup(render_import_result(ImportResult(1_200, 3, 22, ("Line 2: <i>",) * 20)))
    assert read.text.startswith("1,200 entries imported, 3 already here, 22 lines refused. Line 2: <i>")
    assert read.text.endswith("2 more lines were refused.")
