"""Temporary copies of uploads: what Gradio receives and nothing claims. Measured by the gate, swept by the janitor.

Links are never followed, and what vanishes meanwhile is nobody's fault: other threads delete here, too.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

EMPTY_SECONDS = 600
"""A file that is still empty after so long will never be filled: a stalled upload is cut off far earlier."""


class Held(NamedTuple):
    """What lies in a folder and below."""

    files: int
    octets: int


def held(folder: Path) -> Held:
    """Files and their bytes; none in a folder that is not there."""
    sizes = [facts.st_size for _, facts in _below(folder) if not stat.S_ISDIR(facts.st_mode)]
    return Held(len(sizes), sum(sizes))


def sweep(folder: Path, older_than_seconds: float, keep: Container[Path]) -> int:
    """Delete the files below `folder` that nothing touched for so long, and the folders that are left empty.

    Empty files go sooner (`EMPTY_SECONDS`). `keep` are the paths of files on their way, as they were submitted. Returns
    the bytes that were freed. `folder` itself stays.
    """
    now, freed = time.time(), 0
    empty = min(older_than_seconds, EMPTY_SECONDS)
    for path, facts in sorted(_below(folder), key=lambda entry: len(entry[0].parts), reverse=True):
        age = now - max(facts.st_mtime, facts.st_ctime)  # a copy has the time of what it is a copy of
        with suppress(OSError):
            if stat.S_ISDIR(facts.st_mode):
                if age > empty:
                    path.rmdir()  # which the system refuses while there is something in it
            elif path not in keep and age > (older_than_seconds if facts.st_size else empty):
                path.unlink()
                freed += facts.st_size
    return freed


def _below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Everything below a folder with what the system says of it, folders among them."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                facts = entry.stat(follow_symlinks=False)
                yield Path(entry.path), facts
                if stat.S_ISDIR(facts.st_mode):
                    yield from _below(Path(entry.path))
