"""The steps of adding files, as they are shown while they happen, of one file and of all files of an upload."""

from __future__ import annotations

from collections import deque
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
    reencoded: int = 0
    """Number of its stored pages that were encoded from the stored picture and words."""


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
    file: str = ""
    """Hash that its page ids begin with; empty before it is inspected."""
    added: int = 0
    """Number of its pages that were stored now."""
    left: int | None = None
    """Number of its pages that are still to be read; None before it is known."""

    @property
    def pages_left(self) -> int:
        """Number of pages still to be read; 0 if the file has an outcome."""
        if self.state is not State.WORKING:
            return 0
        return max(0, self.total - self.done) if self.left is None else self.left


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """Progress of all files of one upload together."""

    files: tuple[Progress, ...] = ()
    """Progress of each file, oldest first."""
    waiting_pages: int | None = 0
    """Pages of the files that were not begun; None until all of them are counted."""
    running: bool = False
    stopping: bool = False
    """Whether it stops after the current page."""
    stopped: bool = False
    """Whether its owner stopped it."""
    seconds: float = 0.0
    """Time from the first submission to the end; 0 while it is running."""
    seconds_left: float | None = None
    """Estimate for all files from the pages so far; None if too little was measured."""
    questions: tuple[str, ...] | None = None
    """Queries made from the words of its pages, or None if none were made yet or a document was deleted."""
    dismissed: bool = False
    """Whether its owner has read the outcome."""

    @property
    def finished_files(self) -> int:
        """Number of files with an outcome."""
        return sum(file.state is not State.WORKING for file in self.files)

    @property
    def read_pages(self) -> int:
        """Number of pages that need no more work: stored or refused. Those of refused files do not count."""
        return sum(file.total - file.pages_left for file in self.files if file.state is not State.REFUSED)

    @property
    def pages(self) -> int | None:
        """Number of pages of all files that are not refused; None until all of them are counted."""
        if self.waiting_pages is None:
            return None
        return self.waiting_pages + sum(file.total for file in self.files if file.state is not State.REFUSED)

    @property
    def added_pages(self) -> int:
        """Number of pages that were stored now."""
        return sum(file.added for file in self.files)

    @property
    def added_documents(self) -> int:
        """Number of documents with pages that were stored now."""
        return len({file.file for file in self.files if file.added})

    def count_in(self, state: State) -> int:
        """Return how many files are in a state."""
        return sum(file.state is state for file in self.files)


@dataclass(frozen=True, slots=True)
class ReencodingProgress:
    """Progress of encoding one library's pages of another model again, yielded after every page."""

    total: int = 0
    """Number of pages to encode again when it began."""
    done: int = 0
    """Number of pages that the model in use has encoded, so that they are searched again."""
    left: int = 0
    """Number of pages still to encode."""
    refused: int = 0
    """Number of pages that keep their old encoding, because the model or the disk refused them."""
    messages: tuple[str, ...] = ()
    """Sentences on the pages that keep their old encoding: the first few, and the number of the others."""
    error: str = ""
    """Why it ended before the last page, or empty."""
    seconds_left: float | None = None
    """Estimate for all pages left; None if too little was measured."""
    running: bool = True
    stopping: bool = False
    """Whether it ends after the current page."""


class PageRate:
    """Pages per second of one upload, over its latest steps: the first pages also pay for what is loaded once.

    >>> rate = PageRate()
    >>> rate.record(100.0, 0), rate.seconds_left(8)
    (None, None)
    >>> rate.record(106.0, 2), rate.seconds_left(8)
    (None, 24.0)
    """

    MAX_STEPS = 24
    """Steps that are measured: the latest ones."""
    MIN_PAGES, MIN_SECONDS = 2, 2.0
    """Measurement below which nothing is estimated."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, int]] = deque(maxlen=self.MAX_STEPS)

    def record(self, now: float, pages: int) -> None:
        """Record that `pages` more pages were finished at `now`, in seconds. The first call only starts the clock."""
        self._steps.append((now, pages))

    def seconds_left(self, pages_left: int | None) -> float | None:
        """Return the time that `pages_left` pages take, or None if their number is unknown or too little was measured.

        Never negative.
        """
        if pages_left is None or len(self._steps) < 2:
            return None
        (first, _), *later = self._steps
        measured, pages = later[-1][0] - first, sum(count for _, count in later)
        if pages < self.MIN_PAGES or measured < self.MIN_SECONDS:
            return None
        return measured / pages * max(0, pages_left)
