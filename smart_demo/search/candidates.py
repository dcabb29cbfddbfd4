"""How deep the nearest pooled pages must be gone through so that a scan of every page would say the same.

A large library is not scored whole at every query. What that costs in agreement is not guessed: some queries are
answered by a full scan, and for each it is noted how far down the pooled column its first pages stand.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from smart_demo import scoring
from smart_demo.errors import SmartError
from smart_demo.page_list import PageList, Positions
from smart_demo.store import atomic_files
from smart_demo.types import SMART, Floats, Parts, QueryEncoding, Scope, StoredPage, TokenCodes

FOLDER = "checks"
TARGET = 0.99
"""Of the checked queries, the part on which the candidates must agree with a full scan,"""
TOP = 5
"""about the pages in so many first places."""
MOST = 100
"""Queries that are checked at a time."""
CHANGED = 0.1
"""A check says nothing any more once the library has so much more or less of its pages."""
_STEP, _SOME = 50, 1_000


@dataclass(frozen=True, slots=True)
class CandidateCheck:
    """What a full scan of a library said of its candidates."""

    pages: int
    """That the library had,"""
    queries: int
    """that were asked of it,"""
    agreed: int
    """and for how many of them the first places are the same."""
    depth: int
    """Candidates that are scored."""

    def holds(self, pages: int) -> bool:
        """Whether it still says something of a library of so many pages."""
        return abs(pages - self.pages) <= CHANGED * self.pages


def depths(
    queries: Sequence[QueryEncoding],
    pages: PageList,
    pooled: Floats,
    tokens: Callable[[StoredPage], TokenCodes],
    tell: Callable[[int], None] = lambda _: None,
) -> Positions:
    """For each query, how many of the nearest pooled pages it takes to have the first TOP of a scan of all pages.

    The pages are read once for all queries. `tell` hears now and then how many were. Errors of `tokens` pass through.
    """
    asked = np.concatenate([query.tokens for query in queries])
    starts = np.cumsum([0, *(len(query.tokens) for query in queries)])[:-1]
    lengths = np.array([len(query.tokens) for query in queries], np.float32)
    late = np.empty((len(pages), len(queries)), np.float32)
    for row, page in enumerate(pages):
        late[row] = np.add.reduceat(scoring.token_maxima(asked, tokens(page)), starts) / lengths
        if row % _SOME == 0:
            tell(row)
    return np.array([_depth(query, pages, pooled, late[:, at]) for at, query in enumerate(queries)], np.int64)


def _depth(query: QueryEncoding, pages: PageList, pooled: Floats, late: Floats) -> int:
    """The place by pooled of that page among the first TOP by SMART that pooled sees last."""
    cosines = (pooled @ query.pooled).astype(np.float32)
    kinds = query.kinds[:1]
    parts = Parts(kinds, pages, cosines, np.arange(len(pages)), late[:, None])
    first = [hit.pooled for hit in scoring.rank(parts, SMART, TOP).hits]
    return int((cosines >= min(first)).sum()) if first else 0


def checked(needed: Positions, pages: int, least: int, most: int) -> CandidateCheck:
    """The depth, from `least` to `most`, at which TARGET of the queries agree, and how many do at it."""
    wanted = np.sort(needed)[max(0, math.ceil(TARGET * len(needed)) - 1)] if len(needed) else 0
    depth = min(max(least, math.ceil(int(wanted) / _STEP) * _STEP), most)
    return CandidateCheck(pages, len(needed), int((needed <= depth).sum()), depth)


def keep(index_dir: Path, scope: Scope, encoder: str, found: CandidateCheck) -> None:
    """Remember a check. LibraryError or StorageFull where the disk refuses."""
    path = _path(index_dir, scope, encoder)
    with atomic_files.storage_errors("keep the check"):
        atomic_files.make_folder(path.parent)
        atomic_files.write_new(path, json.dumps(asdict(found)).encode())


def kept(index_dir: Path, scope: Scope, encoder: str) -> CandidateCheck | None:
    """The last check of a scope under an encoder; None where there is none that can be read."""
    with suppress(OSError, SmartError, ValueError, TypeError, KeyError):
        said = json.loads(atomic_files.read_whole(_path(index_dir, scope, encoder)))
        found = CandidateCheck(*(int(said[name]) for name in ("pages", "queries", "agreed", "depth")))
        if 0 <= found.agreed <= found.queries and found.depth > 0:
            return found
    return None


def forget(index_dir: Path, scope: Scope) -> None:
    """Delete what was kept of a scope. LibraryError where the disk refuses."""
    with atomic_files.storage_errors("delete the check"):
        atomic_files.unlink((index_dir / FOLDER).glob(f"{scope}.*"))


def _path(index_dir: Path, scope: Scope, encoder: str) -> Path:
    return index_dir / FOLDER / f"{scope}.{encoder}.json"
