"""Models that look at pages, at full size with random weights: seconds a page and a query, to load, and memory.

Each encodes at the budget that it chooses for this machine. Its encodings mean nothing and take as long as real ones.
`python -m tests.bench.encoders NAME FOLDER` writes one checkpoint into a folder, measures it and prints a line of JSON,
in a separate process, so that the peak memory is its own.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from smart_demo.backbones import registry
from smart_demo.backbones.base import Backbone
from smart_demo.backbones.registry import BackboneChoice, Backbones
from smart_demo.config import Settings
from smart_demo.engine import Engine
from smart_demo.errors import PageRefused
from smart_demo.indexing.progress import State
from smart_demo.server.process_memory import limit_malloc_arenas, start_periodic_release
from smart_demo.store.library import Library
from smart_demo.types import LOCAL, Page, PageEncoding, PageId, Pixels, Query, TokenGrid
from tests.apps import Counting
from tests.backbones.embedding_gemma.tiny_checkpoint import write_tiny_gemma
from tests.backbones.neomme.tiny_neomme import write_tiny_neomme
from tests.bench import harness
from tests.bench.harness import Figure, Goal, Kind, median_seconds
from tests.bench.page_encoding import QUERY
from tests.documents import write_pdf

A4 = (1_240, 1_754)
"""Width and height of a page drawn at 150 dpi."""
ROUNDS = 3
STANDARD_DEVIATION = 0.02
PDF_PAGES = 50
MIN_BUSY = 0.9
"""Least part of the time of indexing a document in which the model encodes."""
BUSY_MODEL = "neomme-260m"
"""The quickest model: next to it drawing and writing weigh most."""


def measure_encoders() -> list[Goal | Figure]:
    """Measure `encode.<model>.…` of every model here, and `index.busy`."""
    results: list[Goal | Figure] = []
    for name in WRITERS:
        with tempfile.TemporaryDirectory(prefix="smart-demo-bench-") as folder:
            found: Mapping[str, Any] = json.loads(harness.run_module("encoders", name, folder).splitlines()[-1])
        size = f"{found['tokens']:,} visual tokens, {found['dtype']}"
        results += [
            Figure(f"encode.{name}.page", f"seconds a page of {size}", found["page"]),
            Figure(f"encode.{name}.query", "seconds a query", found["query"]),
            Figure(f"encode.{name}.load", "seconds to load", found["load"]),
            Figure(f"encode.{name}.memory", "GB of the process at its peak", found["peak"] / 1e9),
        ]
        if "busy" in found:
            what = f"part of the time of indexing {PDF_PAGES} pages in which {name} encodes"
            results.append(Goal("index.busy", what, found["busy"], MIN_BUSY, Kind.MIN))
    return results


def measure(name: str, folder: Path) -> dict[str, Any]:
    """Write the checkpoint and return what it takes: seconds, bytes, visual tokens and the number format."""
    WRITERS[name](folder)
    begun = time.perf_counter()
    backbone = registry.load_backbone(str(folder), Settings())
    loaded = time.perf_counter() - begun
    page = Page(PageId("0" * 16, 1), "drawn.pdf", 1, draw_page())
    (encoding,) = backbone.encode_pages([page])
    if not isinstance(encoding, PageEncoding) or not isinstance(encoding.place, TokenGrid):
        raise RuntimeError(f"{name} cannot encode a page")
    runs: Sequence[Callable[[], object]] = (
        lambda: backbone.encode_pages([page]),
        lambda: backbone.encode_query(Query(QUERY)),
    )
    seconds, query = median_seconds(runs, ROUNDS)
    found = {
        "load": loaded,
        "page": seconds,
        "query": query,
        "tokens": encoding.place.rows * encoding.place.cols,
        "dtype": backbone.runtime.dtype,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    return found | ({"busy": measure_busy(backbone, folder)} if name == BUSY_MODEL else {})


def draw_page() -> Pixels:
    """Return an A4 page with lines of print, (H, W, 3)."""
    import numpy as np

    picture = Image.new("RGB", A4, "white")
    draw = ImageDraw.Draw(picture)
    for line in range(40):
        draw.text((100, 100 + 40 * line), f"{line}. {QUERY}, and what follows from it", fill="black")
    return np.asarray(picture)


class Timed(Counting):
    """A backbone that passes everything on and adds up the seconds of encoding pages."""

    def __init__(self, inner: Backbone) -> None:
        super().__init__(inner)
        self.seconds = 0.0

    def encode_pages(self, pages: Sequence[Page]) -> list[PageEncoding | PageRefused]:
        """Encode pages, timed."""
        begun = time.perf_counter()
        try:
            return super().encode_pages(pages)
        finally:
            self.seconds += time.perf_counter() - begun


def measure_busy(backbone: Backbone, folder: Path) -> float:
    """Return the part of the time of indexing a PDF, 0 to 1, in which the backbone encodes."""
    timed = Timed(backbone)
    document = write_pdf(folder / "pages.pdf", *(f"{page}. {QUERY}" for page in range(PDF_PAGES)))
    library = Library.open(folder / "data", folder / "index")
    backbones = Backbones(BackboneChoice("timed", "a bench", explicit=True), lambda _: timed, fall_back=False)
    with Engine(library, backbones, Settings(data_dir=folder / "data", index_dir=folder / "index")) as engine:
        begun = time.perf_counter()
        (*_, end) = engine.add(LOCAL, [(document, document.name)])
        seconds = time.perf_counter() - begun
    if end.state is not State.DONE or end.done != PDF_PAGES:
        raise RuntimeError(end.message)
    return timed.seconds / seconds


def write_neomme(folder: Path) -> None:
    """Write NeoMME-260M with random weights in bfloat16; its tokenizer has few words."""
    from transformers import NeoMMEConfig, NeoMMEForRetrieval

    write_tiny_neomme(folder)
    _save(NeoMMEForRetrieval, NeoMMEConfig(), folder)


def write_gemma(folder: Path) -> None:
    """Write EmbeddingGemma 2 with random weights in bfloat16, audio included; its tokenizer has few words."""
    from transformers import EmbeddingGemma2Config, EmbeddingGemma2Model, Gemma4AudioConfig, Gemma4VisionConfig

    write_tiny_gemma(folder)
    tiny = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    ids = {key: value for key, value in tiny.items() if key.endswith(("_token_id", "_token_index"))}
    config = EmbeddingGemma2Config(vision_config=Gemma4VisionConfig(), audio_config=Gemma4AudioConfig(), **ids)
    _save(EmbeddingGemma2Model, config, folder)


def _save(model_class: Any, config: Any, folder: Path) -> None:
    """Save a model of this configuration with random weights in bfloat16, in place of the tiny one."""
    import torch

    with torch.device("meta"):
        model = model_class(config)
    model = model.to(torch.bfloat16).to_empty(device="cpu")
    torch.manual_seed(0)
    for values in (*model.parameters(), *model.buffers()):
        values.data.normal_(0, STANDARD_DEVIATION) if values.dim() > 1 else values.data.fill_(1)
    model.save_pretrained(folder)


WRITERS: Mapping[str, Callable[[Path], None]] = {"neomme-260m": write_neomme, "embeddinggemma-2": write_gemma}


if __name__ == "__main__":
    limit_malloc_arenas()  # as app.py does
    start_periodic_release()
    sys.stdout.write(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))) + "\n")
