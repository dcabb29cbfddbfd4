"""PageList and Ranks against a slow reference: a sort of every page by score and name."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_demo import scoring
from smart_demo.methods import Method, Parts, Weights
from smart_demo.page_list import PageList, Ranks, as_page_list
from smart_demo.types import LOCAL, SAMPLES, PageId, Scope, StoredPage

SCOPES = (LOCAL, SAMPLES, Scope("a"))
FILES = ("0" * 16, "00ff" * 4, "f" * 16, "8000000000000000", "7fffffffffffffff")
keys = st.tuples(st.sampled_from(SCOPES), st.builds(PageId, st.sampled_from(FILES), st.integers(1, 9_999)))


def stored(key):
    scope, page = key
    return StoredPage(scope, "e", page, "x.pdf", 9_999, 1, 1, 1, 1, "int8", 0.0)


listings = st.lists(keys, unique=True, max_size=40).map(lambda some: PageList(map(stored, some)))
some_scores = st.sampled_from([0.0, 0.25, 0.2500001, 0.2500009, -1.0, 1.0, -0.0])


def slow_rank(parts, method):
    """Return the reference order: every page by its rounded score, then by its names."""
    weights, positions = method.weights, parts.candidates
    if weights.late == 0.0:
        positions, scores = np.arange(len(parts.pages)), weights.pooled * parts.pooled
    else:
        scores = weights.pooled * parts.pooled[positions] + weights.late * scoring.late_scores(parts, weights)
    names = [(str(parts.pages[p].id), str(parts.pages[p].scope)) for p in positions]
    rounded = (-scores.astype(np.float64)).round(scoring.TIE_DECIMALS)
    order = sorted(range(len(positions)), key=lambda row: (rounded[row], names[row]))
    return [(parts.pages[positions[row]].key, float(scores[row])) for row in order]


@st.composite
def any_parts(draw):
    pages = draw(listings)
    pooled = np.array([draw(some_scores) for _ in pages], np.float32)
    among = sorted(draw(st.sets(st.sampled_from(range(len(pages)))))) if pages else []
    maxima = np.array([[draw(some_scores)] for _ in among], np.float32).reshape(len(among), 1)
    plain = draw(st.booleans())  # a tuple as well as a listing
    return Parts(np.zeros(1, np.uint8), tuple(pages) if plain else pages, pooled, np.array(among, np.int64), maxima)


@given(any_parts(), st.sampled_from([(1, 0), (0, 1), (1, 1), (0, 0), (-2, 0.5), (1e30, -1e30)]), st.integers(0, 50))
def test_a_ranking_equals_the_reference(parts, weights, top):
    method = Method("m", "M", Weights(*weights))
    expected, found = slow_rank(parts, method), scoring.rank(parts, method, top)
    assert [(hit.page.key, hit.score, hit.rank) for hit in found.hits] == [
        (key, score, rank) for rank, (key, score) in enumerate(expected[:top], start=1)
    ]
    assert list(found.ranks) == [key for key, _ in expected]
    assert dict(found.ranks) == {key: rank for rank, (key, _) in enumerate(expected, start=1)}
    assert (found.candidates, found.pages, len(found.ranks)) == (len(expected), len(parts.pages), len(expected))


@given(listings, keys)
def test_a_page_is_found_at_its_position(pages, other):
    assert [pages.position(page.key) for page in pages] == list(range(len(pages)))
    there = [page.key for page in pages]
    assert pages.position(other) == (there.index(other) if other in there else None)


@given(listings)
def test_ties_are_ordered_by_page_id(pages):
    slow = sorted(range(len(pages)), key=lambda at: (str(pages[at].id), str(pages[at].scope)))
    assert pages.id_order.tolist() == slow
    assert pages.id_ranks[pages.id_order].tolist() == list(range(len(pages)))


def test_pages_that_were_not_ranked_have_no_rank():
    pages = PageList(map(stored, [(LOCAL, PageId(FILES[0], 1)), (LOCAL, PageId(FILES[0], 2))]))
    ranks = Ranks(pages, np.array([1]))
    assert ranks == {pages[1].key: 1}
    assert ranks.get(pages[0].key) is None
    assert ranks.get((SAMPLES, pages[1].id)) is None
    with pytest.raises(KeyError):
        ranks[LOCAL, PageId(FILES[2], 1)]


def test_a_page_list_is_a_tuple_and_is_not_copied():
    pages = PageList([stored((LOCAL, PageId(FILES[0], 1)))])
    assert as_page_list(pages) is pages
    assert as_page_list(tuple(pages)) == pages == tuple(pages)
    assert replace(pages[0]) == pages[0]
