"""The check of a Chroma folder in a fork: the same code in a process of its own, without importing Chroma each time.

Half the time of a test that reopens a library was that import. `tests/store/test_chroma_index.py` uses the real one.
"""

import multiprocessing
from pathlib import Path

from smart_demo.store import chroma_index

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["chromadb", "smart_demo.store.chroma_index"])


def why_unreadable(folder: Path) -> str:
    """Replaces `chroma_index.why_unreadable`."""
    child = FORKS.Process(target=chroma_index.check_folder, args=(str(folder),), daemon=True)
    child.start()
    child.join()
    if child.exitcode == 0:
        return ""
    return "it could not be read" if child.exitcode > 0 else f"opening it crashed with signal {-child.exitcode}"
