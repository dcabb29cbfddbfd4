"""Sides and grading orders of blind judging.

Both are random: a hash of the session's seed and of what is drawn. A hash is uniform, gives the same result after a
reload, and does not depend on earlier draws. The seed is 128 random bits and stays on the server until its owner
exports the journal: anyone who knows it can compute the sides, so no page receives it before a vote.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from smart_demo.types import POOLED, SMART, PageId


@dataclass(frozen=True, slots=True)
class Sides:
    """The name of the method in each column."""

    a: str
    b: str


def new_seed() -> str:
    """Return 32 random hex digits."""
    return secrets.token_hex(16)


def draw_sides(seed: str, key: str) -> Sides:
    """Draw the sides of the query with this `Query.key`. Pooled is column A for half of all keys and of all seeds.

    >>> draw_sides("00" * 16, "ab" * 8) == draw_sides("00" * 16, "ab" * 8)
    True
    """
    names = (POOLED.name, SMART.name)
    return Sides(*names) if _hash(seed, "sides", key) % 2 else Sides(*reversed(names))


def shuffled(seed: str, key: str, pages: Iterable[PageId]) -> tuple[PageId, ...]:
    """Return each page once, in a random order that does not depend on the given one."""
    return tuple(sorted(set(pages), key=lambda page: (_hash(seed, "pool", key, str(page)), page)))


def _hash(*parts: str) -> int:
    """Return 256 bits. A zero byte, which no part contains, joins the parts, so no two draws hash the same text."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest())
