"""What the official wrapper does from a picture to its vector, written again from its description
(QwenLM/Qwen3-VL-Embedding): transformers' own processor with the chat template, the model as it is called by default,
the state of the last attended token.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from smart_demo.backbones.qwen.prompt import DOCUMENT_INSTRUCTION, TOKEN_SIDE, WINDOW, fitted
from smart_demo.types import Floats, Pixels


class Official:
    """The wrapper over a loaded inner model and the folder of its checkpoint."""

    def __init__(self, model: Any, folder: Path, budget: int) -> None:
        from transformers import AutoTokenizer, Qwen3VLProcessor
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

        # As it is but for the reader of videos, which would need torchvision: it takes none in its place.
        lenient = {"check_argument_for_proper_class": lambda *_: None}
        processor = type("Processor", (Qwen3VLProcessor,), lenient)
        images = Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._processor: Any = processor(images, tokenizer, None, chat_template=tokenizer.chat_template)
        self._model, self._budget = model, budget

    def inputs(self, pixels: Pixels) -> Mapping[str, Any]:
        """What the model is given of (H, W, 3) pixels: they are resized once, into the budget."""
        height, width, _ = pixels.shape
        grid = fitted(height, width, self._budget)
        picture = Image.fromarray(pixels).resize((grid.cols * TOKEN_SIDE, grid.rows * TOKEN_SIDE))
        talk = [
            {"role": "system", "content": [{"type": "text", "text": DOCUMENT_INSTRUCTION}]},
            {"role": "user", "content": [{"type": "image", "image": picture}]},
        ]
        text = self._processor.apply_chat_template(talk, add_generation_prompt=True, tokenize=False)
        cut = {"truncation": True, "max_length": WINDOW, "padding": True, "do_resize": False, "return_tensors": "pt"}
        made: Mapping[str, Any] = self._processor(text=[text], images=[picture], **cut)
        return made

    def forward(self, inputs: Mapping[str, Any]) -> Floats:
        """(D,) of length 1, in float32."""
        import torch

        with torch.no_grad():
            states = self._model(**inputs).last_hidden_state
            mask = inputs["attention_mask"]
            last = mask.shape[1] - mask.flip(dims=[1]).argmax(dim=1) - 1
            pooled = torch.nn.functional.normalize(states[torch.arange(len(states)), last], dim=-1)
        return np.asarray(pooled[0].float().numpy(), dtype=np.float32)

    def encode(self, pixels: Pixels) -> Floats:
        """A picture's vector."""
        return self.forward(self.inputs(pixels))
