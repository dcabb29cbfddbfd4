"""Delete everything of mine: documents, judgements, lists, pictures, all at once."""

from __future__ import annotations

from smart_demo.errors import InputRefused
from smart_demo.ui.judging import Judging
from smart_demo.ui.query_lists import QueryLists
from smart_demo.ui.replies import answered
from smart_demo.ui.wording import size


class Forgetting:
    """Forgets whoever asks, everywhere this app keeps anything of anybody."""

    def __init__(self, judging: Judging, lists: QueryLists) -> None:
        self._judging, self._lists, self._handlers = judging, lists, judging.handlers

    def forget(self, wanted: object) -> dict[str, object]:
        """`done`, the sentence that says how much room that made; or a sentence why not."""
        sure = isinstance(wanted, dict) and wanted.get("sure") is True
        return answered(lambda: self._forget(sure=sure), "a visitor could not be forgotten")

    def _forget(self, *, sure: bool) -> dict[str, object]:
        own = self._handlers.own
        if own is None or not sure:
            raise InputRefused("Nothing was deleted.", "Reload the page and try again.")
        self._lists.forget(own)
        freed = self._handlers.forget()
        self._judging.forget(own)
        return {"done": f"Everything of yours is deleted: {size(freed)} freed."}
