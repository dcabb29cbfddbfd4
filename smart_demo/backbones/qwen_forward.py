"""Prompts and patches -> the state of every token, in as few passes as fit.

Batch mates always have one length, so there is no padding and no mask: a sequence's states cannot depend on
who shares its pass, beyond the rounding of a larger matrix product.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt

from smart_demo.backbones.placement import Placement
from smart_demo.backbones.qwen_pixels import Patches
from smart_demo.backbones.qwen_prompt import Prompt
from smart_demo.backbones.zerogpu import borrowing
from smart_demo.types import Floats, TokenKind

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
class Encoded:
    """pooled (D,), tokens (T, D), kinds (T,), T labels and T word numbers: what is kept of one sequence."""

    pooled: Floats
    tokens: Floats
    kinds: npt.NDArray[np.uint8]
    labels: tuple[str, ...]
    words: tuple[int, ...]


def keep(prompt: Prompt, states: Floats | None, kept: npt.NDArray[np.bool_]) -> Encoded:
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
        return Encoded(units[-1], units[-1:], np.array([TokenKind.TAIL], np.uint8), prompt.labels[-1:], (-1,))
    labels, words = tuple(compress(prompt.labels, kept)), tuple(compress(prompt.words, kept))
    return Encoded(units[-1], units[:-1][kept], prompt.kinds[kept], labels, words)
