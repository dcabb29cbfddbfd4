"""Chroma as an index of pooled vectors: useful, never trusted.

    <index>/chroma-<n>           the folder in use: the highest n
    <index>/chroma-<n>.distrust  a process met an error in it: the next start builds n+1 instead

What is in it is a copy of what the token files say, so any trouble ends the same way: the library answers without it,
and the next start rebuilds it. Embedding functions are never set: Chroma would instantiate what a folder names.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from smart_demo.errors import LibraryError
from smart_demo.store import canary, durable
from smart_demo.types import Floats, PageId, Scope

_UPSERT = 500
"""Rows per call: every call costs 8 fsyncs whatever its size."""
_DELETE = 1_000
_SPACE = {"space": "cosine", "ef_construction": 200, "max_neighbors": 32}
T = TypeVar("T")


class IndexUnhealthy(LibraryError):
    """Chroma failed twice at one thing: it is left alone until the next start."""


@dataclass(frozen=True, eq=False)
class Row:
    """One page as the index knows it."""

    scope: Scope
    page: PageId
    vector: Floats

    @property
    def id(self) -> str:
        """What Chroma calls it."""
        return f"{self.scope}/{self.page}"


class PageIndex:
    """Nearest pooled vectors, one Chroma collection per encoder. Safe for threads; one process per folder."""

    def __init__(self, index_dir: Path, candidates: int) -> None:
        """Open the folder in use, or a fresh one where that is missing or torn; `rebuilt` then says why."""
        self._search_width = max(100, 5 * candidates)
        self.rebuilt = ""
        self.trouble = ""
        known = _folders(index_dir)
        number = max(known, default=0)
        if number:
            self.rebuilt = _why_not(known[number])
        if self.rebuilt or not number:
            number += 1
        self.folder = index_dir / f"chroma-{number}"
        durable.make_folder(self.folder)
        self._client = _client(self.folder)
        for old in set(known) - {number}:
            _delete(known[old])

    def ids(self, encoder: str) -> set[str]:
        """Ids of every row under one encoder."""
        return set(self._twice(lambda: self._collection(encoder).get(include=[])["ids"]))

    def encoders(self) -> list[str]:
        """Fingerprints that have a collection."""
        return self._twice(lambda: [c.name.removeprefix("e-") for c in self._client.list_collections()])

    def upsert(self, encoder: str, rows: Sequence[Row]) -> None:
        """Add or replace rows. IndexUnhealthy if Chroma refuses twice."""
        for some in _chunks(rows, _UPSERT):
            ids = [row.id for row in some]
            facts = [{"scope": str(row.scope), "document": row.page.file} for row in some]
            vectors = np.stack([row.vector for row in some])
            self._twice(lambda: self._collection(encoder).upsert(ids, vectors, facts))  # noqa: B023

    def delete(self, encoder: str, ids: Sequence[str]) -> None:
        """Delete rows; missing ones are fine. IndexUnhealthy if Chroma refuses twice."""
        for some in _chunks(ids, _DELETE):
            self._twice(lambda: self._collection(encoder).delete(ids=some))  # noqa: B023

    def nearest(self, encoder: str, scopes: Sequence[Scope], vector: Floats, count: int) -> list[tuple[Scope, PageId]]:
        """Up to `count` rows of these scopes, nearest first. IndexUnhealthy if Chroma refuses twice."""
        where = {"scope": {"$in": [str(scope) for scope in scopes]}}
        found = self._twice(
            lambda: self._collection(encoder).query(
                query_embeddings=[vector], n_results=count, where=where, include=[]
            )["ids"][0]
        )
        pairs = [row.split("/") for row in found]
        return [(Scope(scope), PageId.parse(page)) for scope, page in pairs]

    def close(self) -> None:
        """Let go of the folder."""
        with suppress(*_chroma_errors()):
            self._client.close()

    def _collection(self, encoder: str) -> Any:  # noqa: ANN401 - chromadb is not imported at the top
        hnsw = {**_SPACE, "ef_search": self._search_width}
        return self._client.get_or_create_collection(
            f"e-{encoder}", configuration={"hnsw": hnsw}, embedding_function=None
        )

    def _twice(self, ask: Callable[[], T]) -> T:
        """Ask, once more after an error; then give Chroma up for this process and mark the folder for rebuilding."""
        if self.trouble:
            raise IndexUnhealthy(self.trouble)
        with suppress(*_chroma_errors()):
            return ask()
        try:
            return ask()
        except _chroma_errors() as error:
            self.trouble = f"Chroma failed twice ({type(error).__name__})."
            with suppress(OSError):
                _distrust(self.folder).touch(mode=0o600)
            raise IndexUnhealthy(self.trouble) from error


def _client(folder: Path) -> Any:  # noqa: ANN401
    import chromadb
    from chromadb.config import Settings

    try:
        return chromadb.PersistentClient(folder, settings=Settings(anonymized_telemetry=False))
    except _chroma_errors() as error:
        raise IndexUnhealthy(f"Chroma cannot use its folder ({type(error).__name__}).") from error


def _chroma_errors() -> tuple[type[Exception], ...]:
    """What Chroma raises: its own tree, and the plain errors its bindings and its checks let through."""
    from chromadb.errors import ChromaError

    return (ChromaError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, OSError)


def _why_not(folder: Path) -> str:
    if _distrust(folder).exists():
        return "Chroma failed while the last process ran"
    return canary.why_torn(folder)


def _folders(index_dir: Path) -> dict[int, Path]:
    """Number -> folder of every Chroma folder there is."""
    names = [re.fullmatch(r"chroma-([1-9][0-9]{0,8})", path.name) for path in index_dir.iterdir() if path.is_dir()]
    return {int(name[1]): index_dir / name[0] for name in names if name}


def _distrust(folder: Path) -> Path:
    return folder.with_name(folder.name + ".distrust")


def _delete(folder: Path) -> None:
    """Remove a folder that is no longer used; what cannot be removed now is tried again at the next start."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        _distrust(folder).unlink()


def _chunks(rows: Sequence[T], size: int) -> Iterator[list[T]]:
    iterator = iter(rows)
    while some := list(islice(iterator, size)):
        yield some
