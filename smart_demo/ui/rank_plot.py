"""A page's rank over the late weight: a line with its labels, and sentences about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from smart_demo.methods import Weights
from smart_demo.search.explain import MAX_LATE_WEIGHT, Sweep
from smart_demo.search.explain.explainer import Explanation
from smart_demo.ui.format import format_distinct_weight, format_weight
from smart_demo.ui.render import render
from smart_demo.wording import count

PLOT_WIDTH, PLOT_HEIGHT = 320, 150
LEFT, TOP, RIGHT, BOTTOM = 34, 10, 312, 126
"""Edges of the frame that the line stays in. Its labels are outside."""
MIN_LABEL_DISTANCE = 14.0
"""Minimum distance between two labels of ranks."""
MIN_LAST_RANK = 5
"""Minimum last rank of the axis, so that a change by one place does not fill it."""


@dataclass(frozen=True, slots=True)
class RankPlot:
    """The line of a page's rank over the late weight, in units of the drawing.

    First place is at the top. The axis of ranks is logarithmic, so that the first ten take half the height of a
    hundred: a reader looks at the first ranks, among 71 pages as among 2,000.
    """

    path: str
    """Path data of the line, for an SVG."""
    rank_labels: tuple[tuple[int, float], ...]
    """Labelled ranks with their y."""
    weight_labels: tuple[tuple[int, float], ...]
    """Labelled weights with their x."""
    marker: tuple[float, float] | None
    """Point of the weight in use, or None if the weight is beyond the axis."""


def render_rank_plot(explanation: Explanation) -> Markup:
    """Return the viewer's section on rank by late weight: a drawing and a sentence."""
    sweep, weights = explanation.sweep, explanation.attribution.weights
    if sweep is None:
        return render("rank_plot", pooled_weight=weights.pooled, plot=None)
    return render(
        "rank_plot",
        pooled_weight=weights.pooled,
        plot=plot_ranks(sweep, weights.late),
        width=PLOT_WIDTH,
        height=PLOT_HEIGHT,
        left=LEFT,
        top=TOP,
        right=RIGHT,
        bottom=BOTTOM,
        ranks=list_ranks(sweep),
        sentence=describe_ranks(sweep, explanation.first_place_weights, weights) + _describe_candidates(sweep),
    )


def plot_ranks(sweep: Sweep, late: float) -> RankPlot:
    """Return the plot of a sweep; `late` is the weight in use. The line steps midway between two weights."""
    last = max(int(sweep.ranks.max()), MIN_LAST_RANK)
    points = [(float(w), int(r)) for w, r in zip(sweep.late, sweep.ranks, strict=True) if w <= MAX_LATE_WEIGHT]
    path = f"M{weight_x(0):.1f},{rank_y(points[0][1], last):.1f}"
    for (before, rank), (after, next_rank) in pairwise(points):
        if rank != next_rank:
            path += f"H{weight_x((before + after) / 2):.1f}V{rank_y(next_rank, last):.1f}"
    nearest = min(points, key=lambda point: abs(point[0] - late))
    return RankPlot(
        path=f"{path}H{weight_x(MAX_LATE_WEIGHT):.1f}",
        rank_labels=tuple((rank, rank_y(rank, last)) for rank in choose_rank_labels(last)),
        weight_labels=tuple((weight, weight_x(weight)) for weight in range(int(MAX_LATE_WEIGHT) + 1)),
        marker=(weight_x(late), rank_y(nearest[1], last)) if late <= MAX_LATE_WEIGHT else None,
    )


def weight_x(weight: float) -> float:
    """Return the x of a late weight."""
    return LEFT + weight / MAX_LATE_WEIGHT * (RIGHT - LEFT)


def rank_y(rank: int, last: int) -> float:
    """Return the y of a rank on an axis from 1 to `last`."""
    return TOP + math.log(rank) / math.log(last) * (BOTTOM - TOP)


def choose_rank_labels(last: int) -> tuple[int, ...]:
    """Return the first rank, the last, and round ranks between them at least MIN_LABEL_DISTANCE apart.

    >>> choose_rank_labels(71), choose_rank_labels(5), choose_rank_labels(2000)
    ((1, 2, 5, 10, 20, 71), (1, 2, 3, 5), (1, 5, 20, 100, 500, 2000))
    """
    round_ranks = [2, 3] if last < 10 else [step * 10**power for power in range(5) for step in (1, 2, 5)]
    labels = [1]
    for rank in round_ranks:
        distance = min(abs(rank_y(rank, last) - rank_y(other, last)) for other in (labels[-1], last))
        if labels[-1] < rank < last and distance >= MIN_LABEL_DISTANCE:
            labels.append(rank)
    return (*labels, last)


def describe_ranks(sweep: Sweep, first_place: tuple[float, float] | None, weights: Weights) -> str:
    """Return the page's rank at weight 0, the weights between which it is first, and its rank under `weights`."""
    now = f" Now, at {format_weight(weights.late)}: place {_rank_at(sweep, weights.late)}."
    ranks = sweep.ranks[sweep.late <= MAX_LATE_WEIGHT]
    start, end = int(ranks[0]), int(ranks[-1])
    if not weights.pooled:
        return f"At a pooled weight of 0 the late part alone ranks: place {end} at any late weight."
    if len(set(ranks.tolist())) == 1:
        return f"{'First' if start == 1 else f'Place {start}'} at every late weight from 0 to {MAX_LATE_WEIGHT:g}."
    bounds = _first_place_bounds(first_place)
    if not bounds:
        return f"{_describe_never_first(sweep, start, end)}{now}"
    lower, upper = bounds
    if lower and upper:
        first = f"first from {lower} to {upper}"
    elif lower:
        first = f"first from {lower} on"
    else:
        first = f"first up to {upper}" if upper else "first from there on"
    parts = [first] if start == 1 and not lower else [f"place {start} at weight 0", first]
    parts += [f"place {end} at weight {MAX_LATE_WEIGHT:g}"] if upper else []
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}.{now}"


def list_ranks(sweep: Sweep) -> str:
    """Return the page's rank at every whole weight, as the drawing's text for screen readers."""
    ranks = ", ".join(f"{_rank_at(sweep, late)} at {late}" for late in range(int(MAX_LATE_WEIGHT) + 1))
    return f"Place for late weights from 0 to {MAX_LATE_WEIGHT:g}: {ranks}."


def _describe_never_first(sweep: Sweep, start: int, end: int) -> str:
    """Return the ranks of a page that is first at no weight but perhaps 0."""
    on_axis = sweep.late <= MAX_LATE_WEIGHT
    best = int(sweep.ranks[on_axis].min())
    if start == 1:
        return f"First at weight 0 alone; place {end} at weight {MAX_LATE_WEIGHT:g}."
    text = f"Place {start} at weight 0, place {end} at weight {MAX_LATE_WEIGHT:g}"
    if best < min(start, end):
        text += f", at best place {best} at {format_weight(float(sweep.late[on_axis][sweep.ranks[on_axis].argmin()]))}"
    return f"{text}; never first."


def _first_place_bounds(first_place: tuple[float, float] | None) -> tuple[str, str] | None:
    """Return the weights between which a page is first, or None if it is first at no weight of the slider.

    A bound at 0 or beyond the slider's end is an empty text.
    """
    if first_place is None or first_place[0] >= MAX_LATE_WEIGHT:
        return None
    start, end = first_place
    lower = format_distinct_weight(start, end) if start else ""
    return lower, format_distinct_weight(end, start) if end < MAX_LATE_WEIGHT else ""


def _rank_at(sweep: Sweep, late: float) -> int:
    return int(sweep.ranks[abs(sweep.late - late).argmin()])


def _describe_candidates(sweep: Sweep) -> str:
    """Return how many pages each weight ranks, or an empty text if every weight ranks all."""
    if sweep.candidates == sweep.pages:
        return ""
    scored = f"any other weight the {sweep.candidates:,} scored token by token"
    return f" Weight 0 ranks all {count(sweep.pages, 'page')}, {scored}."
