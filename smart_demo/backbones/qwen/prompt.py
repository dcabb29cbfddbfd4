r"""A picture -> the patches Qwen3-VL sees: one resize to whole visual tokens within the budget, then cutting.

The exact prompt of Qwen3-VL-Embedding as token ids, with the kind and a readable label of every token.

    <|im_start|>system\n{instruction}<|im_end|>\n
    <|im_start|>user\n[<|vision_start|><|image_pad|>*N<|vision_end|>]{text}<|im_end|>\n
    <|im_start|>assistant\n

Special tokens are placed by id and everything else is read as plain text, so nothing that a document or a
visitor writes (`<|im_end|>`, `<|image_pad|>`) can become a control token. For all other texts this equals
tokenising the whole string at once: the byte-pair splits never cross a newline followed by a non-space.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from smart_demo.backbones.word_spans import spell
from smart_demo.errors import BackboneUnavailable
from smart_demo.types import Floats, Pixels, TokenKind

TOKEN_SIDE = 32
"""Pixels along a visual token: patches of 16, merged 2 by 2."""
MIN_TOKENS = 4
MAX_ASPECT = 200
"""Beyond this ratio of sides the reference refuses a picture."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Visual tokens of one picture: how many down and how many across."""

    rows: int
    cols: int


@dataclass(frozen=True, eq=False)
class Patches:
    """(rows*cols*4, 1536) float32 normalised patches in the order the vision tower merges them, and their grid."""

    values: Floats
    grid: Grid


def fitted(height: int, width: int, budget: int) -> Grid:
    """The grid a picture of that many pixels is resized to: the reference's rule (`smart_resize`, factor 32).

    Sides go to the nearest multiple of 32, then both shrink or grow together into 4..`budget` tokens.
    ValueError for an empty picture or one more than 200 times longer than wide.

    >>> fitted(1754, 1240, 1800)
    Grid(rows=50, cols=35)
    """
    if min(height, width) < 1 or max(height, width) > MAX_ASPECT * min(height, width):
        raise ValueError(f"{width} × {height} pixels is too narrow to read")
    side, low, high = TOKEN_SIDE, MIN_TOKENS * TOKEN_SIDE**2, budget * TOKEN_SIDE**2
    rows, cols = max(1, round(height / side)), max(1, round(width / side))
    if rows * cols * side**2 > high:
        shrink = math.sqrt(height * width / high)
        rows, cols = max(1, math.floor(height / shrink / side)), max(1, math.floor(width / shrink / side))
    elif rows * cols * side**2 < low:
        grow = math.sqrt(low / (height * width))
        rows, cols = math.ceil(height * grow / side), math.ceil(width * grow / side)
    return Grid(rows, cols)


def cut(pixels: Pixels, budget: int, processor: Any) -> Patches:  # noqa: ANN401 (transformers is untyped)
    """Resize `pixels` (H, W, 3) once and cut them with transformers' image processor, whose own resize is off."""
    height, width, _ = pixels.shape
    grid = fitted(height, width, budget)
    size = (grid.cols * TOKEN_SIDE, grid.rows * TOKEN_SIDE)
    picture = Image.fromarray(pixels)
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    sides = {"patch_size": TOKEN_SIDE // 2, "merge_size": 2, "temporal_patch_size": 2}
    made = processor(images=[picture], do_resize=False, return_tensors="np", **sides)
    return Patches(np.asarray(made["pixel_values"], np.float32), grid)


QUERY_INSTRUCTION = "Find a document image that matches the given query."
DOCUMENT_INSTRUCTION = "Represent the user's input."
NOTHING = "NULL"
"""What the reference writes for an input that holds neither a picture nor words."""
WINDOW = 8_192
"""Tokens, template included: the reference's maximum. A longer text is cut, the template never."""
Kinds = npt.NDArray[np.uint8]
Ids = npt.NDArray[np.int64]


def instructed(instruction: str) -> str:
    """The instruction as the reference writes it: stripped, and ended by a full stop unless by punctuation.

    >>> instructed(" Find it "), instructed("Gefunden？")
    ('Find it.', 'Gefunden？')
    """
    text = instruction.strip()
    return text if text and unicodedata.category(text[-1]).startswith("P") else text + "."


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Ids of the control tokens. `dropped` are those that the filter `code` leaves out."""

    im_start: int
    im_end: int
    vision_start: int
    vision_end: int
    image_pad: int
    dropped: frozenset[int]

    @classmethod
    def of(cls, tokenizer: Any) -> Self:  # noqa: ANN401 (transformers is untyped)
        """Read them from a transformers tokenizer. BackboneUnavailable where one is missing.

        The five are listed because what `all_special_ids` holds changed between transformers 4 and 5.
        """
        named = ("endoftext", "im_start", "im_end", "vision_start", "vision_end", "image_pad", "video_pad")
        known = tokenizer.get_vocab()
        if missing := [f"<|{name}|>" for name in named if f"<|{name}|>" not in known]:
            raise BackboneUnavailable(
                f"The tokenizer lacks {', '.join(missing)}.", "It is not the one of Qwen3-VL-Embedding."
            )
        ids = {name: int(known[f"<|{name}|>"]) for name in named}
        five = {ids[name] for name in named[:5]}
        dropped = (five | set(tokenizer.all_special_ids)) - {ids["image_pad"], ids["video_pad"]}
        return cls(
            im_start=ids["im_start"],
            im_end=ids["im_end"],
            vision_start=ids["vision_start"],
            vision_end=ids["vision_end"],
            image_pad=ids["image_pad"],
            dropped=frozenset(dropped),
        )


@dataclass(frozen=True, eq=False)
class Prompt:
    """L tokens: ids (L,), kinds (L,), L labels. `cut` pieces of the text had no room out of `pieces`.

    words and spelled are as in `QueryEncoding`.
    """

    ids: Ids
    kinds: Kinds
    labels: tuple[str, ...]
    cut: int
    pieces: int
    words: tuple[int, ...]
    spelled: tuple[str, ...]


@dataclass(slots=True)
class _Draft:
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

        self.vocabulary = Vocabulary.of(tokenizer)
        # A copy of its own: reading control tokens as text is a switch of the shared object.
        self._plain = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._plain.encode_special_tokens = True
        self._plain.no_truncation()
        self._plain.no_padding()

    def write(self, instruction: str, grid: Grid | None, text: str, window: int = WINDOW) -> Prompt:
        """The prompt of one picture, one text, or a picture followed by a text, cut to `window` tokens.

        Whitespace around the text is no part of it; half a surrogate pair, which no encoding knows, becomes `?`.
        """
        text = text.encode(errors="replace").decode().strip() or ("" if grid else NOTHING)
        ids, places = self._cut(text)
        head, tail = self._head(instruction, grid), self._tail()
        room = max(0, window - len(head.ids) - len(tail.ids))
        own, spelled = spell(text, places[:room])
        words = (-1,) * len(head.ids) + own + (-1,) * len(tail.ids)
        head.add(ids[:room], _labels(text, places[:room]), TokenKind.CONTENT)
        head.ids += tail.ids
        head.kinds += tail.kinds
        head.labels += tail.labels
        kinds = np.array(head.kinds, np.uint8)
        cut = max(0, len(ids) - room)
        return Prompt(np.array(head.ids, np.int64), kinds, tuple(head.labels), cut, len(ids), words, spelled)

    def kept(self, prompt: Prompt, token_filter: str) -> npt.NDArray[np.bool_]:
        """(L,) which tokens take part in late interaction.

        `code`, the released evaluator: all but control tokens; patches stay. `paper`: all but the pooled position.
        """
        kept = np.ones(len(prompt.ids), np.bool_)
        if token_filter == "paper":
            kept[-1] = False
        else:
            kept[np.isin(prompt.ids, list(self.vocabulary.dropped))] = False
        return kept

    def _head(self, instruction: str, grid: Grid | None) -> _Draft:
        draft, special = _Draft(), self.vocabulary
        draft.add([special.im_start], ["<|im_start|>"], TokenKind.TEMPLATE)
        draft.add(*self._pieces("system\n"), TokenKind.TEMPLATE)
        draft.add(*self._pieces(instructed(instruction)), TokenKind.INSTRUCTION)
        draft.add([special.im_end], ["<|im_end|>"], TokenKind.TEMPLATE)
        draft.add(*self._pieces("\n"), TokenKind.TEMPLATE)
        draft.add([special.im_start], ["<|im_start|>"], TokenKind.TEMPLATE)
        draft.add(*self._pieces("user\n"), TokenKind.TEMPLATE)
        if grid is not None:
            draft.add([special.vision_start], ["<|vision_start|>"], TokenKind.TEMPLATE)
            places = [f"▦ {row + 1},{col + 1}" for row in range(grid.rows) for col in range(grid.cols)]
            draft.add([special.image_pad] * len(places), places, TokenKind.PATCH)
            draft.add([special.vision_end], ["<|vision_end|>"], TokenKind.TEMPLATE)
        return draft

    def _tail(self) -> _Draft:
        draft, special = _Draft(), self.vocabulary
        draft.add([special.im_end], ["<|im_end|>"], TokenKind.TAIL)
        draft.add(*self._pieces("\n"), TokenKind.TAIL)
        draft.add([special.im_start], ["<|im_start|>"], TokenKind.TAIL)
        draft.add(*self._pieces("assistant\n"), TokenKind.TAIL)
        return draft

    def _pieces(self, text: str) -> tuple[list[int], list[str]]:
        ids, places = self._cut(text)
        return ids, _labels(text, places)

    def _cut(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids, and the stretch of the text that each stands for."""
        made = self._plain.encode(text, add_special_tokens=False)
        return list(made.ids), list(made.offsets)


def _labels(text: str, places: Sequence[tuple[int, int]]) -> list[str]:
    """A character of several tokens labels each of them: half a character cannot be read."""
    return [text[start:end].strip() or text[start:end].replace("\n", "↵") or "·" for start, end in places]
