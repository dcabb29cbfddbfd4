"""Opens a Chroma folder where a crash hurts nobody: `python -m smart_demo.store.chroma_probe FOLDER`.

A folder torn by a kill or a full disk can raise for ever or take the whole process down with a segmentation fault, so
it is tried in a process of its own: every collection, every row with its vector, one query each. Chroma has no
checksums and returns altered vectors without complaint, so each row carries a check of its own. It never deletes the
files of a collection that is gone either, so a folder with such files counts as torn: built anew it is without.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from smart_demo.config import REPOSITORY
from smart_demo.types import Floats

_SECONDS = 120
_ROWS = 500
CHECK = "check"
"""Under which name a row carries the check of its vector."""
_NEAR = 1e-4


def checks(vectors: Floats) -> list[float]:
    """For each of the vectors (N, P), whatever its length, a number that an altered, moved or exchanged one has not.

    >>> checks(np.array([[1, 0], [5, 0], [0, 1]], np.float32))
    [0.5403, 0.5403, -0.4161]
    """
    rows = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    along = rows @ np.cos(np.arange(1, rows.shape[1] + 1))
    return [float(number) for number in np.round(along / np.where(lengths, lengths, 1), 4)]


def why_torn(folder: Path) -> str:
    """Empty if Chroma can serve everything in the folder, else in a few words what happened."""
    command = [sys.executable, "-m", "smart_demo.store.chroma_probe", str(folder)]
    reader, writer = os.pipe()  # nothing goes through it: it ends with this process, and the canary with it
    try:
        ended = subprocess.run(
            command, cwd=REPOSITORY, stdin=reader, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it did not open within {_SECONDS} seconds"
    finally:
        os.close(reader)
        os.close(writer)
    if ended.returncode == 0:
        return ""
    if ended.returncode < 0:
        return f"opening it crashed with signal {-ended.returncode}"
    return "it could not be read"


def _try(folder: str) -> None:
    import chromadb
    from chromadb.config import Settings

    client = chromadb.PersistentClient(folder, settings=Settings(anonymized_telemetry=False))
    for known in client.list_collections():
        collection = client.get_collection(known.name, embedding_function=None)
        count = collection.count()
        vector = None
        for offset in range(0, count, _ROWS):
            rows = collection.get(limit=_ROWS, offset=offset, include=["embeddings", "metadatas"])
            if len(rows["embeddings"]) != min(_ROWS, count - offset):
                raise SystemExit("rows without vectors")
            said = [(facts or {}).get(CHECK, np.nan) for facts in rows["metadatas"]]
            if not np.allclose(checks(rows["embeddings"]), said, rtol=0, atol=2 * _NEAR):
                raise SystemExit("vectors that nobody gave")
            vector = rows["embeddings"][0]
        if vector is not None and not collection.query(query_embeddings=[vector], n_results=1, include=[])["ids"][0]:
            raise SystemExit("a query found nothing")
    if _unused(Path(folder)):
        raise SystemExit("files of no collection")


def _unused(folder: Path) -> set[str]:
    """Folders of Chroma's own files that its database does not know. None where the database is of another form."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(folder / "chroma.sqlite3")) as database:
        known = {name for (name,) in database.execute("SELECT id FROM segments")}
        return {path.name for path in folder.iterdir() if path.is_dir()} - known
    return set()


def _end_with_the_parent() -> None:
    """A canary that outlives a killed app would try the folder while the next one uses it."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    _try(sys.argv[1])
