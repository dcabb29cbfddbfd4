"""The Cranfield 1400 collection: abstracts instead of pages, the same encodings, codecs and scores.

`cran.all.1400` holds the documents and `cran.qry` the queries, in records that begin with `.I number`; `cranqrel` holds
a line `query document grade` for every judgement and counts the queries by their order in the file. A grade of 1 is a
complete answer, 4 of minimal interest, -1 the paper that the question came from. Gains turn that round: 5 - grade, not
below 1, and 1 for -1.

An abstract stands as the only page of a document whose hash is its number, so ties fall in the order of the numbers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smart_demo import scoring
from smart_demo.backbones import registry
from smart_demo.backbones.protocol import Backbone
from smart_demo.config import Settings
from smart_demo.errors import InputRefused
from smart_demo.evaluation.judgements import Judged, read_text
from smart_demo.evaluation.report import Report
from smart_demo.evaluation.runs import METHODS, Tell, evaluate, silent, tell_tenths
from smart_demo.serving import Backbones
from smart_demo.store import codecs
from smart_demo.types import (
    LOCAL,
    Floats,
    PageId,
    Parts,
    Query,
    QueryEncoding,
    SearchResult,
    StoredPage,
    TokenCodes,
)

DOCUMENTS, QUERIES, JUDGEMENTS = "cran.all.1400", "cran.qry", "cranqrel"
_RECORD = re.compile(r"^\.I[ \t]+([0-9]{1,9})[ \t]*\n", re.MULTILINE)
_TITLE = re.compile(r"^\.T\n(.*?)(?=^\.[ABW]$|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Cranfield:
    """The collection as it was read."""

    documents: Mapping[int, str]
    """Abstract by number, the title where there is no abstract; without those that have neither."""
    judged: tuple[Judged, ...]
    notices: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Texts:
    """Encoded abstracts, in the order of their numbers."""

    pages: tuple[StoredPage, ...]
    pooled: Floats
    """(N, P)"""
    tokens: Mapping[PageId, TokenCodes]


def evaluate_cranfield(settings: Settings, folder: Path, tell: Tell = silent) -> Report:
    """Rank all abstracts for every judged query by every method, with the backbone and the codec of the settings.

    InputRefused where the folder does not hold the collection or a query has no words; BackboneUnavailable as the
    backbone raises it.
    """
    collection = read_cranfield(folder)
    choice = registry.choose(settings)
    load = Backbones(choice, lambda name: registry.load(name, settings), fall_back=not choice.insisted)
    backbone = load.main()
    begun = time.perf_counter()
    queries = [backbone.encode_query(Query(one.query)) for one in collection.judged]
    texts = encode(collection, backbone, settings.codec, tell)
    encoded = time.perf_counter()
    parts = score(texts, queries, tell)

    def search(text: str) -> Mapping[str, SearchResult]:
        return {method.name: scoring.rank(parts[text], method, top=1) for method in METHODS}

    scored, left_out = evaluate(collection.judged, search)
    seconds = {"encode": encoded - begun, "search": time.perf_counter() - encoded}
    notices = (*collection.notices, *left_out)
    return Report("Cranfield", "texts", len(texts.pages), backbone.encoder, settings.codec, scored, seconds, notices)


def encode(collection: Cranfield, backbone: Backbone, codec: str, tell: Tell = silent) -> Texts:
    """Every abstract through the backbone and the codec."""
    fingerprint, total = backbone.encoder.fingerprint, len(collection.documents)
    pages, pooled, tokens = [], [], {}
    encodings = backbone.encode_texts(list(collection.documents.values()))
    for number, encoding in zip(collection.documents, encodings, strict=True):
        codes = codecs.encode(encoding.tokens, codec)
        page = StoredPage(
            scope=LOCAL,
            encoder=fingerprint,
            id=page_id(number),
            document=str(number),
            pages=1,
            width=0,
            height=0,
            tokens=len(encoding.tokens),
            bytes=codes.codes.nbytes,
            codec=codec,
            added=0.0,
        )
        pages.append(page)
        pooled.append(encoding.pooled)
        tokens[page.id] = codes
        tell_tenths(tell, "Encoded", len(pages), total, "texts")
    return Texts(tuple(pages), np.stack(pooled), tokens)


def score(texts: Texts, queries: Sequence[QueryEncoding], tell: Tell = silent) -> Mapping[str, Parts]:
    """Parts by query text.

    A maximum belongs to one query token, whatever tokens stand beside it. So all queries go through an abstract
    together: a large product for each of 1,398 abstracts in place of 300,000 small ones.
    """
    together = np.concatenate([query.tokens for query in queries])
    maxima = np.empty((len(texts.pages), len(together)), dtype=np.float32)
    for row, page in enumerate(texts.pages):
        maxima[row] = scoring.token_maxima(together, texts.tokens[page.id])
        tell_tenths(tell, "Scored", row + 1, len(texts.pages), "texts")
    ends = np.cumsum([len(query.tokens) for query in queries])
    everything = np.arange(len(texts.pages))
    return {
        query.query.text: Parts(query.kinds, texts.pages, texts.pooled @ query.pooled, everything, own)
        for query, own in zip(queries, np.split(maxima, ends[:-1], axis=1), strict=True)
    }


def page_id(number: int) -> PageId:
    """What a document is known by.

    >>> str(page_id(184))
    '00000000000000b8-0001'
    """
    return PageId(f"{number:016x}", 1)


def gain(grade: int) -> float:
    """What a judged document is worth.

    >>> [gain(grade) for grade in (1, 2, 3, 4, -1)]
    [4.0, 3.0, 2.0, 1.0, 1.0]
    """
    return 1.0 if grade < 0 else float(max(5 - grade, 1))


def read_cranfield(folder: Path) -> Cranfield:
    """The three files of the collection. InputRefused, with the line where there is one, for anything unexpected."""
    if not folder.is_dir():
        raise InputRefused(f"{folder} is not a folder.", f"Name the one with {DOCUMENTS}, {QUERIES} and {JUDGEMENTS}.")
    numbers, documents = set(), {}
    for number, record in _records(folder / DOCUMENTS):
        if number in numbers:
            raise InputRefused(f"{DOCUMENTS} has document {number} twice.")
        numbers.add(number)
        documents[number] = _words(record)
    queries = [_words(record) for _, record in _records(folder / QUERIES)]
    grades = _judgements(folder / JUDGEMENTS, len(queries), numbers)
    judged = {
        number: Judged(str(number), queries[number - 1], "abstracts", grades[number]) for number in sorted(grades)
    }
    empty = [number for number, words in documents.items() if not words]
    unjudged = [number for number in range(1, len(queries) + 1) if number not in judged]
    notices = [
        f"{what} were left out{so}: {', '.join(map(str, which))}."
        for what, so, which in (
            ("Documents without words", " and count as never found", empty),
            ("Queries without judgements", "", unjudged),
        )
        if which
    ]
    return Cranfield(
        {number: words for number, words in documents.items() if words}, tuple(judged.values()), tuple(notices)
    )


def _records(path: Path) -> Sequence[tuple[int, str]]:
    """(number, what follows) of every record."""
    before, *pieces = _RECORD.split(read_text(path))
    if before.strip() or not pieces:
        raise InputRefused(f"{path.name} is not in Cranfield's form.", "It should begin with .I 1.")
    return [(int(number), record) for number, record in zip(pieces[::2], pieces[1::2], strict=True)]


def _words(record: str) -> str:
    """Field .W, which ends with the record: two abstracts hold lines that look like the next field. Else field .T."""
    head, _, words = f"\n{record}\n".partition("\n.W\n")
    title = _TITLE.search(head)
    return words.strip() or (title[1].strip() if title else "")


def _judgements(path: Path, queries: int, documents: set[int]) -> Mapping[int, Mapping[PageId, float]]:
    """Gains by query number."""
    grades: dict[int, dict[PageId, float]] = {}
    for line, text in enumerate(read_text(path).split("\n"), start=1):
        if not text.strip():
            continue
        found = re.fullmatch(r"\s*([0-9]{1,9})\s+([0-9]{1,9})\s+(-1|[1-5])\s*", text)
        if found is None:
            raise InputRefused(
                f"{path.name}, line {line}: this is not a query, a document and a grade of -1 or 1 to 5."
            )
        query, document, grade = (int(value) for value in found.groups())
        if not 1 <= query <= queries or document not in documents:
            raise InputRefused(
                f"{path.name}, line {line}: query {query} or document {document} is not in the collection."
            )
        own = grades.setdefault(query, {})
        if page_id(document) in own:
            raise InputRefused(f"{path.name}, line {line}: document {document} is judged twice for query {query}.")
        own[page_id(document)] = gain(grade)
    if not grades:
        raise InputRefused(f"{path.name} has no judgements.")
    return grades
