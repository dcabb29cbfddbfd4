"""Lists of queries, pasted or uploaded: three forms, and anything else that may be pasted."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo.errors import InputRefused
from smart_demo.judging import query_list
from smart_demo.judging.query_list import ListedQuery, RelevantPage, read_queries
from smart_demo.types import SAMPLES, Query, StoredPage
from tests.judging.cases import HOSTILE, page


def texts(given):
    return [one.query for one in read_queries(given).queries]


def test_one_query_a_line():
    found = read_queries('\ufeff\n tide  table \r\n\nbolts; M8, torque\r\n\'quoted "text"\ttab\n')
    assert [one.query for one in found.queries] == ["tide table", "bolts; M8, torque", '\'quoted "text" tab']
    assert found.notices == ()
    assert found.queries[0].key == Query("tide table").key


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_table_with_a_header(mark):
    rows = [["QID", "kind", '"Query"'], ["q1", "plain", "tide table"], ["", "", ""], ["q2", "x", '"M8, M10; ""big"""']]
    text = "\n\n" + "\n".join(mark.join(row) for row in rows)
    found = read_queries(text.encode("utf-8-sig"))
    assert [(one.qid, one.query) for one in found.queries] == [("q1", "tide table"), ("q2", 'M8, M10; "big"')]
    assert found.notices == ()


def test_a_table_of_queries_alone_and_a_cell_over_two_lines():
    found = read_queries('query\n"tide\ntable"\n\n' + "x" * 301 + "\nbolts\n")
    assert [one.query for one in found.queries] == ["tide table", "bolts"]
    assert found.notices == ("Line 5: the query has 301 characters, more than 300; it is left out.",)


def test_json_lines_bring_their_grades():
    relevant = [{"document": "a.pdf", "page": 2, "grade": 3}, {"document": "gone.pdf", "page": 1, "grade": 1}]
    lines = [
        json.dumps({"qid": "q1", "query": "high\u2028water", "kind": "x", "relevant": relevant}, ensure_ascii=False),
        '{"query": "bolts", "qid": 7}',
    ]
    first, second = read_queries("\n".join(lines)).queries
    assert first == ListedQuery("high water", "q1", (RelevantPage("a.pdf", 2, 3.0), RelevantPage("gone.pdf", 1, 1.0)))
    assert second == ListedQuery("bolts", "7")
    here = StoredPage(SAMPLES, "e", replace(page(5), number=2), "a.pdf", 3, 1, 1, 1, 1, "int8", 0.0)
    assert first.grades([here, replace(here, id=page(6), document="b.pdf")]) == {here.id: 3.0}


def test_the_sample_librarys_own_queries_are_a_list():
    from smart_demo.config import SAMPLE_DOCUMENTS

    found = read_queries((SAMPLE_DOCUMENTS / "queries.jsonl").read_bytes())
    assert len(found.queries) == 63
    assert all(one.relevant and one.qid for one in found.queries)
    assert found.notices == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{not json", "not JSON"),
        ("[1]", "must be a JSON object"),
        ("{}", "there is no query"),
        ('{"query": 5}', "there is no query"),
        ('{"query": " \\u0000 "}', "the query is empty"),
        ('{"query": "x", "qid": "a\\nb"}', '"qid" must be a text of one line'),
        ('{"query": "x", "qid": "q0"}', '"q0" is used twice'),
        ('{"query": "x", "relevant": 5}', '"relevant" must be a list'),
        ('{"query": "x", "relevant": [5]}', 'an entry of "relevant" must be'),
        ('{"query": "x", "relevant": [{"document": "a", "page": 0, "grade": 1}]}', '"page" must be'),
        ('{"query": "x", "relevant": [{"document": "a", "page": 1, "grade": 1e400}]}', '"grade" must be'),
        ('{"query": "x", "relevant": [{"page": 1, "grade": 1}]}', '"document" is missing'),
        (
            '{"query": "x", "relevant": ' + json.dumps([{"document": "a", "page": 1, "grade": 1}] * 2) + "}",
            "judged twice",
        ),
    ],
)
def test_an_invalid_line_is_reported_by_number_and_the_others_are_used(line, said):
    found = read_queries('{"query": "first", "qid": "q0"}\n\n' + line + '\n{"query": "last"}')
    assert [one.query for one in found.queries] == ["first", "last"]
    (notice,) = found.notices
    assert notice.startswith("Line 3: ")
    assert said in notice


def test_repeated_queries_are_left_out_and_counted():
    found = read_queries("tide\nbolts\n tide \nTide\nbolts\n")
    assert [one.query for one in found.queries] == ["tide", "bolts", "Tide"]
    assert found.notices == ("2 queries were repeated and left out.",)


def test_bounds_are_kept_and_said():
    found = read_queries("\n".join(f"query {n}" for n in range(600)))
    assert len(found.queries) == 500
    assert found.notices == ("A list may have 500 queries; those after them were left out.",)
    assert read_queries("x" * 300).queries[0].query == "x" * 300
    many = read_queries("good\n" + "\n".join("x" * 301 for _ in range(50)))
    assert len(many.notices) == query_list.MAX_NOTICES + 1
    assert many.notices[-1] == "30 more lines were left out."
    with pytest.raises(InputRefused, match="larger than 1 MB"):
        read_queries("x\n" * 2**20)


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ("", "no query"),
        (" \n\t\n", "no query"),
        (b"\xff\xfeq\x00", "not UTF-8"),
        ("query,qid\n", "no query"),
        ("{}", "no query"),
    ],
)
def test_lists_without_a_query_are_refused(given_, said):
    with pytest.raises(InputRefused, match=said):
        read_queries(given_)


@pytest.mark.parametrize("text", HOSTILE[:-1])
def test_hostile_queries_are_data(text):
    for form in (f"plain\n{text}", json.dumps({"query": "plain"}) + "\n" + json.dumps({"query": text})):
        assert texts(form) == ["plain", " ".join(text.split())]


@settings(deadline=None, max_examples=80)
@given(st.text(max_size=60) | st.binary(max_size=60) | st.text(alphabet='query,;"\t\n{}:', max_size=40))
def test_anything_is_a_list_or_refused_in_words(given_):
    try:
        found = read_queries(given_)
    except InputRefused:
        return
    assert 1 <= len(found.queries) <= 500
    for one in found.queries:
        assert 1 <= len(one.query) <= 300
        assert one.query == " ".join(one.query.split())
        assert texts("first of all\n" + one.query)[-1] == one.query  # what is shown can be pasted again
        assert len(one.key) == 16
