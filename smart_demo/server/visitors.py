"""Who asks. A public page keeps no accounts: each browser holds a secret of 128 random bits and sends it along with
every request (`visit.js`), and what it uploads or judges belongs to whoever knows that secret.

On disk, in Chroma and in journals stands a digest of it, so whoever sees a folder's or a row's name cannot ask with it.

Room for judgements on a public page: so many visitors' files, and so many bytes of everything of everybody's.
"""

from __future__ import annotations

from gradio.context import LocalContext

from smart_demo.config import Settings
from smart_demo.store.quotas import visitor_scope
from smart_demo.types import LOCAL, Scope

VISITOR_HEADER = "x-smart-visitor"


def current_visitor(settings: Settings) -> Scope | None:
    """Whose documents whoever asks may see and change, beside the samples; None for nobody's.

    A private page has one owner. On a public one it is read off the request that Gradio is answering in this thread.
    """
    if not settings.uploads:
        return None
    if not settings.public:
        return LOCAL
    request = LocalContext.request.get(None)
    return visitor_scope(request.headers.get(VISITOR_HEADER)) if request is not None else None
