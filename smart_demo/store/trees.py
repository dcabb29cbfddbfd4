"""Whole folders that go. Links in them are removed and never followed."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from smart_demo.store import durable


def remove(folder: Path) -> int:
    """Delete a folder with everything below it. Bytes freed; 0 where there is none. OSError where the disk refuses."""
    if not os.path.lexists(folder):
        return 0
    freed = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    shutil.rmtree(folder)
    durable.sync_folder(folder.parent)
    return freed


def remove_old(folder: Path, before: float) -> int:
    """Delete the files below a folder that were written before a time in seconds of the epoch, and the folders that
    are empty then. How many files.
    """
    old = [path for path in folder.rglob("*") if not path.is_dir() and path.lstat().st_mtime < before]
    durable.unlink(old)
    drop_empty(folder)
    return len(old)


def drop_empty(folder: Path) -> None:
    """Remove the folders below and including this one that hold nothing."""
    with suppress(OSError):  # not there, not empty, or not ours to remove: it costs nothing
        for entry in list(os.scandir(folder)):
            if entry.is_dir(follow_symlinks=False):
                drop_empty(folder / entry.name)
        folder.rmdir()
