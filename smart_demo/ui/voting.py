"""What the panels Vote and Grade do. Every argument is doubted, as in `handlers`.

A look searches, so it comes through the queue and is answered in markup. What is said of a query is kept at once, by
the ticket under which it was shown. The answer is the sheet without its thumbnails, which the browser has, or where to
go next; a sentence says that nothing was kept.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from smart_demo.errors import InputRefused, SmartError
from smart_demo.judging import json_fields
from smart_demo.judging.query_list import MAX_QUERIES, ListedQuery, read_queries
from smart_demo.judging.records import MAX_GRADE, MAX_NOTE_CHARS, REASONS, Grade, Skip, Vote, VoteChoice
from smart_demo.judging.replay import pages_to_grade, revealed_query
from smart_demo.search.request import SCOPE_CHOICES, SearchRequest, parse_request
from smart_demo.types import PageId, Scope
from smart_demo.ui import vote_sheet
from smart_demo.ui.events import UNEXPECTED_ERROR, answer_or_error
from smart_demo.ui.format import strip_unprintable
from smart_demo.ui.handlers import parse_page_key
from smart_demo.ui.judge_sheets import GRADE_LABELS, JudgeSheets, NotReadyToJudge, Ticket, TicketExpired
from smart_demo.ui.vote_sheet import COLUMN_LABELS, verdict

log = logging.getLogger(__name__)
RequestFields = Mapping[str, Any]
Action = Callable[[Scope, RequestFields], dict[str, object]]


class Voting:
    """Both panels of one app."""

    def __init__(self, sheets: JudgeSheets) -> None:
        self._sheets, self._judging = sheets, sheets.judging

    # -- looks, through the queue

    def look(self, given: object, *dials: object) -> str:
        """The panel Vote, after a step where one is asked for. Never raises."""
        return self._look(self._sheets.vote_panel, given, dials)

    def pool(self, given: object, *dials: object) -> str:
        """The panel Grade, likewise."""
        return self._look(self._sheets.grade_panel, given, dials)

    def _look(self, panel: Callable[[Scope, SearchRequest], str], given: object, dials: tuple[object, ...]) -> str:
        try:
            wanted, turned = json_fields.require_object(given, "that"), parse_request("", "", *dials)
            owner = self._judging.owner(wanted.get("owner"))
            self._step(owner, wanted, turned)
            shown = panel(owner, turned)
        except NotReadyToJudge as error:
            shown = vote_sheet.error_panel("In a moment", error.sentence, again=True)
        except SmartError as error:
            shown = vote_sheet.error_panel("This cannot be judged", error.sentence, again=False)
        except Exception:
            log.exception("a query could not be shown to a judge")
            shown = vote_sheet.error_panel("This cannot be judged", UNEXPECTED_ERROR, again=False)
        # Never twice the same, so that the browser hears of every answer.
        return f'<div class="judge-panel" data-turn="{secrets.token_hex(4)}">{shown}</div>'

    def _step(self, owner: Scope, wanted: RequestFields, turned: SearchRequest) -> None:
        """What a look does first, if anything."""
        judging = self._judging
        match wanted.get("act"):
            case "start":
                judging.start(owner, turned)
            case "take":
                judging.set_search(owner, replace(turned, scope=judging.queue(owner).search.scope))
            case "scope":
                scope = json_fields.choice_field(wanted, "scope", tuple(SCOPE_CHOICES))
                self._sheets.tickets.allowed(scope)
                judging.set_search(owner, replace(judging.queue(owner).search, scope=scope))
            case "go":
                judging.go_to(owner, json_fields.integer_field(wanted, "at", 0, MAX_QUERIES))
            case "ask":
                judging.insert(owner, _parse_query(wanted))

    # -- what is said, at once

    def vote(self, wanted: object) -> dict[str, object]:
        """Keep a vote, keep that a query was skipped, or take back what was said last; or a sentence why not."""
        return self._said(wanted, {"vote": self._vote, "skip": self._skip, "undo": self._undo})

    def grade(self, wanted: object) -> dict[str, object]:
        """Keep a grade, take back what was said last, or tell the ranks; or a sentence why not."""
        return self._said(wanted, {"grade": self._grade, "undo": self._undo, "ranks": self._ranks})

    def _said(self, wanted: object, acts: Mapping[str, Action]) -> dict[str, object]:
        return answer_or_error(lambda: self._act(wanted, acts), "what a judge said could not be kept")

    def _act(self, wanted: object, acts: Mapping[str, Action]) -> dict[str, object]:
        given = json_fields.require_object(wanted, "that")
        act = acts[json_fields.choice_field(given, "act", tuple(acts))]
        try:
            return act(self._judging.owner(given.get("owner")), given)
        except TicketExpired as error:
            return {"sentence": error.sentence, "look": True}

    def _vote(self, owner: Scope, given: RequestFields) -> dict[str, object]:
        shown, choice = self._shown(owner, given), json_fields.choice_field(given, "choice", tuple(VoteChoice))
        reasons = json_fields.list_field(given, "reasons", len(REASONS)) if "reasons" in given else ()
        if any(reason not in REASONS for reason in reasons):
            raise InputRefused(f"What decided it may be: {', '.join(REASONS)}.")
        note = json_fields.text_field(given, "note", MAX_NOTE_CHARS) if "note" in given else ""
        kept = self._judging.writable_journal(owner).vote(shown.trial, choice, reasons, note)
        return {"sheet": self._sheets.votes(shown), "said": f"Kept. {vote_sentence(kept)}"}

    def _skip(self, owner: Scope, given: RequestFields) -> dict[str, object]:
        """One that was skipped before, or judged after all, needs no other skip."""
        shown, journal = self._shown(owner, given), self._judging.journal(owner)
        key, judged = shown.trial.query.key, journal.judgements
        if key not in judged.skipped and (shown.trial.conditions, key) not in judged.votes:
            self._judging.writable_journal(owner).skip(shown.trial.query)
        return {"go": self._sheets.standing(shown).next_position, "said": "Skipped."}

    def _grade(self, owner: Scope, given: RequestFields) -> dict[str, object]:
        shown, grade = self._shown(owner, given), json_fields.integer_field(given, "grade", 0, MAX_GRADE)
        kept = self._judging.writable_journal(owner).grade(shown.trial, _page_to_grade(given, shown), grade)
        words = f"{grade}, {GRADE_LABELS[grade].lower()}: {strip_unprintable(kept.document)}, page {kept.page.number}."
        return {"sheet": self._sheets.grades(shown), "said": f"Kept. {words}"}

    def _ranks(self, owner: Scope, given: RequestFields) -> dict[str, object]:
        """Whoever sees them without a vote judges blind no longer: kept, so that a vote that follows says so."""
        shown, journal = self._shown(owner, given), self._judging.journal(owner)
        judged, about = journal.judgements, (shown.trial.seed, shown.trial.query.key)
        whole = all(page in judged.graded(shown.trial) for page in pages_to_grade(shown.trial))
        if whole and about not in map(revealed_query, judged.events):
            self._judging.writable_journal(owner).told(shown.trial)
        return {"sheet": self._sheets.grades(shown, ranks=True), "said": "The ranks are shown."}

    def _undo(self, owner: Scope, given: RequestFields) -> dict[str, object]:
        """And back to where it was said, if that is in the list."""
        del given
        if not self._judging.started(owner):
            raise InputRefused("There is nothing to take back.")
        back = self._judging.journal(owner).undo()
        query = back.query if isinstance(back, Skip) else back.trial.query
        at = self._judging.queue(owner).find(query.key)
        return {"said": f"Taken back: {_undone_words(back)} “{strip_unprintable(query.text)}”."} | (
            {"look": True} if at is None else {"go": at}
        )

    def _shown(self, owner: Scope, given: RequestFields) -> Ticket:
        """What is on the judge's screen. Forgotten where its session was deleted since, in another tab say."""
        shown = self._sheets.tickets.of(owner, given.get("ticket"))
        if not self._judging.started(owner) or shown.trial.seed != self._judging.journal(owner).session.seed:
            raise TicketExpired
        return shown


def vote_sentence(vote: Vote) -> str:
    """A vote in sentences that tell the sides."""
    sides = vote.trial.sides
    return f"{verdict(vote)} A was {COLUMN_LABELS[sides.a]}, B was {COLUMN_LABELS[sides.b]}."


def _undone_words(back: Vote | Grade | Skip) -> str:
    if isinstance(back, Grade):
        return f"the grade of {strip_unprintable(back.document)}, page {back.page.number}, for"
    return "the vote on" if isinstance(back, Vote) else "the skip of"


def _page_to_grade(given: RequestFields, shown: Ticket) -> PageId:
    """A page of the pool that is graded."""
    _, page = parse_page_key(given.get("page"))
    if page not in pages_to_grade(shown.trial):
        raise InputRefused("That page is not among those to be graded.")
    return page


def _parse_query(wanted: RequestFields) -> ListedQuery:
    """One query as somebody typed it, whatever it looks like."""
    return read_queries(json.dumps({"query": wanted.get("query")})).queries[0]
