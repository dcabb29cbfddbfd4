"""Standard retrieval sets, by the folder they lie in or by their name on the hub."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from smart_demo.config import Settings
from smart_demo.errors import InputRefused
from smart_demo.evaluation import hub
from smart_demo.evaluation.album import Album
from smart_demo.evaluation.beir import read_beir
from smart_demo.evaluation.layout import SPLIT, Layout, find_layout
from smart_demo.evaluation.pages import evaluate_pages
from smart_demo.evaluation.relevance import Choice
from smart_demo.evaluation.report import Report
from smart_demo.evaluation.runs import Tell, silent
from smart_demo.evaluation.tables import OpenParquet, open_parquet
from smart_demo.evaluation.text_search import evaluate_texts
from smart_demo.evaluation.texts import TextCollection
from smart_demo.evaluation.vidore import PageCollection, read_pages, read_rows_of_pages


@dataclass(frozen=True)
class Outside:
    """What is used of the world outside; a test gives its own."""

    download: hub.Download = hub.snapshot
    parquet: OpenParquet = open_parquet


def evaluate_standard(
    settings: Settings,
    source: str,
    choice: Choice,
    tell: Tell = silent,
    runs: Path | None = None,
) -> Report:
    """Measure the collection in a folder, or the hub's dataset of that name, by every method.

    Texts are ranked as texts, pictures as pages. Nothing of it stays in the library. runs: a folder for TREC files.
    InputRefused, with the file and the line where there is one, for a collection that cannot be used, before any model
    is loaded; errors as `evaluate_texts` and `evaluate_pages`.
    """
    tell(f"Reading {source}.")
    collection = read_standard(source, choice)
    if isinstance(collection, TextCollection):
        return evaluate_texts(settings, collection, tell, runs)
    return evaluate_pages(settings, collection, tell, runs)


def read_standard(
    source: str,
    choice: Choice,
    outside: Outside = Outside(),
) -> TextCollection | PageCollection:
    """The collection, read but not encoded. InputRefused as `evaluate_standard`."""
    layout, name = _find(source, choice, outside)
    name = name if choice.split == "test" else f"{name} ({choice.split})"
    if layout.rows:
        return read_rows_of_pages(layout, name, choice)
    if Album(layout, layout.corpus).there:
        return read_pages(layout, name, choice)
    return read_beir(layout, name, choice)


def _find(source: str, choice: Choice, outside: Outside) -> tuple[Layout, str]:
    """The tables, and the collection's name."""
    folder = Path(os.path.expanduser(source))
    if folder.is_dir():
        if choice.revision:
            raise InputRefused(f"{source} is a folder, which has no revisions.", "Leave --revision out.")
        folder = folder.absolute()
        return find_layout(folder, choice.split, parquet=outside.parquet), folder.name
    if not hub.is_name(source):
        raise InputRefused(
            f"{source} is neither a folder here nor a dataset's name on the hub.", "A name looks like owner/name."
        )
    if not SPLIT.fullmatch(choice.split):
        raise InputRefused(f"{choice.split!r} is not the name of a split.", "It is test, dev or the like.")
    fetched = hub.fetch(source, choice.revision, choice.split, outside.download)
    layout = find_layout(fetched, choice.split, _judgements(source, choice, outside, fetched), outside.parquet)
    # Files in the hub's cache are links to blobs two folders up.
    within = fetched.parent.parent if fetched.parent.name == "snapshots" else fetched
    revision = fetched.name[:12] if fetched.parent.name == "snapshots" else choice.revision
    return replace(layout, within=within), f"{source}@{revision}" if revision else source


def _judgements(source: str, choice: Choice, outside: Outside, fetched: Path) -> Path | None:
    """BEIR keeps the judgements of `BeIR/x` in a dataset `BeIR/x-qrels` (beir/datasets/data_loader_hf.py)."""
    has_corpus = any(fetched.glob("corpus*"))
    if not has_corpus or any(fetched.glob("qrels*")):
        return None
    try:
        return hub.fetch(f"{source}-qrels", "", choice.split, outside.download)
    except hub.NotThere:
        return None  # the layout says what is missing
