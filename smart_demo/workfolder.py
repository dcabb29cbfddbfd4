"""The folder of temporary files of one process: uploads on their way, pages being drawn.

A process that is killed leaves its folder behind, with what people uploaded inside. So each holds a lock in its own,
and whoever starts removes the folders whose locks nobody holds.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "smart-demo-"
LOCK = "lock"
"""A file in each folder; it is made and locked before anything else comes in."""
_held: list[int] = []


def take_work_folder() -> Path:
    """A new private folder in the system's own, in which all temporary files of this process and its children lie from
    now on. It goes when the process ends, or when the next one starts.
    """
    parent = Path(tempfile.gettempdir())
    for path in parent.glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):  # another start was faster
            if path.is_dir() and not path.is_symlink() and path.stat().st_uid == os.getuid():
                _remove_abandoned(path)
    while (folder := _make(parent)) is None:
        pass
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _make(parent: Path) -> Path | None:
    """None if another process, which started just now, found the lock file before it was locked and took the folder for
    an abandoned one.
    """
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not (folder / LOCK).exists():
        os.close(lock)
        return None
    _held.append(lock)
    return folder


def _remove_abandoned(folder: Path) -> None:
    """One without a lock file is just being made, or no folder of ours."""
    with suppress(OSError):
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
