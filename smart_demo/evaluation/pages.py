"""Collections of page images as ViDoRe has them: read, encoded in a temporary library, and measured.

The first edition is one table in which every row is a page, with or without a query (vidore-benchmark,
vidore_evaluators/vidore_evaluator_qa.py): `image`, `image_filename`, `query`. Rows of one `image_filename` are one
page. Rows of one query are one query, which all of their pages answer, as in the collections' own BEIR copies (in
`docvqa_test_subsampled_beir` 451 queries have 500 judgements); the evaluator of the first edition counted only the
last of them.

Later editions have BEIR's three parts with `image` in the corpus: `corpus-id`, `query-id`, `query`, `score`
(vidore_evaluator_beir.py), in the third `corpus_id`, `query_id` and the query's `language`
(pipeline_evaluation/dataset_loader.py).

Images are untrusted input. In a table of the hub an image is a struct of `bytes` and `path`; the path is the author's
and is ignored. In an exported table it is the name of a file, below the table's folder or the collection's. Tied pages
keep the order of their tables.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Container, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Protocol

from smart_demo import ingest
from smart_demo.backbones.base import Backbone
from smart_demo.config import Limits, Settings
from smart_demo.engine import Engine
from smart_demo.errors import FileRefused, InputRefused, QueryRefused
from smart_demo.evaluation import query_sets, runner
from smart_demo.evaluation.documents import OpenEngine, measure_library, open_temporary_engine, open_without_fallback
from smart_demo.evaluation.query_sets import QueryJudgements
from smart_demo.evaluation.tables import FolderLayout, TableRow, Tables
from smart_demo.evaluation.trec import open_run_files
from smart_demo.indexing import page_words
from smart_demo.indexing.jobs import MAX_PREFETCH
from smart_demo.ingest import clean_name
from smart_demo.store.library import Library
from smart_demo.types import LOCAL, Page, PageEncoding, PageId, Pixels
from smart_demo.wording import count

IMAGE_COLUMN = "image"
IMAGE_NAME_COLUMNS = (*query_sets.FILE_COLUMNS, IMAGE_COLUMN)
"""Columns that may hold the name of an image file."""
CORPUS_PAGE_COLUMNS = (*query_sets.DOCUMENT_ID_COLUMNS, *query_sets.FILE_COLUMNS, IMAGE_COLUMN)
"""Columns that may hold a page's id in a corpus."""
ROW_PAGE_COLUMNS = (*query_sets.FILE_COLUMNS, *query_sets.DOCUMENT_ID_COLUMNS, IMAGE_COLUMN)
"""Columns that may hold a page's id in a single table; its `id` may be the query's."""
MAX_PAGES = 100_000
OCR_SECONDS_PER_PAGE = 5
"""OCR of a page of text on two cores takes 4 to 6 seconds (measured): for the first estimate."""
MIN_TIMED_PAGES = 4
"""Pages timed for the second estimate, after the first batch, which includes loading models."""
MAX_REASONS = 3
"""Maximum number of reasons listed for pages that were not encoded."""


class ReadImages(Protocol):
    """Reads the images of a collection."""

    def __call__(self, limits: Limits, skip: Container[PageId] = ()) -> Iterator[tuple[PageId, Pixels | InputRefused]]:
        """Yield each page's image, or the reason it has none, in order; pages in `skip` are not decoded."""
        ...


@dataclass(frozen=True)
class PageCollection:
    """A collection of images as read; none is decoded yet."""

    name: str
    count: int
    """Number of pages."""
    images: ReadImages
    names: Mapping[PageId, str]
    """The collection's own page names, including judged pages that are not in it."""
    judgements: tuple[QueryJudgements, ...]
    notices: tuple[str, ...] = ()


def evaluate_pages(
    settings: Settings,
    collection: PageCollection,
    on_progress: runner.ProgressCallback = runner.ignore_progress,
    run_dir: Path | None = None,
    open_library: OpenEngine = open_without_fallback,
) -> runner.Report:
    """Encode every image as a page without a text layer, then rank all pages for every query by every method.

    The report's notices list pages that could not be decoded or encoded, which count as never found, and how many pages
    were read badly. run_dir: a folder for TREC files. Raises InputRefused if no page can be encoded;
    BackboneUnavailable and LibraryError as the engine does.
    """

    def index(engine: Engine) -> tuple[int, list[str]]:
        backbone = engine.backbone(LOCAL)
        on_progress(_describe_work(collection.count, backbone))
        refused, noticed = encode_pages(engine.library, engine.settings.limits, backbone, collection, on_progress)
        read = [f"{pages:,} of {count(collection.count, 'page')}: {notice}" for notice, pages in noticed.items()]
        notices = [*collection.notices, *describe_refused(collection, refused), *read]
        if len(refused) == collection.count:
            raise InputRefused("None of the pages could be encoded.", " ".join(notices))
        return collection.count - len(refused), notices

    with (
        open_run_files(run_dir, collection.judgements, collection.names.__getitem__) as on_rankings,
        open_temporary_engine(settings, open_library) as engine,
    ):
        return measure_library(engine, collection.name, collection.judgements, index, on_progress, on_rankings)


def encode_pages(
    library: Library,
    limits: Limits,
    backbone: Backbone,
    collection: PageCollection,
    on_progress: runner.ProgressCallback = runner.ignore_progress,
    most: int | None = None,
) -> tuple[dict[PageId, InputRefused], Counter[str]]:
    """Add the pages that an own library lacks; return (reason of each refused page, number of pages by notice).

    Pages that are stored are not decoded again. most: ends after this many pages, all if None. The library is read by
    this program alone, so it gets no pictures. Raises StorageFull or LibraryError if the disk refuses.
    """
    refused, noticed = dict[PageId, InputRefused](), Counter[str]()
    stored = {page.id for page in library.pages([LOCAL], backbone.encoder.fingerprint)}
    images = (image for image in islice(collection.images(limits, stored), most))
    estimate, done = _TimeEstimate(collection.count, on_progress), len(stored)
    # Images are decoded, and pages written, while the model runs.
    with closing(ingest.prefetch(_encode_images(images, collection, backbone), backbone.batch)) as encodings:
        for page_id, found in encodings:
            if isinstance(found, InputRefused):
                refused[page_id] = found
            else:
                page, encoding = found
                library.add(LOCAL, page, encoding)
                noticed.update(filter(None, {*page.notices, encoding.notice}))
            done += 1
            runner.report_tenths(on_progress, "Encoded", done, collection.count, "pages")
            if (done - len(stored)) % backbone.batch == 0:  # the pages of a batch come at once
                estimate.update(done)
    library.flush()
    return refused, noticed


def _encode_images(
    images: Generator[tuple[PageId, Pixels | InputRefused]], collection: PageCollection, backbone: Backbone
) -> Generator[tuple[PageId, tuple[Page, PageEncoding] | InputRefused]]:
    """Yield each page's id with the page, without its pixels, and its encoding, or with the reason it has none."""
    with closing(ingest.prefetch(images, min(backbone.batch, MAX_PREFETCH))) as decoded:
        while batch := list(islice(decoded, backbone.batch)):
            drawn = list[Page]()
            for page_id, pixels in batch:
                if isinstance(pixels, InputRefused):
                    yield page_id, pixels
                else:
                    drawn.append(Page(page_id, clean_name(collection.names[page_id]), 1, pixels))
            pages = list[Page]()
            for own, read in zip(drawn, page_words.read_pages(drawn, use_ocr=backbone.needs_words), strict=True):
                if isinstance(read, InputRefused):
                    yield own.id, read
                else:
                    pages.append(read)
            for page, encoding in zip(pages, backbone.encode_pages(pages) if pages else [], strict=True):
                if isinstance(encoding, PageEncoding):
                    # Drawing a picture that is never shown would take longer than a small model on a GPU.
                    yield page.id, (replace(page, pixels=page.pixels[:1, :1].copy()), encoding)
                else:
                    yield page.id, encoding


def describe_refused(collection: PageCollection, refused: dict[PageId, InputRefused]) -> Iterator[str]:
    """Yield why pages are missing, and which queries they answer."""
    if not refused:
        return
    why = " ".join(dict.fromkeys(str(error) for error in list(refused.values())[:MAX_REASONS]))
    more = f" And {len(refused) - MAX_REASONS:,} more." if len(refused) > MAX_REASONS else ""
    yield f"{len(refused):,} of {collection.count:,} pages could not be encoded and count as never found. {why}{more}"
    encoded = {page for page in collection.names if page not in refused}
    affected = dict.fromkeys(
        qid for qids in runner.find_unreachable(collection.judgements, encoded).values() for qid in qids
    )
    if affected:
        yield f"Queries answered by pages that could not be encoded: {_join_names(list(affected))}."


def _join_names(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20:,} more" if len(names) > 20 else "")


def _describe_work(count: int, backbone: Backbone) -> str:
    """Return a sentence on how many pages are encoded and how long OCR takes."""
    pages = f"Encoding {count:,} page images by {backbone.encoder.name}"
    if backbone.encoder.visual_tokens:
        return f"{pages}."
    duration = format_duration(count * OCR_SECONDS_PER_PAGE)
    return f"{pages}, which reads their words by OCR: about {duration} on two cores."


class _TimeEstimate:
    """Reports once how long all pages will take, after a few have been timed."""

    def __init__(self, count: int, on_progress: runner.ProgressCallback) -> None:
        self._count, self._on_progress = count, on_progress
        self._start: tuple[int, float] | None = None
        self._reported = False

    def update(self, done: int) -> None:
        """Note that `done` pages are encoded."""
        now = time.perf_counter()
        if self._start is None:
            self._start = (done, now)
        first, begun = self._start
        if not self._reported and done - first >= MIN_TIMED_PAGES and self._count - done > 2 * MIN_TIMED_PAGES:
            self._reported = True
            left = (now - begun) / (done - first) * (self._count - done)
            self._on_progress(f"About {format_duration(left)} left at the pace so far.")


def format_duration(seconds: float) -> str:
    """Return a rough duration.

    >>> format_duration(40), format_duration(2000), format_duration(9000)
    ('1 minute', '33 minutes', '2.5 hours')
    """
    minutes = max(1, round(seconds / 60))
    if minutes < 120:
        return "1 minute" if minutes == 1 else f"{minutes} minutes"
    return f"{minutes / 60:,.1f} hours"


def has_images(tables: Tables) -> bool:
    """Return whether the tables have images or name files of images."""
    return any(name in tables[0].columns for name in IMAGE_NAME_COLUMNS)


def read_pages(layout: FolderLayout, name: str, options: query_sets.CollectionOptions) -> PageCollection:
    """Read corpus, queries and qrels with images in the corpus.

    Raises InputRefused, with file and line, at the first invalid row.
    """
    query_set = query_sets.read_queries(query_sets.read_rows(layout.queries), options.language)
    pages, notices = _PageTables(layout, layout.corpus, CORPUS_PAGE_COLUMNS), list[str]()
    for row, page in pages.rows([]):
        if page in pages.ids:
            raise row.refusal(f'the page "{page}" appears twice.')
        pages.number(row, page)
    count = pages.require(name)
    columns = [*query_sets.QUERY_ID_COLUMNS, *query_sets.DOCUMENT_ID_COLUMNS, "score"]
    grades = query_sets.read_grades(
        query_sets.read_judgement_rows(layout.qrels, columns), query_set, pages.ids, notices
    )
    judgements = query_sets.select_judged(query_set, grades, options, notices)
    return PageCollection(name, count, pages.decode, query_sets.names_of(pages.ids), judgements, tuple(notices))


def read_single_table(layout: FolderLayout, name: str, options: query_sets.CollectionOptions) -> PageCollection:
    """Read one table with pages and queries. Raises InputRefused as `read_pages`."""
    pages, notices = _PageTables(layout, layout.rows, ROW_PAGE_COLUMNS), list[str]()
    query_set, qids, grades = query_sets.QuerySet(), dict[str, str](), dict[str, dict[PageId, float]]()
    repeated = 0
    for row, name_of_page in pages.rows(["query", "language"]):
        page, text = pages.number(row, name_of_page), query_sets.read_words(row, ["query"])
        if not text or not query_sets.matches_language(row, options.language, query_set.languages):
            continue
        repeated += text in qids
        qid = qids.setdefault(text, f"q{len(qids) + 1}")
        query_set.texts.setdefault(qid, text)
        query_set.kinds.setdefault(qid, query_sets.read_kind(row))
        grades.setdefault(qid, {})[page] = 1.0
    query_sets.require_queries(query_set.texts, options.language, query_set.languages)
    if repeated:
        notices.append(
            f"Rows that repeat a query: {repeated:,}; the query is run once, and the pages of all its rows answer it."
        )
    count = pages.require(name)
    judgements = query_sets.select_judged(query_set, grades, options, notices)
    return PageCollection(name, count, pages.decode, query_sets.names_of(pages.ids), judgements, tuple(notices))


class _PageTables:
    """Tables of pages: the ids of the pages, and their images."""

    def __init__(self, layout: FolderLayout, tables: Tables, id_columns: Sequence[str]) -> None:
        """Read the names of the columns. id_columns: those that may hold a page's name."""
        self.ids: dict[str, PageId] = {}
        self._tables, self._id_columns, self._link_root = tables, id_columns, layout.link_root
        self._folders = dict.fromkeys([tables[0].path.parent, layout.folder])
        self._inside = tables[0].path.name.endswith(".parquet") and IMAGE_COLUMN in tables[0].columns

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[TableRow, str]]:
        """Yield every row without its image, and the name of its page.

        Raises InputRefused, with the row, if an image file is missing or the page has no name.
        """
        for row in query_sets.read_rows(
            self._tables, [*columns, *query_sets.DOCUMENT_ID_COLUMNS, *query_sets.FILE_COLUMNS]
        ):
            if not self._inside:
                self._file(row)
            yield row, query_sets.read_id(row, self._id_columns, "page")

    def number(self, row: TableRow, page: str) -> PageId:
        """Return the id of a page of that name. Raises InputRefused, with the row, if there are too many pages."""
        if len(self.ids) >= MAX_PAGES and page not in self.ids:
            raise row.refusal(f"there are more than {MAX_PAGES:,} pages, which is the limit.")
        return query_sets.number_page(self.ids, page)

    def require(self, collection: str) -> int:
        """Return the number of pages. Raises InputRefused if there are none."""
        if not self.ids:
            raise InputRefused(f"There are no pages in {collection}.")
        return len(self.ids)

    def decode(self, limits: Limits, skip: Container[PageId] = ()) -> Iterator[tuple[PageId, Pixels | InputRefused]]:
        """Yield the image of every page once, in table order: (height, width, 3) RGB at full size.

        Yields an InputRefused in its place if it cannot be decoded within the limits. skip: pages to leave out.
        """
        seen: set[str] = set()
        for row in query_sets.read_rows(self._tables, [*query_sets.DOCUMENT_ID_COLUMNS, *IMAGE_NAME_COLUMNS]):
            page = query_sets.read_id(row, self._id_columns, "page")
            if page in seen or self.ids[page] in skip:
                continue
            seen.add(page)
            try:
                yield self.ids[page], self._pixels(row, page, limits)
            except InputRefused as refusal:
                yield self.ids[page], refusal

    def _pixels(self, row: TableRow, page: str, limits: Limits) -> Pixels:
        given = row.values.get(IMAGE_COLUMN)
        data = given.get("bytes") if isinstance(given, Mapping) else given
        if isinstance(data, bytes):
            return ingest.decode_image_bytes(data, page, limits)
        if self._inside:
            raise FileRefused(f"The table has no picture of {clean_name(page)}.")
        try:
            return ingest.decode_image_file(self._file(row), limits)
        except QueryRefused as refusal:  # its hint is about image queries
            raise FileRefused(str(refusal)) from None

    def _file(self, row: TableRow) -> Path:
        """Return the file that a row names, with links resolved.

        Raises InputRefused, with the row, if the file is missing or outside the collection.
        """
        given = next(
            (row.values[name] for name in (IMAGE_COLUMN, *query_sets.FILE_COLUMNS) if row.values.get(name)), None
        )
        if not isinstance(given, str):
            raise row.refusal("there is no picture.", f"Its file is named under {' or '.join(IMAGE_NAME_COLUMNS)}.")
        shown, path = clean_name(given), PurePosixPath(given)
        if path.is_absolute() or ".." in path.parts or "\\" in given or not given.isprintable():
            raise row.refusal(
                f"the picture {shown} is not inside the collection.", "Name it by a path below its folder."
            )
        for folder in self._folders:
            try:
                found = (folder / path).resolve(strict=True)
            except (OSError, RuntimeError, ValueError):
                continue
            if not found.is_relative_to(self._link_root.resolve()):
                raise row.refusal(f"the picture {shown} is a link that leads out of the collection.", "Copy it there.")
            if found.is_file():
                return found
        raise row.refusal(f"the picture {shown} is not there.", "Check its name.")
