"""Markup of two lists of queries: the judgements under Results, and the table of a list's results under Queries.

Nothing can be deleted here. Sorting, filtering and showing the highlights are done by `judge.js`, from the attributes
of the rows. Queries, names and notes may come from any imported file, so everything is escaped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from smart_demo.judging.list_comparison import Highlight, HighlightKind, QueryRow, highlights, sorted_rows
from smart_demo.judging.records import Conditions, Grade, Skip, Trial, Vote, VoteChoice
from smart_demo.judging.replay import Judgements
from smart_demo.judging.scoreboard import format_weights
from smart_demo.search.request import ON_BOTH, ON_MINE, ON_SAMPLES, REGION_PREFIX, SearchRequest, parse_request
from smart_demo.types import POOLED, SMART, PageId
from smart_demo.ui.compare import describe_formula
from smart_demo.ui.format import bdi, esc, format_difference, format_score
from smart_demo.wording import count, count_queries

MAX_OPEN_QUERIES, MAX_LISTED_QUERIES = 10, 200
"""Judged queries shown at once, and listed in all: the last judged first. The export has every one."""
MAX_SHOWN_CHARS = 300
"""Characters of a judged query's text."""
CHOICE_BY_SCOPES = {("samples",): ON_SAMPLES, ("local",): ON_MINE, ("local", "samples"): ON_BOTH}
"""Scope choices of a request by the scopes of a recorded trial, which are sorted."""

HIGHLIGHT_TITLES = {
    HighlightKind.LOSS: "SMART loses",
    HighlightKind.GAIN: "SMART wins",
    HighlightKind.RISE: "A page rises",
    HighlightKind.FALL: "A page falls",
    HighlightKind.UNCHANGED: "Nothing changes",
    HighlightKind.DIFFERENT: "The rankings differ",
}
HIGHLIGHT_MARKS = {
    HighlightKind.LOSS: "▼",
    HighlightKind.GAIN: "▲",
    HighlightKind.RISE: "↑",
    HighlightKind.FALL: "↓",
    HighlightKind.UNCHANGED: "=",
    HighlightKind.DIFFERENT: "≠",
}
BETTER_LABELS = {SMART.name: "SMART", POOLED.name: "Pooled only", "same": "the same", "": ""}
COLUMNS = (
    ("rbo", "RBO", "Rank-biased overlap of both rankings: 1 is the same"),
    ("tau", "Kendall τ", "Kendall’s tau on the union of both: 1 is the same order, −1 the opposite"),
    ("shared", "Shared", "Pages in both"),
    ("first", "First page", "Whether another page comes first"),
)
"""Key, label and title of every column after the query."""
GRADED_COLUMNS = (
    ("pooled", "nDCG pooled", "nDCG of the pooled ranking, from the known grades"),
    ("smart", "nDCG SMART", "nDCG of the SMART ranking, from the known grades"),
    ("gain", "Better", "The method with the higher nDCG, and the difference"),
)
"""More columns for a list with known grades."""
FILTERS = (("all", "All queries"), ("first", "First page changes"), ("five", "The five"))
GRADED_FILTERS = (("smart", "SMART is better"), ("pooled", "SMART is worse"))


@dataclass(frozen=True, slots=True)
class JudgedEntry:
    """The current vote and grades of one query under one set of conditions."""

    trial: Trial
    """The last trial that was judged."""
    vote: Vote | None
    grades: dict[PageId, Grade]
    """Grades given under these conditions."""


@dataclass(frozen=True)
class ListRun:
    """The results of one run of a list."""

    rows: tuple[QueryRow, ...]
    """Results in the order of the list."""
    search: SearchRequest
    """Scope, depth and weights of every search; its text is empty."""
    notices: tuple[str, ...]
    """Sentences on what was left out."""
    total: int
    """Queries of the list. A run that was stopped or failed has fewer rows."""


def render_judgements(judged: Judgements, unreadable_lines: int = 0) -> str:
    """Return all current judgements by query, then the number of those that do not count. Empty without any event.

    unreadable_lines: lines of the journal that are no events.
    """
    entries = group_by_query(judged)
    if not entries and not judged.events:
        return ""
    items = "".join(map(_render_entry, entries[:MAX_OPEN_QUERIES]))
    more = len(entries) - MAX_LISTED_QUERIES
    rest = (
        f'<p class="quiet">{count_queries(more)} judged before these {"is" if more == 1 else "are"} in the export.</p>'
    )
    votes, grades = sum(entry.vote is not None for entry in entries), sum(len(entry.grades) for entry in entries)
    return (
        f'<section class="board-part is-single" aria-labelledby="board-single"><h3 id="board-single">Judgements</h3>'
        f'<div><p class="board-said">{count(votes, "vote")}, {count(grades, "grade")}.</p>'
        f'<ol class="judgements" aria-label="Judgements by query">{items}</ol>'
        f"{_render_earlier(entries[MAX_OPEN_QUERIES:MAX_LISTED_QUERIES])}"
        f"{rest if more > 0 else ''}"
        f"{_render_uncounted(judged, unreadable_lines)}</div></section>"
    )


def group_by_query(judged: Judgements) -> tuple[JudgedEntry, ...]:
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


def rebuild_request(trial: Trial) -> SearchRequest | None:
    """Return the request that repeats a trial's search in Compare, with its weights.

    None for an uploaded picture, which is no longer stored.
    """
    query, weights = trial.query, trial.weights
    if query.picture and not query.picture.startswith(REGION_PREFIX):
        return None
    scope = CHOICE_BY_SCOPES.get(trial.library.scopes, ON_SAMPLES)
    return parse_request(
        query.text, scope, trial.k, weights.pooled, weights.late, weights.reduce, weights.counted, query.picture
    )


def encode_request(request: SearchRequest) -> str:
    """Return a request as JSON, escaped for an attribute. The script sends it back."""
    return esc(json.dumps(request.fields))


def _render_earlier(entries: Sequence[JudgedEntry]) -> str:
    if not entries:
        return ""
    items = "".join(map(_render_entry, entries))
    return (
        f'<details class="judged-earlier"><summary>{count_queries(len(entries))} judged earlier</summary>'
        f'<ol class="judgements" aria-label="Earlier judgements by query">{items}</ol></details>'
    )


def _render_entry(entry: JudgedEntry) -> str:
    trial, request = entry.trial, rebuild_request(entry.trial)
    text = trial.query.text
    shown = bdi(text[:MAX_SHOWN_CHARS] + ("…" if len(text) > MAX_SHOWN_CHARS else "")) if text.strip() else "A picture"
    label = f"Open in Compare: {text[:80] or 'a picture'}"
    button = (
        f'<button type="button" class="quiet-link" data-reopen="{encode_request(request)}" aria-label="{esc(label)}">'
        "Open in Compare</button>"
        if request
        else '<span class="quiet">searched with a picture that is no longer stored</span>'
    )
    vote = _render_vote(entry.vote) if entry.vote else '<p class="judged-vote is-none">No vote</p>'
    setup = f"{trial.encoder.name}, {format_weights(trial.weights)}, first {trial.k}"
    return (
        f'<li class="judged"><p class="judged-query">{shown}</p><div class="judged-said">{vote}'
        f'{_render_grades(entry.grades.values())}<p class="judged-foot"><span>{esc(setup)}</span>{button}</p>'
        "</div></li>"
    )


def _render_vote(vote: Vote) -> str:
    side = "A" if vote.trial.sides.a == SMART.name else "B"
    if vote.choice is VoteChoice.TIE:
        key, sentence = "tie", f"Tie; SMART was {side}"
    elif vote.choice is VoteChoice.BAD:
        key, sentence = "bad", f"Both bad; SMART was {side}"
    elif vote.winner == SMART.name:
        key, sentence = "smart", f"SMART was better; it was {side}"
    else:
        key, sentence = "pooled", f"Pooled only was better; SMART was {side}"
    chips = "".join(f"<li>{esc(reason)}</li>" for reason in vote.reasons)
    reasons = f'<ul class="judged-reasons" aria-label="Reasons">{chips}</ul>' if chips else ""
    note = f'<p class="judged-note">{bdi(vote.note)}</p>' if vote.note.strip() else ""
    return f'<p class="judged-vote is-{key}">{sentence}</p>{reasons}{note}'


def _render_grades(grades: Iterable[Grade]) -> str:
    best_first = sorted(grades, key=lambda grade: -grade.grade)
    if not best_first:
        return ""
    items = "".join(
        f"<li><b>{grade.grade}</b> {bdi(grade.document)}, page {grade.page.number}</li>" for grade in best_first
    )
    return (
        f'<details class="judged-grades"><summary>{count(len(best_first), "grade")}</summary>'
        f'<ul aria-label="Grades">{items}</ul></details>'
    )


def _render_uncounted(judged: Judgements, unreadable_lines: int) -> str:
    """Return the numbers of stored judgements and lines that do not count."""
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
    listed = ", ".join(f"{number:,} {what}" for number, what in counts if number)
    return f'<p class="quiet">Not counted, but stored and in the export: {esc(listed)}.</p>' if listed else ""


def render_query_table(run: ListRun) -> str:
    """Return the results of a list: a summary, what was left out, the hidden highlights and the table."""
    summary = f'<p class="list-said" role="status">{esc(describe_run(run))}</p>'
    notices = "".join(f"<li>{esc(notice)}</li>" for notice in run.notices)
    if notices:
        summary += f'<ul class="list-notices" aria-label="What was left out">{notices}</ul>'
    rows = sorted_rows(run.rows)
    if not rows:
        return summary
    graded = any(row.pooled is not None for row in rows)
    selected = highlights(run.rows)
    picked = {highlight.comparison.key: highlight for highlight in selected}
    positions = {row.comparison.key: position for position, row in enumerate(run.rows)}
    body = "".join(
        _render_row(row, positions[row.comparison.key], picked.get(row.comparison.key), run.search, graded=graded)
        for row in rows
    )
    return (
        f"{summary}{_render_tools(len(rows), graded=graded)}"
        f"{_render_highlights(selected, run.search)}{_render_table(body, graded=graded)}"
        f'<p class="quiet">{esc(_legend(rows, graded=graded))}</p>'
    )


def describe_run(run: ListRun) -> str:
    """Return a sentence on how many queries were searched, and how."""
    setup = f"{run.search.scope}, {describe_formula(run.search.weights)}, the first {run.search.top} pages"
    done = f"{len(run.rows):,} of " if len(run.rows) < run.total else ""
    return f"{done}{count_queries(run.total)} searched: {setup}."


def _render_tools(number: int, *, graded: bool) -> str:
    filters = (*FILTERS, *(GRADED_FILTERS if graded else ()))
    options = "".join(f'<option value="{key}">{esc(label)}</option>' for key, label in filters)
    return (
        '<div class="list-tools"><button type="button" class="share-button is-main" data-list="five" '
        'aria-expanded="false" aria-controls="list-five">Find the five for my slide</button>'
        '<button type="button" class="share-button" data-list="csv">Download as CSV</button>'
        '<label class="list-find"><span>Find</span><input type="search" data-list="find" autocomplete="off"></label>'
        f'<label class="list-find"><span>Show</span><select data-list="show">{options}</select></label>'
        f'<output class="list-count" aria-live="polite" data-of="{number}">{number:,} shown</output></div>'
    )


def _render_highlights(selected: Sequence[Highlight], search: SearchRequest) -> str:
    items = "".join(_render_highlight(highlight, search) for highlight in selected)
    return (
        f'<section id="list-five" class="five" aria-label="Five for a slide" tabindex="-1" hidden>'
        f"<ol>{items}</ol></section>"
    )


def _render_highlight(highlight: Highlight, search: SearchRequest) -> str:
    kind, query = highlight.kind, highlight.comparison.query
    return (
        f'<li class="is-{kind}"><p class="five-title"><span aria-hidden="true">{HIGHLIGHT_MARKS[kind]}</span>'
        f'{esc(HIGHLIGHT_TITLES[kind])}</p><p class="five-query">{bdi(query)}</p>'
        f'<p class="five-why">{esc(highlight.sentence)}</p>{_render_open_button(query, search, "Open in Compare")}</li>'
    )


def _render_table(body: str, *, graded: bool) -> str:
    columns = (*COLUMNS, *(GRADED_COLUMNS if graded else ()))
    heads = "".join(_render_head(*column) for column in columns)
    return (
        '<div class="list-scroll" role="region" aria-label="Queries, most different rankings first" tabindex="0">'
        '<table class="list-table" role="table"><thead role="rowgroup"><tr role="row">'
        f"{_render_head('query', 'Query', '')}{heads}"
        '<th scope="col" role="columnheader" class="is-open"><span>Open</span></th></tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table></div>'
    )


def _render_head(key: str, label: str, title: str) -> str:
    order = "ascending" if key == "rbo" else "none"
    attribute = f' title="{esc(title)}"' if title else ""
    return (
        f'<th scope="col" role="columnheader" class="is-{key}" aria-sort="{order}"><button type="button" '
        f'data-sort="{key}"{attribute}>{esc(label)}</button></th>'
    )


def _render_row(row: QueryRow, position: int, picked: Highlight | None, search: SearchRequest, *, graded: bool) -> str:
    """Return a row of the table, with the values by which the script sorts and filters.

    position: index of the query in the list.
    picked: the highlight of this query, or None.
    """
    disagreement, query = row.comparison.disagreement, row.comparison.query
    values = {
        "place": position,
        "rbo": f"{disagreement.rbo:.9f}",
        "tau": "" if math.isnan(disagreement.tau) else f"{disagreement.tau:.9f}",
        "shared": disagreement.shared,
        "first": int(disagreement.new_first),
        "pooled": _sort_value(row.pooled),
        "smart": _sort_value(row.smart),
        "gain": _sort_value(row.comparison.ndcg_gain),
        "better": row.better,
        "five": int(picked is not None),
    }
    data = "".join(f' data-{key}="{value}"' for key, value in values.items())
    reason = f'<span class="list-why" hidden>{esc(picked.sentence)}</span>' if picked else ""
    qid = f'<span class="list-qid">{bdi(row.qid)}</span> ' if row.qid else ""
    vote = (
        f'<button type="button" class="quiet-link" data-vote="{position}" aria-label="Vote on: {esc(query[:80])}">'
        "Vote</button>"
    )
    cells = (
        _render_cell("rbo", "RBO", format_score(disagreement.rbo)),
        _render_cell("tau", "Kendall τ", format_score(disagreement.tau)),
        _render_cell("shared", "Shared", f"{disagreement.shared} of {disagreement.k}"),
        _render_cell("first", "First page", _render_first_pages(row)),
        *(_render_graded_cells(row) if graded else ()),
    )
    return (
        f'<tr role="row"{data}><th scope="row" role="rowheader" class="list-query">{qid}{bdi(query)}{reason}</th>'
        f'{"".join(cells)}<td role="cell" class="is-open">{_render_open_button(query, search, "Compare")}{vote}</td>'
        "</tr>"
    )


def _render_graded_cells(row: QueryRow) -> tuple[str, ...]:
    pooled, smart = (format_score(math.nan if value is None else value) for value in (row.pooled, row.smart))
    gain = row.comparison.ndcg_gain
    difference = "" if gain is None or row.better == "same" else f" {format_difference(gain)}"
    own = " <small>by your grades</small>" if row.own_grades and gain is not None else ""
    return (
        _render_cell("pooled", "nDCG pooled", pooled),
        _render_cell("smart", "nDCG SMART", smart),
        f'<td role="cell" class="is-gain of-{row.better or "none"}" data-head="Better">'
        f"{esc(BETTER_LABELS[row.better] + difference) or '–'}{own}</td>",
    )


def _render_first_pages(row: QueryRow) -> str:
    before, after = row.first_pages
    if not before and not after:
        return "–"
    if not row.comparison.disagreement.new_first:
        return f'<span class="quiet">stays</span> <small>{bdi(after)}</small>'
    change = f'{bdi(before or "nothing")} <span aria-label="to">→</span> {bdi(after or "nothing")}'
    return f"changes <small>{change}</small>"


def _render_cell(key: str, label: str, markup: str) -> str:
    return f'<td role="cell" class="is-{key}" data-head="{esc(label)}">{markup}</td>'


def _render_open_button(query: str, search: SearchRequest, label: str) -> str:
    return (
        f'<button type="button" class="quiet-link" data-reopen="{encode_request(replace(search, text=query))}" '
        f'aria-label="Open in Compare: {esc(query[:80])}">{esc(label)}</button>'
    )


def _sort_value(value: float | None) -> str:
    return "" if value is None else f"{value:.9f}"


def _legend(rows: Sequence[QueryRow], *, graded: bool) -> str:
    k = max(row.comparison.disagreement.k for row in rows)
    text = f"RBO, Kendall’s τ and shared pages are of the first {k} of both rankings; they do not say which is better."
    return f"{text} nDCG@{k} counts a page without a grade as not relevant." if graded else text
