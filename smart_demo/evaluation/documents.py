"""A library of its own for one measurement, which goes away however that ends; nothing else is searched.

A folder of documents and a file of judged queries, measured in a library of their own that is thrown away.
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
from smart_demo.evaluation.judgements import QueryJudgements, read_judged
from smart_demo.evaluation.runner import Keep, Report, Tell, evaluate, never_found, ranked, silent
from smart_demo.evaluation.trec import run_files
from smart_demo.ingest.files import clean_name
from smart_demo.types import LOCAL, PageId, Query, SearchResult, State

OpenEngine = Callable[[Settings], Engine]
INSISTING: OpenEngine = partial(open_engine, fall_back=False)
"""A measurement of another model than was named would be a wrong number."""


@contextmanager
def open_throwaway(settings: Settings, open_library: OpenEngine = INSISTING) -> Iterator[Engine]:
    """An engine whose library lies in a temporary folder and which takes and scores every page, however many.

    BackboneUnavailable and LibraryError as the engine raises them.
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


def search(engine: Engine, text: str) -> Mapping[str, SearchResult]:
    """One query's rankings of the whole library by every method. QueryRefused as the engine raises it."""
    return ranked(engine.search(Query(text), [LOCAL], ()).parts)


@dataclass(frozen=True)
class Shelf:
    """The files of a folder, looked at but not yet rendered."""

    paths: tuple[Path, ...]
    uploads: Mapping[str, list[ingest.Upload]]
    """By name as people see it. Files of one name in different folders share an entry."""
    refused: frozenset[str]
    """Names of files that cannot be taken."""
    notices: tuple[str, ...]

    def page(self, document: str, number: int) -> PageId:
        """The id of a judged page. A page of a refused file gets an id that nothing has: it is never found.

        InputRefused for a document that is not in the folder, a page it does not have, and a name that two files share.
        """
        name = clean_name(document)
        found = {upload.file: upload for upload in self.uploads.get(name, [])}
        if len(found) > 1:
            raise InputRefused(f'there are {len(found)} different files named "{name}".', "Give them other names.")
        if not found and name not in self.refused:
            raise InputRefused(f'there is no document "{name}" in the folder.', "Check its name.")
        for upload in found.values():
            if number > upload.pages:
                raise InputRefused(f'"{name}" has no page {number}; it ends at {upload.pages}.')
        return PageId(next(iter(found), _nowhere(name)), number)

    def title(self, page: PageId) -> str:
        """What a page is called in TREC files: its document and number; the hash where two files share a name."""
        name = self.names[page.file]
        alone = len({upload.file for upload in self.uploads.get(name, [])}) <= 1
        return f"{name if alone else page.file}#{page.number}"

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Names by the hash that page ids begin with, of refused files too."""
        taken = {upload.file: name for name, uploads in self.uploads.items() for upload in uploads}
        return taken | {_nowhere(name): name for name in self.refused}


def _nowhere(name: str) -> str:
    """In place of the content hash of a file that was refused: it may not even be readable."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def evaluate_documents(
    settings: Settings, documents: Path, queries: Path, tell: Tell = silent, runs: Path | None = None
) -> Report:
    """Index every document of a folder, then rank all of its pages for every query by every method.

    The library lies in a temporary folder that is removed however the run ends; nothing else is searched. Every
    page is scored, however many there are. Files and pages that were refused are told in the report's notices, and
    relevant ones among them count as never found. runs: a folder for TREC files, in which a page is called by its
    document and number. InputRefused for a folder or queries that cannot be used, before any model is loaded;
    BackboneUnavailable and LibraryError as the engine raises them.
    """
    shelf = look_at(documents, settings.limits)
    judged = read_judged(queries, shelf.page)
    with run_files(runs, judged, shelf.title) as keep, open_throwaway(settings) as engine:
        return _measured(engine, shelf, judged, documents.absolute().name, tell, keep)


def look_at(documents: Path, limits: Limits) -> Shelf:
    """What a folder offers. InputRefused if it is no folder or nothing in it can be taken."""
    if not documents.is_dir():
        raise InputRefused(f"{documents} is not a folder.", "Name a folder with PDFs or pictures.")
    paths, notices = ingest.walk([documents])
    uploads: dict[str, list[ingest.Upload]] = {}
    refused = set()
    for path in paths:
        try:
            upload = ingest.inspect(path, path.name, limits)
        except InputRefused:
            refused.add(clean_name(path.name))  # why will be told when it is indexed
        else:
            uploads.setdefault(upload.name, []).append(upload)
    if not uploads:
        raise InputRefused(f"There is no document in {documents} that can be indexed.", " ".join(notices))
    return Shelf(paths, uploads, frozenset(refused - set(uploads)), notices)


def _measured(
    engine: Engine, shelf: Shelf, judged: tuple[QueryJudgements, ...], name: str, tell: Tell, keep: Keep
) -> Report:
    encoder = engine.backbone(LOCAL).encoder  # loads the model, so that the seconds are of the indexing alone
    begun = time.perf_counter()
    notices = [*shelf.notices, *index_shelf(engine, shelf, tell)]
    indexed = time.perf_counter()
    pages = {page.id for page in engine.library.pages([LOCAL], encoder.fingerprint)}
    if not pages:
        raise InputRefused("None of the pages could be indexed.", " ".join(notices))
    notices += lost_pages(shelf, judged, pages)
    scored, left_out = evaluate(judged, partial(search, engine), tell, keep)
    seconds = {"index": indexed - begun, "search": time.perf_counter() - indexed}
    return Report(name, "pages", len(pages), encoder, engine.settings.codec, scored, seconds, (*notices, *left_out))


def index_shelf(engine: Engine, shelf: Shelf, tell: Tell) -> list[str]:
    """What was refused, in sentences. LibraryError if the disk ended the batch: half a collection is no measure."""
    notices, ended, message = [], 0, ""
    for step in engine.add(LOCAL, [(path, path.name) for path in shelf.paths]):
        if step.state is State.WORKING:
            continue
        ended, message = ended + 1, step.message
        if step.state is not State.KNOWN and step.message:
            notices.append(f"{step.document}: {step.message}")
        tell(f"{step.document}: {step.done} of {step.total} pages.")
    if ended < len(shelf.paths):
        raise LibraryError("The documents could not all be indexed, so nothing was measured.", message)
    return notices


def lost_pages(shelf: Shelf, judged: tuple[QueryJudgements, ...], pages: set[PageId]) -> list[str]:
    """A sentence for each relevant page that is not among those indexed."""
    return [
        f"Page {page.number} of {shelf.names[page.file]} is relevant but could not be indexed; "
        f"it counts as never found ({', '.join(qids)})."
        for page, qids in never_found(judged, pages).items()
    ]
