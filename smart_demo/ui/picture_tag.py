"""Markup of the picture that a question carries: a tag in the ask row, with a way to ask without it."""

from __future__ import annotations

import base64

from smart_demo.ui.pictures import Glimpse
from smart_demo.ui.wording import name

MISSING = '<svg class="like-picture missing" viewBox="0 0 48 48" width="48" height="48" aria-hidden="true"></svg>'


def tag(glimpse: Glimpse | None) -> str:
    """What is asked with; None for a picture or page that is no longer there."""
    if glimpse is None:
        return _tag(MISSING, "A picture", "that is no longer there")
    data = base64.b64encode(glimpse.thumbnail).decode("ascii")
    image = f'<img class="like-picture" src="data:image/webp;base64,{data}" alt="" draggable="false">'
    if glimpse.page is None:
        return _tag(image, "This picture", "")
    part = "Page" if glimpse.whole else "A part of page"
    return _tag(image, f"{part} {glimpse.page.number}", f"of {name(glimpse.page.document)}")


def _tag(image: str, what: str, where: str) -> str:
    """All three are markup already."""
    return (
        f'<div class="like" role="group" aria-label="Asked with">{image}'
        f'<span class="like-said"><b>{what}</b> <span>{where}</span></span>'
        '<button type="button" class="like-drop" aria-label="Ask without the picture" title="Ask without the picture">'
        "✕</button></div>"
    )
