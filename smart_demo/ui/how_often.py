"""How often the right ranking is better on the judged questions of the library in use: one line, and its lists.

`judging.outcome_counter` counts them in the background, and no page waits for them.
"""

from __future__ import annotations

import secrets

from markupsafe import Markup

from smart_demo.errors import InputRefused, LibraryError, SmartError
from smart_demo.evaluation.outcomes import Outcome, OutcomeKind, Outcomes
from smart_demo.judging.judging_store import JudgingStore
from smart_demo.judging.outcome_counter import OutcomeCounter
from smart_demo.methods import Found
from smart_demo.page_list import as_page_list
from smart_demo.search.request import ON_MINE, ON_SAMPLES, SearchRequest, parse_request
from smart_demo.types import SAMPLES, Scope
from smart_demo.ui.events import answer_errors, request_field
from smart_demo.ui.format import in_sentence
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.render import render
from smart_demo.ui.stories import Story, StoryOutcome, rank_answer

COUNTED_CHOICES = (ON_SAMPLES, ON_MINE)
"""Choices of a scope that have a line of their own."""


class HowOften:
    """Outcomes of the judged questions of each library of one app, as its page shows them. Safe for threads."""

    def __init__(self, handlers: Handlers, judging: JudgingStore) -> None:
        """Create the state without computing anything."""
        self._handlers, self._counter = handlers, OutcomeCounter(handlers.engine, judging)

    def outcomes(self, choice: object) -> Outcomes | None:
        """Return the outcomes for one of SCOPE_CHOICES, or None if nothing is judged there or none are ready yet.

        If they are missing or outdated, they are computed in the background: see `is_pending`.
        """
        scope = self._find_scope(choice)
        try:
            return None if scope is None else self._counter.outcomes(scope)
        except SmartError:  # no model can be loaded: the banner at the top of the page names the error
            return None

    def find_outcome(self, found: Found, choice: str) -> StoryOutcome | None:
        """Return the ranks of the page that answers a judged question, if one was searched and has such a page."""
        outcomes, text = self.outcomes(choice), found.query.text.strip()
        if outcomes is None or found.query.image_hash:
            return None
        answer = next((one.answer for one in outcomes.items if one.answer and one.question.strip() == text), None)
        pages = as_page_list(found.parts.pages)
        position = pages.position(answer) if answer else None
        if position is None:
            return None
        page = pages[position]
        title = f"The answer is page {page.number} of {page.document}"
        return rank_answer(found, Story(title, text, "", page.document, page.number), page)

    def is_pending(self, choice: object) -> bool:
        """Return whether the outcomes for a choice are being computed."""
        scope = self._find_scope(choice)
        return scope is not None and self._counter.is_pending(scope)

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
        self._counter.discard(visitor)

    def _find_scope(self, choice: object) -> Scope | None:
        """Return the scope whose outcomes a choice shows, or None if it has none or cannot be searched yet."""
        handlers = self._handlers
        scope = {ON_SAMPLES: SAMPLES, ON_MINE: handlers.visitor}.get(choice) if isinstance(choice, str) else None
        if scope is None or handlers.is_model_loading([scope]) or handlers.pending_samples([scope]):
            return None
        return scope


def request_of(outcome: Outcome, choice: str, top: int) -> SearchRequest:
    """Return the request that searches a judged question in Compare."""
    return parse_request(outcome.question, choice, top)
