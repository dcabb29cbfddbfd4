"""The folders of Chroma and the small files that stand beside them. Knows nothing of rows.

    <index>/chroma-<n>           the folder in use: the highest n
    <index>/chroma-<n>.distrust  a process met an error in it: the next start builds n+1 instead
    <index>/chroma-<n>.deleted   so many rows were deleted from it, a byte for each; one is `!` where a visitor's went

Chroma keeps the bytes of deleted rows, in its graph, its log and its database. Only a folder built anew is without,
and not even that: the files of a new graph begin as a copy of memory that was never cleared.

Chroma as an index of pooled vectors: useful, never trusted.

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
from typing import Any, Self, TypeVar

from smart_demo.errors import LibraryError
from smart_demo.store import atomic_files, chroma_probe
from smart_demo.store.quotas import VISITOR
from smart_demo.types import Floats, PageId, Scope, StoredPage

_SHARE = 10
"""One deleted row to so many pages: then a folder is built anew."""
_VISITORS = b"!"
_WRITTEN = "index_metadata.pickle"
"""The last file of a graph to be written; a graph without it is made from the log when it is opened."""


def folders(index_dir: Path) -> dict[int, Path]:
    """Number -> folder of every Chroma folder there is."""
    names = [re.fullmatch(r"chroma-([1-9][0-9]{0,8})", path.name) for path in index_dir.iterdir() if path.is_dir()]
    return {int(name[1]): index_dir / name[0] for name in names if name}


def following(index_dir: Path) -> Path:
    """The folder that the next start would believe before all others, once it is made."""
    return index_dir / f"chroma-{max(folders(index_dir), default=0) + 1}"


def why_not(folder: Path) -> str:
    """Why a folder cannot be used; empty if it can."""
    if _beside(folder, "distrust").exists():
        return "Chroma failed while the last process ran"
    return chroma_probe.why_torn(folder)


def distrust(folder: Path) -> None:
    """Have the next start build another folder."""
    with suppress(OSError):
        _beside(folder, "distrust").touch(mode=0o600)


def note_deleted(folder: Path, rows: int, *, visitors: bool) -> None:
    """Remember over restarts that rows go. A note that cannot be kept delays the building anew, no more."""
    with suppress(OSError), _beside(folder, "deleted").open("ab") as file:
        file.write(b"." * rows + (_VISITORS if visitors else b""))


def folder_is_wasteful(folder: Path, pages: int) -> bool:
    """Whether a visitor's rows were deleted, or many in proportion to the pages that there are."""
    with suppress(OSError):
        deleted = _beside(folder, "deleted").read_bytes()
        return _VISITORS in deleted or len(deleted) * _SHARE > pages
    return False


def has_new_graph(folder: Path) -> bool:
    """Whether a graph was made, or will be when it is opened, that Chroma has not written yet."""
    return any(not (data.parent / _WRITTEN).exists() for data in folder.glob("*/data_level0.bin"))


def blank(folder: Path) -> None:
    """Clear the files of graphs that Chroma has made but not written yet. Nobody reads them, and they hold whatever
    stood in this process's memory, such as vectors of deleted pages.

    For the writer alone, between a graph's making and its next row: no graph is written then.
    """
    for data in folder.glob("*/data_level0.bin"):
        if not (data.parent / _WRITTEN).exists():
            for path in (data, data.with_name("length.bin")):
                with suppress(OSError), path.open("r+b") as file:
                    file.write(bytes(path.stat().st_size))


def delete_folder(folder: Path) -> None:
    """Remove a folder that is no longer used; what cannot be removed now is tried again at the next start.

    The marks go first: without their folder nobody would look for them again.
    """
    for what in ("distrust", "deleted"):
        with suppress(OSError):
            atomic_files.unlink([_beside(folder, what)])
    shutil.rmtree(folder, ignore_errors=True)


def _beside(folder: Path, what: str) -> Path:
    return folder.with_name(f"{folder.name}.{what}")


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
        atomic_files.make_folder(folder)
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
        known = folders(index_dir)
        newest = known.get(max(known, default=0))
        rebuilt = why_not(newest) if newest else ""
        folder = newest if newest and not rebuilt else following(index_dir)
        index = cls(folder, max(100, 5 * candidates), rebuilt)
        for old in known.values():
            if old != folder:
                delete_folder(old)
        return index

    def beside(self, rows: int) -> PageIndex:
        """A fresh one in the next folder, for so many rows. A start that finds it half filled takes it and fills it.

        StorageFull where space is short: Chroma believes a full disk. OSError if the folder cannot be made.
        """
        atomic_files.check_space(self._folder.parent, rows * _ROW)
        folder = following(self._folder.parent)
        return PageIndex(folder, self._search_width, self.trouble or self.rebuilt)

    def is_wasteful(self, pages: int) -> bool:
        """Whether a fresh folder is worth building: bytes of deleted rows are kept in this one, or it is unhealthy."""
        return not self._closed and (bool(self.trouble) or folder_is_wasteful(self._folder, pages))

    def discard(self) -> None:
        """Let go of the folder and delete it."""
        self.close()
        delete_folder(self._folder)

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
                {"scope": str(page.scope), "document": page.id.file, chroma_probe.CHECK: check}
                for page, check in zip(some, chroma_probe.checks(given), strict=True)
            ]
            rows = {"ids": [row_id(page) for page in some], "embeddings": given, "metadatas": facts}
            self._twice(partial(self._call, encoder, "upsert", **rows))
            if encoder not in self._made:
                self._made.add(encoder)
                blank(self._folder)

    def delete(self, encoder: str, ids: Sequence[str]) -> None:
        """Delete rows; missing ones are fine."""
        if ids:
            visitors = any(row.startswith(VISITOR) for row in ids)
            note_deleted(self._folder, len(ids), visitors=visitors)
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
        if has_new_graph(self._folder):
            for encoder in self.encoders():
                self._twice(partial(self._call, encoder, "get", limit=1, include=["embeddings"]))
            blank(self._folder)

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
                distrust(self._folder)
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
