"""Delete everything of mine: documents, judgements, lists, pictures. Whom the janitor forgets is forgotten here."""

from __future__ import annotations

from pathlib import Path

from gradio.utils import get_upload_folder

from smart_demo.errors import InputRefused
from smart_demo.server.cleanup import Janitor, sweep
from smart_demo.server.upload_limits import LYING
from smart_demo.store.quotas import size_in_words
from smart_demo.types import Scope
from smart_demo.ui.query_lists import QueryLists
from smart_demo.ui.replies import answered
from smart_demo.ui.sheets import Sheets

UNCLAIMED = 600.0
"""Seconds after which an uploaded file that nothing reads is deleted."""


class Forgetting:
    """Forgets people everywhere this app keeps anything of anybody."""

    def __init__(self, sheets: Sheets, lists: QueryLists, janitor: Janitor) -> None:
        """The janitor is told how to clear this app's folder of uploads, and whom to tell of those it forgot."""
        self._trials, self._judging, self._lists, self._janitor = sheets.trials, sheets.judging, lists, janitor
        self._handlers = self._judging.handlers
        janitor.attend(self._sweep, self._let_go)
        LYING.attend(self._handlers.uploads.on_their_way)

    def forget(self, wanted: object) -> dict[str, object]:
        """`done`, the sentence that says how much room that made; or a sentence why not."""
        sure = isinstance(wanted, dict) and wanted.get("sure") is True
        return answered(lambda: self._forget(sure=sure), "a visitor could not be forgotten")

    def _forget(self, *, sure: bool) -> dict[str, object]:
        own = self._handlers.own
        if own is None or not sure:
            raise InputRefused("Nothing was deleted.", "Reload the page and try again.")
        self._handlers.uploads.forget(own)
        freed = self._handlers.engine.forget(own)
        self._judging.forget(own)
        self._let_go(own)
        self._janitor.wake()  # the index gives its bytes back behind the page
        return {"done": f"Everything of yours is deleted: {size_in_words(freed)} freed."}

    def _let_go(self, owner: Scope) -> None:
        """What is in memory of somebody whose files are gone."""
        if not self._handlers.uploads.running(owner):  # who came back is not forgotten with what they left
            self._handlers.uploads.forget(owner)
        self._handlers.pictures.forget(owner)
        self._trials.forget(owner)
        self._lists.forget(owner)
        self._judging.let_go(owner)

    def _sweep(self, _: float) -> int:
        return sweep(Path(get_upload_folder()), UNCLAIMED, self._handlers.uploads.on_their_way())
