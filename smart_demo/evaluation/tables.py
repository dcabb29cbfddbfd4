"""Rows of the tables that collections are made of: JSON lines, also gzipped, CSV, TSV and Parquet, read with doubt.

A row knows where it stands, so that whoever finds a slip in it can name the file and the line. Nothing is held but the
row at hand. Parquet is read by pyarrow where that is installed: a wish of few people, and no part of the program.

Which files of a folder hold what: the layouts in which retrieval benchmarks are handed out.

Three tables, as BEIR's reader takes them (beir-cellar/beir, beir/datasets/data_loader.py):

    corpus.jsonl   queries.jsonl   qrels/test.tsv

the same as subfolders, one for each configuration of a dataset on the hub, whose files begin with the split (the front
matter of `vidore/docvqa_test_subsampled_beir`: `path: corpus/test-*`) or with the name of the part (MTEB's copies):

    corpus/test-00000-of-00002.parquet   queries/test-*.parquet   qrels/test-*.parquet

or one table in which every row is a page, with or without a query (`vidore/docvqa_test_subsampled`: `data/test-*`):

    data/test-00000-of-00001.parquet

Any table may also be exported as JSON lines, CSV or TSV under the same names; a single table may be called metadata.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar, cast

from smart_demo.errors import InputRefused

SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".tsv", ".parquet")
LONGEST_LINE = 16 * 2**20
"""Bytes."""
MOST_BYTES = 16 * 2**30
"""Of one table when unpacked: a small file may unpack to any size."""
AT_ONCE = 8
"""Rows of a Parquet table that are decoded together: each may hold a picture of megabytes."""
T = TypeVar("T")
_DAMAGED = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    NotImplementedError,
    OverflowError,
    MemoryError,
    EOFError,
    zlib.error,
)
"""What gzip and pyarrow raise on damaged bytes; pyarrow's own errors are all one of these as well."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row, by column name."""

    where: str
    """Its file and line, for people."""
    values: Mapping[str, Any]

    def refusal(self, message: str, hint: str = "") -> InputRefused:
        """What to raise about this row."""
        return InputRefused(f"{self.where}: {message}", hint)


class Schema(Protocol):
    """As much of pyarrow's as is used."""

    @property
    def names(self) -> Sequence[str]: ...


class Batch(Protocol):
    """As much of pyarrow's as is used."""

    def to_pylist(self) -> Sequence[Mapping[str, Any]]: ...


class ParquetFile(Protocol):
    """As much of pyarrow's as is used."""

    @property
    def schema_arrow(self) -> Schema: ...

    def iter_batches(self, *, batch_size: int, columns: Sequence[str] | None) -> Iterator[Batch]: ...


OpenParquet = Callable[[Path], ParquetFile]


def open_parquet(path: Path) -> ParquetFile:
    """The file as pyarrow sees it. InputRefused, with the command, where pyarrow is not installed."""
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError:
        raise InputRefused(
            f"{path.name} is a Parquet table, and pyarrow, which reads them, is not installed.",
            "Run: pip install pyarrow",
        ) from None
    opened: ParquetFile = parquet.ParquetFile(path)
    return opened


@dataclass(frozen=True)
class Table:
    """One file with rows."""

    path: Path
    name: str
    """For people: its path inside the collection."""
    parquet: OpenParquet = open_parquet

    def columns(self) -> tuple[str, ...]:
        """Names of the columns; of JSON lines, those of the first row."""
        if self.path.name.endswith(".parquet"):
            return tuple(self._guarded(lambda: self.parquet(self.path).schema_arrow.names))
        return next((tuple(row.values) for row in self.rows()), ())

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[TableRow]:
        """Every row, in order. columns: those wanted of a Parquet table; other forms give all that they have.

        InputRefused, by its line, for the first that cannot be read.
        """
        if self.path.name.endswith(".parquet"):
            return self._parquet_rows(columns)
        if self.path.name.endswith((".csv", ".tsv")):
            return self._separated_rows("," if self.path.name.endswith(".csv") else "\t")
        return self._json_rows()

    def _json_rows(self) -> Iterator[TableRow]:
        for number, line in self._lines():
            if not line.strip():
                continue
            row = TableRow(f"{self.name}, line {number}", {})
            try:
                values = json.loads(line)
            except (ValueError, RecursionError):
                raise row.refusal("this is not JSON.", "Write one object a line.") from None
            if not isinstance(values, dict):
                raise row.refusal("this is not a JSON object.", "Write one object a line.")
            yield TableRow(row.where, values)

    def _separated_rows(self, separator: str) -> Iterator[TableRow]:
        """The first row names the columns; quotes as in BEIR's own reader of qrels (beir/datasets/data_loader.py)."""
        reader = csv.reader((line for _, line in self._lines()), delimiter=separator, strict=True)
        header: list[str] = []
        while True:
            row = TableRow(f"{self.name}, line {reader.line_num + 1}", {})
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise row.refusal(f"this cannot be read: {error}.", "Check its quotes.") from None
            if not cells:
                continue
            if not header:
                header = [cell.strip() for cell in cells]
                if len(set(header)) != len(header):
                    raise row.refusal("two columns have one name.")
            elif len(cells) != len(header):
                raise row.refusal(f"there are {len(cells)} cells under {len(header)} columns.")
            else:
                yield TableRow(row.where, dict(zip(header, cells, strict=True)))

    def _parquet_rows(self, columns: Sequence[str] | None) -> Iterator[TableRow]:
        wanted = None if columns is None else list(columns)
        file = self._guarded(lambda: self.parquet(self.path))
        batches = self._guarded(lambda: iter(file.iter_batches(batch_size=AT_ONCE, columns=wanted)))
        number = 0
        while (batch := self._guarded(lambda: next(batches, None))) is not None:
            for values in self._guarded(batch.to_pylist):
                number += 1
                yield TableRow(f"{self.name}, row {number}", values)

    def _lines(self) -> Iterator[tuple[int, str]]:
        """(number, line with its end) of UTF-8 text."""
        size, number = 0, 0
        with self._guarded(lambda: _open(self.path)) as file:
            while line := self._guarded(lambda: file.readline(LONGEST_LINE + 1)):
                number, size = number + 1, size + len(line)
                row = TableRow(f"{self.name}, line {number}", {})
                if len(line) > LONGEST_LINE or size > MOST_BYTES:
                    raise row.refusal("the line or the table is larger than any known collection's.")
                try:
                    yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError:
                    raise row.refusal("this is not UTF-8 text.", "Save it as UTF-8.") from None

    def _guarded(self, read: Callable[[], T]) -> T:
        """What `read` gives; InputRefused where the file is not there, unreadable or damaged."""
        try:
            return read()
        except FileNotFoundError:
            raise InputRefused(f"{self.name} is not there.", "Check the path.") from None
        except _DAMAGED:
            raise InputRefused(f"{self.name} is damaged or cannot be read.", "Download or export it again.") from None


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.name.endswith(".gz") else path.open("rb")


PARTS = ("corpus", "queries", "qrels")
SPLIT = re.compile(r"\w[\w.-]{0,99}", re.ASCII)
_SHARD = re.compile(r"-\d{5}-of-(\d{5})$")
Tables = tuple[Table, ...]


@dataclass(frozen=True)
class FolderLayout:
    """What a folder holds: either `rows`, or the three parts."""

    folder: Path
    within: Path
    """Where links of it may lead: the folder itself, or the hub's cache around it."""
    rows: Tables = ()
    """Pages and queries in one table."""
    corpus: Tables = ()
    queries: Tables = ()
    qrels: Tables = ()


def find_layout(
    folder: Path, split: str, judgements: Path | None = None, parquet: OpenParquet = open_parquet
) -> FolderLayout:
    """The tables of a split. judgements: a folder of qrels apart, as BEIR has them on the hub.

    InputRefused where there are none, where a part is missing or there twice, or a shard is missing.
    """
    if not SPLIT.fullmatch(split):
        raise InputRefused(f"{split!r} is not the name of a split.", "It is test, dev or the like.")
    found = {part: _part(folder, part, split) for part in PARTS}
    if judgements is not None:
        found["qrels"] = found["qrels"] or _named(judgements, [split])
    if found["corpus"] and found["queries"]:
        if not found["qrels"]:
            raise InputRefused(
                f"{folder.name} has no judgements for the split {split}.", _other_splits(folder / "qrels")
            )
        return FolderLayout(folder, folder, **{part: _tables(folder, paths, parquet) for part, paths in found.items()})
    rows = _named(folder / "data", [split]) or _named(folder, [split]) or _named(folder, ["metadata"])
    rows = rows or _all(folder / "default" / split)
    if not rows:
        missing = [part for part in PARTS if not found[part]]
        raise InputRefused(
            f"{folder.name} holds no collection with a split {split}: there is no {' and no '.join(missing)}.",
            "It takes corpus, queries and qrels as BEIR has them, or one table with pages and queries as ViDoRe has.",
        )
    return FolderLayout(folder, folder, rows=_tables(folder, rows, parquet))


def _part(folder: Path, part: str, split: str) -> list[Path]:
    inside = folder / part
    own = [part] if part != "qrels" else []
    return _named(inside, [split]) or _all(inside / split) or _named(inside, own) or _named(folder, [part])


def _named(folder: Path, names: Sequence[str]) -> list[Path]:
    """Tables of a folder that are called one of the names, whole or in shards `name-...`."""
    return [path for path in _all(folder) if any(re.match(re.escape(name) + r"(-|$)", _stem(path)) for name in names)]


def _all(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if _stem(path) and not path.name.startswith("."))
    except OSError:
        return []


def _stem(path: Path) -> str:
    """The name without its suffix; empty for what is no table."""
    return next((path.name.removesuffix(suffix) for suffix in SUFFIXES if path.name.endswith(suffix)), "")


def _tables(folder: Path, paths: Sequence[Path], parquet: OpenParquet) -> Tables:
    """InputRefused where the same part is there in two forms or a shard is missing."""
    forms = {path.name.removeprefix(_stem(path)) for path in paths}
    if len(forms) > 1:
        raise InputRefused(f"{' and '.join(path.name for path in paths)} are the same in two forms.", "Keep one.")
    for path in paths:
        shard = _SHARD.search(_stem(path))
        if shard and int(shard[1]) != len(paths):
            raise InputRefused(
                f"{len(paths)} of {int(shard[1])} pieces of {path.parent.name} are there.", "Download it again."
            )
    if len(paths) > 1 and not all(re.search(r"-of-\d{5}$|^\d{4}$", _stem(path)) for path in paths):
        names = ", ".join(path.name for path in paths)
        raise InputRefused(f"Which of {names} is meant cannot be told.", "Keep one.")
    return tuple(
        Table(path, path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name, parquet)
        for path in paths
    )


def _other_splits(folder: Path) -> str:
    splits = sorted({_SHARD.sub("", _stem(path)) for path in _all(folder)})
    return f"There are some for {', '.join(splits)}: name one with --split." if splits else "It needs qrels/test.tsv."
