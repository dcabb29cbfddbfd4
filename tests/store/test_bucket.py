"""The data folder on a mounted bucket: files can be made, appended to, renamed and unlinked, and nothing else."""

import builtins
import errno
import fcntl
import io
import os
import stat
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from smart_demo.errors import LibraryError
from smart_demo.indexing.progress import State
from smart_demo.judging import judging_store
from smart_demo.judging.journal import Journal
from smart_demo.judging.trials import JudgedQuery
from smart_demo.server.cleanup import Cleanup
from smart_demo.store import atomic_files
from smart_demo.store.library import Library
from smart_demo.types import LOCAL, Query
from tests.documents import write_pdf
from tests.server.cases import add, an_engine, names, visitor
from tests.store.cases import ENCODER, files_under, path_of, put

ME = visitor(1)
RED = JudgedQuery("red", Query("red").key, "")
HOUR = 3_600


def refuse(number):
    raise OSError(number, os.strerror(number))


class Bucket:
    """Replaces the calls that change files, and refuses below one folder those that a bucket cannot do."""

    def __init__(self, root):
        self.root, self.refused = root, set()
        self.real = {name: getattr(os, name) for name in ("open", "fsync", "statvfs")}
        self.plain = io.open

    def holds(self, what) -> bool:
        path = os.readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else os.fsdecode(what)
        return Path(os.path.abspath(path)).is_relative_to(self.root)

    def refuse(self, name, number):
        self.refused.add(name)
        refuse(number)

    def refusing(self, call, number):
        name = call.__name__

        def refused(what, *given):
            return self.refuse(name, number) if self.holds(what) else call(what, *given)

        return refused

    def open(self, path, flags, *given, **named):
        new, adds = flags & os.O_CREAT and flags & os.O_EXCL, flags & os.O_APPEND and not flags & os.O_TRUNC
        changes = flags & os.O_RDWR or (flags & os.O_WRONLY and not new and not adds)
        if changes and named.get("dir_fd") is None and self.holds(path):
            self.refuse("open", errno.EPERM)
        return self.real["open"](path, flags, *given, **named)

    def open_plainly(self, path, mode="r", *given, **named):
        if set(mode) & set("w+") and self.holds(path):
            self.refuse("open", errno.EPERM)
        return self.plain(path, mode, *given, **named)

    def fsync(self, file):
        if self.holds(file) and stat.S_ISDIR(os.fstat(file).st_mode):
            self.refuse("fsync", errno.EINVAL)
        return self.real["fsync"](file)

    def statvfs(self, path):
        facts = self.real["statvfs"](path)
        return os.statvfs_result((4096, 4096, 0, 0, 0, *tuple(facts)[5:])) if self.holds(path) else facts


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """Make `data` below tmp_path such a mount; yield the names of the calls that it refused."""
    bucket = Bucket(tmp_path / "data")
    for call in (os.ftruncate, os.truncate, os.pwrite, os.link):
        monkeypatch.setattr(os, call.__name__, bucket.refusing(call, errno.EPERM))
    monkeypatch.setattr(fcntl, "flock", bucket.refusing(fcntl.flock, errno.ENOTSUP))
    for name in ("open", "fsync", "statvfs"):
        monkeypatch.setattr(os, name, getattr(bucket, name))
    monkeypatch.setattr(io, "open", bucket.open_plainly)
    monkeypatch.setattr(builtins, "open", bucket.open_plainly)
    return bucket.refused


def test_all_features_work_on_a_bucket(tmp_path, bucket):
    mine, yours = (write_pdf(tmp_path / name, f"{name} red", f"{name} blue") for name in ("a.pdf", "b.pdf"))
    with an_engine(tmp_path) as engine:
        assert [end.state for end in add(engine, LOCAL, mine, yours)] == [State.DONE, State.DONE]
        assert add(engine, ME, mine)[0].state is State.DONE
        engine.delete_document(LOCAL, engine.documents(LOCAL)[0].file)
        journal = Journal(engine.settings.data_dir, ME)
        journal.skip(RED)
        journal.skip(RED)
        judging_store.save_worklist(engine.settings.data_dir, ME, judging_store.Worklist(()))
        judging_store.save_worklist(engine.settings.data_dir, ME, judging_store.Worklist((), position=1))
    with an_engine(tmp_path) as engine:  # a restart
        assert (names(engine, LOCAL), names(engine, ME)) == (["b.pdf"], ["a.pdf"])
        assert engine.search(Query("red"), (LOCAL,)).results["smart"].hits[0].page.document == "b.pdf"
        page = engine.documents(ME)[0]
        stored = engine.library.pages([ME], engine.backbone(ME).encoder.fingerprint)[0]
        path_of(tmp_path, stored).unlink()  # the bucket lost it
        with pytest.raises(LibraryError, match="no longer"):
            engine.library.tokens(stored)
        assert add(engine, ME, mine)[0].state is State.DONE
        assert Cleanup(engine, clock_hold=0).run_once(engine.library.visitors()[0].changed + 25 * HOUR).visitors == 1
        assert not any(str(ME) in name or page.file in name for name in files_under(tmp_path / "data"))
        assert names(engine, LOCAL) == ["b.pdf"]
    assert bucket == {"fsync", "flock"}  # tried, and not required


def test_a_journal_survives_half_a_line_that_cannot_be_truncated(tmp_path, bucket):
    """A killed write leaves half a line. The journal replaces its file by one without that half."""
    journal = Journal(tmp_path / "data", LOCAL)
    journal.skip(RED)
    path = tmp_path / "data" / "judgements" / "local.jsonl"
    with path.open("ab") as file:
        file.write(b'{"half": "a li')
    journal = Journal(tmp_path / "data", LOCAL)
    journal.skip(RED)
    journal.skip(RED)
    again = Journal(tmp_path / "data", LOCAL)
    assert (len(again.judgements.events), again.unreadable_lines) == (4, ())  # the session and three steps
    assert b"half" not in path.read_bytes()
    assert "ftruncate" in bucket
    assert [entry.name for entry in path.parent.iterdir()] == ["local.jsonl"]


def test_a_half_written_line_that_cannot_be_truncated_loses_only_itself(tmp_path, bucket, monkeypatch):
    journal = Journal(tmp_path / "data", LOCAL)
    journal.skip(RED)
    write, calls = os.write, []

    def halfway(file, data):
        calls.append(len(data))
        return write(file, bytes(data[:9])) if len(calls) == 1 else refuse(errno.EIO)

    monkeypatch.setattr(os, "write", halfway)
    with pytest.raises(LibraryError):
        journal.skip(RED)
    monkeypatch.setattr(os, "write", write)
    journal.skip(RED)
    assert len(Journal(tmp_path / "data", LOCAL).judgements.events) == len(journal.judgements.events) == 3


@pytest.mark.parametrize("locks", ["none", "of one machine"])
def test_two_containers_on_one_bucket_do_not_delete_each_others_files(tmp_path, bucket, monkeypatch, locks):
    """A new container starts while the old one is writing: each has its own index, and neither knows of the other.

    The new one finds what the old one writes, half or whole.
    """
    if locks == "of one machine":  # each has a lock, so neither is refused
        monkeypatch.setattr(fcntl, "flock", lambda *_: None)
        stat_of = Path.stat

        def elsewhere(path, **given):
            facts = stat_of(path, **given)
            return Other(facts) if path == tmp_path / "data" else facts

        monkeypatch.setattr(Path, "stat", elsewhere)
    data, write = tmp_path / "data", atomic_files.write_file
    with Library.open(data, tmp_path / "old index") as old:
        swept = []

        def writing(path, content):
            """Leave half of a temporary file beside a page's file, open the new container, then write the file."""
            if path.suffix == ".safetensors" or path.name.endswith(".thumb.webp"):
                make(path.with_name(f"{path.name}.0a.tmp"), content[:9])
                with Library.open(data, tmp_path / "new index") as new:
                    swept.append(new.report.deleted_leftovers)
            write(path, content)

        desk = data / "judgements" / "local.desk.json.0a.tmp"
        desk.parent.mkdir()
        make(desk, b"half a desk")
        monkeypatch.setattr(atomic_files, "write_file", writing)
        (page,) = put(old, 1)
        monkeypatch.setattr(atomic_files, "write_file", write)
        assert swept == [0, 0]
        assert desk.exists()
        assert old.picture(page)
        assert old.thumbnail(page)
        assert len(old.tokens(page).codes) == 6
    with Library.open(data, tmp_path / "new index") as new:
        assert len(new.pages([LOCAL], ENCODER)) == 1
    late = time.time() + 601
    monkeypatch.setattr("smart_demo.store.library.time", SimpleNamespace(time=lambda: late))
    with Library.open(data, tmp_path / "new index") as new:  # no other process can still be writing
        assert new.report.deleted_leftovers == 3
    assert not [name for name in files_under(data) if name.endswith(".tmp")]


def make(path, content):
    """Write a new file, which a bucket allows."""
    with path.open("xb") as file:
        file.write(content)


class Other:
    """The facts of a file, as on another disk."""

    def __init__(self, facts):
        self.facts = facts

    def __getattr__(self, name):
        return -1 if name == "st_dev" else getattr(self.facts, name)
