"""What the viewer asks to see why. Every argument is doubted, as in `handlers`; nothing here makes markup."""

from __future__ import annotations

import logging
from collections.abc import Callable

from smart_demo.errors import InputRefused, LibraryError, SmartError
from smart_demo.explanation import Explanation
from smart_demo.types import LOCAL
from smart_demo.ui import explaining
from smart_demo.ui.asking import CHOICES, asked_again
from smart_demo.ui.handlers import CALM, Handlers, parse_page

log = logging.getLogger(__name__)


class Maps:
    """Explanations of one app's pages."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    def explain(self, wanted: object) -> dict[str, object]:
        """The words of a search and what each adds to a page's score; or a sentence why not."""
        return _calm(lambda: explaining.described(self._explanation(wanted)))

    def overlay(self, wanted: object) -> dict[str, object]:
        """One map to lie over the page, with its legend; or a sentence why not."""
        return _calm(lambda: explaining.overlay(self._explanation(wanted), _field(wanted, "view")))

    def _explanation(self, wanted: object) -> Explanation:
        search = asked_again(_field(wanted, "asked"))
        scopes, page = CHOICES[search.scope], parse_page(_field(wanted, "page"))
        engine = self._handlers.engine
        if not all(map(self._handlers.visible, scopes)) or (LOCAL in scopes and not engine.backbones.ready):
            raise LibraryError("That page cannot be shown here.")
        return engine.explain(self._handlers.query(search), scopes, page, search.weights, search.top)


def _field(fields: object, name: str) -> object:
    if not isinstance(fields, dict):
        raise InputRefused("That is no question.")
    return fields.get(name)


def _calm(answer: Callable[[], dict[str, object]]) -> dict[str, object]:
    try:
        return answer()
    except SmartError as error:
        return {"sentence": error.sentence}
    except Exception:
        log.exception("a page could not be explained")
        return {"sentence": CALM}
