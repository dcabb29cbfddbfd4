"""From rankings to a report: means by method and kind, the difference, JSON and the table."""

import json

import pytest

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.errors import InputRefused, QueryRefused
from smart_demo.evaluation.query_sets import QueryJudgements
from smart_demo.evaluation.runner import METHODS, Report, evaluate_queries
from smart_demo.methods import SearchResult
from smart_demo.types import LOCAL, PageId

A, B, C = (PageId(f"{n:016x}", 1) for n in (1, 2, 3))
ORDERS = {  # by query, then pooled, late, smart
    "tide": ([B, A, C], [A, B, C], [A, B, C]),
    "bolt": ([A, B, C], [C, A, B], [A, C, B]),
    "code": ([C, B, A], [B, A, C], [B, C, A]),
}
JUDGED = (
    QueryJudgements("q1", "tide", "plain", {A: 1.0}),
    QueryJudgements("q2", "bolt", "plain", {A: 2.0, B: 1.0}),
    QueryJudgements("q3", "code", "exact", {B: 1.0}),
)


def search(text):
    if text not in ORDERS:
        raise QueryRefused("There are no words in the query.", "Type a few words.")
    return {m.name: result(m, order) for m, order in zip(METHODS, ORDERS[text], strict=True)}


def result(method, order):
    places = list(enumerate(order, start=1))
    ranks = {(LOCAL, page): rank for rank, page in reversed(places)}  # the order of a mapping must not matter
    return SearchResult(method, (), ranks, len(order), len(order))


@pytest.fixture
def report():
    scored, notices = evaluate_queries(JUDGED, search)
    encoder = WordBackbone().encoder
    return Report("harbour", "pages", 3, encoder, "int8", scored, {"index": 1.25, "search": 0.5}, notices)


def test_means_are_those_of_the_rankings(report):
    means = report.as_json()["methods"]
    assert list(means) == ["pooled", "late", "smart"]
    assert list(means["smart"]) == ["ndcg@5", "ndcg@10", "recall@1", "recall@5", "mrr@10"]
    # First relevant page: pooled at 2, 1, 2; late at 1, 2, 1; SMART at 1, 1, 1.
    assert means["pooled"]["mrr@10"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    assert means["late"]["mrr@10"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert means["smart"]["mrr@10"] == 1.0
    assert means["smart"]["recall@1"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert means["pooled"]["recall@1"] == pytest.approx((1 / 2) / 3)
    assert means["late"]["recall@5"] == 1.0


def test_kinds_hold_their_own_queries(report):
    kinds = report.as_json()["kinds"]
    assert {kind: facts["queries"] for kind, facts in kinds.items()} == {"plain": 2, "exact": 1}
    assert kinds["exact"]["methods"]["pooled"]["mrr@10"] == 0.5
    assert kinds["plain"]["methods"]["pooled"]["mrr@10"] == 0.75


def test_difference_is_smart_minus_pooled(report):
    data = report.as_json()
    for metric in ("ndcg@5", "ndcg@10"):
        found = data["difference"][metric]
        gap = data["methods"]["smart"][metric] - data["methods"]["pooled"][metric]
        assert found["mean"] == pytest.approx(gap)
        assert found["low"] <= found["mean"] <= found["high"]
        assert (found["better"], found["same"], found["worse"]) == (2, 0, 1)
        assert (found["of"], found["from"]) == ("smart", "pooled")


def test_json_is_json_and_names_the_encoder(report):
    data = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert (data["queries"], data["pages"]) == (3, 3)
    assert data["encoder"]["name"] == "words"
    assert data["encoder"]["fingerprint"] == WordBackbone().encoder.fingerprint
    assert data["encoder"]["codec"] == "int8"


def test_text_is_a_table_of_equal_columns(report):
    lines = report.as_text().splitlines()
    start = next(row for row, line in enumerate(lines) if "nDCG@10" in line)
    table = lines[start : start + 4]
    assert [line.split("  ")[0] for line in table[1:]] == ["Pooled only", "Late only", "SMART"]
    assert len({len(line) for line in table}) == 1
    assert table[3].endswith("1.0000")
    assert "harbour: 3 pages, 3 queries; 1.2 s to index, 0.5 s to search" in lines
    assert "exact, 1 query" in lines
    assert max(map(len, lines)) <= 100


def test_a_single_kind_has_no_table_of_its_own(report):
    only = Report("x", "texts", 3, report.encoder, "int8", report.queries[2:], {"encode": 1.0})
    assert only.as_text().count("Late only") == 1


def test_a_refused_query_is_left_out_with_a_notice():
    lost = QueryJudgements("q4", "???", "plain", {A: 1.0})
    told = []
    scored, notices = evaluate_queries([*JUDGED, lost], search, told.append)
    assert [one.kind for one in scored] == [one.kind for one in JUDGED]
    assert notices == ("Query q4 was left out. There are no words in the query. Type a few words.",)
    assert told[-1] == "Ran 4 of 4 queries."
    with pytest.raises(InputRefused, match="None of the queries"):
        evaluate_queries([lost], search)
