"""Nothing changed since commit 2136201: files of then are read today, and answers and views are what they were."""

import io
import json
import math
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.pinned import stored
from tests.pinned.stored import DATA, GOLDEN

KINDS = {"session", "vote", "grade", "skip", "told", "undo"}
JOURNAL = (DATA / "journal.jsonl").read_bytes()


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def assert_pinned(name, now):
    """Equal to the last digit on the kind of processor that it was pinned on, to the fifth on another."""
    now, then = json.loads(json.dumps(now)), golden(name)
    if isinstance(then, dict) and then.get("machine") != now.get("machine"):
        assert_near(then, now)
    else:
        assert now == then


def assert_near(then, now, key=""):
    if isinstance(then, float):
        assert math.isclose(then, now, abs_tol=2e-5), key
    elif isinstance(then, dict):
        assert then.keys() == now.keys(), key
        for name in then.keys() - {"machine", "places"}:
            assert_near(then[name], now[name], name)
    elif isinstance(then, list):
        assert len(then) == len(now), key
        for one, other in zip(then, now, strict=True):
            assert_near(one, other, key)
    else:
        assert now == then, key


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return stored.copied_library(tmp_path_factory.mktemp("pinned") / "data")


@pytest.fixture(scope="module")
def engine(library):
    with stored.opened(library) as engine:
        yield engine


def test_searches_answer_as_they_did(sample_engine):
    assert_pinned("search", stored.sample_answers(sample_engine))


def test_a_library_of_then_is_whole_and_answers_as_it_did(engine):
    assert_pinned("library", stored.pinned_answers(engine))
    assert not engine.library.report.damaged
    assert not engine.library.report.swept


def test_the_snapshot_of_then_is_started_from(library, engine):
    """It is accepted row by row, used, and left as it is."""
    encoder = engine.backbone(stored.LOCAL).encoder.fingerprint
    snapshot = library / "index" / "snapshots" / f"local.{encoder}"
    assert stored.snapshot_says(library, encoder) == {"rows": 5, "believed": 5, "shape": [5, 384]}
    assert stored.starts_from_snapshot(engine)
    assert snapshot.read_bytes() == (stored.LIBRARY / "index" / "snapshots" / snapshot.name).read_bytes()


def test_the_shell_prints_what_it_did(tmp_path):
    assert_pinned("shell", stored.from_the_shell(stored.copied_library(tmp_path / "data")))


def test_a_journal_of_then_loads_is_written_the_same_and_goes_on(tmp_path):
    path = tmp_path / "judgements" / "local.jsonl"
    path.parent.mkdir()
    path.write_bytes(JOURNAL)
    journal = stored.journal_in(tmp_path)
    assert journal.left_out == ()
    assert {json.loads(line)["event"] for line in JOURNAL.splitlines()} == KINDS
    assert journal.lines() == JOURNAL
    stored.go_on(journal)
    assert path.read_bytes().startswith(JOURNAL)
    assert len(path.read_bytes().splitlines()) == len(JOURNAL.splitlines()) + 3
    assert stored.journal_in(tmp_path).lines() == path.read_bytes()


def test_the_archive_of_an_evaluation_is_the_same_and_can_be_taken_in(tmp_path):
    path = tmp_path / "judgements" / "local.jsonl"
    path.parent.mkdir()
    path.write_bytes(JOURNAL)
    archive = stored.archive_of(stored.journal_in(tmp_path))
    then = DATA / "evaluation.zip"
    with zipfile.ZipFile(then) as source, zipfile.ZipFile(io.BytesIO(archive)) as today:
        assert today.namelist() == source.namelist()
        for name in source.namelist():
            assert today.read(name) == source.read(name), name
    assert archive == then.read_bytes()
    elsewhere = stored.journal_in(tmp_path / "elsewhere")
    taken = elsewhere.take(stored.journal_lines_of(then.read_bytes()))
    assert (taken.added, taken.known, taken.refused) == (len(JOURNAL.splitlines()), 0, 0)
    assert elsewhere.judgements.votes == stored.journal_in(tmp_path).judgements.votes


def test_lists_of_queries_are_read_as_they_were():
    assert_pinned("lists", {name: stored.read_list((DATA / name).read_bytes()) for name in stored.LISTS})


def test_a_token_file_of_then_proves_itself_and_is_written_the_same(tmp_path):
    path = Path(shutil.copy(DATA / "page.safetensors", tmp_path / "00ff00ff00ff00ff-0007.safetensors"))
    assert_pinned("token-file", stored.read_token_file(path))
    assert stored.token_file() == path.read_bytes()


def test_an_evaluation_of_documents_finds_what_it_did(tmp_path):
    assert_pinned("evaluation", stored.evaluated(tmp_path))
