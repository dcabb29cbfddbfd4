"""Time from a click on a word in the viewer to the map over the page, by the function that the viewer calls.

The pages have the size that Qwen3-VL-Embedding-2B makes of A4 at its usual budget and are made from a seed: no model is
needed, since the time after the encoder does not depend on what the numbers mean.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np

from smart_demo.config import Settings
from smart_demo.engine import Engine
from smart_demo.search.request import ON_MINE, parse_request
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
from smart_demo.ui.format import page_key
from smart_demo.ui.viewer import ExplainHandlers
from tests.apps import handlers_of, open_words
from tests.bench.cases import SeededBackbone, normalise, random_directions
from tests.bench.harness import Goal

FIRST, NEXT = 0.5, 0.25
"""Seconds that a visitor may wait for the first map of a page, and for another map of it."""
QUERIES, MORE = 9, 4
"""Number of queries, and of further maps of each; the first query warms up and does not count."""
ROWS, COLS, WIDTH = 50, 35, 2048
"""Patches of a page and the width of their states."""
TOKENS = 30
"""Tokens of a query; each is a word, which gives the most maps that a query can have."""
PAGES = 5
"""Pages in the library: both columns show all of them."""


def measure_maps() -> list[Goal]:
    """Measure `map.first`, with nothing of the query cached but its search, and `map.next`, another word's map."""
    with tempfile.TemporaryDirectory() as folder, seeded_engine(Path(folder) / "data") as engine:
        maps = ExplainHandlers(handlers_of(engine))
        runs = [_time_maps(engine, maps, f"query {number}") for number in range(QUERIES)][1:]
    page = f"{ROWS * COLS:,} tokens of width {WIDTH}, {TOKENS} query tokens"
    return [
        Goal(
            "map.first",
            f"a word's map on a page of {page}: match, colours over {PAGES} pages, drawing, encoding",
            median(first for first, _ in runs),
            FIRST,
        ),
        Goal("map.next", "another word's map on the same page", median(t for _, more in runs for t in more), NEXT),
    ]


def _time_maps(engine: Engine, maps: ExplainHandlers, text: str) -> tuple[float, list[float]]:
    """Return the seconds of the first map after a search, and of the next ones."""
    search = parse_request(text, ON_MINE, PAGES)
    engine.search(Query(text), (LOCAL,), top=PAGES)
    page = engine.library.pages((LOCAL,), engine.backbone(LOCAL).encoder.fingerprint)[0]
    request = {"asked": search.fields, "page": page_key(page.scope, page.id)}
    first, *more = (_time_map(maps, request | {"view": f"term-{word}"}) for word in range(1 + MORE))
    return first, more


def _time_map(maps: ExplainHandlers, request: Mapping[str, object]) -> float:
    begun = time.perf_counter()
    answer = maps.overlay(request)
    taken = time.perf_counter() - begun
    if not answer.get("picture"):
        raise RuntimeError(f"no map was drawn: {answer}")  # then nothing was measured
    return taken


@contextmanager
def seeded_engine(folder: Path) -> Iterator[Engine]:
    """Yield an engine over PAGES local pages in an empty folder."""
    backbone = PatchBackbone()
    settings = Settings(data_dir=folder, index_dir=folder / "index", samples=folder / "none")
    with open_words(settings, backbone) as engine:
        engine.backbones.main()
        blank = np.full((14 * ROWS, 14 * COLS, 3), 255, dtype=np.uint8)
        for number in range(1, PAGES + 1):
            page = Page(PageId("0" * 16, number), "seeded.pdf", PAGES, blank)
            engine.library.add(LOCAL, page, backbone.encode_page(page))
        yield engine


class PatchBackbone(SeededBackbone):
    """A backbone with random states. Its queries point at patches of the first page, so that maps have a hot spot."""

    def __init__(self) -> None:
        super().__init__(Encoder("seeded", "seeded", "1", "0" * 64, pooled_width=WIDTH, token_width=WIDTH))
        self.target = _page_states(1)

    def encode_query(self, query: Query) -> QueryEncoding:
        rng = np.random.default_rng(int(query.key, 16))
        at = rng.choice(len(self.target), TOKENS, replace=False)
        tokens = normalise(self.target[at] + 0.5 * random_directions(rng, TOKENS, WIDTH))
        kinds = np.full(TOKENS, TokenKind.CONTENT, dtype=np.uint8)
        labels = tuple(f"word{n}" for n in range(TOKENS))
        return QueryEncoding(query, self.encoder.fingerprint, normalise(tokens.mean(axis=0)), tokens, kinds, labels)

    def encode_page(self, page: Page) -> PageEncoding:
        """Encode the page by its number alone; its content does not matter."""
        tokens = _page_states(page.number)
        kinds = np.full(len(tokens), TokenKind.PATCH, dtype=np.uint8)
        place = TokenGrid(0, ROWS, COLS)
        return PageEncoding(page.id, self.encoder.fingerprint, normalise(tokens.mean(axis=0)), tokens, kinds, place)


def _page_states(number: int) -> Floats:
    """Return (ROWS * COLS, WIDTH) rows of length 1 that share a direction, as states of a decoder do."""
    rng = np.random.default_rng(number)
    shared = random_directions(rng, WIDTH)
    return normalise(shared + random_directions(rng, ROWS * COLS, WIDTH))
