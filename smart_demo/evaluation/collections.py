"""Retrieval collections in a folder or in a dataset on the hub: found, read and measured.

Text collections have BEIR's form: corpus, queries and qrels (beir-cellar/beir, beir/datasets/data_loader.py).

    corpus   {"_id": "d1", "title": "Tides", "text": "High water is ..."}
    queries  {"_id": "q1", "text": "when is high water"}
    qrels    query-id <tab> corpus-id <tab> score

A document is its title, a space and its text, as BEIR's own encoders join them
(beir/retrieval/models/sentence_bert.py). Tied texts keep the order of the corpus. A score is the gain itself.
"""

from __future__ import annotations

import os
from pathlib import Path

from smart_demo.config import Settings
from smart_demo.errors import InputRefused
from smart_demo.evaluation import query_sets
from smart_demo.evaluation.hub import fetch_hub_set, is_dataset_name
from smart_demo.evaluation.pages import PageCollection, evaluate_pages, has_images, read_pages, read_single_table
from smart_demo.evaluation.runner import ProgressCallback, Report, ignore_progress
from smart_demo.evaluation.tables import SPLIT_NAME, FolderLayout, find_layout
from smart_demo.evaluation.texts import TextCollection, evaluate_texts
from smart_demo.types import PageId

MAX_TEXTS = 1_000_000
"""Maximum number of texts of a collection: their pooled vectors stay in memory, 1.5 GB for minilm's."""


def evaluate_dataset(
    settings: Settings,
    source: str,
    options: query_sets.CollectionOptions,
    on_progress: ProgressCallback = ignore_progress,
    run_dir: Path | None = None,
) -> Report:
    """Measure the collection in a folder, or the hub's dataset of that name, by every method.

    Texts are ranked as texts, images as pages; no page stays in the library. run_dir: a folder for TREC files. Raises
    InputRefused, with file and line if there is one, if the collection cannot be used, before any model is loaded;
    errors as `evaluate_texts` and `evaluate_pages`.
    """
    on_progress(f"Reading {source}.")
    collection = read_dataset(source, options)
    if isinstance(collection, TextCollection):
        return evaluate_texts(settings, collection, on_progress, run_dir)
    return evaluate_pages(settings, collection, on_progress, run_dir)


def read_dataset(source: str, options: query_sets.CollectionOptions) -> TextCollection | PageCollection:
    """Read a collection without encoding it. Raises InputRefused as `evaluate_dataset`."""
    layout, name = _locate(source, options)
    name = name if options.split == "test" else f"{name} ({options.split})"
    if layout.rows:
        return read_single_table(layout, name, options)
    if has_images(layout.corpus):
        return read_pages(layout, name, options)
    return read_beir(layout, name, options)


def read_beir(layout: FolderLayout, name: str, options: query_sets.CollectionOptions) -> TextCollection:
    """Read a text collection. Raises InputRefused, with file and line, at the first invalid row."""
    query_set = query_sets.read_queries(query_sets.read_rows(layout.queries), options.language)
    ids, documents, empty = dict[str, PageId](), {}, 0
    for row in query_sets.read_rows(layout.corpus, (*query_sets.DOCUMENT_ID_COLUMNS, "title", "text")):
        document = query_sets.read_id(row, query_sets.DOCUMENT_ID_COLUMNS, "document")
        if document in ids:
            raise row.refusal(f'the document "{document}" appears twice.')
        if len(ids) >= MAX_TEXTS:
            raise row.refusal(f"there are more than {MAX_TEXTS:,} documents, which is the limit.")
        page = query_sets.number_page(ids, document)
        text = f"{query_sets.read_words(row, ['title'])} {query_sets.read_words(row, ['text'])}".strip()
        if text:
            documents[page] = text
        else:
            empty += 1
    if not documents:
        raise InputRefused(f"There are no texts in the corpus of {name}.")
    notices = [f"Documents without a text: {empty:,}; they were left out and count as never found."] if empty else []
    grades = query_sets.read_grades(query_sets.read_rows(layout.qrels), query_set, ids, notices)
    judgements = query_sets.select_judged(query_set, grades, options, notices)
    return TextCollection(name, documents, query_sets.names_of(ids), judgements, tuple(notices))


def _locate(source: str, options: query_sets.CollectionOptions) -> tuple[FolderLayout, str]:
    """Return the tables of a collection, and its name."""
    if not SPLIT_NAME.fullmatch(options.split):
        raise InputRefused(f"{options.split!r} is not the name of a split.", "It is test, dev or the like.")
    folder = Path(os.path.expanduser(source))
    if folder.is_dir():
        if options.revision:
            raise InputRefused(f"{source} is a folder, which has no revisions.", "Leave --revision out.")
        folder = folder.absolute()
        return find_layout(folder, options.split), folder.name
    if not is_dataset_name(source):
        raise InputRefused(
            f"{source} is neither a folder here nor a dataset's name on the hub.", "A name looks like owner/name."
        )
    return fetch_hub_set(source, options)
