"""The value types that all other modules share: frozen, and checked when created.

Axis letters: T tokens of a page, Q tokens of a query, D width of a token state, P width of the pooled vector, N pages.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import IntEnum, StrEnum
from typing import Self

import numpy as np
import numpy.typing as npt

from smart_demo.errors import Notice
from smart_demo.page_text import Word, WordSource

Floats = npt.NDArray[np.float32]
"""A float32 array; each use states its shape."""
Pixels = npt.NDArray[np.uint8]
"""(height, width, 3) RGB, upright, alpha already blended onto white."""
Codes = npt.NDArray[np.float32] | npt.NDArray[np.float16] | npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True, order=True)
class PageId:
    """One page of one file: the file's content hash and the page's number, counted from 1.

    >>> str(PageId("00ff00ff00ff00ff", 7))
    '00ff00ff00ff00ff-0007'
    >>> PageId.parse("00ff00ff00ff00ff-0007").number
    7
    """

    file: str
    """First 16 hex digits of the sha256 of the file's bytes: the same file always gets the same ids."""
    number: int

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{16}", self.file) or not 1 <= self.number <= 9999:
            raise ValueError(f"not a page id: {self.file!r}, {self.number!r}")

    def __str__(self) -> str:
        return f"{self.file}-{self.number:04d}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the output of `str`. Raises ValueError for anything else."""
        file, _, number = text.partition("-")
        if not re.fullmatch(r"[0-9]{4}", number):
            raise ValueError(f"not a page id: {text!r}")
        return cls(file, int(number))


@dataclass(frozen=True, slots=True)
class Scope:
    """The owner of pages: `samples`, `local`, or one visitor's unguessable id. It names folders, so it is checked."""

    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", self.name):
            raise ValueError(f"not a scope: {self.name!r}")

    def __str__(self) -> str:
        return self.name


SAMPLES, LOCAL = Scope("samples"), Scope("local")


@dataclass(frozen=True, eq=False)
class Page:
    """One rendered or decoded page, as a backbone encodes it, before any copy is stored."""

    id: PageId
    document: str
    """The file's base name with its extension, cleaned for display. Data, never markup."""
    pages: int
    """Number of pages in the document."""
    pixels: Pixels
    words: tuple[Word, ...] = ()
    """Words in reading order: as rendered, those of the text layer; once read, with those of OCR."""
    source: WordSource = WordSource.NONE
    """Where `words` come from."""
    notices: tuple[str, ...] = ()
    """Sentences for the visitor about how the page was drawn and read."""

    @property
    def number(self) -> int:
        return self.id.number


class TokenKind(IntEnum):  # token files hold these numbers: never change one
    """The role of a stored token."""

    PATCH = 0
    INSTRUCTION = 1
    TEMPLATE = 2
    CONTENT = 3
    TAIL = 4


@dataclass(frozen=True, slots=True)
class TokenGrid:
    """Image tokens of a page: rows*cols of them, row-major, from row `start` of its token matrix."""

    start: int
    rows: int
    cols: int

    def cell(self, token: int) -> tuple[int, int]:
        """Return the (row, column) on the page of token `token`. Raises IndexError if it is not an image token."""
        if not 0 <= token - self.start < self.rows * self.cols:
            raise IndexError(f"token {token} is not an image token of {self}")
        return divmod(token - self.start, self.cols)


@dataclass(frozen=True, eq=False)
class TokenBoxes:
    """One box per token, for backbones that read words: (T, 4) left, top, right, bottom, relative 0..1.

    A row of NaN is a token without a position on the page.
    """

    boxes: Floats


@dataclass(frozen=True, eq=False)
class PageEncoding:
    """A backbone's encoding of one page, from one forward pass.

    pooled (P,) and every row of tokens (T, D) have length 1; T >= 1.
    """

    page: PageId
    encoder: str
    """Fingerprint of the encoder; encodings of different fingerprints are never compared."""
    pooled: Floats
    tokens: Floats
    kinds: npt.NDArray[np.uint8]
    """(T,) TokenKind of each token."""
    place: TokenGrid | TokenBoxes
    notice: str = ""
    """Message for the visitor, such as that the model knows few of the page's words."""
    few_known_words: bool = False
    """Whether the model knows few of the page's words, so that its rank says little."""


@dataclass(frozen=True, eq=False)
class TokenCodes:
    """Token states as stored: state_j = mean + scale * codes_j. The exact codecs have mean None and scale 1."""

    codes: Codes
    """(T, D), possibly memory-mapped from the token file."""
    mean: Floats | None = None
    """(D,) mean token of the page, if the codec is page-centred."""
    scale: float = 1.0

    def states(self) -> Floats:
        """Return the decoded states, (T, D) float32."""
        decoded = self.codes.astype(np.float32) * np.float32(self.scale)
        return decoded if self.mean is None else decoded + self.mean


@dataclass(frozen=True, eq=False)
class Query:
    """A query: text, an image, or both. Caches keep its results for `owner` alone, or for everyone if empty."""

    text: str = ""
    image: Pixels | None = None
    image_hash: str = ""
    """Content hash of the image, computed if not given. `without_pixels` keeps it."""
    owner: str = ""

    def __post_init__(self) -> None:
        if self.image is not None and not self.image_hash:
            content = hashlib.sha256(repr(self.image.shape).encode() + self.image.tobytes())
            object.__setattr__(self, "image_hash", content.hexdigest())

    @property
    def key(self) -> str:
        """Content hash for caches and ties: queries with equal keys are the same query."""
        return hashlib.sha256(f"{self.text}\0{self.image_hash}".encode()).hexdigest()[:16]

    def without_pixels(self) -> Self:
        """Return the query with the same key but without its pixels, for caches."""
        return replace(self, image=None)


@dataclass(frozen=True, eq=False)
class QueryEncoding:
    """A backbone's encoding of a query: pooled (P,), tokens (Q, D), all rows of length 1; Q >= 1."""

    query: Query
    encoder: str
    pooled: Floats
    tokens: Floats
    kinds: npt.NDArray[np.uint8]
    """(Q,) TokenKind of each token."""
    labels: tuple[str, ...]
    """Readable text of each of the Q tokens."""
    notices: tuple[Notice, ...] = ()
    """Facts for the visitor, such as that the query was cut."""
    words: tuple[int, ...] = ()
    """Index of the query word that each of the Q tokens is a piece of; -1 if of none (instruction, template, image,
    tail). By default every content token is a word."""
    word_texts: tuple[str, ...] = ()
    """Text of each query word. By default its tokens' labels, joined."""

    def __post_init__(self) -> None:
        if not self.words:
            content = self.kinds == TokenKind.CONTENT
            object.__setattr__(self, "words", tuple(np.where(content, content.cumsum() - 1, -1).tolist()))
        if not self.word_texts:
            pieces: list[list[str]] = [[] for _ in range(max(self.words, default=-1) + 1)]
            for label, word in zip(self.labels, self.words, strict=False):
                if word >= 0:
                    pieces[word].append(label)
            object.__setattr__(self, "word_texts", tuple(map("".join, pieces)))
        self._check()

    def _check(self) -> None:
        """Raise ValueError if the parts describe different tokens."""
        lengths = {len(part) for part in (self.tokens, self.kinds, self.labels, self.words)}
        if len(lengths) != 1:
            raise ValueError(f"tokens, kinds, labels and words of a query differ in number: {sorted(lengths)}")
        for kind, word in zip(self.kinds, self.words, strict=True):
            if not -1 <= word < len(self.word_texts) or (word >= 0 and kind != TokenKind.CONTENT):
                raise ValueError(f"a token of kind {kind} cannot be a piece of word {word} of {len(self.word_texts)}")


@dataclass(frozen=True)
class Encoder:
    """All facts that determine an encoding. Only encodings with equal fingerprints may be compared."""

    name: str
    """Display name: `minilm`, `qwen3-vl-2b`, a hub id or a folder's name. Not part of the fingerprint."""
    model: str
    """Family and size, such as `qwen3_vl-2048x28`."""
    revision: str
    weights: str
    """Content hash of the weights."""
    adapter: str = ""
    visual_tokens: int = 0
    """Budget of visual tokens per page; 0 for encoders that read words."""
    instructions: tuple[str, ...] = ()
    token_filter: str = ""
    reading: str = ""
    """How words are read, if the encoder reads them (text layer, OCR engine and version, windows)."""
    pooled_width: int = 0
    token_width: int = 0
    late_layer: int = 0
    """Layer whose states are the tokens, counted from 1; 0 is the last."""

    @property
    def fingerprint(self) -> str:
        """16 hex digits over every field but name and revision, so that a folder and a hub id with equal bytes agree.

        `late_layer` is left out if it is the last layer, so that libraries older than this setting keep theirs.
        """
        omitted = {"name", "revision"} if self.late_layer else {"name", "revision", "late_layer"}
        facts = {key: value for key, value in asdict(self).items() if key not in omitted}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


class Reduce(StrEnum):
    """Reduction of per-token maxima to a number: `mean` (the paper and its code) or `sum` (its blog post, ColBERT)."""

    MEAN = "mean"
    SUM = "sum"


class Counted(StrEnum):
    """Which query tokens count: all stored ones, or only the query's own words (our labelled ablation)."""

    ALL = "all"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class Weights:
    """smart = pooled_weight * pooled + late_weight * late. (1, 0) is pooled only, (0, 1) late only."""

    pooled: float = 1.0
    late: float = 1.0
    reduce: Reduce = Reduce.MEAN
    counted: Counted = Counted.ALL

    def __post_init__(self) -> None:
        if not (np.isfinite(self.pooled) and np.isfinite(self.late)):
            raise ValueError(f"weights must be finite numbers: {self.pooled}, {self.late}")


@dataclass(frozen=True, slots=True)
class Method:
    """A ranking method, as data: one formula serves all of them."""

    name: str
    label: str
    weights: Weights


POOLED = Method("pooled", "Pooled only", Weights(1.0, 0.0))
LATE = Method("late", "Late only", Weights(0.0, 1.0))
SMART = Method("smart", "SMART", Weights(1.0, 1.0))


def part_methods(weights: Weights) -> tuple[Method, Method]:
    """Return the methods that rank by the pooled and by the late part alone, the latter reduced as under `weights`."""
    return POOLED, replace(LATE, weights=replace(weights, pooled=0.0, late=1.0))


def compared_methods(weights: Weights) -> tuple[Method, Method]:
    """Return the two methods that are compared, left and right, when the page's weights are these."""
    return POOLED, Method(SMART.name, name_weights(weights), weights)


def name_weights(weights: Weights) -> str:
    """Return the label of the ranking by a page's pooled and late parts under these weights.

    >>> name_weights(Weights(1.0, 0.5)), name_weights(Weights(0.0, 2.0)), name_weights(Weights(1.0, 0.0))
    ('SMART', 'Late only', 'Pooled only')
    """
    if weights.late and not weights.pooled:
        return LATE.label
    return POOLED.label if weights.pooled and not weights.late else SMART.label


@dataclass(frozen=True, slots=True)
class StoredPage:
    """The metadata of one complete page in the library."""

    scope: Scope
    encoder: str
    """Fingerprint of the encoder that made its token states."""
    id: PageId
    document: str
    pages: int
    """Pages of the whole document; the library may hold fewer."""
    width: int
    height: int
    tokens: int
    """T, the number of stored token states."""
    bytes: int
    """Bytes on disk of token file, page image and thumbnail."""
    codec: str
    added: float
    """Time of adding, in seconds since the epoch."""
    seconds: float = 0.0
    """Wall time of adding it, as `Indexer` measures it; 0 if not measured."""
    source: WordSource | None = None
    """Where its words come from; None if it was stored before the words of pages were kept."""
    few_known_words: bool = False
    """Whether the model knows few of its words, so that its rank says little; False if an older version stored it."""

    @property
    def number(self) -> int:
        return self.id.number

    @property
    def key(self) -> tuple[Scope, PageId]:
        """Identifier among the visible pages of all scopes."""
        return (self.scope, self.id)


@dataclass(frozen=True, slots=True)
class Document:
    """One file of the library."""

    scope: Scope
    file: str
    """Hash that its page ids begin with."""
    name: str
    pages: int
    """Pages of the file."""
    stored: int
    """Number of its pages in the library under the encoder in use."""
    bytes: int


@dataclass(frozen=True, eq=False)
class Parts:
    """The scores of one query before any weights: caching them makes re-ranking free.

    Pooled scores cover all N visible pages, token maxima the M candidates among them.
    """

    kinds: npt.NDArray[np.uint8]
    """(Q,) TokenKind of each query token."""
    pages: tuple[StoredPage, ...]
    """The N visible pages."""
    pooled: Floats
    """(N,) exact cosines of the pooled vectors."""
    candidates: npt.NDArray[np.int64]
    """(M,) positions in `pages`, ascending."""
    maxima: Floats
    """(M, Q) best cosine of each query token over the page's tokens."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One page in a ranking, with the parts of its score."""

    rank: int
    page: StoredPage
    score: float
    pooled: float
    late: float


@dataclass(frozen=True, eq=False)
class SearchResult:
    """One method's ranking of one query."""

    method: Method
    hits: tuple[Hit, ...]
    """The first k pages, best first."""
    ranks: Mapping[tuple[Scope, PageId], int]
    """Rank of every page that this method ranked, also beyond the first k."""
    candidates: int
    """M, the number of pages that this method ranked."""
    pages: int
    """N, the number of visible pages."""


@dataclass(frozen=True, eq=False)
class Found:
    """The results of several methods for one query, from one set of parts."""

    query: Query
    encoder: Encoder
    encoding: QueryEncoding
    parts: Parts
    results: Mapping[str, SearchResult]
    """Results by method name, in the requested order."""
    milliseconds: Mapping[str, float]
    """Time of each stage: encode, candidates, score, rank; 0 if a cache answered it."""
    notices: tuple[Notice, ...] = ()
    """What a reader should know about the whole answer."""

    @property
    def compared(self) -> tuple[SearchResult, SearchResult]:
        """The two rankings that are compared, left and right: those of the first two methods requested."""
        left, right = list(self.results.values())[:2]
        return left, right
