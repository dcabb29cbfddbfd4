"""Encode pages with a Qwen checkpoint by our backbone and by the official wrapper, and compare memory and time.

Runs in a separate process, so that the peak memory is its own: `python -m tests.bench.page_encoding FOLDER` prints one
line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from smart_demo.backbones.checkpoint_files import fetch_checkpoint
from smart_demo.backbones.qwen.loading import load_checkpoint
from smart_demo.backbones.qwen.model import Qwen3VL
from smart_demo.backbones.qwen.prompt import DOCUMENT_INSTRUCTION, MAX_PROMPT_TOKENS, TOKEN_SIDE, fit_grid
from smart_demo.config import Settings
from smart_demo.server.process_memory import limit_malloc_arenas, start_periodic_release
from smart_demo.types import Floats, Page, PageEncoding, PageId, Pixels, Query
from tests.bench.harness import median_seconds

LARGEST, TIMED = (40, 32), (32, 23)
"""Rows and columns of visual tokens: the whole budget of a page, and an A4 page at three fifths of it."""
ROUNDS = 3
QUERY = "tightening torque of the bolts of the lid"
MIN_COSINE = 0.99
"""Lowest cosine of the two vectors of a page: bfloat16 rounds away the rest."""


def measure(folder: Path) -> dict[str, Any]:
    """Return bytes and seconds of encoding with the checkpoint in `folder`.

    weights, peak: bytes of the weights, and of the process at its peak, loading included. load: seconds of that.
    largest, query: seconds for a page of the whole budget and for a query. ours, official, prepared: seconds for a page
    by our backbone, by the official wrapper, and for its preparation alone. Raises RuntimeError if the two encodings
    differ.
    """
    settings = Settings(visual_tokens=LARGEST[0] * LARGEST[1])
    checkpoint = fetch_checkpoint(str(folder), None)
    begun = time.perf_counter()
    parts = load_checkpoint(checkpoint, settings.dtype)
    backbone = Qwen3VL(checkpoint, parts, settings)
    load = time.perf_counter() - begun
    weights = sum(values.numel() * values.element_size() for values in parts.model.parameters())
    timed, largest = make_page(*TIMED), make_page(*LARGEST)
    pooled = encode_page(backbone, timed).pooled
    whole: Sequence[Callable[[], object]] = (
        lambda: encode_page(backbone, largest),
        lambda: backbone.encode_query(Query(QUERY)),
    )
    full, query = median_seconds(whole, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    official = OfficialWrapper(parts.model, folder, settings.visual_tokens)
    if float(official.encode(timed.pixels) @ pooled) < MIN_COSINE:
        raise RuntimeError("the official way encodes something else")  # then nothing would be compared
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: encode_page(backbone, timed),
        "official": lambda: official.encode(timed.pixels),
        "prepared": lambda: official.prepare(timed.pixels),
    }
    took = dict(zip(runs, median_seconds(list(runs.values()), ROUNDS), strict=True))
    facts = {"weights": weights, "peak": peak, "dtype": parts.placement.dtype}
    return {**facts, "load": load, "largest": full, "query": query, **took}


def make_page(rows: int, cols: int) -> Page:
    """Return a page of noise with this number of visual tokens."""
    pixels = np.random.default_rng(0).integers(0, 256, (rows * TOKEN_SIDE, cols * TOKEN_SIDE, 3), dtype=np.uint8)
    return Page(PageId("0" * 16, 1), "seeded.pdf", 1, pixels)


def encode_page(backbone: Qwen3VL, page: Page) -> PageEncoding:
    """Encode a page as an upload does. Raises PageRefused if that fails."""
    (result,) = backbone.encode_pages([page])
    if not isinstance(result, PageEncoding):
        raise result
    return result


class OfficialWrapper:
    """The official wrapper over a loaded inner model, written again from its description (QwenLM/Qwen3-VL-Embedding).

    transformers' own processor with the chat template, the model as it is called by default, the state of the last
    attended token.
    """

    def __init__(self, model: Any, folder: Path, budget: int) -> None:
        from transformers import AutoTokenizer, Qwen3VLProcessor
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

        # Unchanged but for the video processor, which would need torchvision: none is accepted in its place.
        lenient = {"check_argument_for_proper_class": lambda *_: None}
        processor = type("Processor", (Qwen3VLProcessor,), lenient)
        images = Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.processor: Any = processor(images, tokenizer, None, chat_template=tokenizer.chat_template)
        self.model, self.budget = model, budget

    def encode(self, pixels: Pixels) -> Floats:
        """Return a picture's vector, (D,) of length 1, in float32."""
        return self.forward(self.prepare(pixels))

    def prepare(self, pixels: Pixels) -> Mapping[str, Any]:
        """Return the model's input for (H, W, 3) pixels, resized once into the budget."""
        height, width, _ = pixels.shape
        grid = fit_grid(height, width, self.budget)
        picture = Image.fromarray(pixels).resize((grid.cols * TOKEN_SIDE, grid.rows * TOKEN_SIDE))
        messages = [
            {"role": "system", "content": [{"type": "text", "text": DOCUMENT_INSTRUCTION}]},
            {"role": "user", "content": [{"type": "image", "image": picture}]},
        ]
        text = self.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        options = {"truncation": True, "max_length": MAX_PROMPT_TOKENS, "padding": True, "do_resize": False}
        inputs: Mapping[str, Any] = self.processor(text=[text], images=[picture], **options, return_tensors="pt")
        return inputs

    def forward(self, inputs: Mapping[str, Any]) -> Floats:
        """Return the vector of prepared input, (D,) of length 1, in float32."""
        import torch

        with torch.no_grad():
            states = self.model(**inputs).last_hidden_state
            mask = inputs["attention_mask"]
            last = mask.shape[1] - mask.flip(dims=[1]).argmax(dim=1) - 1
            pooled = torch.nn.functional.normalize(states[torch.arange(len(states)), last], dim=-1)
        return np.asarray(pooled[0].float().numpy(), dtype=np.float32)


if __name__ == "__main__":
    limit_malloc_arenas()  # as app.py does
    start_periodic_release()
    sys.stdout.write(json.dumps(measure(Path(sys.argv[1]))) + "\n")
