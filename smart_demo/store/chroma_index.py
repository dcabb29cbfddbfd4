"""Chroma as an index of pooled vectors, and the folders and marker files it is stored in.

    <index>/chroma-<n>           the folder in use: the highest n
    <index>/chroma-<n>.distrust  Chroma failed in it: the next start builds n+1 instead
    <index>/chroma-<n>.deleted   one byte per row deleted from it; `!` if one was a visitor's

Every row is a copy of what a token file contains, so every failure ends the same way: the library answers without
Chroma, and the next start rebuilds it. Embedding functions are never set: Chroma would instantiate what a folder names.

Opening a folder torn by a kill or a full disk can raise for ever, or end the process with a segmentation fault. So a
child process, `python -m smart_demo.store.chroma_index FOLDER`, opens it first and reads every collection, every row
with its vector, and makes one query each. Chroma has no checksums and returns altered vectors without an error, so each
row carries a checksum of ours. Chroma never deletes the files of a deleted collection, so a folder that has some is
refused too: the rebuilt one is free of them.

Chroma keeps the bytes of deleted rows in its graph, its log and its database; only a rebuilt folder is free of them.
Even there the files of a new graph begin as a copy of uninitialised memory, which is overwritten with zeros.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from smart_demo.config import REPOSITORY
from smart_demo.errors import LibraryError
from smart_demo.store import atomic_files
from smart_demo.store.quotas import VISITOR_PREFIX
from smart_demo.types import Floats, PageId, Scope, StoredPage

T = TypeVar("T")
CHECKSUM_KEY = "check"
"""Metadata key of a row's checksum."""
_CHECKSUM_TOLERANCE = 1e-4
_CHECK_TIMEOUT_SECONDS = 120
_UPSERT_BATCH = 500
"""Rows per upsert: every call costs 8 fsyncs whatever its size."""
_DELETE_BATCH, _READ_BATCH = 1_000, 500
_MAX_ROW_BYTES = 16_384
"""Bytes on disk of a row of 2,048 numbers, at most."""
_HNSW = {"space": "cosine", "ef_construction": 200, "max_neighbors": 32}
_PAGES_PER_DELETED_ROW = 10
"""A folder is rebuilt if it has fewer pages than this per deleted row."""
_VISITOR_MARK = b"!"
_LAST_GRAPH_FILE = "index_metadata.pickle"
"""The last file of a graph that Chroma writes. On opening, a graph without it is made from the log."""


class IndexUnhealthy(LibraryError):
    """Chroma failed twice at the same call and is not used until the next start."""


class PageIndex:
    """Nearest pooled vectors, one Chroma collection per encoder. Safe for threads; one process per folder.

    Every method raises IndexUnhealthy if Chroma fails twice at the same call, and from then on.
    """

    def __init__(self, folder: Path, search_width: int, rebuild_reason: str = "") -> None:
        """Open one folder, created if it is missing; callers use `open`. Raises OSError if it cannot be created."""
        self._folder, self._search_width = folder, search_width
        self.rebuild_reason = rebuild_reason
        """Why this folder replaced another one, or empty."""
        self.failure = ""
        """Why Chroma is no longer used, or empty."""
        self._closed = False
        atomic_files.make_folder(folder)
        self._client: Any = None
        self._made_graphs: set[str] = set()
        """Encoders whose graphs exist in this process."""
        with suppress(IndexUnhealthy):
            self._client = self._with_retry(lambda: _open_client(folder))
            self._delete_narrow_collections()
            self._make_graphs()

    @classmethod
    def open(cls, index_dir: Path, candidates: int) -> Self:
        """Open the folder in use, or a new one if it is missing or unusable, and delete all others.

        candidates: the largest `count` that searches will ask for. Raises OSError if no folder can be created.
        """
        known = list_folders(index_dir)
        newest = known.get(max(known, default=0))
        rebuild_reason = why_unusable(newest) if newest else ""
        folder = newest if newest and not rebuild_reason else next_folder(index_dir)
        index = cls(folder, max(100, 5 * candidates), rebuild_reason)
        for old in known.values():
            if old != folder:
                delete_folder(old)
        return index

    def open_next(self, rows: int) -> PageIndex:
        """Open the next folder, empty, for `rows` rows. A start that finds it half filled fills it.

        Raises StorageFull if space is short, since Chroma does not check, and OSError if it cannot be created.
        """
        atomic_files.check_space(self._folder.parent, rows * _MAX_ROW_BYTES)
        folder = next_folder(self._folder.parent)
        return PageIndex(folder, self._search_width, self.failure or self.rebuild_reason)

    def is_wasteful(self, pages: int) -> bool:
        """Return whether to rebuild the folder: it contains many deleted rows, or Chroma failed in it."""
        return not self._closed and (bool(self.failure) or needs_rebuild(self._folder, pages))

    def delete_folder(self) -> None:
        """Close Chroma and delete the folder."""
        self.close()
        delete_folder(self._folder)

    def encoders(self) -> list[str]:
        """Return the fingerprints that have a collection."""
        return self._with_retry(lambda: [c.name.removeprefix("e-") for c in self._client.list_collections()])

    def ids(self, encoder: str) -> set[str]:
        """Return the ids of all rows under one encoder."""
        return self._with_retry(lambda: set(self._collection(encoder).get(include=[])["ids"]))

    def upsert(self, encoder: str, pages: Sequence[StoredPage], vectors: Floats) -> None:
        """Add or replace the rows of pages, vectors (N, P)."""
        for start in range(0, len(pages), _UPSERT_BATCH):
            batch, embeddings = pages[start : start + _UPSERT_BATCH], vectors[start : start + _UPSERT_BATCH]
            metadatas = [
                {"scope": str(page.scope), "document": page.id.file, CHECKSUM_KEY: checksum}
                for page, checksum in zip(batch, checksums(embeddings), strict=True)
            ]
            rows = {"ids": [row_id(page) for page in batch], "embeddings": embeddings, "metadatas": metadatas}
            self._with_retry(partial(self._call, encoder, "upsert", **rows))
            if encoder not in self._made_graphs:
                self._made_graphs.add(encoder)
                zero_unwritten_graphs(self._folder)

    def delete(self, encoder: str, ids: Sequence[str]) -> None:
        """Delete rows. Missing rows are no error."""
        if ids:
            visitors = any(row.startswith(VISITOR_PREFIX) for row in ids)
            record_deleted_rows(self._folder, len(ids), visitors=visitors)
        for start in range(0, len(ids), _DELETE_BATCH):
            self._with_retry(partial(self._call, encoder, "delete", ids=list(ids[start : start + _DELETE_BATCH])))

    def nearest(self, encoder: str, scopes: Sequence[Scope], vector: Floats, count: int) -> list[tuple[Scope, PageId]]:
        """Return up to `count` rows of these scopes, nearest first; `count` is 1 or more."""
        query = {"n_results": count, "where": {"scope": {"$in": [str(scope) for scope in scopes]}}, "include": []}
        found = self._with_retry(partial(self._call, encoder, "query", query_embeddings=[vector], **query))
        return [(_scope_of(row), PageId.parse(row.partition("/")[2])) for row in found["ids"][0]]

    def close(self) -> None:
        """Close Chroma."""
        self._closed = True
        self.failure = self.failure or "the library is closed"
        with suppress(*_chroma_errors()):  # AttributeError too: there may be no client
            self._client.close()

    def _delete_narrow_collections(self) -> None:
        """Delete collections made for fewer candidates: Chroma cannot widen a search while a folder is open."""
        width, listed = self._search_width, self._client.list_collections
        narrow = self._with_retry(lambda: [c.name for c in listed() if c.configuration["hnsw"]["ef_search"] < width])
        for name in narrow:
            self._with_retry(partial(self._client.delete_collection, name))

    def _make_graphs(self) -> None:
        """Make the graphs that Chroma would otherwise make from the log at the first query."""
        if has_unwritten_graph(self._folder):
            for encoder in self.encoders():
                self._with_retry(partial(self._call, encoder, "get", limit=1, include=["embeddings"]))
            zero_unwritten_graphs(self._folder)

    def _call(self, encoder: str, method: str, **arguments: object) -> Any:  # noqa: ANN401
        return getattr(self._collection(encoder), method)(**arguments)

    def _collection(self, encoder: str) -> Any:  # noqa: ANN401 - chromadb is not imported at the top
        hnsw = {**_HNSW, "ef_search": self._search_width}
        return self._client.get_or_create_collection(
            f"e-{encoder}", configuration={"hnsw": hnsw}, embedding_function=None
        )

    def _with_retry(self, call: Callable[[], T]) -> T:
        """Call Chroma, and once more after an error; then stop using it and mark the folder for rebuilding."""
        if self.failure:
            raise IndexUnhealthy(self.failure)
        with suppress(*_chroma_errors()):
            return call()
        try:
            return call()
        except _chroma_errors() as error:
            if not self._closed:  # an error of a reader during `close` is no fault of the folder
                self.failure = f"Chroma failed twice ({type(error).__name__})"
                mark_distrusted(self._folder)
            raise IndexUnhealthy(self.failure) from error


def row_id(page: StoredPage) -> str:
    """Return the id of a page's row in Chroma."""
    return f"{page.scope}/{page.id}"


def checksums(vectors: Floats) -> list[float]:
    """Return a number per vector, of (N, P), that changes if the vector is altered, moved or exchanged.

    The length of the vector does not change it.

    >>> checksums(np.array([[1, 0], [5, 0], [0, 1]], np.float32))
    [0.5403, 0.5403, -0.4161]
    """
    rows = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    projections = rows @ np.cos(np.arange(1, rows.shape[1] + 1))
    return [float(number) for number in np.round(projections / np.where(lengths, lengths, 1), 4)]


def list_folders(index_dir: Path) -> dict[int, Path]:
    """Return every Chroma folder by its number."""
    names = [re.fullmatch(r"chroma-([1-9][0-9]{0,8})", path.name) for path in index_dir.iterdir() if path.is_dir()]
    return {int(name[1]): index_dir / name[0] for name in names if name}


def next_folder(index_dir: Path) -> Path:
    """Return the path of a new folder, which the next start prefers to all others once it exists."""
    return index_dir / f"chroma-{max(list_folders(index_dir), default=0) + 1}"


def why_unusable(folder: Path) -> str:
    """Return why a folder cannot be used, or "" if it can."""
    if _marker(folder, "distrust").exists():
        return "Chroma failed while the last process ran"
    return why_unreadable(folder)


def why_unreadable(folder: Path) -> str:
    """Return why Chroma cannot serve a folder, as the end of a sentence, or "" if it can."""
    command = [sys.executable, "-m", "smart_demo.store.chroma_index", str(folder)]
    reader, writer = os.pipe()  # never written to: it closes when this process ends, and the child ends with it
    try:
        ended = subprocess.run(
            command, cwd=REPOSITORY, stdin=reader, capture_output=True, timeout=_CHECK_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it did not open within {_CHECK_TIMEOUT_SECONDS} seconds"
    finally:
        os.close(reader)
        os.close(writer)
    if ended.returncode == 0:
        return ""
    if ended.returncode < 0:
        return f"opening it crashed with signal {-ended.returncode}"
    return "it could not be read"


def check_folder(folder: str) -> None:
    """Open a folder and read everything in it. Raises SystemExit, or anything that Chroma raises, if that fails."""
    client = _open_client(Path(folder))
    for known in client.list_collections():
        collection = client.get_collection(known.name, embedding_function=None)
        count = collection.count()
        vector = None
        for offset in range(0, count, _READ_BATCH):
            rows = collection.get(limit=_READ_BATCH, offset=offset, include=["embeddings", "metadatas"])
            if len(rows["embeddings"]) != min(_READ_BATCH, count - offset):
                raise SystemExit("rows without vectors")
            stored = [(facts or {}).get(CHECKSUM_KEY, np.nan) for facts in rows["metadatas"]]
            if not np.allclose(checksums(rows["embeddings"]), stored, rtol=0, atol=2 * _CHECKSUM_TOLERANCE):
                raise SystemExit("altered vectors")
            vector = rows["embeddings"][0]
        if vector is not None and not collection.query(query_embeddings=[vector], n_results=1, include=[])["ids"][0]:
            raise SystemExit("a query found nothing")
    if _unused_folders(Path(folder)):
        raise SystemExit("files of a deleted collection")


def mark_distrusted(folder: Path) -> None:
    """Mark a folder so that the next start builds another one."""
    with suppress(OSError):
        _marker(folder, "distrust").touch(mode=0o600)


def record_deleted_rows(folder: Path, rows: int, *, visitors: bool) -> None:
    """Record a deletion for later processes. `visitors`: whether one of the rows is a visitor's.

    If the disk refuses, the folder is rebuilt later; nothing else follows.
    """
    with suppress(OSError), _marker(folder, "deleted").open("ab") as file:
        file.write(b"." * rows + (_VISITOR_MARK if visitors else b""))


def needs_rebuild(folder: Path, pages: int) -> bool:
    """Return whether a visitor's rows were deleted from a folder, or many in proportion to `pages`."""
    with suppress(OSError):
        deleted = _marker(folder, "deleted").read_bytes()
        return _VISITOR_MARK in deleted or len(deleted) * _PAGES_PER_DELETED_ROW > pages
    return False


def has_unwritten_graph(folder: Path) -> bool:
    """Return whether Chroma has made a graph, or will make one on opening, that it has not written yet."""
    return any(not (data.parent / _LAST_GRAPH_FILE).exists() for data in folder.glob("*/data_level0.bin"))


def zero_unwritten_graphs(folder: Path) -> None:
    """Overwrite with zeros the graph files that Chroma has made but not written yet.

    Nothing reads them, and they contain parts of this process's memory, such as vectors of deleted pages. Only the
    writer may call this, between the making of a graph and its next row: no graph is being written then.
    """
    for data in folder.glob("*/data_level0.bin"):
        if not (data.parent / _LAST_GRAPH_FILE).exists():
            for path in (data, data.with_name("length.bin")):
                with suppress(OSError), path.open("r+b") as file:
                    file.write(bytes(path.stat().st_size))


def delete_folder(folder: Path) -> None:
    """Delete a folder that is no longer used. What cannot be deleted now is tried again at the next start.

    The markers go first: without their folder no start would look for them.
    """
    for name in ("distrust", "deleted"):
        with suppress(OSError):
            atomic_files.delete_files([_marker(folder, name)])
    shutil.rmtree(folder, ignore_errors=True)


def _marker(folder: Path, name: str) -> Path:
    return folder.with_name(f"{folder.name}.{name}")


def _scope_of(row: str) -> Scope:
    return Scope(row.partition("/")[0])


def _open_client(folder: Path) -> Any:  # noqa: ANN401
    import chromadb
    from chromadb.config import Settings

    return chromadb.PersistentClient(folder, settings=Settings(anonymized_telemetry=False))


def _chroma_errors() -> tuple[type[Exception], ...]:
    """Return what Chroma raises: its own errors, and the built-in ones of its bindings and its checks."""
    from chromadb.errors import ChromaError

    return (ChromaError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, OSError)


def _unused_folders(folder: Path) -> set[str]:
    """Return the segment folders that Chroma's database does not list; none if the database has another form."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(folder / "chroma.sqlite3")) as database:
        known = {name for (name,) in database.execute("SELECT id FROM segments")}
        return {path.name for path in folder.iterdir() if path.is_dir()} - known
    return set()


def _end_with_parent() -> None:
    """End this process when its parent ends: else it would read the folder while the next app uses it."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    check_folder(sys.argv[1])
