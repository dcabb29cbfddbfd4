"""Visitors of the app that tests of the server ask over sockets, and the folder of its uploads."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.apps import Served
from tests.server.visitor import Visitor


@pytest.fixture(scope="module")
def uploads(app: Served) -> Path:
    """Return the folder in which Gradio stores uploads during a file of tests."""
    return app.uploads


@pytest.fixture
def new_visitor(app: Served) -> Iterator[Callable[..., Visitor]]:
    """Yield a function that returns a new visitor, or one with a known secret, who leaves after the test."""
    with ExitStack() as stack:
        yield lambda secret=None: stack.enter_context(closing(Visitor(app.url, secret)))
