"""Qwen3-VL-Embedding: one forward pass over a page or a query gives the pooled vector and every token state.

h_i is the state of token i after the last layer and the final norm. pooled = h_last / |h_last| at the last
position, tokens = h_i / |h_i| for the kept i, both in float32. With SMART_LATE_LAYER=k the tokens' h_i is the state
that decoder layer k leaves, before the final norm (which is only fit for the last) and before what DeepStack adds to
it. Only pixels are taken: an address in a query is text like any other and is never fetched.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Self

import numpy as np

from smart_demo.backbones.layers import kept_layer
from smart_demo.backbones.protocol import Runtime
from smart_demo.backbones.qwen_checkpoint import Parts, load_parts
from smart_demo.backbones.qwen_forward import Encoded, Forward, Input, keep
from smart_demo.backbones.qwen_pixels import cut
from smart_demo.backbones.qwen_prompt import DOCUMENT_INSTRUCTION, QUERY_INSTRUCTION, WINDOW
from smart_demo.backbones.weights import Checkpoint, content_hash, fetch, find, wanted_revision
from smart_demo.config import Settings
from smart_demo.errors import PageRefused, QueryRefused
from smart_demo.types import (
    Encoder,
    Floats,
    Page,
    PageEncoding,
    Pixels,
    Query,
    QueryEncoding,
    TokenGrid,
    TokenKind,
)

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

    def __init__(self, checkpoint: Checkpoint, parts: Parts, settings: Settings) -> None:
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

    def _keep(self, made: Input, states: Floats | None) -> Encoded:
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
