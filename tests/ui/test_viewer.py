"""What the viewer is told of maps and scores: by handlers that anyone may call, and by pure values."""

import base64
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.backbones.registry import BackboneChoice
from smart_demo.backbones.serving import EMBEDDED, Backbones
from smart_demo.config import Settings
from smart_demo.engine import Engine
from smart_demo.search import explain
from smart_demo.search.explain.explainer import Explanation
from smart_demo.search.request import ON_BOTH, ON_MINE, ON_SAMPLES, parse_request, parse_request_fields
from smart_demo.store.library import Library
from smart_demo.types import LOCAL, SAMPLES, SMART, TokenGrid, TokenKind
from smart_demo.ui import compare
from smart_demo.ui.format import page_key
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.library_tab import SamplePreparation
from smart_demo.ui.pair_view import KIND_NAMES, MAX_LABEL_CHARS, STOPWORDS
from smart_demo.ui.upload_queue import UploadQueue
from smart_demo.ui.viewer import MAX_INITIAL_CHIPS, ExplainHandlers, build_overlay, describe_explanation
from tests.documents import write_pdf
from tests.search.explain.cases import CONTENT, PATCH, TAIL, TEMPLATE, axis, block_page, page_of, query_of, stored
from tests.ui.cases import HOSTILE, found

NONSENSE = [None, "", "x" * 12_000, -1, 10**9, math.nan, math.inf, True, [], {}, ["a"], {"a": 1}, b"\x00", "\ud800"]
SEARCH = {"text": "where is the harbour tide?", "scope": ON_SAMPLES, "top": 5, "pooled": 1, "late": 1}


@pytest.fixture
def make(tmp_path):
    """Maps over one sample document and one of one's own, all by the word backbone."""
    opened = []

    def start(**changes):
        samples = tmp_path / "samples"
        samples.mkdir()
        write_pdf(samples / "tides.pdf", "the tide table of the harbour", "a page of other matters")
        words = WordBackbone()
        settings = Settings(data_dir=tmp_path / "data", index_dir=tmp_path / "index", samples=samples, **changes)
        library = Library.open(settings.data_dir, settings.index_dir)
        models = {"words": words, EMBEDDED: words}
        engine = Engine(
            library, Backbones(BackboneChoice("words", "a test", explicit=True), models.get, fall_back=True), settings
        )
        opened.append(engine)
        list(engine.prepare_samples())
        list(engine.add(LOCAL, [(write_pdf(tmp_path / "mine.pdf", "harbour master"), "mine.pdf")]))
        uploads = UploadQueue(engine.add, 20)
        return ExplainHandlers(Handlers(engine, uploads, SamplePreparation(engine)))

    yield start
    for engine in opened:
        engine.close()


def pages(maps, scope):
    engine = maps._handlers.engine
    return [page_key(p.scope, p.id) for p in engine.library.pages([scope], engine.backbone(scope).encoder.fingerprint)]


def looked_at(view, page, query):
    """An overlay of a page made by hand, in colours of its own."""
    found = explain.attribute(explain.match_tokens(query, page), SMART.weights)
    maps = explain.whole_query_map(found.match), explain.winner_map(found).map
    ranges = [explain.colour_range([one]) for one in maps]
    explanation = Explanation(stored(1), found, True, *ranges)
    return build_overlay(explanation, view), explanation


def test_chips_are_the_words_that_tell_with_what_each_adds(make):
    maps = make()
    told = maps.explain({"asked": SEARCH, "page": pages(maps, SAMPLES)[0]})
    assert [chip["label"] for chip in told["chips"] if not chip["more"]] == ["harbour", "tide"]
    assert [chip["label"] for chip in told["chips"] if chip["more"]] == ["where", "is", "the"]
    by_label = {chip["label"]: chip for chip in told["chips"]}
    assert by_label["tide"]["adds"] == "+0.200"
    assert by_label["tide"]["similarity"] == "1.000"
    assert by_label["where"]["adds"] == "0.000"
    assert "words on the page" in told["anatomy"]


def test_a_word_is_outlined_where_it_stands(make):
    maps = make()
    page = pages(maps, SAMPLES)[0]
    told = maps.overlay({"asked": SEARCH, "page": page, "view": "term-4"})
    assert told["caption"] == "Similarity to “tide”"
    assert told["best"] == "1.000"
    engine = maps._handlers.engine
    encoding = engine.library.encoding(engine.library.pages([SAMPLES], engine.backbone(SAMPLES).encoder.fingerprint)[0])
    tide = int((encoding.tokens @ axis(WordBackbone().axis("tide"), 1024)).argmax())
    assert told["outline"] == pytest.approx(encoding.place.boxes[tide].tolist(), abs=1e-4)
    picture = Image.open(io.BytesIO(base64.b64decode(told["picture"].split(",", 1)[1])))
    assert picture.mode == "RGBA"
    left, top, right, bottom = told["outline"]
    middle = ((left + right) / 2 * picture.width, (top + bottom) / 2 * picture.height)
    assert picture.getpixel(tuple(map(int, middle)))[3] == picture.getchannel("A").getextrema()[1]


def test_one_range_for_all_pages_words_and_columns(make):
    maps = make()
    views = [("query", page) for page in pages(maps, SAMPLES)] + [("term-3", pages(maps, SAMPLES)[0])]
    told = [maps.overlay({"asked": SEARCH, "page": page, "view": view}) for view, page in views]
    assert len({(one["low"], one["high"]) for one in told}) == 1


def test_a_page_without_the_word_has_no_clear_location(make):
    maps = make()
    told = maps.overlay({"asked": SEARCH, "page": pages(maps, SAMPLES)[1], "view": "term-4"})
    assert told["picture"] == ""
    assert told["outline"] is None
    assert told["note"].startswith("No clear location")


def test_any_argument_is_answered_by_a_sentence(make):
    maps = make()
    page = pages(maps, SAMPLES)[0]
    for value in NONSENSE:
        for wanted in (value, {"asked": value, "page": page}, {"asked": SEARCH, "page": value}):
            assert set(maps.explain(wanted)) == {"sentence"}, wanted
        assert set(maps.overlay({"asked": SEARCH, "page": page, "view": value})) == {"sentence"}, value


def test_maps_that_are_not_offered_are_refused(make):
    maps = make()
    for view in ["term-5", "term-999", "term--1", "term-1000", "term-٣", "term-3\n", "QUERY", " query"]:
        told = maps.overlay({"asked": SEARCH, "page": pages(maps, SAMPLES)[0], "view": view})
        assert told == {"sentence": "There is no such map."}, view


def test_strange_numbers_in_a_search_become_sensible_ones(make):
    maps = make()
    strange = SEARCH | {"top": math.inf, "pooled": math.nan, "late": "9" * 9, "scope": ["x"]}
    assert "chips" in maps.explain({"asked": strange, "page": pages(maps, SAMPLES)[0]})


def test_only_pages_of_the_searched_scopes_are_explained(make):
    maps = make()
    mine, sample = pages(maps, LOCAL)[0], pages(maps, SAMPLES)[0]
    assert set(maps.explain({"asked": SEARCH, "page": mine})) == {"sentence"}
    for page in (mine, sample):
        assert "chips" in maps.explain({"asked": SEARCH | {"scope": ON_BOTH}, "page": page})


def test_a_deleted_page_is_told_in_words(make):
    maps = make()
    wanted = {"asked": SEARCH | {"scope": ON_MINE}, "page": pages(maps, LOCAL)[0], "view": "query"}
    assert "picture" in maps.overlay(wanted)
    maps._handlers.delete_document(wanted["page"].split("/")[1].split("-")[0])
    for ask in (maps.explain, maps.overlay):
        assert ask(wanted) == {"sentence": "That page is no longer in the library. Search again."}


def test_a_public_page_explains_samples_and_nothing_else(make):
    maps = make(public=True, uploads=False)
    for scope in (ON_MINE, ON_BOTH):
        for ask in (maps.explain, maps.overlay):
            told = ask({"asked": SEARCH | {"scope": scope}, "page": pages(maps, LOCAL)[0], "view": "query"})
            assert told == {"sentence": "Only the samples can be searched here."}
    assert "chips" in maps.explain({"asked": SEARCH, "page": pages(maps, SAMPLES)[0]})


def test_a_patch_is_called_by_its_row_and_column():
    told, _ = looked_at("term-0", block_page(3, 5, [(1, 3)]), query_of(axis(2)[None]))
    assert told["alt"] == "Similarity to “t0”: strongest in row 2 of 3, column 4 of 5."
    assert told["outline"] == pytest.approx([3 / 5, 1 / 3, 4 / 5, 2 / 3])
    assert told["won"]


def test_a_winner_without_a_place_is_said_and_the_closest_place_shown():
    query = query_of(np.stack([(axis(3) + 0.5 * axis(2)) / math.sqrt(1.25)]))
    told, _ = looked_at("term-0", block_page(3, 5, [(2, 0)]), query)
    assert told["note"].startswith("The winner is not a place on the page but ")
    assert told["note"].endswith("The closest place is outlined; it did not win.")
    assert told["outline"] == pytest.approx([0, 2 / 3, 1 / 5, 1])
    assert not told["won"]


def test_the_winner_map_says_what_was_won_off_the_page():
    query = query_of(np.stack([axis(2), axis(4)]), [CONTENT, TAIL])
    told, explanation = looked_at("winners", block_page(3, 5, [(0, 1)]), query)
    assert told["outline"] == pytest.approx([1 / 5, 0, 2 / 5, 1 / 3])
    assert told["note"] == (
        "Places on the page won 0.500 of the late part, 1.000; 0.500 was won by tokens without a place on it: "
        "the tail after the page."
    )
    told = describe_explanation(explanation)
    assert "patches of the page</dt><dd>50 %" in told["anatomy"]
    assert "the tail after the page</dt><dd>50 %" in told["anatomy"]


def test_tokens_of_no_word_stand_behind_show_all():
    query = query_of(np.stack([axis(2), axis(3), axis(3)]), [CONTENT, TEMPLATE, TAIL])
    _, explanation = looked_at("query", block_page(2, 2, [(0, 0)]), query)
    assert [chip["more"] for chip in describe_explanation(explanation)["chips"]] == [False, True, True]


def test_stop_words_alone_are_offered_rather_than_nothing():
    words = ("the", "of", "?")
    query = query_of(np.stack([axis(2)] * 3), words=(0, 1, 2), word_texts=words)
    _, explanation = looked_at("query", block_page(2, 2, [(0, 0)]), query)
    assert not any(chip["more"] for chip in describe_explanation(explanation)["chips"])


@given(st.lists(st.text(max_size=60), min_size=1, max_size=40))
def test_any_words_become_short_plain_chips(words):
    count = len(words)
    query = query_of(np.stack([axis(2)] * count), words=tuple(range(count)), word_texts=tuple(words))
    _, explanation = looked_at("query", page_of(axis(2)[None], [PATCH], TokenGrid(0, 1, 1)), query)
    told = describe_explanation(explanation)
    json.dumps(told)
    assert len(told["chips"]) == count
    assert 1 <= sum(not chip["more"] for chip in told["chips"]) <= MAX_INITIAL_CHIPS
    for chip in told["chips"]:
        assert 1 <= len(chip["label"]) <= MAX_LABEL_CHARS
        assert not set(chip["label"]) & set("\n\t\x00\u202e")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_search_survives_the_way_to_the_page_and_back(text):
    wanted = parse_request(text, ON_MINE, 7, 0.35, 2.4)
    kept = json.dumps(wanted.fields)
    assert parse_request_fields(json.loads(kept)) == wanted
    markup = compare.render_results(found([0.5], [0.5]), lambda _: b"", "", kept)
    value = markup.split('data-asked="', 1)[1].split('"', 1)[0]
    assert not set(value) & set("<>'")


def test_every_kind_has_a_name_and_stop_words_are_lower_case():
    assert set(KIND_NAMES) == set(TokenKind)
    assert all(word == word.casefold() for word in STOPWORDS)
