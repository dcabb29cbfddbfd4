"""How often the right ranking is better, from the judged questions of the library in use: one line, and its lists.

The samples come with judged questions. For a visitor's documents only the visitor's own grades and votes count.
Outcomes are computed in one background thread when pages, judgements or the model changed, and no page waits for them.
Those of the samples are saved in the index folder, so a restart computes nothing.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup

from smart_demo.engine import Engine
from smart_demo.errors import InputRefused, LibraryError, SmartError
from smart_demo.evaluation.outcomes import (
    Outcome,
    OutcomeKind,
    Outcomes,
    load_outcomes,
    measure_outcomes,
    outcomes_key,
    save_outcomes,
)
from smart_demo.evaluation.query_sets import QueryJudgements
from smart_demo.judging.judging_store import JudgingStore
from smart_demo.judging.query_list import ListedQuery, read_queries
from smart_demo.judging.records import Grade, Judgements, Vote
from smart_demo.judging.trials import Conditions, library_fingerprint
from smart_demo.page_list import PageList
from smart_demo.search.background import BackgroundResults
from smart_demo.search.request import ON_MINE, ON_SAMPLES, SearchRequest, parse_request
from smart_demo.types import POOLED, SAMPLES, SMART, Method, Parts, Query, Scope
from smart_demo.ui.events import answer_errors, request_field
from smart_demo.ui.format import in_sentence
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.render import render

log = logging.getLogger(__name__)
MAX_COUNTED_LIBRARIES = 64
"""Libraries whose outcomes are kept in memory."""
COUNTED_CHOICES = (ON_SAMPLES, ON_MINE)
"""Choices of a scope that have a line of their own."""
SAMPLE_QUESTIONS = "queries.jsonl"


@dataclass(frozen=True, eq=False)
class JudgedLibrary:
    """The pages of one scope, and what people judged about them. Both are replaced whenever they change."""

    scope: Scope
    encoder: str
    """Fingerprint of the encoder that serves the scope."""
    pages: PageList
    judged: tuple[ListedQuery, ...] | Judgements
    """The questions of the samples with their grades, or a visitor's votes and grades."""

    def is_same(self, other: JudgedLibrary) -> bool:
        """Return whether nothing changed between the two."""
        return self.pages is other.pages and self.judged is other.judged


class HowOften:
    """Outcomes of the judged questions of each library of one app. Safe for threads."""

    def __init__(
        self, handlers: Handlers, judging: JudgingStore, methods: tuple[Method, Method] = (POOLED, SMART)
    ) -> None:
        """Create the state without computing anything. methods: the left and the right one."""
        self._handlers, self._judging, self._methods = handlers, judging, methods
        self._counted: BackgroundResults[JudgedLibrary, Outcomes] = BackgroundResults(
            "count-outcomes", self._count, JudgedLibrary.is_same, MAX_COUNTED_LIBRARIES
        )
        """Outcomes by scope."""
        self._questions: tuple[tuple[int, int], tuple[ListedQuery, ...]] | None = None

    # -- for the page

    def outcomes(self, choice: object) -> Outcomes | None:
        """Return the outcomes for one of SCOPE_CHOICES, or None if nothing is judged there or none are ready yet.

        If they are missing or outdated, they are computed in the background: see `is_pending`.
        """
        library = self._find_library(choice)
        return self._counted.look_up(library.scope, library) if library else None

    def is_pending(self, choice: object) -> bool:
        """Return whether the outcomes for a choice are being computed."""
        library = self._find_library(choice)
        return library is not None and self._counted.is_pending(library.scope)

    def render(self) -> Markup:
        """Return the line of each library that the visitor may search; the page shows that of the library in use."""
        choices = COUNTED_CHOICES if self._handlers.visitor else COUNTED_CHOICES[:1]
        found = {choice: self.outcomes(choice) for choice in choices}
        pending = any(map(self.is_pending, choices))
        # Random, because Gradio sends no change event for equal values.
        return render("outcomes", found=found, in_sentence=in_sentence, turn=secrets.token_hex(4) if pending else "")

    @answer_errors("the judged questions could not be listed")
    def list_questions(self, request: object) -> dict[str, object]:
        """Return the judged questions of a `scope` with one `kind` of outcome as the markup `list`, or `sentence`."""
        choice, kind = request_field(request, "scope"), request_field(request, "kind")
        if not isinstance(kind, str) or kind not in set(OutcomeKind):
            raise InputRefused("That is no list of questions.")
        found = self.outcomes(choice)
        if found is None:
            raise LibraryError("The questions are being counted.", "Try again in a moment.")
        items = found.of_kind(OutcomeKind(kind))
        requests = [request_of(item, str(choice), self._handlers.engine.settings.top) for item in items]
        rows = list(zip(items, requests, strict=True))
        return {"list": render("outcome_list", found=found, kind=kind, rows=rows, left=in_sentence(found.left))}

    def delete(self, visitor: Scope) -> None:
        """Delete a visitor's outcomes from memory."""
        self._counted.discard(lambda key: key == visitor)

    # -- what is judged

    def _find_library(self, choice: object) -> JudgedLibrary | None:
        """Return what is judged in a library, or None if nothing is, or if it cannot be searched yet."""
        visitor, handlers = self._handlers.visitor, self._handlers
        scope = {ON_SAMPLES: SAMPLES, ON_MINE: visitor}.get(choice) if isinstance(choice, str) else None
        if scope is None or handlers.is_model_loading([scope]) or handlers.pending_samples([scope]):
            return None
        engine = handlers.engine
        try:
            encoder = engine.backbone(scope).encoder.fingerprint
            pages = engine.library.pages([scope], encoder)
            judged = (self._sample_questions() if scope == SAMPLES else self._own_judgements(scope)) if pages else None
        except SmartError:
            return None
        return JudgedLibrary(scope, encoder, pages, judged) if judged else None

    def _sample_questions(self) -> tuple[ListedQuery, ...]:
        """Return the judged questions of the samples, the same object until their file changes."""
        path = self._handlers.engine.settings.samples / SAMPLE_QUESTIONS
        try:
            stat = path.stat()
            version = stat.st_mtime_ns, stat.st_size
            if self._questions is None or self._questions[0] != version:
                found = read_queries(path.read_bytes()).queries
                self._questions = version, tuple(query for query in found if query.relevant)
            return self._questions[1]
        except (OSError, InputRefused):  # a presenter's own folder may have none
            return ()

    def _own_judgements(self, owner: Scope) -> Judgements | None:
        judged = self._judging.journal(owner).judgements
        return judged if judged.votes or judged.grades else None

    def _count(self, library: JudgedLibrary) -> Outcomes | None:
        """Return the outcomes of a library, or None if none of its questions has one."""
        items = compute_outcomes(self._handlers.engine, library, *self._methods)
        return Outcomes(self._methods[0].label, self._methods[1].label, items) if items else None


def compute_outcomes(engine: Engine, library: JudgedLibrary, left: Method, right: Method) -> tuple[Outcome, ...]:
    """Return the outcomes of a library: those of the samples from the disk, if nothing changed since they were saved.

    Raises SmartError if the library cannot be searched.
    """
    if isinstance(library.judged, Judgements):
        return tuple(_own_outcomes(engine, library, library.judged, left, right))
    questions = [QueryJudgements(query.qid, query.query, "", query.grades(library.pages)) for query in library.judged]
    key = outcomes_key(library.pages, questions, left, right)
    saved = load_outcomes(engine.settings.index_dir, library.scope, library.encoder, key)
    if saved is not None:
        return saved
    items = measure_outcomes(questions, partial(_score, engine, library), left, right)
    try:
        save_outcomes(engine.settings.index_dir, library.scope, library.encoder, key, items)
    except LibraryError as error:  # the next start computes them again
        log.warning("the outcomes could not be saved: %s", error)
    return items


def _score(engine: Engine, library: JudgedLibrary, text: str) -> Parts:
    """Return the parts of a question. Raises LibraryError if the library changed since it was described."""
    parts = engine.score(Query(text), library.scope)
    if parts.pages is not library.pages:
        raise LibraryError("The library changed while its questions were counted.")
    return parts


def _own_outcomes(
    engine: Engine, library: JudgedLibrary, judged: Judgements, left: Method, right: Method
) -> Iterator[Outcome]:
    """Yield the outcome of each question that a visitor judged about their documents, in the order of judging.

    A grade judges a page, not a ranking: the pages are ranked again, as they are now. A vote judges two rankings: it
    counts only for the library, the encoder and the weights that it was cast under, and if no page was graded.
    Questions with a picture are left out, because an uploaded picture is no longer stored.
    """
    conditions = Conditions(library_fingerprint(library.pages), library.encoder, right.weights)
    stored = {page.id for page in library.pages}
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
            question = QueryJudgements("", text, "", grades)
            yield from measure_outcomes([question], partial(_score, engine, library), left, right)
        elif vote is not None:
            yield Outcome(text, _VOTE_KINDS.get(vote.winner, OutcomeKind.EQUAL))


_VOTE_KINDS = {SMART.name: OutcomeKind.BETTER, POOLED.name: OutcomeKind.WORSE}
"""Outcomes by the winner of a vote, which always compares these two. A tie, and two bad columns, are equal."""


def request_of(outcome: Outcome, choice: str, top: int) -> SearchRequest:
    """Return the request that searches a judged question in Compare."""
    return parse_request(outcome.question, choice, top)
