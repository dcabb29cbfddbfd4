"""A dataset's files from the hub: tables and pictures, never code. Where the hub cannot be reached, one sentence.

Text collections in BEIR's form: corpus, queries and qrels (beir-cellar/beir, beir/datasets/data_loader.py).

    corpus   {"_id": "d1", "title": "Tides", "text": "High water is ..."}
    queries  {"_id": "q1", "text": "when is high water"}
    qrels    query-id <tab> corpus-id <tab> score

A document is its title and its text with a space between, as BEIR's own encoders join them
(beir/retrieval/models/sentence_bert.py). Texts that tie fall in the order of the corpus. A score is the gain as it
stands.

Standard retrieval sets, by the folder they lie in or by their name on the hub.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smart_demo.config import Settings
from smart_demo.errors import InputRefused
from smart_demo.evaluation import query_sets as fields
from smart_demo.evaluation.pages import Album, PageCollection, evaluate_pages, read_pages, read_rows_of_pages
from smart_demo.evaluation.query_sets import CollectionOptions, Ids, judge, read_grades, read_queries, read_rows
from smart_demo.evaluation.runner import Report, Tell, silent
from smart_demo.evaluation.tables import SPLIT, FolderLayout, OpenParquet, find_layout, open_parquet
from smart_demo.evaluation.texts import TextCollection, evaluate_texts

NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
TABLES = (".parquet", ".jsonl", ".jsonl.gz", ".csv", ".tsv")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif", ".bmp")
ETAG_SECONDS = 5
Download = Callable[[str, str | None, Sequence[str]], Path]
"""(owner/name, revision, patterns of files) -> the folder that holds them. Raises what huggingface_hub raises."""


class NotThere(InputRefused):
    """The hub knows no such dataset."""


def is_name(source: str) -> bool:
    """Whether something could be a dataset's name on the hub.

    >>> is_name("vidore/docvqa_test_subsampled"), is_name("../docvqa"), is_name("docvqa")
    (True, False, False)
    """
    return bool(NAME.fullmatch(source))


def patterns(split: str) -> list[str]:
    """Files worth fetching for a split, as shell patterns in which `*` matches folders too."""
    starts = ["corpus", "queries", "qrels", f"data/{split}", split, f"default/{split}/"]
    return [
        *(f"{start}*{suffix}" for start in starts for suffix in TABLES),
        *(f"corpus/*{suffix}" for suffix in PICTURES),
    ]


def snapshot(name: str, revision: str | None, files: Sequence[str]) -> Path:
    """The hub's own client, which keeps what it fetched in its cache."""
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            name, repo_type="dataset", revision=revision, allow_patterns=list(files), etag_timeout=ETAG_SECONDS
        )
    )


def fetch(name: str, revision: str, split: str, download: Download = snapshot) -> Path:
    """The folder with a dataset's files, from the hub's cache on this disk or from the hub.

    InputRefused in words for a hub that cannot be reached, a dataset or revision that is not there or asks for a
    licence, and a download that breaks off.
    """
    from huggingface_hub import errors

    # Behind a proxy that is down the client lets its transport's own error through, the base of all of the hub's.
    bases = set(errors.HfHubHTTPError.__bases__) - {OSError}
    unreachable: tuple[type[BaseException], ...] = (
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        *(base for base in bases if issubclass(base, Exception)),
    )
    try:
        return download(name, revision or None, patterns(split))
    except errors.GatedRepoError:
        raise InputRefused(f"{name} asks for its licence to be accepted.", "Log in with: hf auth login") from None
    except errors.RepositoryNotFoundError:
        raise NotThere(f"The hub knows no dataset {name}.", "Check its name.") from None
    except errors.RevisionNotFoundError:
        raise InputRefused(f"{name} has no revision {revision}.", "Leave --revision out for the newest.") from None
    except unreachable:
        raise _unreachable(name) from None
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputRefused(f"{name} could not be fetched: {reason}", "Try again.") from None


def _unreachable(name: str) -> InputRefused:
    return InputRefused(
        f"{name} is not on this disk and the hub cannot be reached.",
        f"On a machine that reaches it: hf download {name} --repo-type dataset --local-dir DIR. "
        "Then give that folder as --dataset.",
    )


MOST_TEXTS = 1_000_000
"""Their pooled vectors stay in memory: 1.5 GB of minilm's."""


def read_beir(layout: FolderLayout, name: str, choice: CollectionOptions) -> TextCollection:
    """A text collection. InputRefused, with the file and the line, for anything that is not as it should be."""
    asked = read_queries(read_rows(layout.queries), choice.language)
    ids, documents, empty = Ids(), {}, 0
    for row in read_rows(layout.corpus, (*fields.DOCUMENT, "title", "text")):
        document = fields.identity(row, fields.DOCUMENT, "document")
        if document in ids:
            raise row.refusal(f'the document "{document}" is there twice.')
        if len(ids) >= MOST_TEXTS:
            raise row.refusal(f"there are more than {MOST_TEXTS:,} documents, which are not held here.")
        page = ids.number(document)
        text = f"{fields.words(row, ['title'])} {fields.words(row, ['text'])}".strip()
        if text:
            documents[page] = text
        else:
            empty += 1
    if not documents:
        raise InputRefused(f"There are no texts in the corpus of {name}.")
    notices = [f"Documents without a text: {empty:,}; they were left out and count as never found."] if empty else []
    grades = read_grades(read_rows(layout.qrels), asked, ids, notices)
    judged = judge(asked, grades, choice, notices)
    return TextCollection(name, documents, ids.names, judged, tuple(notices))


@dataclass(frozen=True)
class Outside:
    """What is used of the world outside; a test gives its own."""

    download: Download = snapshot
    parquet: OpenParquet = open_parquet


def evaluate_standard(
    settings: Settings,
    source: str,
    choice: CollectionOptions,
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
    choice: CollectionOptions,
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


def _find(source: str, choice: CollectionOptions, outside: Outside) -> tuple[FolderLayout, str]:
    """The tables, and the collection's name."""
    folder = Path(os.path.expanduser(source))
    if folder.is_dir():
        if choice.revision:
            raise InputRefused(f"{source} is a folder, which has no revisions.", "Leave --revision out.")
        folder = folder.absolute()
        return find_layout(folder, choice.split, parquet=outside.parquet), folder.name
    if not is_name(source):
        raise InputRefused(
            f"{source} is neither a folder here nor a dataset's name on the hub.", "A name looks like owner/name."
        )
    if not SPLIT.fullmatch(choice.split):
        raise InputRefused(f"{choice.split!r} is not the name of a split.", "It is test, dev or the like.")
    fetched = fetch(source, choice.revision, choice.split, outside.download)
    layout = find_layout(fetched, choice.split, _judgements(source, choice, outside, fetched), outside.parquet)
    # Files in the hub's cache are links to blobs two folders up.
    within = fetched.parent.parent if fetched.parent.name == "snapshots" else fetched
    revision = fetched.name[:12] if fetched.parent.name == "snapshots" else choice.revision
    return replace(layout, within=within), f"{source}@{revision}" if revision else source


def _judgements(source: str, choice: CollectionOptions, outside: Outside, fetched: Path) -> Path | None:
    """BEIR keeps the judgements of `BeIR/x` in a dataset `BeIR/x-qrels` (beir/datasets/data_loader_hf.py)."""
    has_corpus = any(fetched.glob("corpus*"))
    if not has_corpus or any(fetched.glob("qrels*")):
        return None
    try:
        return fetch(f"{source}-qrels", "", choice.split, outside.download)
    except NotThere:
        return None  # the layout says what is missing
