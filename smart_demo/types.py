"""The nouns of the program: frozen values that every other module speaks in.

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

Floats = npt.NDArray[np.float32]
"""float32 array; its shape is stated where it is used."""
Pixels = npt.NDArray[np.uint8]
"""(height, width, 3) RGB, upright, alpha already laid on white."""
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
        """Read what `str` wrote. ValueError for anything else."""
        file, _, number = text.partition("-")
        if not re.fullmatch(r"[0-9]{4}", number):
            raise ValueError(f"not a page id: {text!r}")
        return cls(file, int(number))


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose pages: `samples`, `local`, or one visitor's unguessable id. It names folders, so it is checked."""

    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", self.name):
            raise ValueError(f"not a scope: {self.name!r}")

    def __str__(self) -> str:
        return self.name


SAMPLES, LOCAL = Scope("samples"), Scope("local")


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a page, relative: 0..1 from the left and from the top."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Word:
    """One word as read from a text layer or by OCR, and where it stands."""

    text: str
    box: Box


@dataclass(frozen=True, eq=False)
class Page:
    """One page as it was rendered or decoded: what a backbone encodes, before any copy is stored."""

    id: PageId
    document: str
    """The file's base name with its extension, cleaned for showing. Data, never markup."""
    pages: int
    """How many pages the document has."""
    pixels: Pixels
    words: tuple[Word, ...] = ()
    """Words of the text layer in reading order; empty where the file has none (images, scans)."""

    @property
    def number(self) -> int:
        return self.id.number


class TokenKind(IntEnum):  # the numbers are written into token files: never change one
    """What a kept token is."""

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
        """(row, column) on the page of row `token` of the token matrix. IndexError if it is no image token."""
        if not 0 <= token - self.start < self.rows * self.cols:
            raise IndexError(f"token {token} is not an image token of {self}")
        return divmod(token - self.start, self.cols)


@dataclass(frozen=True, eq=False)
class TokenBoxes:
    """One box per token, for backbones that read words: (T, 4) left, top, right, bottom, relative 0..1.

    A row of NaN is a token without a place on the page.
    """

    boxes: Floats


@dataclass(frozen=True, eq=False)
class PageEncoding:
    """What a backbone made of one page in one forward pass.

    pooled (P,) and every row of tokens (T, D) have length 1; T >= 1.
    """

    page: PageId
    encoder: str
    """Fingerprint of the encoder; encodings of different fingerprints are never compared."""
    pooled: Floats
    tokens: Floats
    kinds: npt.NDArray[np.uint8]
    """(T,) of TokenKind."""
    place: TokenGrid | TokenBoxes


@dataclass(frozen=True, eq=False)
class TokenCodes:
    """Token states as stored: state_j = mean + scale * codes_j. The exact codecs have mean None and scale 1."""

    codes: Codes
    """(T, D), possibly mapped from the token file."""
    mean: Floats | None = None
    """(D,) mean token of the page, for the page-centred codec."""
    scale: float = 1.0

    def states(self) -> Floats:
        """(T, D) float32 states, decoded."""
        decoded = self.codes.astype(np.float32) * np.float32(self.scale)
        return decoded if self.mean is None else decoded + self.mean


@dataclass(frozen=True, eq=False)
class Query:
    """What is asked: words, a picture, or both. What it takes is kept for the `asker`; for all if empty."""

    text: str = ""
    image: Pixels | None = None
    image_hash: str = ""
    """Of the image's content; stays where the pixels are left out. Worked out where it is not given."""
    asker: str = ""

    def __post_init__(self) -> None:
        if self.image is not None and not self.image_hash:
            content = hashlib.sha256(repr(self.image.shape).encode() + self.image.tobytes())
            object.__setattr__(self, "image_hash", content.hexdigest())

    @property
    def key(self) -> str:
        """Content hash, for caches and ties; two queries with one key ask the same."""
        return hashlib.sha256(f"{self.text}\0{self.image_hash}".encode()).hexdigest()[:16]

    def without_pixels(self) -> Self:
        """The same question and key, for keeping."""
        return replace(self, image=None)


@dataclass(frozen=True, eq=False)
class QueryEncoding:
    """A query after the backbone: pooled (P,), tokens (Q, D), all rows of length 1; Q >= 1."""

    query: Query
    encoder: str
    pooled: Floats
    tokens: Floats
    kinds: npt.NDArray[np.uint8]
    """(Q,) of TokenKind."""
    labels: tuple[str, ...]
    """Q readable pieces of text, one per token."""
    notice: str = ""
    """A sentence for the person who asked, such as that the query was cut."""
    words: tuple[int, ...] = ()
    """Q: which word of what was asked each token is a piece of, counted from 0; -1 for tokens that are no word's
    (instruction, template, picture, tail). Left out, every content token is a word of its own."""
    spelled: tuple[str, ...] = ()
    """The words as they were asked. Left out, each is spelled by the labels of its pieces."""

    def __post_init__(self) -> None:
        if not self.words:
            content = self.kinds == TokenKind.CONTENT
            object.__setattr__(self, "words", tuple(np.where(content, content.cumsum() - 1, -1).tolist()))
        if not self.spelled:
            pieces: list[list[str]] = [[] for _ in range(max(self.words, default=-1) + 1)]
            for label, word in zip(self.labels, self.words, strict=False):
                if word >= 0:
                    pieces[word].append(label)
            object.__setattr__(self, "spelled", tuple(map("".join, pieces)))
        self._check()

    def _check(self) -> None:
        """ValueError where the parts do not speak of the same tokens."""
        lengths = {len(part) for part in (self.tokens, self.kinds, self.labels, self.words)}
        if len(lengths) != 1:
            raise ValueError(f"tokens, kinds, labels and words of a query differ in number: {sorted(lengths)}")
        for kind, word in zip(self.kinds, self.words, strict=True):
            if not -1 <= word < len(self.spelled) or (word >= 0 and kind != TokenKind.CONTENT):
                raise ValueError(f"a token of kind {kind} cannot be a piece of word {word} of {len(self.spelled)}")


@dataclass(frozen=True)
class Encoder:
    """Everything that decides what an encoding means. Equal fingerprints may be compared, others never."""

    name: str
    """What people call it: `minilm`, `qwen3-vl-2b`, a hub id or a folder's name. Not part of the fingerprint."""
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
    """How words are found, for encoders that read them (text layer, OCR engine and version, windows)."""
    pooled_width: int = 0
    token_width: int = 0
    late_layer: int = 0
    """Layer whose states are the tokens, counted from 1; 0 is the last."""

    @property
    def fingerprint(self) -> str:
        """16 hex digits over every field but name and revision: a folder and a hub id with the same bytes agree. The
        last layer goes unsaid: libraries made before there was a choice keep their fingerprint.
        """
        unsaid = {"name", "revision"} if self.late_layer else {"name", "revision", "late_layer"}
        facts = {key: value for key, value in asdict(self).items() if key not in unsaid}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


class Reduce(StrEnum):
    """How per-token maxima become one number: `mean` (the paper and its code) or `sum` (its blog post, ColBERT)."""

    MEAN = "mean"
    SUM = "sum"


class Counted(StrEnum):
    """Which query tokens count: all that were kept, or the query's own words only (our labelled ablation)."""

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
    """A way to rank. A method is data: there is one formula for all of them."""

    name: str
    label: str
    weights: Weights


POOLED = Method("pooled", "Pooled only", Weights(1.0, 0.0))
LATE = Method("late", "Late only", Weights(0.0, 1.0))
SMART = Method("smart", "SMART", Weights(1.0, 1.0))


@dataclass(frozen=True, slots=True)
class StoredPage:
    """The facts of one page that is there whole in the library."""

    scope: Scope
    encoder: str
    """Fingerprint of the encoder its token states come from."""
    id: PageId
    document: str
    pages: int
    """Pages of the whole document, which may be more than are in the library."""
    width: int
    height: int
    tokens: int
    """T, kept token states."""
    bytes: int
    """On disk: token file, page image and thumbnail."""
    codec: str
    added: float
    """Seconds since the epoch."""
    seconds: float = 0.0
    """Wall time of taking it in, as `Indexer` measures it; 0 where it was not measured."""

    @property
    def number(self) -> int:
        return self.id.number

    @property
    def key(self) -> tuple[Scope, PageId]:
        """What it is known by among the visible pages."""
        return (self.scope, self.id)


@dataclass(frozen=True, slots=True)
class Document:
    """One file as it stands in the library."""

    scope: Scope
    file: str
    """The hash that its page ids begin with."""
    name: str
    pages: int
    """Pages it has,"""
    stored: int
    """and how many of them are in the library under the encoder in use."""
    bytes: int


class State(StrEnum):
    """What has become of one file of an upload."""

    WORKING = "working"
    DONE = "done"
    KNOWN = "known"
    """It was there already: recognised by content, nothing was encoded."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of an upload, told after every page and at each file's end."""

    document: str
    state: State
    done: int = 0
    """Pages of this file that are in the library,"""
    total: int = 0
    """of this many; 0 while unknown."""
    message: str = ""
    """A sentence for the person: why it was refused, which pages were left out."""
    seconds_left: float | None = None
    """For this file, from the pages so far; None before the first."""


@dataclass(frozen=True, eq=False)
class Parts:
    """What one query and M candidate pages come to, before any weights: keeping it makes re-ranking free.

    The pooled column is known for all N visible pages, the token maxima for the M candidates among them.
    """

    kinds: npt.NDArray[np.uint8]
    """(Q,) TokenKind of each query token."""
    pages: tuple[StoredPage, ...]
    """N visible pages."""
    pooled: Floats
    """(N,) exact cosines of the pooled vectors."""
    candidates: npt.NDArray[np.int64]
    """(M,) positions in `pages`, rising."""
    maxima: Floats
    """(M, Q) best cosine of each query token among the page's tokens."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One page in a ranking, with the parts its score is made of."""

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
    """The first k, in order."""
    ranks: Mapping[tuple[Scope, PageId], int]
    """Rank of every page this method ranked, also beyond the first k."""
    candidates: int
    """M: how many pages this method ranked,"""
    pages: int
    """of N visible ones."""


@dataclass(frozen=True, eq=False)
class Found:
    """One query answered by several methods from one set of parts."""

    query: Query
    encoder: Encoder
    encoding: QueryEncoding
    parts: Parts
    results: Mapping[str, SearchResult]
    """By method name, in the order asked for."""
    milliseconds: Mapping[str, float]
    """By stage: encode, candidates, score, rank. A stage answered from a cache says 0."""
