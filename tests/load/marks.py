"""Words and numbers that belong to one visitor: in an answer to another visitor, they show a leak."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Collection

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
