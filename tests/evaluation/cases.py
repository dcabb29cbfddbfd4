"""Small collections in the layouts of BEIR and ViDoRe, and a fake Parquet reader for JSON lines."""

import base64
import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

TEXTS = {"d 1": ("Tides", "high water at noon"), "d2": ("", "bolts and nuts"), "d10": ("Menu", "soup")}
"""Documents by id: title and text."""
QUERIES = {"q1": "high water", "q2": "soup menu", "q3": "a query without judgements"}
QRELS = [("q1", "d 1", 2), ("q1", "d2", 0), ("q2", "d10", 1)]


def write_beir(
    folder: Path,
    documents: Mapping[str, tuple[str, str]] = TEXTS,
    queries: Mapping[str, str] = QUERIES,
    qrels: Iterable[tuple[str, str, object]] = QRELS,
    split: str = "test",
    packed: bool = False,
) -> Path:
    """Write a text collection in BEIR's layout."""
    corpus = [{"_id": name, "title": title, "text": text} for name, (title, text) in documents.items()]
    write_lines(folder / f"corpus.jsonl{'.gz' if packed else ''}", corpus)
    write_lines(folder / f"queries.jsonl{'.gz' if packed else ''}", [{"_id": q, "text": t} for q, t in queries.items()])
    rows = [{"query-id": query, "corpus-id": document, "score": score} for query, document, score in qrels]
    write_separated(folder / "qrels" / f"{split}.tsv", rows, ["query-id", "corpus-id", "score"])
    return folder


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write JSON lines, gzipped if the suffix is .gz; a .parquet file is for FakeParquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(json.dumps(row, default=_as_text) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_separated(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Path:
    """Write CSV or TSV, by the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, delimiter="," if path.suffix == ".csv" else "\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def colour(red: int, green: int = 0, blue: int = 0, size: tuple[int, int] = (8, 6)) -> bytes:
    """Return a PNG of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, (red, green, blue)).save(file, "PNG")
    return file.getvalue()


def picture(data: bytes | None, path: str = "/home/author/page.png") -> dict[str, object]:
    """Return an image as in a table of the hub."""
    return {"bytes": data, "path": path}


class FakeParquet:
    """Replaces pyarrow.parquet.ParquetFile for files of JSON lines and records the columns that were read."""

    asked: list[Sequence[str] | None] = []  # noqa: RUF012  a test clears it

    def __init__(self, path: Path) -> None:
        text = Path(path).read_text()
        self._rows = [json.loads(line, object_hook=_as_bytes) for line in text.splitlines()]

    @property
    def schema_arrow(self) -> "FakeParquet":
        return self

    @property
    def names(self) -> list[str]:
        return list(self._rows[0]) if self._rows else []

    def iter_batches(self, *, batch_size: int, columns: Sequence[str] | None) -> Iterable["FakeBatch"]:
        self.asked.append(columns)
        rows = [{k: v for k, v in row.items() if columns is None or k in columns} for row in self._rows]
        return (FakeBatch(rows[start : start + batch_size]) for start in range(0, len(rows), batch_size))


class FakeBatch:
    """A batch of rows."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows

    def to_pylist(self) -> list[dict[str, Any]]:
        return self._rows


def _as_text(data: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(data).decode()}


def _as_bytes(given: dict[str, Any]) -> Any:
    return base64.b64decode(given["base64"]) if set(given) == {"base64"} else given
