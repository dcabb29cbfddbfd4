"""Eviction: if the quota of all visitors is full, those unchanged for longest are deleted, and no recent ones."""

import os
import time
from functools import partial

import pytest

from smart_demo.errors import LibraryError
from smart_demo.indexing.progress import State
from smart_demo.store.quotas import MIN_IDLE_SECONDS, Visitor
from smart_demo.types import LOCAL
from tests.documents import write_pdf
from tests.server import cases
from tests.server.cases import add, add_at, bytes_under, judge, names, owners, visitor, without_index

ONE, TWO, THREE, NEW = map(visitor, (1, 2, 3, 4))
an_engine = partial(cases.an_engine, open_library=without_index)
HOUR = 3_600


def add_ago(engine, folder, scope, hours, pages=1):
    (end,) = add_at(engine, time.time() - hours * HOUR, scope, paper(folder, scope, pages))
    assert end.state is State.DONE


def paper(folder, scope, pages=1):
    return write_pdf(folder / f"{str(scope)[-1]}.pdf", *[f"tide {number}" for number in range(pages)])


@pytest.fixture
def size(tmp_path):
    """Bytes of a page, at most."""
    with an_engine(tmp_path / "measured") as engine:
        add_ago(engine, tmp_path, ONE, 1)
        return engine.usage(ONE).bytes + 64


def test_a_newcomer_evicts_the_longest_unchanged_and_no_more_than_needed(tmp_path, size):
    with an_engine(tmp_path, total_bytes=4 * size) as engine:
        evicted = []
        engine.set_expiry_listener(evicted.append)
        add_ago(engine, tmp_path, LOCAL, 90)
        for scope, hours in ((TWO, 2), (ONE, 3), (THREE, 1.1)):
            add_ago(engine, tmp_path, scope, hours)
        (end,) = add(engine, NEW, paper(tmp_path, NEW, 2))
        assert (end.state, end.done) == (State.DONE, 2)
        assert (owners(engine), evicted) == ({TWO, THREE, NEW}, [ONE])
        assert names(engine, LOCAL) == ["l.pdf"]
        (end,) = add(engine, NEW, paper(tmp_path, visitor(5), 3))
        assert (end.state, end.done) == (State.DONE, 2)
        assert "The other 1 are not kept. The libraries of all visitors together may take" in end.message
        assert (owners(engine), evicted) == ({NEW}, [ONE, TWO, THREE])
        assert engine.library.visitor_page_bytes() <= 4 * size
        assert not (tmp_path / "data" / "tokens" / str(ONE)).exists()


def test_a_script_of_many_names_fills_the_page_for_no_longer_than_an_hour(tmp_path, size, monkeypatch):
    with an_engine(tmp_path, total_bytes=2 * size) as engine:
        for scope in (ONE, TWO):
            add_ago(engine, tmp_path, scope, 0.9)
        (refused,) = add(engine, NEW, paper(tmp_path, NEW))
        assert refused.state is State.REFUSED
        assert "A library unchanged for an hour is deleted for others" in refused.message
        assert owners(engine) == {ONE, TWO}
        monkeypatch.setattr("smart_demo.store.quotas.MIN_IDLE_SECONDS", 0.8 * HOUR)  # as 0.2 hours later
        assert add(engine, NEW, tmp_path / "4.pdf")[0].state is State.DONE
        assert owners(engine) == {TWO, NEW}


def test_judgements_are_evicted_and_evict_others(tmp_path, size):
    with an_engine(tmp_path, total_bytes=3 * size) as engine:
        judged = judge(engine, ONE, "x" * 2 * size)
        add_ago(engine, tmp_path, TWO, 0)
        (refused,) = add(engine, NEW, paper(tmp_path, NEW))
        assert refused.state is State.REFUSED
        os.utime(judged, (time.time() - 2 * HOUR,) * 2)
        assert add(engine, NEW, tmp_path / "4.pdf")[0].state is State.DONE
        assert owners(engine) == {TWO, NEW}
        assert not judged.exists()


def test_no_visitor_is_evicted_if_all_who_may_be_would_not_be_enough(tmp_path, size):
    with an_engine(tmp_path, total_bytes=3 * size) as engine:
        add_ago(engine, tmp_path, ONE, 5)
        judge(engine, TWO, "x" * 4 * size)  # of a page whose room was made smaller
        assert add(engine, NEW, paper(tmp_path, NEW))[0].state is State.REFUSED
        assert owners(engine) == {ONE, TWO}


def test_a_library_that_is_being_added_to_is_not_evicted(tmp_path, size):
    with an_engine(tmp_path, total_bytes=2 * size) as engine:
        add_ago(engine, tmp_path, ONE, 5)
        steps = engine.add(ONE, [(paper(tmp_path, ONE, 1), "again.pdf")])
        next(steps)
        add_ago(engine, tmp_path, TWO, 0)
        assert add(engine, NEW, paper(tmp_path, NEW))[0].state is State.REFUSED
        steps.close()
        assert add(engine, NEW, tmp_path / "4.pdf")[0].state is State.DONE
        assert owners(engine) == {TWO, NEW}


def test_a_visitor_over_their_own_quota_evicts_no_other(tmp_path, size):
    with an_engine(tmp_path, total_bytes=3 * size, library_pages=1) as engine:
        for scope in (ONE, TWO, THREE):
            add_ago(engine, tmp_path, scope, 5)
        before = bytes_under(tmp_path / "data")
        (refused,) = add(engine, ONE, paper(tmp_path, visitor(5), 1), paper(tmp_path, visitor(6), 2))[-1:]
        assert "your library is full" in refused.message
        assert bytes_under(tmp_path / "data") == before


def test_a_visitor_who_cannot_be_deleted_is_skipped_and_the_future_is_not_old(tmp_path, monkeypatch):
    now, deleted = time.time(), []
    ages = (MIN_IDLE_SECONDS * 3, MIN_IDLE_SECONDS * 2, MIN_IDLE_SECONDS, MIN_IDLE_SECONDS - 99, -MIN_IDLE_SECONDS)
    everyone = tuple(Visitor(visitor(at), 10, now - age) for at, age in enumerate(ages))

    def expire(one):
        if one.scope == visitor(0):
            raise LibraryError("The disk refuses.")
        return None if one.scope == visitor(1) else deleted.append(one.scope) or one.bytes

    with an_engine(tmp_path) as engine:
        monkeypatch.setattr(engine.library, "visitors", lambda: everyone)
        monkeypatch.setattr(engine, "expire", expire)
        assert engine.evict_idle_visitors(NEW, 10)
        assert deleted == [visitor(2)]
        assert not engine.evict_idle_visitors(NEW, 20)
        assert not engine.evict_idle_visitors(NEW, 31)
        assert engine.evict_idle_visitors(NEW, 10, among={visitor(2), visitor(3)})
        assert not engine.evict_idle_visitors(visitor(2), 10, among={visitor(2), visitor(3)})
