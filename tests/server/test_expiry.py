"""Cleanup: visitors' data is deleted when it expires or space is short, no other data, and none early."""

import os
import shutil
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_demo.server.cleanup import Cleanup, CleanupResult
from smart_demo.store import sidecar
from smart_demo.store.quotas import Visitor, group_by_visitor
from smart_demo.types import LOCAL, SAMPLES, Scope, State
from tests.documents import write_pdf
from tests.server.cases import add, an_engine, bytes_under, judge, names, visitor

ONE, TWO, THREE = visitor(1), visitor(2), visitor(3)
HOUR = 3_600
NOW = 2_000_000_000.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One library for all tests: what a test leaves in it is its visitors', who are forgotten after it."""
    folder = tmp_path_factory.mktemp("cleanup")
    (folder / "sample_docs").mkdir()
    write_pdf(folder / "sample_docs" / "tides.pdf", "tide")
    return folder


@pytest.fixture(scope="module")
def opened(folder):
    with an_engine(folder, keep_hours=24) as engine:
        list(engine.prepare_samples())
        engine.add_at = adding_at(engine, folder)
        engine.add_at(NOW - 1_000 * HOUR, LOCAL)
        yield engine


@pytest.fixture
def engine(opened):
    yield opened
    for one in opened.library.visitors():
        opened.delete_library(one.scope)
    shutil.rmtree(opened.settings.data_dir / "damaged", ignore_errors=True)
    (opened.settings.index_dir / "clock.seen").unlink(missing_ok=True)
    assert (names(opened, LOCAL), names(opened, SAMPLES)) == (["local.pdf"], ["tides.pdf"])  # whatever was cleared up


def adding_at(engine, folder):
    def add_at(moment, scope, pages=1):
        before, sidecar.time = sidecar.time, SimpleNamespace(time=lambda: moment)
        try:
            path = write_pdf(folder / f"{str(scope)[-9:]}.pdf", *[f"{scope} {number}" for number in range(pages)])
            assert add(engine, scope, path)[0].state in (State.DONE, State.KNOWN)
        finally:
            sidecar.time = before

    return add_at


def with_quotas(monkeypatch, engine, **quotas):
    changed = replace(engine.settings, quotas=replace(engine.settings.quotas, **quotas))
    monkeypatch.setattr(engine, "settings", changed)


def attended(engine, sweep, forgotten=lambda _: None):
    cleanup = Cleanup(engine)
    cleanup.connect(sweep, forgotten)
    return cleanup


def here(engine):
    return [one.scope for one in engine.library.visitors()]


def judged_at(engine, scope, moment, text="{}"):
    path = judge(engine, scope, text)
    os.utime(path, (moment, moment))
    return path


def test_libraries_expire_a_number_of_hours_after_the_last_change(engine):
    engine.add_at(NOW - 25 * HOUR, ONE, pages=2)
    engine.add_at(NOW - 23 * HOUR, TWO)
    done = Cleanup(engine).run_once(NOW)
    assert (done.expired, done.evicted, done.failures) == (1, 0, 0)
    assert done.bytes > 0
    assert here(engine) == [TWO]
    assert Cleanup(engine).run_once(NOW + 2 * HOUR).expired == 1
    assert here(engine) == []


def test_the_newest_page_or_judgement_counts(engine):
    engine.add_at(NOW - 30 * HOUR, ONE)
    engine.add_at(NOW - 1 * HOUR, ONE, pages=2)
    engine.add_at(NOW - 30 * HOUR, TWO)
    judged_at(engine, TWO, NOW - 2 * HOUR)
    alone = judged_at(engine, THREE, NOW - 30 * HOUR)  # who judged the samples, and uploaded nothing
    desk = alone.with_suffix(".desk.json")
    desk.write_text("{}")
    os.utime(desk, (NOW - 25 * HOUR, NOW - 25 * HOUR))
    own = judged_at(engine, LOCAL, NOW - 900 * HOUR)
    assert Cleanup(engine).run_once(NOW).expired == 1
    assert sorted(here(engine), key=str) == [ONE, TWO]
    assert not alone.exists()
    assert not desk.exists()
    assert own.exists()


def test_the_files_of_a_page_that_went_private_or_stopped_uploads_expire_all_the_same(engine, monkeypatch):
    engine.add_at(NOW - 25 * HOUR, ONE)
    monkeypatch.setattr(engine, "settings", replace(engine.settings, public=False, uploads=False))
    assert Cleanup(engine).run_once(NOW).expired == 1


@pytest.mark.parametrize("back", [HOUR, 24 * HOUR, 20 * 365 * 24 * HOUR])
def test_a_clock_that_was_set_back_deletes_nothing(engine, back):
    engine.add_at(NOW - 1 * HOUR, ONE)
    judged_at(engine, TWO, NOW - 1 * HOUR)
    cleanup = Cleanup(engine)
    cleanup.run_once(NOW)
    assert cleanup.run_once(NOW - back).expired == 0
    assert cleanup.run_once(NOW).expired == 0
    assert len(here(engine)) == 2


def test_a_clock_that_is_ahead_at_a_start_deletes_nothing_and_one_that_stays_there_is_believed(engine, monkeypatch):
    """Ahead by more than a library is kept. A machine that slept for so long looks the same: a while later it goes."""
    engine.add_at(NOW - 1 * HOUR, ONE)
    judged_at(engine, TWO, NOW - 1 * HOUR)
    damaged = engine.settings.data_dir / "damaged" / str(ONE) / "0a" / "page.safetensors"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"rubbish")
    os.utime(damaged, (NOW - HOUR,) * 2)
    Cleanup(engine).run_once(NOW)
    clock = Clock()
    started = Cleanup(engine, clock=clock)
    with_quotas(monkeypatch, engine, total_bytes=1)
    ahead = NOW + 26 * HOUR
    assert started.run_once(ahead) == CleanupResult()
    clock.at += 899
    assert started.run_once(ahead + 899) == CleanupResult()
    assert (len(here(engine)), damaged.exists()) == (2, True)
    with_quotas(monkeypatch, engine, total_bytes=10**9)
    assert started.run_once(NOW + 900).expired == 0  # it was put right
    assert started.run_once(ahead + 901) == CleanupResult()  # and jumps again
    clock.at += 900
    assert started.run_once(ahead + 1_801).expired == 2
    assert not damaged.exists()


@pytest.mark.parametrize("seen", [b"", b"soon", b"9" * 5_000, b"\xff"])
def test_a_note_of_the_time_that_is_none_stops_nothing(engine, seen):
    engine.add_at(NOW - 25 * HOUR, ONE)
    (engine.settings.index_dir / "clock.seen").write_bytes(seen)
    assert Cleanup(engine).run_once(NOW).expired == 1


def test_where_all_together_are_over_their_room_those_unchanged_for_longest_go(engine, monkeypatch):
    for scope, hours in ((ONE, 3), (TWO, 2), (THREE, 1)):
        engine.add_at(NOW - hours * HOUR, scope)
    judged_at(engine, TWO, NOW - 4 * HOUR, "x" * 50_000)
    sizes = {one.scope: one.bytes for one in engine.library.visitors()}
    with_quotas(monkeypatch, engine, total_bytes=sum(sizes.values()))
    assert Cleanup(engine).run_once(NOW).evicted == 0
    with_quotas(monkeypatch, engine, total_bytes=sum(sizes.values()) - 1)
    assert Cleanup(engine).run_once(NOW) == CleanupResult(evicted=1, bytes=sizes[ONE], compacted=True)
    assert here(engine) == [TWO, THREE]
    with_quotas(monkeypatch, engine, total_bytes=1)
    assert Cleanup(engine).run_once(NOW - 1).evicted == 1
    assert here(engine) == [THREE], "a second less than an hour"
    assert Cleanup(engine).run_once(NOW).evicted == 1
    assert here(engine) == []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 99), st.floats(0, 9)), max_size=20))
def test_by_age_adds_up_what_is_kept_of_each(kept):
    rows = [(visitor(number) if number else LOCAL, size, moment) for number, size, moment in kept]
    found = group_by_visitor(rows)
    assert {one.scope for one in found} == {scope for scope, _, _ in rows} - {LOCAL}
    for one in found:
        assert one.bytes == sum(size for scope, size, _ in rows if scope == one.scope)
        assert one.changed == max(moment for scope, _, moment in rows if scope == one.scope)
    assert [one.changed for one in found] == sorted(one.changed for one in found)


def test_the_bytes_of_the_index_are_freed_too(engine, folder):
    Cleanup(engine).run_once(NOW)
    before = bytes_under(folder / "index")
    engine.add_at(NOW - 25 * HOUR, ONE, pages=8)
    done = Cleanup(engine).run_once(NOW)
    assert (done.expired, done.compacted) == (1, True)
    assert bytes_under(folder / "index") <= before + 16 * 2**10
    assert Cleanup(engine).run_once(NOW) == CleanupResult()


class Clock:
    """Seconds that pass where a test says so."""

    def __init__(self):
        self.at = 0.0

    def __call__(self):
        return self.at


def test_a_visitor_who_deletes_in_a_loop_does_not_have_the_index_rebuilt_back_to_back(engine, monkeypatch):
    clock, built = Clock(), []
    cleanup = Cleanup(engine, clock=clock)
    lasting = 0.0

    def compact():
        built.append(clock.at)
        clock.at += lasting
        return True

    monkeypatch.setattr(engine, "compact", compact)
    for _ in range(600):  # a visitor who deletes something every second
        cleanup.run_once(NOW)
        clock.at += 1
    assert len(built) == 10
    clock.at, lasting = 10_000.0, 30.0
    cleanup.run_once(NOW)
    lasting = 0.0
    built.clear()
    while clock.at < 12_000:
        cleanup.run_once(NOW)
        clock.at += 1
    assert built[:2] == [10_630.0, 10_690.0]  # twenty times as long as it took


def test_a_postponed_rebuild_of_the_index_runs_without_another_wake(engine):
    clock = Clock()
    cleanup = Cleanup(engine, interval=1e9, clock=clock)
    for _ in range(2):
        engine.add_at(NOW - 25 * HOUR, ONE)
        done = cleanup.run_once(NOW)
        assert done.expired == 1
        clock.at += 7
    assert not done.compacted
    assert cleanup.pause == 60 - 14
    clock.at += cleanup.pause
    assert cleanup.run_once(NOW).compacted
    clock.at += 60
    assert not cleanup.run_once(NOW).compacted
    assert cleanup.pause == 1e9


def test_damaged_files_of_visitors_go_and_those_of_the_owner_stay(engine, folder):
    kept = []
    for scope, hours in ((ONE, 25), (TWO, 1), (LOCAL, 999)):
        path = folder / "data" / "damaged" / str(scope) / "0a" / "page.safetensors"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"rubbish")
        os.utime(path, (NOW - hours * HOUR,) * 2)
        kept.append(path)
    assert Cleanup(engine).run_once(NOW).damaged == 1
    assert [path.exists() for path in kept] == [False, True, True]
    assert not kept[0].parent.parent.exists()


def test_the_uploads_are_swept_and_the_page_learns_of_each_deleted_visitor(engine):
    engine.add_at(NOW - 25 * HOUR, ONE)
    moments, forgotten = [], []
    done = attended(engine, lambda now: moments.append(now) or 7, forgotten.append).run_once(NOW)
    assert (done.swept, moments, forgotten) == (7, [NOW], [ONE])


def test_a_library_into_which_something_is_on_its_way_is_left_alone(engine, folder):
    engine.add_at(NOW - 25 * HOUR, ONE)
    steps = engine.add(ONE, [(write_pdf(folder / "more.pdf", *"abcdefghij"), "more.pdf")])
    next(steps)
    assert Cleanup(engine).run_once(NOW).expired == 0
    assert State.DONE in [step.state for step in steps]
    assert len(names(engine, ONE)) == 2


def test_a_change_after_the_cleanup_looked_is_not_deleted(engine):
    engine.add_at(NOW - 25 * HOUR, ONE)
    (seen,) = engine.library.visitors()
    engine.add_at(NOW, ONE, pages=2)
    assert engine.expire(seen) is None
    assert len(names(engine, ONE)) == 2
    assert engine.expire(Visitor(visitor(77), 0, 0.0)) is None


def test_a_visitor_who_cannot_be_deleted_does_not_keep_the_others_and_no_name_is_logged(engine, monkeypatch, caplog):
    for scope in (ONE, TWO, THREE):
        engine.add_at(NOW - 25 * HOUR, scope)
    remove = engine.library._files.delete

    def refusing(pages):
        pages = list(pages)
        if pages[0].scope == ONE:
            raise PermissionError(13, f"Permission denied: {pages[0].document}")
        remove(pages)

    monkeypatch.setattr(engine.library._files, "delete", refusing)

    def sweeping(_):
        raise RuntimeError("the sweep failed on secret.pdf")

    caplog.set_level("DEBUG", "smart_demo.server.cleanup")
    done = attended(engine, sweeping).run_once(NOW)
    assert (done.expired, done.failures) == (2, 2)
    assert here(engine) == [ONE]
    assert "PermissionError" in caplog.text
    assert not any(word in caplog.text for word in ("secret", ".pdf", str(ONE), str(TWO)))
    monkeypatch.undo()
    assert Cleanup(engine).run_once(NOW).expired == 1  # the next round tries again


def test_it_runs_at_the_start_and_whenever_it_is_woken_and_ends_when_it_is_stopped(engine):
    rounds, seen = [], threading.Semaphore(0)
    cleanup = attended(engine, lambda now: rounds.append(now) or seen.release() or 0)
    cleanup.start()
    assert seen.acquire(timeout=30)
    cleanup.wake()
    assert seen.acquire(timeout=30)
    cleanup.stop()
    assert not any(thread.name == "cleanup" for thread in threading.enumerate())
    assert abs(rounds[0] - time.time()) < HOUR
    assert cleanup.run_once(NOW) == CleanupResult()  # stopped is stopped
    assert len(rounds) == 2


def test_a_closed_library_is_no_trouble_that_ends_the_process(tmp_path):
    with an_engine(tmp_path) as engine:
        judge(engine, ONE)
    assert Cleanup(engine).run_once(time.time() + 25 * HOUR).failures > 0


def test_a_scope_that_only_looks_like_a_visitors_is_none():
    assert group_by_visitor([(Scope("visitors"), 1, 0.0), (Scope("a-visitor-1"), 1, 0.0)]) == ()
