"""Fixtures that all tests share."""

import importlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings
from playwright.sync_api import Browser

from smart_demo.engine import Engine, open_engine
from smart_demo.store import chroma_index
from tests import chroma_double
from tests.apps import App, Served
from tests.backbones.cases import tiny_neomme_folder
from tests.backbones.qwen.tiny_checkpoint import write_tiny_qwen
from tests.sample_library import copy_sample_library, settings_of
from tests.ui.browser_page import chromium, connected

# One thread per process: with two busy cores, threads that wait for each other made tiny models seven times slower.
# Set before torch is first imported; benchmarks set another value.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is no failure: no test asserts how long anything takes.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def forked_chroma_check() -> Iterator[None]:
    """Check folders of Chroma in forks of a process that has imported it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chroma_index, "why_unreadable", chroma_double.why_unreadable)
        yield


@pytest.fixture(scope="session")
def chromium_address() -> Iterator[str]:
    """Start one Chromium for all browser tests of this process."""
    with chromium() as address:
        yield address


@pytest.fixture(scope="module")
def browser(chromium_address) -> Iterator[Browser]:
    """Connect to Chromium for one file of tests: Playwright's event loop would disturb other files' asyncio."""
    with connected(chromium_address) as browser:
        yield browser


@pytest.fixture(scope="module")
def app(request, tmp_path_factory) -> Iterator[App | Served]:
    """Yield the app that the module's `open_app` opens over an empty folder."""
    with request.module.open_app(tmp_path_factory.mktemp("app")) as running:
        yield running


@pytest.fixture(scope="session")
def sample_engine(tmp_path_factory) -> Iterator[Engine]:
    """Yield the bundled model over the whole sample library, one for the run.

    Tests may search it. A test that changes the library copies it first (`tests.sample_library`).
    """
    data = copy_sample_library(tmp_path_factory.mktemp("sample-library") / "data")
    with open_engine(settings_of(data), fall_back=False) as engine:
        assert engine.samples().complete
        yield engine


@pytest.fixture(scope="session")
def tiny_qwen(tmp_path_factory) -> Path:
    """Return the folder of a tiny Qwen checkpoint, one for the run. A test that changes it uses `tiny_qwen_copy`."""
    return write_tiny_qwen(tmp_path_factory.mktemp("qwen") / "tiny")


@pytest.fixture
def tiny_qwen_copy(tiny_qwen, tmp_path) -> Path:
    """Return a copy of the tiny Qwen checkpoint."""
    return Path(shutil.copytree(tiny_qwen, tmp_path / "copy"))


@pytest.fixture(scope="session")
def tiny_neomme() -> Path:
    """Return the folder of a tiny NeoMME checkpoint, one for the run. Tests that change it use `tiny_neomme_copy`."""
    return tiny_neomme_folder()


@pytest.fixture
def tiny_neomme_copy(tiny_neomme, tmp_path) -> Path:
    """Return a copy of the tiny NeoMME checkpoint."""
    return Path(shutil.copytree(tiny_neomme, tmp_path / "copy"))


@pytest.fixture
def ranx(monkeypatch) -> ModuleType:
    """Import ranx without compilation, which would take a minute."""
    monkeypatch.setattr(importlib.import_module("numba").config, "DISABLE_JIT", True)
    return importlib.import_module("ranx")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give more time to tests that may be the first to encode the sample library in a new checkout."""
    for item in items:
        if "sample_engine" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(300))
