"""Snapshots: whatever they contain, the library lists the pages whose files exist, with the facts of the files."""

import hashlib
import json
import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo.errors import LibraryError, StorageFull
from smart_demo.store import atomic_files, snapshot, token_file, upkeep
from smart_demo.store.atomic_files import FolderLock
from smart_demo.store.catalogue import Catalogue
from smart_demo.store.chroma_index import PageIndex
from smart_demo.store.library import Library
from smart_demo.store.page_files import PageFiles
from smart_demo.store.page_reader import PageReader
from smart_demo.store.snapshot import Snapshots
from smart_demo.store.upkeep import BackgroundTasks, BackgroundWork, ChromaUpkeep
from smart_demo.types import LOCAL, SAMPLES
from tests.server.cases import NoIndex, bytes_under, holding, visitor
from tests.store.cases import ENCODER, OTHER_ENCODER, made, page_id, path_of, put, rows_in_chroma

ME = visitor(1)
FILES = (1, 2, 3, 4)


@pytest.fixture(autouse=True)
def every_scope_is_large(monkeypatch):
    monkeypatch.setattr(snapshot, "MIN_SNAPSHOT_PAGES", 1)


def opened(folder: Path) -> Library:
    """Open the library as a background start does, before its thread has done anything, and without Chroma."""
    snapshots, files = Snapshots(folder / "index"), PageFiles(folder / "data")
    lock = FolderLock(folder / "index")
    found = files.scan(find_snapshot=snapshots.read)
    library = Library(files, found, NoIndex(), lock, "int8", 2**26, snapshots)
    library.unread = found.unread
    return library


def reader_of(folder: Path):
    """Return (reader, catalogue, unread pages, damaged pages) of a library that was listed from its snapshots."""
    files, damaged = PageFiles(folder / "data"), []
    found = files.scan(find_snapshot=Snapshots(folder / "index").read)
    catalogue = Catalogue(found.headers, max_mapped=9)
    return PageReader(files, catalogue, lambda page, _: damaged.append(page)), catalogue, found.unread, damaged


def snapshots_of(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "index" / "snapshots").glob("*"))


def truth(folder: Path):
    """Return the facts by a library that reads every file."""
    return by_key(PageFiles(folder / "data").scan().headers)


def by_key(headers):
    return {(header.page.scope, header.page.encoder, header.page.id): header for header in headers}


def assert_true(folder: Path) -> int:
    """Assert that a start from the snapshots agrees with the files; return how many headers it did not read."""
    expected = truth(folder)
    found = PageFiles(folder / "data").scan(find_snapshot=Snapshots(folder / "index").read)
    assert by_key(found.headers) == expected
    with opened(folder) as library:
        for scope in {key[0] for key in expected}:
            for encoder in (ENCODER, OTHER_ENCODER):
                pages, pooled = library.pooled([scope], encoder)
                assert {page.id for page in pages} == {key[2] for key in expected if key[:2] == (scope, encoder)}
                for page, vector in zip(pages, pooled, strict=True):
                    assert np.array_equal(vector, made(int(page.id.file, 16), page.number, encoder)[1].pooled)
    return len(found.unread)


@pytest.fixture
def filled(tmp_path):
    with opened(tmp_path) as library:
        put(library, *FILES)
        put(library, 5, scope=SAMPLES)
        put(library, 1, encoder=OTHER_ENCODER)
        library.update_snapshots()
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
        library.update_snapshots()
        assert written == []
        put(library, 9)
        library.update_snapshots()
        library.update_snapshots()
        assert written == [(LOCAL, ENCODER)]
    assert assert_true(filled) == 7


def test_a_page_that_was_encoded_again_stays_marked_in_a_snapshot(filled):
    (old, *_), again = (head for head in truth(filled).values() if head.page.encoder == OTHER_ENCODER), "c3" * 8
    page, encoding = made(int(old.page.id.file, 16), encoder=again)
    with opened(filled) as library:
        new = library.reencode(old.page, page, encoding, lambda _: None)
        library.update_snapshots()
        assert library.pages([LOCAL], OTHER_ENCODER) == ()
    assert new.reencoded
    assert assert_true(filled) == 6
    assert [head.page for head in Snapshots(filled / "index").read(LOCAL, again).headers.values()] == [new]


def test_a_snapshot_of_an_earlier_version_is_believed_for_the_pages_of_then(filled):
    """It has no column for what is new: right for files without words, and every other header is read."""
    path = filled / "index" / "snapshots" / f"local.{ENCODER}"
    old = path_of(filled, made_page := next(iter(truth(filled).values())).page)
    assert old.exists()
    files = PageFiles(filled / "data")
    header, _ = files.header(made_page)
    body = files.body(header, verified=False)
    pictures = [old.with_suffix(suffix) for suffix in (".webp", ".thumb.webp")]
    bare = replace(made_page, source=None)
    encoding = made(int(made_page.id.file, 16))[1]
    old.write_bytes(token_file.serialise(bare, encoding, body.codes, tuple(one.read_bytes() for one in pictures)))
    with opened(filled) as library:
        library.update_snapshots()
    content = path.read_bytes()
    length = int.from_bytes(content[64:72], "little")
    columns = json.loads(content[72 : 72 + length])
    assert columns["facts"].pop("source")
    assert columns["facts"].pop("few_known_words") is False
    assert columns["layout"].pop("words")
    text = json.dumps(columns, separators=(",", ":")).encode().ljust(length)
    content = length.to_bytes(8, "little") + text + content[72 + length :]
    path.write_bytes(hashlib.sha256(content).hexdigest().encode() + content)
    found = PageFiles(filled / "data").scan(find_snapshot=Snapshots(filled / "index").read)
    assert bare.id in {page.id for page in found.unread}
    assert all(page.source is None or page.scope != LOCAL or page.encoder != ENCODER for page in found.unread)
    assert_true(filled)


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
        library.update_snapshots()
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
            library.close()  # without Chroma it writes nothing, so it is as after a kill
            take(library, folder, step, file, scope)
            assert_true(folder)
            library = opened(folder)
        else:
            take(library, folder, step, file, scope)
    library.close()
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
        library.update_snapshots()
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
            library.update_snapshots()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        monkeypatch.undo()
        monkeypatch.setattr(snapshot, "MIN_SNAPSHOT_PAGES", 1)
    assert any(name.endswith(atomic_files.TEMPORARY_SUFFIX) for name in snapshots_of(filled))
    assert assert_true(filled) == 6
    with opened(filled) as library:
        library.update_snapshots()
    assert not any(name.endswith(atomic_files.TEMPORARY_SUFFIX) for name in snapshots_of(filled))
    assert assert_true(filled) == 7


def test_a_full_disk_writes_no_snapshot_and_loses_nothing(filled, monkeypatch):
    with opened(filled) as library:
        put(library, 9)
        monkeypatch.setattr(atomic_files, "MIN_FREE_BYTES", 2**62)
        with pytest.raises(LibraryError):
            library.update_snapshots()
        assert len(library.pages([LOCAL], ENCODER)) == 5
    assert assert_true(filled) == 6


def test_a_deleted_visitor_is_in_no_snapshot(tmp_path):
    with opened(tmp_path) as library:
        put(library, 1)
        (page, _) = put(library, 7, scope=ME, numbers=(1, 2))
        library.update_snapshots()
        needles = [made(7)[1].pooled.tobytes(), str(ME).encode(), page.id.file.encode(), b"document 7"]
        assert holding(tmp_path / "index", *needles)
        before = bytes_under(tmp_path / "index")
        library.delete_scope(ME)
        assert holding(tmp_path / "index", *needles) == []
        assert bytes_under(tmp_path / "index") < before
        library.update_snapshots()
        assert holding(tmp_path / "index", *needles) == []


def test_a_visitor_deleted_during_the_write_is_not_in_the_snapshot(tmp_path, monkeypatch):
    real = snapshot.write_snapshot
    with opened(tmp_path) as library:
        put(library, 7, scope=ME)

        def writing(*given):
            library.delete_scope(ME)
            real(*given)

        monkeypatch.setattr(snapshot, "write_snapshot", writing)
        library.update_snapshots()
        assert holding(tmp_path / "index", made(7)[1].pooled.tobytes(), str(ME).encode()) == []


def test_a_removed_document_is_not_in_the_next_snapshot(filled):
    needle = made(2)[1].pooled.tobytes()
    with opened(filled) as library:
        library.delete_document(LOCAL, page_id(2).file)
        library.update_snapshots()
        assert holding(filled / "index", needle) == []
        for file in (1, 3, 4):
            library.delete_document(LOCAL, page_id(file).file)
        library.update_snapshots()
    assert snapshots_of(filled) == [f"samples.{ENCODER}"]


def test_the_background_check_finds_a_changed_header(filled):
    """The folder shows no difference: bytes were flipped, but name, size and time are the same."""
    with opened(filled) as library:
        first, second, *_ = library.pages([LOCAL], ENCODER)
        paths = [path_of(filled, page) for page in (first, second)]
    for path, byte in ((paths[0], 300), (paths[1], None)):
        facts = path.stat()
        data = bytearray(path.read_bytes())
        if byte is None:
            path.unlink()
        else:
            data[byte] ^= 1
            path.write_bytes(data)
            os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    reader, catalogue, unread, damaged = reader_of(filled)
    assert [page.document for page in unread if page.scope == LOCAL and page.encoder == ENCODER] == [
        "document 1.pdf",
        "document 3.pdf",
        "document 4.pdf",
    ]
    for page in unread:
        reader.refresh_header(page)
    pages = catalogue.view([LOCAL], ENCODER).pages
    assert [page.document for page in pages if page not in damaged] == ["document 3.pdf", "document 4.pdf"]
    assert [page.document for page in damaged] == ["document 1.pdf"]


def test_a_file_exchanged_after_the_snapshot_is_believed(filled):
    reader, catalogue, unread, _ = reader_of(filled)
    (page,) = [page for page in unread if page.scope == SAMPLES]
    os.utime(path_of(filled, page), (5, 5))
    generation = catalogue.generation
    reader.refresh_header(page)
    assert catalogue.generation > generation
    (now,), pooled = reader.pooled_matrix([SAMPLES], ENCODER)
    assert now == page  # the same facts, read from the new file
    assert catalogue.get((SAMPLES, ENCODER, page.id)).modified_ns == 5 * 10**9
    assert np.array_equal(pooled[0], made(5)[1].pooled)
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
        library.update_snapshots()
        while (state := library.report.index) != "ok":
            assert state.startswith(("opening", "catching up"))
        assert rows_in_chroma(tmp_path) == {f"local/{page_id(file)}" for file in (1, 3, 4, 8)}
        assert library.nearest([LOCAL], ENCODER, made(1)[1].pooled, 1) == [(LOCAL, page_id(1))]
    assert assert_true(tmp_path) == 4


@pytest.fixture
def behind(tmp_path, monkeypatch):
    """Yield a library with pages and rows, reopened in the background before its tasks have begun."""
    monkeypatch.setattr(upkeep, "INTERVAL_SECONDS", 0.01)
    with Library.open(tmp_path / "data", tmp_path / "index") as library:
        put(library, *FILES)
    with Library.open(tmp_path / "data", tmp_path / "index", in_background=True) as library:
        yield library


def wait_for(condition):
    while not condition():
        time.sleep(0.01)


def test_an_index_that_cannot_be_opened_is_reported_and_retried(behind, monkeypatch):
    opened, full = [], threading.Event()
    real = PageIndex.open

    def opening(*given):
        opened.append(given)
        if not full.is_set():
            raise StorageFull("The disk is full.")
        return real(*given)

    monkeypatch.setattr(PageIndex, "open", opening)
    behind.start_background_tasks()
    wait_for(lambda: len(opened) > 1)
    assert behind.report.index in {"opening", "unhealthy: The disk is full."}
    full.set()
    wait_for(lambda: behind.report.index == "ok")
    count = len(opened)
    time.sleep(0.1)  # several rounds
    assert len(opened) == count


def test_a_page_deleted_while_the_index_catches_up_leaves_no_row(behind, tmp_path, monkeypatch):
    """The library is also closed then, so the index stays half filled."""
    real, closing = ChromaUpkeep.flush, threading.Thread(target=behind.close)

    def flush(chroma, vector_of, keep_going=lambda: True):
        behind.delete_document(LOCAL, page_id(2).file)
        closing.start()
        wait_for(lambda: not keep_going())
        real(chroma, vector_of, keep_going)

    put(behind, 8)
    monkeypatch.setattr(ChromaUpkeep, "flush", flush)
    behind.start_background_tasks()
    wait_for(lambda: closing.ident)
    closing.join()
    assert rows_in_chroma(tmp_path) == {f"local/{page_id(file)}" for file in (1, 3, 4)}
