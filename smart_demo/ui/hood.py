"""What the tab under the hood asks for: costs, code, scores and surroundings of the answer on the screen.

Every argument is doubted, as in `handlers`.
"""

from __future__ import annotations

from collections.abc import Sequence

from smart_demo.backbones.base import Backbone
from smart_demo.diagnostics import environment
from smart_demo.errors import InputRefused, LibraryError
from smart_demo.search.as_json import as_dict
from smart_demo.search.costs import costs
from smart_demo.search.request import ON_BOTH, ON_MINE, ON_SAMPLES, Asked, asked_again
from smart_demo.types import POOLED, SAMPLES, SMART, Method, Scope
from smart_demo.ui import environment_card, programs
from smart_demo.ui.costs_panel import costs_panel
from smart_demo.ui.endpoint import Endpoint
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.replies import answered

WHOSE = {ON_SAMPLES: "the samples", ON_MINE: "your documents", ON_BOTH: "the samples and your documents"}
NOTHING_ASKED = "There is no answer on the screen yet. Ask something under Compare."
PICTURE_ALONE = "This was asked with a picture alone, and programs ask with words: there is no code for it."


class Hood:
    """Looks under the hood of one app."""

    def __init__(self, handlers: Handlers, endpoint: Endpoint) -> None:
        self._handlers, self._endpoint = handlers, endpoint

    def look(self, wanted: object) -> dict[str, object]:
        """Markup of costs and surroundings, code and scores as plain text; or a sentence why not."""
        return answered(lambda: self._look(asked_again(wanted)), "a look under the hood failed")

    def _look(self, search: Asked) -> dict[str, object]:
        scopes, engine = self._handlers.scopes(search.scope), self._handlers.engine
        if self._handlers.waits(scopes):
            raise LibraryError(f"{self._handlers.serving().name} is still loading.", "Look again in a moment.")
        try:
            program = self._program(search, scopes)
        except InputRefused as error:  # of the query, or of a picture that is gone
            program = {"sentence": error.sentence}
        laps, backbone = engine.laps(scopes), engine.backbone(scopes[0])
        pages = engine.library.pages(scopes, backbone.encoder.fingerprint)
        counted = costs(pages, backbone.encoder, laps, engine.settings)
        whose = WHOSE[search.scope]
        card = environment(backbone, engine.settings)
        return {
            "costs": costs_panel(counted, whose, backbone.encoder.name),
            "environment": environment_card.environment_card(card, self._warnings(scopes, backbone)),
            "program": program,
        }

    def _program(self, search: Asked, scopes: tuple[Scope, ...]) -> dict[str, object]:
        """Code that asks the same, and the raw scores; a sentence in the place of what there is none of."""
        handlers = self._handlers
        query = handlers.query(search)
        if (not query.text.strip() and query.image is None) or handlers.pending(scopes):
            return {"sentence": NOTHING_ASKED}
        smart = Method(SMART.name, SMART.label, search.weights)
        found = handlers.engine.search(query, scopes, (POOLED, smart), search.top)
        # The code does not carry what a visitor is known by: on a public page it is answered from the samples.
        answers = self._endpoint.scope if handlers.private else SAMPLES
        own = answers != SAMPLES
        shown = programs.Shown(scopes, search.weights, query.image is not None, answers, own)
        text, scores = found.query.text, programs.readable(as_dict(found), indent=1)
        if not text:
            return {"sentence": PICTURE_ALONE, "scores": scores}
        return {
            "python": programs.python(text, search.top),
            "curl": programs.curl(text, search.top),
            "shell": (programs.shell(text, search.top, samples=SAMPLES in scopes),),
            "differences": programs.differences(shown),
            "shell_differences": programs.shell_differences(shown),
            "scores": scores,
        }

    def _warnings(self, scopes: Sequence[Scope], backbone: Backbone) -> list[str]:
        """Where pages of these scopes were made by another encoder than the one in use."""
        engine, told = self._handlers.engine, []
        own = next((scope for scope in scopes if scope != SAMPLES), None)
        if own and (others := engine.of_other_encoders(own)):
            told.append(environment_card.by_another_encoder(others))
        if SAMPLES in scopes and engine.backbones.ready:
            main = engine.backbones.main().encoder
            if main.fingerprint != backbone.encoder.fingerprint:
                told.append(environment_card.served_by_another(backbone.encoder.name, main.name))
        return told
