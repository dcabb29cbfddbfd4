"""Chroma as an index of pooled vectors: useful, never trusted.

    <index>/chroma-<n>           the folder in use: the highest n
    <index>/chroma-<n>.distrust  a process met an error in it: the next start builds n+1 instead

What is in it is a copy of what the token files say, so any trouble ends the same way: the library answers without it,
and the next start rebuilds it. Embedding functions are never set: Chroma would instantiate what a folder names.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from smart_demo.errors import LibraryError
from smart_demo.store import canary, durable
from smart_demo.types import Floats, PageId, Scope, StoredPage

_UPSERT = 500
"""Rows per call: every call costs 8 fsyncs whatever its size."""
_DELETE = 1_000
_SPACE = {"space": "cosine", "ef_construction": 200, "max_neighbors": 32}
T = TypeVar("T")


class IndexUnhealthy(LibraryError):
    """Chroma failed twice at one thing: it is left alone until the next start."""


class PageIndex:
    """Nearest pooled vectors, one Chroma collection per encoder. Safe for threads; one process per folder.

    Every method raises IndexUnhealthy once Chroma has refused the same thing twice, and from then on.
    """

    def __init__(self, index_dir: Path, candidates: int) -> None:
        """Open the folder in use, or a fresh one where that is missing or torn. OSError if no folder can be made."""
        self._search_width = max(100, 5 * candidates)
        self.rebuilt = ""
        """Why a fresh folder took the place of an old one, if so."""
        self.trouble = ""
        """Why Chroma is left alone, if so."""
        self._closed = False
        known = _folders(index_dir)
        number = max(known, default=0)
        if number:
            self.rebuilt = _why_not(known[number])
        if self.rebuilt or not number:
            number += 1
        self._folder = index_dir / f"chroma-{number}"
        durable.make_folder(self._folder)
        self._client: Any = None
        with suppress(IndexUnhealthy):
            self._client = self._twice(lambda: _client(self._folder))
            self._drop_narrow()
        for old in set(known) - {number}:
            _delete(known[old])

    def encoders(self) -> list[str]:
        """Fingerprints that have a collection."""
        return self._twice(lambda: [c.name.removeprefix("e-") for c in self._client.list_collections()])

    def ids(self, encoder: str) -> set[str]:
        """Ids of every row under one encoder."""
        return self._twice(lambda: set(self._collection(encoder).get(include=[])["ids"]))

    def upsert(self, encoder: str, pages: Sequence[StoredPage], vectors: Floats) -> None:
        """Add or replace the rows of pages, vectors (N, P)."""
        for start in range(0, len(pages), _UPSERT):
            some, given = pages[start : start + _UPSERT], vectors[start : start + _UPSERT]
            facts = [
                {"scope": str(page.scope), "document": page.id.file, canary.CHECK: check}
                for page, check in zip(some, canary.checks(given), strict=True)
            ]
            rows = {"ids": [row_id(page) for page in some], "embeddings": given, "metadatas": facts}
            self._twice(partial(self._call, encoder, "upsert", **rows))

    def delete(self, encoder: str, ids: Sequence[str]) -> None:
        """Delete rows; missing ones are fine."""
        for start in range(0, len(ids), _DELETE):
            self._twice(partial(self._call, encoder, "delete", ids=list(ids[start : start + _DELETE])))

    def nearest(self, encoder: str, scopes: Sequence[Scope], vector: Floats, count: int) -> list[tuple[Scope, PageId]]:
        """Up to `count` rows of these scopes, nearest first; `count` is 1 or more."""
        asked = {"n_results": count, "where": {"scope": {"$in": [str(scope) for scope in scopes]}}, "include": []}
        found = self._twice(partial(self._call, encoder, "query", query_embeddings=[vector], **asked))
        pairs = [row.split("/") for row in found["ids"][0]]
        return [(Scope(scope), PageId.parse(page)) for scope, page in pairs]

    def close(self) -> None:
        """Let go of the folder."""
        self._closed = True
        self.trouble = self.trouble or "the library is closed"
        with suppress(*_chroma_errors()):  # AttributeError too: there may be no client
            self._client.close()

    def _drop_narrow(self) -> None:
        """Delete collections made for fewer candidates: Chroma cannot widen a search while a folder is open."""
        wide, listed = self._search_width, self._client.list_collections
        for name in self._twice(lambda: [c.name for c in listed() if c.configuration["hnsw"]["ef_search"] < wide]):
            self._twice(partial(self._client.delete_collection, name))

    def _call(self, encoder: str, method: str, **arguments: object) -> Any:  # noqa: ANN401
        return getattr(self._collection(encoder), method)(**arguments)

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
            if not self._closed:  # a reader overtaken by the close says nothing about the folder
                self.trouble = f"Chroma failed twice ({type(error).__name__})"
                with suppress(OSError):
                    _distrust(self._folder).touch(mode=0o600)
            raise IndexUnhealthy(self.trouble) from error


def row_id(page: StoredPage) -> str:
    """What Chroma calls a page."""
    return f"{page.scope}/{page.id}"


def _client(folder: Path) -> Any:  # noqa: ANN401
    import chromadb
    from chromadb.config import Settings

    return chromadb.PersistentClient(folder, settings=Settings(anonymized_telemetry=False))


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
    """Remove a folder that is no longer used; what cannot be removed now is tried again at the next start.

    The mark goes first: without its folder nobody would look for it again.
    """
    with suppress(OSError):
        _distrust(folder).unlink()
    shutil.rmtree(folder, ignore_errors=True)
