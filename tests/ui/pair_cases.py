"""Pairs of pages through the real explainer, over a library of a few encodings written in the test."""

from smart_demo import scoring
from smart_demo.methods import POOLED, SMART, Found, Method
from smart_demo.search.explain.explainer import Explainer
from smart_demo.types import Encoder, TokenCodes
from tests.search.explain.cases import parts_of


class Shelf:
    """The part of a library that an explainer uses."""

    generation = 0

    def __init__(self, pages):
        self._pages = {page.page: page for page in pages}

    def __contains__(self, page):
        return page.id in self._pages

    def encoding(self, page):
        return self._pages[page.id]

    def tokens(self, page, space):
        return TokenCodes(self._pages[page.id].in_space(space).tokens)


def searched(query, pages, weights=SMART.weights, *, top=5, candidates=None):
    """Search these pages; the first `candidates` of them are scored token by token."""
    parts = parts_of(query, pages, candidates)
    methods = (POOLED, Method(SMART.name, SMART.label, weights))
    results = {method.name: scoring.rank(parts, method, top) for method in methods}
    return Found(query.query, Encoder("minilm", "bert", "", "w"), query, parts, results, {})


def paired(query, pages, weights=SMART.weights, first=0, second=1, **search):
    """Compare two of these pages; with second None, the page that best explains the first one's move."""
    found = searched(query, pages, weights, **search)
    keys = [None if at is None else found.parts.pages[at].key for at in (first, second)]
    return Explainer(Shelf(pages)).pair(found, keys[0], keys[1], weights)
