"""How far pages encoded from their stored pictures and words are from pages encoded from their documents.

After a change of the model a library encodes its pages again without their documents (`indexing.reencoding`). Here the
same documents are encoded in both ways, and the same judged queries rank both. A model that reads words is measured
twice: with the words that such a model stored, and with those of a model that sees, which stored the text layer alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from smart_demo import ingest
from smart_demo.config import Settings
from smart_demo.engine import Engine
from smart_demo.errors import InputRefused, PageRefused, QueryRefused
from smart_demo.evaluation import runner
from smart_demo.evaluation.documents import DocumentFolder, index_folder, open_temporary_engine, scan_folder
from smart_demo.evaluation.metrics import METRICS
from smart_demo.evaluation.query_sets import QueryJudgements, read_judgements
from smart_demo.indexing.page_words import read_pages
from smart_demo.indexing.reencoding import read_restored, restore_page
from smart_demo.page_text import PageWords
from smart_demo.store.prepared_page import encode_pictures
from smart_demo.types import LOCAL, Floats, Page, PageId, Query, Scope
from smart_demo.wording import count, count_queries

METRIC = "ndcg@5"
KEPT, LAYER = "their stored pictures and words", "their stored pictures and text layers, the rest by OCR"
SCOPES = {KEPT: Scope("kept"), LAYER: Scope("layer")}
"""Libraries of the measurement beside LOCAL, which is encoded from the documents."""


@dataclass(frozen=True)
class MethodDistance:
    """What changes in the rankings of one method."""

    documents: float
    """Mean nDCG@5 of pages encoded from the documents."""
    stored: float
    """Mean nDCG@5 of pages encoded from what is stored."""
    moved: int
    """Number of queries whose first relevant page has another rank."""


@dataclass(frozen=True)
class FormDistance:
    """The distance of one way to encode stored pages from encoding the documents."""

    pages: int
    """Number of pages that could be encoded in both ways."""
    refused: int
    """Number of pages that the model encodes from the document alone."""
    cosine_mean: float
    """Mean over the pages of the cosine of the two pooled vectors."""
    cosine_min: float
    """Least cosine of two pooled vectors."""
    same_tokens: int
    """Number of pages with as many token states in both ways."""
    states_mean: float | None
    """Mean cosine of the stored token states of those pages, token by token; None if there is no such page."""
    methods: Mapping[str, MethodDistance]
    """Change of the rankings by method name."""


@dataclass(frozen=True)
class ReencodingDistance:
    """The distances of one model on one collection."""

    collection: str
    encoder: str
    """Name of the encoder."""
    codec: str
    queries: int
    forms: Mapping[str, FormDistance]
    """Distance by what the pages were encoded from."""
    notices: tuple[str, ...]

    def as_text(self) -> str:
        """Return sentences and a table for a terminal."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.collection}: {count_queries(self.queries)}; {self.encoder}, token states kept as {self.codec}"
        for name, form in self.forms.items():
            yield f"\nEncoded from {name}, against encoded from the documents, {count(form.pages, 'page')}"
            yield f"pooled vectors: cosine {form.cosine_mean:.6f} on average, {form.cosine_min:.6f} at least"
            states = "" if form.states_mean is None else f", cosine {form.states_mean:.6f} on average"
            yield f"token states: {count(form.same_tokens, 'page')} with as many{states}"
            if form.refused:
                yield f"refused: {count(form.refused, 'page')}"
            for method, found in form.methods.items():
                change = f"{found.documents:.4f} -> {found.stored:.4f} ({found.stored - found.documents:+.4f})"
                yield f"{method:<8} nDCG@5 {change}; first relevant page moved in {count_queries(found.moved)}"
        yield from ("", *self.notices) if self.notices else ()


def measure_distance(
    settings: Settings, documents: Path, queries: Path, on_progress: runner.ProgressCallback = runner.ignore_progress
) -> ReencodingDistance:
    """Encode the documents of a folder in both ways, and rank both for every judged query, in a temporary library.

    Raises InputRefused if the folder or the queries cannot be used, BackboneUnavailable and LibraryError as the engine.
    """
    folder = scan_folder(documents, settings.limits)
    judgements = read_judgements(queries, folder.find_page)
    with open_temporary_engine(settings) as engine:
        encoder = engine.backbone(LOCAL).encoder
        notices = [*folder.notices, *index_folder(engine, folder, on_progress)]
        forms: dict[str, Callable[[], Iterator[Page]]] = {KEPT: lambda: _restore_kept(engine)}
        if engine.backbone(LOCAL).needs_words:
            forms[LAYER] = lambda: _restore_layers(engine, folder)
        for name, restore in forms.items():
            on_progress(f"Encoding from {name}.")
            _encode_form(engine, SCOPES[name], restore())
        ranked = _rank(engine, judgements, [LOCAL, *(SCOPES[name] for name in forms)])
        found = {name: _compare(engine, SCOPES[name], ranked) for name in forms}
    return ReencodingDistance(
        documents.absolute().name, encoder.name, settings.codec, len(ranked), found, tuple(notices)
    )


def _restore_kept(engine: Engine) -> Iterator[Page]:
    """Yield each page from what is stored with it."""
    for page in engine.library.pages([LOCAL], engine.backbone(LOCAL).encoder.fingerprint):
        pictures, words = engine.library.kept_parts(page)
        yield restore_page(page, pictures.picture, words, engine.settings.limits)


def _restore_layers(engine: Engine, folder: DocumentFolder) -> Iterator[Page]:
    """Yield each page from what a model that sees would have stored with it: no page is turned or read by OCR."""
    encoder, limits = engine.backbone(LOCAL).encoder.fingerprint, engine.settings.limits
    for upload in (upload for uploads in folder.uploads.values() for upload in uploads):
        for drawn in ingest.render(upload, limits):
            if isinstance(drawn, Page) and (stored := engine.library.page(LOCAL, encoder, drawn.id)):
                (page,) = read_pages([drawn], use_ocr=False)
                assert isinstance(page, Page)  # without OCR no page is refused
                picture = encode_pictures(page.pixels).picture
                yield restore_page(stored, picture, PageWords(page.words, page.source), limits)


def _encode_form(engine: Engine, scope: Scope, pages: Iterator[Page]) -> None:
    """Encode pages one by one into a library of their own; leave out those that the model refuses."""
    backbone = engine.backbone(LOCAL)
    for page in pages:
        for read in read_restored([page], backbone):
            encoded = [] if isinstance(read, PageRefused) else backbone.encode_pages([read])
            for encoding in encoded:
                if not isinstance(encoding, PageRefused) and isinstance(read, Page):
                    engine.library.add(scope, read, encoding)


_Rankings = Mapping[Scope, Mapping[str, list[PageId]]]
"""The ranked pages of one query by library and method name."""


def _rank(
    engine: Engine, judgements: Sequence[QueryJudgements], scopes: Sequence[Scope]
) -> list[tuple[QueryJudgements, _Rankings]]:
    """Return the rankings of every query that the model accepts. Raises InputRefused if it accepts none."""
    ranked = list[tuple[QueryJudgements, _Rankings]]()
    for judged in judgements:
        with suppress(QueryRefused):
            results = {scope: runner.rank_by_methods(engine.score(Query(judged.query), scope)) for scope in scopes}
            rankings = {
                scope: {name: runner.list_ranked_pages(result) for name, result in own.items()}
                for scope, own in results.items()
            }
            ranked.append((judged, rankings))
    if not ranked:
        raise InputRefused("None of the queries could be run.")
    return ranked


def _compare(engine: Engine, scope: Scope, ranked: Sequence[tuple[QueryJudgements, _Rankings]]) -> FormDistance:
    """Compare a library with the one of the documents. Raises InputRefused if it has no page."""
    encoder, library = engine.backbone(LOCAL).encoder.fingerprint, engine.library
    documents = {page.id: page for page in library.pages([LOCAL], encoder)}
    stored = library.pages([scope], encoder)
    if not stored:
        raise InputRefused("The model refuses all pages as they are stored.")
    pairs = [(library.encoding(documents[page.id]), library.encoding(page)) for page in stored]
    pooled = [_cosine(one.pooled, other.pooled) for one, other in pairs]
    same = [(one.tokens, other.tokens) for one, other in pairs if one.tokens.shape == other.tokens.shape]
    states = [_cosine(*rows) for one, other in same for rows in zip(one, other, strict=True)]
    return FormDistance(
        pages=len(stored),
        refused=len(documents) - len(stored),
        cosine_mean=fmean(pooled),
        cosine_min=min(pooled),
        same_tokens=len(same),
        states_mean=fmean(states) if states else None,
        methods={method.name: _compare_rankings(method.name, scope, ranked) for method in runner.METHODS},
    )


def _compare_rankings(method: str, scope: Scope, ranked: Sequence[tuple[QueryJudgements, _Rankings]]) -> MethodDistance:
    rows = [(judged.grades, rankings[LOCAL][method], rankings[scope][method]) for judged, rankings in ranked]
    return MethodDistance(
        documents=fmean(METRICS[METRIC](ranking, grades) for grades, ranking, _ in rows),
        stored=fmean(METRICS[METRIC](ranking, grades) for grades, _, ranking in rows),
        moved=sum(_first_relevant(one, grades) != _first_relevant(other, grades) for grades, one, other in rows),
    )


def _first_relevant(ranking: Sequence[PageId], grades: Mapping[PageId, float]) -> int:
    """Return the rank of the first relevant page, 0 if none is ranked."""
    return next((rank for rank, page in enumerate(ranking, start=1) if grades.get(page, 0.0) > 0), 0)


def _cosine(one: Floats, other: Floats) -> float:
    """Return the cosine of two vectors (D,)."""
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
