"""The server function `pair` as curl may call it, and the engine's, over real files and the word backbone."""

import json
import math

import pytest

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.backbones.registry import BackboneChoice
from smart_demo.backbones.serving import EMBEDDED, Backbones
from smart_demo.config import Settings
from smart_demo.engine import Engine
from smart_demo.errors import InputRefused, LibraryError
from smart_demo.search.request import ON_BOTH, ON_MINE, ON_SAMPLES
from smart_demo.store.library import Library
from smart_demo.types import LOCAL, SAMPLES, Query, Weights
from smart_demo.ui.format import page_key
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.library_tab import SamplePreparation
from smart_demo.ui.upload_queue import UploadQueue
from smart_demo.ui.viewer import ExplainHandlers
from tests.documents import write_pdf

NONSENSE = [None, "", "x" * 12_000, -1, 10**9, math.nan, math.inf, True, [], {}, ["a"], {"a": 1}, b"\x00", "\ud800"]
SEARCH = {"text": "where is the harbour tide?", "scope": ON_SAMPLES, "top": 5, "pooled": 1, "late": 1}


class Counting(WordBackbone):
    """Says how often it encoded a query."""

    asked = 0

    def encode_query(self, query):
        self.asked += 1
        return super().encode_query(query)


@pytest.fixture
def make(tmp_path):
    opened = []

    def start(**changes):
        samples = tmp_path / "samples"
        samples.mkdir()
        write_pdf(samples / "tides.pdf", "the tide table of the harbour", "a page of other matters", "the tide of it")
        words = Counting()
        settings = Settings(data_dir=tmp_path / "data", index_dir=tmp_path / "index", samples=samples, **changes)
        models = {"words": words, EMBEDDED: words}
        backbones = Backbones(BackboneChoice("words", "a test", explicit=True), models.get, fall_back=True)
        engine = Engine(Library.open(settings.data_dir, settings.index_dir), backbones, settings)
        opened.append(engine)
        list(engine.prepare_samples())
        list(engine.add(LOCAL, [(write_pdf(tmp_path / "mine.pdf", "harbour master", "harbour tide"), "mine.pdf")]))
        return ExplainHandlers(Handlers(engine, UploadQueue(engine.add, 20), SamplePreparation(engine)))

    yield start
    for engine in opened:
        engine.close()


def stored(maps, scope):
    engine = maps._handlers.engine
    return engine.library.pages([scope], engine.backbone(scope).encoder.fingerprint)


def keys(maps, scope):
    return [page_key(page.scope, page.id) for page in stored(maps, scope)]


def test_two_pages_are_compared_without_encoding_again(make):
    maps = make()
    engine = maps._handlers.engine
    pages = [page.key for page in stored(maps, SAMPLES)]
    weights = Weights(0.5, 2.0)
    found = engine.search(Query("harbour tide"), [SAMPLES], top=3)
    encoded = engine.backbone(SAMPLES).asked
    pair = engine.pair(Query("harbour tide"), [SAMPLES], pages[0], pages[1], weights)
    assert (pair.first.page.key, pair.second.page.key) == (pages[0], pages[1])
    hits = {hit.page.key: hit for hit in found.results["smart"].hits}
    scores = [0.5 * hits[key].pooled + 2 * hits[key].late for key in pages[:2]]
    assert pair.pair.difference == pytest.approx(scores[0] - scores[1], abs=2e-2)
    assert pair.first.attribution is not engine.explain(Query("harbour tide"), [SAMPLES], pages[0]).attribution
    assert engine.backbone(SAMPLES).asked == encoded


def test_a_pair_of_deleted_or_foreign_pages_is_refused_by_the_engine(make):
    engine = make()._handlers.engine
    sample, mine = (engine.library.pages([s], engine.backbone(s).encoder.fingerprint)[0].key for s in (SAMPLES, LOCAL))
    for page, other in ((sample, mine), (mine, sample), (mine, None)):
        with pytest.raises(LibraryError):
            engine.pair(Query("tide"), [SAMPLES], page, other)
    with pytest.raises(InputRefused):
        engine.pair(Query("tide"), [SAMPLES], sample, sample)


def test_the_answer_is_plain_values_for_any_two_pages(make):
    maps = make()
    pages = keys(maps, SAMPLES)
    for other in ("", None, pages[1], pages[2]):
        told = maps.pair({"asked": SEARCH, "page": pages[0], "other": other})
        json.dumps(told)
        assert pages[0] in {one["key"] for one in told["pages"]}
        assert {one["key"] for one in told["choices"]} == set(pages)
        assert [line["label"] for line in told["folded"] if line["id"]]
    explicit = maps.pair({"asked": SEARCH, "page": pages[2], "other": pages[0]})
    assert [one["key"] for one in explicit["pages"]] == [pages[2], pages[0]]
    label = {line["label"]: line for line in explicit["lines"]}
    assert label["harbour"]["difference"] == "−0.2000"
    assert label["harbour"]["spots"][1]["box"]


def test_any_argument_is_answered_by_a_sentence(make):
    maps = make()
    page, other, _ = keys(maps, SAMPLES)
    for value in NONSENSE:
        for wanted in (value, {"asked": value, "page": page, "other": other}, {"asked": SEARCH, "page": value}):
            assert set(maps.pair(wanted)) == {"sentence"}, wanted
        if value:
            assert set(maps.pair({"asked": SEARCH, "page": page, "other": value})) == {"sentence"}, value
    assert set(maps.pair({"asked": SEARCH, "page": page, "other": page})) == {"sentence"}
    for key in ("samples/../../etc/passwd", "samples/0123456789abcdef-0001", "other/0123456789abcdef-0001"):
        assert set(maps.pair({"asked": SEARCH, "page": page, "other": key})) == {"sentence"}, key


def test_only_pages_of_the_searched_scopes_are_compared(make):
    maps = make()
    sample, mine = keys(maps, SAMPLES)[0], keys(maps, LOCAL)[0]
    for page, other in ((sample, mine), (mine, sample), (mine, "")):
        assert set(maps.pair({"asked": SEARCH, "page": page, "other": other})) == {"sentence"}
    assert "lines" in maps.pair({"asked": SEARCH | {"scope": ON_BOTH}, "page": sample, "other": mine})


def test_a_deleted_page_is_told_in_words(make):
    maps = make()
    page, other = keys(maps, LOCAL)
    wanted = {"asked": SEARCH | {"scope": ON_MINE}, "page": page, "other": other}
    assert "lines" in maps.pair(wanted)
    maps._handlers.delete_document(page.split("/")[1].split("-")[0])
    assert set(maps.pair(wanted)) == {"sentence"}


def test_a_public_page_compares_samples_and_nothing_else(make):
    maps = make(public=True, uploads=False)
    mine, sample = keys(maps, LOCAL), keys(maps, SAMPLES)
    for scope in (ON_MINE, ON_BOTH):
        told = maps.pair({"asked": SEARCH | {"scope": scope}, "page": mine[0], "other": sample[0]})
        assert told == {"sentence": "Only the samples can be searched here."}
    assert "lines" in maps.pair({"asked": SEARCH, "page": sample[0]})


def test_the_viewer_is_told_the_place_by_late_weight_with_its_chips(make):
    maps = make()
    told = maps.explain({"asked": SEARCH, "page": keys(maps, SAMPLES)[0]})
    assert 'aria-label="Place by late weight"' in told["anatomy"]
    assert "<svg" in told["anatomy"]
    object.__setattr__(maps._handlers.engine.settings, "exhaustive", 0)
    object.__setattr__(maps._handlers.engine.settings, "candidates", 1)
    maps._handlers.engine._retrieval._parts.discard(lambda _: True)
    lines = [maps.explain({"asked": SEARCH, "page": page})["anatomy"] for page in keys(maps, SAMPLES)]
    assert sum("No line: the search did not reach this page" in line for line in lines) == 2
    assert (
        sum("Weight 0 ranks all 3 pages, any other weight the 1 scored token by token." in line for line in lines) == 1
    )
