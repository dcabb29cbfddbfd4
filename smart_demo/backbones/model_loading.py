"""Load the weights of a checkpoint completely, or raise BackboneUnavailable with the reason. For every model family."""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smart_demo.backbones.checkpoint_files import Checkpoint, read_tensors
from smart_demo.backbones.device import Placement
from smart_demo.errors import BackboneUnavailable

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)


def read_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return config.json, a dict with the text `model_type`.

    Raises BackboneUnavailable if it cannot be read, or if the checkpoint brings code of its own.
    """
    try:
        config = json.loads((checkpoint.folder / "config.json").read_text(encoding="utf-8"))
        valid = isinstance(config["model_type"], str)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        valid = False
    if not valid:
        raise BackboneUnavailable(f"config.json of {checkpoint.name} cannot be read.", "Fetch the model again.")
    if config.get("auto_map"):  # its weights were made for that code, so without it they would mean something else
        raise BackboneUnavailable(
            f"{checkpoint.name} brings code of its own, which is never run.",
            "Take a model that transformers reads by itself.",
        )
    return dict(config)


def parse_config(
    checkpoint: Checkpoint,
    read: dict[str, Any],
    config_class: Any,  # noqa: ANN401 (transformers is untyped)
    fault: str = "holds values that do not fit its model",
) -> Any:  # noqa: ANN401
    """Return what `read_config` read as a configuration class of transformers, with defaults for what it leaves out.

    fault: completes "config.json of the checkpoint …". Raises BackboneUnavailable if the class refuses a value.
    """
    try:
        return config_class.from_dict(read)
    except Exception as error:  # the library's validation has error types of its own
        log.warning("%s: %s", checkpoint.name, error)
        raise BackboneUnavailable(
            f"config.json of {checkpoint.name} {fault}.", "The log says more; fetch the model again."
        ) from error


def count_parameters(folder: Path, unused_weights: Collection[str] = ()) -> int:
    """Return how many numbers the loaded model holds, from the file headers alone."""
    return sum(math.prod(tensor.shape) for name, tensor in read_tensors(folder).items() if name not in unused_weights)


def load_model(
    model_class: Any,  # noqa: ANN401 (transformers is untyped)
    checkpoint: Checkpoint,
    placement: Placement,
    unused_weights: Collection[str] = (),
    **arguments: object,
) -> nn.Module:
    """Return the model on its device, ready to encode.

    model_class: a class of transformers with `from_pretrained`, which gets `arguments`. unused_weights: names of
    weights that the checkpoint may hold and the class does not read. Raises BackboneUnavailable if a weight is missing,
    has no place in the model, has another shape or is not finite, or if the device has no memory left.
    """
    import torch
    from safetensors import SafetensorError
    from transformers.utils.logging import disable_progress_bar

    if not sys.stderr.isatty():
        disable_progress_bar()  # in a log or a pipe a redrawn line is a hundred lines
    device_map = {"device_map": "auto"} if placement.sharded else {}
    try:
        # Shapes that differ are requested in `info`, so that our message names them with the other faults.
        model, info = model_class.from_pretrained(
            str(checkpoint.folder),
            dtype=getattr(torch, placement.dtype),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            **device_map,
            **arguments,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        log.warning("%s: %s", checkpoint.name, error)  # the library's message may hold paths: for the log alone
        raise BackboneUnavailable(
            f"The weights of {checkpoint.name} cannot be loaded.", "The log says more; fetch the model again."
        ) from error
    _check_complete(info, checkpoint, unused_weights)
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


def _check_complete(info: dict[str, Any], checkpoint: Checkpoint, unused_weights: Collection[str]) -> None:
    """Raise BackboneUnavailable unless every weight was loaded: a layer left at random gives plausible vectors."""
    missing = sorted(info["missing_keys"])
    foreign = sorted(set(info["unexpected_keys"]).difference(unused_weights))
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
