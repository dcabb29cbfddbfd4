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
class VisitorDocument:
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


class DocumentFactory:
    """A visitor's folder of documents. All random choices come from `rng`."""

    def __init__(self, folder: Path, owner: str, canaries: Canaries, rng: random.Random) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.owner, self.canaries, self.rng = folder, owner, canaries, rng

    def pdf(self, pages: int) -> VisitorDocument:
        """Make a new document with a text layer."""
        words = tuple(tuple(self.new_word() for _ in range(WORDS)) for _ in range(pages))
        path = write_pdf(self.folder / f"{self.new_word()}.pdf", *map(self.write_page, words))
        return self.register(path, words)

    def picture(self) -> VisitorDocument:
        """Make a picture of words. OCR misreads some, so no search uses them."""
        path = write_picture(
            self.folder / f"{self.new_word()}.png", f"Notes of a walk\n{self.new_word()}", size=(500, 200)
        )
        return self.register(path, ((),))

    def broken(self) -> VisitorDocument:
        """Make a file that is named a PDF but is none."""
        path = self.folder / f"{self.new_word()}.pdf"
        path.write_bytes(b"%PDF-1.7\n" + self.rng.randbytes(600))
        return VisitorDocument(path, "")

    def common(self) -> VisitorDocument:
        """Return the file that is equal for all visitors; it holds no canary."""
        path = write_pdf(self.folder / "common.pdf", "A leaflet that lies at the door\nTake one, it is free of charge")
        return VisitorDocument(path, _file(path), (("leaflet", "lies", "door", "charge"),))

    def new_word(self) -> str:
        return self.canaries.new_word(self.owner, self.rng)

    def write_page(self, words: tuple[str, ...]) -> str:
        lines = [
            f"{word}. {sentence}"
            for word, sentence in zip(words, self.rng.sample(SENTENCES, k=len(words)), strict=True)
        ]
        return "\n".join([" ".join(words), *(line[:60] for line in lines)])

    def register(self, path: Path, words: tuple[tuple[str, ...], ...]) -> VisitorDocument:
        self.canaries.register(self.owner, _file(path))
        return VisitorDocument(path, _file(path), words)


def _file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


_LETTERS = re.compile(r"(?<![a-zA-Z])[a-zA-Z]{12}(?![a-zA-Z])")
_DIGITS = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{16}|[0-9a-f]{32})(?![0-9a-f])")
_SCOPE = re.compile(r"visitor-[0-9a-f]{32}")


class Canaries:
    """Words and ids that belong to one visitor each, so that a leak to another is recognised. Safe for threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.owners: dict[str, str] = {}

    def new_word(self, owner: str, rng: random.Random) -> str:
        """Return a new pronounceable word of twelve letters, which only its owner writes."""
        while True:
            word = "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(6))
            with self.lock:
                if word not in self.owners:
                    self.owners[word] = owner
                    return word

    def register(self, owner: str, canary: str) -> None:
        """Record a number of one visitor: 16 or 32 hex digits."""
        with self.lock:
            self.owners[canary] = owner

    def find_foreign(self, text: str, owner: str, allowed: Collection[str] = ()) -> set[str]:
        """Return other visitors' canaries in a text, except those in `allowed`, and every name of a scope on disk."""
        found = {word.lower() for word in _LETTERS.findall(text)} | set(_DIGITS.findall(text))
        with self.lock:
            theirs = {one for one in found if self.owners.get(one, owner) != owner and one not in allowed}
        return theirs | set(_SCOPE.findall(text))
