"""Sample documents from the file to the last page kept, by `minilm`, and what the steps take one by one."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from smart_demo import ingest
from smart_demo.config import Settings
from smart_demo.engine import Engine, open_engine
from smart_demo.types import LOCAL, Page, State
from tests.bench.goals import Figure

WRITTEN = ("annual-report-2024.pdf", "petrel-3-manual.pdf", "paper-fouling-spectra.pdf")
SCANNED = ("scanned-letter-harbour-master.pdf",)
"""Documents with a text layer; and without one, which OCR reads."""


def measure_indexing() -> list[Figure]:
    """`index.minilm` and `index.minilm.ocr`: pages a second through `Engine.add`, into a library that is deleted."""
    with tempfile.TemporaryDirectory(prefix="smart-demo-bench-") as name:
        folder = Path(name)
        settings = Settings(backbone="minilm", data_dir=folder / "data", index_dir=folder / "index")
        with open_engine(settings, fall_back=False) as engine:
            add(engine, SCANNED)  # minilm and OCR are loaded, and Chroma is open
            engine.forget(LOCAL)
            alone = steps(engine, WRITTEN)
            pages, seconds = add(engine, WRITTEN)
            scans, reading = add(engine, SCANNED)
    told = ", ".join(f"{step} {1000 * took / pages:.0f} ms" for step, took in alone.items())
    return [
        Figure("index.minilm", f"pages a second, file to kept, {pages} pages; a page alone: {told}", pages / seconds),
        Figure("index.minilm.ocr", f"pages a second of {scans} scanned pages, read by OCR", scans / reading),
    ]


def add(engine: Engine, names: Sequence[str]) -> tuple[int, float]:
    """Pages and seconds of samples on their way into the local library. RuntimeError where one is refused."""
    files = [(engine.settings.samples / name, name) for name in names]
    begun, pages = time.perf_counter(), 0
    for told in engine.add(LOCAL, files):
        if told.state is State.REFUSED:
            raise RuntimeError(told.message)
        pages += told.done if told.state is State.DONE else 0
    return pages, time.perf_counter() - begun


def steps(engine: Engine, names: Sequence[str]) -> dict[str, float]:
    """Seconds that all pages of samples take to be drawn and to be encoded, with nothing beside it."""
    limits, backbone = engine.settings.limits, engine.backbone(LOCAL)
    begun = time.perf_counter()
    uploads = [ingest.inspect(engine.settings.samples / name, name, limits) for name in names]
    pages = [page for upload in uploads for page in ingest.render(upload, limits) if isinstance(page, Page)]
    drawn = time.perf_counter()
    for at in range(0, len(pages), backbone.batch):
        backbone.encode_pages(pages[at : at + backbone.batch])
    return {"drawing": drawn - begun, "encoding": time.perf_counter() - drawn}
