"""One process per library: a lock that dies with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from smart_demo.errors import LibraryBusy
from smart_demo.store import atomic_files


class FolderLock:
    """Exclusive hold on folders, through a file `lock` in each. The system lets go of it however the process ends."""

    def __init__(self, folder: Path) -> None:
        """LibraryBusy at once where somebody else holds it, be it in this process."""
        self.folder = folder
        self._files: list[int] = []
        with atomic_files.storage_errors(f"use {folder}"):
            self._take(folder)

    def take_too(self, folder: Path) -> bool:
        """Hold another folder as well. LibraryBusy as above; False where its mount knows no locks, or takes no files
        that anybody may write again.
        """
        try:
            atomic_files.make_folder(folder)
            if not any(os.path.samestat(os.fstat(file), _named(folder)) for file in self._files):
                self._take(folder)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Let go of all."""
        while self._files:
            os.close(self._files.pop())

    def _take(self, folder: Path) -> None:
        atomic_files.make_folder(folder)
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


def _named(folder: Path) -> os.stat_result:
    """What lies under the name of a folder's lock; the folder itself, which is none, where nothing does."""
    path = folder / "lock"
    return (path if path.exists() else folder).stat()
