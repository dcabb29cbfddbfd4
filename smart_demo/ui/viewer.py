"""Words that say little of where to look: their chips stand behind "show all". They count in the score as any other.

A page's rank over the late weight -> a step line in a drawing's own units. Pure geometry; no words, no markup.

How a page's rank hangs on the late weight: a small drawing, and the same in a sentence. Every word in it is ours.

Explanations -> what the viewer shows: plain values for its script, which sets them as text, and one piece of markup.

Similarity is not a reason, so nothing here says "because" or "attention".
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

from smart_demo.errors import InputRefused
from smart_demo.search import explain
from smart_demo.search.explain import MAX_ALPHA, MAX_LATE_WEIGHT, Attribution, Cell, ColourRange, PageMap, Sweep, Term
from smart_demo.search.explain.explainer import Explanation
from smart_demo.search.request import SearchRequest
from smart_demo.types import Box, TokenGrid, TokenKind, Weights
from smart_demo.ui.cards import format_distinct_weight, format_weight
from smart_demo.ui.format import esc, format_score, strip_unprintable
from smart_demo.wording import count

ENGLISH = """
a about all am an and any are as at be been being but by can could did do does doing for from had has have he her here
him his how i if in into is it its me my no not of off on or our out over she should so some such than that the their
them then there these they this those to under up us was we were what when where which who whom whose why will with
would you your
"""
GERMAN = """
aber alle als am an auf aus bei bin bis da dann das dem den der des die ein eine einem einen einer es für hat ich ihr
im in ist ja kann man mein mit nach nicht noch nur ob oder sein sich sie sind so über um und von vor was wenn wer wie
wir wird wo zu zum zur
"""
SPANISH = """
al como con cuando cuál de del dónde el ella en es esta este hay la las lo los me mi no o para por que qué se si sin son
su un una y
"""
STOPWORDS = frozenset(f"{ENGLISH} {GERMAN} {SPANISH}".split())
"""In lower case, of the languages of the sample library."""

WIDTH, HEIGHT = 320.0, 150.0
LEFT, RIGHT, TOP, BOTTOM = 34.0, 8.0, 10.0, 24.0
"""Room around the line, for its labels."""
APART = 14.0
"""Between two labels of ranks, at least."""
FEWEST = 5
"""Ranks that the axis spans at least: one place up or down is no cliff."""


@dataclass(frozen=True, slots=True)
class RankLine:
    """First place is at the top; ranks stand on a logarithmic axis, where the first ten are half the height of a
    hundred: that is where a reader looks, among 71 pages as among 2,000.
    """

    path: str
    """Of an SVG."""
    ranks: tuple[tuple[int, float], ...]
    """Labelled ranks, and how far down."""
    weights: tuple[tuple[int, float], ...]
    """Labelled weights, and how far right."""
    now: tuple[float, float] | None
    """Where the weight in use lies on the line; None where it lies beyond."""


def rank_line(sweep: Sweep, late: float) -> RankLine:
    """The line of a sweep, in which `late` is the weight in use. Between two weights it steps midway."""
    worst = max(int(sweep.ranks.max()), FEWEST)
    points = [(float(w), int(r)) for w, r in zip(sweep.late, sweep.ranks, strict=True) if w <= MAX_LATE_WEIGHT]
    path = f"M{across(0):.1f},{down(points[0][1], worst):.1f}"
    for (before, rank), (after, next_rank) in pairwise(points):
        if rank != next_rank:
            path += f"H{across((before + after) / 2):.1f}V{down(next_rank, worst):.1f}"
    nearest = min(points, key=lambda point: abs(point[0] - late))
    return RankLine(
        path=f"{path}H{across(MAX_LATE_WEIGHT):.1f}",
        ranks=tuple((rank, down(rank, worst)) for rank in ticks(worst)),
        weights=tuple((weight, across(weight)) for weight in range(int(MAX_LATE_WEIGHT) + 1)),
        now=(across(late), down(nearest[1], worst)) if late <= MAX_LATE_WEIGHT else None,
    )


def across(weight: float) -> float:
    """How far right a weight stands."""
    return LEFT + weight / MAX_LATE_WEIGHT * (WIDTH - LEFT - RIGHT)


def down(rank: int, worst: int) -> float:
    """How far down a rank stands on an axis that ends at the worst."""
    return TOP + math.log(rank) / math.log(worst) * (HEIGHT - TOP - BOTTOM)


def ticks(worst: int) -> tuple[int, ...]:
    """First place, the last, and round ranks between them that leave each other room.

    >>> ticks(71), ticks(5), ticks(2000)
    ((1, 2, 5, 10, 20, 71), (1, 2, 3, 5), (1, 5, 20, 100, 500, 2000))
    """
    round_ones = [2, 3] if worst < 10 else [step * 10**power for power in range(5) for step in (1, 2, 5)]
    shown = [1]
    for rank in round_ones:
        room = min(abs(down(rank, worst) - down(other, worst)) for other in (shown[-1], worst))
        if shown[-1] < rank < worst and room >= APART:
            shown.append(rank)
    return (*shown, worst)


def section(explanation: Explanation) -> str:
    """The viewer's part below the score's anatomy. Markup."""
    ranks, weights = explanation.sweep, explanation.attribution.weights
    if ranks is None:
        body = "<p>No line: the search did not reach this page token by token, so SMART has no place for it.</p>"
    else:
        said = f"{sentence(ranks, explanation.first_place_weights, weights)}{_reached(ranks)}"
        body = f"{_drawing(rank_line(ranks, weights.late), spoken(ranks))}<p>{esc(said)}</p>"
    return (
        '<section class="rank-plot" aria-label="Place by late weight"><h3>Place by late weight</h3>'
        f'<p class="rank-plot-at">At the pooled weight in use, {format_weight(weights.pooled)}</p>{body}</section>'
    )


def sentence(ranks: Sweep, leads: tuple[float, float] | None, weights: Weights) -> str:
    """Where the page stands at weight 0, between which weights it is first, and where it stands now."""
    now = f" Now, at {format_weight(weights.late)}: place {_at(ranks, weights.late)}."
    places = ranks.ranks[ranks.late <= MAX_LATE_WEIGHT]
    start, end = int(places[0]), int(places[-1])
    if not weights.pooled:
        return f"At a pooled weight of 0 the late part alone ranks: place {end} at any late weight."
    if len(set(places.tolist())) == 1:
        return f"{'First' if start == 1 else f'Place {start}'} at every late weight from 0 to {MAX_LATE_WEIGHT:g}."
    reign = _reign(leads)
    if not reign:
        return f"{_never(ranks, start, end)}{now}"
    begin, until = reign
    if begin and until:
        first = f"first from {begin} to {until}"
    elif begin:
        first = f"first from {begin} on"
    else:
        first = f"first up to {until}" if until else "first from there on"
    told = [first] if start == 1 and not begin else [f"place {start} at weight 0", first]
    told += [f"place {end} at weight {MAX_LATE_WEIGHT:g}"] if until else []
    text = "; ".join(told)
    return f"{text[0].upper()}{text[1:]}.{now}"


def spoken(ranks: Sweep) -> str:
    """The drawing for those who do not see it."""
    places = ", ".join(f"{_at(ranks, late)} at {late}" for late in range(int(MAX_LATE_WEIGHT) + 1))
    return f"Place by SMART for late weights from 0 to {MAX_LATE_WEIGHT:g}: {places}."


def _never(ranks: Sweep, start: int, end: int) -> str:
    """The same for a page that no weight puts first, but perhaps weight 0."""
    within = ranks.late <= MAX_LATE_WEIGHT
    best = int(ranks.ranks[within].min())
    if start == 1:
        return f"First at weight 0 alone; place {end} at weight {MAX_LATE_WEIGHT:g}."
    told = f"Place {start} at weight 0, place {end} at weight {MAX_LATE_WEIGHT:g}"
    if best < min(start, end):
        told += f", at best place {best} at {format_weight(float(ranks.late[within][ranks.ranks[within].argmin()]))}"
    return f"{told}; never first."


def _reign(leads: tuple[float, float] | None) -> tuple[str, str] | None:
    """The weights between which a page is first; an end that the slider does not reach is empty. None where it is
    nowhere first on the slider.
    """
    if leads is None or leads[0] >= MAX_LATE_WEIGHT:
        return None
    start, end = leads
    return format_distinct_weight(start, end) if start else "", format_distinct_weight(
        end, start
    ) if end < MAX_LATE_WEIGHT else ""


def _at(ranks: Sweep, late: float) -> int:
    return int(ranks.ranks[abs(ranks.late - late).argmin()])


def _reached(ranks: Sweep) -> str:
    if ranks.candidates == ranks.pages:
        return ""
    scored = f"any other weight the {ranks.candidates:,} scored token by token"
    return f" Weight 0 ranks all {count(ranks.pages, 'page')}, {scored}."


def _drawing(line: RankLine, alternative: str) -> str:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    rules = "".join(f'<path class="rank-rule" d="M{LEFT:.1f},{y:.1f}H{right:.1f}"/>' for _, y in line.ranks)
    ranks = "".join(f'<text x="{LEFT - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{r}</text>' for r, y in line.ranks)
    weights = "".join(
        f'<text x="{x:.1f}" y="{HEIGHT - 6:.1f}" text-anchor="middle">{w}</text>' for w, x in line.weights
    )
    now = ""
    if line.now:
        x, y = line.now
        now = f'<path class="rank-now" d="M{x:.1f},{TOP:.1f}V{bottom:.1f}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{esc(alternative)}">{rules}'
        f'{ranks}{weights}<path class="rank-steps" d="{line.path}"/>{now}</svg>'
    )


CHIPS, ALL_CHIPS = 16, 160
"""Words offered at once, and after "show all"."""
LONGEST_LABEL = 32
"""Characters of a word on its chip."""
KINDS = {
    TokenKind.PATCH: "patches of the page",
    TokenKind.CONTENT: "words on the page",
    TokenKind.INSTRUCTION: "the instruction",
    TokenKind.TEMPLATE: "the template",
    TokenKind.TAIL: "the tail after the page",
}
"""What may win a query token, as it is called."""


def asking(wanted: SearchRequest) -> str:
    """A search as the viewer keeps it, to give it back with every question: JSON in ASCII."""
    return json.dumps(wanted.fields)


def described(explanation: Explanation) -> dict[str, object]:
    """Chips of the query's words and its picture, in its order, and the score's anatomy."""
    found = explanation.attribution
    shown = telling(found.terms)[:CHIPS]
    most = max((abs(term.contribution) for term in found.terms), default=0.0) or 1.0
    chips = [
        {
            "view": f"term-{number}",
            "label": word_label(term),
            "adds": signed(term.contribution),
            "similarity": format_score(term.similarity),
            "fill": round(abs(term.contribution) / most, 3),
            "more": number not in shown,
        }
        for number, term in enumerate(found.terms[:ALL_CHIPS])
    ]
    return {
        "chips": chips,
        "left_out": max(0, len(found.terms) - ALL_CHIPS),
        "anatomy": anatomy(explanation) + section(explanation),
    }


def overlay(explanation: Explanation, view: object) -> dict[str, object]:
    """One map: `query`, `winners` or `term-N`. InputRefused for anything else."""
    if view == "query":
        drawn = explain.whole_query_map(explanation.attribution.match)
        return _picture(explanation, drawn, explanation.similarity, f"Best similarity to {_asked(explanation)}")
    if view == "winners":
        return _winners(explanation)
    number = re.fullmatch(r"term-([0-9]{1,3})", view) if isinstance(view, str) else None
    terms = explanation.attribution.terms[:ALL_CHIPS]
    if number is None or int(number[1]) >= len(terms):
        raise InputRefused("There is no such map.")
    return _word(explanation, terms[int(number[1])])


def anatomy(explanation: Explanation) -> str:
    """What the score is made of, and what won the late part. Markup; every word in it is ours."""
    found = explanation.attribution
    whole = max(found.pooled, 0.0) + max(found.late, 0.0) or 1.0
    widths = [max(part, 0.0) / whole * 100 for part in (found.pooled, found.late)]
    reached = "" if explanation.scored else "<p>Computed for this look: the search did not reach it token by token.</p>"
    kinds = "".join(
        f"<div><dt>{esc(KINDS[kind])}</dt><dd>{found.share(kind) * 100:.0f} %</dd>"
        f'<dd class="anatomy-number">{signed(value)}</dd></div>'
        for kind, value in sorted(found.by_kind.items(), key=lambda pair: -pair[1])
        if value
    )
    return (
        '<section class="anatomy" aria-label="Score anatomy"><h3>Score anatomy</h3>'
        f'<div class="anatomy-bar" aria-hidden="true"><i class="of-pooled" style="width:{widths[0]:.2f}%"></i>'
        f'<i class="of-late" style="width:{widths[1]:.2f}%"></i></div>'
        f'<p class="anatomy-sum"><span class="of-pooled">pooled part {format_score(found.pooled)}</span> '
        f'<span class="of-late">late part {format_score(found.late)}</span></p>{reached}'
        + (f'<h4>The late part was won by</h4><dl class="anatomy-kinds">{kinds}</dl>' if kinds else "")
        + "</section>"
    )


def signed(value: float) -> str:
    """What something adds, with its sign.

    >>> signed(0.0312), signed(-0.2), signed(0.0)
    ('+0.031', '−0.200', '0.000')
    """
    shown = format_score(value)
    return shown if shown.startswith("−") or not float(shown) else f"+{shown}"


def bar() -> str:
    """The colours as they look on paper, for the legend: a CSS gradient."""
    colours = explain.viridis()[::15].tolist()
    last = len(colours) - 1
    stops = (f"rgb({r} {g} {b} / {n / last * MAX_ALPHA:.3f})" for n, (r, g, b) in enumerate(colours))
    return f"linear-gradient(90deg, {', '.join(stops)})"


def telling(terms: Sequence[Term]) -> list[int]:
    """Which terms tell: a picture, and words, neither stop words nor punctuation unless there is nothing else."""
    picture = [number for number, term in enumerate(terms) if term.kind is TokenKind.PATCH]
    words = [number for number, term in enumerate(terms) if term.word >= 0]
    said = [n for n in words if any(map(str.isalnum, terms[n].label)) and terms[n].label.casefold() not in STOPWORDS]
    return [*picture, *(said or words)]


def _asked(explanation: Explanation) -> str:
    """What the map of the whole query stands for."""
    kinds = explanation.attribution.match.query.kinds
    if TokenKind.PATCH not in kinds:
        return "any word of the query"
    return "any word or part of the picture" if TokenKind.CONTENT in kinds else "any part of the picture"


def _word(explanation: Explanation, term: Term) -> dict[str, object]:
    drawn = explain.similarity_map(explanation.attribution.match, term.tokens)
    label = word_label(term)
    answer = _picture(explanation, drawn, explanation.similarity, f"Similarity to “{label}”")
    if drawn.shown.size:
        answer["best"] = format_score(float(drawn.shown.max()))
    if not term.winner.placed:
        won = f"The winner is no place on the page but {KINDS[term.winner.kind]}, at {format_score(term.similarity)}."
        closest = " The closest place is outlined; it did not win." if answer["outline"] else ""
        answer |= {"note": f"{won}{closest} {answer['note']}".strip(), "won": False}
    return answer


def _winners(explanation: Explanation) -> dict[str, object]:
    """Where the late part comes from, to the last bit: what is drawn and what is listed add up to it."""
    found = explanation.attribution
    winners = explain.winner_map(found)
    answer = _picture(explanation, winners.map, explanation.contribution, "What each place adds to the score")
    if not found.late:
        return answer | {"note": "The late part adds nothing here, so no place does."}
    elsewhere = sum(term.contribution for term in winners.remainder)
    on_page = found.late - elsewhere
    note = f"All of the late part, {format_score(found.late)}, was won by places on the page."
    if winners.remainder:
        kinds = ", ".join(dict.fromkeys(KINDS[term.winner.kind] for term in winners.remainder))
        note = (
            f"Places on the page won {format_score(on_page)} of the late part, {format_score(found.late)}; "
            f"{format_score(elsewhere)} was won by what has no place on it: {kinds}."
        )
    return answer | {"note": note}


def _picture(explanation: Explanation, drawn: PageMap, colours: ColourRange, caption: str) -> dict[str, object]:
    """Picture, legend and the outline of the best place. A map without a clear location is told, not drawn."""
    answer: dict[str, object] = {
        "picture": "",
        "outline": None,
        "won": True,
        "caption": caption,
        "best": "",
        "note": "",
        "low": format_score(colours.low),
        "high": format_score(colours.high),
        "bar": bar(),
        "alt": f"{caption}: no clear location.",
    }
    best = drawn.best
    if best is None or drawn.flat:
        return answer | {"note": "No clear location: no place stands out from the rest of the page."}
    box, cell = best
    page = explanation.page
    picture = explain.encode_webp(explain.draw_map(drawn, colours, aspect=page.width / max(page.height, 1)))
    return answer | {
        "picture": f"data:image/webp;base64,{base64.b64encode(picture).decode('ascii')}",
        "outline": list(asdict(box).values()),
        "alt": f"{caption}: strongest {whereabouts(explanation.attribution, box, cell)}.",
    }


def whereabouts(found: Attribution, box: Box, cell: Cell | None) -> str:
    """A place on a page in words: row and column of a grid, else how far from the left and from the top."""
    place = found.match.page.place
    if cell is not None and isinstance(place, TokenGrid):
        return f"in row {cell.row + 1} of {place.rows}, column {cell.col + 1} of {place.cols}"
    across, down = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    return f"{across * 100:.0f} % from the left and {down * 100:.0f} % from the top"


def word_label(term: Term) -> str:
    """A word as plain text that can be read on a chip, also where it is a space or a line's end."""
    text = strip_unprintable(term.label).replace("\n", "↵").replace("\t", "⇥").strip() or "␣"
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"
