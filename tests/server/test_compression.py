"""What is compressed, what is not, and what caches may keep."""

import asyncio
import gzip
import zlib

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from smart_demo.server.compression import FOR_A_DAY, FOR_EVER, CompressionMiddleware

TEXT = "one two three " * 200
HASHED = "/assets/index-DphvyggB.js"
served = []


async def send(request):
    """Answer with TEXT in the media type that the query names, and record that the app was asked."""
    served.append(request.url.path)
    headers = {"etag": '"x"', "accept-ranges": "bytes", **dict(request.query_params)}
    status = int(headers.pop("status", 200))
    return Response(headers.pop("text", TEXT), status, media_type=headers.pop("type", "text/html"), headers=headers)


async def send_events(_):
    """Answer with two events."""

    async def events():
        yield f"data: {TEXT}\n\n"
        yield "data: end\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def send_upload(_):
    """Answer as Gradio does to an upload of many files."""
    return JSONResponse(["/tmp/one.pdf"] * 100)


APP = Starlette(
    routes=[
        Route("/gradio_api/queue/data", send_events),
        Route("/gradio_api/upload", send_upload, methods=["POST"]),
        Route("/{path:path}", send),
    ],
    middleware=[Middleware(CompressionMiddleware)],
)


def ask(path, accepted="gzip, deflate, br", method="GET", app=APP):
    """Return headers and raw body of a response."""

    async def fetch():
        async with (
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client,
            client.stream(method, path, headers={"accept-encoding": accepted}) as response,
        ):
            return response, b"".join([part async for part in response.aiter_raw()])

    return asyncio.run(fetch())


@pytest.mark.parametrize("kind", ["text/html", "application/json", "text/css", "text/javascript", "image/svg%2bxml"])
def test_text_is_compressed_for_whom_it_may_be(kind):
    response, body = ask(f"/x?type={kind}")
    assert response.headers["content-encoding"] == "gzip"
    assert gzip.decompress(body).decode() == TEXT
    assert len(body) < len(TEXT) / 4
    assert response.headers["content-length"] == str(len(body))
    assert response.headers["vary"] == "Accept-Encoding"
    assert response.headers["etag"] == 'W/"x"'
    assert "accept-ranges" not in response.headers
    for accepted in ("identity", "br", "gzip;q=0", ""):
        response, body = ask(f"/x?type={kind}", accepted)
        assert "content-encoding" not in response.headers, accepted
        assert body.decode() == TEXT
        assert response.headers["vary"] == "Accept-Encoding", "a cache must not give one form for the other"


@pytest.mark.parametrize(
    "query", ["type=image/webp", "type=font/woff2", "text=short", "content-encoding=br", "status=206", "status=404"]
)
def test_pictures_fonts_and_short_or_compressed_answers_stay_as_they_are(query):
    response, body = ask(f"/x?{query}")
    assert response.headers.get("content-encoding") != "gzip"
    assert body.decode() in {TEXT, "short"}


def test_each_event_can_be_read_before_the_next_is_sent():
    sent = []

    async def run():
        scope = {"type": "http", "method": "GET", "path": "/gradio_api/queue/data", "query_string": b"",
                 "headers": [(b"accept-encoding", b"gzip")]}  # fmt: skip

        async def receive():
            await asyncio.Event().wait()

        async def record(message):
            sent.append(message)

        await APP(scope, receive, record)

    asyncio.run(run())
    assert sent[0]["type"] == "http.response.start"
    stream, read = zlib.decompressobj(16 + zlib.MAX_WBITS), []
    for message in sent[1:]:
        read.append(stream.decompress(message["body"]).decode())
    assert [text for text in read if text] == [f"data: {TEXT}\n\n", "data: end\n\n"]
    assert stream.eof


def test_the_answer_to_an_upload_is_left_to_the_gate_which_reads_it():
    response, body = ask("/gradio_api/upload", method="POST")
    assert "content-encoding" not in response.headers
    assert body.startswith(b'["/tmp/one.pdf"')


def test_a_file_named_by_its_content_is_compressed_once_and_kept_for_ever():
    app = Starlette(routes=APP.routes, middleware=APP.user_middleware)  # with an empty store
    served.clear()
    (first, body), (again, same) = ask(HASHED, app=app), ask(HASHED, app=app)
    assert served == [HASHED]
    assert gzip.decompress(body).decode() == TEXT
    assert body == same
    assert first.headers.items() == again.headers.items()
    assert first.headers["cache-control"] == FOR_EVER
    plain, body = ask(HASHED, "identity", app=app)
    assert (plain.headers["cache-control"], body.decode()) == (FOR_EVER, TEXT)
    missing, _ = ask(f"{HASHED}?status=404", "identity", app=app)
    assert "cache-control" not in missing.headers
    assert ask("/static/fonts/a.woff2?type=font/woff2", app=app)[0].headers["cache-control"] == FOR_A_DAY
    assert "cache-control" not in ask("/config", app=app)[0].headers
