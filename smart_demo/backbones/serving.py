"""The backbones in use: the chosen one, loaded in the background, and the bundled one that replaces it if it fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from smart_demo.backbones.base import Backbone
from smart_demo.backbones.registry import BUNDLED_BACKBONE, BackboneChoice
from smart_demo.errors import BackboneUnavailable, SmartError

log = logging.getLogger(__name__)


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

    def load_in_background(self) -> None:
        """Start loading in a new thread; the page does not wait for it."""
        threading.Thread(target=self._load_quietly, name="load-backbone", daemon=True).start()

    def _load_quietly(self) -> None:
        try:
            self.main()
        except SmartError as error:
            log.warning("no backbone could be loaded: %s", type(error).__name__)

    @property
    def ready(self) -> bool:
        """Whether `main` returns without waiting."""
        return self._chosen.settled and (not self._falls_back or self._bundled.settled)

    def main(self) -> Backbone:
        """Return the backbone for visitors' own documents, waiting until it is loaded."""
        try:
            return self._chosen.get()
        except BackboneUnavailable:
            if not self._falls_back:
                raise
        return self._bundled.get()

    @property
    def _falls_back(self) -> bool:
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
            if self._falls_back and not self._bundled.failure:
                return Serving(
                    self.choice.name, BUNDLED_BACKBONE, False, f"{reason} {BUNDLED_BACKBONE} serves instead."
                )
            return Serving(self.choice.name, self.choice.name, False, reason)
        backbone = self._chosen.get()
        reason = f"{self.choice.reason} {backbone.reason}".strip()
        return Serving(self.choice.name, backbone.encoder.name, False, reason)
