"""What the backbones of all checkpoints share: prompts, batches, one forward pass at a time, unit rows, refusals.

A family adds how it writes a prompt, cuts an image into patches and runs its model; `CheckpointBackbone` makes a
`Backbone` of that. Only pixels are encoded: an address in a query is text like any other and is never fetched.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from smart_demo.backbones.base import Runtime, describe_small_print
from smart_demo.backbones.checkpoint_files import HUB_IDS, Checkpoint, fetch_checkpoint, resolve_revision
from smart_demo.backbones.device import Placement, run_on_zerogpu
from smart_demo.config import Settings
from smart_demo.errors import Notice, NoticeCode, PageRefused, QueryRefused
from smart_demo.types import (
    Encoder,
    Floats,
    Page,
    PageEncoding,
    PageTokens,
    Pixels,
    Query,
    QueryEncoding,
    TokenGrid,
    TokenKind,
    TokenSpace,
)

OUT_OF_MEMORY = ("out of memory", "allocate memory", "not enough memory")
"""Words of errors without a type of their own. Others name memory, too: an illegal access is no lack of it."""
BATCHES_PER_GROUP = 16
"""Batches of texts that are grouped by length at once, so that equal lengths share a pass and memory stays constant."""
SECONDS_TO_START, SECONDS_PER_SEQUENCE = 10, 2
"""GPU time requested of ZeroGPU: it counts against the visitor's quota, so it stays small."""
Kinds = npt.NDArray[np.uint8]
Ids = npt.NDArray[np.int64]
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Grid:
    """Number of rows and columns of visual tokens of one image."""

    rows: int
    cols: int


@dataclass(frozen=True, eq=False)
class Patches:
    """The patches of one image as its model takes them, one row each in the model's order, and their grid."""

    values: Floats
    grid: Grid
    covered: tuple[float, float] = (1.0, 1.0)
    """Share of the grid's width and height that the image covers, as in `TokenGrid`."""


@dataclass(frozen=True, eq=False)
class Prompt:
    """A prompt of L tokens."""

    ids: Ids
    """(L,) token ids."""
    kinds: Kinds
    """(L,) TokenKind of each token."""
    labels: tuple[str, ...]
    """Readable text of each of the L tokens."""
    cut_pieces: int
    """Number of pieces of the text that exceed the window and are left out."""
    text_pieces: int
    """Number of pieces of the whole text."""
    words: tuple[int, ...]
    """Index of each token's word, as in `QueryEncoding`."""
    word_texts: tuple[str, ...]
    """Text of each word, as in `QueryEncoding`."""


@dataclass(frozen=True, eq=False)
class ModelInput:
    """One sequence: its prompt and, if there is an image, its patches."""

    prompt: Prompt
    patches: Patches | None


@dataclass(frozen=True, eq=False)
class States:
    """What one pass gives for a sequence of L tokens, in float32, of any length."""

    pooled: Floats
    """(P,)."""
    tokens: Floats
    """(L, D) of the raw space."""
    spaces: Mapping[TokenSpace, Floats] = field(default_factory=dict)
    """(L, D) of each space beside the raw one."""


class ForwardPass(ABC):
    """Runs a model on one device: one pass at a time, in batches, without gradients.

    The sequences of a batch have one length, so there is no padding and no mask: the states of one do not depend on
    the others, beyond the rounding of a larger matrix product.
    """

    def __init__(self, placement: Placement) -> None:
        self._device, self._batch = placement.device, placement.batch
        self._pass = run_on_zerogpu(self._run, _gpu_seconds)
        self._lock = threading.Lock()

    @abstractmethod
    def stack(self, inputs: Sequence[ModelInput]) -> Arrays:
        """Return the model's arguments by name for B inputs of equal length, `input_ids` (B, L) among them."""

    @abstractmethod
    def encode(self, arguments: dict[str, Any]) -> list[States]:
        """Return the states of B sequences. arguments: as `stack` returns them, as tensors on the device."""

    def states(self, inputs: Sequence[ModelInput]) -> list[States | None]:
        """Return the states of each input, in order; None if it does not fit into memory."""
        import torch

        found: dict[int, States] = {}
        waiting = list(self._batches(inputs))
        while waiting:
            batch = waiting.pop(0)
            try:
                with self._lock:
                    found |= zip(batch, self._pass(self.stack([inputs[at] for at in batch])), strict=True)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                # The CPU's allocator has no error type: "DefaultCPUAllocator: can't allocate memory".
                known = isinstance(error, torch.OutOfMemoryError | MemoryError)
                if not known and not any(words in str(error) for words in OUT_OF_MEMORY):
                    raise
                if len(batch) > 1:
                    waiting = [[at] for at in batch] + waiting
        return [found.get(at) for at in range(len(inputs))]

    def _batches(self, inputs: Sequence[ModelInput]) -> Iterator[list[int]]:
        """Yield positions that share a pass: equally long, all with an image or all without, at most a batch."""
        alike: defaultdict[tuple[int, bool], list[int]] = defaultdict(list)
        for at, prepared in enumerate(inputs):
            alike[len(prepared.prompt.ids), prepared.patches is not None].append(at)
        for group in alike.values():
            yield from (group[at : at + self._batch] for at in range(0, len(group), self._batch))

    def _run(self, arrays: Arrays) -> list[States]:
        import torch

        with torch.inference_mode():
            return self.encode({name: torch.from_numpy(values).to(self._device) for name, values in arrays.items()})


def _gpu_seconds(arrays: Arrays) -> int:
    return SECONDS_TO_START + SECONDS_PER_SEQUENCE * len(arrays["input_ids"])


def to_numpy(tensor: Any) -> Floats:  # noqa: ANN401 (torch is imported late)
    """Return a tensor of any device and format as a float32 array."""
    values: Floats = tensor.float().cpu().numpy()
    return values


@dataclass(frozen=True, eq=False)
class KeptTokens:
    """The T kept tokens of one sequence in one space."""

    tokens: Floats
    """(T, D) unit vectors."""
    kinds: Kinds
    """(T,) TokenKind of each token."""
    labels: tuple[str, ...]
    """Readable text of each of the T tokens."""
    words: tuple[int, ...]
    """Index of each token's word, as in `QueryEncoding`."""


def unit_rows(rows: Floats) -> Floats:
    """Return (..., D) rows of length 1. Raises ValueError, to follow "cannot be encoded:", if one has no direction."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise ValueError("the model's states overflowed (SMART_DTYPE=float32 avoids it)")
    return np.asarray(rows / lengths, np.float32)


def select_tokens(
    prompt: Prompt, states: States | None, kept: Mapping[TokenSpace, Ids]
) -> tuple[Floats, dict[TokenSpace, KeptTokens]]:
    """Return the pooled vector (P,) and the kept tokens of each space, in float32 and of length 1.

    kept: positions of the prompt's tokens in the order in which they are stored. If the raw space keeps none, the
    pooled vector is its one token. Raises ValueError, worded to follow "cannot be encoded:", if there are no states or
    they are not finite.
    """
    if states is None:
        raise ValueError("the GPU's memory is too small for it (SMART_VISUAL_TOKENS can be lowered)")
    pooled = unit_rows(states.pooled)
    found = {}
    for space, positions in kept.items():
        rows = unit_rows(states.tokens if space is TokenSpace.RAW else states.spaces[space])
        if not len(positions):
            kinds = np.array([TokenKind.TAIL], np.uint8)
            found[space] = KeptTokens(pooled[None], kinds, prompt.labels[-1:], (-1,))
            continue
        labels = tuple(prompt.labels[at] for at in positions)
        words = tuple(prompt.words[at] for at in positions)
        found[space] = KeptTokens(rows[positions], prompt.kinds[positions], labels, words)
    return pooled, found


def label_pieces(text: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    """Return a label per piece (start, end) of a text.

    Each piece of a character gets the whole character: half of one is unreadable.
    """
    return [text[start:end].strip() or text[start:end].replace("\n", "↵") or "·" for start, end in spans]


class CheckpointBackbone(ABC):
    """A `Backbone` of one loaded checkpoint that looks at pages. Immutable."""

    token_side: int
    """Pixels along a visual token."""
    window: int
    """Tokens of the longest prompt, marks included."""

    def __init__(self, encoder: Encoder, placement: Placement, forward: ForwardPass) -> None:
        self._encoder, self._placement, self._forward = encoder, placement, forward

    @classmethod
    def load(cls, source: str, settings: Settings) -> Self:
        """Load a hub id, a short name of HUB_IDS or a local folder. Errors as `from_checkpoint`."""
        source = HUB_IDS.get(source, source)
        return cls.from_checkpoint(fetch_checkpoint(source, resolve_revision(source, settings.revision)), settings)

    @classmethod
    @abstractmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, settings: Settings) -> Self:
        """Load a checkpoint on this disk.

        Raises BackboneUnavailable if it cannot be loaded, SettingRefused if the model has fewer layers than requested.
        """

    @abstractmethod
    def prepare_page(self, pixels: Pixels) -> ModelInput:
        """Return the input of a page. Raises ValueError for an image of impossible shape."""

    @abstractmethod
    def prepare_query(self, query: Query) -> ModelInput:
        """Return the input of a query that is not empty. Raises ValueError for an image of impossible shape."""

    @abstractmethod
    def prepare_text(self, text: str) -> ModelInput:
        """Return the input of a text with the document instruction."""

    @abstractmethod
    def kept_tokens(self, prompt: Prompt) -> dict[TokenSpace, Ids]:
        """Return positions of the tokens that take part in late interaction, by space, in the order to store them.

        The patches stay row by row, and no other token lies between them.
        """

    @property
    def encoder(self) -> Encoder:
        return self._encoder

    @property
    def reason(self) -> str:
        return self._placement.reason

    @property
    def runtime(self) -> Runtime:
        return Runtime(self._placement.device, self._placement.dtype)

    @property
    def needs_words(self) -> bool:
        return False

    @property
    def batch(self) -> int:
        return self._placement.batch

    def encode_pages(self, pages: Sequence[Page]) -> list[PageEncoding | PageRefused]:
        inputs: dict[int, ModelInput] = {}
        results: dict[int, PageEncoding | PageRefused] = {}
        for at, page in enumerate(pages):
            try:
                inputs[at] = self.prepare_page(page.pixels)
            except ValueError as error:
                results[at] = _refuse_page(page, error)
        for at, states in zip(inputs, self._forward.states(list(inputs.values())), strict=True):
            try:
                results[at] = self._page_encoding(pages[at], inputs[at], states)
            except ValueError as error:
                results[at] = _refuse_page(pages[at], error)
        return [results[at] for at in range(len(pages))]

    def encode_query(self, query: Query) -> QueryEncoding:
        if query.image is None and not query.text.strip():
            raise QueryRefused("There is nothing to search for.", "Type a few words or give a picture.")
        try:
            prepared = self.prepare_query(query)
        except ValueError as error:
            raise QueryRefused(f"The query's picture cannot be encoded: {error}.") from error
        (states,) = self._forward.states([prepared])
        return self._query_encoding(query, prepared, states)

    def encode_texts(self, texts: Sequence[str]) -> Iterator[QueryEncoding]:
        remaining = iter(texts)
        while group := list(islice(remaining, BATCHES_PER_GROUP * self.batch)):
            inputs = [self.prepare_text(text) for text in group]
            for text, prepared, states in zip(group, inputs, self._forward.states(inputs), strict=True):
                yield self._query_encoding(Query(text), prepared, states)

    def notices(self, query: Query, prompt: Prompt) -> Iterator[Notice]:
        """Yield what the visitor should know about how the query was encoded."""
        if prompt.cut_pieces:
            cut = (
                f"The text is longer than the model's window of {self.window:,} tokens: "
                f"its first {prompt.text_pieces - prompt.cut_pieces:,} of {prompt.text_pieces:,} word pieces were used."
            )
            yield Notice(NoticeCode.QUERY_CUT, cut)

    def _page_encoding(self, page: Page, prepared: ModelInput, states: States | None) -> PageEncoding:
        assert prepared.patches is not None  # every page has an image
        grid = prepared.patches.grid
        pooled, found = select_tokens(prepared.prompt, states, self.kept_tokens(prepared.prompt))
        covered = prepared.patches.covered
        placed = {}
        for space, kept in found.items():
            start = int(np.argmax(kept.kinds == TokenKind.PATCH))
            placed[space] = PageTokens(kept.tokens, kept.kinds, TokenGrid(start, grid.rows, grid.cols, *covered))
        raw = placed.pop(TokenSpace.RAW)
        seen = (round(grid.cols * self.token_side * covered[0]), round(grid.rows * self.token_side * covered[1]))
        notice = describe_small_print(page, seen, self.encoder.name)
        parts = (pooled, raw.tokens, raw.kinds, raw.place, notice)
        return PageEncoding(page.id, self.encoder.fingerprint, *parts, spaces=placed)

    def _query_encoding(self, query: Query, prepared: ModelInput, states: States | None) -> QueryEncoding:
        prompt = prepared.prompt
        try:
            pooled, found = select_tokens(prompt, states, self.kept_tokens(prompt))
        except ValueError as error:
            raise QueryRefused(f"The text cannot be encoded: {error}.") from error
        notices = tuple(self.notices(query, prompt))
        encodings = {
            space: QueryEncoding(
                query,
                self.encoder.fingerprint,
                pooled,
                kept.tokens,
                kept.kinds,
                kept.labels,
                notices,
                kept.words,
                prompt.word_texts,
            )
            for space, kept in found.items()
        }
        raw = encodings.pop(TokenSpace.RAW)
        return replace(raw, spaces=encodings) if encodings else raw


def _refuse_page(page: Page, error: ValueError) -> PageRefused:
    return PageRefused(f"Page {page.number} of {page.document} cannot be encoded: {error}.")
