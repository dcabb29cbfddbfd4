"""The journal: stored before it is confirmed, complete or a prefix after any crash, equal wherever it is imported."""

import errno
import json
import os
import stat
import threading
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo.errors import InputRefused, LibraryError, StorageFull
from smart_demo.judging import journal
from smart_demo.judging.journal import MAX_JOURNAL_BYTES, Journal, format_line, format_lines
from smart_demo.judging.records import replay
from smart_demo.judging.trials import RankedPage, RecordedEncoder
from smart_demo.types import Scope
from tests.broken_disk import dies_after
from tests.judging.cases import NOON, TRIALS, Script, act, open_journal, page, steps, trial_of

TIDE, BOLT, CODE = TRIALS


def file_of(folder):
    return folder / "judgements" / "local.jsonl"


def standing(judged):
    """What counts, without the history."""
    return judged.votes, {key: dict(grades) for key, grades in judged.grades.items() if grades}, judged.skipped


@pytest.fixture
def small(tmp_path):
    """A journal of a header and five events, and its file."""
    one = open_journal(tmp_path)
    one.vote(TIDE, "a", ["table", "figure"], "note")
    one.grade(TIDE, page(1), 3)
    one.skip(BOLT.query)
    one.undo()
    one.vote(BOLT, "tie")
    return one


def test_judgements_survive_a_restart_and_the_sides_with_them(small, tmp_path):
    again = open_journal(tmp_path)
    assert again.judgements == small.judgements
    assert again.session == small.session
    assert again.unreadable_lines == ()
    assert [type(event).__name__ for event in again.judgements.events] == [
        "SessionHeader",
        "Vote",
        "Grade",
        "Skip",
        "Undo",
        "Vote",
    ]
    assert again.judgements.events[1].reasons == ("figure", "table")
    assert not again.judgements.skipped  # it was taken back


def test_looking_writes_nothing_and_each_owner_has_a_file(tmp_path):
    one = open_journal(tmp_path)
    assert one.judgements.events == ()
    assert list(tmp_path.iterdir()) == []
    other = Journal(tmp_path, Scope("f00d" * 8))
    other.vote(TIDE, "a")
    assert open_journal(tmp_path).judgements.events == ()
    assert one.session != other.session


def test_the_file_is_private(small, tmp_path):
    assert stat.S_IMODE(file_of(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(file_of(tmp_path).parent.stat().st_mode) == 0o700


def test_killed_at_any_byte_it_reopens_to_a_prefix(tmp_path):
    one, cut = open_journal(tmp_path), tmp_path / "cut"
    one.vote(TIDE, "a")
    one.undo()
    data, events = file_of(tmp_path).read_bytes(), one.judgements.events
    ends = [n + 1 for n, byte in enumerate(data) if byte == ord("\n")]
    file_of(cut).parent.mkdir(parents=True)
    for n in range(len(data) + 1):
        file_of(cut).write_bytes(data[:n])
        reopened = open_journal(cut)
        assert reopened.judgements.events == events[: sum(end <= n for end in ends)]
        assert reopened.unreadable_lines == ()


def test_what_is_written_after_a_torn_line_stands(small, tmp_path):
    data, events = file_of(tmp_path).read_bytes(), small.judgements.events
    ends = [n + 1 for n, byte in enumerate(data) if byte == ord("\n")]
    cut = tmp_path / "cut"
    file_of(cut).parent.mkdir(parents=True)
    for end in ends:
        for n in {end - 1, end, min(end + 1, len(data)), min(end + 400, len(data))}:
            kept = sum(other <= n for other in ends)
            file_of(cut).write_bytes(data[:n])
            vote = open_journal(cut).vote(CODE, "b")
            reopened = open_journal(cut)
            assert reopened.unreadable_lines == ()
            assert reopened.judgements.votes[CODE.conditions, CODE.query.key] == vote
            assert {*events[:kept], vote} <= {*reopened.judgements.events}


@settings(deadline=None, max_examples=15)
@given(script=steps, data=st.data())
def test_any_truncated_journal_is_a_prefix_and_can_be_continued(script, data):
    with TemporaryDirectory() as name:
        one = open_journal(Path(name))
        for step in script:
            act(one, step)
        assert open_journal(Path(name)).judgements == one.judgements
        events = one.judgements.events
        if not events:
            return
        whole = file_of(Path(name)).read_bytes()
        file_of(Path(name)).write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
        cut = open_journal(Path(name))
        prefix = cut.judgements.events
        assert prefix == events[: len(prefix)]
        last = cut.vote(CODE, "a")
        assert open_journal(Path(name)).judgements.events[-1] == last


def test_no_confirmed_event_is_lost_when_the_process_is_killed(tmp_path):
    """A child votes and tells of each vote when it is kept; it is killed after each call that touches the disk."""
    write = os.write
    for step in range(1, 99):
        folder, (told, tell) = tmp_path / str(step), os.pipe()

        def vote_three_times(folder=folder, tell=tell):
            one = open_journal(folder)
            for choice in ("a", "tie", "bad"):
                write(tell, one.vote(TIDE, choice).id.encode())

        died = dies_after(step, vote_three_times, torn_writes=True)
        os.close(tell)
        with os.fdopen(told, "rb") as stream:
            ids = stream.read().decode()
        acknowledged = [ids[n : n + 32] for n in range(0, len(ids), 32)]
        reopened = open_journal(folder)
        kept = [event.id for event in reopened.judgements.events[1:]]
        assert kept[: len(acknowledged)] == acknowledged
        assert len(kept) <= len(acknowledged) + 1
        assert reopened.vote(BOLT, "a").id == open_journal(folder).judgements.events[-1].id
        if not died:
            assert len(acknowledged) == 3
            break
    assert step > 8


@pytest.mark.parametrize("call", ["open", "write", "fsync"])
@pytest.mark.parametrize("refusal", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_keeps_what_was_there_and_takes_the_next(small, tmp_path, monkeypatch, call, refusal):
    before, data = small.judgements, file_of(tmp_path).read_bytes()
    real = getattr(os, call)

    def refusing(file, *given, **named):
        if call == "write":
            real(file, bytes(given[0])[:100])
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(os, call, refusing)
    with pytest.raises(StorageFull if refusal == errno.ENOSPC else LibraryError, match="Could not keep the judgement"):
        small.vote(CODE, "a")
    monkeypatch.setattr(os, call, real)
    assert small.judgements == before
    assert file_of(tmp_path).read_bytes() == data
    vote = small.vote(CODE, "a")
    assert open_journal(tmp_path).judgements == replay([*before.events, vote])


def test_lines_without_an_event_stay_in_the_file_and_are_counted(small, tmp_path):
    path = file_of(tmp_path)
    lines = path.read_bytes().split(b"\n")
    lines[1:1] = [b"<script>alert(1)</script>", b"\xff\x00", b"", format_line(small.judgements.events[2]).encode()]
    path.write_bytes(b"\n".join(lines))
    found = open_journal(tmp_path)
    assert found.unreadable_lines == (b"<script>alert(1)</script>", b"\xff\x00")
    assert found.judgements == small.judgements
    found.vote(CODE, "b")
    assert b"<script>alert(1)</script>" in path.read_bytes()
    assert found.export_lines() == format_lines(found.judgements.events) + b"<script>alert(1)</script>\n\xff\x00\n"
    assert open_journal(tmp_path).unreadable_lines == found.unreadable_lines


def test_links_and_other_things_in_the_place_of_the_file_are_refused(small, tmp_path):
    secret = tmp_path / "secret"
    file_of(tmp_path).rename(secret)
    file_of(tmp_path).symlink_to(secret)
    with pytest.raises(LibraryError, match="is a link"):
        open_journal(tmp_path)
    with pytest.raises(LibraryError):
        small.vote(CODE, "a")
    file_of(tmp_path).unlink()
    os.mkfifo(file_of(tmp_path))
    with pytest.raises(LibraryError):
        open_journal(tmp_path)
    with pytest.raises(LibraryError):
        small.vote(CODE, "a")


def test_a_file_that_another_process_appended_to_or_deleted_is_read_again(small, tmp_path):
    other = open_journal(tmp_path)
    vote, grade = other.vote(CODE, "b"), small.grade(CODE, page(1), 2)
    assert {vote, grade} <= {*small.judgements.events}
    assert open_journal(tmp_path).judgements == small.judgements
    file_of(tmp_path).unlink()
    fresh = small.vote(CODE, "tie")
    assert [event for event in small.judgements.events if event in (vote, grade, fresh)] == [fresh]
    assert open_journal(tmp_path).judgements == small.judgements


def test_many_threads_lose_nothing(tmp_path):
    one, kept = open_journal(tmp_path), []

    def work(text):
        for grade in range(4):
            kept.append(one.grade(trial_of(text), page(1), grade))

    threads = [threading.Thread(target=work, args=(f"query {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = open_journal(tmp_path)
    assert len(kept) == 16
    assert {*kept} <= {*again.judgements.events}
    assert len(again.judgements.sessions) == 1


def test_what_is_said_last_counts_even_if_the_clock_was_set_back(tmp_path):
    now = [NOON]
    one = open_journal(tmp_path, now=lambda: now[0])
    one.vote(TIDE, "a")
    now[0] = NOON - timedelta(days=400)
    last = one.vote(TIDE, "b")
    assert one.judgements.votes[TIDE.conditions, TIDE.query.key] == last
    assert open_journal(tmp_path).judgements.events[-1] == last


def test_a_full_journal_says_so_and_keeps_what_it_has(small, tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "MAX_EVENTS", 7)
    small.grade(TIDE, page(2), 1)
    before = file_of(tmp_path).read_bytes()
    with pytest.raises(LibraryError, match="is full: it keeps 7") as caught:
        small.vote(CODE, "a")
    assert "Export it" in caught.value.hint
    monkeypatch.setattr(journal, "MAX_EVENTS", 99)
    monkeypatch.setattr(journal, "MAX_JOURNAL_BYTES", len(before) + 10)
    with pytest.raises(LibraryError, match="is full"):
        small.undo()
    assert file_of(tmp_path).read_bytes() == before
    assert MAX_JOURNAL_BYTES < 2**26


@pytest.mark.parametrize(
    ("choice", "reasons", "note", "said"),
    [
        ("smart", [], "", '"choice" must be one of: a, b, tie, bad'),
        (None, [], "", '"choice" must be one of'),
        ("a", "table", "", '"reasons" must be a list'),
        ("a", ["x"], "", "A reason must be one of"),
        ("a", [{}], "", 'an entry of "reasons" must be'),
        ("a", [], "x" * 1_001, '"note" must be a text of at most 1,000 characters'),
    ],
)
def test_votes_that_are_none_are_refused_and_nothing_is_written(tmp_path, choice, reasons, note, said):
    one = open_journal(tmp_path)
    session = one.session
    with pytest.raises(InputRefused, match=said):
        one.vote(TIDE, choice, reasons, note)
    assert open_journal(tmp_path).judgements.events == (session,)


@pytest.mark.parametrize(("number", "grade"), [(1, 4), (1, -1), (1, True), (1, "2"), (1, None), (99, 2)])
def test_grades_that_are_none_are_refused(tmp_path, number, grade):
    with pytest.raises(InputRefused, match=r"a whole number from 0 to 3|in none of the rankings"):
        open_journal(tmp_path).grade(TIDE, page(number), grade)


# -- undo


@settings(deadline=None, max_examples=15)
@given(script=steps, step=steps.filter(lambda some: some and some[0][0] != "undo"))
def test_undo_is_the_inverse_of_whatever_came_last(script, step):
    with TemporaryDirectory() as name:
        one = open_journal(Path(name))
        for earlier in script:
            act(one, earlier)
        before = standing(one.judgements)
        act(one, step[0])
        done = one.judgements.events[-1]
        assert one.undo() == done
        assert standing(one.judgements) == before


def test_undo_goes_back_step_by_step_to_the_beginning_and_no_further(small):
    kinds = [type(small.undo()).__name__ for _ in range(3)]
    assert kinds == ["Vote", "Grade", "Vote"]
    assert standing(small.judgements) == ({}, {}, frozenset())
    with pytest.raises(InputRefused, match="nothing to undo"):
        small.undo()
    again = small.vote(TIDE, "b")
    assert small.judgements.votes == {(TIDE.conditions, TIDE.query.key): again}


def test_a_skipped_query_is_skipped_until_it_is_voted_on(tmp_path):
    one = open_journal(tmp_path)
    one.skip(TIDE.query)
    one.skip(BOLT.query)
    one.vote(TIDE, "tie")
    assert one.judgements.skipped == {BOLT.query.key}
    one.skip(TIDE.query)  # going on from a query that has its vote takes nothing back
    assert one.judgements.skipped == {BOLT.query.key}
    one.undo()
    one.undo()
    assert one.judgements.skipped == {BOLT.query.key, TIDE.query.key}


def test_a_vote_cast_again_after_its_sides_were_shown_is_known_as_such(small):
    assert not small.judgements.seen_before
    small.undo()
    again, other = small.vote(BOLT, "a"), small.vote(CODE, "a")
    assert small.judgements.seen_before == {again.id}
    assert other.id not in small.judgements.seen_before


def test_undo_takes_back_nothing_of_an_imported_session(small, tmp_path):
    other = open_journal(tmp_path / "other")
    other.import_lines(small.export_lines())
    with pytest.raises(InputRefused, match="nothing to undo"):
        other.undo()


# -- out and in


def test_an_import_continues_the_evaluation_and_twice_is_once(small, tmp_path):
    other = open_journal(tmp_path / "other")
    taken = other.import_lines(b"\xef\xbb\xbf" + small.export_lines())
    assert (taken.added, taken.known, taken.refused) == (6, 0, 0)
    first = other.judgements
    assert standing(first) == standing(small.judgements)
    assert other.session not in small.judgements.events
    size = file_of(tmp_path / "other").stat().st_size
    taken = other.import_lines(small.export_lines())
    assert (taken.added, taken.known) == (0, 6)
    assert other.judgements == first
    assert file_of(tmp_path / "other").stat().st_size == size
    assert open_journal(tmp_path / "other").judgements == first
    more = other.vote(CODE, "a")
    assert small.import_lines(other.export_lines()).added == 2  # the other's header and its vote
    assert more in small.judgements.events


@settings(deadline=None, max_examples=15)
@given(left=steps, right=steps, order=st.randoms(use_true_random=False))
def test_merging_commutes_whatever_order_the_events_are_in(left, right, order):
    with TemporaryDirectory() as name:
        journals = [open_journal(Path(name) / side, now=lambda: NOON) for side in ("left", "right")]
        for one, script in zip(journals, (left, right), strict=True):
            for step in script:
                act(one, step)
        exports = [one.export_lines() for one in journals]
        journals[0].import_lines(exports[1])
        journals[1].import_lines(exports[0])
        events = [*journals[0].judgements.events]
        # An import into an empty journal begins a session of its own; that is all there may be between them.
        begun = {event.id for one in journals for event in one.judgements.sessions}
        assert {event for event in events if event.id not in begun} == {
            event for event in journals[1].judgements.events if event.id not in begun
        }
        assert standing(journals[0].judgements) == standing(journals[1].judgements)
        order.shuffle(events)
        assert replay(events) == journals[0].judgements
        assert replay([*events, *events]) == journals[0].judgements


def test_an_undo_may_come_before_what_it_takes_back():
    script = Script()
    vote = script.vote(TIDE, "smart")
    undo = script.undo(vote)
    assert standing(replay([undo])) == standing(replay([]))
    assert standing(replay([undo, vote])) == standing(replay([vote, undo])) == standing(replay([]))


def test_hostile_lines_are_refused_by_number_and_the_rest_is_taken(small, tmp_path):
    good = small.export_lines().split(b"\n")
    bad = [b"[]", b'{"v": 1, "event": "vote"}', b"\xff\xfe", b"=cmd|calc"]
    taken = open_journal(tmp_path / "other").import_lines(b"\n".join([good[0], *bad, *good[1:]]))
    assert (taken.added, taken.refused) == (6, 4)
    assert [told.split(":")[0] for told in taken.reasons] == ["Line 2", "Line 3", "Line 4", "Line 5"]
    assert all(told.isprintable() and "cmd" not in told for told in taken.reasons)
    many = open_journal(tmp_path / "many").import_lines(b'{"v": 1, "event": 0}\n' * 500)
    assert (many.added, many.refused, len(many.reasons)) == (0, 500, journal.MAX_REFUSALS_SHOWN)


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7\n" + bytes(range(256)) * 99,
        b'{\n "type": "FeatureCollection",\n "v": 1\n}',
        b'{"event": "login"}\n' * 30,
        b"torque of the bolts\n\nsoup on wednesday\n",
    ],
    ids=["PDF", "JSON", "a log", "text"],
)
def test_a_file_that_is_no_evaluation_is_refused_in_one_sentence(tmp_path, data):
    with pytest.raises(InputRefused, match=r"^That is no evaluation: not one of its lines is an event") as caught:
        open_journal(tmp_path).import_lines(data)
    assert caught.value.hint == "Choose a file that this program exported."
    assert list(tmp_path.iterdir()) == []


def test_events_from_the_future_are_refused_so_that_later_votes_count(tmp_path):
    script = Script()
    script.vote(TIDE, "smart")
    early = open_journal(tmp_path, now=lambda: NOON - timedelta(days=3))
    taken = early.import_lines(format_lines(script.events))
    assert (taken.added, taken.reasons) == (
        0,
        ("Line 1: it is dated in the future. Check the clock of the machine it comes from.",),
    )
    assert open_journal(tmp_path / "b", now=lambda: NOON).import_lines(format_lines(script.events)).added == 1


def test_an_event_here_is_not_replaced_by_another_with_its_id(small):
    vote = small.judgements.events[-1]
    forged = format_line(vote).replace('"choice":"tie"', '"choice":"a"').encode()
    assert (small.import_lines(forged).added, small.import_lines(forged).known) == (0, 1)
    assert small.judgements.events[-1] == vote


def test_too_much_at_once_is_refused_whole(small, tmp_path, monkeypatch):
    other = open_journal(tmp_path / "other")
    monkeypatch.setattr(journal, "MAX_EVENTS", 5)
    with pytest.raises(LibraryError, match="is full"):
        other.import_lines(small.export_lines())
    monkeypatch.setattr(journal, "MAX_JOURNAL_BYTES", 100)
    with pytest.raises(InputRefused, match="larger than"):
        other.import_lines(small.export_lines())
    assert other.judgements.events == ()


def test_a_deleted_evaluation_is_gone_from_the_disk(small, tmp_path):
    seed = small.session.seed
    small.delete()
    assert not file_of(tmp_path).exists()
    assert small.judgements.events == ()
    assert small.session.seed != seed


def test_an_import_whose_line_is_too_long_once_escaped_is_refused_whole(tmp_path):
    name = "\U0001f4c4"
    rows = tuple(RankedPage(page(n), name * 255, 1.0) for n in range(1, 51))
    longest = {
        "rankings": (rows, rows, rows),
        "versions": tuple((name * 38 + f"{n:02}", name * 100) for n in range(20)),
        "encoder": RecordedEncoder(name * 255, name * 255, name * 255, "0e" * 8),
    }
    script = Script()
    script.vote(trial_of(name * 2_000, k=50, **longest), "tie")
    line = json.dumps(json.loads(format_lines(script.events)), ensure_ascii=False).encode()
    one = open_journal(tmp_path)
    with pytest.raises(InputRefused, match="cannot be kept: the line is longer than 524 kB"):
        one.import_lines(line)
    assert one.judgements.events == ()
