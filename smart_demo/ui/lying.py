"""Copies of uploads that lie here until they are read: how many, how large, whose. Gradio keeps one folder of them for
the whole process, so there is one account of it.

Where room is short, what nothing has claimed goes first, the oldest before the others; nobody is refused for it before.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakMethod

from smart_demo.leftovers import Held, held
from smart_demo.ui.bodies import Refused

MOST_LYING = 2_000
"""Files in the folder of uploads, however small."""
UNCLAIMED = 60.0
"""Seconds after its arrival from which a copy that nothing has claimed makes room for others."""
FRESH = 1.0
"""Seconds for which a measurement of the folder is good."""
MARGIN = 2**20
"""Bytes that must be free beyond what is there: uploads are looked at again after so many."""
FULL = 503, "Too many uploads wait to be read; try again in a few minutes."
YOURS = 429, "Your earlier uploads still wait to be read; add more when they are through."
Claims = Callable[[], Iterable[Path]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may lie here."""

    folder: Path
    octets: int
    """Of everybody."""
    each: Held | None = None
    """Of one asker; None where there is one owner."""


@dataclass(slots=True)
class _Copy:
    path: Path
    whose: str
    at: float


class Lying:
    """Safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._copies: list[_Copy] = []
        """In the order of their arrival, those that were moved or read a moment ago among them."""
        self._claims: list[WeakMethod[Claims]] = []
        self._measured: tuple[Path, float, Held, int] | None = None
        """Which folder, when, what lay there, and how many bytes had come until then."""
        self._written = 0

    def attend(self, claims: Claims) -> None:
        """A bound method that says which copies are on their way to be read; forgotten with its object."""
        with self._lock:
            self._claims.append(WeakMethod(claims))

    def arrived(self, whose: str, paths: Iterable[Path]) -> None:
        """Copies that Gradio told somebody of."""
        with self._lock:
            self._copies += [_Copy(path, whose, self._clock()) for path in paths]

    def came(self, octets: int) -> None:
        """Bytes that are being written."""
        self._written += octets

    async def make_room(self, bounds: Bounds, whose: str, coming: int = 0) -> None:
        """Refused where no more may lie here, of all or of somebody, `coming` bytes of whose are on their way."""
        refused = await asyncio.to_thread(self._make_room, bounds, whose, coming)
        if refused is not None:
            raise Refused(*refused)

    def _make_room(self, bounds: Bounds, whose: str, coming: int) -> tuple[int, str] | None:
        with self._lock:
            short = self._short(bounds, whose, coming)
            if short is FULL:
                self._measured = None  # much of what came since may have been refused and be gone
                short = self._short(bounds, whose, coming)
            if short is None:
                return None
            claimed = {path for claims in self._claims if (told := claims()) is not None for path in told()}
            for copy in list(self._copies):
                if (
                    self._clock() - copy.at < UNCLAIMED
                    or copy.path in claimed
                    or (short is YOURS and copy.whose != whose)
                ):
                    continue
                self._drop(copy)
                short = self._short(bounds, whose, coming)
                if short is None:
                    return None
            return short

    def _short(self, bounds: Bounds, whose: str, coming: int) -> tuple[int, str] | None:
        """Which bound is met."""
        lying = self._measure(bounds.folder)
        if lying.files >= MOST_LYING or lying.octets + MARGIN > bounds.octets:
            return FULL
        if bounds.each is not None:
            own = _sizes(copy.path for copy in self._copies if copy.whose == whose)
            if own.files >= bounds.each.files or own.octets + coming + MARGIN > bounds.each.octets:
                return YOURS
        return None

    def _measure(self, folder: Path) -> Held:
        """What lies in the folder, with what came since it was last looked at."""
        now = self._clock()
        if self._measured is None or self._measured[0] != folder or now - self._measured[1] >= FRESH:
            self._copies = [copy for copy in self._copies if now - copy.at < UNCLAIMED or copy.path.exists()]
            written = self._written
            self._measured = folder, now, held(folder), written
        _, _, lying, written = self._measured
        return Held(lying.files, lying.octets + self._written - written)

    def _drop(self, copy: _Copy) -> None:
        self._copies.remove(copy)
        self._measured = None
        with suppress(OSError):
            copy.path.unlink()
            copy.path.parent.rmdir()  # which the system refuses while there is something in it


def _sizes(paths: Iterable[Path]) -> Held:
    """Those of the files that are there, each once."""
    sizes = []
    for path in set(paths):
        with suppress(OSError):
            sizes.append(path.stat(follow_symlinks=False).st_size)
    return Held(len(sizes), sum(sizes))


LYING = Lying()
