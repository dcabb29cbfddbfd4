"""Token states of a large collection in one temporary file, read back through one map.

A collection of plain texts instead of pages: the same encodings, codecs and scores, without a library.

A text stands as the only page of a document whose hash is its number, so that texts which tie fall in the order of
their numbers: Cranfield's own, elsewhere their order in the corpus file.

A collection of texts, measured. What grows with the collection lies in a temporary file or is done in groups.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from smart_demo import scoring
from smart_demo.backbones import registry
from smart_demo.backbones.base import Backbone
from smart_demo.backbones.serving import Backbones
from smart_demo.config import Settings
from smart_demo.errors import InputRefused, QueryRefused
from smart_demo.evaluation.judgements import QueryJudgements
from smart_demo.evaluation.runner import Report, Tell, evaluate, never_found, ranked, silent, tell_tenths
from smart_demo.evaluation.trec import run_files
from smart_demo.store import token_file
from smart_demo.store.atomic_files import storage_errors
from smart_demo.types import LOCAL, Floats, PageId, Parts, Query, QueryEncoding, SearchResult, StoredPage, TokenCodes


@dataclass(frozen=True, slots=True)
class _Place:
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    mean: Floats | None
    scale: float

    @property
    def end(self) -> int:
        return self.start + int(np.prod(self.shape)) * self.dtype.itemsize


class TokenSpillFile(Mapping[PageId, TokenCodes]):
    """Token codes by page. The file holds the codes alone: what is small stays in memory."""

    def __init__(self, path: Path) -> None:
        """Path: a file that does not exist yet, in a folder that somebody else removes."""
        self._path = path
        self._places: dict[PageId, _Place] = {}
        self._end = 0
        self._map: npt.NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)
        with storage_errors("keep token states"):
            self._file = path.open("xb")

    def add(self, page: PageId, codes: TokenCodes) -> None:
        """Keep one page. StorageFull where the disk refuses."""
        place = _Place(self._end, codes.codes.shape, codes.codes.dtype, codes.mean, codes.scale)
        with storage_errors("keep token states"):
            self._file.write(codes.codes.tobytes())
        self._places[page] = place
        self._end = place.end

    def close(self) -> None:
        """No page is added or read after this."""
        self._file.close()
        self._map = np.zeros(0, dtype=np.uint8)

    def __getitem__(self, page: PageId) -> TokenCodes:
        place = self._places[page]
        if place.end > len(self._map):
            with storage_errors("read token states"):
                self._file.flush()
                self._map = np.memmap(self._path, dtype=np.uint8, mode="c")
        codes = self._map[place.start : place.end].view(place.dtype).reshape(place.shape)
        return TokenCodes(codes, place.mean, place.scale)

    def __iter__(self) -> Iterator[PageId]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


AT_ONCE = 256
"""Texts given to the backbone together."""
TOGETHER = 64
"""Texts that are scored together."""
MAXIMA = 2**27
"""Most numbers that the maxima of one group of queries may take: half a gigabyte."""


@dataclass(frozen=True)
class TextCollection:
    """A collection as it was read."""

    name: str
    """For people."""
    documents: Mapping[PageId, str]
    """None of them empty, in the order in which ties fall."""
    names: Mapping[PageId, str]
    """What the collection itself calls its documents, judged ones that no ranking can reach among them."""
    judged: tuple[QueryJudgements, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Texts:
    """Encoded texts, in the collection's order."""

    pages: tuple[StoredPage, ...]
    pooled: Floats
    """(N, P)"""
    tokens: Mapping[PageId, TokenCodes]


def page_id(number: int) -> PageId:
    """What a document is known by.

    >>> str(page_id(184))
    '00000000000000b8-0001'
    """
    return PageId(f"{number:016x}", 1)


def encode(
    collection: TextCollection, backbone: Backbone, codec: str, tell: Tell = silent, spool: TokenSpillFile | None = None
) -> Texts:
    """Every text through the backbone and the codec, without those in which the backbone finds no words.

    spool: where token states go that should not stay in memory. InputRefused where no text has words.
    """
    pages, pooled, total = [], [], len(collection.documents)
    tokens: dict[PageId, TokenCodes] = {}
    encodings = _encodings(backbone, list(collection.documents.values()))
    for done, (page, encoding) in enumerate(zip(collection.documents, encodings, strict=True), start=1):
        if encoding is not None:
            codes = token_file.encode(encoding.tokens, codec)
            pages.append(_stored(page, collection.names[page], encoding, codes, codec))
            pooled.append(encoding.pooled)
            if spool is None:
                tokens[page] = codes
            else:
                spool.add(page, codes)
        tell_tenths(tell, "Encoded", done, total, "texts")
    if not pages:
        raise InputRefused(f"{backbone.encoder.name} finds no words in any of the {total:,} texts.")
    return Texts(tuple(pages), np.stack(pooled), tokens if spool is None else spool)


def score(texts: Texts, queries: Sequence[QueryEncoding], tell: Tell = silent) -> Mapping[str, Parts]:
    """Parts by query text.

    A maximum belongs to one query token, whatever tokens stand beside it. So all queries go through a text
    together: a large product for each of 1,398 abstracts in place of 300,000 small ones.
    """
    together = np.concatenate([query.tokens for query in queries])
    maxima = np.empty((len(texts.pages), len(together)), dtype=np.float32)
    for row in range(0, len(texts.pages), TOGETHER):
        some = texts.pages[row : row + TOGETHER]
        maxima[row : row + len(some)] = scoring.maxima(together, [texts.tokens[page.id] for page in some])
        for done in range(row + 1, row + len(some) + 1):
            tell_tenths(tell, "Scored", done, len(texts.pages), "texts")
    ends = np.cumsum([len(query.tokens) for query in queries])
    everything = np.arange(len(texts.pages))
    return {
        query.query.text: Parts(query.kinds, texts.pages, texts.pooled @ query.pooled, everything, own)
        for query, own in zip(queries, np.split(maxima, ends[:-1], axis=1), strict=True)
    }


def groups(queries: Sequence[QueryEncoding], texts: int, most: int = MAXIMA) -> Iterator[list[QueryEncoding]]:
    """Queries in order, so many together that `most` numbers hold their maxima over all texts; at least one."""
    group: list[QueryEncoding] = []
    size = 0
    for query in queries:
        needs = texts * len(query.tokens)
        if group and size + needs > most:
            yield group
            group, size = [], 0
        group.append(query)
        size += needs
    if group:
        yield group


def _encodings(backbone: Backbone, texts: Sequence[str]) -> Iterator[QueryEncoding | None]:
    """One for each text; None where the backbone finds no words in it."""
    for start in range(0, len(texts), AT_ONCE):
        some = texts[start : start + AT_ONCE]
        try:
            encoded = list(backbone.encode_texts(some))
        except QueryRefused:  # at the first of them without words, whose place only the sentence tells
            yield from (_alone(backbone, text) for text in some)
        else:
            yield from encoded


def _alone(backbone: Backbone, text: str) -> QueryEncoding | None:
    try:
        return next(iter(backbone.encode_texts([text])))
    except QueryRefused:
        return None


def _stored(page: PageId, name: str, encoding: QueryEncoding, codes: TokenCodes, codec: str) -> StoredPage:
    return StoredPage(
        scope=LOCAL,
        encoder=encoding.encoder,
        id=page,
        document=name,
        pages=1,
        width=0,
        height=0,
        tokens=len(encoding.tokens),
        bytes=codes.codes.nbytes,
        codec=codec,
        added=0.0,
    )


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
        closing(TokenSpillFile(Path(folder) / "tokens")) as spool,
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
    backbone: Backbone, judged: Sequence[QueryJudgements]
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
