"""The pictures of a collection's pages: bytes inside a table, or files beside it. All of them come from strangers.

In a table of the hub a picture is a struct of `bytes` and `path`; the path is the author's and is not looked at. In an
exported table it is the name of a file, below the table's own folder or below the collection's.

Collections of page pictures as ViDoRe has them.

The first edition is one table in which every row is a page, with a query or without (vidore-benchmark,
vidore_evaluators/vidore_evaluator_qa.py): `image`, `image_filename`, `query`. Rows of one `image_filename` are one
page. Rows of one query are one query, which all of their pages answer, as in the collections' own BEIR copies (in
`docvqa_test_subsampled_beir` 451 queries have 500 judgements); the evaluator of the first edition counted the last of
them alone.

Later editions have BEIR's three parts with `image` in the corpus: `corpus-id`, `query-id`, `query`, `score`
(vidore_evaluator_beir.py), in the third `corpus_id`, `query_id` and the query's `language`
(pipeline_evaluation/dataset_loader.py).

Pages that tie fall in the order of their tables.

A collection of page pictures, measured in a library of its own that is thrown away.
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
from smart_demo.evaluation import query_sets as fields
from smart_demo.evaluation.documents import INSISTING, OpenEngine, open_throwaway, search
from smart_demo.evaluation.judgements import QueryJudgements
from smart_demo.evaluation.query_sets import (
    CollectionOptions,
    Ids,
    QuerySet,
    check_language,
    judge,
    kind_of,
    read_grades,
    read_queries,
    read_rows,
    take_language,
)
from smart_demo.evaluation.runner import Keep, Report, Tell, evaluate, never_found, silent, tell_tenths
from smart_demo.evaluation.tables import FolderLayout, TableRow, Tables
from smart_demo.evaluation.trec import run_files
from smart_demo.ingest import clean_name
from smart_demo.types import LOCAL, Page, PageEncoding, PageId, Pixels

IMAGE = "image"
NAMES = (*fields.FILE, IMAGE)
"""Columns that may hold the name of a picture's file."""
Name = Callable[[TableRow], str]
"""A row -> the id of its page."""


class Album:
    """Where the pictures of the pages in some tables are."""

    def __init__(self, layout: FolderLayout, tables: Tables) -> None:
        self._tables, self._within = tables, layout.within
        self._folders = dict.fromkeys([tables[0].path.parent, layout.folder])
        self._columns = tables[0].columns()
        self._inside = IMAGE in self._columns and tables[0].path.name.endswith(".parquet")

    @property
    def there(self) -> bool:
        """Whether the tables have pictures at all."""
        return any(name in self._columns for name in NAMES)

    def rows(self, columns: Sequence[str]) -> Iterator[TableRow]:
        """Every row without its picture. InputRefused, by the row, where a picture's file is not there."""
        for row in read_rows(self._tables, [*columns, *fields.FILE]):
            if not self._inside:
                self._file(row)
            yield row

    def pages(self, ids: Ids, name: Name, limits: Limits) -> Iterator[tuple[PageId, Pixels | InputRefused]]:
        """The picture of every page, (height, width, 3) RGB as it is, once and in the order of the tables.

        A refusal in its place where it cannot be decoded within the limits.
        """
        seen: set[str] = set()
        for row in read_rows(self._tables, [*fields.DOCUMENT, *NAMES]):
            page = name(row)
            if page in seen:
                continue
            seen.add(page)
            try:
                yield ids[page], self._pixels(row, page, limits)
            except InputRefused as refusal:
                yield ids[page], refusal

    def _pixels(self, row: TableRow, page: str, limits: Limits) -> Pixels:
        given = row.values.get(IMAGE)
        data = given.get("bytes") if isinstance(given, Mapping) else given
        if isinstance(data, bytes):
            return ingest.decode_bytes(data, page, limits)
        if self._inside:
            raise FileRefused(f"The table has no picture of {ingest.clean_name(page)}.")
        try:
            return ingest.decode_picture(self._file(row), limits)
        except QueryRefused as refusal:  # its hint is for people who ask with a picture
            raise FileRefused(str(refusal)) from None

    def _file(self, row: TableRow) -> Path:
        """The file that a row names, its links followed. InputRefused, by the row, where it leads out of the collection
        or nowhere.
        """
        given = next((row.values[name] for name in (IMAGE, *fields.FILE) if row.values.get(name)), None)
        if not isinstance(given, str):
            raise row.refusal("there is no picture.", f"Its file is named under {' or '.join(NAMES)}.")
        shown, path = ingest.clean_name(given), PurePosixPath(given)
        if path.is_absolute() or ".." in path.parts or "\\" in given or not given.isprintable():
            raise row.refusal(
                f"the picture {shown} is not inside the collection.", "Name it by a path below its folder."
            )
        for folder in self._folders:
            try:
                found = (folder / path).resolve(strict=True)
            except (OSError, RuntimeError, ValueError):
                continue
            if not found.is_relative_to(self._within.resolve()):
                raise row.refusal(f"the picture {shown} is a link that leads out of the collection.", "Copy it there.")
            if found.is_file():
                return found
        raise row.refusal(f"the picture {shown} is not there.", "Check its name.")


PAGE = (*fields.DOCUMENT, *fields.FILE, IMAGE)
PAGE_OF_A_ROW = (*fields.FILE, *fields.DOCUMENT, IMAGE)
"""Columns that may hold the id of a page; in one table with queries `id` may be the question's."""
MOST_PAGES = 100_000


@dataclass(frozen=True)
class PageCollection:
    """A collection of pictures as it was read; none of them is decoded yet."""

    name: str
    count: int
    """Pages it has."""
    pictures: Callable[[Limits], Iterator[tuple[PageId, Pixels | InputRefused]]]
    """Each page's picture, or why it has none, in order."""
    names: Mapping[PageId, str]
    """What the collection itself calls its pages, judged ones that are not there among them."""
    judged: tuple[QueryJudgements, ...]
    notices: tuple[str, ...] = ()


def read_pages(layout: FolderLayout, name: str, choice: CollectionOptions) -> PageCollection:
    """Corpus, queries and qrels, with pictures in the corpus. InputRefused, with the file and the line, for anything
    that is not as it should be.
    """
    asked = read_queries(read_rows(layout.queries), choice.language)
    album, ids, notices = Album(layout, layout.corpus), Ids(), list[str]()
    called = partial(fields.identity, names=PAGE, what="page")
    for row in album.rows(fields.DOCUMENT):
        if called(row) in ids:
            raise row.refusal(f'the page "{called(row)}" is there twice.')
        _number(row, called(row), ids)
    count = _count(ids, name)
    grades = read_grades(read_rows(layout.qrels, [*fields.QUERY, *fields.DOCUMENT, "score"]), asked, ids, notices)
    judged = judge(asked, grades, choice, notices)
    pictures = partial(album.pages, ids, called)
    return PageCollection(name, count, pictures, ids.names, judged, tuple(notices))


def read_rows_of_pages(layout: FolderLayout, name: str, choice: CollectionOptions) -> PageCollection:
    """One table with pages and queries. InputRefused as `read_pages`."""
    album, ids, notices = Album(layout, layout.rows), Ids(), list[str]()
    called = partial(fields.identity, names=PAGE_OF_A_ROW, what="page")
    asked, qids, grades = QuerySet(), dict[str, str](), dict[str, dict[PageId, float]]()
    repeated = 0
    for row in album.rows([*fields.DOCUMENT, "query", "language"]):
        page, text = _number(row, called(row), ids), fields.words(row, ["query"])
        if not text or not take_language(row, choice.language, asked.languages):
            continue
        repeated += text in qids
        qid = qids.setdefault(text, f"q{len(qids) + 1}")
        asked.texts.setdefault(qid, text)
        asked.kinds.setdefault(qid, kind_of(row))
        grades.setdefault(qid, {})[page] = 1.0
    check_language(asked.texts, choice.language, asked.languages)
    if repeated:
        notices.append(
            f"Rows that repeat a query: {repeated:,}; it is asked once, and every page it stands beside answers it."
        )
    count = _count(ids, name)
    judged = judge(asked, grades, choice, notices)
    return PageCollection(name, count, partial(album.pages, ids, called), ids.names, judged, tuple(notices))


def _number(row: TableRow, page: str, ids: Ids) -> PageId:
    if len(ids) >= MOST_PAGES and page not in ids:
        raise row.refusal(f"there are more than {MOST_PAGES:,} pages, which are not held here.")
    return ids.number(page)


def _count(ids: Ids, name: str) -> int:
    if not len(ids):
        raise InputRefused(f"There are no pages in {name}.")
    return len(ids)


OCR_SECONDS = 5
"""Of a page of text on two cores (4 to 6 measured): to warn before a long wait; then the pages themselves are timed."""
TIMED = 4
"""Pages that are timed for a better estimate, after the first ones, with which models are loaded."""
MOST_NAMED = 3


def evaluate_pages(
    settings: Settings,
    collection: PageCollection,
    tell: Tell = silent,
    runs: Path | None = None,
    open_library: OpenEngine = INSISTING,
) -> Report:
    """Encode every picture as a page without a text layer, then rank all pages for every query by every method.

    Pages that cannot be decoded or encoded are told in the report's notices and count as never found. runs: a folder
    for TREC files. InputRefused where no page can be encoded; BackboneUnavailable and LibraryError as the engine
    raises them.
    """
    with (
        run_files(runs, collection.judged, collection.names.__getitem__) as keep,
        open_throwaway(settings, open_library) as engine,
    ):
        return _measured(engine, collection, tell, keep)


def _measured(engine: Engine, collection: PageCollection, tell: Tell, keep: Keep) -> Report:
    backbone = engine.backbone(LOCAL)
    encoder, begun = backbone.encoder, time.perf_counter()
    tell(_warning(collection.count, backbone))
    refused = _encode(engine, backbone, collection, tell)
    indexed = time.perf_counter()
    notices = [*collection.notices, *_left_out(collection, refused)]
    there = collection.count - len(refused)
    if not there:
        raise InputRefused("None of the pages could be encoded.", " ".join(notices))
    scored, left_out = evaluate(collection.judged, partial(search, engine), tell, keep)
    seconds = {"index": indexed - begun, "search": time.perf_counter() - indexed}
    return Report(
        collection.name, "pages", there, encoder, engine.settings.codec, scored, seconds, (*notices, *left_out)
    )


def _encode(engine: Engine, backbone: Backbone, collection: PageCollection, tell: Tell) -> dict[PageId, InputRefused]:
    """Every page into the library, but those that are returned with why."""
    refused: dict[PageId, InputRefused] = {}
    pictures, watch = collection.pictures(engine.settings.limits), _Watch(collection.count, tell)
    done = 0
    while some := list(islice(pictures, backbone.batch)):
        pages = [_page(collection, page, pixels) for page, pixels in some if not isinstance(pixels, InputRefused)]
        refused |= {page: pixels for page, pixels in some if isinstance(pixels, InputRefused)}
        for page, encoding in zip(pages, backbone.encode_pages(pages) if pages else [], strict=True):
            if isinstance(encoding, PageEncoding):
                engine.library.add(LOCAL, page, encoding)
            else:
                refused[page.id] = encoding
        for _ in some:
            done += 1
            tell_tenths(tell, "Encoded", done, collection.count, "pages")
        watch.see(done)
    engine.library.flush()
    return refused


def _page(collection: PageCollection, page: PageId, pixels: Pixels) -> Page:
    return Page(page, clean_name(collection.names[page]), 1, pixels)


def _left_out(collection: PageCollection, refused: dict[PageId, InputRefused]) -> Iterator[str]:
    """Why pages are not there, and which queries ask for them."""
    if not refused:
        return
    why = " ".join(dict.fromkeys(str(error) for error in list(refused.values())[:MOST_NAMED]))
    more = f" And {len(refused) - MOST_NAMED:,} more." if len(refused) > MOST_NAMED else ""
    yield f"{len(refused):,} of {collection.count:,} pages could not be encoded and count as never found. {why}{more}"
    there = {page for page in collection.names if page not in refused}
    asking = dict.fromkeys(qid for qids in never_found(collection.judged, there).values() for qid in qids)
    if asking:
        yield f"Queries that ask for pages which could not be encoded: {_some(list(asking))}."


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20:,} more" if len(names) > 20 else "")


def _warning(count: int, backbone: Backbone) -> str:
    """What the person who waits should know before."""
    pages = f"{count:,} page pictures are encoded by {backbone.encoder.name}"
    if backbone.encoder.visual_tokens:
        return f"{pages}."
    return f"{pages}, which reads their words by OCR: about {_duration(count * OCR_SECONDS)} on two cores."


class _Watch:
    """Tells once how long all pages will take, when some have been timed."""

    def __init__(self, count: int, tell: Tell) -> None:
        self._count, self._tell = count, tell
        self._start: tuple[int, float] | None = None
        self._told = False

    def see(self, done: int) -> None:
        """So many pages are done."""
        now = time.perf_counter()
        if self._start is None:
            self._start = (done, now)
        first, begun = self._start
        if not self._told and done - first >= TIMED and self._count - done > 2 * TIMED:
            self._told = True
            self._tell(
                f"About {_duration((now - begun) / (done - first) * (self._count - done))} more, as it goes so far."
            )


def _duration(seconds: float) -> str:
    """Roughly.

    >>> _duration(40), _duration(2000), _duration(9000)
    ('1 minute', '33 minutes', '2.5 hours')
    """
    minutes = max(1, round(seconds / 60))
    if minutes < 120:
        return "1 minute" if minutes == 1 else f"{minutes} minutes"
    return f"{minutes / 60:,.1f} hours"
