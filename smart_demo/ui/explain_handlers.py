"""What the viewer asks to see why. Every argument is doubted, as in `handlers`; nothing here makes markup."""

from __future__ import annotations

from smart_demo.errors import InputRefused, LibraryError
from smart_demo.search.explain.explainer import Explanation, Pairing
from smart_demo.search.request import SearchRequest, parse_request_fields
from smart_demo.types import Scope
from smart_demo.ui import pair_view, viewer
from smart_demo.ui.events import answer_or_error
from smart_demo.ui.handlers import Handlers

FAILURE = "a page could not be explained"


class ExplainHandlers:
    """Explanations of one app's pages."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    def explain(self, wanted: object) -> dict[str, object]:
        """The words of a search and what each adds to a page's score; or a sentence why not."""
        return answer_or_error(lambda: viewer.described(self._explanation(wanted)), FAILURE)

    def overlay(self, wanted: object) -> dict[str, object]:
        """One map to lie over the page, with its legend; or a sentence why not."""
        return answer_or_error(lambda: viewer.overlay(self._explanation(wanted), _field(wanted, "view")), FAILURE)

    def pair(self, wanted: object) -> dict[str, object]:
        """Why one page of a search passed another, `page` and `other`; left out, the other is the one that tells most
        of the page's move. Or a sentence why not.
        """
        return answer_or_error(lambda: pair_view.described(self._pairing(wanted)), FAILURE)

    def _explanation(self, wanted: object) -> Explanation:
        search, scopes = self._search(wanted)
        page, query = self._handlers.resolve_page(_field(wanted, "page")), self._handlers.build_query(search)
        return self._handlers.engine.explain(query, scopes, page, search.weights, search.top)

    def _pairing(self, wanted: object) -> Pairing:
        search, scopes = self._search(wanted)
        page, against = self._handlers.resolve_page(_field(wanted, "page")), _field(wanted, "other")
        other = self._handlers.resolve_page(against) if against else None
        query = self._handlers.build_query(search)
        return self._handlers.engine.pair(query, scopes, page, other, search.weights, search.top)

    def _search(self, wanted: object) -> tuple[SearchRequest, tuple[Scope, ...]]:
        """The search that was answered and whose pages it may see. Refused for pages that cannot be seen here."""
        search = parse_request_fields(_field(wanted, "asked"))
        scopes = self._handlers.resolve_scopes(search.scope)
        if self._handlers.is_model_loading(scopes):
            raise LibraryError("That page cannot be shown here.")
        return search, scopes


def _field(fields: object, name: str) -> object:
    if not isinstance(fields, dict):
        raise InputRefused("That is not a search request.")
    return fields.get(name)
