"""The kernel on a GPU: the same maxima, from copies of the codes that stay on the device within a budget.

A copy lives no longer than the codes it was made of: when a deleted page's codes are let go of in main memory, so is
the copy. Where there is no GPU of our own nothing here is used; ZeroGPU, which lends one for a call, counts as none.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from smart_demo.types import Codes, Floats, TokenCodes

if TYPE_CHECKING:
    from torch import Tensor

TOKENS = 262_144
"""In one product; its result of some ten MB is soon read again."""
WORTH = 2**20
"""Bytes of codes from which a GPU is asked at all."""
SHARE = 4
"""One part in so many of the device's free memory is taken for codes; the rest is the model's."""


class States:
    """Codes of pages on one device, kept while they fit. Safe for threads."""

    def __init__(self, device: str, budget: int) -> None:
        """device: as torch names it, `cpu` too. budget: bytes."""
        self.device, self._budget = device, budget
        self._kept: dict[int, Tensor] = {}
        self._lock = threading.RLock()  # a finaliser may run at any allocation, in the middle of our own
        self.bytes = 0
        """That are kept."""

    def best(self, query: Floats, pages: Sequence[TokenCodes]) -> Floats:
        """(M, Q) largest dot product of each query row among the codes of each page; integers stay exact, as long as
        they are below 2^24.
        """
        import torch

        asked = torch.from_numpy(np.ascontiguousarray(query, dtype=np.float32)).to(self.device).t()
        found = []
        for group in _groups(pages):
            lengths = torch.tensor([len(page.codes) for page in group], device=self.device)
            codes = [self._codes(page.codes) for page in group]
            dots = torch.cat(codes).float() @ asked  # (T, Q)
            found.append(torch.segment_reduce(dots, "max", lengths=lengths, axis=0))
        best: Floats = torch.cat(found).cpu().numpy()
        return best

    def _codes(self, codes: Codes) -> Tensor:
        import torch

        with self._lock:
            if (kept := self._kept.get(id(codes))) is not None:
                return kept
        copy = torch.from_numpy(codes if codes.flags.writeable else codes.copy()).to(self.device, copy=True)
        with self._lock:
            if self.bytes + codes.nbytes <= self._budget and id(codes) not in self._kept:
                self._kept[id(codes)] = copy
                self.bytes += codes.nbytes
                weakref.finalize(codes, self._drop, id(codes)).atexit = False
        return copy

    def _drop(self, key: int) -> None:
        with self._lock:
            if (copy := self._kept.pop(key, None)) is not None:
                self.bytes -= copy.nbytes


def of_this_machine() -> States | None:
    """The GPU's, where there is one of our own. Imports torch, but not on ZeroGPU."""
    return None if os.environ.get("SPACES_ZERO_GPU") else _first_gpu()


def full() -> type[Exception]:
    """What is raised where the device has no room, as beside an encoder at work: then the processor multiplies."""
    import torch

    return torch.OutOfMemoryError


def reason() -> str:
    """Which device multiplies, in words; empty where it is the processor."""
    states = of_this_machine()
    return f"float32 products on {states.device}, {states.bytes / 1e6:.0f} MB of codes kept there" if states else ""


@cache
def _first_gpu() -> States | None:
    import torch

    if not torch.cuda.is_available():
        return None
    free, _ = torch.cuda.mem_get_info()
    return States("cuda", free // SHARE)


def _groups(pages: Sequence[TokenCodes]) -> list[list[TokenCodes]]:
    """Whole pages of one type together, up to TOKENS; a longer page is alone."""
    groups: list[list[TokenCodes]] = []
    size = 0
    for page in pages:
        if not groups or size + len(page.codes) > TOKENS or groups[-1][0].codes.dtype != page.codes.dtype:
            groups.append([])
            size = 0
        groups[-1].append(page)
        size += len(page.codes)
    return groups
