"""The pictures of a collection's pages: bytes inside a table, or files beside it. All of them come from strangers.

In a table of the hub a picture is a struct of `bytes` and `path`; the path is the author's and is not looked at. In an
exported table it is the name of a file, below the table's own folder or below the collection's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from smart_demo import ingest
from smart_demo.config import Limits
from smart_demo.errors import FileRefused, InputRefused, QueryRefused
from smart_demo.evaluation import row_fields as fields
from smart_demo.evaluation.layout import Layout, Tables
from smart_demo.evaluation.relevance import read_rows
from smart_demo.evaluation.row_fields import Ids
from smart_demo.evaluation.tables import Row
from smart_demo.types import PageId, Pixels

IMAGE = "image"
NAMES = (*fields.FILE, IMAGE)
"""Columns that may hold the name of a picture's file."""
Name = Callable[[Row], str]
"""A row -> the id of its page."""


class Album:
    """Where the pictures of the pages in some tables are."""

    def __init__(self, layout: Layout, tables: Tables) -> None:
        self._tables, self._within = tables, layout.within
        self._folders = dict.fromkeys([tables[0].path.parent, layout.folder])
        self._columns = tables[0].columns()
        self._inside = IMAGE in self._columns and tables[0].path.name.endswith(".parquet")

    @property
    def there(self) -> bool:
        """Whether the tables have pictures at all."""
        return any(name in self._columns for name in NAMES)

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        """Every row without its picture. InputRefused, by the row, where a picture's file is not there."""
        for row in read_rows(self._tables, [*columns, *fields.FILE]):
            if not self._inside:
                self._file(row)
            yield row

    def pages(self, ids: Ids, name: Name, limits: Limits) -> Iterator[tuple[PageId, Pixels | InputRefused]]:
        """The picture of every page, (height, width, 3) RGB as it is, once and in the order of the tables.

        A refusal in its place where it cannot be decoded within the limits.
        """
        seen: set[str] = set()
        for row in read_rows(self._tables, [*fields.DOCUMENT, *NAMES]):
            page = name(row)
            if page in seen:
                continue
            seen.add(page)
            try:
                yield ids[page], self._pixels(row, page, limits)
            except InputRefused as refusal:
                yield ids[page], refusal

    def _pixels(self, row: Row, page: str, limits: Limits) -> Pixels:
        given = row.values.get(IMAGE)
        data = given.get("bytes") if isinstance(given, Mapping) else given
        if isinstance(data, bytes):
            return ingest.decode_bytes(data, page, limits)
        if self._inside:
            raise FileRefused(f"The table has no picture of {ingest.clean_name(page)}.")
        try:
            return ingest.decode_picture(self._file(row), limits)
        except QueryRefused as refusal:  # its hint is for people who ask with a picture
            raise FileRefused(str(refusal)) from None

    def _file(self, row: Row) -> Path:
        """The file that a row names, its links followed. InputRefused, by the row, where it leads out of the collection
        or nowhere.
        """
        given = next((row.values[name] for name in (IMAGE, *fields.FILE) if row.values.get(name)), None)
        if not isinstance(given, str):
            raise row.refusal("there is no picture.", f"Its file is named under {' or '.join(NAMES)}.")
        shown, path = ingest.clean_name(given), PurePosixPath(given)
        if path.is_absolute() or ".." in path.parts or "\\" in given or not given.isprintable():
            raise row.refusal(
                f"the picture {shown} is not inside the collection.", "Name it by a path below its folder."
            )
        for folder in self._folders:
            try:
                found = (folder / path).resolve(strict=True)
            except (OSError, RuntimeError, ValueError):
                continue
            if not found.is_relative_to(self._within.resolve()):
                raise row.refusal(f"the picture {shown} is a link that leads out of the collection.", "Copy it there.")
            if found.is_file():
                return found
        raise row.refusal(f"the picture {shown} is not there.", "Check its name.")
