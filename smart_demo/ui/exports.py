"""What the page asks to take away: the comparison on the screen, as one file. Every argument is doubted, as in
`handlers`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from urllib.parse import parse_qsl

from smart_demo.errors import LibraryError
from smart_demo.search.request import Asked, address, asked, asked_again, asked_by
from smart_demo.types import LATE, POOLED, SMART, Found, Method
from smart_demo.ui import export
from smart_demo.ui.export import Circumstances
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.replies import answered
from smart_demo.ui.rows import columns
from smart_demo.ui.stories import told


def _now() -> datetime:
    return datetime.now().astimezone()


class Exports:
    """Files of one app's answers. `faces` are the page's typefaces as style, `clock` says when a file is made."""

    def __init__(self, handlers: Handlers, faces: str = "", clock: Callable[[], datetime] = _now) -> None:
        self._handlers, self._faces, self._clock = handlers, faces, clock

    def comparison(self, wanted: object) -> dict[str, object]:
        """`page`, the HTML of the search `asked`, seen at the address `at`, and `name`, a file's; or a sentence."""
        given = wanted if isinstance(wanted, dict) else {}
        return answered(
            lambda: self._comparison(asked_again(given.get("asked")), given.get("at")),
            "a comparison could not be saved",
        )

    def _comparison(self, search: Asked, at: object) -> dict[str, str]:
        found = self._found(search)
        shown = columns(found)
        if not shown.left:
            raise LibraryError("There is no page to compare.", "Add a document, or search the samples.")
        around = Circumstances(search.scope, self._clock(), bool(search.picture), link_to(search, at), told(found))
        page = export.document(shown, self._handlers.thumbnail, around, self._faces)
        return {"page": page, "name": export.file_name(search.text)}

    def _found(self, search: Asked) -> Found:
        """The answer once more; what it needed was kept, so no model runs."""
        scopes, engine = self._handlers.scopes(search.scope), self._handlers.engine
        if self._handlers.waits(scopes):
            raise LibraryError("That search cannot be saved here.")
        methods = (POOLED, LATE, Method(SMART.name, SMART.label, search.weights))
        return engine.search(self._handlers.query(search), scopes, methods, search.top)


def link_to(search: Asked, at: object) -> str:
    """An address that asks the same again, where the page is seen at `at`; empty where there is none.

    Long questions are cut in addresses, and some pictures are in none: a link that asks otherwise is not given.
    """
    if not isinstance(at, str) or not re.fullmatch(r"https?://[\w.:\[\]~%/-]{1,200}", at, re.ASCII):
        return ""
    same = replace(search, text=search.text.strip())
    said = address(same)
    return f"{at}?{said}" if asked_by(dict(parse_qsl(said)), asked()) == same else ""
