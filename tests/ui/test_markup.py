"""What the page is made of, without a browser: right figures, right words, nothing from outside as markup."""

import re
from dataclasses import replace

import numpy as np
import pytest

from smart_demo.backbones.registry import Serving
from smart_demo.config import read_settings
from smart_demo.indexing.samples import Samples
from smart_demo.methods import POOLED, SMART, Weights
from smart_demo.scoring import rank
from smart_demo.search.comparison import Change, Move
from smart_demo.search.request import parse_request
from smart_demo.store.quotas import Usage
from smart_demo.ui import compare, library_tab, page_layout
from smart_demo.ui.cards import ScorePart, build_columns, render_badge, render_facts
from smart_demo.ui.moves import Side, describe_move
from smart_demo.ui.render import render
from tests.ui.cases import HOSTILE, found
from tests.ui.parsed_markup import ParsedMarkup


def answer(found, picture="data:image/webp;base64,") -> str:
    return compare.render_results(found, lambda page: picture)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_and_queries_never_become_markup(name):
    serving = Serving(name, name + " ", False, name)
    for markup in (
        answer(found([0.3, 0.2, 0.1], [0.1, 0.2, 0.3], document=name, query=name, notice=name)),
        compare.render_empty(name, name),
        page_layout.render_chips([name], name),
        page_layout.render_status(serving, name),
        page_layout.render_footer(serving, name, read_settings({})),
    ):
        seen = ParsedMarkup(markup)
        shown = re.sub("[\x00-\x08\x0b-\x1f\u202a-\u202e]", "", name)
        assert shown in seen.joined or any(shown in value for _, _, value in seen.attributes)
        assert "\u202e" not in markup


def test_only_a_public_page_says_that_a_link_shows_one_s_own_documents_in_one_browser():
    assert "this browser only" in render("sharing", public=True)
    assert "this browser only" not in render("sharing", public=False)


@pytest.mark.parametrize(
    "markup",
    [
        render("header"),
        render("hero"),
        render("how"),
        render("no_query"),
        render("outline", samples=None),
        render("outline", samples=Samples(3, 9, "minilm")),
        render("sharing", public=True),
    ],
)
def test_fixed_markup_is_valid(markup):
    ParsedMarkup(markup)


@pytest.mark.parametrize(
    ("move", "side", "shown"),
    [
        (Move(Change.UP, 5, 2), Side.RIGHT, "▲3was 5"),
        (Move(Change.UP, 5, 2), Side.LEFT, "▲3now 2"),
        (Move(Change.DOWN, 1, 3), Side.RIGHT, "▼2was 1"),
        (Move(Change.DOWN, 1, 3), Side.LEFT, "▼2now 3"),
        (Move(Change.SAME, 1, 1), Side.RIGHT, "=same"),
        (Move(Change.NEW, 14, 2), Side.RIGHT, "✦newwas 14"),
        (Move(Change.NEW, None, 2), Side.RIGHT, "✦new"),
        (Move(Change.LEFT, 2, 14), Side.LEFT, "↘left the top 5now 14"),
        (Move(Change.LEFT, 2, None), Side.LEFT, "↘left the top 5"),
    ],
)
def test_a_badge_shows_the_move_of_a_page(move, side, shown):
    seen = ParsedMarkup(render_badge(move, side, 5))
    assert seen.joined == shown
    assert f"badge-{move.change}" in seen.attributes[0][2]


def test_a_fall_is_as_prominent_as_a_rise():
    up, down = (
        render_badge(Move(c, *ranks), Side.RIGHT, 5) for c, ranks in ((Change.UP, (3, 1)), (Change.DOWN, (1, 3)))
    )
    assert up.replace("up", "").replace("▲", "").replace("3", "1") == (
        down.replace("down", "").replace("▼", "").replace("3", "1")
    )
    methods = (POOLED, SMART)
    assert "up 2 places" in describe_move(Move(Change.UP, 3, 1), Side.RIGHT, 5, methods)
    assert "down 2 places" in describe_move(Move(Change.DOWN, 1, 3), Side.RIGHT, 5, methods)


def test_ranks_and_bars_equal_a_worked_example():
    """pooled ranks pages 1 2 3 4; late 4 3 2 1; their sums 0.50 0.45 0.40 0.95 put page 4 first."""
    shown = build_columns(found([0.4, 0.3, 0.2, 0.1], [0.1, 0.15, 0.2, 0.85], top=2))
    assert [row.hit.page.number for row in shown.left.rows] == [1, 2]
    assert [row.hit.page.number for row in shown.right.rows] == [4, 1]
    first = shown.right.rows[0]
    assert [(part.name, part.rank, part.fill) for part in first.parts] == [("pooled", 4, 0.0), ("late", 1, 1.0)]
    assert shown.left.rows[1].move == Move(Change.LEFT, 2, 3)
    assert first.move == Move(Change.NEW, 4, 1)
    markup = answer(shown.found)
    assert "1 of 2 shared · new first page" in markup
    assert "ranked 4 of 4 pages" in markup


def test_both_columns_state_the_same_late_part_of_a_page():
    """The weights reduce the maxima, here to their sum, also in the column that does not rank by it."""
    answered = found([0.4, 0.3], [0.1, 0.85])
    parts = replace(
        answered.parts, maxima=np.array([[0.1, 0.3], [0.8, 0.9]], "f4"), kinds=np.repeat(answered.parts.kinds, 2)
    )
    methods = parse_request(reduce="sum").methods
    assert len({method.name for method in methods}) == len(methods)
    results = {method.name: rank(parts, method, 2) for method in methods}
    columns = build_columns(replace(answered, parts=parts, results=results))
    for column in (columns.left, columns.right):
        late = {row.hit.page.number: row.parts[1].value for row in column.rows}
        assert late == pytest.approx({1: 0.4, 2: 1.7})


def test_cards_have_document_page_and_rank_in_their_labels():
    labels = ParsedMarkup(answer(found([0.3, 0.2], [0.1, 0.9]))).values("aria-label", "button")
    assert (
        "Rank 1: report.pdf, page 2 of 12; SMART moves it up 1 place, pooled only ranks it 2. Open the page." in labels
    )
    assert "Why? report.pdf, page 2: SMART moves it up 1 place, pooled only ranks it 2" in labels


def test_every_curve_ends_at_cards():
    seen = ParsedMarkup(answer(found([0.4, 0.3, 0.2, 0.1], [0.1, 0.15, 0.2, 0.85], top=2)))
    curves = seen.values("data-page", "path")
    assert set(curves) == set(seen.values("data-page", "button"))
    assert len(curves) == len(set(curves))


def formula(row, weights):
    """The last formula of a page's facts: by the right method, with these weights."""
    facts = render_facts(row, (POOLED, replace(SMART, weights=weights)))
    return re.findall('<p class="formula">(.*?)</p>', facts)[-1]


@pytest.mark.parametrize(
    ("pooled", "late", "weights"), [(0.4405, 0.6668, (1, 1)), (0.1234, 0.5678, (0.35, 2.4)), (-0.0119, 0.3, (1, 1))]
)
def test_the_printed_formula_adds_up(pooled, late, weights):
    """0.4405 + 0.6668 is shown with as many decimals as it takes."""
    row = build_columns(found([pooled], [late], weights=Weights(*weights))).right.rows[0]
    shown = ParsedMarkup(formula(row, Weights(*weights))).joined.replace("−", "-")
    a, x, b, y, total = map(float, re.findall(r"-?\d+\.\d+", shown))
    places = len(re.findall(r"\d+\.(\d+)", shown)[-1])
    assert (a, b) == weights
    assert round(a * x + b * y, places) == total


def test_a_page_that_was_not_scored_has_a_note():
    answered = found([0.4, 0.3], [0.1, 0.2])
    row = build_columns(answered).left.rows[0]
    unscored = replace(row, parts=(row.parts[0], ScorePart("late", float("nan"), None, 0.0)))
    assert "Not scored token by token" in formula(unscored, Weights())


def test_no_pages_and_missing_pictures_give_valid_markup():
    assert "No pages here yet" in answer(found([], []))
    ParsedMarkup(answer(found([0.1], [0.2]), picture=""))


@pytest.mark.parametrize(
    ("serving", "banner"),
    [
        (Serving("qwen3-vl-2b", "minilm", False, "minilm serves instead."), "is-fallback"),
        (Serving("/models/mine", "minilm", False, "minilm serves instead."), "is-fallback"),
        (Serving("qwen3-vl-2b", "qwen3-vl-2b", True, ""), "is-loading"),
        (Serving("minilm", "minilm", False, ""), ""),
        (Serving("/models/mine", "mine", False, "It is set by SMART_BACKBONE."), ""),
    ],
)
def test_only_a_fallback_and_a_loading_model_have_a_banner(serving, banner):
    markup = page_layout.render_status(serving)
    assert banner in markup
    assert serving.reason in markup if banner else markup == ""


def test_samples_of_another_encoder_are_labelled():
    serving = Serving("qwen3-vl-2b", "qwen3-vl-2b", False, "A GPU was found.")
    assert "The samples are served by minilm." in page_layout.render_footer(serving, "minilm", read_settings({}))
    assert "served by" not in page_layout.render_footer(serving, "qwen3-vl-2b", read_settings({}))
    said = page_layout.render_status(serving, samples_encoder="minilm")
    assert "minilm answers on the samples: qwen3-vl-2b has not encoded all of them." in said
    assert "run python -m smart_demo samples" in said
    assert "python" not in page_layout.render_status(serving, samples_encoder="minilm", public=True)
    loading = page_layout.render_status(replace(serving, loading=True), samples_encoder="minilm")
    assert "You can search the samples now; minilm answers there." in loading


def test_every_limit_is_shown_before_an_upload():
    limits = {
        "SMART_LIBRARY_PAGES": "123",
        "SMART_LIBRARY_MB": "234",
        "SMART_TOTAL_MB": "3456",
        "SMART_KEEP_HOURS": "45",
        "SMART_WAITING_FILES": "56",
        "SMART_QUEUE": "67",
        "SMART_MAX_QUERY": "789",
        "SMART_MAX_PAGES": "91",
        "SMART_MAX_FILE_MB": "92",
        "SMART_MAX_MEGAPIXELS": "93",
        "SMART_MAX_FILES": "94",
    }
    read = read_settings({"SMART_PUBLIC": "on"} | limits)
    usage = Usage(0, 0, read.quotas.library_pages, read.quotas.library_bytes)
    serving = Serving("minilm", "minilm", False, "")
    said = (
        library_tab.render_intro(read)
        + render("library_usage", usage=usage, settings=read)
        + page_layout.render_footer(serving, "", read)
    )
    numbers = set(re.findall(r"\d+", said.replace(",", "")))
    assert {name: value for name, value in limits.items() if value not in numbers} == {}


def test_only_zero_weights_have_a_notice():
    said = "Both weights are 0"
    pooled, late = [0.3, 0.2, 0.1], [0.1, 0.2, 0.3]
    assert said in answer(found(pooled, late, weights=Weights(0.0, 0.0)))
    for weights in (Weights(1.0, 0.0), Weights(0.0, 1.0), Weights(1.0, 1.0)):
        assert said not in answer(found(pooled, late, weights=weights))
