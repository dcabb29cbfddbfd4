"""The progress of all files of an upload: what is counted, and when the time left is known."""

import pytest

from smart_demo.indexing.progress import BatchProgress, PageRate, Progress, State


def test_the_time_left_is_that_of_the_measured_pages():
    rate = PageRate()
    rate.record(50.0, 0)
    for second in range(1, 11):
        rate.record(50.0 + 3 * second, 1)
    assert rate.seconds_left(20) == pytest.approx(60)
    assert rate.seconds_left(0) == 0
    assert rate.seconds_left(-4) == 0


def test_an_upload_that_becomes_faster_is_estimated_by_its_latest_pages():
    rate, now = PageRate(), 0.0
    rate.record(now, 0)
    for seconds in [20.0] * 5 + [0.5] * (PageRate.MAX_STEPS + 1):
        now += seconds
        rate.record(now, 1)
    assert rate.seconds_left(100) == pytest.approx(50)


@pytest.mark.parametrize("steps", [[], [(0, 0)], [(0, 0), (9, 1)], [(0, 0), (0.5, 9)], [(0, 0), (9, 0)]])
def test_nothing_is_estimated_from_too_little(steps):
    rate = PageRate()
    for step in steps:
        rate.record(*step)
    assert rate.seconds_left(10) is None


def test_nothing_is_estimated_for_an_unknown_number_of_pages():
    rate = PageRate()
    rate.record(0, 0)
    rate.record(10, 5)
    assert rate.seconds_left(None) is None


def test_pages_of_all_files_are_counted_but_not_those_of_refused_ones():
    files = (
        Progress("done.pdf", State.DONE, 8, 9, file="a", added=8),
        Progress("known.pdf", State.KNOWN, 5, 5, file="b"),
        Progress("now.pdf", State.WORKING, 3, 10, file="c", added=3, left=6),
        Progress("refused.pdf", State.REFUSED, 0, 70),
        Progress("waits.pdf", State.WORKING),
    )
    batch = BatchProgress(files, waiting_pages=4, running=True)
    assert (batch.finished_files, batch.read_pages, batch.pages) == (3, 9 + 5 + 4, 9 + 5 + 10 + 4)
    assert (batch.added_pages, batch.added_documents) == (11, 2)
    assert BatchProgress(files, waiting_pages=None).pages is None
