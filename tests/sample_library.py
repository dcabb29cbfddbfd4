"""The shipped sample documents, encoded once by the bundled model and stored between the test runs of a checkout.

Encoding 71 pages, three of them by OCR, takes as long as a tenth of all tests. The result is stored under `build/`,
named by a hash of all that determines it: the encoder, the documents, and the code that reads, encodes and stores them.
`make demo` has its own library, which no test touches. Nothing is taken from the shipped encodings, which tests compare
with it: `python -m tests.sample_library` writes them again (`make sample-encodings`).
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from smart_demo.backbones import ocr_networks
from smart_demo.config import NO_ENCODINGS, SAMPLE_DOCUMENTS, SHIPPED_ENCODINGS, Settings
from smart_demo.engine import open_engine

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "build" / "sample-library"
DECIDES = ("types.py", "page_text.py", "config.py", "indexing", "ingest", "backbones", "store")
"""Parts of the program that determine the stored library."""


def copy_sample_library(to: Path) -> Path:
    """Create the data folder `to` with the whole sample library, encoded by minilm and ready to be opened."""
    with _alone():
        whole = KEPT / _name()
        if not whole.is_dir():
            _encode(whole)
        shutil.copytree(whole, to)
    return to


def settings_of(data: Path) -> Settings:
    """Return the settings of an engine over such a folder."""
    return Settings(backbone="minilm", data_dir=data, index_dir=data / "index", sample_encodings=NO_ENCODINGS)


def write_shipped_encodings() -> str:
    """Write the encodings file in `assets/` from the sample library of this code, and return what was written."""
    notices: list[str] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        open_engine(settings_of(copy_sample_library(Path(folder, "data"))), fall_back=False) as engine,
    ):
        encoder, documents = engine.backbones.main().encoder, engine.sample_documents
        pages, size = documents.export_encodings(engine.library, encoder, SHIPPED_ENCODINGS, notices)
    return " ".join([f"{SHIPPED_ENCODINGS}: {pages} pages, {size:,} bytes.", *notices])


def _encode(whole: Path) -> None:
    """Encode into a temporary name, so that an incomplete library is never used; delete older versions."""
    shutil.rmtree(KEPT)
    KEPT.mkdir()
    begun = whole.with_suffix(".begun")
    with _same_ocr_everywhere(), open_engine(settings_of(begun), fall_back=False) as engine:
        list(engine.prepare_samples())
        assert engine.samples().complete
    begun.rename(whole)


@contextmanager
def _same_ocr_everywhere() -> Iterator[None]:
    """Read by the recogniser that every processor uses: what is pinned may not depend on 8-bit arithmetic."""
    with patch.object(ocr_networks, "INT8_FLAGS", frozenset()):
        ocr_networks.recogniser.cache_clear()
        try:
            yield
        finally:
            ocr_networks.recogniser.cache_clear()


def _name() -> str:
    """Return 16 hex digits of the documents and the code. The code pins the weights that it loads."""
    documents = [path for path in SAMPLE_DOCUMENTS.iterdir() if path.suffix in {".pdf", ".jpg", ".png"}]
    parts = [ROOT / "smart_demo" / part for part in DECIDES]
    code = [path for part in parts for path in ([part] if part.is_file() else part.rglob("*.py"))]
    digest = hashlib.sha256((ROOT / "requirements.txt").read_bytes())
    for path in sorted([*documents, *code]):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


@contextmanager
def _alone() -> Iterator[None]:
    """Lock out other processes of this checkout; the second one finds the library complete."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with KEPT.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.stdout.write(write_shipped_encodings() + "\n")
