"""The results of a list of queries under Queries: a summary, the highlights for a slide and the table.

Queries and names may come from any imported file, and the template escapes them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from markupsafe import Markup

from smart_demo.judging.list_comparison import QueryComparison, select_highlights, sort_by_disagreement
from smart_demo.search.request import SearchRequest
from smart_demo.ui.compare import describe_formula
from smart_demo.ui.render import render
from smart_demo.wording import count_queries


@dataclass(frozen=True)
class ListRun:
    """The results of one run of a list."""

    rows: tuple[QueryComparison, ...]
    """Results in the order of the list."""
    search: SearchRequest
    """Scope, depth and weights of every search; its text is empty."""
    notices: tuple[str, ...]
    """Sentences on what was left out."""
    total: int
    """Queries of the list. A run that was stopped or failed has fewer rows."""


def render_query_table(run: ListRun) -> Markup:
    """Return the results of a list: a summary, what was left out, the hidden highlights and the table."""
    selected = select_highlights(run.rows)
    picked = {highlight.comparison.key for highlight in selected}
    return render(
        "query_table",
        summary=describe_run(run),
        notices=run.notices,
        rows=sort_by_disagreement(run.rows),
        highlights=selected,
        requests={found.key: replace(run.search, text=found.query) for found in run.rows},
        sort_values={row.key: _sort_values(row, place, picked=row.key in picked) for place, row in enumerate(run.rows)},
        graded=any(row.pooled is not None for row in run.rows),
        k=max((found.disagreement.k for found in run.rows), default=0),
    )


def describe_run(run: ListRun) -> str:
    """Return a sentence on how many queries were searched, and how."""
    setup = f"{run.search.scope}, {describe_formula(run.search.weights)}, the first {run.search.top} pages"
    done = f"{len(run.rows):,} of " if len(run.rows) < run.total else ""
    return f"{done}{count_queries(run.total)} searched: {setup}."


def _sort_values(row: QueryComparison, place: int, *, picked: bool) -> dict[str, object]:
    """Return the values by which the script sorts and filters a row.

    place: index of the query in the list.
    picked: whether the query is a highlight.
    """
    disagreement = row.disagreement
    return {
        "place": place,
        "rbo": _sort_key(disagreement.rbo),
        "tau": _sort_key(disagreement.tau),
        "shared": disagreement.shared,
        "first": int(disagreement.new_first),
        "pooled": _sort_key(row.pooled),
        "smart": _sort_key(row.smart),
        "gain": _sort_key(row.ndcg_gain),
        "better": row.better,
        "five": int(picked),
    }


def _sort_key(value: float | None) -> str:
    """Return a number as the script parses it, or an empty text for None and NaN."""
    return "" if value is None or math.isnan(value) else f"{value:.9f}"
