"""The kernel's maxima on a GPU, from copies of the codes that stay on the device within a budget.

A copy is deleted with the codes that it was made from, for example when a page is deleted. Without a local GPU nothing
here is used; ZeroGPU, which lends a GPU for one call, does not count as local.
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

MAX_PRODUCT_TOKENS = 262_144
"""Page tokens in one product. Its result of some ten MB is read again at once."""
MIN_BYTES = 2**20
"""Bytes of codes below which the GPU is not used."""
MEMORY_DIVISOR = 4
"""The codes' budget is the device's free memory divided by this; the model needs the rest."""


class DeviceCodes:
    """Codes of pages on one device, cached within a budget. Safe for threads."""

    def __init__(self, device: str, budget: int) -> None:
        """Start with no codes. device: torch's name, `cpu` included. budget: bytes."""
        self.device, self._budget = device, budget
        self._copies: dict[int, Tensor] = {}
        self._lock = threading.RLock()  # reentrant: a finaliser may run at any allocation, even under this lock
        self.bytes = 0
        """Bytes of the cached copies."""

    def maxima(self, query: Floats, pages: Sequence[TokenCodes]) -> Floats:
        """Return (M, Q): the largest dot product of each query row with the codes of each page.

        Integers stay exact below 2^24.
        """
        import torch

        columns = torch.from_numpy(np.ascontiguousarray(query, dtype=np.float32)).to(self.device).t()
        found = []
        for group in _group_pages(pages):
            lengths = torch.tensor([len(page.codes) for page in group], device=self.device)
            codes = [self._codes(page.codes) for page in group]
            dots = torch.cat(codes).float() @ columns  # (T, Q)
            found.append(torch.segment_reduce(dots, "max", lengths=lengths, axis=0))
        maxima: Floats = torch.cat(found).cpu().numpy()
        return maxima

    def _codes(self, codes: Codes) -> Tensor:
        """Return the codes on the device, cached if the budget allows."""
        import torch

        with self._lock:
            if (cached := self._copies.get(id(codes))) is not None:
                return cached
        copy = torch.from_numpy(codes if codes.flags.writeable else codes.copy()).to(self.device, copy=True)
        with self._lock:
            if self.bytes + codes.nbytes <= self._budget and id(codes) not in self._copies:
                self._copies[id(codes)] = copy
                self.bytes += codes.nbytes
                weakref.finalize(codes, self._delete, id(codes)).atexit = False
        return copy

    def _delete(self, key: int) -> None:
        with self._lock:
            if (copy := self._copies.pop(key, None)) is not None:
                self.bytes -= copy.nbytes


def local_gpu() -> DeviceCodes | None:
    """Return the codes of this machine's GPU, or None without one. Imports torch, except on ZeroGPU."""
    return None if os.environ.get("SPACES_ZERO_GPU") else _first_gpu()


def out_of_memory_error() -> type[Exception]:
    """Return the error class for a full device, as beside a busy encoder; the CPU multiplies then."""
    import torch

    return torch.OutOfMemoryError


def product_reason() -> str:
    """Return a sentence part on the GPU that multiplies, or an empty string if the CPU does."""
    gpu = local_gpu()
    return f"float32 products on {gpu.device}, {gpu.bytes / 1e6:.0f} MB of codes kept there" if gpu else ""


@cache
def _first_gpu() -> DeviceCodes | None:
    import torch

    if not torch.cuda.is_available():
        return None
    free, _ = torch.cuda.mem_get_info()
    return DeviceCodes("cuda", free // MEMORY_DIVISOR)


def _group_pages(pages: Sequence[TokenCodes]) -> list[list[TokenCodes]]:
    """Group whole pages of one dtype, up to MAX_PRODUCT_TOKENS tokens; a longer page is a group alone."""
    groups: list[list[TokenCodes]] = []
    size = 0
    for page in pages:
        if not groups or size + len(page.codes) > MAX_PRODUCT_TOKENS or groups[-1][0].codes.dtype != page.codes.dtype:
            groups.append([])
            size = 0
        groups[-1].append(page)
        size += len(page.codes)
    return groups
