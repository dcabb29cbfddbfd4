"""Addresses that a visitor gives: none is ever fetched. Two locks, since either alone depends on Gradio's next version.

The gate refuses a request that names one, in words and before anything looks at it. And the two functions through which
Gradio fetches for visitors (`/file=<address>`, and files given by address to an event, a call or a tool) are replaced
for the whole process, so that a way in which nobody thought of here ends at a refusal, too.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import unquote

import gradio as gr
import safehttpx
from gradio.data_classes import FileData
from gradio.route_utils import GradioUploadFile
from gradio.utils import NamedString

FOREIGN = re.compile(r"[\s\x00-\x20]*(?:[a-z][a-z0-9+.-]*:|[/\\]{2})", re.IGNORECASE)
"""A scheme or a bare host, in whatever case and behind whatever blanks."""
MOST_PARTS = 20_000
"""Values in a request: an event with 200 uploaded files has some 4,000. Two bytes of one take a hundred in memory."""
UTF_16 = (b"\xfe\xff", b"\xff\xfe")
FETCHES = "This page fetches nothing from other addresses; upload the file itself."
OWN = "/gradio_api/file="
Given = Callable[[Any, FileData], object]


def names_elsewhere(body: bytes) -> bool:
    """Whether JSON holds an object that gives a file by address, at any depth. ValueError for what is no JSON,
    OverflowError where it has more than MOST_PARTS.

    Read with the standard parser as Starlette reads it, so both see the same. Words to search for are no objects.

    >>> names_elsewhere(b'{"data": ["https://example.org"]}')
    False
    >>> names_elsewhere(b'{"data": [{"path": "HTTPS://example.org/x.pdf"}]}')
    True
    """
    if b"\0" in body or body.startswith(UTF_16):  # which that parser would read, and the count would not
        raise ValueError("not in UTF-8")
    if _parts(body) > MOST_PARTS:
        raise OverflowError("too many parts")
    try:
        remaining = [json.loads(body)]
    except RecursionError:
        raise ValueError("nested too deeply") from None
    while remaining:
        value = remaining.pop()
        if isinstance(value, dict):
            if _foreign(value.get("path")) or (_foreign(value.get("url")) and not _is_own(value)):
                return True
            remaining.extend(value.values())
        elif isinstance(value, list):
            remaining.extend(value)
    return False


def _parts(body: bytes) -> int:
    r"""Values in JSON, as far as brackets, colons and commas outside its strings tell; counted before it is parsed.

    What is no JSON may have any number, and the parser stops where it is none.

    >>> _parts(b'{"data": [1, "a,b,[c]", "\\\", [,"]}')
    5
    """
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"")  # strings without quotes in them
    if bare.count(b'"') > 4 * MOST_PARTS:
        return 4 * MOST_PARTS
    outside = b"".join(bare.split(b'"')[::2])
    return sum(map(outside.count, (b"{", b"[", b",", b":")))


def _foreign(value: object) -> bool:
    return isinstance(value, str) and FOREIGN.match(value) is not None


def _is_own(file: dict[str, object]) -> bool:
    """Gradio's script names an uploaded file by its path here, and by the address that this path would have."""
    path, address = file.get("path"), file.get("url")
    if not isinstance(path, str) or not isinstance(address, str):
        return False
    return address.endswith(OWN + path) or unquote(address).endswith(OWN + path)


def lock() -> None:
    """For the whole process: Gradio fetches nothing, its upload boxes leave no empty file per upload behind, and no two
    uploads share a copy.
    """
    safehttpx.get = safehttpx.async_validate_url = _fetch_nothing
    for box in (gr.File, gr.UploadButton):
        if box._process_single_file.__module__ != __name__:
            box._process_single_file = _tidy(box._process_single_file)
    if GradioUploadFile.__init__.__module__ != __name__:
        GradioUploadFile.__init__ = _alone(GradioUploadFile.__init__)


async def _fetch_nothing(*_: object, **__: object) -> NoReturn:
    raise gr.Error(FETCHES, print_exception=False)


def _tidy(given: Given) -> Given:
    """What a box makes of an uploaded file, less the temporary file that Gradio opens beside it for nothing."""

    def named(box: Any, file: FileData) -> object:  # noqa: ANN401 - either kind of box
        plain = box.type == "filepath" and not box.file_types
        return NamedString(file.path) if plain else given(box, file)

    return named


def _alone(made: Callable[..., None]) -> Callable[..., None]:
    """Names the folder of an upload by more than its bytes. Equal files of two people would be one copy: whoever is
    through first deletes it, while the other's is still on its way to be submitted.
    """

    def init(upload: Any, /, *given: object, **named: object) -> None:  # noqa: ANN401 - a class of Gradio's
        made(upload, *given, **named)
        upload.sha.update(secrets.token_bytes(16))

    return init
