"""The query on the screen as code: pure text, quoted so that any query comes out of it as it went in.

Whatever cannot be seen, or turns what stands around it, is escaped in every language: code is copied into terminals.

The search for programs: a public endpoint, and a tool for assistants (MCP). It trusts nothing that it is given.

It answers in the form of `search --json`, ranks as the paper does (weights 1 and 1), and refuses in one sentence.
"""

from __future__ import annotations

import json
import logging
import shlex
from dataclasses import dataclass
from typing import Any, NoReturn, cast

import gradio as gr

from smart_demo.errors import InputRefused, LibraryError, QueryRefused, SmartError
from smart_demo.search.as_json import as_dict
from smart_demo.search.retrieval import MAX_RESULTS
from smart_demo.types import POOLED, SAMPLES, SMART, Query, Scope, Weights
from smart_demo.ui.handlers import Handlers

# Gradio reads the return type off the signature as it stands, so annotations are not postponed in this module.
PAGE_ADDRESS = None
"""Stands in code for the page's own address, which only its script knows: it ends with a slash and holds no quote."""
Code = tuple[str | None, ...]
"""Pieces of one text; ADDRESS among them."""
SHELL_NOTE = (
    "Run it where this program lies, with the same settings and while the page is stopped: one process at a time opens "
    "the library."
)


@dataclass(frozen=True, slots=True)
class ShownQuery:
    """What decides whether a program gets the answer that is on the screen."""

    scopes: tuple[Scope, ...]
    weights: Weights
    picture: bool
    """Whether it was asked with a picture, too."""
    answers: Scope
    """Whose pages the endpoint answers from,"""
    own: bool
    """and whether there are any of one's own."""


def python_code(query: str, top: int) -> Code:
    """A program with `gradio_client`, which comes with Gradio."""
    return (
        'from gradio_client import Client\n\nclient = Client("',
        PAGE_ADDRESS,
        f'")\nanswer = client.predict(query={query!r}, top={top}, api_name="/search")\n'
        'for hit in answer["results"]["smart"]:\n'
        '    print(hit["rank"], hit["document"], hit["page"], hit["smart"])',
    )


def curl_code(query: str, top: int) -> Code:
    """Two requests: the first gives an event's id, the second waits for what became of it."""
    body = shlex.quote(readable_json({"data": [query, top]}))
    return (
        "ADDRESS='",
        PAGE_ADDRESS,
        "'\nEVENT=$(curl -s \"${ADDRESS}gradio_api/call/search\" -H 'Content-Type: application/json' \\\n"
        f"  -d {body} | cut -d '\"' -f 4)\n"
        'curl -sN "${ADDRESS}gradio_api/call/search/$EVENT"',
    )


def shell_command(query: str, top: int, *, samples: bool) -> str:
    """The same engine without the page. A query that begins like an option stands behind all of them."""
    options = f"--top {top} --json{' --samples' if samples else ''}"
    if query.startswith("-"):
        return f"python -m smart_demo search {options} -- {quote_word(query)}"
    return f"python -m smart_demo search {quote_word(query)} {options}"


def quote_word(text: str) -> str:
    r"""One word for a POSIX shell, whatever is in it; NUL apart, which no argument can hold.

    >>> print(word("don't"), word("a\nb"))
    'don'"'"'t' "$(printf %b 'a\0012b')"
    """
    if text.isprintable():
        return shlex.quote(text)
    return f'"$(printf %b {shlex.quote("".join(map(_escaped, text)))})"'


def readable_json(value: object, indent: int | None = None) -> str:
    r"""JSON that shows letters of every script as they are and everything that cannot be seen as an escape.

    >>> print(readable({"größe": "\u202e"}))
    {"größe": "\u202e"}
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def list_differences(shown: ShownQuery) -> list[str]:
    """Where the endpoint, and so the first two programs, answers otherwise than the screen does."""
    told = []
    if shown.picture:
        told.append("The endpoint takes words alone: the picture of this query is left out.")
    if shown.weights != SMART.weights:
        told.append(
            "The endpoint ranks by weights 1 and 1 and the mean over all query tokens, as the paper does; "
            f"the screen by {_spelled(shown.weights)}."
        )
    if shown.scopes != (shown.answers,):
        pages = "your documents, since there are some" if shown.answers != SAMPLES else "the samples"
        told.append(f"The endpoint answers from {pages}; the screen shows {_named(shown.scopes)}.")
    return told


def list_shell_differences(shown: ShownQuery) -> list[str]:
    """What to know of the third."""
    told = [SHELL_NOTE]
    if shown.picture:
        told.append("It takes words alone: the picture of this query is left out.")
    if shown.weights != SMART.weights:
        told.append(f"It ranks by weights 1 and 1; the screen by {_spelled(shown.weights)}.")
    if shown.own and shown.scopes == (SAMPLES,):
        told.append("With --samples it ranks your own documents among them.")
    return told


def _spelled(weights: Weights) -> str:
    form = "" if weights.reduce == SMART.weights.reduce else ", the sum"
    words = "" if weights.counted == SMART.weights.counted else ", the query's own words alone"
    return f"{weights.pooled:.2f} and {weights.late:.2f}{form}{words}"


def _named(scopes: tuple[Scope, ...]) -> str:
    return " and ".join("the samples" if scope == SAMPLES else "your documents" for scope in scopes)


def _escaped(character: str) -> str:
    """One character for printf's `%b`: a backslash twice, what cannot be seen as octal bytes."""
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    return "".join(f"\\0{octet:03o}" for octet in character.encode())


log = logging.getLogger(__name__)
API_NAME = "search"
MAX_CONCURRENT = 2
"""Calls that are answered at the same time; the others wait in the queue of the page."""
UNEXPECTED_ERROR = "Something went wrong. The log of the demo says what happened."


class SearchEndpoint:
    """Searches of one app, asked by programs."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    @property
    def scope(self) -> Scope:
        """Whose pages answer: one's own where this page may show them and there are any, else the samples."""
        own = self._handlers.visitor
        return own if own and self._handlers.engine.library.has_pages(own) else SAMPLES

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
            _refuse(UNEXPECTED_ERROR)

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
        return self._handlers.query_for_visitor(text)

    def _expect_whole_samples(self) -> None:
        pending = self._handlers.pending_samples((SAMPLES,))
        if pending is None:
            return
        samples = pending.samples
        if samples is None:
            raise LibraryError(f"The samples cannot be searched. {pending.error}")
        if pending.failed:
            raise LibraryError(f"Only {samples.ready} of {samples.total} sample pages are there.", pending.error)
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
    if 1 <= asked <= MAX_RESULTS and asked == int(asked):
        return int(asked)
    raise InputRefused(f"`top` must be a whole number from 1 to {MAX_RESULTS}.")


def _refuse(sentence: str) -> NoReturn:
    raise gr.Error(sentence, print_exception=False) from None
