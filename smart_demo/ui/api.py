"""Search for other programs: a public endpoint that is also a tool for assistants (MCP), and code that calls it.

The endpoint answers in the form of `search --json` and ranks as the paper does, by weights 1 and 1. It validates its
arguments, and an error is one sentence. Code is pure text for any query: characters that are invisible or change the
direction of text are escaped in every language, because code is copied into terminals.
"""

# Gradio reads the endpoint's types from its signature, so annotations are not postponed in this module.

import json
import logging
import shlex
from dataclasses import dataclass
from typing import Any, NoReturn, cast

import gradio as gr

from smart_demo.errors import InputRefused, LibraryError, Notice, NoticeCode, QueryRefused, SmartError
from smart_demo.methods import POOLED, SMART, Weights
from smart_demo.search.retrieval import MAX_RESULTS, as_dict
from smart_demo.server.gate import UNEXPECTED_ERROR
from smart_demo.types import SAMPLES, Query, Scope
from smart_demo.ui.handlers import Handlers
from smart_demo.wording import describe_pages_of_other_models

log = logging.getLogger(__name__)
API_NAME = "search"
MAX_CONCURRENT = 2
"""Calls that are answered at a time; others wait in the queue of the page."""
PAGE_ADDRESS = None
"""Placeholder in code for the page's address, which its script inserts. It ends with a slash and has no quotes."""
Code = tuple[str | None, ...]
"""Parts of one text, with PAGE_ADDRESS among them."""
SHELL_NOTE = (
    "Run it in this program's folder, with the same settings and while the page is stopped: only one process at a time "
    "can open the library."
)


class SearchEndpoint:
    """The public search of one app."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    @property
    def scope(self) -> Scope:
        """Scope that is searched: the visitor's pages if there are any and the page may show them, else the samples."""
        own = self._handlers.visitor
        return own if own and self._handlers.engine.library.totals(own)[0] else SAMPLES

    def search(self, query: str, top: int = 5, request: gr.Request | None = None) -> dict[str, Any]:  # noqa: D417
        """Search a library of document pages by meaning and by detail, ranked twice: by one pooled vector per page
        (results.pooled) and by SMART late interaction, pooled plus token by token (results.smart). Each hit names the
        document and the page with both parts of its score. Scores are for ranking, not for thresholds. `notices` says
        what to know beside them, such as that the model knows no word of the query.

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
            self._check_samples()
        else:
            self._check_own_pages(scope)
        found = engine.search(query, (scope,), (POOLED, SMART), top)
        found = self._handlers.check_answer(found, (scope,))
        if scope == SAMPLES:
            self._check_samples()  # a page that was found damaged during the search is missing from the answer
        return as_dict(found, self._list_notices(scope))

    def _list_notices(self, scope: Scope) -> tuple[Notice, ...]:
        """Return what a reader of an answer from this scope should know about its pages."""
        if scope == SAMPLES:
            samples = self._handlers.samples()
            return samples.notices if samples else ()
        others = self._handlers.engine.pages_of_other_encoders(scope)
        if not others:
            return ()
        text = f"{describe_pages_of_other_models(others)} Encode them again in the Library."
        return (Notice(NoticeCode.OTHER_MODEL, text),)

    def _query(self, text: object) -> Query:
        if not isinstance(text, str) or not text.strip():
            raise QueryRefused("The query is empty.", "Give the words to look for.")
        return self._handlers.query_for_visitor(text)

    def _check_samples(self) -> None:
        """Raise LibraryError if not all samples can be searched."""
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

    def _check_own_pages(self, own: Scope) -> None:
        """Raise LibraryError if the visitor's pages cannot be searched. The samples never answer in their place."""
        engine = self._handlers.engine
        if not engine.backbones.ready:
            raise LibraryError(
                f"{self._handlers.serving().name} is still loading.",
                "You can search your documents as soon as it is ready.",
            )
        if not engine.library.pages([own], engine.backbone(own).encoder.fingerprint):
            raise LibraryError(
                "Your documents were encoded by another model and cannot be searched with this one.",
                "Encode them again in the Library.",
            )


def _by_assistant(request: gr.Request | None) -> bool:
    """Return whether Gradio calls for its MCP tool, for which it converts the answer by `str`: not JSON for a dict."""
    return request is not None and request.headers.get("x-gradio-user") == "mcp"


def _top(number: object) -> int:
    """Return a valid number of results. JSON has one type of number, so 5.0 is 5. Raises InputRefused if invalid."""
    value = number if isinstance(number, int | float) and not isinstance(number, bool) else 0
    if 1 <= value <= MAX_RESULTS and value == int(value):
        return int(value)
    raise InputRefused(f"`top` must be a whole number from 1 to {MAX_RESULTS}.")


def _refuse(sentence: str) -> NoReturn:
    raise gr.Error(sentence, print_exception=False) from None


@dataclass(frozen=True, slots=True)
class ShownQuery:
    """What decides whether a program gets the same answer as the screen."""

    scopes: tuple[Scope, ...]
    weights: Weights
    has_picture: bool
    """Whether the query has a picture."""
    endpoint_scope: Scope
    """Scope that the endpoint searches."""
    has_own_pages: bool
    """Whether the visitor has pages."""


def python_code(query: str, top: int) -> Code:
    """Return a program that uses `gradio_client`, which is installed with Gradio."""
    return (
        'from gradio_client import Client\n\nclient = Client("',
        PAGE_ADDRESS,
        f'")\nanswer = client.predict(query={query!r}, top={top}, api_name="/search")\n'
        'for hit in answer["results"]["smart"]:\n'
        '    print(hit["rank"], hit["document"], hit["page"], hit["smart"])',
    )


def curl_code(query: str, top: int) -> Code:
    """Return two requests: the first returns an event's id, the second waits for its result."""
    body = shlex.quote(readable_json({"data": [query, top]}))
    return (
        "ADDRESS='",
        PAGE_ADDRESS,
        "'\nEVENT=$(curl -s \"${ADDRESS}gradio_api/call/search\" -H 'Content-Type: application/json' \\\n"
        f"  -d {body} | cut -d '\"' -f 4)\n"
        'curl -sN "${ADDRESS}gradio_api/call/search/$EVENT"',
    )


def shell_command(query: str, top: int, *, samples: bool) -> str:
    """Return a command for the same engine without the page. A query that begins with `-` comes after all options."""
    options = f"--top {top} --json{' --samples' if samples else ''}"
    if query.startswith("-"):
        return f"python -m smart_demo search {options} -- {quote_word(query)}"
    return f"python -m smart_demo search {quote_word(query)} {options}"


def quote_word(text: str) -> str:
    r"""Quote a text as one word for a POSIX shell. It must not have NUL, which no argument can contain.

    >>> print(quote_word("don't"), quote_word("a\nb"))
    'don'"'"'t' "$(printf %b 'a\0012b')"
    """
    if text.isprintable():
        return shlex.quote(text)
    return f'"$(printf %b {shlex.quote("".join(map(_escape, text)))})"'


def readable_json(value: object, indent: int | None = None) -> str:
    r"""Return JSON in which letters of every script are readable and every invisible character is an escape.

    >>> print(readable_json({"größe": "\u202e"}))
    {"größe": "\u202e"}
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def list_differences(shown: ShownQuery) -> list[str]:
    """Return how the answer of the endpoint, and so of the Python and curl code, differs from the screen's."""
    differences = []
    if shown.has_picture:
        differences.append("The endpoint takes words alone: the picture of this query is left out.")
    if shown.weights != SMART.weights:
        differences.append(
            "The endpoint ranks by weights 1 and 1 and the mean over all query tokens, as the paper does; "
            f"the screen by {_describe_weights(shown.weights)}."
        )
    if shown.scopes != (shown.endpoint_scope,):
        pages = "your documents, since there are some" if shown.endpoint_scope != SAMPLES else "the samples"
        differences.append(f"The endpoint answers from {pages}; the screen shows {_describe_scopes(shown.scopes)}.")
    return differences


def list_shell_differences(shown: ShownQuery) -> list[str]:
    """Return how to run the shell command, and how its answer differs from the screen's."""
    differences = [SHELL_NOTE]
    if shown.has_picture:
        differences.append("It takes words alone: the picture of this query is left out.")
    if shown.weights != SMART.weights:
        differences.append(f"It ranks by weights 1 and 1; the screen by {_describe_weights(shown.weights)}.")
    if shown.has_own_pages and shown.scopes == (SAMPLES,):
        differences.append("With --samples it ranks your own documents among them.")
    return differences


def _describe_weights(weights: Weights) -> str:
    form = "" if weights.reduce == SMART.weights.reduce else ", the sum"
    words = "" if weights.counted == SMART.weights.counted else ", the query's own words alone"
    return f"{weights.pooled:.2f} and {weights.late:.2f}{form}{words}"


def _describe_scopes(scopes: tuple[Scope, ...]) -> str:
    return " and ".join("the samples" if scope == SAMPLES else "your documents" for scope in scopes)


def _escape(character: str) -> str:
    """Escape a character for printf's `%b`: a backslash twice, an invisible character as octal bytes."""
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    return "".join(f"\\0{byte:03o}" for byte in character.encode())
