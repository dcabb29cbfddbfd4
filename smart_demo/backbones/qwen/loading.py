"""Load a Qwen3-VL checkpoint, or raise BackboneUnavailable with the reason."""

from __future__ import annotations

import json
import logging
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smart_demo.backbones.checkpoint_files import Checkpoint, read_dtype, read_tensors
from smart_demo.backbones.device import Placement, choose_placement, detect_machine
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
    text = _read_config(checkpoint)["text_config"]
    writer, image_processor = _load_input_processors(checkpoint)
    stored = read_dtype(checkpoint.folder)
    placement = choose_placement(detect_machine(), stored, _count_parameters(checkpoint.folder), dtype)
    model = _load_model(checkpoint, placement)
    _check_token_ids(model, writer, checkpoint)
    return LoadedCheckpoint(
        model, writer, image_processor, placement, int(text["hidden_size"]), int(text["num_hidden_layers"])
    )


def _read_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return config.json. Raises BackboneUnavailable if prompt and patches are not made for its architecture."""
    try:
        config = json.loads((checkpoint.folder / "config.json").read_text(encoding="utf-8"))
        kind, text, vision = config["model_type"], config.get("text_config") or {}, config.get("vision_config") or {}
        side = vision.get("patch_size", 16) * vision.get("spatial_merge_size", 2)
        sized = {"hidden_size", "num_hidden_layers"} <= set(text)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackboneUnavailable(
            f"config.json of {checkpoint.name} cannot be read.", "Fetch the model again."
        ) from error
    if config.get("auto_map"):  # its weights were made for that code, so without it they would mean something else
        raise BackboneUnavailable(
            f"{checkpoint.name} brings code of its own, which is never run.",
            "Take a model that transformers reads by itself.",
        )
    if kind != "qwen3_vl" or side != TOKEN_SIDE or not sized:
        raise BackboneUnavailable(
            f"{checkpoint.name} is a model of type {kind}, not a Qwen3-VL embedding model.",
            "SMART_BACKBONE takes qwen3-vl-2b, qwen3-vl-8b, or a model fine-tuned from them.",
        )
    return dict(config)


def _count_parameters(folder: Path) -> int:
    """Return how many numbers the loaded model holds, from the file headers alone."""
    return sum(math.prod(tensor.shape) for name, tensor in read_tensors(folder).items() if name not in UNUSED_WEIGHTS)


def _load_input_processors(checkpoint: Checkpoint) -> tuple[PromptWriter, Any]:
    """Return the prompt writer and the PIL image processor; torchvision's rounds differently and is not needed."""
    from transformers import AutoTokenizer
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    folder = str(checkpoint.folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        image_processor = Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackboneUnavailable(
            f"The tokenizer or image settings of {checkpoint.name} cannot be read.",
            "tokenizer.json and preprocessor_config.json belong beside the weights.",
        ) from error
    return PromptWriter(tokenizer), image_processor


def _load_model(checkpoint: Checkpoint, placement: Placement) -> nn.Module:
    import torch
    from safetensors import SafetensorError
    from transformers import Qwen3VLModel
    from transformers.utils.logging import disable_progress_bar

    if not sys.stderr.isatty():
        disable_progress_bar()  # in a log or a pipe a redrawn line is a hundred lines
    device_map = {"device_map": "auto"} if placement.sharded else {}
    try:
        # Shapes that differ are requested in `info`, so that our message names them with the other faults.
        model, info = Qwen3VLModel.from_pretrained(
            str(checkpoint.folder),
            dtype=getattr(torch, placement.dtype),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            **device_map,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        log.warning("%s: %s", checkpoint.name, error)  # the library's message may hold paths: for the log alone
        raise BackboneUnavailable(
            f"The weights of {checkpoint.name} cannot be loaded.", "The log says more; fetch the model again."
        ) from error
    _check_complete(info, checkpoint)
    # Before the move: on ZeroGPU there is a CUDA device to move to, but none that computes outside a call.
    _check_finite(model, checkpoint)
    return _move_to_device(model.eval(), checkpoint, placement)


def _move_to_device(model: Any, checkpoint: Checkpoint, placement: Placement) -> nn.Module:  # noqa: ANN401
    """Return the model on its device. Raises BackboneUnavailable if that has no memory left since it was chosen."""
    if placement.sharded:
        moved: nn.Module = model
        return moved
    try:
        moved = model.to(placement.device)
    except RuntimeError as error:  # out of memory among them
        log.warning("%s: %s", checkpoint.name, error)
        raise BackboneUnavailable(
            f"The weights of {checkpoint.name} could not be moved to the device {placement.device}.",
            "The log says more; another program may hold its memory.",
        ) from error
    return moved


def _check_complete(info: dict[str, Any], checkpoint: Checkpoint) -> None:
    """Raise BackboneUnavailable unless every weight was loaded: a layer left at random gives plausible vectors."""
    missing = sorted(info["missing_keys"])
    foreign = sorted(set(info["unexpected_keys"]) - UNUSED_WEIGHTS)
    shapes = sorted(str(entry[0]) for entry in info["mismatched_keys"])
    faults = ((missing, "are missing"), (foreign, "have no place in the model"), (shapes, "have another shape"))
    messages = [f"{len(keys)} weights {what} (first: {keys[0]})" for keys, what in faults if keys]
    if messages:
        raise BackboneUnavailable(
            f"{checkpoint.name} did not load completely: {'; '.join(messages)}.",
            "It may be torn, or saved with an older layout of keys: fetch it again or save it with transformers 5.",
        )


def _check_finite(model: Any, checkpoint: Checkpoint) -> None:  # noqa: ANN401 (transformers is untyped)
    """Raise BackboneUnavailable if a weight is NaN or infinite."""
    import torch

    for name, values in model.named_parameters():
        if values.device.type != "meta" and not bool(torch.isfinite(values).all()):
            raise BackboneUnavailable(
                f"{name} of {checkpoint.name} holds values that are no numbers.", "Fetch the model again."
            )


def _check_token_ids(model: Any, writer: PromptWriter, checkpoint: Checkpoint) -> None:  # noqa: ANN401
    """Raise BackboneUnavailable unless the ids at which the model inserts image states are the tokenizer's."""
    size, control = model.get_input_embeddings().num_embeddings, writer.control_tokens
    if model.config.image_token_id != control.image_pad or max(control.filtered) >= size:
        raise BackboneUnavailable(
            f"The tokenizer of {checkpoint.name} does not belong to its weights.", "Fetch the model again."
        )
