"""One process per library: a lock that dies with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from smart_demo.errors import LibraryBusy
from smart_demo.store import durable


class FolderLock:
    """Exclusive hold on a folder, through its file `lock`. The system lets go of it however the process ends."""

    def __init__(self, folder: Path) -> None:
        """LibraryBusy at once where somebody else holds it, be it in this process."""
        self.folder = folder
        with durable.storage_errors(f"use {folder}"):
            durable.make_folder(folder)
            self._file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._file)
                raise LibraryBusy(
                    f"Another process of this program is using {folder}.",
                    "Close the app or the other command first, or set SMART_DATA_DIR to another folder.",
                ) from None
            except OSError:
                os.close(self._file)
                raise

    def release(self) -> None:
        """Let go."""
        os.close(self._file)
