"""Fixtures of the tests of the page."""

from collections.abc import Iterator

import pytest

from smart_demo.ui.handlers import Handlers
from tests.ui.costs_cases import add_own, started


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
