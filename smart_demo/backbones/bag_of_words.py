"""A backbone with one axis per word, whose scores can be computed on paper. For tests, and for trying the program.

A token state is the unit vector of its word's axis, pooled is the normalised mean of the token states. So the late part
of a page is the share of the query's words that it contains, and the pooled part the cosine of two word counts.
`auto` never chooses it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import astuple, replace

import numpy as np

from smart_demo.backbones.base import Runtime
from smart_demo.errors import Notice, NoticeCode, PageRefused, QueryRefused
from smart_demo.types import Encoder, Floats, Page, PageEncoding, Query, QueryEncoding, TokenBoxes, TokenKind

NOT_SEEN = Notice(NoticeCode.PICTURE_NOT_SEEN, "words cannot see the picture; it searched with your words alone.")
_WORD = re.compile(r"[^\W_]+")


class WordBackbone:
    """A `Backbone` of one-hot words, deterministic across processes.

    Each word of `vocabulary` has an axis of its own, in order from the first; every other word shares the remaining
    axes by its hash. A test that needs exact scores passes its words, or checks by `axis` that no two share one.
    """

    def __init__(self, vocabulary: Sequence[str] = (), width: int = 1024) -> None:
        """Width: number of axes. Raises ValueError if the vocabulary repeats a word or leaves no axis for others."""
        if len(set(vocabulary)) != len(vocabulary) or not len(vocabulary) < width:
            raise ValueError(f"{len(vocabulary)} words, {len(set(vocabulary))} of them different, on {width} axes")
        self._axes = {word: n for n, word in enumerate(vocabulary)}
        self._width = width
        self._encoder = Encoder(
            name="words",
            model=f"one-hot-{width}",
            revision="1",
            weights=hashlib.sha256("\n".join(vocabulary).encode()).hexdigest(),
            reading="text layer; lower case, split at everything but letters and digits",
            pooled_width=width,
            token_width=width,
        )

    @property
    def encoder(self) -> Encoder:
        return self._encoder

    @property
    def reason(self) -> str:
        return "words counts words on the CPU: a model for tests, with scores that can be worked out on paper."

    @property
    def runtime(self) -> Runtime:
        return Runtime("cpu", "float32")

    @property
    def needs_words(self) -> bool:
        return False

    @property
    def batch(self) -> int:
        return 4

    def axis(self, word: str) -> int:
        """Return the axis of a lower-case word, the same in every process.

        >>> WordBackbone(["tide", "table"]).axis("table")
        1
        """
        if word in self._axes:
            return self._axes[word]
        taken = len(self._axes)
        digest = hashlib.sha256(word.encode("utf-8", "replace")).digest()
        return taken + int.from_bytes(digest[:8]) % (self._width - taken)

    def encode_pages(self, pages: Sequence[Page]) -> list[PageEncoding | PageRefused]:
        return [self._encode_page(page) for page in pages]

    def encode_query(self, query: Query) -> QueryEncoding:
        labels = _split_words(query.text)
        if not labels:
            raise QueryRefused("There are no words in the query.", "Type a few words.")
        encoding = self._encode_labels(query, labels)
        return encoding if query.image is None else replace(encoding, notices=(NOT_SEEN,))

    def encode_texts(self, texts: Sequence[str]) -> Iterator[QueryEncoding]:
        for number, text in enumerate(texts, start=1):
            labels = _split_words(text)
            if not labels:
                raise QueryRefused(f"Text {number} of {len(texts)} has no words.", "Leave empty texts out.")
            yield self._encode_labels(Query(text), labels)

    def _encode_page(self, page: Page) -> PageEncoding | PageRefused:
        placed = [(label, word.box_at(start)) for word in page.words for label, start in _find_words(word.text)]
        if not placed:
            return PageRefused(f"Page {page.number} of {page.document} has no words in its text layer.")
        pooled, tokens = self._states([label for label, _ in placed])
        boxes = np.array([astuple(box) for _, box in placed], dtype=np.float32)
        kinds = np.full(len(tokens), TokenKind.CONTENT, dtype=np.uint8)
        return PageEncoding(page.id, self._encoder.fingerprint, pooled, tokens, kinds, TokenBoxes(boxes))

    def _encode_labels(self, query: Query, labels: Sequence[str]) -> QueryEncoding:
        pooled, tokens = self._states(labels)
        kinds = np.full(len(tokens), TokenKind.CONTENT, dtype=np.uint8)
        return QueryEncoding(query, self._encoder.fingerprint, pooled, tokens, kinds, tuple(labels))

    def _states(self, labels: Sequence[str]) -> tuple[Floats, Floats]:
        """Return pooled (P,) and tokens (T, P) of T >= 1 words; P is the width."""
        tokens = np.zeros((len(labels), self._width), dtype=np.float32)
        tokens[np.arange(len(labels)), [self.axis(label) for label in labels]] = 1
        total = tokens.sum(axis=0)
        return np.asarray(total / np.linalg.norm(total), dtype=np.float32), tokens


def _split_words(text: str) -> list[str]:
    return [label for label, _ in _find_words(text)]


def _find_words(text: str) -> list[tuple[str, int]]:
    """Return the words of a text in lower case, each with the index of its first character."""
    # Lower case may be longer than the text, so the indices are of the written form.
    found = ((part[0].lower(), part.start()) for part in _WORD.finditer(text))
    return [(label, start) for word, start in found for label in _WORD.findall(word)]
