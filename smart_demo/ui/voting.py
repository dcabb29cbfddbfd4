"""Handlers of the panels Vote and Grade. Their arguments come from browsers and are validated here.

Showing a panel searches, so these events wait in Gradio's queue and return HTML. Votes, grades, skips and undos skip
the queue and are stored at once: the request names the ticket under which the query was shown, and the answer is the
sheet without thumbnails, which the browser has, or the position to go to, or `sentence` if nothing was stored.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any

from markupsafe import Markup
from pydantic import TypeAdapter

from smart_demo.errors import InputRefused, SmartError
from smart_demo.judging.query_list import MAX_QUERIES, ListedQuery, read_queries
from smart_demo.judging.records import Grade, Skip, Vote, pages_to_grade, revealed_query
from smart_demo.judging.scoreboard import METHOD_LABELS
from smart_demo.search.request import SCOPE_CHOICES, SearchRequest, parse_request
from smart_demo.strict_json import integer_between, read_choice, read_record, require_object
from smart_demo.types import PageId, Scope
from smart_demo.ui.events import UNEXPECTED_ERROR, answer_errors
from smart_demo.ui.format import strip_unprintable
from smart_demo.ui.handlers import parse_page_key
from smart_demo.ui.judge_sheets import GRADE_LABELS, JudgeSheets, describe_vote
from smart_demo.ui.render import render
from smart_demo.ui.tickets import NotReadyToJudge, Ticket, TicketExpired

log = logging.getLogger(__name__)
RequestFields = Mapping[str, Any]
Action = Callable[[Scope, RequestFields], dict[str, object]]
_POSITION: TypeAdapter[int] = TypeAdapter(Annotated[int, integer_between(0, MAX_QUERIES)])


class Voting:
    """Handlers of both panels of one app."""

    def __init__(self, sheets: JudgeSheets) -> None:
        self.sheets, self.judging = sheets, sheets.judging

    def vote_panel(self, request: object, *controls: object) -> Markup:
        """Take the requested step, if any, and return the panel Vote or an error panel. controls: those of Compare."""
        return self._panel(self.sheets.vote_panel, request, controls)

    def grade_panel(self, request: object, *controls: object) -> Markup:
        """Take the requested step, if any, and return the panel Grade or an error panel. controls: those of Compare."""
        return self._panel(self.sheets.grade_panel, request, controls)

    def vote(self, request: object) -> dict[str, object]:
        """Store a vote or a skip, or undo the last step. Return the new sheet or `sentence`."""
        return self._answer(request, {"vote": self._vote, "skip": self._skip, "undo": self._undo})

    def grade(self, request: object) -> dict[str, object]:
        """Store a grade, undo the last step, or show the ranks. Return the new sheet or `sentence`."""
        return self._answer(request, {"grade": self._grade, "undo": self._undo, "ranks": self._show_ranks})

    def _panel(
        self, show: Callable[[Scope, SearchRequest], Markup], request: object, controls: tuple[object, ...]
    ) -> Markup:
        try:
            # Gradio sends an event that had to wait without its data.
            fields = require_object({} if request is None else request, "The request")
            compare = parse_request("", "", *controls)
            owner = self.sheets.handlers.owner
            self._take_step(owner, fields, compare)
            markup = show(owner, compare)
        except NotReadyToJudge as error:
            markup = render("judge_error", title="In a moment", sentence=error.sentence, retry=True)
        except SmartError as error:
            markup = render("judge_error", title="This cannot be judged", sentence=error.sentence, retry=False)
        except Exception:
            log.exception("a query could not be shown to a judge")
            markup = render("judge_error", title="This cannot be judged", sentence=UNEXPECTED_ERROR, retry=False)
        # Random, because Gradio sends no change event for equal values.
        return render("judge_panel", turn=secrets.token_hex(4), panel=markup)

    def _take_step(self, owner: Scope, fields: RequestFields, compare: SearchRequest) -> None:
        """Change the owner's worklist as requested: start, change the search, open or insert a query."""
        judging = self.judging
        match fields.get("act"):
            case "start":
                judging.start(owner, compare)
            case "take":
                judging.set_search(owner, replace(compare, scope=judging.worklist(owner).search.scope))
            case "scope":
                scope = read_choice(fields, "scope", SCOPE_CHOICES)
                self.sheets.handlers.resolve_scopes(scope)  # raises InputRefused if it is not allowed
                judging.set_search(owner, replace(judging.worklist(owner).search, scope=scope))
            case "go":
                judging.go_to(owner, read_record(_POSITION, fields.get("at"), '"at"'))
            case "find":
                self._find(owner, fields.get("query"))
            case "ask":
                judging.insert(owner, _parse_query(fields))

    def _find(self, owner: Scope, key: object) -> None:
        """Open the query with a `Query.key` that a link names. Raises InputRefused if the owner's list lacks it.

        A link begins no judging: before the start, the start panel is shown.
        """
        position = self.judging.worklist(owner).find(key) if isinstance(key, str) else None
        if position is None:
            raise InputRefused("That query is not in this list.", "It may have been deleted.")
        if self.judging.started(owner):
            self.judging.go_to(owner, position)

    @answer_errors("a judgement could not be stored")
    def _answer(self, request: object, actions: Mapping[str, Action]) -> dict[str, object]:
        fields = require_object(request, "The request")
        action = actions[read_choice(fields, "act", actions)]
        try:
            return action(self.sheets.handlers.owner, fields)
        except TicketExpired as error:
            return {"sentence": error.sentence, "look": True}

    def _vote(self, owner: Scope, fields: RequestFields) -> dict[str, object]:
        """Store a vote; the journal validates its fields. Raises TicketExpired if its ticket is not the owner's."""
        ticket = self._ticket(owner, fields)
        choice, reasons, note = fields.get("choice"), fields.get("reasons", ()), fields.get("note", "")
        vote = self.judging.writable_journal(owner).vote(ticket.trial, choice, reasons, note)
        return {"sheet": self.sheets.render_votes(ticket), "said": f"Saved. {vote_sentence(vote)}"}

    def _skip(self, owner: Scope, fields: RequestFields) -> dict[str, object]:
        """Store a skip, unless the query was already skipped or voted on."""
        ticket, journal = self._ticket(owner, fields), self.judging.journal(owner)
        key, judged = ticket.trial.query.key, journal.judgements
        if key not in judged.skipped and (ticket.trial.conditions, key) not in judged.votes:
            self.judging.writable_journal(owner).skip(ticket.trial.query)
        return {"go": self.sheets.progress(ticket).next_position, "said": "Skipped."}

    def _grade(self, owner: Scope, fields: RequestFields) -> dict[str, object]:
        """Store a grade. Raises InputRefused unless it is 0 to 3 and the query offers the page."""
        ticket = self._ticket(owner, fields)
        page = _page_to_grade(fields, ticket)
        grade = self.judging.writable_journal(owner).grade(ticket.trial, page, fields.get("grade"))
        label, document = GRADE_LABELS[grade.grade].lower(), strip_unprintable(grade.document)
        said = f"Saved. {grade.grade}, {label}: {document}, page {grade.page.number}."
        return {"sheet": self.sheets.render_grades(ticket), "said": said}

    def _show_ranks(self, owner: Scope, fields: RequestFields) -> dict[str, object]:
        """Return the sheet with ranks. Store that they were seen, so that a later vote is marked as not blind."""
        ticket, journal = self._ticket(owner, fields), self.judging.journal(owner)
        judged, query = journal.judgements, (ticket.trial.seed, ticket.trial.query.key)
        all_graded = all(page in judged.trial_grades(ticket.trial) for page in pages_to_grade(ticket.trial))
        if all_graded and query not in map(revealed_query, judged.events):
            self.judging.writable_journal(owner).reveal_sides(ticket.trial)
        return {"sheet": self.sheets.render_grades(ticket, ranks=True), "said": "The ranks are shown."}

    def _undo(self, owner: Scope, fields: RequestFields) -> dict[str, object]:
        """Undo the owner's last step and return to its query, if the list still has it."""
        del fields
        if not self.judging.started(owner):
            raise InputRefused("There is nothing to undo.")
        undone = self.judging.journal(owner).undo()
        query = undone.query if isinstance(undone, Skip) else undone.trial.query
        position = self.judging.worklist(owner).find(query.key)
        step: dict[str, object] = {"look": True} if position is None else {"go": position}
        return {"said": f"Undone: {_step_words(undone)} “{strip_unprintable(query.text)}”.", **step}

    def _ticket(self, owner: Scope, fields: RequestFields) -> Ticket:
        """Return the ticket that a request names.

        Raises TicketExpired if it is unknown, another owner's, or of a session deleted since, in another tab perhaps.
        """
        ticket = self.sheets.tickets.find(owner, fields.get("ticket"))
        if not self.judging.started(owner) or ticket.trial.seed != self.judging.journal(owner).session.seed:
            raise TicketExpired
        return ticket


def vote_sentence(vote: Vote) -> str:
    """Return a vote in sentences that reveal the sides."""
    sides = vote.trial.sides
    return f"{describe_vote(vote)} A was {METHOD_LABELS[sides.a]}, B was {METHOD_LABELS[sides.b]}."


def _step_words(step: Vote | Grade | Skip) -> str:
    if isinstance(step, Grade):
        return f"the grade of {strip_unprintable(step.document)}, page {step.page.number}, for"
    return "the vote on" if isinstance(step, Vote) else "the skip of"


def _page_to_grade(fields: RequestFields, ticket: Ticket) -> PageId:
    """Return the page that a request grades. Raises InputRefused if the ticket's query does not offer it."""
    _, page = parse_page_key(fields.get("page"))
    if page not in pages_to_grade(ticket.trial):
        raise InputRefused("That page is not among those to be graded.")
    return page


def _parse_query(fields: RequestFields) -> ListedQuery:
    """Return the typed query. As JSON, because plain text could be read as another form of list."""
    return read_queries(json.dumps({"query": fields.get("query")})).queries[0]
