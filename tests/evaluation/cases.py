"""Small collections in the layouts of BEIR and ViDoRe."""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from smart_demo.evaluation.pages import PageCollection
from smart_demo.evaluation.texts import TextCollection

TEXTS = {"d 1": ("Tides", "high water at noon"), "d2": ("", "bolts and nuts"), "d10": ("Menu", "soup")}
"""Documents by id: title and text."""
QUERIES = {"q1": "high water", "q2": "soup menu", "q3": "a query without judgements"}
QRELS = [("q1", "d 1", 2), ("q1", "d2", 0), ("q2", "d10", 1)]
JUDGED = {"q1": {"d 1": 2, "d2": 0}, "q2": {"d10": 1}}
"""The grades of QRELS by query and document."""


CRANFIELD = {
    "cran.all.1400": """.I 1
.T
wings
.A
brenckman,m.
.B
j. ae. scs. 25, 1958, 324.
.W
lift of
  wings in a slipstream
.I 2
.T
lift only
.A
.B
.W
lift
.A
unlike a field
.I 3
.T
shear flow
past a plate
.A
.B
.W
.I 4
.T
.A
.B
.W
""",
    "cran.qry": """.I 001
.W
lift slipstream
.I 004
.W
shear flow past
a plate
.I 009
.W
a query without judgements
""",
    "cranqrel": """1 1 4
1 2 1\x20
1 3 -1
2 3 2

2 4  3
""",
}
"""A collection in Cranfield's form, by file."""


def write_cranfield(folder: Path) -> Path:
    """Write the collection in Cranfield's form, one file with the line ends of its time."""
    for name, text in CRANFIELD.items():
        (folder / name).write_text(text, newline="\r\n" if name == "cran.qry" else "\n")
    return folder


def write_judged(folder: Path, *rows: tuple[str, str, list[tuple[str, int, int]]], kinds: Sequence[str] = ()) -> Path:
    """Write a queries.jsonl from (qid, query, [(document, page, grade)]) rows; the kind is plain unless given."""
    path = folder / "queries.jsonl"
    names = ("document", "page", "grade")
    path.write_text(
        "\n".join(
            json.dumps(
                {
                    "qid": qid,
                    "query": query,
                    "kind": kind,
                    "relevant": [dict(zip(names, entry, strict=True)) for entry in relevant],
                }
            )
            for (qid, query, relevant), kind in zip(rows, kinds or ["plain"] * len(rows), strict=True)
        )
    )
    return path


def write_beir(
    folder: Path,
    documents: Mapping[str, tuple[str, str]] = TEXTS,
    queries: Mapping[str, str] = QUERIES,
    qrels: Iterable[tuple[str, str, object]] = QRELS,
    suffix: str = ".jsonl",
    split: str = "test",
) -> Path:
    """Write a text collection in BEIR's layout."""
    corpus = [{"_id": name, "title": title, "text": text} for name, (title, text) in documents.items()]
    write_rows(folder / f"corpus{suffix}", corpus)
    write_rows(folder / f"queries{suffix}", [{"_id": name, "text": text} for name, text in queries.items()])
    columns = ["query-id", "corpus-id", "score"]
    write_rows(folder / "qrels" / f"{split}.tsv", [dict(zip(columns, row, strict=True)) for row in qrels], columns)
    return folder


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> Path:
    """Write a table in the form that its suffix names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        _write_parquet(path, rows)
    elif path.suffix in (".csv", ".tsv"):
        text = io.StringIO()
        header, delimiter = columns or list(rows[0]), "," if path.suffix == ".csv" else "\t"
        writer = csv.DictWriter(text, header, delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        path.write_text(text.getvalue(), encoding="utf-8")
    else:
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def _write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table as the hub has them, in which the column `image` is declared as one of images."""
    import datasets
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist(list(rows))
    features = datasets.Features.from_arrow_schema(table.schema)
    if "image" in features:
        features["image"] = datasets.Image()
    parquet.write_table(table.cast(features.arrow_schema), path)


def card(**configs: Iterable[tuple[str, str]]) -> str:
    """Return a set's card: by configuration, (split, files) pairs."""
    listed = [
        {"config_name": name, "data_files": [{"split": split, "path": path} for split, path in files]}
        for name, files in configs.items()
    ]
    return f"---\nconfigs: {json.dumps(listed)}\n---\n# A set\n"


def colour(red: int, green: int = 0, blue: int = 0, size: tuple[int, int] = (8, 6)) -> bytes:
    """Return a PNG of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, (red, green, blue)).save(file, "PNG")
    return file.getvalue()


def picture(data: bytes | None, path: str = "/home/author/page.png") -> dict[str, object]:
    """Return an image as in a table of the hub."""
    return {"bytes": data, "path": path}


def judged(collection: TextCollection | PageCollection) -> dict[str, dict[str, float]]:
    """Return the grades by the collection's own ids of queries and documents."""
    return {
        query.qid: {collection.names[page]: grade for page, grade in query.grades.items()}
        for query in collection.judgements
    }
