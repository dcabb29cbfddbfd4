"""Text collections in a folder: reading, refusals with their line, and a whole run."""

import gzip
import json
from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.config import Settings
from smart_demo.errors import InputRefused
from smart_demo.evaluation.collections import evaluate_dataset, read_dataset
from smart_demo.evaluation.query_sets import CollectionOptions, make_page_id
from smart_demo.evaluation.texts import (
    TextCollection,
    TextSearch,
    TokenSpillFile,
    encode_collection,
    group_queries,
    score_queries,
)
from smart_demo.types import Query
from tests.backbones.cases import loaded
from tests.evaluation.cases import JUDGED, QRELS, QUERIES, TEXTS, judged, write_beir, write_rows

SETTINGS = Settings(backbone="words")


def test_a_beir_folder_is_read(tmp_path):
    plain = read_dataset(str(write_beir(tmp_path / "plain")), CollectionOptions())
    packed = read_dataset(str(write_beir(tmp_path / "packed", suffix=".jsonl.gz")), CollectionOptions())
    assert plain.documents == {
        make_page_id(0): "Tides high water at noon",
        make_page_id(1): "bolts and nuts",
        make_page_id(2): "Menu soup",
    }
    assert judged(plain) == JUDGED
    assert plain.notices == ("Queries without a relevant document in the split test, left out: 1 of 3.",)
    assert plain.name == "plain"
    assert (packed.documents, packed.judgements) == (plain.documents, plain.judgements)


def test_the_hubs_layout_and_other_splits(tmp_path):
    columns = {
        "corpus": ("_id", "title", "text"),
        "queries": ("_id", "text"),
        "qrels": ("query-id", "corpus-id", "score"),
    }
    rows = {
        "corpus": [(name, *text) for name, text in TEXTS.items()],
        "queries": list(QUERIES.items()),
        "qrels": [(query, document, float(grade)) for query, document, grade in QRELS],
    }
    for part, own in columns.items():
        made = [dict(zip(own, row, strict=True)) for row in rows[part]]
        for shard in range(2):
            write_rows(tmp_path / part / f"dev-0000{shard}-of-00002.parquet", made[shard::2])
    found = read_dataset(str(tmp_path), CollectionOptions(split="dev"))
    assert found.name == f"{tmp_path.name} (dev)"
    assert judged(found) == JUDGED
    assert list(found.documents.values()) == ["Tides high water at noon", "Menu soup", "bolts and nuts"]
    with pytest.raises(InputRefused, match="holds no collection with a split test"):
        read_dataset(str(tmp_path), CollectionOptions())
    (tmp_path / "corpus" / "dev-00001-of-00002.parquet").unlink()
    with pytest.raises(InputRefused, match="1 of 2 shards of corpus are present"):
        read_dataset(str(tmp_path), CollectionOptions(split="dev"))


def test_the_whole_run_by_hand(tmp_path, scratch):
    """Query q1, "high water": d 1 has both words. Query q2, "soup menu": d10 has both. d9 is never found."""
    told = []
    folder = write_beir(tmp_path / "harbour", qrels=[*QRELS, ("q2", "d9", 3), ("q7", "d2", 1)])
    report = evaluate_dataset(SETTINGS, str(folder), CollectionOptions(), told.append).as_json()
    by_hand = (1 + 1 / (3 + 1 / log2(3))) / 2
    for method in ("pooled", "late", "smart"):
        assert report["methods"][method]["ndcg@10"] == pytest.approx(by_hand)
    assert (report["collection"], report["pages"], report["queries"]) == ("harbour", 3, 2)
    assert report["notices"] == [
        "Judgements of documents that are not in the collection: 1; relevant ones count as never found.",
        "Judgements of queries that are not in the collection, left out: 1.",
        "Queries without a relevant document in the split test, left out: 1 of 3.",
    ]
    assert told[-1] == "Scored 3 of 3 texts."
    assert list(scratch.iterdir()) == []


def test_a_limit_has_a_notice(tmp_path):
    report = evaluate_dataset(SETTINGS, str(write_beir(tmp_path)), CollectionOptions(limit=1)).as_json()
    assert report["queries"] == 1
    assert report["pages"] == 3
    assert any("Only the first 1 of 2 judged queries" in notice for notice in report["notices"])
    whole = evaluate_dataset(SETTINGS, str(write_beir(tmp_path)), CollectionOptions(limit=2)).as_json()
    assert not any("first" in notice for notice in whole["notices"])


def test_texts_and_queries_without_words_are_left_out_with_notices(tmp_path):
    documents = TEXTS | {"e": ("", " "), "dots": ("", "... --- ...")}
    queries = QUERIES | {"q4": "???"}
    qrels = [*QRELS, ("q1", "dots", 1), ("q4", "d2", 1)]
    folder = write_beir(tmp_path / "harbour", documents, queries, qrels)
    report = evaluate_dataset(SETTINGS, str(folder), CollectionOptions()).as_json()
    assert (report["pages"], report["queries"]) == (3, 2)
    assert "Documents without a text: 1; they were left out and count as never found." in report["notices"]
    assert "Texts in which words finds no words: 1; they count as never found (q1)." in report["notices"]
    assert any(notice.startswith("Query q4 was left out.") for notice in report["notices"])
    nothing = write_beir(tmp_path / "dots", {"d2": ("", "...")}, {"q1": "tide"}, [("q1", "d2", 1)])
    with pytest.raises(InputRefused, match="finds no words in any"):
        evaluate_dataset(SETTINGS, str(nothing), CollectionOptions())


def test_texts_of_unknown_words_are_never_found(tmp_path):
    documents = {"tides": ("", "tide"), "repair": ("", "飛機維修"), "ship": ("", "飛 ship")}
    folder = write_beir(tmp_path, documents, {"q": "飛機維修"}, [("q", "repair", 1)])
    texts = encode_collection(read_dataset(str(folder), CollectionOptions()), loaded("minilm"), "int8")
    assert [page.document for page in texts.pages] == ["tides", "ship"]


def test_ties_fall_in_the_order_of_the_corpus_whatever_the_ids_are(tmp_path):
    documents = {name: ("", "tide") for name in ("z", "10", "9", "a/../b", "é")}
    folder = write_beir(tmp_path, documents, {"q": "tide"}, [("q", "9", 1)])
    collection = read_dataset(str(folder), CollectionOptions())
    texts = encode_collection(collection, WordBackbone(), "int8")
    results = TextSearch(texts, [WordBackbone().encode_query(Query("tide"))], {})("tide")
    for result in results.values():
        assert [hit.page.document for hit in result.hits] == list(documents)


WORDS = ["tide", "water", "bolt", "nut", "soup", "menu", "red", "blue"]
SENTENCES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(SENTENCES, min_size=1, max_size=9),
    queries=st.lists(SENTENCES, min_size=1, max_size=5, unique=True),
    most=st.integers(1, 100),
    codec=st.sampled_from(["int8", "float16", "float32"]),
)
def test_groups_and_spilled_tokens_change_no_score(tmp_path_factory, texts, queries, most, codec):
    documents = {make_page_id(number): text for number, text in enumerate(texts)}
    collection = TextCollection("x", documents, dict.fromkeys(documents, "x"), ())
    backbone = WordBackbone()
    encodings = [backbone.encode_query(Query(text)) for text in queries]
    whole = score_queries(encode_collection(collection, backbone, codec), encodings)
    spooled = encode_collection(
        collection, backbone, codec, spill_file=TokenSpillFile(tmp_path_factory.mktemp("spool") / "tokens")
    )
    assert list(spooled.tokens) == list(documents)
    parts = [
        part for group in group_queries(encodings, len(texts), most) for part in score_queries(spooled, group).items()
    ]
    assert [text for text, _ in parts] == queries
    for text, found in parts:
        np.testing.assert_allclose(found.maxima, whole[text].maxima, atol=1e-6)
        np.testing.assert_allclose(found.pooled, whole[text].pooled, atol=1e-6)


NAMES = st.text("ab 1.é#%", min_size=1, max_size=3).filter(str.strip)


@settings(max_examples=40, deadline=None)
@given(
    documents=st.dictionaries(
        NAMES, st.tuples(st.sampled_from(["", "Tides"]), st.sampled_from(["", "tide"])), min_size=1
    ),
    queries=st.dictionaries(NAMES, SENTENCES, min_size=1),
    grades=st.dictionaries(st.tuples(NAMES, NAMES), st.integers(0, 3)),
    suffix=st.sampled_from([".jsonl", ".jsonl.gz"]),
)
def test_what_is_judged_is_what_a_loop_over_the_rows_finds(tmp_path_factory, documents, queries, grades, suffix):
    rows = [(query, document, grade) for (query, document), grade in grades.items()]
    folder = write_beir(tmp_path_factory.mktemp("set"), documents, queries, rows, suffix=suffix)
    expected = {}
    for query in queries:
        own = {document: grade for asked, document, grade in rows if asked == query}
        if any(own.values()):
            expected[query] = own
    texts = {name: f"{title} {text}".strip() for name, (title, text) in documents.items() if title or text}
    if not expected or not texts:
        with pytest.raises(InputRefused):
            read_dataset(str(folder), CollectionOptions())
        return
    found = read_dataset(str(folder), CollectionOptions())
    assert judged(found) == expected
    assert [one.query for one in found.judgements] == [queries[qid] for qid in expected]
    assert {found.names[page]: text for page, text in found.documents.items()} == texts
    lost = sum(query in queries and document not in documents for query, document, _ in rows)
    assert any(f"not in the collection: {lost};" in notice for notice in found.notices) == (lost > 0)


LINES = {
    "corpus.jsonl": {"_id": "d2", "text": "again"},
    "queries.jsonl": {"_id": "q1", "text": "again"},
}


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        ("corpus.jsonl", LINES["corpus.jsonl"], 'corpus.jsonl, line 4: the document "d2" appears twice'),
        ("corpus.jsonl", {"text": "no id"}, "corpus.jsonl, line 4: there is no document id"),
        ("corpus.jsonl", {"_id": "\x1b[2J", "text": ""}, "line 4: there is no document id"),
        ("corpus.jsonl", {"_id": "d3", "text": 7}, 'line 4: "text" is not text'),
        ("queries.jsonl", LINES["queries.jsonl"], 'queries.jsonl, line 4: the query "q1" appears twice'),
        ("queries.jsonl", {"_id": "q9", "text": " "}, 'line 4: the query "q9" is empty'),
        ("queries.jsonl", {"_id": "q9"}, 'line 4: the query "q9" is empty'),
        ("queries.jsonl", {"text": "tide"}, "line 4: there is no query id"),
        ("qrels/test.tsv", "q1\td10\t-1", "qrels/test.tsv, line 5: the score is negative"),
        ("qrels/test.tsv", "q1\td2\t7", 'line 5: the document "d2" has the grades '),
        ("qrels/test.tsv", "q1\td2", "line 5: there are 2 cells under 3 columns"),
        ("qrels/test.tsv", "\td2\t1", "line 5: there is no query id"),
        ("qrels/test.tsv", "q1\t\t1", "line 5: there is no document id"),
        ("qrels/test.tsv", f"q1\td1\t{'9' * 5_000}", "line 5: there is no number"),
    ],
)
def test_errors_name_file_and_line_before_a_model_loads(tmp_path, file, line, said):
    folder = write_beir(tmp_path)
    with (folder / file).open("a") as opened:
        opened.write(line if isinstance(line, str) else json.dumps(line))
    with pytest.raises(InputRefused) as caught:
        evaluate_dataset(Settings(backbone="loading this would be refused"), str(folder), CollectionOptions())
    assert said in caught.value.sentence
    assert "\n" not in caught.value.sentence


def test_folders_that_are_no_collection_are_one_sentence(tmp_path):
    write_beir(tmp_path / "good")
    (tmp_path / "empty").mkdir()
    twice = write_beir(tmp_path / "twice")
    write_rows(twice / "corpus.csv", [], ["_id"])
    write_beir(tmp_path / "nothing", qrels=[("q1", "d2", 0)])
    for name, text in {
        "ranking": "q1 Q0 d2 1 0.5 bm25\n",
        "uneven": "q1\td2\t1\nq2\t0\td10\t1\n",
        "wordy": "query\tdocument\tgood\nq1\td2\tyes\n",
    }.items():
        (write_beir(tmp_path / name) / "qrels" / "test.tsv").write_text(text)
    for source, choice, said in [
        ("good", CollectionOptions(split="dev"), "good has no judgements for the split dev. There are some for test"),
        ("good", CollectionOptions(split="../qrels/test"), "is not the name of a split"),
        (
            "good",
            CollectionOptions(language="klingon"),
            "No query is in the language klingon. Its queries have no language",
        ),
        ("good", CollectionOptions(revision="1"), "has no revisions"),
        (
            "empty",
            CollectionOptions(),
            "empty holds no collection with a split test: there is no corpus and no queries and no qrels",
        ),
        ("twice", CollectionOptions(), "are the same in two forms"),
        ("nothing", CollectionOptions(), "No query has a relevant document"),
        ("ranking", CollectionOptions(), "qrels/test.tsv, line 1: this is a line of a TREC ranking"),
        ("uneven", CollectionOptions(), "qrels/test.tsv, line 2: there are 4 cells; the first line has 3"),
        ("wordy", CollectionOptions(), "qrels/test.tsv, line 2: there is no query id. Put one line of text under"),
        ("gone", CollectionOptions(), "is neither a folder here nor a dataset's name on the hub"),
        ("good/corpus.jsonl", CollectionOptions(), "is neither a folder"),
    ]:
        with pytest.raises(InputRefused) as caught:
            read_dataset(str(tmp_path / source), choice)
        assert said in caught.value.sentence, (source, choice)


@settings(max_examples=40, deadline=None)
@given(
    grades=st.dictionaries(
        st.tuples(st.sampled_from(["q1", "q2", "q3"]), st.sampled_from(["d1", "d2", "d10", "gone"])),
        st.integers(0, 3),
        min_size=1,
    ).filter(lambda grades: any(grades.values())),
    separator=st.sampled_from(["\t", ",", ";", " ", "  "]),
    header=st.booleans(),
    trec=st.booleans(),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.booleans(),
    number=st.sampled_from(["{}", "{}.0", "{}e0", "+{}", "{}."]),
    twice=st.booleans(),
    name=st.sampled_from(["qrels/test.tsv", "qrels/test.txt", "qrels.txt", "qrels/test.csv", "qrels/test.trec"]),
)
def test_judgements_read_the_same_in_every_form_that_tools_write(
    tmp_path_factory, grades, separator, header, trec, end, mark, number, twice, name
):
    folder = write_beir(tmp_path_factory.mktemp("set"))
    (folder / "qrels" / "test.tsv").unlink()
    rows = [
        [query, *(["0"] if trec else []), document, number.format(grade)] for (query, document), grade in grades.items()
    ]
    rows += rows[:1] if twice else []
    if header and not trec and separator.strip(" "):
        rows = [["query-id", "corpus-id", "score"], *rows]
    text = "".join(separator.join(row) + end for row in rows)
    (folder / name).write_bytes(text.encode("utf-8-sig" if mark else "utf-8"))
    found = read_dataset(str(folder), CollectionOptions())
    expected = {}
    for query in QUERIES:
        own = {document: grade for (asked, document), grade in grades.items() if asked == query}
        if any(own.values()):
            expected[query] = own
    assert judged(found) == expected
    assert any("given twice" in notice for notice in found.notices) == twice


def test_the_same_query_or_document_twice_counts_once(tmp_path):
    folder = write_beir(tmp_path)
    once = read_dataset(str(folder), CollectionOptions())
    for name in ("corpus.jsonl", "queries.jsonl"):
        text = (folder / name).read_text()
        (folder / name).write_text(text + text.splitlines()[-1] + "\n")
    twice = read_dataset(str(folder), CollectionOptions())
    assert judged(twice) == judged(once)
    assert twice.documents == once.documents


def test_one_language_is_asked_or_all_by_kind(tmp_path):
    folder = write_beir(tmp_path)
    languages = {"q1": "english", "q2": "french", "q3": "french"}
    rows = [{"_id": qid, "text": text, "language": languages[qid]} for qid, text in QUERIES.items()]
    write_rows(folder / "queries.jsonl", rows)
    english = read_dataset(str(folder), CollectionOptions(language="English"))
    assert [(one.qid, one.kind) for one in english.judgements] == [("q1", "english")]
    assert english.notices == ("Queries in other languages than English, left out: 2.",)
    assert [one.kind for one in read_dataset(str(folder), CollectionOptions()).judgements] == ["english", "french"]
    with pytest.raises(InputRefused, match="No query is in the language german") as caught:
        read_dataset(str(folder), CollectionOptions(language="german"))
    assert caught.value.hint == "There are queries in: english, french."


def test_gzip_bombs_and_odd_files_do_not_hold_the_program(tmp_path):
    folder = write_beir(tmp_path, suffix=".jsonl.gz")
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(b" " * 40_000_000))
    with pytest.raises(InputRefused, match="line 1: the line or the table is too large"):
        read_dataset(str(folder), CollectionOptions())
