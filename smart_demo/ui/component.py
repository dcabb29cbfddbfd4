"""Gradio's HTML component as this page uses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import gradio as gr

Serve = Callable[[object], Mapping[str, object]]
"""What a script of the page may ask; anyone with curl may, too."""


def html(
    value: str,
    elem_id: str,
    script: str | None = None,
    functions: Sequence[Serve] = (),
) -> gr.HTML:
    """Markup made in Python, where everything from outside is escaped; the default template sets it as it is."""
    return gr.HTML(value, elem_id=elem_id, apply_default_css=False, js_on_load=script, server_functions=list(functions))
