"""Files that want to do harm: each one sentence, the rest of the batch unharmed, nothing left behind."""

from __future__ import annotations

import os
import tempfile

import pytest

from smart_demo.config import Limits
from smart_demo.errors import FileRefused, PageRefused
from smart_demo.ingest import inspect, render
from tests.ingest.hostile_files import PAGES_REFUSED, REFUSED, TAKEN, write_hostile_files

QUICK = Limits(seconds=2)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    return write_hostile_files(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(autouse=True)
def empty_temporary_folder(tmp_path, monkeypatch):
    """Whatever happens, nothing stays in the temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_file_is_refused_in_one_sentence_that_says_why_and_what_to_do(hostile, name):
    with pytest.raises(FileRefused) as refusal:
        inspect(hostile[name], name, QUICK)
    assert REFUSED[name] in str(refusal.value)
    assert name in str(refusal.value)
    assert refusal.value.hint.endswith(".")
    assert "\n" not in refusal.value.sentence


@pytest.mark.parametrize("name", PAGES_REFUSED)
def test_a_bad_page_is_refused_by_name_and_the_other_pages_are_kept(hostile, name):
    upload = inspect(hostile[name], name, QUICK)
    refusals = {}
    for number, page in enumerate(render(upload, QUICK), 1):
        if isinstance(page, PageRefused):
            refusals[number] = page
        else:
            assert page.number == number
            assert min(page.pixels.shape[:2]) > 2
    assert set(refusals) == set(PAGES_REFUSED[name])
    for number, words in PAGES_REFUSED[name].items():
        assert words in str(refusals[number])
        assert name in str(refusals[number])
        assert upload.kind != "pdf" or f"Page {number} of" in str(refusals[number])


@pytest.mark.parametrize("name", TAKEN)
def test_an_odd_file_is_taken_whole_and_never_as_one_pixel(hostile, name):
    upload = inspect(hostile[name], name, Limits())
    pages = list(render(upload, Limits()))
    assert upload.pages == len(pages) == TAKEN[name]
    for page in pages:
        assert not isinstance(page, PageRefused)
        assert page.pixels.shape[0] * page.pixels.shape[1] <= Limits().rendered_pixels
        assert page.pixels.size > 3


def test_stopping_after_the_first_page_leaves_nothing_behind(hostile):
    pages = render(inspect(hostile["zero-box.pdf"], "a.pdf", QUICK), QUICK)
    next(pages)
    pages.close()


def test_a_program_started_for_a_file_sees_no_secret_and_has_bounds(monkeypatch, tmp_path):
    import subprocess

    from smart_demo.ingest import pdf

    monkeypatch.setenv("HF_TOKEN", "secret")
    spy = tmp_path / "spies"
    spy.mkdir()
    (spy / "pdfinfo").write_text("#!/bin/sh\n/usr/bin/env; ulimit -v; ulimit -t\n")
    (spy / "pdfinfo").chmod(0o755)
    for program in ("pdftoppm", "pdftotext"):
        (spy / program).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", f"{spy}:{os.environ['PATH']}")
    with pdf.limited_poppler(7) as folder:
        output = subprocess.run([f"{folder}/{pdf.LIMITED_PDFINFO}"], capture_output=True, text=True, check=True).stdout
    assert "secret" not in output
    assert output.split()[-2:] == [str(pdf.MAX_MEMORY_BYTES // 1_024), "8"]
    for path in spy.iterdir():
        path.unlink()
    spy.rmdir()
