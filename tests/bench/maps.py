"""From a click on a word in the viewer to the picture that lies over the page, by the function the viewer asks."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from smart_demo.engine import Engine
from smart_demo.search.request import ON_MINE, parse_request
from smart_demo.types import LOCAL, Query
from smart_demo.ui.explain_handlers import ExplainHandlers
from smart_demo.ui.format import page_key
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.library_tab import Preparation
from smart_demo.ui.upload_queue import Uploads
from tests.bench.goals import Goal
from tests.bench.synthetic import COLS, PAGES, ROWS, TOKENS, WIDTH, seeded_engine

FIRST, NEXT = 0.5, 0.25
"""Seconds that a person may wait for a first map of a page, and for another one of it."""
QUERIES, MORE = 9, 4
"""Queries asked, and further maps looked at of each; the first query warms up and does not count."""


def measure_maps() -> list[Goal]:
    """`map.first`: nothing of the query is kept but its search. `map.next`: another word on the same page."""
    with tempfile.TemporaryDirectory() as folder, seeded_engine(Path(folder) / "data") as engine:
        maps = ExplainHandlers(Handlers(engine, Uploads(lambda *_: iter(()), 1), Preparation(engine)))
        runs = [_looks(engine, maps, f"query {number}") for number in range(QUERIES)][1:]
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


def _looks(engine: Engine, maps: ExplainHandlers, text: str) -> tuple[float, list[float]]:
    """Seconds of the first map after a search, and of the next ones."""
    search = parse_request(text, ON_MINE, PAGES)
    engine.search(Query(text), (LOCAL,), top=PAGES)
    page = engine.library.pages((LOCAL,), engine.backbone(LOCAL).encoder.fingerprint)[0]
    wanted = {"asked": search.fields, "page": page_key(page.scope, page.id)}
    first, *more = (_look(maps, wanted | {"view": f"term-{word}"}) for word in range(1 + MORE))
    return first, more


def _look(maps: ExplainHandlers, wanted: Mapping[str, object]) -> float:
    begun = time.perf_counter()
    answer = maps.overlay(wanted)
    taken = time.perf_counter() - begun
    if not answer.get("picture"):
        raise RuntimeError(f"no map was drawn: {answer}")  # then nothing was measured
    return taken
