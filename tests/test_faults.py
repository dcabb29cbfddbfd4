"""Faults that lose nothing: full and read-only disks, two processes, deleted files, SIGTERM. Each is
said in one sentence, what is whole is searched, and nothing that was kept is lost.
"""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from smart_demo import cli
from smart_demo.config import read_settings
from smart_demo.diagnostics import collect_diagnostics
from smart_demo.errors import LibraryError, StorageFull
from smart_demo.judging import judging_store
from smart_demo.judging.journal import Journal
from smart_demo.judging.query_list import ListedQuery
from smart_demo.store.library import Library
from smart_demo.store.page_files import PageFiles
from smart_demo.types import LOCAL
from tests.broken_disk import fill_up
from tests.documents import write_pdf
from tests.judging.cases import TRIALS, open_journal
from tests.store.cases import ENCODER, POOLED, files_under, made, open_library, page_id, put, token_files, unit

ROOT = Path(__file__).resolve().parent.parent
ANY = unit(np.random.default_rng(8), POOLED)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
PAGES = 150


@pytest.fixture
def env(tmp_path):
    return {"SMART_BACKBONE": "words", "SMART_DATA_DIR": str(tmp_path / "data"), "SMART_SAMPLE_DOCS": str(tmp_path)}


@pytest.fixture
def shell(env, capsys):
    """Run a command line in this process: (exit status, lines on standard error)."""
    before = signal.getsignal(signal.SIGTERM)

    def run(*arguments):
        status = cli.main(list(map(str, arguments)), env)
        return status, capsys.readouterr().err.splitlines()

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def make_read_only(monkeypatch):
    """Have the system refuse every change below a folder, as a read-only mount does; root is refused, too."""

    def make(folder):
        def guard(name):
            real = getattr(os, name)

            def guarded(path, *given, **named):
                changes = name != "open" or (given or [named.get("flags", 0)])[0] & WRITES
                if changes and str(path).startswith(str(folder)):
                    raise OSError(errno.EROFS, os.strerror(errno.EROFS))
                return real(path, *given, **named)

            monkeypatch.setattr(os, name, guarded)

        for name in ("open", "mkdir", "unlink", "rename", "replace", "rmdir"):
            guard(name)

    return make


# -- full disks; token files and Chroma are filled up in store/test_page_files.py and by the crash trials


def test_a_disk_that_is_full_at_any_byte_of_a_judgement_keeps_the_others(tmp_path):
    one = open_journal(tmp_path)
    one.vote(TRIALS[0], "a")
    path = tmp_path / "judgements" / "local.jsonl"
    before = path.read_bytes()
    for room in range(0, 400, 13):
        with pytest.MonkeyPatch.context() as patch:
            fill_up(patch, room)
            with pytest.raises(StorageFull, match="Could not keep the judgement"):
                one.vote(TRIALS[1], "b")
        assert path.read_bytes() == before
    vote = one.vote(TRIALS[1], "b")
    assert vote in Journal(tmp_path, LOCAL).judgements.events


def test_a_disk_that_is_full_at_any_byte_of_a_worklist_keeps_the_one_before(tmp_path):
    first, second = (judging_store.Worklist((ListedQuery(text),), source="a list") for text in ("tide", "code"))
    judging_store.save_worklist(tmp_path, LOCAL, first)
    before = files_under(tmp_path)
    for room in range(0, before["judgements/local.desk.json"], 11):
        with pytest.MonkeyPatch.context() as patch:
            fill_up(patch, room)
            with pytest.raises(StorageFull, match="Could not keep the list of queries"):
                judging_store.save_worklist(tmp_path, LOCAL, second)
        assert files_under(tmp_path) == before
    assert judging_store.load_worklist(tmp_path, LOCAL) == first
    judging_store.save_worklist(tmp_path, LOCAL, second)
    assert judging_store.load_worklist(tmp_path, LOCAL) == second


# -- folders that cannot be written


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
@pytest.mark.parametrize("command", [["search", "red"], ["index", "a.pdf"], ["samples"]])
def test_a_read_only_folder_is_said_at_the_start(shell, tmp_path, make_read_only, known, command):
    if known:
        Library.open(tmp_path / "data", tmp_path / "data" / "index").close()
    document = write_pdf(tmp_path / "a.pdf", "red")
    make_read_only(tmp_path / "data")
    status, said = shell(*[document if part == "a.pdf" else part for part in command])
    assert status == 1
    assert len(said) == 1
    assert "read-only file system" in said[0]
    assert "SMART_DATA_DIR" in said[0]


def test_documents_on_a_read_only_folder_are_searched_with_the_index_elsewhere(tmp_path, make_read_only):
    with open_library(tmp_path) as library:
        put(library, 1, 2)
    make_read_only(tmp_path / "data")
    before = files_under(tmp_path / "data")
    with open_library(tmp_path) as library:
        assert library.report.index == "ok"
        with pytest.raises(LibraryError, match="read-only file system"):
            library.add(LOCAL, *made(3))
        with pytest.raises(LibraryError, match="read-only file system"):
            library.delete_document(LOCAL, page_id(1).file)
        assert {page for _, page in library.nearest([LOCAL], ENCODER, ANY, 9)} == {page_id(1), page_id(2)}
        assert all(library.picture(page) for page in library.pages([LOCAL], ENCODER))
    assert files_under(tmp_path / "data") == before


# -- two processes


@pytest.mark.parametrize("command", [["search", "red"], ["index", "a.pdf"], ["samples"]])
def test_every_command_is_refused_while_another_process_is_there(shell, tmp_path, command):
    document = write_pdf(tmp_path / "a.pdf", "red")
    with Library.open(tmp_path / "data", tmp_path / "data" / "index"):
        status, said = shell(*[document if part == "a.pdf" else part for part in command])
        assert shell("doctor")[0] == 0
    assert status == 1
    assert [line.startswith("Another process of this program is using") for line in said] == [True]


@pytest.mark.parametrize("trouble", ["busy", "unwritable"])
def test_the_app_that_cannot_use_its_folder_ends_with_a_sentence(env, tmp_path, trouble):
    given = {key: value for key, value in os.environ.items() if not key.startswith(("SMART_", "GRADIO_"))} | env
    if trouble == "unwritable":
        (tmp_path / "data").write_text("a file stands here")
        ended = _start(given)
        assert ended.stderr.startswith("Could not use")
    else:
        with Library.open(tmp_path / "data", tmp_path / "data" / "index"):
            ended = _start(given)
        assert ended.stderr.startswith("Another process of this program is using")
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1


def _start(env):
    return subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=100)


def test_the_content_of_the_lock_file_blocks_no_process(tmp_path):
    """Only a process that holds the lock does, and a killed process holds none."""
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "lock").write_text("4711")
    open_library(tmp_path).close()


# -- files that are gone, and what is told of them


def test_deleted_files_are_reported_and_the_rest_is_searched(tmp_path):
    with open_library(tmp_path) as library:
        first, second, third = put(library, 1, 2, 3)
        files = PageFiles(tmp_path / "data")
        files.path(first).unlink()
        files.path(second).with_suffix(".webp").unlink()
        with pytest.raises(LibraryError, match="no longer in the library"):
            library.tokens(first)
        with pytest.raises(LibraryError, match=r"A picture of page 1 of document 2\.pdf is missing"):
            library.picture(second)
        assert library.tokens(second).codes.size
        assert {page for _, page in library.nearest([LOCAL], ENCODER, ANY, 9)} == {second.id, third.id}
    with open_library(tmp_path) as library:  # the first one's pictures are leftovers now
        assert [page.id for page in library.pages([LOCAL], ENCODER)] == [second.id, third.id]
        assert library.report.deleted_leftovers == 2


def test_doctor_reports_damage_and_the_rebuilt_index(env, tmp_path):
    with Library.open(tmp_path / "data", tmp_path / "data" / "index") as library:
        put(library, 1, 2)
    token_files(tmp_path)[0].write_bytes(b"rubbish")
    (tmp_path / "data" / "index" / "chroma-1" / "chroma.sqlite3").write_bytes(b"torn" * 5_000)
    facts = collect_diagnostics(read_settings(env))["library"]
    assert facts["index"].startswith("rebuilt: ")
    assert "is cut off or no token file" in str(facts["damaged"])
    assert collect_diagnostics(read_settings(env))["library"]["index"] == "ok"


# -- SIGTERM


def test_sigterm_while_indexing_ends_cleanly_and_keeps_the_stored_pages(env, tmp_path):
    document = write_pdf(tmp_path / "long.pdf", *(f"red star {number}" for number in range(PAGES)))
    given = {key: value for key, value in os.environ.items() if not key.startswith("SMART_")} | env
    command = [sys.executable, "-m", "smart_demo", "index", str(document)]
    indexing = subprocess.Popen(command, cwd=ROOT, env=given, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while not token_files(tmp_path):
        assert indexing.poll() is None, indexing.stderr.read()
    indexing.terminate()
    _, said = indexing.communicate(timeout=100)
    assert (indexing.returncode, said.strip()) == (130, "Stopped. Pages that were added stay.")
    with Library.open(tmp_path / "data", tmp_path / "data" / "index") as library:
        assert 1 <= library.report.pages < PAGES
        assert (library.report.index, library.report.deleted_leftovers, library.report.damaged) == ("ok", 0, ())
