"""The folders of Chroma and the small files that stand beside them. Knows nothing of rows.

    <index>/chroma-<n>           the folder in use: the highest n
    <index>/chroma-<n>.distrust  a process met an error in it: the next start builds n+1 instead
    <index>/chroma-<n>.deleted   so many rows were deleted from it, a byte for each; one is `!` where a visitor's went

Chroma keeps the bytes of deleted rows, in its graph, its log and its database. Only a folder built anew is without.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path

from smart_demo.store import canary, durable

_SHARE = 10
"""One deleted row to so many pages: then a folder is built anew."""
_VISITORS = b"!"


def folders(index_dir: Path) -> dict[int, Path]:
    """Number -> folder of every Chroma folder there is."""
    names = [re.fullmatch(r"chroma-([1-9][0-9]{0,8})", path.name) for path in index_dir.iterdir() if path.is_dir()]
    return {int(name[1]): index_dir / name[0] for name in names if name}


def following(index_dir: Path) -> Path:
    """The folder that the next start would believe before all others, once it is made."""
    return index_dir / f"chroma-{max(folders(index_dir), default=0) + 1}"


def why_not(folder: Path) -> str:
    """Why a folder cannot be used; empty if it can."""
    if _beside(folder, "distrust").exists():
        return "Chroma failed while the last process ran"
    return canary.why_torn(folder)


def distrust(folder: Path) -> None:
    """Have the next start build another folder."""
    with suppress(OSError):
        _beside(folder, "distrust").touch(mode=0o600)


def note_deleted(folder: Path, rows: int, *, visitors: bool) -> None:
    """Remember over restarts that rows go. A note that cannot be kept delays the building anew, no more."""
    with suppress(OSError), _beside(folder, "deleted").open("ab") as file:
        file.write(b"." * rows + (_VISITORS if visitors else b""))


def is_wasteful(folder: Path, pages: int) -> bool:
    """Whether a visitor's rows were deleted, or many in proportion to the pages that there are."""
    with suppress(OSError):
        deleted = _beside(folder, "deleted").read_bytes()
        return _VISITORS in deleted or len(deleted) * _SHARE > pages
    return False


def delete(folder: Path) -> None:
    """Remove a folder that is no longer used; what cannot be removed now is tried again at the next start."""
    shutil.rmtree(folder, ignore_errors=True)
    for what in ("distrust", "deleted"):
        with suppress(OSError):
            durable.unlink([_beside(folder, what)])


def _beside(folder: Path, what: str) -> Path:
    return folder.with_name(f"{folder.name}.{what}")
