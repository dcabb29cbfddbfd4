"""The search for programs: a public endpoint, and a tool for assistants (MCP). It trusts nothing that it is given.

It answers in the form of `search --json`, ranks as the paper does (weights 1 and 1), and refuses in one sentence.
"""

# Gradio reads the return type off the signature as it stands, so annotations are not postponed in this module.
import json
import logging
from typing import Any, NoReturn, cast

import gradio as gr

from smart_demo.errors import InputRefused, LibraryError, QueryRefused, SmartError
from smart_demo.search.as_json import as_dict
from smart_demo.search.retrieval import MAX_TOP
from smart_demo.types import POOLED, SAMPLES, SMART, Query, Scope
from smart_demo.ui.handlers import Handlers

log = logging.getLogger(__name__)
NAME = "search"
AT_ONCE = 2
"""Calls that are answered at the same time; the others wait in the queue of the page."""
BROKEN = "Something went wrong. The log of the demo says what happened."


class Endpoint:
    """Searches of one app, asked by programs."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    @property
    def scope(self) -> Scope:
        """Whose pages answer: one's own where this page may show them and there are any, else the samples."""
        own = self._handlers.own
        return own if own and self._handlers.engine.library.holds(own) else SAMPLES

    def search(self, query: str, top: int = 5, request: gr.Request | None = None) -> dict[str, Any]:  # noqa: D417
        """Search a library of document pages by meaning and by detail, ranked twice: by one pooled vector per page
        (results.pooled) and by SMART late interaction, pooled plus token by token (results.smart). Each hit names the
        document and the page with both parts of its score. Scores are for ranking, not for thresholds.

        Args:
            query: What to look for: a question or a few words.
            top: How many pages to return in each ranking, 1 to 50.
        """  # noqa: D413 - as Gradio reads it to describe the tool
        try:
            answer = self._search(self._query(query), _top(top))
            return cast(dict[str, Any], json.dumps(answer)) if _by_assistant(request) else answer
        except SmartError as error:
            _refuse(error.sentence)
        except Exception:
            log.exception("a program's search failed")
            _refuse(BROKEN)

    def _search(self, query: Query, top: int) -> dict[str, Any]:
        engine, scope = self._handlers.engine, self.scope
        if scope == SAMPLES:
            self._expect_whole_samples()
        else:
            self._expect_pages(scope)
        found = engine.search(query, (scope,), (POOLED, SMART), top)
        if scope == SAMPLES:
            self._expect_whole_samples()  # a page that proved damaged on the way is missing from the answer
        return as_dict(found)

    def _query(self, text: object) -> Query:
        if not isinstance(text, str) or not text.strip():
            raise QueryRefused("The query is empty.", "Give the words to look for.")
        return self._handlers.question(text)

    def _expect_whole_samples(self) -> None:
        pending = self._handlers.pending((SAMPLES,))
        if pending is None:
            return
        samples = pending.samples
        if samples is None:
            raise LibraryError(f"The samples cannot be searched. {pending.trouble}")
        if pending.failed:
            raise LibraryError(f"Only {samples.ready} of {samples.total} sample pages are there.", pending.trouble)
        raise LibraryError(
            f"Not yet: the sample library is still being prepared ({samples.ready} of {samples.total}).",
            "Ask again in a minute.",
        )

    def _expect_pages(self, own: Scope) -> None:
        """Where a library of one's own is there, the samples never answer in its place."""
        engine = self._handlers.engine
        if not engine.backbones.ready:
            raise LibraryError(
                f"{self._handlers.serving().name} is still loading.",
                "Your documents are searched as soon as it is there.",
            )
        if not engine.library.pages([own], engine.backbone(own).encoder.fingerprint):
            raise LibraryError(
                "Your documents were encoded by another model and cannot be searched with this one.",
                "Add their files again.",
            )


def _by_assistant(request: gr.Request | None) -> bool:
    """Whether Gradio asks for its MCP tool. It hands the answer on as `str` of it, which of an object is no JSON."""
    return request is not None and request.headers.get("x-gradio-user") == "mcp"


def _top(number: object) -> int:
    """JSON knows one kind of number: 5.0 is 5."""
    asked = number if isinstance(number, int | float) and not isinstance(number, bool) else 0
    if 1 <= asked <= MAX_TOP and asked == int(asked):
        return int(asked)
    raise InputRefused(f"`top` must be a whole number from 1 to {MAX_TOP}.")


def _refuse(sentence: str) -> NoReturn:
    raise gr.Error(sentence, print_exception=False) from None
