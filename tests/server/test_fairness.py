"""No client takes the page from the others: limits per client and for all, met over sockets as a script would."""

import asyncio
import json
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest

from smart_demo.config import Limits, Settings
from smart_demo.server.gate import GateMiddleware
from smart_demo.server.request_limits import BUSY, CROWDED, ConcurrencyLimiter, RequestRefused
from smart_demo.server.upload_limits import (
    FULL,
    FULL_FOR_CLIENT,
    HEADROOM_BYTES,
    MAX_UNCLAIMED_SECONDS,
    MIN_UNCLAIMED_SECONDS,
    UPLOAD_TRACKER,
    FolderUsage,
    UploadFolderLimits,
    UploadTracker,
    upload_limits,
)
from smart_demo.server.visitors import VISITOR_HEADER, client_id
from tests.documents import write_pdf
from tests.server.cases import Clock, ask_gate, serve_one_page
from tests.server.visitor import API

open_app = partial(serve_one_page, SMART_PUBLIC="on", SMART_MAX_FILES="3")


@pytest.fixture
def held(app, monkeypatch):
    """Holds everything that searches until it is set; which words were begun with."""
    free, begun = threading.Event(), []
    search = app.engine.search

    def wait(query, *given):
        begun.append(query.text)
        assert free.wait(60)
        return search(query, *given)

    monkeypatch.setattr(app.engine, "search", wait)
    free.begun = begun
    yield free
    free.set()


@pytest.fixture
def visitor(new_visitor):
    return new_visitor()


def join(visitor):
    event = visitor.event("go", "click")
    inputs = [visitor.state.get(one) for one in visitor.events[event]["inputs"]]
    inputs[visitor.events[event]["inputs"].index(visitor.component("query"))] = secrets.token_hex(4)
    body = {"data": inputs, "fn_index": event, "session_hash": visitor.session, "trigger_id": None}
    return visitor.http.post(f"{API}/queue/join", json=body)


# -- the queue


def test_one_script_does_not_fill_the_queue(visitor, new_visitor, held):
    other = new_visitor()
    answers = [join(visitor) for _ in range(30)]
    taken = [answer for answer in answers if answer.status_code == 200]
    assert len(taken) == 8
    assert {answer.status_code for answer in answers} == {200, 429}
    assert answers[-1].json() == {"detail": BUSY, "error": BUSY}
    assert join(new_visitor(visitor.secret)).status_code == 429, "another session, the same secret"
    assert join(other).status_code == 200
    held.set()
    for one in (visitor, other):
        with one.http.stream("GET", f"{API}/queue/data", params={"session_hash": one.session}) as stream:
            told = [json.loads(line[5:]) for line in stream.iter_lines() if line.startswith("data:")]
        done = [message for message in told if message["msg"] == "process_completed"]
        assert len(done) == (8 if one is visitor else 1)
    assert join(visitor).status_code == 200


def test_joins_of_the_same_moment_are_counted_too(visitor, held):
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: join(visitor).status_code, range(20)))
    assert 0 < answers.count(200) <= 8
    assert answers.count(200) + answers.count(429) == 20
    calls = [visitor.http.post(f"{API}/call/search", json={"data": ["tide", 1]}).status_code for _ in range(9)]
    assert calls[-1] == 429


# -- functions of the page's scripts


def test_function_calls_over_the_limit_wait_for_a_slot(visitor, new_visitor, held):
    other = new_visitor()

    def ask(who, words):
        return who.ask("hood", "hood", {"text": words, "scope": "Samples", "top": 5})

    def expect(*names):
        while sum(words.split()[0] in names for words in held.begun) < len(names):
            threading.Event().wait(0.01)
        assert sorted(words.split()[0] for words in held.begun if words.startswith(names)) == sorted(names)

    with ThreadPoolExecutor(9) as threads:
        asked = [threads.submit(ask, visitor, f"mine {number}") for number in range(6)]
        expect(*["mine"] * 4)
        asked.append(threads.submit(ask, other, "theirs"))
        expect(*["mine"] * 4, "theirs")
        assert other.http.get("/config").status_code == 200
        held.set()
        assert all("costs" in answer.result() for answer in asked)


def test_a_refused_question_is_answered_in_the_form_that_scripts_show(monkeypatch):
    monkeypatch.setattr("smart_demo.server.request_limits.SLOT_TIMEOUT_SECONDS", 0.0)

    async def run():
        free, running = asyncio.Event(), []

        async def wait(scope, receive, send):
            running.append(scope)
            await free.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})

        gate, tasks = GateMiddleware(wait, Settings()), []

        def ask(**headers):
            return ask_gate(gate, "POST", "/gradio_api/component_server/", json={}, headers=headers)

        async def begin(*headers):
            tasks.extend(asyncio.create_task(ask(**one)) for one in headers)
            while len(running) < len(tasks):
                await asyncio.sleep(0)

        visitors = [{VISITOR_HEADER: secrets.token_hex(16)} for _ in range(9)]
        await begin({}, {}, {}, {})
        refused = await ask()
        await begin(*visitors[:8])
        crowded = await ask(**visitors[8])
        free.set()
        return refused, crowded, await asyncio.gather(*tasks)

    refused, crowded, answers = asyncio.run(run())
    assert (refused.status_code, refused.json()) == (200, {"sentence": BUSY})
    assert (crowded.status_code, crowded.json()) == (200, {"sentence": CROWDED})
    assert [answer.json() for answer in answers] == [{}] * 12


# -- slots


def test_slots_are_given_in_order_and_released_whatever_happens():
    async def run():
        limiter, order = ConcurrencyLimiter(per_client=1, total=2, timeout=30), []

        async def work(who, name, free):
            async with limiter.slot(who):
                order.append(name)
                await free.wait()

        free = [asyncio.Event() for _ in range(5)]
        tasks = [
            asyncio.create_task(work(who, number, free[number])) for number, who in enumerate(("a", "a", "b", "c", "a"))
        ]
        for _ in range(5):
            await asyncio.sleep(0)
        assert order == [0, 2]
        tasks[1].cancel()  # leaves the line
        free[0].set()
        for _ in range(9):
            await asyncio.sleep(0)
        assert order == [0, 2, 3]  # the other `a` has its turn, but there is no room in all
        free[2].set()
        for _ in range(9):
            await asyncio.sleep(0)
        assert order == [0, 2, 3, 4]
        for event in free:
            event.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with limiter.slot("a"), limiter.slot("b"):  # all are free again
            pass

    asyncio.run(run())


def test_a_client_that_waits_too_long_is_refused_and_leaves_no_trace():
    async def run():
        limiter = ConcurrencyLimiter(per_client=1, total=9, timeout=0.01)
        async with limiter.slot("a"):
            with pytest.raises(RequestRefused) as refused:
                async with limiter.slot("a"):
                    raise AssertionError
            async with limiter.slot("b"):
                pass
        assert (refused.value.status, refused.value.sentence) == (429, BUSY)
        async with limiter.slot("a"):
            pass

    asyncio.run(run())


def test_clients_are_distinguished_by_secret_then_by_address():
    def of(client, secret=None):
        return client_id({"client": client, "headers": [(VISITOR_HEADER.encode(), secret.encode())] if secret else []})

    a, b = secrets.token_hex(16), secrets.token_hex(16)
    assert of(("1.2.3.4", 1), a) == of(("9.9.9.9", 2), a) != of(("1.2.3.4", 1), b)
    assert of(("1.2.3.4", 1)) == of(("1.2.3.4", 2)) == of(("1.2.3.4", 2), "no secret") != of(("1.2.3.5", 1))
    assert a not in of(None, a)
    assert of(None) != of(("", 1), a)


# -- uploads


def send(url, secret=None, *names, content=b"x"):
    files = [("files", (name, content + name.encode())) for name in names]
    return httpx.post(f"{url}{API}/upload", files=files, headers={VISITOR_HEADER: secret} if secret else {})


@pytest.mark.parametrize("secret", [None, "0" * 31, "x" * 32])
def test_on_a_public_page_an_upload_needs_a_secret(app, uploads, secret):
    before = sorted(uploads.rglob("*"))
    answer = send(app.url, secret, "a.pdf")
    assert answer.status_code == 403
    assert "needs a key" in answer.text
    assert sorted(uploads.rglob("*")) == before


def test_the_unread_uploads_of_one_secret_do_not_close_uploads_for_others(app):
    mine, theirs = secrets.token_hex(16), secrets.token_hex(16)
    answers = [send(app.url, mine, *(f"{n}-{m}.txt" for m in range(3))) for n in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429, 429]
    assert answers[-1].text == FULL_FOR_CLIENT[1]
    other = send(app.url, theirs, "theirs.txt")
    assert other.status_code == 200
    for answer in answers[:2]:  # as when they were read
        for path in answer.json():
            Path(path).unlink()
    assert send(app.url, mine, "again.txt").status_code == 200


def test_a_private_page_has_one_owner_whose_uploads_are_not_counted():
    assert upload_limits(Settings()).waiting.per_client is None
    assert upload_limits(Settings(public=True, limits=Limits(files=5))).waiting.per_client.files == 10


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tracker(clock):
    return UploadTracker(clock)


@pytest.fixture
def arrive(tracker, tmp_path):
    """Return a function that stores copies of a client's uploads."""

    def write(client, *names):
        paths = [tmp_path / name / f"{name}.pdf" for name in names]
        for path in paths:
            path.parent.mkdir()
            path.write_bytes(b"ten bytes.")
        tracker.add_copies(client, paths)
        return paths

    return write


def refusal(tracker, *given, **named):
    """Return status and sentence with which a full folder refuses an upload."""
    with pytest.raises(RequestRefused) as refused:
        asyncio.run(tracker.ensure_room(*given, **named))
    return refused.value.status, refused.value.sentence


def test_unclaimed_copies_are_deleted_for_others_the_oldest_first(tracker, clock, arrive, tmp_path, monkeypatch):
    monkeypatch.setattr("smart_demo.server.upload_limits.MAX_WAITING_FILES", 4)
    old, read, newer = arrive("a", "old", "read", "newer")
    clock.at += 5
    (young,) = arrive("b", "young")
    tracker.claim(read)
    limits = UploadFolderLimits(tmp_path, 10**9)
    clock.at = MIN_UNCLAIMED_SECONDS - 1
    assert refusal(tracker, limits, "c") == FULL
    clock.at = MIN_UNCLAIMED_SECONDS + 1
    asyncio.run(tracker.ensure_room(limits, "c"))
    assert [path.exists() for path in (old, read, newer, young)] == [False, True, True, True]
    assert not old.parent.exists()
    arrive("c", "next")
    clock.at += 2
    asyncio.run(tracker.ensure_room(limits, "c"))
    assert [path.exists() for path in (read, newer, young)] == [True, False, True]
    arrive("c", "last")
    clock.at += MIN_UNCLAIMED_SECONDS
    asyncio.run(tracker.ensure_room(limits, "c"))
    assert [path.exists() for path in (read, young)] == [True, False]


def test_if_a_clients_share_is_full_only_its_own_copies_are_deleted(tracker, clock, arrive, tmp_path):
    limits = UploadFolderLimits(tmp_path, 10**9, FolderUsage(2, 3 * HEADROOM_BYTES))
    (theirs,) = arrive("b", "theirs")
    first, second = arrive("a", "first", "second")
    assert refusal(tracker, limits, "a") == FULL_FOR_CLIENT
    asyncio.run(tracker.ensure_room(limits, "b"))
    clock.at += MIN_UNCLAIMED_SECONDS
    asyncio.run(tracker.ensure_room(limits, "a"))
    assert [path.exists() for path in (theirs, first, second)] == [True, False, True]
    assert refusal(tracker, limits, "b", incoming=3 * HEADROOM_BYTES) == FULL_FOR_CLIENT
    assert refusal(tracker, UploadFolderLimits(tmp_path, HEADROOM_BYTES - 1), "c") == FULL


def test_the_folder_is_not_measured_again_for_every_piece(tracker, clock, tmp_path, monkeypatch):
    measured = []
    monkeypatch.setattr(
        "smart_demo.server.upload_limits.measure_folder", lambda folder: measured.append(folder) or FolderUsage(0, 0)
    )
    limits = UploadFolderLimits(tmp_path, 10 * HEADROOM_BYTES)
    for _ in range(9):
        asyncio.run(tracker.ensure_room(limits, "a"))
        tracker.count_bytes(HEADROOM_BYTES)
    assert len(measured) == 1
    tracker.count_bytes(HEADROOM_BYTES)  # which no longer fits, if all of it is stored there
    asyncio.run(tracker.ensure_room(limits, "a"))
    assert len(measured) == 2
    clock.at += 1
    asyncio.run(tracker.ensure_room(limits, "a"))
    assert len(measured) == 3


def test_the_page_claims_the_copies_it_will_read(app, visitor, uploads, tmp_path, monkeypatch):
    """They stay however old they are, and are deleted once read. A copy that is never submitted is deleted."""
    free, now, encode = threading.Event(), time.time, app.backbone.encode_pages
    monkeypatch.setattr(app.backbone, "encode_pages", lambda pages: free.wait(60) and encode(pages))
    paper = write_pdf(tmp_path / "paper.pdf", "zanzibar")
    (submitted,), (other,) = visitor.send(paper), visitor.send(paper)
    visitor.do(visitor.event("upload", "upload"), upload=[submitted])
    monkeypatch.setattr("smart_demo.server.upload_limits.time.time", lambda: now() + MAX_UNCLAIMED_SECONDS + 1)
    UPLOAD_TRACKER.delete_unclaimed(uploads)
    assert [Path(copy["path"]).exists() for copy in (submitted, other)] == [True, False]
    free.set()
    while "is-done" not in str(visitor.shown("uploads")):
        visitor.look()
    assert not Path(submitted["path"]).exists()
