"""Handlers as curl may call them: any argument, any order, public or not."""

import copy
import inspect
import json
from dataclasses import replace
from unittest.mock import Mock
from urllib.parse import parse_qsl

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.backbones.registry import BUNDLED_BACKBONE
from smart_demo.config import Settings
from smart_demo.errors import BackboneUnavailable, InputRefused
from smart_demo.methods import Counted, Reduce, Weights
from smart_demo.search.request import (
    MAX_URL_QUERY_CHARS,
    ON_BOTH,
    ON_MINE,
    ON_SAMPLES,
    format_url_query,
    parse_request,
    parse_request_fields,
    parse_url_query,
)
from smart_demo.server.picture_addresses import OWN_FOLDER, SAMPLES_FOLDER
from smart_demo.types import LOCAL, SAMPLES, Query
from smart_demo.ui import theme
from smart_demo.ui.app import build_app
from smart_demo.ui.events import show_errors_as_toast
from smart_demo.ui.format import page_key
from smart_demo.ui.viewer import ExplainHandlers
from tests.ui.cases import NONSENSE, page_keys, stored_pages


@pytest.mark.parametrize("value", NONSENSE, ids=repr)
def test_any_value_becomes_a_valid_request(value):
    wanted = parse_request(value, value, value, value, value, value, value, value)
    assert isinstance(wanted.text, str)
    assert wanted.scope == ON_SAMPLES
    assert 3 <= wanted.top <= 20
    assert 0 <= wanted.weights.pooled <= 4
    assert 0 <= wanted.weights.late <= 4
    assert (wanted.weights.reduce, wanted.weights.counted) == (Reduce.MEAN, Counted.ALL)
    assert parse_request_fields(wanted.fields) == wanted


def test_pages_that_are_not_there_or_not_ours_are_one_sentence(fresh_page):
    keys = ["samples", "samples/", "samples/../../etc/passwd", "samples/0123456789abcdef-0001"]
    for key in [*NONSENSE, *keys, "other/0123456789abcdef-0001", "Samples/0123456789abcdef-0001"]:
        assert set(fresh_page.load_picture(key)) == {"sentence"}, key


def test_pages_of_both_scopes_are_shown_to_their_owner(fresh_page):
    for scope, folder in ((SAMPLES, SAMPLES_FOLDER), (LOCAL, OWN_FOLDER)):
        key = page_keys(fresh_page, scope)[0]
        assert fresh_page.load_picture(key)["picture"].startswith(folder)


def test_only_a_file_hash_can_be_deleted(fresh_page):
    for file in [*NONSENSE, "../x", "A" * 16]:
        with pytest.raises(InputRefused):
            fresh_page.delete_document(file)
    assert len(fresh_page.list_documents(LOCAL)) == 1


def test_a_delete_removes_the_document_and_says_how_much(fresh_page):
    (mine,) = fresh_page.list_documents(LOCAL)
    assert fresh_page.delete_document(mine.file).startswith("mine.pdf is deleted: ")
    assert fresh_page.list_documents(LOCAL) == ()


def test_a_sample_cannot_be_deleted_by_its_hash(fresh_page):
    (sample,) = fresh_page.list_documents(SAMPLES)
    fresh_page.delete_document(sample.file)
    assert fresh_page.list_documents(SAMPLES) == (sample,)


def test_scopes_of_one_encoder_may_be_searched_together(fresh_page):
    assert fresh_page.scope_choices() == [ON_SAMPLES, ON_MINE, ON_BOTH]
    assert "ranked 3 of 3 pages" in fresh_page.render_answer(parse_request("harbour", ON_BOTH, 5, 1, 1))


def test_a_public_page_shows_samples_and_nothing_else(start_complete_page):
    public = start_complete_page(public=True, uploads=False)
    page = stored_pages(public, LOCAL)[0]
    assert public.scope_choices() == [ON_SAMPLES]
    assert set(public.load_picture(page_key(LOCAL, page.id))) == {"sentence"}
    assert set(ExplainHandlers(public).words({"page": page_key(LOCAL, page.id)})) == {"sentence"}
    for scope in (ON_MINE, ON_BOTH):
        with pytest.raises(InputRefused):
            public.render_answer(parse_request("harbour", scope, 5, 1, 1))
    with pytest.raises(InputRefused):
        public.delete_document(page.id.file)
    app = build_app(public.engine, public.preparation, public.picture_addresses)
    assert not any(isinstance(block, gr.File) for block in app.blocks.values())


def test_samples_in_preparation_are_shown_as_such(start_page):
    assert "Preparing the sample library" in start_page().render_answer(parse_request("tide", ON_SAMPLES, 5, 1, 1))


def test_own_documents_cannot_be_searched_while_the_model_loads(start_page):
    waiting = start_page()
    assert "words is still loading" in waiting.render_answer(parse_request("tide", ON_MINE, 5, 1, 1))
    assert waiting.background_state().busy


def test_a_fallback_from_a_model_that_cannot_be_loaded_names_the_reason(start_page):
    fallen = start_page(main=BackboneUnavailable("The hub cannot be reached.", "Check the network."))
    fallen.engine.backbones.main()
    assert "The hub cannot be reached." in fallen.background_state().serving.reason
    assert fallen.background_state().serving.name == BUNDLED_BACKBONE


class Eyes(WordBackbone):
    """A model of another name."""

    @property
    def encoder(self):
        return replace(super().encoder, name="eyes")


def test_until_a_model_has_encoded_the_samples_another_answers_there_and_the_page_says_so(start_page):
    handlers = start_page(main=Eyes(["tide"]))
    app = build_app(handlers.engine, handlers.preparation, handlers.picture_addresses)
    (poll,) = (fn for fn in app.fns.values() if fn.api_name == "look")

    def shown():
        """Return what a visitor's page shows of the models."""
        updates = poll.fn(["", ""], ["", "", ""], *[None] * (len(poll.inputs) - 2)).values()
        return " ".join(str(value) for value in updates if isinstance(value, str))

    list(handlers.engine.prepare_samples())
    main = handlers.engine.backbones.main()
    assert "words answers on the samples: eyes has not encoded all of them." in shown()
    assert "The samples are served by words." in shown()
    assert handlers.engine.search(Query("tide"), [SAMPLES]).encoder.name == "words"
    list(handlers.engine.prepare_samples(main))
    assert "words answers" not in shown()
    assert "served by" not in shown()
    assert handlers.engine.search(Query("tide"), [SAMPLES]).encoder.name == "eyes"


def test_the_background_state_is_idle_when_done_and_changes_when_a_page_is_deleted(fresh_page):
    before = fresh_page.background_state()
    assert not before.busy
    assert fresh_page.background_state().fingerprint == before.fingerprint
    fresh_page.delete_document(fresh_page.list_documents(LOCAL)[0].file)
    assert fresh_page.background_state().fingerprint != before.fingerprint
    assert fresh_page.background_state().answer_fingerprint != before.answer_fingerprint


@given(
    st.builds(
        parse_request,
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).map(str.strip).filter(bool),
        st.sampled_from([ON_SAMPLES, ON_MINE, ON_BOTH]),
        st.integers(3, 20),
        st.integers(0, 80).map(lambda steps: steps / 20),
        st.integers(0, 80).map(lambda steps: steps / 20),
        st.sampled_from(Reduce),
        st.sampled_from(Counted),
    )
)
def test_an_address_and_the_browser_s_memory_ask_the_same_again(wanted):
    assert parse_url_query(dict(parse_qsl(format_url_query(wanted))), parse_request("other")) == wanted
    assert parse_request_fields(json.loads(json.dumps(wanted.fields))) == wanted


def test_an_address_asks_the_same_again():
    wanted = parse_request('größe & "farbe" = ?', ON_MINE, 7, 0.35, 2.4)
    again = parse_url_query(dict(parse_qsl(format_url_query(wanted))), parse_request("other", ON_SAMPLES, 5, 1, 1))
    assert again == wanted
    assert len(format_url_query(parse_request("x" * 9_000, ON_MINE, 7, 1, 1))) < MAX_URL_QUERY_CHARS + 100


@pytest.mark.parametrize("value", ["", "nan", "inf", "-3", "x", "1e99", "٣"])
def test_a_strange_address_asks_something_sensible(value):
    otherwise = parse_request("tide", ON_SAMPLES, 5, 1, 1)
    wanted = parse_url_query(dict.fromkeys(["in", "k", "pooled", "late"], value), otherwise)
    assert wanted.text == "tide"
    assert 3 <= wanted.top <= 20
    assert Weights(0, 0).pooled <= wanted.weights.pooled <= 4


def test_an_unexpected_error_is_logged_and_leaves_the_page_unchanged(caplog, monkeypatch):
    said = []
    monkeypatch.setattr(gr, "Warning", lambda text, **_: said.append(text))

    @show_errors_as_toast
    def broken():
        raise KeyError("secret")

    assert broken() == gr.skip()
    assert "secret" in caplog.text
    assert said
    assert "secret" not in said[0]


def test_a_file_name_in_a_warning_is_escaped(monkeypatch):
    said = []
    monkeypatch.setattr(gr, "Warning", lambda text, **_: said.append(text))

    @show_errors_as_toast
    def refuse():
        raise InputRefused("<img src=x> is empty.", "Choose another.")

    refuse()
    assert said == ["&lt;img src=x&gt; is empty. Choose another."]


def test_nothing_of_the_page_is_fetched_from_elsewhere():
    sources = theme.build_css() + theme.build_head() + b"".join(theme.MODULES.values()).decode()
    assert "http://" not in sources.replace("http://www.w3.org", "")
    assert "https://" not in sources
    for file in theme.FONT_FILES.values():
        assert (gr.themes.utils.fonts.STATIC_FONTS_DIR / f"{file}.woff2").exists()


def test_launch_takes_every_option_and_opens_no_tunnel():
    options = theme.launch_options(Settings(), Mock())
    assert set(options) <= set(inspect.signature(gr.Blocks.launch).parameters)
    assert options["share"] is False
    assert options["show_error"] is False
    assert not {"server_name", "server_port"} & set(options)


def test_only_the_search_for_programs_is_a_public_endpoint(fresh_page):
    app = build_app(fresh_page.engine, fresh_page.preparation, fresh_page.picture_addresses)
    assert [fn.api_name for fn in app.fns.values() if fn.api_visibility != "private"] == ["search"]
    assert [fn.api_visibility for fn in app.fns.values() if fn.api_name == "search"] == ["public"]


def test_a_copy_of_the_config_copies_nothing_that_the_library_holds(fresh_page):
    """Gradio makes one for every program and every reload; it once made several copies of all that was in memory."""
    app = build_app(fresh_page.engine, fresh_page.preparation, fresh_page.picture_addresses)
    copied = copy.deepcopy(app.config)  # TypeError if it met a lock
    assert copied["components"]
