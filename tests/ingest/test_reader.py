"""Prefetching: up to a number of items, in order, with their errors, and none after the end."""

import threading
from contextlib import closing

import pytest

from smart_demo import ingest
from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.config import Limits
from smart_demo.indexing.indexer import Indexer
from smart_demo.indexing.progress import State
from smart_demo.ingest import prefetch
from smart_demo.store.library import Library
from smart_demo.types import LOCAL
from tests.documents import write_pdf

PATIENCE = 30.0


class Counted:
    """Steps 1, 2, 3 … to `last`, which remember how many were taken and whether they were closed."""

    def __init__(self, last):
        self.last, self.taken, self.closed = last, 0, False
        self.moved = threading.Condition()

    def steps(self):
        try:
            for step in range(1, self.last + 1):
                with self.moved:
                    self.taken = step
                    self.moved.notify_all()
                yield step
        finally:
            self.closed = True

    def wait_for(self, taken):
        with self.moved:
            return self.moved.wait_for(lambda: self.taken >= taken, PATIENCE)


@pytest.mark.parametrize("max_ahead", [1, 2, 9])
def test_steps_come_in_order_and_complete(max_ahead):
    assert list(prefetch(Counted(20).steps(), max_ahead)) == [*range(1, 21)]


def test_no_more_than_the_allowed_number_is_computed_ahead():
    counted = Counted(9)
    with closing(prefetch(counted.steps(), 2)) as steps:
        assert next(steps) == 1
        assert counted.wait_for(3)
    assert counted.taken == 3  # one that was given, two that wait
    assert counted.closed


def test_an_error_comes_after_the_steps_before_it():
    def failing():
        yield 1
        yield 2
        raise ZeroDivisionError("of its own")

    steps = prefetch(failing(), 5)
    assert [next(steps), next(steps)] == [1, 2]
    with pytest.raises(ZeroDivisionError, match="of its own"):
        next(steps)


def test_stopping_in_the_middle_leaves_no_thread_and_no_open_generator():
    before, counted = set(threading.enumerate()), Counted(9)
    steps = prefetch(counted.steps(), 1)
    next(steps)
    steps.close()
    assert counted.closed
    assert set(threading.enumerate()) == before


def test_the_next_pages_are_drawn_while_a_batch_is_encoded(tmp_path, monkeypatch):
    drawn, render = threading.Semaphore(0), ingest.render

    def watched(*given):
        for page in render(*given):
            drawn.release()
            yield page

    class Waiting(WordBackbone):
        batch = 1

        def encode_pages(self, pages):
            if pages[0].number < 3:  # its own page was drawn, and while it is here the next one comes
                assert drawn.acquire(timeout=PATIENCE)
                assert drawn.acquire(timeout=PATIENCE)
                drawn.release()
            return super().encode_pages(pages)

    monkeypatch.setattr(ingest, "render", watched)
    path = write_pdf(tmp_path / "three.pdf", "one", "two", "three")
    with Library.open(tmp_path / "data", tmp_path / "index") as library:
        *_, last = Indexer(library, Limits()).add(LOCAL, [(path, "three.pdf")], Waiting())
    assert (last.state, last.done) == (State.DONE, 3)
