"""Bodies that cost more than they are long, and those that come too slowly."""

import asyncio
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_demo.server import request_limits
from smart_demo.server.block_remote_fetch import MAX_JSON_VALUES, count_json_values, names_remote_file
from smart_demo.server.request_limits import (
    IDLE_TIMEOUT_SECONDS,
    MAX_BODY_SECONDS,
    MAX_EVENT_BYTES,
    MAX_SMALL_BODY_BYTES,
    MIN_BYTES_PER_SECOND,
    BodyDeadline,
    RequestRefused,
    read_body,
)

VALUES = st.recursive(
    st.text() | st.integers() | st.none(), lambda part: st.lists(part) | st.dictionaries(st.text(), part), max_leaves=20
)


def sending(*pieces):
    """What a server gives an application of a body."""
    left = [{"type": "http.request", "body": p, "more_body": n < len(pieces) - 1} for n, p in enumerate(pieces)]

    async def receive():
        return left.pop(0)

    return receive


def read(*pieces, most=MAX_EVENT_BYTES, admit=None):
    async def talk():
        again = await read_body({"headers": []}, sending(*pieces), most, admit)
        return (await again())["body"]

    return asyncio.run(talk())


def refused(*pieces, **more):
    with pytest.raises(RequestRefused) as error:
        read(*pieces, **more)
    return error.value.status, error.value.sentence


def count(value):
    """Commas, colons and brackets that a value is written with."""
    if isinstance(value, dict):
        return 1 + 2 * len(value) - bool(value) + sum(map(count, value.values()))
    if isinstance(value, list):
        return 1 + len(value) - bool(value) + sum(map(count, value))
    return 0


@pytest.mark.parametrize("unit", [b"{}", b"[]", b"1", b'""', b'{"a":1}'])
def test_many_small_values_are_counted_before_they_are_parsed(monkeypatch, unit):
    monkeypatch.setattr("smart_demo.server.block_remote_fetch.json.loads", lambda _: pytest.fail("it was parsed"))
    body = b"[" + b",".join([unit] * (MAX_SMALL_BODY_BYTES // (len(unit) + 1))) + b"]"
    assert refused(body) == (413, "The request has too many parts.")


@given(VALUES, st.booleans())
def test_values_are_counted_as_they_are_written(value, ascii_only):
    assert count_json_values(json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")) == count(
        value
    )


@given(st.binary())
def test_whatever_the_bytes_they_are_counted(body):
    assert 0 <= count_json_values(body) <= max(len(body), 4 * MAX_JSON_VALUES)


def test_a_pasted_evaluation_is_one_value(monkeypatch):
    text = '{"event": "vote", "pages": [1, 2, {"a": "\\\\"}]}\n' * 20_000
    body = json.dumps({"data": [text, None], "fn_index": 3}).encode()
    assert MAX_SMALL_BODY_BYTES < len(body) < MAX_EVENT_BYTES
    assert read(body) == body


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
def test_another_coding_is_no_way_around_the_count(coding):
    body = json.dumps([{"path": "http://visitor-given.invalid/x"}]).encode(coding)
    with pytest.raises(ValueError, match="UTF-8"):
        names_remote_file(body)
    assert refused(body) == (400, "The request is not JSON.")


def test_a_large_body_is_admitted_once_and_before_it_is_held():
    asked = []

    async def admit():
        asked.append(1)

    body = b'"' + b"x" * (2 * MAX_SMALL_BODY_BYTES) + b'"'
    pieces = [body[at : at + MAX_SMALL_BODY_BYTES // 2] for at in range(0, len(body), MAX_SMALL_BODY_BYTES // 2)]
    assert read(*pieces, admit=admit) == body
    assert len(asked) == 1
    assert read(b'"x"', admit=admit) == b'"x"'
    assert len(asked) == 1

    async def refuse():
        raise RequestRefused(429, "busy")

    assert refused(*pieces, admit=refuse) == (429, "busy")
    assert refused(body, most=MAX_SMALL_BODY_BYTES) == (413, "A request may have at most 256 kB.")


def test_a_large_body_is_read_apart_from_the_loop(monkeypatch):
    where = []
    monkeypatch.setattr(
        request_limits, "names_remote_file", lambda _: where.append(threading.current_thread()) and False
    )
    for body in (b'"x"', b'"' + b"x" * request_limits.MAX_INLINE_PARSE_BYTES + b'"'):
        read(body)
    assert where[0] is threading.main_thread()
    assert where[1] is not threading.main_thread()


@pytest.mark.parametrize(
    ("seconds", "size", "least", "most"),
    [
        (50, 1, 0, 2 * IDLE_TIMEOUT_SECONDS),
        (10, MIN_BYTES_PER_SECOND * 10, MAX_BODY_SECONDS, MAX_BODY_SECONDS + 10),
    ],
    ids=["a byte a minute", "steadily but for ever"],
)
def test_a_body_has_the_time_that_its_speed_earns_and_no_more(seconds, size, least, most):
    now = [0.0]

    async def arrive():
        now[0] += seconds
        return {"type": "http.request", "body": b"x" * size, "more_body": True}

    async def drop():
        pace = BodyDeadline(lambda: now[0])
        for _ in range(999):
            await pace.receive_piece(arrive)

    with pytest.raises(RequestRefused, match="too slow"):
        asyncio.run(drop())
    assert least <= now[0] <= most
