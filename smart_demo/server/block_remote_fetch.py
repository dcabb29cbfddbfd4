"""Protection against server-side request forgery: no address that a visitor gives is ever fetched.

There are two locks, since either alone depends on Gradio's next version. The gate refuses a request whose JSON gives a
file by address, before anything else reads it. And the functions with which Gradio fetches for visitors
(`/file=<address>`, and files given by address to an event, a call or a tool) are replaced for the whole process, so
that an unforeseen way in ends at a refusal, too.
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

REMOTE_URL = re.compile(r"[\s\x00-\x20]*(?:[a-z][a-z0-9+.-]*:|[/\\]{2})", re.IGNORECASE)
"""Pattern of a scheme or a bare host, in upper or lower case and after any blanks."""
MAX_JSON_VALUES = 20_000
"""Maximum number of values in a request: an event with 200 uploaded files has some 4,000. A value of two bytes takes a
hundred in memory."""
UTF_16_MARKS = (b"\xfe\xff", b"\xff\xfe")
NO_REMOTE_FETCH = "This page fetches nothing from other addresses; upload the file itself."
FILE_ROUTE = "/gradio_api/file="
ProcessFile = Callable[[Any, FileData], object]


def names_remote_file(body: bytes) -> bool:
    """Return whether JSON contains an object that gives a file by address, at any depth.

    It is parsed with the standard parser, as Starlette does, so both see the same. Strings outside such objects, as
    words to search for, may hold addresses. Raises ValueError if it is not JSON and OverflowError if it has more than
    MAX_JSON_VALUES values.

    >>> names_remote_file(b'{"data": ["https://example.org"]}')
    False
    >>> names_remote_file(b'{"data": [{"path": "HTTPS://example.org/x.pdf"}]}')
    True
    """
    if b"\0" in body or body.startswith(UTF_16_MARKS):  # which that parser would read, and the count would not
        raise ValueError("not in UTF-8")
    if count_json_values(body) > MAX_JSON_VALUES:
        raise OverflowError("too many parts")
    try:
        remaining = [json.loads(body)]
    except RecursionError:
        raise ValueError("nested too deeply") from None
    while remaining:
        value = remaining.pop()
        if isinstance(value, dict):
            if _is_remote(value.get("path")) or (_is_remote(value.get("url")) and not _is_uploaded_file(value)):
                return True
            remaining.extend(value.values())
        elif isinstance(value, list):
            remaining.extend(value)
    return False


def count_json_values(body: bytes) -> int:
    r"""Return about how many values JSON has, without parsing it: its brackets, colons and commas outside strings.

    If it is not JSON, the count is arbitrary, and the parser stops at the error.

    >>> count_json_values(b'{"data": [1, "a,b,[c]", "\\\", [,"]}')
    5
    """
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")  # strings without quotes in them
    if unescaped.count(b'"') > 4 * MAX_JSON_VALUES:
        return 4 * MAX_JSON_VALUES
    outside_strings = b"".join(unescaped.split(b'"')[::2])
    return sum(map(outside_strings.count, (b"{", b"[", b",", b":")))


def _is_remote(value: object) -> bool:
    return isinstance(value, str) and REMOTE_URL.match(value) is not None


def _is_uploaded_file(file: dict[str, object]) -> bool:
    """Return whether the address of a file is the one that Gradio's script derives from its path on this server."""
    path, url = file.get("path"), file.get("url")
    if not isinstance(path, str) or not isinstance(url, str):
        return False
    return url.endswith(FILE_ROUTE + path) or unquote(url).endswith(FILE_ROUTE + path)


def disable_remote_fetch() -> None:
    """Patch Gradio for the whole process: it fetches nothing and does not share or litter its folder of uploads.

    Its upload boxes leave no empty file per upload behind, and no two uploads share a copy.
    """
    safehttpx.get = safehttpx.async_validate_url = _refuse_fetch
    for box in (gr.File, gr.UploadButton):
        if box._process_single_file.__module__ != __name__:
            box._process_single_file = _without_temporary_file(box._process_single_file)
    if GradioUploadFile.__init__.__module__ != __name__:
        GradioUploadFile.__init__ = _with_random_folder(GradioUploadFile.__init__)


async def _refuse_fetch(*_: object, **__: object) -> NoReturn:
    raise gr.Error(NO_REMOTE_FETCH, print_exception=False)


def _without_temporary_file(process_file: ProcessFile) -> ProcessFile:
    """Wrap an upload box's method to skip the unused temporary file that Gradio opens beside each upload."""

    def process(box: Any, file: FileData) -> object:  # noqa: ANN401 - either kind of box
        plain = box.type == "filepath" and not box.file_types
        return NamedString(file.path) if plain else process_file(box, file)

    return process


def _with_random_folder(original_init: Callable[..., None]) -> Callable[..., None]:
    """Wrap the constructor of Gradio's upload file to add random bytes to the hash that names its folder.

    Equal files of two visitors would be one copy: the first to finish deletes it while the other's upload has not been
    submitted yet.
    """

    def init(upload: Any, /, *args: object, **kwargs: object) -> None:  # noqa: ANN401 - a class of Gradio's
        original_init(upload, *args, **kwargs)
        upload.sha.update(secrets.token_bytes(16))

    return init
