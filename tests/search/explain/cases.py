"""Queries and pages for the tests of explanations, built so that the expected results are known."""

import numpy as np
from hypothesis import strategies as st

from smart_demo import scoring
from smart_demo.methods import Counted, Reduce, Weights
from smart_demo.search.explain import Slot
from smart_demo.types import (
    SAMPLES,
    PageEncoding,
    PageId,
    Query,
    QueryEncoding,
    StoredPage,
    TokenBoxes,
    TokenCodes,
    TokenGrid,
    TokenKind,
)
from tests.store.cases import unit

PATCH, INSTRUCTION, TEMPLATE, CONTENT, TAIL = TokenKind
D = 64
CARD_SLOT = Slot(360, 100)
"""The crop's place on a card in a window 1,280 wide."""


def axis(n, width=D):
    return np.eye(width, dtype=np.float32)[n]


def query_of(tokens, kinds=None, words=(), word_texts=(), pooled=None, text="q"):
    kinds = [CONTENT] * len(tokens) if kinds is None else kinds
    labels = tuple(f"t{n}" for n in range(len(tokens)))
    pooled = axis(0, tokens.shape[1]) if pooled is None else pooled
    return QueryEncoding(Query(text), "e", pooled, tokens, np.array(kinds, np.uint8), labels, "", words, word_texts)


def page_of(tokens, kinds, place, pooled=None, number=1):
    pooled = axis(0, tokens.shape[1]) if pooled is None else pooled
    return PageEncoding(PageId("00000000000000aa", number), "e", pooled, tokens, np.array(kinds, np.uint8), place)


def stored(number):
    return StoredPage(SAMPLES, "e", PageId("00000000000000aa", number), "x.pdf", 9999, 10, 10, 1, 1, "float32", 0.0)


def parts_of(query, pages, candidates=None):
    """Return the score parts of a search over these pages; the first `candidates` are scored token by token."""
    codes = {page.page: TokenCodes(page.tokens) for page in pages}
    known = [stored(page.page.number) for page in pages]
    pooled = np.stack([page.pooled for page in pages])
    reached = np.arange(len(pages) if candidates is None else candidates)
    return scoring.compute_parts(query, known, pooled @ query.pooled, reached, lambda page, _: codes[page.id])


def block_page(rows, cols, cells, width=D):
    """Return a page: three prefix tokens, then a grid along axis 1 with those in `cells` (row, col) along axis 2."""
    patches = np.tile(axis(1, width), (rows * cols, 1))
    for row, col in cells:
        patches[row * cols + col] = axis(2, width)
    prefix, tail = np.tile(axis(3, width), (3, 1)), axis(4, width)[None]
    kinds = [TEMPLATE, INSTRUCTION, TEMPLATE] + [PATCH] * (rows * cols) + [TAIL]
    return page_of(np.concatenate([prefix, patches, tail]), kinds, TokenGrid(3, rows, cols))


def random_query(rng):
    """Return tokens of all kinds; words have one to three pieces, with tokens of no word between them."""
    kinds, words, word = [TEMPLATE, INSTRUCTION], [-1, -1], -1
    for size in rng.integers(0, 4, rng.integers(1, 5)):
        word += 1 if size else 0
        kinds += [CONTENT] * max(int(size), 1)
        words += [word] * int(size) or [-1]
    kinds, words = [*kinds, TAIL], (*words, -1)
    return query_of(unit(rng, len(kinds), D), kinds, words, (), unit(rng, D))


def random_page(rng, number=1):
    if rng.random() < 0.5:
        rows, cols = (int(n) for n in rng.integers(1, 6, 2))
        kinds = [TEMPLATE, INSTRUCTION] + [PATCH] * rows * cols + [TAIL]
        place = TokenGrid(2, rows, cols)
    else:
        kinds = [CONTENT] * int(rng.integers(1, 20))
        low = rng.random((len(kinds), 2)) / 2
        boxes = np.concatenate([low, low + rng.random((len(kinds), 2)) / 2], axis=1)
        boxes[rng.random(len(kinds)) < 0.3] = np.nan
        place = TokenBoxes(boxes.astype(np.float32))
    return page_of(unit(rng, len(kinds), D), kinds, place, unit(rng, D), number)


seeds = st.integers(0, 2**32 - 1)
weightings = st.builds(
    Weights, st.floats(0, 4), st.floats(0, 4), st.sampled_from(list(Reduce)), st.sampled_from(list(Counted))
)
