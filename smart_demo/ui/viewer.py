"""Answers to the viewer's script: a page's score by words, heat maps over it, its rank by late weight, and its words.

Answers are plain values that the script sets as text, and one piece of markup without any text from outside. Similarity
is not a reason, so no sentence here says "because" or "attention".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from markupsafe import Markup

from smart_demo.errors import InputRefused, LibraryError
from smart_demo.page_text import PageWords, Word
from smart_demo.search import explain
from smart_demo.search.explain import MAX_ALPHA, ColourRange, PageMap, Term
from smart_demo.search.explain.explainer import Explanation, Pairing
from smart_demo.search.request import SearchRequest, parse_request_fields
from smart_demo.types import QueryEncoding, Scope, TokenKind
from smart_demo.ui.events import answer_errors, request_field
from smart_demo.ui.format import format_contribution, format_score
from smart_demo.ui.handlers import Handlers, parse_page_key
from smart_demo.ui.pair_view import (
    KIND_NAMES,
    describe_location,
    describe_pair,
    describe_unplaced_winner,
    label_term,
)
from smart_demo.ui.rank_plot import render_rank_plot
from smart_demo.ui.render import render
from smart_demo.wording import describe_source

FAILURE = "a page could not be explained"
"""Log line of an unexpected exception."""
MAX_INITIAL_CHIPS, MAX_CHIPS = 16, 160
"""Maximum number of words shown at once, and after "show all"."""
MAX_READ_WORDS = 10_000
"""Maximum number of a page's own words that are shown."""


class ExplainHandlers:
    """Explanations of one app's pages. Every argument is validated, because any client can call these methods."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    @answer_errors(FAILURE)
    def explain(self, request: object) -> dict[str, object]:
        """Return the words of a search and what each adds to a page's score, or `{"sentence": …}`."""
        return describe_explanation(self._explanation(request))

    @answer_errors(FAILURE)
    def overlay(self, request: object) -> dict[str, object]:
        """Return one map to lay over the page, with its legend, or `{"sentence": …}`."""
        return build_overlay(self._explanation(request), request_field(request, "view"))

    @answer_errors(FAILURE)
    def pair(self, request: object) -> dict[str, object]:
        """Return the comparison of `page` with `other`, or `{"sentence": …}`.

        If `other` is missing, it is the page that explains most of the move of `page`.
        """
        return describe_pair(self._pairing(request))

    @answer_errors(FAILURE)
    def words(self, request: object) -> dict[str, object]:
        """Return `text`, the words of `page` in reading order, and `how` they were read, or `{"sentence": …}`."""
        page = self._handlers.find_page(*parse_page_key(request_field(request, "page")))
        return describe_words(self._handlers.engine.page_words(page.scope, page.id))

    def _explanation(self, request: object) -> Explanation:
        search, scopes = resolve_search(self._handlers, request)
        page, query = self._handlers.resolve_page(request_field(request, "page")), self._handlers.build_query(search)
        return self._handlers.engine.explain(query, scopes, page, search.weights, search.top)

    def _pairing(self, request: object) -> Pairing:
        search, scopes = resolve_search(self._handlers, request)
        page, other_key = self._handlers.resolve_page(request_field(request, "page")), request_field(request, "other")
        other = self._handlers.resolve_page(other_key) if other_key else None
        query = self._handlers.build_query(search)
        return self._handlers.engine.pair(query, scopes, page, other, search.weights, search.top)


def resolve_search(handlers: Handlers, request: object) -> tuple[SearchRequest, tuple[Scope, ...]]:
    """Return the answered search that a script's request names, and its scopes.

    Raises InputRefused for an invalid request, LibraryError if the scopes' model is still loading.
    """
    search = parse_request_fields(request_field(request, "asked"))
    scopes = handlers.resolve_scopes(search.scope)
    if handlers.is_model_loading(scopes):
        raise LibraryError("That page cannot be shown here.")
    return search, scopes


def describe_explanation(explanation: Explanation) -> dict[str, object]:
    """Return chips of the query's words and its picture, in the query's order, and the markup below them."""
    attribution = explanation.attribution
    initial = explain.select_informative_terms(attribution.terms)[:MAX_INITIAL_CHIPS]
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
        "no_words": "" if initial else _describe_no_words(attribution.match.query),
        "left_out": max(0, len(attribution.terms) - MAX_CHIPS),
        "anatomy": render_anatomy(explanation) + render_rank_plot(explanation),
    }


def _describe_no_words(query: QueryEncoding) -> str:
    """Return what the results say of a query of which the model knows no word."""
    said = " ".join(notice.text for notice in query.notices)
    return said or "The model knows no word of the query, so there is none to choose."


def describe_words(words: PageWords | None) -> dict[str, object]:
    """Return a page's words as lines of text, and a sentence on how they were read; None if they were not kept."""
    if words is None:
        return {"text": "", "how": "An older version read this page and did not keep its words."}
    shown, how = words.words[:MAX_READ_WORDS], describe_source(words.source)
    if len(shown) < len(words.words):
        how += f" These are the first {len(shown):,} of {len(words.words):,} words."
    return {"text": "\n".join(_join_lines(shown)), "how": how}


def _join_lines(words: Sequence[Word]) -> Iterator[str]:
    """Yield words line by line: one starts if a word is not beside the word before it, or to the left of it."""
    line: list[Word] = []
    for word in words:
        if line:
            before, middle = line[-1].box, (word.box.top + word.box.bottom) / 2
            if not before.top <= middle <= before.bottom or word.box.left < before.left:
                yield " ".join(part.text for part in line)
                line = []
        line.append(word)
    if line:
        yield " ".join(part.text for part in line)


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
        return "any word of the query" if TokenKind.CONTENT in kinds else "any token of the query"
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


def render_anatomy(explanation: Explanation) -> Markup:
    """Return the parts of the score, and the late part by kind of the winning page tokens."""
    attribution = explanation.attribution
    whole = max(attribution.pooled, 0.0) + max(attribution.late, 0.0) or 1.0
    kinds = [
        (KIND_NAMES[kind], attribution.share(kind), value)
        for kind, value in sorted(attribution.by_kind.items(), key=lambda pair: -pair[1])
        if value
    ]
    widths = [max(part, 0.0) / whole * 100 for part in (attribution.pooled, attribution.late)]
    return render("score_anatomy", explanation=explanation, widths=widths, kinds=kinds)
