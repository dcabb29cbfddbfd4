"""Token states in memory, pages side by side, so that one matrix product spans many pages without copying per query.

Pages are copied into blocks when they are first read, within a budget; other pages are read from their mapped files. A
block holds pages of one scope and encoder. Evicting one page evicts its whole block, so that no bytes of a deleted page
stay in memory; a thread that still multiplies the block keeps it alive until then. The other pages of the block are
cached again when they are next read.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from smart_demo.store.token_file import StoredKey, TokenFileBody
from smart_demo.types import Codes, Scope, TokenSpace

MAX_BLOCK_BYTES = 2**25
"""Bytes of the largest block: 16 to 90 thousand tokens, enough for one efficient product."""
FIRST_BLOCK_BYTES = 2**21
"""Bytes of the first block of a kind; each further block is twice as large, so that a visitor with one page needs no
more. The system allocates memory in pieces of this size.
"""
BodyKey = tuple[StoredKey, TokenSpace]
"""A stored page and one of its token spaces."""
BlockKind = tuple[Scope, str, TokenSpace, str, int]
"""Scope, encoder, space, dtype and width: equal for all pages of a block."""


@dataclass(eq=False)
class _Block:
    """A matrix of codes of many pages, filled from the top."""

    rows: Codes
    filled: int = 0
    keys: list[BodyKey] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return self.rows[: self.filled].nbytes


class TokenCache:
    """Token states whose codes are stored in blocks. Not safe for threads.

    The catalogue calls it under its own lock, and copies between `reserve` and `publish` without it.
    """

    def __init__(self, budget: int) -> None:
        """Allow `budget` bytes of codes."""
        self._budget = budget
        self._bodies: dict[BodyKey, TokenFileBody] = {}
        self._blocks: dict[BodyKey, _Block] = {}
        """Block of each cached page and of each page being copied: evicting either evicts the block."""
        self._open: dict[BlockKind, _Block] = {}
        self.bytes = 0
        """Bytes of codes in all blocks."""

    def __len__(self) -> int:
        return len({page for page, _ in self._bodies})

    def get(self, key: BodyKey) -> TokenFileBody | None:
        """Return a page's token states in a space if they are cached."""
        return self._bodies.get(key)

    def has_room_for(self, codes: Codes) -> bool:
        """Return whether these codes fit into the budget."""
        return self.bytes + codes.nbytes <= self._budget

    def reserve(self, key: BodyKey, codes: Codes) -> Codes | None:
        """Reserve rows for a page's codes. Return None if the budget is spent or another thread reserved them."""
        if key in self._blocks or not self.has_room_for(codes):
            return None
        (scope, encoder, _), space = key
        block = self._find_block((scope, encoder, space, codes.dtype.str, codes.shape[1]), codes)
        start, block.filled = block.filled, block.filled + len(codes)
        block.keys.append(key)
        self._blocks[key] = block
        self.bytes += codes.nbytes
        return block.rows[start : block.filled]

    def publish(self, key: BodyKey, body: TokenFileBody) -> bool:
        """Cache token states whose codes fill their reserved rows. Return False if the block was evicted since."""
        block, rows = self._blocks.get(key), body.codes.codes
        if block is None or rows.base is not block.rows:
            return False
        self._bodies[key] = body
        return True

    def evict(self, keys: Iterable[StoredKey]) -> None:
        """Remove pages, in every space, together with the blocks that contain them."""
        bodies = itertools.product(keys, TokenSpace)
        for block in {id(block): block for key in bodies if (block := self._blocks.get(key))}.values():
            self.bytes -= block.bytes
            for key in block.keys:
                self._bodies.pop(key, None)
                del self._blocks[key]
            self._open = {kind: other for kind, other in self._open.items() if other is not block}

    def _find_block(self, kind: BlockKind, codes: Codes) -> _Block:
        """Return the open block of a kind, or a new one if these codes do not fit into it."""
        block = self._open.get(kind)
        if block is None or block.filled + len(codes) > len(block.rows):
            size = min(MAX_BLOCK_BYTES, 2 * block.rows.nbytes if block else FIRST_BLOCK_BYTES)
            rows = max(len(codes), size // (codes.itemsize * codes.shape[1]))
            block = self._open[kind] = _Block(np.empty((rows, codes.shape[1]), codes.dtype))
        return block


def copy_body(body: TokenFileBody, rows: Codes) -> TokenFileBody:
    """Copy token states, with their codes into `rows`. The copy refers to nothing of the mapped file."""
    rows[:] = body.codes.codes
    mean = None if body.codes.mean is None else body.codes.mean.copy()
    return TokenFileBody(replace(body.codes, codes=rows, mean=mean), body.kinds.copy(), body.place)
