"""Backbones with known scores, and sets for them, for the tests of the evidence."""

import re
from dataclasses import replace

import numpy as np

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.backbones.base import Runtime
from smart_demo.errors import PageRefused
from smart_demo.evidence.binding import COLOURS
from smart_demo.types import Encoder, PageEncoding, PageTokens, QueryEncoding, TokenBoxes, TokenKind, TokenSpace
from tests.evaluation.cases import card, colour, picture, write_rows

WIDTH = 4096
ASKED = re.compile(r"find the report where code (\w+) labels the (\w+) (\w+) marker")


class Binder(WordBackbone):
    """Encodes one token for each marker and the code beside it; all pooled vectors are equal."""

    def __init__(self):
        super().__init__(width=WIDTH)

    def encode_pages(self, pages):
        return [self.encode_report(page, [word.text for word in page.words]) for page in pages]

    def encode_query(self, query):
        code, colour, shape = ASKED.fullmatch(query.text).groups()
        made = self.encode_bound([f"{colour}{shape}{code}"])
        return QueryEncoding(query, self.encoder.fingerprint, *made, ("binding",))

    def encode_report(self, page, words):
        bound = [f"{a}{b}{c}" for a, b, c in zip(words, words[1:], words[2:], strict=False) if a in COLOURS]
        pooled, tokens, kinds = self.encode_bound(bound)
        nowhere = TokenBoxes(np.full((len(bound), 4), np.nan, np.float32))
        return PageEncoding(page.id, self.encoder.fingerprint, pooled, tokens, kinds, nowhere)

    def encode_bound(self, bound):
        tokens = np.zeros((len(bound), WIDTH), np.float32)
        tokens[np.arange(len(bound)), [self.axis(one.lower()) for one in bound]] = 1
        return np.eye(1, WIDTH, dtype=np.float32)[0], tokens, np.full(len(bound), TokenKind.CONTENT, np.uint8)


class Partial(Binder):
    """Prefers report A for every query, in both parts of the score."""

    def encode_query(self, query):
        first = np.eye(1, WIDTH, dtype=np.float32)
        return replace(super().encode_query(query), pooled=first[0], tokens=first)

    def encode_report(self, page, words):
        side = np.eye(2, WIDTH, dtype=np.float32)[[int(page.document.endswith("b.png"))]]
        return replace(super().encode_report(page, words), pooled=side[0], tokens=side, kinds=np.zeros(1, np.uint8))


class Painted:
    """Encodes a page by its colour and a query by its number: fixed random states, in two token spaces."""

    PAGES, QUERIES, WIDTHS = 12, 12, {TokenSpace.RAW: 8, TokenSpace.TRAINED: 5}
    reason, needs_words, batch, runtime = "A test asks for it.", False, 2, Runtime("cpu", "float32")
    encoder = Encoder("painted", "random-8x1", "r1", "w", pooled_width=8, token_width=8, visual_tokens=9,
                      space_widths=((TokenSpace.TRAINED, 5),))  # fmt: skip

    def __init__(self):
        self.encoded = []
        """Colours of the pages encoded so far."""

    @classmethod
    def states(cls, side, number, space):
        """Return the unit token states (T, D) of a page or query: as many as its number says, two to four."""
        random = np.random.default_rng([ord(side), number, cls.WIDTHS[space]])
        rows = random.normal(size=(2 + number % 3, cls.WIDTHS[space])).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    @classmethod
    def pooled(cls, side, number):
        return cls.states(side, number, TokenSpace.RAW)[0]

    def encode_pages(self, pages):
        return [self.encode_page(page) for page in pages]

    def encode_page(self, page):
        number = int(page.pixels[0, 0, 0])
        self.encoded.append(number)
        if number == 255:
            return PageRefused(f"{page.document} is white.")
        raw, trained = (self.as_tokens(self.states("p", number, space)) for space in self.WIDTHS)
        made = (raw.tokens, raw.kinds, raw.place)
        spaces = {TokenSpace.TRAINED: trained}
        return PageEncoding(page.id, self.encoder.fingerprint, self.pooled("p", number), *made, spaces=spaces)

    def as_tokens(self, states):
        kinds = np.full(len(states), TokenKind.CONTENT, np.uint8)
        return PageTokens(states, kinds, TokenBoxes(np.full((len(states), 4), np.nan, np.float32)))

    def encode_query(self, query):
        number = int(query.text.rsplit(" ", 1)[1])
        raw, trained = (self.as_query(query, number, space) for space in self.WIDTHS)
        return replace(raw, spaces={TokenSpace.TRAINED: trained})

    def as_query(self, query, number, space):
        states = self.states("q", number, space)
        kinds = np.full(len(states), TokenKind.CONTENT, np.uint8)
        labels = tuple("abcd"[: len(states)])
        return QueryEncoding(query, self.encoder.fingerprint, self.pooled("q", number), states, kinds, labels)


def painted_grades(number, *, graded):
    """Return the grades of a query: its page, the next one and the one after; binary or 0 to 3."""
    return {(number + step) % Painted.PAGES: grade for step, grade in enumerate((3, 1, 2) if graded else (1, 1, 0))}


def write_painted(folder, *, graded=False, pages=range(Painted.PAGES), split="test"):
    """Write a set of page images in the layout of ViDoRe's later editions, with its card."""
    queries = [{"query-id": n, "query": f"query {n}", "language": "english"} for n in range(Painted.QUERIES)]
    qrels = [
        {"query-id": n, "corpus-id": page, "score": grade}
        for n in range(Painted.QUERIES)
        for page, grade in painted_grades(n, graded=graded).items()
    ]
    corpus = [{"corpus-id": n, "image": picture(colour(n))} for n in pages]
    for part, rows in (("corpus", corpus), ("queries", queries), ("qrels", qrels)):
        write_rows(folder / part / f"{split}-00000-of-00001.parquet", rows)
    parts = {part: [(split, f"{part}/{split}-*")] for part in ("corpus", "queries", "qrels")}
    (folder / "README.md").write_text(card(**parts))
    return folder
