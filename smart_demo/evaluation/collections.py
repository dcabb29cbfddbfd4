"""Retrieval collections in a folder or in a dataset on the hub: found, fetched, read and measured.

Only tables and images are fetched from the hub, never code. Text collections have BEIR's form: corpus, queries and
qrels (beir-cellar/beir, beir/datasets/data_loader.py).

    corpus   {"_id": "d1", "title": "Tides", "text": "High water is ..."}
    queries  {"_id": "q1", "text": "when is high water"}
    qrels    query-id <tab> corpus-id <tab> score

A document is its title, a space and its text, as BEIR's own encoders join them
(beir/retrieval/models/sentence_bert.py). Tied texts keep the order of the corpus. A score is the gain itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smart_demo.config import Settings
from smart_demo.errors import InputRefused
from smart_demo.evaluation.pages import PageCollection, PageImages, evaluate_pages, read_pages, read_single_table
from smart_demo.evaluation.query_sets import (
    DOCUMENT_ID_COLUMNS,
    CollectionOptions,
    PageNumbering,
    read_grades,
    read_id,
    read_queries,
    read_rows,
    read_words,
    select_judged,
)
from smart_demo.evaluation.runner import ProgressCallback, Report, ignore_progress
from smart_demo.evaluation.tables import SPLIT_NAME, FolderLayout, OpenParquet, find_layout, open_parquet
from smart_demo.evaluation.texts import TextCollection, evaluate_texts

DATASET_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
TABLE_SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".csv", ".tsv")
ETAG_TIMEOUT_SECONDS = 5
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif", ".bmp")
MAX_TEXTS = 1_000_000
"""Maximum number of texts of a collection: their pooled vectors stay in memory, 1.5 GB for minilm's."""
Download = Callable[[str, str | None, Sequence[str]], Path]
"""Maps (owner/name, revision, file patterns) to the folder with the files. Raises what huggingface_hub raises."""


class DatasetNotFound(InputRefused):
    """The hub has no such dataset."""


def download_snapshot(name: str, revision: str | None, files: Sequence[str]) -> Path:
    """Download by the hub's own client, which caches the files."""
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            name, repo_type="dataset", revision=revision, allow_patterns=list(files), etag_timeout=ETAG_TIMEOUT_SECONDS
        )
    )


@dataclass(frozen=True)
class DataAccess:
    """The functions that read from outside the program; tests replace them."""

    download: Download = download_snapshot
    parquet: OpenParquet = open_parquet


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


def read_dataset(
    source: str,
    options: CollectionOptions,
    access: DataAccess = DataAccess(),
) -> TextCollection | PageCollection:
    """Read a collection without encoding it. Raises InputRefused as `evaluate_dataset`."""
    layout, name = _locate(source, options, access)
    name = name if options.split == "test" else f"{name} ({options.split})"
    if layout.rows:
        return read_single_table(layout, name, options)
    if PageImages(layout, layout.corpus).exist:
        return read_pages(layout, name, options)
    return read_beir(layout, name, options)


def read_beir(layout: FolderLayout, name: str, options: CollectionOptions) -> TextCollection:
    """Read a text collection. Raises InputRefused, with file and line, at the first invalid row."""
    query_set = read_queries(read_rows(layout.queries), options.language)
    ids, documents, empty = PageNumbering(), {}, 0
    for row in read_rows(layout.corpus, (*DOCUMENT_ID_COLUMNS, "title", "text")):
        document = read_id(row, DOCUMENT_ID_COLUMNS, "document")
        if document in ids:
            raise row.refusal(f'the document "{document}" appears twice.')
        if len(ids) >= MAX_TEXTS:
            raise row.refusal(f"there are more than {MAX_TEXTS:,} documents, which is the limit.")
        page = ids.number(document)
        text = f"{read_words(row, ['title'])} {read_words(row, ['text'])}".strip()
        if text:
            documents[page] = text
        else:
            empty += 1
    if not documents:
        raise InputRefused(f"There are no texts in the corpus of {name}.")
    notices = [f"Documents without a text: {empty:,}; they were left out and count as never found."] if empty else []
    grades = read_grades(read_rows(layout.qrels), query_set, ids, notices)
    judgements = select_judged(query_set, grades, options, notices)
    return TextCollection(name, documents, ids.names, judgements, tuple(notices))


def _locate(source: str, options: CollectionOptions, access: DataAccess) -> tuple[FolderLayout, str]:
    """Return the tables of a collection, and its name."""
    folder = Path(os.path.expanduser(source))
    if folder.is_dir():
        if options.revision:
            raise InputRefused(f"{source} is a folder, which has no revisions.", "Leave --revision out.")
        folder = folder.absolute()
        return find_layout(folder, options.split, parquet=access.parquet), folder.name
    if not is_dataset_name(source):
        raise InputRefused(
            f"{source} is neither a folder here nor a dataset's name on the hub.", "A name looks like owner/name."
        )
    if not SPLIT_NAME.fullmatch(options.split):
        raise InputRefused(f"{options.split!r} is not the name of a split.", "It is test, dev or the like.")
    fetched = fetch_dataset(source, options.revision, options.split, access.download)
    layout = find_layout(fetched, options.split, _fetch_qrels(source, options, access, fetched), access.parquet)
    # Files in the hub's cache are links to blobs two folders up.
    link_root = fetched.parent.parent if fetched.parent.name == "snapshots" else fetched
    revision = fetched.name[:12] if fetched.parent.name == "snapshots" else options.revision
    return replace(layout, link_root=link_root), f"{source}@{revision}" if revision else source


def _fetch_qrels(source: str, options: CollectionOptions, access: DataAccess, fetched: Path) -> Path | None:
    """Return the folder of a dataset's qrels if they are a dataset of their own, or None.

    BEIR publishes the judgements of `BeIR/x` as `BeIR/x-qrels` (beir/datasets/data_loader_hf.py).
    """
    has_corpus = any(fetched.glob("corpus*"))
    if not has_corpus or any(fetched.glob("qrels*")):
        return None
    try:
        return fetch_dataset(f"{source}-qrels", "", options.split, access.download)
    except DatasetNotFound:
        return None  # find_layout reports what is missing


def fetch_dataset(name: str, revision: str, split: str, download: Download = download_snapshot) -> Path:
    """Return the folder with a dataset's files, from the hub's cache on this disk or from the hub.

    Raises InputRefused if the hub cannot be reached, the dataset or revision does not exist or needs its licence
    accepted, or the download fails.
    """
    from huggingface_hub import errors

    # If a proxy is down the client raises its transport's own error, the base class of the hub's errors.
    bases = set(errors.HfHubHTTPError.__bases__) - {OSError}
    unreachable: tuple[type[BaseException], ...] = (
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        *(base for base in bases if issubclass(base, Exception)),
    )
    try:
        return download(name, revision or None, file_patterns(split))
    except errors.GatedRepoError:
        raise InputRefused(f"{name} requires its licence to be accepted.", "Log in with: hf auth login") from None
    except errors.RepositoryNotFoundError:
        raise DatasetNotFound(f"The hub has no dataset {name}.", "Check its name.") from None
    except errors.RevisionNotFoundError:
        raise InputRefused(f"{name} has no revision {revision}.", "Leave --revision out for the newest.") from None
    except unreachable:
        raise InputRefused(
            f"{name} is not on this disk and the hub cannot be reached.",
            f"On a machine that reaches it: hf download {name} --repo-type dataset --local-dir DIR. "
            "Then give that folder as --dataset.",
        ) from None
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputRefused(f"{name} could not be fetched: {reason}", "Try again.") from None


def file_patterns(split: str) -> list[str]:
    """Return shell patterns of the files to fetch for a split; `*` matches folders too."""
    starts = ["corpus", "queries", "qrels", f"data/{split}", split, f"default/{split}/"]
    return [
        *(f"{start}*{suffix}" for start in starts for suffix in TABLE_SUFFIXES),
        *(f"corpus/*{suffix}" for suffix in IMAGE_SUFFIXES),
    ]


def is_dataset_name(source: str) -> bool:
    """Return whether `source` could be a dataset's name on the hub.

    >>> is_dataset_name("vidore/docvqa_test_subsampled"), is_dataset_name("../docvqa"), is_dataset_name("docvqa")
    (True, False, False)
    """
    return bool(DATASET_NAME.fullmatch(source))
