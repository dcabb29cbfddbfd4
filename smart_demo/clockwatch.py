"""Whether the time of day can be believed. A machine that starts may have a clock that is ahead until it asks the
network, and by such a clock everything that visitors keep is long over its time.

A machine that slept looks the same. So a clock that has jumped ahead is believed once it has stayed there for a while.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from smart_demo.errors import SmartError
from smart_demo.store import atomic_files

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
