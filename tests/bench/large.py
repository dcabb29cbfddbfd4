"""A library of any number of small pages, in the store's own format but written without waiting for the disk: it is
deleted afterwards, and 100,000 pages that are each on the disk before the next one begins would take an hour.

Pages of a document lie near each other and documents of a subject do, as in a real library: pooled vectors without any
order would make the search for the nearest ones look harder than it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smart_demo.store import token_file
from smart_demo.store.sidecar import Sidecar
from smart_demo.types import (
    LOCAL,
    Codes,
    Floats,
    PageEncoding,
    PageId,
    Query,
    QueryEncoding,
    StoredPage,
    TokenBoxes,
    TokenCodes,
    TokenKind,
)
from tests.bench.shapes import directions, unit

ENCODER = "5eed" * 4
WIDTH, TOKENS, ASKED = 384, 64, 24
"""Of a page's states, of their number, and of a query's tokens."""
DOCUMENT, SUBJECTS, BANK = 100, 200, 2_048
"""Pages of a document, subjects of the library, rows of codes that pages are put together from."""


@dataclass(frozen=True, eq=False)
class Made:
    """What the pages of a library are drawn from."""

    subjects: Floats
    """(SUBJECTS, WIDTH) directions that documents are near to."""
    bank: Codes
    """(BANK, WIDTH) int8 codes."""
    scale: float

    @classmethod
    def of(cls) -> Made:
        rng = np.random.default_rng(0)
        drawn = directions(rng, BANK, WIDTH)
        codes = token_file.encode(drawn, "int8")
        return cls(directions(rng, SUBJECTS, WIDTH), codes.codes, codes.scale)

    def document(self, number: int) -> Floats:
        """(DOCUMENT, WIDTH) pooled vectors of one document's pages."""
        rng = np.random.default_rng([number, 1])
        own = unit(self.subjects[number % SUBJECTS] + 0.8 * directions(rng, WIDTH))
        return unit(own + 0.8 * directions(rng, DOCUMENT, WIDTH))

    def states(self, pooled: Floats, number: int, tokens: int) -> TokenCodes:
        """A page's token states: around its pooled vector, each with something of its own."""
        start = number * 37 % (BANK - tokens)
        return TokenCodes(self.bank[start : start + tokens], 0.6 * pooled, 0.8 * self.scale)

    def queries(self, count: int) -> Iterator[QueryEncoding]:
        """Queries that ask for a page each, more or less: so many."""
        for number in range(count):
            rng = np.random.default_rng([number, 2])
            page = self.document(number)[rng.integers(DOCUMENT)]
            drawn = directions(rng, ASKED, WIDTH)
            tokens = unit(0.6 * page + 0.4 * drawn + 0.7 * self.bank[rng.integers(BANK, size=ASKED)] * self.scale)
            kinds = np.full(ASKED, TokenKind.CONTENT, np.uint8)
            pooled = unit(page + 0.8 * directions(rng, WIDTH))
            labels = tuple(f"word{n}" for n in range(ASKED))
            yield QueryEncoding(Query(f"query {number}"), ENCODER, pooled, tokens, kinds, labels)


def write(data_dir: Path, pages: int, tokens: int = TOKENS) -> Made:
    """Put so many pages into an empty data folder. OSError where the disk refuses."""
    made, files = Made.of(), Sidecar(data_dir)
    boxes = TokenBoxes(np.tile(np.array([0.1, 0.1, 0.2, 0.12], np.float32), (tokens, 1)))
    kinds = np.full(tokens, TokenKind.CONTENT, np.uint8)
    folders: set[Path] = set()
    for number in range(pages):
        document, at = divmod(number, DOCUMENT)
        if at == 0:
            vectors, file = made.document(document), _hash(document)
        page = PageId(file, at + 1)
        facts = (f"report {document:04d}.pdf", DOCUMENT, 1240, 1754, tokens, 0, "int8", 1.7e9 + number, 0.1)
        stored = StoredPage(LOCAL, ENCODER, page, *facts)
        encoding = PageEncoding(page, ENCODER, vectors[at], np.zeros((0, WIDTH), np.float32), kinds, boxes)
        path = files.path(stored)
        if path.parent not in folders:
            folders.add(path.parent)
            path.parent.mkdir(parents=True, exist_ok=True)
        data = token_file.serialise(stored, encoding, made.states(vectors[at], number, tokens))
        file_number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(file_number, data)
        os.close(file_number)
    return made


def _hash(document: int) -> str:
    """As a content hash would spread them."""
    return f"{(document * 0x9E3779B97F4A7C15 + 0x1234567) % 2**64:016x}"
