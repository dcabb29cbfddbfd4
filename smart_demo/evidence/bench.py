"""A judged collection that was encoded once, with its token states whole: every codec and every weight is free then."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from smart_demo.backbones.base import Backbone
from smart_demo.engine import Engine
from smart_demo.errors import InputRefused, QueryRefused
from smart_demo.evaluation.documents import index_shelf, look_at, lost_pages
from smart_demo.evaluation.judgements import Judged, read_judged
from smart_demo.evaluation.runner import Tell
from smart_demo.evaluation.texts import Spool, TextCollection, Texts, encode, score
from smart_demo.store import token_file
from smart_demo.types import LOCAL, Encoder, PageId, Parts, Query, QueryEncoding, TokenCodes

WHOLE = "float32"
"""The codec that loses nothing: what token states are kept in until one is asked for."""


class Recoded(Mapping[PageId, TokenCodes]):
    """Token states as another codec would have stored them, coded as they are read."""

    def __init__(self, states: Mapping[PageId, TokenCodes], codec: str) -> None:
        self._states, self._codec = states, codec

    def __getitem__(self, page: PageId) -> TokenCodes:
        states = self._states[page]
        return states if self._codec == WHOLE else token_file.encode(states.states(), self._codec)

    def __iter__(self) -> Iterator[PageId]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)


@dataclass(frozen=True, eq=False)
class Bench:
    """One collection under one encoder. Its token states may lie in a folder that goes away: use it before."""

    name: str
    unit: str
    """What is ranked, in the plural: `pages` or `texts`."""
    judged: tuple[Judged, ...]
    """The queries that could be asked,"""
    queries: tuple[QueryEncoding, ...]
    """and their encodings, in the same order."""
    texts: Texts
    """What is ranked, with token states under the codec WHOLE."""
    encoder: Encoder
    notices: tuple[str, ...]
    seconds: float
    """What encoding all of it took."""

    def parts(self, codec: str) -> list[Parts]:
        """Parts of each query, in order, over token states that went through `codec`."""
        recoded = Texts(self.texts.pages, self.texts.pooled, Recoded(self.texts.tokens, codec))
        found = score(recoded, self.queries)
        return [found[query.query.text] for query in self.queries]


def text_bench(collection: TextCollection, backbone: Backbone, spool: Spool, tell: Tell) -> Bench:
    """Encode a text collection. spool: where its token states go; the bench is of use while it is open."""
    begun = time.perf_counter()
    judged, queries, refused = _ask(backbone, collection.judged)
    texts = encode(collection, backbone, WHOLE, tell, spool)
    seconds = time.perf_counter() - begun
    notices = (*collection.notices, *refused)
    return Bench(collection.name, "texts", judged, queries, texts, backbone.encoder, notices, seconds)


def page_bench(engine: Engine, documents: Path, queries: Path, tell: Tell) -> Bench:
    """Index a folder of documents in the engine's library, whose codec is WHOLE, and encode its judged queries.

    Errors as `evaluate_documents`.
    """
    shelf = look_at(documents, engine.settings.limits)
    judged = read_judged(queries, shelf.page)
    backbone = engine.backbone(LOCAL)
    begun = time.perf_counter()
    notices = index_shelf(engine, shelf, tell)  # what is no document in the folder says nothing of the figures
    pages, pooled = engine.library.pooled([LOCAL], backbone.encoder.fingerprint)
    if not pages:
        raise InputRefused("None of the pages could be indexed.", " ".join(notices))
    notices += lost_pages(shelf, judged, {page.id for page in pages})
    texts = Texts(pages, pooled, {page.id: engine.library.tokens(page) for page in pages})
    asked, encodings, refused = _ask(backbone, judged)
    seconds = time.perf_counter() - begun
    name = documents.absolute().name
    return Bench(name, "pages", asked, encodings, texts, backbone.encoder, (*notices, *refused), seconds)


def _ask(
    backbone: Backbone, judged: Sequence[Judged]
) -> tuple[tuple[Judged, ...], tuple[QueryEncoding, ...], tuple[str, ...]]:
    """Queries that could be encoded, their encodings, and a notice for each that could not. InputRefused if none."""
    asked, encodings, notices = [], [], []
    for one in judged:
        try:
            encodings.append(backbone.encode_query(Query(one.query.strip())))
        except QueryRefused as refused:
            notices.append(f"Query {one.qid} was left out. {refused.sentence}")
        else:
            asked.append(one)
    if not asked:
        raise InputRefused("None of the queries could be asked.", notices[0] if notices else "")
    return tuple(asked), tuple(encodings), tuple(notices)
