"""Explanations -> what the viewer shows: plain values for its script, which sets them as text, and one piece of markup.

Similarity is not a reason, so nothing here says "because" or "attention".
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import asdict

from smart_demo.errors import InputRefused
from smart_demo.search import explain
from smart_demo.search.explain import OPAQUE, Attribution, Cell, ColourRange, PageMap, Term
from smart_demo.search.explain.explainer import Explanation
from smart_demo.search.request import Asked
from smart_demo.types import Box, TokenGrid, TokenKind
from smart_demo.ui import rankplot
from smart_demo.ui.stopwords import STOPWORDS
from smart_demo.ui.wording import esc, plain, score

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


def asking(wanted: Asked) -> str:
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
            "similarity": score(term.similarity),
            "fill": round(abs(term.contribution) / most, 3),
            "more": number not in shown,
        }
        for number, term in enumerate(found.terms[:ALL_CHIPS])
    ]
    return {
        "chips": chips,
        "left_out": max(0, len(found.terms) - ALL_CHIPS),
        "anatomy": anatomy(explanation) + rankplot.section(explanation),
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
        f'<p class="anatomy-sum"><span class="of-pooled">pooled part {score(found.pooled)}</span> '
        f'<span class="of-late">late part {score(found.late)}</span></p>{reached}'
        + (f'<h4>The late part was won by</h4><dl class="anatomy-kinds">{kinds}</dl>' if kinds else "")
        + "</section>"
    )


def signed(value: float) -> str:
    """What something adds, with its sign.

    >>> signed(0.0312), signed(-0.2), signed(0.0)
    ('+0.031', '−0.200', '0.000')
    """
    shown = score(value)
    return shown if shown.startswith("−") or not float(shown) else f"+{shown}"


def bar() -> str:
    """The colours as they look on paper, for the legend: a CSS gradient."""
    colours = explain.table()[::15].tolist()
    last = len(colours) - 1
    stops = (f"rgb({r} {g} {b} / {n / last * OPAQUE:.3f})" for n, (r, g, b) in enumerate(colours))
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
        answer["best"] = score(float(drawn.shown.max()))
    if not term.winner.placed:
        won = f"The winner is no place on the page but {KINDS[term.winner.kind]}, at {score(term.similarity)}."
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
    note = f"All of the late part, {score(found.late)}, was won by places on the page."
    if winners.remainder:
        kinds = ", ".join(dict.fromkeys(KINDS[term.winner.kind] for term in winners.remainder))
        note = (
            f"Places on the page won {score(on_page)} of the late part, {score(found.late)}; "
            f"{score(elsewhere)} was won by what has no place on it: {kinds}."
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
        "low": score(colours.low),
        "high": score(colours.high),
        "bar": bar(),
        "alt": f"{caption}: no clear location.",
    }
    best = drawn.best
    if best is None or drawn.flat:
        return answer | {"note": "No clear location: no place stands out from the rest of the page."}
    box, cell = best
    page = explanation.page
    picture = explain.encode(explain.draw(drawn, colours, aspect=page.width / max(page.height, 1)))
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
    text = plain(term.label).replace("\n", "↵").replace("\t", "⇥").strip() or "␣"
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"
