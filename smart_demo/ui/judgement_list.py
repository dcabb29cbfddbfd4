"""The list of judgements in the panel Results: every current vote and grade by query, and what does not count.

Nothing can be deleted here. Queries, names and notes may come from any imported file, and the template escapes them.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from smart_demo.judging.records import Grade, Judgements, Skip, Vote
from smart_demo.judging.scoreboard import format_weights
from smart_demo.judging.trials import Conditions, Trial
from smart_demo.search.request import ON_BOTH, ON_MINE, ON_SAMPLES, REGION_PREFIX, SearchRequest, parse_request
from smart_demo.types import PageId
from smart_demo.ui.render import NOTHING, render

MAX_OPEN_QUERIES, MAX_LISTED_QUERIES = 10, 200
"""Judged queries shown at once, and listed in all: the last judged first. The export has every one."""
MAX_SHOWN_CHARS = 300
"""Characters of a judged query's text."""
CHOICE_BY_SCOPES = {("samples",): ON_SAMPLES, ("local",): ON_MINE, ("local", "samples"): ON_BOTH}
"""Scope choices of a request by the scopes of a recorded trial, which are sorted."""


@dataclass(frozen=True, slots=True)
class JudgedEntry:
    """The current vote and grades of one query under one set of conditions."""

    trial: Trial
    """The last trial that was judged."""
    vote: Vote | None
    grades: dict[PageId, Grade]
    """Grades given under these conditions."""

    @property
    def request(self) -> SearchRequest | None:
        """The request that repeats the trial's search in Compare, with its weights.

        None for an uploaded picture, which is no longer stored.
        """
        trial, query, weights = self.trial, self.trial.query, self.trial.weights
        if query.picture and not query.picture.startswith(REGION_PREFIX):
            return None
        scope = CHOICE_BY_SCOPES.get(trial.library.scopes, ON_SAMPLES)
        return parse_request(
            query.text, scope, trial.k, weights.pooled, weights.late, weights.reduce, weights.counted, query.picture
        )


def render_judgements(judged: Judgements, unreadable_lines: int = 0) -> Markup:
    """Return all current judgements by query, then the number of those that do not count. Empty without any event.

    unreadable_lines: lines of the journal that are no events.
    """
    entries = _group_by_query(judged)
    if not judged.events:
        return NOTHING
    return render(
        "judgements",
        latest=entries[:MAX_OPEN_QUERIES],
        earlier=entries[MAX_OPEN_QUERIES:MAX_LISTED_QUERIES],
        unlisted=len(entries[MAX_LISTED_QUERIES:]),
        votes=sum(entry.vote is not None for entry in entries),
        grades=sum(len(entry.grades) for entry in entries),
        uncounted=_describe_uncounted(judged, unreadable_lines),
        format_weights=format_weights,
        max_chars=MAX_SHOWN_CHARS,
    )


def _group_by_query(judged: Judgements) -> tuple[JudgedEntry, ...]:
    """Return the current votes and grades by query and conditions, the last judged first."""
    found: dict[tuple[Conditions, str], JudgedEntry] = {}
    for event in judged.events:
        if not isinstance(event, Vote | Grade) or not judged.is_current(event):
            continue
        key = (event.trial.conditions, event.trial.query.key)
        before = found.pop(key, None) or JudgedEntry(event.trial, None, {})
        if isinstance(event, Vote):
            found[key] = JudgedEntry(event.trial, event, before.grades)
        else:
            found[key] = JudgedEntry(event.trial, before.vote, {**before.grades, event.page: event})
    return tuple(reversed(found.values()))


def _describe_uncounted(judged: Judgements, unreadable_lines: int) -> str:
    """Return the numbers of stored judgements and lines that do not count, or an empty text if all count."""
    cast = [event for event in judged.events if isinstance(event, Vote | Grade)]
    undone = sum(event.id in judged.undone for event in judged.events if isinstance(event, Vote | Grade | Skip))
    replaced = sum(event.id not in judged.undone and not judged.is_current(event) for event in cast)
    lines = "line" if unreadable_lines == 1 else "lines"
    counts = [
        (undone, "undone"),
        (replaced, "replaced by a later one"),
        (len(judged.skipped), f"{'query' if len(judged.skipped) == 1 else 'queries'} skipped"),
        (unreadable_lines, f"{lines} of the file not understood and left unchanged"),
    ]
    return ", ".join(f"{number:,} {what}" for number, what in counts if number)
