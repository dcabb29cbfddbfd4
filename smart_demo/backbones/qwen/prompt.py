r"""Inputs of Qwen3-VL-Embedding: an image's patches, and the exact prompt as token ids.

    <|im_start|>system\n{instruction}<|im_end|>\n
    <|im_start|>user\n[<|vision_start|><|image_pad|>*N<|vision_end|>]{text}<|im_end|>\n
    <|im_start|>assistant\n

Control tokens are placed by id and everything else is tokenized as plain text, so nothing that a document or a
visitor writes (`<|im_end|>`, `<|image_pad|>`) can become a control token. For all other texts this equals
tokenizing the whole string at once: the byte-pair splits never cross a newline followed by a non-space.
"""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from smart_demo.backbones.checkpoint_backbone import Grid, Patches, Prompt, label_pieces
from smart_demo.backbones.word_spans import group_pieces
from smart_demo.errors import BackboneUnavailable
from smart_demo.types import Pixels, TokenKind

TOKEN_SIDE = 32
"""Pixels along a visual token: patches of 16, merged 2 by 2."""
MIN_VISUAL_TOKENS = 4
MAX_ASPECT = 200
"""Beyond this ratio of sides the reference refuses an image."""
QUERY_INSTRUCTION = "Find a document image that matches the given query."
DOCUMENT_INSTRUCTION = "Represent the user's input."
EMPTY_INPUT = "NULL"
"""Text that the reference writes for an input with neither an image nor words."""
MAX_PROMPT_TOKENS = 8_192
"""Tokens, template included: the reference's maximum. A longer text is cut, the template never."""


def fit_grid(height: int, width: int, budget: int) -> Grid:
    """Return the grid that an image of this size in pixels is resized to: the reference's `smart_resize`, factor 32.

    Sides are rounded to the nearest multiple of 32, then both shrink or grow together into 4..`budget` tokens.
    Raises ValueError for an empty image or one more than 200 times longer than wide.

    >>> fit_grid(1754, 1240, 1800)
    Grid(rows=50, cols=35)
    """
    if min(height, width) < 1 or max(height, width) > MAX_ASPECT * min(height, width):
        raise ValueError(f"{width} × {height} pixels is too narrow to read")
    side, low, high = TOKEN_SIDE, MIN_VISUAL_TOKENS * TOKEN_SIDE**2, budget * TOKEN_SIDE**2
    rows, cols = max(1, round(height / side)), max(1, round(width / side))
    if rows * cols * side**2 > high:
        shrink = math.sqrt(height * width / high)
        rows, cols = max(1, math.floor(height / shrink / side)), max(1, math.floor(width / shrink / side))
    elif rows * cols * side**2 < low:
        grow = math.sqrt(low / (height * width))
        rows, cols = math.ceil(height * grow / side), math.ceil(width * grow / side)
    return Grid(rows, cols)


def cut_patches(pixels: Pixels, budget: int, processor: Any) -> Patches:  # noqa: ANN401 (transformers is untyped)
    """Resize `pixels` (H, W, 3) once and cut them with transformers' image processor, whose own resize is off.

    The values are (rows*cols*4, 1536), normalised, in the order in which the vision tower merges them.
    """
    height, width, _ = pixels.shape
    grid = fit_grid(height, width, budget)
    size = (grid.cols * TOKEN_SIDE, grid.rows * TOKEN_SIDE)
    picture = Image.fromarray(pixels)
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    sides = {"patch_size": TOKEN_SIDE // 2, "merge_size": 2, "temporal_patch_size": 2}
    processed = processor(images=[picture], do_resize=False, return_tensors="np", **sides)
    return Patches(np.asarray(processed["pixel_values"], np.float32), grid)


@dataclass(frozen=True, slots=True)
class ControlTokens:
    """Ids of the tokenizer's control tokens."""

    im_start: int
    im_end: int
    vision_start: int
    vision_end: int
    image_pad: int
    filtered: frozenset[int]
    """Ids that the token filter `code` removes."""

    @classmethod
    def from_tokenizer(cls, tokenizer: Any) -> Self:  # noqa: ANN401 (transformers is untyped)
        """Read the ids from a transformers tokenizer. Raises BackboneUnavailable if one is missing.

        Five of the filtered ones are named here because `all_special_ids` changed between transformers 4 and 5.
        """
        names = ("endoftext", "im_start", "im_end", "vision_start", "vision_end", "image_pad", "video_pad")
        known = tokenizer.get_vocab()
        if missing := [f"<|{name}|>" for name in names if f"<|{name}|>" not in known]:
            raise BackboneUnavailable(
                f"The tokenizer lacks {', '.join(missing)}.", "It is not the one of Qwen3-VL-Embedding."
            )
        ids = {name: int(known[f"<|{name}|>"]) for name in names}
        five = {ids[name] for name in names[:5]}
        filtered = (five | set(tokenizer.all_special_ids)) - {ids["image_pad"], ids["video_pad"]}
        return cls(
            im_start=ids["im_start"],
            im_end=ids["im_end"],
            vision_start=ids["vision_start"],
            vision_end=ids["vision_end"],
            image_pad=ids["image_pad"],
            filtered=frozenset(filtered),
        )


@dataclass(slots=True)
class _Draft:
    """A prompt under construction."""

    ids: list[int] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def add(self, ids: list[int], labels: list[str], kind: TokenKind) -> None:
        self.ids += ids
        self.labels += labels
        self.kinds += [int(kind)] * len(ids)


class PromptWriter:
    """Writes prompts with one checkpoint's tokenizer (a transformers one that is backed by `tokenizers`)."""

    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401 (transformers is untyped)
        from tokenizers import Tokenizer

        self.control_tokens = ControlTokens.from_tokenizer(tokenizer)
        # A copy, since `encode_special_tokens` would change the tokenizer for all of its users.
        self._plain = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._plain.encode_special_tokens = True
        self._plain.no_truncation()
        self._plain.no_padding()

    def write(self, instruction: str, grid: Grid | None, text: str, window: int = MAX_PROMPT_TOKENS) -> Prompt:
        """Return the prompt of an image, a text, or an image followed by a text, cut to `window` tokens.

        Whitespace around the text is removed; half a surrogate pair, which no encoding can represent, becomes `?`.
        """
        text = text.encode(errors="replace").decode().strip() or ("" if grid else EMPTY_INPUT)
        ids, spans = self._tokenize(text)
        head, tail = self._head(instruction, grid), self._tail()
        room = max(0, window - len(head.ids) - len(tail.ids))
        own, word_texts = group_pieces(text, spans[:room])
        words = (-1,) * len(head.ids) + own + (-1,) * len(tail.ids)
        head.add(ids[:room], label_pieces(text, spans[:room]), TokenKind.CONTENT)
        head.ids += tail.ids
        head.kinds += tail.kinds
        head.labels += tail.labels
        kinds = np.array(head.kinds, np.uint8)
        cut = max(0, len(ids) - room)
        return Prompt(np.array(head.ids, np.int64), kinds, tuple(head.labels), cut, len(ids), words, word_texts)

    def token_mask(self, prompt: Prompt, token_filter: str) -> npt.NDArray[np.bool_]:
        """Return (L,) which tokens take part in late interaction.

        `code`, the released evaluator: all but control tokens; patches stay. `paper`: all but the pooled position.
        """
        mask = np.ones(len(prompt.ids), np.bool_)
        if token_filter == "paper":
            mask[-1] = False
        else:
            mask[np.isin(prompt.ids, list(self.control_tokens.filtered))] = False
        return mask

    def _head(self, instruction: str, grid: Grid | None) -> _Draft:
        draft, control = _Draft(), self.control_tokens
        draft.add([control.im_start], ["<|im_start|>"], TokenKind.TEMPLATE)
        draft.add(*self._pieces("system\n"), TokenKind.TEMPLATE)
        draft.add(*self._pieces(format_instruction(instruction)), TokenKind.INSTRUCTION)
        draft.add([control.im_end], ["<|im_end|>"], TokenKind.TEMPLATE)
        draft.add(*self._pieces("\n"), TokenKind.TEMPLATE)
        draft.add([control.im_start], ["<|im_start|>"], TokenKind.TEMPLATE)
        draft.add(*self._pieces("user\n"), TokenKind.TEMPLATE)
        if grid is not None:
            draft.add([control.vision_start], ["<|vision_start|>"], TokenKind.TEMPLATE)
            labels = [f"▦ {row + 1},{col + 1}" for row in range(grid.rows) for col in range(grid.cols)]
            draft.add([control.image_pad] * len(labels), labels, TokenKind.PATCH)
            draft.add([control.vision_end], ["<|vision_end|>"], TokenKind.TEMPLATE)
        return draft

    def _tail(self) -> _Draft:
        draft, control = _Draft(), self.control_tokens
        draft.add([control.im_end], ["<|im_end|>"], TokenKind.TAIL)
        draft.add(*self._pieces("\n"), TokenKind.TAIL)
        draft.add([control.im_start], ["<|im_start|>"], TokenKind.TAIL)
        draft.add(*self._pieces("assistant\n"), TokenKind.TAIL)
        return draft

    def _pieces(self, text: str) -> tuple[list[int], list[str]]:
        """Return the ids and labels of a text's pieces."""
        ids, spans = self._tokenize(text)
        return ids, label_pieces(text, spans)

    def _tokenize(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Return the ids of a text's pieces, and the start and end of each in the text."""
        encoded = self._plain.encode(text, add_special_tokens=False)
        return list(encoded.ids), list(encoded.offsets)


def format_instruction(instruction: str) -> str:
    """Return the instruction as the reference writes it: stripped, with a full stop unless it ends in punctuation.

    >>> format_instruction(" Find it "), format_instruction("Gefunden？")
    ('Find it.', 'Gefunden？')
    """
    text = instruction.strip()
    return text if text and unicodedata.category(text[-1]).startswith("P") else text + "."
