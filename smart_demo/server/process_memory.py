"""Memory that was needed once is given back.

Three things kept it, and a server under load grew to 1.9 GB in three minutes (`make load` watches it).

glibc hands threads heaps of their own, eight for each core, and each keeps the most that it ever held. Pages are read
in one thread after another and answers made in forty, so the largest page and the largest picture were held many times
over. So there are two heaps for all threads, and what is free in them goes back to the system now and then.

MKL keeps the buffers of products for each thread that ever made one, 6 MB in each of forty (found with memray). They
cost no time that can be measured to be had anew.

Python looks for unused objects that name each other only once a quarter as many are new as there are old ones. Of
these, libraries make 700,000, so dead answers and pictures wait long. So the old ones are taken out of the count once,
and the rest is looked through now and then: milliseconds, where all took half a second.
"""

from __future__ import annotations

import ctypes
import gc
import os
import threading
from collections.abc import Callable
from typing import Any

HEAPS = 2
EVERY = 20.0
"""Seconds after which what is free is given back again."""
STARTED = 3
"""Rounds after which what is loaded stays loaded."""
_M_ARENA_MAX = -8
"""Of malloc.h."""


def share_heaps() -> bool:
    """Have all threads share a few heaps and keep no buffers, from now on: call it before there are any, and before
    torch is imported. Whether the system does it.

    Whoever sets MALLOC_ARENA_MAX or MKL_DISABLE_FAST_MM has decided already.
    """
    os.environ.setdefault("MKL_DISABLE_FAST_MM", "1")
    return "MALLOC_ARENA_MAX" in os.environ or _ask(lambda libc: libc.mallopt(_M_ARENA_MAX, HEAPS))


def give_back() -> bool:
    """Delete what nobody uses, and give the system what the heaps hold of it. Whether there was anything to give."""
    gc.collect()
    return _ask(lambda libc: libc.malloc_trim(0))


def keep_giving_back(every: float = EVERY) -> Callable[[], None]:
    """Do it every so many seconds, in a thread of the process. What is returned ends it."""
    over = threading.Event()

    def work() -> None:
        rounds = 0
        while not over.wait(every):
            give_back()
            rounds += 1
            if rounds == STARTED:
                gc.freeze()

    threading.Thread(target=work, name="heaps", daemon=True).start()
    return over.set


def _ask(question: Callable[[Any], int]) -> bool:
    """Of the C library, where it is glibc; no anywhere else."""
    try:
        return bool(question(ctypes.CDLL(None)))
    except (OSError, TypeError, AttributeError):
        return False
