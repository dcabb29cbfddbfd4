"""Nothing changed since commit 2136201: files of then are read today, and answers and views are what they were."""

import io
import json
import math
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.pinned import stored, views
from tests.pinned.stored import DATA, GOLDEN
from tests.pinned.structure import differences, normal_markup
from tests.sample_library import copy_sample_library
from tests.store.cases import forget_words

KINDS = {"session", "vote", "grade", "skip", "told", "undo"}
DECIMAL = re.compile(r"-?\d+\.\d+")
JOURNAL = (DATA / "journal.jsonl").read_bytes()


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def assert_pinned(name, now):
    """Equal to the last digit on the kind of processor that it was pinned on, to the fourth on another."""
    now, then = json.loads(json.dumps(now)), golden(name)
    if isinstance(then, dict) and then.get("machine") != now.get("machine"):
        assert_near(then, now)
    else:
        assert now == then


def assert_near(then, now, key=""):
    if isinstance(then, float):
        assert math.isclose(then, now, abs_tol=1e-4), key
    elif isinstance(then, dict):
        assert then.keys() == now.keys(), key
        for name in then.keys() - {"machine", "places"}:
            assert_near(then[name], now[name], name)
    elif isinstance(then, list):
        assert len(then) == len(now), key
        for one, other in zip(then, now, strict=True):
            assert_near(one, other, key)
    elif isinstance(then, str):
        assert DECIMAL.sub("#", now) == DECIMAL.sub("#", then), key
        assert_near([*map(float, DECIMAL.findall(then))], [*map(float, DECIMAL.findall(now))], key)
    else:
        assert now == then, key


@pytest.fixture(scope="module")
def pinned_library(tmp_path_factory):
    return stored.copied_library(tmp_path_factory.mktemp("pinned") / "data")


@pytest.fixture(scope="module")
def pinned_engine(pinned_library):
    with stored.opened(pinned_library) as engine:
        yield engine


def test_searches_answer_as_they_did(sample_engine):
    assert_pinned("search", stored.sample_answers(sample_engine))


def test_a_library_of_then_is_whole_and_answers_as_it_did(pinned_engine):
    assert_pinned("library", stored.pinned_answers(pinned_engine))
    assert not pinned_engine.library.report.damaged
    assert not pinned_engine.library.report.deleted_leftovers


def test_the_snapshot_of_then_is_started_from(pinned_library, pinned_engine):
    """It is accepted row by row, used, and left as it is."""
    encoder = pinned_engine.backbone(stored.LOCAL).encoder.fingerprint
    snapshot = pinned_library / "index" / "snapshots" / f"local.{encoder}"
    assert stored.snapshot_says(pinned_library, encoder) == {"rows": 5, "believed": 5, "shape": [5, 384]}
    assert stored.starts_from_snapshot(pinned_engine)
    assert snapshot.read_bytes() == (stored.LIBRARY / "index" / "snapshots" / snapshot.name).read_bytes()


def test_a_library_of_another_ocr_engine_answers_the_same_and_is_read_again(tmp_path, pinned_engine):
    """The model was the same, under a fingerprint that named the engine; here none was installed."""
    data = stored.copied_library(tmp_path / "data")
    encoder = pinned_engine.backbone(stored.LOCAL).encoder
    former = replace(encoder, reading=encoder.reading.replace("rapidocr 3.10.0 at 2000", "nothing")).fingerprint
    assert forget_words(data, former) == 5
    assert {path.parts[-3] for path in data.rglob("*.safetensors")} == {former}
    with stored.opened(data) as engine:
        for query in stored.PINNED_QUERIES:
            assert_near(
                stored.answer(pinned_engine, query, stored.LOCAL), stored.answer(engine, query, stored.LOCAL), query
            )
        assert (engine.pages_of_older_versions(stored.LOCAL), engine.pages_of_other_encoders(stored.LOCAL)) == (5, 0)
        name = stored.DOCUMENTS[0]
        *_, last = engine.add(stored.LOCAL, [(stored.ROOT / "sample_docs" / name, name)])
        assert (last.outcome.added, last.outcome.sources) == ((1, 2), {"layer": 2})
        assert engine.pages_of_older_versions(stored.LOCAL) == 3
        page = next(page for page in engine.library.pages([stored.LOCAL], encoder.fingerprint) if page.document == name)
        assert len(engine.page_words(stored.LOCAL, page.id).words) > 100
    assert {path.parts[-3] for path in data.rglob("*.safetensors")} == {former, encoder.fingerprint}


def test_the_shell_prints_what_it_did(tmp_path):
    assert_pinned("shell", stored.from_the_shell(stored.copied_library(tmp_path / "data")))


def test_a_journal_of_then_loads_is_written_the_same_and_goes_on(tmp_path):
    path = tmp_path / "judgements" / "local.jsonl"
    path.parent.mkdir()
    path.write_bytes(JOURNAL)
    journal = stored.journal_in(tmp_path)
    assert journal.unreadable_lines == ()
    assert {json.loads(line)["event"] for line in JOURNAL.splitlines()} == KINDS
    assert journal.export_lines() == JOURNAL
    stored.go_on(journal)
    assert path.read_bytes().startswith(JOURNAL)
    assert len(path.read_bytes().splitlines()) == len(JOURNAL.splitlines()) + 3
    assert stored.journal_in(tmp_path).export_lines() == path.read_bytes()


def without_sentences(value):
    """Return JSON whose sentences (strings of several words) are replaced by one mark."""
    if isinstance(value, dict):
        return {key: without_sentences(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_sentences(part) for part in value]
    return "…" if isinstance(value, str) and " " in value else value


def test_the_archive_of_an_evaluation_is_the_same_and_can_be_taken_in(tmp_path):
    path = tmp_path / "judgements" / "local.jsonl"
    path.parent.mkdir()
    path.write_bytes(JOURNAL)
    archive = stored.archive_of(stored.journal_in(tmp_path))
    then = DATA / "evaluation.zip"
    with zipfile.ZipFile(then) as source, zipfile.ZipFile(io.BytesIO(archive)) as today:
        assert today.namelist() == source.namelist()
        for name in source.namelist():
            if name.endswith("scoreboards.json"):  # its cautions are sentences, which may be reworded
                assert without_sentences(json.loads(today.read(name))) == without_sentences(
                    json.loads(source.read(name))
                )
            else:
                assert today.read(name) == source.read(name), name
    elsewhere = stored.journal_in(tmp_path / "elsewhere")
    taken = elsewhere.import_lines(stored.journal_lines_of(then.read_bytes()))
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


# -- what people see


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Every view as it is today, by name."""
    folder = tmp_path_factory.mktemp("views")
    views.add_pinned_documents(copy_sample_library(folder / "data"))
    with stored.opened(folder / "data") as engine:
        return views.all_views(folder, engine)


def elsewhere(text):
    """Without what differs between kinds of processors: digests of pictures, decimals."""
    return re.sub(r"\d+\.\d+", "N", re.sub(r";sha256,[0-9a-f]{16}", "", text))


def normal(name, text):
    """Return a view with each run of white space as one space, and every character written in one way."""
    if name.endswith(".json"):
        return json.dumps(_normal_values(json.loads(text)))
    return normal_markup(text)


def _normal_values(value):
    if isinstance(value, dict):
        return {key: _normal_values(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_normal_values(part) for part in value]
    return normal_markup(value) if isinstance(value, str) and "<" in value else value


@pytest.mark.parametrize("name", sorted(path.name for path in views.HTML.iterdir()))
def test_a_view_is_what_it_was(seen, name):
    """After words were changed on purpose: `python -m tests.pinned.make --html`, and look at the difference."""
    then, now = normal(name, (views.HTML / name).read_text(encoding="utf-8")), normal(name, seen[name])
    if (views.HTML / "machine.json").read_text() == seen["machine.json"]:
        assert now == then
    elif name != "machine.json":
        assert elsewhere(now) == elsewhere(then)


def test_there_is_no_other_view(seen):
    assert sorted(seen) == sorted(path.name for path in views.HTML.iterdir())


def test_structure_is_compared_without_words(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    (old / "a.html").write_text('<p class="x" title="Rank 3">Page 4 of the book <b>moved</b></p>')
    (old / "a.json").write_text('{"sentence": "3 left", "key": "samples/1", "at": 2}')
    (new / "a.html").write_text('<p class="x" title="3rd">Now on page 4 <b>!</b></p>')
    (new / "a.json").write_text('{"at": 2, "key": "samples/1", "sentence": "There are 3."}')
    assert differences(old, new) == []
    for name, text in {
        "a.html": ['<p class="y" title="3">4<b></b></p>', '<p class="x" title="3">5<b></b></p>', '<p class="x">4</p>'],
        "a.json": ['{"sentence": "3", "key": "samples/2", "at": 2}', '{"sentence": "3", "key": "samples/1"}'],
    }.items():
        kept = (new / name).read_text()
        for changed in text:
            (new / name).write_text(changed)
            assert differences(old, new) != []
        (new / name).write_text(kept)
        assert differences(old, new) == []
