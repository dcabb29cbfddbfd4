"""References of pictures: what is written is read again, and nothing else is; links that carry one."""

import math
from dataclasses import astuple
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_demo.errors import InputRefused
from smart_demo.search.request import (
    MAX_REFERENCE_CHARS,
    ON_SAMPLES,
    SCOPE_CHOICES,
    Region,
    UploadedPicture,
    format_url_query,
    make_region,
    parse_reference,
    parse_region,
    parse_request,
    parse_url_query,
)
from smart_demo.types import LOCAL, SAMPLES, PageId, Scope

PAGE = PageId("00ff00ff00ff00ff", 7)
PLACE = "samples/00ff00ff00ff00ff-0007:0.1000,0.2000,0.3000,0.4000"
KEY = "0123456789abcdef" * 2
STRANGE = [
    "",
    "region:",
    "kept:",
    PLACE,
    KEY,
    f" region:{PLACE}",
    f"region:{PLACE}\n",
    f"REGION:{PLACE}",
    f"region:region:{PLACE}",
    f"region:{PLACE},0.5000",
    f"region:{PLACE.replace('0.1000', '.1000')}",
    f"region:{PLACE.replace('0.1000', '0.1')}",
    f"region:{PLACE.replace('0.1000', '-0.1000')}",
    f"region:{PLACE.replace('0.1000', '1.1000')}",
    f"region:{PLACE.replace('0.1000', '0.3000')}",
    f"region:{PLACE.replace('0.1000', '0.9000')}",
    f"region:{PLACE.replace('0.1000', '٠.1000')}",
    f"region:{PLACE.replace('0.1000', '1e-10')}",
    f"region:{PLACE.replace('0.1000', 'nan')}",
    f"region:{PLACE.replace('0007', '0000')}",
    f"region:{PLACE.replace('0007', '7')}",
    f"region:{PLACE.replace('samples', '../samples')}",
    f"region:{PLACE.replace('samples', 'Samples')}",
    f"region:{PLACE.replace('samples', '-samples')}",
    f"region:{PLACE.replace('samples', 's' * 65)}",
    f"kept:{KEY[:-1]}",
    f"kept:{KEY}0",
    f"kept:{KEY.upper()}",
    f"kept:{KEY}\n",
    "kept:../../../../etc/passwd",
    "file:/etc/passwd",
    '"><img src=x onerror=alert(1)>',
    "\u202e\x00",
    "x" * 10_000,
]
edges = st.floats(0, 1) | st.sampled_from([0.0, -0.0, 1.0, 1e-9, 0.99999])
scopes = st.sampled_from([SAMPLES, LOCAL, Scope("v" * 64)])


@st.composite
def regions(draw):
    page = PageId(draw(st.text("0123456789abcdef", min_size=16, max_size=16)), draw(st.integers(1, 9999)))
    left, right = sorted(draw(st.lists(st.integers(0, 10_000), min_size=2, max_size=2, unique=True)))
    top, bottom = sorted(draw(st.lists(st.integers(0, 10_000), min_size=2, max_size=2, unique=True)))
    return make_region(draw(scopes), page, [left / 10_000, top / 10_000, right / 10_000, bottom / 10_000])


@given(regions() | st.binary(min_size=16, max_size=16).map(lambda key: UploadedPicture(key.hex())))
def test_what_is_written_is_read_again(reference):
    assert parse_reference(str(reference)) == reference
    assert len(str(reference)) <= MAX_REFERENCE_CHARS


@pytest.mark.parametrize("text", STRANGE, ids=lambda text: repr(text)[:40])
def test_anything_else_is_refused(text):
    for read in (parse_reference, parse_region):
        if read is parse_region and text == PLACE:
            continue
        with pytest.raises(InputRefused):
            read(text)


@given(st.text() | st.from_regex(r"(region|kept):[ -~]{0,120}", fullmatch=True))
def test_what_is_read_is_written_the_same_way(text):
    try:
        found = parse_reference(text)
    except InputRefused:
        return
    assert str(found) == text


@given(st.lists(edges, min_size=4, max_size=4))
def test_what_a_browser_draws_is_a_region_inside_the_page_or_refused_in_words(corners):
    rounded = [round(corner, 4) for corner in corners]
    if rounded[0] >= rounded[2] or rounded[1] >= rounded[3]:
        with pytest.raises(InputRefused, match="nothing in that part"):
            make_region(SAMPLES, PAGE, corners)
        return
    found = make_region(SAMPLES, PAGE, corners)
    assert astuple(found.box) == pytest.approx(corners, abs=0.00005 + 1e-12)
    assert isinstance(parse_reference(str(found)), Region)
    assert found.whole == (astuple(found.box) == (0, 0, 1, 1))


def test_corners_beyond_the_page_end_at_its_edge():
    assert make_region(SAMPLES, PAGE, [-0.2, -9e99, 1.4, 3]).whole


@pytest.mark.parametrize(
    "corners",
    [None, "0,0,1,1", [], [0, 0, 1], [0, 0, 1, 1, 1], [0, 0, "1", 1], [0, 0, math.nan, 1], [0, 0, math.inf, 1],
     [False, False, True, True], [[0], 0, 1, 1], {"left": 0}, (0, 0, 1, 1), [1, 1, 0, 0], [0, 0, 0.00001, 1]],
    ids=repr,
)  # fmt: skip
def test_what_is_no_rectangle_is_refused(corners):
    with pytest.raises(InputRefused):
        make_region(SAMPLES, PAGE, corners)


@given(
    regions(),
    st.text(max_size=80).map(str.strip),
    st.sampled_from(list(SCOPE_CHOICES)),
    st.integers(3, 20),
    st.sampled_from([0.0, 0.35, 1.0, 4.0]),
)
def test_a_link_with_a_region_asks_the_same_again(reference, text, scope, top, late):
    text = text.encode("utf-8", "ignore").decode()
    wanted = parse_request(text, scope, top, 1.0, late, picture=str(reference))
    again = parse_url_query(
        dict(parse_qsl(format_url_query(wanted), keep_blank_values=True)), parse_request("the example", ON_SAMPLES)
    )
    assert again == wanted


def test_a_link_leaves_an_uploaded_picture_out():
    kept = str(UploadedPicture(KEY))
    assert format_url_query(parse_request("tide", picture=kept)) == format_url_query(parse_request("tide"))
    assert KEY not in format_url_query(parse_request("", picture=kept))
    assert "q" not in dict(parse_qsl(format_url_query(parse_request("", picture=kept)), keep_blank_values=True))


@pytest.mark.parametrize(
    "like", [*(text for text in STRANGE if text != PLACE), f"kept:{KEY}"], ids=lambda t: repr(t)[:40]
)
def test_a_link_with_a_strange_picture_asks_without_it(like):
    wanted = parse_url_query({"like": like, "in": ON_SAMPLES}, parse_request("the example"))
    assert (wanted.text, wanted.picture) == ("the example", "")
