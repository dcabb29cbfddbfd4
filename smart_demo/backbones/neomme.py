"""The backbone of NeoMME-Retriever: one forward pass gives a pooled vector, raw states and states trained for MaxSim.

The model is one bidirectional tower over words and patches. h_i is the state of token i after the final norm:

    pooled    the model's `dense_embeddings`: the mean of all h_i, of length 1, so no token is "the pooled one"
    raw       h_i / |h_i|, which the model computes anyway: SMART's tokens
    trained   the model's `embeddings`: a projection of h_i that was trained for mean MaxSim, as its card scores it

Filter `code` keeps of the raw states the query's words and the page's patches, no marks (the query's masks are marks);
`paper` keeps all. The trained space keeps all tokens of both sides. With SMART_LATE_LAYER=k the raw h_i is what layer k
leaves: the final norm has no weights, so it changes only lengths, and no direction.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from smart_demo.backbones.base import resolve_late_layer
from smart_demo.backbones.checkpoint_backbone import (
    Arrays,
    CheckpointBackbone,
    ForwardPass,
    Ids,
    ModelInput,
    Prompt,
    States,
    to_numpy,
)
from smart_demo.backbones.checkpoint_files import Checkpoint, hash_checkpoint, read_dtype
from smart_demo.backbones.device import Placement, choose_placement, detect_machine
from smart_demo.backbones.model_loading import count_parameters, load_model, parse_config, read_config
from smart_demo.backbones.neomme_prompt import MARKS, PATCH_SIDE, NeoMMEPrompts, cut_page, page_positions
from smart_demo.config import Settings
from smart_demo.errors import BackboneUnavailable, Notice, NoticeCode
from smart_demo.types import Encoder, Pixels, Query, TokenKind, TokenSpace

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)

CPU_VISUAL_TOKENS, GPU_VISUAL_TOKENS = 736, 2_944
"""Budgets per page: A4 with a long side of 1,024 pixels (half a second on two fast cores) and of 2,048, as evaluated by
its makers."""
IMAGE_FILES = ("processor_config.json", "preprocessor_config.json")
"""Files that may hold the image settings, the newer layout first."""


class NeoMME(CheckpointBackbone):
    """The backbone of one loaded checkpoint. Immutable."""

    token_side = PATCH_SIDE

    def __init__(
        self,
        checkpoint: Checkpoint,
        config: dict[str, Any],
        prompts: NeoMMEPrompts,
        model: nn.Module,
        placement: Placement,
        settings: Settings,
    ) -> None:
        """`config`: config.json, as `_read_config` returns it."""
        self._prompts, self.window = prompts, prompts.window
        layers, hidden = config["num_hidden_layers"], config["hidden_size"]
        late_layer = resolve_late_layer(settings.late_layer, layers, checkpoint.short_name)
        own_budget = CPU_VISUAL_TOKENS if placement.device == "cpu" else GPU_VISUAL_TOKENS
        encoder = Encoder(
            name=checkpoint.short_name,
            model=f"neomme-{hidden}x{layers}",
            revision=checkpoint.revision,
            weights=hash_checkpoint(checkpoint.folder),
            visual_tokens=settings.visual_tokens or own_budget,
            instructions=prompts.forms,
            token_filter=settings.token_filter,
            pooled_width=hidden,
            token_width=hidden,
            late_layer=late_layer,
            space_widths=((TokenSpace.TRAINED, config["embedding_dim"]),),
        )
        super().__init__(encoder, placement, NeoMMEForward(model, placement, late_layer))
        log.info("%s: %s", encoder.name, placement.reason)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, settings: Settings) -> Self:
        from transformers import NeoMMEForRetrieval

        config = _read_config(checkpoint)
        _check_image_settings(checkpoint)
        prompts = _load_prompts(checkpoint, config)
        stored, parameters = read_dtype(checkpoint.folder), count_parameters(checkpoint.folder)
        placement = choose_placement(detect_machine(), stored, parameters, settings.dtype, overflows=True)
        model = load_model(NeoMMEForRetrieval, checkpoint, placement)
        return cls(checkpoint, config, prompts, model, placement, settings)

    def prepare_page(self, pixels: Pixels) -> ModelInput:
        patches = cut_page(pixels, self.encoder.visual_tokens)
        return ModelInput(self._prompts.write_page(patches.grid), patches)

    def prepare_query(self, query: Query) -> ModelInput:
        """Return the input of the query's words; a picture alone is encoded as a page: the model has no other way."""
        if query.image is not None and not query.text.strip():
            return self.prepare_page(query.image)
        return ModelInput(self._prompts.write_query(query.text), None)

    def prepare_text(self, text: str) -> ModelInput:
        return ModelInput(self._prompts.write_text(text), None)

    def kept_tokens(self, prompt: Prompt) -> dict[TokenSpace, Ids]:
        patches_first = np.argsort(prompt.kinds != TokenKind.PATCH, kind="stable")
        raw = patches_first
        if self.encoder.token_filter != "paper":
            raw = raw[prompt.kinds[raw] != TokenKind.TEMPLATE]
        return {TokenSpace.RAW: raw, TokenSpace.TRAINED: patches_first}

    def notices(self, query: Query, prompt: Prompt) -> Iterator[Notice]:
        yield from super().notices(query, prompt)
        if query.image is not None and query.text.strip():
            both = "takes words or a picture: it searched with the words. Remove them to search with the picture."
            yield Notice(NoticeCode.PICTURE_NOT_SEEN, f"{self.encoder.name} {both}")
        elif query.image is not None:
            trained = "learned from questions in words. It compares your picture as if it were a page."
            yield Notice(NoticeCode.PICTURE_AS_PAGE, f"{self.encoder.name} {trained}")


class NeoMMEForward(ForwardPass):
    """Runs the model with both of its heads."""

    def __init__(self, model: Any, placement: Placement, late_layer: int = 0) -> None:  # noqa: ANN401 (untyped)
        super().__init__(placement)
        self._model = model
        self._late_layer = late_layer

    def stack(self, inputs: Sequence[ModelInput]) -> Arrays:
        ids = np.stack([prepared.prompt.ids for prepared in inputs])
        on_a_line = np.broadcast_to(np.arange(ids.shape[1]), (2, ids.shape[1]))
        patches = [prepared.patches for prepared in inputs]
        positions = [on_a_line if one is None else page_positions(one.grid) for one in patches]
        arrays: Arrays = {"input_ids": ids, "position_ids": np.stack(positions, axis=1)}
        if pictures := [one.values for one in patches if one is not None]:
            arrays["pixel_values"] = np.concatenate(pictures)
        return arrays

    def encode(self, arguments: dict[str, Any]) -> list[States]:
        if self._late_layer:
            arguments["output_hidden_states"] = [self._late_layer]  # this layer alone: all of a page's are gigabytes
        out = self._model(**arguments)
        tokens = out.hidden_states[self._late_layer] if self._late_layer else out.last_hidden_state
        parts = (to_numpy(out.dense_embeddings), to_numpy(tokens), to_numpy(out.embeddings))
        return [States(pooled, raw, {TokenSpace.TRAINED: trained}) for pooled, raw, trained in zip(*parts, strict=True)]


def _read_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return config.json. Raises BackboneUnavailable if prompts and patches are not made for its architecture."""
    from transformers import NeoMMEConfig

    read = read_config(checkpoint)
    if read["model_type"] != "neomme":
        raise BackboneUnavailable(
            f"{checkpoint.name} is a model of type {read['model_type']}, not a NeoMME retriever.",
            "SMART_BACKBONE takes neomme-260m, neomme-800m, or a model fine-tuned from them.",
        )
    config: dict[str, Any] = parse_config(checkpoint, read, NeoMMEConfig, "describes no NeoMME model").to_dict()
    if config["patch_size"] != PATCH_SIDE:
        raise BackboneUnavailable(
            f"{checkpoint.name} takes patches of {config['patch_size']} pixels, this program cuts {PATCH_SIDE}.",
            "SMART_BACKBONE takes neomme-260m, neomme-800m, or a model fine-tuned from them.",
        )
    return config


def _check_image_settings(checkpoint: Checkpoint) -> None:
    """Raise BackboneUnavailable if the checkpoint's image settings name another range of colours than -1 to 1.

    The limit of an image's size is not read: SMART_VISUAL_TOKENS decides it.
    """
    path = next((path for name in IMAGE_FILES if (path := checkpoint.folder / name).is_file()), None)
    try:
        if path is None:
            raise ValueError("no image settings")
        read = json.loads(path.read_text(encoding="utf-8"))
        read = read.get("image_processor", read)
        scale, mean, std = (
            read.get(name, own) for name, own in (("rescale_factor", 1 / 255), ("image_mean", 0.5), ("image_std", 0.5))
        )
        shift, width = np.broadcast_arrays(np.array(mean, np.float64), np.array(std, np.float64))
        ends = np.array(
            [(np.array([0, 255]) * scale - low) / span for low, span in zip(shift.ravel(), width.ravel(), strict=True)]
        )
        fits = bool(np.allclose(ends, [-1, 1], atol=1e-4))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BackboneUnavailable(
            f"The image settings of {checkpoint.name} cannot be read.",
            "processor_config.json or preprocessor_config.json belongs beside the weights.",
        ) from error
    if not fits:
        raise BackboneUnavailable(
            f"{checkpoint.name} takes colours in another range than NeoMME-Retriever.", "Fetch the model again."
        )


def _load_prompts(checkpoint: Checkpoint, config: dict[str, Any]) -> NeoMMEPrompts:
    """Return the prompt writer. Raises BackboneUnavailable if the tokenizer is not the one of these weights."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            str(checkpoint.folder), local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # the tokenizers library raises bare Exception for a damaged file
        raise BackboneUnavailable(
            f"The tokenizer of {checkpoint.name} cannot be read.",
            "tokenizer.json and tokenizer_config.json belong beside the weights.",
        ) from error
    prompts = NeoMMEPrompts.from_tokenizer(tokenizer, config["max_position_embeddings"])
    ids = {name: prompts.marks[name][0] for name in MARKS}
    own = (config["document_token_id"], config["image_token_id"])
    if own != (ids["document"], ids["image"]) or max(ids.values()) >= config["vocab_size"]:
        raise BackboneUnavailable(
            f"The tokenizer of {checkpoint.name} does not belong to its weights.", "Fetch the model again."
        )
    return prompts
