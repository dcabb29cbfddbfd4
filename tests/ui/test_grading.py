"""Grades from 0 to 3 as any client may send them: on the pages of both methods, in random order, ranks at the end."""

import re

import pytest

from smart_demo.judging.replay import pages_to_grade
from smart_demo.types import POOLED, SMART
from tests.ui.voting_cases import Judge, forget_everything, pages, shared_library


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    with shared_library(tmp_path_factory.mktemp("grading")) as start:
        yield start


@pytest.fixture
def judge(start):
    forget_everything(start())
    judge = Judge(start())
    judge.start()
    judge.look(act="ask", query="harbour tide")
    judge.pool()
    return judge


def trial(judge):
    return judge.voting.sheets.tickets.find(judge.judging.owner(judge.name), judge.ticket).trial


def test_the_pool_is_the_union_of_both_columns_in_the_drawn_order(judge):
    record = trial(judge)
    first = {row.page for method in (POOLED, SMART) for row in record.ranking(method.name)[: record.k]}
    shown = [page.partition("/")[2] for page in pages(judge.panel)]
    assert set(shown) == {str(page) for page in first}
    assert shown == [str(page) for page in pages_to_grade(record)]
    assert f"0 of {len(shown)} graded" in judge.panel
    assert not re.search(r"rank, SMART|of-smart|data-ranks", judge.panel)


def test_grades_are_kept_changed_and_taken_back(judge):
    page = pages(judge.panel)[0]
    first = judge.grade(page, 3)
    assert first["said"].startswith("Saved. 3, it answers: ")
    assert "1 of " in first["sheet"]
    judge.grade(page, 1)
    assert [grade.grade for grade in judge.journal.judgements.trial_grades(trial(judge)).values()] == [1]
    assert judge.undo()["said"].startswith("Undone: the grade of ")
    assert [grade.grade for grade in judge.journal.judgements.trial_grades(trial(judge)).values()] == [3]
    assert re.search(rf'data-page="{page}" data-grade="3"', judge.pool())


def test_ranks_are_shown_when_every_page_has_a_grade_and_the_vote_is_cast(judge):
    shown = pages(judge.panel)
    for page in shown[:-1]:
        assert "rank, SMART" not in judge.grade(page, 0)["sheet"]
        assert "rank, SMART" not in judge.ranks()["sheet"], "not before the last"
    whole = judge.grade(shown[-1], 2)["sheet"]
    assert "no longer blind" in whole
    assert "rank, SMART" not in whole
    told = judge.ranks()["sheet"]
    order = [str(page) for page in trial(judge).orders["smart"]]
    rows = re.findall(r"<td>(\d)</td><td>([\d+]+)</td><td class=\"of-smart\">([\d+]+)</td>", told)
    assert [rank for _, _, rank in rows] == [
        str(n) for n in sorted(order.index(p.partition("/")[2]) + 1 for p in shown)
    ]
    assert "marked as not blind" in judge.look()
    assert "Which column is which" not in judge.panel
    judge.vote("tie")
    assert "rank, SMART" in judge.pool()
    (vote,) = judge.journal.judgements.votes.values()
    assert judge.journal.judgements.seen_before == {vote.id}


def test_only_pages_of_the_pool_and_whole_grades_are_taken(judge):
    shown = pages(judge.panel)
    for page in ("samples/0123456789abcdef-0001", "x", None, 7, shown[0] + "0", "local/../../x"):
        assert set(judge.grade(page, 1)) == {"sentence"}, page
    for grade in (-1, 4, 1.5, True, "2", None, [], {}):
        assert set(judge.grade(shown[0], grade)) == {"sentence"}, grade
    assert not judge.journal.judgements.grades


def test_pages_of_other_judged_queries_that_wait_are_counted(judge):
    judge.look()
    judge.vote("tie")
    waiting = len(pages_to_grade(trial(judge)))
    judge.look(act="ask", query="lamp")
    assert f"{waiting} pages of other judged queries wait" in judge.pool()
