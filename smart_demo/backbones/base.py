"""The interface that every backbone implements; the engine uses nothing else of a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from smart_demo.backbones.text_lines import letter_height
from smart_demo.errors import PageRefused, SettingRefused
from smart_demo.types import Encoder, Page, PageEncoding, Query, QueryEncoding

MIN_LETTER_HEIGHT = 3.5
"""Pixels of a small letter below which print is unreadable: 6 point on A4 at 88 dpi, the default budget's size."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """Device and number format of a model's forward passes.

    They change the last digits of a state, never its meaning, so the encoder's fingerprint leaves them out.
    """

    device: str
    """Torch device: `cpu`, `cuda` or `mps`."""
    dtype: str
    """Number format: `float32`, `bfloat16` or `float16`."""


@runtime_checkable
class Backbone(Protocol):
    """A frozen single-vector embedding model that also returns its token states.

    Safe to call from several threads: it runs one forward pass at a time, so a query waits for one pass and not for a
    whole document.
    """

    @property
    def encoder(self) -> Encoder:
        """Everything that decides what this backbone's encodings mean."""
        ...

    @property
    def reason(self) -> str:
        """Why it runs on this device in this format: one sentence for the footer and `doctor`."""
        ...

    @property
    def runtime(self) -> Runtime:
        """Device and number format in use."""
        ...

    @property
    def needs_words(self) -> bool:
        """Whether it encodes a page's words, so that OCR must read what the text layer lacks."""
        ...

    @property
    def batch(self) -> int:
        """Number of pages worth passing to `encode_pages` at once on this machine, 1 or more."""
        ...

    def encode_pages(self, pages: Sequence[Page]) -> list[PageEncoding | PageRefused]:
        """Return one result per page, in order; other pages of the batch change it by rounding at most.

        A page that cannot be encoded (it has no words, for example) gives a PageRefused that names the page.
        """
        ...

    def encode_query(self, query: Query) -> QueryEncoding:
        """Encode the query with the query instruction. Raises QueryRefused if there is nothing to encode."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Iterator[QueryEncoding]:
        """Yield an encoding per text with the document instruction, each cut at the model's window."""
        ...


def resolve_late_layer(requested: int, layers: int, model: str) -> int:
    """Return `requested` (SMART_LATE_LAYER), or 0 if it is the last of `layers`.

    0 always means the last layer, so that one encoding has one fingerprint. Raises SettingRefused if the model has
    fewer layers.

    >>> resolve_late_layer(4, 6, "minilm"), resolve_late_layer(6, 6, "minilm")
    (4, 0)
    """
    if requested > layers:
        raise SettingRefused(
            f"SMART_LATE_LAYER={requested}, but {model} has {layers} layers.", f"It takes last, or 1 to {layers}."
        )
    return 0 if requested == layers else requested


def describe_small_print(page: Page, seen: tuple[int, int], model: str) -> str:
    """Return a notice if a model sees a page so small that its print is unreadable, else an empty string.

    seen: (width, height) in pixels at which the model's budget lets it see the page.
    """
    try:
        height = letter_height(page.pixels)
    except ImportError:  # OpenCV comes with OCR, which a backbone that sees does without
        return ""
    if height is None or height * seen[0] / page.pixels.shape[1] >= MIN_LETTER_HEIGHT:
        return ""
    return f"{model} may miss small print on this page. Add the page in parts."
