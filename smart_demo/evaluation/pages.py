"""A collection of page pictures, measured in a library of its own that is thrown away."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from smart_demo.backbones.base import Backbone
from smart_demo.config import Settings
from smart_demo.engine import Engine
from smart_demo.errors import InputRefused
from smart_demo.evaluation.report import Report
from smart_demo.evaluation.runfiles import run_files
from smart_demo.evaluation.runs import Keep, Tell, evaluate, never_found, silent, tell_tenths
from smart_demo.evaluation.throwaway import INSISTING, OpenEngine, open_throwaway, search
from smart_demo.evaluation.vidore import PageCollection
from smart_demo.ingest import clean_name
from smart_demo.types import LOCAL, Page, PageEncoding, PageId, Pixels

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
