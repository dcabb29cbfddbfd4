"""The list of judgements: each query's vote and grades, what does not count, and hostile journals."""

import json
from dataclasses import replace

import pytest

from smart_demo.judging.records import replay
from smart_demo.judging.scoreboard import boards
from smart_demo.judging.trials import JudgedQuery, RankedPage
from smart_demo.methods import Counted, Reduce, Weights
from smart_demo.search.request import ON_MINE, ON_SAMPLES, parse_request, parse_request_fields
from smart_demo.types import Query
from smart_demo.ui.format import strip_unprintable
from smart_demo.ui.results_tab import MAX_LISTED_QUERIES, render_judgements, render_scoreboards
from tests.judging.cases import HOSTILE, Script, open_journal, page, trial_of
from tests.ui.parsed_markup import ParsedMarkup


def listed(script, **more):
    return ParsedMarkup(render_judgements(replay(script.events), **more))


def opened(read):
    """Return the requests that the buttons send back."""
    return [parse_request_fields(json.loads(tag["data-reopen"])) for tag in read.find("a") if "data-reopen" in tag]


def test_each_vote_names_the_winner_and_the_side_of_smart():
    script = Script()
    votes = [
        script.vote(trial_of(f"query {n}"), winner) for n, winner in enumerate(["smart", "pooled", "tie", "bad"] * 3)
    ]
    read = listed(script)
    sides = set()
    for n, vote in enumerate(votes):
        side = "A" if vote.trial.sides.a == "smart" else "B"
        sides.add(side)
        outcome = (
            f"SMART was better; it was {side}",
            f"Pooled only was better; SMART was {side}",
            f"Tie; SMART was {side}",
            f"Both bad; SMART was {side}",
        )[n % 4]
        assert f"query {n} {outcome} minilm" in read.text
    assert sides == {"A", "B"}
    assert "12 votes, 0 grades." in read.text
    assert read.text.index("query 11") < read.text.index("query 10") < read.text.index("query 0")


def test_reasons_and_note_follow_the_vote(tmp_path):
    journal = open_journal(tmp_path)
    journal.vote(trial_of(), "tie", ["table", "other"], "both <show> it")
    assert "table other both <show> it" in ParsedMarkup(render_judgements(journal.judgements)).text


def test_undone_and_replaced_judgements_are_counted_not_listed():
    script, tide = Script(), trial_of("tide")
    script.vote(tide, "pooled")
    script.vote(tide, "smart")
    script.undo(script.grade(tide, {1: 3})[0])
    script.grade(tide, {2: 1})
    script.skip(trial_of("bolt"))
    read = listed(script, unreadable_lines=2).text
    assert "1 vote, 1 grade." in read
    assert "document 2.pdf , page 1" in read
    assert "document 1.pdf" not in read
    assert "1 undone, 1 replaced by a later one, 1 query skipped, 2 lines of the file not understood" in read
    assert render_judgements(replay([])) == ""


def test_a_long_evaluation_is_listed_to_a_limit():
    script = Script()
    for n in range(MAX_LISTED_QUERIES + 3):
        script.vote(trial_of(f"query {n}"), "tie")
    read = listed(script)
    assert len(read.find("li", **{"class": "judged"})) == MAX_LISTED_QUERIES
    assert "3 queries judged before these are in the export." in read.text


def test_grades_and_vote_of_one_query_are_listed_together_the_best_page_first():
    script, tide = Script(), trial_of("tide")
    script.grade(tide, {1: 1, 2: 3})
    script.vote(tide, "tie")
    read = listed(script)
    assert len(read.find("li", **{"class": "judged"})) == 1
    assert "Tie; SMART was" in read.text
    assert "2 grades 3 document 2.pdf , page 1 1 document 1.pdf , page 1" in read.text


def test_a_query_opens_in_compare_with_its_settings():
    region = "region:samples/" + "0" * 16 + "-0001:0.0000,0.0000,1.0000,1.0000"
    settings = {"weights": Weights(0.5, 2.0, Reduce.SUM, Counted.CONTENT), "k": 7}
    mine = trial_of("mine", **settings)
    script = Script()
    for trial in (
        trial_of("tide", **settings),
        trial_of(query=JudgedQuery("", Query("a part of a page").key, region), k=4),
        trial_of(query=JudgedQuery("", Query("a picture").key, "kept:" + "0" * 32)),
        replace(mine, library=replace(mine.library, scopes=("local",))),
    ):
        script.vote(trial, "tie")
    read = listed(script)
    assert "searched with a picture that is no longer stored" in read.text
    assert opened(read) == [
        parse_request("mine", ON_MINE, 7, 0.5, 2.0, "sum", "content"),
        parse_request("", ON_SAMPLES, 4, picture=region),
        parse_request("tide", ON_SAMPLES, 7, 0.5, 2.0, "sum", "content"),
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_from_a_journal_becomes_markup(text, tmp_path):
    rows = (RankedPage(page(1), " ".join(text.split())[:255], 0.5),)
    journal, trial = open_journal(tmp_path), trial_of(text, rankings=(rows, rows, rows))
    journal.vote(trial, "a", ["other"], text[:1_000])
    journal.grade(trial, page(1), 0)
    read = ParsedMarkup(render_scoreboards(boards(journal.judgements)) + render_judgements(journal.judgements))
    assert not read.find("img")
    assert "\u202e" not in read.text
    assert read.text.count(strip_unprintable(text[:255])) >= 3  # the query, the note and the document
    assert [request.text for request in opened(read)] == [text]
