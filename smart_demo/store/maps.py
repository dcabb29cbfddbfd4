"""How many token files may stay mapped at once."""

from __future__ import annotations

import resource
import sys

MAPS = 4_096
"""Token files that stay mapped between searches, where the system allows so many open files."""


def allow_many() -> int:
    """How many token files may stay mapped: each holds an open file, of which many systems allow 1,024 at first.

    Lifts this process's own limit as far as it may; three files in four are left to everybody else.
    """
    limits, wanted = resource.getrlimit(resource.RLIMIT_NOFILE), 4 * MAPS
    soft, hard = (sys.maxsize if limit == resource.RLIM_INFINITY else limit for limit in limits)
    if soft < wanted <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, limits[1]))
        soft = wanted
    return min(MAPS, soft // 4)
