"""Snapshots: whatever they contain, the library lists the pages whose files exist, with the facts of the files."""

import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo.errors import LibraryError, StorageFull
from smart_demo.store import atomic_files, snapshot
from smart_demo.store.background import BackgroundTasks, BackgroundWork
from smart_demo.store.chroma_index import PageIndex
from smart_demo.store.library import Library
from smart_demo.store.lock import FolderLock
from smart_demo.store.sidecar import Sidecar
from smart_demo.store.snapshot import Snapshots
from smart_demo.types import LOCAL, SAMPLES
from tests.server.cases import NoIndex, bytes_under, holding, visitor
from tests.store.cases import ENCODER, OTHER_ENCODER, made, page_id, put

ME = visitor(1)
FILES = (1, 2, 3, 4)


@pytest.fixture(autouse=True)
def every_scope_is_large(monkeypatch):
    monkeypatch.setattr(snapshot, "MIN_SNAPSHOT_PAGES", 1)


def opened(folder: Path) -> Library:
    """Open the library as a background start does, before its thread has done anything, and without Chroma."""
    snapshots, files = Snapshots(folder / "index"), Sidecar(folder / "data")
    lock = FolderLock(folder / "index")
    found = files.scan(find_snapshot=snapshots.read)
    library = Library(files, found, NoIndex(), lock, "int8", 2**26, snapshots)
    library.unread = found.unread
    return library


def keep(library: Library) -> None:
    library._snapshots.update(library._catalogue, library._reader.pooled_matrix, library._locked)


def snapshots_of(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "index" / "snapshots").glob("*"))


def truth(folder: Path):
    """Return the facts by a library that reads every file."""
    heads = Sidecar(folder / "data").scan().headers
    return {(head.page.scope, head.page.encoder, head.page.id): head for head in heads}


def assert_true(folder: Path) -> int:
    """Assert that a start from the snapshots agrees with the files; return how many headers it did not read."""
    expected = truth(folder)
    with opened(folder) as library:
        assert {(p.scope, p.encoder, p.id) for p in library._catalogue.all_pages()} == set(expected)
        assert all(library._catalogue.get(key) == head for key, head in expected.items())
        for scope in {key[0] for key in expected}:
            for encoder in (ENCODER, OTHER_ENCODER):
                pages, pooled = library.pooled([scope], encoder)
                for page, vector in zip(pages, pooled, strict=True):
                    assert np.array_equal(vector, made(int(page.id.file, 16), page.number, encoder)[1].pooled)
        return len(library.unread)


@pytest.fixture
def filled(tmp_path):
    with opened(tmp_path) as library:
        put(library, *FILES)
        put(library, 5, scope=SAMPLES)
        put(library, 1, encoder=OTHER_ENCODER)
        keep(library)
    return tmp_path


def test_a_start_reads_no_header_that_a_snapshot_has(filled, monkeypatch):
    assert snapshots_of(filled) == [f"local.{ENCODER}", f"local.{OTHER_ENCODER}", f"samples.{ENCODER}"]
    assert assert_true(filled) == 6
    monkeypatch.setattr("smart_demo.store.token_file.read_header", lambda path: pytest.fail(f"{path} was read"))
    with opened(filled) as library:
        assert len(library.pages([LOCAL], ENCODER)) == 4
        pages, pooled = library.pooled([LOCAL], ENCODER)
        assert not pooled.flags.owndata  # mapped, not copied
        assert np.array_equal(pooled, [made(int(page.id.file, 16))[1].pooled for page in pages])
        both, joined = library.pooled([LOCAL, SAMPLES], ENCODER)
        assert np.array_equal(joined, [made(int(page.id.file, 16))[1].pooled for page in both])


def test_a_snapshot_is_written_again_only_after_a_change(filled, monkeypatch):
    written = []
    real = snapshot.write_snapshot
    monkeypatch.setattr(snapshot, "write_snapshot", lambda *given: (written.append(given[1:3]), real(*given)))
    with opened(filled) as library:
        keep(library)
        assert written == []
        put(library, 9)
        keep(library)
        keep(library)
        assert written == [(LOCAL, ENCODER)]
    assert assert_true(filled) == 7


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from((1, 2, 3, 6)), st.sampled_from((LOCAL, ME))),
        st.tuples(st.just("remove"), st.sampled_from((1, 2, 3, 6)), st.sampled_from((LOCAL, ME))),
        st.tuples(st.sampled_from(("forget", "keep", "restart", "lose", "touch", "exchange")), st.just(1), st.just(ME)),
    ),
    max_size=12,
)


def take(library: Library, folder: Path, step: str, file: int, scope) -> None:
    if step == "add":
        put(library, file, scope=scope, numbers=(1, 2))
    elif step == "remove":
        library.delete_document(scope, page_id(file).file)
    elif step == "forget":
        library.delete_scope(ME)
        assert not any(name.startswith(str(ME)) for name in snapshots_of(folder))
    elif step == "keep":
        keep(library)
    else:
        files = sorted((folder / "data" / "tokens").rglob("*.safetensors"))
        for path in files[:1]:  # while the library is closed
            if step == "lose":
                path.unlink()
            elif step == "touch":
                os.utime(path, (1, 1))
            elif step == "exchange":
                path.with_suffix(".thumb.webp").write_bytes(b"other")


@given(steps)
@settings(max_examples=40, deadline=None)
def test_changes_after_the_snapshot_are_read_from_the_folders(tmp_path_factory, taken):
    """Restart without a close, as after a kill; files are lost and altered between the restarts."""
    folder = tmp_path_factory.mktemp("stale")
    library = opened(folder)
    for step, file, scope in taken:
        if step in {"restart", "lose", "touch", "exchange"}:
            library._lock.release()  # only the lock, as after a kill
            take(library, folder, step, file, scope)
            assert_true(folder)
            library = opened(folder)
        else:
            take(library, folder, step, file, scope)
    library._lock.release()
    assert_true(folder)
    shutil.rmtree(folder)


@pytest.mark.parametrize("at", [0, 10, 63, 64, 70, 75, 300, -300, -1])
@pytest.mark.parametrize("harm", ["flip", "cut", "zero"])
def test_a_damaged_snapshot_is_ignored(filled, at, harm):
    path = filled / "index" / "snapshots" / f"local.{ENCODER}"
    whole = bytearray(path.read_bytes())
    if harm == "flip":
        whole[at] ^= 1
    elif harm == "cut":
        del whole[at:]
    else:
        whole[at:] = bytes(len(whole[at:]))
    path.write_bytes(whole)
    assert_true(filled)
    with opened(filled) as library:
        keep(library)
    assert assert_true(filled) == 6


def test_a_snapshot_of_another_scope_or_a_link_is_ignored(filled):
    folder = filled / "index" / "snapshots"
    shutil.copy(folder / f"samples.{ENCODER}", folder / f"local.{ENCODER}")
    assert assert_true(filled) == 2
    (folder / f"samples.{ENCODER}").rename(filled / "elsewhere")
    (folder / f"samples.{ENCODER}").symlink_to(filled / "elsewhere")
    assert assert_true(filled) == 1


def test_a_kill_during_the_write_leaves_the_old_snapshot(filled, monkeypatch):
    with opened(filled) as library:
        put(library, 9)
        monkeypatch.setattr(os, "replace", lambda *_: os._exit(9))
        child = os.fork()
        if child == 0:
            keep(library)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        monkeypatch.undo()
        monkeypatch.setattr(snapshot, "MIN_SNAPSHOT_PAGES", 1)
    assert any(name.endswith(atomic_files.TEMPORARY_SUFFIX) for name in snapshots_of(filled))
    assert assert_true(filled) == 6
    with opened(filled) as library:
        keep(library)
    assert not any(name.endswith(atomic_files.TEMPORARY_SUFFIX) for name in snapshots_of(filled))
    assert assert_true(filled) == 7


def test_a_full_disk_writes_no_snapshot_and_loses_nothing(filled, monkeypatch):
    with opened(filled) as library:
        put(library, 9)
        monkeypatch.setattr(atomic_files, "MIN_FREE_BYTES", 2**62)
        with pytest.raises(LibraryError):
            keep(library)
        assert len(library.pages([LOCAL], ENCODER)) == 5
    assert assert_true(filled) == 6


def test_a_deleted_visitor_is_in_no_snapshot(tmp_path):
    with opened(tmp_path) as library:
        put(library, 1)
        (page, _) = put(library, 7, scope=ME, numbers=(1, 2))
        keep(library)
        needles = [made(7)[1].pooled.tobytes(), str(ME).encode(), page.id.file.encode(), b"document 7"]
        assert holding(tmp_path / "index", *needles)
        before = bytes_under(tmp_path / "index")
        library.delete_scope(ME)
        assert holding(tmp_path / "index", *needles) == []
        assert bytes_under(tmp_path / "index") < before
        keep(library)
        assert holding(tmp_path / "index", *needles) == []


def test_a_visitor_deleted_during_the_write_is_not_in_the_snapshot(tmp_path, monkeypatch):
    real = snapshot.write_snapshot
    with opened(tmp_path) as library:
        put(library, 7, scope=ME)

        def writing(*given):
            library.delete_scope(ME)
            real(*given)

        monkeypatch.setattr(snapshot, "write_snapshot", writing)
        keep(library)
        assert holding(tmp_path / "index", made(7)[1].pooled.tobytes(), str(ME).encode()) == []


def test_a_removed_document_is_not_in_the_next_snapshot(filled):
    needle = made(2)[1].pooled.tobytes()
    with opened(filled) as library:
        library.delete_document(LOCAL, page_id(2).file)
        keep(library)
        assert holding(filled / "index", needle) == []
        for file in (1, 3, 4):
            library.delete_document(LOCAL, page_id(file).file)
        keep(library)
    assert snapshots_of(filled) == [f"samples.{ENCODER}"]


def test_the_background_check_finds_a_changed_header(filled):
    """The folder shows no difference: bytes were flipped, but name, size and time are the same."""
    with opened(filled) as library:
        first, second, *_ = library.pages([LOCAL], ENCODER)
        paths = [library._files.path(page) for page in (first, second)]
    for path, byte in ((paths[0], 300), (paths[1], None)):
        facts = path.stat()
        data = bytearray(path.read_bytes())
        if byte is None:
            path.unlink()
        else:
            data[byte] ^= 1
            path.write_bytes(data)
            os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    with opened(filled) as library:
        assert [page.document for page in library.unread if page.scope == LOCAL and page.encoder == ENCODER] == [
            "document 1.pdf",
            "document 3.pdf",
            "document 4.pdf",
        ]
        for page in library.unread:
            library._reader.refresh_header(page)
        assert [page.document for page in library.pages([LOCAL], ENCODER)] == ["document 3.pdf", "document 4.pdf"]
        assert "document 1.pdf" in library.report.damaged[0]


def test_a_file_exchanged_after_the_snapshot_is_believed(filled):
    with opened(filled) as library:
        (page,) = [page for page in library.unread if page.scope == SAMPLES]
        os.utime(library._files.path(page), (5, 5))
        generation = library.generation
        library._reader.refresh_header(page)
        assert library.generation > generation
        (now,) = library.pages([SAMPLES], ENCODER)
        assert now == page  # the same facts, read from the new file
        assert library._catalogue.get((SAMPLES, ENCODER, page.id)).modified_ns == 5 * 10**9
        assert np.array_equal(library.pooled([SAMPLES], ENCODER)[1][0], made(5)[1].pooled)
    assert_true(filled)


def test_background_tasks_survive_an_error_and_stop_on_request():
    done, going = [], threading.Event()

    def trouble():
        done.append("snapshots")
        raise LibraryError("The disk is full.")

    def index(keep_going):
        done.append("index")
        going.set()
        while keep_going():
            pass

    tasks = BackgroundTasks(BackgroundWork(index, ["a page"], done.append, trouble))
    tasks.start()
    assert going.wait(30)
    tasks.stop()
    assert done == ["snapshots", "index"]


def test_a_library_opened_in_the_background_answers_at_once_and_catches_up(tmp_path):
    with opened(tmp_path) as library:
        put(library, *FILES)
    with Library.open(tmp_path / "data", tmp_path / "index", in_background=True) as library:
        library.start_background_tasks()
        assert len(library.nearest([LOCAL], ENCODER, made(1)[1].pooled, 9)) == 4
        put(library, 8)
        library.delete_document(LOCAL, page_id(2).file)
        library._background._work.update_snapshots()
        while (state := library.report.index) != "ok":
            assert state.startswith(("opening", "catching up"))
        assert library._chroma._index.ids(ENCODER) == {f"local/{page_id(file)}" for file in (1, 3, 4, 8)}
        assert library.nearest([LOCAL], ENCODER, made(1)[1].pooled, 1) == [(LOCAL, page_id(1))]
    assert assert_true(tmp_path) == 4


def reopened_in_background(tmp_path):
    """Return a library with pages and rows, reopened in the background before its tasks have begun."""
    with Library.open(tmp_path / "data", tmp_path / "index") as library:
        put(library, *FILES)
    return Library.open(tmp_path / "data", tmp_path / "index", in_background=True)


def test_an_index_that_cannot_be_opened_is_reported_and_retried(tmp_path, monkeypatch):
    with reopened_in_background(tmp_path) as library:
        with monkeypatch.context() as broken:
            broken.setattr(PageIndex, "open", lambda *_: (_ for _ in ()).throw(StorageFull("The disk is full.")))
            with pytest.raises(StorageFull):
                library._background._work.open_index(lambda: True)
            assert library.report.index == "unhealthy: The disk is full."
        library._background._work.open_index(lambda: True)
        assert library.report.index == "ok"
        chroma = library._chroma
        library._background._work.open_index(lambda: True)
        assert library._chroma is chroma


def test_a_page_deleted_while_the_index_catches_up_leaves_no_row(tmp_path):
    with reopened_in_background(tmp_path) as library:
        asked = iter([True])

        def keep_going():
            if next(asked, False):
                return True
            library.delete_document(LOCAL, page_id(2).file)
            return False

        put(library, 8)
        library._background._work.open_index(keep_going)
        assert library.report.index != "ok"
    index = PageIndex.open(tmp_path / "index", 100)
    assert f"local/{page_id(2)}" not in index.ids(ENCODER)
    assert f"local/{page_id(1)}" in index.ids(ENCODER)
    index.close()
