"""Chroma as an index of pooled vectors: useful, never trusted.

What is in it is a copy of what the token files say, so any trouble ends the same way: the library answers without it,
and the next start rebuilds it. Embedding functions are never set: Chroma would instantiate what a folder names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from smart_demo.errors import LibraryError
from smart_demo.store import canary, durable, index_folders
from smart_demo.store.usage import VISITOR
from smart_demo.types import Floats, PageId, Scope, StoredPage

_UPSERT = 500
"""Rows per call: every call costs 8 fsyncs whatever its size."""
_DELETE = 1_000
_ROW = 16_384
"""Bytes on disk of a row of 2,048 numbers, at most."""
_SPACE = {"space": "cosine", "ef_construction": 200, "max_neighbors": 32}
T = TypeVar("T")


class IndexUnhealthy(LibraryError):
    """Chroma failed twice at one thing: it is left alone until the next start."""


class PageIndex:
    """Nearest pooled vectors, one Chroma collection per encoder. Safe for threads; one process per folder.

    Every method raises IndexUnhealthy once Chroma has refused the same thing twice, and from then on.
    """

    def __init__(self, folder: Path, search_width: int, rebuilt: str = "") -> None:
        """Open one folder, made if it is not there; use `open`. OSError if it cannot be made."""
        self._folder, self._search_width = folder, search_width
        self.rebuilt = rebuilt
        """Why this folder took the place of another one, if so."""
        self.trouble = ""
        """Why Chroma is left alone, if so."""
        self._closed = False
        durable.make_folder(folder)
        self._client: Any = None
        self._made: set[str] = set()
        """Encoders whose graphs exist in this process."""
        with suppress(IndexUnhealthy):
            self._client = self._twice(lambda: _client(folder))
            self._drop_narrow()
            self._make_graphs()

    @classmethod
    def open(cls, index_dir: Path, candidates: int) -> Self:
        """The folder in use, or a fresh one where that is missing or torn. OSError if no folder can be made."""
        known = index_folders.folders(index_dir)
        newest = known.get(max(known, default=0))
        rebuilt = index_folders.why_not(newest) if newest else ""
        folder = newest if newest and not rebuilt else index_folders.following(index_dir)
        index = cls(folder, max(100, 5 * candidates), rebuilt)
        for old in known.values():
            if old != folder:
                index_folders.delete(old)
        return index

    def beside(self, rows: int) -> PageIndex:
        """A fresh one in the next folder, for so many rows. A start that finds it half filled takes it and fills it.

        StorageFull where space is short: Chroma believes a full disk. OSError if the folder cannot be made.
        """
        durable.check_space(self._folder.parent, rows * _ROW)
        folder = index_folders.following(self._folder.parent)
        return PageIndex(folder, self._search_width, self.trouble or self.rebuilt)

    def is_wasteful(self, pages: int) -> bool:
        """Whether a fresh folder is worth building: bytes of deleted rows are kept in this one, or it is unhealthy."""
        return not self._closed and (bool(self.trouble) or index_folders.is_wasteful(self._folder, pages))

    def discard(self) -> None:
        """Let go of the folder and delete it."""
        self.close()
        index_folders.delete(self._folder)

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
            if encoder not in self._made:
                self._made.add(encoder)
                index_folders.blank(self._folder)

    def delete(self, encoder: str, ids: Sequence[str]) -> None:
        """Delete rows; missing ones are fine."""
        if ids:
            visitors = any(row.startswith(VISITOR) for row in ids)
            index_folders.note_deleted(self._folder, len(ids), visitors=visitors)
        for start in range(0, len(ids), _DELETE):
            self._twice(partial(self._call, encoder, "delete", ids=list(ids[start : start + _DELETE])))

    def nearest(self, encoder: str, scopes: Sequence[Scope], vector: Floats, count: int) -> list[tuple[Scope, PageId]]:
        """Up to `count` rows of these scopes, nearest first; `count` is 1 or more."""
        asked = {"n_results": count, "where": {"scope": {"$in": [str(scope) for scope in scopes]}}, "include": []}
        found = self._twice(partial(self._call, encoder, "query", query_embeddings=[vector], **asked))
        return [(_scope_of(row), PageId.parse(row.partition("/")[2])) for row in found["ids"][0]]

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

    def _make_graphs(self) -> None:
        """Have those graphs made now, while nobody else asks, that would be made from the log at the first query."""
        if index_folders.has_new_graph(self._folder):
            for encoder in self.encoders():
                self._twice(partial(self._call, encoder, "get", limit=1, include=["embeddings"]))
            index_folders.blank(self._folder)

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
                index_folders.distrust(self._folder)
            raise IndexUnhealthy(self.trouble) from error


def row_id(page: StoredPage) -> str:
    """What Chroma calls a page."""
    return f"{page.scope}/{page.id}"


def _scope_of(row: str) -> Scope:
    return Scope(row.partition("/")[0])


def _client(folder: Path) -> Any:  # noqa: ANN401
    import chromadb
    from chromadb.config import Settings

    return chromadb.PersistentClient(folder, settings=Settings(anonymized_telemetry=False))


def _chroma_errors() -> tuple[type[Exception], ...]:
    """What Chroma raises: its own tree, and the plain errors its bindings and its checks let through."""
    from chromadb.errors import ChromaError

    return (ChromaError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, OSError)
