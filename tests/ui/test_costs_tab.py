"""What the tab under the hood is answered: any argument, any library, and only what was measured."""

import json
from dataclasses import replace

import gradio as gr
import pytest

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.search.request import ON_BOTH, ON_MINE, ON_SAMPLES, parse_request
from smart_demo.types import LOCAL, SAMPLES, Query
from smart_demo.ui.api import SearchEndpoint
from tests.ui.cases import NONSENSE, page_keys
from tests.ui.costs_cases import HOSTILE_QUERIES, add_own, under


@pytest.fixture
def hood(private_page):
    return under(private_page)


def without_times(answer):
    return {key: value for key, value in answer.items() if key != "milliseconds"}


@pytest.mark.parametrize("value", NONSENSE, ids=repr)
def test_any_argument_is_answered_in_words_or_figures(hood, value):
    assert set(hood.inspect(value)) in ({"sentence"}, {"costs", "environment", "program"})
    fields = dict.fromkeys(parse_request().fields, value)
    assert set(hood.inspect(fields)) in ({"sentence"}, {"costs", "environment", "program"})
    found = hood.inspect(fields | {"picture": ""})
    assert set(found) == {"costs", "environment", "program"}
    assert json.loads(json.dumps(found, ensure_ascii=True))


def test_without_a_question_there_are_costs_and_no_code(hood):
    found = hood.inspect({"scope": ON_MINE})
    assert "1 page of your documents, encoded by words" in found["costs"]
    assert set(found["program"]) == {"sentence"}


@pytest.mark.parametrize("query", HOSTILE_QUERIES, ids=lambda query: ascii(query[:24]))
def test_the_scores_are_what_the_endpoint_answers(hood, private_page, query):
    """`words` reads letters and digits only: what has none is refused by both."""
    endpoint = SearchEndpoint(private_page)
    assert endpoint.scope == LOCAL
    program = hood.inspect(parse_request(query, ON_MINE, 5).fields)["program"]
    if "sentence" in program:
        with pytest.raises(gr.Error) as refused:
            endpoint.search(query, 5)
        assert refused.value.message == program["sentence"]
        return
    assert without_times(json.loads(program["scores"])) == without_times(endpoint.search(query, 5))
    assert program["differences"] == []


def test_figures_follow_the_library_on_the_screen(hood):
    for scope, pages in (
        (ON_SAMPLES, "2 pages of the samples,"),
        (ON_MINE, "1 page of your documents,"),
        (ON_BOTH, "3 pages of the samples and your documents,"),
    ):
        assert pages in hood.inspect(parse_request("tide", scope).fields)["costs"]


def test_a_figure_without_a_measurement_says_so(start_page):
    handlers = start_page()
    hood = under(handlers)
    assert "nothing to measure" in hood.inspect({"scope": ON_SAMPLES})["costs"]
    list(handlers.engine.prepare_samples())
    fresh = hood.inspect({"scope": ON_SAMPLES})["costs"]
    assert fresh.count("not measured yet") == 4 + 2 * 3  # stages of a query; scoring all and some, at three sizes
    assert "mean of 2 pages" in fresh
    handlers.engine.search(Query("tide"), (SAMPLES,))
    measured = hood.inspect({"scope": ON_SAMPLES})["costs"]
    assert "not measured yet" not in measured
    assert measured.count("median of 1 query<") == 4
    assert measured.count("not extrapolated") == 3


def test_the_price_is_a_plain_sentence_with_its_own_numbers(hood):
    # One-hot words of 1,024 axes: 4,096 bytes pooled; two words in int8: 2 · 1,024 codes, 4,100 mean and scale,
    # 2 · 8 box and 2 kind.
    costs = hood.inspect({"scope": ON_MINE})["costs"]
    times = (2 * 1_024 + 4_100 + 2 * 8 + 2) / 4_096
    assert f"takes {times:.3g} times the space of the pooled vectors alone: 6.17 kB a page instead of 4.1 kB." in costs


def test_a_public_page_never_looks_at_one_s_own(start_complete_page):
    public = start_complete_page(public=True, uploads=False)
    for scope in (ON_MINE, ON_BOTH):
        assert under(public).inspect(parse_request("harbour", scope).fields) == {
            "sentence": "Only the samples can be searched here."
        }
    shown = under(public).inspect(parse_request("harbour", ON_SAMPLES).fields)
    assert "mine.pdf" not in json.dumps(shown)
    assert shown["program"]["differences"] == []


def test_one_s_own_wait_for_a_model_that_loads(start_page):
    assert under(start_page()).inspect({"scope": ON_MINE}) == {
        "sentence": "words is still loading. Look again in a moment."
    }


def test_samples_on_their_way_have_no_code_yet(start_page):
    assert set(under(start_page()).inspect(parse_request("tide").fields)["program"]) == {"sentence"}


def test_pages_of_another_encoder_are_warned_of(start_page, tmp_path):
    before = start_page("a")
    add_own(before, tmp_path)
    assert "notice" not in under(before).inspect({"scope": ON_MINE})["environment"]
    before.engine.close()
    other = WordBackbone(["tide"])
    after = start_page("a", main=other)
    list(after.engine.prepare_samples())
    after.engine.backbones.main()
    samples, mine = (under(after).inspect({"scope": scope})["environment"] for scope in (ON_SAMPLES, ON_MINE))
    assert "The samples were encoded by words" in samples
    assert other.encoder.fingerprint not in samples
    assert other.encoder.fingerprint in mine
    assert "Another model encoded 1 page of your documents" in mine


def test_a_picture_is_left_out_of_code_and_admitted(hood, private_page):
    """`words` sees no picture, so its words alone are asked either way."""
    region = f"region:{page_keys(private_page, SAMPLES)[0]}:0.0000,0.0000,0.5000,0.5000"
    program = hood.inspect({**parse_request("tide", ON_SAMPLES).fields, "picture": region})["program"]
    assert any("the picture of this query is left out" in said for said in program["differences"])
    assert json.loads(program["scores"])["query"] == "tide"
    gone = hood.inspect({**parse_request("tide", ON_SAMPLES).fields, "picture": f"kept:{'0' * 32}"})
    assert set(gone) == {"costs", "environment", "program"}
    assert set(gone["program"]) == {"sentence"}


class Seeing(WordBackbone):
    """Finds one word in any picture."""

    def encode_query(self, query):
        return replace(super().encode_query(Query(query.text or "tide")), query=query)


def test_a_picture_alone_has_scores_and_no_code(start_page):
    handlers = start_page(main=Seeing())
    list(handlers.engine.prepare_samples(handlers.engine.backbones.main()))
    asked_with = {
        **parse_request("", ON_SAMPLES).fields,
        "picture": f"region:{page_keys(handlers, SAMPLES)[0]}:0.0000,0.0000,0.5000,0.5000",
    }
    program = under(handlers).inspect(asked_with)["program"]
    assert set(program) == {"sentence", "scores"}
    assert len(json.loads(program["scores"])["results"]["smart"]) == 2
