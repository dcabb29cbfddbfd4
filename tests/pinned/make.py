"""Write what is pinned: `python -m tests.pinned.make --html` the views, `--answers` the answers, `--files` the files.

Files of an old form are the point of the fixtures, so they are written by the code of commit 2136201 alone: what later
code writes may be another form.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from unittest.mock import patch

from tests.pinned import stored, views
from tests.pinned.stored import DATA, GOLDEN
from tests.sample_library import copy_sample_library


def seeded() -> Callable[..., str]:
    """In the place of `secrets.token_hex`: the same ids every time."""
    numbers = count(1)
    return lambda nbytes=32: f"{next(numbers):0{2 * nbytes}x}"


def write_files() -> None:
    """A library, a snapshot, a journal, lists of queries, an archive and a token file."""
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir()
    stored.write_library(stored.LIBRARY)
    with tempfile.TemporaryDirectory() as folder:
        data = stored.copied_library(Path(folder) / "data")
        with stored.opened(data) as engine, patch.object(secrets, "token_hex", seeded()):
            journal = stored.write_journal(engine, Path(folder))
        shutil.copy(journal, DATA / "journal.jsonl")
        archive = stored.archive_of(stored.journal_in(Path(folder)))
    (DATA / "evaluation.zip").write_bytes(archive)
    with zipfile.ZipFile(DATA / "evaluation.zip") as source:
        source.extractall(DATA / "evaluation")
    (DATA / "evaluation" / "judgements.jsonl").unlink()  # the journal once more
    (DATA / "page.safetensors").write_bytes(stored.token_file())
    for name, text in stored.LISTS.items():
        (DATA / name).write_text(text, encoding="utf-8")


def write_answers() -> None:
    """Searches, and what is read in the files."""
    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        with stored.opened(copy_sample_library(here / "samples")) as engine:
            keep("search", stored.sample_answers(engine))
        data = stored.copied_library(here / "data")
        with stored.opened(data) as engine:
            keep("library", stored.pinned_answers(engine))
        keep("shell", stored.from_the_shell(data))
        keep("lists", {name: stored.read_list((DATA / name).read_bytes()) for name in stored.LISTS})
        keep("token-file", stored.read_token_file(DATA / "page.safetensors"))
        keep("evaluation", stored.evaluated(here / "evaluation"))


def write_views() -> None:
    """All views; what is no longer one goes."""
    with tempfile.TemporaryDirectory() as folder:
        data = copy_sample_library(Path(folder) / "data")
        views.add_pinned_documents(data)
        with stored.opened(data) as engine:
            found = views.all_views(Path(folder), engine)
    shutil.rmtree(views.HTML, ignore_errors=True)
    views.HTML.mkdir()
    for name, text in found.items():
        (views.HTML / name).write_text(text, encoding="utf-8")


def keep(name: str, value: object) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True)
    (GOLDEN / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["--files", "--answers", "--html"]
    if "--files" in wanted:
        write_files()
    if "--answers" in wanted:
        write_answers()
    if "--html" in wanted:
        write_views()
