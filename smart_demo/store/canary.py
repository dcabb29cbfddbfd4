"""Opens a Chroma folder where a crash hurts nobody: `python -m smart_demo.store.canary FOLDER`.

A folder torn by a kill or a full disk can raise for ever or take the whole process down with a segmentation fault, so
it is tried in a process of its own: every collection, every row with its vector, one query each.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from smart_demo.config import REPOSITORY

_SECONDS = 120
_ROWS = 500


def why_torn(folder: Path) -> str:
    """Empty if Chroma can serve everything in the folder, else in a few words what happened."""
    command = [sys.executable, "-m", "smart_demo.store.canary", str(folder)]
    try:
        ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"it did not open within {_SECONDS} seconds"
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
            rows = collection.get(limit=_ROWS, offset=offset, include=["embeddings"])
            if len(rows["embeddings"]) != min(_ROWS, count - offset):
                raise SystemExit("rows without vectors")
            vector = rows["embeddings"][0]
        if vector is not None and not collection.query(query_embeddings=[vector], n_results=1, include=[])["ids"][0]:
            raise SystemExit("a query found nothing")


if __name__ == "__main__":
    _try(sys.argv[1])
