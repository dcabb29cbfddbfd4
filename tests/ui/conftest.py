"""Fixtures of the tests in a browser."""

from collections.abc import Iterator

import pytest

from tests.ui.browser_page import Visit


@pytest.fixture
def visit(request, app, browser) -> Iterator[Visit]:
    """Yield a visitor of the module's app, who has opened the module's `ADDRESS`, or `/`; with "" nothing is open."""
    visitor = Visit(browser, app)
    if address := getattr(request.module, "ADDRESS", "/"):
        visitor.open(address)
    yield visitor
    visitor.close()
