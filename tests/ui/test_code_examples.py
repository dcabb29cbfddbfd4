"""Code that is shown is code that is run: every language is handed to what reads it, with the worst of queries."""

import ast
import json
import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo import cli
from smart_demo.methods import SMART, Counted, Reduce, Weights
from smart_demo.types import LOCAL, SAMPLES
from smart_demo.ui import api
from smart_demo.ui.api import ShownQuery
from tests.ui.costs_cases import HOSTILE_QUERIES

ADDRESS = "http://127.0.0.1:7860/"
AS_SHOWN = ShownQuery((SAMPLES,), SMART.weights, has_picture=False, endpoint_scope=SAMPLES, has_own_pages=False)


def text(pieces):
    return "".join(ADDRESS if piece is None else piece for piece in pieces)


def run(script, folder):
    """What a POSIX shell makes of a script in which commands are stand-ins that say their arguments, NUL after each."""
    done = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, timeout=20, check=True)
    assert done.stderr == b""
    assert list(folder.iterdir()) == []  # nothing in the query was executed
    return [argument.decode() for argument in done.stdout.split(b"\0")[:-1]]


@pytest.fixture(params=HOSTILE_QUERIES, ids=lambda query: ascii(query[:24]))
def query(request):
    return request.param


def test_python_code_has_the_exact_query(query):
    tree = ast.parse(text(api.python_code(query, 7)))
    calls = {ast.unparse(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert ast.literal_eval(calls["Client"].args[0]) == ADDRESS
    given = {word.arg: ast.literal_eval(word.value) for word in calls["client.predict"].keywords}
    assert given == {"query": query, "top": 7, "api_name": "/search"}


def test_curl_sends_the_exact_query_and_fetches_the_result(query, tmp_path):
    stand_in = """curl() { printf '%s\\0' "$@" >&3; printf '%s' '{"event_id":"ab12"}'; }\n"""
    said = run(f"exec 3>&1\n{stand_in}{text(api.curl_code(query, 7))} > /dev/null", tmp_path)
    body = json.loads(said[said.index("-d") + 1])
    assert body == {"data": [query, 7]}
    assert f"{ADDRESS}gradio_api/call/search" in said
    assert said[-1] == f"{ADDRESS}gradio_api/call/search/ab12"


@pytest.mark.parametrize("samples", [False, True])
def test_the_shell_command_has_the_exact_query(query, samples, tmp_path):
    stand_in = """python() { printf '%s\\0' "$@"; }\n"""
    said = run(stand_in + api.shell_command(query, 7, samples=samples), tmp_path)
    assert said[:2] == ["-m", "smart_demo"]
    options = cli.build_parser().parse_args(said[2:])
    assert (options.query, options.top, options.samples, options.json) == (query, 7, samples, True)


def test_nothing_that_is_shown_is_invisible(query):
    for shown in (
        text(api.python_code(query, 5)),
        text(api.curl_code(query, 5)),
        api.shell_command(query, 5, samples=True),
        api.readable_json({query: [query]}, indent=1),
    ):
        assert all(character.isprintable() or character == "\n" for character in shown)


def test_a_plain_query_is_shown_as_it_was_typed():
    asked = "price of the größe, 2024"
    for shown in (
        text(api.python_code(asked, 5)),
        text(api.curl_code(asked, 5)),
        api.shell_command(asked, 5, samples=False),
    ):
        assert asked in shown


@settings(deadline=None, max_examples=25)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=40))
def test_a_shell_reads_quoted_words_unchanged(words):
    # `$(…)` drops line ends behind a word; queries have none, since they are stripped.
    words = [word.rstrip("\n") for word in words]
    command = f"printf '%s\\0' {' '.join(map(api.quote_word, words))}"
    out = subprocess.run(["sh", "-c", command], capture_output=True, timeout=20, check=True).stdout
    assert out == "".join(f"{word}\0" for word in words).encode()


@given(st.text())
def test_readable_json_is_json(anything):
    assert json.loads(api.readable_json({"a": [anything]})) == {"a": [anything]}


def test_no_difference_is_listed_if_screen_and_program_agree():
    assert api.list_differences(AS_SHOWN) == []
    assert api.list_shell_differences(AS_SHOWN) == [api.SHELL_NOTE]


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (Weights(0.5, 2.5), "0.50 and 2.50"),
        (Weights(reduce=Reduce.SUM), "1.00 and 1.00, the sum"),
        (Weights(counted=Counted.CONTENT), "the query's own words alone"),
    ],
)
def test_other_weights_are_listed_for_all_programs(weights, said):
    shown = ShownQuery((SAMPLES,), weights, has_picture=False, endpoint_scope=SAMPLES, has_own_pages=False)
    assert said in api.list_differences(shown)[0]
    assert said in api.list_shell_differences(shown)[1]


def test_another_library_and_a_picture_are_listed():
    (told,) = api.list_differences(
        ShownQuery((SAMPLES,), SMART.weights, has_picture=False, endpoint_scope=LOCAL, has_own_pages=True)
    )
    assert "answers from your documents" in told
    assert "shows the samples" in told
    both = ShownQuery((SAMPLES, LOCAL), SMART.weights, has_picture=True, endpoint_scope=LOCAL, has_own_pages=True)
    picture, library = api.list_differences(both)
    assert picture.startswith("The endpoint takes words alone")
    assert "the samples and your documents" in library
    assert any(
        "--samples" in said
        for said in api.list_shell_differences(ShownQuery((SAMPLES,), SMART.weights, False, LOCAL, True))
    )
    assert not any("--samples" in said for said in api.list_shell_differences(both))


def test_the_command_is_one_line():
    assert shlex.split(api.shell_command("tide table", 3, samples=True)) == [
        "python", "-m", "smart_demo", "search", "tide table", "--top", "3", "--json", "--samples",
    ]  # fmt: skip
