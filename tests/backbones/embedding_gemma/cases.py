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


class PlainEncoder:
    """An encoder written from the description: one string, patches in numpy, the model with its audio tower."""

    def __init__(self, folder: Path):
        import torch
        from transformers import AutoModel, AutoTokenizer

        self.model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        assert self.model.audio_tower is not None
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    def encode(self, before="", pixels=None, after="", size=None, layer=None):
        """Return the names and the states of all L tokens, of the last layer or of `layer`, counted from 1.

        before, after: the texts around the picture. size: the (height, width) that the picture is resized to.
        """
        import torch

        fed, media = {}, ""
        if pixels is not None:
            height, width = size
            resized = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))
            places = [(x, y) for y in range(height // 16) for x in range(width // 16)]
            patches = [resized[16 * y : 16 * y + 16, 16 * x : 16 * x + 16].reshape(-1) / 255 for x, y in places]
            fed["pixel_values"] = torch.tensor(np.array([patches], np.float32))
            fed["image_position_ids"] = torch.tensor([places])
            media = f"<|image>{'<|image|>' * (len(places) // 9)}<image|>"
        ids = self.tokenizer(f"{before}{media}{after}", return_tensors="pt").input_ids  # it adds <bos> and <eos>
        with torch.no_grad():
            made = self.model(input_ids=ids, output_hidden_states=True, **fed)
        states = made.last_hidden_state[0].numpy()
        if layer is not None:
            states = self.project(made.hidden_states[layer][0].numpy())
        return self.tokenizer.convert_ids_to_tokens(ids[0].tolist()), states

    def project(self, rows):
        """Return rows (L, 64) through the final norm and the projection, by hand."""
        weights = self.model.state_dict()
        scale = weights["language_model.norm.weight"].numpy()
        normed = rows / np.sqrt(np.mean(rows**2, axis=1, keepdims=True) + 1e-6) * scale
        return normed @ weights["language_model.embedding_projection.weight"].numpy().T
