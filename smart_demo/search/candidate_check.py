"""The check of the candidates: how many of the nearest pooled pages give the same first results as a full scan.

Not every page of a large library is scored token by token. The loss of agreement is measured: some queries are answered
by a full scan, and for each the place of its first pages in the pooled ranking is recorded.
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
from smart_demo.methods import SMART, Parts
from smart_demo.page_list import PageList, Positions
from smart_demo.store import atomic_files
from smart_demo.types import Floats, QueryEncoding, Scope, StoredPage, TokenCodes

CHECKS_FOLDER = "checks"
CHECKED_TOP = 5
"""Number of first results that must equal those of a full scan."""
MIN_AGREEMENT = 0.99
"""Share of the checked queries whose first results must equal those of a full scan."""
MAX_CHECKED_QUERIES = 100
"""Maximum number of queries in one check."""
MAX_SIZE_CHANGE = 0.1
"""Relative change of the number of pages after which a check is outdated."""
_DEPTH_STEP = 50
"""Depths are rounded up to multiples of this."""
_PAGES_BETWEEN_PROGRESS = 1_000


@dataclass(frozen=True, slots=True)
class CandidateCheck:
    """The result of comparing a library's candidates with a full scan."""

    pages: int
    """Pages of the library at the time of the check."""
    queries: int
    """Number of checked queries."""
    agreed: int
    """Number of queries whose first results equal those of the full scan."""
    depth: int
    """Number of candidates that are scored."""

    def holds(self, pages: int) -> bool:
        """Return whether the check still applies to a library of `pages` pages."""
        return abs(pages - self.pages) <= MAX_SIZE_CHANGE * self.pages


def find_depths(
    queries: Sequence[QueryEncoding],
    pages: PageList,
    pooled: Floats,
    tokens: Callable[[StoredPage], TokenCodes],
    on_progress: Callable[[int], None] = lambda _: None,
) -> Positions:
    """Return how many nearest pooled pages contain the first CHECKED_TOP of a full scan, for each query.

    pooled: (N, P). The pages are read once for all queries. `on_progress` is called with the number of pages read.
    Errors of `tokens` pass through.
    """
    query_tokens = np.concatenate([query.tokens for query in queries])
    starts = np.cumsum([0, *(len(query.tokens) for query in queries)])[:-1]
    lengths = np.array([len(query.tokens) for query in queries], np.float32)
    late = np.empty((len(pages), len(queries)), np.float32)
    for row, page in enumerate(pages):
        late[row] = np.add.reduceat(scoring.token_maxima(query_tokens, tokens(page)), starts) / lengths
        if row % _PAGES_BETWEEN_PROGRESS == 0:
            on_progress(row)
    return np.array([_find_depth(query, pages, pooled, late[:, at]) for at, query in enumerate(queries)], np.int64)


def _find_depth(query: QueryEncoding, pages: PageList, pooled: Floats, late: Floats) -> int:
    """Return the largest rank in the pooled ranking of the first CHECKED_TOP pages by SMART."""
    cosines = (pooled @ query.pooled).astype(np.float32)
    kinds = query.kinds[:1]
    parts = Parts(kinds, pages, cosines, np.arange(len(pages)), late[:, None])
    first = [hit.pooled for hit in scoring.rank(parts, SMART, CHECKED_TOP).hits]
    return int((cosines >= min(first)).sum()) if first else 0


def choose_depth(depths: Positions, pages: int, min_depth: int, max_depth: int) -> CandidateCheck:
    """Return the check with the smallest depth from `min_depth` to `max_depth` that reaches MIN_AGREEMENT.

    If none reaches it, the depth is `max_depth`.
    """
    required = np.sort(depths)[max(0, math.ceil(MIN_AGREEMENT * len(depths)) - 1)] if len(depths) else 0
    depth = min(max(min_depth, math.ceil(int(required) / _DEPTH_STEP) * _DEPTH_STEP), max_depth)
    return CandidateCheck(pages, len(depths), int((depths <= depth).sum()), depth)


def save_check(index_dir: Path, scope: Scope, encoder: str, check: CandidateCheck) -> None:
    """Save a check. Raises LibraryError or StorageFull if it cannot be written."""
    path = _path(index_dir, scope, encoder)
    with atomic_files.storage_errors("save the check"):
        atomic_files.make_folder(path.parent)
        atomic_files.write_file(path, json.dumps(asdict(check)).encode())


def load_check(index_dir: Path, scope: Scope, encoder: str) -> CandidateCheck | None:
    """Load the last check of a scope under an encoder, or return None if there is no readable one."""
    with suppress(OSError, SmartError, ValueError, TypeError, KeyError):
        row = json.loads(atomic_files.read_file(_path(index_dir, scope, encoder)))
        check = CandidateCheck(*(int(row[name]) for name in ("pages", "queries", "agreed", "depth")))
        if 0 <= check.agreed <= check.queries and check.depth > 0:
            return check
    return None


def delete_checks(index_dir: Path, scope: Scope) -> None:
    """Delete the checks of a scope. Raises LibraryError if they cannot be deleted."""
    with atomic_files.storage_errors("delete the check"):
        atomic_files.delete_files((index_dir / CHECKS_FOLDER).glob(f"{scope}.*"))


def _path(index_dir: Path, scope: Scope, encoder: str) -> Path:
    return index_dir / CHECKS_FOLDER / f"{scope}.{encoder}.json"
