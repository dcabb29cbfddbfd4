"""A folder of documents and a file of judged queries, measured in a temporary library.

The library is deleted however the measurement ends; no other library is searched.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory

from smart_demo import ingest
from smart_demo.config import Limits, Settings
from smart_demo.engine import Engine, open_engine
from smart_demo.errors import InputRefused, LibraryError
from smart_demo.evaluation import runner
from smart_demo.evaluation.query_sets import QueryJudgements, read_judgements
from smart_demo.evaluation.trec import open_run_files
from smart_demo.indexing.progress import State
from smart_demo.ingest.files import clean_name
from smart_demo.methods import SearchResult
from smart_demo.types import LOCAL, PageId, Query

OpenEngine = Callable[[Settings], Engine]
open_without_fallback: OpenEngine = partial(open_engine, fall_back=False)
"""Opens an engine that never falls back: figures of another model would be wrong."""


@dataclass(frozen=True)
class DocumentFolder:
    """The files of a folder, inspected but not yet rendered."""

    paths: tuple[Path, ...]
    uploads: Mapping[str, list[ingest.Upload]]
    """Accepted files by display name. Files of one name in different folders share an entry."""
    refused: frozenset[str]
    """Names of refused files."""
    notices: tuple[str, ...]

    def find_page(self, document: str, number: int) -> PageId:
        """Return the id of a judged page. A page of a refused file gets an id that no page has: it is never found.

        Raises InputRefused if the document is not in the folder, has no such page, or shares its name with another
        file.
        """
        name = clean_name(document)
        found = {upload.file: upload for upload in self.uploads.get(name, [])}
        if len(found) > 1:
            raise InputRefused(f'there are {len(found)} different files named "{name}".', "Rename one.")
        if not found and name not in self.refused:
            raise InputRefused(f'there is no document "{name}" in the folder.', "Check its name.")
        for upload in found.values():
            if number > upload.pages:
                raise InputRefused(f'"{name}" has no page {number}; it ends at {upload.pages}.')
        return PageId(next(iter(found), _placeholder_hash(name)), number)

    def trec_name(self, page: PageId) -> str:
        """Return a page's name in TREC files: document and number.

        Files that share a name are named by their hash.
        """
        name = self.names[page.file]
        alone = len({upload.file for upload in self.uploads.get(name, [])}) <= 1
        return f"{name if alone else page.file}#{page.number}"

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Document names by file hash, of refused files too."""
        taken = {upload.file: name for name, uploads in self.uploads.items() for upload in uploads}
        return taken | {_placeholder_hash(name): name for name in self.refused}


def evaluate_documents(
    settings: Settings,
    documents: Path,
    queries: Path,
    on_progress: runner.ProgressCallback = runner.ignore_progress,
    run_dir: Path | None = None,
) -> runner.Report:
    """Index every document of a folder, then rank all of its pages for every query by every method.

    The library is in a temporary folder that is removed however the run ends. Every page is scored. The report's
    notices list refused files and pages; relevant ones among them count as never found. run_dir: a folder for TREC
    files, which name a page by its document and number. Raises InputRefused if the folder or the queries cannot be
    used, before any model is loaded; BackboneUnavailable and LibraryError as the engine does.
    """
    folder = scan_folder(documents, settings.limits)
    judgements = read_judgements(queries, folder.find_page)

    def index(engine: Engine) -> tuple[int, list[str]]:
        notices = [*folder.notices, *index_folder(engine, folder, on_progress)]
        pages = {page.id for page in engine.library.pages([LOCAL], engine.backbone(LOCAL).encoder.fingerprint)}
        if not pages:
            raise InputRefused("None of the pages could be indexed.", " ".join(notices))
        return len(pages), notices + list_unindexed_pages(folder, judgements, pages)

    with (
        open_run_files(run_dir, judgements, folder.trec_name) as on_rankings,
        open_temporary_engine(settings) as engine,
    ):
        return measure_library(engine, documents.absolute().name, judgements, index, on_progress, on_rankings)


def measure_library(
    engine: Engine,
    name: str,
    judgements: tuple[QueryJudgements, ...],
    index: Callable[[Engine], tuple[int, list[str]]],
    on_progress: runner.ProgressCallback,
    on_rankings: runner.RankingsCallback,
) -> runner.Report:
    """Fill an empty library and rank its pages for every query by every method.

    index: fills it; returns the number of pages and notices.
    """
    encoder = engine.backbone(LOCAL).encoder  # loads the model before the clock starts
    begun = time.perf_counter()
    count, notices = index(engine)
    indexed = time.perf_counter()
    scored, left_out = runner.evaluate_queries(judgements, partial(rank_library, engine), on_progress, on_rankings)
    seconds = {"index": indexed - begun, "search": time.perf_counter() - indexed}
    codec = engine.settings.codec
    return runner.Report(name, "pages", count, encoder, codec, scored, seconds, (*notices, *left_out))


def scan_folder(documents: Path, limits: Limits) -> DocumentFolder:
    """Inspect the files of a folder. Raises InputRefused if it is no folder or no file in it can be indexed."""
    if not documents.is_dir():
        raise InputRefused(f"{documents} is not a folder.", "Name a folder with PDFs or pictures.")
    paths, notices = ingest.find_files([documents])
    uploads: dict[str, list[ingest.Upload]] = {}
    refused = set()
    for path in paths:
        try:
            upload = ingest.inspect(path, path.name, limits)
        except InputRefused:
            refused.add(clean_name(path.name))  # indexing reports why
        else:
            uploads.setdefault(upload.name, []).append(upload)
    if not uploads:
        raise InputRefused(f"There is no document in {documents} that can be indexed.", " ".join(notices))
    return DocumentFolder(paths, uploads, frozenset(refused - set(uploads)), notices)


def index_folder(engine: Engine, folder: DocumentFolder, on_progress: runner.ProgressCallback) -> list[str]:
    """Index the files and return a sentence for each that was refused.

    Raises LibraryError if the disk ended the batch: figures of half a collection would be wrong.
    """
    notices, ended, message = [], 0, ""
    for step in engine.add(LOCAL, [(path, path.name) for path in folder.paths]):
        if step.state is State.WORKING:
            continue
        ended, message = ended + 1, step.message
        if step.state is not State.KNOWN and step.message:
            notices.append(f"{step.document}: {step.message}")
        on_progress(f"{step.document}: {step.done} of {step.total} pages.")
    if ended < len(folder.paths):
        raise LibraryError("The documents could not all be indexed, so nothing was measured.", message)
    return notices


def list_unindexed_pages(
    folder: DocumentFolder, judgements: tuple[QueryJudgements, ...], pages: set[PageId]
) -> list[str]:
    """Return a sentence for each relevant page that is not in `pages`."""
    return [
        f"Page {page.number} of {folder.names[page.file]} is relevant but could not be indexed; "
        f"it counts as never found ({', '.join(qids)})."
        for page, qids in runner.find_unreachable(judgements, pages).items()
    ]


@contextmanager
def open_temporary_engine(settings: Settings, open_library: OpenEngine = open_without_fallback) -> Iterator[Engine]:
    """Yield an engine with a library in a temporary folder that takes and scores any number of pages.

    Raises BackboneUnavailable and LibraryError as the engine does.
    """
    with TemporaryDirectory(prefix="smart-demo-eval-") as name:
        folder = Path(name)
        apart = replace(
            settings,
            data_dir=folder / "data",
            index_dir=folder / "index",
            exhaustive=sys.maxsize,
            quotas=replace(settings.quotas, library_pages=sys.maxsize, library_bytes=sys.maxsize),
        )
        with open_library(apart) as engine:
            yield engine


def rank_library(engine: Engine, text: str) -> Mapping[str, SearchResult]:
    """Return one query's rankings of the whole library by every method. Raises QueryRefused."""
    return runner.rank_by_methods(engine.search(Query(text), [LOCAL], ()).parts)


def _placeholder_hash(name: str) -> str:
    """Return a hash for a refused file, whose content may not even be readable."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]
