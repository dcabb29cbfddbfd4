"""Explanations for the viewer's script: a page's score by words, heat maps over the page, and its rank by late weight.

Answers are plain values that the script sets as text, and one piece of markup without any text from outside. Similarity
is not a reason, so no sentence here says "because" or "attention".
"""

from __future__ import annotations

import base64
import math
import re
from dataclasses import asdict, dataclass
from itertools import pairwise

from smart_demo.errors import InputRefused, LibraryError
from smart_demo.search import explain
from smart_demo.search.explain import MAX_ALPHA, MAX_LATE_WEIGHT, ColourRange, PageMap, Sweep, Term
from smart_demo.search.explain.explainer import Explanation, Pairing
from smart_demo.search.request import SearchRequest, parse_request_fields
from smart_demo.types import Scope, TokenKind, Weights
from smart_demo.ui.events import answer_or_error
from smart_demo.ui.format import esc, format_distinct_weight, format_score, format_weight
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.pair_view import (
    KIND_NAMES,
    describe_location,
    describe_pair,
    describe_unplaced_winner,
    label_term,
    select_informative_terms,
)
from smart_demo.wording import count

FAILURE = "a page could not be explained"
"""Log line of an unexpected exception."""
MAX_INITIAL_CHIPS, MAX_CHIPS = 16, 160
"""Maximum number of words shown at once, and after "show all"."""
PLOT_WIDTH, PLOT_HEIGHT = 320.0, 150.0
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 34.0, 8.0, 10.0, 24.0
"""Space around the line for its labels."""
MIN_LABEL_DISTANCE = 14.0
"""Minimum distance between two labels of ranks."""
MIN_LAST_RANK = 5
"""Minimum last rank of the axis, so that a change by one place does not fill it."""


class ExplainHandlers:
    """Explanations of one app's pages. Every argument is validated, because any client can call these methods."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    def explain(self, request: object) -> dict[str, object]:
        """Return the words of a search and what each adds to a page's score, or `{"sentence": …}`."""
        return answer_or_error(lambda: describe_explanation(self._explanation(request)), FAILURE)

    def overlay(self, request: object) -> dict[str, object]:
        """Return one map to lay over the page, with its legend, or `{"sentence": …}`."""
        return answer_or_error(lambda: build_overlay(self._explanation(request), _field(request, "view")), FAILURE)

    def pair(self, request: object) -> dict[str, object]:
        """Return the comparison of `page` with `other`, or `{"sentence": …}`.

        If `other` is missing, it is the page that explains most of the move of `page`.
        """
        return answer_or_error(lambda: describe_pair(self._pairing(request)), FAILURE)

    def _explanation(self, request: object) -> Explanation:
        search, scopes = self._search(request)
        page, query = self._handlers.resolve_page(_field(request, "page")), self._handlers.build_query(search)
        return self._handlers.engine.explain(query, scopes, page, search.weights, search.top)

    def _pairing(self, request: object) -> Pairing:
        search, scopes = self._search(request)
        page, other_key = self._handlers.resolve_page(_field(request, "page")), _field(request, "other")
        other = self._handlers.resolve_page(other_key) if other_key else None
        query = self._handlers.build_query(search)
        return self._handlers.engine.pair(query, scopes, page, other, search.weights, search.top)

    def _search(self, request: object) -> tuple[SearchRequest, tuple[Scope, ...]]:
        """Return the answered search and its scopes. Raises LibraryError if the scopes' model is still loading."""
        search = parse_request_fields(_field(request, "asked"))
        scopes = self._handlers.resolve_scopes(search.scope)
        if self._handlers.is_model_loading(scopes):
            raise LibraryError("That page cannot be shown here.")
        return search, scopes


def _field(request: object, name: str) -> object:
    if not isinstance(request, dict):
        raise InputRefused("That is not a search request.")
    return request.get(name)


def describe_explanation(explanation: Explanation) -> dict[str, object]:
    """Return chips of the query's words and its picture, in the query's order, and the markup below them."""
    attribution = explanation.attribution
    initial = select_informative_terms(attribution.terms)[:MAX_INITIAL_CHIPS]
    largest = max((abs(term.contribution) for term in attribution.terms), default=0.0) or 1.0
    chips = [
        {
            "view": f"term-{number}",
            "label": label_term(term),
            "adds": format_contribution(term.contribution),
            "similarity": format_score(term.similarity),
            "fill": round(abs(term.contribution) / largest, 3),
            "more": number not in initial,
        }
        for number, term in enumerate(attribution.terms[:MAX_CHIPS])
    ]
    return {
        "chips": chips,
        "left_out": max(0, len(attribution.terms) - MAX_CHIPS),
        "anatomy": render_anatomy(explanation) + render_rank_plot(explanation),
    }


def format_contribution(value: float) -> str:
    """Return a contribution to three decimals with its sign; zero has none.

    >>> format_contribution(0.0312), format_contribution(-0.2), format_contribution(0.0)
    ('+0.031', '−0.200', '0.000')
    """
    text = format_score(value)
    return text if text.startswith("−") or not float(text) else f"+{text}"


def build_overlay(explanation: Explanation, view: object) -> dict[str, object]:
    """Return the map `query`, `winners` or `term-N`. Raises InputRefused if `view` is anything else."""
    if view == "query":
        page_map = explain.whole_query_map(explanation.attribution.match)
        caption = f"Best similarity to {_describe_query_tokens(explanation)}"
        return _map_fields(explanation, page_map, explanation.similarity, caption)
    if view == "winners":
        return _winners_overlay(explanation)
    number = re.fullmatch(r"term-([0-9]{1,3})", view) if isinstance(view, str) else None
    terms = explanation.attribution.terms[:MAX_CHIPS]
    if number is None or int(number[1]) >= len(terms):
        raise InputRefused("There is no such map.")
    return _term_overlay(explanation, terms[int(number[1])])


def _describe_query_tokens(explanation: Explanation) -> str:
    """Return which tokens the map of the whole query joins."""
    kinds = explanation.attribution.match.query.kinds
    if TokenKind.PATCH not in kinds:
        return "any word of the query"
    return "any word or part of the picture" if TokenKind.CONTENT in kinds else "any part of the picture"


def _term_overlay(explanation: Explanation, term: Term) -> dict[str, object]:
    page_map = explain.similarity_map(explanation.attribution.match, term.tokens)
    fields = _map_fields(explanation, page_map, explanation.similarity, f"Similarity to “{label_term(term)}”")
    if page_map.shown.size:
        fields["best"] = format_score(float(page_map.shown.max()))
    if not term.winner.placed:
        winner = describe_unplaced_winner(term)
        closest = " The closest place is outlined; it did not win." if fields["outline"] else ""
        fields |= {"note": f"{winner}{closest} {fields['note']}".strip(), "won": False}
    return fields


def _winners_overlay(explanation: Explanation) -> dict[str, object]:
    """Return the map of winners. The places that it draws and the remainder in its note add up to the late part."""
    attribution = explanation.attribution
    winners = explain.winner_map(attribution)
    fields = _map_fields(explanation, winners.map, explanation.contribution, "What each place adds to the score")
    if not attribution.late:
        return fields | {"note": "The late part adds nothing here, so no place does."}
    elsewhere = sum(term.contribution for term in winners.remainder)
    on_page = attribution.late - elsewhere
    note = f"All of the late part, {format_score(attribution.late)}, was won by places on the page."
    if winners.remainder:
        kinds = ", ".join(dict.fromkeys(KIND_NAMES[term.winner.kind] for term in winners.remainder))
        note = (
            f"Places on the page won {format_score(on_page)} of the late part, {format_score(attribution.late)}; "
            f"{format_score(elsewhere)} was won by tokens without a place on it: {kinds}."
        )
    return fields | {"note": note}


def _map_fields(explanation: Explanation, page_map: PageMap, colours: ColourRange, caption: str) -> dict[str, object]:
    """Return picture, legend and the outline of the best place. A map without a clear location is not drawn."""
    fields: dict[str, object] = {
        "picture": "",
        "outline": None,
        "won": True,
        "caption": caption,
        "best": "",
        "note": "",
        "low": format_score(colours.low),
        "high": format_score(colours.high),
        "bar": legend_gradient(),
        "alt": f"{caption}: no clear location.",
    }
    best = page_map.best
    if best is None or page_map.flat:
        return fields | {"note": "No clear location: no place stands out from the rest of the page."}
    box, cell = best
    page = explanation.page
    picture = explain.encode_webp(explain.draw_map(page_map, colours, aspect=page.width / max(page.height, 1)))
    return fields | {
        "picture": f"data:image/webp;base64,{base64.b64encode(picture).decode('ascii')}",
        "outline": list(asdict(box).values()),
        "alt": f"{caption}: strongest {describe_location(explanation.attribution, box, cell)}.",
    }


def legend_gradient() -> str:
    """Return the colours of the maps, as they look on white paper, as a CSS gradient."""
    colours = explain.viridis()[::15].tolist()
    last = len(colours) - 1
    stops = (f"rgb({r} {g} {b} / {n / last * MAX_ALPHA:.3f})" for n, (r, g, b) in enumerate(colours))
    return f"linear-gradient(90deg, {', '.join(stops)})"


def render_anatomy(explanation: Explanation) -> str:
    """Return the parts of the score, and the late part by kind of the winning page tokens."""
    attribution = explanation.attribution
    whole = max(attribution.pooled, 0.0) + max(attribution.late, 0.0) or 1.0
    widths = [max(part, 0.0) / whole * 100 for part in (attribution.pooled, attribution.late)]
    note = "" if explanation.scored else "<p>Computed for this view: the search did not reach it token by token.</p>"
    kinds = "".join(
        f"<div><dt>{esc(KIND_NAMES[kind])}</dt><dd>{attribution.share(kind) * 100:.0f} %</dd>"
        f'<dd class="anatomy-number">{format_contribution(value)}</dd></div>'
        for kind, value in sorted(attribution.by_kind.items(), key=lambda pair: -pair[1])
        if value
    )
    return (
        '<section class="anatomy" aria-label="Score anatomy"><h3>Score anatomy</h3>'
        f'<div class="anatomy-bar" aria-hidden="true"><i class="of-pooled" style="width:{widths[0]:.2f}%"></i>'
        f'<i class="of-late" style="width:{widths[1]:.2f}%"></i></div>'
        f'<p class="anatomy-sum"><span class="of-pooled">pooled part {format_score(attribution.pooled)}</span> '
        f'<span class="of-late">late part {format_score(attribution.late)}</span></p>{note}'
        + (f'<h4>The late part was won by</h4><dl class="anatomy-kinds">{kinds}</dl>' if kinds else "")
        + "</section>"
    )


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


def render_rank_plot(explanation: Explanation) -> str:
    """Return the viewer's section on rank by late weight: a drawing and a sentence."""
    sweep, weights = explanation.sweep, explanation.attribution.weights
    if sweep is None:
        body = "<p>No line: the search did not reach this page token by token, so SMART has no place for it.</p>"
    else:
        text = f"{describe_ranks(sweep, explanation.first_place_weights, weights)}{_describe_candidates(sweep)}"
        body = f"{_render_svg(plot_ranks(sweep, weights.late), list_ranks(sweep))}<p>{esc(text)}</p>"
    return (
        '<section class="rank-plot" aria-label="Place by late weight"><h3>Place by late weight</h3>'
        f'<p class="rank-plot-at">At the pooled weight in use, {format_weight(weights.pooled)}</p>{body}</section>'
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
    return MARGIN_LEFT + weight / MAX_LATE_WEIGHT * (PLOT_WIDTH - MARGIN_LEFT - MARGIN_RIGHT)


def rank_y(rank: int, last: int) -> float:
    """Return the y of a rank on an axis from 1 to `last`."""
    return MARGIN_TOP + math.log(rank) / math.log(last) * (PLOT_HEIGHT - MARGIN_TOP - MARGIN_BOTTOM)


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
    return f"Place by SMART for late weights from 0 to {MAX_LATE_WEIGHT:g}: {ranks}."


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


def _render_svg(plot: RankPlot, alternative: str) -> str:
    right, bottom = PLOT_WIDTH - MARGIN_RIGHT, PLOT_HEIGHT - MARGIN_BOTTOM
    rules = "".join(
        f'<path class="rank-rule" d="M{MARGIN_LEFT:.1f},{y:.1f}H{right:.1f}"/>' for _, y in plot.rank_labels
    )
    ranks = "".join(
        f'<text x="{MARGIN_LEFT - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{rank}</text>'
        for rank, y in plot.rank_labels
    )
    weights = "".join(
        f'<text x="{x:.1f}" y="{PLOT_HEIGHT - 6:.1f}" text-anchor="middle">{weight}</text>'
        for weight, x in plot.weight_labels
    )
    marker = ""
    if plot.marker:
        x, y = plot.marker
        marker = (
            f'<path class="rank-now" d="M{x:.1f},{MARGIN_TOP:.1f}V{bottom:.1f}"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
        )
    return (
        f'<svg viewBox="0 0 {PLOT_WIDTH:g} {PLOT_HEIGHT:g}" role="img" aria-label="{esc(alternative)}">{rules}'
        f'{ranks}{weights}<path class="rank-steps" d="{plot.path}"/>{marker}</svg>'
    )
