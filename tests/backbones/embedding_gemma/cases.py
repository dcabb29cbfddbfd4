"""Two encoders that share no code with ours, on the same checkpoint: sentence-transformers, and one written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.backbones.qwen.cases import unit


class SentenceTransformersEncoder:
    """sentence-transformers' own loader, template, forward, mean pooling and normalisation, with the audio tower.

    Its AutoProcessor builds a video processor, which needs torchvision; the one given here leaves only that out.
    """

    def __init__(self, folder: Path, monkeypatch):
        import sentence_transformers.base.modules.transformer as module
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer, EmbeddingGemma2Processor

        class Processor(EmbeddingGemma2Processor):
            def check_argument_for_proper_class(self, argument_name, argument):
                return None

        parts = (AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer)
        audio, images, tokenizer = (part.from_pretrained(folder) for part in parts)
        processor = Processor(audio, images, tokenizer, None, chat_template=tokenizer.chat_template)
        monkeypatch.setattr(module.AutoProcessor, "from_pretrained", lambda *_args, **_kwargs: processor)
        self.model = SentenceTransformer(str(folder), model_kwargs={"dtype": torch.float32}, device="cpu")
        self.tokenizer = tokenizer

    def encode(self, content, prompt=None, soft_tokens=70):
        """Return the pooled vector, the unit states of all tokens and the tokens.

        content: a text, a picture, or {"image": picture, "text": text}. prompt: `query`, `document` or None.
        """
        (made,) = self.model.encode(
            [content],
            prompt_name=prompt,
            output_value=None,
            processing_kwargs={"image": {"max_soft_tokens": soft_tokens}},
        )
        names = self.tokenizer.convert_ids_to_tokens(made["input_ids"].tolist())
        return made["sentence_embedding"].numpy(), unit(made["token_embeddings"].float().numpy()), names
