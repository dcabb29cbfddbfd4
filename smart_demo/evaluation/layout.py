"""Which files of a folder hold what: the layouts in which retrieval benchmarks are handed out.

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

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smart_demo.errors import InputRefused
from smart_demo.evaluation.tables import SUFFIXES, OpenParquet, Table, open_parquet

PARTS = ("corpus", "queries", "qrels")
SPLIT = re.compile(r"\w[\w.-]{0,99}", re.ASCII)
_SHARD = re.compile(r"-\d{5}-of-(\d{5})$")
Tables = tuple[Table, ...]


@dataclass(frozen=True)
class Layout:
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
) -> Layout:
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
        return Layout(folder, folder, **{part: _tables(folder, paths, parquet) for part, paths in found.items()})
    rows = _named(folder / "data", [split]) or _named(folder, [split]) or _named(folder, ["metadata"])
    rows = rows or _all(folder / "default" / split)
    if not rows:
        missing = [part for part in PARTS if not found[part]]
        raise InputRefused(
            f"{folder.name} holds no collection with a split {split}: there is no {' and no '.join(missing)}.",
            "It takes corpus, queries and qrels as BEIR has them, or one table with pages and queries as ViDoRe has.",
        )
    return Layout(folder, folder, rows=_tables(folder, rows, parquet))


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
