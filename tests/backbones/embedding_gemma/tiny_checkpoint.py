"""A tiny, randomly initialised EmbeddingGemma 2 checkpoint with the files and the layout of the published one.

As published: weights in bfloat16 without a prefix, the audio tower among them; image settings inside
processor_config.json, while preprocessor_config.json is that of audio; the modules of sentence-transformers.
"""

from __future__ import annotations

import json
from pathlib import Path

SPECIALS = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
"""Ids 0 to 4, as published."""
EXTRA_SPECIALS = {
    "boi_token": "<|image>",
    "boa_token": "<|audio>",
    "sot_token": "<|turn>",
    "eot_token": "<turn|>",
    "image_token": "<|image|>",
    "audio_token": "<|audio|>",
    "eoi_token": "<image|>",
    "eoa_token": "<audio|>",
    "video_token": "<|video|>",
}
"""Control tokens by the tokenizer's names for them. The published ids are 255,999 and up: too many for a tiny model."""
WORDS = (
    "task: search result | query: title: none | text: the invoice total of the report is due in March. "
    "Where is the tide table of a small port? motor red star part number 7"
)
"""What the byte pairs are learnt from."""
QUERY, DOCUMENT = "task: search result | query: ", "title: none | text: "
TEMPLATE = (
    "{%- for msg in messages if msg['role'] == 'system' -%}"
    "{%- if msg['content'] is string -%}{{- msg['content'] -}}"
    "{%- else -%}{%- for item in msg['content'] -%}{{- item['text'] -}}{%- endfor -%}{%- endif -%}"
    "{%- endfor -%}"
    "{%- for msg in messages if msg['role'] != 'system' -%}"
    "{%- if msg['content'] is string -%}{{- msg['content'] -}}"
    "{%- else -%}{%- for item in msg['content'] -%}"
    "{%- if item['type'] == 'text' -%}{{- item['text'] -}}{%- else -%}{{- '<|' + item['type'] + '|>' -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{%- endfor -%}"
)
"""No turns: system messages first, then the parts in their order, as the published template gives them."""
MODULES = {
    "": "sentence_transformers.base.modules.transformer.Transformer",
    "1_Pooling": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    "2_Normalize": "sentence_transformers.base.modules.normalize.Normalize",
}


def write_tiny_gemma(folder: Path, seed: int = 0) -> Path:
    """Write the checkpoint of `seed` into `folder`, which is made, and return it. About 0.7 MB, under a second."""
    import torch
    from transformers import EmbeddingGemma2Model

    folder.mkdir(parents=True, exist_ok=True)
    ids = _write_tokenizer(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = EmbeddingGemma2Model(_config(ids))
        with torch.no_grad():
            for name, values in model.named_parameters():
                if name.endswith("norm.weight"):  # ones would hide a norm that is left out
                    values.uniform_(0.5, 1.5)
        for layer in model.language_model.layers:
            layer.layer_scalar.fill_(0.75)
    model.to(torch.bfloat16).save_pretrained(folder, safe_serialization=True)
    _write_processors(folder)
    _write_modules(folder)
    return folder


def _config(ids: dict[str, int]) -> object:
    """Weights are drawn wide: at the usual 0.02 two layers hardly mix and all states look alike."""
    from transformers import EmbeddingGemma2Config, Gemma4AudioConfig, Gemma4VisionConfig

    text = {
        "vocab_size": len(ids),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "num_global_key_value_heads": 1,
        "global_head_dim": 32,
        "hidden_size_per_layer_input": 16,
        "sliding_window": 8,
        "embedding_dim": 96,
        "max_position_embeddings": 262_144,
        "initializer_range": 0.2,
    }
    vision = Gemma4VisionConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
        position_embedding_size=1024,
        initializer_range=0.2,
    )
    audio = Gemma4AudioConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        subsampling_conv_channels=[8, 4],
        output_proj_dims=48,
    )
    return EmbeddingGemma2Config(
        text_config=text,
        vision_config=vision,
        audio_config=audio,
        boi_token_id=ids["<|image>"],
        eoi_token_id=ids["<image|>"],
        image_token_id=ids["<|image|>"],
        video_token_id=ids["<|video|>"],
        boa_token_id=ids["<|audio>"],
        eoa_token_index=ids["<audio|>"],
        audio_token_id=ids["<|audio|>"],
        initializer_range=0.2,
    )


def _write_tokenizer(folder: Path) -> dict[str, int]:
    """Write a byte-pair tokenizer with byte fallback and the published control tokens; returns its vocabulary.

    As published, a space is part of the word after it, and a text is one piece before the pairs are merged.
    """
    from tokenizers import Tokenizer, models, normalizers, trainers
    from transformers import GemmaTokenizer

    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Replace(" ", "▁")
    texts = WORDS.split(" ")
    learner.train_from_iterator(
        [f" {word}" for word in texts] + texts, trainers.BpeTrainer(vocab_size=400, show_progress=False)
    )
    learned = json.loads(learner.to_str())["model"]
    pieces = [*SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256)), *learned["vocab"], *EXTRA_SPECIALS.values()]
    tokenizer = GemmaTokenizer(
        vocab={piece: at for at, piece in enumerate(pieces)},
        merges=[tuple(pair) for pair in learned["merges"]],
        add_bos_token=True,
        add_eos_token=True,
        padding_side="right",
        extra_special_tokens=EXTRA_SPECIALS,
        chat_template=TEMPLATE,
    )
    tokenizer.save_pretrained(folder)
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    return vocabulary


def _write_processors(folder: Path) -> None:
    """Write the settings of images and of audio where the published checkpoint has them."""
    images = {
        "image_processor_type": "Gemma4ImageProcessor",
        "do_convert_rgb": True,
        "do_normalize": False,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.0, 0.0, 0.0],
        "image_std": [1.0, 1.0, 1.0],
        "image_seq_length": 280,
        "max_soft_tokens": 280,
        "patch_size": 16,
        "pooling_kernel_size": 3,
        "resample": 3,
        "rescale_factor": 1 / 255,
    }
    audio = {
        "feature_extractor_type": "Gemma4AudioFeatureExtractor",
        "feature_size": 128,
        "sampling_rate": 16_000,
        "frame_length": 320,
        "hop_length": 160,
        "fft_length": 512,
    }
    processors = {
        "processor_class": "EmbeddingGemma2Processor",
        "image_processor": images,
        "feature_extractor": audio,
        "video_processor": {"video_processor_type": "EmbeddingGemma2VideoProcessor", "max_soft_tokens": 140, "fps": 1},
        "image_seq_length": 280,
        "audio_seq_length": 280,
        "audio_ms_per_token": 40,
    }
    _write_json(folder / "processor_config.json", processors)
    _write_json(folder / "preprocessor_config.json", audio)


def _write_modules(folder: Path) -> None:
    """Write what sentence-transformers reads: the modules, the pooling and the prompts."""
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": kind} for at, (path, kind) in enumerate(MODULES.items())
    ]
    _write_json(folder / "modules.json", modules)
    method = {"method": "forward", "method_output_name": "last_hidden_state"}
    transformer = {
        "transformer_task": "feature-extraction",
        "modality_config": {"text": method, "image": method, "message": {**method, "format": "structured"}},
        "module_output_name": "token_embeddings",
    }
    _write_json(folder / "sentence_bert_config.json", transformer)
    _write_json(folder / "1_Pooling" / "config.json", {"embedding_dimension": 96, "pooling_mode": "mean"})
    prompts = {"query": QUERY, "document": DOCUMENT}
    _write_json(folder / "config_sentence_transformers.json", {"model_type": "SentenceTransformer", "prompts": prompts})


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2))
