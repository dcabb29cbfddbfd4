"""Overlays: the right corner, the right size, colours of the scale only, alpha that leaves the page readable."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from smart_demo.search import explain
from smart_demo.search.explain import ColourRange, Measure, PageMap, draw_map, encode_webp, similarity_map, viridis
from smart_demo.types import TokenBoxes, TokenGrid
from tests.search.explain.cases import CONTENT, axis, block_page, page_of, query_of

FULL = ColourRange(0.0, 1.0)
LAST = round(255 * explain.MAX_ALPHA)


def grid_map(values):
    values = np.atleast_2d(np.array(values, np.float32))
    return PageMap(Measure.SIMILARITY, TokenGrid(0, *values.shape), values)


def boxes_map(values, boxes, measure=Measure.SIMILARITY):
    return PageMap(measure, TokenBoxes(np.array(boxes, np.float32)), np.array(values, np.float32))


def hot_corner(overlay):
    """(lower, right) of the quarter of the picture that holds the most alpha."""
    height, width = overlay.shape[0] // 2, overlay.shape[1] // 2
    alpha = overlay[..., 3].astype(float)
    sums = {
        (low, right): alpha[low * height :, right * width :][:height, :width].mean()
        for low in (0, 1)
        for right in (0, 1)
    }
    assert sum(value > 1 for value in sums.values()) == 1
    return max(sums, key=sums.get)


@pytest.mark.parametrize(("rows", "cols"), [(4, 10), (10, 4), (6, 6)])
@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_block_in_a_corner_of_the_page_is_hot_in_that_corner_of_the_picture(rows, cols, corner):
    lower, right = corner
    page = block_page(rows, cols, [(lower * (rows - 1), right * (cols - 1))])
    found = similarity_map(explain.match_tokens(query_of(axis(2)[None]), page), [0])
    overlay = draw_map(found, explain.colour_range([found]))
    assert overlay.shape == (rows * 16, cols * 16, 4)
    assert hot_corner(overlay) == corner


@pytest.mark.parametrize("aspect", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_word_in_a_corner_is_hot_in_that_corner(aspect, corner):
    lower, right = corner
    boxes = [(0.4, 0.4, 0.6, 0.6), (0.8 * right, 0.9 * lower, 0.8 * right + 0.2, 0.9 * lower + 0.1), (np.nan,) * 4]
    page = page_of(np.stack([axis(1), axis(2), axis(2)]), [CONTENT] * 3, TokenBoxes(np.array(boxes, np.float32)))
    found = similarity_map(explain.match_tokens(query_of(axis(2)[None]), page), [0])
    overlay = draw_map(found, FULL, aspect=aspect)
    assert max(overlay.shape[:2]) == 800
    assert overlay.shape[1] / overlay.shape[0] == pytest.approx(aspect, rel=0.01)
    assert hot_corner(overlay) == corner


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_a_surface_is_exact_at_the_centres_and_never_beyond_its_neighbours(rows, cols, seed):
    values = np.random.default_rng(seed).random((rows, cols)).astype(np.float32)
    alpha = draw_map(grid_map(values), FULL)[..., 3]
    tops = (values * LAST).round()
    centres = alpha.reshape(rows, 16, cols, 16)[:, 7:9, :, 7:9].mean(axis=(1, 3))
    np.testing.assert_allclose(centres, tops, atol=0.08 * LAST)
    assert alpha.max() <= tops.max() + 1
    assert alpha.min() >= tops.min() - 1


def test_a_surface_between_two_patches_is_a_straight_line():
    alpha = draw_map(grid_map([[0, 1]]), FULL)[0, :, 3].astype(float)
    assert alpha[:8].tolist() == [0] * 8
    assert alpha[24:].tolist() == [LAST] * 8
    np.testing.assert_allclose(alpha[8:24], (np.arange(16) + 0.5) / 16 * LAST, atol=1)


def test_every_colour_is_one_of_the_scale_and_alpha_rises_with_it():
    overlay = draw_map(grid_map(np.random.default_rng(1).random((5, 8))), FULL).reshape(-1, 4)
    scale = [tuple(row) for row in viridis().tolist()]
    steps = np.array([scale.index(tuple(row)) for row in overlay[:, :3].tolist()])
    np.testing.assert_allclose(overlay[:, 3], steps / 255 * LAST, atol=1)


def test_the_scale_rises_in_lightness_for_every_eye():
    """Lightness alone tells two values apart, so no kind of colour vision is needed; and so it prints in grey."""
    linear = np.where((c := viridis() / 255) <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance[::4]) > 0).all()  # single steps round to 8 bits
    assert luminance[-1] - luminance[0] > 0.7


@pytest.mark.parametrize("shape", [(1, 2000), (2000, 1), (300, 200)])
def test_large_grids_stay_within_bounds(shape):
    overlay = draw_map(grid_map(np.zeros(shape)), FULL)
    assert max(overlay.shape) <= max(1280, *shape)
    assert (overlay.shape[0] % shape[0], overlay.shape[1] % shape[1]) == (0, 0)


def test_colours_mean_the_same_on_pages_of_different_sizes():
    small, large = grid_map([[0.2, 0.7]]), grid_map(np.full((9, 9), 0.7))
    colours = explain.colour_range([small, large])
    np.testing.assert_array_equal(draw_map(small, colours)[8, -1], draw_map(large, colours)[8, 8])


@pytest.mark.parametrize(("left", "right"), [(1.0, 0.5), (0.5, 1.0)])
def test_where_boxes_meet_the_stronger_shows(left, right):
    overlay = draw_map(boxes_map([left, right], [(0.2, 0.2, 0.6, 0.4), (0.5, 0.2, 0.8, 0.4)]), FULL)
    assert (overlay[160:320, 400:480] == [*viridis()[-1], LAST]).all()


def test_boxes_are_filled_and_fade_outside():
    overlay = draw_map(boxes_map([0.5, 1.0], [(0.2, 0.2, 0.6, 0.4), (0.5, 0.2, 0.8, 0.4)]), FULL)
    alpha = overlay[..., 3]
    assert (alpha[160:320, 160:396] == round(127.5 * explain.MAX_ALPHA)).all()
    assert (alpha[160:320, 400:640] == LAST).all()
    assert (np.diff(alpha[240, 639:646].astype(int)) <= 0).all()
    assert alpha[240, 646:].max() == 0


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (1, 1, 1, 1), (0.5, 0.5, 0.5, 0.9), (0, 0, 1, 1)])
def test_boxes_without_a_width_or_at_the_very_edge_are_seen(box):
    assert draw_map(boxes_map([1.0], [box]), FULL)[..., 3].max() == LAST


def test_a_page_without_places_is_an_empty_picture():
    assert not draw_map(boxes_map([np.nan], [(np.nan,) * 4]), FULL).any(where=[False] * 3 + [True])


@pytest.mark.parametrize("aspect", [0, -1, np.nan, np.inf])
def test_an_impossible_page_is_refused(aspect):
    with pytest.raises(ValueError, match="heights"):
        draw_map(boxes_map([1.0], [(0, 0, 1, 1)]), FULL, aspect=aspect)


def test_the_bytes_are_a_picture_of_what_was_drawn():
    overlay = draw_map(grid_map(np.random.default_rng(2).random((3, 5))), FULL)
    with Image.open(io.BytesIO(encode_webp(overlay))) as picture:
        assert picture.format == "WEBP"
        read = np.asarray(picture.convert("RGBA"))
    seen = overlay[..., 3] > 0
    np.testing.assert_array_equal(read[..., 3], overlay[..., 3])
    np.testing.assert_array_equal(read[seen], overlay[seen])
