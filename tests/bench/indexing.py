"""Pages a second: sample documents from the file to the last stored page by minilm, and encoding by a full-size Qwen.

The Qwen model has the size of Qwen3-VL-Embedding-2B and random weights, 4.3 GB that are on disk for some minutes: its
encodings mean nothing and take as long as real ones.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smart_demo import ingest
from smart_demo.config import Settings
from smart_demo.engine import Engine, open_engine
from smart_demo.indexing.page_words import read_pages
from smart_demo.indexing.progress import State
from smart_demo.types import LOCAL, Page
from tests.bench import harness
from tests.bench.harness import Figure, Goal
from tests.bench.page_encoding import LARGEST, TIMED

TEXT_DOCUMENTS = ("annual-report-2024.pdf", "petrel-3-manual.pdf", "paper-fouling-spectra.pdf")
"""Sample documents with a text layer."""
SCANS = ("scanned-letter-harbour-master.pdf",)
"""Sample documents without a text layer, which OCR reads."""
OFFICIAL_BOUND = 1.05
"""Highest ratio to the official wrapper: both compute the same products, so a few hundredths of noise may differ."""
MEMORY_BOUND = 1.0
"""GB of the process beside the weights."""


def measure_indexing() -> list[Figure]:
    """Measure `index.minilm` and `index.minilm.ocr`: pages a second through `Engine.add`, into a temporary library."""
    with tempfile.TemporaryDirectory(prefix="smart-demo-bench-") as name:
        folder = Path(name)
        settings = Settings(backbone="minilm", data_dir=folder / "data", index_dir=folder / "index")
        with open_engine(settings, fall_back=False) as engine:
            add_samples(engine, SCANS)  # loads minilm and OCR, and opens Chroma
            engine.delete_library(LOCAL)
            steps = time_steps(engine, TEXT_DOCUMENTS)
            pages, seconds = add_samples(engine, TEXT_DOCUMENTS)
            scans, reading = add_samples(engine, SCANS)
    each = ", ".join(f"{step} {1000 * took / pages:.0f} ms" for step, took in steps.items())
    return [
        Figure("index.minilm", f"pages a second, file to kept, {pages} pages; a page alone: {each}", pages / seconds),
        Figure("index.minilm.ocr", f"pages a second of {scans} scanned pages, read by OCR", scans / reading),
    ]


def add_samples(engine: Engine, names: Sequence[str]) -> tuple[int, float]:
    """Add samples to the local library; return the pages and seconds. Raises RuntimeError if one is refused."""
    files = [(engine.settings.samples / name, name) for name in names]
    begun, pages = time.perf_counter(), 0
    for progress in engine.add(LOCAL, files):
        if progress.state is State.REFUSED:
            raise RuntimeError(progress.message)
        pages += progress.done if progress.state is State.DONE else 0
    return pages, time.perf_counter() - begun


def time_steps(engine: Engine, names: Sequence[str]) -> dict[str, float]:
    """Return the seconds for drawing all pages of samples and for reading and encoding them, one after the other."""
    limits, backbone = engine.settings.limits, engine.backbone(LOCAL)
    begun = time.perf_counter()
    uploads = [ingest.inspect(engine.settings.samples / name, name, limits) for name in names]
    pages = [page for upload in uploads for page in ingest.render(upload, limits) if isinstance(page, Page)]
    drawn = time.perf_counter()
    read = read_pages(pages, use_ocr=backbone.needs_words)
    pages = [page for page in read if isinstance(page, Page)]
    for at in range(0, len(pages), backbone.batch):
        backbone.encode_pages(pages[at : at + backbone.batch])
    return {"drawing": drawn - begun, "encoding": time.perf_counter() - drawn}


def measure_encoding() -> list[Goal | Figure]:
    """Measure `encode.official`, `encode.memory` and `index.qwen3-vl-2b`, in separate processes."""
    with tempfile.TemporaryDirectory(prefix="smart-demo-bench-") as folder:
        harness.run_module("checkpoint", folder)
        found: Mapping[str, Any] = json.loads(harness.run_module("page_encoding", folder).splitlines()[-1])
    size, whole = (f"{rows * cols:,} visual tokens, {found['dtype']}" for rows, cols in (TIMED, LARGEST))
    times = ", ".join(f"{name} {found[name]:.2f} s" for name in ("ours", "official"))
    times += f", its picture prepared in {1000 * found['prepared']:.0f} ms of that"
    over = (found["peak"] - found["weights"]) / 1e9
    memory = f"GB of the whole process over its {found['weights'] / 1e9:.2f} GB of weights"
    return [
        Goal(
            "encode.official",
            f"times the official wrapper, from picture to vector, {OFFICIAL_BOUND - 1:.0%} for noise: {size}: {times}",
            found["ours"] / found["official"],
            OFFICIAL_BOUND,
        ),
        Goal("encode.memory", f"{memory}, loading and {LARGEST[0] * LARGEST[1]:,} tokens", over, MEMORY_BOUND),
        Figure("index.qwen3-vl-2b", f"pages a second, encoding alone: {size}", 1 / found["ours"]),
        Figure("encode.qwen3-vl-2b.page", f"seconds a page of {whole}", found["largest"]),
        Figure("encode.qwen3-vl-2b.query", "seconds a query", found["query"]),
        Figure("encode.qwen3-vl-2b.load", "seconds to load", found["load"]),
        Figure("encode.qwen3-vl-2b.memory", "GB of the process at its peak", found["peak"] / 1e9),
    ]
