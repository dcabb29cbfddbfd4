"""Fixtures of the evaluation's tests."""

import importlib
import tempfile
from pathlib import Path
from types import ModuleType

import numba
import pytest


@pytest.fixture
def scratch(tmp_path, monkeypatch) -> Path:
    """Return the folder of temporary files, so that a test can check that none is left."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def ranx(monkeypatch) -> ModuleType:
    """Import ranx without compilation, which would take a minute."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    return importlib.import_module("ranx")
