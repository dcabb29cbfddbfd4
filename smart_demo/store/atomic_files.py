"""File operations that survive a crash, and file locks: the only code that writes files of the library.

A write is complete or absent, and it is on disk when the call returns. Files are private to the user who runs the
program (0600, folders 0700), and links are never followed. This module knows nothing of pages.

OSError leaves as LibraryError only inside `storage_errors`, which callers put around these functions.
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

from smart_demo.errors import LibraryBusy, LibraryError, StorageFull, TokenFileDamaged
from smart_demo.wording import MEGABYTE

MAX_MAPPED_FILES = 4_096
"""Token files that stay mapped between searches, if the system allows that many open files."""
TEMPORARY_SUFFIX = ".tmp"
"""Suffix of a file that is not committed yet."""
MIN_FREE_BYTES = 1_000 * MEGABYTE
"""Bytes that always stay free on the disk: a full disk breaks more than this program."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK}


def raise_open_file_limit() -> int:
    """Raise this process's limit of open files if allowed, and return how many token files may stay mapped.

    Each mapped file holds one open file, and many systems allow 1,024 at first. Three in four are left to the rest of
    the process.
    """
    limits, needed = resource.getrlimit(resource.RLIMIT_NOFILE), 4 * MAX_MAPPED_FILES
    soft, hard = (sys.maxsize if limit == resource.RLIM_INFINITY else limit for limit in limits)
    if soft < needed <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, limits[1]))
        soft = needed
    return min(MAX_MAPPED_FILES, soft // 4)


@contextmanager
def storage_errors(action: str) -> Iterator[None]:
    """Turn an OSError inside into StorageFull or LibraryError: "Could not <action>: <the system's message>."."""
    try:
        yield
    except OSError as error:
        message = f"Could not {action}: {(error.strerror or str(error)).lower()}."
        if error.errno in _DISK_FULL:
            raise StorageFull(message, "Free some space, or delete documents, and try again.") from error
        raise LibraryError(message, "Check SMART_DATA_DIR and SMART_INDEX_DIR and who may write there.") from error


def make_folder(folder: Path) -> None:
    """Create a private folder with its parents, so that their names survive a power loss."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and deletions in a folder survive a power loss. Mounts of object stores answer EINVAL: no error."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _if_supported():
            os.fsync(file)
    finally:
        os.close(file)


def check_space(folder: Path, size: int) -> None:
    """Raise StorageFull unless three times `size` bytes and MIN_FREE_BYTES are free. A disk that reports 0 blocks
    passes.
    """
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if disk.f_blocks and free < 3 * size + MIN_FREE_BYTES:
        raise StorageFull(
            f"Only {free // MEGABYTE:,} MB of storage are free, too little to keep more.",
            f"At least {MIN_FREE_BYTES // MEGABYTE:,} MB must stay free; free some space, or delete documents.",
        )


def write_file(path: Path, *data: bytes | memoryview) -> None:
    """Write these parts to `path` and replace what was there. Readers see the old file or the whole new one.

    A failed write leaves nothing behind; a killed one leaves a `*.tmp` file, which the next start deletes.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
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


def append(path: Path, data: bytes, *, keep_size: int, expected_size: int) -> bool:
    """Append bytes to a plain file, created if `expected_size` is 0. Return False, and do nothing, if another process
    changed it.

    expected_size: size in bytes when the caller last read the file; another size means that it was written or deleted
    since. keep_size: how many of these bytes are valid; what a killed write left after them is cut off. A failed write
    leaves the first `keep_size` bytes. Raises TokenFileDamaged if the path is not a plain file.
    """
    file = os.open(path, _APPEND, 0o600)
    try:
        with _if_supported():
            fcntl.flock(file, fcntl.LOCK_EX)
        info = os.fstat(file)
        if not stat.S_ISREG(info.st_mode):
            raise TokenFileDamaged(f"{path.name} is not a plain file.")
        if info.st_size != expected_size or _is_unlinked(path, info):
            return False
        if expected_size == 0:
            sync_folder(path.parent)  # before the first byte: a file that holds something also keeps its name
        if keep_size < expected_size and not _truncate(file, keep_size):
            write_file(path, read_file(path)[:keep_size] + data)
            return True
        try:
            _write_all(file, data)
        except BaseException:  # the next append must not follow half a line
            _truncate(file, keep_size)
            raise
    finally:
        os.close(file)
    return True


@contextmanager
def lock_appends(paths: Iterable[Path]) -> Iterator[bool]:
    """Block `append` on these files. Yield False, without waiting, if one of them is being written or is missing.

    On a mount without locks it blocks nothing and yields True.
    """
    with ExitStack() as locks:
        yield all([_lock(path, locks) for path in paths])


def prefetch(path: Path) -> None:
    """Ask the system to read a file into memory soon. Does not wait or raise: the later read reports errors."""
    with suppress(OSError, AttributeError):  # AttributeError: a system without the call
        file = os.open(path, _READ)
        try:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(file)


@contextmanager
def open_file(path: Path) -> Iterator[tuple[int, int]]:
    """Open a plain file and yield (descriptor, size). Raises TokenFileDamaged for a link, a folder or a device."""
    try:
        file = os.open(path, _READ)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise TokenFileDamaged(f"{path.name} is a link, not a file.") from error
        raise
    try:
        info = os.fstat(file)
        if not stat.S_ISREG(info.st_mode):
            raise TokenFileDamaged(f"{path.name} is not a plain file.")
        yield file, info.st_size
    finally:
        os.close(file)


def read_file(path: Path) -> bytes:
    """Return all bytes of a plain file. Errors as `open_file`."""
    with open_file(path) as (file, size), os.fdopen(os.dup(file), "rb") as stream:
        return stream.read(size)


def delete_files(paths: Iterable[Path]) -> None:
    """Delete files so that they stay deleted after a power loss. Missing files are no error."""
    folders = set()
    for path in paths:
        with suppress(FileNotFoundError):
            os.unlink(path)
            folders.add(path.parent)
    for folder in folders:
        sync_folder(folder)


def delete_tree(folder: Path) -> int:
    """Delete a folder with its content and return the bytes freed, 0 if it does not exist. Links are not followed."""
    if not os.path.lexists(folder):
        return 0
    freed = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    shutil.rmtree(folder)
    sync_folder(folder.parent)
    return freed


def delete_older_files(folder: Path, before: float) -> int:
    """Delete files below a folder that are older than a Unix time, then empty folders. Return the file count."""
    old = [path for path in folder.rglob("*") if not path.is_dir() and path.lstat().st_mtime < before]
    delete_files(old)
    delete_empty_folders(folder)
    return len(old)


def delete_empty_folders(folder: Path) -> None:
    """Delete a folder and the folders below it if they hold no file. A folder that cannot be deleted stays."""
    with suppress(OSError):  # missing, not empty, or not ours: leaving it does no harm
        for entry in list(os.scandir(folder)):
            if entry.is_dir(follow_symlinks=False):
                delete_empty_folders(folder / entry.name)
        folder.rmdir()


class FolderLock:
    """Exclusive locks on one or more folders, each through a file `lock` inside. They end with the process."""

    def __init__(self, folder: Path) -> None:
        """Lock `folder` at once. Raises LibraryBusy if another process, or this one, holds it already."""
        self.folder = folder
        self._files: list[int] = []
        with storage_errors(f"use {folder}"):
            self._lock(folder)

    def try_lock(self, folder: Path) -> bool:
        """Lock another folder too. Raises LibraryBusy as above.

        Returns False if its mount has no locks, or holds no files that can be written twice, as object stores do.
        """
        try:
            make_folder(folder)
            if not any(os.path.samestat(os.fstat(file), _stat_lock_file(folder)) for file in self._files):
                self._lock(folder)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Release all folders. Releasing twice is no error."""
        while self._files:
            os.close(self._files.pop())

    def _lock(self, folder: Path) -> None:
        make_folder(folder)
        file = os.open(folder / "lock", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise LibraryBusy(
                f"Another process of this program is using {folder}.",
                "Close the app or the other command first, or set SMART_DATA_DIR to another folder.",
            ) from None
        except OSError:
            os.close(file)
            raise
        self._files.append(file)


@contextmanager
def _if_supported() -> Iterator[None]:
    """Ignore errors of a mount that lacks an operation, as object stores lack locks and folder sync."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def _lock(path: Path, locks: ExitStack) -> bool:
    """Lock a file until `locks` closes. Return False if another process holds it or it is missing."""
    try:
        file = os.open(path, _APPEND & ~os.O_CREAT)
    except FileNotFoundError:
        return False
    except OSError:  # a link, for example, which `append` refuses as well
        return True
    locks.callback(os.close, file)
    try:
        with _if_supported():
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_unlinked(path: Path, info: os.stat_result) -> bool:
    """Return whether an open file was deleted since: bytes written to it now would be lost."""
    try:
        return not info.st_nlink and not os.path.samestat(info, path.lstat())
    except FileNotFoundError:
        return True


def _truncate(file: int, size: int) -> bool:
    """Truncate a file. Return False if the mount cannot: on an object store a file can only be replaced."""
    try:
        os.ftruncate(file, size)
    except OSError:
        return False
    return True


def _write_all(file: int, *data: bytes | memoryview) -> None:
    for part in data:
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(file, rest) :]
    os.fsync(file)


def _stat_lock_file(folder: Path) -> os.stat_result:
    """Return the stat of a folder's lock file, or of the folder, which matches no lock file, if it has none yet."""
    path = folder / "lock"
    return (path if path.exists() else folder).stat()
