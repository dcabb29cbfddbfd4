"""What every backbone offers. The engine knows nothing else of a model.

Which layer's states late interaction takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from smart_demo.errors import PageRefused, SettingRefused
from smart_demo.types import Encoder, Page, PageEncoding, Query, QueryEncoding


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where a model's passes run and in which number format. Moves the last digits of a state, never its meaning,
    so it is no part of a fingerprint.
    """

    device: str
    """As torch calls it: `cpu`, `cuda`, `mps`."""
    dtype: str
    """`float32`, `bfloat16` or `float16`."""


@runtime_checkable
class Backbone(Protocol):
    """A frozen single-vector embedding model whose token states are kept. Several threads may ask it at once: it sees
    to its own passes, one after the other, so that a query waits for one pass and not for a whole document.
    """

    @property
    def encoder(self) -> Encoder:
        """Everything that decides what this backbone's encodings mean."""
        ...

    @property
    def reason(self) -> str:
        """Why it runs as it runs (dtype, device), one sentence for the footer and `doctor`."""
        ...

    @property
    def runtime(self) -> Runtime:
        """Where it runs and in which number format."""
        ...

    @property
    def batch(self) -> int:
        """How many pages are worth giving to `encode_pages` at once on this machine; 1 or more."""
        ...

    def encode_pages(self, pages: Sequence[Page]) -> list[PageEncoding | PageRefused]:
        """One encoding per page, in order; batch mates never change a result beyond rounding.

        A page that cannot be encoded (no words on it, say) leaves a PageRefused in its place, naming the page.
        """
        ...

    def encode_query(self, query: Query) -> QueryEncoding:
        """The query by its own instruction. QueryRefused where there is nothing to encode."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Iterator[QueryEncoding]:
        """Plain texts as documents, for text collections: the document instruction, cut at the model's window."""
        ...


def kept_layer(wanted: int, layers: int, model: str) -> int:
    """`wanted` (SMART_LATE_LAYER) where it is below the last of `layers`, else 0, which is the last.

    The last by its number is the last: both name one encoding. SettingRefused for a layer the model does not have.

    >>> kept_layer(4, 6, "minilm"), kept_layer(6, 6, "minilm")
    (4, 0)
    """
    if wanted > layers:
        raise SettingRefused(
            f"SMART_LATE_LAYER={wanted}, but {model} has {layers} layers.", f"It takes last, or 1 to {layers}."
        )
    return 0 if wanted == layers else wanted
