"""What the heads of a large library said when they were last read, so that a start need not open every file.

    <index>/snapshots/<scope>.<encoder>

It is never the truth. A page is listed because its file is in its folder; the snapshot only saves reading the file's
head where the folder still says the same name, sizes and times. One file holds a line of JSON and the pooled vectors:

    64 bytes   digest of all that follows
    8 bytes    length of the JSON
    JSON       the pages in the order of the library, column by column
    vectors    (N, P) float32, from a multiple of 64 bytes on

A file that is cut off, altered or of another form is no snapshot, and then every head is read. It is written whole or
not at all, and belongs to one scope, so that forgetting the scope is unlinking it.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from smart_demo.errors import TokenFileDamaged
from smart_demo.store import atomic_files
from smart_demo.store.token_file import TokenFileHeader, TokenFileLayout
from smart_demo.types import Floats, PageId, Scope, StoredPage

FOLDER = "snapshots"
WORTHWHILE = 1_000
"""Pages of a scope from which a snapshot is kept: the heads of fewer are read in a fraction of a second."""
_FORM = "smart-demo snapshot 1"
_DIGEST, _LENGTH, _ALIGNMENT = 64, 8, 64
_FACTS = ("document", "pages", "width", "height", "tokens", "bytes", "codec", "added", "seconds")
_LAYOUT = ("codec", "tokens", "width", "pooled", "boxes")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The heads of one scope's pages under one encoder, as they were."""

    heads: Mapping[str, TokenFileHeader]
    """By the page's id as text, in the order of the rows."""
    pooled: Floats
    """(N, P), mapped from the file."""

    def head(self, name: str, size: int, changed: int, pictured: int) -> TokenFileHeader | None:
        """What the file of a page said, if the folder says of it what it said then: its bytes, when it was changed in
        nanoseconds, the bytes of the pictures beside it.
        """
        head = self.heads.get(name)
        same = head is not None and (head.size, head.changed, head.page.bytes) == (size, changed, size + pictured)
        return head if same else None


def read(index_dir: Path, scope: Scope, encoder: str) -> Snapshot | None:
    """The snapshot of one scope under one encoder; None where there is none that is whole."""
    try:
        with atomic_files.opened(_path(index_dir, scope, encoder)) as (file, size):
            if size < _DIGEST + _LENGTH:
                return None
            mapped = mmap.mmap(file, size, access=mmap.ACCESS_READ)
        view = memoryview(mapped)
        if hashlib.sha256(view[_DIGEST:]).hexdigest().encode() != bytes(view[:_DIGEST]):
            return None
        length = int.from_bytes(view[_DIGEST : _DIGEST + _LENGTH], "little")
        start = _DIGEST + _LENGTH
        columns = json.loads(bytes(view[start : start + length]))
        if columns["form"] != _FORM or (columns["scope"], columns["encoder"]) != (scope.name, encoder):
            return None
        rows, width = columns["shape"]
        first = start + length + -(start + length) % _ALIGNMENT
        pooled = np.frombuffer(mapped, np.float32, rows * width, first).reshape(rows, width)
        return Snapshot(dict(_heads(scope, encoder, columns)), pooled)
    except (OSError, TokenFileDamaged, KeyError, TypeError, ValueError):
        return None


def write(index_dir: Path, scope: Scope, encoder: str, heads: Sequence[TokenFileHeader], pooled: Floats) -> None:
    """Keep what is known of pages, in the order of the library. LibraryError or StorageFull where the disk refuses."""
    columns = {
        "form": _FORM,
        "scope": scope.name,
        "encoder": encoder,
        "shape": list(pooled.shape),
        "names": [str(head.page.id) for head in heads],
        "facts": {name: _short([getattr(head.page, name) for head in heads]) for name in _FACTS},
        "layout": {name: _short([getattr(head.layout, name) for head in heads]) for name in _LAYOUT},
        "start": _short([head.start for head in heads]),
        "changed": [head.changed for head in heads],
        "rest": [head.rest for head in heads],
        "pictures": _short([" ".join(head.pictures) for head in heads]),
    }
    said = json.dumps(columns, separators=(",", ":")).encode()
    said += b" " * (-(_DIGEST + _LENGTH + len(said)) % _ALIGNMENT)
    parts: list[bytes | memoryview] = [
        len(said).to_bytes(_LENGTH, "little"),
        said,
        np.ascontiguousarray(pooled, np.float32).data.cast("B"),
    ]
    proof = hashlib.sha256()
    for part in parts:
        proof.update(part)
    path = _path(index_dir, scope, encoder)
    with atomic_files.storage_errors("keep a snapshot of the library"):
        atomic_files.make_folder(path.parent)
        atomic_files.check_space(path.parent, sum(map(len, parts)))
        atomic_files.write_new(path, proof.hexdigest().encode(), *parts)


def sweep(index_dir: Path) -> None:
    """Remove what killed writes left."""
    with suppress(OSError):
        atomic_files.unlink(
            path for path in (index_dir / FOLDER).iterdir() if path.name.endswith(atomic_files.TEMPORARY)
        )


def there(index_dir: Path) -> list[tuple[Scope, str]]:
    """Scopes and encoders of which there is one."""
    found = []
    with suppress(OSError):
        for path in (index_dir / FOLDER).iterdir():
            scope, _, encoder = path.name.partition(".")
            with suppress(ValueError):  # somebody's own file
                found.append((Scope(scope), encoder))
    return found


def forget(index_dir: Path, scope: Scope, encoder: str = "") -> None:
    """Delete the snapshots of a scope, or the one under one encoder. LibraryError where the disk refuses."""
    with atomic_files.storage_errors("delete the snapshot of the library"), suppress(FileNotFoundError):
        for path in list((index_dir / FOLDER).iterdir()):
            if path.name.endswith(atomic_files.TEMPORARY):
                continue  # being written: whoever writes it looks again
            if path.name.partition(".")[0] == scope.name and (not encoder or path.name.split(".")[1:2] == [encoder]):
                atomic_files.unlink([path])


def _path(index_dir: Path, scope: Scope, encoder: str) -> Path:
    return index_dir / FOLDER / f"{scope}.{encoder}"


def _short(values: list[Any]) -> Any:  # noqa: ANN401 - a column of JSON
    """A column, or its one value where all are the same."""
    return values[0] if values and all(value == values[0] for value in values) else values


def _long(values: Any, rows: int) -> Iterator[Any]:  # noqa: ANN401
    return iter(values) if isinstance(values, list) else repeat(values, rows)


def _heads(scope: Scope, encoder: str, columns: Mapping[str, Any]) -> Iterator[tuple[str, TokenFileHeader]]:
    """What was written, row by row. ValueError, KeyError or TypeError for what nobody wrote."""
    rows, layouts, words = len(columns["names"]), dict[tuple[Any, ...], TokenFileLayout](), dict[str, str]()
    facts = zip(*(_long(columns["facts"][name], rows) for name in _FACTS), strict=True)
    shapes = zip(*(_long(columns["layout"][name], rows) for name in _LAYOUT), strict=True)
    rest = zip(*(_long(columns[name], rows) for name in ("start", "rest", "pictures", "changed")), strict=True)
    for name, fact, shape, said in zip(columns["names"], facts, shapes, rest, strict=True):
        file, _, number = name.partition("-")
        document, *numbers = fact
        same = words.setdefault(document, document)  # a document's name is kept once, not once a page
        page = StoredPage(scope, encoder, PageId(words.setdefault(file, file), int(number)), same, *numbers)
        start, proof, pictures, changed = said
        yield (
            name,
            TokenFileHeader(
                page, layouts.setdefault(shape, TokenFileLayout(*shape)), start, proof, tuple(pictures.split()), changed
            ),
        )
