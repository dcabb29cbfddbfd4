"""A public page through the real server: no visitor can list, search, open, explain or delete another's documents.

A stranger calls every event and every server function of the page and knows every name: page ids, file hashes, the
digest that names the owner on disk. The stranger does not know the owner's secret.
"""

import asyncio
import json
import re
from functools import partial
from types import SimpleNamespace

import httpx
import pytest
from gradio_client import Client
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

from smart_demo.search.request import ON_BOTH, ON_MINE, ON_SAMPLES
from smart_demo.server.picture_addresses import picture_version
from smart_demo.server.visitors import VISITOR_HEADER, visitor_scope
from tests.documents import write_pdf
from tests.server.cases import serve_one_page
from tests.server.visitor import API, EventFailed, Visitor

open_app = partial(serve_one_page, SMART_PUBLIC="on")
NAME, SAID = "ledger-of-alice.pdf", "saffron"
"""Texts that only the owner may read: her document's name, and a word on it that no query contains."""


@pytest.fixture(scope="module")
def alice(app, tmp_path_factory):
    visitor = Visitor(app.url)
    visitor.open()
    folder = tmp_path_factory.mktemp("alice")
    visitor.upload(write_pdf(folder / NAME, f"zanzibar cloves\n{SAID}", f"zanzibar nutmeg\n{SAID}"))
    scope = visitor_scope(visitor.secret)
    pages = app.engine.library.pages([scope], app.engine.backbone(scope).encoder.fingerprint)
    assert len(pages) == 2
    visitor.known = SimpleNamespace(scope=scope, pages=pages, file=pages[0].id.file)
    yield visitor
    visitor.close()


@pytest.fixture
def bob(new_visitor):
    visitor = new_visitor()
    visitor.open()
    return visitor


def names_of_pages(alice):
    """Return the names of a page: as its owner's browser sends it, and as the disk has it."""
    return [f"{scope}/{alice.known.pages[0].id}" for scope in ("local", alice.known.scope)]


def questions(alice):
    """Yield the requests of the page's scripts, about her pages."""
    other = f"local/{alice.known.pages[1].id}"
    for scope in (ON_MINE, ON_BOTH, str(alice.known.scope)):
        yield {"text": "zanzibar", "scope": scope}
    for page in names_of_pages(alice):
        asked, pages = {"text": "zanzibar", "scope": ON_MINE}, [[page, 360, 100], [other, 360, 100]]
        like = f"region:{page}:0.0000,0.0000,1.0000,1.0000"
        yield {"asked": asked, "page": page, "other": other, "view": "query", "at": "http://127.0.0.1/", "slide": 1}
        yield {"asked": asked, "pages": pages}
        yield {"asked": asked | {"scope": ON_BOTH, "picture": like}, "page": page, "pages": pages}
        yield asked | {"picture": like}
        yield page
    yield {"owner": str(alice.known.scope).removeprefix("visitor-")}


def functions(visitor):
    """Yield (component, server function) of the whole page."""
    for one in visitor.components.values():
        for name in one["props"].get("server_fns") or ():
            yield one["props"]["elem_id"], name


def reveals(alice, text):
    """Return whether an answer contains anything of hers."""
    return NAME in text or SAID in text or str(alice.known.scope) in text


def ask_everything(visitor, alice):
    """Return the raw answers of every server function to every request, by function."""
    answers = {}
    for elem_id, name in functions(visitor):
        if name == "forget":
            continue
        body = {"component_id": visitor.component(elem_id), "fn_name": name, "session_hash": visitor.session}
        for wanted in questions(alice):
            said = visitor.http.post(f"{API}/component_server", json=body | {"data": wanted})
            answers.setdefault(name, []).append(said.text)
    return answers


@pytest.fixture(scope="module")
def hers(alice):
    """Return the answers that the owner herself gets."""
    return ask_everything(alice, alice)


def test_server_functions_answer_the_owner_and_reveal_nothing_to_a_stranger(alice, bob, hers):
    his = ask_everything(bob, alice)
    assert {"picture", "explain", "overlay", "pair", "hood", "comparison", "slide"} <= hers.keys()
    for name, answers in his.items():
        assert not any(reveals(alice, text) for text in answers), name
    for name in ("hood", "comparison", "slide"):
        assert any(NAME in text for text in hers[name]), name
    for name in ("picture", "explain", "overlay", "pair"):
        assert any("sentence" not in json.loads(text) for text in hers[name]), name
        assert all("sentence" in json.loads(text) for text in his[name]), name
    assert any("crop-picture" in text for text in hers["crops"])
    assert not any("crop-picture" in text for text in his["crops"])


def test_no_event_reveals_anything_to_a_stranger(alice, bob):
    given = {"query": "zanzibar", "scope": ON_MINE}
    page, owner = names_of_pages(alice)[1], str(alice.known.scope).removeprefix("visitor-")
    everything = {"file": alice.known.file, "query": "zanzibar", "page": page, "box": [0, 0, 1, 1], "owner": owner}
    asked = {"text": "zanzibar", "scope": ON_MINE}
    data = [everything | asked | {"act": "look"}, {**everything, "page": page.replace(owner, "")}, asked, page]
    for number, event in bob.events.items():
        if not event["backend_fn"] or bob.component("upload") in event["inputs"]:
            continue
        for wanted in data:
            try:
                outputs = bob.do(number, wanted, **given)
            except EventFailed as failed:
                outputs = [str(failed)]
            assert not reveals(alice, json.dumps(outputs)), (event["targets"], wanted)
    alice.look()
    assert NAME in alice.shown("documents"), "a stranger's request deleted it"


@pytest.mark.parametrize("scope", [ON_MINE, ON_BOTH, ON_SAMPLES])
def test_a_search_finds_only_own_documents_and_samples(alice, bob, scope):
    assert (NAME in alice.search("zanzibar cloves", scope)) == (scope != ON_SAMPLES)
    assert NAME not in bob.search("zanzibar cloves", scope)


def test_the_owner_s_name_on_disk_never_leaves_the_server(alice, hers):
    alice.open()
    alice.search("zanzibar", ON_BOTH)
    assert str(alice.known.scope) not in json.dumps(list(alice.state.values()), default=str)
    assert not [text for texts in hers.values() for text in texts if str(alice.known.scope) in text]


def test_judgements_belong_to_the_sender_of_the_header_and_no_request_names_another(alice, bob, new_visitor):
    asked, select = {"owner": alice.secret}, alice.event("judge-vote", "select")
    alice.do(select, {"act": "start"})
    (sheet,) = alice.do(select, {"act": "ask", "query": "harbour tables"})
    ticket = re.search(r'data-ticket="([0-9a-f]+)"', sheet)[1]
    vote = {"act": "vote", "ticket": ticket, "choice": "a"}
    assert bob.ask("judge-vote", "vote", vote | asked)["look"] is True
    assert alice.ask("judge-vote", "vote", vote)["said"].startswith("Saved.")
    assert "harbour tables" in alice.ask("judge-results", "board", {})["single"]
    assert bob.ask("judge-results", "board", asked)["single"] == ""
    assert "sentence" in bob.ask("judge-results", "board_file", asked | {"form": "jsonl"})
    assert bob.ask("judge-results", "board_forget", asked)["said"]
    assert "harbour tables" in new_visitor(alice.secret).ask("judge-results", "board", {})["single"]


def by_program(app, secret):
    headers = {VISITOR_HEADER: secret} if secret else {}
    client = Client(app.url, headers=headers, verbose=False, analytics_enabled=False)
    return json.dumps(client.predict(query="zanzibar cloves", top=50, api_name="/search"))


def test_the_endpoint_searches_own_documents_only_with_the_secret(app, alice):
    assert NAME in by_program(app, alice.secret)
    for other in ("", "5e" * 16, str(alice.known.scope).removeprefix("visitor-"), "local", alice.secret.upper()):
        assert NAME not in by_program(app, other), other


def test_the_query_cache_is_not_shared_between_visitors(app, alice, bob):
    def encoding(visitor):
        client = Client(app.url, headers={VISITOR_HEADER: visitor.secret}, verbose=False, analytics_enabled=False)
        return client.predict(query="a question of alice", api_name="/search")["milliseconds"]["encode"]

    assert encoding(alice) > 0
    assert encoding(alice) == 0
    assert encoding(bob) > 0


def test_an_assistant_without_the_secret_sees_the_samples(app, alice):
    async def talk(headers):
        async with (
            streamablehttp_client(f"{app.url}{API}/mcp/", headers=headers) as (reading, writing, _),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            return (await session.call_tool("search", {"query": "zanzibar"})).content[0].text

    assert NAME not in asyncio.run(talk({}))
    assert "tides.pdf" in asyncio.run(talk({}))
    assert NAME not in asyncio.run(talk({VISITOR_HEADER: str(alice.known.scope).removeprefix("visitor-")}))


def test_no_address_serves_a_stored_file(app, alice, bob):
    data = app.engine.settings.data_dir
    files = [path for path in data.rglob("*") if path.is_file() and alice.known.file in path.name]
    assert len(files) == 6, "token files, pictures and thumbnails of two pages"
    for path in files:
        for visitor in (alice, bob):
            for address in (f"{API}/file={path}", f"/file={path}", f"{API}/file={path.relative_to(data)}"):
                assert visitor.http.get(address).status_code in {403, 404, 405}, address


def own_addresses(visitor, page):
    """Return the addresses of the pictures of an own page, as scripts get them: on cards, whole and cropped."""
    key, asked = f"local/{page.id}", {"text": "zanzibar", "scope": ON_MINE}
    given = [visitor.search("zanzibar", ON_MINE)]
    given.append(visitor.ask("results", "picture", key)["picture"])
    given.append(visitor.ask("results", "crops", {"asked": asked, "pages": [[key, 360, 100]]})["crops"][0])
    found = [re.findall(r"pictures/own/[0-9a-f]{32}", markup) for markup in given]
    assert all(found)
    assert str(page.id) not in " ".join(re.findall(r"pictures/samples/\S+", " ".join(given)))
    return {address for addresses in found for address in addresses}


def test_own_pictures_have_random_addresses_that_answer_their_visitor_alone(app, alice, bob):
    addresses = own_addresses(alice, alice.known.pages[0])
    assert addresses == own_addresses(alice, alice.known.pages[0]), "a picture travels once"
    guessed = httpx.get(f"{app.url}/pictures/own/{'0' * 32}")
    assert guessed.status_code == 404
    for address in addresses:
        hers = alice.http.get(f"/{address}")
        assert (hers.status_code, hers.headers["content-type"]) == (200, "image/webp")
        assert re.fullmatch(r"private, max-age=\d{1,3}", hers.headers["cache-control"])
        assert hers.headers["vary"].lower() == VISITOR_HEADER
        nothing = [bob.http.get(f"/{address}"), httpx.get(f"{app.url}/{address}")]
        nothing.append(httpx.get(f"{app.url}/{address}", headers={VISITOR_HEADER: alice.secret.upper()}))
        for response in nothing:
            assert (response.status_code, response.content) == (404, guessed.content)
            assert response.headers["cache-control"] == "no-store"
        for site in ("cross-site", "same-site"):
            assert alice.http.get(f"/{address}", headers={"sec-fetch-site": site}).status_code == 403


@pytest.mark.parametrize("everything", [False, True])
def test_pictures_are_gone_with_the_document_and_with_everything(app, new_visitor, tmp_path, everything):
    visitor = new_visitor()
    visitor.open()
    visitor.upload(write_pdf(tmp_path / "short.pdf", "zanzibar pepper"))
    scope = visitor_scope(visitor.secret)
    (page,) = app.engine.library.pages([scope], app.engine.backbone(scope).encoder.fingerprint)
    addresses = own_addresses(visitor, page)
    assert {visitor.http.get(f"/{address}").status_code for address in addresses} == {200}
    if everything:
        assert "freed" in visitor.forget()["done"]
    else:
        visitor.delete(page.id.file)
    assert {visitor.http.get(f"/{address}").status_code for address in addresses} == {404}


def test_only_the_pictures_of_samples_may_be_stored_by_any_cache(app, alice):
    addresses = set(re.findall(r"pictures/[^\"]+", alice.search("tide tables", ON_SAMPLES)))
    assert addresses
    for address in addresses:
        assert address.startswith("pictures/samples/")
        response = httpx.get(f"{app.url}/{address}")
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert "vary" not in response.headers
    plain = f"pictures/samples/{alice.known.pages[0].id}/{picture_version(alice.known.pages[0])}/page.webp"
    assert alice.http.get(f"/{plain}").status_code == 404
    for address in ("/", "/config", f"{API}/info"):
        assert "public" not in alice.http.get(address).headers.get("cache-control", ""), address


def test_the_uploaded_copy_is_deleted_and_cannot_be_fetched(alice, bob, tmp_path):
    mine = write_pdf(tmp_path / "second-of-alice.pdf", "quinine")
    (sent,) = alice.send(mine)
    alice.do(alice.event("upload", "upload"), upload=[sent])
    while "is-working" in alice.shown("uploads") or "second" not in alice.shown("uploads"):
        alice.look()
    assert alice.http.get(f"{API}/file={sent['path']}").status_code in {403, 404}
    file = re.search(r'data-remove="([0-9a-f]{16})" data-name="second', alice.shown("documents"))[1]
    bob.delete(file)
    alice.look()
    alice.open()
    assert "second-of-alice" in alice.shown("documents")
    alice.delete(file)
    alice.open()
    assert "second-of-alice" not in alice.shown("documents")


def test_the_same_file_of_two_visitors_is_two_libraries(new_visitor, tmp_path):
    one, two = new_visitor(), new_visitor()
    for visitor in (one, two):
        visitor.open()
        visitor.upload(write_pdf(tmp_path / "common.pdf", "ginger and mace"))
        assert "common.pdf" in visitor.search("ginger", ON_MINE)
    assert "freed" in one.forget()["done"]
    one.open()
    assert "common.pdf" not in one.search("ginger", ON_MINE)
    two.open()
    assert "common.pdf" in two.search("ginger", ON_MINE)
    assert two.forget()["done"]


def test_a_visitor_who_returns_with_the_secret_finds_all_documents(alice, new_visitor):
    again = new_visitor(alice.secret)
    again.open()
    assert NAME in again.shown("documents")


@pytest.mark.parametrize(
    "header", ["", "0" * 31, "0" * 33, "Z" * 32, "visitor-x", "../../etc", "0" * 32 + ",", "é" * 16]
)
def test_an_invalid_secret_opens_nothing_and_may_add_nothing(app, header, tmp_path):
    with httpx.Client(base_url=app.url, headers={VISITOR_HEADER: header.encode()}) as http:
        visitor = Visitor(app.url, "")
        visitor.http = http
        visitor.open()
        assert visitor.shown("documents") in {"", None}
        before = app.engine.library.report.pages
        paper = write_pdf(tmp_path / "x.pdf", "x")
        with pytest.raises(httpx.HTTPStatusError, match="403"):
            visitor.send(paper)
        with httpx.Client(base_url=app.url, headers={VISITOR_HEADER: "f" * 32}) as another:
            visitor.http = another
            sent = visitor.send(paper)  # the path of another visitor's copy
        visitor.http = http
        visitor.do(visitor.event("upload", "upload"), upload=sent)
        visitor.look()
        assert app.engine.library.report.pages == before
        assert set(visitor.forget()) == {"sentence"}


def test_a_scope_chosen_before_the_first_answer_is_kept_and_searched_after_it(new_visitor):
    """The load event sends no scope but one that the address names; what the script then sends is answered."""
    visitor = new_visitor()
    chosen = {"scope": ON_MINE}
    visitor.do(visitor.event("scope", "input"), **chosen)
    assert "No pages here yet" not in visitor.shown("results"), "there is no query yet"
    load = next(one for one in visitor.events.values() if one["api_name"] == "open")
    at = load["outputs"].index(visitor.component("scope"))
    assert "value" not in visitor.do(load["id"])[at]
    assert "tides.pdf" in visitor.shown("results")
    visitor.do(visitor.event("results", "input"), **chosen)
    assert "No pages here yet" in visitor.shown("results")
