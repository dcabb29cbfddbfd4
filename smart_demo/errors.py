"""Every error a person can meet. Each says in one sentence what is wrong, and in `hint` what to do next.

SmartError
|-- InputRefused          a file, page or query we will not take; the rest of the batch goes on
|   |-- FileRefused       a whole file: wrong type, empty, damaged, encrypted, over a limit
|   |-- PageRefused       one page of a file: too large, unrenderable, without words
|   |-- NoRoom            a file or page for which a library may not grow
|   |   `-- AllFull       one for which all visitors' libraries together may not
|   `-- QueryRefused      an empty or impossible query
|-- SettingRefused        an environment variable that makes no sense
|-- BackboneUnavailable   a model that cannot be fetched, is incomplete or lacks a package
`-- LibraryError
    |-- LibraryBusy       another process holds the data folder
    |-- StorageFull       not enough free space, or the disk refused a write
    `-- TokenFileDamaged  a token file that is torn, altered or of an unknown form

Errors of other packages are translated where they enter and never travel further.
"""

from __future__ import annotations


class SmartError(Exception):
    """Base of the tree. `str(error)` is the sentence; `hint` the next step, possibly empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def sentence(self) -> str:
        """Message and hint as one line to show."""
        return f"{self} {self.hint}".strip()


class InputRefused(SmartError):
    """What a person gave us and we cannot take."""


class FileRefused(InputRefused):
    """A whole file is refused."""


class PageRefused(InputRefused):
    """One page is refused; the other pages of its file go on."""


class NoRoom(InputRefused):
    """A library may not grow so far. Smaller files of the batch may still fit."""


class AllFull(NoRoom):
    """The libraries of all visitors together may not grow so far, though this one may."""

    def __init__(self, message: str, hint: str = "", lacking: int = 0) -> None:
        """`lacking`: bytes that are missing."""
        super().__init__(message, hint)
        self.lacking = lacking


class QueryRefused(InputRefused):
    """A query that cannot be answered."""


class SettingRefused(SmartError):
    """A setting of the environment that makes no sense."""


class BackboneUnavailable(SmartError):
    """A model that cannot be loaded here."""


class LibraryError(SmartError):
    """The stored pages cannot be used as asked."""


class LibraryBusy(LibraryError):
    """Another process holds the data folder."""


class StorageFull(LibraryError):
    """The disk refused a write, or is too full to start one."""


class TokenFileDamaged(LibraryError):
    """A token file is torn, altered or of an unknown form."""
