"""Files on their way: what is told, what is stopped, what is left behind."""

import threading

import pytest

from smart_demo.errors import StorageFull
from smart_demo.types import Progress, State
from smart_demo.ui.uploads import Uploads


def copies(tmp_path, *names):
    """Temporary copies as Gradio makes them: each in a folder of its own."""
    paths = []
    for number, name in enumerate(names):
        folder = tmp_path / f"{number:04d}"
        folder.mkdir(parents=True)
        (folder / name).write_bytes(b"bytes")
        paths.append(folder / name)
    return paths


def add_two_pages(files):
    for _, name in files:
        yield Progress(name, State.WORKING, 1, 2)
        yield Progress(name, State.DONE, 2, 2)


def test_every_file_has_its_outcome_and_no_copy_stays(tmp_path):
    uploads = Uploads(add_two_pages, 20)
    uploads.submit(copies(tmp_path, "a.pdf", "b.pdf"))
    uploads.wait(10)
    assert [(p.document, p.state) for p in uploads.progress] == [("a.pdf", State.DONE), ("b.pdf", State.DONE)]
    assert list(tmp_path.iterdir()) == []
    assert not uploads.running


def test_files_over_the_limit_are_refused_in_words_and_deleted(tmp_path):
    uploads = Uploads(add_two_pages, 1)
    uploads.submit(copies(tmp_path, "a.pdf", "b.pdf"))
    uploads.wait(10)
    assert [p.state for p in uploads.progress] == [State.DONE, State.REFUSED]
    assert "Only 1 file" in uploads.progress[1].message
    assert list(tmp_path.iterdir()) == []


def test_a_file_dropped_again_while_it_waits_is_read_again(tmp_path):
    def add(files):
        for path, name in files:
            yield Progress(name, State.DONE if path.read_bytes() == b"bytes" else State.REFUSED, 1, 1)

    uploads = Uploads(add, 2)
    (copy,) = copies(tmp_path, "a.pdf")
    uploads.submit([copy, copy, copy])  # Gradio names the folder by the content, so equal files share one copy
    uploads.wait(10)
    assert [p.state for p in uploads.progress] == [State.DONE, State.DONE, State.REFUSED]
    assert "Only 2 files" in uploads.progress[2].message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "said"), [(StorageFull("The disk is full.", "Make room."), "Make room"), (KeyError("x"), "log")]
)
def test_what_breaks_one_file_spares_the_next(tmp_path, error, said):
    def add(files):
        if files[0][1] == "a.pdf":
            raise error
        yield from add_two_pages(files)

    uploads = Uploads(add, 20)
    uploads.submit(copies(tmp_path, "a.pdf", "b.pdf"))
    uploads.wait(10)
    assert [p.state for p in uploads.progress] == [State.REFUSED, State.DONE]
    assert said in uploads.progress[0].message
    assert list(tmp_path.iterdir()) == []


def test_stopping_keeps_what_was_told_and_drops_what_waits(tmp_path):
    reached, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def add(files):
        try:
            for page in range(1, 10):
                yield Progress(files[0][1], State.WORKING, page, 9)
                reached.set()
                assert go_on.wait(10)
        finally:
            closed.set()

    uploads = Uploads(add, 20)
    uploads.submit(copies(tmp_path, "a.pdf", "b.pdf"))
    assert reached.wait(10)
    uploads.cancel()
    go_on.set()
    uploads.wait(10)
    first, second = uploads.progress
    assert (first.state, first.done) == (State.DONE, 2)
    assert "Stopped" in first.message
    assert second.state is State.REFUSED
    assert closed.is_set()
    assert list(tmp_path.iterdir()) == []


def test_a_file_dropped_right_after_a_stop_is_read(tmp_path):
    reached, go_on = threading.Event(), threading.Event()

    def add(files):
        yield Progress(files[0][1], State.WORKING, 1, 2)
        reached.set()
        assert go_on.wait(10)
        yield Progress(files[0][1], State.WORKING, 2, 2)
        yield Progress(files[0][1], State.DONE, 2, 2)

    uploads = Uploads(add, 20)
    uploads.submit(copies(tmp_path, "a.pdf", "b.pdf"))
    assert reached.wait(10)
    uploads.cancel()
    uploads.submit(copies(tmp_path / "later", "c.pdf"))
    go_on.set()
    uploads.wait(10)
    assert [(p.document, p.state) for p in uploads.progress][1:] == [("b.pdf", State.REFUSED), ("c.pdf", State.DONE)]
    assert "Stopped" in uploads.progress[0].message


def test_a_new_batch_after_a_stop_runs(tmp_path):
    uploads = Uploads(add_two_pages, 20)
    uploads.cancel()
    uploads.submit(copies(tmp_path, "a.pdf"))
    uploads.wait(10)
    assert [p.state for p in uploads.progress] == [State.DONE]
    before = uploads.version
    uploads.submit(copies(tmp_path, "b.pdf"))
    uploads.wait(10)
    assert [p.document for p in uploads.progress] == ["b.pdf"]
    assert uploads.version > before
