"""The backbone of Qwen3-VL-Embedding: one forward pass gives the pooled vector and every token state.

h_i is the state of token i after the last layer and the final norm. pooled = h_last / |h_last| at the last
position, tokens = h_i / |h_i| for the kept i, both in float32. With SMART_LATE_LAYER=k the tokens' h_i is the state
that decoder layer k leaves, before the final norm (which is only fit for the last) and before what DeepStack adds to
it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from smart_demo.backbones.base import resolve_late_layer
from smart_demo.backbones.checkpoint_backbone import (
    Arrays,
    CheckpointBackbone,
    ForwardPass,
    Ids,
    ModelInput,
    Prompt,
    States,
    to_numpy,
)
from smart_demo.backbones.checkpoint_files import Checkpoint, hash_checkpoint
from smart_demo.backbones.device import Placement
from smart_demo.backbones.qwen.loading import LoadedCheckpoint, load_checkpoint
from smart_demo.backbones.qwen.prompt import (
    DOCUMENT_INSTRUCTION,
    MAX_PROMPT_TOKENS,
    QUERY_INSTRUCTION,
    TOKEN_SIDE,
    cut_patches,
)
from smart_demo.config import Settings
from smart_demo.types import Encoder, Pixels, Query, TokenSpace

log = logging.getLogger(__name__)

DEFAULT_VISUAL_TOKENS = 1_280
"""Budget per page, from the checkpoint's configuration. The reference scripts use 1,800; 256 suits a CPU."""


class Qwen3VL(CheckpointBackbone):
    """The backbone of one loaded checkpoint. Immutable."""

    token_side = TOKEN_SIDE
    window = MAX_PROMPT_TOKENS

    def __init__(self, checkpoint: Checkpoint, parts: LoadedCheckpoint, settings: Settings) -> None:
        self._parts = parts
        late_layer = resolve_late_layer(settings.late_layer, parts.layers, checkpoint.short_name)
        encoder = Encoder(
            name=checkpoint.short_name,
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
        super().__init__(encoder, parts.placement, QwenForward(parts.model, parts.placement, late_layer))
        last = parts.writer.write(DOCUMENT_INSTRUCTION, None, "").labels[-1]
        log.info("%s: %s The pooled token is %r.", encoder.name, parts.placement.reason, last)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, settings: Settings) -> Self:
        return cls(checkpoint, load_checkpoint(checkpoint, settings.dtype), settings)

    def prepare_page(self, pixels: Pixels) -> ModelInput:
        return self._prepare(DOCUMENT_INSTRUCTION, pixels, "")

    def prepare_query(self, query: Query) -> ModelInput:
        return self._prepare(QUERY_INSTRUCTION, query.image, query.text)

    def prepare_text(self, text: str) -> ModelInput:
        return self._prepare(DOCUMENT_INSTRUCTION, None, text)

    def kept_tokens(self, prompt: Prompt) -> dict[TokenSpace, Ids]:
        mask = self._parts.writer.token_mask(prompt, self.encoder.token_filter)
        return {TokenSpace.RAW: np.flatnonzero(mask)}

    def _prepare(self, instruction: str, pixels: Pixels | None, text: str) -> ModelInput:
        patches = None
        if pixels is not None:
            patches = cut_patches(pixels, self.encoder.visual_tokens, self._parts.image_processor)
        return ModelInput(self._parts.writer.write(instruction, patches.grid if patches else None, text), patches)


class QwenForward(ForwardPass):
    """Runs the inner model: no vocabulary head, no cache of past keys."""

    def __init__(self, model: Any, placement: Placement, late_layer: int = 0) -> None:  # noqa: ANN401 (untyped)
        super().__init__(placement)
        self._model = model
        self._late_layer = late_layer

    def stack(self, inputs: Sequence[ModelInput]) -> Arrays:
        arrays: Arrays = {"input_ids": np.stack([prepared.prompt.ids for prepared in inputs])}
        if pictures := [prepared.patches for prepared in inputs if prepared.patches is not None]:
            arrays["pixel_values"] = np.concatenate([one.values for one in pictures])
            # (B, 3), in patches, not tokens.
            grids = [[1, 2 * one.grid.rows, 2 * one.grid.cols] for one in pictures]
            arrays["image_grid_thw"] = np.array(grids, np.int64)
        return arrays

    def encode(self, arguments: dict[str, Any]) -> list[States]:
        if "pixel_values" in arguments:
            arguments["mm_token_type_ids"] = (arguments["input_ids"] == self._model.config.image_token_id).int()
        if self._late_layer:
            arguments["output_hidden_states"] = [self._late_layer]  # this layer alone: all of a page's are gigabytes
        out = self._model(**arguments, use_cache=False)
        last = out.last_hidden_state
        pooled = to_numpy(last[:, -1])
        tokens = to_numpy(out.hidden_states[self._late_layer] if self._late_layer else last)
        return [States(*one) for one in zip(pooled, tokens, strict=True)]
