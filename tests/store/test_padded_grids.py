"""Pages whose patches reach beyond their edge: places on disk, in a snapshot, and on the page that a visitor sees."""

from dataclasses import replace

import numpy as np
import pytest

from smart_demo.methods import SMART
from smart_demo.search import explain
from smart_demo.search.explain.matching import cell_box
from smart_demo.store import snapshot
from smart_demo.types import LOCAL, TokenGrid, TokenKind, TokenSpace
from tests.search.explain.cases import axis, page_of, query_of
from tests.store.cases import ENCODER, open_library
from tests.store.test_token_spaces import made_with_spaces

PADDED = TokenGrid(0, 1, 6, 5.5 / 6, 0.75)


def made_padded(file):
    page, encoding = made_with_spaces(file)
    raw, trained = encoding.in_space(TokenSpace.RAW), encoding.in_space(TokenSpace.TRAINED)
    place = replace(PADDED, cols=len(raw.tokens))
    others = replace(trained, place=replace(PADDED, start=2, cols=len(trained.tokens) - 2))
    return page, replace(encoding, place=place, spaces={TokenSpace.TRAINED: others})


@pytest.mark.parametrize("min_pages", [2, 1_000], ids=["snapshot", "files"])
def test_a_padded_grid_comes_back_as_it_was(tmp_path, monkeypatch, min_pages):
    monkeypatch.setattr(snapshot, "MIN_SNAPSHOT_PAGES", min_pages)
    padded, plain = made_padded(3), made_with_spaces(5)
    assert isinstance(plain[1].place, TokenGrid)
    with open_library(tmp_path) as library:
        for page, encoding in (padded, plain):
            library.add(LOCAL, page, encoding)
        library.update_snapshots()
    assert (snapshot.read_snapshot(tmp_path / "index", LOCAL, ENCODER) is not None) == (min_pages == 2)
    with open_library(tmp_path, in_background=True) as library:
        read = {page.id: library.encoding(page) for page in library.pages([LOCAL], ENCODER)}
    for page, encoding in (padded, plain):
        for space in (TokenSpace.RAW, TokenSpace.TRAINED):
            ours, stored = encoding.in_space(space).place, read[page.id].in_space(space).place
            assert (stored.start, stored.rows, stored.cols) == (ours.start, ours.rows, ours.cols)
            assert stored.covered_width == pytest.approx(ours.covered_width, abs=1e-7)
            assert stored.covered_height == pytest.approx(ours.covered_height, abs=1e-7)
            assert stored.padded == ours.padded


def test_cells_lie_where_the_page_is_and_end_at_its_edge():
    place = TokenGrid(0, 2, 3, 2.5 / 3, 1.5 / 2)
    first, last = cell_box(place, 0, 0), cell_box(place, 1, 2)
    assert (first.left, first.top) == (0, 0)
    assert (first.right, first.bottom) == pytest.approx((1 / 2.5, 1 / 1.5))
    assert (last.left, last.top) == pytest.approx((2 / 2.5, 1 / 1.5))
    assert (last.right, last.bottom) == (1, 1)


def test_a_map_shows_the_page_without_its_padding():
    tokens = np.tile(axis(1), (6, 1))
    tokens[1] = axis(2)
    place = TokenGrid(0, 2, 3, 2.5 / 3, 1.5 / 2)
    match = explain.match_tokens(query_of(axis(2)[None]), page_of(tokens, [TokenKind.PATCH] * 6, place))
    found = explain.attribute(match, SMART.weights)
    drawn = explain.winner_map(found).map
    overlay = explain.draw_map(drawn, explain.colour_range([drawn]))
    assert overlay.shape == (24, 40, 4)
    hottest = np.unravel_index(overlay[..., 3].argmax(), overlay.shape[:2])
    assert tuple(hottest) == (7, 23) or overlay[7, 23, 3] == overlay[..., 3].max()
