"""queries.jsonl: reading, and refusals that name the line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_demo.errors import InputRefused
from smart_demo.evaluation.query_sets import read_judgements
from smart_demo.types import PageId

FILES = {"tides.pdf": "00000000000000aa", "bolts.pdf": "00000000000000bb"}


def find(document, page):
    if document not in FILES:
        raise InputRefused(f'there is no document "{document}" in the folder.', "Check its name.")
    return PageId(FILES[document], page)


def row(**changes):
    entry = {"document": "tides.pdf", "page": 2, "grade": 3}
    return {"qid": "q1", "query": "high water", "kind": "plain", "relevant": [entry]} | changes


def entry(**changes):
    return row(relevant=[{"document": "tides.pdf", "page": 2, "grade": 3} | changes])


@pytest.fixture
def read(tmp_path):
    def write_and_read(*lines):
        path = tmp_path / "queries.jsonl"
        path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
        return read_judgements(path, find)

    return write_and_read


def test_queries_are_read_in_order_with_the_grades_of_their_pages(read):
    both = [
        {"document": "tides.pdf", "page": 2, "grade": 3},
        {"document": "bolts.pdf", "page": 1, "grade": 0.5},
        {"document": "bolts.pdf", "page": 2, "grade": 0},
    ]
    first, second = read(row(relevant=both), "", row(qid="q2", kind="exact code", note="other keys are left alone"))
    assert (first.qid, first.query, first.kind) == ("q1", "high water", "plain")
    assert first.grades == {find("tides.pdf", 2): 3, find("bolts.pdf", 1): 0.5, find("bolts.pdf", 2): 0}
    assert (second.qid, second.kind) == ("q2", "exact code")


def test_a_line_separator_inside_a_query_is_text(tmp_path):
    path = tmp_path / "queries.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(row(query="high\u2028water"), ensure_ascii=False).encode() + b"\r\n")
    assert [one.query for one in read_judgements(path, find)] == ["high\u2028water"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{not json", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1, 2]", "the line must be a JSON object"),
        (row(qid=""), '"qid"'),
        (row(qid=7), '"qid"'),
        (row(query="  "), '"query"'),
        (row(kind=None), '"kind"'),
        (row(kind="\x1b[2J"), '"kind"'),
        (row(relevant={}), '"relevant"'),
        (row(relevant=[]), "nothing to find"),
        (row(relevant=["tides.pdf"]), '"relevant" must be a JSON object'),
        (entry(grade=0), "nothing to find"),
        (entry(document="gone.pdf"), 'no document "gone.pdf"'),
        (entry(document=None), '"document"'),
        (entry(page=0), '"page"'),
        (entry(page="2"), '"page"'),
        (entry(page=True), '"page"'),
        (entry(page=10_000), '"page"'),
        (entry(grade=-1), '"grade"'),
        (entry(grade=float("nan")), "not JSON"),
        (entry(grade=float("inf")), "not JSON"),
        (entry(grade=10**400), '"grade"'),
        (entry(grade=None), '"grade"'),
        (row(relevant=entry()["relevant"] * 2), "judged twice"),
        (row(qid="q0"), '"q0" is used twice'),
    ],
)
def test_errors_name_the_line(read, line, said):
    with pytest.raises(InputRefused, match=r"^queries\.jsonl, line 3: ") as caught:
        read(row(qid="q0"), "", line, row(qid="q9"))
    assert said in str(caught.value)


def test_unreadable_files_are_refused(read, tmp_path):
    (tmp_path / "latin.jsonl").write_bytes(b'{"qid": "\xe9"}')
    for path, said in [("gone.jsonl", "is not there"), ("latin.jsonl", "not UTF-8"), (".", "cannot be read")]:
        with pytest.raises(InputRefused, match=said):
            read_judgements(tmp_path / path, find)
    with pytest.raises(InputRefused, match="no queries"):
        read("", "  ")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(key=st.sampled_from(["qid", "query", "kind", "relevant", "document", "page", "grade"]), value=json_values)
def test_whatever_a_field_holds_it_is_read_or_refused(tmp_path_factory, key, value):
    changed = entry(**{key: value}) if key in {"document", "page", "grade"} else row(**{key: value})
    path = tmp_path_factory.mktemp("any") / "queries.jsonl"
    path.write_text(json.dumps(changed))
    try:
        read = read_judgements(path, find)
    except InputRefused:
        return
    assert all(0 <= grade <= 100 for one in read for grade in one.grades.values())
