"""Words and numbers that belong to one visitor alone: found in an answer to anybody else, they are cross-talk."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Collection

_LETTERS = re.compile(r"(?<![a-zA-Z])[a-zA-Z]{12}(?![a-zA-Z])")
_DIGITS = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{16}|[0-9a-f]{32})(?![0-9a-f])")
_SCOPE = re.compile(r"visitor-[0-9a-f]{32}")


class Marks:
    """Who owns which mark, for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[str, str] = {}

    def word(self, owner: str, rng: random.Random) -> str:
        """A new word of twelve letters that can be pronounced, which only its owner ever writes."""
        while True:
            word = "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(6))
            with self._lock:
                if word not in self._owners:
                    self._owners[word] = owner
                    return word

    def own(self, owner: str, mark: str) -> None:
        """Note a number that is one visitor's: 16 or 32 hex digits."""
        with self._lock:
            self._owners[mark] = owner

    def foreign(self, text: str, owner: str, said: Collection[str] = ()) -> set[str]:
        """Marks of others in a text, but for those that its reader said first; and every name of a library on disk."""
        found = {mark.lower() for mark in _LETTERS.findall(text)} | set(_DIGITS.findall(text))
        with self._lock:
            theirs = {mark for mark in found if self._owners.get(mark, owner) != owner and mark not in said}
        return theirs | set(_SCOPE.findall(text))
