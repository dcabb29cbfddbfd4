"""Fixtures of the evaluation's tests."""

import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def scratch(tmp_path, monkeypatch) -> Path:
    """Return the folder of temporary files, so that a test can check that none is left."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder
