"""What is drawn by lot: which method is column A, and in what order pages are graded.

A lot is a hash of the session's seed and of what it is drawn for. So it is uniform, the same again after a reload,
and does not depend on what was drawn before. The seed is 128 random bits that stay on the server until somebody
exports the journal: who has it can work out the sides, so it is sent nowhere before a vote.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from smart_demo.types import POOLED, SMART, PageId, StoredPage

A, B = "a", "b"


@dataclass(frozen=True, slots=True)
class Sides:
    """Which method stands in which column, by name."""

    a: str
    b: str


@dataclass(frozen=True)
class Columns:
    """All that may be shown before the vote: the pages of each column. No method, no score, no other rank."""

    a: tuple[StoredPage, ...]
    b: tuple[StoredPage, ...]


def new_seed() -> str:
    """32 hex digits that nobody can guess."""
    return secrets.token_hex(16)


def draw(seed: str, key: str) -> Sides:
    """The sides of one query, by its `Query.key`. Pooled is column A for half of all keys and for half of all seeds.

    >>> draw("00" * 16, "ab" * 8) == draw("00" * 16, "ab" * 8)
    True
    """
    names = (POOLED.name, SMART.name)
    return Sides(*names) if _lot(seed, "sides", key) % 2 else Sides(*reversed(names))


def shuffled(seed: str, key: str, pages: Iterable[PageId]) -> tuple[PageId, ...]:
    """Each page once, in a random order that has nothing to do with the order given."""
    return tuple(sorted(set(pages), key=lambda page: (_lot(seed, "pool", key, str(page)), page)))


def _lot(*parts: str) -> int:
    """256 bits. The parts are joined by what none of them holds, so that no two lots are drawn from one text."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest())
