"""The judgement files of each owner, `<data>/judgements/<scope>.*`: their sizes and their deletion.

`smart_demo.judging` writes and reads them; this module never opens one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from smart_demo.store import atomic_files
from smart_demo.types import Scope

FOLDER = "judgements"


@dataclass(frozen=True, slots=True)
class JudgementFiles:
    """Total size and last change of one owner's files."""

    bytes: int = 0
    changed: float = 0.0
    """Unix time of the newest file."""


def find_judgement_files(data_dir: Path) -> dict[Scope, JudgementFiles]:
    """Return the files of every owner. A folder that cannot be read counts as empty."""
    found: dict[Scope, JudgementFiles] = {}
    with suppress(OSError):
        for path in (data_dir / FOLDER).iterdir():
            with suppress(OSError, ValueError):  # deleted a moment ago, or its name begins with no scope
                scope, info = Scope(path.name.partition(".")[0]), path.lstat()
                known = found.get(scope, JudgementFiles())
                found[scope] = JudgementFiles(known.bytes + info.st_size, max(known.changed, info.st_mtime))
    return found


def delete_judgements(data_dir: Path, scope: Scope) -> int:
    """Delete the files of one owner and return the bytes freed. Raises LibraryError if the disk refuses."""
    with atomic_files.storage_errors("delete the judgements"):
        paths = list(_files(data_dir, scope))
        freed = sum(path.lstat().st_size for path in paths)
        atomic_files.delete_files(paths)
    return freed


def delete_if_unchanged(data_dir: Path, scope: Scope, seen: JudgementFiles) -> int | None:
    """Delete the files of one owner and return the bytes freed, or None if they differ from `seen` or are in use.

    Raises LibraryError if the disk refuses.
    """
    with atomic_files.storage_errors("delete the judgements"):
        paths = list(_files(data_dir, scope))
        with atomic_files.lock_appends(paths) as locked:
            if not locked or find_judgement_files(data_dir).get(scope, JudgementFiles()) != seen:
                return None
            atomic_files.delete_files(paths)
    return seen.bytes


def delete_leftovers(data_dir: Path, before: float = math.inf) -> int:
    """Delete temporary files of killed writes that are older than a Unix time. Return how many.

    Call it before the first write of this process: it does not check for writes in progress.
    """
    paths = []
    with suppress(OSError):
        paths = [path for path in (data_dir / FOLDER).iterdir() if path.name.endswith(atomic_files.TEMPORARY_SUFFIX)]
        paths = [path for path in paths if path.lstat().st_mtime < before]
        atomic_files.delete_files(paths)
    return len(paths)


def _files(data_dir: Path, scope: Scope) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        for path in (data_dir / FOLDER).iterdir():
            if path.name.partition(".")[0] == str(scope):
                yield path
