"""Options, errors and uploaded files of the page's events, and answers to its scripts.

A browser gets one sentence for an error, never a traceback.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ParamSpec

import gradio as gr
from markupsafe import Markup, escape

from smart_demo.errors import InputRefused, SmartError
from smart_demo.ui.format import strip_unprintable

log = logging.getLogger(__name__)
P = ParamSpec("P")
ServerFunction = Callable[[object], Mapping[str, object]]
"""A function that scripts of the page call by its name, and that any client can call too."""
PRIVATE_EVENT = {"api_visibility": "private", "show_progress": "hidden"}
SINGLE_EVENT = {**PRIVATE_EVENT, "trigger_mode": "once"}
SEARCH_EVENT = {**SINGLE_EVENT, "show_progress": "minimal"}
"""Options of events that may run an encoder. The style sheet draws Gradio's tracker as a thin line."""
UNEXPECTED_ERROR = "Something went wrong. The page is as it was; the log of the demo says what happened."


def html_component(
    value: str, elem_id: str, script: str | None = None, functions: Sequence[ServerFunction] = ()
) -> gr.HTML:
    """Return a component for markup that is already escaped: the default template inserts it as it is."""
    return gr.HTML(value, elem_id=elem_id, apply_default_css=False, js_on_load=script, server_functions=list(functions))


def embed_value(app: gr.Blocks, component: gr.HTML, value: str) -> None:
    """Set the value that a component of a running app has in pages opened from now on, before any event answers."""
    component.value = value
    for entry in app.config["components"]:
        if entry["id"] == component._id:
            entry["props"]["value"] = value


def server_function(name: str, handler: ServerFunction) -> ServerFunction:
    """Return a function by whose name scripts call a handler.

    It is no method, because Gradio deep-copies its configuration, and a method would be copied with its object.
    """

    def call(request: object) -> Mapping[str, object]:
        return handler(request)

    call.__name__ = name
    return call


def answer_errors(
    failure: str,
) -> Callable[[Callable[P, Mapping[str, object]]], Callable[P, dict[str, object]]]:
    """Return a decorator for functions that answer scripts: they return `{"sentence": …}` instead of raising.

    failure: the log line of an unexpected exception.
    """

    def decorate(handler: Callable[P, Mapping[str, object]]) -> Callable[P, dict[str, object]]:
        @functools.wraps(handler)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> dict[str, object]:
            try:
                return dict(handler(*args, **kwargs))
            except SmartError as error:
                return {"sentence": error.sentence}
            except Exception:
                log.exception(failure)
                return {"sentence": UNEXPECTED_ERROR}

        return guarded

    return decorate


def request_field(request: object, name: str) -> object:
    """Return one field of a script's request, or None if the request is no object or lacks the field."""
    return request.get(name) if isinstance(request, dict) else None


def toast_text(sentence: str) -> Markup:
    """Return a sentence for a toast, which Gradio shows as markup."""
    return escape(strip_unprintable(sentence))


def show_errors_as_toast(handler: Callable[P, object]) -> Callable[P, object]:
    """Wrap an event's handler so that an error shows a warning and leaves the page as it was."""

    @functools.wraps(handler)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> object:
        try:
            return handler(*args, **kwargs)
        except SmartError as error:
            gr.Warning(toast_text(error.sentence))
        except Exception:
            log.exception("an event failed")
            gr.Warning(UNEXPECTED_ERROR)
        return gr.skip()

    return guarded


def resolve_upload(file: object, folder: str, message: str = "No picture arrived.") -> Path:
    """Return the path of an uploaded file, which Gradio stores in a directory of its own inside `folder`.

    Raises InputRefused with `message` for any other path. Gradio's components check it too, but the file is then read
    and deleted, so this does not rely on them alone.
    """
    path = Path(file).resolve() if isinstance(file, str) and "\0" not in file else None
    if path is None or path.parent.parent != Path(folder).resolve() or not path.is_file():
        raise InputRefused(message, "Choose it again.")
    return path


def read_upload(path: Path, max_bytes: int) -> bytes:
    """Return an uploaded file's content, cut one byte after `max_bytes`. Raises InputRefused if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError:
        raise InputRefused("The file cannot be read.", "Choose it again.") from None
