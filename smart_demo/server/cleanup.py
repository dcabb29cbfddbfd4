"""Deletion of what is no longer needed: expired visitors, old uploads, and folders of killed processes.

`Cleanup` runs whatever the settings of the page are now: what visitors left when it was public expires all the same.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import math
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from smart_demo.engine import Engine
from smart_demo.errors import SmartError
from smart_demo.store import atomic_files
from smart_demo.store.quotas import Visitor, evictable_visitors
from smart_demo.types import Scope

CLEANUP_INTERVAL_SECONDS = 300.0
COMPACTION_PAUSE_SECONDS, COMPACTION_PAUSE_FACTOR = 60.0, 20
"""Minimum pause between two rebuilds of the index: these seconds, and this many times the duration of the last rebuild.
Otherwise a visitor who adds and deletes in a loop would keep the machine busy with it."""
CLOCK_HOLD_SECONDS = 900.0
"""Time for which a clock that jumped ahead is not trusted: clocks are corrected within minutes of a start."""
CLOCK_WRITE_SECONDS = 60.0
"""Minimum time between two writes of the last trusted time."""
MAX_EMPTY_FILE_SECONDS = 600
"""Age from which an empty file is deleted: it will never be filled, as a stalled upload is cut off far earlier."""
WORK_FOLDER_PREFIX = "smart-demo-"
WORK_FOLDER_LOCK = "lock"
"""Name of a file in each work folder. It is created and locked before any other file."""

Sweep = Callable[[float], int]
"""Deletes old uploads at a time in seconds of the epoch, and returns the bytes that were freed."""
VisitorDeleted = Callable[[Scope], object]
T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CleanupResult:
    """What one round deleted, in numbers only."""

    expired: int = 0
    """Visitors whose libraries and judgements were unchanged for too long."""
    evicted: int = 0
    """Visitors who were deleted because all together exceeded their quota."""
    bytes: int = 0
    """Bytes that these visitors' data took."""
    damaged: int = 0
    """Old damaged files of visitors."""
    swept: int = 0
    """Bytes of uploads that were never read."""
    compacted: bool = False
    """Whether the index was rebuilt."""
    failures: int = 0
    """Steps that failed. The next round repeats them."""


class Cleanup:
    """A thread that deletes what is due every few minutes, one round at a time."""

    def __init__(
        self,
        engine: Engine,
        interval: float = CLEANUP_INTERVAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`interval`: seconds between rounds. `clock`: a monotonic clock in seconds."""
        self._engine, self._interval, self._clock = engine, interval, clock
        self._watch = ClockWatch(engine.settings.index_dir / "clock.seen", clock)
        self._next_compaction = -math.inf
        """Time by `clock` from which the index may be rebuilt."""
        self._compaction_postponed = False
        self._sweep: Sweep = lambda _: 0
        self._on_deleted: VisitorDeleted = lambda _: None
        self._wake, self._stopped, self._round = threading.Event(), threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._failures = 0

    def connect(self, sweep: Sweep, on_deleted: VisitorDeleted) -> None:
        """Set the page's callbacks: `sweep` deletes old uploads; `on_deleted` is called for each deleted visitor.

        `on_deleted` also runs when another visitor's upload evicts one between two rounds.
        """
        self._sweep, self._on_deleted = sweep, on_deleted
        self._engine.set_eviction_listener(self._on_evicted)

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
        """Delete what is due at a time in seconds of the epoch. Never raises.

        While the clock is not trusted (`ClockWatch`), no visitor is due.
        """
        with self._round:
            self._failures = 0
            keep = self._engine.settings.quotas.keep_hours * 3_600
            trusted_now = now if self._watch.is_trusted(now, keep) else -math.inf
            expired, expired_bytes = self._delete_all(self._expired(trusted_now))
            evicted, evicted_bytes = self._delete_all(self._over_quota(trusted_now))
            damaged = self._try(lambda: self._engine.library.delete_damaged(trusted_now - keep), 0)
            swept = self._try(lambda: self._sweep(now), 0)
            compacted = self._try(self._compact, False)
            freed = expired_bytes + evicted_bytes
            result = CleanupResult(expired, evicted, freed, damaged, swept, compacted, self._failures)
        if result != CleanupResult():
            log.info("cleaned up: %s", result)
        return result

    def _work(self) -> None:
        while not self._stopped.is_set():
            self._wake.clear()
            self.run_once(time.time())
            self._wake.wait(self.pause)

    @property
    def pause(self) -> float:
        """Seconds until the next round without a `wake`: fewer if a rebuild of the index was postponed."""
        if not self._compaction_postponed:
            return self._interval
        return min(self._interval, max(0.0, self._next_compaction - self._clock()))

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

    def _expired(self, now: float) -> list[Visitor]:
        """Return visitors unchanged for too long. One changed in the future (the clock was set back) is not expired."""
        oldest = now - self._engine.settings.quotas.keep_hours * 3_600
        return [visitor for visitor in self._visitors() if visitor.changed < oldest]

    def _over_quota(self, now: float) -> list[Visitor]:
        """Return the visitors to evict, longest unchanged first, until the others fit or changed too recently."""
        visitors, evicted = self._visitors(), []
        total = sum(visitor.bytes for visitor in visitors)
        for visitor in evictable_visitors(visitors, now):
            if total <= self._engine.settings.quotas.total_bytes:
                break
            total -= visitor.bytes
            evicted.append(visitor)
        return evicted

    def _visitors(self) -> tuple[Visitor, ...]:
        return self._try(self._engine.library.visitors, ())

    def _delete_all(self, visitors: list[Visitor]) -> tuple[int, int]:
        """Delete each visitor alone, so that a failure does not keep the others; return (count, bytes freed)."""
        sizes = [self._try(partial(self._delete, visitor), None) for visitor in visitors]
        freed = [size for size in sizes if size is not None]
        return len(freed), sum(freed)

    def _delete(self, visitor: Visitor) -> int | None:
        freed = self._engine.expire(visitor)
        if freed is not None:
            self._on_deleted(visitor.scope)
        return freed

    def _on_evicted(self, scope: Scope) -> None:
        self._try(partial(self._on_deleted, scope), None)
        self.wake()

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


class ClockWatch:
    """Detects clocks that jump ahead, so that they expire no visitor. It remembers the last time in a small file.

    A machine may start with a clock that is ahead until it asks the network. A machine that slept looks the same, so
    after a jump the clock is trusted once it has stayed there for CLOCK_HOLD_SECONDS.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        """`path`: the file of the last trusted time. `clock`: a monotonic clock in seconds."""
        self._path, self._clock = path, clock
        self._jumped: float | None = None
        """Time by `clock` of the first look after the jump, or None if there was none."""

    def is_trusted(self, now: float, max_jump: float) -> bool:
        """Return whether a time in seconds of the epoch may be acted on.

        It is not if it is more than `max_jump` seconds after the last trusted time, for CLOCK_HOLD_SECONDS. A clock
        that was set back is trusted.
        """
        last = self._read_last()
        if last is not None and now - last > max_jump:
            self._jumped = self._clock() if self._jumped is None else self._jumped
            if self._clock() - self._jumped < CLOCK_HOLD_SECONDS:
                return False
        self._jumped = None
        if last is None or not 0 <= now - last < CLOCK_WRITE_SECONDS:
            with suppress(OSError, SmartError):
                atomic_files.make_folder(self._path.parent)
                atomic_files.write_file(self._path, str(int(now)).encode())
        return True

    def _read_last(self) -> float | None:
        with suppress(OSError, ValueError, SmartError):
            return float(int(atomic_files.read_file(self._path)[:32]))
        return None


class FolderUsage(NamedTuple):
    """The files of a folder and of all folders below it."""

    files: int
    bytes: int


def measure_folder(folder: Path) -> FolderUsage:
    """Return the number and size of the files below a folder; zero if it does not exist."""
    sizes = [info.st_size for _, info in _walk(folder) if not stat.S_ISDIR(info.st_mode)]
    return FolderUsage(len(sizes), sum(sizes))


def delete_leftovers(folder: Path, older_than_seconds: float, keep: Container[Path]) -> int:
    """Delete old files below `folder` and the folders that become empty; return the bytes that were freed.

    A file's age counts from its last change. Empty files are deleted after MAX_EMPTY_FILE_SECONDS.
    `keep`: paths of submitted files that are still to be read. `folder` itself stays.
    """
    now, freed = time.time(), 0
    max_empty_age = min(older_than_seconds, MAX_EMPTY_FILE_SECONDS)
    for path, info in sorted(_walk(folder), key=lambda entry: len(entry[0].parts), reverse=True):
        age = now - max(info.st_mtime, info.st_ctime)  # a copy keeps the modification time of its original
        with suppress(OSError):
            if stat.S_ISDIR(info.st_mode):
                if age > max_empty_age:
                    path.rmdir()  # which the system refuses if it is not empty
            elif path not in keep and age > (older_than_seconds if info.st_size else max_empty_age):
                path.unlink()
                freed += info.st_size
    return freed


def _walk(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield every file and folder below a folder with its status.

    Links are not followed. Entries that vanish while other threads delete are skipped.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                info = entry.stat(follow_symlinks=False)
                yield Path(entry.path), info
                if stat.S_ISDIR(info.st_mode):
                    yield from _walk(Path(entry.path))


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
