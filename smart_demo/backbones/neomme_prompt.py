"""Inputs of NeoMME-Retriever: a page's patches, its token sequence with two-axis positions, and prompts of words.

    page      <doc> <img>, then for each row of patches: <img> once a patch, <row>
    query     by the checkpoint's chat template with task="query": <query>, the words, a run of <mask>
    document  of words, by the template with task="document": <doc>, the words

The first <img> bears no patch. Positions of a page: (0, 0), (1, 1), then (2 + row, 2 + column), a <row> being at the
column behind the last patch. Words have positions 0, 1, 2, … on both axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from smart_demo.backbones.checkpoint_backbone import Grid, Patches, Prompt
from smart_demo.backbones.framed_text import FramedTokenizer
from smart_demo.errors import BackboneUnavailable
from smart_demo.types import Pixels, TokenKind

PATCH_SIDE = 32
"""Pixels along a patch, which is one visual token."""
MAX_TEXT_TOKENS = 4_096
"""Tokens of the longest text, marks included. The model takes four times as many, in minutes on a CPU."""
MARKS = ("document", "image", "row", "query", "mask")
"""Control tokens that the tokenizer names: `document_token`, `image_token`, …"""
PLACEHOLDER = "Words of a Visitor, 1.5?"
"""Text that the chat template is filled with once, to find what it writes around any text."""


def fit_size(height: int, width: int, budget: int) -> tuple[int, int]:
    """Return (height, width) in pixels to which an image is resized, its sides in proportion and never enlarged.

    The longer side S is the largest whole number, at most the image's own, for which the patches of the padded image
    are at most `budget` (1 or more). The other side is rounded, at least 1. Raises ValueError for an empty image.

    >>> fit_size(1754, 1240, 736), fit_size(300, 200, 736)
    ((1024, 724), (300, 200))
    """
    longest = max(height, width)
    if min(height, width) < 1:
        raise ValueError(f"{width} × {height} pixels are no image")

    def resized(side: int) -> tuple[int, int]:
        scale = side / longest
        return max(1, round(height * scale)), max(1, round(width * scale))

    low, high = 1, longest  # the count of patches never falls when S grows
    while low < high:
        middle = (low + high + 1) // 2
        grid = grid_of(*resized(middle))
        low, high = (middle, high) if grid.rows * grid.cols <= budget else (low, middle - 1)
    return resized(low)


def grid_of(height: int, width: int) -> Grid:
    """Return the grid of patches that covers an image of this size in pixels."""
    return Grid(math.ceil(height / PATCH_SIDE), math.ceil(width / PATCH_SIDE))


def cut_page(pixels: Pixels, budget: int) -> Patches:
    """Return a page's patches, (rows*cols, 3072) from -1 (black) to 1 (white), each flattened as (y, x, colour).

    The image is resized on bytes, bilinear with antialiasing, and padded with black on the right and below. Pillow's
    bilinear differs from torchvision's, with which the model was trained, by one grey level in 0.03 % of the values.
    """
    height, width = fit_size(pixels.shape[0], pixels.shape[1], budget)
    picture = Image.fromarray(pixels)
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    grid = grid_of(height, width)
    canvas = np.zeros((grid.rows * PATCH_SIDE, grid.cols * PATCH_SIDE, 3), np.float32)
    canvas[:height, :width] = np.asarray(picture)
    blocks = (canvas / 127.5 - 1).reshape(grid.rows, PATCH_SIDE, grid.cols, PATCH_SIDE, 3)
    values = blocks.transpose(0, 2, 1, 3, 4).reshape(grid.rows * grid.cols, -1)
    return Patches(np.ascontiguousarray(values, np.float32), grid, (width / canvas.shape[1], height / canvas.shape[0]))


def page_positions(grid: Grid) -> npt.NDArray[np.int64]:
    """Return (2, L) the row and column position of each token of a page.

    >>> page_positions(Grid(1, 2)).tolist()
    [[0, 1, 2, 2, 2], [0, 1, 2, 3, 4]]
    """
    rows, cols = np.indices((grid.rows, grid.cols + 1)).reshape(2, -1)
    return np.concatenate([[[0, 1], [0, 1]], [2 + rows, 2 + cols]], axis=1).astype(np.int64)


@dataclass(frozen=True, slots=True)
class TextFrame:
    """What the checkpoint's chat template writes before and after a text."""

    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.before}{{text}}{self.after}"


@dataclass(frozen=True, eq=False)
class NeoMMEPrompts:
    """Writes the prompts of one checkpoint."""

    tokenizer: FramedTokenizer
    marks: dict[str, tuple[int, str]]
    """Id and text of each of MARKS."""
    query: TextFrame
    document: TextFrame
    window: int
    """Tokens of the longest text, marks included."""

    @classmethod
    def from_tokenizer(cls, tokenizer: Any, context: int) -> Self:  # noqa: ANN401 (transformers is untyped)
        """Read control tokens and chat template. `context`: number of tokens that the model takes.

        Raises BackboneUnavailable if a control token is missing or the template is not of a known form.
        """
        named = {name: getattr(tokenizer, f"{name}_token", None) for name in MARKS}
        texts = {name: text for name, text in named.items() if isinstance(text, str)}
        if missing := sorted(set(MARKS) - set(texts)):
            raise BackboneUnavailable(
                f"The tokenizer names no token for {', '.join(missing)}.", "It is not the one of NeoMME-Retriever."
            )
        framed = FramedTokenizer(tokenizer, texts.values())
        marks = {name: (int(tokenizer.convert_tokens_to_ids(text)), text) for name, text in texts.items()}
        query, document = (_read_frame(tokenizer, task) for task in ("query", "document"))
        return cls(framed, marks, query, document, min(context, MAX_TEXT_TOKENS))

    @property
    def forms(self) -> tuple[str, ...]:
        """What a query, a text and a page look like: part of an encoder's fingerprint."""
        document, image, end_of_row = (self.marks[name][1] for name in ("document", "image", "row"))
        return str(self.query), str(self.document), f"{document}{image}({image}*columns{end_of_row})*rows"

    def write_query(self, text: str) -> Prompt:
        return self.tokenizer.write(self.query.before, text, self.query.after, self.window)

    def write_text(self, text: str) -> Prompt:
        return self.tokenizer.write(self.document.before, text, self.document.after, self.window)

    def write_page(self, grid: Grid) -> Prompt:
        """Return the sequence of a page, of 2 + rows * (cols + 1) tokens."""
        document, image, end_of_row = (self.marks[name] for name in ("document", "image", "row"))
        row = [(image[0], TokenKind.PATCH)] * grid.cols + [(end_of_row[0], TokenKind.TEMPLATE)]
        head = [(document[0], TokenKind.TEMPLATE), (image[0], TokenKind.TEMPLATE)]
        ids, kinds = (np.array(column) for column in zip(*head, *row * grid.rows, strict=True))
        labels = [document[1], image[1]]
        for at in range(grid.rows):
            labels += [*(f"▦ {at + 1},{col + 1}" for col in range(grid.cols)), end_of_row[1]]
        words = (-1,) * len(ids)
        return Prompt(ids.astype(np.int64), kinds.astype(np.uint8), tuple(labels), 0, 0, words, ())


def _read_frame(tokenizer: Any, task: str) -> TextFrame:  # noqa: ANN401 (transformers is untyped)
    """Return what the chat template writes around a text for `query` or `document`.

    A visitor's text never reaches the template, which refuses some. Raises BackboneUnavailable if the template fails,
    or if it does not write a text as it is, once.
    """
    from jinja2 import TemplateError

    messages = [{"role": "user", "content": [{"type": "text", "text": PLACEHOLDER}]}]
    try:
        written = tokenizer.apply_chat_template(messages, task=task, tokenize=False)
    except (TemplateError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BackboneUnavailable(
            "The chat template cannot be used.", "chat_template.jinja belongs beside the weights."
        ) from error
    before, *after = written.split(PLACEHOLDER)
    if len(after) != 1:
        raise BackboneUnavailable(f"The chat template writes no {task} as this program expects it.")
    return TextFrame(before, after[0])
