"""Which files a list of paths comes to: folders are walked, files taken as named."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from smart_demo.ingest.kinds import SUFFIXES, kind_of
from smart_demo.ingest.upload import HEAD, clean_name


def walk(paths: Iterable[Path]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """(files to try, notices): every file named, and from every folder, in sorted order, what looks or is named
    like a document.

    A file named outright is always kept, so that `inspect` can say what is wrong with it. In a folder hidden entries,
    links and files whose content is of another type are skipped, counted in one notice a folder. A path that is not
    there is a notice. A file reached twice is kept once, where it came first.
    """
    files: dict[Path, None] = {}
    notices: list[str] = []
    for given in paths:
        path = Path(os.path.abspath(given))
        if path.is_dir():
            found, notice = _documents(path)
            files |= dict.fromkeys(found)
            notices += [notice] if notice else []
        elif path.exists() or path.is_symlink():
            files[path] = None
        else:
            notices.append(f"{clean_name(str(given))} is not there.")
    return tuple(files), tuple(notices)


def _documents(folder: Path) -> tuple[list[Path], str]:
    found: list[Path] = []
    skipped: list[str] = []
    for path in _entries(folder, skipped):
        if _looks_like_a_document(path):
            found.append(path)
        else:
            skipped.append(path.name)
    if not skipped:
        return found, ""
    names = ", ".join(clean_name(name) for name in sorted(skipped)[:3]) + (", …" if len(skipped) > 3 else "")
    entries = "1 entry" if len(skipped) == 1 else f"{len(skipped):,} entries"
    return found, f"{clean_name(folder.name)}: skipped {entries} (hidden, linked or of another type): {names}."


def _entries(folder: Path, skipped: list[str]) -> Iterator[Path]:
    """Every file below `folder`, sorted by path; hidden names and folders that may not be read go to `skipped`."""

    def unreadable(error: OSError) -> None:
        skipped.append(Path(error.filename).name)

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        skipped += [name for name in [*folders, *names] if name.startswith(".")]
        skipped += [name for name in folders if not name.startswith(".") and Path(parent, name).is_symlink()]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def _looks_like_a_document(path: Path) -> bool:
    """By its first bytes, or by a name that claims it: an empty or torn PDF is for `inspect` to refuse in words.

    Links are not followed, pipes and devices not opened.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
        with path.open("rb") as file:
            return bool(kind_of(file.read(HEAD))) or path.suffix.lower() in SUFFIXES
    except OSError:
        return False
