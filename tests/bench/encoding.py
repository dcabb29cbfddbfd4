"""Encoding by Qwen3-VL-Embedding-2B in full size, against the official wrapper. The weights are random and 4.3 GB, on
disk for as long as it takes, some minutes: what is encoded means nothing, and costs as much.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from typing import Any

from tests.bench import program
from tests.bench.goals import Figure, Goal
from tests.bench.one_page import LARGEST, TIMED

NOISE = 1.05
"""The products of both are the same, so all that may be between them is a few hundredths of noise."""
MEMORY = 1.0


def measure_encoding() -> list[Goal | Figure]:
    """`encode.official`, `encode.memory`, and pages a second."""
    with tempfile.TemporaryDirectory(prefix="smart-demo-bench-") as folder:
        program.run("checkpoint", folder)
        found: Mapping[str, Any] = json.loads(program.run("one_page", folder).splitlines()[-1])
    return goals(found)


def goals(found: Mapping[str, Any]) -> list[Goal | Figure]:
    """From what `one_page` measured."""
    timed = f"{TIMED[0] * TIMED[1]:,} visual tokens, {found['dtype']}"
    told = ", ".join(f"{name} {found[name]:.2f} s" for name in ("ours", "official"))
    told += f", its picture prepared in {1000 * found['prepared']:.0f} ms of that"
    over = (found["peak"] - found["weights"]) / 1e9
    largest = f"GB of the whole process over its {found['weights'] / 1e9:.2f} GB of weights"
    return [
        Goal(
            "encode.official",
            f"times the official wrapper, from picture to vector, {NOISE - 1:.0%} for noise: {timed}: {told}",
            found["ours"] / found["official"],
            NOISE,
        ),
        Goal("encode.memory", f"{largest}, loading and {LARGEST[0] * LARGEST[1]:,} tokens", over, MEMORY),
        Figure("index.qwen3-vl-2b", f"pages a second, encoding alone: {timed}", 1 / found["ours"]),
    ]
