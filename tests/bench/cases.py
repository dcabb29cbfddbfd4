"""Queries and pages to score, as large as real ones and made from a seed, and other scorers for the same pages.

score_released    SMART's own scorer: pages padded to the longest, an einsum over 128 of them, max, mean
score_lists       colpali-engine, pylate and sentence-transformers, in short: one product a page in torch, max, mean
score_fast_maxsim the compiled scorer of that name, if the bench's requirements are installed

All are float32. All but fast-maxsim are written again here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from smart_demo.backbones.base import Runtime
from smart_demo.errors import PageRefused
from smart_demo.store import token_file
from smart_demo.types import Encoder, Floats, Page, PageEncoding, Query, QueryEncoding, TokenCodes

RELEASED_BLOCK = 128
"""Pages of one einsum in the released scorer."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a case: the number of pages, and the tokens of pages and query."""

    name: str
    pages: int
    lengths: tuple[int, int]
    """Lowest and highest number of tokens of a page."""
    width: int
    query: int
    """Number of tokens of the query."""


WIDE = Shape("W", 100, (700, 700), 2048, 32)
"""Candidates by Qwen3-VL-Embedding-2B."""
NARROW = Shape("N", 200, (500, 500), 384, 24)
"""Candidates by MiniLM."""
RAGGED = Shape("R", 100, (300, 1100), 2048, 32)
"""Wide candidates of unequal length."""


@dataclass(frozen=True, eq=False)
class Case:
    """Query and pages of a shape."""

    shape: Shape
    query: Floats
    states: Sequence[Floats]
    """Pages in float32, each (T, D)."""
    codes: Sequence[TokenCodes]
    """The same pages in 8 bits, contiguous in memory."""

    @property
    def bytes(self) -> int:
        return sum(page.codes.nbytes for page in self.codes)


def make_case(shape: Shape) -> Case:
    """Draw a case. Pages share a direction and a few large coordinates, as states of decoders do.

    A tenth of them share a subject with the query, so that a ranking has something to find.
    """
    rng = np.random.default_rng(len(shape.name) + shape.width)
    low, high = shape.lengths
    common, subjects = random_directions(rng, shape.width), random_directions(rng, 10, shape.width)
    common[: shape.width // 64] *= 8
    lengths = rng.integers(low, high + 1, shape.pages)
    states = []
    for number, length in enumerate(lengths):
        rows = common + rng.uniform(0.3, 1) * subjects[number % 10] + random_directions(rng, int(length), shape.width)
        states.append(normalise(rows))
    own = np.concatenate(states[::10])
    query = normalise(own[rng.choice(len(own), shape.query)] + 0.7 * random_directions(rng, shape.query, shape.width))
    return Case(shape, query, states, make_contiguous([token_file.encode(page, "int8") for page in states]))


def make_contiguous(pages: Sequence[TokenCodes]) -> list[TokenCodes]:
    """Return the same pages contiguous in memory, as the library stores them."""
    block, at, placed = np.concatenate([page.codes for page in pages]), 0, []
    for page in pages:
        placed.append(TokenCodes(block[at : at + len(page.codes)], page.mean, page.scale))
        at += len(page.codes)
    return placed


class SeededBackbone(ABC):
    """A `Backbone` without a model. Subclasses make the encodings from a seed."""

    batch, reason, runtime = 1, "It measures.", Runtime("cpu", "float32")

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    @abstractmethod
    def encode_query(self, query: Query) -> QueryEncoding: ...

    def encode_pages(self, pages: Sequence[Page]) -> list[PageEncoding | PageRefused]:
        raise NotImplementedError

    def encode_texts(self, texts: Sequence[str]) -> Iterator[QueryEncoding]:
        return map(self.encode_query, map(Query, texts))


def random_directions(rng: np.random.Generator, *shape: int) -> Floats:
    """Return rows of length 1 that point anywhere."""
    return normalise(rng.standard_normal(shape, dtype=np.float32))


def normalise(rows: Floats) -> Floats:
    """Return the rows scaled to length 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), dtype=np.float32)


def score_released(query: Floats, pages: Sequence[Floats]) -> Floats:
    """Return (M,) mean of maxima. Padding counts as the lowest float before the maximum, as in the released scorer."""
    import torch

    longest, found = max(map(len, pages)), []
    tokens = torch.from_numpy(query)[None]
    for begin in range(0, len(pages), RELEASED_BLOCK):
        block = [torch.from_numpy(page) for page in pages[begin : begin + RELEASED_BLOCK]]
        padded = torch.nn.utils.rnn.pad_sequence(block, batch_first=True)
        mask = torch.arange(longest)[None, : padded.shape[1]] < torch.tensor([len(page) for page in block])[:, None]
        dots = torch.einsum("aqd,btd->abqt", tokens, padded)
        dots = dots.masked_fill(~mask[None, :, None, :], torch.finfo(torch.float32).min)
        found.append(dots.amax(-1).mean(-1)[0])
    scores: Floats = torch.cat(found).numpy()
    return scores


def score_lists(query: Floats, pages: Sequence[Floats]) -> Floats:
    """Return (M,) mean of maxima, computed a page at a time."""
    import torch

    tokens = torch.from_numpy(query)
    found = [(tokens @ torch.from_numpy(page).t()).amax(1).mean() for page in pages]
    scores: Floats = torch.stack(found).numpy()
    return scores


def has_fast_maxsim() -> bool:
    """Return whether the bench's requirements are installed."""
    return find_spec("fast_maxsim") is not None


def score_fast_maxsim(query: Floats, pages: Sequence[Floats]) -> Floats:
    """Return (M,) mean of maxima; the library itself returns sums."""
    library = import_module("fast_maxsim")
    sums: Floats = np.asarray(library.maxsim_scores_variable(query, list(pages)), dtype=np.float32)
    return sums / np.float32(len(query))
