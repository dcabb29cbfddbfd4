"""The crop of a page: an independent oracle for its window, and what holds for every page."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_demo.methods import SMART, Counted, Weights
from smart_demo.page_text import Box
from smart_demo.search import explain
from smart_demo.search.explain import EvidenceCrop, NoPlace, Slot, attribute, match_tokens
from smart_demo.search.explain.evidence_crop import (
    MAX_ENLARGEMENT,
    MAX_MARKS,
    MAX_SNAP,
    WonPlace,
    choose_window,
    find_won_places,
    snap_to_words,
)
from smart_demo.types import TokenBoxes
from tests.search.explain.cases import (
    CARD_SLOT,
    CONTENT,
    TEMPLATE,
    axis,
    block_page,
    page_of,
    query_of,
    random_page,
    random_query,
    seeds,
    weightings,
)

A4 = (1131, 1600)
"""Pixels of the picture of a page of 150 dots an inch."""
LATE = Weights(0.0, 1.0)
ASPECT = CARD_SLOT.width / CARD_SLOT.height


def find_crop(attribution, width, height, slot=CARD_SLOT):
    return explain.find_crop(attribution, width, height, slot)


def attribution_of(query, page, weights=LATE):
    return attribute(match_tokens(query, page), weights)


def words_page(boxes, others=40):
    """Return a page of words: the n-th box holds a word along axis n + 2; `others` lie along axis 1, at the top."""
    count = len(boxes)
    tokens = [axis(n + 2) for n in range(count)] + [axis(1)] * others
    line = [(0.01 * n, 0.01, 0.01 * n + 0.008, 0.02) for n in range(others)]
    return page_of(np.stack(tokens), [CONTENT] * len(tokens), TokenBoxes(np.array([*boxes, *line], np.float32)))


def asked_for(*labels, first=2):
    """Return a query whose n-th word lies along axis n + `first`."""
    tokens = np.stack([axis(n + first) for n in range(len(labels))])
    return query_of(tokens, words=tuple(range(len(labels))), word_texts=labels)


def place(box, contribution):
    return WonPlace(Box(*box), ("w",), contribution)


def contains(outer, inner, slack=1e-5):
    return (
        outer.left <= inner.left + slack
        and outer.top <= inner.top + slack
        and outer.right >= inner.right - slack
        and outer.bottom >= inner.bottom - slack
    )


def best_sum(places, across, down):
    """Oracle: the largest sum of any set of places that fits a window, by trying all sets."""
    sums = [0.0]
    for size in range(1, len(places) + 1):
        for chosen in combinations(places, size):
            wide = max(p.box.right for p in chosen) - min(p.box.left for p in chosen)
            high = max(p.box.bottom for p in chosen) - min(p.box.top for p in chosen)
            if wide <= across and high <= down:
                sums.append(sum(p.contribution for p in chosen))
    return max(sums)


grid_of_100 = st.integers(0, 100)
some_place = st.builds(
    lambda left, top, wide, high, value: place(
        (left / 128, top / 128, (left + wide) / 128, (top + high) / 128), value / 8
    ),
    *[grid_of_100] * 2,
    *[st.integers(1, 28)] * 2,
    st.integers(1, 40),
)


@given(st.lists(some_place, min_size=1, max_size=8), st.integers(28, 128), st.integers(28, 128))
def test_the_window_has_the_largest_sum_of_all(places, across, down):
    across, down = across / 128, down / 128  # exact in binary, so that touching edges are inside for both
    left, top = choose_window(places, across, down)
    assert 0 <= left <= 1 - across
    assert 0 <= top <= 1 - down
    window = Box(left, top, left + across, top + down)
    inside = sum(p.contribution for p in places if contains(window, p.box))
    assert inside == pytest.approx(best_sum(places, across, down))


slots = st.builds(Slot, st.integers(120, 1200), st.integers(40, 800))


@given(seeds, weightings, st.sampled_from([A4, (1600, 900), (471, 9000), (9000, 300), (40, 60)]), slots)
def test_what_holds_for_every_crop(seed, weights, size, slot):
    rng = np.random.default_rng(seed)
    query, page = random_query(rng), random_page(rng)
    attribution = attribution_of(query, page, weights)
    crop = find_crop(attribution, *size, slot)
    if isinstance(crop, NoPlace):
        assert find_won_places(attribution) is crop
        return
    assert contains(Box(0, 0, 1, 1), crop.box)
    assert 0 < crop.share <= 1
    assert crop.marks
    assert {*crop.labels} <= {term.label for term in attribution.terms}
    for mark in crop.marks:
        assert contains(Box(0, 0, 1, 1), mark.box)
        assert mark.contribution > 0
    carried = sum(mark.contribution for mark in crop.marks)
    if len(crop.marks) < MAX_MARKS:
        assert min(1.0, carried / attribution.late) == pytest.approx(crop.share)
    strongest = find_won_places(attribution)[0]
    assert carried >= strongest.contribution - 1e-9  # a window that holds the strongest place was possible


@given(seeds, st.floats(0.1, 4), st.sampled_from(list(Counted)))
def test_the_crop_does_not_depend_on_the_weight(seed, late, counted):
    rng = np.random.default_rng(seed)
    query, page = random_query(rng), random_page(rng)
    one, other = (
        find_crop(attribution_of(query, page, Weights(0, weight, counted=counted)), *A4) for weight in (1.0, late)
    )
    if isinstance(one, NoPlace):
        assert other is one
    else:
        assert other.box == one.box
        assert other.share == pytest.approx(one.share)


word_box = st.builds(
    lambda left, line, wide: Box(left / 128, line / 16, min(left + wide, 128) / 128, line / 16 + 1 / 24),
    st.integers(0, 120),
    st.integers(0, 14),
    st.integers(2, 14),
)


def count_cut(words, edge):
    """Oracle: the number of words that a vertical edge cuts."""
    return sum(word.left + 1e-5 < edge < word.right - 1e-5 for word in words)


@given(st.lists(word_box, min_size=1, max_size=40), st.integers(0, 39), st.integers(30, 90), st.integers(2, 8))
def test_edges_move_to_gaps_between_words(words, strongest, across, lines):
    kept = words[strongest % len(words)]
    across, down = max(across / 128, kept.right - kept.left), lines / 16
    left = min(max((kept.left + kept.right - across) / 2, 0), 1 - across)
    top = min(max((kept.top + kept.bottom - down) / 2, 0), 1 - down)
    window = Box(left, top, left + across, top + down)
    snapped = snap_to_words(window, [kept], words, 1.0)
    assert contains(Box(0, 0, 1, 1), snapped)
    assert contains(snapped, kept)
    line = [one for one in words if kept.top < (one.top + one.bottom) / 2 < kept.bottom]
    reach = MAX_SNAP * across
    for edge, low, high in (
        (snapped.left, max(0, window.left - reach), kept.left),
        (snapped.right, kept.right, min(1, window.right + reach)),
    ):
        assert low - 1e-6 <= edge <= high + 1e-6
        fewest = min(count_cut(line, position) for position in np.linspace(low, high, 200))
        assert count_cut(line, edge) <= fewest, "another position cuts fewer words of the line"


def test_a_crop_of_known_words_cuts_none_of_the_winners_line():
    line = 18 / A4[1]
    word = 0.055  # words of that width with gaps between them, over the width of the page
    row = [(0.02 + n * 0.065, 0.5, 0.02 + n * 0.065 + word, 0.5 + line) for n in range(14)]
    attribution = attribution_of(asked_for("harbour"), words_page([row[7]]))
    across = {}
    for words in ((), tuple(Box(*box) for box in row)):
        crop = explain.find_crop(attribution, *A4, CARD_SLOT, words)
        cut = [box for box in row for edge in (crop.box.left, crop.box.right) if box[0] < edge < box[2]]
        assert bool(cut) != bool(words)
        across[bool(words)] = crop.box.right - crop.box.left
        scale = CARD_SLOT.width / (across[bool(words)] * A4[0])
        assert 18 * min(scale, MAX_ENLARGEMENT) >= 12, "print stays readable"
    assert across[True] <= across[False] * (1 + 2 * MAX_SNAP)


def test_the_crop_holds_the_words_that_won_at_reading_size():
    line = 18 / A4[1]  # a line of 18 pixels
    boxes = [(0.5, 0.5, 0.58, 0.5 + line), (0.6, 0.5, 0.68, 0.5 + line), (0.1, 0.9, 0.2, 0.9 + line)]
    attribution = attribution_of(asked_for("harbour", "master", "tide"), words_page(boxes))
    crop = find_crop(attribution, *A4)
    assert crop.labels == ("harbour", "master")
    assert crop.share == pytest.approx(2 / 3)
    across, down = (crop.box.right - crop.box.left) * A4[0], (crop.box.bottom - crop.box.top) * A4[1]
    assert across / down == pytest.approx(ASPECT)
    scale = CARD_SLOT.width / across
    assert 18 * scale >= 12
    assert scale <= MAX_ENLARGEMENT
    for mark, box in zip(crop.marks, boxes[:2], strict=True):  # a mark lies where its word is
        assert crop.box.left + mark.box.left * (crop.box.right - crop.box.left) == pytest.approx(box[0])
        assert crop.box.top + mark.box.bottom * (crop.box.bottom - crop.box.top) == pytest.approx(box[3])
    middle = (crop.marks[0].box.left + crop.marks[1].box.right) / 2
    assert middle == pytest.approx(0.5)


def test_small_print_gets_a_narrower_window_than_the_headings_of_its_page():
    small, large = 12 / A4[1], 80 / A4[1]
    boxes = [(0.1, 0.8, 0.15, 0.8 + small), (0.17, 0.8, 0.22, 0.8 + small), (0.1, 0.1, 0.4, 0.1 + large)]
    boxes += [(0.5, 0.1, 0.9, 0.1 + large), (0.1, 0.3, 0.4, 0.3 + large)]
    query = asked_for("harbour", "master", "a", "b", "c")
    query = replace(query, tokens=query.tokens * np.array([[1], [1], [0.6], [0.6], [0.6]], np.float32))
    crop = find_crop(
        attribution_of(replace(query, word_texts=("harbour", "master", "x", "y", "z")), words_page(boxes)), *A4
    )
    assert crop.labels == ("harbour", "master")
    assert 12 * CARD_SLOT.width / ((crop.box.right - crop.box.left) * A4[0]) >= 12


def test_stop_words_do_not_decide():
    boxes = [(0.1, 0.1, 0.2, 0.11), (0.1, 0.12, 0.2, 0.13), (0.7, 0.9, 0.8, 0.91)]
    crop = find_crop(attribution_of(asked_for("of", "the", "tide"), words_page(boxes)), *A4)
    assert crop.labels == ("tide",)
    assert crop.box.top > 0.5
    assert crop.share == pytest.approx(1 / 3)
    only = find_crop(attribution_of(asked_for("of", "the"), words_page(boxes)), *A4)
    assert set(only.labels) == {"of", "the"}


def test_pieces_of_a_word_are_one_mark_and_words_that_share_a_place_are_named_together():
    boxes = [(0.4, 0.4, 0.5, 0.42)] * 2
    page = words_page(boxes)
    pieces = query_of(np.stack([axis(2), axis(3)]), words=(0, 0), word_texts=("anchoring",))
    crop = find_crop(attribution_of(pieces, page), *A4)
    assert [mark.labels for mark in crop.marks] == [("anchoring",)]
    assert crop.share == pytest.approx(1)
    crop = find_crop(attribution_of(asked_for("anchoring", "restricted"), page), *A4)
    assert [mark.labels for mark in crop.marks] == [("anchoring", "restricted")]


@pytest.mark.parametrize(("rows", "cols"), [(4, 12), (12, 4)])
def test_patches_are_marked_in_their_row_and_column(rows, cols):
    crop = find_crop(attribution_of(asked_for("tide"), block_page(rows, cols, [(1, 3)])), 100 * cols, 100 * rows)
    (mark,) = crop.marks
    across, down = crop.box.right - crop.box.left, crop.box.bottom - crop.box.top
    assert crop.box.left + mark.box.left * across == pytest.approx(3 / cols)
    assert crop.box.left + mark.box.right * across == pytest.approx(4 / cols)
    assert crop.box.top + mark.box.top * down == pytest.approx(1 / rows)
    assert crop.box.top + mark.box.bottom * down == pytest.approx(2 / rows)


def test_touching_patches_of_one_word_are_one_mark():
    page = block_page(30, 21, [(4, 3)])
    tokens = page.tokens.copy()
    tokens[3 + 5 * 21 + 3] = axis(5)  # the patch below
    query = query_of(np.stack([axis(2), axis(5)]), words=(0, 0), word_texts=("tide",))
    crop = find_crop(attribution_of(query, replace(page, tokens=tokens)), 1131, 1600)
    (mark,) = crop.marks
    down = crop.box.bottom - crop.box.top
    assert (mark.box.bottom - mark.box.top) * down == pytest.approx(2 / 30)
    assert crop.share == pytest.approx(1)


@pytest.mark.parametrize(
    ("size", "grid"), [((471, 9000), False), ((300, 6000), True), ((1600, 900), False), ((9000, 300), False)]
)
def test_tall_and_wide_pages_have_crops_of_the_slots_shape(size, grid):
    page = block_page(180, 9, [(165, 4)]) if grid else words_page([(0.4, 0.9, 0.42, 0.9 + 20 / size[1])])
    crop = find_crop(attribution_of(asked_for("tide"), page), *size)
    across, down = (crop.box.right - crop.box.left) * size[0], (crop.box.bottom - crop.box.top) * size[1]
    assert across / down == pytest.approx(ASPECT)
    assert across >= CARD_SLOT.width / MAX_ENLARGEMENT - 1e-6
    assert crop.box.bottom > 0.9


def test_a_place_that_is_larger_than_the_window_is_shown_whole():
    crop = find_crop(attribution_of(asked_for("tide"), words_page([(0.4, 0.2, 0.45, 0.9)])), 300, 300)
    (mark,) = crop.marks
    assert (mark.box.bottom - mark.box.top) * (crop.box.bottom - crop.box.top) == pytest.approx(0.7)


def test_there_is_no_crop_without_a_clear_place():
    page = words_page([(0.4, 0.4, 0.5, 0.42)])
    even = page_of(np.tile(axis(2), (30, 1)), [CONTENT] * 30, page.place.__class__(page.place.boxes[:30]))
    assert find_crop(attribution_of(asked_for("tide"), even), *A4) is NoPlace.FLAT
    prefix = block_page(4, 4, [])
    by_template = attribution_of(asked_for("tide", first=3), prefix)
    assert not by_template.terms[0].winner.placed
    assert find_crop(by_template, *A4) is NoPlace.UNPLACED
    nowhere = page_of(axis(2)[None], [TEMPLATE], TokenBoxes(np.full((1, 4), np.nan, np.float32)))
    assert find_crop(attribution_of(asked_for("tide"), nowhere), *A4) is NoPlace.UNPLACED
    assert find_crop(attribution_of(asked_for("tide"), page, Weights(1.0, 0.0)), *A4) is NoPlace.NO_MATCH
    against = page_of(-axis(2)[None], [CONTENT], TokenBoxes(np.array([[0, 0, 1, 1]], np.float32)))
    assert find_crop(attribution_of(asked_for("tide"), against, SMART.weights), *A4) is NoPlace.NO_MATCH


def test_a_word_without_a_clear_place_is_not_marked():
    page = words_page([(0.4, 0.4, 0.5, 0.42)])
    both = asked_for("tide", "matters")  # every other word of the page lies along the second one's axis
    both = replace(both, tokens=np.stack([axis(2), axis(9)]))
    attribution = attribution_of(both, replace(page, tokens=np.where(page.tokens == 0, np.float32(0.1), page.tokens)))
    crop = find_crop(attribution, *A4)
    assert isinstance(crop, EvidenceCrop)
    assert crop.labels == ("tide",)
    assert explain.similarity_map(attribution.match, attribution.terms[1].tokens).flat
