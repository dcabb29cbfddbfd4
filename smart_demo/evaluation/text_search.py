"""A collection of texts, measured. What grows with the collection lies in a temporary file or is done in groups."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from smart_demo.backbones import registry
from smart_demo.backbones.base import Backbone
from smart_demo.backbones.serving import Backbones
from smart_demo.config import Settings
from smart_demo.errors import QueryRefused
from smart_demo.evaluation.judgements import Judged
from smart_demo.evaluation.report import Report
from smart_demo.evaluation.runfiles import run_files
from smart_demo.evaluation.runs import Tell, evaluate, never_found, ranked, silent
from smart_demo.evaluation.spool import Spool
from smart_demo.evaluation.texts import TextCollection, Texts, encode, groups, score
from smart_demo.types import Parts, Query, QueryEncoding, SearchResult


def evaluate_texts(
    settings: Settings, collection: TextCollection, tell: Tell = silent, runs: Path | None = None
) -> Report:
    """Rank all texts for every judged query by every method, with the backbone and the codec of the settings.

    runs: a folder for TREC files of what was judged and ranked. A query without words is left out and told of.
    InputRefused where no query can be asked or no text has words; BackboneUnavailable as the backbone raises it;
    StorageFull where the temporary folder is too small.
    """
    choice = registry.choose(settings)
    load = Backbones(choice, lambda name: registry.load(name, settings), fall_back=not choice.insisted)
    with (
        run_files(runs, collection.judged, collection.names.__getitem__) as keep,
        TemporaryDirectory(prefix="smart-demo-eval-") as folder,
        closing(Spool(Path(folder) / "tokens")) as spool,
    ):
        backbone = load.main()
        begun = time.perf_counter()
        queries, refused = _encode_queries(backbone, collection.judged)
        texts = encode(collection, backbone, settings.codec, tell, spool)
        encoded = time.perf_counter()
        search = Search(texts, queries, refused, tell)
        scored, left_out = evaluate(collection.judged, search, keep=keep)
        seconds = {"encode": encoded - begun, "search": time.perf_counter() - encoded}
        notices = (*collection.notices, *_without_words(collection, texts, backbone.encoder.name), *left_out)
    count, encoder = len(texts.pages), backbone.encoder
    return Report(collection.name, "texts", count, encoder, settings.codec, scored, seconds, notices)


class Search:
    """Rankings by query text. A group of queries is scored when the first of it is asked, and kept until the next."""

    def __init__(
        self,
        texts: Texts,
        queries: Sequence[QueryEncoding],
        refused: Mapping[str, QueryRefused],
        tell: Tell = silent,
    ) -> None:
        self._texts, self._refused, self._tell = texts, refused, tell
        self._groups = [tuple(group) for group in groups(queries, len(texts.pages))]
        self._group_of = {one.query.text: group for group in self._groups for one in group}
        self._parts: Mapping[str, Parts] = {}

    def __call__(self, text: str) -> Mapping[str, SearchResult]:
        """QueryRefused for a query that the backbone refused."""
        if text in self._refused:
            raise self._refused[text]
        if text not in self._parts:
            self._parts = {}  # or two groups would be in memory
            self._parts = score(self._texts, self._group_of[text], self._tell)
        return ranked(self._parts[text])


def _encode_queries(
    backbone: Backbone, judged: Sequence[Judged]
) -> tuple[list[QueryEncoding], Mapping[str, QueryRefused]]:
    """Every different text once, in order, and the refusals by text."""
    queries, refusals = [], {}
    for text in dict.fromkeys(one.query for one in judged):
        try:
            queries.append(backbone.encode_query(Query(text)))
        except QueryRefused as refused:
            refusals[text] = refused
    return queries, refusals


def _without_words(collection: TextCollection, texts: Texts, encoder: str) -> Iterator[str]:
    """A notice where the backbone found no words in some texts, with the queries that ask for them."""
    lost = collection.documents.keys() - texts.tokens.keys()
    if lost:
        missing = never_found(collection.judged, set(texts.tokens))
        asking = dict.fromkeys(qid for page in lost for qid in missing.get(page, ()))
        so = f" ({', '.join(asking)})" if asking else ""
        yield f"Texts in which {encoder} finds no words: {len(lost):,}; they count as never found{so}."
