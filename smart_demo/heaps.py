"""Few heaps for many threads.

glibc hands threads heaps of their own, eight for each core, and every heap keeps the most that it ever held. Pages are
read in one thread after another and answers made in forty, so a server came to hold the largest page and the largest
picture many times over: 1.9 GB after three minutes with twenty visitors, and growing. With two heaps it stays at what
it needs, and nothing was slower (measured by `make load`).
"""

from __future__ import annotations

import ctypes
import os

HEAPS = 2
_M_ARENA_MAX = -8
"""Of malloc.h."""


def share_heaps() -> bool:
    """Have all threads share a few heaps, from now on: call it before there are any. Whether the system does it.

    Whoever sets MALLOC_ARENA_MAX has decided already.
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return True
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, HEAPS))
    except (OSError, TypeError, AttributeError):  # another C library, or another system
        return False
