"""Engines for tests of quotas, expiry and deletion, a gate without a server, and a visitor's scope for each number."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.config import Quotas, Settings
from smart_demo.engine import Engine
from smart_demo.indexing.progress import Progress, State
from smart_demo.server.gate import GateMiddleware
from smart_demo.store import prepared_page
from smart_demo.store.atomic_files import FolderLock
from smart_demo.store.library import Library
from smart_demo.store.page_files import PageFiles
from smart_demo.types import Page, PageEncoding, Scope
from tests.apps import Served, open_words, serve_documents, settings_below


class Words(WordBackbone):
    """Counts the pages it encodes and calls `before` with each batch."""

    def __init__(self, before=lambda _: None, **given):
        super().__init__(**given)
        self.before, self.encoded = before, 0

    def encode_pages(self, pages: list[Page]) -> list[PageEncoding]:
        self.before(pages)
        self.encoded += len(pages)
        return super().encode_pages(pages)


def visitor(number: int) -> Scope:
    return Scope(f"visitor-{number:032x}")


class NoIndex:
    """Replaces Chroma in tests that do not need it: every call does nothing."""

    state, healthy = "ok", True

    def __getattr__(self, _):
        return lambda *given, **named: None


def without_index(data_dir: Path, index_dir: Path) -> Library:
    files = PageFiles(data_dir)
    return Library(files, files.scan(), NoIndex(), FolderLock(index_dir), "int8", 2**26)


@contextmanager
def an_engine(
    folder: Path, backbone: WordBackbone | None = None, *, open_library=Library.open, public=True, **quotas
) -> Iterator[Engine]:
    """An engine under `folder`, with `sample_docs` of it as samples, and the quotas of a visitor."""
    allowed = Quotas(**{"library_pages": 200, "library_bytes": 500 * 10**6} | quotas)
    settings = settings_below(folder, backbone="words", samples=folder / "sample_docs", public=public, quotas=allowed)
    library = open_library(settings.data_dir, settings.index_dir)
    with open_words(settings, backbone or Words(), library=library, fall_back=False) as engine:
        yield engine


def add(engine: Engine, scope: Scope, *paths: Path) -> list[Progress]:
    """Add files and return the last progress of each."""
    return [step for step in engine.add(scope, [(p, p.name) for p in paths]) if step.state is not State.WORKING]


def names(engine: Engine, scope: Scope) -> list[str]:
    return [document.name for document in engine.documents(scope)]


def bytes_under(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def holding(folder: Path, *needles: bytes) -> list[str]:
    """Return files below a folder whose content or name contains any of the needles."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    named = [path for path in folder.rglob("*") if any(needle in str(path).encode() for needle in needles)]
    held = [path for path in files if any(needle in path.read_bytes() for needle in needles)]
    return sorted({str(path.relative_to(folder)) for path in named + held})


def judge(engine: Engine, scope: Scope, text: str = '{"a": "judgement"}') -> Path:
    """Write a file that counts as a journal everywhere except in the evaluation."""
    path = engine.settings.data_dir / "judgements" / f"{scope}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def add_at(engine: Engine, moment: float, scope: Scope, *paths: Path) -> list[Progress]:
    """Add files as if at a Unix time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepared_page, "time", SimpleNamespace(time=lambda: moment))
        return add(engine, scope, *paths)


def owners(engine: Engine) -> set[Scope]:
    """Return the visitors of whom something is stored."""
    return {visitor.scope for visitor in engine.library.visitors()}


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


async def refuse_all(*_: object) -> None:
    """Fail, as an app that no request may reach."""
    raise AssertionError("a request came through the gate")


async def ask_gate(gate: GateMiddleware, method: str, path: str, **given: object) -> httpx.Response:
    """Send one request to a gate without a server."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://127.0.0.1") as client:
        return await client.request(method, path, **given)


def through(settings: Settings, method: str, path: str, app=refuse_all, **given: object) -> httpx.Response:
    """Return the answer of a gate with these settings, in front of an app."""
    return asyncio.run(ask_gate(GateMiddleware(app, settings), method, path, **given))


def serve_one_page(folder: Path, **settings: str) -> AbstractContextManager[Served]:
    """Serve one sample page with the word backbone, in this process."""
    return serve_documents(folder, {"tides.pdf": ["tide tables of the harbour"]}, "words", **settings)
