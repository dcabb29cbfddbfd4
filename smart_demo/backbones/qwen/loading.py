"""A Qwen3-VL checkpoint -> the loaded parts that encoding needs, or a sentence saying why not."""

from __future__ import annotations

import json
import logging
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smart_demo.backbones.checkpoint_files import Checkpoint, stored_dtype, tensors
from smart_demo.backbones.device import Placement, place, this_machine
from smart_demo.backbones.qwen.prompt import TOKEN_SIDE, PromptWriter
from smart_demo.errors import BackboneUnavailable

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)

NOT_NEEDED = frozenset({"lm_head.weight"})
"""Weights a checkpoint may hold and an encoder does not read: the head that predicts words."""


@dataclass(frozen=True, eq=False)
class LoadedCheckpoint:
    """The inner model (its last_hidden_state is after the final norm), and what prepares its input."""

    model: nn.Module
    writer: PromptWriter
    image_processor: Any
    placement: Placement
    hidden: int
    layers: int


def load_parts(checkpoint: Checkpoint, dtype: str) -> LoadedCheckpoint:
    """Load everything; `dtype` is SMART_DTYPE. BackboneUnavailable for anything missing, foreign or damaged."""
    text = _configuration(checkpoint)["text_config"]
    writer, image_processor = _input_parts(checkpoint)
    stored = stored_dtype(checkpoint.folder)
    placement = place(this_machine(), stored, _parameters(checkpoint.folder), dtype)
    model = _load_model(checkpoint, placement)
    _refuse_foreign_ids(model, writer, checkpoint)
    return LoadedCheckpoint(
        model, writer, image_processor, placement, int(text["hidden_size"]), int(text["num_hidden_layers"])
    )


def _configuration(checkpoint: Checkpoint) -> dict[str, Any]:
    """config.json, where it describes the architecture that the prompt and the pixels are written for."""
    try:
        config = json.loads((checkpoint.folder / "config.json").read_text(encoding="utf-8"))
        kind, text, vision = config["model_type"], config.get("text_config") or {}, config.get("vision_config") or {}
        side = vision.get("patch_size", 16) * vision.get("spatial_merge_size", 2)
        known = {"hidden_size", "num_hidden_layers"} <= set(text)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackboneUnavailable(
            f"config.json of {checkpoint.name} cannot be read.", "Fetch the model again."
        ) from error
    if config.get("auto_map"):  # its weights were made for that code, so without it they would mean something else
        raise BackboneUnavailable(
            f"{checkpoint.name} brings code of its own, which is never run.",
            "Take a model that transformers reads by itself.",
        )
    if kind != "qwen3_vl" or side != TOKEN_SIDE or not known:
        raise BackboneUnavailable(
            f"{checkpoint.name} is a model of type {kind}, not a Qwen3-VL embedding model.",
            "SMART_BACKBONE takes qwen3-vl-2b, qwen3-vl-8b, or a model fine-tuned from them.",
        )
    return dict(config)


def _parameters(folder: Path) -> int:
    """How many numbers will be held in memory, from the headers alone."""
    return sum(math.prod(tensor.shape) for name, tensor in tensors(folder).items() if name not in NOT_NEEDED)


def _input_parts(checkpoint: Checkpoint) -> tuple[PromptWriter, Any]:
    """The prompt writer and the PIL image processor: the torchvision one rounds differently and is not needed."""
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
    places = {"device_map": "auto"} if placement.spread else {}
    try:
        # Shapes that differ are asked for as facts, so that they are told in our words with the others.
        model, facts = Qwen3VLModel.from_pretrained(
            str(checkpoint.folder),
            dtype=getattr(torch, placement.dtype),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            **places,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        log.warning("%s: %s", checkpoint.name, error)  # the library's words may hold paths: for the log alone
        raise BackboneUnavailable(
            f"The weights of {checkpoint.name} cannot be loaded.", "The log says more; fetch the model again."
        ) from error
    _refuse_incomplete(facts, checkpoint)
    # Before the move: on ZeroGPU there is a CUDA device to move to, but none that computes outside a call.
    _refuse_broken(model, checkpoint)
    return _moved(model.eval(), checkpoint, placement)


def _moved(model: Any, checkpoint: Checkpoint, placement: Placement) -> nn.Module:  # noqa: ANN401
    """The model on its device. Its memory was free when the placement was chosen, which is minutes ago by now."""
    if placement.spread:
        there: nn.Module = model
        return there
    try:
        there = model.to(placement.device)
    except RuntimeError as error:  # out of memory among them
        log.warning("%s: %s", checkpoint.name, error)
        raise BackboneUnavailable(
            f"The weights of {checkpoint.name} could not be moved to the device {placement.device}.",
            "The log says more; another program may hold its memory.",
        ) from error
    return there


def _refuse_incomplete(facts: dict[str, Any], checkpoint: Checkpoint) -> None:
    """A layer left at random gives plausible vectors that mean nothing, so every key must have found its place."""
    missing = sorted(facts["missing_keys"])
    foreign = sorted(set(facts["unexpected_keys"]) - NOT_NEEDED)
    shapes = sorted(str(entry[0]) for entry in facts["mismatched_keys"])
    faults = ((missing, "are missing"), (foreign, "have no place in the model"), (shapes, "have another shape"))
    told = [f"{len(keys)} weights {what} (first: {keys[0]})" for keys, what in faults if keys]
    if told:
        raise BackboneUnavailable(
            f"{checkpoint.name} did not load completely: {'; '.join(told)}.",
            "It may be torn, or saved with an older layout of keys: fetch it again or save it with transformers 5.",
        )


def _refuse_broken(model: Any, checkpoint: Checkpoint) -> None:  # noqa: ANN401 (transformers is untyped)
    import torch

    for name, values in model.named_parameters():
        if values.device.type != "meta" and not bool(torch.isfinite(values).all()):
            raise BackboneUnavailable(
                f"{name} of {checkpoint.name} holds values that are no numbers.", "Fetch the model again."
            )


def _refuse_foreign_ids(model: Any, writer: PromptWriter, checkpoint: Checkpoint) -> None:  # noqa: ANN401
    """The model scatters picture states to the ids of its configuration: they must be the tokenizer's."""
    size = model.get_input_embeddings().num_embeddings
    if model.config.image_token_id != writer.vocabulary.image_pad or max(writer.vocabulary.dropped) >= size:
        raise BackboneUnavailable(
            f"The tokenizer of {checkpoint.name} does not belong to its weights.", "Fetch the model again."
        )
