"""Outcomes of judged questions: on how many the right ranking is better than the left one, equal or worse.

The rule is that of `make eval` and of the README: the ranking with the higher nDCG@10 is better, and a difference
within TIE_TOLERANCE is equal. The best place of a relevant page alone would ignore every other page that answers.
Nothing here knows which two methods are compared.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from smart_demo import scoring
from smart_demo.errors import QueryRefused, SmartError
from smart_demo.evaluation.metrics import TIE_TOLERANCE, ndcg
from smart_demo.evaluation.query_sets import QueryJudgements
from smart_demo.methods import Method, Parts, SearchResult
from smart_demo.page_list import Key
from smart_demo.store import atomic_files
from smart_demo.types import PageId, Scope, StoredPage

OUTCOMES_FOLDER = "outcomes"
CUT = 10
"""Places that count, as in the README's figures."""
FORMAT_VERSION = 1
ScoreText = Callable[[str], Parts]
"""Maps a question to its score parts over all pages. Raises QueryRefused."""


class OutcomeKind(StrEnum):
    """The right ranking compared with the left one."""

    BETTER = "better"
    EQUAL = "equal"
    WORSE = "worse"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One judged question, and what became of the page that answers it."""

    question: str
    kind: OutcomeKind
    answer: Key | None = None
    """The answer page whose move counts most, or None if people voted and graded no page."""
    document: str = ""
    """Name of its document, or empty."""
    left_rank: int | None = None
    """Its place in the left ranking, from 1, or None if that ranking lacks it."""
    right_rank: int | None = None
    """Its place in the right ranking, from 1, or None if that ranking lacks it."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Outcomes of all judged questions of a library under one encoder."""

    left: str
    """Label of the left method."""
    right: str
    """Label of the right method, the one that is called better or worse."""
    items: tuple[Outcome, ...]

    def of_kind(self, kind: OutcomeKind) -> tuple[Outcome, ...]:
        """Return the questions with this outcome, in their order."""
        return tuple(item for item in self.items if item.kind is kind)

    @property
    def judged(self) -> int:
        """Number of judged questions."""
        return len(self.items)

    @property
    def better(self) -> int:
        """Number of questions for which the right ranking is better."""
        return len(self.of_kind(OutcomeKind.BETTER))

    @property
    def equal(self) -> int:
        """Number of questions for which both rankings are equally good."""
        return len(self.of_kind(OutcomeKind.EQUAL))

    @property
    def worse(self) -> int:
        """Number of questions for which the right ranking is worse."""
        return len(self.of_kind(OutcomeKind.WORSE))


def measure_outcomes(
    judgements: Iterable[QueryJudgements], score: ScoreText, left: Method, right: Method
) -> tuple[Outcome, ...]:
    """Rank the pages for every question by both methods and return the outcomes, in order.

    A question that the search refuses, or of which no relevant page is in the library, is left out. Errors of `score`
    other than QueryRefused pass through.
    """
    outcomes = []
    for judged in judgements:
        with suppress(QueryRefused):
            parts = score(judged.query)
            results = [scoring.rank(parts, method, 1) for method in (left, right)]
            outcome = compare_outcome(judged, parts.pages, *results)
            outcomes += [outcome] if outcome else []
    return tuple(outcomes)


def compare_outcome(
    judged: QueryJudgements, pages: Sequence[StoredPage], left: SearchResult, right: SearchResult
) -> Outcome | None:
    """Return the outcome of one question, or None if none of its relevant pages is among `pages`."""
    stored = {page.id: page for page in pages}
    grades = {page: grade for page, grade in judged.grades.items() if page in stored}
    if not any(grades.values()):
        return None
    before, after = _rank_pages(left), _rank_pages(right)
    gain = ndcg(list(after), grades, CUT) - ndcg(list(before), grades, CUT)
    kind = _kind_of(gain)
    page = _select_answer(grades, before, after, kind)
    return Outcome(judged.query, kind, stored[page].key, stored[page].document, before.get(page), after.get(page))


def _rank_pages(result: SearchResult) -> dict[PageId, int]:
    """Return the rank of each page, best first. A page in two scopes counts at its better rank."""
    order = dict.fromkeys(page for _, page in sorted(result.ranks, key=result.ranks.__getitem__))
    return {page: rank for rank, page in enumerate(order, start=1)}


def _kind_of(gain: float) -> OutcomeKind:
    if abs(gain) <= TIE_TOLERANCE:
        return OutcomeKind.EQUAL
    return OutcomeKind.BETTER if gain > 0 else OutcomeKind.WORSE


def _select_answer(
    grades: Mapping[PageId, float], before: Mapping[PageId, int], after: Mapping[PageId, int], kind: OutcomeKind
) -> PageId:
    """Return the relevant page that adds most to the difference or, if there is none, the best answer placed highest.

    The place of that page moves the way of the outcome, which the place of the best page may not.
    """
    relevant = [page for page, grade in grades.items() if grade > 0]
    if kind is OutcomeKind.EQUAL:
        return min(relevant, key=lambda page: (-grades[page], after.get(page, math.inf), page))
    sign = 1 if kind is OutcomeKind.BETTER else -1

    def share(page: PageId) -> float:
        return sign * grades[page] * (_discount(after.get(page)) - _discount(before.get(page)))

    return min(relevant, key=lambda page: (-share(page), page))


def _discount(rank: int | None) -> float:
    return 1 / math.log2(rank + 1) if rank is not None and rank <= CUT else 0.0


# -- on disk


def outcomes_key(
    pages: Iterable[StoredPage],
    judgements: Iterable[QueryJudgements],
    left: Method,
    right: Method,
    votes: Iterable[object] = (),
) -> str:
    """Return a hash of everything that outcomes depend on: pages, their encoder, questions, grades and methods.

    votes: what people voted on each question, where votes count.
    """
    content = [
        [FORMAT_VERSION, CUT, repr(left), repr(right)],
        [[str(page.scope), page.encoder, str(page.id), page.codec, page.added, page.document] for page in pages],
        [[judged.query, sorted((str(page), grade) for page, grade in judged.grades.items())] for judged in judgements],
        list(map(str, votes)),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def outcomes_path(index_dir: Path, scope: Scope, encoder: str) -> Path:
    """Return the file of a scope's outcomes in the index folder, for a scope that no visitor owns."""
    return index_dir / OUTCOMES_FOLDER / f"{scope}.{encoder}.json"


def save_outcomes(path: Path, key: str, outcomes: Sequence[Outcome]) -> None:
    """Save outcomes in place of earlier ones. Raises LibraryError or StorageFull if they cannot be written."""
    row = {"key": key, "items": [_as_row(outcome) for outcome in outcomes]}
    with atomic_files.storage_errors("save the outcomes"):
        data = json.dumps(row).encode()
        atomic_files.make_folder(path.parent)
        atomic_files.check_space(path.parent, len(data))
        atomic_files.write_file(path, data)


def load_outcomes(path: Path, key: str) -> tuple[Outcome, ...] | None:
    """Load saved outcomes, or return None if there are none of this key."""
    with suppress(OSError, SmartError, ValueError, TypeError, KeyError):
        row = json.loads(atomic_files.read_file(path))
        if row["key"] == key:
            return tuple(map(_from_row, row["items"]))
    return None


def _as_row(outcome: Outcome) -> list[object]:
    scope, page = outcome.answer or ("", "")
    ranks = [outcome.left_rank, outcome.right_rank]
    return [outcome.question, str(outcome.kind), str(scope), str(page), outcome.document, *ranks]


def _from_row(row: list[Any]) -> Outcome:
    question, kind, scope, page, document, *ranks = row
    left_rank, right_rank = (None if rank is None else int(rank) for rank in ranks)
    answer = (Scope(scope), PageId.parse(page)) if page else None
    return Outcome(str(question), OutcomeKind(kind), answer, str(document), left_rank, right_rank)
