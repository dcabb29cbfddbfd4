"""A collection of plain texts instead of pages: the same encodings, codecs and scores, without a library.

A text stands as the only page of a document whose hash is its number, so that texts which tie fall in the order of
their numbers: Cranfield's own, elsewhere their order in the corpus file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from smart_demo import scoring
from smart_demo.backbones.base import Backbone
from smart_demo.errors import InputRefused, QueryRefused
from smart_demo.evaluation.judgements import Judged
from smart_demo.evaluation.runs import Tell, silent, tell_tenths
from smart_demo.evaluation.spool import Spool
from smart_demo.store import token_file
from smart_demo.types import LOCAL, Floats, PageId, Parts, QueryEncoding, StoredPage, TokenCodes

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
    judged: tuple[Judged, ...]
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
    collection: TextCollection, backbone: Backbone, codec: str, tell: Tell = silent, spool: Spool | None = None
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
