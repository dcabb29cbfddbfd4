"""The slides of a presentation: which there are, in which order, and the answers to their script.

A presentation of a story continues with the next story; one of a visitor's own question has three slides. Every slide
is asked for by the fields of its question and its number, so it can be linked, reloaded and loaded ahead. Arguments
from a browser are validated, as in `handlers`.
"""

from __future__ import annotations

import json
from dataclasses import replace

from markupsafe import Markup

from smart_demo.errors import InputRefused, LibraryError, SmartError
from smart_demo.search.request import (
    ON_BOTH,
    ON_SAMPLES,
    SCOPE_CHOICES,
    SearchRequest,
    format_url_query,
    parse_request_fields,
)
from smart_demo.types import SAMPLES
from smart_demo.ui.events import answer_errors, request_field
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.how_often import HowOften
from smart_demo.ui.render import render
from smart_demo.ui.slide_views import (
    SlideRanks,
    compare_ranks,
    fit_question,
    render_outcomes,
    render_pages,
    render_ranks,
)
from smart_demo.ui.stories import STORIES, STORY_QUERIES, Story, find_story

PAGES, RANKS, OUTCOMES = 1, 2, 3
"""Numbers of the slides of one question: its first pages, its rank lines, and the count over judged questions."""


class SlideHandlers:
    """Answers the slides' script, for one app."""

    def __init__(self, handlers: Handlers, how_often: HowOften) -> None:
        self._handlers, self._how_often = handlers, how_often

    @answer_errors("a slide could not be shown")
    def slide(self, request: object) -> dict[str, object]:
        """Return `markup`, a slide, or a sentence; and its place among the others.

        request: `asked`, the fields of a search, and `slide`, one of PAGES, RANKS and OUTCOMES.

        The place is `at` of `count`, with `previous` and `next` as requests, or None at either end. `link` is the query
        string of the slide's question, `text` its words and `fields` its fields as JSON.
        """
        search = parse_request_fields(request_field(request, "asked"))
        number = _check_number(request_field(request, "slide"))
        place = _place_in_deck(search, number)
        place |= {"link": format_url_query(search), "text": search.text.strip(), "fields": json.dumps(search.fields)}
        try:
            return place | {"markup": self._render(search, number)}
        except SmartError as error:  # the place is sent too, so that a presentation can go on
            return place | {"sentence": error.sentence}

    def _render(self, search: SearchRequest, number: int) -> Markup:
        if number == OUTCOMES:
            return self._render_outcomes(search)
        ranks = self._rank(search)
        return render_pages(ranks, self._head(search)) if number == PAGES else render_ranks(ranks, self._head(search))

    def _render_outcomes(self, search: SearchRequest) -> Markup:
        """Return the last slide. A search in both libraries has the counts of the samples."""
        self._handlers.resolve_scopes(search.scope)
        choice = ON_SAMPLES if search.scope == ON_BOTH else search.scope
        counts = self._how_often.outcomes(choice)
        if counts is None and self._how_often.is_pending(choice):
            raise LibraryError("The judged questions are being counted.", "Try again in a moment.")
        return render_outcomes(counts, search.compared, choice)

    def _rank(self, search: SearchRequest) -> SlideRanks:
        """Search, or return the cached answer. Raises LibraryError if there is nothing to compare."""
        handlers = self._handlers
        scopes = handlers.resolve_scopes(search.scope)
        if handlers.pending_samples(scopes):
            raise LibraryError("The sample library is not ready yet.", "Try again in a moment.")
        if handlers.is_model_loading(scopes):
            raise LibraryError("The model is still loading.", "Try again in a moment.")
        found = handlers.engine.search(handlers.build_query(search), scopes, search.methods, search.top)
        return compare_ranks(found, handlers.find_outcome(found, search.scope))

    def _head(self, search: SearchRequest) -> Markup:
        """Return the question above a slide, with its picture and with the title of its story."""
        story = _find_story(search)
        pictures, crop = self._handlers.query_pictures, self._handlers.picture_addresses.crop
        preview = pictures.preview(search.picture, crop) if search.picture else None
        title = f"Example {story.number} of {len(STORIES)}: {story.title}" if story else "Your question"
        question, size = fit_question(search.text)
        return render("slide_head", title=title, question=question, size=size, preview=preview)


def _find_story(search: SearchRequest) -> Story | None:
    """Return the story that a search repeats, or None if it is the visitor's own question."""
    return None if search.picture or SAMPLES not in SCOPE_CHOICES[search.scope] else find_story(search.text)


def _check_number(number: object) -> int:
    """Return the number of a slide. Raises InputRefused if there is no such slide."""
    if not isinstance(number, int) or isinstance(number, bool) or not PAGES <= number <= OUTCOMES:
        raise InputRefused("There is no such slide.")
    return number


def _place_in_deck(search: SearchRequest, number: int) -> dict[str, object]:
    """Return a slide's place: its number, the count of all slides, and the requests of its neighbours."""
    found, last = _find_story(search), len(STORIES)
    story = found.number if found else 0
    before = after = None
    if number != PAGES:
        before = _position(search, number - 1)
    elif story > 1:
        before = _position(_ask_story(search, story - 1), RANKS)
    if number == PAGES:
        after = _position(search, RANKS)
    elif number == RANKS:
        follows = 0 < story < last
        after = _position(_ask_story(search, story + 1), PAGES) if follows else _position(search, OUTCOMES)
    at, count = number, OUTCOMES
    if story:
        count = 2 * last + 1
        at = count if number == OUTCOMES else 2 * (story - 1) + number
    return {"at": at, "count": count, "previous": before, "next": after}


def _position(search: SearchRequest, number: int) -> dict[str, object]:
    return {"asked": search.fields, "slide": number}


def _ask_story(search: SearchRequest, story: int) -> SearchRequest:
    """Return the search of a story with the same weights."""
    return replace(search, text=STORY_QUERIES[story - 1], scope=ON_SAMPLES, picture="")
