"""What others do with the same query and pages, as float32: written again here, but for fast-maxsim.

released       SMART's own scorer: pages padded to the longest, an einsum over 128 of them, max, mean
lists          colpali-engine, pylate and sentence-transformers, in short: one product a page in torch, max, mean
fast_maxsim    the compiled scorer of that name, where the bench's requirements are installed
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from smart_demo.types import Floats

BLOCK = 128
"""Pages of one einsum in the released scorer."""


def released(query: Floats, pages: Sequence[Floats]) -> Floats:
    """(M,) mean of maxima. Padding counts as the lowest float before the maximum, as it does there."""
    import torch

    longest, found = max(map(len, pages)), []
    asked = torch.from_numpy(query)[None]
    for begin in range(0, len(pages), BLOCK):
        some = [torch.from_numpy(page) for page in pages[begin : begin + BLOCK]]
        padded = torch.nn.utils.rnn.pad_sequence(some, batch_first=True)
        mask = torch.arange(longest)[None, : padded.shape[1]] < torch.tensor([len(page) for page in some])[:, None]
        dots = torch.einsum("aqd,btd->abqt", asked, padded)
        dots = dots.masked_fill(~mask[None, :, None, :], torch.finfo(torch.float32).min)
        found.append(dots.amax(-1).mean(-1)[0])
    scores: Floats = torch.cat(found).numpy()
    return scores


def lists(query: Floats, pages: Sequence[Floats]) -> Floats:
    """(M,) mean of maxima, a page at a time."""
    import torch

    asked = torch.from_numpy(query)
    found = [(asked @ torch.from_numpy(page).t()).amax(1).mean() for page in pages]
    scores: Floats = torch.stack(found).numpy()
    return scores


def fast_maxsim_is_there() -> bool:
    """Whether the bench's requirements are installed."""
    return find_spec("fast_maxsim") is not None


def fast_maxsim(query: Floats, pages: Sequence[Floats]) -> Floats:
    """(M,) mean of maxima; it sums."""
    library = import_module("fast_maxsim")
    sums: Floats = np.asarray(library.maxsim_scores_variable(query, list(pages)), dtype=np.float32)
    return sums / np.float32(len(query))
