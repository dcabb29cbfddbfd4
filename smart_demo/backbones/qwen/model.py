"""Prompts and patches -> the state of every token, in as few passes as fit.

Batch mates always have one length, so there is no padding and no mask: a sequence's states cannot depend on
who shares its pass, beyond the rounding of a larger matrix product.

Qwen3-VL-Embedding: one forward pass over a page or a query gives the pooled vector and every token state.

h_i is the state of token i after the last layer and the final norm. pooled = h_last / |h_last| at the last
position, tokens = h_i / |h_i| for the kept i, both in float32. With SMART_LATE_LAYER=k the tokens' h_i is the state
that decoder layer k leaves, before the final norm (which is only fit for the last) and before what DeepStack adds to
it. Only pixels are taken: an address in a query is text like any other and is never fetched.
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

from smart_demo.backbones.base import Runtime, kept_layer
from smart_demo.backbones.checkpoint_files import Checkpoint, content_hash, fetch, find, wanted_revision
from smart_demo.backbones.device import Placement, borrowing
from smart_demo.backbones.qwen.loading import LoadedCheckpoint, load_parts
from smart_demo.backbones.qwen.prompt import DOCUMENT_INSTRUCTION, QUERY_INSTRUCTION, WINDOW, Patches, Prompt, cut
from smart_demo.config import Settings
from smart_demo.errors import PageRefused, QueryRefused
from smart_demo.types import Encoder, Floats, Page, PageEncoding, Pixels, Query, QueryEncoding, TokenGrid, TokenKind

SECONDS_TO_START, SECONDS_PER_SEQUENCE = 10, 2
"""What a borrowed GPU is asked for: the requested time counts against a visitor's quota, so it stays small."""


@dataclass(frozen=True, eq=False)
class Input:
    """One sequence: its prompt and, where there is a picture, its patches."""

    prompt: Prompt
    patches: Patches | None


class Forward:
    """Runs the inner model: no vocabulary head, no cache of past keys, no gradients."""

    def __init__(self, model: Any, placement: Placement, late_layer: int = 0) -> None:  # noqa: ANN401 (untyped)
        self._model = model
        self._late_layer = late_layer
        self._device = placement.device
        self._batch = placement.batch
        self._pass = borrowing(self._run, _seconds)
        self._one_at_a_time = threading.Lock()

    def states(self, inputs: Sequence[Input]) -> list[Floats | None]:
        """(L + 1, D) float32 states for each input, in order; None where memory ran out.

        One of each token and then, once more, the one that is pooled: the last token's, of the last layer after the
        final norm. The L before it are of that layer too, or of the late layer where there is one.
        """
        import torch

        found: dict[int, Floats] = {}
        waiting = list(self._passes(inputs))
        while waiting:
            mates = waiting.pop(0)
            try:
                with self._one_at_a_time:
                    found |= zip(mates, self._pass(*_arrays([inputs[at] for at in mates])), strict=True)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                # The CPU's allocator has no type of its own: "DefaultCPUAllocator: can't allocate memory".
                if type(error) is RuntimeError and "memory" not in str(error):
                    raise
                if len(mates) > 1:
                    waiting = [[at] for at in mates] + waiting
        return [found.get(at) for at in range(len(inputs))]

    def _passes(self, inputs: Sequence[Input]) -> Iterator[list[int]]:
        """Positions that share a pass: equally long, all with a picture or all without, at most a batch."""
        alike: defaultdict[tuple[int, bool], list[int]] = defaultdict(list)
        for at, made in enumerate(inputs):
            alike[len(made.prompt.ids), made.patches is not None].append(at)
        for group in alike.values():
            yield from (group[at : at + self._batch] for at in range(0, len(group), self._batch))

    def _run(self, ids: npt.NDArray[np.int64], pixels: Floats | None, grids: npt.NDArray[np.int64]) -> Floats:
        """(B, L + 1, D) states. ids (B, L); pixels: all patches of the batch; grids (B, 3) in patches, not tokens."""
        import torch

        fed: dict[str, Any] = {"input_ids": torch.from_numpy(ids).to(self._device)}
        if pixels is not None:
            fed["pixel_values"] = torch.from_numpy(pixels).to(self._device)
            fed["image_grid_thw"] = torch.from_numpy(grids).to(self._device)
            fed["mm_token_type_ids"] = (fed["input_ids"] == self._model.config.image_token_id).int()
        if self._late_layer:
            fed["output_hidden_states"] = [self._late_layer]  # of this layer alone: all of a page's are gigabytes
        with torch.inference_mode():
            out = self._model(**fed, use_cache=False)
            last = out.last_hidden_state
            late = out.hidden_states[self._late_layer].to(last.device) if self._late_layer else last
            states = torch.cat([late, last[:, -1:]], dim=1)
        made: Floats = states.float().cpu().numpy()
        return made


def _arrays(inputs: Sequence[Input]) -> tuple[npt.NDArray[np.int64], Floats | None, npt.NDArray[np.int64]]:
    pictures = [made.patches for made in inputs if made.patches is not None]
    grids = np.array([[1, 2 * one.grid.rows, 2 * one.grid.cols] for one in pictures], np.int64).reshape(-1, 3)
    pixels = np.concatenate([one.values for one in pictures]) if pictures else None
    return np.stack([made.prompt.ids for made in inputs]), pixels, grids


def _seconds(ids: npt.NDArray[np.int64], pixels: Floats | None, grids: npt.NDArray[np.int64]) -> int:
    return SECONDS_TO_START + SECONDS_PER_SEQUENCE * len(ids)


@dataclass(frozen=True, eq=False)
class EncodedSequence:
    """pooled (D,), tokens (T, D), kinds (T,), T labels and T word numbers: what is kept of one sequence."""

    pooled: Floats
    tokens: Floats
    kinds: npt.NDArray[np.uint8]
    labels: tuple[str, ...]
    words: tuple[int, ...]


def keep(prompt: Prompt, states: Floats | None, kept: npt.NDArray[np.bool_]) -> EncodedSequence:
    """Pooled vector and kept token states, of length 1 in float32. Where nothing is kept, pooled is the one token.

    states: (L + 1, D) as `Forward.states` gives them; kept: (L,). ValueError, worded to follow "cannot be encoded:",
    where there are no states or they are no numbers.
    """
    if states is None:
        raise ValueError("the GPU's memory is too small for it (SMART_VISUAL_TOKENS can be lowered)")
    lengths = np.linalg.norm(states, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise ValueError("the model's states overflowed (SMART_DTYPE=float32 avoids it)")
    units = states / lengths
    if not kept.any():
        return EncodedSequence(units[-1], units[-1:], np.array([TokenKind.TAIL], np.uint8), prompt.labels[-1:], (-1,))
    labels, words = tuple(compress(prompt.labels, kept)), tuple(compress(prompt.words, kept))
    return EncodedSequence(units[-1], units[:-1][kept], prompt.kinds[kept], labels, words)


__all__ = ["DEFAULT_IDS", "Qwen3VL", "on_disk"]

log = logging.getLogger(__name__)

DEFAULT_IDS = {"qwen3-vl-2b": "Qwen/Qwen3-VL-Embedding-2B", "qwen3-vl-8b": "Qwen/Qwen3-VL-Embedding-8B"}
TEXT_BATCHES = 16
"""Batches of texts looked at together, so that texts of one length find each other and memory stays flat."""


def on_disk(source: str, revision: str = "") -> bool:
    """Whether the whole model (an alias, hub id or folder) lies on this disk; `revision` is Settings.revision. Asks no
    network and loads nothing.
    """
    source = DEFAULT_IDS.get(source, source)
    return find(source, wanted_revision(source, revision)) is not None


class Qwen3VL:
    """The backbone over one loaded checkpoint. Nothing in it changes."""

    def __init__(self, checkpoint: Checkpoint, parts: LoadedCheckpoint, settings: Settings) -> None:
        self._parts = parts
        name = {hub: alias for alias, hub in DEFAULT_IDS.items()}.get(checkpoint.name, checkpoint.name)
        late_layer = kept_layer(settings.late_layer, parts.layers, name)
        self._forward = Forward(parts.model, parts.placement, late_layer)
        self._encoder = Encoder(
            name=name,
            model=f"qwen3_vl-{parts.hidden}x{parts.layers}",
            revision=checkpoint.revision,
            weights=content_hash(checkpoint.folder),
            visual_tokens=settings.visual_tokens,
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
        """Load a hub id, an alias of DEFAULT_IDS or a local folder. BackboneUnavailable says what is wrong,
        SettingRefused that the model has no such layer.
        """
        source = DEFAULT_IDS.get(source, source)
        checkpoint = fetch(source, wanted_revision(source, settings.revision))
        return cls(checkpoint, load_parts(checkpoint, settings.dtype), settings)

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
    def batch(self) -> int:
        return self._parts.placement.batch

    def encode_pages(self, pages: Sequence[Page]) -> list[PageEncoding | PageRefused]:
        inputs: dict[int, Input] = {}
        results: dict[int, PageEncoding | PageRefused] = {}
        for at, page in enumerate(pages):
            try:
                inputs[at] = self._input(DOCUMENT_INSTRUCTION, page.pixels, "")
            except ValueError as error:
                results[at] = _refusal(page, error)
        for at, states in zip(inputs, self._forward.states(list(inputs.values())), strict=True):
            try:
                results[at] = self._page(pages[at], inputs[at], states)
            except ValueError as error:
                results[at] = _refusal(pages[at], error)
        return [results[at] for at in range(len(pages))]

    def encode_query(self, query: Query) -> QueryEncoding:
        if query.image is None and not query.text.strip():
            raise QueryRefused("There is nothing to search for.", "Type a few words or give a picture.")
        try:
            made = self._input(QUERY_INSTRUCTION, query.image, query.text)
        except ValueError as error:
            raise QueryRefused(f"The query's picture cannot be encoded: {error}.") from error
        (states,) = self._forward.states([made])
        return self._answer(query, made, states)

    def encode_texts(self, texts: Sequence[str]) -> Iterator[QueryEncoding]:
        remaining = iter(texts)
        while some := list(islice(remaining, TEXT_BATCHES * self.batch)):
            inputs = [self._input(DOCUMENT_INSTRUCTION, None, text) for text in some]
            for text, made, states in zip(some, inputs, self._forward.states(inputs), strict=True):
                yield self._answer(Query(text), made, states)

    def _input(self, instruction: str, pixels: Pixels | None, text: str) -> Input:
        """ValueError for a picture of impossible shape."""
        patches = None
        if pixels is not None:
            patches = cut(pixels, self._encoder.visual_tokens, self._parts.image_processor)
        return Input(self._parts.writer.write(instruction, patches.grid if patches else None, text), patches)

    def _keep(self, made: Input, states: Floats | None) -> EncodedSequence:
        kept = self._parts.writer.kept(made.prompt, self._encoder.token_filter)
        return keep(made.prompt, states, kept)

    def _page(self, page: Page, made: Input, states: Floats | None) -> PageEncoding:
        kept = self._keep(made, states)
        assert made.patches is not None  # every page has a picture
        grid = made.patches.grid
        place = TokenGrid(int(np.argmax(kept.kinds == TokenKind.PATCH)), grid.rows, grid.cols)
        return PageEncoding(page.id, self._encoder.fingerprint, kept.pooled, kept.tokens, kept.kinds, place)

    def _answer(self, query: Query, made: Input, states: Floats | None) -> QueryEncoding:
        try:
            kept = self._keep(made, states)
        except ValueError as error:
            raise QueryRefused(f"The text cannot be encoded: {error}.") from error
        notice, prompt = "", made.prompt
        if prompt.cut:
            notice = (
                f"The text is longer than the model's window of {WINDOW:,} tokens: "
                f"its first {prompt.pieces - prompt.cut:,} of {prompt.pieces:,} word pieces were used."
            )
        own = (kept.pooled, kept.tokens, kept.kinds, kept.labels)
        return QueryEncoding(query, self._encoder.fingerprint, *own, notice, kept.words, prompt.spelled)


def _refusal(page: Page, error: ValueError) -> PageRefused:
    return PageRefused(f"Page {page.number} of {page.document} cannot be encoded: {error}.")
