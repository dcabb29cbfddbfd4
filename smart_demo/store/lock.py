"""One process per library, by a lock file that the system releases when the process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from smart_demo.errors import LibraryBusy
from smart_demo.store import atomic_files


class FolderLock:
    """Exclusive locks on one or more folders, each through a file `lock` inside. They end with the process."""

    def __init__(self, folder: Path) -> None:
        """Lock `folder` at once. Raises LibraryBusy if another process, or this one, holds it already."""
        self.folder = folder
        self._files: list[int] = []
        with atomic_files.storage_errors(f"use {folder}"):
            self._lock(folder)

    def try_lock(self, folder: Path) -> bool:
        """Lock another folder too. Raises LibraryBusy as above.

        Returns False if its mount has no locks, or holds no files that can be written twice, as object stores do.
        """
        try:
            atomic_files.make_folder(folder)
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


def _stat_lock_file(folder: Path) -> os.stat_result:
    """Return the stat of a folder's lock file, or of the folder, which matches no lock file, if it has none yet."""
    path = folder / "lock"
    return (path if path.exists() else folder).stat()
