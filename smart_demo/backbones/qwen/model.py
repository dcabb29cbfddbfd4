"""The backbone of Qwen3-VL-Embedding: one forward pass gives the pooled vector and every token state.

h_i is the state of token i after the last layer and the final norm. pooled = h_last / |h_last| at the last
position, tokens = h_i / |h_i| for the kept i, both in float32. With SMART_LATE_LAYER=k the tokens' h_i is the state
that decoder layer k leaves, before the final norm (which is only fit for the last) and before what DeepStack adds to
it. Only pixels are encoded: an address in a query is text like any other and is never fetched.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, islice
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from smart_demo.backbones.base import Runtime, describe_small_print, resolve_late_layer
from smart_demo.backbones.checkpoint_files import (
    HUB_IDS,
    Checkpoint,
    fetch_checkpoint,
    hash_checkpoint,
    resolve_revision,
)
from smart_demo.backbones.device import Placement, run_on_zerogpu
from smart_demo.backbones.qwen.loading import LoadedCheckpoint, load_checkpoint
from smart_demo.backbones.qwen.prompt import (
    DOCUMENT_INSTRUCTION,
    MAX_PROMPT_TOKENS,
    QUERY_INSTRUCTION,
    TOKEN_SIDE,
    Patches,
    Prompt,
    cut_patches,
)
from smart_demo.config import Settings
from smart_demo.errors import Notice, NoticeCode, PageRefused, QueryRefused
from smart_demo.types import Encoder, Floats, Page, PageEncoding, Pixels, Query, QueryEncoding, TokenGrid, TokenKind

log = logging.getLogger(__name__)

BATCHES_PER_GROUP = 16
"""Batches of texts that are grouped by length at once, so that equal lengths share a pass and memory stays constant."""
DEFAULT_VISUAL_TOKENS = 1_280
"""Budget per page, from the checkpoint's configuration. The reference scripts use 1,800; 256 suits a CPU."""
SECONDS_TO_START, SECONDS_PER_SEQUENCE = 10, 2
"""GPU time requested of ZeroGPU: it counts against the visitor's quota, so it stays small."""


class Qwen3VL:
    """The backbone of one loaded checkpoint. Immutable."""

    def __init__(self, checkpoint: Checkpoint, parts: LoadedCheckpoint, settings: Settings) -> None:
        self._parts = parts
        name = {hub: short for short, hub in HUB_IDS.items()}.get(checkpoint.name, checkpoint.name)
        late_layer = resolve_late_layer(settings.late_layer, parts.layers, name)
        self._forward = ForwardPass(parts.model, parts.placement, late_layer)
        self._encoder = Encoder(
            name=name,
            model=f"qwen3_vl-{parts.hidden}x{parts.layers}",
            revision=checkpoint.revision,
            weights=hash_checkpoint(checkpoint.folder),
            visual_tokens=settings.visual_tokens or DEFAULT_VISUAL_TOKENS,
            instructions=(QUERY_INSTRUCTION, DOCUMENT_INSTRUCTION),
            token_filter=settings.token_filter,
            pooled_width=parts.hidden,
            token_width=parts.hidden,
            late_layer=late_layer,
        )
        last = parts.writer.write(DOCUMENT_INSTRUCTION, None, "").labels[-1]
        log.info("%s: %s The pooled token is %r.", self._encoder.name, parts.placement.reason, last)

    @classmethod
    def load(cls, source: str, settings: Settings) -> Self:
        """Load a hub id, a short name of HUB_IDS or a local folder. Errors as `from_checkpoint`."""
        source = HUB_IDS.get(source, source)
        return cls.from_checkpoint(fetch_checkpoint(source, resolve_revision(source, settings.revision)), settings)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, settings: Settings) -> Self:
        """Load a checkpoint on this disk.

        Raises BackboneUnavailable if it cannot be loaded, SettingRefused if the model has fewer layers than requested.
        """
        return cls(checkpoint, load_checkpoint(checkpoint, settings.dtype), settings)

    @property
    def encoder(self) -> Encoder:
        return self._encoder

    @property
    def reason(self) -> str:
        return self._parts.placement.reason

    @property
    def runtime(self) -> Runtime:
        return Runtime(self._parts.placement.device, self._parts.placement.dtype)

    @property
    def needs_words(self) -> bool:
        return False

    @property
    def batch(self) -> int:
        return self._parts.placement.batch

    def encode_pages(self, pages: Sequence[Page]) -> list[PageEncoding | PageRefused]:
        inputs: dict[int, ModelInput] = {}
        results: dict[int, PageEncoding | PageRefused] = {}
        for at, page in enumerate(pages):
            try:
                inputs[at] = self._prepare(DOCUMENT_INSTRUCTION, page.pixels, "")
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
            prepared = self._prepare(QUERY_INSTRUCTION, query.image, query.text)
        except ValueError as error:
            raise QueryRefused(f"The query's picture cannot be encoded: {error}.") from error
        (states,) = self._forward.states([prepared])
        return self._query_encoding(query, prepared, states)

    def encode_texts(self, texts: Sequence[str]) -> Iterator[QueryEncoding]:
        remaining = iter(texts)
        while group := list(islice(remaining, BATCHES_PER_GROUP * self.batch)):
            inputs = [self._prepare(DOCUMENT_INSTRUCTION, None, text) for text in group]
            for text, prepared, states in zip(group, inputs, self._forward.states(inputs), strict=True):
                yield self._query_encoding(Query(text), prepared, states)

    def _prepare(self, instruction: str, pixels: Pixels | None, text: str) -> ModelInput:
        """Return the model's input. Raises ValueError for an image of impossible shape."""
        patches = None
        if pixels is not None:
            patches = cut_patches(pixels, self._encoder.visual_tokens, self._parts.image_processor)
        return ModelInput(self._parts.writer.write(instruction, patches.grid if patches else None, text), patches)

    def _select(self, prepared: ModelInput, states: Floats | None) -> EncodedSequence:
        mask = self._parts.writer.token_mask(prepared.prompt, self._encoder.token_filter)
        return select_tokens(prepared.prompt, states, mask)

    def _page_encoding(self, page: Page, prepared: ModelInput, states: Floats | None) -> PageEncoding:
        selected = self._select(prepared, states)
        assert prepared.patches is not None  # every page has an image
        grid = prepared.patches.grid
        place = TokenGrid(int(np.argmax(selected.kinds == TokenKind.PATCH)), grid.rows, grid.cols)
        notice = describe_small_print(page, (grid.cols * TOKEN_SIDE, grid.rows * TOKEN_SIDE), self._encoder.name)
        parts = (selected.pooled, selected.tokens, selected.kinds, place, notice)
        return PageEncoding(page.id, self._encoder.fingerprint, *parts)

    def _query_encoding(self, query: Query, prepared: ModelInput, states: Floats | None) -> QueryEncoding:
        try:
            selected = self._select(prepared, states)
        except ValueError as error:
            raise QueryRefused(f"The text cannot be encoded: {error}.") from error
        notices, prompt = tuple[Notice, ...](), prepared.prompt
        if prompt.cut_pieces:
            cut = (
                f"The text is longer than the model's window of {MAX_PROMPT_TOKENS:,} tokens: "
                f"its first {prompt.text_pieces - prompt.cut_pieces:,} of {prompt.text_pieces:,} word pieces were used."
            )
            notices = (Notice(NoticeCode.QUERY_CUT, cut),)
        parts = (selected.pooled, selected.tokens, selected.kinds, selected.labels)
        return QueryEncoding(query, self._encoder.fingerprint, *parts, notices, selected.words, prompt.word_texts)


def _refuse_page(page: Page, error: ValueError) -> PageRefused:
    return PageRefused(f"Page {page.number} of {page.document} cannot be encoded: {error}.")


@dataclass(frozen=True, eq=False)
class ModelInput:
    """One sequence: its prompt and, if there is an image, its patches."""

    prompt: Prompt
    patches: Patches | None


class ForwardPass:
    """Runs the inner model: no vocabulary head, no cache of past keys, no gradients.

    The sequences of a batch have one length, so there is no padding and no mask: the states of one do not depend on
    the others, beyond the rounding of a larger matrix product.
    """

    def __init__(self, model: Any, placement: Placement, late_layer: int = 0) -> None:  # noqa: ANN401 (untyped)
        self._model = model
        self._late_layer = late_layer
        self._device = placement.device
        self._batch = placement.batch
        self._pass = run_on_zerogpu(self._run, _gpu_seconds)
        self._lock = threading.Lock()

    def states(self, inputs: Sequence[ModelInput]) -> list[Floats | None]:
        """Return (L + 1, D) float32 states for each input, in order; None if it does not fit into memory.

        The first L are the tokens' states, of the last layer or of the late layer if there is one. The one after them
        is pooled: the last token's, of the last layer after the final norm.
        """
        import torch

        found: dict[int, Floats] = {}
        waiting = list(self._batches(inputs))
        while waiting:
            batch = waiting.pop(0)
            try:
                with self._lock:
                    found |= zip(batch, self._pass(*_stack([inputs[at] for at in batch])), strict=True)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                # The CPU's allocator has no error type: "DefaultCPUAllocator: can't allocate memory".
                if type(error) is RuntimeError and "memory" not in str(error):
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

    def _run(self, ids: npt.NDArray[np.int64], pixels: Floats | None, grids: npt.NDArray[np.int64]) -> Floats:
        """Return (B, L + 1, D) states.

        ids: (B, L). pixels: all patches of the batch. grids: (B, 3), in patches, not tokens.
        """
        import torch

        arguments: dict[str, Any] = {"input_ids": torch.from_numpy(ids).to(self._device)}
        if pixels is not None:
            arguments["pixel_values"] = torch.from_numpy(pixels).to(self._device)
            arguments["image_grid_thw"] = torch.from_numpy(grids).to(self._device)
            arguments["mm_token_type_ids"] = (arguments["input_ids"] == self._model.config.image_token_id).int()
        if self._late_layer:
            arguments["output_hidden_states"] = [self._late_layer]  # this layer alone: all of a page's are gigabytes
        with torch.inference_mode():
            out = self._model(**arguments, use_cache=False)
            last = out.last_hidden_state
            late = out.hidden_states[self._late_layer].to(last.device) if self._late_layer else last
            states = torch.cat([late, last[:, -1:]], dim=1)
        result: Floats = states.float().cpu().numpy()
        return result


def _stack(inputs: Sequence[ModelInput]) -> tuple[npt.NDArray[np.int64], Floats | None, npt.NDArray[np.int64]]:
    """Return ids, pixels and grids of a batch, as `ForwardPass._run` takes them."""
    pictures = [prepared.patches for prepared in inputs if prepared.patches is not None]
    grids = np.array([[1, 2 * one.grid.rows, 2 * one.grid.cols] for one in pictures], np.int64).reshape(-1, 3)
    pixels = np.concatenate([one.values for one in pictures]) if pictures else None
    return np.stack([prepared.prompt.ids for prepared in inputs]), pixels, grids


def _gpu_seconds(ids: npt.NDArray[np.int64], pixels: Floats | None, grids: npt.NDArray[np.int64]) -> int:
    return SECONDS_TO_START + SECONDS_PER_SEQUENCE * len(ids)


@dataclass(frozen=True, eq=False)
class EncodedSequence:
    """The pooled vector and the T kept tokens of one sequence."""

    pooled: Floats
    """(D,) unit vector."""
    tokens: Floats
    """(T, D) unit vectors."""
    kinds: npt.NDArray[np.uint8]
    """(T,) TokenKind of each token."""
    labels: tuple[str, ...]
    """Readable text of each of the T tokens."""
    words: tuple[int, ...]
    """Index of each token's word, as in `QueryEncoding`."""


def select_tokens(prompt: Prompt, states: Floats | None, mask: npt.NDArray[np.bool_]) -> EncodedSequence:
    """Return the pooled vector and the token states under the mask, of length 1 in float32.

    If the mask is empty, the pooled vector is the one token. states: (L + 1, D) as `ForwardPass.states` returns them;
    mask: (L,). Raises ValueError, worded to follow "cannot be encoded:", if there are no states or they are not finite.
    """
    if states is None:
        raise ValueError("the GPU's memory is too small for it (SMART_VISUAL_TOKENS can be lowered)")
    lengths = np.linalg.norm(states, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise ValueError("the model's states overflowed (SMART_DTYPE=float32 avoids it)")
    units = states / lengths
    if not mask.any():
        return EncodedSequence(units[-1], units[-1:], np.array([TokenKind.TAIL], np.uint8), prompt.labels[-1:], (-1,))
    labels, words = tuple(compress(prompt.labels, mask)), tuple(compress(prompt.words, mask))
    return EncodedSequence(units[-1], units[:-1][mask], prompt.kinds[mask], labels, words)
