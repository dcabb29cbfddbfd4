"""The sample library is encoded behind the page, once; what went wrong on the way is kept in words."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from smart_demo.engine import Engine
from smart_demo.errors import SmartError
from smart_demo.indexing.samples import Samples
from smart_demo.types import State

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pending:
    """Samples that cannot be searched yet, or never: `failed`."""

    samples: Samples | None
    """How many pages are encoded; None if no model could be loaded."""
    failed: bool
    """Whether waiting is of no use."""
    trouble: str
    """What went wrong, in one sentence; empty if nothing did."""


class Preparation:
    """One run of `Engine.prepare_samples` in a thread of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread: threading.Thread | None = None
        self.trouble = ""
        """One sentence once it has failed."""

    @property
    def running(self) -> bool:
        """Whether pages may still come."""
        return self._thread is not None and self._thread.is_alive()

    def pending(self, samples: Samples | None) -> Pending | None:
        """Return None if the samples can be searched, else how far they are. samples: None if they have no model."""
        if samples is not None and samples.whole:
            return None
        failed = samples is None or (bool(self.trouble) and not self.running)
        return Pending(samples, failed, self.trouble)

    def start(self) -> None:
        """Begin behind the page; nothing is encoded twice, so starting over a whole library costs little."""
        self._thread = threading.Thread(target=self._work, name="prepare-samples", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            for step in self._engine.prepare_samples():
                if step.state is State.REFUSED:
                    self.trouble = f"A sample was refused: {step.document}. {step.message}"
        except SmartError as error:
            self.trouble = f"The samples could not be prepared. {error.sentence}"
        except Exception:
            log.exception("preparing the samples failed")
            self.trouble = "The samples could not be prepared; the log of the demo says why."
