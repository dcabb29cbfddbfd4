"""The server's edge, asked as anyone may ask it: over sockets, with whatever a curl can send."""

import asyncio
import http.client
import json
import os
import socket
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import gradio as gr
import httpx
import pytest
import safehttpx
from gradio import processing_utils, route_utils
from gradio.data_classes import FileData
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from smart_demo.config import Limits, Quotas, Settings
from smart_demo.server.block_remote_fetch import NO_REMOTE_FETCH, disable_remote_fetch, names_remote_file
from smart_demo.server.gate import NO_FILES_SERVED
from smart_demo.server.headers_and_links import content_security_policy
from smart_demo.server.request_limits import MAX_EVENT_BYTES, MAX_SMALL_BODY_BYTES
from smart_demo.server.upload_limits import (
    MAX_UNCLAIMED_SECONDS,
    MAX_WAITING_FILES,
    FolderUsage,
    UploadStream,
    UploadTracker,
    measure_folder,
    upload_limits,
)
from tests.server.cases import serve_one_page, through

MB = 10**6
LEAKS = ("/work", "/tmp", "/home", "/root", "/usr", "traceback", "site-packages", ".py", "gradio/", "6.31", "0x")
SECRET = "of another visitor, never to be served"
LATER = "http://visitor-given.invalid/x.pdf"


open_app = partial(serve_one_page, SMART_MAX_FILES="12", SMART_MAX_FILE_MB="1", SMART_WAITING_FILES="2")


@pytest.fixture(scope="module")
def url(app):
    return app.url


class Outside(BaseHTTPRequestHandler):
    """A server elsewhere that counts its requests."""

    hits = 0

    def do_GET(self):
        type(self).hits += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"%PDF-1.7 fetched")

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def outside():
    server = HTTPServer(("127.0.0.1", 0), Outside)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def unguarded(monkeypatch):
    """Gradio with neither its own guard nor our second lock, so that what refuses is the gate; names looked up."""

    async def get(address, **_):
        async with httpx.AsyncClient() as client:
            return await client.get(address)

    async def anywhere(host):
        return "127.0.0.1"

    asked, look_up = [], socket.getaddrinfo

    def watched(host, *rest, **kinds):
        asked.append(host)
        return look_up(host, *rest, **kinds)

    monkeypatch.setattr(safehttpx, "get", get)
    monkeypatch.setattr(safehttpx, "async_validate_url", anywhere)
    monkeypatch.setattr(socket, "getaddrinfo", watched)
    return asked


def ask(url, method, path, body=None, **headers):
    """(status, headers, text). The path goes out as it is."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request(method, path, body, headers, encode_chunked=headers.get("Transfer-Encoding") == "chunked")
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def post(url, path, value):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    kinds = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    return ask(url, "POST", path, body, **kinds)


def form(*files, field="files", closed=True):
    """A form of (name, bytes); a name of None is a field without one."""
    pieces = []
    for name, data in files:
        named = "" if name is None else f'; filename="{name}"'
        pieces.append(f'--edge\r\nContent-Disposition: form-data; name="{field}"{named}\r\n\r\n'.encode() + data)
    return b"\r\n".join(pieces) + (b"\r\n--edge--\r\n" if closed else b"")


def upload(url, body, *, chunked=False, kind="multipart/form-data; boundary=edge"):
    headers = {"Content-Type": kind} | ({"Transfer-Encoding": "chunked"} if chunked else {})
    pieces = (body[at : at + 2**16] for at in range(0, len(body), 2**16)) if chunked else body
    return ask(url, "POST", "/gradio_api/upload", pieces, **headers)


def files_in(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


# -- addresses that a visitor gives


def test_what_is_counted_would_be_counted(outside, unguarded, tmp_path):
    before = Outside.hits
    asyncio.run(processing_utils.async_ssrf_protected_download(f"http://{outside}/x.pdf", str(tmp_path)))
    assert Outside.hits == before + 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://{0}/x", "/gradio_api/file=HTTP://{0}/x", "/gradio_api/file=hTTps://{0}/x",
        "/gradio_api/file=http%3A%2F%2F{0}/x", "/gradio_api/%66ile=http://{0}/x", "/gradio_api/file%3Dhttp://{0}/x",
        "/gradio_api/FILE=http://{0}/x", "/gradio_api/file=//{0}/x", "/gradio_api/file=%20http://{0}/x",
        "/gradio_api/file/http://{0}/x", "/gradio_api/proxy=http://{0}/x", "/file=http://{0}/x",
        "/gradio_api/file=" + LATER,
    ],
)  # fmt: skip
def test_no_address_is_fetched_for_a_look(url, outside, unguarded, method, path):
    before = Outside.hits
    status, _, said = ask(url, method, path.format(outside))
    assert status == 403
    assert method == "HEAD" or json.loads(said)["detail"] == NO_FILES_SERVED
    assert Outside.hits == before
    assert "visitor-given.invalid" not in unguarded


def by_address(address, **more):
    return {"path": address, "meta": {"_type": "gradio.FileData"}, **more}


WAYS = {
    "/gradio_api/queue/join": lambda file, event: {"data": [file], "fn_index": event, "session_hash": "edge"},
    "/gradio_api/queue/join?x=1": lambda file, event: {
        "data": [[{"deep": [[file]]}]], "fn_index": event, "session_hash": "edge",
    },
    "/gradio_api/call/search": lambda file, _: {"data": [file, 1]},
    "/gradio_api/call/v2/search": lambda file, _: {"query": file},
    "/gradio_api/component_server/": lambda file, _: {
        "data": file, "component_id": 3, "session_hash": "edge", "fn_name": "picture",
    },
    "/gradio_api/mcp/": lambda file, _: {
        "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "arguments": {"query": file}},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def taking(url):
    """Indices of the events that take uploaded files."""
    config = json.loads(ask(url, "GET", "/config")[2])
    boxes = {part["id"] for part in config["components"] if part["type"] in {"file", "uploadbutton"}}
    return [event["id"] for event in config["dependencies"] if boxes & set(event["inputs"])]


@pytest.mark.parametrize("way", WAYS)
def test_no_file_given_by_address_is_fetched(url, outside, unguarded, taking, way):
    before = Outside.hits
    for scheme in ("http://", "HTTP://", " https://", "ftp://", "//", "\\\\"):
        for file in (
            by_address(f"{scheme}{outside}/x.pdf"),
            by_address("/tmp/x", url=f"{scheme}{outside}/x.pdf"),
            by_address("", url=f"{scheme}{outside}/x", is_stream=True),
        ):
            for event in taking[:1]:
                status, _, said = post(url, way, WAYS[way](file, event))
                assert (status, json.loads(said)["detail"]) == (403, NO_REMOTE_FETCH)
    written = json.dumps(WAYS[way](by_address(LATER), taking[0])).replace("http", "\\u0068ttp").encode()
    assert post(url, way, written)[0] == 403
    assert Outside.hits == before
    assert "visitor-given.invalid" not in unguarded


@pytest.mark.parametrize("way", ["/gradio_api/run/search", "/gradio_api/api/search", "/gradio_api/run/search/"])
def test_nothing_runs_past_the_queue(url, way):
    assert post(url, way, {"data": ["tide", 1]})[0] == 404


def test_the_second_lock_holds_by_itself(outside, tmp_path):
    disable_remote_fetch()
    before, address = Outside.hits, f"http://{outside}/x.pdf"
    with pytest.raises(gr.Error, match="fetches nothing"):
        asyncio.run(processing_utils.async_ssrf_protected_download(address, str(tmp_path)))
    with pytest.raises(gr.Error, match="fetches nothing"):
        processing_utils.save_url_to_cache(address, str(tmp_path))
    with pytest.raises(HTTPException):
        asyncio.run(
            route_utils.secure_url_stream_response(address, SimpleNamespace(headers={}, method="GET"))
        )  # fmt: skip
    assert Outside.hits == before


def test_words_may_be_an_address_and_a_file_may_be_called_as_it_was_uploaded(url, outside):
    before = Outside.hits
    assert post(url, "/gradio_api/call/search", {"data": [f"http://{outside}/tide", 1]})[0] == 200
    own = {"path": "/tmp/a b.pdf", "url": f"{url}/gradio_api/file=/tmp/a b.pdf"}
    assert not names_remote_file(json.dumps([own, own | {"url": own["url"].replace(" ", "%20")}]).encode())
    assert names_remote_file(json.dumps([own | {"path": "/tmp/other.pdf"}]).encode())
    assert Outside.hits == before


@settings(max_examples=30)
@given(
    st.recursive(st.text() | st.none(), lambda part: st.lists(part) | st.dictionaries(st.text(), part), max_leaves=9)
)
def test_an_address_is_found_at_any_depth(value):
    around = {"data": [value, {"x": [[value, by_address("https://example.org/x")]]}]}
    assert names_remote_file(json.dumps(around).encode())


# -- uploads


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (form(*[("a.pdf", b"x")] * 13), 413, "At most 12 files of 1 MB"),
        (form(*[("", b"")] * 40), 413, "At most 12 files of 1 MB"),
        (form(("a.pdf", b"x" * (4 * MB + 1))), 413, "At most 12 files of 1 MB"),
        (form(*[("a.pdf", b"x" * 3 * MB)] * 11), 413, "At most 12 files of 1 MB"),
        (form((None, b"x" * MB)), 400, "only files"),
        (form(("a.pdf", b"x"), field="other"), 400, "only files"),
        (form(("a.pdf", b"x" * MB), closed=False), 400, "interrupted"),
        (b"no form at all", 400, "not a complete form"),
        (b"", 400, "interrupted"),
    ],
    ids=["parts", "nameless", "large", "bytes", "field", "name", "torn", "words", "nothing"],
)  # fmt: skip
def test_an_upload_is_bounded_as_it_comes_and_leaves_nothing(url, uploads, chunked, body, status, said):
    before = files_in(uploads)
    answered, headers, told = upload(url, body, chunked=chunked)
    assert answered == status
    assert said in told
    assert headers["Content-Type"].startswith("text/plain")
    assert files_in(uploads) == before


@pytest.mark.parametrize("kind", ["multipart/form-data", "application/json", "", "multipart/mixed; boundary=edge"])
def test_an_upload_is_a_form(url, kind):
    status, _, said = upload(url, form(("a.pdf", b"x")), kind=kind)
    assert (status, said) == (400, "An upload is a form with files.")


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_within_the_limits_arrives_and_is_never_served(url, chunked):
    status, _, said = upload(url, form(("a.txt", SECRET.encode()), ("b.txt", b"y" * MB)), chunked=chunked)
    first, second = map(Path, json.loads(said))
    assert (status, first.read_bytes(), second.stat().st_size) == (200, SECRET.encode(), MB)
    for path in (
        f"/gradio_api/file={first}",
        f"/gradio_api/file/{first}",
        f"/gradio_api/file={first.name}",
        f"/{first}",
    ):
        assert ask(url, "GET", path)[0] in {403, 404}
    for path in (first, second):
        path.unlink()


def test_an_upload_waits_until_there_is_room(url, uploads, monkeypatch):
    monkeypatch.setattr("smart_demo.server.upload_limits.MAX_MEASUREMENT_AGE", 0.0)
    lying = uploads / "lying"
    with lying.open("wb") as file:
        file.truncate(40 * MB)
    assert upload(url, form(("a.pdf", b"x")))[0] == 503
    lying.unlink()
    many = uploads / "many"
    many.mkdir()
    for number in range(MAX_WAITING_FILES):
        (many / str(number)).touch()
    status, _, said = upload(url, form(("a.pdf", b"x")))
    assert (status, "try again" in said) == (503, True)
    for path in (*many.iterdir(), many):
        path.unlink() if path.is_file() else path.rmdir()
    assert upload(url, form(("a.pdf", b"x")))[0] == 200


def test_room_is_looked_for_while_it_comes(uploads, monkeypatch):
    """Two at once both found room when they began."""
    monkeypatch.setattr("smart_demo.server.upload_limits.MAX_MEASUREMENT_AGE", 0.0)
    room = upload_limits(Settings(limits=Limits(files=1, file_bytes=MB), quotas=Quotas(waiting_files=1)))
    assert room.waiting.max_bytes >= room.max_bytes
    whole, sent = form(("a", b"x" * 4 * MB)), []

    async def receive():
        at = len(sent) * MB
        sent.append(at)
        if at == 2 * MB:
            (uploads / "other").write_bytes(b"")
            os.truncate(uploads / "other", room.waiting.max_bytes)
        return {"type": "http.request", "body": whole[at : at + MB], "more_body": at + MB < len(whole)}

    arrival = UploadStream(receive, b"multipart/form-data; boundary=edge", room)

    async def read():
        while True:
            await arrival.receive()

    with pytest.raises(MultiPartException, match="wait to be read"):
        asyncio.run(read())
    assert arrival.refused.status == 503
    (uploads / "other").unlink()


def test_an_upload_that_breaks_off_is_cleared_away_by_the_parser(uploads):
    """A disconnection leaves Gradio's parser as an error of the form, upon which it deletes what it wrote."""
    whole = form(("a.pdf", b"x" * MB))
    pieces = [{"type": "http.request", "body": whole[:9_000], "more_body": True}, {"type": "http.disconnect"}]

    async def receive():
        return pieces.pop(0) if pieces else {"type": "http.disconnect"}

    kind = "multipart/form-data; boundary=edge"
    arrival = UploadStream(receive, kind.encode(), upload_limits(Settings()))
    before = files_in(uploads)
    from starlette.requests import Request

    request = Request({"type": "http", "headers": [(b"content-type", kind.encode())]}, arrival.receive)
    with pytest.raises(MultiPartException):
        asyncio.run(route_utils.upload_fn(request, str(uploads), 10 * MB, None))
    assert files_in(uploads) == before


def test_without_uploads_there_is_no_upload():
    answer = through(Settings(uploads=False), "POST", "/gradio_api/upload", files={"files": ("a", b"x")})
    assert (answer.status_code, answer.text) == (403, "This page takes no uploads.")


# -- bodies, paths, faults


@pytest.mark.parametrize("chunked", [False, True])
def test_no_body_is_longer_than_it_may_be(url, chunked):
    said = {}
    for path, most, told in (("queue/join", MAX_EVENT_BYTES, "4 MB"), ("call/search", MAX_SMALL_BODY_BYTES, "256 kB")):
        event = b'{"fn_index": 0, "session_hash": "long", "data": ["'
        longest = event + b"x" * (most - len(event) - 6) + b'", 1]}'
        for body, expected in ((longest, 200), (longest + b" " * 9, 413)):
            pieces = iter([body[: most // 2], body[most // 2 :]]) if chunked else body
            more = {"Transfer-Encoding": "chunked"} if chunked else {}
            head = {"Content-Type": "application/json"} | more
            status, _, said = ask(url, "POST", f"/gradio_api/{path}", pieces, **head)
            assert status == expected
        assert json.loads(said)["detail"] == f"A request may have at most {told}."


@pytest.mark.parametrize("body", [b"{", b"a=1", b"\xff\xfe\x00", b"[" * 10_000, b"1" * 5_000, form(("a", b"x"))])
def test_a_body_is_json(url, body):
    status, _, said = post(url, "/gradio_api/component_server/", body)
    assert (status, json.loads(said)["detail"]) == (400, "The request is not JSON.")


PROBES = [
    ("GET", "/gradio_api/file=" + place)
    for place in ("/proc/self/environ", "/etc/passwd", "app.py", "smart_demo/engine.py", "../../etc/passwd", ".", "")
] + [
    ("GET", path)
    for path in (
        "/nowhere", "/docs", "/redoc", "/openapi.json", "/login", "/monitoring", "/monitoring/summary", "/monitoring/x",
        "/gradio_api/runs", "/gradio_api/run-history/records", "/gradio_api/vibe-code", "/gradio_api/deep_link",
        "/gradio_api/custom_component/1/client/component/x", "/gradio_api/profiling/summary", "/gradio_api/dev/reload",
        "/gradio_api/stream/a/b/1/playlist.m3u8", "/static/../../routes.py", "/static/%2e%2e/%2e%2e/routes.py",
        "/assets/..%2f..%2f..%2froutes.py", "/static/nothing", "/svelte/..%2f..%2fx", "//etc/passwd", "/%00",
        "/gradio_api/queue/data", "/gradio_api/upload_progress", "/nowhere/",
    )
] + [
    ("POST", path)
    for path in ("/login", "/gradio_api/process_recording", "/gradio_api/vibe-edit", "/gradio_api/stream/x", "/")
] + [("DELETE", "/config"), ("PUT", "/gradio_api/upload"), ("PATCH", "/"), ("BREW", "/gradio_api/info")]  # fmt: skip
BODIES = [
    ("/gradio_api/queue/join", {}),
    ("/gradio_api/queue/join", {"data": [1], "fn_index": 99_999, "session_hash": "a"}),
    ("/gradio_api/queue/join", {"data": [1], "fn_index": "x", "session_hash": "a"}),
    ("/gradio_api/queue/join", {"data": 7, "fn_index": 0}),
    ("/gradio_api/call/nothing", {"data": []}),
    ("/gradio_api/call/v2/nothing", {}),
    ("/gradio_api/call/v2/search", {"x": 1}),
    ("/gradio_api/component_server", {"data": 1, "component_id": 99_999, "session_hash": "a", "fn_name": "x"}),
    ("/gradio_api/component_server", {"data": 1, "component_id": 3, "session_hash": "a", "fn_name": "__init__"}),
    ("/gradio_api/component_server", []),
    ("/gradio_api/cancel", {"event_id": 4}),
]


def told_nothing(text):
    assert [leak for leak in LEAKS if leak in text.lower()] == []
    assert "<html" not in text.lower()


@pytest.mark.parametrize(("method", "path"), PROBES)
def test_a_refusal_tells_nothing_of_this_machine(url, method, path):
    status, _, said = ask(url, method, path)
    assert 400 <= status < 600
    told_nothing(said)


@pytest.mark.parametrize(("path", "value"), BODIES)
def test_a_fault_tells_nothing_of_this_machine(url, path, value):
    status, _, said = post(url, path, value)
    assert 400 <= status < 600
    told_nothing(said)


def test_the_tool_tells_nothing_of_this_machine_either(url):
    for asked in ({"method": "nothing"}, {"method": "tools/call", "params": {"name": "nothing", "arguments": {}}}):
        told_nothing(post(url, "/gradio_api/mcp/", {"jsonrpc": "2.0", "id": 1, **asked})[2])


@pytest.mark.parametrize("place", ["/etc/passwd", "app.py", __file__])
def test_an_event_takes_no_file_that_was_not_uploaded(url, taking, place):
    """What comes of it is told over the queue's stream, where it says nothing either."""
    event = {"data": [by_address(place)] * 9, "fn_index": taking[0], "session_hash": "edge-files"}
    assert post(url, "/gradio_api/queue/join", event)[0] == 200
    told = ask(url, "GET", "/gradio_api/queue/data?session_hash=edge-files")[2]
    assert '"success":false' in told.replace(" ", "")
    told_nothing(told.replace(place, ""))


def test_an_unexpected_error_is_one_sentence_and_goes_to_the_log(caplog):
    async def broken(*_):
        raise KeyError("/work/secret.py")

    answer = through(Settings(), "GET", "/config", broken)
    assert answer.status_code == 500
    assert answer.json()["detail"] == "Something went wrong. The log of the demo says what happened."
    assert "secret" in caplog.text


def test_the_page_says_that_it_reports_and_keeps_nothing(url):
    config = json.loads(ask(url, "GET", "/config")[2])
    said = {name: config[name] for name in ("analytics_enabled", "run_history", "show_error", "dev_mode", "vibe_mode")}
    assert not any(said.values()), said
    whole = json.dumps(config)
    assert str(Path(__file__).parents[2]) not in whole
    assert "/tmp" not in whole


# -- headers


@pytest.mark.parametrize("path", ["/", "/config", "/theme.css", "/nowhere", "/gradio_api/file=x", "/static/nothing"])
def test_every_answer_holds_the_browser_to_the_page(url, path):
    _, headers, _ = ask(url, "GET", path)
    allowed = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert allowed["frame-ancestors"] == "'self' https://huggingface.co https://*.hf.space"
    assert allowed["connect-src"] == allowed["default-src"] == allowed["base-uri"] == allowed["form-action"] == "'self'"
    assert allowed["object-src"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "camera=()" in headers["Permissions-Policy"]


def test_only_on_a_space_the_hub_may_be_asked():
    assert content_security_policy(on_space=False).count("huggingface.co") == 1
    assert "connect-src 'self' https://huggingface.co;" in content_security_policy(on_space=True)
    assert "*" not in content_security_policy(on_space=True).replace("*.hf.space", "")


# -- what is left lying


def test_old_copies_are_deleted_and_those_that_will_be_read_stay(tmp_path, monkeypatch):
    ahead, now, tracker = [0.0], time.time, UploadTracker()
    monkeypatch.setattr("smart_demo.server.upload_limits.time.time", lambda: now() + ahead[0])
    folder = tmp_path / "uploads"
    old, waiting, empty = folder / "aa" / "old.pdf", folder / "bb" / "waiting.pdf", folder / "tmp1"
    for path in (old, waiting):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * 1_000)
    os.utime(old, (0, 0))  # copied with the time of its original
    empty.touch()
    outside = tmp_path / "outside"
    outside.write_bytes(b"not ours")
    (folder / "link").symlink_to(outside)
    (folder / "folder").symlink_to(tmp_path)
    tracker.claim(waiting)
    assert measure_folder(folder).files == 5
    ahead[0] = MAX_UNCLAIMED_SECONDS - 60
    assert tracker.delete_unclaimed(folder) == 0
    assert measure_folder(folder).files == 5
    ahead[0] = MAX_UNCLAIMED_SECONDS + 60
    assert tracker.delete_unclaimed(folder) >= 1_000
    assert list(folder.iterdir()) == [waiting.parent]
    assert waiting.exists()
    assert outside.read_bytes() == b"not ours"
    assert UploadTracker().delete_unclaimed(folder) == 1_000
    assert list(folder.iterdir()) == []
    assert (tracker.delete_unclaimed(tmp_path / "nowhere"), measure_folder(folder)) == (0, FolderUsage(0, 0))


def test_an_upload_leaves_no_empty_file_beside_it(uploads):
    disable_remote_fetch()
    copy = uploads / "copy.pdf"
    copy.write_bytes(b"%PDF")
    before = files_in(uploads)
    for box in (gr.File(), gr.UploadButton()):
        assert box.preprocess(FileData(path=str(copy))) == str(copy)
    assert gr.File(type="binary").preprocess(FileData(path=str(copy))) == b"%PDF"
    assert files_in(uploads) == before
    copy.unlink()


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, True),  # a program
        ({"sec-fetch-site": "same-origin", "origin": "https://proxied.example"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),  # another port of this machine
        ({"origin": "http://{host}"}, True),
        ({"origin": "HTTP://{host}"}, True),
        ({"origin": "https://elsewhere.example", "x-forwarded-host": "elsewhere.example"}, True),
        ({"origin": "https://elsewhere.example"}, False),
        ({"origin": "http://{host}.elsewhere.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://[::1"}, False),
    ],
    ids=str,
)
def test_another_site_in_the_same_browser_changes_nothing_here(url, headers, passes):
    host = url.removeprefix("http://")
    sent = {name: value.format(host=host) if "{" in value else value for name, value in headers.items()}
    for path in ("component_server", "upload", "queue/join"):
        answer = httpx.post(f"{url}/gradio_api/{path}", content=b"{}", headers={"content-type": "text/plain"} | sent)
        refused = answer.status_code == 403 and "accepts no requests from other sites" in answer.text
        assert refused != passes, (path, answer.status_code, answer.text)
