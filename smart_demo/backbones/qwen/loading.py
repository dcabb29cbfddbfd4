"""Load a Qwen3-VL checkpoint, or raise BackboneUnavailable with the reason."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smart_demo.backbones.checkpoint_files import HUB_IDS, Checkpoint, read_dtype
from smart_demo.backbones.device import Placement, choose_placement, detect_machine
from smart_demo.backbones.model_loading import count_parameters, load_model, read_config
from smart_demo.backbones.qwen.prompt import TOKEN_SIDE, PromptWriter
from smart_demo.errors import BackboneUnavailable

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)

UNUSED_WEIGHTS = frozenset({"lm_head.weight"})
"""Weights that a checkpoint may hold and an encoder does not read: the head that predicts words."""


@dataclass(frozen=True, eq=False)
class LoadedCheckpoint:
    """The inner model (its last_hidden_state is after the final norm), and what prepares its input."""

    model: nn.Module
    writer: PromptWriter
    image_processor: Any
    placement: Placement
    hidden: int
    """Width of the token states."""
    layers: int
    """Number of decoder layers."""


def load_checkpoint(checkpoint: Checkpoint, dtype: str) -> LoadedCheckpoint:
    """Load the model and its input processors; `dtype` is SMART_DTYPE.

    Raises BackboneUnavailable if anything is missing, of another model, or damaged.
    """
    from transformers import Qwen3VLModel

    text = _read_config(checkpoint)["text_config"]
    writer, image_processor = _load_input_processors(checkpoint)
    stored = read_dtype(checkpoint.folder)
    placement = choose_placement(detect_machine(), stored, count_parameters(checkpoint.folder, UNUSED_WEIGHTS), dtype)
    model = load_model(Qwen3VLModel, checkpoint, placement, UNUSED_WEIGHTS)
    _check_token_ids(model, writer, checkpoint)
    return LoadedCheckpoint(
        model, writer, image_processor, placement, int(text["hidden_size"]), int(text["num_hidden_layers"])
    )


def _read_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return config.json. Raises BackboneUnavailable if prompt and patches are not made for its architecture."""
    config = read_config(checkpoint)
    try:
        text, vision = config.get("text_config") or {}, config.get("vision_config") or {}
        side = vision.get("patch_size", 16) * vision.get("spatial_merge_size", 2)
        fits = config["model_type"] == "qwen3_vl" and side == TOKEN_SIDE
        fits = fits and {"hidden_size", "num_hidden_layers"} <= set(text)
    except (TypeError, AttributeError):
        fits = False
    if not fits:
        raise BackboneUnavailable(
            f"{checkpoint.name} is a model of type {config['model_type']}, not a Qwen3-VL embedding model.",
            f"SMART_BACKBONE takes {', '.join(HUB_IDS)}, or a model fine-tuned from one of them.",
        )
    return config


def _load_input_processors(checkpoint: Checkpoint) -> tuple[PromptWriter, Any]:
    """Return the prompt writer and the PIL image processor; torchvision's rounds differently and is not needed."""
    from transformers import AutoTokenizer
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    folder = str(checkpoint.folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        image_processor = Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the tokenizers library raises bare Exception for a damaged file
        raise BackboneUnavailable(
            f"The tokenizer or image settings of {checkpoint.name} cannot be read.",
            "tokenizer.json and preprocessor_config.json belong beside the weights.",
        ) from error
    return PromptWriter(tokenizer), image_processor


def _check_token_ids(model: Any, writer: PromptWriter, checkpoint: Checkpoint) -> None:  # noqa: ANN401
    """Raise BackboneUnavailable unless the ids at which the model inserts image states are the tokenizer's."""
    size, control = model.get_input_embeddings().num_embeddings, writer.control_tokens
    if model.config.image_token_id != control.image_pad or max(control.filtered) >= size:
        raise BackboneUnavailable(
            f"The tokenizer of {checkpoint.name} does not belong to its weights.", "Fetch the model again."
        )
