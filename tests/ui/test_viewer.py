"""What the viewer is told of a page: by handlers that any client may call, and by pure values."""

import base64
import io
import json
import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.errors import InputRefused, LibraryError, Notice, NoticeCode
from smart_demo.methods import SMART, Weights
from smart_demo.page_text import Box, PageWords, Word, WordSource
from smart_demo.search import explain
from smart_demo.search.explain.explainer import Explanation
from smart_demo.search.request import ON_BOTH, ON_MINE, ON_SAMPLES, parse_request, parse_request_fields
from smart_demo.types import LOCAL, SAMPLES, Query, TokenGrid, TokenKind
from smart_demo.ui import compare
from smart_demo.ui.pair_view import KIND_NAMES, MAX_LABEL_CHARS
from smart_demo.ui.viewer import (
    MAX_INITIAL_CHIPS,
    MAX_READ_WORDS,
    ExplainHandlers,
    build_overlay,
    describe_explanation,
    describe_words,
)
from tests.backbones.cases import loaded
from tests.search.explain.cases import CONTENT, PATCH, TAIL, TEMPLATE, axis, block_page, page_of, query_of, stored
from tests.ui.cases import HOSTILE, NONSENSE, found, page_keys, stored_pages
from tests.ui.parsed_markup import ParsedMarkup

SEARCH = {"text": "where is the harbour tide?", "scope": ON_SAMPLES, "top": 5, "pooled": 1, "late": 1}
FIRST, NO_TIDE, LAST = range(3)
"""Pages of the sample document: "the tide table of the harbour", "a page of other matters", "the tide of it"."""


@pytest.fixture(scope="module")
def tide_pages(start_handlers):
    """For tests that change nothing in the library."""
    return start_handlers()


@pytest.fixture(scope="module")
def viewer(tide_pages):
    return ExplainHandlers(tide_pages)


@pytest.fixture(scope="module")
def samples(tide_pages):
    return page_keys(tide_pages, SAMPLES)


@pytest.fixture(scope="module")
def mine(tide_pages):
    return page_keys(tide_pages, LOCAL)


# -- one page


def test_a_query_without_a_known_word_is_explained_by_its_only_token(start_handlers):
    handlers = start_handlers(tides=("the tide table", "a harbour pilot"), backbone=loaded("minilm"))
    explaining, (first, second) = ExplainHandlers(handlers), page_keys(handlers, SAMPLES)
    for counted in ("all", "content"):
        search = SEARCH | {"text": "飛機維修", "counted": counted}
        told = explaining.explain({"asked": search, "page": first})
        assert [chip["label"] for chip in told["chips"]] == ["[CLS]"]
        for view in ("query", "winners", "term-0"):
            assert "sentence" not in explaining.overlay({"asked": search, "page": first, "view": view})
        whole = explaining.overlay({"asked": search, "page": first, "view": "query"})
        assert whole["caption"] == "Best similarity to any token of the query"
        assert "sentence" not in explaining.pair({"asked": search, "page": first, "other": second})
        seen = ParsedMarkup(handlers.render_answer(parse_request_fields(search)))
        assert "minilm knows none of these words" in seen.joined


def test_chips_are_the_informative_words_with_what_each_adds(viewer, samples):
    told = viewer.explain({"asked": SEARCH, "page": samples[FIRST]})
    assert [chip["label"] for chip in told["chips"] if not chip["more"]] == ["harbour", "tide"]
    assert [chip["label"] for chip in told["chips"] if chip["more"]] == ["where", "is", "the"]
    by_label = {chip["label"]: chip for chip in told["chips"]}
    assert by_label["tide"]["adds"] == "+0.200"
    assert by_label["tide"]["similarity"] == "1.000"
    assert by_label["where"]["adds"] == "0.000"
    seen = ParsedMarkup(told["anatomy"])
    assert "words on the page" in seen.joined
    assert "Place by late weight" in seen.values("aria-label", "section")
    assert "svg" in seen.tags


def test_the_words_of_a_page_are_shown_as_they_were_read(viewer, samples, mine):
    assert viewer.words({"page": samples[FIRST]}) == {
        "text": "the tide table of the harbour",
        "how": "Text layer.",
    }
    assert viewer.words({"page": mine[0]})["how"] == "Text layer."
    for request in [*NONSENSE, {"page": "samples/0123456789abcdef-0001"}, {"page": f"other/{'0' * 16}-0001"}]:
        assert set(viewer.words(request)) == {"sentence"}, request


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (None, "did not keep its words"),
        (PageWords((), WordSource.NONE), "No words."),
        (PageWords((Word("a", Box(0, 0, 1, 1)),), WordSource.OCR), "OCR."),
        (PageWords((Word("a", Box(0, 0, 1, 1)),), WordSource.BOTH), "Text layer and OCR."),
        (PageWords((Word("a", Box(0, 0, 1, 1)),) * (MAX_READ_WORDS + 5), WordSource.LAYER), "first 10,000 of 10,005"),
    ],
)
def test_how_a_page_was_read_is_a_sentence(words, said):
    shown = describe_words(words)
    assert said in shown["how"]
    assert len(shown["text"].split()) == min(MAX_READ_WORDS, len(words.words) if words else 0)


@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=6), columns=st.booleans())
def test_lines_of_a_page_are_lines_of_the_text(lengths, columns):
    """In one column, and in two whose lines have the same heights."""
    words, expected = [], []
    for column in range(2 if columns else 1):
        for row, length in enumerate(lengths):
            top = 0.1 + row * 0.1
            texts = [f"w{column}{row}{n}" for n in range(length)]
            starts = [column * 0.5 + n * 0.09 for n in range(length)]
            words += [Word(text, Box(x, top, x + 0.08, top + 0.05)) for text, x in zip(texts, starts, strict=True)]
            expected.append(" ".join(texts))
    text = describe_words(PageWords(tuple(words), WordSource.LAYER))["text"]
    if not columns or len(lengths) > 1:  # the second column begins above the end of the first
        assert text.splitlines() == expected


def test_a_word_is_outlined_where_it_is_on_the_page(tide_pages, viewer, samples):
    told = viewer.overlay({"asked": SEARCH, "page": samples[FIRST], "view": "term-4"})
    assert told["caption"] == "Similarity to “tide”"
    assert told["best"] == "1.000"
    encoding = tide_pages.engine.library.encoding(stored_pages(tide_pages, SAMPLES)[FIRST])
    tide = int((encoding.tokens @ axis(WordBackbone().axis("tide"), 1024)).argmax())
    assert told["outline"] == pytest.approx(encoding.place.boxes[tide].tolist(), abs=1e-4)
    picture = Image.open(io.BytesIO(base64.b64decode(told["picture"].split(",", 1)[1])))
    assert picture.mode == "RGBA"
    left, top, right, bottom = told["outline"]
    middle = ((left + right) / 2 * picture.width, (top + bottom) / 2 * picture.height)
    assert picture.getpixel(tuple(map(int, middle)))[3] == picture.getchannel("A").getextrema()[1]


def test_all_pages_and_words_share_one_colour_range(viewer, samples):
    views = [("query", page) for page in samples] + [("term-3", samples[FIRST])]
    told = [viewer.overlay({"asked": SEARCH, "page": page, "view": view}) for view, page in views]
    assert len({(one["low"], one["high"]) for one in told}) == 1


def test_a_page_without_the_word_has_no_clear_location(viewer, samples):
    told = viewer.overlay({"asked": SEARCH, "page": samples[NO_TIDE], "view": "term-4"})
    assert told["picture"] == ""
    assert told["outline"] is None
    assert told["note"].startswith("No clear location")


@pytest.mark.parametrize(
    "view", ["term-5", "term-999", "term--1", "term-1000", "term-٣", "term-3\n", "QUERY", " query"]
)
def test_maps_that_are_not_offered_are_refused(viewer, samples, view):
    told = viewer.overlay({"asked": SEARCH, "page": samples[FIRST], "view": view})
    assert told == {"sentence": "There is no such map."}


def test_strange_numbers_in_a_search_become_sensible_ones(viewer, samples):
    strange = SEARCH | {"top": math.inf, "pooled": math.nan, "late": "9" * 9, "scope": ["x"]}
    assert "chips" in viewer.explain({"asked": strange, "page": samples[FIRST]})


def test_only_pages_that_were_scored_token_by_token_have_a_line_of_ranks(start_handlers):
    handlers = start_handlers(exhaustive=0, candidates=1)
    viewer = ExplainHandlers(handlers)
    told = [viewer.explain({"asked": SEARCH, "page": page})["anatomy"] for page in page_keys(handlers, SAMPLES)]
    one = "Weight 0 ranks all 3 pages, any other weight the 1 scored token by token."
    assert sum("No line: the search did not reach this page" in markup for markup in told) == 2
    assert sum(one in markup for markup in told) == 1


# -- two pages


def test_two_pages_are_compared_without_encoding_again(start_handlers):
    class Counting(WordBackbone):
        encoded = 0

        def encode_query(self, query):
            self.encoded += 1
            return super().encode_query(query)

    backbone = Counting()
    handlers = start_handlers(backbone=backbone)
    engine, query, weights = handlers.engine, Query("harbour tide"), Weights(0.5, 2.0)
    first, second, _ = [page.key for page in stored_pages(handlers, SAMPLES)]
    hits = {hit.page.key: hit for hit in engine.search(query, [SAMPLES], top=3).results["smart"].hits}
    pair = engine.pair(query, [SAMPLES], first, second, weights)
    assert (pair.first.page.key, pair.second.page.key) == (first, second)
    scores = [0.5 * hits[key].pooled + 2 * hits[key].late for key in (first, second)]
    assert pair.pair.difference == pytest.approx(scores[0] - scores[1], abs=2e-2)
    assert pair.first.attribution is not engine.explain(query, [SAMPLES], first).attribution
    assert backbone.encoded == 1


def test_a_pair_of_foreign_or_equal_pages_is_refused_by_the_engine(tide_pages):
    sample, mine = (stored_pages(tide_pages, scope)[0].key for scope in (SAMPLES, LOCAL))
    for page, other in ((sample, mine), (mine, sample), (mine, None)):
        with pytest.raises(LibraryError):
            tide_pages.engine.pair(Query("tide"), [SAMPLES], page, other)
    with pytest.raises(InputRefused):
        tide_pages.engine.pair(Query("tide"), [SAMPLES], sample, sample)


def test_a_comparison_is_plain_values_for_any_two_pages(viewer, samples):
    for other in ("", None, samples[NO_TIDE], samples[LAST]):
        told = viewer.pair({"asked": SEARCH, "page": samples[FIRST], "other": other})
        json.dumps(told)
        assert samples[FIRST] in {one["key"] for one in told["pages"]}
        assert {one["key"] for one in told["choices"]} == set(samples)
        assert [line["label"] for line in told["folded"] if line["id"]]
    explicit = viewer.pair({"asked": SEARCH, "page": samples[LAST], "other": samples[FIRST]})
    assert [one["key"] for one in explicit["pages"]] == [samples[LAST], samples[FIRST]]
    (harbour,) = (line for line in explicit["lines"] if line["label"] == "harbour")
    assert harbour["difference"] == "−0.2000"
    assert harbour["spots"][1]["box"]


def test_a_page_is_not_compared_with_itself_or_an_unknown_one(viewer, samples):
    unknown = ("samples/../../etc/passwd", "samples/0123456789abcdef-0001", "other/0123456789abcdef-0001")
    for other in (samples[FIRST], *unknown):
        assert set(viewer.pair({"asked": SEARCH, "page": samples[FIRST], "other": other})) == {"sentence"}, other


# -- any client


@pytest.mark.parametrize("value", NONSENSE, ids=lambda value: repr(value)[:20])
def test_any_argument_is_answered_by_a_sentence(viewer, samples, value):
    page, other, _ = samples
    wrong = [value, {"asked": value, "page": page, "other": other}, {"asked": SEARCH, "page": value}]
    for ask, request in product((viewer.explain, viewer.pair), wrong):
        assert set(ask(request)) == {"sentence"}, request
    assert set(viewer.overlay({"asked": SEARCH, "page": page, "view": value})) == {"sentence"}
    if value:
        assert set(viewer.pair({"asked": SEARCH, "page": page, "other": value})) == {"sentence"}


def test_only_pages_of_the_searched_scopes_are_explained_and_compared(viewer, samples, mine):
    both = SEARCH | {"scope": ON_BOTH}
    assert set(viewer.explain({"asked": SEARCH, "page": mine[0]})) == {"sentence"}
    for page, other in ((samples[0], mine[0]), (mine[0], samples[0]), (mine[0], "")):
        assert set(viewer.pair({"asked": SEARCH, "page": page, "other": other})) == {"sentence"}
        assert "chips" in viewer.explain({"asked": both, "page": page})
    assert "lines" in viewer.pair({"asked": both, "page": samples[0], "other": mine[0]})


def test_a_deleted_page_is_refused_with_a_sentence(start_handlers):
    handlers = start_handlers()
    viewer, (page, other) = ExplainHandlers(handlers), page_keys(handlers, LOCAL)
    request = {"asked": SEARCH | {"scope": ON_MINE}, "page": page, "other": other, "view": "query"}
    assert "picture" in viewer.overlay(request)
    assert "lines" in viewer.pair(request)
    handlers.delete_document(page.split("/")[1].split("-")[0])
    for ask in (viewer.explain, viewer.overlay, viewer.pair):
        assert ask(request) == {"sentence": "That page is no longer in the library. Search again."}


def test_a_public_page_explains_and_compares_samples_only(start_handlers):
    handlers = start_handlers(public=True, uploads=False)
    viewer, sample = ExplainHandlers(handlers), page_keys(handlers, SAMPLES)[0]
    for scope, ask in product((ON_MINE, ON_BOTH), (viewer.explain, viewer.overlay, viewer.pair)):
        page = page_keys(handlers, LOCAL)[0]
        told = ask({"asked": SEARCH | {"scope": scope}, "page": page, "other": sample, "view": "query"})
        assert told == {"sentence": "Only the samples can be searched here."}
    assert "chips" in viewer.explain({"asked": SEARCH, "page": sample})
    assert "lines" in viewer.pair({"asked": SEARCH, "page": sample})


# -- pages made by hand


def looked_at(view, page, query):
    """An overlay of a page made by hand, in colours of its own."""
    found = explain.attribute(explain.match_tokens(query, page), SMART.weights)
    maps = explain.whole_query_map(found.match), explain.winner_map(found).map
    ranges = [explain.colour_range([one]) for one in maps]
    explanation = Explanation(stored(1), found, True, *ranges)
    return build_overlay(explanation, view), explanation


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
    anatomy = describe_explanation(explanation)["anatomy"]
    assert "patches of the page</dt><dd>50 %" in anatomy
    assert "the tail after the page</dt><dd>50 %" in anatomy


def test_tokens_of_no_word_stand_behind_show_all():
    query = query_of(np.stack([axis(2), axis(3), axis(3)]), [CONTENT, TEMPLATE, TAIL])
    _, explanation = looked_at("query", block_page(2, 2, [(0, 0)]), query)
    assert [chip["more"] for chip in describe_explanation(explanation)["chips"]] == [False, True, True]


def test_a_query_of_no_known_word_is_said_as_the_results_say_it():
    said = Notice(NoticeCode.NO_KNOWN_WORDS, "It knows none of these words.")
    query = replace(query_of(np.stack([axis(2), axis(3)]), [TEMPLATE, TAIL]), notices=(said,))
    _, explanation = looked_at("query", block_page(2, 2, [(0, 0)]), query)
    assert describe_explanation(explanation)["no_words"] == said.text
    _, explanation = looked_at("query", block_page(2, 2, [(0, 0)]), query_of(np.stack([axis(2)])))
    assert describe_explanation(explanation)["no_words"] == ""


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
    markup = compare.render_results(found([0.5], [0.5]), lambda _: "", "", kept)
    assert ParsedMarkup(markup).values("data-asked") == [kept]


def test_every_kind_has_a_name_and_stop_words_are_lower_case():
    assert set(KIND_NAMES) == set(TokenKind)
    assert all(word == word.casefold() for word in explain.STOPWORDS)
