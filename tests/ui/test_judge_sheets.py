"""The panels Vote and Grade: what is hidden before the vote and the ranks; grades as any client may send them."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo.judging.judging_store import JudgingProgress, QueryStatus
from smart_demo.judging.records import pages_to_grade
from smart_demo.judging.trials import BlindColumns
from smart_demo.methods import POOLED, SMART
from smart_demo.search.request import parse_request
from smart_demo.ui.judge_sheets import SearchSetup, VoteSheet, render_vote_sheet
from tests.ui.cases import HOSTILE, stored
from tests.ui.voting_cases import Judge, make_voting, pages

# -- Vote


def sheet(a, b, **changes):
    progress = JudgingProgress((QueryStatus.OPEN, QueryStatus.JUDGED), 0)
    facts = {"query": "tide", "ticket": "0c" * 16, "columns": BlindColumns(a, b), "progress": progress, "vote": None}
    facts |= {
        "setup": SearchSetup(parse_request(), ["Samples"], parse_request()),
        "sides_shown": False,
        "link": "q=tide",
    }
    return render_vote_sheet(VoteSheet(**(facts | changes)), lambda page: f"data:image/webp;base64,{page.id}")


def halves(markup):
    """Return both columns, and the markup around them."""
    columns = re.findall(r'<section class="blind-column.*?</section>', markup, re.DOTALL)
    around = markup
    for column in columns:
        around = around.replace(column, "")
    return columns, around


def swapped(column, letter, other):
    for old, new in ((f"Column {letter}", f"Column {other}"), (f'">{letter}<', f'">{other}<')):
        column = column.replace(old, new)
    return column.replace(f'data-side="{letter.lower()}"', f'data-side="{other.lower()}"')


leaves = st.lists(st.builds(stored, st.integers(1, 9), st.sampled_from(["a.pdf", *HOSTILE])), max_size=6)


@given(leaves, leaves)
@settings(max_examples=60)
def test_swapping_the_sides_swaps_only_the_columns(a, b):
    (left, right), around = halves(sheet(tuple(a), tuple(b)))
    (other_left, other_right), other_around = halves(sheet(tuple(b), tuple(a)))
    assert swapped(left, "A", "B") == other_right
    assert swapped(other_left, "A", "B") == right
    assert around == other_around


def test_nothing_before_the_vote_depends_on_the_random_sides(start_judging):
    handlers = start_judging(public=True, uploads=False)
    voting, met = make_voting(handlers), {}
    for number in range(64):
        judge = Judge(handlers, f"{number:032x}", voting)
        judge.start()
        judge.look(act="ask", query="harbour tide")
        sides = judge.trial.sides
        met[sides.a] = re.sub(r'(data-ticket|data-turn)="[0-9a-f]+"', "", judge.panel)
        if len(met) == 2:
            break
    (left, right), around = halves(met["smart"])
    (other_left, other_right), other_around = halves(met["pooled"])
    assert pages(left, "a") != pages(right, "b"), "the case is too easy: both rankings are the same"
    assert swapped(left, "A", "B") == other_right
    assert swapped(other_left, "A", "B") == right
    assert around == other_around
    for blind in met.values():
        assert not re.search(r"of-smart|of-pooled|rank|score|Pooled only|after-vote", halves(blind)[0][0])


def test_neither_seed_nor_sides_leave_the_server_before_an_export(judge):
    judge.start()
    judge.look(act="ask", query="harbour tide")
    answers = [judge.panel, json.dumps(judge.vote()), judge.look(), json.dumps(judge.undo())]
    assert all(judge.journal.session.seed not in answer for answer in answers)


def test_columns_with_the_same_pages_say_so():
    shown = (stored(1), stored(2))
    assert "Both columns show the same pages" in sheet(shown, shown)
    assert "Both columns show the same pages" not in sheet(shown, shown[::-1])


# -- Grade


@pytest.fixture
def grading(judge):
    """Return a judge who grades the pages of one query."""
    judge.start()
    judge.look(act="ask", query="harbour tide")
    judge.pool()
    return judge


def test_the_pool_is_the_union_of_both_columns_in_the_drawn_order(grading):
    record = grading.trial
    first = {row.page for method in (POOLED, SMART) for row in record.ranking(method.name)[: record.k]}
    shown = [page.partition("/")[2] for page in pages(grading.panel)]
    assert set(shown) == {str(page) for page in first}
    assert shown == [str(page) for page in pages_to_grade(record)]
    assert f"0 of {len(shown)} graded" in grading.panel
    assert not re.search(r"rank, SMART|of-smart|data-ranks", grading.panel)


def test_grades_are_kept_changed_and_taken_back(grading):
    page = pages(grading.panel)[0]
    first = grading.grade(page, 3)
    assert first["said"].startswith("Saved. 3, it answers: ")
    assert "1 of " in first["sheet"]
    grading.grade(page, 1)
    assert [grade.grade for grade in grading.journal.judgements.trial_grades(grading.trial).values()] == [1]
    assert grading.undo()["said"].startswith("Undone: the grade of ")
    assert [grade.grade for grade in grading.journal.judgements.trial_grades(grading.trial).values()] == [3]
    assert re.search(rf'data-page="{page}" data-grade="3"', grading.pool())


def test_ranks_are_shown_when_every_page_has_a_grade_and_the_vote_is_cast(grading):
    shown = pages(grading.panel)
    for page in shown[:-1]:
        assert "rank, SMART" not in grading.grade(page, 0)["sheet"]
        assert "rank, SMART" not in grading.ranks()["sheet"], "not before the last"
    whole = grading.grade(shown[-1], 2)["sheet"]
    assert "no longer blind" in whole
    assert "rank, SMART" not in whole
    told = grading.ranks()["sheet"]
    order = [str(page) for page in grading.trial.orders["smart"]]
    rows = re.findall(r"<td>(\d)</td><td>([\d+]+)</td><td class=\"of-smart\">([\d+]+)</td>", told)
    assert [rank for _, _, rank in rows] == [
        str(n) for n in sorted(order.index(p.partition("/")[2]) + 1 for p in shown)
    ]
    assert "marked as not blind" in grading.look()
    assert "Which column is which" not in grading.panel
    grading.vote("tie")
    assert "rank, SMART" in grading.pool()
    (vote,) = grading.journal.judgements.votes.values()
    assert grading.journal.judgements.seen_before == {vote.id}


def test_only_pages_of_the_pool_and_whole_grades_are_taken(grading):
    shown = pages(grading.panel)
    for page in ("samples/0123456789abcdef-0001", "x", None, 7, shown[0] + "0", "local/../../x"):
        assert set(grading.grade(page, 1)) == {"sentence"}, page
    for grade in (-1, 4, 1.5, True, "2", None, [], {}):
        assert set(grading.grade(shown[0], grade)) == {"sentence"}, grade
    assert not grading.journal.judgements.grades


def test_pages_of_other_judged_queries_that_wait_are_counted(grading):
    grading.look()
    grading.vote("tie")
    waiting = len(pages_to_grade(grading.trial))
    grading.look(act="ask", query="lamp")
    assert f"{waiting} pages of other judged queries wait" in grading.pool()
