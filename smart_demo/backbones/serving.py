"""Which backbone answers. The chosen one loads behind the page, the embedded one is always at hand.

Knows how to load and how to fall back; knows nothing of pages, scopes or scores.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from smart_demo.backbones.base import Backbone
from smart_demo.backbones.registry import BackboneChoice
from smart_demo.errors import BackboneUnavailable, SmartError

EMBEDDED = "minilm"
log = logging.getLogger(__name__)


class Once:
    """A backbone that is loaded by whoever asks first; everybody else waits for that one load."""

    def __init__(self, load: Callable[[], Backbone], *, hints: bool = True) -> None:
        """Without `hints` whoever asks is told what failed, and only the log says what to do about it."""
        self._load, self._lock, self._hints = load, threading.Lock(), hints
        self._backbone: Backbone | None = None
        self._error: SmartError | None = None

    @property
    def settled(self) -> bool:
        """Whether asking would answer at once."""
        return self._backbone is not None or self._error is not None

    @property
    def failure(self) -> str:
        """Why it could not be loaded; empty before and otherwise."""
        return "" if self._error is None else self._error.sentence

    def get(self) -> Backbone:
        """The backbone; BackboneUnavailable each time if it could not be loaded the first time."""
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
    """What is being served, in words, for the footer and `doctor`."""

    wanted: str
    name: str
    """Of the backbone in use; the wanted one's while it is still loading."""
    loading: bool
    reason: str
    """Why this one, one or two sentences."""


class Backbones:
    """The backbone in use and the embedded one.

    With `fall_back` a chosen backbone that cannot be loaded is replaced by the embedded one and the reason is kept;
    without it the error is raised: a shell that was told which model to use must not answer with another.
    """

    def __init__(
        self, choice: BackboneChoice, load: Callable[[str], Backbone], *, fall_back: bool, hints: bool = True
    ) -> None:
        """`hints`: whether those who see why a backbone could not be loaded can do what the error advises."""
        self.choice, self._fall_back = choice, fall_back
        self._embedded = Once(partial(load, EMBEDDED), hints=hints)
        chosen = partial(load, choice.name)
        self._chosen = self._embedded if choice.name == EMBEDDED else Once(chosen, hints=hints)

    def load_behind(self) -> None:
        """Start loading in a thread of its own; the page does not wait for it."""
        threading.Thread(target=self._load_quietly, name="load-backbone", daemon=True).start()

    def _load_quietly(self) -> None:
        try:
            self.main()
        except SmartError as error:
            log.warning("no backbone could be loaded: %s", type(error).__name__)

    @property
    def ready(self) -> bool:
        """Whether `main` answers at once."""
        return self._chosen.settled and (not self._falls_back or self._embedded.settled)

    def main(self) -> Backbone:
        """The backbone for people's own documents; waits while it loads."""
        try:
            return self._chosen.get()
        except BackboneUnavailable:
            if not self._falls_back:
                raise
        return self._embedded.get()

    @property
    def _falls_back(self) -> bool:
        """Whether the embedded backbone answers in place of the chosen one."""
        return bool(self._chosen.failure) and self._fall_back and self._chosen is not self._embedded

    def embedded(self) -> Backbone:
        """The backbone that needs no hub and no GPU."""
        return self._embedded.get()

    def serving(self) -> Serving:
        """What is served now, without waiting for anything."""
        if not self._chosen.settled:
            return Serving(self.choice.name, self.choice.name, True, self.choice.reason)
        if failure := self._chosen.failure:
            reason = f"{self.choice.name} could not be loaded: {failure}"
            if self._falls_back and not self._embedded.failure:
                return Serving(self.choice.name, EMBEDDED, False, f"{reason} {EMBEDDED} serves instead.")
            return Serving(self.choice.name, self.choice.name, False, reason)
        backbone = self._chosen.get()
        return Serving(
            self.choice.name, backbone.encoder.name, False, f"{self.choice.reason} {backbone.reason}".strip()
        )
