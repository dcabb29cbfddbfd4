"""Results of a background thread: what is computed again, and what is kept of it."""

import time

import pytest

from smart_demo.errors import LibraryError
from smart_demo.search.background import RETRY_SECONDS, BackgroundResults


class Work:
    """Results whose computation fails as long as `error` is set, at a time of `now`."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.now, self.computed = 0.0, list[object]()
        self.current = lambda source: True
        self.results = BackgroundResults("test", self.compute, lambda source: self.current(source), 2, lambda: self.now)

    def compute(self, source: object) -> str:
        self.computed.append(source)
        if self.error:
            raise self.error
        return f"result of {source}"

    def look_up(self, source: object, key: object = "key") -> object:
        """Return the result once it is computed, if it is."""
        self.results.look_up(key, source)
        while self.results.is_pending(key):
            time.sleep(0.001)
        return self.results.look_up(key, source)


@pytest.fixture
def work():
    return Work()


def test_an_equal_source_is_computed_once_and_another_again(work):
    assert work.look_up((1, "one")) == work.look_up((1, "on" + "e")) == "result of (1, 'one')"
    assert work.look_up((2, "one")) == "result of (2, 'one')"
    assert work.computed == [(1, "one"), (2, "one")]


@pytest.mark.parametrize("error", [LibraryError("The disk failed."), ZeroDivisionError()], ids=repr)
def test_a_failure_is_tried_again_after_a_pause(work, error):
    work.error = error
    assert work.look_up(1) is None
    work.error, work.now = None, RETRY_SECONDS - 1
    assert work.look_up(1) is None
    assert work.computed == [1]
    work.now = RETRY_SECONDS
    assert work.look_up(1) == "result of 1"


def test_nothing_is_computed_or_kept_of_an_outdated_source(work):
    work.current = lambda source: False
    assert work.look_up(1) is None
    assert work.computed == []
    work.current = lambda source: not work.computed  # until it is computed
    assert work.look_up(1) is None
    work.current = lambda source: True
    assert work.look_up(1) == "result of 1"
    assert work.computed == [1, 1]


def test_what_was_discarded_during_the_computation_is_not_kept(work):
    work.current = lambda source: not work.computed or bool(work.results.discard(lambda key: key == "key")) or True
    work.results.look_up("key", 1)
    while work.results.is_pending("key"):
        time.sleep(0.001)
    work.current = lambda source: True
    assert work.look_up(1) == "result of 1"
    assert work.computed == [1, 1]
