"""Damage to Chroma's files, also the kinds that Chroma does not report: detected by the check and repaired."""

import re
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from smart_demo.store.chroma_index import PageIndex, why_unreadable
from smart_demo.types import LOCAL, StoredPage
from tests.store.cases import ENCODER, POOLED, open_library, page_id, put, rows_in_chroma, unit

ROOT = Path(__file__).resolve().parents[2]
ROWS = 1_000
"""Rows enough to make Chroma write its own files."""


def stored(number):
    facts = {"document": "a.pdf", "pages": ROWS, "width": 4, "height": 4, "tokens": 1, "bytes": 1, "codec": "int8"}
    return StoredPage(scope=LOCAL, encoder=ENCODER, id=page_id(1, number), added=0.0, **facts)


@pytest.fixture(scope="module")
def chroma_folder(tmp_path_factory):
    """Return a folder with Chroma's files, and the place of the vectors: (folder, first byte, bytes per record)."""
    folder = tmp_path_factory.mktemp("written")
    index = PageIndex(folder, 100)
    pages = [stored(number) for number in range(1, ROWS + 1)]
    index.upsert(ENCODER, pages, unit(np.random.default_rng(2), ROWS, POOLED))
    index.close()
    assert why_unreadable(folder) == ""
    (header,) = folder.glob("*/header.bin")
    record, _, vector = struct.unpack_from("<QQQ", header.read_bytes(), 28)
    return folder, vector, record


def altered(path, change):
    """Alter one file, run the canary over the folder, restore the file, and return the canary's answer."""
    whole = path.read_bytes()
    content = bytearray(whole)
    change(content)
    assert content != whole
    path.write_bytes(content)
    try:
        return why_unreadable(path.parent.parent)
    finally:
        path.write_bytes(whole)


def test_altered_or_exchanged_vectors_in_chroma_are_detected(chroma_folder):
    folder, vector, record = chroma_folder
    (path,) = folder.glob("*/data_level0.bin")

    def zero_a_block(content):
        content[vector + 8 * record : vector + 8 * record + 16] = bytes(16)

    def exchange_two(content):
        first, second = slice(vector, vector + 4 * POOLED), slice(vector + record, vector + record + 4 * POOLED)
        content[first], content[second] = content[second], content[first]

    def flip_a_sign(content):
        content[vector + 5 * record + 3] ^= 0x80

    for change in (zero_a_block, exchange_two, flip_a_sign):
        assert altered(path, change), change.__name__
    assert why_unreadable(folder) == ""


def test_a_folder_that_crashes_its_process_crashes_only_the_canary(chroma_folder):
    folder, vector, record = chroma_folder
    (path,) = folder.glob("*/data_level0.bin")

    def point_nowhere(content):
        for start in range(0, len(content), record):
            content[start + 4 : start + vector] = b"\x7f" * (vector - 4)  # neighbours far beyond the end of the file

    assert re.fullmatch(
        r"opening it crashed with signal \d+", altered(path, point_nowhere)
    )  # which signal depends on the system


def test_files_of_deleted_collections_are_deleted(tmp_path):
    """Chroma never deletes them by itself: not without its database, nor after a search needed more candidates."""
    with open_library(tmp_path, candidates=10) as library:
        put(library, 1, 2)
    with open_library(tmp_path, candidates=300):
        assert len(list((tmp_path / "index").glob("chroma-*/*-*"))) > 1
    with open_library(tmp_path, candidates=300) as library:
        assert library.report.index.startswith("rebuilt: ")
        assert rows_in_chroma(tmp_path) == {f"local/{page_id(file)}" for file in (1, 2)}
    assert len(list((tmp_path / "index").glob("chroma-*/*-*"))) == 1


def test_the_canary_ends_with_its_parent(chroma_folder):
    """Else a killed app's canary would open the folder, and write in it, while the next app uses it."""
    folder, *_ = chroma_folder
    command = [sys.executable, "-m", "smart_demo.store.chroma_index", str(folder)]
    with closing(sqlite3.connect(folder / "chroma.sqlite3", isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")  # Chroma waits for 1,000 seconds
        asked = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            asked.stdin.close()  # as the system does if the parent is killed
            assert asked.wait(60) != 0
        finally:
            asked.kill()


DIES_WHILE_IT_CLEARS_UP = """
import os, sys
from pathlib import Path
from tests.store.cases import open_library
folder, real = Path(sys.argv[1]), os.rmdir
def die(*given, **named):
    real(*given, **named)
    if not (folder / "index" / "chroma-1").exists():
        os._exit(9)
os.rmdir = die
open_library(folder)
"""


def test_a_start_killed_during_cleanup_leaves_no_mark_of_distrust(tmp_path):
    """A mark without its folder would stay for ever and condemn the next folder of that number."""
    with open_library(tmp_path) as library:
        put(library, 1)
    (tmp_path / "index" / "chroma-1.distrust").touch()
    command = [sys.executable, "-c", DIES_WHILE_IT_CLEARS_UP, str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, timeout=100, check=False).returncode == 9
    open_library(tmp_path).close()
    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == ["chroma-2", "lock"]
