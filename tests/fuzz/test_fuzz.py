"""Replay the files that an hour of fuzzing found, and fuzz for a short time with a fixed seed.

`make fuzz MINUTES=60` is the long form.
"""

from __future__ import annotations

import os
import tempfile

import pytest

from tests.fuzz.campaign import ROOT, Plan, run
from tests.fuzz.documents import repaired
from tests.fuzz.seeds import kept
from tests.fuzz.trial import NAME, PROMISES, attempt
from tests.ingest.cases import text_pdf


def test_files_found_by_fuzzing_are_still_accepted_or_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    assert len(kept()) > 50
    for content in kept():
        (tmp_path / NAME).write_bytes(content)
        assert attempt(tmp_path / NAME, traced=False).broken == []


def test_a_short_run_keeps_every_promise_and_leaves_no_files(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    figures = run(Plan(seed=5, workers=1, executions=100, failures=tmp_path / "failures", found=tmp_path / "found"))
    assert figures["failures"] == []
    assert [promise["name"] for promise in figures["promises"] if promise["held"]] == list(PROMISES)
    assert figures["executions"] == sum(figures["outcomes"].values()) >= 100
    assert {"pages", "refused"} <= set(figures["outcomes"])
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_repaired_pdf_has_a_matching_object_table():
    content = text_pdf("words")
    moved = repaired(content.replace(b"%PDF-1.3\n", b"%PDF-1.3\n%" + b"x" * 40 + b"\n"))
    start = int(moved.rsplit(b"startxref\n", 1)[1].split()[0])
    assert moved[start:].startswith(b"xref")
    first = int(moved[start:].split(b"\n")[3].split()[0])
    assert moved[first:].startswith(b"1 0 obj")


@pytest.mark.parametrize("ending", ["os._exit(3)", "os.kill(os.getpid(), 9)"])
def test_a_file_that_kills_its_reader_is_reported_and_stored(tmp_path, monkeypatch, ending):
    """The harness itself: if a file kills its reader, the promise counts as broken and the file is stored."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    script = f"import os\nfrom tests.fuzz import trial\ntrial.attempt = lambda path: {ending}\n"
    (tmp_path / "sitecustomize.py").write_text(script)
    figures = run(Plan(seed=1, workers=1, executions=1, failures=tmp_path / "failures", found=tmp_path / "found"))
    assert [promise["held"] for promise in figures["promises"]].count(False) == 1
    (failure,) = figures["failures"]
    assert (tmp_path / "failures" / failure["file"]).read_bytes()
