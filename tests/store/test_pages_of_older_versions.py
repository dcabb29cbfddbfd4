"""Pages that an earlier version stored: searchable, under a former fingerprint too, until they are replaced."""

import numpy as np
import pytest

from smart_demo.errors import LibraryError, StorageFull
from smart_demo.page_text import WordSource
from smart_demo.store import snapshot
from smart_demo.store.page_files import PageFiles
from smart_demo.store.snapshot import Snapshots
from smart_demo.types import LOCAL
from tests.store.cases import (
    ENCODER,
    OTHER_ENCODER,
    copy_as_after_a_kill,
    files_under,
    made,
    open_library,
    page_id,
    page_of_older_version,
    put,
    rows_in_chroma,
)

FORMER = {OTHER_ENCODER: ENCODER}


@pytest.fixture(params=[ENCODER, OTHER_ENCODER], ids=["same fingerprint", "former fingerprint"])
def old_library(request, tmp_path):
    """The folder of a library with two documents that an earlier version stored."""
    files = PageFiles(tmp_path / "data")
    for file, number in ((1, 1), (2, 1), (2, 2)):
        files.commit(page_of_older_version(file, number, request.param))
    return tmp_path


def count_unread(library):
    """Return how many pages have no words kept with them."""
    return sum(page.source is None for page in library.pages([LOCAL], ENCODER))


def pooled_of(library):
    pages, pooled = library.pooled([LOCAL], ENCODER)
    return {(int(page.id.file, 16), page.number): vector for page, vector in zip(pages, pooled, strict=True)}


def test_they_are_found_under_the_fingerprint_of_today_and_nothing_is_written(old_library):
    before = files_under(old_library / "data")
    with open_library(old_library, former=FORMER) as library:
        pages = library.pages([LOCAL], ENCODER)
        assert {page.id for page in pages} == {page_id(1), page_id(2), page_id(2, 2)}
        assert count_unread(library) == 3
        assert library.pages_of_other_encoders(LOCAL, ENCODER) == []
        for (file, number), vector in pooled_of(library).items():
            assert np.array_equal(vector, -made(file, number)[1].pooled)
        nearest = library.nearest([LOCAL], ENCODER, -made(2, 2)[1].pooled, 1)
        assert nearest == [(LOCAL, page_id(2, 2))]
        for page in pages:
            assert library.page_words(page) is None
            assert library.tokens(page).codes.shape == (6, 8)
            assert library.encoding(page).encoder == ENCODER
            assert library.picture(page) == page_of_older_version(int(page.id.file, 16), page.number).pictures.picture
        assert library.report.damaged == ()
    assert files_under(old_library / "data") == before
    assert len(rows_in_chroma(old_library)) == 3


def test_a_page_added_again_replaces_the_old_one_and_an_unchanged_one_is_kept(old_library):
    with open_library(old_library, former=FORMER) as library:
        _, size = library.totals(LOCAL)
        old = library.page(LOCAL, ENCODER, page_id(2))
        library.tokens(old)
        new = library.add(LOCAL, *made(2))
        assert new.source is WordSource.LAYER
        assert (library.page(LOCAL, ENCODER, page_id(2)), old in library) == (new, False)
        assert [word.text for word in library.page_words(new).words] == ["tide-", "2"]
        assert library.totals(LOCAL) == (3, size + new.bytes - old.bytes)
        assert np.allclose(library.tokens(new).states(), made(2)[1].tokens, atol=0.01)
        assert np.array_equal(pooled_of(library)[2, 1], made(2)[1].pooled)
        library.flush()
        assert library.nearest([LOCAL], ENCODER, made(2)[1].pooled, 1) == [(LOCAL, page_id(2))]
        assert library.add(LOCAL, *made(2)) is new
        assert count_unread(library) == 2
    with open_library(old_library, former=FORMER) as library:
        assert library.page(LOCAL, ENCODER, page_id(2)) == new
        assert library.report.deleted_leftovers == 0
        library.delete_document(LOCAL, page_id(2).file)
        library.delete_document(LOCAL, page_id(1).file)
        assert files_under(old_library / "data") == {}


def test_a_kill_before_chroma_knows_leaves_no_old_vector_in_it(old_library, tmp_path_factory):
    copy = tmp_path_factory.mktemp("killed")
    with open_library(old_library, former=FORMER) as library:
        library.add(LOCAL, *made(2))
        copy_as_after_a_kill(old_library, copy)
    with open_library(copy, former=FORMER) as library:
        assert library.nearest([LOCAL], ENCODER, made(2)[1].pooled, 1) == [(LOCAL, page_id(2))]
        assert library.report.index == "ok"


def test_a_refused_page_leaves_the_old_one(old_library, monkeypatch):
    def refuse(_):
        raise LibraryError("not admitted")

    with open_library(old_library, former=FORMER) as library:
        old = library.page(LOCAL, ENCODER, page_id(2))
        with pytest.raises(LibraryError):
            library.add(LOCAL, *made(2), admit=refuse)
        monkeypatch.setattr("smart_demo.store.atomic_files.MIN_FREE_BYTES", 2**62)
        with pytest.raises(StorageFull):
            library.add(LOCAL, *made(2))
        assert old in library
        assert library.tokens(old).codes.shape == (6, 8)
        library.flush()
        assert library.nearest([LOCAL], ENCODER, -made(2)[1].pooled, 1) == [(LOCAL, page_id(2))]


def test_of_a_page_in_both_folders_the_one_of_today_counts(tmp_path):
    files = PageFiles(tmp_path / "data")
    files.commit(page_of_older_version(2, encoder=OTHER_ENCODER))
    with open_library(tmp_path) as library:
        (new,) = put(library, 2)
    with open_library(tmp_path, former=FORMER) as library:
        assert list(library.pages([LOCAL], ENCODER)) == [new]
        assert library.report.deleted_leftovers == 1
    assert len(files_under(tmp_path / "data")) == 3


def test_a_copy_that_another_process_may_still_write_is_left_and_deleted_with_its_page(tmp_path):
    plain = PageFiles(tmp_path)
    plain.commit(page_of_older_version(2, encoder=OTHER_ENCODER))
    plain.commit(page_of_older_version(2))
    files = PageFiles(tmp_path, FORMER)
    (head,) = files.scan(before=1.0).headers
    assert len(files_under(tmp_path)) == 6
    files.delete([head.page])
    assert files_under(tmp_path) == {}


def test_a_snapshot_serves_pages_in_a_former_folder(old_library, monkeypatch):
    monkeypatch.setattr(snapshot, "MIN_SNAPSHOT_PAGES", 1)
    with open_library(old_library, former=FORMER) as library:
        library.add(LOCAL, *made(2))
        library.update_snapshots()
        expected = pooled_of(library)
    files = PageFiles(old_library / "data", FORMER)
    found = files.scan(find_snapshot=Snapshots(old_library / "index").read)
    assert len(found.unread) == 3
    assert {page.encoder for page in found.unread} == {ENCODER}
    with open_library(old_library, former=FORMER, in_background=True) as library:
        now = pooled_of(library)
        assert not library.pooled([LOCAL], ENCODER)[1].flags.owndata
        assert now.keys() == expected.keys()
        assert all(np.array_equal(now[key], expected[key]) for key in now)


def test_a_file_moved_into_the_folder_of_another_encoder_is_still_not_believed(tmp_path):
    files = PageFiles(tmp_path)
    path = files.path(files.commit(page_of_older_version(2, encoder=OTHER_ENCODER)).page)
    other = path.parents[1].with_name(ENCODER) / path.parent.name
    other.mkdir(parents=True)
    path.rename(other / path.name)
    found = PageFiles(tmp_path, FORMER).scan()
    assert found.headers == []
    assert "another page" in found.damaged[0]
