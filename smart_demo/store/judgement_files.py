"""What lies beside the library under the names of its owners: `<data>/judgements/<scope>.*`.

The evaluation writes and reads these files. Here they are counted and deleted, unread.
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
    """The files of one owner."""

    bytes: int = 0
    changed: float = 0.0
    """When the newest was written, in seconds of the epoch."""


def judged(data_dir: Path) -> dict[Scope, JudgementFiles]:
    """Every owner's files. A folder that cannot be read has none."""
    found: dict[Scope, JudgementFiles] = {}
    with suppress(OSError):
        for path in (data_dir / FOLDER).iterdir():
            with suppress(OSError, ValueError):  # gone a moment ago, or nobody's
                scope, facts = Scope(path.name.partition(".")[0]), path.lstat()
                known = found.get(scope, JudgementFiles())
                found[scope] = JudgementFiles(known.bytes + facts.st_size, max(known.changed, facts.st_mtime))
    return found


def forget(data_dir: Path, scope: Scope) -> int:
    """Delete an owner's files. Bytes freed. LibraryError where the disk refuses."""
    with atomic_files.storage_errors("delete the judgements"):
        paths = list(_files(data_dir, scope))
        freed = sum(path.lstat().st_size for path in paths)
        atomic_files.unlink(paths)
    return freed


def expire(data_dir: Path, scope: Scope, seen: JudgementFiles) -> int | None:
    """`forget`, unless something was written since an owner's files were seen, or is being written: then None."""
    with atomic_files.storage_errors("delete the judgements"):
        paths = list(_files(data_dir, scope))
        with atomic_files.nobody_appends(paths) as alone:
            if not alone or judged(data_dir).get(scope, JudgementFiles()) != seen:
                return None
            atomic_files.unlink(paths)
    return seen.bytes


def sweep(data_dir: Path, before: float = math.inf) -> int:
    """Remove what killed writes left before a time in seconds of the epoch, before anybody writes. How many files."""
    left = []
    with suppress(OSError):
        left = [path for path in (data_dir / FOLDER).iterdir() if path.name.endswith(atomic_files.TEMPORARY)]
        left = [path for path in left if path.lstat().st_mtime < before]
        atomic_files.unlink(left)
    return len(left)


def _files(data_dir: Path, scope: Scope) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        for path in (data_dir / FOLDER).iterdir():
            if path.name.partition(".")[0] == str(scope):
                yield path
