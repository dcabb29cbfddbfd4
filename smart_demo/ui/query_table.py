"""Markup of a list of queries that was run: five for a slide, and every query by how much its rankings differ.

Sorting, filtering and the five are `queries.js`'s; what it needs stands in the rows. Queries come from anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from smart_demo.judging.list_comparison import Highlight, Row, Shows, five, sorted_rows
from smart_demo.search.request import Asked
from smart_demo.types import POOLED, SMART
from smart_demo.ui.judgement_list import reopening
from smart_demo.ui.scoreboard_panel import signed
from smart_demo.ui.wording import esc, name, score

TITLES = {
    Shows.LOSS: "SMART loses",
    Shows.GAIN: "SMART wins",
    Shows.RISE: "A page rises",
    Shows.FALL: "A page falls",
    Shows.UNCHANGED: "Nothing changes",
    Shows.DIFFERENT: "The rankings differ",
}
MARKS = {Shows.LOSS: "▼", Shows.GAIN: "▲", Shows.RISE: "↑", Shows.FALL: "↓", Shows.UNCHANGED: "=", Shows.DIFFERENT: "≠"}
BETTER = {SMART.name: "SMART", POOLED.name: "Pooled only", "same": "the same", "": ""}
COLUMNS = (
    ("rbo", "RBO", "Rank-biased overlap of both rankings: 1 is the same"),
    ("tau", "Kendall τ", "Kendall’s tau on the union of both: 1 is the same order, −1 the opposite"),
    ("shared", "Shared", "Pages in both"),
    ("first", "First page", "Whether another page comes first"),
)
JUDGED = (
    ("pooled", "nDCG pooled", "Of the pooled ranking, by the grades known"),
    ("smart", "nDCG SMART", "Of the SMART ranking, by the grades known"),
    ("gain", "Better", "Whose nDCG is higher, and by how much"),
)
"""Columns for lists of which grades are known."""
FILTERS = (("all", "All queries"), ("first", "First page changes"), ("five", "The five"))
FILTERS_JUDGED = (("smart", "SMART is better"), ("pooled", "SMART is worse"))


@dataclass(frozen=True, slots=True)
class Shown:
    """A run as its table shows it."""

    rows: Sequence[Row]
    search: Asked
    """How every query was asked; its text is empty."""
    notices: Sequence[str]
    said: str
    """What was run, in one sentence."""


def query_table(shown: Shown) -> str:
    """The five, hidden until they are asked for, and the table."""
    rows = sorted_rows(shown.rows)
    notices = "".join(f"<li>{esc(one)}</li>" for one in shown.notices)
    notes = f'<ul class="list-notices" aria-label="What was left out">{notices}</ul>' if notices else ""
    if not rows:
        return f'<p class="list-said" role="status">{esc(shown.said)}</p>{notes}'
    judged = any(row.pooled is not None for row in rows)
    picked = {one.contrast.key: one for one in five(shown.rows)}
    places = {row.contrast.key: number for number, row in enumerate(shown.rows)}
    body = "".join(
        _row(row, places[row.contrast.key], picked.get(row.contrast.key), shown.search, judged=judged) for row in rows
    )
    return (
        f'<p class="list-said" role="status">{esc(shown.said)}</p>{notes}{_tools(len(rows), judged=judged)}'
        f"{_five(shown)}{_table(body, judged=judged)}"
        f'<p class="quiet">{esc(_legend(rows, judged=judged))}</p>'
    )


def _tools(number: int, *, judged: bool) -> str:
    filters = (*FILTERS, *(FILTERS_JUDGED if judged else ()))
    options = "".join(f'<option value="{key}">{esc(label)}</option>' for key, label in filters)
    return (
        '<div class="list-tools"><button type="button" class="share-button is-main" data-list="five" '
        'aria-expanded="false" aria-controls="list-five">Find the five for my slide</button>'
        '<button type="button" class="share-button" data-list="csv">Download as CSV</button>'
        '<label class="list-find"><span>Find</span><input type="search" data-list="find" autocomplete="off"></label>'
        f'<label class="list-find"><span>Show</span><select data-list="show">{options}</select></label>'
        f'<output class="list-count" aria-live="polite" data-of="{number}">{number:,} shown</output></div>'
    )


def _five(shown: Shown) -> str:
    items = "".join(_highlight(one, shown.search) for one in five(shown.rows))
    return (
        f'<section id="list-five" class="five" aria-label="Five for a slide" tabindex="-1" hidden>'
        f"<ol>{items}</ol></section>"
    )


def _highlight(one: Highlight, search: Asked) -> str:
    query = one.contrast.query
    return (
        f'<li class="is-{one.shows}"><p class="five-title"><span aria-hidden="true">{MARKS[one.shows]}</span>'
        f'{esc(TITLES[one.shows])}</p><p class="five-query">{name(query)}</p>'
        f'<p class="five-why">{esc(one.sentence)}</p>{_open(query, search, "Open in Compare")}</li>'
    )


def _table(body: str, *, judged: bool) -> str:
    columns = (*COLUMNS, *(JUDGED if judged else ()))
    heads = "".join(_head(*column) for column in columns)
    return (
        '<div class="list-scroll" role="region" aria-label="Queries, most different rankings first" tabindex="0">'
        f'<table class="list-table" role="table"><thead role="rowgroup"><tr role="row">{_head("query", "Query", "")}'
        f'{heads}<th scope="col" role="columnheader" class="is-open"><span>Open</span></th></tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table></div>'
    )


def _head(key: str, label: str, said: str) -> str:
    order = "ascending" if key == "rbo" else "none"
    title = f' title="{esc(said)}"' if said else ""
    return (
        f'<th scope="col" role="columnheader" class="is-{key}" aria-sort="{order}"><button type="button" '
        f'data-sort="{key}"{title}>{esc(label)}</button></th>'
    )


def _row(row: Row, place: int, picked: Highlight | None, search: Asked, *, judged: bool) -> str:
    told, query = row.contrast.disagreement, row.contrast.query
    values = {
        "place": place,
        "rbo": f"{told.rbo:.9f}",
        "tau": "" if math.isnan(told.tau) else f"{told.tau:.9f}",
        "shared": told.shared,
        "first": int(told.new_first),
        "pooled": _value(row.pooled),
        "smart": _value(row.smart),
        "gain": _value(row.contrast.gain),
        "better": row.better,
        "five": int(picked is not None),
    }
    data = "".join(f' data-{key}="{value}"' for key, value in values.items())
    why = f'<span class="list-why" hidden>{esc(picked.sentence)}</span>' if picked else ""
    qid = f'<span class="list-qid">{name(row.qid)}</span> ' if row.qid else ""
    vote = (
        f'<button type="button" class="quiet-link" data-vote="{place}" aria-label="Vote on: {esc(query[:80])}">'
        "Vote</button>"
    )
    cells = (
        _cell("rbo", "RBO", score(told.rbo)),
        _cell("tau", "Kendall τ", score(told.tau)),
        _cell("shared", "Shared", f"{told.shared} of {told.k}"),
        _cell("first", "First page", _first(row)),
        *(_judged(row) if judged else ()),
    )
    return (
        f'<tr role="row"{data}><th scope="row" role="rowheader" class="list-query">{qid}{name(query)}{why}</th>'
        f'{"".join(cells)}<td role="cell" class="is-open">{_open(query, search, "Compare")}{vote}</td></tr>'
    )


def _judged(row: Row) -> tuple[str, ...]:
    pooled, smart = (score(math.nan if value is None else value) for value in (row.pooled, row.smart))
    gain = row.contrast.gain
    said = "" if gain is None else BETTER[row.better] + (f" {signed(gain)}" if row.better != "same" else "")
    own = " <small>by your grades</small>" if row.own and gain is not None else ""
    return (
        _cell("pooled", "nDCG pooled", pooled),
        _cell("smart", "nDCG SMART", smart),
        f'<td role="cell" class="is-gain of-{row.better or "none"}" data-head="Better">{esc(said) or "–"}{own}</td>',
    )


def _first(row: Row) -> str:
    before, after = row.first
    if not before and not after:
        return "–"
    if not row.contrast.disagreement.new_first:
        return f'<span class="quiet">stays</span> <small>{name(after)}</small>'
    way = f'{name(before or "nothing")} <span aria-label="to">→</span> {name(after or "nothing")}'
    return f"changes <small>{way}</small>"


def _cell(key: str, label: str, markup: str) -> str:
    return f'<td role="cell" class="is-{key}" data-head="{esc(label)}">{markup}</td>'


def _open(query: str, search: Asked, label: str) -> str:
    wanted = replace(search, text=query)
    return (
        f'<button type="button" class="quiet-link" data-reopen="{reopening(wanted)}" '
        f'aria-label="Open in Compare: {esc(query[:80])}">{esc(label)}</button>'
    )


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.9f}"


def _legend(rows: Sequence[Row], *, judged: bool) -> str:
    k = max(row.contrast.disagreement.k for row in rows)
    said = f"RBO, Kendall’s τ and shared pages are of the first {k} of both rankings; they do not say which is better."
    return f"{said} nDCG@{k} counts a page without a grade as not relevant." if judged else said
