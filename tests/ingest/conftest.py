"""Fixtures of the tests of untrusted files."""

import os
import tempfile

import pytest

from tests.ingest.hostile_files import write_hostile_files


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """Return the paths of all hostile files by name. Do not change them."""
    return write_hostile_files(tmp_path_factory.mktemp("hostile"))


@pytest.fixture
def empty_temporary_folder(tmp_path_factory, monkeypatch):
    """Check that nothing stays in the temporary folder."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert os.listdir(folder) == []
