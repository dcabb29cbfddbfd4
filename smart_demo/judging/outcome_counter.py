"""Counts how often the right ranking is better, from the judged questions of a library, in one background thread.

The samples come with judged questions. For a visitor's documents only the visitor's own grades and votes count.
Outcomes are computed when pages, judgements or the model changed, and are saved: those of the samples in the index
folder, those of a visitor beside their judgements, which are deleted with them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from smart_demo.engine import Engine
from smart_demo.errors import LibraryError
from smart_demo.evaluation.outcomes import (
    Outcome,
    OutcomeKind,
    Outcomes,
    load_outcomes,
    measure_outcomes,
    outcomes_key,
    outcomes_path,
    save_outcomes,
)
from smart_demo.evaluation.query_sets import QueryJudgements
from smart_demo.judging.judging_store import DEFAULT_SEARCH, FileVersion, JudgingStore
from smart_demo.judging.records import Grade, Judgements, Vote
from smart_demo.judging.trials import Conditions, library_fingerprint
from smart_demo.methods import Parts
from smart_demo.page_list import PageList
from smart_demo.search.background import BackgroundResults
from smart_demo.types import SAMPLES, Query, Scope

log = logging.getLogger(__name__)
MAX_COUNTED_LIBRARIES = 64
"""Libraries whose outcomes are kept in memory."""
LEFT, RIGHT = DEFAULT_SEARCH.compared
"""The methods that are compared: those of the page's default search."""
_VOTE_KINDS = {LEFT.name: OutcomeKind.WORSE, RIGHT.name: OutcomeKind.BETTER}
"""Outcomes by the winner of a vote. A tie, and two bad columns, are equal."""


@dataclass(frozen=True, slots=True)
class JudgedLibrary:
    """A version of the pages of one scope, and of what people judged about them. It holds none of it."""

    scope: Scope
    encoder: str
    """Fingerprint of the encoder that serves the scope."""
    pages: tuple[int, ...]
    """As `Library.versions` returns them."""
    judged: FileVersion


@dataclass(frozen=True, slots=True)
class _Question:
    """A judged question: its graded pages, and what was voted if no page was graded."""

    judged: QueryJudgements
    vote: OutcomeKind | None = None


class OutcomeCounter:
    """Outcomes of the judged questions of each library. Safe for threads."""

    def __init__(self, engine: Engine, judging: JudgingStore) -> None:
        """Create the state without computing anything."""
        self._engine, self._judging = engine, judging
        self._counted: BackgroundResults[JudgedLibrary, Outcomes] = BackgroundResults(
            "count-outcomes", self._count, self._is_current, MAX_COUNTED_LIBRARIES
        )
        """Outcomes by scope."""

    def outcomes(self, scope: Scope) -> Outcomes | None:
        """Return the outcomes of a scope, or None if nothing is judged there or none are ready yet.

        If they are missing or outdated, they are computed in the background: see `is_pending`. Raises SmartError if no
        model can be loaded. Waits until it is.
        """
        library = self._describe(scope)
        if library is None:
            self.discard(scope)
            return None
        return self._counted.look_up(scope, library)

    def is_pending(self, scope: Scope) -> bool:
        """Return whether the outcomes of a scope are being computed."""
        return self._counted.is_pending(scope)

    def discard(self, scope: Scope) -> None:
        """Discard the outcomes of a scope from memory."""
        self._counted.discard(lambda key: key == scope)

    def _describe(self, scope: Scope) -> JudgedLibrary | None:
        """Return the version of a scope's pages and judgements, or None if nothing is judged. Reads no file."""
        judging = self._judging
        judged = judging.sample_version() if scope == SAMPLES else judging.journal_version(scope)
        if judged is None:
            return None
        encoder = self._engine.backbone(scope).encoder.fingerprint
        return JudgedLibrary(scope, encoder, self._engine.library.versions([scope], encoder), judged)

    def _is_current(self, library: JudgedLibrary) -> bool:
        return self._describe(library.scope) == library

    def _count(self, library: JudgedLibrary) -> Outcomes | None:
        """Return the outcomes of a library, or None if none of its questions has one.

        They are read from the disk if nothing changed since they were saved. Raises SmartError if the library cannot be
        searched.
        """
        pages = self._engine.library.pages([library.scope], library.encoder)
        questions = list(self._list_questions(library, pages))
        votes = [question.vote for question in questions if question.vote]
        key = outcomes_key(pages, [question.judged for question in questions], LEFT, RIGHT, votes)
        items = self._load(library, key)
        if items is None:
            items = tuple(self._measure(library, questions))
            try:
                self._save(library, key, items)
            except LibraryError as error:  # the next start computes them again
                log.warning("the outcomes could not be saved: %s", error)
        return Outcomes(LEFT.label, RIGHT.label, items) if items else None

    def _list_questions(self, library: JudgedLibrary, pages: PageList) -> Iterable[_Question]:
        if library.scope != SAMPLES:
            return _own_questions(self._judging.journal(library.scope).judgements, library, pages)
        queries = [query for query in self._judging.sample_queries() if query.relevant]
        return [_Question(QueryJudgements(query.qid, query.query, "", query.grades(pages))) for query in queries]

    def _measure(self, library: JudgedLibrary, questions: Iterable[_Question]) -> Iterator[Outcome]:
        def score(text: str) -> Parts:
            parts = self._engine.score(Query(text), library.scope)
            if not self._is_current(library):
                raise LibraryError("The library changed while its questions were counted.")
            return parts

        for question in questions:
            if question.vote:
                yield Outcome(question.judged.query, question.vote)
            else:
                yield from measure_outcomes([question.judged], score, LEFT, RIGHT)

    def _load(self, library: JudgedLibrary, key: str) -> tuple[Outcome, ...] | None:
        if library.scope != SAMPLES:
            return self._judging.load_outcomes(library.scope, key)
        return load_outcomes(outcomes_path(self._engine.settings.index_dir, SAMPLES, library.encoder), key)

    def _save(self, library: JudgedLibrary, key: str, items: tuple[Outcome, ...]) -> None:
        if library.scope != SAMPLES:
            self._judging.save_outcomes(library.scope, library.judged, key, items)
        else:
            save_outcomes(outcomes_path(self._engine.settings.index_dir, SAMPLES, library.encoder), key, items)


def _own_questions(judged: Judgements, library: JudgedLibrary, pages: PageList) -> Iterator[_Question]:
    """Yield each question that a visitor judged about their documents and that counts, in the order of judging.

    A grade judges a page, not a ranking: the pages are ranked again, as they are now. A vote judges two rankings: it
    counts only for the library, the encoder and the weights that it was cast under, and if no page was graded.
    Questions with a picture are left out, because an uploaded picture is no longer stored.
    """
    conditions = Conditions(library_fingerprint(pages), library.encoder, RIGHT.weights)
    stored = {page.id for page in pages}
    queries = {
        event.trial.query.key: event.trial.query.text
        for event in judged.events
        if isinstance(event, Vote | Grade) and judged.is_current(event) and not event.trial.query.picture
    }
    for key, text in queries.items():
        graded = judged.query_grades(key).items()
        grades = {page: float(grade.grade) for page, grade in graded if page in stored}
        vote = judged.votes.get((conditions, key))
        if any(grades.values()):
            yield _Question(QueryJudgements("", text, "", grades))
        elif vote is not None:
            kind = _VOTE_KINDS.get(vote.winner, OutcomeKind.EQUAL)
            yield _Question(QueryJudgements("", text, "", {}), kind)
