"""A NeoMME checkpoint through the whole program: a PDF is added, searched in three ways, explained and found again."""

from dataclasses import replace

import numpy as np
import pytest

from smart_demo.backbones.neomme import NeoMME
from smart_demo.engine import open_engine
from smart_demo.methods import LATE, POOLED, SMART, TRAINED
from smart_demo.search import explain
from smart_demo.types import LOCAL, Query, TokenGrid, TokenKind, TokenSpace
from tests.apps import settings_below
from tests.backbones.neomme.oracle import WrittenOut
from tests.documents import write_pdf

BUDGET = 20
TEXT = "tide table of the harbour"
METHODS = (POOLED, LATE, SMART, TRAINED)


@pytest.fixture(scope="module")
def world(tiny_neomme, tmp_path_factory):
    """Yield an engine with a PDF of five pages, and the pixels of each page as the model was given them."""
    folder = tmp_path_factory.mktemp("neomme")
    changes = {"backbone": str(tiny_neomme), "visual_tokens": BUDGET, "codec": "float32", "dtype": "float32"}
    pages = [
        "tide table of the harbour",
        "red star motor",
        "invoice total 1,234.50",
        "part number 7 rules",
        "two words",
    ]
    pdf = write_pdf(folder / "five.pdf", *(f"{text} " * 12 for text in pages))
    pixels = {}
    encode_pages = NeoMME.encode_pages

    def recording(self, given):
        pixels.update({page.id: page.pixels for page in given})
        return encode_pages(self, given)

    with (
        pytest.MonkeyPatch.context() as patch,
        open_engine(settings_below(folder, **changes), fall_back=False) as engine,
    ):
        patch.setattr(NeoMME, "encode_pages", recording)
        list(engine.add(LOCAL, [(pdf, pdf.name)]))
        yield engine, pixels


def oracle_scores(oracle, pixels, query):
    """Return method name -> {page id: score}, from the written-out model. query: (pooled, raw, trained)."""
    pooled, raw, trained = query
    scores = {method.name: {} for method in METHODS}
    for page, image in pixels.items():
        own_pooled, states, own_trained, ids = oracle.page(image, BUDGET)
        patches = np.array(ids) == 6
        patches[1] = False
        cosine, late = pooled @ own_pooled, (raw @ states[patches].T).max(axis=1).mean()
        scores["pooled"][page], scores["late"][page], scores["smart"][page] = cosine, late, cosine + late
        scores["trained"][page] = (trained @ own_trained.T).max(axis=1).mean()
    return scores


def test_the_ranks_of_every_method_are_those_of_the_written_out_model(world, tiny_neomme):
    engine, pixels = world
    oracle = WrittenOut(tiny_neomme)
    pooled, states, trained, _ = oracle.words(TEXT)
    expected = oracle_scores(oracle, pixels, (pooled, states[1:-10], trained))
    found = engine.search(Query(TEXT), methods=METHODS)
    assert len(pixels) == 5
    for method in METHODS:
        hits = found.results[method.name].hits
        assert [hit.page.id for hit in hits] == sorted(pixels, key=expected[method.name].get, reverse=True)
        for hit in hits:
            assert hit.score == pytest.approx(expected[method.name][hit.page.id], abs=1e-4)


def test_a_page_as_a_query_finds_itself_in_every_way(world):
    engine, pixels = world
    for page, image in list(pixels.items())[:2]:
        found = engine.search(Query(image=image), methods=METHODS)
        for method in METHODS:
            assert found.results[method.name].hits[0].page.id == page
        assert [notice.code for notice in found.encoding.notices] == ["picture-as-page"]


@pytest.mark.parametrize("method", [SMART, TRAINED], ids=["raw", "trained"])
def test_a_match_is_explained_in_either_space(world, method):
    engine, _ = world
    found = engine.search(Query(TEXT), methods=METHODS)
    hit = found.results[method.name].hits[0]
    made = engine.explain(Query(TEXT), [LOCAL], hit.page.key, method.weights)
    match = made.attribution.match
    assert made.attribution.score == pytest.approx(hit.score, abs=1e-5)
    assert isinstance(match.page.place, TokenGrid)
    assert match.page.place.padded
    assert match.placed.sum() == match.page.place.rows * match.page.place.cols
    trained = method is TRAINED
    assert (TokenKind.TEMPLATE in match.query.kinds) == (TokenKind.TEMPLATE in match.page.kinds) == trained
    assert [term.label for term in made.attribution.terms if term.word >= 0] == TEXT.split()
    winners = explain.winner_map(made.attribution)
    total = winners.map.values.sum() + sum(term.contribution for term in winners.remainder)
    assert total == pytest.approx(hit.late, abs=1e-5)
    second = found.results[method.name].hits[1]
    pairing = engine.pair(Query(TEXT), [LOCAL], hit.page.key, second.page.key, method.weights)
    assert pairing.pair.difference == pytest.approx(hit.score - second.score, abs=1e-5)


def test_crops_lie_on_the_page(world):
    engine, _ = world
    found = engine.search(Query(TEXT))
    keys = [hit.page.key for hit in found.results["smart"].hits]
    crops = engine.crops(Query(TEXT), [LOCAL], dict.fromkeys(keys, explain.Slot(360, 100)), SMART.weights)
    assert len(crops) == 5
    boxes = [found.crop.box for found in crops.values() if isinstance(found.crop, explain.EvidenceCrop)]
    assert boxes
    for box in boxes:
        assert 0 <= box.left < box.right <= 1 + 1e-9
        assert 0 <= box.top < box.bottom <= 1 + 1e-9


def test_a_restart_finds_the_same(world, tmp_path):
    engine, _ = world
    before = engine.search(Query(TEXT), methods=METHODS)
    stored = engine.search(Query(TEXT)).results["smart"].hits[0].page
    assert dict(stored.space_tokens)[TokenSpace.TRAINED] > stored.tokens
    settings = engine.settings
    engine.close()
    with open_engine(replace(settings), fall_back=False) as again:
        after = again.search(Query(TEXT), methods=METHODS)
        for method in METHODS:
            first, second = before.results[method.name].hits, after.results[method.name].hits
            assert [(hit.page.id, hit.score) for hit in first] == [(hit.page.id, hit.score) for hit in second]
