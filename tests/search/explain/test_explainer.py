"""Explanations of a search through the engine: what is kept, what is shared by all pages, what goes with its page."""

import numpy as np
import pytest

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.errors import LibraryError, QueryRefused
from smart_demo.methods import POOLED, SMART, Weights
from smart_demo.search import explain
from smart_demo.types import LOCAL, SAMPLES, PageId, Query, TokenKind
from tests.apps import Counting, open_words, settings_below
from tests.documents import write_pdf
from tests.search.explain.cases import CARD_SLOT

ASKED = Query("harbour tide of the")


@pytest.fixture
def explaining(tmp_path):
    with open_words(settings_below(tmp_path), Counting(WordBackbone())) as started:
        files = [
            (write_pdf(tmp_path / "a.pdf", "harbour master", "the tide comes"), "a.pdf"),
            (write_pdf(tmp_path / "b.pdf", "nothing of it", "tide tide harbour"), "b.pdf"),
        ]
        list(started.add(LOCAL, files))
        yield started


def keys(engine):
    return [page.key for page in engine.library.pages([LOCAL], engine.backbone(LOCAL).encoder.fingerprint)]


def test_a_page_is_taken_apart_without_encoding_again(explaining):
    weights = Weights(0.5, 2.0)
    found = explaining.search(ASKED, [LOCAL], (POOLED, SMART), 5)
    scores = {hit.page.key: hit for hit in found.results["smart"].hits}
    for key in keys(explaining):
        attribution = explaining.explain(ASKED, [LOCAL], key, weights).attribution
        hit = scores[key]
        assert attribution.pooled == pytest.approx(0.5 * hit.pooled, abs=1e-5)
        assert attribution.late == pytest.approx(2.0 * hit.late, abs=1e-5)  # and not as float32 states would have it
        assert sum(term.contribution for term in attribution.terms) == pytest.approx(attribution.late, abs=1e-6)
        assert attribution.by_kind[TokenKind.CONTENT] == pytest.approx(attribution.late)
    assert explaining.backbone(LOCAL).queries == 1


def test_all_pages_of_a_search_share_their_colours(explaining):
    told = [explaining.explain(ASKED, [LOCAL], key) for key in keys(explaining)]
    assert len({id(one.similarity) for one in told}) == 1
    assert len({id(one.contribution) for one in told}) == 1
    largest = max(explain.winner_map(one.attribution).map.shown.max() for one in told)
    assert told[0].contribution.high == pytest.approx(largest)


def test_a_match_is_made_once_and_keeps_no_states(explaining, monkeypatch):
    key = keys(explaining)[0]
    first = explaining.explain(ASKED, [LOCAL], key)
    monkeypatch.setattr(explaining.library, "encoding", lambda _: pytest.fail("read again"))
    again = explaining.explain(ASKED, [LOCAL], key, Weights(1.0, 3.0))
    assert again.attribution.match is first.attribution.match
    assert again.attribution.match.page.tokens.size == 0
    assert np.isfinite(again.attribution.match.chance)


def test_a_deleted_page_takes_its_matches_along(explaining):
    gone = keys(explaining)[0]
    for key in keys(explaining):
        explaining.explain(ASKED, [LOCAL], key)
    explaining.delete_document(LOCAL, gone[1].file)
    kept = {page.key for _, page, _ in explaining._explainer._matches._values}
    assert kept == set(keys(explaining))
    assert gone not in kept
    with pytest.raises(LibraryError):
        explaining.explain(ASKED, [LOCAL], gone)


def test_only_pages_that_were_searched_are_explained(explaining):
    page = keys(explaining)[0][1]
    for key in [(SAMPLES, page), (LOCAL, PageId("0" * 16, 1))]:
        with pytest.raises(LibraryError):
            explaining.explain(ASKED, [LOCAL], key)
    with pytest.raises(QueryRefused):
        explaining.explain(Query(" "), [LOCAL], (LOCAL, page))


def test_a_page_beyond_the_candidates_is_told_apart(explaining):
    object.__setattr__(explaining.settings, "exhaustive", 0)
    object.__setattr__(explaining.settings, "candidates", 1)
    reached = [explaining.explain(ASKED, [LOCAL], key).scored for key in keys(explaining)]
    assert sum(reached) == 1


def test_pages_have_crops_whether_or_not_they_were_scored_and_deleted_ones_are_left_out(explaining):
    object.__setattr__(explaining.settings, "exhaustive", 0)
    object.__setattr__(explaining.settings, "candidates", 1)
    pages = keys(explaining)
    wanted = dict.fromkeys([*pages, (LOCAL, PageId("0" * 16, 1))], CARD_SLOT)
    crops = explaining.crops(ASKED, [LOCAL], wanted)
    assert [page.page.key for page in crops.values()] == [*crops] == pages
    shown = {(page.page.document, page.page.number): page.crop for page in crops.values()}
    assert shown["a.pdf", 1].labels == ("harbour",)
    assert shown["b.pdf", 1] is explain.NoPlace.NO_MATCH
    assert set(shown["b.pdf", 2].labels) == {"tide", "harbour"}
    # They are the same whatever the weights are, so that ranking again changes nothing on the cards.
    assert explaining.crops(ASKED, [LOCAL], wanted, Weights(1.0, 0.0)) == crops
    assert explaining.backbone(LOCAL).queries == 1
    explaining.delete_document(LOCAL, pages[0][1].file)
    assert set(explaining.crops(ASKED, [LOCAL], wanted)) == set(keys(explaining))
