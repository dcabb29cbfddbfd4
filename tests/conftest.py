"""What every test run shares."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from playwright.sync_api import Browser

from smart_demo.engine import Engine, open_engine
from tests.browser_page import chromium
from tests.sample_library import copy_sample_library, settings_of

# One thread per process: with two busy cores, threads that wait for each other made tiny models seven times slower.
# Set before torch is first imported; whoever measures something sets it otherwise.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is no failure: nothing here asserts how long anything takes.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, one for a file of browser tests: Playwright's event loop must not outlive it."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def sample_engine(tmp_path_factory) -> Iterator[Engine]:
    """The embedded model over the whole sample library, one for the run. Search it; who changes it copies it first
    (`tests.sample_library`).
    """
    data = copy_sample_library(tmp_path_factory.mktemp("sample-library") / "data")
    with open_engine(settings_of(data), fall_back=False) as engine:
        assert engine.samples().complete
        yield engine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first run of a checkout encodes the sample library inside the first test that needs it."""
    for item in items:
        if "sample_engine" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(300))
