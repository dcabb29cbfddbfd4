"""What every test run shares."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser_page import chromium

# One thread per process: with two busy cores, threads that wait for each other made tiny models seven times slower.
# Set before torch is first imported; whoever measures something sets it otherwise.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, one for a file of browser tests: Playwright's event loop must not outlive it."""
    with chromium() as started:
        yield started
