"""Clears up behind the page: libraries of visitors whose time is over, what is over the room of all, and the bytes
that the index keeps of both.

It runs whatever the settings of the page are now: what visitors left when it was public expires all the same.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from smart_demo.clockwatch import ClockWatch
from smart_demo.engine import Engine
from smart_demo.store.quotas import Visitor, old_enough
from smart_demo.types import Scope

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


class Janitor:
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
