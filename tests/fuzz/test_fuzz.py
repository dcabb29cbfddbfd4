"""Replay the files that an hour of fuzzing found, and fuzz for a short time with a fixed seed.

`make fuzz MINUTES=60` is the long form.
"""

from __future__ import annotations

import os
import tempfile

import pytest

from tests.fuzz.attempt import NAME, PROMISES, attempt_file
from tests.fuzz.campaign import ROOT, CampaignPlan, run
from tests.fuzz.pdf_damage import repaired
from tests.fuzz.seeds import load_corpus
from tests.ingest.cases import text_pdf


def test_files_found_by_fuzzing_are_still_accepted_or_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    assert len(load_corpus()) > 50
    for content in load_corpus():
        (tmp_path / NAME).write_bytes(content)
        assert attempt_file(tmp_path / NAME, traced=False).broken == []


def test_a_short_run_keeps_every_promise_and_leaves_no_files(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    results = run(
        CampaignPlan(seed=5, workers=1, executions=100, failures=tmp_path / "failures", found=tmp_path / "found")
    )
    assert results["failures"] == []
    assert [promise["name"] for promise in results["promises"] if promise["held"]] == list(PROMISES)
    assert results["executions"] == sum(results["outcomes"].values()) >= 100
    assert {"pages", "refused"} <= set(results["outcomes"])
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
    script = f"import os\nfrom tests.fuzz import attempt\nattempt.attempt_file = lambda path: {ending}\n"
    (tmp_path / "sitecustomize.py").write_text(script)
    results = run(
        CampaignPlan(seed=1, workers=1, executions=1, failures=tmp_path / "failures", found=tmp_path / "found")
    )
    assert [promise["held"] for promise in results["promises"]].count(False) == 1
    (failure,) = results["failures"]
    assert (tmp_path / "failures" / failure["file"]).read_bytes()
