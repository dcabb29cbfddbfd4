"""No client takes the page from the others: limits per client and for all, met over sockets as a script would."""

import asyncio
import json
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from smart_demo.config import Limits, Settings
from smart_demo.server.cleanup import FolderUsage
from smart_demo.server.gate import GateMiddleware, upload_limits
from smart_demo.server.rate_limits import BUSY, CROWDED, ConcurrencyLimiter, client_id
from smart_demo.server.request_body import RequestRefused
from smart_demo.server.upload_limits import (
    FULL,
    FULL_FOR_CLIENT,
    HEADROOM_BYTES,
    MIN_UNCLAIMED_SECONDS,
    UPLOAD_TRACKER,
    UploadFolderLimits,
    UploadTracker,
)
from smart_demo.server.visitors import VISITOR_HEADER
from tests.apps import served_app
from tests.documents import write_pdf
from tests.server.visitor import API, Visitor


def open_app(folder):
    samples = folder / "samples"
    samples.mkdir()
    write_pdf(samples / "tides.pdf", "tide tables of the harbour")
    return served_app("words", samples, folder / "data", SMART_PUBLIC="on", SMART_MAX_FILES="3")


@pytest.fixture
def visitor(app):
    one = Visitor(app.url)
    yield one
    one.close()


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


def join(visitor):
    event = visitor.event("go", "click")
    inputs = [visitor.state.get(one) for one in visitor.events[event]["inputs"]]
    inputs[visitor.events[event]["inputs"].index(visitor.component("query"))] = secrets.token_hex(4)
    body = {"data": inputs, "fn_index": event, "session_hash": visitor.session, "trigger_id": None}
    return visitor.http.post(f"{API}/queue/join", json=body)


# -- the queue


def test_one_script_does_not_fill_the_queue(app, visitor, held):
    other = Visitor(app.url)
    answers = [join(visitor) for _ in range(30)]
    taken = [answer for answer in answers if answer.status_code == 200]
    assert len(taken) == 8
    assert {answer.status_code for answer in answers} == {200, 429}
    assert answers[-1].json() == {"detail": BUSY, "error": BUSY}
    fresh = Visitor(app.url, visitor.secret)  # another session, the same key
    assert join(fresh).status_code == 429
    assert join(other).status_code == 200
    held.set()
    for one in (visitor, other):
        with one.http.stream("GET", f"{API}/queue/data", params={"session_hash": one.session}) as stream:
            told = [json.loads(line[5:]) for line in stream.iter_lines() if line.startswith("data:")]
        done = [message for message in told if message["msg"] == "process_completed"]
        assert len(done) == (8 if one is visitor else 1)
    assert join(visitor).status_code == 200
    fresh.close()
    other.close()


def test_joins_of_the_same_moment_are_counted_too(app, visitor, held):
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: join(visitor).status_code, range(20)))
    assert 0 < answers.count(200) <= 8
    assert answers.count(200) + answers.count(429) == 20
    calls = [visitor.http.post(f"{API}/call/search", json={"data": ["tide", 1]}).status_code for _ in range(9)]
    assert calls[-1] == 429


# -- functions of the page's scripts


def test_function_calls_over_the_limit_wait_for_a_slot(app, visitor, held):
    other = Visitor(app.url)

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
    other.close()


def through(gate, path, **given):
    """One request through a gate alone."""

    async def talk():
        transport = httpx.ASGITransport(gate)
        async with httpx.AsyncClient(transport=transport, base_url="http://edge") as client:
            return await client.post(path, **given)

    return talk()


def test_a_refused_question_is_answered_in_the_form_that_scripts_show(monkeypatch):
    monkeypatch.setattr("smart_demo.server.gate.SLOT_TIMEOUT_SECONDS", 0.0)

    async def run():
        free = asyncio.Event()

        async def wait(scope, receive, send):
            await free.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})

        gate = GateMiddleware(wait, Settings())
        path = "/gradio_api/component_server/"
        first = [asyncio.create_task(through(gate, path, json={})) for _ in range(4)]
        await asyncio.sleep(0)
        while gate._functions._running.total() < 4:
            await asyncio.sleep(0)
        refused = await through(gate, path, json={})
        keys = [{VISITOR_HEADER: secrets.token_hex(16)} for _ in range(9)]
        more = [asyncio.create_task(through(gate, path, json={}, headers=key)) for key in keys[:8]]
        while gate._functions._running.total() < 12:
            await asyncio.sleep(0)
        crowded = await through(gate, path, json={}, headers=keys[8])
        free.set()
        answers = await asyncio.gather(*first, *more)
        return refused, crowded, answers

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
        assert limiter._running.total() == 0
        assert limiter._waiting == []

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
        assert (limiter._running.total(), limiter._waiting) == (0, [])

    asyncio.run(run())


def test_clients_are_distinguished_by_key_then_by_address():
    def of(client, key=None):
        return client_id({"client": client, "headers": [(VISITOR_HEADER.encode(), key.encode())] if key else []})

    a, b = secrets.token_hex(16), secrets.token_hex(16)
    assert of(("1.2.3.4", 1), a) == of(("9.9.9.9", 2), a) != of(("1.2.3.4", 1), b)
    assert of(("1.2.3.4", 1)) == of(("1.2.3.4", 2)) == of(("1.2.3.4", 2), "no key") != of(("1.2.3.5", 1))
    assert a not in of(None, a)
    assert of(None) != of(("", 1), a)


# -- uploads


def send(url, key=None, *names, content=b"x"):
    files = [("files", (name, content + name.encode())) for name in names]
    return httpx.post(f"{url}{API}/upload", files=files, headers={VISITOR_HEADER: key} if key else {})


@pytest.mark.parametrize("key", [None, "0" * 31, "x" * 32])
def test_on_a_public_page_an_upload_needs_a_key(app, key):
    before = sorted(app.uploads.rglob("*"))
    answer = send(app.url, key, "a.pdf")
    assert answer.status_code == 403
    assert "needs a key" in answer.text
    assert sorted(app.uploads.rglob("*")) == before


def test_the_unread_uploads_of_one_key_do_not_close_uploads_for_others(app):
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


class Reading:
    """Something that reads copies."""

    def __init__(self, *paths):
        self.paths = paths

    def unread_paths(self):
        return frozenset(self.paths)


@pytest.fixture
def lying(tmp_path):
    now = [0.0]
    account = UploadTracker(lambda: now[0])
    account.now = now
    return account


def lay(account, folder, whose, *names, size=10):
    paths = []
    for name in names:
        path = folder / name / f"{name}.pdf"
        path.parent.mkdir()
        with path.open("wb") as file:
            file.truncate(size)
        paths.append(path)
    account.add_copies(whose, paths)
    return paths


def test_unclaimed_copies_are_deleted_for_others_the_oldest_first(lying, tmp_path, monkeypatch):
    monkeypatch.setattr("smart_demo.server.upload_limits.MAX_WAITING_FILES", 4)
    old, read, newer = lay(lying, tmp_path, "a", "old", "read", "newer")
    lying.now[0] += 5
    (young,) = lay(lying, tmp_path, "b", "young")
    reading = Reading(read)
    lying.add_claims(reading.unread_paths)
    bounds = UploadFolderLimits(tmp_path, 10**9)
    lying.now[0] = MIN_UNCLAIMED_SECONDS - 1
    with pytest.raises(RequestRefused) as refused:
        asyncio.run(lying.ensure_room(bounds, "c"))
    assert (refused.value.status, refused.value.sentence) == FULL
    lying.now[0] = MIN_UNCLAIMED_SECONDS + 1
    asyncio.run(lying.ensure_room(bounds, "c"))
    assert [path.exists() for path in (old, read, newer, young)] == [False, True, True, True]
    assert not old.parent.exists()
    lay(lying, tmp_path, "c", "next")
    lying.now[0] += 2
    asyncio.run(lying.ensure_room(bounds, "c"))
    assert [path.exists() for path in (read, newer, young)] == [True, False, True]
    del reading  # with what read it, its claim is gone
    lay(lying, tmp_path, "c", "last")
    lying.now[0] += 2
    asyncio.run(lying.ensure_room(bounds, "c"))
    assert [path.exists() for path in (read, young)] == [False, True]


def test_if_a_clients_share_is_full_only_its_own_copies_are_deleted(lying, tmp_path):
    bounds = UploadFolderLimits(tmp_path, 10**9, FolderUsage(2, 3 * HEADROOM_BYTES))
    (theirs,) = lay(lying, tmp_path, "b", "theirs")
    first, second = lay(lying, tmp_path, "a", "first", "second")
    with pytest.raises(RequestRefused) as refused:
        asyncio.run(lying.ensure_room(bounds, "a"))
    assert (refused.value.status, refused.value.sentence) == FULL_FOR_CLIENT
    asyncio.run(lying.ensure_room(bounds, "b"))
    lying.now[0] += MIN_UNCLAIMED_SECONDS
    asyncio.run(lying.ensure_room(bounds, "a"))
    assert [path.exists() for path in (theirs, first, second)] == [True, False, True]
    with pytest.raises(RequestRefused, match="Your earlier uploads"):
        asyncio.run(lying.ensure_room(bounds, "b", incoming=3 * HEADROOM_BYTES))
    with pytest.raises(RequestRefused, match="Too many uploads"):
        asyncio.run(lying.ensure_room(UploadFolderLimits(tmp_path, HEADROOM_BYTES - 1), "c"))


def test_the_folder_is_not_measured_again_for_every_piece(lying, tmp_path, monkeypatch):
    measured = []
    monkeypatch.setattr(
        "smart_demo.server.upload_limits.measure_folder", lambda folder: measured.append(folder) or FolderUsage(0, 0)
    )
    bounds = UploadFolderLimits(tmp_path, 10 * HEADROOM_BYTES)
    for _ in range(9):
        asyncio.run(lying.ensure_room(bounds, "a"))
        lying.count_bytes(HEADROOM_BYTES)
    assert len(measured) == 1
    lying.count_bytes(HEADROOM_BYTES)  # which no longer fits, if all of it lies there
    asyncio.run(lying.ensure_room(bounds, "a"))
    assert len(measured) == 2
    lying.now[0] += 1
    asyncio.run(lying.ensure_room(bounds, "a"))
    assert len(measured) == 3


def test_the_page_claims_the_copies_it_will_read(app):
    claims = [claim for weak in UPLOAD_TRACKER._claims if (claim := weak()) is not None]
    assert any(claim() == frozenset() for claim in claims)
