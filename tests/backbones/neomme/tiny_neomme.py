"""A tiny, randomly initialised NeoMME-Retriever checkpoint that real loaders read like a published one."""

from __future__ import annotations

import json
from pathlib import Path

SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>", "<mask>", "<doc>", "<img>", "<query>", "<row>")
"""The id of each is its place here, as the configuration's defaults (document 5, image 6) have it."""

WORDS = (
    "What is the tide table of a small port? The invoice total of the report is due in March. Find a page that "
    "matches the words: figure, table, motor, red star, part number, harbour rules, two words. "
)
"""What the byte pairs are learnt from."""

SPLIT = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

TEMPLATE = """\
{%- if task not in ['query', 'document'] -%}{{- raise_exception("a task is needed: query or document") -}}{%- endif -%}
{%- set found = namespace(text='', images=0) -%}
{%- for message in messages -%}
{%- for part in ([{'type': 'text', 'text': message.content}] if message.content is string else message.content) -%}
{%- if part.type == 'text' -%}
{%- if image_token in part.text -%}{{- raise_exception(image_token ~ " is for pictures alone") -}}{%- endif -%}
{%- set found.text = found.text + part.text -%}
{%- else -%}{%- set found.images = found.images + 1 -%}{%- endif -%}
{%- endfor -%}
{%- endfor -%}
{%- if found.images and task == 'query' -%}{{- raise_exception("a query is made of words") -}}{%- endif -%}
{%- set content = image_token if found.images else found.text -%}
{{- query_token + content + mask_token * 10 if task == 'query' else document_token + content -}}
"""

CONFIG = {
    "embedding_rank": 32,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "layer_types": ["full_attention", "sliding_attention", "sliding_attention", "full_attention"],
    "sliding_window": 6,
    "embedding_dim": 24,
}


def write_tiny_neomme(folder: Path, seed: int = 0) -> Path:
    """Write the checkpoint of `seed` into `folder`, which is made, and return it. About 2 MB, under a second."""
    import torch
    from transformers import NeoMMEConfig, NeoMMEForRetrieval

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = _write_tokenizer(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = NeoMMEForRetrieval(NeoMMEConfig(vocab_size=vocabulary, **CONFIG))
        with torch.no_grad():
            # A new model adds nothing in any layer; a trained one does, so that each part is drawn wide.
            for name, values in model.named_parameters():
                if name.endswith("lambdas"):
                    values += 0.3 * torch.randn_like(values)
                elif "patch_embeddings.norm.weight" not in name:
                    values.normal_(std=0.02 if "patch_embeddings.up" in name else 0.2)
                if name.endswith("alpha"):
                    values.mul_(5)
    model.save_pretrained(folder, safe_serialization=True)
    pixels = {"image_processor_type": "NeoMMEImageProcessor", "patch_size": 32, "max_side": 2048, "resample": 2}
    pixels |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 255, "do_convert_rgb": True}
    facts = {"processor_class": "NeoMMEProcessor", "image_processor": pixels}
    (folder / "processor_config.json").write_text(json.dumps(facts, indent=2))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


def _write_tokenizer(folder: Path) -> int:
    """Write a byte-level BPE with the published control tokens; return the size of its vocabulary."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    split = pre_tokenizers.Split(Regex(SPLIT), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=640,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIALS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([WORDS, WORDS.upper()] * 2, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    facts = {
        "tokenizer_class": "TokenizersBackend",
        "pad_token": "<pad>",
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
        "extra_special_tokens": {
            "document_token": "<doc>",
            "image_token": "<img>",
            "query_token": "<query>",
            "row_token": "<row>",
        },
        "model_max_length": 16384,
        "processor_class": "NeoMMEProcessor",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(facts, indent=2))
    size: int = tokenizer.get_vocab_size()
    return size
