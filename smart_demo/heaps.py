"""Memory that was needed once is given back.

glibc hands threads heaps of their own, eight for each core, and each keeps the most that it ever held. Pages are read
in one thread after another and answers made in forty, so a server came to hold its largest page and its largest
picture many times over: 1.9 GB after three minutes with twenty visitors, and growing. Two heaps for all threads,
emptied of what nobody uses any more, hold what is needed (`make load` watches it).
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from typing import Any

HEAPS = 2
EVERY = 20.0
"""Seconds after which what is free is given back again; that takes some milliseconds."""
_M_ARENA_MAX = -8
"""Of malloc.h."""


def share_heaps() -> bool:
    """Have all threads share a few heaps, from now on: call it before there are any. Whether the system does it.

    Whoever sets MALLOC_ARENA_MAX has decided already.
    """
    return "MALLOC_ARENA_MAX" in os.environ or _ask(lambda libc: libc.mallopt(_M_ARENA_MAX, HEAPS))


def give_back() -> bool:
    """Give the system what the heaps hold and nobody uses. Whether there was anything."""
    return _ask(lambda libc: libc.malloc_trim(0))


def keep_giving_back(every: float = EVERY) -> Callable[[], None]:
    """Do it every so many seconds, in a thread of the process. What is returned ends it."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(every):
            give_back()

    threading.Thread(target=work, name="heaps", daemon=True).start()
    return over.set


def _ask(question: Callable[[Any], int]) -> bool:
    """Of the C library, where it is glibc; no anywhere else."""
    try:
        return bool(question(ctypes.CDLL(None)))
    except (OSError, TypeError, AttributeError):
        return False
