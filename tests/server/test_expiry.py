"""Cleanup: visitors' data is deleted when it expires or space is short, no other data, and none early."""

import os
import shutil
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_demo.indexing.progress import State
from smart_demo.server.cleanup import CLOCK_HOLD_SECONDS, Cleanup, CleanupResult
from smart_demo.server.upload_limits import MAX_UNCLAIMED_SECONDS
from smart_demo.store.page_files import PageFiles
from smart_demo.store.quotas import Visitor, group_by_visitor
from smart_demo.types import LOCAL, SAMPLES, Scope
from tests.documents import write_pdf
from tests.server.cases import Clock, add_at, an_engine, bytes_under, judge, names, owners, visitor

ONE, TWO, THREE = visitor(1), visitor(2), visitor(3)
HOUR = 3_600
NOW = 2_000_000_000.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of one library for all tests. What a test leaves in it is its visitors', who are deleted."""
    folder = tmp_path_factory.mktemp("cleanup")
    (folder / "sample_docs").mkdir()
    write_pdf(folder / "sample_docs" / "tides.pdf", "tide")
    return folder


@pytest.fixture(scope="module")
def opened(folder):
    with an_engine(folder, keep_hours=24) as engine:
        list(engine.prepare_samples())
        add_pages(engine, NOW - 1_000 * HOUR, LOCAL)
        yield engine


@pytest.fixture
def engine(opened):
    yield opened
    opened.set_expiry_listener(lambda _: None)
    for scope in owners(opened):
        opened.delete_library(scope)
    shutil.rmtree(opened.settings.data_dir / "damaged", ignore_errors=True)
    assert (names(opened, LOCAL), names(opened, SAMPLES)) == (["local.pdf"], ["tides.pdf"])  # whatever was cleared up


def add_pages(engine, moment, scope, pages=1):
    """Add a document of some pages, or its further pages, as if at a Unix time."""
    path = engine.settings.data_dir.parent / f"{str(scope)[-9:]}.pdf"
    write_pdf(path, *[f"{scope} {number}" for number in range(pages)])
    assert add_at(engine, moment, scope, path)[0].state in (State.DONE, State.KNOWN)


def clean(engine, moment=NOW):
    """Run one round at a Unix time, with a clock that is trusted."""
    return Cleanup(engine, clock_hold=0).run_once(moment)


def with_quotas(monkeypatch, engine, **quotas):
    changed = replace(engine.settings, quotas=replace(engine.settings.quotas, **quotas))
    monkeypatch.setattr(engine, "settings", changed)


def judged_at(engine, scope, moment, text="{}"):
    path = judge(engine, scope, text)
    os.utime(path, (moment, moment))
    return path


def damaged_at(engine, scope, moment):
    path = engine.settings.data_dir / "damaged" / str(scope) / "0a" / "page.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"rubbish")
    os.utime(path, (moment, moment))
    return path


def test_libraries_expire_a_number_of_hours_after_the_last_change(engine):
    add_pages(engine, NOW - 25 * HOUR, ONE, pages=2)
    add_pages(engine, NOW - 23 * HOUR, TWO)
    done = clean(engine)
    assert (done.visitors, done.failures) == (1, 0)
    assert done.bytes > 0
    assert owners(engine) == {TWO}
    assert clean(engine, NOW + 2 * HOUR).visitors == 1
    assert owners(engine) == set()


def test_the_newest_page_or_judgement_counts(engine):
    add_pages(engine, NOW - 30 * HOUR, ONE)
    add_pages(engine, NOW - 1 * HOUR, ONE, pages=2)
    add_pages(engine, NOW - 30 * HOUR, TWO)
    judged_at(engine, TWO, NOW - 2 * HOUR)
    alone = judged_at(engine, THREE, NOW - 30 * HOUR)  # who judged the samples, and uploaded nothing
    desk = alone.with_suffix(".desk.json")
    desk.write_text("{}")
    os.utime(desk, (NOW - 25 * HOUR, NOW - 25 * HOUR))
    own = judged_at(engine, LOCAL, NOW - 900 * HOUR)
    assert clean(engine).visitors == 1
    assert owners(engine) == {ONE, TWO}
    assert not alone.exists()
    assert not desk.exists()
    assert own.exists()


def test_the_files_of_a_page_that_went_private_or_stopped_uploads_expire_all_the_same(engine, monkeypatch):
    add_pages(engine, NOW - 25 * HOUR, ONE)
    monkeypatch.setattr(engine, "settings", replace(engine.settings, public=False, uploads=False))
    assert clean(engine).visitors == 1


@pytest.mark.parametrize("back", [HOUR, 24 * HOUR, 20 * 365 * 24 * HOUR])
def test_a_clock_that_was_set_back_deletes_nothing(engine, back):
    add_pages(engine, NOW - 1 * HOUR, ONE)
    judged_at(engine, TWO, NOW - 1 * HOUR)
    assert [clean(engine, moment).visitors for moment in (NOW, NOW - back, NOW)] == [0, 0, 0]
    assert owners(engine) == {ONE, TWO}


def test_a_clock_that_is_ahead_at_a_start_deletes_nothing_and_one_that_stays_there_is_believed(engine, monkeypatch):
    """A machine that slept for so long looks the same: its visitors expire a while later."""
    add_pages(engine, NOW - 1 * HOUR, ONE)
    judged_at(engine, TWO, NOW - 1 * HOUR)
    damaged = damaged_at(engine, ONE, NOW - 1 * HOUR)
    clean(engine)
    clock, ahead = Clock(), NOW + 26 * HOUR
    started = Cleanup(engine, clock=clock)
    with_quotas(monkeypatch, engine, total_bytes=1)
    assert started.run_once(ahead) == CleanupResult()
    clock.at += CLOCK_HOLD_SECONDS - 1
    assert started.run_once(ahead + clock.at) == CleanupResult()
    assert started.run_once(NOW + clock.at) == CleanupResult()  # it was put right
    assert started.run_once(ahead + clock.at) == CleanupResult()  # and is ahead again
    clock.at += CLOCK_HOLD_SECONDS - 1
    assert started.run_once(ahead + clock.at - 30) == CleanupResult()  # corrected by half a minute: no step
    assert (owners(engine), damaged.exists()) == ({ONE, TWO}, True)
    clock.at += 1
    assert started.run_once(ahead + clock.at).visitors == 2
    assert not damaged.exists()


def test_if_all_together_are_over_their_quota_those_unchanged_for_longest_are_deleted(engine, monkeypatch):
    for scope, hours in ((ONE, 3), (TWO, 2), (THREE, 1)):
        add_pages(engine, NOW - hours * HOUR, scope)
    judged_at(engine, TWO, NOW - 4 * HOUR, "x" * 50_000)
    sizes = {one.scope: one.bytes for one in engine.library.visitors()}
    with_quotas(monkeypatch, engine, total_bytes=sum(sizes.values()))
    assert clean(engine).visitors == 0
    with_quotas(monkeypatch, engine, total_bytes=sum(sizes.values()) - 1)
    assert clean(engine) == CleanupResult(visitors=1, bytes=sizes[ONE], compacted=True)
    assert owners(engine) == {TWO, THREE}
    with_quotas(monkeypatch, engine, total_bytes=1)
    assert clean(engine, NOW - 1).visitors == 1
    assert owners(engine) == {THREE}, "a second less than an hour"
    assert clean(engine).visitors == 1
    assert owners(engine) == set()


def test_what_expires_makes_room_so_that_nobody_else_is_deleted(engine, monkeypatch):
    for scope, hours in ((ONE, 25), (TWO, 2)):
        add_pages(engine, NOW - hours * HOUR, scope)
    with_quotas(monkeypatch, engine, total_bytes=max(one.bytes for one in engine.library.visitors()))
    assert clean(engine).visitors == 1
    assert owners(engine) == {TWO}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 99), st.floats(0, 9)), max_size=20))
def test_group_by_visitor_adds_up_what_is_stored_of_each(kept):
    rows = [(visitor(number) if number else LOCAL, size, moment) for number, size, moment in kept]
    found = group_by_visitor(rows)
    assert {one.scope for one in found} == {scope for scope, _, _ in rows} - {LOCAL}
    for one in found:
        assert one.bytes == sum(size for scope, size, _ in rows if scope == one.scope)
        assert one.changed == max(moment for scope, _, moment in rows if scope == one.scope)
    assert [one.changed for one in found] == sorted(one.changed for one in found)


def test_the_bytes_of_the_index_are_freed_too(engine, folder):
    clean(engine)
    before = bytes_under(folder / "index")
    add_pages(engine, NOW - 25 * HOUR, ONE, pages=8)
    done = clean(engine)
    assert (done.visitors, done.compacted) == (1, True)
    assert bytes_under(folder / "index") <= before + 16 * 2**10
    assert clean(engine) == CleanupResult()


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
    cleanup = Cleanup(engine, interval=1e9, clock=clock, clock_hold=0)
    for _ in range(2):
        add_pages(engine, NOW - 25 * HOUR, ONE)
        done = cleanup.run_once(NOW)
        assert done.visitors == 1
        clock.at += 7
    assert not done.compacted
    assert cleanup.pause == 60 - 14
    clock.at += cleanup.pause
    assert cleanup.run_once(NOW).compacted
    clock.at += 60
    assert not cleanup.run_once(NOW).compacted
    assert cleanup.pause == 1e9


def test_damaged_files_of_visitors_are_deleted_and_those_of_the_owner_stay(engine):
    kept = [damaged_at(engine, scope, NOW - hours * HOUR) for scope, hours in ((ONE, 25), (TWO, 1), (LOCAL, 999))]
    assert clean(engine).damaged == 1
    assert [path.exists() for path in kept] == [False, True, True]
    assert not kept[0].parent.parent.exists()


def test_old_uploads_are_deleted_and_the_page_learns_of_each_deleted_visitor(engine, tmp_path, monkeypatch):
    add_pages(engine, NOW - 25 * HOUR, ONE)
    deleted, now = [], time.time
    engine.set_expiry_listener(deleted.append)
    (tmp_path / "never-submitted.pdf").write_bytes(b"private")
    cleanup = Cleanup(engine, tmp_path, clock_hold=0)
    assert (cleanup.run_once(NOW).uploads, deleted) == (0, [ONE])
    monkeypatch.setattr("smart_demo.server.upload_limits.time.time", lambda: now() + MAX_UNCLAIMED_SECONDS + 60)
    assert cleanup.run_once(NOW).uploads == 7
    assert list(tmp_path.iterdir()) == []


def test_a_library_that_is_being_added_to_stays(engine, folder):
    add_pages(engine, NOW - 25 * HOUR, ONE)
    steps = engine.add(ONE, [(write_pdf(folder / "more.pdf", *"abcdefghij"), "more.pdf")])
    next(steps)
    assert clean(engine).visitors == 0
    assert State.DONE in [step.state for step in steps]
    assert len(names(engine, ONE)) == 2


def test_a_change_after_the_cleanup_looked_is_not_deleted(engine):
    add_pages(engine, NOW - 25 * HOUR, ONE)
    (seen,) = engine.library.visitors()
    add_pages(engine, NOW, ONE, pages=2)
    assert engine.expire(seen) is None
    assert len(names(engine, ONE)) == 2
    assert engine.expire(Visitor(visitor(77), 0, 0.0)) is None


def test_a_visitor_who_cannot_be_deleted_does_not_keep_the_others_and_no_name_is_logged(
    engine, tmp_path, monkeypatch, caplog
):
    for scope in (ONE, TWO, THREE):
        add_pages(engine, NOW - 25 * HOUR, scope)
    delete = PageFiles.delete

    def refuse(files, pages):
        pages = list(pages)
        if pages[0].scope == ONE:
            raise PermissionError(13, f"Permission denied: {pages[0].document}")
        delete(files, pages)

    def fail(*_):
        raise RuntimeError("the deletion failed on secret.pdf")

    monkeypatch.setattr(PageFiles, "delete", refuse)
    monkeypatch.setattr("smart_demo.server.cleanup.UPLOAD_TRACKER.delete_unclaimed", fail)
    caplog.set_level("DEBUG", "smart_demo.server.cleanup")
    done = Cleanup(engine, tmp_path, clock_hold=0).run_once(NOW)
    assert (done.visitors, done.failures) == (2, 2)
    assert owners(engine) == {ONE}
    assert "PermissionError" in caplog.text
    assert not any(word in caplog.text for word in ("secret", ".pdf", str(ONE), str(TWO)))
    monkeypatch.undo()
    assert clean(engine).visitors == 1  # the next round tries again


def test_it_runs_at_the_start_and_whenever_it_is_woken_and_ends_when_it_is_stopped(engine, tmp_path, monkeypatch):
    rounds, seen = [], threading.Semaphore(0)
    monkeypatch.setattr(
        "smart_demo.server.cleanup.UPLOAD_TRACKER.delete_unclaimed", lambda _: rounds.append(1) or seen.release() or 0
    )
    cleanup = Cleanup(engine, tmp_path)
    cleanup.start()
    assert seen.acquire(timeout=30)
    cleanup.wake()
    assert seen.acquire(timeout=30)
    cleanup.stop()
    assert not any(thread.name == "cleanup" for thread in threading.enumerate())
    assert cleanup.run_once(NOW) == CleanupResult()  # stopped is stopped
    assert len(rounds) == 2


def test_a_closed_library_is_no_error_that_ends_the_process(tmp_path):
    with an_engine(tmp_path) as engine:
        judge(engine, ONE)
    assert clean(engine, time.time() + 25 * HOUR).failures > 0


def test_a_scope_that_only_looks_like_a_visitors_is_none():
    assert group_by_visitor([(Scope("visitors"), 1, 0.0), (Scope("a-visitor-1"), 1, 0.0)]) == ()
