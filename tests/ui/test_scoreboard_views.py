"""Markup of scoreboards and single judgements: the figures and sentences of `judging.scoreboard`, all escaped."""

import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_demo.evaluation.metrics import Difference
from smart_demo.judging import scoreboard
from smart_demo.judging.records import METHODS, JudgedQuery, RankedPage
from smart_demo.judging.replay import replay
from smart_demo.judging.scoreboard import MEASURES, METHOD_PAIRS, boards
from smart_demo.search.request import ON_MINE, ON_SAMPLES, parse_request_fields
from smart_demo.types import Counted, Query, Reduce, Weights
from smart_demo.ui.format import format_difference
from smart_demo.ui.queries_tab import render_list_intro
from smart_demo.ui.query_table import MAX_LISTED_QUERIES, group_by_query, rebuild_request, render_judgements
from smart_demo.ui.results_tab import (
    PLOT_MARGIN,
    PLOT_WIDTH,
    fit_scale,
    interval_side,
    render_import_intro,
    render_import_result,
    render_interval,
    render_results_panel,
    render_scoreboards,
)
from tests.judging.cases import HOSTILE, Script, open_journal, page, trial_of


class Reader(HTMLParser):
    """The visible text and the tags of markup. Asserts that every tag is closed."""

    def __init__(self, markup):
        super().__init__()
        self.words, self.tags, self.open = [], [], []
        self.feed(markup)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"path", "circle", "input", "img"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def find(self, **wanted):
        return [attrs for _, attrs in self.tags if all(attrs.get(key) == value for key, value in wanted.items())]


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
    return found, Reader(render_scoreboards(found))


# -- scoreboards


def test_a_board_shows_every_figure_of_the_scoreboard():
    script = graded(9, 3)
    script.vote(trial_of("a tie"), "tie")
    script.vote(trial_of("both bad"), "bad")
    (board,), read = shown(script)
    assert scoreboard.board_title(board) in read.text
    assert board.votes.conclusion in read.text
    assert "SMART wins 9 ties 1 SMART loses 3 both bad, in no test 1" in read.text
    growth = [
        re.search(r"flex-grow:(\d+)", tag.get("style", ""))
        for _, tag in read.tags
        if "flex-grow" in tag.get("style", "")
    ]
    assert [int(one[1]) for one in growth] == [9, 1, 3]  # both bad stand apart
    for method in METHODS:
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
    assert len([tag for tag, _ in read.tags if tag == "svg"]) == 9
    for caution in scoreboard.cautions(board):
        assert caution in read.text


def test_too_few_queries_give_a_sentence_and_no_interval():
    (board,), read = shown(graded(4, 1))
    assert board.votes.conclusion.startswith("Too few to conclude")
    assert read.text.count("Too few to conclude: 5 queries with a relevant page") == 1
    assert not [tag for tag, _ in read.tags if tag == "svg"]
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
    read = Reader(render_scoreboards(()))
    assert "Nothing is judged yet. Under Vote" in read.text
    assert read.find(**{"data-panel": "vote"})


def test_other_settings_are_folded_below_the_latest():
    script = graded(2, 1)
    script.vote(trial_of(weights=Weights(1.0, 2.0)), "smart")
    found, read = shown(script)
    assert scoreboard.grouping_note(found) in read.text
    assert read.text.index("1 × pooled + 2 × late") < read.text.index("1 × pooled + 1 × late")
    assert [tag for tag, _ in read.tags].count("details") == 1
    ids = [tag["id"] for _, tag in read.tags if "id" in tag]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_from_a_journal_becomes_markup(text, tmp_path):
    name = " ".join(text.split())[:255]
    rows = (RankedPage(page(1), name, 0.5),)
    one = open_journal(tmp_path)
    trial = trial_of(text, rankings=(rows, rows, rows))
    one.vote(trial, "a", ["other"], text[:1_000])
    one.grade(trial, page(1), 0)
    markup = render_scoreboards(boards(one.judgements)) + render_judgements(one.judgements)
    read = Reader(markup)
    assert {tag for tag, _ in read.tags} <= {
        "p", "section", "h3", "div", "i", "dl", "dt", "dd", "ul", "ol", "li", "bdi", "b", "span", "button", "details",
        "summary",
    }  # fmt: skip
    assert not [key for _, attrs in read.tags for key in attrs if key.startswith("on")]
    assert "\u202e" not in markup
    reopened = parse_request_fields(json.loads(read.find(**{"class": "quiet-link"})[0]["data-reopen"]))
    assert reopened.text == text


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


# -- single judgements


def test_each_vote_names_the_winner_and_the_side_of_smart(tmp_path):
    one = open_journal(tmp_path)
    cast = []
    for n in range(12):
        trial = trial_of(f"query {n}", seed=one.session.seed)
        cast.append(one.vote(trial, ["a", "b", "tie", "bad"][n % 4], ["table"], f"note {n}"))
    read = Reader(render_judgements(one.judgements)).text
    for vote in cast:
        a_is_smart = vote.trial.sides.a == "smart"
        where = "A" if a_is_smart else "B"
        said = {
            "a": f"SMART was better; it was {where}" if a_is_smart else f"Pooled only was better; SMART was {where}",
            "b": f"Pooled only was better; SMART was {where}" if a_is_smart else f"SMART was better; it was {where}",
            "tie": f"Tie; SMART was {where}",
            "bad": f"Both bad; SMART was {where}",
        }[vote.choice]
        assert f"{vote.trial.query.text} {said} table {vote.note}" in read
    assert "12 votes, 0 grades." in read
    assert read.index("query 11") < read.index("query 10") < read.index("query 0")


def test_undone_and_replaced_judgements_are_counted_not_listed():
    script, tide = Script(), trial_of("tide")
    script.vote(tide, "pooled")
    script.vote(tide, "smart")
    script.undo(script.grade(tide, {1: 3})[0])
    script.grade(tide, {2: 1})
    script.skip(trial_of("bolt"))
    read = Reader(render_judgements(replay(script.events), unreadable_lines=2)).text
    assert "1 vote, 1 grade." in read
    assert "document 2.pdf , page 1" in read
    assert "document 1.pdf" not in read
    assert "1 undone, 1 replaced by a later one, 1 query skipped, 2 lines of the file not understood" in read
    assert render_judgements(replay([])) == ""


def test_a_long_evaluation_is_listed_to_a_limit():
    script = Script()
    for n in range(MAX_LISTED_QUERIES + 3):
        script.vote(trial_of(f"query {n}"), "tie")
    read = Reader(render_judgements(replay(script.events)))
    assert len(read.find(**{"class": "judged"})) == MAX_LISTED_QUERIES
    assert "3 queries judged before these are in the export." in read.text


def test_the_rebuilt_request_has_the_settings_of_the_trial():
    given = Weights(0.5, 2.0, Reduce.SUM, Counted.CONTENT)
    wanted = rebuild_request(trial_of("tide", weights=given, k=7))
    assert (wanted.text, wanted.scope, wanted.top, wanted.weights) == ("tide", ON_SAMPLES, 7, given)
    kept = JudgedQuery("", Query("x").key, "kept:" + "0" * 32)
    assert rebuild_request(trial_of(query=kept)) is None
    place = "region:samples/" + "0" * 16 + "-0001:0.0000,0.0000,1.0000,1.0000"
    assert rebuild_request(trial_of(query=JudgedQuery("", Query("x").key, place))).picture == place
    script = Script()
    script.vote(trial_of(query=kept), "tie")
    read = Reader(render_judgements(replay(script.events)))
    assert "searched with a picture that is no longer stored" in read.text
    assert not read.find(**{"class": "quiet-link"})
    trial = trial_of()
    mine = replace(trial, library=replace(trial.library, scopes=("local",)))
    assert rebuild_request(mine).scope == ON_MINE


def test_grades_and_vote_of_one_query_are_listed_together():
    script, tide = Script(), trial_of("tide")
    script.grade(tide, {1: 1, 2: 3})
    script.vote(tide, "tie")
    (said,) = group_by_query(replay(script.events))
    assert (said.vote.choice, {key.file[-1]: one.grade for key, one in said.grades.items()}) == (
        "tie",
        {"1": 1, "2": 3},
    )
    assert (
        "3 document 2.pdf , page 1 1 document 1.pdf , page 1" in Reader(render_judgements(replay(script.events))).text
    )


# -- shells


def test_the_intros_are_valid_html_and_state_their_limits():
    for private in (True, False):
        for markup in (
            render_results_panel(),
            render_import_intro(2**25, private=private),
            render_list_intro(500, private=private),
        ):
            Reader(markup)
    assert "up to 32 MB" in render_import_intro(2**25, private=True)
    assert "takes no files" in render_import_intro(2**20, private=False)
    assert "up to 500 queries of 300 characters, 1 MB" in Reader(render_list_intro(500, private=True)).text
    assert "upload" not in render_list_intro(100, private=False)
    assert unescape(render_import_result("<b>no</b>")) == '<p class="taken is-refused" role="status"><b>no</b></p>'
