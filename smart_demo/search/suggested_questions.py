"""Queries made from the words of pages: short phrases that occur on one page alone. No model, no list of a language.

A phrase is a run of words of one sentence or heading, as it is written. What all pages of a document repeat, such as
headers, is left out, and so are numbers, addresses, fragments and whatever looks like a secret.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from smart_demo.page_text import Word
from smart_demo.types import PageId, StoredPage

MAX_QUESTIONS = 3
MIN_WORDS, MAX_WORDS = 3, 7
BEST_WORDS = 5
"""Number of words from which a phrase gains nothing by one more."""
MIN_CHARS, MAX_CHARS = 4, 16
"""Length of a phrase in a script without spaces, in characters."""
MAX_PHRASE_CHARS = 60
MAX_WORD_CHARS = 30
MAX_NEW_PAGES, MAX_OTHER_PAGES = 60, 60
"""Maximum number of pages whose words are read: those to quote, and those to compare with."""
SECRETS = frozenset(
    {"password", "passwort", "kennwort", "passphrase", "pin", "puk", "iban", "cvv", "token", "secret", "пароль"}
    | {"contraseña", "mot-de-passe", "wachtwoord", "senha"}
)
"""Words beside which a secret may be written. A sentence with one of them is not quoted."""
UNSPACED_SECRETS = ("密码", "密碼", "暗証番号", "パスワード", "รหัสผ่าน")
"""The same in scripts without spaces."""
MAX_HEIGHT_RATIO = 1.6
"""Ratio of the heights of adjacent words above which one is a heading of the other."""
MAX_GAP = 1.2
"""Gap between two words of a line, in heights, above which they belong to different columns."""
FULL_LINE = 0.8
"""Part of the width of a page's words that a line must fill for its sentence to continue on the next line."""
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003134f]"
)
"""A character of a script that writes no spaces between words: Thai, Lao, Burmese, Khmer, Chinese, Japanese."""
SENTENCE_ENDS = ".!?…。！？।॥؟۔"
_MARKS = SENTENCE_ENDS + ':;；：、，,،|•·–—()[]{}（）「」『』《》«»„“”"<>=*/\\'
"""Characters at which a phrase ends. A comma ends it too: what follows is another thought."""
_HYPHENS = ("-", "\u00ad", "\u2010", "\u2011")
_JOINERS = dict.fromkeys(map(ord, "'’-\u2010\u2011"))


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page with its words."""

    id: PageId
    words: tuple[Word, ...]
    is_new: bool = True
    """Whether phrases are made from it; otherwise they are compared with it."""


class _Run(NamedTuple):
    """Adjacent words that can be quoted together."""

    words: tuple[str, ...]
    opens: bool
    """Whether it begins a sentence, and not only follows a comma or a word that cannot be quoted."""


@dataclass(frozen=True, slots=True)
class _Phrase:
    page: int
    """Position of its page."""
    text: str
    keys: frozenset[str]
    """Its words, folded, without those that say little."""
    score: float


def choose_pages(pages: Sequence[StoredPage], files: Mapping[str, Collection[int]]) -> list[tuple[StoredPage, bool]]:
    """Return the pages to read, in their order, each with whether it is one of `files`.

    files: numbers of the pages by file; no numbers stand for all pages of the file. Of many pages every n-th is chosen.
    """
    new, others = list[StoredPage](), list[StoredPage]()
    for page in pages:
        numbers = files.get(page.id.file)
        (others if numbers is None or (numbers and page.number not in numbers) else new).append(page)
    return [(page, True) for page in _spread(new, MAX_NEW_PAGES)] + [
        (page, False) for page in _spread(others, MAX_OTHER_PAGES)
    ]


def _spread(pages: Sequence[StoredPage], count: int) -> list[StoredPage]:
    """Return at most `count` of the pages, evenly spread.

    >>> _spread("abcdefg", 3)
    ['a', 'c', 'e']
    """
    if len(pages) <= count:
        return list(pages)
    return [pages[index * len(pages) // count] for index in range(count)]


def suggest_questions(pages: Sequence[ReadPage], count: int = MAX_QUESTIONS) -> tuple[str, ...]:
    """Return at most `count` phrases of the new pages, the best first, from different documents if possible.

    The words of a phrase occur together on one page alone, or at least on one of the new pages, if these are a new
    version of others. No two phrases share a word, except short ones and those of most pages.
    """
    new = [page for page in pages if page.is_new]
    return _suggest(pages, count) or _suggest(new, count)


def _suggest(pages: Sequence[ReadPage], count: int) -> tuple[str, ...]:
    runs = [_SentenceReader(page.words).runs for page in pages]
    repeated = _repeated_lines(pages, runs)
    holders: defaultdict[str, set[int]] = defaultdict(set)
    for at, page_runs in enumerate(runs):
        for run in page_runs:
            for word in run.words:
                holders[_fold(word)].add(at)
    phrases: list[_Phrase] = []
    for at, page in enumerate(pages):
        if page.is_new:
            own = [run for run in runs[at] if _line_key(run) not in repeated]
            phrases += _phrases(at, own, holders, len(pages))
    return tuple(phrase.text for phrase in _select(phrases, pages, count))


def _select(phrases: Sequence[_Phrase], pages: Sequence[ReadPage], count: int) -> list[_Phrase]:
    """Return the best phrases, from documents, then from pages, that have none yet."""
    chosen: list[_Phrase] = []
    used: set[str] = set()
    ranked = sorted(phrases, key=lambda phrase: (-phrase.score, phrase.page, phrase.text))
    for kind in ("document", "page", "any"):
        for phrase in ranked:
            file = pages[phrase.page].id.file
            is_used = {
                "document": any(pages[other.page].id.file == file for other in chosen),
                "page": any(other.page == phrase.page for other in chosen),
                "any": False,
            }[kind]
            if is_used or phrase.keys & used:
                continue
            chosen.append(phrase)
            used |= phrase.keys
            if len(chosen) == count:
                return chosen
    return chosen


# -- sentences


class _SentenceReader:
    """Splits the words of a page into runs that can be quoted: parts of sentences, headings, cells.

    Punctuation, a word that cannot be quoted and a gap on the page end a run. In a script without spaces, adjacent
    words are one run of one text.
    """

    def __init__(self, words: Sequence[Word]) -> None:
        self.runs: list[_Run] = []
        self._run: list[str] = []
        self._unspaced = ""
        self._is_secret, self._opens = False, True
        left = min((word.box.left for word in words), default=0.0)
        right = max((word.box.right for word in words), default=1.0)
        self._full_line = left + FULL_LINE * (right - left)
        before: Word | None = None
        for word in words:
            self._start(before, word)
            self._add(unicodedata.normalize("NFC", word.text).strip())
            before = word
        self._end_sentence()

    def _start(self, before: Word | None, word: Word) -> None:
        """End the run if the word does not continue the one before it."""
        if before is None:
            return
        last, box = before.boxes[-1], word.box
        height, other = last.bottom - last.top, box.bottom - box.top
        is_similar = 0 < max(height, other) <= MAX_HEIGHT_RATIO * min(height, other)
        if min(last.bottom, box.bottom) - max(last.top, box.top) > 0.5 * min(height, other):  # the same line
            gap = max(box.left - last.right, last.left - box.right)  # the line may be written from right to left
            if gap > 0.3 * height:
                self._end_unspaced()
            if not is_similar or gap > MAX_GAP * height:
                self._end_run()  # the next cell of a row: a secret beside its name is not quoted
                self._opens = True
            return
        self._end_unspaced()
        is_next = 0 < box.top - last.top < 2.2 * height and box.left < last.left and last.right >= self._full_line
        if not (is_similar and is_next) or word.text[:1].isupper():  # the next line of a table or list
            self._end_sentence()

    def _add(self, text: str) -> None:
        core = text.strip(_MARKS + "'’‘`´-‐‑‒")
        if _fold(core) in SECRETS:
            self._is_secret = True
        if _UNSPACED.search(text):
            self._end_run(keep_unspaced=True)
            self._unspaced += text
            return
        if text[:1] in _MARKS:
            self._end_run()
        is_fragment = text.startswith(_HYPHENS) or text.endswith(_HYPHENS)
        if _is_quotable(core) and not is_fragment:
            self._end_unspaced()
            self._run.append(core)
        else:
            self._end_run()
        if text[-1:] in SENTENCE_ENDS:
            self._end_sentence()
        elif text[-1:] in _MARKS:
            self._end_run()

    def _end_sentence(self) -> None:
        self._end_run()
        self._is_secret, self._opens = False, True

    def _end_run(self, *, keep_unspaced: bool = False) -> None:
        if self._run and not self._is_secret:
            self.runs.append(_Run(tuple(self._run), self._opens))
        self._run, self._opens = [], False
        if not keep_unspaced:
            self._end_unspaced()

    def _end_unspaced(self) -> None:
        if not self._is_secret and not any(secret in self._unspaced for secret in UNSPACED_SECRETS):
            self.runs += [_Run((piece,), opens=True) for piece in _letter_runs(self._unspaced)]
        self._unspaced = ""


def _letter_runs(text: str) -> Iterator[str]:
    """Yield the runs of letters, with their marks, in a text.

    >>> list(_letter_runs("港の灯台は1904年、完成"))
    ['港の灯台は', '年', '完成']
    """
    for is_letter, group in itertools.groupby(text, lambda character: unicodedata.category(character)[0] in "LM"):
        if is_letter:
            yield "".join(group)


def _is_quotable(word: str) -> bool:
    """Return whether a word can be quoted: letters with their marks, at most joined by hyphens and apostrophes.

    >>> [w for w in ("Hafen", "l’eau", "naïve", "A4", "aXbYcZ", "me@x.org", "x_y", "भाषा") if _is_quotable(w)]
    ['Hafen', 'l’eau', 'naïve', 'भाषा']
    """
    letters = word.translate(_JOINERS)
    if not letters or len(word) > MAX_WORD_CHARS:
        return False
    if any(unicodedata.category(character)[0] not in "LM" for character in letters):
        return False
    return sum(one.islower() and other.isupper() for one, other in itertools.pairwise(word)) <= 1


def _repeated_lines(pages: Sequence[ReadPage], runs: Sequence[Sequence[_Run]]) -> set[str]:
    """Return the lines that several pages of a document have: headers, footers, and forms."""
    seen: Counter[tuple[str, str]] = Counter()
    for page, page_runs in zip(pages, runs, strict=True):
        seen.update({(page.id.file, _line_key(run)) for run in page_runs})
    return {line for (_, line), count in seen.items() if count > 1}


def _line_key(run: _Run) -> str:
    return " ".join(map(_fold, run.words))


def _fold(word: str) -> str:
    return unicodedata.normalize("NFKC", word).casefold()


# -- phrases


def _phrases(page: int, runs: Sequence[_Run], holders: Mapping[str, set[int]], pages: int) -> Iterator[_Phrase]:
    for words, opens in runs:
        if len(words) == 1 and _UNSPACED.search(words[0]):
            yield from _unspaced_phrases(page, words[0], holders)
        for start in range(len(words) - MIN_WORDS + 1):
            for end in range(start + MIN_WORDS, min(start + MAX_WORDS, len(words)) + 1):
                is_start, is_end = opens and not start, end == len(words)
                phrase = _phrase(page, words[start:end], is_start, is_end, holders, pages)
                if phrase is not None:
                    yield phrase


def _unspaced_phrases(page: int, piece: str, holders: Mapping[str, set[int]]) -> Iterator[_Phrase]:
    if len(piece) < MIN_CHARS or holders[_fold(piece)] != {page}:
        return
    whole = len(piece) <= MAX_CHARS
    text = piece if whole else _shortened(piece)
    yield _Phrase(page, text, frozenset({_fold(text)}), (1.0 if whole else 0.6) * min(len(text), 10) / 10)


def _shortened(piece: str) -> str:
    """Return the beginning of a long piece, not between a letter and its mark."""
    end = MAX_CHARS
    while end > MIN_CHARS and end < len(piece) and unicodedata.category(piece[end])[0] == "M":
        end -= 1
    return piece[:end]


def _phrase(
    page: int, words: Sequence[str], is_start: bool, is_end: bool, holders: Mapping[str, set[int]], pages: int
) -> _Phrase | None:
    """Return a phrase with its score, or None if it cannot be quoted or does not point to its page."""
    folded = [_fold(word) for word in words]
    text = " ".join(words)
    if len(text) > MAX_PHRASE_CHARS or len(set(folded)) < len(folded):
        return None
    weights = [_weight(word, len(holders[word]), pages) for word in folded]
    keys = frozenset(word for word, weight in zip(folded, weights, strict=True) if weight > 0)
    if len(keys) < 2 or sum(len(word) == 1 for word in words) > 1:
        return None
    if set[int].intersection(*(holders[word] for word in keys)) != {page}:
        return None
    # A phrase reads well if it is a whole sentence or heading, or at least does not break off at a small word.
    if (weights[0] <= 0 and not is_start) or weights[-1] <= 0:
        return None
    score = sum(weights) / max(len(words), BEST_WORDS)
    return _Phrase(page, text, keys, score * (1.0 + 0.25 * is_start + 0.35 * is_end + 0.3 * (is_start and is_end)))


def _weight(word: str, pages_with_it: int, pages: int) -> float:
    """Return how much a word says: 0 for short ones and those of most pages, more for long and rare ones.

    >>> _weight("the", 1, 1), _weight("page", 9, 10)
    (0.0, 0.0)
    >>> _weight("lighthouse", 1, 10) > _weight("lighthouse", 3, 10) > _weight("light", 3, 10) > 0
    True
    """
    length = sum(unicodedata.category(character)[0] == "L" for character in unicodedata.normalize("NFD", word))
    if length <= 3 or (pages >= 4 and pages_with_it > pages / 2):
        return 0.0
    return math.log(1 + pages / pages_with_it) * min(length, 10) / 10
