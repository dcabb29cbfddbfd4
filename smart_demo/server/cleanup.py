"""Deletion of what is no longer needed: expired and idle visitors, old uploads, and folders of killed processes.

`Cleanup` runs whatever the settings of the page are now: what visitors left when it was public expires all the same.
Between two rounds, `Engine.evict_idle_visitors` deletes idle visitors if a newcomer finds no room.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import math
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from smart_demo.config import Quotas
from smart_demo.engine import Engine
from smart_demo.server.upload_limits import UPLOAD_TRACKER
from smart_demo.store.quotas import Visitor, evictable_visitors

CLEANUP_INTERVAL_SECONDS = 300.0
COMPACTION_PAUSE_SECONDS, COMPACTION_PAUSE_FACTOR = 60.0, 20
"""Minimum pause between two rebuilds of the index: these seconds, and this many times the duration of the last rebuild.
Otherwise a visitor who adds and deletes in a loop would keep the machine busy with it."""
CLOCK_HOLD_SECONDS = 900.0
"""Time after a start or a step of the clock before visitors expire: a clock is corrected within minutes of a start."""
MAX_CLOCK_STEP_SECONDS = 60.0
WORK_FOLDER_PREFIX = "smart-demo-"
WORK_FOLDER_LOCK = "lock"
"""Name of a file in each work folder. It is created and locked before any other file."""

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CleanupResult:
    """What one round deleted, in numbers only."""

    visitors: int = 0
    """Visitors who were unchanged for too long, or idle while all together exceeded their quota."""
    bytes: int = 0
    """Bytes that these visitors' data took."""
    damaged: int = 0
    """Old damaged files of visitors."""
    uploads: int = 0
    """Bytes of uploads that were never read."""
    compacted: bool = False
    """Whether the index was rebuilt."""
    failures: int = 0
    """Steps that failed. The next round repeats them."""


def due_visitors(visitors: Sequence[Visitor], now: float, quotas: Quotas) -> list[Visitor]:
    """Return the visitors to delete at a Unix time, of those given with the longest unchanged first.

    These are the expired ones and, as long as the others exceed the quota, idle ones. A visitor changed in the future
    (the clock was set back) is neither.
    """
    due = [visitor for visitor in visitors if visitor.changed < now - quotas.keep_hours * 3_600]
    kept_bytes = sum(visitor.bytes for visitor in visitors[len(due) :])
    for visitor in evictable_visitors(visitors[len(due) :], now):
        if kept_bytes <= quotas.total_bytes:
            break
        kept_bytes -= visitor.bytes
        due.append(visitor)
    return due


class Cleanup:
    """A thread that deletes what is due every few minutes, one round at a time."""

    def __init__(
        self,
        engine: Engine,
        uploads: Path | None = None,
        *,
        interval: float = CLEANUP_INTERVAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        clock_hold: float = CLOCK_HOLD_SECONDS,
    ) -> None:
        """Create the thread without starting it.

        uploads: the upload folder, if this process has one.
        interval: seconds between rounds.
        clock: a monotonic clock in seconds.
        clock_hold: seconds for which the system's clock must run evenly before visitors expire by it.
        """
        self._engine, self._uploads, self._interval = engine, uploads, interval
        self._clock, self._clock_hold = clock, clock_hold
        self._clock_offset, self._even_since = math.inf, 0.0
        """Unix time minus `clock` at the last start or step of the system's clock, and `clock` then."""
        self._next_compaction = -math.inf
        """Time by `clock` from which the index may be rebuilt."""
        self._compaction_postponed = False
        self._wake, self._stopped, self._round = threading.Event(), threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._failures = 0

    def start(self) -> None:
        """Start the thread. Its first round runs at once."""
        self._thread = threading.Thread(target=self._work, name="cleanup", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Request a round soon, as after a deletion, without waiting for it."""
        self._wake.set()

    def stop(self) -> None:
        """Start no further step, and wait at most two seconds for the current one: closing the library ends it."""
        self._stopped.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(2.0)

    def run_once(self, now: float) -> CleanupResult:
        """Delete what is due at a Unix time. Never raises."""
        with self._round:
            self._failures, freed, damaged = 0, list[int](), 0
            if self._is_clock_even(now):
                freed = self._delete_visitors(now)
                damaged = self._try(lambda: self._delete_damaged(now), 0)
            uploads = self._try(lambda: UPLOAD_TRACKER.delete_unclaimed(self._uploads) if self._uploads else 0, 0)
            compacted = self._try(self._compact, False)
            result = CleanupResult(len(freed), sum(freed), damaged, uploads, compacted, self._failures)
        if result != CleanupResult():
            log.info("cleaned up: %s", result)
        return result

    @property
    def pause(self) -> float:
        """Seconds until the next round without a `wake`: fewer if a rebuild of the index was postponed."""
        if not self._compaction_postponed:
            return self._interval
        return min(self._interval, max(0.0, self._next_compaction - self._clock()))

    def _work(self) -> None:
        while not self._stopped.is_set():
            self._wake.clear()
            self.run_once(time.time())
            self._wake.wait(self.pause)

    def _is_clock_even(self, now: float) -> bool:
        """Return whether the system's clock made no step for `clock_hold` seconds, up to the Unix time `now`.

        A machine may start with a clock that is ahead until it asks the network. A machine that slept looks the same.
        """
        time_here = self._clock()
        if abs(now - time_here - self._clock_offset) > MAX_CLOCK_STEP_SECONDS:
            self._clock_offset, self._even_since = now - time_here, time_here
        return time_here - self._even_since >= self._clock_hold

    def _delete_visitors(self, now: float) -> list[int]:
        """Delete each due visitor alone, so that a failure does not keep the others. Return the bytes freed of each."""
        visitors: tuple[Visitor, ...] = self._try(self._engine.library.visitors, ())
        due = due_visitors(visitors, now, self._engine.settings.quotas)
        sizes = [self._try(partial(self._engine.expire, visitor), None) for visitor in due]
        return [size for size in sizes if size is not None]

    def _delete_damaged(self, now: float) -> int:
        return self._engine.library.delete_damaged(now - self._engine.settings.quotas.keep_hours * 3_600)

    def _compact(self) -> bool:
        started = self._clock()
        self._compaction_postponed = started < self._next_compaction
        if self._compaction_postponed:
            return False
        compacted = self._engine.compact()
        now = self._clock()
        pause = COMPACTION_PAUSE_SECONDS if compacted else 0.0
        self._next_compaction = now + max(pause, COMPACTION_PAUSE_FACTOR * (now - started))
        return compacted

    def _try(self, step: Callable[[], T], default: T) -> T:
        """Run one step, unless stopped. A failure is logged by its type alone: messages contain file names."""
        if self._stopped.is_set():
            return default
        try:
            return step()
        except Exception as error:  # noqa: BLE001 - a thread that ends would never clean up again
            self._failures += 1
            log.warning("a step of the cleanup failed: %s", type(error).__name__)
            return default


_work_folder_locks: list[int] = []
"""File descriptors of the locks that this process holds until it ends."""


def create_work_folder() -> Path:
    """Create a private folder for all temporary files of this process and its children, and return it.

    A killed process leaves its folder behind, with uploads inside. So each process locks its own, and every start
    deletes the folders whose locks are free. The folder is deleted when the process ends.
    """
    parent = Path(tempfile.gettempdir())
    for path in parent.glob(f"{WORK_FOLDER_PREFIX}*"):
        with suppress(FileNotFoundError):  # another start was faster
            if path.is_dir() and not path.is_symlink() and path.stat().st_uid == os.getuid():
                _delete_if_abandoned(path)
    while (folder := _create_locked_folder(parent)) is None:
        pass
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _create_locked_folder(parent: Path) -> Path | None:
    """Create and lock a work folder.

    Returns None if another process that started at the same time found the lock file before it was locked, and deleted
    the folder as an abandoned one.
    """
    folder = Path(tempfile.mkdtemp(prefix=WORK_FOLDER_PREFIX, dir=parent))
    lock = os.open(folder / WORK_FOLDER_LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not (folder / WORK_FOLDER_LOCK).exists():
        os.close(lock)
        return None
    _work_folder_locks.append(lock)
    return folder


def _delete_if_abandoned(folder: Path) -> None:
    """Delete a work folder if its lock is free. One without a lock file is new, or belongs to another program."""
    with suppress(OSError):
        lock = os.open(folder / WORK_FOLDER_LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
