"""Token states that stay in memory, side by side, so that one product spans many pages without copying at query time.

Pages are copied into blocks as they are first read, within a budget; what does not fit is read from its file's map. A
block holds pages of one scope and encoder. When one of its pages goes, the whole block goes with it: whoever still
multiplies it keeps it alive until then, nobody waits, and nothing of a deleted page stays behind for a neighbour's
sake. The pages that were its neighbours come back when they are next read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from smart_demo.store.token_file import TokenFileBody
from smart_demo.types import Codes, PageId, Scope

BLOCK = 2**25
"""Bytes of a block, at most: some 16 to 90 thousand tokens, as many as one product likes."""
FIRST = 2**21
"""Bytes of the first block of a kind, each further one is twice as large: a visitor with one page takes no more, and
the system gives memory by so many bytes.
"""
Key = tuple[Scope, str, PageId]
Kind = tuple[Scope, str, str, int]
"""Scope, encoder, type and width: what pages of one block have in common."""


@dataclass(eq=False)
class _Block:
    """Rows of many pages, filled from the top."""

    rows: Codes
    filled: int = 0
    keys: list[Key] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return self.rows[: self.filled].nbytes


class TokenCache:
    """Bodies whose codes lie in blocks. Not safe for threads by itself: the catalogue calls it under its lock, and
    copies between `reserve` and `publish`, without it.
    """

    def __init__(self, budget: int) -> None:
        """budget: bytes of codes."""
        self._budget = budget
        self._bodies: dict[Key, TokenFileBody] = {}
        self._homes: dict[Key, _Block] = {}
        """Of the bodies, and of those that are being copied: whoever goes meanwhile takes the block along."""
        self._open: dict[Kind, _Block] = {}
        self.bytes = 0
        """Of codes, in all blocks."""

    def __len__(self) -> int:
        return len(self._bodies)

    def get(self, key: Key) -> TokenFileBody | None:
        """The page's body, if it is kept here."""
        return self._bodies.get(key)

    def has_room_for(self, codes: Codes) -> bool:
        """Whether the budget allows for them."""
        return self.bytes + codes.nbytes <= self._budget

    def reserve(self, key: Key, codes: Codes) -> Codes | None:
        """Rows for a page's codes, beside others of its kind. None where the budget is spent or somebody was first."""
        if key in self._homes or not self.has_room_for(codes):
            return None
        block = self._block((key[0], key[1], codes.dtype.str, codes.shape[1]), codes)
        begin, block.filled = block.filled, block.filled + len(codes)
        block.keys.append(key)
        self._homes[key] = block
        self.bytes += codes.nbytes
        return block.rows[begin : block.filled]

    def publish(self, key: Key, body: TokenFileBody) -> bool:
        """Keep a body whose codes fill the rows that were reserved for it. False where they went meanwhile."""
        home, rows = self._homes.get(key), body.codes.codes
        if home is None or rows.base is not home.rows:
            return False
        self._bodies[key] = body
        return True

    def drop(self, keys: Iterable[Key]) -> None:
        """Let go of pages, and of the blocks that they lie in."""
        for block in {id(home): home for key in keys if (home := self._homes.get(key))}.values():
            self.bytes -= block.bytes
            for key in block.keys:
                self._bodies.pop(key, None)
                del self._homes[key]
            self._open = {kind: one for kind, one in self._open.items() if one is not block}

    def _block(self, kind: Kind, codes: Codes) -> _Block:
        """The open block of a kind, or a new one if these codes do not fit into it."""
        block = self._open.get(kind)
        if block is None or block.filled + len(codes) > len(block.rows):
            size = min(BLOCK, 2 * block.rows.nbytes if block else FIRST)
            rows = max(len(codes), size // (codes.itemsize * codes.shape[1]))
            block = self._open[kind] = _Block(np.empty((rows, codes.shape[1]), codes.dtype))
        return block


def moved(body: TokenFileBody, rows: Codes) -> TokenFileBody:
    """A body whose codes are copied to `rows`; nothing of it holds on to its file's map."""
    rows[:] = body.codes.codes
    mean = None if body.codes.mean is None else body.codes.mean.copy()
    return TokenFileBody(replace(body.codes, codes=rows, mean=mean), body.kinds.copy(), body.place)
