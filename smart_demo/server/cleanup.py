"""Whether the time of day can be believed. A machine that starts may have a clock that is ahead until it asks the
network, and by such a clock everything that visitors keep is long over its time.

A machine that slept looks the same. So a clock that has jumped ahead is believed once it has stayed there for a while.

Temporary copies of uploads: what Gradio receives and nothing claims. Measured by the gate, swept by the janitor.

Links are never followed, and what vanishes meanwhile is nobody's fault: other threads delete here, too.

Clears up behind the page: libraries of visitors whose time is over, what is over the room of all, and the bytes
that the index keeps of both.

It runs whatever the settings of the page are now: what visitors left when it was public expires all the same.

The folder of temporary files of one process: uploads on their way, pages being drawn.

A process that is killed leaves its folder behind, with what people uploaded inside. So each holds a lock in its own,
and whoever starts removes the folders whose locks nobody holds.
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
from smart_demo.store.quotas import Visitor, old_enough
from smart_demo.types import Scope

HOLD = 900.0
"""Seconds for which a clock that jumped ahead is watched: clocks are put right within minutes of a start."""
OFTEN = 60.0
"""The time is not written down more often than this."""


class ClockWatch:
    """Remembers over restarts when the clock was last looked at, in a small file."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        """`clock` tells seconds that nobody sets."""
        self._path, self._clock = path, clock
        self._since: float | None = None

    def believes(self, now: float, most: float) -> bool:
        """Whether a time in seconds of the epoch may be acted on: not while it is more than `most` seconds after the
        last one that was believed, until that is HOLD seconds ago. A clock that was set back is believed.
        """
        last = self._last()
        if last is not None and now - last > most:
            self._since = self._clock() if self._since is None else self._since
            if self._clock() - self._since < HOLD:
                return False
        self._since = None
        if last is None or not 0 <= now - last < OFTEN:
            with suppress(OSError, SmartError):
                atomic_files.make_folder(self._path.parent)
                atomic_files.write_new(self._path, str(int(now)).encode())
        return True

    def _last(self) -> float | None:
        with suppress(OSError, ValueError, SmartError):
            return float(int(atomic_files.read_whole(self._path)[:32]))
        return None


EMPTY_SECONDS = 600
"""A file that is still empty after so long will never be filled: a stalled upload is cut off far earlier."""


class FolderUsage(NamedTuple):
    """What lies in a folder and below."""

    files: int
    octets: int


def folder_usage(folder: Path) -> FolderUsage:
    """Files and their bytes; none in a folder that is not there."""
    sizes = [facts.st_size for _, facts in _below(folder) if not stat.S_ISDIR(facts.st_mode)]
    return FolderUsage(len(sizes), sum(sizes))


def delete_leftovers(folder: Path, older_than_seconds: float, keep: Container[Path]) -> int:
    """Delete the files below `folder` that nothing touched for so long, and the folders that are left empty.

    Empty files go sooner (`EMPTY_SECONDS`). `keep` are the paths of files on their way, as they were submitted. Returns
    the bytes that were freed. `folder` itself stays.
    """
    now, freed = time.time(), 0
    empty = min(older_than_seconds, EMPTY_SECONDS)
    for path, facts in sorted(_below(folder), key=lambda entry: len(entry[0].parts), reverse=True):
        age = now - max(facts.st_mtime, facts.st_ctime)  # a copy has the time of what it is a copy of
        with suppress(OSError):
            if stat.S_ISDIR(facts.st_mode):
                if age > empty:
                    path.rmdir()  # which the system refuses while there is something in it
            elif path not in keep and age > (older_than_seconds if facts.st_size else empty):
                path.unlink()
                freed += facts.st_size
    return freed


def _below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Everything below a folder with what the system says of it, folders among them."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                facts = entry.stat(follow_symlinks=False)
                yield Path(entry.path), facts
                if stat.S_ISDIR(facts.st_mode):
                    yield from _below(Path(entry.path))


log = logging.getLogger(__name__)
EVERY = 300.0
"""Seconds between rounds."""
REST, SHARE = 60.0, 20
"""Between two buildings of the index lie so many seconds, and so many times what the last one took: whoever adds and
deletes over and over must not keep the machine at it."""
Sweep = Callable[[float], int]
"""Clears the folder of uploads at a time in seconds of the epoch; bytes that were freed."""
Forgotten = Callable[[Scope], object]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did. Counts only."""

    expired: int = 0
    """Visitors whose libraries and judgements were unchanged for too long,"""
    displaced: int = 0
    """and those that had to go because all together were over their room."""
    bytes: int = 0
    """Freed of both."""
    damaged: int = 0
    """Old damaged files of visitors."""
    swept: int = 0
    """Bytes of uploaded files that nobody read any more."""
    compacted: bool = False
    """Whether the index was built anew."""
    troubles: int = 0
    """Steps that failed; the next round tries them again."""


class Cleanup:
    """One thread of the process, and one round at a time."""

    def __init__(self, engine: Engine, every: float = EVERY, clock: Callable[[], float] = time.monotonic) -> None:
        """`every`: seconds between rounds. `clock` tells seconds that nobody sets."""
        self._engine, self._every, self._clock = engine, every, clock
        self._watch = ClockWatch(engine.settings.index_dir / "clock.seen", clock)
        self._next = -math.inf
        """When the index may be built anew, by that clock;"""
        self._waits = False
        """and whether that was put off."""
        self._sweep: Sweep = lambda _: 0
        self._forgotten: Forgotten = lambda _: None
        self._wake, self._stopped, self._round = threading.Event(), threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._troubles = 0

    def attend(self, sweep: Sweep, forgotten: Forgotten) -> None:
        """Of one page: `sweep` clears the folder of uploads; `forgotten` is told of each visitor who was forgotten, so
        that whoever remembers anything of them lets go.
        """
        self._sweep, self._forgotten = sweep, forgotten
        self._engine.attend(self._displaced)

    def start(self) -> None:
        """One round now, and one every few minutes."""
        self._thread = threading.Thread(target=self._work, name="janitor", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Have a round soon: somebody deleted something. Returns at once."""
        self._wake.set()

    def stop(self) -> None:
        """No further step; wait for the one at hand, at most two seconds: closing the library ends a long one."""
        self._stopped.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(2.0)

    def round(self, now: float) -> Round:
        """Clear up what is due at a time in seconds of the epoch; by a clock that jumped ahead nothing is due until it
        has stayed there. Never raises.
        """
        with self._round:
            self._troubles = 0
            keep = self._engine.settings.quotas.keep_hours * 3_600
            by = now if self._watch.believes(now, keep) else -math.inf
            expired, freed = self._forget(self._expired(by))
            displaced, more = self._forget(self._over(by))
            damaged = self._try(lambda: self._engine.library.drop_damaged(by - keep), 0)
            swept = self._try(lambda: self._sweep(now), 0)
            compacted = self._try(self._compact, False)
            done = Round(expired, displaced, freed + more, damaged, swept, compacted, self._troubles)
        if done != Round():
            log.info("cleared up: %s", done)
        return done

    def _work(self) -> None:
        while not self._stopped.is_set():
            self._wake.clear()
            self.round(time.time())
            self._wake.wait(self.pause)

    @property
    def pause(self) -> float:
        """Seconds until the next round where nobody wakes: fewer where the index waits to be built anew."""
        return min(self._every, max(0.0, self._next - self._clock())) if self._waits else self._every

    def _compact(self) -> bool:
        begun = self._clock()
        self._waits = begun < self._next
        if self._waits:
            return False
        compacted = self._engine.compact()
        now = self._clock()
        self._next = now + max(REST if compacted else 0.0, SHARE * (now - begun))
        return compacted

    def _expired(self, now: float) -> list[Visitor]:
        """A library that seems to be of the future, as after a clock was set back, is as good as new."""
        oldest = now - self._engine.settings.quotas.keep_hours * 3_600
        return [visitor for visitor in self._visitors() if visitor.changed < oldest]

    def _over(self, now: float) -> list[Visitor]:
        """Those unchanged for longest, until the others fit or are too new to go."""
        visitors, gone = self._visitors(), []
        total = sum(visitor.bytes for visitor in visitors)
        for visitor in old_enough(visitors, now):
            if total <= self._engine.settings.quotas.total_bytes:
                break
            total -= visitor.bytes
            gone.append(visitor)
        return gone

    def _visitors(self) -> tuple[Visitor, ...]:
        return self._try(self._engine.library.visitors, ())

    def _forget(self, visitors: list[Visitor]) -> tuple[int, int]:
        """(how many, bytes freed); each alone, so that one that cannot be deleted keeps none of the others."""
        freed = [self._try(partial(self._forget_one, visitor), None) for visitor in visitors]
        done = [size for size in freed if size is not None]
        return len(done), sum(done)

    def _forget_one(self, visitor: Visitor) -> int | None:
        freed = self._engine.expire(visitor)
        if freed is not None:
            self._forgotten(visitor.scope)
        return freed

    def _displaced(self, scope: Scope) -> None:
        """A visitor made way for another between two rounds."""
        self._try(partial(self._forgotten, scope), None)
        self.wake()

    def _try(self, step: Callable[[], T], otherwise: T) -> T:
        """One step, unless the janitor was stopped. What went wrong is logged by kind: messages name files."""
        if self._stopped.is_set():
            return otherwise
        try:
            return step()
        except Exception as error:  # noqa: BLE001 - a thread that ends would never clear up again
            self._troubles += 1
            log.warning("a step of clearing up failed: %s", type(error).__name__)
            return otherwise


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
