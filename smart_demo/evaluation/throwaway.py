"""A library of its own for one measurement, which goes away however that ends; nothing else is searched."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from smart_demo.config import Settings
from smart_demo.engine import Engine, open_engine
from smart_demo.evaluation.runs import ranked
from smart_demo.types import LOCAL, Query, SearchResult

OpenEngine = Callable[[Settings], Engine]
INSISTING: OpenEngine = partial(open_engine, fall_back=False)
"""A measurement of another model than was named would be a wrong number."""


@contextmanager
def open_throwaway(settings: Settings, open_library: OpenEngine = INSISTING) -> Iterator[Engine]:
    """An engine whose library lies in a temporary folder and which takes and scores every page, however many.

    BackboneUnavailable and LibraryError as the engine raises them.
    """
    with TemporaryDirectory(prefix="smart-demo-eval-") as name:
        folder = Path(name)
        apart = replace(
            settings,
            data_dir=folder / "data",
            index_dir=folder / "index",
            exhaustive=sys.maxsize,
            quotas=replace(settings.quotas, library_pages=sys.maxsize, library_bytes=sys.maxsize),
        )
        with open_library(apart) as engine:
            yield engine


def search(engine: Engine, text: str) -> Mapping[str, SearchResult]:
    """One query's rankings of the whole library by every method. QueryRefused as the engine raises it."""
    return ranked(engine.search(Query(text), [LOCAL], ()).parts)
