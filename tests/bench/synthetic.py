"""Pages of the size that Qwen3-VL-Embedding-2B makes of A4 at its usual budget, made from a seed: no model is needed,
since what happens after the encoder does not depend on what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from smart_demo.backbones.base import Runtime
from smart_demo.backbones.registry import BackboneChoice
from smart_demo.backbones.serving import Backbones
from smart_demo.config import Settings
from smart_demo.engine import Engine
from smart_demo.errors import PageRefused
from smart_demo.store.library import Library
from smart_demo.types import (
    LOCAL,
    Encoder,
    Floats,
    Page,
    PageEncoding,
    PageId,
    Query,
    QueryEncoding,
    TokenGrid,
    TokenKind,
)
from tests.bench.shapes import directions, unit

ROWS, COLS, WIDTH = 50, 35, 2048
"""Patches of a page and the width of their states."""
TOKENS = 30
"""Of a query; every one a word of its own, which is the most maps a query can have."""
PAGES = 5
"""As many as a column shows, so that both columns show all of them."""


class Seeded:
    """A `Backbone` that draws its states. Its queries point at patches of the first page, so that maps have a place."""

    def __init__(self) -> None:
        self._encoder = Encoder("seeded", f"seeded-{WIDTH}", "1", "0" * 64, pooled_width=WIDTH, token_width=WIDTH)
        self._target = _states(1)

    @property
    def encoder(self) -> Encoder:
        return self._encoder

    @property
    def reason(self) -> str:
        return "seeded draws its numbers: a model for measuring."

    @property
    def runtime(self) -> Runtime:
        return Runtime("cpu", "float32")

    @property
    def batch(self) -> int:
        return 1

    def encode_pages(self, pages: Sequence[Page]) -> list[PageEncoding | PageRefused]:
        return [self.encode_page(page) for page in pages]

    def encode_query(self, query: Query) -> QueryEncoding:
        rng = np.random.default_rng(int(query.key, 16))
        at = rng.choice(len(self._target), TOKENS, replace=False)
        tokens = unit(self._target[at] + 0.5 * directions(rng, TOKENS, WIDTH))
        kinds = np.full(TOKENS, TokenKind.CONTENT, dtype=np.uint8)
        labels = tuple(f"word{n}" for n in range(TOKENS))
        return QueryEncoding(query, self._encoder.fingerprint, unit(tokens.mean(axis=0)), tokens, kinds, labels)

    def encode_texts(self, texts: Sequence[str]) -> Iterator[QueryEncoding]:
        return map(self.encode_query, map(Query, texts))

    def encode_page(self, page: Page) -> PageEncoding:
        """The page of its number; what is on it does not matter."""
        tokens = _states(page.number)
        kinds = np.full(len(tokens), TokenKind.PATCH, dtype=np.uint8)
        place = TokenGrid(0, ROWS, COLS)
        return PageEncoding(page.id, self._encoder.fingerprint, unit(tokens.mean(axis=0)), tokens, kinds, place)


@contextmanager
def seeded_engine(folder: Path) -> Iterator[Engine]:
    """An engine over PAGES local pages in an empty folder."""
    backbone = Seeded()
    settings = Settings(data_dir=folder, index_dir=folder / "index", samples=folder / "none")
    backbones = Backbones(BackboneChoice("seeded", "It measures.", insisted=True), lambda _: backbone, fall_back=False)
    with Engine(Library.open(settings.data_dir, settings.index_dir), backbones, settings) as engine:
        blank = np.full((14 * ROWS, 14 * COLS, 3), 255, dtype=np.uint8)
        backbones.main()
        for number in range(1, PAGES + 1):
            page = Page(PageId("0" * 16, number), "seeded.pdf", PAGES, blank)
            engine.library.add(LOCAL, page, backbone.encode_page(page))
        yield engine


def _states(number: int) -> Floats:
    """(ROWS * COLS, WIDTH) rows of length 1 that share a direction, as states of a decoder do."""
    rng = np.random.default_rng(number)
    shared = directions(rng, WIDTH)
    return unit(shared + directions(rng, ROWS * COLS, WIDTH))
