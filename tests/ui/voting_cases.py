"""The Judge tab's handlers over the word backbone: a few pages whose two rankings differ, for fast tests."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from gradio.context import LocalContext

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.judging.journal import FOLDER, Journal
from smart_demo.judging.judging_store import JudgingStore, Worklist
from smart_demo.judging.trials import Trial
from smart_demo.server.visitors import VISITOR_HEADER
from smart_demo.store.library import Library
from smart_demo.types import LOCAL, Scope
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.judge_sheets import JudgeSheets
from smart_demo.ui.stories import STORY_QUERIES
from smart_demo.ui.voting import Voting
from tests.apps import handlers_of, open_words, settings_below
from tests.documents import write_pdf

MINE = "5a" * 16
"""The secret that a browser sends."""
DIALS = (5, 1.0, 1.0, "mean", "all")
DOCUMENTS = {
    "tides.pdf": ("tide table harbour moon sun spring neap", "tide gauge", "tide tide harbour"),
    "bolts.pdf": ("bolt torque table flange", "harbour bolt of the tide gate and its long list of other parts"),
    "img src=x onerror=alert(1).pdf": ("harbour master decides about anchors", "lamp"),
}


@contextmanager
def shared_library(folder: Path) -> Iterator[Callable[..., Handlers]]:
    """Open complete samples once for many tests and yield a function that makes handlers around them.

    The handlers are as after a start: their model is not loaded, and each has its own settings.
    """
    samples, words = folder / "samples", WordBackbone()
    samples.mkdir(parents=True)
    for document, pages in DOCUMENTS.items():
        write_pdf(samples / document, *pages)
    usual = settings_below(folder)
    library = Library.open(usual.data_dir, usual.index_dir, usual.codec)

    def start(**changes: object) -> Handlers:
        return handlers_of(open_words(replace(usual, **changes), words, library=library))

    list(start().engine.prepare_samples())
    try:
        yield start
    finally:
        library.close()


def forget_everything(handlers: Handlers) -> None:
    """Delete all judgements and all documents except the samples, before a test."""
    shutil.rmtree(handlers.engine.settings.data_dir / FOLDER, ignore_errors=True)
    for document in handlers.engine.documents(LOCAL):
        handlers.engine.delete_document(LOCAL, document.file)


@contextmanager
def as_visitor(secret: object) -> Iterator[None]:
    """Handle what happens inside as a request of the browser that sends this secret in its header."""
    token = LocalContext.request.set(SimpleNamespace(headers={VISITOR_HEADER: secret}))
    try:
        yield
    finally:
        LocalContext.request.reset(token)


def make_judging_store(handlers: Handlers) -> JudgingStore:
    return JudgingStore(handlers.engine, STORY_QUERIES)


def make_voting(handlers: Handlers) -> Voting:
    return Voting(JudgeSheets(make_judging_store(handlers), handlers))


class Judge:
    """One browser that judges: the panels that it gets and the requests that it sends."""

    def __init__(self, handlers: Handlers, name: str = MINE, voting: Voting | None = None) -> None:
        self.handlers, self.name = handlers, name
        self.voting = voting or make_voting(handlers)
        self.judging = self.voting.judging
        self.panel = ""

    @property
    def owner(self) -> Scope:
        with as_visitor(self.name):
            return self.handlers.owner

    @property
    def journal(self) -> Journal:
        return self.judging.journal(self.owner)

    @property
    def worklist(self) -> Worklist:
        return self.judging.worklist(self.owner)

    @property
    def ticket(self) -> str:
        return re.search(r'data-ticket="([0-9a-f]+)"', self.panel)[1]

    @property
    def trial(self) -> Trial:
        """The trial of the open query."""
        return self.voting.sheets.tickets.find(self.owner, self.ticket).trial

    def look(self, *, dials=DIALS, **step) -> str:
        with as_visitor(self.name):
            self.panel = self.voting.vote_panel({"act": "look"} | step, *dials)
        return self.panel

    def pool(self, **step) -> str:
        with as_visitor(self.name):
            self.panel = self.voting.grade_panel({"act": "look"} | step, *DIALS)
        return self.panel

    def start(self, **step) -> str:
        return self.look(act="start", **step)

    def vote(self, choice: object = "a", **more) -> dict:
        return self.send_vote({"act": "vote", "ticket": self.ticket, "choice": choice} | more)

    def skip(self) -> dict:
        return self.send_vote({"act": "skip", "ticket": self.ticket})

    def undo(self) -> dict:
        return self.send_vote({"act": "undo"})

    def grade(self, page: str, grade: object) -> dict:
        return self.send_grade({"act": "grade", "ticket": self.ticket, "page": page, "grade": grade})

    def ranks(self) -> dict:
        return self.send_grade({"act": "ranks", "ticket": self.ticket})

    def send_vote(self, request: object) -> dict:
        with as_visitor(self.name):
            return self.voting.vote(request)

    def send_grade(self, request: object) -> dict:
        with as_visitor(self.name):
            return self.voting.grade(request)


def pages(markup: str, side: str = "") -> list[str]:
    """Return the pages of a panel in order, of a column or of a pool."""
    found = re.findall(r'data-page="([^"]+)"(?: data-side="([ab])")?', markup)
    return [page for page, at in found if at == side]
