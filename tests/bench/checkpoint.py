"""A checkpoint of the size and format of Qwen3-VL-Embedding-2B, with random weights.

Its encodings mean nothing and take as long as real ones. `python -m tests.bench.checkpoint FOLDER` writes one, in a
separate process since all weights are in memory.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smart_demo.backbones.qwen.loading import UNUSED_WEIGHTS

TEXT_CONFIG: Mapping[str, Any] = {
    "vocab_size": 151_936,
    "hidden_size": 2_048,
    "intermediate_size": 6_144,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 262_144,
    "rope_parameters": {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20]},
}
"""Published configuration of the 2B model."""
VISION_CONFIG: Mapping[str, Any] = {
    "depth": 24,
    "hidden_size": 1_024,
    "intermediate_size": 4_096,
    "num_heads": 16,
    "out_hidden_size": 2_048,
    "num_position_embeddings": 2_304,
    "deepstack_visual_indexes": [5, 11, 17],
}
"""Published configuration of its vision tower."""
IMAGE_CONFIG: Mapping[str, Any] = {
    "image_processor_type": "Qwen2VLImageProcessorFast",
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
    "size": {"shortest_edge": 4_096, "longest_edge": 1_310_720},
    "resample": 3,
    "patch_size": 16,
    "merge_size": 2,
    "temporal_patch_size": 2,
}
"""Published configuration of its image processor."""
CONTROL_TOKENS = ("endoftext", "im_start", "im_end", "vision_start", "vision_end", "image_pad", "video_pad")
WORDS = "system user assistant Find a document image that matches the given query. Represent the user's input. "
STANDARD_DEVIATION = 0.02
CHAT_TEMPLATE = (
    "{%- for message in messages -%}{{- '<|im_start|>' + message.role + '\\n' -}}{%- for part in message.content -%}"
    "{%- if part.type == 'image' -%}{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}"
    "{%- else -%}{{- part.text -}}{%- endif -%}{%- endfor -%}{{- '<|im_end|>\\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)


def write_checkpoint(folder: Path) -> None:
    """Write the files that a loader reads: weights in bfloat16, configuration, tokenizer, image settings."""
    import torch
    from safetensors.torch import save_file

    with torch.device("meta"):  # names and shapes alone
        model = build_model(_write_tokenizer(folder))
    model.config.save_pretrained(folder)
    torch.manual_seed(0)
    saved = {}
    for name, weights in model.named_parameters():
        if name not in UNUSED_WEIGHTS:
            saved[name] = values = torch.empty(weights.shape, dtype=torch.bfloat16)
            # Norms and biases have their initial values.
            values.normal_(0, STANDARD_DEVIATION) if values.dim() > 1 else values.fill_(float(name.endswith("weight")))
    save_file(saved, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "preprocessor_config.json").write_text(json.dumps(dict(IMAGE_CONFIG)), encoding="utf-8")


def build_model(ids: Mapping[str, int]) -> Any:
    """Return the architecture, for a tokenizer with these ids of control tokens."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    config = Qwen3VLConfig(
        text_config=dict(TEXT_CONFIG),
        vision_config=dict(VISION_CONFIG),
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
        architectures=["Qwen3VLForConditionalGeneration"],
    )
    return Qwen3VLForConditionalGeneration(config)


def _write_tokenizer(folder: Path) -> dict[str, int]:
    """Write a byte-pair tokenizer that has the words of the template, as the published one; return its vocabulary."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=768, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([WORDS, WORDS.replace(" ", "\n")] * 2, trainer)
    tokenizer.add_special_tokens([AddedToken(f"<|{name}|>", special=True, normalized=False) for name in CONTROL_TOKENS])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "Qwen2Tokenizer", "pad_token": "<|endoftext|>", "chat_template": CHAT_TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    return vocabulary


if __name__ == "__main__":
    write_checkpoint(Path(sys.argv[1]))
