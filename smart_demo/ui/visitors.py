"""Room for judgements on a public page: so many visitors' files, and so many bytes of everything of everybody's."""

from __future__ import annotations

from smart_demo.engine import Engine
from smart_demo.errors import AllFull, LibraryError
from smart_demo.store.quotas import check_total
from smart_demo.types import Scope

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
