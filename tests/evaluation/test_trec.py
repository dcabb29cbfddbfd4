"""Run files: other tools compute the same metrics from them as our report."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo.config import Settings
from smart_demo.errors import InputRefused
from smart_demo.evaluation.collections import evaluate_dataset
from smart_demo.evaluation.documents import evaluate_documents
from smart_demo.evaluation.metrics import METRICS
from smart_demo.evaluation.query_sets import CollectionOptions, QueryJudgements
from smart_demo.evaluation.trec import escape_column, format_falling_scores, open_run_files
from smart_demo.types import PageId
from tests.documents import write_pdf
from tests.evaluation.cases import write_beir, write_judged

SETTINGS = Settings(backbone="words")
FILES = ["late.run", "pooled.run", "qrels.txt", "smart.run"]


def agree(ranx, folder, report):
    """Assert that ranx computes every mean of the report from the files."""
    assert sorted(path.name for path in folder.iterdir()) == FILES
    qrels = ranx.Qrels.from_file(str(folder / "qrels.txt"), kind="trec")
    for method, means in report.as_json()["methods"].items():
        run = ranx.Run.from_file(str(folder / f"{method}.run"), kind="trec")
        theirs = ranx.evaluate(qrels, run, list(METRICS))
        for metric, value in means.items():
            assert theirs[metric] == pytest.approx(value, abs=1e-9), (method, metric)


def as_trec_eval(path):
    """Documents by query as trec_eval ranks them: by score as a 32-bit float, ties by name, downwards."""
    rows = [line.split(" ") for line in path.read_text("ascii").splitlines()]
    assert all(len(row) == 6 and row[1] == "Q0" for row in rows)
    queries = dict.fromkeys(row[0] for row in rows)
    return {
        query: [
            row[2]
            for row in sorted(
                (row for row in rows if row[0] == query), key=lambda row: (np.float32(row[4]), row[2]), reverse=True
            )
        ]
        for query in queries
    }


def test_ranx_agrees_with_the_report_of_a_text_set(ranx, tmp_path):
    random = np.random.default_rng(3)
    vocabulary = ["tide", "water", "bolt", "nut", "soup", "menu", "red", "blue"]
    documents = {f"d {n}%é": ("", " ".join(random.choice(vocabulary, 3))) for n in range(40)}  # many ties
    queries = {f"q {n}": " ".join(random.choice(vocabulary, 2, replace=False)) for n in range(25)}
    qrels = [
        (query, str(document), int(random.integers(0, 4)))
        for query in queries
        for document in random.choice([*documents, "never"], 6, replace=False)
    ]
    folder, run_dir = write_beir(tmp_path / "set", documents, queries, qrels), tmp_path / "deep" / "runs"
    report = evaluate_dataset(SETTINGS, str(folder), CollectionOptions(), run_dir=run_dir)
    agree(ranx, run_dir, report)
    for method in ("pooled", "late", "smart"):
        rows = [line.split(" ") for line in (run_dir / f"{method}.run").read_text().splitlines()]
        ours = {query: [row[2] for row in rows if row[0] == query] for query in dict.fromkeys(row[0] for row in rows)}
        assert as_trec_eval(run_dir / f"{method}.run") == ours
        assert len(rows) == 40 * len(ours)


def test_ranx_agrees_with_the_report_of_a_folder_of_documents(ranx, tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    write_pdf(folder / "tide table.pdf", "tide table of the old harbour", "tide", "bolts")
    write_pdf(folder / "b.pdf", "bolts and tide", "bolts")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing follows")
    queries = write_judged(
        folder,
        ("q 1", "tide table", [("tide table.pdf", 1, 2), ("tide table.pdf", 2, 1), ("broken.pdf", 1, 1)]),
        ("q2", "bolts", [("b.pdf", 1, 1), ("b.pdf", 2, 3)]),
        ("q3", "???", [("b.pdf", 1, 1)]),
    )
    run_dir = tmp_path / "runs"
    report = evaluate_documents(SETTINGS, folder, queries, run_dir=run_dir)
    agree(ranx, run_dir, report)
    lines = (run_dir / "qrels.txt").read_text().splitlines()
    assert "q%201 0 tide%20table.pdf#1 2" in lines
    assert "q%201 0 broken.pdf#1 1" in lines
    assert not any(line.startswith("q3") for line in lines)  # it was not asked, so it is in no mean


def test_files_appear_complete_or_not_at_all(tmp_path):
    judged = (QueryJudgements("q1", "tide", "plain", {PageId("0" * 16, 1): 1.0}),)
    (tmp_path / "late.run").write_text("an earlier run")
    with pytest.raises(InputRefused), open_run_files(tmp_path, judged, str):
        raise InputRefused("the run broke off")
    assert [path.name for path in tmp_path.iterdir()] == ["late.run"]
    with open_run_files(tmp_path, judged, str):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    with open_run_files(None, judged, str) as keep:
        keep(judged[0], {})


def test_an_unwritable_folder_is_refused_before_any_query_runs(tmp_path):
    unloadable = Settings(backbone="loading this would be refused")
    (tmp_path / "file").write_text("")
    folder = write_beir(tmp_path / "set")
    with pytest.raises(InputRefused, match="run files cannot be written to"):
        evaluate_dataset(Settings(backbone="words"), str(folder), CollectionOptions(), run_dir=tmp_path / "file")
    halves = write_beir(tmp_path / "halves", qrels=[("q1", "d2", 0.5)])
    with pytest.raises(InputRefused, match="Query q1 has a grade that is not a whole number"):
        evaluate_dataset(SETTINGS, str(halves), CollectionOptions(), run_dir=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    with pytest.raises(Exception, match="neither a known backbone"):
        evaluate_dataset(unloadable, str(folder), CollectionOptions(), run_dir=tmp_path / "runs")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 600), max_size=60))
def test_written_scores_fall_and_stay_close(scores):
    ranked = sorted(scores, reverse=True)
    written = format_falling_scores(ranked)
    again = [np.float32(score) for score in written]
    assert all(a > b for a, b in pairwise(again))
    assert all(abs(a - float(b)) <= len(scores) * 1e-4 for a, b in zip(ranked, written, strict=True))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=2, max_size=2, unique=True))
def test_columns_are_printable_and_different_names_stay_different(names):
    one, other = map(escape_column, names)
    assert one != other
    assert one.isascii()
    assert one.split() == [one]
