"""The library on real folders with real Chroma: its promises across restarts, damage and other processes."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import chromadb
import numpy as np
import pytest
from chromadb.api.models.Collection import Collection
from chromadb.config import Settings

from smart_demo.errors import LibraryBusy, LibraryError, StorageFull, TokenFileDamaged
from smart_demo.store import atomic_files
from smart_demo.store.library import Library
from smart_demo.types import LOCAL, SAMPLES
from tests.store.cases import (
    ENCODER,
    OTHER_ENCODER,
    POOLED,
    copy_as_after_a_kill,
    count_mapped,
    files_under,
    made,
    open_library,
    page_id,
    path_of,
    put,
    rows_in_chroma,
    token_files,
    unit,
)

ROOT = Path(__file__).resolve().parents[2]
ANY = unit(np.random.default_rng(5), POOLED)


@pytest.fixture
def library(tmp_path):
    with open_library(tmp_path) as library:
        yield library


def found(library, scopes=(LOCAL,), encoder=ENCODER, count=99):
    return library.nearest(scopes, encoder, ANY, count)


def expected(*pages, encoder=ENCODER):
    """Return ids of (file, number) in the order of their cosine with ANY, computed independently."""
    cosines = {page_id(*page): float(made(*page, encoder)[1].pooled @ ANY) for page in pages}
    return [(LOCAL, page) for page in sorted(cosines, key=lambda page: -cosines[page])]


def test_a_page_is_returned_as_it_was_added(library):
    for file in (1, 2):
        page, encoding = made(file)
        stored = library.add(LOCAL, page, encoding)
        back = library.encoding(stored)
        assert (back.page, back.encoder) == (page.id, ENCODER)
        assert np.array_equal(back.pooled, encoding.pooled)
        assert np.abs(back.tokens - encoding.tokens).max() <= library.tokens(stored).scale / 2 + 1e-6
        assert np.array_equal(back.tokens, library.tokens(stored).states())
        assert np.array_equal(back.kinds, encoding.kinds)
        assert type(back.place) is type(encoding.place)
        assert library.picture(stored).startswith(b"RIFF")
        assert library.thumbnail(stored)[8:12] == b"WEBP"


def test_adding_again_changes_nothing(library, tmp_path):
    (first,) = put(library, 1)
    before, generation = files_under(tmp_path / "data"), library.generation
    assert put(library, 1) == [first]
    assert (files_under(tmp_path / "data"), library.generation) == (before, generation)


def test_a_refused_encoding_stores_nothing(library, tmp_path):
    page, _ = made(1)
    _, encoding = made(2)
    with pytest.raises(ValueError, match="does not fit"):
        library.add(LOCAL, page, encoding)
    assert files_under(tmp_path / "data") == {}


def test_the_order_of_pages_does_not_depend_on_the_order_of_adding(library):
    put(library, 3, 1, numbers=(2, 1))
    put(library, 2, scope=SAMPLES)
    assert [(str(p.scope), p.document, p.number) for p in library.pages([SAMPLES, LOCAL], ENCODER)] == [
        ("local", "document 1.pdf", 1),
        ("local", "document 1.pdf", 2),
        ("local", "document 3.pdf", 1),
        ("local", "document 3.pdf", 2),
        ("samples", "document 2.pdf", 1),
    ]


def test_pooled_vectors_are_exact_and_follow_every_change(library):
    for files in ([1], [1, 2], [1, 2, 3]):
        put(library, *files)
        pages, matrix = library.pooled([LOCAL], ENCODER)
        assert [page.id for page in pages] == [page_id(file) for file in files]
        assert np.array_equal(matrix, [made(file)[1].pooled for file in files])
    assert library.pooled([LOCAL], ENCODER)[1] is matrix
    library.delete_document(LOCAL, page_id(2).file)
    assert np.array_equal(library.pooled([LOCAL], ENCODER)[1], [made(file)[1].pooled for file in (1, 3)])
    assert library.pooled([SAMPLES], ENCODER)[0] == ()


def test_scopes_and_encoders_are_separate(library):
    put(library, 1)
    put(library, 2, scope=SAMPLES)
    put(library, 3, encoder=OTHER_ENCODER)
    assert found(library) == [(LOCAL, page_id(1))]
    assert found(library, [SAMPLES]) == [(SAMPLES, page_id(2))]
    assert found(library, encoder=OTHER_ENCODER) == [(LOCAL, page_id(3))]
    assert found(library, []) == found(library, [LOCAL], "c3" * 8) == []
    assert {key[0] for key in found(library, [LOCAL, SAMPLES])} == {LOCAL, SAMPLES}
    assert [page.id for page in library.pages_of_other_encoders(LOCAL, ENCODER)] == [page_id(3)]
    assert library.pages_of_other_encoders(SAMPLES, ENCODER) == []


def test_deleting_a_document_removes_all_its_bytes(library, tmp_path):
    put(library, 1, numbers=(1, 2))
    before = files_under(tmp_path / "data")
    put(library, 2, numbers=(1, 2, 3))
    put(library, 2, encoder=OTHER_ENCODER)
    gone = library.pages([LOCAL], ENCODER)[-1]
    added = sum(files_under(tmp_path / "data").values()) - sum(before.values())
    assert library.delete_document(LOCAL, page_id(2).file) == added
    assert files_under(tmp_path / "data") == before
    assert found(library) == expected((1, 1), (1, 2))
    for read in (library.tokens, library.encoding, library.picture, library.thumbnail):
        with pytest.raises(LibraryError, match="no longer in the library"):
            read(gone)
    assert library.delete_document(LOCAL, page_id(2).file) == 0


@pytest.mark.parametrize("file", ["*", "../../../keep", "", page_id(1).file[:4]])
def test_deleting_accepts_only_a_content_hash(library, tmp_path, file):
    """The name becomes part of a path pattern: other text could match files of other documents or of other programs."""
    (stored,) = put(library, 1)
    token_files(tmp_path)[0].write_bytes(b"rubbish")
    with pytest.raises(TokenFileDamaged):
        library.tokens(stored)
    (tmp_path / "data" / "keep-me").write_bytes(b"foreign")
    before = files_under(tmp_path / "data")
    with pytest.raises(ValueError, match="not a page id"):
        library.delete_document(LOCAL, file)
    assert files_under(tmp_path / "data") == before


def test_deleting_a_document_also_deletes_its_quarantined_files(library, tmp_path):
    (stored,) = put(library, 1)
    token_files(tmp_path)[0].write_bytes(b"rubbish")
    with pytest.raises(TokenFileDamaged):
        library.tokens(stored)
    assert list(files_under(tmp_path / "data")) == [f"damaged/local/{ENCODER}/{stored.id}.safetensors"]
    library.delete_document(LOCAL, stored.id.file)
    assert files_under(tmp_path / "data") == {}


def test_a_restart_keeps_everything(tmp_path):
    with open_library(tmp_path) as library:
        put(library, 1, 2, numbers=(1, 2))
        before = library.pages([LOCAL], ENCODER)
        answer = found(library)
    with open_library(tmp_path) as library:
        assert library.pages([LOCAL], ENCODER) == before
        assert found(library) == answer == expected((1, 1), (1, 2), (2, 1), (2, 2))
        assert library.report.index == "ok"
        assert all(library.tokens(page).codes.shape == (6, 8) for page in before)


def test_the_next_start_tells_chroma_of_changes_lost_in_a_crash(tmp_path):
    with open_library(tmp_path / "killed") as library:
        put(library, 1, 2)
        library.add(LOCAL, *made(3))  # committed, but not in Chroma
        assert found(library) == expected((1, 1), (2, 1), (3, 1))
        after = copy_as_after_a_kill(tmp_path / "killed", tmp_path / "after")
        path_of(after, library.pages([LOCAL], ENCODER)[0]).unlink()  # its row is still in Chroma
    assert rows_in_chroma(after) == {f"local/{page_id(file)}" for file in (1, 2)}
    with open_library(after) as library:
        assert rows_in_chroma(after) == {f"local/{page_id(file)}" for file in (2, 3)}
        assert found(library) == expected((2, 1), (3, 1))


def lose(chroma: Path):
    shutil.rmtree(chroma)


def overwrite_the_database(chroma: Path):
    (chroma / "chroma.sqlite3").write_bytes(b"torn" * 5_000)


def tear_the_pickle(chroma: Path):
    """Leave the state after a kill while Chroma persists, without the log that could repair it."""
    segment = next(path for path in chroma.iterdir() if path.is_dir())
    (segment / "index_metadata.pickle").write_bytes(b"")


@pytest.mark.parametrize("harm", [lose, overwrite_the_database, tear_the_pickle])
def test_a_lost_or_torn_chroma_is_rebuilt_from_the_files_alone(tmp_path, harm):
    with open_library(tmp_path) as library:
        put(library, 1, 2)
    harm(tmp_path / "index" / "chroma-1")
    with open_library(tmp_path) as library:
        assert found(library) == expected((1, 1), (2, 1))
        assert len(rows_in_chroma(tmp_path)) == 2
        assert not library.report.index.startswith("unhealthy")
        assert len(list((tmp_path / "index").glob("chroma-*"))) == 1


def fail(*_, **__):
    raise RuntimeError("Chroma fails")


def test_search_works_without_chroma_and_the_next_start_rebuilds_it(tmp_path, monkeypatch):
    with open_library(tmp_path) as library, monkeypatch.context() as broken:
        put(library, 1)
        for call in ("upsert", "query", "delete", "get"):
            broken.setattr(Collection, call, fail)
        put(library, 2)
        assert found(library) == expected((1, 1), (2, 1))
        assert library.report.index.startswith("unhealthy: Chroma failed twice")
        library.delete_document(LOCAL, page_id(1).file)
        assert found(library) == expected((2, 1))
    with open_library(tmp_path) as library:
        assert library.report.index.startswith("rebuilt: ")
        assert rows_in_chroma(tmp_path) == {f"local/{page_id(2)}"}
    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == ["chroma-2", "lock"]


def test_a_search_that_needs_more_candidates_gets_a_wider_graph(tmp_path):
    with open_library(tmp_path, candidates=10) as library:
        put(library, 1, 2)
    open_library(tmp_path, candidates=300).close()
    client = chromadb.PersistentClient(tmp_path / "index" / "chroma-1", Settings(anonymized_telemetry=False))
    collection = client.get_collection(f"e-{ENCODER}", embedding_function=None)
    assert collection.configuration["hnsw"]["ef_search"] == 1_500
    assert collection.count() == 2
    client.close()


def test_a_damaged_page_is_quarantined_and_reported_and_others_are_found(tmp_path):
    with open_library(tmp_path) as library:
        first, second, _ = put(library, 1, 2, 3)
        path = path_of(tmp_path, first)
        whole = path.read_bytes()
        path.write_bytes(whole[:-9] + b"!" + whole[-8:])
        generation = library.generation
        with pytest.raises(TokenFileDamaged, match="altered token states"):
            library.tokens(first)
        assert library.generation > generation
        assert found(library) == expected((2, 1), (3, 1))
        assert "document 1.pdf" in library.report.damaged[0]
        path_of(tmp_path, second).write_bytes(whole)  # another page's file
    with open_library(tmp_path) as library:
        assert found(library) == expected((3, 1))
        assert len(library.report.damaged) == 1
        put(library, 1, 2)  # adding the documents again repairs the library
        assert found(library) == expected((1, 1), (2, 1), (3, 1))


@pytest.mark.parametrize("which", ["picture", "thumbnail"])
@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "another page's"])
def test_an_altered_picture_is_not_returned(tmp_path, which, harm):
    with open_library(tmp_path) as library:
        first, second = put(library, 1, 2)
        ending = {"picture": ".webp", "thumbnail": ".thumb.webp"}[which]
        path, other = (path_of(tmp_path, page).with_suffix(ending) for page in (first, second))
        whole = path.read_bytes()
        flipped = whole[:40] + bytes([whole[40] ^ 1]) + whole[41:]
        path.write_bytes({"flip": flipped, "cut": whole[:-9], "empty": b"", "another page's": other.read_bytes()}[harm])
        with pytest.raises(TokenFileDamaged, match="altered picture"):
            getattr(library, which)(first)
        assert [page.id for page in library.pages([LOCAL], ENCODER)] == [second.id]
        assert "document 1.pdf" in library.report.damaged[0]
        (again,) = put(library, 1)  # adding the document again repairs it
        assert getattr(library, which)(again) == whole
    library.close()
    kept = [name for name in files_under(tmp_path / "data") if name.startswith("tokens/")]
    assert len(kept) == 6


def test_more_pages_than_the_mmap_limit_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic_files, "raise_open_file_limit", lambda: 2)
    with open_library(tmp_path, cache_bytes=0) as library:
        pages = put(library, 1, 2, 3, 4)
        for _ in range(2):
            for page in pages:
                assert library.tokens(page).codes.shape == (6, 8)
        assert count_mapped(tmp_path) == 2
        held = library.tokens(pages[0])
        library.delete_document(LOCAL, pages[0].id.file)
        assert np.abs(held.states() - made(1)[1].tokens).max() < 0.01  # a reader of a removed page still reads it whole


def test_a_second_process_is_refused_with_one_sentence(library, tmp_path):
    code = (
        "import sys; from pathlib import Path; from smart_demo.store.library import Library\n"
        "from smart_demo.errors import LibraryBusy\n"
        "try: Library.open(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "except LibraryBusy as error: print(error.sentence)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "data"), str(tmp_path / "index")]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.startswith("Another process of this program is using")
    assert str(tmp_path / "index") in said
    with pytest.raises(LibraryBusy):
        open_library(tmp_path)
    library.close()
    open_library(tmp_path).close()


def test_a_second_process_with_another_index_is_refused(library, tmp_path):
    with pytest.raises(LibraryBusy, match="data"):
        Library.open(tmp_path / "data", tmp_path / "another index")
    put(library, 1)  # the first process can still write
    library.close()
    Library.open(tmp_path / "data", tmp_path / "another index").close()


def test_data_and_index_may_share_one_folder(tmp_path):
    with Library.open(tmp_path, tmp_path) as library:
        put(library, 1)
        with pytest.raises(LibraryBusy):
            Library.open(tmp_path, tmp_path)
    with Library.open(tmp_path, tmp_path) as library:
        assert len(library.pages([LOCAL], ENCODER)) == 1


@pytest.mark.parametrize("blocked", ["data", "index"])
def test_the_error_names_an_unusable_folder(tmp_path, blocked):
    (tmp_path / blocked).write_text("a file stands here")
    with pytest.raises(LibraryError, match=f"Could not use .*{blocked}") as refused:
        open_library(tmp_path)
    assert "SMART_DATA_DIR" in refused.value.hint
    (tmp_path / blocked).unlink()
    open_library(tmp_path).close()  # the refusal released the lock


def test_a_full_disk_refuses_new_pages_and_reading_still_works(library, monkeypatch):
    put(library, 1)
    monkeypatch.setattr("smart_demo.store.atomic_files.MIN_FREE_BYTES", 2**62)
    with pytest.raises(StorageFull):
        library.add(LOCAL, *made(2))
    assert found(library) == expected((1, 1))


def test_a_closed_library_takes_no_more_pages(tmp_path):
    library = open_library(tmp_path)
    library.close()
    library.close()
    with pytest.raises(LibraryError, match="closed"):
        library.add(LOCAL, *made(1))


def write_and_remove(library, files):
    """Add documents and remove every third one at once."""
    for file in files:
        put(library, file)
        if file % 3 == 0:
            library.delete_document(LOCAL, page_id(file).file)


def read_until(stop, library, trouble):
    """Load all listed pages repeatedly; any error except a page removed in between is recorded."""
    while not stop.is_set():
        pages, matrix = library.pooled([LOCAL], ENCODER)
        if len(pages) != len(matrix):
            trouble.append("pages and vectors differ")
        for page in pages:
            try:
                library.encoding(page)
            except LibraryError as error:
                if "no longer in the library" not in str(error):
                    trouble.append(error)


def test_readers_beside_writers_see_only_whole_pages(library, tmp_path):
    trouble, stop = [], threading.Event()
    ranges = [range(100, 110), range(200, 210)]
    writers = [threading.Thread(target=write_and_remove, args=(library, files)) for files in ranges]
    readers = [threading.Thread(target=read_until, args=(stop, library, trouble)) for _ in range(3)]
    for thread in writers + readers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert trouble == []
    kept = [(file, 1) for files in ranges for file in files if file % 3]
    assert found(library) == expected(*kept)
    assert rows_in_chroma(tmp_path) == {f"local/{page_id(*page)}" for page in kept}
