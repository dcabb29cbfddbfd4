"""The visitors' files: small documents whose pages have words that no other visitor uses."""

from __future__ import annotations

import hashlib
import random
import re
import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from tests.documents import write_pdf, write_picture

SENTENCES = (
    "The committee met on Tuesday and agreed on the budget for the coming year.",
    "Turn the valve clockwise until the pressure falls below the mark.",
    "Prices include delivery; the warranty covers two years from purchase.",
    "Rainfall in spring was lower than in any year since the record began.",
    "Please sign both copies and return one of them by the end of the month.",
)
WORDS = 4
"""Code words on a page. Other visitors search for the first one; the rest appears only in the owner's queries."""


@dataclass(frozen=True)
class Paper:
    """A file on a visitor's own disk."""

    path: Path
    file: str
    """Content hash, the library's name for it; empty if it is no document."""
    words: tuple[tuple[str, ...], ...] = ()
    """Code words by page."""

    @property
    def name(self) -> str:
        """Return the name under which the page lists it."""
        return self.path.name

    @property
    def pages(self) -> int:
        """Return its number of pages."""
        return len(self.words)


class Desk:
    """A visitor's folder of papers. All random choices come from `rng`."""

    def __init__(self, folder: Path, owner: str, marks: Marks, rng: random.Random) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.owner, self.marks, self.rng = folder, owner, marks, rng

    def pdf(self, pages: int) -> Paper:
        """Make a new document with a text layer."""
        words = tuple(tuple(self.word() for _ in range(WORDS)) for _ in range(pages))
        path = write_pdf(self.folder / f"{self.word()}.pdf", *map(self.page, words))
        return self.known(path, words)

    def picture(self) -> Paper:
        """Make a picture of words. OCR misreads some, so no search uses them."""
        path = write_picture(self.folder / f"{self.word()}.png", f"Notes of a walk\n{self.word()}", size=(500, 200))
        return self.known(path, ((),))

    def broken(self) -> Paper:
        """Make a file that is named a PDF but is none."""
        path = self.folder / f"{self.word()}.pdf"
        path.write_bytes(b"%PDF-1.7\n" + self.rng.randbytes(600))
        return Paper(path, "")

    def common(self) -> Paper:
        """Return the file that is equal for all visitors; it has no mark."""
        path = write_pdf(self.folder / "common.pdf", "A leaflet that lies at the door\nTake one, it is free of charge")
        return Paper(path, _file(path), (("leaflet", "lies", "door", "charge"),))

    def word(self) -> str:
        return self.marks.word(self.owner, self.rng)

    def page(self, words: tuple[str, ...]) -> str:
        lines = [
            f"{word}. {sentence}"
            for word, sentence in zip(words, self.rng.sample(SENTENCES, k=len(words)), strict=True)
        ]
        return "\n".join([" ".join(words), *(line[:60] for line in lines)])

    def known(self, path: Path, words: tuple[tuple[str, ...], ...]) -> Paper:
        self.marks.own(self.owner, _file(path))
        return Paper(path, _file(path), words)


def _file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


_LETTERS = re.compile(r"(?<![a-zA-Z])[a-zA-Z]{12}(?![a-zA-Z])")
_DIGITS = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{16}|[0-9a-f]{32})(?![0-9a-f])")
_SCOPE = re.compile(r"visitor-[0-9a-f]{32}")


class Marks:
    """The owner of each mark, safe for several threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.owners: dict[str, str] = {}

    def word(self, owner: str, rng: random.Random) -> str:
        """Return a new pronounceable word of twelve letters, which only its owner writes."""
        while True:
            word = "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(6))
            with self.lock:
                if word not in self.owners:
                    self.owners[word] = owner
                    return word

    def own(self, owner: str, mark: str) -> None:
        """Record a number of one visitor: 16 or 32 hex digits."""
        with self.lock:
            self.owners[mark] = owner

    def foreign(self, text: str, owner: str, said: Collection[str] = ()) -> set[str]:
        """Return other visitors' marks in a text, except those in `said`, and every name of a library on disk."""
        found = {mark.lower() for mark in _LETTERS.findall(text)} | set(_DIGITS.findall(text))
        with self.lock:
            theirs = {mark for mark in found if self.owners.get(mark, owner) != owner and mark not in said}
        return theirs | set(_SCOPE.findall(text))
