"""A small collection in Cranfield's form: reading, gains and a whole run compared with figures computed by hand."""

from math import log2

import numpy as np
import pytest

from smart_demo import scoring
from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.config import Settings
from smart_demo.errors import InputRefused
from smart_demo.evaluation.cranfield import evaluate_cranfield, read_cranfield
from smart_demo.evaluation.query_sets import make_page_id
from smart_demo.evaluation.texts import encode_collection, score_queries
from smart_demo.types import Query
from tests.evaluation.cases import CRANFIELD, write_cranfield


@pytest.fixture
def cranfield(tmp_path):
    return write_cranfield(tmp_path)


def test_queries_are_numbered_by_their_order_and_grades_turned_into_gains(cranfield):
    collection = read_cranfield(cranfield)
    assert collection.documents == {
        make_page_id(1): "lift of\n  wings in a slipstream",
        make_page_id(2): "lift\n.A\nunlike a field",
        make_page_id(3): "shear flow\npast a plate",  # no abstract: the title
    }
    assert [(one.qid, one.query) for one in collection.judgements] == [
        ("1", "lift slipstream"),
        ("2", "shear flow past\na plate"),
    ]
    assert collection.judgements[0].grades == {make_page_id(1): 1.0, make_page_id(2): 4.0, make_page_id(3): 1.0}
    assert collection.judgements[1].grades == {make_page_id(3): 3.0, make_page_id(4): 2.0}
    assert collection.notices == (
        "Documents without words were left out and count as never found: 4.",
        "Queries without judgements were left out: 3.",
    )


@pytest.mark.parametrize("codec", ["int8", "float32"])
def test_the_whole_run_by_hand(cranfield, codec):
    told = []
    report = evaluate_cranfield(Settings(backbone="words", codec=codec), cranfield, told.append).as_json()
    # Query 1, "lift slipstream": document 1 has both words, 2 one of them, 3 none. Query 2: document 3 has all words.
    first = (1 + 4 / log2(3) + 1 / 2) / (4 + 1 / log2(3) + 1 / 2)
    second = 3 / (3 + 2 / log2(3))  # document 4 has no words and is never found, but the ideal knows it
    for method in ("pooled", "late", "smart"):
        values = report["methods"][method]
        assert values["ndcg@10"] == pytest.approx((first + second) / 2)
        assert values["recall@5"] == pytest.approx((1 + 1 / 2) / 2)
        assert values["mrr@10"] == 1.0
    assert (report["pages"], report["queries"], report["encoder"]["codec"]) == (3, 2, codec)
    assert told[-1] == "Scored 3 of 3 texts."


def test_scoring_all_queries_together_is_scoring_each_alone(cranfield):
    backbone, collection = WordBackbone(), read_cranfield(cranfield)
    texts = encode_collection(collection, backbone, "int8")
    queries = [backbone.encode_query(Query(one.query)) for one in collection.judgements]
    together = score_queries(texts, queries)
    for query in queries:
        every = np.arange(len(texts.pages))
        alone = scoring.compute_parts(
            query, texts.pages, texts.pooled @ query.pooled, every, lambda page, _: texts.tokens[page.id]
        )
        found = together[query.query.text]
        assert found.pages == alone.pages
        assert list(found.kinds) == list(alone.kinds)
        np.testing.assert_allclose(found.maxima, alone.maxima, atol=1e-6)
        np.testing.assert_allclose(found.pooled, alone.pooled, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("cran.all.1400", "wings\n", "should begin with .I 1"),
        ("cran.all.1400", "", "not in Cranfield's form"),
        ("cran.all.1400", CRANFIELD["cran.all.1400"] + ".I 2\n.W\nagain\n", "document 2 twice"),
        ("cran.qry", "what laws\n.I 1\n", "cran.qry is not in Cranfield's form"),
        ("cranqrel", CRANFIELD["cranqrel"] + "1 5 2\n", "cranqrel, line 7: query 1 or document 5"),
        ("cranqrel", "4 1 2\n", "line 1: query 4"),
        ("cranqrel", "1 1 2\n1 1 3\n", "line 2: document 1 is judged twice"),
        ("cranqrel", "1 0 1 2\n", "line 1: this is not a query, a document and a grade"),
        ("cranqrel", "1 1 0\n", "line 1: this is not"),
        ("cranqrel", "\n", "no judgements"),
    ],
)
def test_files_in_another_format_are_refused(cranfield, name, text, said):
    (cranfield / name).write_text(text)
    with pytest.raises(InputRefused) as caught:
        evaluate_cranfield(Settings(backbone="words"), cranfield)
    assert said in caught.value.sentence


@pytest.mark.parametrize("name", ["cran.all.1400", "cran.qry", "cranqrel"])
def test_a_missing_file_is_named(cranfield, name):
    (cranfield / name).unlink()
    with pytest.raises(InputRefused, match=f"{name} is not there"):
        read_cranfield(cranfield)
    with pytest.raises(InputRefused, match="is not a folder"):
        read_cranfield(cranfield / name)
