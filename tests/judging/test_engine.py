"""Judging real answers of a real engine: what is recorded is what was shown, and can be judged and exported."""

import subprocess
import sys

import numpy as np
import pytest

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.backbones.registry import BackboneChoice, Backbones
from smart_demo.config import REPOSITORY, Settings
from smart_demo.diagnostics import journal_versions
from smart_demo.engine import Engine
from smart_demo.indexing.progress import State
from smart_demo.judging.archive import build_archive, extract_journal
from smart_demo.judging.journal import Journal, format_line, parse_line
from smart_demo.judging.records import count_ungraded, pages_to_grade, pages_without_grade
from smart_demo.judging.scoreboard import boards
from smart_demo.judging.trials import judged_methods, page_order, record_query, record_trial, recorded_depth
from smart_demo.methods import Counted, Reduce, Weights
from smart_demo.store.library import Library
from smart_demo.types import LOCAL, SAMPLES, Query
from tests.documents import write_pdf
from tests.judging.cases import SEED

WEIGHTS = Weights(0.5, 2.0, Reduce.SUM, Counted.CONTENT)


@pytest.fixture(scope="module")
def words_engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    texts = [f"tide {'table ' * n}harbour {n}" for n in range(1, 13)]
    (folder / "samples").mkdir()
    path = write_pdf(folder / "samples" / "tides.pdf", *texts)
    settings = Settings(backbone="words", data_dir=folder / "data", index_dir=folder / "index", samples=path.parent)
    backbones = Backbones(BackboneChoice("words", "a test", explicit=True), lambda _: WordBackbone(), fall_back=False)
    library = Library.open(settings.data_dir, settings.index_dir, settings.codec, settings.candidates)
    with Engine(library, backbones, settings) as engine:
        for scope in (LOCAL, SAMPLES):  # the same file in both: each page is there twice
            ends = [step for step in engine.add(scope, [(path, path.name)]) if step.state is not State.WORKING]
            assert [end.done for end in ends] == [12]
        yield engine


def search(engine, text, scopes, k, weights=WEIGHTS):
    return engine.search(Query(text), scopes, judged_methods(weights), top=recorded_depth(k))


def test_what_is_recorded_is_the_answer(words_engine):
    found = search(words_engine, "tide table", [LOCAL], 3)
    trial = record_trial(found, 3, SEED, journal_versions())
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
    deep = search(words_engine, "tide table", [LOCAL], 12)
    assert [len(order) for order in record_trial(deep, 12, SEED, {}).orders.values()] == [12, 12, 12]


def test_a_page_in_two_libraries_is_one_page_to_a_judge(words_engine, tmp_path):
    found = search(words_engine, "tide table", [SAMPLES, LOCAL], 5)
    assert len({hit.page.id for hit in found.results["smart"].hits}) < len(found.results["smart"].hits)
    trial = record_trial(found, 5, SEED, journal_versions())
    assert all(len(order) == len({*order}) for order in trial.orders.values())
    assert (trial.library.scopes, trial.library.pages) == (("local", "samples"), 24)
    assert len(page_order(found.results["smart"])) == 12
    journal = Journal(tmp_path, LOCAL)
    vote = journal.vote(trial, "a")
    assert parse_line(format_line(vote)) == vote


def test_an_evaluation_from_the_first_query_to_the_export(words_engine, tmp_path):
    journal = Journal(tmp_path, LOCAL)
    for n in range(1, 7):
        found = search(words_engine, f"tide harbour {n}", [LOCAL], 3)
        trial = record_trial(found, 3, journal.session.seed, journal_versions())
        journal.vote(trial, "a" if trial.sides.a == "smart" else "b", ["table"])
        for page in pages_to_grade(trial):
            journal.grade(trial, page, 3 if page.number == n else 0)
        assert pages_without_grade(trial, journal.judgements) == ()
    (board,) = boards(Journal(tmp_path, LOCAL).judgements)
    assert (board.votes.wins, board.votes.p) == (6, 0.03125)
    assert board.k == 3
    assert set(count_ungraded(journal.judgements).values()) == {0}
    other = Journal(tmp_path / "other", LOCAL)
    other.import_lines(extract_journal(build_archive(journal.judgements)))
    assert boards(other.judgements) == (board,)


def test_a_question_with_a_picture_is_recorded_by_its_key():
    picture = Query("tide", np.zeros((2, 3, 3), np.uint8))
    assert record_query(picture).picture == picture.key
    assert record_query(Query("tide")).picture == ""


def test_manual_evaluation_is_light_to_import():
    heavy = "torch gradio chromadb transformers onnxruntime scipy"
    names = ["archive", "list_comparison", "judging_store"]  # they import the other modules of the package
    imports = "".join(f"import smart_demo.judging.{name}; " for name in names)
    code = f"{imports}import sys; print([m for m in '{heavy}'.split() if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
