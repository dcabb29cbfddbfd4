"""Blind votes as any client may send them: invalid arguments, other owners, a full disk."""

import json
import os
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_demo.config import Quotas
from smart_demo.judging import journal, judging_store
from smart_demo.judging.journal import FOLDER
from smart_demo.judging.judging_store import JudgingProgress, QueryStatus
from smart_demo.judging.query_list import ListedQuery
from smart_demo.judging.records import SessionHeader, Skip
from smart_demo.methods import SMART, Weights
from smart_demo.search.request import parse_request
from smart_demo.server.cleanup import Cleanup
from smart_demo.server.visitors import visitor_scope
from smart_demo.store.page_files import PageFiles
from smart_demo.types import LOCAL
from smart_demo.ui.judge_sheets import JudgeSheets
from smart_demo.ui.voting import Voting
from tests.documents import write_pdf
from tests.server.cases import visitor
from tests.ui.cases import NONSENSE
from tests.ui.voting_cases import MINE, Judge, make_judging_store, make_voting, pages

YOURS = "7e" * 16


@pytest.fixture
def kept(start_judging):
    """The folder of the judgements."""
    return start_judging().engine.settings.data_dir / FOLDER


# -- votes


def test_a_vote_is_stored_then_revealed_and_can_be_undone(judge):
    judge.start()
    judge.look(act="ask", query="harbour tide")
    blind = judge.panel
    answer = judge.vote("b", reasons=["table", "other"], note="  small <b> print ")
    (vote,) = judge.journal.judgements.votes.values()
    assert (vote.choice, vote.reasons, vote.note) == ("b", ("table", "other"), "  small <b> print ")
    assert [str(row.page) for row in vote.trial.ranking(vote.trial.sides.a)[:5]] == [
        page.partition("/")[2] for page in pages(blind, "a")
    ]
    won = {"smart": "SMART", "pooled": "Pooled only"}[vote.winner]
    assert answer["said"].startswith(f"Saved. You preferred B: {won}.")
    assert f"You preferred B: {won}." in answer["sheet"]
    assert "small &lt;b&gt; print" in answer["sheet"]
    assert "1 of " in answer["sheet"]
    assert won in judge.look(), "a reload shows the same"
    back = judge.undo()
    assert back["said"] == "Undone: the vote on “harbour tide”."
    assert judge.journal.judgements.votes == {}
    again = judge.look(act="go", at=back["go"])
    assert "marked as not blind" in again
    assert "data-choice" in again
    judge.vote("tie")
    assert len(judge.journal.judgements.seen_before) == 1


def test_skipped_queries_come_again_at_the_end(judge):
    judge.start()
    first = judge.skip()
    assert first["go"] == 1
    assert "1 skipped" in judge.look(act="go", at=1)
    assert "Judge the 6 not seen yet" in judge.look(act="go", at=len(judge.worklist.queries))
    for at in range(1, len(judge.worklist.queries)):
        judge.look(act="go", at=at)
        judge.vote("tie")
    end = judge.look(act="go", at=len(judge.worklist.queries))
    assert "Go through the 1 skipped" in end
    judge.look(act="go", at=0)
    judge.skip()
    assert sum(type(event).__name__ == "Skip" for event in judge.journal.judgements.events) == 1
    judge.vote("bad")
    assert "All judged" in judge.look(act="go", at=len(judge.worklist.queries))


def test_a_failed_write_is_reported_and_the_vote_stays_open(judge, kept):
    judge.start()
    file = kept / "local.jsonl"
    before = file.read_bytes()
    file.unlink()
    file.mkdir()
    answer = judge.vote()
    assert answer["sentence"].startswith("Could not ")
    assert judge.journal.judgements.votes == {}
    file.rmdir()
    file.write_bytes(before)
    assert "sheet" in judge.vote()


def test_a_vote_records_the_shown_pages_even_if_they_were_deleted(start_judging, tmp_path):
    judge = Judge(start_judging())
    engine = judge.handlers.engine
    list(engine.add(LOCAL, [(write_pdf(tmp_path / "mine.pdf", "harbour tide", "harbour"), "mine.pdf")]))
    judge.look(act="scope", scope="My documents")
    judge.start()
    judge.look(act="ask", query="harbour")
    seen = pages(judge.panel, "a")
    (mine,) = engine.documents(LOCAL)
    engine.delete_document(LOCAL, mine.file)
    assert "sheet" in judge.vote()
    (vote,) = judge.journal.judgements.votes.values()
    assert [f"local/{row.page}" for row in vote.trial.ranking(vote.trial.sides.a)] == seen
    assert "There are no pages to judge here" in judge.look()


def test_weights_of_compare_change_nothing_until_they_are_applied(judge):
    other = (7, 0.5, 2.0, "sum", "all")
    judge.start()
    judge.vote("tie")
    assert judge.journal.judgements.last_step(judge.journal.session.id).trial.weights == SMART.weights
    shown = judge.look(dials=other)
    assert "other settings (7 pages, 0.50 × pooled + 2.00 × late (sum))" in shown
    assert "1 of " in shown
    judge.look(act="go", at=1, dials=other)
    judge.vote("tie")
    assert judge.journal.judgements.last_step(judge.journal.session.id).trial.weights == SMART.weights
    taken = judge.look(act="take", dials=other)
    assert "7 pages a column · SMART = 0.50 × pooled + 2.00 × late (sum)" in taken
    assert "0 of " in taken, "another round"
    judge.vote("tie")
    last = judge.journal.judgements.last_step(judge.journal.session.id).trial
    assert (last.k, last.weights) == (7, Weights(0.5, 2.0, "sum"))
    assert "2 of " in judge.look(act="take"), "and back to the first"


def test_starting_uses_the_settings_of_compare(judge):
    other = (3, 0.0, 1.0, "mean", "content")
    assert "3 pages a column" in judge.look(dials=other)
    assert not judge.journal.judgements.events
    judge.look(act="start", dials=other)
    assert (judge.worklist.search.top, judge.worklist.search.weights.pooled) == (3, 0.0)


# -- arguments and owners


def test_invalid_arguments_get_a_sentence_and_store_nothing(judge):
    judge.start()
    before = judge.journal.judgements.events
    for value in NONSENSE:
        vote_and_look(judge, value)
    assert judge.journal.judgements.events == before


def vote_and_look(judge, value):
    for said in (judge.voting.vote, judge.voting.grade):
        assert set(said(value)) <= {"sentence", "look"}
        for act in ("vote", "grade", "skip", "ranks", value):
            given = {"act": act, "ticket": value, "choice": value, "page": value, "grade": value}
            assert set(said(given)) <= {"sentence", "look"}
    valid = {"act": "vote", "ticket": judge.ticket, "choice": "a"}
    spoiled = [
        {"choice": value},
        {"reasons": value or 7},
        {"note": value if not isinstance(value, str) or value else 7},
    ]
    for part in spoiled:
        assert set(judge.voting.vote(valid | part)) == {"sentence"}
    looks = [value, {"act": value}, {"act": "go", "at": value if not isinstance(value, bool) else "1"}]
    looks += [{"act": "scope", "scope": value}, {"act": "ask", "query": value if not isinstance(value, str) else ""}]
    for wanted in looks:
        for panel in (judge.voting.vote_panel, judge.voting.grade_panel):
            assert panel(wanted, value, value, value, value, value).startswith('<div class="judge-panel"')


def test_hostile_queries_and_names_are_text(judge):
    judge.start()
    for query in [
        '"><img src=x onerror=alert(1)>',
        "${alert(1)} harbour",
        "`tide`",
        "\u202egpj.exe tide",
        "{{x}} lamp",
    ]:
        shown = judge.look(act="ask", query=query)
        assert "<img src=x" not in shown
        assert "\u202e" not in shown
        told = judge.vote()
        assert "<img src=x" not in told["sheet"]
        assert "\u202e" not in judge.undo()["said"]
    long = judge.look(act="ask", query="x" * 10_000)
    assert "the query has 10,000 characters" in long


def test_a_typed_query_is_inserted_once_after_the_open_one(judge):
    judge.start()
    judge.look(act="go", at=2)
    judge.look(act="ask", query="  harbour \n lamp ")
    assert [one.query for one in judge.worklist.queries].index("harbour lamp") == 3
    judge.look(act="go", at=0)
    judge.look(act="ask", query="harbour lamp")
    assert judge.worklist.position == 3
    judge.judging.set_queries(LOCAL, [ListedQuery(f"q{n}") for n in range(500)])
    assert "The list is full" in judge.look(act="ask", query="one more")


def test_a_private_page_has_one_judge_for_all_browsers(judge):
    judge.start()
    for name in (None, YOURS, "../../x", 7):
        assert Judge(judge.handlers, name).owner == LOCAL


def test_owners_on_a_public_page_are_validated_and_separate(start_judging, kept):
    public = start_judging(public=True, uploads=False)
    mine = Judge(public)
    voting = mine.voting
    yours = Judge(public, YOURS, voting)
    for name in [*NONSENSE, "../" + "a" * 29, "A" * 32, "5a" * 15, f"{MINE}\n", "local", "visitor-x"]:
        stranger = Judge(public, name, voting)
        assert "Reload the page" in stranger.start(), name
        assert "Reload the page" in stranger.undo()["sentence"]
        assert "Reload the page" in stranger.start(owner=MINE), "a request names no owner"
    mine.start()
    yours.start()
    answer = yours.send_vote({"act": "vote", "ticket": mine.ticket, "choice": "a", "owner": MINE})
    assert answer["look"] is True
    assert "sheet" in mine.vote()
    assert not yours.journal.judgements.votes
    assert yours.undo() == {"sentence": "There is nothing to undo."}
    assert {path.name for path in kept.iterdir()} == {
        f"{visitor_scope(name)}.{kind}" for name in (MINE, YOURS) for kind in ("jsonl", "desk.json")
    }


def test_a_public_page_without_uploads_allows_only_the_samples(start_judging, tmp_path):
    public = Judge(start_judging(public=True, uploads=False))
    list(public.handlers.engine.add(LOCAL, [(write_pdf(tmp_path / "mine.pdf", "harbour"), "mine.pdf")]))
    public.start()
    for scope in ("My documents", "Both"):
        assert "Only the samples can be searched here" in public.look(act="scope", scope=scope)
    public.judging.set_search(public.owner, parse_request("", "My documents"))
    assert "Only the samples can be searched here" in public.look()


def age(handlers, *judges, hours=2):
    """Date the judges' files back by `hours`."""
    for judge in judges:
        for path in (handlers.engine.settings.data_dir / FOLDER).glob(f"{judge.owner}.*"):
            os.utime(path, (time.time() - hours * 3_600,) * 2)


def test_a_public_page_limits_judges_and_evicts_those_idle_for_an_hour(start_judging, monkeypatch):
    monkeypatch.setattr(judging_store, "MAX_VISITORS", 2)
    handlers = start_judging(public=True, uploads=False)
    voting = make_voting(handlers)
    handlers.engine.set_expiry_listener(voting.judging.discard)
    one, two, three = (Judge(handlers, f"{number:032x}", voting) for number in (1, 2, 3))
    one.start()
    one.vote()
    two.start()
    assert "no room for another" in three.start()
    assert "data-ticket" in two.look(), "a list that was just started must stay"
    age(handlers, one)
    assert "data-ticket" in three.start()
    three.vote()
    assert "data-ticket" in two.look()
    assert one.journal.judgements.events == ()
    assert "no room for another" in one.start()


def test_judgements_of_all_visitors_stay_within_the_quota(start_judging):
    quotas = Quotas(total_bytes=200_000)
    handlers = start_judging(public=True, uploads=False, quotas=quotas)
    voting = make_voting(handlers)
    one, two = (Judge(handlers, f"{number:032x}", voting) for number in (1, 2))
    one.start()
    two.start()
    with (handlers.engine.settings.data_dir / FOLDER / f"{visitor(9)}.jsonl").open("wb") as other:
        other.truncate(180_000)
    assert "all visitors together may take 200 kB" in one.vote()["sentence"]
    assert "all visitors together may take 200 kB" in one.skip()["sentence"]
    assert "all visitors together may take 200 kB" in two.look(act="ask", query="harbour master")
    os.utime(other.name, (time.time() - 7_200,) * 2)
    assert one.vote()["said"].startswith("Saved.")
    assert not os.path.exists(other.name)
    assert "data-ticket" in two.look()


def test_an_event_written_while_its_owner_expires_is_stored(start_judging, monkeypatch):
    handlers = start_judging(public=True, uploads=False)
    judging = make_judging_store(handlers)
    judge = Judge(handlers, "7" * 32, Voting(JudgeSheets(judging, handlers)))
    cleanup = Cleanup(handlers.engine, clock_hold=0)
    handlers.engine.set_expiry_listener(judging.discard)
    judge.start()
    judge.vote()
    owner, delete_scope = judge.owner, PageFiles.delete_scope

    def skip_before_deletion(files, scope):
        judging.journal(owner).skip(judge.journal.judgements.events[-1].trial.query)
        return delete_scope(files, scope)

    monkeypatch.setattr(PageFiles, "delete_scope", skip_before_deletion)
    assert cleanup.run_once(time.time() + 25 * 3_600).visitors == 1
    assert {type(event) for event in judging.journal(owner).judgements.events} == {SessionHeader, Skip}
    assert not judging.started(owner)


def test_a_restart_keeps_list_position_and_votes(start_judging):
    judge = Judge(start_judging())
    judge.start()
    judge.vote("a")
    judge.look(act="ask", query="harbour master")
    judge.vote("b", note="later")
    before = re.sub(r'data-(ticket|turn)="[0-9a-f]+"', "", judge.look())
    again = Judge(start_judging())
    assert re.sub(r'data-(ticket|turn)="[0-9a-f]+"', "", again.look()) == before
    assert again.worklist == judge.worklist
    assert again.undo()["said"] == "Undone: the vote on “harbour master”."


def test_an_old_ticket_stores_nothing_and_asks_for_a_new_sheet(start_judging):
    judge = Judge(start_judging())
    judge.start()
    ticket = judge.ticket
    again = Judge(start_judging())
    assert again.send_vote({"act": "vote", "ticket": ticket, "choice": "a"})["look"] is True
    assert not again.journal.judgements.votes


def test_a_loading_model_and_an_empty_library_are_stated(judge):
    judge.look(act="scope", scope="My documents")
    assert "words is still loading" in judge.start()
    assert "data-again" in judge.panel, "the panel retries by itself"
    judge.handlers.engine.backbones.main()
    assert "There are no pages to judge here" in judge.look()


# -- the query list


statuses = st.lists(st.sampled_from(list(QueryStatus)), min_size=1, max_size=12)


@given(statuses, st.integers(0, 11))
def test_next_position_reaches_every_open_query_once(statuses, at):
    at %= len(statuses)
    seen = []
    while at < len(statuses):
        seen.append(at)
        if statuses[at] is QueryStatus.OPEN:
            statuses[at] = QueryStatus.JUDGED
        at = JudgingProgress(tuple(statuses), at).next_position
        assert len(seen) <= 2 * len(statuses)
    assert QueryStatus.OPEN not in statuses


def test_a_damaged_worklist_is_replaced_by_the_default(start_judging, kept):
    judge = Judge(start_judging())
    judge.start()
    judge.look(act="go", at=3)
    file = kept / "local.desk.json"
    whole = json.loads(file.read_text())
    spoiled = [b"", b"[]", b"\xff", b"{}", b'{"v": 1}', json.dumps(whole | {"queries": []}).encode()]
    spoiled += [json.dumps(whole | part).encode() for part in ({"at": -1}, {"at": 1e9}, {"search": 7}, {"v": 2})]
    for data in spoiled:
        file.write_bytes(data)
        fresh = make_judging_store(judge.handlers)
        assert (fresh.worklist(LOCAL).position, fresh.worklist(LOCAL).queries) == (0, fresh.default_queries())
    file.write_bytes(json.dumps(whole).encode())
    assert make_judging_store(judge.handlers).worklist(LOCAL) == judge.worklist


@pytest.mark.parametrize("bad", [7, None, [], {}, {"query": ""}, {"query": "x" * 301}, {"query": "tide", "qid": 1.5}])
def test_a_bad_entry_of_a_stored_worklist_loses_only_itself(start_judging, kept, bad):
    judge = Judge(start_judging())
    judge.start()
    judge.judging.set_queries(LOCAL, [ListedQuery("tide", "q1"), ListedQuery("lamp"), ListedQuery("bolt")], 1, "mine")
    file = kept / "local.desk.json"
    row = json.loads(file.read_text())
    first, *others = row["queries"]
    file.write_text(json.dumps(row | {"queries": [bad, first, first, *others, bad], "at": 3}))
    # The list, the open query and the settings stay.
    assert make_judging_store(judge.handlers).worklist(LOCAL) == judge.worklist


def test_the_longest_list_can_be_read_again(judge):
    judge.start()
    queries = [ListedQuery(f"{'🛟' * 245} {number:03d}", f"q{number}") for number in range(500)]
    judge.judging.set_queries(LOCAL, queries)
    assert make_judging_store(judge.handlers).queries(LOCAL) == tuple(queries)


def test_a_visitors_journal_stays_within_the_public_limit(start_judging, monkeypatch):
    monkeypatch.setattr(journal, "PUBLIC_JOURNAL_BYTES", 20_000)
    public = Judge(start_judging(public=True, uploads=False))
    public.start()
    said = [public.vote() for _ in range(12)]
    assert "is full" in said[-1]["sentence"]
    files = public.handlers.engine.settings.data_dir / FOLDER
    assert sum(path.stat().st_size for path in files.glob("visitor-*.jsonl")) <= 20_000


def test_reading_results_takes_no_visitor_slot(start_judging, monkeypatch):
    monkeypatch.setattr(judging_store, "MAX_VISITORS", 1)
    handlers = start_judging(public=True, uploads=False)
    voting = make_voting(handlers)
    one, stranger = (Judge(handlers, f"{number:032x}", voting) for number in (1, 2))
    one.start()
    assert stranger.journal.judgements.events == ()
    assert "data-ticket" in one.look(), "the list must stay"


def test_a_list_and_all_judgements_can_be_deleted(judge, kept):
    judge.start()
    judge.vote()
    judge.judging.set_queries(LOCAL, [ListedQuery("tide", "q1"), ListedQuery("lamp")], position=1, source="mine.csv")
    assert (judge.worklist.current, judge.worklist.source) == (ListedQuery("lamp"), "mine.csv")
    judge.judging.delete(LOCAL)
    assert list(kept.iterdir()) == []
    assert judge.vote()["look"] is True, "a tab that was left open cannot vote on a deleted list"
    assert list(kept.iterdir()) == []
    assert "Start judging" in judge.look()
