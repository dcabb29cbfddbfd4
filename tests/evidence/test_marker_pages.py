"""Pairs of reports: equal as bags, deranged, reproducible; and pages whose words match their image."""

from collections import Counter

import numpy as np
import pytest

from smart_demo.evidence.binding import COLOURS, PANELS_PER_REPORT, SHAPES, Marker, format_question, make_pairs
from smart_demo.evidence.marker_pages import HEIGHT, PAINT, WIDTH, draw_pair


@pytest.mark.parametrize("seed", range(6))
def test_a_pair_is_two_equal_bags_with_every_code_moved(seed):
    for pair in make_pairs(5, seed):
        assert Counter(pair.a) == Counter(pair.b)
        assert len(set(pair.a)) == PANELS_PER_REPORT == 25
        assert all(a != b for a, b in zip(pair.a, pair.b, strict=True))
        markers = [panel.marker for panel in pair.panels]
        assert len(set(markers)) == PANELS_PER_REPORT
        assert all(marker.colour in COLOURS and marker.shape in SHAPES for marker in markers)
        assert len({panel.caption for panel in pair.panels}) == PANELS_PER_REPORT
        asked = [
            format_question(c, p.marker) for codes in (pair.a, pair.b) for c, p in zip(codes, pair.panels, strict=True)
        ]
        assert len(set(asked)) == 2 * PANELS_PER_REPORT  # no question of A is one of B


def test_the_seed_decides_everything_and_the_number_of_pairs_nothing():
    assert make_pairs(4, 7) == make_pairs(4, 7)
    assert make_pairs(4, 7)[:2] == make_pairs(2, 7)
    assert make_pairs(2, 7) != make_pairs(2, 8)
    assert len({pair.a for pair in make_pairs(40)}) == 40
    with pytest.raises(ValueError, match="0 pairs"):
        make_pairs(0)


def test_a_code_may_move_to_any_other_panel():
    """Check that derangements are no fixed shift, from which a system could learn the new position."""
    places = Counter(pair.a.index(code) - at for pair in make_pairs(40) for at, code in enumerate(pair.b))
    assert places[0] == 0
    assert len(places) > 40


@pytest.fixture(scope="module")
def drawn():
    (pair,) = make_pairs(1)
    return pair, *draw_pair(pair)


def test_the_words_are_equal_bags_and_name_each_marker_beside_its_code(drawn):
    pair, a, b = drawn
    assert Counter(word.text for word in a.words) == Counter(word.text for word in b.words)
    for codes, page in ((pair.a, a), (pair.b, b)):
        text = " ".join(word.text for word in page.words)
        bound = [f"{panel.caption} {panel.marker} {code} " for code, panel in zip(codes, pair.panels, strict=True)]
        places = [text.find(one) for one in bound]
        assert -1 not in places
        assert places == sorted(places)  # row by row
    assert a.id != b.id


def test_every_word_has_its_place_on_the_page_and_a_code_its_own(drawn):
    pair, a, b = drawn
    for page in (a, b):
        assert page.pixels.shape == (HEIGHT, WIDTH, 3)
        for word in page.words:
            assert 0 <= word.box.left < word.box.right <= 1, word
            assert 0 <= word.box.top < word.box.bottom <= 1, word
    at = {word.text: word.box for word in a.words if word.text in pair.a}
    for number, code in enumerate(pair.a):
        row, column = divmod(number, 5)
        assert column / 5 - 0.05 < at[code].left < at[code].right < (column + 1) / 5 + 0.05
        assert row / 5 - 0.05 < at[code].top < (row + 1) / 5 + 0.1


def test_the_images_differ_at_the_codes_and_nowhere_else(drawn):
    pair, a, b = drawn
    differ = (a.pixels != b.pixels).any(axis=2)
    for word in (word for word in a.words if word.text in pair.a):
        box = word.box
        rows = slice(int(box.top * HEIGHT) - 4, int(box.bottom * HEIGHT) + 8)
        columns = slice(int(box.left * WIDTH) - 6, int(box.right * WIDTH) + 16)  # codes are not equally wide
        assert differ[rows, columns].any()
        differ[rows, columns] = False
    assert not differ.any()


def test_the_named_marker_is_drawn_in_its_colour_at_its_name(drawn):
    pair, a, _ = drawn
    words = list(a.words)
    for panel, code in zip(pair.panels, pair.a, strict=True):
        name = words[next(n for n, word in enumerate(words) if word.text == code) - 1]
        assert name.text == panel.marker.shape
        centre = a.pixels[int((name.box.top + name.box.bottom) / 2 * HEIGHT), int(name.box.left * WIDTH)]
        assert tuple(centre) == PAINT[panel.marker.colour]


def test_equal_pairs_are_drawn_alike(drawn):
    _, a, _ = drawn
    again, _ = draw_pair(make_pairs(1)[0])
    assert again.id == a.id
    np.testing.assert_array_equal(again.pixels, a.pixels)


def test_a_question_names_marker_and_code():
    assert (
        format_question("K7Q2", Marker("red", "star")) == "find the report where code K7Q2 labels the red star marker"
    )
