"""File names: the page shows a file under the name that it has on its owner's disk, whatever Gradio calls its copy."""

import asyncio
import html
import re
from functools import partial

import gradio
import httpx
import pytest
from gradio.context import LocalContext
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from smart_demo.config import Settings
from smart_demo.indexing.indexer import unique_name
from smart_demo.ingest import clean_name
from smart_demo.search.request import ON_MINE
from smart_demo.server.upload_limits import UploadStream, UploadTracker, upload_limits
from smart_demo.server.visitors import VISITOR_HEADER, visitor_scope
from smart_demo.types import LOCAL
from tests.documents import write_pdf
from tests.server.cases import serve_one_page

MINE, THEIRS = (str(visitor_scope(digit * 32)) for digit in "12")
open_app = partial(serve_one_page)
NAMES = (
    'say "hi" 50%.pdf',
    "CON.pdf",
    "_CON.pdf",
    "nul.tar.pdf",
    "a#b;c$&?*.pdf",
    "<img src=x onerror=alert(1)>.pdf",
    "{{7*7}} \u5831\u544a\uff08\u6700\u7d42\uff09.pdf",
    "two  spaces and \u00e9.pdf",
    "x" * 240 + ".pdf",
)


@pytest.fixture
def visitor(new_visitor):
    visitor = new_visitor()
    visitor.open()
    return visitor


def test_names_on_the_page_are_those_on_the_disk(app, visitor, tmp_path):
    files = [write_pdf(tmp_path / name, f"cinnamon number {number}") for number, name in enumerate(NAMES)]
    visitor.upload(*files)
    shown = html.unescape(str(visitor.shown("uploads")))
    found = html.unescape(visitor.search("cinnamon", ON_MINE))
    documents = app.engine.documents(LOCAL)
    assert {document.name for document in documents} == set(NAMES)
    for name in NAMES:
        assert f"<bdi>{name}</bdi>" in shown
    titles = re.findall(r'class="title"><bdi>(.*?)</bdi>', found)
    assert titles
    assert set(titles) <= set(NAMES)
    for document in documents:
        app.engine.delete_document(LOCAL, document.file)


def test_documents_of_one_name_are_told_apart_on_the_page(app, visitor, tmp_path):
    for folder in ("one", "two", "three"):
        (tmp_path / folder).mkdir()
        visitor.upload(write_pdf(tmp_path / folder / "report.pdf", f"saffron {folder}"))
    assert "Another report.pdf is here already, so this one is called report (3).pdf." in str(visitor.shown("uploads"))
    visitor.upload(tmp_path / "two" / "report.pdf")
    assert "Already in the library as report (2).pdf." in str(visitor.shown("uploads"))
    names = [document.name for document in app.engine.documents(LOCAL)]
    assert sorted(names) == ["report (2).pdf", "report (3).pdf", "report.pdf"]
    titles = set(re.findall(r'class="title"><bdi>(.*?)</bdi>', visitor.search("saffron", ON_MINE)))
    assert titles == set(names)
    visitor.upload(write_pdf(tmp_path / "tides.pdf", "another tide"))  # the name of a sample, which is searched with it
    assert "tides (2).pdf" in {document.name for document in app.engine.documents(LOCAL)}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.text(st.characters(exclude_characters="\\/", exclude_categories=("Cc", "Cs")), min_size=1, max_size=60),
        min_size=1,
        max_size=4,
    )
)
def test_any_name_that_a_browser_sends_is_read_back(names):
    if any(escape in name.upper() for name in names for escape in ("%0", "%1", "%2")):
        return  # the form's own escapes, which it does not tell apart from a name
    request = httpx.Request("POST", "http://localhost", files=[("files", (name, b"x")) for name in names])
    pieces = [{"type": "http.request", "body": request.read(), "more_body": False}]

    async def receive():
        return pieces.pop()

    stream = UploadStream(receive, request.headers["content-type"].encode(), upload_limits(Settings()))
    asyncio.run(stream.receive())
    assert list(map(clean_name, stream.names)) == list(map(clean_name, names))


def test_a_copy_without_a_known_name_has_its_own(tmp_path):
    tracker = UploadTracker()
    path, other = tmp_path / "_CON.pdf", tmp_path / "other.pdf"
    assert tracker.original_name(path) == "_CON.pdf"
    tracker.add_copies("a", [path, other], ["CON.pdf", ""])
    assert (tracker.original_name(path), tracker.original_name(other)) == ("CON.pdf", "other.pdf")
    tracker.add_copies("a", [path, other], ["too few"])
    assert tracker.original_name(path) == "_CON.pdf"


def test_clients_with_one_copy_are_each_given_their_own_name(tmp_path, monkeypatch):
    """Gradio names a copy's folder by its content and rewrites its name, so two clients may share the copy."""
    tracker, path = UploadTracker(), tmp_path / "_CON.pdf"
    for client, name in ((MINE, "CON.pdf"), (THEIRS, "_CON.pdf"), ("from 10.0.0.9", "con?.pdf")):
        tracker.add_copies(client, [path], [name])
    for headers, address, name in (
        ({VISITOR_HEADER: "1" * 32}, "10.0.0.9", "CON.pdf"),
        ({VISITOR_HEADER: "2" * 32}, "10.0.0.9", "_CON.pdf"),
        ({}, "10.0.0.9", "con?.pdf"),
        ({VISITOR_HEADER: "3" * 32}, "10.0.0.9", "_CON.pdf"),  # of no known upload: the name of the copy
    ):
        encoded = [(key.encode(), value.encode()) for key, value in headers.items()]
        request = Request({"type": "http", "headers": encoded, "client": (address, 1)})
        token = LocalContext.request.set(gradio.Request(request))
        try:
            assert tracker.original_name(path) == name
        finally:
            LocalContext.request.reset(token)


@given(st.lists(st.sampled_from(["a.pdf", "a (2).pdf", "a", "a.tar.gz", ".pdf", "(2)"]), max_size=12))
def test_names_given_one_after_another_are_all_different(names):
    taken = []
    for name in names:
        taken.append(unique_name(name, taken))
        assert taken[-1] == name or name in taken[:-1]
    assert len(set(taken)) == len(names)
