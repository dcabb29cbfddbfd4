"""How many token files may stay mapped at once.

The only writer of library files: whole or not at all, and on disk before it is told.

It knows files and folders and nothing of pages. Files are private to the person who runs the program (0600, folders
0700), links are never followed, and every error of the operating system leaves as a LibraryError.

Whole folders that go. Links in them are removed and never followed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import secrets
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from smart_demo.errors import LibraryError, StorageFull, TokenFileDamaged

MAPS = 4_096
"""Token files that stay mapped between searches, where the system allows so many open files."""


def allow_many() -> int:
    """How many token files may stay mapped: each holds an open file, of which many systems allow 1,024 at first.

    Lifts this process's own limit as far as it may; three files in four are left to everybody else.
    """
    limits, wanted = resource.getrlimit(resource.RLIMIT_NOFILE), 4 * MAPS
    soft, hard = (sys.maxsize if limit == resource.RLIM_INFINITY else limit for limit in limits)
    if soft < wanted <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, limits[1]))
        soft = wanted
    return min(MAPS, soft // 4)


TEMPORARY = ".tmp"
"""How the name of a file ends that was never committed."""
RESERVE = 2**30
"""Bytes always left free: a full disk breaks more than this program."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Turn an OSError inside into StorageFull or LibraryError: "Could not <doing>: <the system's words>."."""
    try:
        yield
    except OSError as error:
        words = f"Could not {doing}: {(error.strerror or str(error)).lower()}."
        if error.errno in _FULL:
            raise StorageFull(words, "Free some space, or remove documents, and try again.") from error
        raise LibraryError(words, "Check SMART_DATA_DIR and SMART_INDEX_DIR and who may write there.") from error


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, private, and make their names last a power loss."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def check_space(folder: Path, size: int) -> None:
    """StorageFull unless three times `size` bytes fit and the reserve stays. Disks that do not say are believed."""
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if disk.f_blocks and free < 3 * size + RESERVE:
        raise StorageFull(
            f"Only {free // 2**20} MB of storage are free, too little to keep more.",
            f"At least {RESERVE // 2**20} MB must stay free; free some space, or remove documents.",
        )


def write_new(path: Path, *data: bytes | memoryview) -> None:
    """Make `path` with these bytes, one after the other: a reader sees nothing or all of it, and once this returns it
    stays.

    A failed write leaves nothing behind; a killed one leaves a `*.tmp` file, which the next start sweeps away.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
    file = os.open(temporary, _CREATE, 0o600)
    try:
        try:
            _write_all(file, *data)
        finally:
            os.close(file)
        os.replace(temporary, path)
    except BaseException:  # a Ctrl-C must not leave half a file either
        with suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def append(path: Path, data: bytes, *, whole: int, length: int) -> bool:
    """Make a plain file longer by these bytes, and the file itself if `length` is 0; once this returns they stay.

    length: how many bytes it was seen with; where it has another number by now, somebody else wrote or deleted it,
    nothing is done and the answer is False. whole: how many of them are kept; what a killed write left behind them is
    cut off. A failed write leaves the file as it was, without what was cut off. TokenFileDamaged for anything but a
    plain file.
    """
    file = os.open(path, _APPEND, 0o600)
    try:
        with _where_it_can_be_done():
            fcntl.flock(file, fcntl.LOCK_EX)
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode):
            raise TokenFileDamaged(f"{path.name} is not a plain file.")
        if facts.st_size != length or _is_unlinked(path, facts):
            return False
        if length == 0:
            sync_folder(path.parent)  # before the first byte: a file that holds something also keeps its name
        if whole < length and not _cut(file, whole):
            write_new(path, read_whole(path)[:whole] + data)
            return True
        try:
            _write_all(file, data)
        except BaseException:  # half a line must not stand before the next one
            _cut(file, whole)
            raise
    finally:
        os.close(file)
    return True


@contextmanager
def nobody_appends(paths: Iterable[Path]) -> Iterator[bool]:
    """Keep `append` from writing to these files. False where one is being written, or is gone; waits for nobody.

    Where a mount knows no locks, nobody is kept from anything.
    """
    with ExitStack() as held:
        yield all([_is_taken(path, held) for path in paths])


def ask_for(path: Path) -> None:
    """Have the system read a file that is soon wanted, without waiting. Whoever reads it learns of any trouble."""
    with suppress(OSError, AttributeError):  # AttributeError: a system without the call
        file = os.open(path, _READ)
        try:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(file)


def unlink(paths: Iterable[Path]) -> None:
    """Remove files for good; those that are already gone are fine. Each folder is synced once."""
    folders = set()
    for path in paths:
        with suppress(FileNotFoundError):
            os.unlink(path)
            folders.add(path.parent)
    for folder in folders:
        sync_folder(folder)


@contextmanager
def opened(path: Path) -> Iterator[tuple[int, int]]:
    """(descriptor, size) of a plain file for reading. TokenFileDamaged for a link, a folder or a device."""
    try:
        file = os.open(path, _READ)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise TokenFileDamaged(f"{path.name} is a link, not a file.") from error
        raise
    try:
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode):
            raise TokenFileDamaged(f"{path.name} is not a plain file.")
        yield file, facts.st_size
    finally:
        os.close(file)


def read_whole(path: Path) -> bytes:
    """All bytes of a plain file."""
    with opened(path) as (file, size), os.fdopen(os.dup(file), "rb") as stream:
        return stream.read(size)


@contextmanager
def _where_it_can_be_done() -> Iterator[None]:
    """Let pass what a mount says it cannot do at all, such as locking or syncing a folder on an object store."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK}:
            raise


def _is_taken(path: Path, held: ExitStack) -> bool:
    """Whether a file is locked from here on, or cannot be by anybody."""
    try:
        file = os.open(path, _APPEND & ~os.O_CREAT)
    except FileNotFoundError:
        return False
    except OSError:  # a link, say, which nobody appends to
        return True
    held.callback(os.close, file)
    try:
        with _where_it_can_be_done():
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_unlinked(path: Path, facts: os.stat_result) -> bool:
    """Whether a file that is open was deleted since: what is written into it then is lost."""
    try:
        return not facts.st_nlink and not os.path.samestat(facts, path.lstat())
    except FileNotFoundError:
        return True


def _cut(file: int, whole: int) -> bool:
    """Whether a file could be made so short: on an object store a file is never changed, but another may take its
    place.
    """
    try:
        os.ftruncate(file, whole)
    except OSError:
        return False
    return True


def _write_all(file: int, *data: bytes | memoryview) -> None:
    for part in data:
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(file, rest) :]
    os.fsync(file)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in a folder last. Object-store mounts cannot do it and need not: they say EINVAL."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _where_it_can_be_done():
            os.fsync(file)
    finally:
        os.close(file)


def remove(folder: Path) -> int:
    """Delete a folder with everything below it. Bytes freed; 0 where there is none. OSError where the disk refuses."""
    if not os.path.lexists(folder):
        return 0
    freed = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    shutil.rmtree(folder)
    sync_folder(folder.parent)
    return freed


def remove_old(folder: Path, before: float) -> int:
    """Delete the files below a folder that were written before a time in seconds of the epoch, and the folders that
    are empty then. How many files.
    """
    old = [path for path in folder.rglob("*") if not path.is_dir() and path.lstat().st_mtime < before]
    unlink(old)
    drop_empty(folder)
    return len(old)


def drop_empty(folder: Path) -> None:
    """Remove the folders below and including this one that hold nothing."""
    with suppress(OSError):  # not there, not empty, or not ours to remove: it costs nothing
        for entry in list(os.scandir(folder)):
            if entry.is_dir(follow_symlinks=False):
                drop_empty(folder / entry.name)
        folder.rmdir()
