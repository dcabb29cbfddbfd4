"""Gradio's HTML component as this page uses it.

What a script of the page gets for a question: the answer, or one sentence why there is none. Never a trace.

What the events of the page have in common: how they are announced, what they do with errors and with files.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ParamSpec

import gradio as gr

from smart_demo.errors import InputRefused, SmartError
from smart_demo.ui.format import esc

ServerFunction = Callable[[object], Mapping[str, object]]
"""What a script of the page may ask; anyone with curl may, too."""


def html_component(
    value: str,
    elem_id: str,
    script: str | None = None,
    functions: Sequence[ServerFunction] = (),
) -> gr.HTML:
    """Markup made in Python, where everything from outside is escaped; the default template sets it as it is."""
    return gr.HTML(value, elem_id=elem_id, apply_default_css=False, js_on_load=script, server_functions=list(functions))


log = logging.getLogger(__name__)
UNEXPECTED_ERROR = "Something went wrong. The page is as it was; the log of the demo says what happened."


def answer_or_error(answer: Callable[[], Mapping[str, object]], failure: str) -> dict[str, object]:
    """The answer, or `sentence` alone. `failure` is what the log says of what nobody foresaw."""
    try:
        return dict(answer())
    except SmartError as error:
        return {"sentence": error.sentence}
    except Exception:
        log.exception(failure)
        return {"sentence": UNEXPECTED_ERROR}


P = ParamSpec("P")
PRIVATE_EVENT = {"api_visibility": "private", "show_progress": "hidden"}
SINGLE_EVENT = {**PRIVATE_EVENT, "trigger_mode": "once"}
SEARCH_EVENT = {**SINGLE_EVENT, "show_progress": "minimal"}
"""For what may run an encoder; the style sheet turns Gradio's tracker into a thin line over the answer."""


def show_errors_as_toast(handler: Callable[P, object]) -> Callable[P, object]:
    """Refusals become a warning in words, anything unforeseen one calm sentence; the page stays as it was."""

    @functools.wraps(handler)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> object:
        try:
            return handler(*args, **kwargs)
        except SmartError as error:
            gr.Warning(esc(error.sentence))
        except Exception:
            log.exception("an event failed")
            gr.Warning(UNEXPECTED_ERROR)
        return gr.skip()

    return guarded


def resolve_upload(file: object, folder: str, otherwise: str = "No picture arrived.") -> Path:
    """Where Gradio put an uploaded file: a folder of its own inside `folder`. InputRefused for any other path.

    Gradio's components check it too; but what comes of it is read and deleted, so it is not left to them alone.
    """
    path = Path(file).resolve() if isinstance(file, str) and "\0" not in file else None
    if path is None or path.parent.parent != Path(folder).resolve() or not path.is_file():
        raise InputRefused(otherwise, "Choose it again.")
    return path


def read_upload(path: Path, most: int) -> bytes:
    """The bytes of an uploaded file, one more than `most` where it is longer. InputRefused where it is gone."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError:
        raise InputRefused("The file cannot be read.", "Choose it again.") from None
