"""Checks a Chroma folder in a process of its own: `python -m smart_demo.store.chroma_probe FOLDER`.

Opening a folder torn by a kill or a full disk can raise for ever, or end the process with a segmentation fault. So a
child process opens it first and reads every collection, every row with its vector, and makes one query each. Chroma has
no checksums and returns altered vectors without an error, so each row carries a checksum of ours. Chroma never deletes
the files of a deleted collection, so a folder with such files fails too: the rebuilt one is free of them.
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

CHECKSUM_KEY = "check"
"""Metadata key of a row's checksum."""
_TIMEOUT_SECONDS = 120
_BATCH = 500
_TOLERANCE = 1e-4


def checksums(vectors: Floats) -> list[float]:
    """Return a number per vector, of (N, P), that changes if the vector is altered, moved or exchanged.

    The length of the vector does not change it.

    >>> checksums(np.array([[1, 0], [5, 0], [0, 1]], np.float32))
    [0.5403, 0.5403, -0.4161]
    """
    rows = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    projections = rows @ np.cos(np.arange(1, rows.shape[1] + 1))
    return [float(number) for number in np.round(projections / np.where(lengths, lengths, 1), 4)]


def why_unreadable(folder: Path) -> str:
    """Return why Chroma cannot serve a folder, as the end of a sentence, or "" if it can."""
    command = [sys.executable, "-m", "smart_demo.store.chroma_probe", str(folder)]
    reader, writer = os.pipe()  # never written to: it closes when this process ends, and the child ends with it
    try:
        ended = subprocess.run(
            command, cwd=REPOSITORY, stdin=reader, capture_output=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it did not open within {_TIMEOUT_SECONDS} seconds"
    finally:
        os.close(reader)
        os.close(writer)
    if ended.returncode == 0:
        return ""
    if ended.returncode < 0:
        return f"opening it crashed with signal {-ended.returncode}"
    return "it could not be read"


def check_folder(folder: str) -> None:
    """Open a folder and read everything in it. Raises SystemExit, or anything that Chroma raises, if that fails."""
    import chromadb
    from chromadb.config import Settings

    client = chromadb.PersistentClient(folder, settings=Settings(anonymized_telemetry=False))
    for known in client.list_collections():
        collection = client.get_collection(known.name, embedding_function=None)
        count = collection.count()
        vector = None
        for offset in range(0, count, _BATCH):
            rows = collection.get(limit=_BATCH, offset=offset, include=["embeddings", "metadatas"])
            if len(rows["embeddings"]) != min(_BATCH, count - offset):
                raise SystemExit("rows without vectors")
            stored = [(facts or {}).get(CHECKSUM_KEY, np.nan) for facts in rows["metadatas"]]
            if not np.allclose(checksums(rows["embeddings"]), stored, rtol=0, atol=2 * _TOLERANCE):
                raise SystemExit("altered vectors")
            vector = rows["embeddings"][0]
        if vector is not None and not collection.query(query_embeddings=[vector], n_results=1, include=[])["ids"][0]:
            raise SystemExit("a query found nothing")
    if _unused_folders(Path(folder)):
        raise SystemExit("files of a deleted collection")


def _unused_folders(folder: Path) -> set[str]:
    """Return the segment folders that Chroma's database does not list; none if the database has another form."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(folder / "chroma.sqlite3")) as database:
        known = {name for (name,) in database.execute("SELECT id FROM segments")}
        return {path.name for path in folder.iterdir() if path.is_dir()} - known
    return set()


def _end_with_parent() -> None:
    """End this process when its parent ends: else it would read the folder while the next app uses it."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    check_folder(sys.argv[1])
