"""Judging real answers of a real engine: what is recorded is what was shown, and can be judged and exported."""

import subprocess
import sys

import numpy as np
import pytest

from smart_demo.backbones.registry import BackboneChoice
from smart_demo.backbones.serving import Backbones
from smart_demo.backbones.words import WordBackbone
from smart_demo.config import REPOSITORY, Settings
from smart_demo.diagnostics import recorded_versions
from smart_demo.engine import Engine
from smart_demo.judging.archive import pack, unpack
from smart_demo.judging.journal import Journal
from smart_demo.judging.list_comparison import by_disagreement, contrast, find_five
from smart_demo.judging.query_list import read_queries
from smart_demo.judging.record_lines import line, read
from smart_demo.judging.records import asked, depth, methods, order, record
from smart_demo.judging.replay import pages_to_grade, remaining, ungraded
from smart_demo.judging.scoreboard import boards
from smart_demo.store.library import Library
from smart_demo.types import LATE, LOCAL, POOLED, SAMPLES, SMART, Counted, Query, Reduce, State, Weights
from tests.documents import write_pdf
from tests.judging_cases import SEED

WEIGHTS = Weights(0.5, 2.0, Reduce.SUM, Counted.CONTENT)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    texts = [f"tide {'table ' * n}harbour {n}" for n in range(1, 13)]
    (folder / "samples").mkdir()
    path = write_pdf(folder / "samples" / "tides.pdf", *texts)
    settings = Settings(backbone="words", data_dir=folder / "data", index_dir=folder / "index", samples=path.parent)
    backbones = Backbones(BackboneChoice("words", "a test", insisted=True), lambda _: WordBackbone(), fall_back=False)
    library = Library.open(settings.data_dir, settings.index_dir, settings.codec, settings.candidates)
    with Engine(library, backbones, settings) as engine:
        for scope in (LOCAL, SAMPLES):  # the same file in both: each page is there twice
            ends = [step for step in engine.add(scope, [(path, path.name)]) if step.state is not State.WORKING]
            assert [end.done for end in ends] == [12]
        yield engine


def search(engine, text, scopes, k, weights=WEIGHTS):
    return engine.search(Query(text), scopes, methods(weights), top=depth(k))


def test_what_is_recorded_is_the_answer(engine):
    found = search(engine, "tide table", [LOCAL], 3)
    trial = record(found, 3, SEED, recorded_versions())
    for name in ("pooled", "late", "smart"):
        hits = found.results[name].hits
        assert [row.page for row in trial.ranking(name)] == [hit.page.id for hit in hits]
        assert [row.score for row in trial.ranking(name)] == [round(hit.score, 6) for hit in hits]
        assert len(hits) == 10
    assert trial.weights == WEIGHTS
    assert found.results["late"].method.weights == Weights(0.0, 1.0, Reduce.SUM, Counted.CONTENT)
    assert (trial.library.pages, trial.library.scopes, trial.library.codec) == (12, ("local",), "int8")
    assert trial.encoder.fingerprint == found.encoder.fingerprint
    assert {name for name, _ in trial.versions} >= {"program", "python", "torch", "transformers", "gradio", "chromadb"}
    deep = search(engine, "tide table", [LOCAL], 12)
    assert [len(order) for order in record(deep, 12, SEED, {}).orders.values()] == [12, 12, 12]


def test_a_page_in_two_libraries_is_one_page_to_a_judge(engine, tmp_path):
    found = search(engine, "tide table", [SAMPLES, LOCAL], 5)
    assert len({hit.page.id for hit in found.results["smart"].hits}) < len(found.results["smart"].hits)
    trial = record(found, 5, SEED, recorded_versions())
    assert all(len(order) == len({*order}) for order in trial.orders.values())
    assert (trial.library.scopes, trial.library.pages) == (("local", "samples"), 24)
    assert len(order(found.results["smart"])) == 12
    journal = Journal(tmp_path, LOCAL)
    vote = journal.vote(trial, "a")
    assert read(line(vote)) == vote


def test_an_evaluation_from_the_first_query_to_the_export(engine, tmp_path):
    journal = Journal(tmp_path, LOCAL)
    for n in range(1, 7):
        found = search(engine, f"tide harbour {n}", [LOCAL], 3)
        trial = record(found, 3, journal.session.seed, recorded_versions())
        journal.vote(trial, "a" if trial.sides.a == "smart" else "b", ["table"])
        for page in pages_to_grade(trial):
            journal.grade(trial, page, 3 if page.number == n else 0)
        assert remaining(trial, journal.judgements) == ()
    (board,) = boards(Journal(tmp_path, LOCAL).judgements)
    assert (board.votes.wins, board.votes.p) == (6, 0.03125)
    assert board.k == 3
    assert ungraded(journal.judgements).total == 0
    other = Journal(tmp_path / "other", LOCAL)
    other.take(unpack(pack(journal.judgements)))
    assert boards(other.judgements) == (board,)


def test_a_list_through_the_engine_gives_a_table_and_five(engine):
    listed = read_queries("tide table\nharbour 3\ntide\nharbour 12\ntable table\nharbour 7").queries
    found = {one: search(engine, one.query, [LOCAL], 5, SMART.weights) for one in listed}
    table = [
        contrast(one.query, one.key, *(order(answer.results[m]) for m in ("pooled", "smart")), 5)
        for one, answer in found.items()
    ]
    assert {one.key for one in by_disagreement(table)} == {answer.query.key for answer in found.values()}
    assert len(find_five(table)) == 5


def test_a_question_with_a_picture_is_recorded_by_its_key():
    picture = Query("tide", np.zeros((2, 3, 3), np.uint8))
    assert asked(picture).picture == picture.key
    assert asked(Query("tide")).picture == ""
    assert POOLED.weights != LATE.weights


def test_manual_evaluation_is_light_to_import():
    heavy = "torch gradio chromadb transformers onnxruntime scipy"
    names = ["archive", "highlights", "journal", "list_rows", "pool", "query_list", "recording", "scoreboard"]
    imports = "".join(f"import smart_demo.evaluation.{name}; " for name in names)
    code = f"{imports}import sys; print([m for m in '{heavy}'.split() if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
