"""Memory of the process: free memory goes back to the system.

Three causes kept it, and a server under load grew to 1.9 GB in three minutes (`make load` watches it).

- glibc gives threads arenas of their own, eight for each core, and each keeps the most that it ever held. Pages are
  read in one thread after another and answers are made in forty, so the largest page and the largest picture were held
  many times. So all threads share two arenas, and their free memory is released at intervals.
- MKL keeps the buffers of products for each thread that ever made one, 6 MB in each of forty (found with memray). To
  allocate them anew costs no measurable time.
- Python's collector looks for cycles only after the new objects reach a quarter of the old ones. Libraries make 700,000
  old ones, so dead answers and pictures wait long. So the old objects are frozen once, and the rest is collected at
  intervals: in milliseconds, while a full collection took half a second.
"""

from __future__ import annotations

import ctypes
import gc
import os
import threading
from collections.abc import Callable
from typing import Any

MALLOC_ARENAS = 2
RELEASE_INTERVAL_SECONDS = 20.0
RELEASES_BEFORE_FREEZE = 3
"""Number of releases after which the objects that exist are frozen: they are loaded to stay."""
_M_ARENA_MAX = -8
"""Constant of malloc.h."""


def limit_malloc_arenas() -> bool:
    """Make all threads share a few arenas and keep no buffers; return whether the system does it.

    Call it before any thread starts and before torch is imported. MALLOC_ARENA_MAX and MKL_DISABLE_FAST_MM, if set in
    the environment, have precedence.
    """
    os.environ.setdefault("MKL_DISABLE_FAST_MM", "1")
    return "MALLOC_ARENA_MAX" in os.environ or _call_libc(lambda libc: libc.mallopt(_M_ARENA_MAX, MALLOC_ARENAS))


def release_free_memory() -> bool:
    """Collect garbage and return free memory to the system; return whether there was any."""
    gc.collect()
    return _call_libc(lambda libc: libc.malloc_trim(0))


def start_periodic_release(interval: float = RELEASE_INTERVAL_SECONDS) -> Callable[[], None]:
    """Release free memory every `interval` seconds in a daemon thread, and return a function that stops it."""
    stopped = threading.Event()

    def work() -> None:
        rounds = 0
        while not stopped.wait(interval):
            release_free_memory()
            rounds += 1
            if rounds == RELEASES_BEFORE_FREEZE:
                gc.freeze()

    threading.Thread(target=work, name="memory release", daemon=True).start()
    return stopped.set


def _call_libc(function: Callable[[Any], int]) -> bool:
    """Return the result of a call of the C library as a bool; False if the library is not glibc."""
    try:
        return bool(function(ctypes.CDLL(None)))
    except (OSError, TypeError, AttributeError):
        return False
