"""The query on the screen as code: pure text, quoted so that any query comes out of it as it went in.

Whatever cannot be seen, or turns what stands around it, is escaped in every language: code is copied into terminals.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

from smart_demo.types import SAMPLES, SMART, Scope, Weights

ADDRESS = None
"""Stands in code for the page's own address, which only its script knows: it ends with a slash and holds no quote."""
Code = tuple[str | None, ...]
"""Pieces of one text; ADDRESS among them."""
STOPPED = (
    "Run it where this program lies, with the same settings and while the page is stopped: one process at a time opens "
    "the library."
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What decides whether a program gets the answer that is on the screen."""

    scopes: tuple[Scope, ...]
    weights: Weights
    picture: bool
    """Whether it was asked with a picture, too."""
    answers: Scope
    """Whose pages the endpoint answers from,"""
    own: bool
    """and whether there are any of one's own."""


def python(query: str, top: int) -> Code:
    """A program with `gradio_client`, which comes with Gradio."""
    return (
        'from gradio_client import Client\n\nclient = Client("',
        ADDRESS,
        f'")\nanswer = client.predict(query={query!r}, top={top}, api_name="/search")\n'
        'for hit in answer["results"]["smart"]:\n'
        '    print(hit["rank"], hit["document"], hit["page"], hit["smart"])',
    )


def curl(query: str, top: int) -> Code:
    """Two requests: the first gives an event's id, the second waits for what became of it."""
    body = shlex.quote(readable({"data": [query, top]}))
    return (
        "ADDRESS='",
        ADDRESS,
        "'\nEVENT=$(curl -s \"${ADDRESS}gradio_api/call/search\" -H 'Content-Type: application/json' \\\n"
        f"  -d {body} | cut -d '\"' -f 4)\n"
        'curl -sN "${ADDRESS}gradio_api/call/search/$EVENT"',
    )


def shell(query: str, top: int, *, samples: bool) -> str:
    """The same engine without the page. A query that begins like an option stands behind all of them."""
    options = f"--top {top} --json{' --samples' if samples else ''}"
    if query.startswith("-"):
        return f"python -m smart_demo search {options} -- {word(query)}"
    return f"python -m smart_demo search {word(query)} {options}"


def word(text: str) -> str:
    r"""One word for a POSIX shell, whatever is in it; NUL apart, which no argument can hold.

    >>> print(word("don't"), word("a\nb"))
    'don'"'"'t' "$(printf %b 'a\0012b')"
    """
    if text.isprintable():
        return shlex.quote(text)
    return f'"$(printf %b {shlex.quote("".join(map(_escaped, text)))})"'


def readable(value: object, indent: int | None = None) -> str:
    r"""JSON that shows letters of every script as they are and everything that cannot be seen as an escape.

    >>> print(readable({"größe": "\u202e"}))
    {"größe": "\u202e"}
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def differences(shown: Shown) -> list[str]:
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


def shell_differences(shown: Shown) -> list[str]:
    """What to know of the third."""
    told = [STOPPED]
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
