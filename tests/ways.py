"""Which files run on three ways through the program: `python -m tests.ways` prints what smart_demo/README.md counts.

A file counts if a function of it runs between the visitor's act and its result: a PDF until its card, a query until its
cards, a vote until the journal. Templates do not count, and neither does construction of the app or the request's way
through Gradio itself; the ASGI middleware does.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from smart_demo.config import REPOSITORY, Settings, read_settings
from smart_demo.engine import Engine, open_engine
from smart_demo.search.request import parse_request
from smart_demo.server.picture_addresses import PictureAddresses
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.library_tab import SamplePreparation
from smart_demo.ui.theme import build_middleware
from smart_demo.ui.upload_queue import UploadQueue
from tests.ui.voting_cases import Judge, shared_library

PACKAGE = REPOSITORY / "smart_demo"
DOCUMENT = REPOSITORY / "sample_docs" / "galley-menu-week-24.pdf"


@contextmanager
def files_that_run() -> Iterator[set[str]]:
    """Yield a set that collects the files of smart_demo in which a function is called, in any thread."""
    ran: set[str] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        name, function = frame.f_code.co_filename, frame.f_code.co_name
        if event == "call" and name.startswith(str(PACKAGE)) and name.endswith(".py") and function != "<module>":
            ran.add(str(Path(name).relative_to(PACKAGE)))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield ran
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def through_middleware(settings: Settings, method: str, path: str, **sent: object) -> None:
    """Send one request through the middleware to an app that reads it and answers."""

    async def answer(request: Request) -> JSONResponse:
        await request.body()
        return JSONResponse({})

    app: object = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    for layer in reversed(build_middleware(settings)):
        app = layer.cls(app, *layer.args, **layer.kwargs)

    async def send() -> None:
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:7860") as client:
            await client.request(method, path, **sent)

    asyncio.run(send())


def pdf_to_card(engine: Engine, handlers: Handlers, uploads: UploadQueue, folder: Path) -> None:
    """Upload a PDF, index it, search it and render its card."""
    copy = folder / DOCUMENT.name
    copy.write_bytes(DOCUMENT.read_bytes())
    through_middleware(engine.settings, "POST", "/gradio_api/upload", files={"files": (copy.name, copy.read_bytes())})
    handlers.submit_uploads([copy])
    uploads.wait(60)
    query_to_cards(engine, handlers)


def query_to_cards(engine: Engine, handlers: Handlers, text: str = "soup on Friday") -> None:
    """Search the visitor's documents and render both columns."""
    through_middleware(engine.settings, "POST", "/gradio_api/queue/join", json={"data": [text]})
    assert "galley" in handlers.render_answer(parse_request(text, "My documents"))


def vote_to_journal(folder: Path) -> set[str]:
    """Return the files that run when a vote on a blind comparison is cast, with a judge of the tests' own library."""
    with shared_library(folder / "judging") as start:
        judge = Judge(start())
        judge.start()
        with files_that_run() as ran:
            through_middleware(
                judge.handlers.engine.settings, "POST", "/gradio_api/component_server", json={"data": {}}
            )
            assert not judge.vote().get("error")
    return ran


def main() -> int:
    """Walk the three ways and print the files of each."""
    with tempfile.TemporaryDirectory(prefix="smart-demo-ways-") as name:
        folder = Path(name)
        settings = read_settings({"SMART_DATA_DIR": str(folder / "data"), "SMART_BACKBONE": "minilm"})
        with open_engine(settings) as engine:
            engine.backbones.main()
            with files_that_run() as pdf:
                uploads = UploadQueue(engine.add, 20)
                handlers = Handlers(engine, uploads, SamplePreparation(engine), PictureAddresses(engine))
                pdf_to_card(engine, handlers, uploads, folder)
            with files_that_run() as query:
                query_to_cards(engine, handlers, "what is for lunch")
        ways = {
            "A PDF to its card": pdf,
            "A query to its cards": query,
            "A vote to the journal": vote_to_journal(folder),
        }
    for way, files in ways.items():
        print(f"{way}: {len(files)} files")
        print("  " + "\n  ".join(sorted(files)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
