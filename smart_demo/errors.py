"""Every error that a user of the program can meet, and the notices beside search results.

The message of an error says what is wrong, `hint` what to do next.

SmartError
|-- InputRefused            a file, page or query that is not accepted; the rest of its batch continues
|   |-- FileRefused         a whole file: wrong type, empty, damaged, encrypted, over a limit
|   |-- PageRefused         one page of a file: too large, not renderable, without words
|   |-- QuotaExceeded       a library would exceed its own quota
|   |   `-- TotalQuotaExceeded  all visitors' libraries together would exceed theirs
|   `-- QueryRefused        an empty or impossible query
|-- SettingRefused          an invalid environment variable
|-- BackboneUnavailable     a model that cannot be fetched, is incomplete or lacks a package
`-- LibraryError
    |-- LibraryBusy         another process holds the data folder
    |-- EncodingsRefused    a file of encodings that is damaged, or of another encoder
    |-- StorageFull         not enough free space, or the disk refused a write
    `-- TokenFileDamaged    a token file that is truncated, altered or of an unknown format

Errors of other packages are translated at the boundary and never leave it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SmartError(Exception):
    """Base of the tree. `str(error)` is the message; `hint` the next step, possibly empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def sentence(self) -> str:
        """Message and hint as one line to show."""
        return f"{self} {self.hint}".strip()


class InputRefused(SmartError):
    """Input that the program does not accept."""


class FileRefused(InputRefused):
    """A whole file is refused."""


class PageRefused(InputRefused):
    """One page is refused; the other pages of its file continue."""


class QuotaExceeded(InputRefused):
    """A library would exceed its quota. Smaller files of the batch may still fit."""


class TotalQuotaExceeded(QuotaExceeded):
    """The libraries of all visitors together would exceed their quota, though this one alone would not."""

    def __init__(self, message: str, hint: str = "", missing_bytes: int = 0) -> None:
        """`missing_bytes`: how many bytes must be freed."""
        super().__init__(message, hint)
        self.missing_bytes = missing_bytes


class QueryRefused(InputRefused):
    """A query that cannot be answered."""


class SettingRefused(SmartError):
    """An environment variable has an invalid value."""


class BackboneUnavailable(SmartError):
    """A model that cannot be loaded here."""


class LibraryError(SmartError):
    """The stored pages cannot be used as requested."""


class LibraryBusy(LibraryError):
    """Another process holds the data folder."""


class EncodingsRefused(LibraryError):
    """A file of encodings that is damaged, cut off, or of another encoder. Its pages are encoded here instead."""


class StorageFull(LibraryError):
    """The disk refused a write, or is too full to start one."""


class TokenFileDamaged(LibraryError):
    """A token file is truncated, altered or of an unknown format."""


class NoticeCode(StrEnum):  # programs read these names: never change one
    """The kinds of notices of a search, as `assets/usage.md` explains them."""

    QUERY_CUT = "query-cut"
    PICTURE_NOT_SEEN = "picture-not-seen"
    PICTURE_AS_PAGE = "picture-as-page"
    UNKNOWN_WORDS = "unknown-words"
    FEW_KNOWN_WORDS = "few-known-words"
    FEW_KNOWN_WORDS_ON_PAGE = "few-known-words-on-page"
    NO_KNOWN_WORDS = "no-known-words"
    NO_GOOD_MATCH = "no-good-match"
    RANKED_N_OF_M = "ranked-n-of-m"
    SAMPLES_NOT_WHOLE = "samples-not-whole"
    OTHER_MODEL = "other-model"
    EMPTY_LIBRARY = "empty-library"


@dataclass(frozen=True, slots=True)
class Notice:
    """A fact that a reader of search results needs beside them: a sentence for people, its code for programs."""

    code: NoticeCode
    text: str
