"""Backbones that bind by design, for the tests of the evidence."""

import re
from dataclasses import replace

import numpy as np

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.evidence.binding import COLOURS
from smart_demo.types import PageEncoding, QueryEncoding, TokenBoxes, TokenKind

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
