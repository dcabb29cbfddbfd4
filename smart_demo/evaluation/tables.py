"""Rows of JSON lines (also gzipped), CSV, TSV and Parquet tables, and the layout of a collection's folder.

A row knows its file and line, so that an error can name them. Only a few rows are in memory. The package `datasets`,
which is optional, reads Parquet; it decodes nothing, since a picture in a table is untrusted input.

Retrieval benchmarks come in three layouts. Three tables, as BEIR's reader takes them (beir-cellar/beir,
beir/datasets/data_loader.py):

    corpus.jsonl   queries.jsonl   qrels/test.tsv

The same as subfolders, one for each configuration of a dataset on the hub, whose files begin with the split (the front
matter of `vidore/docvqa_test_subsampled_beir`: `path: corpus/test-*`) or with the name of the part (MTEB's copies):

    corpus/test-00000-of-00002.parquet   queries/test-*.parquet   qrels/test-*.parquet

Or one table in which every row is a page, with or without a query (`vidore/docvqa_test_subsampled`: `data/test-*`):

    data/test-00000-of-00001.parquet

Any table may also be JSON lines, CSV or TSV under the same names; a single table may be called metadata. Judgements may
also be a TREC file, four columns with white space between, or three columns without a header.
"""

from __future__ import annotations

import csv
import glob
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, TypeVar, cast

from smart_demo.errors import InputRefused

SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".tsv", ".parquet")
QRELS_SUFFIXES = (*SUFFIXES, ".txt", ".trec", ".qrels")
"""Suffixes of tables of judgements, which other tools also write as plain text."""
QRELS_COLUMNS = ("query-id", "corpus-id", "score")
PART_NAMES = ("corpus", "queries", "qrels")
SPLIT_NAME = re.compile(r"\w[\w.-]{0,99}", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]{1,9}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,2})?", re.ASCII)
_NOTES = re.compile(r"(read[-_ ]?me|licen[sc]e|notice|citation|changelog)([-_. ].*)?", re.IGNORECASE)
"""Names of text files about a collection, which lie beside its judgements."""
_SHARD = re.compile(r"-\d{5}-of-(\d{5})$")
MAX_LINE_BYTES = 16 * 2**20
"""Maximum size of a line."""
MAX_TABLE_BYTES = 16 * 2**30
"""Maximum size of one table when unpacked: a small file may unpack to any size."""
PARQUET_BATCH_ROWS = 8
"""Number of Parquet rows decoded at once: each may hold an image of megabytes."""
T = TypeVar("T")
_READ_ERRORS = (
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
"""What gzip and `datasets` raise on damaged bytes; every error of pyarrow below it is a subclass of one of these."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table."""

    location: str
    """The row's file and line, as shown in errors."""
    values: Mapping[str, Any]
    """Values by column name."""

    def refusal(self, message: str, hint: str = "") -> InputRefused:
        """Return an InputRefused that names this row."""
        return InputRefused(f"{self.location}: {message}", hint)


def import_datasets(needed_by: str) -> Any:  # noqa: ANN401 (an optional package)
    """Return the package `datasets`. Raises InputRefused, with the command to run, if it is not installed.

    needed_by: the clause before "which needs the package datasets".
    """
    try:
        import datasets
    except ImportError:
        raise InputRefused(
            f"{needed_by}, which needs the package datasets.", "Run: python -m pip install datasets"
        ) from None
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False  # it would report every table that is read to a server
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what it would log is raised as well
    return datasets


@dataclass(frozen=True)
class Table:
    """One file of rows."""

    path: Path
    name: str
    """The path inside the collection, as shown in errors."""

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, read once; for JSON lines, those of the first row. Raises InputRefused as `rows`."""
        if self.path.name.endswith(".parquet"):
            return tuple(self._guarded(self._open_parquet).column_names)
        return next((tuple(row.values) for row in self.rows()), ())

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[TableRow]:
        """Yield every row, in order.

        columns: limits what is read from a Parquet table, which may lack some of them, to these; other forms yield all
        of theirs. Raises InputRefused, with the line, at the first row that cannot be read.
        """
        if self.path.name.endswith(".parquet"):
            return self._parquet_rows(columns)
        if self.path.name.endswith((".csv", ".tsv")):
            return self._separated_rows("," if self.path.name.endswith(".csv") else "\t")
        return self._json_rows()

    def judgement_rows(self, columns: Sequence[str] | None = None) -> Iterator[TableRow]:
        """Yield the rows of a table of judgements, as `rows`; a table without a header gets BEIR's column names.

        The first line decides: names of columns, three cells that end with a number (query, document, grade), or four
        (TREC: query, iteration, document, grade). Raises InputRefused as `rows`, and for a TREC ranking.
        """
        if self.path.name.endswith((".parquet", ".jsonl", ".jsonl.gz")):
            return self.rows(columns)
        number, first = next(((number, line) for number, line in self._lines() if line.strip()), (1, ""))
        # A header names its columns with the separator of the file's suffix, or with tabs in a file of another suffix.
        separator = "," if self.path.name.endswith(".csv") else "\t"
        for candidate in (separator, ",", "\t", ";", None):
            cells = [cell.strip().strip('"') for cell in first.split(candidate)]
            if candidate and set(cells) & {*QRELS_COLUMNS, "query_id", "corpus_id"}:
                return self._separated_rows(candidate)
            if len(cells) in (3, 4) and is_number(cells[-1]):
                return self._headerless_rows(candidate, cells)
        if len(first.split()) == 6:
            raise TableRow(f"{self.name}, line {number}", {}).refusal(
                "this is a line of a TREC ranking, not of judgements.", "Put a qrels file here."
            )
        return self._separated_rows(separator)

    def _headerless_rows(self, separator: str | None, first: Sequence[str]) -> Iterator[TableRow]:
        for number, line in self._lines():
            if not line.strip():
                continue
            row = TableRow(f"{self.name}, line {number}", {})
            cells = [cell.strip().strip('"') for cell in line.split(separator)]
            if len(cells) != len(first):
                raise row.refusal(
                    f"there are {len(cells)} cells; the first line has {len(first)}.",
                    "Write query, document and grade, or the four columns of TREC.",
                )
            yield TableRow(row.location, dict(zip(QRELS_COLUMNS, (cells[0], *cells[-2:]), strict=True)))

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
            yield TableRow(row.location, values)

    def _separated_rows(self, separator: str) -> Iterator[TableRow]:
        """Yield rows of CSV or TSV: the first row names the columns; quotes as in BEIR's own reader."""
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
                yield TableRow(row.location, dict(zip(header, cells, strict=True)))

    def _parquet_rows(self, columns: Sequence[str] | None) -> Iterator[TableRow]:
        present = None if columns is None else [name for name in self.columns if name in columns]
        rows = self._guarded(lambda: iter(self._open_parquet(present)))
        number = 0
        while (values := self._guarded(lambda: next(rows, None))) is not None:
            number += 1
            yield TableRow(f"{self.name}, row {number}", values)

    def _open_parquet(self, columns: Sequence[str] | None = None) -> Any:  # noqa: ANN401 (an optional package)
        """Return a stream of rows in which pictures are still bytes, all columns of them if `columns` is empty."""
        datasets = import_datasets(f"{self.name} is a Parquet table")
        with TemporaryDirectory(prefix="smart-demo-eval-") as cache:  # a stream caches nothing, but locks a file there
            rows = datasets.load_dataset(
                "parquet",
                data_files=glob.escape(str(self.path)),
                split="train",
                columns=list(columns) if columns else None,
                batch_size=PARQUET_BATCH_ROWS,
                cache_dir=cache,
                streaming=True,
            )
        return rows.decode(False)

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Yield (number, line with its end) of UTF-8 text. Lines may end with LF, CR LF, or CR alone."""
        size, number = 0, 0
        with self._guarded(lambda: _open(self.path)) as file:
            while block := self._guarded(lambda: file.readline(MAX_LINE_BYTES + 1)):
                size += len(block)
                row = TableRow(f"{self.name}, line {number + 1}", {})
                if len(block) > MAX_LINE_BYTES or size > MAX_TABLE_BYTES:
                    # Lines that end with CR alone arrive as one.
                    is_cured = size <= MAX_TABLE_BYTES and b"\r" in block
                    cure = "Save it with LF line ends." if is_cured else ""
                    raise row.refusal("the line or the table is too large.", cure)
                try:
                    text = block.decode("utf-8-sig" if number == 0 else "utf-8")
                except UnicodeDecodeError:
                    raise row.refusal("this is not UTF-8 text.", "Save it as UTF-8.") from None
                for line in io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n")):
                    number += 1
                    yield number, line

    def _guarded(self, read: Callable[[], T]) -> T:
        """Return `read()`. Raises InputRefused if the file is missing, unreadable or damaged."""
        try:
            return read()
        except FileNotFoundError:
            raise InputRefused(f"{self.name} is not there.", "Check the path.") from None
        except _READ_ERRORS:
            raise InputRefused(f"{self.name} is damaged or cannot be read.", "Download or export it again.") from None


def is_number(text: str) -> bool:
    """Return whether a cell is a decimal number, such as `1`, `0.5` or `1e0`."""
    return _NUMBER.fullmatch(text.strip()) is not None


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.name.endswith(".gz") else path.open("rb")


Tables = tuple[Table, ...]


@dataclass(frozen=True)
class FolderLayout:
    """The tables of a folder: either `rows`, or the three parts."""

    folder: Path
    link_root: Path
    """The folder that links may not leave: `folder` itself, or the hub's cache around it."""
    rows: Tables = ()
    """Shards of the single table of pages and queries."""
    corpus: Tables = ()
    queries: Tables = ()
    qrels: Tables = ()


def find_layout(folder: Path, split: str, qrels: Tables = ()) -> FolderLayout:
    """Return the tables of a split. qrels: judgements to take if the folder has none.

    Raises InputRefused if there is no collection, a part is missing or ambiguous, or a shard is missing.
    """
    found = {part: _find_part(folder, part, split) for part in PART_NAMES}
    if found["corpus"] and found["queries"]:
        if not found["qrels"] and not qrels:
            raise InputRefused(
                f"{folder.name} has no judgements for the split {split}.", _suggest_splits(folder / "qrels")
            )
        tables = {part: _make_tables(folder, paths) for part, paths in found.items()}
        return FolderLayout(folder, folder, **(tables | {"qrels": tables["qrels"] or qrels}))
    rows = _find_tables(folder / "data", [split]) or _find_tables(folder, [split]) or _find_tables(folder, ["metadata"])
    rows = rows or _list_tables(folder / "default" / split)
    if not rows:
        missing = [part for part in PART_NAMES if not found[part]]
        raise InputRefused(
            f"{folder.name} holds no collection with a split {split}: there is no {' and no '.join(missing)}.",
            "Add corpus, queries and qrels as in BEIR, or one table of pages and queries as in ViDoRe.",
        )
    return FolderLayout(folder, folder, rows=_make_tables(folder, rows))


def _find_part(folder: Path, part: str, split: str) -> list[Path]:
    inside = folder / part
    own = [part] if part != "qrels" else []
    suffixes = QRELS_SUFFIXES if part == "qrels" else SUFFIXES
    return (
        _find_tables(inside, [split], suffixes)
        or _list_tables(inside / split, suffixes)
        or _find_tables(inside, own, suffixes)
        or _find_tables(folder, [part], suffixes)
    )


def _find_tables(folder: Path, names: Sequence[str], suffixes: Sequence[str] = SUFFIXES) -> list[Path]:
    """Return tables of a folder with one of the names, whole or in shards `name-...`."""
    return [
        path
        for path in _list_tables(folder, suffixes)
        if any(re.match(re.escape(name) + r"(-|$)", _table_stem(path)) for name in names)
    ]


def _list_tables(folder: Path, suffixes: Sequence[str] = SUFFIXES) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if _is_table(path, suffixes))
    except OSError:
        return []


def _is_table(path: Path, suffixes: Sequence[str]) -> bool:
    if path.suffix.lower() == ".txt" and _NOTES.fullmatch(path.stem):
        return False
    return path.name.endswith(tuple(suffixes)) and bool(_table_stem(path)) and not path.name.startswith(".")


def _table_stem(path: Path) -> str:
    """Return the name without its suffix; empty if the file is no table."""
    return next((path.name.removesuffix(suffix) for suffix in QRELS_SUFFIXES if path.name.endswith(suffix)), "")


def _make_tables(folder: Path, paths: Sequence[Path]) -> Tables:
    """Return the tables. Raises InputRefused if one part is present in two forms or a shard is missing."""
    forms = {path.name.removeprefix(_table_stem(path)) for path in paths}
    if len(forms) > 1:
        raise InputRefused(f"{' and '.join(path.name for path in paths)} are the same in two forms.", "Keep one.")
    for path in paths:
        shard = _SHARD.search(_table_stem(path))
        if shard and int(shard[1]) != len(paths):
            raise InputRefused(
                f"{len(paths)} of {int(shard[1])} shards of {path.parent.name} are present.", "Download it again."
            )
    if len(paths) > 1 and not all(re.search(r"-of-\d{5}$|^\d{4}$", _table_stem(path)) for path in paths):
        names = ", ".join(path.name for path in paths)
        raise InputRefused(f"{names} are several tables of one part.", "Keep one.")
    return tuple(Table(path, path.relative_to(folder).as_posix()) for path in paths)


def _suggest_splits(folder: Path) -> str:
    splits = sorted({_SHARD.sub("", _table_stem(path)) for path in _list_tables(folder, QRELS_SUFFIXES)})
    return f"There are some for {', '.join(splits)}: name one with --split." if splits else "It needs qrels/test.tsv."
