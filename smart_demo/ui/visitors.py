"""Room for judgements on a public page: so many visitors' files, and those who kept nothing make way for others."""

from __future__ import annotations

from pathlib import Path

from smart_demo.errors import LibraryError
from smart_demo.store import durable
from smart_demo.store.usage import VISITOR
from smart_demo.types import Scope

MOST_VISITORS = 200
"""Whose judgements a public page keeps."""
_HEADER_ONLY = 1_000
"""Bytes: a journal with its header and no judgement is shorter, one with any is longer."""


def make_room(folder: Path, owner: Scope) -> None:
    """See that a visitor's files may be written. LibraryError where as many as can be have judged something here."""
    files: dict[str, list[Path]] = {}
    for path in folder.glob(f"{VISITOR}*"):
        files.setdefault(path.name.split(".")[0], []).append(path)
    if str(owner) in files or len(files) < MOST_VISITORS:
        return
    idle = [some for some in files.values() if not any(map(_has_judgements, some))]
    if not idle:
        raise LibraryError(
            f"This page keeps the judgements of {MOST_VISITORS} visitors and has no room for another.",
            "Run the demo on your own machine: it keeps yours.",
        )
    with durable.storage_errors("make room for your judgements"):
        durable.unlink(min(idle, key=lambda some: max(map(_changed, some))))


def _has_judgements(path: Path) -> bool:
    try:
        return path.suffix == ".jsonl" and path.stat().st_size > _HEADER_ONLY
    except OSError:
        return False


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # somebody else made room a moment ago
        return 0.0
