"""Death and full disks at every step: a page is there whole or not at all, and nothing else is left behind."""

import errno
import io
import os
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smart_demo.errors import LibraryError, StorageFull, TokenFileDamaged
from smart_demo.page_text import WordSource
from smart_demo.store import atomic_files, page_files, prepared_page, token_file
from smart_demo.store.catalogue import Catalogue
from smart_demo.store.page_files import PageFiles
from smart_demo.store.page_writer import PageWriter
from smart_demo.store.upkeep import UnopenedChroma
from smart_demo.types import LOCAL
from tests.broken_disk import dies_after, fill_up
from tests.store.cases import ENCODER, OTHER_ENCODER, files_under, made, page_id, page_of_older_version


def prepared(file, number=1):
    return prepared_page.prepare_page(LOCAL, *made(file, number), "int8")


def assert_whole(folder, allowed):
    """A start finds one of the allowed sets of pages, each loadable with its pictures, and sweeps the rest."""
    files = PageFiles(folder)
    found = files.scan()
    assert found.damaged == []
    assert {head.page.id for head in found.headers} in allowed
    for head in found.headers:
        assert files.body(head, verified=False).codes.codes.shape == (6, 8)
        assert files.picture(head)
        assert files.thumbnail(head)
    assert len(files_under(folder)) == 3 * len(found.headers)
    again = files.scan()
    assert (again.deleted_leftovers, len(again.headers)) == (0, len(found.headers))


def test_death_after_any_step_of_add_leaves_the_page_whole_or_absent(tmp_path):
    page, other = prepared(1), prepared(2)
    step, outcomes = 0, set()
    while True:
        step += 1
        folder = tmp_path / str(step)
        PageFiles(folder).commit(other)
        if not dies_after(step, lambda here=folder: PageFiles(here).commit(page)):
            break
        outcomes.add(len(PageFiles(folder).scan().headers))
        assert_whole(folder, [{page_id(2)}, {page_id(1), page_id(2)}])
    assert step > 12
    assert outcomes == {1, 2}  # some deaths came before the commit and some after


def test_death_after_any_step_of_remove_leaves_each_page_whole_or_absent(tmp_path):
    step, outcomes = 0, set()
    while True:
        step += 1
        folder = tmp_path / str(step)
        files = PageFiles(folder)
        pages = [files.commit(prepared(1, number)).page for number in (1, 2)]
        files.commit(prepared(2))
        if not dies_after(step, lambda here=folder, gone=pages: PageFiles(here).delete(gone)):
            break
        outcomes.add(len(PageFiles(folder).scan().headers))
        assert_whole(folder, [{page_id(2), *(page_id(1, n) for n in rest)} for rest in ([], [1], [2], [1, 2])])
    assert step > 6
    assert outcomes == {1, 2}


@pytest.mark.parametrize(
    ("encoder", "stride"), [(ENCODER, 1), (OTHER_ENCODER, 3)], ids=["same folder", "former folder"]
)
def test_death_after_any_step_of_replace_leaves_the_old_page_or_the_new_one_whole(tmp_path, encoder, stride):
    """Its pictures are those of its token file, whichever it is, and no other file is left."""
    step, outcomes, former = 0, set(), {OTHER_ENCODER: ENCODER}

    def act(folder):
        files = PageFiles(folder, former)
        (old,) = files.scan().headers
        files.replace(old.page, prepared(1))

    while True:
        step += stride
        folder = tmp_path / str(step)
        PageFiles(folder).commit(page_of_older_version(1, encoder=encoder))
        died = dies_after(step, lambda here=folder: act(here))
        files = PageFiles(folder, former)
        (head,) = files.scan().headers
        assert (head.page.encoder, head.page.id) == (ENCODER, page_id(1))
        expected = (prepared if head.page.source else page_of_older_version)(1)
        assert (files.picture(head), files.thumbnail(head)) == expected.pictures
        assert np.array_equal(files.pooled(head.page), made(1)[1].pooled * (1 if head.page.source else -1))
        files.body(head, verified=False)
        assert len(files_under(folder)) == 3
        assert files.scan().deleted_leftovers == 0
        outcomes.add(head.page.source)
        if not died:
            break
    assert step > 12
    assert outcomes == {None, WordSource.NONE}


def test_a_replaced_page_has_its_pictures_even_before_they_are_in_their_place(tmp_path, monkeypatch):
    """Another process may be writing, so that this start tidies nothing up."""
    files = PageFiles(tmp_path)
    old = files.commit(page_of_older_version(1))
    monkeypatch.setattr(page_files, "_move_waiting_pictures", lambda _: None)
    new = files.replace(old.page, prepared(1))
    assert (files.picture(new), files.thumbnail(new)) == prepared(1).pictures
    (head,) = PageFiles(tmp_path).scan(before=1.0).headers
    assert PageFiles(tmp_path).picture(head) == prepared(1).pictures.picture
    files.delete([new.page])
    assert files_under(tmp_path) == {}


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "open", "mkdir"])
def test_a_disk_that_refuses_any_call_keeps_the_page_that_was_to_be_replaced(tmp_path, monkeypatch, call):
    real, refused_at = getattr(os, call), 0
    while True:
        refused_at += 1
        files, calls = PageFiles(tmp_path / str(refused_at)), 0
        old = files.commit(page_of_older_version(1))

        def refusing(*given, stop=refused_at, **named):
            nonlocal calls
            calls += 1
            if calls == stop:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*given, **named)

        monkeypatch.setattr(os, call, refusing)
        with suppress(LibraryError):
            files.replace(old.page, prepared(1))
        monkeypatch.setattr(os, call, real)
        found = PageFiles(files.data_dir).scan()
        assert found.damaged == []
        (head,) = found.headers
        assert files.picture(head) == (prepared if head.page.source else page_of_older_version)(1).pictures.picture
        if calls < refused_at:
            break
    assert head.page.source is WordSource.NONE


@pytest.mark.parametrize("refusal", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("call", ["write", "fsync", "replace", "open", "mkdir"])
def test_a_disk_that_refuses_any_call_loses_nothing(tmp_path, monkeypatch, call, refusal):
    files = PageFiles(tmp_path)
    files.commit(prepared(2))
    before, page, real = files_under(tmp_path), prepared(0xAB << 56), getattr(os, call)
    refused_at = 0
    while True:
        refused_at += 1
        calls = 0

        def refusing(*given, stop=refused_at, **named):
            nonlocal calls
            calls += 1
            if calls == stop:
                raise OSError(refusal, os.strerror(refusal))
            return real(*given, **named)

        monkeypatch.setattr(os, call, refusing)
        refused = None
        try:
            files.commit(page)
        except LibraryError as error:
            refused = error
        finally:
            monkeypatch.setattr(os, call, real)
        if refused is None:
            break  # it was never called that often
        assert isinstance(refused, StorageFull) == (refusal != errno.EIO)
        assert files_under(tmp_path) == before
    assert refused_at > 1
    assert_whole(tmp_path, [{page_id(2), page.page.id}])


@pytest.mark.parametrize("taken", [1, 100, 5_000])
def test_a_disk_that_fills_up_in_the_middle_of_a_file_loses_nothing(tmp_path, monkeypatch, taken):
    files = PageFiles(tmp_path)
    fill_up(monkeypatch, taken)
    with pytest.raises(StorageFull, match="no space left"):
        files.commit(prepared(1))
    assert files_under(tmp_path) == {}


def test_a_nearly_full_disk_is_not_written_to_at_all(tmp_path, monkeypatch):
    files = PageFiles(tmp_path)
    real = os.statvfs(tmp_path)
    room = os.statvfs_result((4096, 4096, 10**6, 10**6, (atomic_files.MIN_FREE_BYTES - 1) // 4096, *tuple(real)[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: room)
    with pytest.raises(StorageFull, match="Only 999 MB"):
        files.commit(prepared(1))
    assert files_under(tmp_path) == {}
    # A mounted bucket does not say how large it is: it is tried.
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((4096, 4096, 0, 0, 0, *tuple(real)[5:])))
    files.commit(prepared(1))


def test_files_are_private(tmp_path):
    os.umask(os.umask(0o022))
    PageFiles(tmp_path / "data").commit(prepared(1))
    for path in (tmp_path / "data").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


def test_links_are_neither_read_nor_followed(tmp_path):
    files = PageFiles(tmp_path / "data")
    head = files.commit(prepared(1))
    path = files.path(head.page)
    secret = tmp_path / "secret"
    path.rename(secret)
    path.symlink_to(secret)
    with pytest.raises(TokenFileDamaged):
        token_file.read_header(path)
    folder = path.parent.with_name("cd")
    folder.symlink_to(path.parent)  # what lies behind a linked folder is not in the library
    found = files.scan()
    assert (len(found.headers), len(found.damaged)) == (0, 1)
    assert secret.exists()
    assert not path.is_symlink()


def test_a_token_file_in_the_place_of_another_page_is_not_believed(tmp_path):
    files = PageFiles(tmp_path)
    first, second = (files.path(files.commit(prepared(1, number)).page) for number in (1, 2))
    second.write_bytes(first.read_bytes())
    found = files.scan()
    assert [head.page.number for head in found.headers] == [1]
    assert "another page" in found.damaged[0]
    assert len(list((tmp_path / "damaged").rglob("*.safetensors"))) == 1


@given(st.integers(1, 20_000), st.floats(1, 40), st.booleans())
def test_a_picture_keeps_the_shape_and_the_readable_width_of_a_narrow_page(long, aspect, upright):
    short = max(1, round(long / aspect))
    size = (short, long) if upright else (long, short)
    width, height = prepared_page.picture_size(*size)
    scale = min(width / size[0], height / size[1], 1.0)
    assert max(size) * scale <= prepared_page.MAX_WEBP_SIDE + 1
    assert short * scale * long * scale <= prepared_page.MAX_PICTURE_PIXELS * 1.01 + long
    assert scale == 1 or max(size) * scale >= 1_599  # never smaller than before
    if short * long <= 6_000_000:
        assert short * scale >= min(short, 499) - 1 or long * scale >= prepared_page.MAX_WEBP_SIDE - 1
    shown = prepared_page.thumbnail_size(*size)
    assert max(shown) <= 4 * min(shown)
    assert shown == size or max(size) > 4 * min(size)


def test_a_receipt_has_a_readable_picture_and_a_thumbnail_of_its_start():
    pixels = np.full((10_217, 471, 3), 255, np.uint8)
    pixels[:100] = 0
    picture, thumbnail = (Image.open(io.BytesIO(data)) for data in prepared_page.encode_pictures(pixels))
    assert (picture.size, thumbnail.size) == ((471, 10_217), (360, 1_440))
    dark = np.asarray(thumbnail.convert("L"))[:, 180] < 100
    assert 70 <= dark.sum() <= 80  # 100 of 471 × 4 rows


def test_death_after_any_step_of_a_change_of_encoder_leaves_the_page_whole_under_either(tmp_path):
    """If it is there under both, the next start of the change deletes the old one."""
    step, outcomes = 0, set()

    def opened(folder):
        files = PageFiles(folder)
        found = files.scan()
        catalogue, chroma = Catalogue(found.headers, 9), UnopenedChroma()
        return files, found, catalogue, PageWriter(files, catalogue, lambda: chroma)

    def act(folder):
        files, found, _, writer = opened(folder)
        (old,) = found.headers
        page, encoding = made(1, encoder=OTHER_ENCODER)
        pictures = prepared_page.Pictures(files.picture(old), files.thumbnail(old))
        writer.replace_encoder(old.page, prepared_page.prepare_again(old.page, page, encoding, "int8", pictures))

    while True:
        step += 1
        folder = tmp_path / str(step)
        PageFiles(folder).commit(prepared(1))
        died = dies_after(step, lambda here=folder: act(here))
        files, found, catalogue, writer = opened(folder)
        assert found.damaged == []
        encoders = {head.page.encoder: head for head in found.headers}
        assert encoders
        assert encoders.keys() <= {ENCODER, OTHER_ENCODER}
        for encoder, head in encoders.items():
            assert (files.picture(head), files.thumbnail(head)) == prepared(1).pictures
            files.body(head, verified=False)
            assert head.page.reencoded == (encoder == OTHER_ENCODER)
        writer.delete(catalogue.list_replaced_by(LOCAL, OTHER_ENCODER))
        assert len(files_under(folder)) == 3
        outcomes.add(frozenset(encoders))
        if not died:
            break
    assert step > 15
    assert outcomes == {frozenset(some) for some in ([ENCODER], [ENCODER, OTHER_ENCODER], [OTHER_ENCODER])}
