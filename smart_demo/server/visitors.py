"""The identity of visitors on a public page.

A public page has no accounts: each browser holds a secret of 128 random bits and sends it with every request
(`head.js`). Uploads and judgements belong to the holder of that secret. On disk, in Chroma and in journals only its
digest is stored, so the name of a folder or a row does not give access.
"""

from __future__ import annotations

from gradio.context import LocalContext

from smart_demo.config import Settings
from smart_demo.store.quotas import visitor_scope
from smart_demo.types import LOCAL, Scope

VISITOR_HEADER = "x-smart-visitor"


def current_visitor(settings: Settings) -> Scope | None:
    """Return the scope that the visitor may search and change beside the samples, or None if there is none.

    A private page has one owner. On a public page the visitor comes from the request that Gradio handles in this
    thread.
    """
    if not settings.uploads:
        return None
    if not settings.public:
        return LOCAL
    request = LocalContext.request.get(None)
    return visitor_scope(request.headers.get(VISITOR_HEADER)) if request is not None else None
