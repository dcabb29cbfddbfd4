"""The backbone of EmbeddingGemma 2: one forward pass gives the pooled vector and every token state.

    page, or the picture of a query     <bos><|image><|image|>*N<image|><eos>
    query                               <bos>task: search result | query: {text}<eos>
    query with a picture and words      <bos>task: search result | query: <|image><|image|>*N<image|>{text}<eos>
    text                                <bos>title: none | text: {text}<eos>

h_i is the state of token i after the last layer, the final norm and the projection to the width of the embedding.
pooled = mean of all h_i / its length, marks and prompt among them, as sentence-transformers pools this model; tokens =
h_i / |h_i| for the kept i, all in float32. The model is bidirectional, so no token is the pooled one. With
SMART_LATE_LAYER=k the tokens' h_i is the state that layer k leaves, through the same norm and projection.

Pages have no prompt, as in the model card's `encode(image)`; its `encode_document(image)` would add that of texts. A
query with a picture and words is what `encode_query({"image": ..., "text": ...})` makes of it. The audio tower is not
loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from PIL import Image

from smart_demo.backbones.base import resolve_late_layer
from smart_demo.backbones.checkpoint_backbone import (
    Arrays,
    CheckpointBackbone,
    ForwardPass,
    Grid,
    Ids,
    ModelInput,
    Patches,
    Prompt,
    States,
    to_numpy,
)
from smart_demo.backbones.checkpoint_files import Checkpoint, hash_checkpoint, read_dtype, read_tensors
from smart_demo.backbones.device import Placement, choose_placement, detect_machine
from smart_demo.backbones.framed_text import FramedTokenizer
from smart_demo.backbones.model_loading import count_parameters, load_model, parse_config, read_config
from smart_demo.config import Settings
from smart_demo.errors import BackboneUnavailable, SettingRefused
from smart_demo.types import Encoder, Pixels, Query, TokenKind, TokenSpace

MODEL_TYPE = "embedding_gemma2"
QUERY_PROMPT = "task: search result | query: "
DOCUMENT_PROMPT = "title: none | text: "
PAGE_FORM = "<bos><|image>(<|image|>)*N<image|><eos>"
"""What a page looks like: part of the encoder's fingerprint."""
BUDGETS = (70, 140, 280, 560, 1_120)
"""Numbers of visual tokens per image that the model was trained for."""
CPU_BUDGET, GPU_BUDGET = 280, 560
"""Visual tokens per page if none are set: the checkpoint's own number, and the next one where a pass is fast."""
PATCH_SIDE, PATCHES_ALONG = 16, 3
"""Pixels along a patch; patches along a visual token."""
MAX_PROMPT_TOKENS = 8_192
"""Tokens that the model was trained for. Neither its configuration nor its tokenizer sets a limit."""
MARKS = {"bos": "<bos>", "eos": "<eos>", "boi": "<|image>", "image": "<|image|>", "eoi": "<image|>"}
"""Text of the control tokens in a prompt, by short name."""
AUDIO_WEIGHTS = ("audio_tower.", "embed_audio.")
"""Beginnings of the names of weights that are not loaded."""
HASHED_TEXTS = ("processor_config.json",)
"""Text that decides an encoding, beside those of every checkpoint: the settings of images."""


class EmbeddingGemma(CheckpointBackbone):
    """The backbone of one loaded checkpoint. Immutable."""

    token_side = PATCH_SIDE * PATCHES_ALONG
    window = MAX_PROMPT_TOKENS

    def __init__(self, checkpoint: Checkpoint, parts: LoadedGemma, settings: Settings) -> None:
        self._parts = parts
        text = parts.model.config.text_config
        late_layer = resolve_late_layer(settings.late_layer, text.num_hidden_layers, checkpoint.short_name)
        encoder = Encoder(
            name=checkpoint.short_name,
            model=f"{MODEL_TYPE}-{text.embedding_dim}x{text.num_hidden_layers}",
            revision=checkpoint.revision,
            weights=hash_checkpoint(checkpoint.folder, HASHED_TEXTS),
            visual_tokens=choose_budget(settings.visual_tokens, parts.placement.device, checkpoint.short_name),
            instructions=(QUERY_PROMPT, DOCUMENT_PROMPT, PAGE_FORM),
            token_filter=settings.token_filter,
            pooled_width=text.embedding_dim,
            token_width=text.embedding_dim,
            late_layer=late_layer,
        )
        super().__init__(encoder, parts.placement, GemmaForward(parts.model, parts.placement, late_layer))

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, settings: Settings) -> Self:
        return cls(checkpoint, load_gemma(checkpoint, settings.dtype), settings)

    def prepare_page(self, pixels: Pixels) -> ModelInput:
        return self._prepare("", pixels, "")

    def prepare_query(self, query: Query) -> ModelInput:
        return self._prepare(QUERY_PROMPT, query.image, query.text)

    def prepare_text(self, text: str) -> ModelInput:
        return self._prepare(DOCUMENT_PROMPT, None, text)

    def kept_tokens(self, prompt: Prompt) -> dict[TokenSpace, Ids]:
        """`code`: visual tokens and words, the prompt's words among them. `paper`: every token."""
        if self.encoder.token_filter == "paper":
            return {TokenSpace.RAW: np.arange(len(prompt.ids))}
        return {TokenSpace.RAW: np.flatnonzero(prompt.kinds != TokenKind.TEMPLATE)}

    def _prepare(self, instruction: str, pixels: Pixels | None, text: str) -> ModelInput:
        patches = None
        if pixels is not None:
            patches = cut_image(pixels, self.encoder.visual_tokens, self._parts.image_processor)
        return ModelInput(self._parts.prompts.write(instruction, patches.grid if patches else None, text), patches)


def choose_budget(requested: int, device: str, model: str) -> int:
    """Return the visual tokens per page: of BUDGETS the nearest that is not above `requested` (SMART_VISUAL_TOKENS).

    If `requested` is 0, the default for the torch device. Raises SettingRefused if it is below all of BUDGETS: a
    larger one would take more memory and time than was asked for.

    >>> choose_budget(0, "cpu", "gemma"), choose_budget(0, "cuda", "gemma"), choose_budget(1_000, "cpu", "gemma")
    (280, 560, 560)
    """
    if not requested:
        return CPU_BUDGET if device == "cpu" else GPU_BUDGET
    if requested < BUDGETS[0]:
        raise SettingRefused(
            f"SMART_VISUAL_TOKENS={requested} is too few for {model}.",
            f"It takes {', '.join(f'{budget:,}' for budget in BUDGETS)}, or auto.",
        )
    return max(budget for budget in BUDGETS if budget <= requested)


def cut_image(pixels: Pixels, budget: int, processor: Any) -> Patches:  # noqa: ANN401 (transformers is untyped)
    """Resize `pixels` (H, W, 3) to multiples of 48 pixels and cut them with transformers' image processor.

    Returns (9 * rows * cols, 768) patches row by row, with at most `budget` visual tokens. Raises ValueError for an
    empty image.
    """
    height, width, _ = pixels.shape
    if min(height, width) < 1:
        raise ValueError(f"{width} × {height} pixels are no image")
    fixed = {"do_resize": True, "patch_size": PATCH_SIDE, "pooling_kernel_size": PATCHES_ALONG}
    cut = processor(images=[Image.fromarray(pixels)], max_soft_tokens=budget, return_tensors="np", **fixed)
    positions = np.asarray(cut["image_position_ids"][0])  # (x, y) of each patch; -1 for those that pad to the budget
    cols, rows = ((positions.max(axis=0) + 1) // PATCHES_ALONG).tolist()
    values = np.asarray(cut["pixel_values"][0], np.float32)[: rows * cols * PATCHES_ALONG**2]
    return Patches(values, Grid(rows, cols))


class GemmaPrompts:
    """Writes the prompts of one checkpoint, in which a mark that a visitor types (`<|image|>`) stays text."""

    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401 (transformers is untyped)
        """Read the ids of the marks from a transformers tokenizer. Raises BackboneUnavailable if one is missing."""
        self._framed = FramedTokenizer(tokenizer, {*MARKS.values(), *tokenizer.all_special_tokens})
        self.ids = {name: int(tokenizer.convert_tokens_to_ids(mark)) for name, mark in MARKS.items()}

    def write(self, instruction: str, grid: Grid | None, text: str, window: int = MAX_PROMPT_TOKENS) -> Prompt:
        """Return the prompt of an image, a text, or an image followed by a text, cut to `window` tokens.

        An image without a text has no instruction. Text is cleaned as `FramedTokenizer.write` says.
        """
        if grid is None:
            return self._framed.write(MARKS["bos"] + instruction, text, MARKS["eos"], window)
        image = MARKS["boi"] + MARKS["image"] * (grid.rows * grid.cols) + MARKS["eoi"]
        before = MARKS["bos"] + (instruction if text.strip() else "") + image
        prompt = self._framed.write(before, text, MARKS["eos"], window)
        patches = np.flatnonzero(prompt.ids == self.ids["image"])
        kinds, labels = prompt.kinds.copy(), list(prompt.labels)
        kinds[patches] = TokenKind.PATCH
        for number, at in enumerate(patches):
            row, col = divmod(number, grid.cols)
            labels[at] = f"▦ {row + 1},{col + 1}"
        return replace(prompt, kinds=kinds, labels=tuple(labels))


class GemmaForward(ForwardPass):
    """Runs the model with vision and text, without the padding of images that its processor adds."""

    def __init__(self, model: Any, placement: Placement, late_layer: int = 0) -> None:  # noqa: ANN401 (untyped)
        super().__init__(placement)
        self._model = model
        self._late_layer = late_layer

    def stack(self, inputs: Sequence[ModelInput]) -> Arrays:
        arrays: Arrays = {"input_ids": np.stack([prepared.prompt.ids for prepared in inputs])}
        if pictures := [prepared.patches for prepared in inputs if prepared.patches is not None]:
            arrays["pixel_values"] = np.stack([one.values for one in pictures])
            arrays["image_position_ids"] = np.stack([_patch_positions(one.grid) for one in pictures])
        return arrays

    def encode(self, arguments: dict[str, Any]) -> list[States]:
        if self._late_layer:
            arguments["output_hidden_states"] = [self._late_layer]  # this layer alone: all of a page's are gigabytes
        out = self._model(**arguments)
        last = tokens = out.last_hidden_state
        if self._late_layer:
            text = self._model.language_model
            tokens = text.embedding_projection(text.norm(out.hidden_states[self._late_layer]))
        pooled = to_numpy(last.float().mean(dim=1))
        return [States(*one) for one in zip(pooled, to_numpy(tokens), strict=True)]


def _patch_positions(grid: Grid) -> Ids:
    """Return (9 * rows * cols, 2) the column and row of each patch of an image, row by row."""
    rows, cols = np.indices((grid.rows * PATCHES_ALONG, grid.cols * PATCHES_ALONG))
    return np.stack([cols.ravel(), rows.ravel()], axis=1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class LoadedGemma:
    """The model, and what prepares its input."""

    model: Any
    prompts: GemmaPrompts
    image_processor: Any
    placement: Placement


def load_gemma(checkpoint: Checkpoint, dtype: str) -> LoadedGemma:
    """Load the model without its audio tower, and its input processors; `dtype` is SMART_DTYPE.

    Raises BackboneUnavailable if anything is missing, of another model, or damaged, SettingRefused for float16.
    """
    from transformers import EmbeddingGemma2Model

    _check_config(checkpoint)
    prompts, image_processor = _load_processors(checkpoint)
    audio = [name for name in read_tensors(checkpoint.folder) if name.startswith(AUDIO_WEIGHTS)]
    parameters = count_parameters(checkpoint.folder, audio)
    placement = choose_placement(detect_machine(), read_dtype(checkpoint.folder), parameters, dtype, overflows=True)
    model = load_model(EmbeddingGemma2Model, checkpoint, placement, audio, audio_config=None)
    _check_token_ids(model, prompts, checkpoint)
    return LoadedGemma(model, prompts, image_processor, placement)


def _check_config(checkpoint: Checkpoint) -> None:
    """Raise BackboneUnavailable if config.json is of another model or has no vision tower.

    Without its vision tower the model would load all the same, and pages would be read without being seen.
    """
    from transformers import EmbeddingGemma2Config

    hint = "SMART_BACKBONE takes embeddinggemma-2, or a model fine-tuned from it with its vision tower."
    read = read_config(checkpoint)
    if (model_type := read["model_type"]) != MODEL_TYPE:
        raise BackboneUnavailable(f"{checkpoint.name} is a model of type {model_type}, not an EmbeddingGemma 2.", hint)
    vision = parse_config(checkpoint, read, EmbeddingGemma2Config).vision_config
    if vision is None:
        raise BackboneUnavailable(f"{checkpoint.name} has no vision tower, so it cannot look at pages.", hint)
    if (vision.patch_size, vision.pooling_kernel_size) != (PATCH_SIDE, PATCHES_ALONG):
        raise BackboneUnavailable(f"The vision tower of {checkpoint.name} takes patches of another size.", hint)


def _load_processors(checkpoint: Checkpoint) -> tuple[GemmaPrompts, Any]:
    """Return the prompt writer and the PIL image processor; the whole processor would need torchvision for videos."""
    from transformers import AutoTokenizer, Gemma4ImageProcessorPil

    folder = str(checkpoint.folder)
    try:
        if not (checkpoint.folder / "tokenizer.json").is_file():  # transformers would make one of control tokens alone
            raise ValueError("tokenizer.json is missing")
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        settings, _ = Gemma4ImageProcessorPil.get_image_processor_dict(folder, local_files_only=True)
        # The published preprocessor_config.json is that of audio; without the other file it would be taken for images.
        if not str(settings.get("image_processor_type")).startswith("Gemma4ImageProcessor"):
            raise ValueError("the settings of images are missing")
        image_processor = Gemma4ImageProcessorPil.from_dict(settings)
    except Exception as error:  # the tokenizers library raises bare Exception for a damaged file
        raise BackboneUnavailable(
            f"The tokenizer or image settings of {checkpoint.name} cannot be read.",
            "tokenizer.json and processor_config.json belong beside the weights.",
        ) from error
    return GemmaPrompts(tokenizer), image_processor


def _check_token_ids(model: Any, prompts: GemmaPrompts, checkpoint: Checkpoint) -> None:  # noqa: ANN401
    """Raise BackboneUnavailable unless the ids at which the model inserts image states are the tokenizer's."""
    config, size = model.config, model.get_input_embeddings().num_embeddings
    expected = {"boi": config.boi_token_id, "image": config.image_token_id, "eoi": config.eoi_token_id}
    if any(prompts.ids[name] != token for name, token in expected.items()) or max(prompts.ids.values()) >= size:
        raise BackboneUnavailable(
            f"The tokenizer of {checkpoint.name} does not belong to its weights.", "Fetch the model again."
        )
