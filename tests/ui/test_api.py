"""The search for programs, asked as programs ask it: Gradio's client, plain HTTP, an assistant over MCP.

The app is launched as `app.py` launches it, around a backbone that loads at once.
"""

import asyncio
import inspect
import json
import math
import re
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import gradio as gr
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.errors import NoticeCode
from smart_demo.methods import LATE, POOLED, SMART
from smart_demo.search.retrieval import as_dict
from smart_demo.server.headers_and_links import rename_page_parameter
from smart_demo.types import LOCAL, SAMPLES, Query
from smart_demo.ui.api import SearchEndpoint
from smart_demo.ui.compare import render_results
from tests.documents import write_pdf
from tests.ui.costs_cases import add_own, served, started

FILE = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
VALUES = [
    "samples%2F0123456789abcdef-0001",
    "",
    "x" * 4_000,
    "%00",
    "%ff%fe",
    "..%2F..%2Fetc",
    "%3Cscript%3E",
    "%",
    "a=b=c",
]


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    """A public page whose data folder also has private documents."""
    folder = tmp_path_factory.mktemp("public")
    handlers = started(folder, public=True, uploads=False)
    list(handlers.engine.prepare_samples())
    add_own(handlers, folder)
    yield handlers
    handlers.engine.close()


@pytest.fixture(scope="module")
def address(public):
    with served(public) as address:
        yield address


@pytest.fixture(scope="module")
def client(address):
    return Client(address, verbose=False)


def without_times(answer):
    return {key: value for key, value in answer.items() if key != "milliseconds"}


def direct(handlers, query, scope, top):
    return without_times(as_dict(handlers.engine.search(Query(query), (scope,), (POOLED, SMART), top)))


def refusal(endpoint, *given):
    with pytest.raises(gr.Error) as refused:
        endpoint.search(*given)
    return refused.value.message


def look(address, parameters):
    """(status, markup) of the page at an address."""
    try:
        with urllib.request.urlopen(f"{address}?{parameters}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_an_answer_is_complete_or_refused(tmp_path):
    """From the first start: no sample, samples, then a document of one's own, which answers from there on."""
    handlers = started(tmp_path)
    with handlers.engine as engine, served(handlers) as address:
        asking = Client(address, verbose=False)
        waiting = r"the sample library is still being prepared \({} of 2\)"
        with pytest.raises(AppError, match=waiting.format(0)):
            asking.predict(query="tide", api_name="/search")
        steps = engine.prepare_samples()
        while engine.samples().ready < 1:
            next(steps)
        with pytest.raises(AppError, match=waiting.format(1)):
            asking.predict(query="tide", api_name="/search")
        list(steps)
        assert without_times(asking.predict(query="tide", api_name="/search")) == direct(handlers, "tide", SAMPLES, 5)
        engine.backbones.main()
        add_own(handlers, tmp_path)
        own = asking.predict(query="harbour", top=1, api_name="/search")
        assert without_times(own) == direct(handlers, "harbour", LOCAL, 1)
        assert [hit["document"] for hit in own["results"]["smart"]] == ["mine.pdf"]


def test_a_preparation_that_failed_is_no_preparation(tmp_path):
    handlers = started(tmp_path)
    with handlers.engine:
        handlers.preparation.error = "The samples could not be prepared. The disk is full."
        said = refusal(SearchEndpoint(handlers), "tide")
    assert "still being prepared" not in said
    assert "The disk is full." in said


def test_a_sample_that_proves_damaged_leaves_no_partial_answer(tmp_path):
    handlers = started(tmp_path)
    with handlers.engine as engine:
        list(engine.prepare_samples())
        first = sorted((tmp_path / "data" / "tokens").rglob("*.safetensors"))[0]
        whole = first.read_bytes()
        first.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert "(1 of 2)" in refusal(SearchEndpoint(handlers), "tide")


def test_an_answer_says_what_to_know_beside_it(tmp_path):
    def codes(handlers):
        return [notice["code"] for notice in SearchEndpoint(handlers).search("tide")["notices"]]

    with (handlers := started(tmp_path, exhaustive=0, candidates=1)).engine as engine:
        list(engine.prepare_samples())
        assert codes(handlers) == ["ranked-n-of-m"]
        add_own(handlers, tmp_path)
        assert codes(handlers) == []
    write_pdf(tmp_path / "samples" / "blank.pdf", "")
    with (handlers := started(tmp_path, main=WordBackbone(["tide"]), public=True)).engine as engine:
        list(engine.prepare_samples())
        assert codes(handlers) == ["samples-not-whole"]
    with (handlers := started(tmp_path, main=WordBackbone(["tide"]))).engine as engine:
        engine.backbones.main()
        list(engine.add(LOCAL, [(write_pdf(tmp_path / "other.pdf", "tide"), "other.pdf")]))
        assert codes(handlers) == ["other-model"]


class StrangeBackbone(WordBackbone):
    """Knows few of the words of a page that names the moon."""

    def encode_pages(self, pages):
        return [
            replace(made, few_known_words=any(word.text == "moon" for word in page.words))
            for page, made in zip(pages, super().encode_pages(pages), strict=True)
        ]


def test_results_of_few_known_words_have_a_notice(tmp_path):
    text = "words knows few words of 1 of these pages, so its rank says little."
    with (handlers := started(tmp_path, main=StrangeBackbone())).engine as engine:
        engine.backbones.main()
        path = write_pdf(tmp_path / "own.pdf", "tide table", "tide moon", "harbour")
        list(engine.add(LOCAL, [(path, path.name)]))
        answer = SearchEndpoint(handlers).search("tide", 2)
        assert answer["notices"] == [{"code": "few-known-words-on-page", "text": text}]
        assert SearchEndpoint(handlers).search("table", 1)["notices"] == []
        found = engine.search(Query("tide"), (LOCAL,), (POOLED, LATE, SMART), 2)
        assert text in render_results(found, lambda _: "")
        found = engine.search(Query("table"), (LOCAL,), (POOLED, LATE, SMART), 1)
        assert "few words" not in render_results(found, lambda _: "")


def test_the_manual_lists_every_code_of_a_notice():
    manual = (Path(__file__).parents[2] / "assets" / "usage.md").read_text("utf-8")
    _, _, codes = manual.partition("| code |")
    assert re.findall(r"^\| `([a-z-]+)` \|", codes, re.MULTILINE) == list(NoticeCode)


def test_own_documents_need_their_model_and_samples_never_answer_in_their_place(tmp_path):
    with (before := started(tmp_path)).engine:
        list(before.engine.prepare_samples())
        add_own(before, tmp_path)
    with (handlers := started(tmp_path)).engine:  # after a restart the model is not loaded yet
        assert "words is still loading" in refusal(SearchEndpoint(handlers), "tide")


def test_a_public_page_answers_from_the_samples_alone(public, client):
    answer = client.predict(query="harbour", top=50, api_name="/search")
    assert without_times(answer) == direct(public, "harbour", SAMPLES, 50)
    assert {hit["document"] for hits in answer["results"].values() for hit in hits} == {"tides.pdf"}
    assert set(answer) == {"query", "pages", "candidates", "milliseconds", "results", "notices"}
    assert list(answer["results"]) == ["pooled", "smart"]


def test_it_is_the_only_documented_endpoint(client):
    told = client.view_api(return_format="dict", print_info=False)
    (endpoint,) = told["named_endpoints"].values()
    assert list(told["named_endpoints"]) == ["/search"]
    assert told["unnamed_endpoints"] == {}
    parameters = [(p["parameter_name"], p["type"], p["parameter_default"]) for p in endpoint["parameters"]]
    assert parameters == [("query", {"type": "string"}, None), ("top", {"type": "integer"}, 5)]
    assert endpoint["returns"][0]["type"]["type"] == "object"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"query": ""}, "The query is empty."),
        ({"query": " \n "}, "The query is empty."),
        ({"query": None}, "The query is empty."),
        ({"query": 5}, "The query is empty."),
        ({"query": ["tide"]}, "The query is empty."),
        ({"query": "\0\0"}, "The query is empty."),
        ({"query": "x" * 20_001}, "20,001 characters"),
        ({"query": "tide", "top": 0}, "from 1 to 50"),
        ({"query": "tide", "top": 51}, "from 1 to 50"),
        ({"query": "tide", "top": 1.5}, "from 1 to 50"),
        ({"query": "tide", "top": True}, "from 1 to 50"),
        ({"query": "tide", "top": "5"}, "from 1 to 50"),
    ],
    ids=ascii,
)
def test_an_invalid_search_is_refused_with_a_message(client, given, said):
    with pytest.raises(AppError) as refused:
        client.predict(api_name="/search", **given)
    assert said in str(refused.value)
    assert "Traceback" not in str(refused.value)


@pytest.mark.parametrize("top", [math.nan, math.inf, -math.inf, 10**400, None, {}])
def test_no_number_breaks_it(public, top):
    assert "from 1 to 50" in refusal(SearchEndpoint(public), "tide", top)


def test_an_unexpected_error_is_logged_and_not_returned(public, monkeypatch, caplog):
    def broken(*_):
        raise KeyError("secret")

    monkeypatch.setattr(public.engine, "search", broken)
    assert refusal(SearchEndpoint(public), "tide") == "Something went wrong. The log of the demo says what happened."
    assert "secret" in caplog.text


def call(address, *given):
    """(event, data) of the two steps in which the curl under the hood asks."""
    body = json.dumps({"data": given}).encode()
    wanted = urllib.request.Request(f"{address}gradio_api/call/search", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(wanted, timeout=20) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{address}gradio_api/call/search/{event}", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return lines[0], json.loads(lines[1].removeprefix("data: "))


def test_plain_http_gets_it_in_two_steps(public, address):
    event, (answer,) = call(address, "tide", 1)
    assert event == "event: complete"
    assert without_times(answer) == direct(public, "tide", SAMPLES, 1)


@pytest.mark.parametrize("given", [(FILE, 1), ("tide", FILE), ([FILE], 1), ({"path": "/etc/passwd"},)], ids=ascii)
def test_a_path_to_a_file_is_never_followed(address, given):
    event, data = call(address, *given)
    assert event == "event: error"
    assert "root:" not in json.dumps(data)


def test_an_assistant_finds_one_tool_that_answers_in_json_and_takes_no_files(public, address):
    async def talk():
        async with streamablehttp_client(f"{address}gradio_api/mcp/") as (reading, writing, _):
            return await ask(reading, writing)

    async def ask(reading, writing):
        async with ClientSession(reading, writing) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            others = [*(await session.list_resources()).resources, *(await session.list_prompts()).prompts]
            given = [{"query": "tide", "top": 2}, {"query": ""}, {"query": FILE}, {"query": "x", "top": 99}]
            return tools, others, [await session.call_tool("search", one) for one in given]

    (tool,), others, (good, empty, file, many) = asyncio.run(talk())
    assert tool.name == "search"
    assert "SMART late interaction" in tool.description
    assert set(tool.inputSchema["properties"]) == {"query", "top"}
    assert tool.inputSchema["required"] == ["query"]
    assert "1 to 50" in tool.inputSchema["properties"]["top"]["description"]
    assert others == []
    assert not good.isError
    assert without_times(json.loads(good.content[0].text)) == direct(public, "tide", SAMPLES, 2)
    for answer, said in ((empty, "The query is empty."), (file, "not of type 'string'"), (many, "from 1 to 50")):
        assert answer.isError
        assert said in answer.content[0].text


def test_the_signature_is_the_documented_one():
    query, top, *rest = inspect.signature(SearchEndpoint.search).parameters.values()
    assert query.name == "self"
    assert (top.name, top.annotation, top.default) == ("query", str, inspect.Parameter.empty)
    assert (rest[0].name, rest[0].annotation, rest[0].default) == ("top", int, 5)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", ["page", "p%61ge"])
def test_a_link_to_a_page_opens_whatever_it_says(address, name, value):
    status, markup = look(address, f"q=tide&{name}={value}&present=1")
    assert status == 200
    assert "gradio_config" in markup


def test_pages_of_gradio_s_own_are_left_alone(address):
    for path in ("config", "gradio_api/info"):
        with urllib.request.urlopen(f"{address}{path}?page=nowhere", timeout=20) as answer:
            assert answer.status == 200
    assert look(f"{address}nowhere", "page=x")[0] == 404


@pytest.mark.parametrize(
    ("asked", "handed_on"),
    [
        (b"", b""),
        (b"page=x", b"at=x"),
        (b"page", b"at"),
        (b"a=page&page=b&page=c", b"a=page&at=b&at=c"),
        (b"webpage=x&pages=y", b"webpage=x&pages=y"),
        (b"%70age=%ff", b"at=%ff"),
        (b"&&=&page=&", b"&&=&at=&"),
        (quote("page=x").encode(), quote("page=x").encode()),
    ],
)
def test_only_the_name_is_changed(asked, handed_on):
    assert rename_page_parameter(asked) == handed_on
