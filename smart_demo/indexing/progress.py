"""The steps of adding files, as they are shown while they happen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from smart_demo.page_text import WordSource


class State(StrEnum):
    """State of one file of an upload."""

    WORKING = "working"
    DONE = "done"
    KNOWN = "known"
    """Already in the library, recognised by content: nothing was encoded."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of one file of an upload, page by page."""

    added: tuple[int, ...] = ()
    """Numbers of the pages that were stored now."""
    refused: Mapping[int, str] = field(default_factory=dict)
    """Number of each refused page, with the reason."""
    notices: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Each sentence about the file, with the numbers of the pages that have it; none if it is about the whole file."""
    notices_left_out: int = 0
    """Number of notices that the message of the file leaves out."""
    sources: Mapping[WordSource, int] = field(default_factory=dict)
    """How many of its stored pages have their words from each source. Pages of earlier versions are left out."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of an upload, yielded after every page and at the end of each file."""

    document: str
    state: State
    done: int = 0
    """Number of this file's pages in the library."""
    total: int = 0
    """Pages of this file; 0 while unknown."""
    message: str = ""
    """Message for the visitor: why it was refused, which pages were left out."""
    seconds_left: float | None = None
    """Estimate for this file from the pages so far; None before the first."""
    outcome: FileOutcome | None = None
    """What became of its pages, at the end of a file that was read."""
