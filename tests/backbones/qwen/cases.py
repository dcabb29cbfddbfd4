"""Builders for the Qwen tests: pictures, pages, and two encoders that share no code with ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from smart_demo.types import Page, PageId

QUERY = "Find a document image that matches the given query."
DOCUMENT = "Represent the user's input."
BUDGET = 40


def picture(height=300, width=200, seed=0):
    """Return blurred noise: unlike plain noise it survives the resize, unlike a flat colour every patch differs."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (max(2, height // 24), max(2, width // 24), 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def page(pixels, number=1, document="report.pdf"):
    return Page(PageId("0123456789abcdef", number), document, 9, pixels)


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


class SentenceTransformersEncoder:
    """sentence-transformers' own loader, template, forward and last-token pooling on the same checkpoint.

    Its AutoProcessor builds a video processor, which needs torchvision; the one given here leaves only that out.
    """

    def __init__(self, folder: Path, monkeypatch):
        import sentence_transformers.base.modules.transformer as module
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
        from transformers import AutoTokenizer, Qwen3VLProcessor
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

        class Processor(Qwen3VLProcessor):
            def check_argument_for_proper_class(self, argument_name, argument):
                return None

        tokenizer = AutoTokenizer.from_pretrained(folder)
        size = {"shortest_edge": 4 * 32**2, "longest_edge": BUDGET * 32**2}
        images = Qwen2VLImageProcessorPil.from_pretrained(folder, size=size)
        processor = Processor(images, tokenizer, None, chat_template=tokenizer.chat_template)
        monkeypatch.setattr(module.AutoProcessor, "from_pretrained", lambda *_args, **_kwargs: processor)
        transformer = module.Transformer(
            str(folder),
            model_kwargs={"dtype": torch.float32},
            processing_kwargs={"chat_template": {"add_generation_prompt": True}},
        )
        modules = [transformer, Pooling(64, pooling_mode="lasttoken"), Normalize()]
        self.model = SentenceTransformer(modules=modules, device="cpu")
        self.special = tokenizer.convert_tokens_to_ids(
            ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
        )

    def encode(self, content, instruction):
        """Return the pooled vector and the token states that the released evaluator keeps."""
        (made,) = self.model.encode([content], prompt=instruction, output_value=None)
        kept = ~np.isin(made["input_ids"].numpy(), self.special)
        return made["sentence_embedding"].numpy(), unit(made["token_embeddings"].numpy()[kept])


class PlainEncoder:
    """An independent encoder, written from the description: one string, patches in numpy, the model with its head."""

    def __init__(self, folder: Path):
        import torch
        from transformers import AutoTokenizer, Qwen3VLForConditionalGeneration

        self.model = Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    def encode(self, instruction, pixels=None, text="", size=None, layer=-1):
        """`size` is the (height, width) the picture is resized to. Returns ids and raw states, both of all L tokens."""
        import torch

        fed, media = {}, ""
        if pixels is not None:
            height, width = size
            values = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))
            fed["pixel_values"] = torch.tensor(patches_one_by_one(values / 255 * 2 - 1))
            fed["image_grid_thw"] = torch.tensor([[1, height // 16, width // 16]])
            media = f"<|vision_start|>{'<|image_pad|>' * (height // 32 * width // 32)}<|vision_end|>"
        prompt = (
            f"<|im_start|>system\n{instruction}<|im_end|>\n<|im_start|>user\n{media}{text}<|im_end|>\n"
            "<|im_start|>assistant\n"
        )
        ids = self.tokenizer(prompt, add_special_tokens=False, return_tensors="pt").input_ids
        image = self.tokenizer.convert_tokens_to_ids("<|image_pad|>")
        with torch.no_grad():
            made = self.model(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                mm_token_type_ids=(ids == image).int(),
                output_hidden_states=True,
                **fed,
            )
        return ids[0].numpy(), made.hidden_states[layer][0].numpy()


def patches_one_by_one(values):
    """(H, W, 3) -> (H*W/256, 1536): for each 32-pixel block its four patches, every channel twice."""
    rows = []
    for top in range(0, values.shape[0], 32):
        for left in range(0, values.shape[1], 32):
            for y in (top, top + 16):
                for x in (left, left + 16):
                    patch = values[y : y + 16, x : x + 16].transpose(2, 0, 1)
                    rows.append(np.stack([patch, patch], axis=1).ravel())
    return np.array(rows, np.float32)
