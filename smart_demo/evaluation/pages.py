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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath

from smart_demo import ingest
from smart_demo.backbones.base import Backbone
from smart_demo.config import Limits, Settings
from smart_demo.engine import Engine
from smart_demo.errors import FileRefused, InputRefused, QueryRefused
from smart_demo.evaluation.documents import OpenEngine, open_temporary_engine, open_without_fallback, rank_library
from smart_demo.evaluation.judgements import QueryJudgements
from smart_demo.evaluation.query_sets import (
    DOCUMENT_ID_COLUMNS,
    FILE_COLUMNS,
    QUERY_ID_COLUMNS,
    CollectionOptions,
    PageNumbering,
    QuerySet,
    matches_language,
    read_grades,
    read_id,
    read_kind,
    read_queries,
    read_rows,
    read_words,
    require_queries,
    select_judged,
)
from smart_demo.evaluation.runner import (
    ProgressCallback,
    RankingsCallback,
    Report,
    evaluate_queries,
    find_unreachable,
    ignore_progress,
    report_tenths,
)
from smart_demo.evaluation.tables import FolderLayout, TableRow, Tables
from smart_demo.evaluation.trec import open_run_files
from smart_demo.ingest import clean_name
from smart_demo.types import LOCAL, Page, PageEncoding, PageId, Pixels

IMAGE_COLUMN = "image"
IMAGE_NAME_COLUMNS = (*FILE_COLUMNS, IMAGE_COLUMN)
"""Columns that may hold the name of an image file."""
CORPUS_PAGE_COLUMNS = (*DOCUMENT_ID_COLUMNS, *FILE_COLUMNS, IMAGE_COLUMN)
"""Columns that may hold a page's id in a corpus."""
ROW_PAGE_COLUMNS = (*FILE_COLUMNS, *DOCUMENT_ID_COLUMNS, IMAGE_COLUMN)
"""Columns that may hold a page's id in a single table; its `id` may be the query's."""
MAX_PAGES = 100_000
OCR_SECONDS_PER_PAGE = 5
"""OCR of a page of text on two cores takes 4 to 6 seconds (measured): for the first estimate."""
MIN_TIMED_PAGES = 4
"""Pages timed for the second estimate, after the first batch, which includes loading models."""
MAX_REASONS = 3
"""Maximum number of reasons listed for pages that were not encoded."""
ReadPageName = Callable[[TableRow], str]
"""Maps a row to the name of its page."""


@dataclass(frozen=True)
class PageCollection:
    """A collection of images as read; none is decoded yet."""

    name: str
    count: int
    """Number of pages."""
    images: Callable[[Limits], Iterator[tuple[PageId, Pixels | InputRefused]]]
    """Yields each page's image, or the reason it has none, in order."""
    names: Mapping[PageId, str]
    """The collection's own page names, including judged pages that are not in it."""
    judgements: tuple[QueryJudgements, ...]
    notices: tuple[str, ...] = ()


def evaluate_pages(
    settings: Settings,
    collection: PageCollection,
    on_progress: ProgressCallback = ignore_progress,
    run_dir: Path | None = None,
    open_library: OpenEngine = open_without_fallback,
) -> Report:
    """Encode every image as a page without a text layer, then rank all pages for every query by every method.

    The report's notices list pages that could not be decoded or encoded; they count as never found. run_dir: a folder
    for TREC files. Raises InputRefused if no page can be encoded; BackboneUnavailable and LibraryError as the engine
    does.
    """
    with (
        open_run_files(run_dir, collection.judgements, collection.names.__getitem__) as on_rankings,
        open_temporary_engine(settings, open_library) as engine,
    ):
        return _measure(engine, collection, on_progress, on_rankings)


def _measure(
    engine: Engine, collection: PageCollection, on_progress: ProgressCallback, on_rankings: RankingsCallback
) -> Report:
    backbone = engine.backbone(LOCAL)
    encoder, begun = backbone.encoder, time.perf_counter()
    on_progress(_describe_work(collection.count, backbone))
    refused = _encode_pages(engine, backbone, collection, on_progress)
    indexed = time.perf_counter()
    notices = [*collection.notices, *_describe_refused(collection, refused)]
    encoded = collection.count - len(refused)
    if not encoded:
        raise InputRefused("None of the pages could be encoded.", " ".join(notices))
    scored, left_out = evaluate_queries(collection.judgements, partial(rank_library, engine), on_progress, on_rankings)
    seconds = {"index": indexed - begun, "search": time.perf_counter() - indexed}
    return Report(
        collection.name, "pages", encoded, encoder, engine.settings.codec, scored, seconds, (*notices, *left_out)
    )


def _encode_pages(
    engine: Engine, backbone: Backbone, collection: PageCollection, on_progress: ProgressCallback
) -> dict[PageId, InputRefused]:
    """Add every page to the library and return the pages that were refused, with the reason."""
    refused: dict[PageId, InputRefused] = {}
    images, estimate = collection.images(engine.settings.limits), _TimeEstimate(collection.count, on_progress)
    done = 0
    while batch := list(islice(images, backbone.batch)):
        pages = [_make_page(collection, page, pixels) for page, pixels in batch if not isinstance(pixels, InputRefused)]
        refused |= {page: pixels for page, pixels in batch if isinstance(pixels, InputRefused)}
        for page, encoding in zip(pages, backbone.encode_pages(pages) if pages else [], strict=True):
            if isinstance(encoding, PageEncoding):
                engine.library.add(LOCAL, page, encoding)
            else:
                refused[page.id] = encoding
        for _ in batch:
            done += 1
            report_tenths(on_progress, "Encoded", done, collection.count, "pages")
        estimate.update(done)
    engine.library.flush()
    return refused


def _make_page(collection: PageCollection, page: PageId, pixels: Pixels) -> Page:
    return Page(page, clean_name(collection.names[page]), 1, pixels)


def _describe_refused(collection: PageCollection, refused: dict[PageId, InputRefused]) -> Iterator[str]:
    """Yield why pages are missing, and which queries they answer."""
    if not refused:
        return
    why = " ".join(dict.fromkeys(str(error) for error in list(refused.values())[:MAX_REASONS]))
    more = f" And {len(refused) - MAX_REASONS:,} more." if len(refused) > MAX_REASONS else ""
    yield f"{len(refused):,} of {collection.count:,} pages could not be encoded and count as never found. {why}{more}"
    encoded = {page for page in collection.names if page not in refused}
    affected = dict.fromkeys(qid for qids in find_unreachable(collection.judgements, encoded).values() for qid in qids)
    if affected:
        yield f"Queries answered by pages that could not be encoded: {_join_names(list(affected))}."


def _join_names(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20:,} more" if len(names) > 20 else "")


def _describe_work(count: int, backbone: Backbone) -> str:
    """Return a sentence on how many pages are encoded and how long OCR takes."""
    pages = f"Encoding {count:,} page images by {backbone.encoder.name}"
    if backbone.encoder.visual_tokens:
        return f"{pages}."
    duration = _format_duration(count * OCR_SECONDS_PER_PAGE)
    return f"{pages}, which reads their words by OCR: about {duration} on two cores."


class _TimeEstimate:
    """Reports once how long all pages will take, after a few have been timed."""

    def __init__(self, count: int, on_progress: ProgressCallback) -> None:
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
            self._on_progress(f"About {_format_duration(left)} left at the pace so far.")


def _format_duration(seconds: float) -> str:
    """Return a rough duration.

    >>> _format_duration(40), _format_duration(2000), _format_duration(9000)
    ('1 minute', '33 minutes', '2.5 hours')
    """
    minutes = max(1, round(seconds / 60))
    if minutes < 120:
        return "1 minute" if minutes == 1 else f"{minutes} minutes"
    return f"{minutes / 60:,.1f} hours"


def read_pages(layout: FolderLayout, name: str, options: CollectionOptions) -> PageCollection:
    """Read corpus, queries and qrels with images in the corpus.

    Raises InputRefused, with file and line, at the first invalid row.
    """
    query_set = read_queries(read_rows(layout.queries), options.language)
    images, ids, notices = PageImages(layout, layout.corpus), PageNumbering(), list[str]()
    read_name = partial(read_id, names=CORPUS_PAGE_COLUMNS, what="page")
    for row in images.rows(DOCUMENT_ID_COLUMNS):
        if read_name(row) in ids:
            raise row.refusal(f'the page "{read_name(row)}" appears twice.')
        _number_page(row, read_name(row), ids)
    count = _require_pages(ids, name)
    grades = read_grades(
        read_rows(layout.qrels, [*QUERY_ID_COLUMNS, *DOCUMENT_ID_COLUMNS, "score"]),
        query_set,
        ids,
        notices,
    )
    judgements = select_judged(query_set, grades, options, notices)
    return PageCollection(
        name, count, partial(images.decode_pages, ids, read_name), ids.names, judgements, tuple(notices)
    )


def read_single_table(layout: FolderLayout, name: str, options: CollectionOptions) -> PageCollection:
    """Read one table with pages and queries. Raises InputRefused as `read_pages`."""
    images, ids, notices = PageImages(layout, layout.rows), PageNumbering(), list[str]()
    read_name = partial(read_id, names=ROW_PAGE_COLUMNS, what="page")
    query_set, qids, grades = QuerySet(), dict[str, str](), dict[str, dict[PageId, float]]()
    repeated = 0
    for row in images.rows([*DOCUMENT_ID_COLUMNS, "query", "language"]):
        page, text = _number_page(row, read_name(row), ids), read_words(row, ["query"])
        if not text or not matches_language(row, options.language, query_set.languages):
            continue
        repeated += text in qids
        qid = qids.setdefault(text, f"q{len(qids) + 1}")
        query_set.texts.setdefault(qid, text)
        query_set.kinds.setdefault(qid, read_kind(row))
        grades.setdefault(qid, {})[page] = 1.0
    require_queries(query_set.texts, options.language, query_set.languages)
    if repeated:
        notices.append(
            f"Rows that repeat a query: {repeated:,}; the query is run once, and the pages of all its rows answer it."
        )
    count = _require_pages(ids, name)
    judgements = select_judged(query_set, grades, options, notices)
    return PageCollection(
        name, count, partial(images.decode_pages, ids, read_name), ids.names, judgements, tuple(notices)
    )


def _number_page(row: TableRow, page: str, ids: PageNumbering) -> PageId:
    if len(ids) >= MAX_PAGES and page not in ids:
        raise row.refusal(f"there are more than {MAX_PAGES:,} pages, which is the limit.")
    return ids.number(page)


def _require_pages(ids: PageNumbering, name: str) -> int:
    if not len(ids):
        raise InputRefused(f"There are no pages in {name}.")
    return len(ids)


class PageImages:
    """The images of the pages in batch tables."""

    def __init__(self, layout: FolderLayout, tables: Tables) -> None:
        self._tables, self._link_root = tables, layout.link_root
        self._folders = dict.fromkeys([tables[0].path.parent, layout.folder])
        self._columns = tables[0].columns()
        self._inside = IMAGE_COLUMN in self._columns and tables[0].path.name.endswith(".parquet")

    @property
    def exist(self) -> bool:
        """Whether the tables have images."""
        return any(name in self._columns for name in IMAGE_NAME_COLUMNS)

    def rows(self, columns: Sequence[str]) -> Iterator[TableRow]:
        """Yield every row without its image. Raises InputRefused, with the row, if an image file is missing."""
        for row in read_rows(self._tables, [*columns, *FILE_COLUMNS]):
            if not self._inside:
                self._file(row)
            yield row

    def decode_pages(
        self, ids: PageNumbering, name: ReadPageName, limits: Limits
    ) -> Iterator[tuple[PageId, Pixels | InputRefused]]:
        """Yield the image of every page once, in table order: (height, width, 3) RGB at full size.

        Yields an InputRefused in its place if it cannot be decoded within the limits.
        """
        seen: set[str] = set()
        for row in read_rows(self._tables, [*DOCUMENT_ID_COLUMNS, *IMAGE_NAME_COLUMNS]):
            page = name(row)
            if page in seen:
                continue
            seen.add(page)
            try:
                yield ids[page], self._pixels(row, page, limits)
            except InputRefused as refusal:
                yield ids[page], refusal

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
        given = next((row.values[name] for name in (IMAGE_COLUMN, *FILE_COLUMNS) if row.values.get(name)), None)
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
