"""Death and full disks at every step: a page is there whole or not at all, and nothing else is left behind."""

import errno
import os
import signal
from contextlib import suppress

import numpy as np
import pytest

from smart_demo.errors import LibraryError, StorageFull, TokenFileDamaged
from smart_demo.store import atomic_files, prepared_page, sidecar, token_file
from smart_demo.store.sidecar import Sidecar
from smart_demo.types import LOCAL, WordSource
from tests.store.cases import ENCODER, OTHER_ENCODER, files_under, made, page_id, read_before

STEPS = ("open", "write", "fsync", "replace", "unlink", "mkdir")
"""Every call by which the store changes a disk; death is tried after each."""


def prepared(file, number=1):
    return prepared_page.prepare_page(LOCAL, *made(file, number), "int8")


def after_each_step(then):
    """Wrap the disk calls of this process: `then(n)` is called after the n-th of them has been done."""
    done = 0

    def wrapped(call):
        def step(*given, **named):
            nonlocal done
            result = call(*given, **named)
            done += 1
            then(done)
            return result

        return step

    for name in STEPS:
        setattr(os, name, wrapped(getattr(os, name)))


def dies_after(step, act) -> bool:
    """Run `act` in a process that is killed after its n-th step. False if it came to its end before."""
    child = os.fork()
    if child == 0:
        after_each_step(lambda n: os.kill(os.getpid(), signal.SIGKILL) if n == step else None)
        act()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def assert_whole(folder, allowed):
    """A start finds one of the allowed sets of pages, each loadable with its pictures, and sweeps the rest."""
    files = Sidecar(folder)
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
        Sidecar(folder).commit(other)
        if not dies_after(step, lambda here=folder: Sidecar(here).commit(page)):
            break
        outcomes.add(len(Sidecar(folder).scan().headers))
        assert_whole(folder, [{page_id(2)}, {page_id(1), page_id(2)}])
    assert step > 12
    assert outcomes == {1, 2}  # some deaths came before the commit and some after


def test_death_after_any_step_of_remove_leaves_each_page_whole_or_absent(tmp_path):
    step, outcomes = 0, set()
    while True:
        step += 1
        folder = tmp_path / str(step)
        files = Sidecar(folder)
        pages = [files.commit(prepared(1, number)).page for number in (1, 2)]
        files.commit(prepared(2))
        if not dies_after(step, lambda here=folder, gone=pages: Sidecar(here).delete(gone)):
            break
        outcomes.add(len(Sidecar(folder).scan().headers))
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
        files = Sidecar(folder, former)
        (old,) = files.scan().headers
        files.replace(old.page, prepared(1))

    while True:
        step += stride
        folder = tmp_path / str(step)
        Sidecar(folder).commit(read_before(1, encoder=encoder))
        died = dies_after(step, lambda here=folder: act(here))
        files = Sidecar(folder, former)
        (head,) = files.scan().headers
        assert (head.page.encoder, head.page.id) == (ENCODER, page_id(1))
        expected = (prepared if head.page.source else read_before)(1)
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
    files = Sidecar(tmp_path)
    old = files.commit(read_before(1))
    monkeypatch.setattr(sidecar, "_move_waiting_pictures", lambda _: None)
    new = files.replace(old.page, prepared(1))
    assert (files.picture(new), files.thumbnail(new)) == prepared(1).pictures
    (head,) = Sidecar(tmp_path).scan(before=1.0).headers
    assert Sidecar(tmp_path).picture(head) == prepared(1).pictures.picture
    files.delete([new.page])
    assert files_under(tmp_path) == {}


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "open", "mkdir"])
def test_a_disk_that_refuses_any_call_keeps_the_page_that_was_to_be_replaced(tmp_path, monkeypatch, call):
    real, refused_at = getattr(os, call), 0
    while True:
        refused_at += 1
        files, calls = Sidecar(tmp_path / str(refused_at)), 0
        old = files.commit(read_before(1))

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
        found = Sidecar(files.data_dir).scan()
        assert found.damaged == []
        (head,) = found.headers
        assert files.picture(head) == (prepared if head.page.source else read_before)(1).pictures.picture
        if calls < refused_at:
            break
    assert head.page.source is WordSource.NONE


@pytest.mark.parametrize("refusal", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("call", ["write", "fsync", "replace", "open", "mkdir"])
def test_a_disk_that_refuses_any_call_loses_nothing(tmp_path, monkeypatch, call, refusal):
    files = Sidecar(tmp_path)
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
    files = Sidecar(tmp_path)
    real, room = os.write, taken

    def short(file, data):
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real(file, bytes(data[:room]))
        room -= written
        return written

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(StorageFull, match="no space left"):
        files.commit(prepared(1))
    assert files_under(tmp_path) == {}


def test_a_nearly_full_disk_is_not_written_to_at_all(tmp_path, monkeypatch):
    files = Sidecar(tmp_path)
    real = os.statvfs(tmp_path)
    room = os.statvfs_result((4096, 4096, 10**6, 10**6, (atomic_files.MIN_FREE_BYTES - 1) // 4096, *tuple(real)[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: room)
    with pytest.raises(StorageFull, match="1023 MB"):
        files.commit(prepared(1))
    assert files_under(tmp_path) == {}
    # A mounted bucket does not say how large it is: it is tried.
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((4096, 4096, 0, 0, 0, *tuple(real)[5:])))
    files.commit(prepared(1))


def test_files_are_private(tmp_path):
    os.umask(os.umask(0o022))
    Sidecar(tmp_path / "data").commit(prepared(1))
    for path in (tmp_path / "data").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


def test_links_are_neither_read_nor_followed(tmp_path):
    files = Sidecar(tmp_path / "data")
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
    files = Sidecar(tmp_path)
    first, second = (files.path(files.commit(prepared(1, number)).page) for number in (1, 2))
    second.write_bytes(first.read_bytes())
    found = files.scan()
    assert [head.page.number for head in found.headers] == [1]
    assert "another page" in found.damaged[0]
    assert len(list((tmp_path / "damaged").rglob("*.safetensors"))) == 1
