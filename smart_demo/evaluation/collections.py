"""Retrieval collections in a folder or in a dataset on the hub: found, read and measured.

Text collections have BEIR's form: corpus, queries and qrels (beir-cellar/beir, beir/datasets/data_loader.py).

    corpus   {"_id": "d1", "title": "Tides", "text": "High water is ..."}
    queries  {"_id": "q1", "text": "when is high water"}
    qrels    query-id <tab> corpus-id <tab> score

A document is its title, a space and its text, as BEIR's own encoders join them
(beir/retrieval/models/sentence_bert.py). Tied texts keep the order of the corpus. A score is the gain itself.

The package `datasets`, which is optional, finds out which files the card of a hub's set names for each part and split.
Only those are fetched into the hub's cache, tables and images at one commit. No code of a set ever runs: the package
has no support for it, and a set with a loading script is refused. What was fetched before is read without the hub.

    vidore/docvqa_test_subsampled        one table of pages and queries
    vidore/docvqa_test_subsampled_beir   configurations corpus, queries and qrels, as in the third edition
    mteb/scifact                         configurations corpus and queries; the judgements are the default one
    BeIR/scifact                         configurations corpus and queries; the judgements are BeIR/scifact-qrels
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from smart_demo.config import Settings
from smart_demo.errors import InputRefused
from smart_demo.evaluation import query_sets
from smart_demo.evaluation.pages import PageCollection, evaluate_pages, has_images, read_pages, read_single_table
from smart_demo.evaluation.query_sets import CollectionOptions
from smart_demo.evaluation.runner import ProgressCallback, Report, ignore_progress
from smart_demo.evaluation.tables import (
    SPLIT_NAME,
    SUFFIXES,
    FolderLayout,
    Table,
    Tables,
    find_layout,
    import_datasets,
)
from smart_demo.evaluation.texts import TextCollection, evaluate_texts
from smart_demo.types import PageId

MAX_TEXTS = 1_000_000
"""Maximum number of texts of a collection: their pooled vectors stay in memory, 1.5 GB for minilm's."""
DATASET_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
ETAG_TIMEOUT_SECONDS = 5
CARD_FILE = "README.md"
"""The card of a set. It is fetched first, because its folder is named by the commit."""
TO_A_FOLDER = "hf download {name} --repo-type dataset --local-dir DIR. Then give that folder as --dataset."


class DatasetNotFound(InputRefused):
    """The hub has no such dataset."""


def evaluate_dataset(
    settings: Settings,
    source: str,
    options: CollectionOptions,
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


def read_dataset(source: str, options: CollectionOptions) -> TextCollection | PageCollection:
    """Read a collection without encoding it. Raises InputRefused as `evaluate_dataset`."""
    layout, name = _locate(source, options)
    name = name if options.split == "test" else f"{name} ({options.split})"
    if layout.rows:
        return read_single_table(layout, name, options)
    if has_images(layout.corpus):
        return read_pages(layout, name, options)
    return read_beir(layout, name, options)


def read_beir(layout: FolderLayout, name: str, options: CollectionOptions) -> TextCollection:
    """Read a text collection. Raises InputRefused, with file and line, at the first invalid row."""
    query_set = query_sets.read_queries(query_sets.read_rows(layout.queries), options.language)
    ids, documents, empty = dict[str, PageId](), dict[PageId, str](), 0
    for row in query_sets.read_rows(layout.corpus, (*query_sets.DOCUMENT_ID_COLUMNS, "title", "text")):
        document = query_sets.read_id(row, query_sets.DOCUMENT_ID_COLUMNS, "document")
        text = f"{query_sets.read_words(row, ['title'])} {query_sets.read_words(row, ['text'])}".strip()
        if document in ids:
            if documents.get(ids[document], "") == text:  # the same line twice counts once
                continue
            raise row.refusal(f'the document "{document}" appears twice, with another text.', "Keep one of the lines.")
        if len(ids) >= MAX_TEXTS:
            raise row.refusal(f"there are more than {MAX_TEXTS:,} documents, which is the limit.")
        page = query_sets.number_page(ids, document)
        if text:
            documents[page] = text
        else:
            empty += 1
    if not documents:
        raise InputRefused(f"There are no texts in the corpus of {name}.")
    notices = [f"Documents without a text: {empty:,}; they were left out and count as never found."] if empty else []
    grades = query_sets.read_grades(query_sets.read_judgement_rows(layout.qrels), query_set, ids, notices)
    judgements = query_sets.select_judged(query_set, grades, options, notices)
    return TextCollection(name, documents, query_sets.names_of(ids), judgements, tuple(notices))


def _locate(source: str, options: CollectionOptions) -> tuple[FolderLayout, str]:
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


def is_dataset_name(source: str) -> bool:
    """Return whether `source` could be a dataset's name on the hub.

    >>> is_dataset_name("vidore/docvqa_test_subsampled"), is_dataset_name("../docvqa"), is_dataset_name("docvqa")
    (True, False, False)
    """
    return bool(DATASET_NAME.fullmatch(source))


def fetch_hub_set(name: str, options: CollectionOptions) -> tuple[FolderLayout, str]:
    """Return the tables of a split and the set's name with its commit, fetched if they are not in the hub's cache.

    Raises InputRefused if `datasets` is not installed, the hub cannot be reached, the set, revision, split or a part
    does not exist or needs its licence accepted, the set has a loading script, or the download fails.
    """
    datasets = import_datasets(f"{name} is a dataset on the hub")
    with _hub_errors(name, options.revision):
        folder = _download(name, options.revision or None, [CARD_FILE])
        try:
            # A cache of its own: without the hub the package would answer from rows that it has cached, not with files.
            with TemporaryDirectory(prefix="smart-demo-eval-") as cache:
                configs = datasets.get_dataset_config_names(name, revision=folder.name, cache_dir=cache)
                files = _list_files(
                    lambda part: datasets.load_dataset_builder(name, part, revision=folder.name, cache_dir=cache),
                    configs,
                    f"The card of {name}",
                    options.split,
                )
        except ConnectionError:
            apart = any(folder.glob("corpus*")) and not any(folder.glob("qrels*"))
            layout = find_layout(folder, options.split, _fetch_qrels(name, options) if apart else ())
        else:
            _download(name, folder.name, [glob.escape(file) for part in files.values() for file in part])
            tables = {part: _make_tables(folder, name, paths) for part, paths in files.items()}
            if "corpus" in tables and "qrels" not in tables:
                tables["qrels"] = _fetch_qrels(name, options)
            layout = FolderLayout(folder, folder, **tables)
    # Files in the hub's cache are links to blobs two folders up.
    return replace(layout, link_root=folder.parent.parent), f"{name}@{folder.name[:12]}"


def _download(name: str, revision: str | None, files: Sequence[str]) -> Path:
    """Return the folder of a commit in the hub's cache, with those files; without the hub, as it was fetched before."""
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            name, repo_type="dataset", revision=revision, allow_patterns=list(files), etag_timeout=ETAG_TIMEOUT_SECONDS
        )
    )


def _list_files(
    find: Callable[[str | None], Any], configs: Sequence[str], card: str, split: str
) -> dict[str, list[str]]:
    """Return the files of a split by part, or of its `rows` if the set has no parts.

    find: maps a configuration, or None for the default, to its builder. card: the words that name the set's card.
    """
    parts: Mapping[str, str | None] = {"rows": None}
    if {"corpus", "queries"} <= set(configs):
        own = [config for config in ("qrels", "default") if config in configs]
        parts = {"corpus": "corpus", "queries": "queries"} | ({"qrels": own[0]} if own else {})
    found = {}
    for part, config in parts.items():
        splits = find(config).config.data_files or {}
        # A corpus and its queries often have one split for all judgements, named like the part or by habit train.
        names = [split] if part in ("rows", "qrels") else [split, part, *(splits if len(splits) == 1 else ())]
        chosen = next((splits[known] for known in names if known in splits), None)
        if chosen is None:
            raise InputRefused(
                f"{card} names no split {split}{'' if part == 'rows' else f' of its {part}'}.",
                f"It names {', '.join(map(str, splits))}: choose by --split.",
            )
        found[part] = [re.sub(r"^hf://datasets/[^@]+@[0-9a-f]+/", "", str(file)) for file in chosen]
    return found


def _make_tables(folder: Path, name: str, files: Sequence[str]) -> Tables:
    """Return the tables among the files of a part; the others are their images."""
    tables = tuple(Table(folder / file, file) for file in files if file.endswith(SUFFIXES))
    if not tables:
        readable = " or ".join(SUFFIXES)
        raise InputRefused(f"{name} holds {files[0]!r}, which is no table that can be read.", f"It takes {readable}.")
    return tables


def _fetch_qrels(name: str, options: CollectionOptions) -> Tables:
    """Return the judgements of a set that has none itself.

    BEIR publishes those of `BeIR/x` as the dataset `BeIR/x-qrels` (beir/datasets/data_loader_hf.py).
    """
    try:
        return fetch_hub_set(f"{name}-qrels", replace(options, revision=""))[0].rows
    except DatasetNotFound:
        raise InputRefused(f"{name} has no judgements, and the hub has no dataset {name}-qrels.") from None


@contextmanager
def _hub_errors(name: str, revision: str) -> Iterator[None]:
    """Raise what the hub's client and `datasets` raise as InputRefused."""
    from huggingface_hub import errors

    # If a proxy is down the client raises its transport's own error, the base class of the hub's errors.
    bases = set(errors.HfHubHTTPError.__bases__) - {OSError}
    unreachable: tuple[type[BaseException], ...] = (
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        *(base for base in bases if issubclass(base, Exception)),
    )
    try:
        yield
    except InputRefused:
        raise
    except errors.GatedRepoError:
        raise InputRefused(f"{name} requires its licence to be accepted.", "Log in with: hf auth login") from None
    except errors.RepositoryNotFoundError:
        raise DatasetNotFound(f"The hub has no dataset {name}.", "Check its name.") from None
    except errors.RevisionNotFoundError:
        raise InputRefused(f"{name} has no revision {revision}.", "Leave --revision out for the newest.") from None
    except unreachable:
        raise InputRefused(
            f"{name} is not on this disk and the hub cannot be reached.",
            f"On a machine that reaches it: {TO_A_FOLDER.format(name=name)}",
        ) from None
    except Exception as error:  # noqa: BLE001 - a card may say anything, and any error may come of it
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        reason = "".join(filter(str.isprintable, reason))  # it may quote the card
        raise InputRefused(f"{name} could not be fetched: {reason}", f"Try: {TO_A_FOLDER.format(name=name)}") from None
