"""Deleting a library: no file and no cache keeps anything of it, and all other libraries stay."""

import fcntl
import gc
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from smart_demo.errors import LibraryError
from smart_demo.indexing.progress import State
from smart_demo.judging.journal import Journal
from smart_demo.judging.trials import JudgedQuery
from smart_demo.methods import POOLED, SMART
from smart_demo.store import atomic_files
from smart_demo.store.chroma_index import PageIndex
from smart_demo.store.page_files import PageFiles
from smart_demo.store.upkeep import ChromaUpkeep
from smart_demo.types import LOCAL, SAMPLES, Query, QueryEncoding, StoredPage
from tests.documents import write_pdf
from tests.server.cases import Words, add, an_engine, bytes_under, holding, judge, names, visitor, without_index
from tests.store.cases import ENCODER, files_under, made, open_library, page_id, put, token_files

ME, YOU = visitor(1), visitor(2)
PAGES = 16
SLACK = 64 * 2**10
"""Bytes by which two Chroma folders of the same rows may differ: SQLite's pages. The visitor's rows take far more."""


def paper(folder, name, pages):
    return write_pdf(folder / name, *[f"{name} page {number}" for number in range(pages)])


@pytest.fixture
def engine(tmp_path):
    """Yield an engine without Chroma, which most of these tests do not need."""
    with an_engine(tmp_path, open_library=without_index) as engine:
        yield engine


def folders_of(tmp_path):
    return bytes_under(tmp_path / "data"), bytes_under(tmp_path / "index")


@pytest.fixture
def wide_engine(tmp_path):
    """Yield an engine with pooled vectors of 16 KB, so that a few pages change the size of the index."""
    with an_engine(tmp_path, Words(width=4_096)) as engine:
        yield engine


def test_a_deleted_library_leaves_nothing_on_the_disk(tmp_path, wide_engine):
    engine = wide_engine
    add(engine, LOCAL, paper(tmp_path, "kept.pdf", 2))
    shared = paper(tmp_path, "shared.pdf", 2)
    add(engine, LOCAL, shared)
    before = folders_of(tmp_path)
    add(engine, ME, paper(tmp_path, "zanzibar.pdf", PAGES), shared)
    journal = Journal(engine.settings.data_dir, ME)
    journal.skip(JudgedQuery("quagga in zanzibar", Query("quagga in zanzibar").key, ""))
    pages = engine.library.pages([ME], engine.backbone(ME).encoder.fingerprint)
    page, damaged, *_ = (page for page in pages if page.document == "zanzibar.pdf")
    encoding = engine.library.encoding(page)
    path = PageFiles(tmp_path / "data").path(damaged)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(LibraryError):
        engine.library.tokens(damaged)
    needles = [b"zanzibar", b"quagga", encoding.pooled.tobytes(), str(ME).encode(), page.id.file.encode()]
    held = holding(tmp_path / "data", *needles) + holding(tmp_path / "index", *needles)
    assert any("chroma.sqlite3" in name for name in held)
    assert any("damaged" in name for name in held)
    assert any("judgements" in name for name in held)
    assert bytes_under(tmp_path / "index") > before[1] + 2 * SLACK

    left = bytes_under(tmp_path / "data")
    assert engine.delete_library(ME) == left - before[0]
    assert engine.compact()
    assert holding(tmp_path / "data", *needles) + holding(tmp_path / "index", *needles) == []
    after = folders_of(tmp_path)
    assert after[0] == before[0]
    assert after[1] <= before[1] + SLACK
    assert {path.name for path in (tmp_path / "data").iterdir()} <= {"tokens", "damaged", "judgements", "lock"}
    assert list((tmp_path / "data" / "tokens").iterdir()) == [tmp_path / "data" / "tokens" / "local"]
    assert names(engine, LOCAL) == ["kept.pdf", "shared.pdf"]
    assert (names(engine, ME), engine.usage(ME).bytes, engine.library.visitors()) == ([], 0, ())
    assert not engine.compact()  # a second time frees nothing
    assert add(engine, ME, tmp_path / "zanzibar.pdf")[0].state is State.DONE  # the visitor may return


def test_a_deleted_library_is_in_no_cache(tmp_path, engine):
    add(engine, LOCAL, paper(tmp_path, "kept.pdf", 2))
    add(engine, ME, paper(tmp_path, "zanzibar.pdf", 3))
    for scopes in ((ME,), (LOCAL,)):
        found = engine.search(Query("page 1"), scopes)
        (hit, other, *_) = found.results["smart"].hits
        engine.explain(Query("page 1"), scopes, hit.page.key)
        engine.pair(Query("page 1"), scopes, hit.page.key, other.page.key)
    engine.search(Query("quagga"), (ME,), (POOLED, SMART))
    (damaged, *_) = engine.library.pages([ME], engine.backbone(ME).encoder.fingerprint)
    PageFiles(tmp_path / "data").path(damaged).write_bytes(b"rubbish")
    engine.library._catalogue._bodies.clear()
    with pytest.raises(LibraryError):
        engine.library.encoding(damaged)
    assert "zanzibar" in "".join(engine.library.report.damaged)
    del found, hit, other, damaged, _
    assert alive(StoredPage, lambda page: page.scope == ME)
    assert alive(QueryEncoding, lambda encoding: "quagga" in encoding.query.text)
    engine.delete_library(ME)
    assert alive(StoredPage, lambda page: page.scope == ME) == []
    assert alive(QueryEncoding, lambda encoding: "quagga" in encoding.query.text) == []
    assert engine.library.report.damaged == ()
    assert engine.stage_timings([ME]) == {}
    assert engine.stage_timings([LOCAL])


def test_a_deleted_document_is_in_no_cache(tmp_path, engine):
    add(engine, ME, paper(tmp_path, "kept.pdf", 2), paper(tmp_path, "gone.pdf", 2))
    for query in ("page 1", "page 0"):
        found = engine.search(Query(query), (ME,))
        for hit in found.results["smart"].hits:
            engine.explain(Query(query), (ME,), hit.page.key)
    file = next(one.file for one in engine.documents(ME) if one.name == "gone.pdf")
    del found, hit
    engine.delete_document(ME, file)
    engine.search(Query("page 1"), (ME,))
    assert alive(StoredPage, lambda page: page.document == "gone.pdf") == []
    assert alive(StoredPage, lambda page: page.document == "kept.pdf")


def alive(kind, wanted):
    gc.collect()
    return [one for one in gc.get_objects() if type(one) is kind and wanted(one)]


def test_the_samples_cannot_be_deleted(tmp_path, engine):
    with pytest.raises(ValueError, match="samples"):
        engine.delete_library(SAMPLES)
    assert engine.delete_library(YOU) == 0  # a visitor without a library


def test_a_running_upload_stops_when_its_library_is_deleted(tmp_path, engine):
    paths = [paper(tmp_path, name, 5) for name in ("a.pdf", "b.pdf")]
    ends, freed = [], 0
    for step in engine.add(ME, [(path, path.name) for path in paths]):
        if step.done == 2:
            freed = engine.delete_library(ME)
        if step.state is not State.WORKING:
            ends.append((step.document, step.state, step.message))
    assert freed > 0
    assert ends == [(name, State.REFUSED, "Deleted while it was being added.") for name in ("a.pdf", "b.pdf")]
    assert files_under(tmp_path / "data") == {}
    assert [end.state for end in add(engine, ME, *paths)] == [State.DONE, State.DONE]


def test_no_page_is_committed_after_the_deletion(tmp_path, monkeypatch):
    """The deletion happens while a batch is being encoded, as if from another thread."""
    path, commits = paper(tmp_path, "a.pdf", 30), []
    words = Words()
    with an_engine(tmp_path, words, open_library=without_index) as engine:
        words.before = lambda _: words.encoded and not commits and commits.append(engine.delete_library(ME))
        commit = PageFiles.commit
        monkeypatch.setattr(
            PageFiles, "commit", lambda files, page: (commits and pytest.fail("a commit")) or commit(files, page)
        )
        (end,) = add(engine, ME, path)
        assert (end.state, len(commits)) == (State.REFUSED, 1)
        assert commits[0] > 0
        assert files_under(tmp_path / "data") == {}


def test_an_upload_that_waits_for_its_model_adds_nothing_after_the_deletion(tmp_path, engine):
    steps = engine.add(ME, [(paper(tmp_path, "a.pdf", 2), "a.pdf")])
    assert "Waiting for the model" in next(steps).message
    engine.delete_library(ME)
    assert [step.state for step in steps][-1] is State.REFUSED
    assert files_under(tmp_path / "data") == {}


def test_a_deletion_does_not_stop_other_uploads(tmp_path):
    words, gone = Words(), []
    with an_engine(tmp_path, words, open_library=without_index) as engine:
        add(engine, ME, paper(tmp_path, "b.pdf", 2))
        words.before = lambda _: gone or gone.append(engine.delete_library(ME))
        assert add(engine, YOU, paper(tmp_path, "a.pdf", 3))[0].state is State.DONE
        assert (len(names(engine, YOU)), names(engine, ME)) == (1, [])


def test_a_failed_deletion_hides_the_library_and_can_be_repeated(tmp_path, engine, monkeypatch):
    add(engine, ME, paper(tmp_path, "a.pdf", 3))

    def refusing(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(atomic_files, "delete_tree", refusing)
    judge(engine, ME)
    with pytest.raises(LibraryError, match="Could not delete the library"):
        engine.delete_library(ME)
    assert names(engine, ME) == []
    monkeypatch.undo()
    assert engine.delete_library(ME) > 0
    assert files_under(tmp_path / "data") == {}


def test_links_in_a_visitors_folders_are_removed_and_not_followed(tmp_path, engine):
    add(engine, ME, paper(tmp_path, "a.pdf", 1))
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    (tmp_path / "data" / "tokens" / str(ME) / "link").symlink_to(precious)
    engine.delete_library(ME)
    assert (precious / "file").read_text() == "mine"
    assert not (tmp_path / "data" / "tokens" / str(ME)).exists()


def test_a_start_deletes_temporary_files_beside_the_judgements(tmp_path):
    folder = tmp_path / "data" / "judgements"
    folder.mkdir(parents=True)
    (folder / f"{ME}.desk.json.0a.tmp").write_text("half a desk")
    (folder / "local.jsonl").write_text("{}")
    (tmp_path / "data" / "tokens" / str(ME) / "0a" / "ff").mkdir(parents=True)
    (tmp_path / "data" / "tokens" / str(YOU) / "0a").mkdir(parents=True)
    with an_engine(tmp_path) as engine:
        assert engine.library.report.deleted_leftovers == 1
    assert list(files_under(tmp_path / "data")) == ["judgements/local.jsonl"]
    assert list((tmp_path / "data" / "tokens").iterdir()) == []


# -- the index


def wide(seed):
    """Return a vector of exactly length 1, so that normalising it keeps its bytes."""
    return np.random.default_rng(seed).choice([-1 / 16, 1 / 16], 256).astype(np.float32)


def test_compacting_removes_deleted_rows_from_graph_log_and_database(tmp_path):
    """There are enough rows that Chroma writes its graph to disk: the log and the graph both have the deleted ones."""
    chroma = ChromaUpkeep(PageIndex.open(tmp_path, 10))
    pages = [SimpleNamespace(scope=LOCAL if n < 700 else ME, id=page_id(n), encoder=ENCODER) for n in range(1_400)]
    vectors = {page.id: wide(at) for at, page in enumerate(pages)}
    chroma.reconcile(pages)
    chroma.flush(lambda page: vectors[page.id])
    needles = [vectors[page.id].tobytes() for page in pages[700:1_400:99]]
    at_home = [vectors[page.id].tobytes() for page in pages[:700:99]]
    assert any("data_level0.bin" in name for name in holding(tmp_path, *needles))
    chroma.delete(pages[700:])
    assert holding(tmp_path, *needles)  # deleting frees nothing
    assert chroma.is_wasteful(700)
    fresh = chroma.open_next(700)
    fresh.reconcile(pages[:700])
    fresh.flush(lambda page: vectors[page.id])
    chroma.delete_folder()
    assert holding(tmp_path, *needles, str(ME).encode()) == []
    assert holding(tmp_path, *at_home)
    assert not fresh.is_wasteful(700)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chroma-2"]
    fresh.close()


def test_a_few_deleted_pages_do_not_rebuild_the_index(tmp_path):
    with open_library(tmp_path) as library:
        put(library, *range(1, 21))
        library.delete_document(LOCAL, page_id(1).file)
        assert not library.compact()
        library.delete_document(LOCAL, page_id(2).file)
    with open_library(tmp_path) as library:  # a restart keeps the count
        assert library.compact()
        assert not library.compact()
        assert library._chroma._index.ids(ENCODER) == {f"local/{page_id(file)}" for file in range(3, 21)}
        assert library.report.index == "ok"


def test_a_kill_at_any_step_of_a_rebuild_loses_nothing_and_leaves_nothing(tmp_path, monkeypatch):
    """Copy both folders after each step: a kill there would leave exactly this."""
    here, copies = tmp_path / "here", []

    def copied_after(call):
        def step(*given, **named):
            result = call(*given, **named)
            copies.append(shutil.copytree(here, tmp_path / str(len(copies))))
            return result

        return step

    with open_library(here) as library:
        put(library, *range(1, 4))
        put(library, 9, scope=ME)
        library.delete_scope(ME)
        monkeypatch.setattr("smart_demo.store.upkeep._FLUSH_BATCH", 2)
        for target, name in ((ChromaUpkeep, "open_next"), (ChromaUpkeep, "_upsert"), (PageIndex, "close")):
            monkeypatch.setattr(target, name, copied_after(getattr(target, name)))
        assert library.compact()
        monkeypatch.undo()
    assert len(copies) == 4  # new index empty, half full, full, and full with the old one closed but not deleted
    for copy in (copies[0], copies[1], copies[3]):
        with open_library(copy) as library:
            assert library._chroma._index.ids(ENCODER) == {f"local/{page_id(file)}" for file in range(1, 4)}
            assert library.report.index == "ok"
            assert not library.compact()
            assert [path.name for path in (copy / "index").glob("chroma-*")] == ["chroma-2"]


def test_changes_during_a_rebuild_are_in_the_new_index(tmp_path, monkeypatch):
    with open_library(tmp_path) as library:
        put(library, 1, 2, 3)
        put(library, 9, scope=ME)
        library.delete_scope(ME)
        upsert, added = ChromaUpkeep._upsert, []

        def upserting(chroma, *given):
            upsert(chroma, *given)
            if not added:
                added.append(put(library, 4))
                library.delete_document(LOCAL, page_id(1).file)
                assert len(library.nearest([LOCAL], ENCODER, made(2)[1].pooled, 9)) == 3

        monkeypatch.setattr(ChromaUpkeep, "_upsert", upserting)
        old = library._chroma
        assert library.compact()
        assert library._chroma is not old
        assert library._chroma._index.ids(ENCODER) == {f"local/{page_id(file)}" for file in (2, 3, 4)}
        assert old.nearest([LOCAL], ENCODER, made(2)[1].pooled, 3, library._catalogue.view([LOCAL], ENCODER)) is None
        assert {key[1] for key in library.nearest([LOCAL], ENCODER, made(2)[1].pooled, 9)} == {
            page_id(file) for file in (2, 3, 4)
        }


@pytest.mark.parametrize("trouble", ["no folder", "no space", "chroma fails", "closing"])
def test_a_failed_rebuild_leaves_the_old_index_in_use(tmp_path, monkeypatch, trouble):
    with open_library(tmp_path) as library:
        put(library, 1, 2)
        put(library, 9, scope=ME)
        library.delete_scope(ME)
        if trouble == "no folder":
            (tmp_path / "index" / "chroma-2").write_text("a file in place of the folder")
        if trouble == "no space":
            monkeypatch.setattr("smart_demo.store.atomic_files.MIN_FREE_BYTES", 2**62)
        if trouble == "chroma fails":
            monkeypatch.setattr("smart_demo.store.chroma_index._open_client", refusing_chroma)
        library._closing = trouble == "closing"
        assert not library.compact()
        library._closing = False
        monkeypatch.undo()
        assert library.report.index == "ok"
        assert len(library.nearest([LOCAL], ENCODER, made(2)[1].pooled, 9)) == 2
        assert [path.name for path in (tmp_path / "index").glob("chroma-*") if path.is_dir()] == ["chroma-1"]


def refusing_chroma(folder):
    raise RuntimeError("chroma is broken")


def test_an_unhealthy_index_is_rebuilt_while_the_library_is_open(tmp_path):
    with open_library(tmp_path) as library:
        put(library, 1, 2)
        library._chroma._index._client.close()
        put(library, 3)
        assert library.report.index.startswith("unhealthy")
        assert library.compact()
        assert library.report.index.startswith("rebuilt: Chroma failed twice")
        assert library._chroma._index.ids(ENCODER) == {f"local/{page_id(file)}" for file in (1, 2, 3)}
        assert not library.compact()
    assert len(token_files(tmp_path)) == 3


# -- a vote while its owner's library expires


def expiring(engine, folder):
    """Add a page and a judgement of a visitor; return the visitor as the cleanup lists it."""
    add(engine, ME, paper(folder, "a.pdf", 2))
    Journal(engine.settings.data_dir, ME).skip(RED)
    (seen,) = engine.library.visitors()
    return seen


RED = JudgedQuery("red", Query("red").key, "")


def test_a_vote_before_the_deletion_keeps_the_whole_library(tmp_path, engine, monkeypatch):
    seen = expiring(engine, tmp_path)
    journal, looked = Journal(engine.settings.data_dir, ME), engine.library.visitors

    def looked_and_then_voted():
        found = looked()
        journal.skip(RED)
        return found

    monkeypatch.setattr(engine.library, "visitors", looked_and_then_voted)
    assert engine.expire(seen) is None
    assert len(Journal(engine.settings.data_dir, ME).judgements.events) == 3
    assert names(engine, ME) == ["a.pdf"]


def test_a_vote_during_the_deletion_of_pages_is_stored(tmp_path, engine, monkeypatch):
    seen = expiring(engine, tmp_path)
    journal, delete = Journal(engine.settings.data_dir, ME), PageFiles.delete
    monkeypatch.setattr(PageFiles, "delete", lambda files, pages: (journal.skip(RED), delete(files, pages)))
    assert engine.expire(seen) == seen.bytes
    assert names(engine, ME) == []
    (kept,) = engine.library.visitors()
    assert (kept.scope, len(Journal(engine.settings.data_dir, ME).judgements.events)) == (ME, 2)  # header, vote


def test_a_vote_that_waited_for_a_deleted_journal_is_stored(tmp_path, engine, monkeypatch):
    """The vote has opened the journal, which is deleted while the vote waits for its lock."""
    seen = expiring(engine, tmp_path)
    journal, flock = Journal(engine.settings.data_dir, ME), fcntl.flock

    def waits(file, how):
        monkeypatch.undo()
        assert engine.expire(seen) == seen.bytes
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", waits)
    journal.skip(RED)
    assert len(Journal(engine.settings.data_dir, ME).judgements.events) == 2


def test_judgements_are_not_deleted_while_a_vote_is_being_written(tmp_path, engine):
    seen = expiring(engine, tmp_path)
    journal = engine.settings.data_dir / "judgements" / f"{ME}.jsonl"
    with journal.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert engine.expire(seen) is None
    assert journal.exists()
