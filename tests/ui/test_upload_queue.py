"""Files on their way: what is told, what is stopped, what is left behind."""

import gc
import threading
import weakref
from contextvars import ContextVar

import pytest

from smart_demo.errors import StorageFull
from smart_demo.indexing.progress import Progress, State
from smart_demo.types import LOCAL, Scope
from smart_demo.ui.upload_queue import MAX_ACTIVE_OWNERS, STEPS_PER_TURN, UploadQueue


def copies(tmp_path, *names):
    """Temporary copies as Gradio makes them: each in a folder of its own."""
    paths = []
    for number, name in enumerate(names):
        folder = tmp_path / f"{number:04d}"
        folder.mkdir(parents=True)
        (folder / name).write_bytes(b"bytes")
        paths.append(folder / name)
    return paths


def add_two_pages(_, files):
    for _, name in files:
        yield Progress(name, State.WORKING, 1, 2)
        yield Progress(name, State.DONE, 2, 2)


class HeldReading:
    """An `add` of `pages` pages that waits before its page `held_at` until `go_on` is called; 1 holds it at once."""

    def __init__(self, pages, held_at):
        self.pages, self.held_at = pages, held_at
        self.reached, self.free, self.closed = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, _, files):
        (_, name), *_ = files
        try:
            for page in range(1, self.pages + 1):
                if page == self.held_at:
                    self.reached.set()
                    assert self.free.wait(10)
                yield Progress(name, State.WORKING, page, self.pages)
            yield Progress(name, State.DONE, self.pages, self.pages)
        finally:
            self.closed.set()

    def wait_until_held(self):
        assert self.reached.wait(10)

    def go_on(self):
        self.free.set()


def test_every_file_has_an_outcome_and_its_copy_is_deleted(tmp_path):
    uploads = UploadQueue(add_two_pages, 20)
    uploads.submit(LOCAL, copies(tmp_path, "a.pdf", "b.pdf"))
    uploads.wait(10)
    assert [(p.document, p.state) for p in uploads.batch(LOCAL).files] == [("a.pdf", State.DONE), ("b.pdf", State.DONE)]
    assert list(tmp_path.iterdir()) == []
    assert not uploads.running(LOCAL)


def test_files_over_the_limit_are_refused_with_a_message_and_deleted(tmp_path):
    uploads = UploadQueue(add_two_pages, 1)
    uploads.submit(LOCAL, copies(tmp_path, "a.pdf", "b.pdf"))
    uploads.wait(10)
    assert [p.state for p in uploads.batch(LOCAL).files] == [State.DONE, State.REFUSED]
    assert "Only 1 file" in uploads.batch(LOCAL).files[1].message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [1, 0], ids=["read", "refused"])
def test_a_finished_file_releases_its_request(tmp_path, limit):
    class Request:
        pass

    asking = ContextVar("asking")
    request = Request()
    alive, token = weakref.ref(request), asking.set(request)
    uploads = UploadQueue(add_two_pages, limit)
    uploads.submit(LOCAL, copies(tmp_path, "a.pdf"))
    uploads.wait(10)
    asking.reset(token)
    del request, token
    gc.collect()
    assert len(uploads.batch(LOCAL).files) == 1
    assert alive() is None


def test_a_file_dropped_again_while_it_waits_is_read_again(tmp_path):
    def add(_, files):
        for path, name in files:
            yield Progress(name, State.DONE if path.read_bytes() == b"bytes" else State.REFUSED, 1, 1)

    uploads = UploadQueue(add, 2)
    (copy,) = copies(tmp_path, "a.pdf")
    uploads.submit(LOCAL, [copy, copy, copy])
    uploads.wait(10)
    assert [p.state for p in uploads.batch(LOCAL).files] == [State.DONE, State.DONE, State.REFUSED]
    assert "Only 2 files" in uploads.batch(LOCAL).files[2].message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "said"), [(StorageFull("The disk is full.", "Make room."), "Make room"), (KeyError("x"), "log")]
)
def test_an_error_in_one_file_does_not_affect_the_next(tmp_path, error, said):
    def add(_, files):
        if files[0][1] == "a.pdf":
            raise error
        yield from add_two_pages(_, files)

    uploads = UploadQueue(add, 20)
    uploads.submit(LOCAL, copies(tmp_path, "a.pdf", "b.pdf"))
    uploads.wait(10)
    assert [p.state for p in uploads.batch(LOCAL).files] == [State.REFUSED, State.DONE]
    assert said in uploads.batch(LOCAL).files[0].message
    assert list(tmp_path.iterdir()) == []


def test_a_stop_keeps_added_pages_and_drops_waiting_files(tmp_path):
    add = HeldReading(pages=9, held_at=2)
    uploads = UploadQueue(add, 20)
    uploads.submit(LOCAL, copies(tmp_path, "a.pdf", "b.pdf"))
    add.wait_until_held()
    uploads.cancel(LOCAL)
    add.go_on()
    uploads.wait(10)
    first, second = uploads.batch(LOCAL).files
    assert (first.state, first.done) == (State.DONE, 2)
    assert "Stopped" in first.message
    assert second.state is State.REFUSED
    assert add.closed.is_set()
    assert list(tmp_path.iterdir()) == []


def test_a_file_dropped_right_after_a_stop_is_read(tmp_path):
    add = HeldReading(pages=2, held_at=2)
    uploads = UploadQueue(add, 20)
    uploads.submit(LOCAL, copies(tmp_path, "a.pdf", "b.pdf"))
    add.wait_until_held()
    uploads.cancel(LOCAL)
    uploads.submit(LOCAL, copies(tmp_path / "later", "c.pdf"))
    add.go_on()
    uploads.wait(10)
    assert [(p.document, p.state) for p in uploads.batch(LOCAL).files][1:] == [
        ("b.pdf", State.REFUSED),
        ("c.pdf", State.DONE),
    ]
    assert "Stopped" in uploads.batch(LOCAL).files[0].message


def test_a_new_batch_after_a_stop_runs(tmp_path):
    uploads = UploadQueue(add_two_pages, 20)
    uploads.cancel(LOCAL)
    uploads.submit(LOCAL, copies(tmp_path, "a.pdf"))
    uploads.wait(10)
    assert [p.state for p in uploads.batch(LOCAL).files] == [State.DONE]
    uploads.submit(LOCAL, copies(tmp_path, "b.pdf"))
    uploads.wait(10)
    assert [p.document for p in uploads.batch(LOCAL).files] == ["b.pdf"]


A, B = Scope("visitor-a"), Scope("visitor-b")


def pages_of(seen, count):
    """An `add` that notes whose page it read."""

    def add(owner, files):
        for page in range(1, count + 1):
            seen.append(owner)
            yield Progress(files[0][1], State.WORKING, page, count)
        yield Progress(files[0][1], State.DONE, count, count)

    return add


def test_owners_take_turns_page_by_page(tmp_path):
    seen, hold, begun = [], threading.Event(), threading.Event()
    inner = pages_of(seen, 6)

    def add(owner, files):
        begun.set()
        assert hold.wait(10)  # until both are queued
        yield from inner(owner, files)

    uploads = UploadQueue(add, 20)
    uploads.submit(A, copies(tmp_path / "a", "thick.pdf"))
    assert begun.wait(10)
    uploads.submit(B, copies(tmp_path / "b", "thin.pdf"))
    hold.set()
    uploads.wait(10)
    assert [p.state for p in (*uploads.batch(A).files, *uploads.batch(B).files)] == [State.DONE] * 2
    assert max(sum(owner == A for owner in seen[:n]) - sum(owner == B for owner in seen[:n]) for n in range(13)) <= 2


def test_an_owner_cannot_see_or_stop_the_files_of_another(tmp_path):
    add = HeldReading(pages=2, held_at=2)
    uploads = UploadQueue(add, 20)
    uploads.submit(A, copies(tmp_path, "a.pdf"))
    add.wait_until_held()
    uploads.cancel(B)
    uploads.delete(B)
    assert (uploads.batch(B).files, uploads.running(B)) == ((), False)
    add.go_on()
    uploads.wait(10)
    assert [p.state for p in uploads.batch(A).files] == [State.DONE]


def test_files_over_the_queue_limit_are_refused_with_a_message(tmp_path):
    add = HeldReading(pages=1, held_at=1)
    uploads = UploadQueue(add, 20, max_waiting=2)
    uploads.submit(A, copies(tmp_path / "a", "a.pdf"))
    add.wait_until_held()
    uploads.submit(B, copies(tmp_path / "b", "b.pdf", "c.pdf"))
    add.go_on()
    uploads.wait(10)
    assert [p.state for p in uploads.batch(B).files] == [State.DONE, State.REFUSED]
    assert "2 files of all visitors are still waiting" in uploads.batch(B).files[1].message
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_deleted_owner_has_no_copies_and_no_report(tmp_path):
    add = HeldReading(pages=2, held_at=2)
    uploads = UploadQueue(add, 20)
    uploads.submit(A, copies(tmp_path, "a.pdf", "b.pdf"))
    add.wait_until_held()
    uploads.delete(A)
    add.go_on()
    uploads.wait(10)
    assert uploads.batch(A).files == ()
    assert list(tmp_path.iterdir()) == []


def test_one_visitor_s_many_files_do_not_keep_another_out(tmp_path):
    add = HeldReading(pages=1, held_at=1)
    uploads = UploadQueue(add, 3, max_waiting=4)
    for batch in range(3):
        uploads.submit(A, copies(tmp_path / f"a{batch}", *[f"{batch}{at}.pdf" for at in range(3)]))
    add.wait_until_held()
    uploads.submit(B, copies(tmp_path / "b", "b.pdf", "c.pdf"))
    add.go_on()
    uploads.wait(10)
    assert [p.state for p in uploads.batch(B).files] == [State.DONE, State.REFUSED]
    assert sum(p.state is State.DONE for p in uploads.batch(A).files) == 3
    assert all("of your files" in p.message for p in uploads.batch(A).files if p.state is State.REFUSED)


def test_a_large_file_yields_to_owners_who_wait_longer_and_continues_at_its_next_page(tmp_path):
    """As the engine does it: pages that are stored are not read again."""
    stored, seen, hold = {}, [], threading.Event()

    def add(owner, files):
        assert hold.wait(10)
        total = int(files[0][1].partition("-")[0])
        for page in range(stored.get(owner, 0) + 1, total + 1):
            seen.append(owner)
            stored[owner] = page
            yield Progress(files[0][1], State.WORKING, page, total)
        yield Progress(files[0][1], State.DONE, total, total)

    uploads = UploadQueue(add, 20)
    thick = [Scope(f"visitor-{number}") for number in range(MAX_ACTIVE_OWNERS)]
    for owner in thick:
        uploads.submit(owner, copies(tmp_path / str(owner), "300-pages.pdf"))
    uploads.submit(A, copies(tmp_path / "late", "1-page.pdf"))
    hold.set()
    uploads.wait(30)
    assert seen.index(A) <= 2 * MAX_ACTIVE_OWNERS * STEPS_PER_TURN
    assert all(uploads.batch(owner).files[0].state is State.DONE for owner in [*thick, A])
    assert all(stored[owner] == 300 == seen.count(owner) for owner in thick)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_without_progress_is_not_set_aside(tmp_path):
    begun = []

    def add(owner, files):
        begun.append(owner)
        for _ in range(3 * STEPS_PER_TURN):
            yield Progress(files[0][1], State.WORKING, 0, 100)
        yield Progress(files[0][1], State.REFUSED)

    uploads = UploadQueue(add, 20)
    owners = [Scope(f"visitor-{number}") for number in range(MAX_ACTIVE_OWNERS + 1)]
    for owner in owners:
        uploads.submit(owner, copies(tmp_path / str(owner), "slow.pdf"))
    uploads.wait(30)
    assert sorted(map(str, begun)) == sorted(map(str, owners))
