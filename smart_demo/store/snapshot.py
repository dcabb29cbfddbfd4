"""Snapshots: the headers and pooled vectors of a large scope in one file, so that a start need not open every page.

    <index>/snapshots/<scope>.<encoder>

A snapshot is never authoritative. A page is listed because its file is in its folder; the snapshot only saves reading
the header if the folder still shows the same name, sizes and times. File format:

    64 bytes   digest of all that follows
    8 bytes    length of the JSON
    JSON       the pages in the order of the library, column by column
    vectors    (N, P) float32, from a multiple of 64 bytes on

If a file is cut off, altered or of another format, every header is read instead. A file is written whole or not at all,
and belongs to one scope, so that deleting a scope deletes its files.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from smart_demo.errors import TokenFileDamaged
from smart_demo.page_list import PageList
from smart_demo.page_text import WordSource
from smart_demo.store import atomic_files
from smart_demo.store.catalogue import Catalogue, GroupKey
from smart_demo.store.token_file import SpaceLayout, TokenFileHeader, TokenFileLayout, stored_key
from smart_demo.types import Floats, PageId, Scope, StoredPage, TokenSpace

FOLDER = "snapshots"
MIN_SNAPSHOT_PAGES = 1_000
"""Pages of a scope from which a snapshot is written: fewer headers are read in a fraction of a second."""
_FORMAT = "smart-demo snapshot 1"
_DIGEST, _LENGTH, _ALIGNMENT = 64, 8, 64
_FACTS = (
    "document", "pages", "width", "height", "tokens", "bytes", "codec", "added", "seconds", "source", "few_known_words",
    "reencoded",
)  # fmt: skip
_LAYOUT = ("codec", "tokens", "width", "pooled", "boxes", "words", "padded", "spaces")
_LATER = {
    "source": None, "few_known_words": False, "reencoded": False, "words": 0, "padded": False, "spaces": "",
}  # fmt: skip
"""Columns that snapshots of earlier versions lack, with the value that their pages have."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The headers and pooled vectors of one scope's pages under one encoder, when the file was written."""

    headers: Mapping[str, TokenFileHeader]
    """Header of each page by the page's id as text, in row order."""
    pooled: Floats
    """Pooled vectors (N, P), mapped from the file."""

    def header(self, name: str, size: int, modified_ns: int, picture_bytes: int) -> TokenFileHeader | None:
        """Return the header of a page if its files are unchanged since, else None.

        size: bytes of the token file now. modified_ns: its modification time in nanoseconds. picture_bytes: bytes of
        the picture and the thumbnail.
        """
        header = self.headers.get(name)
        if header is None:
            return None
        known = (header.size, header.modified_ns, header.page.bytes)
        return header if known == (size, modified_ns, size + picture_bytes) else None


class Snapshots:
    """The snapshots of one library, in its index folder: reads them at a start and updates them later."""

    def __init__(self, index_dir: Path) -> None:
        self._index_dir = index_dir
        self._read: dict[GroupKey, Snapshot] = {}
        self._written: dict[GroupKey, int] = {}
        """Version of the group that each snapshot on disk was written from."""

    def read(self, scope: Scope, encoder: str) -> Snapshot | None:
        """Return the snapshot of a scope under an encoder, or None if there is no valid one."""
        snapshot = read_snapshot(self._index_dir, scope, encoder)
        if snapshot is not None:
            self._read[scope, encoder] = snapshot
        return snapshot

    def add_vectors_to(self, catalogue: Catalogue) -> None:
        """Give the catalogue the vectors of the pages that were listed from a snapshot."""
        groups = catalogue.groups()
        for (scope, encoder), snapshot in self._read.items():
            rows, pages = [], []
            for row, header in enumerate(snapshot.headers.values()):
                if catalogue.get(stored_key(header.page)) is header:
                    rows.append(row)
                    pages.append(header.page)
            if pages:
                complete = len(rows) == len(snapshot.headers)
                pooled = snapshot.pooled if complete else snapshot.pooled[np.array(rows)]
                catalogue.add_vectors(scope, encoder, pages, pooled)
                count, version = groups[scope, encoder]
                if complete and count == len(pages):
                    self._written[scope, encoder] = version
        self._read.clear()

    def update(
        self,
        catalogue: Catalogue,
        read_vectors: Callable[[Sequence[Scope], str], tuple[PageList, Floats]],
        locked: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Write the outdated snapshots of large scopes and delete those of scopes that are no longer large.

        read_vectors: returns the pages of scopes and their pooled vectors. locked: blocks changes of the library;
        entered after a snapshot is written, to check whether its scope still exists.
        """
        delete_leftovers(self._index_dir)
        groups = catalogue.groups()
        large = {key: version for key, (count, version) in groups.items() if count >= MIN_SNAPSHOT_PAGES}
        for scope, encoder in list_snapshots(self._index_dir):
            if (scope, encoder) not in large:
                with locked():
                    self.delete(scope, encoder)
        for (scope, encoder), version in large.items():
            if self._written.get((scope, encoder)) == version:
                continue
            pages, pooled = read_vectors([scope], encoder)
            headers = [
                header
                for page in pages
                if (header := catalogue.get(stored_key(page))) is not None and header.page is page
            ]
            if len(headers) < len(pages):
                continue  # a page was removed since: the next update tries again
            write_snapshot(self._index_dir, scope, encoder, headers, pooled)
            with locked():
                if catalogue.view([scope], encoder).pages is pages:
                    self._written[scope, encoder] = catalogue.groups()[scope, encoder][1]
                elif (scope, encoder) not in catalogue.groups():  # the scope was deleted since
                    self.delete(scope, encoder)

    def delete(self, scope: Scope, encoder: str = "") -> None:
        """Delete all snapshots of a scope, or the one under `encoder`. Raises LibraryError if the disk refuses."""
        delete_snapshots(self._index_dir, scope, encoder)
        for key in [key for key in self._written if key[0] == scope and encoder in {"", key[1]}]:
            del self._written[key]


def read_snapshot(index_dir: Path, scope: Scope, encoder: str) -> Snapshot | None:
    """Return the snapshot of one scope under one encoder, or None if the file is missing or damaged."""
    try:
        with atomic_files.open_file(_path(index_dir, scope, encoder)) as (file, size):
            if size < _DIGEST + _LENGTH:
                return None
            mapped = mmap.mmap(file, size, access=mmap.ACCESS_READ)
        view = memoryview(mapped)
        if hashlib.sha256(view[_DIGEST:]).hexdigest().encode() != bytes(view[:_DIGEST]):
            return None
        length = int.from_bytes(view[_DIGEST : _DIGEST + _LENGTH], "little")
        start = _DIGEST + _LENGTH
        columns = json.loads(bytes(view[start : start + length]))
        if columns["form"] != _FORMAT or (columns["scope"], columns["encoder"]) != (scope.name, encoder):
            return None
        rows, width = columns["shape"]
        first = start + length + -(start + length) % _ALIGNMENT
        pooled = np.frombuffer(mapped, np.float32, rows * width, first).reshape(rows, width)
        return Snapshot(dict(_parse_headers(scope, encoder, columns)), pooled)
    except (OSError, TokenFileDamaged, KeyError, TypeError, ValueError):
        return None


def write_snapshot(
    index_dir: Path, scope: Scope, encoder: str, headers: Sequence[TokenFileHeader], pooled: Floats
) -> None:
    """Write the headers and pooled vectors (N, P) of pages, in the order of the library.

    Raises LibraryError or StorageFull if the disk refuses.
    """
    columns = {
        "form": _FORMAT,
        "scope": scope.name,
        "encoder": encoder,
        "shape": list(pooled.shape),
        "names": [str(header.page.id) for header in headers],
        "facts": {name: _compress([getattr(header.page, name) for header in headers]) for name in _FACTS},
        "layout": {
            **{name: _compress([getattr(header.layout, name) for header in headers]) for name in _LAYOUT[:-1]},
            "spaces": _compress([_join_spaces(header.layout.spaces) for header in headers]),
        },
        "start": _compress([header.start for header in headers]),
        "changed": [header.modified_ns for header in headers],
        "rest": [header.rest_digest for header in headers],
        "pictures": _compress([" ".join(header.picture_digests) for header in headers]),
    }
    text = json.dumps(columns, separators=(",", ":")).encode()
    text += b" " * (-(_DIGEST + _LENGTH + len(text)) % _ALIGNMENT)
    parts: list[bytes | memoryview] = [
        len(text).to_bytes(_LENGTH, "little"),
        text,
        np.ascontiguousarray(pooled, np.float32).data.cast("B"),
    ]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    path = _path(index_dir, scope, encoder)
    with atomic_files.storage_errors("keep a snapshot of the library"):
        atomic_files.make_folder(path.parent)
        atomic_files.check_space(path.parent, sum(map(len, parts)))
        atomic_files.write_file(path, digest.hexdigest().encode(), *parts)


def delete_leftovers(index_dir: Path) -> None:
    """Delete temporary files of killed writes. Call it only from the one thread that writes snapshots."""
    with suppress(OSError):
        atomic_files.delete_files(
            path for path in (index_dir / FOLDER).iterdir() if path.name.endswith(atomic_files.TEMPORARY_SUFFIX)
        )


def list_snapshots(index_dir: Path) -> list[tuple[Scope, str]]:
    """Return the scope and encoder of every snapshot on disk."""
    found = []
    with suppress(OSError):
        for path in (index_dir / FOLDER).iterdir():
            scope, _, encoder = path.name.partition(".")
            with suppress(ValueError):  # not a file of this program
                found.append((Scope(scope), encoder))
    return found


def delete_snapshots(index_dir: Path, scope: Scope, encoder: str = "") -> None:
    """Delete all snapshots of a scope, or the one under `encoder`. Raises LibraryError if the disk refuses."""
    with atomic_files.storage_errors("delete the snapshot of the library"), suppress(FileNotFoundError):
        for path in list((index_dir / FOLDER).iterdir()):
            if path.name.endswith(atomic_files.TEMPORARY_SUFFIX):
                continue  # being written: its writer checks afterwards whether the scope still exists
            if path.name.partition(".")[0] == scope.name and (not encoder or path.name.split(".")[1:2] == [encoder]):
                atomic_files.delete_files([path])


def _path(index_dir: Path, scope: Scope, encoder: str) -> Path:
    return index_dir / FOLDER / f"{scope}.{encoder}"


def _compress(values: list[Any]) -> Any:  # noqa: ANN401 - a column of JSON
    """Return a column, or its one value if all are equal."""
    return values[0] if values and all(value == values[0] for value in values) else values


def _expand(values: Any, rows: int) -> Iterator[Any]:  # noqa: ANN401
    return iter(values) if isinstance(values, list) else repeat(values, rows)


def _join_spaces(spaces: Sequence[SpaceLayout]) -> str:
    places = [1 if one.boxes else 2 if one.padded else 0 for one in spaces]
    return " ".join(
        f"{one.space}:{one.codec}:{one.tokens}:{one.width}:{place}" for one, place in zip(spaces, places, strict=True)
    )


def _parse_spaces(text: str) -> tuple[SpaceLayout, ...]:
    """Parse the output of `_join_spaces`. Raises ValueError for anything else."""
    rows = (one.split(":") for one in text.split())
    return tuple(
        SpaceLayout(TokenSpace(space), codec, int(tokens), int(width), place == "1", place == "2")
        for space, codec, tokens, width, place in rows
    )


def _columns(table: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    """Return the columns of a table. Raises KeyError if one is missing that even the first version wrote."""
    return [table[name] if name in table or name not in _LATER else _LATER[name] for name in names]


def _parse_headers(scope: Scope, encoder: str, columns: Mapping[str, Any]) -> Iterator[tuple[str, TokenFileHeader]]:
    """Yield (page id, header) row by row. Raises ValueError, KeyError or TypeError for JSON of another form."""
    rows, layouts, strings = len(columns["names"]), dict[tuple[Any, ...], TokenFileLayout](), dict[str, str]()
    facts = zip(*(_expand(column, rows) for column in _columns(columns["facts"], _FACTS)), strict=True)
    shapes = zip(*(_expand(column, rows) for column in _columns(columns["layout"], _LAYOUT)), strict=True)
    rest = zip(*(_expand(columns[name], rows) for name in ("start", "rest", "pictures", "changed")), strict=True)
    for name, fact, shape, (start, rest_digest, pictures, modified_ns) in zip(
        columns["names"], facts, shapes, rest, strict=True
    ):
        file, _, number = name.partition("-")
        document, *numbers, source, few, reencoded = fact
        source = None if source is None else WordSource(source)
        shared = strings.setdefault(document, document)  # one string a document in memory, not one a page
        page_id = PageId(strings.setdefault(file, file), int(number))
        layout = layouts.get(shape)
        if layout is None:
            *sizes, padded, spaces = shape
            layout = TokenFileLayout(*sizes, _parse_spaces(spaces), padded)  # type: ignore[call-arg]  # of any length
            layouts[shape] = layout
        facts_of_page = (shared, *numbers, source, few, layout.space_tokens, reencoded)
        page = StoredPage(scope, encoder, page_id, *facts_of_page)
        yield name, TokenFileHeader(page, layout, start, rest_digest, tuple(pictures.split()), modified_ns)
