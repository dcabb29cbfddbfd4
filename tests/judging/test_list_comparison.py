"""A list of queries with hand-made answers: its rows, its highlights, and its CSV file."""

import csv
import io
from math import log2

import pytest

from smart_demo.errors import QueryRefused
from smart_demo.judging.list_comparison import (
    COLUMNS,
    RefusedQuery,
    compare_queries,
    csv_text,
    select_highlights,
    sort_by_disagreement,
)
from smart_demo.judging.query_list import ListedQuery, RelevantPage
from smart_demo.types import PageId, Query
from tests.judging.cases import HOSTILE
from tests.ui.cases import found

SWAPPED = ([0.9, 0.8, 0.1], [0.1, 0.9, 0.2])
"""Pooled ranks pages 1, 2, 3; SMART 2, 1, 3."""
ALIKE = ([0.9, 0.8, 0.1], [0.9, 0.8, 0.1])
HERE = "report.pdf"


def page(number):
    return PageId("a" * 16, number)


def no_grades(key):
    return {}


def rows_of(listed, scores, known=no_grades, k=2):
    """Return the rows; `scores` has the parts by query, None for a refused one."""

    def search(text):
        if scores[text] is None:
            raise QueryRefused("The query is empty.")
        return found(*scores[text], top=k, query=text)

    return list(compare_queries(listed, search, k, known))


def test_grades_of_pages_outside_the_library_give_no_ndcg():
    elsewhere = {PageId("b" * 16, 1): 3.0}
    (row,) = rows_of([ListedQuery("tide")], {"tide": SWAPPED}, lambda _: elsewhere)
    assert (row.pooled, row.smart, row.better, row.own_grades) == (None, None, "", False)


def test_a_row_has_the_disagreement_and_the_ndcgs_by_the_lists_grades():
    graded = ListedQuery(
        "tide", "q1", (RelevantPage(HERE, 2, 3.0), RelevantPage(HERE, 3, 1.0), RelevantPage("gone.pdf", 1, 3.0))
    )
    (row,) = rows_of([graded], {"tide": SWAPPED})
    told = row.disagreement
    assert (told.shared, told.k, told.new_first, told.same) == (2, 2, True, False)
    assert told.rbo == pytest.approx(0.9)
    assert told.tau == -1.0
    ideal = 3 + 1 / log2(3)
    assert row.pooled == pytest.approx(3 / log2(3) / ideal)
    assert row.smart == pytest.approx(3 / ideal)
    assert row.better == "smart"
    assert row.first_pages == ("report.pdf, page 1", "report.pdf, page 2")
    assert (row.qid, row.unknown_pages, row.own_grades) == ("q1", 1, False)


def test_journal_grades_count_only_if_the_list_has_none():
    known = {Query("tide").key: {page(1): 2.0}, Query("bolt").key: {page(1): 2.0}}
    listed = [ListedQuery("tide"), ListedQuery("bolt", "", (RelevantPage(HERE, 2, 1.0),)), ListedQuery("code")]
    rows = rows_of(listed, dict.fromkeys(["tide", "bolt", "code"], SWAPPED), lambda key: known.get(key, {}))
    assert [(row.own_grades, row.better) for row in rows] == [(True, "pooled"), (False, "smart"), (False, "")]
    assert (rows[2].pooled, rows[2].smart, rows[2].ndcg_gain) == (None, None, None)


def test_a_refused_query_has_a_reason_and_the_others_are_searched():
    rows = rows_of([ListedQuery("bad"), ListedQuery("tide")], {"bad": None, "tide": ALIKE})
    assert rows[0] == RefusedQuery("bad", "The query is empty.")
    assert rows[1].disagreement.same
    assert rows[1].better == ""


def test_searching_stops_when_the_iterator_is_closed():
    asked = []

    def search(text):
        asked.append(text)
        return found(*ALIKE, query=text)

    rows = compare_queries([ListedQuery(text) for text in "abc"], search, 2, no_grades)
    next(rows)
    rows.close()
    assert asked == ["a"]


def test_the_most_different_come_first_and_are_among_the_highlights():
    texts = [f"query {n}" for n in range(7)]
    scores = {text: SWAPPED if n in (3, 5) else ALIKE for n, text in enumerate(texts)}
    rows = rows_of([ListedQuery(text) for text in texts], scores, k=3)
    ordered = [row.query for row in sort_by_disagreement(rows)]
    assert ordered[:2] == ["query 3", "query 5"]
    assert sorted(ordered) == texts
    picked = select_highlights(rows)
    assert len({one.comparison.key for one in picked}) == 5
    assert {"query 3", "query 5"} <= {one.comparison.query for one in picked}


def test_an_empty_library_is_a_row_without_pages():
    (row,) = rows_of([ListedQuery("tide")], {"tide": ([], [])})
    assert row.first_pages == ("", "")
    assert row.disagreement.k == 0
    (line,) = read(csv_text([row]))
    assert (line["first by pooled"], line["ndcg smart"]) == ("", "")


@pytest.mark.parametrize("text", [*HOSTILE, "-2+3", "＝1+1", "a,b;c\td", '"quoted"'])
def test_the_csv_can_be_read_back_and_contains_no_formulas(text):
    text = " ".join(text.split())[:300]
    rows = rows_of([ListedQuery(text, "+q1"), ListedQuery("b")], {text: SWAPPED, "b": ALIKE})
    written = csv_text(rows)
    assert written.startswith("\ufeff")
    lines = read(written)
    assert [line["query"].removeprefix("'") for line in lines] == [text, "b"]
    assert lines[0]["qid"] == "'+q1"
    assert lines[0]["first changes"] == "yes"
    assert float(lines[0]["kendall tau"]) == -1.0
    assert all(line["picked because"] for line in lines)
    for line in lines:
        for column in ("qid", "query", "first by pooled", "first by smart", "picked because"):
            assert not line[column].lstrip().startswith(tuple("=+-@＝＋－＠"))


def read(text):
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert list(rows[0]) == list(COLUMNS)
    return rows
