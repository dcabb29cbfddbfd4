"""Who asks. A public page keeps no accounts: each browser holds a secret of 128 random bits and sends it along with
every request (`visit.js`), and what it uploads or judges belongs to whoever knows that secret.

On disk, in Chroma and in journals stands a digest of it, so whoever sees a folder's or a row's name cannot ask with it.

Room for judgements on a public page: so many visitors' files, and so many bytes of everything of everybody's.
"""

from __future__ import annotations

import hashlib
import re

from gradio.context import LocalContext

from smart_demo.config import Settings
from smart_demo.engine import Engine
from smart_demo.errors import AllFull, LibraryError
from smart_demo.store.quotas import VISITOR, check_total
from smart_demo.types import LOCAL, Scope

HEADER = "x-smart-visitor"
_SECRET = re.compile("[0-9a-f]{32}")


def visitor_scope(secret: object) -> Scope | None:
    """The scope of whoever knows a secret; None for what is no secret.

    >>> str(visitor_scope("0" * 32))
    'visitor-84e0c0eafaa95a34c293f278ac52e45c'
    >>> visitor_scope("0" * 31) is None
    True
    """
    if not isinstance(secret, str) or not _SECRET.fullmatch(secret):
        return None
    return Scope(VISITOR + hashlib.sha256(secret.encode("ascii")).hexdigest()[:32])


def current_visitor(settings: Settings) -> Scope | None:
    """Whose documents whoever asks may see and change, beside the samples; None for nobody's.

    A private page has one owner. On a public one it is read off the request that Gradio is answering in this thread.
    """
    if not settings.uploads:
        return None
    if not settings.public:
        return LOCAL
    request = LocalContext.request.get(None)
    return visitor_scope(request.headers.get(HEADER)) if request is not None else None


MOST_VISITORS = 2_000
"""Whose judgements a public page keeps."""


def make_room(engine: Engine, owner: Scope, size: int) -> None:
    """See that a visitor's files may grow by so many bytes, be it that others make way, who changed nothing for long.

    LibraryError where nobody can.
    """
    judges = engine.library.judged_by_visitors()
    if owner not in judges and len(judges) >= MOST_VISITORS and not engine.make_way(owner, 1, judges):
        raise LibraryError(
            f"This page keeps the judgements of {MOST_VISITORS:,} visitors and has no room for another.",
            "Try again in an hour, or run the demo on your own machine: it keeps yours.",
        )
    taken = engine.library.bytes_of_visitors() + sum(judges.values())
    try:
        check_total(taken + size, engine.settings.quotas)
    except AllFull as refusal:
        if not engine.make_way(owner, refusal.lacking):
            raise
