"""The value types that all other modules share: frozen, and checked when created.

Axis letters: T tokens of a page, Q tokens of a query, D width of a token state, P width of the pooled vector, N pages.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
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
    covered_width: float = 1.0
    """Share of the grid's width that the page covers; the rest, on the right, is padding."""
    covered_height: float = 1.0
    """Share of the grid's height that the page covers; the rest, below, is padding."""

    @property
    def padded(self) -> bool:
        return (self.covered_width, self.covered_height) != (1, 1)

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


class TokenSpace(StrEnum):  # token files and fingerprints hold these names: never change one
    """A set of token states that a forward pass gives for late interaction. All pages of an encoder have the same."""

    RAW = "raw"
    """States that the model computes anyway: SMART's. Every encoder gives them."""
    TRAINED = "trained"
    """States of a head that was trained for late interaction."""
    ADAPTER = "adapter"
    """Raw states through a trained adapter."""


@dataclass(frozen=True, eq=False)
class PageTokens:
    """A page's token states in one space: rows (T, D) of length 1, T >= 1, the kind and the place of each."""

    tokens: Floats
    kinds: npt.NDArray[np.uint8]
    place: TokenGrid | TokenBoxes


@dataclass(frozen=True, eq=False)
class PageEncoding:
    """A backbone's encoding of one page, from one forward pass.

    pooled (P,) and every row of tokens (T, D) have length 1; T >= 1. `tokens`, `kinds` and `place` are those of the raw
    space.
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
    spaces: Mapping[TokenSpace, PageTokens] = field(default_factory=dict)
    """Token states of the spaces beside the raw one."""

    def in_space(self, space: TokenSpace) -> PageTokens:
        """Return the token states of one space. Raises KeyError if the encoder does not give it."""
        return PageTokens(self.tokens, self.kinds, self.place) if space is TokenSpace.RAW else self.spaces[space]


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
    spaces: Mapping[TokenSpace, Self] = field(default_factory=dict)
    """This encoding with the tokens of each space beside the raw one: the same query and pooled vector."""

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

    def in_space(self, space: TokenSpace) -> Self:
        """Return this encoding with the tokens of one space. Raises KeyError if the encoder does not give it."""
        return self if space is TokenSpace.RAW else self.spaces[space]

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
    space_widths: tuple[tuple[TokenSpace, int], ...] = ()
    """Each token space beside the raw one with its D, in the order of TokenSpace."""

    @property
    def widths(self) -> dict[TokenSpace, int]:
        """D, the width of a token state, by space; the raw one first."""
        return {TokenSpace.RAW: self.token_width, **dict(self.space_widths)}

    @property
    def fingerprint(self) -> str:
        """16 hex digits over every field but name and revision, so that a folder and a hub id with equal bytes agree.

        Fields that are newer than the first libraries are left out while they have their default, so that those keep
        theirs.
        """
        unset = {name for name in ("late_layer", "space_widths") if not getattr(self, name)}
        facts = {key: value for key, value in asdict(self).items() if key not in {"name", "revision", *unset}}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


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
    """T, the number of stored token states of the raw space."""
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
    space_tokens: tuple[tuple[TokenSpace, int], ...] = ()
    """Each token space beside the raw one with the number of its stored token states."""
    reencoded: bool = False
    """Whether it was encoded from the stored picture and words after a change of the model, not from its document."""

    @property
    def number(self) -> int:
        return self.id.number

    @property
    def improvable(self) -> bool:
        """Whether adding its document again replaces it: by one that is read better, or encoded from the document."""
        return self.source is None or self.reencoded

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
    reencoded: int = 0
    """Number of its stored pages that were encoded from the stored picture and words."""
