"""Pages through one Qwen checkpoint, by ours and by the official wrapper's way, in a process of its own so that its
memory is its own: `python -m tests.bench.one_page FOLDER`. Prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from smart_demo.backbones.checkpoint_files import fetch_checkpoint
from smart_demo.backbones.qwen.loading import load_checkpoint
from smart_demo.backbones.qwen.model import Qwen3VL
from smart_demo.backbones.qwen.prompt import TOKEN_SIDE
from smart_demo.config import Settings
from smart_demo.server.process_memory import limit_malloc_arenas, start_periodic_release
from smart_demo.types import Page, PageEncoding, PageId
from tests.bench.official import Official
from tests.bench.shapes import seconds

LARGEST, TIMED = (40, 32), (32, 23)
"""Rows and columns of visual tokens: the whole budget of a page, and an A4 page at three fifths of it."""
ROUNDS = 3
ALIKE = 0.99
"""Cosine of the two vectors of a page at the least: bfloat16 rounds away the rest."""


def measure(folder: Path) -> dict[str, Any]:
    """Bytes of the weights and of the process at its peak, loading included; seconds of a page, by ours, by the
    official way, and of its preparation alone. RuntimeError where the two do not encode the same.
    """
    settings = Settings(visual_tokens=LARGEST[0] * LARGEST[1])
    checkpoint = fetch_checkpoint(str(folder), None)
    parts = load_checkpoint(checkpoint, settings.dtype)
    backbone = Qwen3VL(checkpoint, parts, settings)
    weights = sum(one.numel() * one.element_size() for one in parts.model.parameters())
    timed, largest = page(*TIMED), page(*LARGEST)
    pooled = encode(backbone, timed).pooled
    for _ in range(2):
        encode(backbone, largest)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    official = Official(parts.model, folder, settings.visual_tokens)
    if float(official.encode(timed.pixels) @ pooled) < ALIKE:
        raise RuntimeError("the official way encodes something else")  # then nothing would be compared
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: encode(backbone, timed),
        "official": lambda: official.encode(timed.pixels),
        "prepared": lambda: official.inputs(timed.pixels),
    }
    took = dict(zip(runs, seconds(list(runs.values()), ROUNDS), strict=True))
    return {"weights": weights, "peak": peak, "dtype": parts.placement.dtype, **took}


def page(rows: int, cols: int) -> Page:
    """A page of noise that comes to so many visual tokens."""
    pixels = np.random.default_rng(0).integers(0, 256, (rows * TOKEN_SIDE, cols * TOKEN_SIDE, 3), dtype=np.uint8)
    return Page(PageId("0" * 16, 1), "seeded.pdf", 1, pixels)


def encode(backbone: Qwen3VL, one: Page) -> PageEncoding:
    """As a page is encoded that somebody uploads. PageRefused where it cannot be."""
    (made,) = backbone.encode_pages([one])
    if not isinstance(made, PageEncoding):
        raise made
    return made


if __name__ == "__main__":
    limit_malloc_arenas()  # and give back, as app.py does
    start_periodic_release()
    sys.stdout.write(json.dumps(measure(Path(sys.argv[1]))) + "\n")
