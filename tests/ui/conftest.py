"""Fixtures of the tests of the page."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.backbones.base import Backbone
from smart_demo.types import LOCAL
from smart_demo.ui.handlers import Handlers
from tests.apps import handlers_of, open_words, settings_below
from tests.documents import write_pdf
from tests.ui.browser_page import Visit
from tests.ui.costs_cases import add_own, started
from tests.ui.voting_cases import Judge, forget_everything, shared_library


@pytest.fixture(scope="session")
def private_page(tmp_path_factory) -> Iterator[Handlers]:
    """Yield a page on one's own machine: complete samples and one document of its owner. Tests delete what they add."""
    folder = tmp_path_factory.mktemp("private")
    handlers = started(folder)
    list(handlers.engine.prepare_samples())
    add_own(handlers, folder)
    yield handlers
    handlers.engine.close()


@pytest.fixture(scope="session")
def public_page(tmp_path_factory) -> Iterator[Handlers]:
    """Yield a public page of complete samples without uploads. Tests delete what they add."""
    handlers = started(tmp_path_factory.mktemp("public"), public=True, uploads=False)
    list(handlers.engine.prepare_samples())
    yield handlers
    handlers.engine.close()


@pytest.fixture
def start_page(tmp_path) -> Iterator[Callable[..., Handlers]]:
    """Yield a function that opens handlers over two sample pages, which are not encoded yet.

    folder: name of their folder, which may have been opened before; by default a new one. Settings may be changed.
    """
    opened: list[Handlers] = []

    def start(folder: str = "", **changes: object) -> Handlers:
        opened.append(started(tmp_path / (folder or str(len(opened))), **changes))
        return opened[-1]

    yield start
    for handlers in opened:
        handlers.engine.close()


@pytest.fixture
def start_complete_page(start_page, tmp_path) -> Callable[..., Handlers]:
    """Return a function that opens handlers over complete samples and one document of the owner."""

    def start(**changes: object) -> Handlers:
        handlers = start_page(**changes)
        list(handlers.engine.prepare_samples())
        add_own(handlers, tmp_path)
        return handlers

    return start


@pytest.fixture
def fresh_page(start_complete_page) -> Handlers:
    """Return a page like `private_page` that the test may change."""
    return start_complete_page()


@pytest.fixture(scope="module")
def start_handlers(tmp_path_factory) -> Iterator[Callable[..., Handlers]]:
    """Yield a function that opens handlers over one sample document and one of the owner, in folders of their own.

    tides, mine: the pages' texts. backbone: encodes them, by default the word backbone. Settings may be changed.
    """
    with ExitStack() as opened:

        def start(
            tides: tuple[str, ...] = ("the tide table of the harbour", "a page of other matters", "the tide of it"),
            mine: tuple[str, ...] = ("harbour master", "harbour tide"),
            backbone: Backbone | None = None,
            **changes: object,
        ) -> Handlers:
            folder = tmp_path_factory.mktemp("app")
            samples = folder / "samples"
            samples.mkdir()
            write_pdf(samples / "tides.pdf", *tides)
            engine = open_words(settings_below(folder, **changes), backbone, WordBackbone(), fall_back=False)
            opened.callback(engine.close)
            list(engine.prepare_samples(engine.backbones.main()))
            list(engine.add(LOCAL, [(write_pdf(folder / "mine.pdf", *mine), "mine.pdf")]))
            return handlers_of(engine)

        yield start


@pytest.fixture(scope="module")
def judged_samples(tmp_path_factory) -> Iterator[Callable[..., Handlers]]:
    """Yield a function that makes handlers around samples to judge, with changed settings."""
    with shared_library(tmp_path_factory.mktemp("judging")) as start:
        yield start


@pytest.fixture
def start_judging(judged_samples) -> Callable[..., Handlers]:
    """Return the same function after every judgement and every document but the samples was deleted."""
    forget_everything(judged_samples())
    return judged_samples


@pytest.fixture
def judge(start_judging) -> Judge:
    """Return the one judge of a private page."""
    return Judge(start_judging())


@pytest.fixture
def visit(request, app, browser) -> Iterator[Visit]:
    """Yield a visitor of the module's app, who has opened the module's `ADDRESS`, or `/`; with "" nothing is open."""
    visitor = Visit(browser, app)
    if address := getattr(request.module, "ADDRESS", "/"):
        visitor.open(address)
    yield visitor
    visitor.close()
