"""Why did X pass Y: numbers that add up as shown, the right opponent, honest sentences, places on both pages."""

import json
import math
import re
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from smart_demo import scoring
from smart_demo.errors import InputRefused
from smart_demo.methods import POOLED, SMART, Counted, Method, Reduce, SearchResult, Weights
from smart_demo.search import explain
from smart_demo.search.comparison import find_passing_pair
from smart_demo.types import TokenBoxes
from smart_demo.ui.pair_view import (
    MAX_LABEL_CHARS,
    MAX_WORD_LINES,
    build_score_table,
    describe_pair,
    list_choices,
    round_to_total,
)
from tests.search.explain.cases import (
    CONTENT,
    PATCH,
    TAIL,
    TEMPLATE,
    D,
    axis,
    block_page,
    page_of,
    query_of,
    random_page,
    random_query,
    seeds,
    stored,
    unit,
    weightings,
)
from tests.ui.cases import HOSTILE
from tests.ui.pair_cases import paired, searched

MINUS = "−"


def number(text):
    """A number as a reader with a calculator types it."""
    assert re.fullmatch(rf"[+{MINUS}]?\d+\.\d{{4,6}}", text), text
    return Decimal(text.replace(MINUS, "-").replace("+", ""))


def words_of(told):
    return {line["label"]: line for line in [*told["lines"], *told["folded"]]}


def sentence(told):
    return "".join(piece.get("text", f"“{piece.get('word')}”") for piece in told["said"])


def near(n, pooled, cells):
    """Return page n with a known pooled cosine with axis 0, and with `cells` along axis 2."""
    state = (axis(0) * pooled + axis(7) * math.sqrt(1 - pooled**2)).astype("f4")
    return replace(block_page(2, 2, cells), page=stored(n).id, pooled=state)


def two_pages(first=(), second=(), pooled=(0.6, 0.5)):
    """Return pages 1 and 2 with these cells along axis 2."""
    return [near(1, pooled[0], first), near(2, pooled[1], second)]


# -- the sums


@given(seeds, weightings)
@settings(max_examples=80, deadline=None)
def test_every_column_adds_up_as_it_is_shown(seed, weights):
    rng = np.random.default_rng(seed)
    pair = paired(random_query(rng), [random_page(rng, 1), random_page(rng, 2)], weights)
    told = describe_pair(pair)
    json.dumps(told)
    rows = told["lines"] + ([told["fold"]] if told["fold"] else [])
    for column in ("first", "second", "difference"):
        assert sum(number(line[column]) for line in rows) == number(told["total"][column])
        if told["fold"]:
            assert sum(number(line[column]) for line in told["folded"]) == number(told["fold"][column])
    for line in (*rows, *told["folded"], told["total"]):
        assert number(line["first"]) - number(line["second"]) == number(line["difference"])
    sizes = [abs(number(line["difference"])) for line in told["lines"]]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(line["kind"] == "pooled" for line in told["lines"]) == 1


@given(seeds, weightings)
@settings(max_examples=60, deadline=None)
def test_what_is_shown_is_what_the_ranking_computed(seed, weights):
    """Totals to the nearest, lines to the next number up or down: against scores of `scoring`, not of the table."""
    rng = np.random.default_rng(seed)
    query, pages = random_query(rng), [random_page(rng, 1), random_page(rng, 2)]
    pair = paired(query, pages, weights)
    hits = scoring.rank(pair.found.parts, Method("m", "M", weights), 2).hits
    scores = {hit.page.number: hit.score for hit in hits}
    told = describe_pair(pair)
    last = 10.0 ** -len(told["total"]["first"].split(".")[1])
    for column, page in (("first", 1), ("second", 2)):
        assert float(number(told["total"][column])) == pytest.approx(scores[page], abs=last / 2 + 2e-6)
    table = build_score_table(pair.pair, [])
    for line in (*table.lines, *table.folded):
        for shown, exact in ((line.first, "first"), (line.second, "second")):
            true = sum(getattr(row, exact) for row in line.rows)
            assert abs(shown * last - true) < last * (1 + 1e-6) + 1e-9


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=40))
def test_shares_are_the_whole_numbers_beside_and_add_up(values):
    total = round(sum(values))
    found = round_to_total(values, total)
    assert sum(found) == total
    assert all(share in {math.floor(value), math.ceil(value)} for share, value in zip(found, values, strict=True))


def test_a_small_difference_gets_the_decimals_it_needs():
    query = query_of(np.stack([axis(2)]))
    for gap, places in ((0.1, 4), (0.0004, 5), (0.00003, 6)):
        state = (axis(2) * (1 - gap) + axis(5) * math.sqrt(1 - (1 - gap) ** 2)).astype("f4")
        pages = [
            page_of(row[None], [CONTENT], TokenBoxes(np.array([[0, 0, 1, 1]], "f4")), number=n + 1)
            for n, row in enumerate((axis(2), state))
        ]
        told = describe_pair(paired(query, pages))
        assert len(told["total"]["difference"].split(".")[1]) == places


def test_stop_words_and_template_tokens_share_a_line_that_opens():
    query = query_of(
        np.stack([axis(2), axis(3), axis(4), axis(5)]),
        [CONTENT, CONTENT, TEMPLATE, TAIL],
        (0, 1, -1, -1),
        ("torque", "the"),
    )
    told = describe_pair(paired(query, two_pages([(0, 1)])))
    assert [line["label"] for line in told["lines"]] == ["torque", "pooled part"]
    assert told["fold"]["label"] == "other tokens (3)"
    assert sorted(line["label"] for line in told["folded"]) == ["t2", "t3", "the"]
    assert all(line["id"] for line in told["folded"])


def test_a_single_other_token_needs_no_fold():
    query = query_of(np.stack([axis(2), axis(3)]), [CONTENT, TAIL], (0, -1), ("torque",))
    told = describe_pair(paired(query, two_pages()))
    assert [told["fold"], told["folded"]] == [None, []]
    assert {line["label"] for line in told["lines"]} == {"torque", "pooled part", "t1"}


def test_tokens_of_no_word_still_make_a_table():
    query = query_of(np.stack([axis(2)] * 30), [TEMPLATE] * 30)
    told = describe_pair(paired(query, two_pages([(0, 1)])))
    assert len(told["lines"]) == 9
    assert told["fold"]["label"] == "other tokens (22)"


def test_a_query_of_many_words_stays_a_table_that_can_be_read():
    rng = np.random.default_rng(4)
    words = tuple(f"word{n}" for n in range(200))
    query = query_of(unit(rng, 200, D), words=tuple(range(200)), word_texts=words)
    told = describe_pair(paired(query, [random_page(rng, 1), random_page(rng, 2)]))
    assert len(told["lines"]) == MAX_WORD_LINES + 1
    assert len(told["folded"]) == 61
    assert told["folded"][-1]["label"] == "other tokens (124)"


# -- the opponent


def ranking(order):
    ranks = {stored(n).key: place for place, n in enumerate(order, start=1)}
    return SearchResult(POOLED, (), ranks, len(order), len(order))


@pytest.mark.parametrize(
    ("before", "after", "asked", "told"),
    [
        ([1, 2, 3, 4], [3, 1, 2, 4], 3, (3, 1)),  # it rose past 1 and 2: 1 stands highest now
        ([1, 2, 3, 4], [4, 2, 3, 1], 1, (4, 1)),  # 1 fell behind all three: 4 stands highest
        ([1, 2, 3, 4], [2, 4, 3, 1], 4, (4, 3)),  # it rose past 3 and 1, not past 2
        ([1, 2, 3], [1, 2, 3], 2, (1, 2)),  # it stayed: its neighbour above
        ([1, 2, 3], [1, 2, 3], 1, (1, 2)),  # it stayed first: the one below
        ([1, 2, 3, 4], [1, 3], 2, (3, 2)),  # SMART did not reach it: the best that was below it
        ([1, 2], [2], 1, (2, 1)),
        ([1], [1], 1, None),
    ],
)
def test_the_opponent_by_hand(before, after, asked, told):
    found = find_passing_pair(ranking(before), ranking(after), stored(asked).key)
    assert found == (told and tuple(stored(n).key for n in told))


@given(st.permutations(range(1, 9)), st.permutations(range(1, 9)), st.integers(1, 8))
def test_a_page_that_moved_is_compared_with_one_it_changed_places_with(before, after, asked):
    key = stored(asked).key
    left, right = ranking(before), ranking(after)
    upper, lower = find_passing_pair(left, right, key)
    assert key in (upper, lower)
    assert right.ranks[upper] < right.ranks[lower]
    moved = left.ranks[key] - right.ranks[key]
    if moved:
        assert left.ranks[upper] > left.ranks[lower]
        assert (key == upper) == (moved > 0)


def test_left_out_the_opponent_is_found_and_asks_the_question():
    query = query_of(np.stack([axis(2)]), pooled=axis(0))
    pages = two_pages(second=[(0, 0)])
    for first in (0, 1):
        told = describe_pair(paired(query, pages, first=first, second=None))
        assert [one["key"] for one in told["pages"]] == [
            "samples/00000000000000aa-0002",
            "samples/00000000000000aa-0001",
        ]
        assert told["title"] == "Why did X pass Y?"
    assert describe_pair(paired(query, pages))["title"] == "Why did Y pass X?"
    assert describe_pair(paired(query, pages, Weights(1.0, 0.0)))["title"] == "Why is X above Y?"


def test_a_page_is_not_compared_with_itself_nor_with_nothing():
    query = query_of(np.stack([axis(2)]))
    for second in (0, None):
        with pytest.raises(InputRefused, match="another"):
            paired(query, [near(1, 0.6, [])], second=second)


# -- where they change places


@given(seeds, st.sampled_from([1.0, 0.3, 2.5]), st.sampled_from(list(Reduce)), st.sampled_from(list(Counted)))
@settings(max_examples=80, deadline=None)
def test_just_before_and_after_the_swap_the_ranking_agrees(seed, pooled, reduce, counted):
    rng = np.random.default_rng(seed)
    weights = Weights(pooled, 1.0, reduce, counted)
    pair = paired(random_query(rng), [random_page(rng, 1), random_page(rng, 2)], weights)
    x, y = pair.first.page.key, pair.second.page.key

    def ahead(late):
        ranks = scoring.rank(pair.found.parts, Method("m", "M", replace(weights, late=late)), 2).ranks
        return "X" if ranks[x] < ranks[y] else "Y"

    said = describe_pair(pair)["swap"]
    if pair.swap_weight is None:
        assert len({ahead(late) for late in (0.01, 0.5, 3.9, 1000.0)}) == 1
        assert said.startswith("No late weight changes their order.")
        return
    assume(0.01 < pair.swap_weight < 1000)
    before, after = ahead(pair.swap_weight * 0.99), ahead(pair.swap_weight * 1.01)
    assert before != after
    assert f"below it {before} is ahead, above it {after}." in said
    named = float(re.search(r"late weight of ([\d.]+\d)", said)[1])
    assert named == pytest.approx(pair.swap_weight, abs=0.005)
    assert ("beyond the slider" in said) == (pair.swap_weight > 4)


@pytest.mark.parametrize(
    ("pooled", "weights", "said"),
    [
        (
            (0.5, 0.6),
            (1, 1),
            "They change places at a late weight of 0.10: below it Y is ahead, above it X. It is 1.00",
        ),
        ((0.5, 0.6), (0, 1), "At a pooled weight of 0 the late part alone ranks them, whatever its weight."),
        ((0.6, 0.5), (1, 1), "No late weight changes their order. X is ahead at every one."),
    ],
)
def test_the_late_weight_at_which_two_pages_change_places_is_said(pooled, weights, said):
    pages = two_pages([(0, 0)], pooled=pooled)
    assert describe_pair(paired(query_of(np.stack([axis(2)])), pages, Weights(*weights)))["swap"].startswith(said)


# -- what is said


@pytest.mark.parametrize(
    ("second", "pooled", "said"),
    [
        ([], (0.5, 0.6), "0.4000 ahead of Y: “torque” adds 0.5000 more on X. The pooled part (0.1000) speaks for Y."),
        ([], (0.6, 0.5), "0.6000 ahead of Y: “torque” adds 0.5000 more on X, the pooled part 0.1000. Nothing speaks"),
        ([(1, 1)], (0.5, 0.5), "X and Y have the same score."),
    ],
)
def test_the_sentence_says_which_page_is_ahead_and_what_speaks_for_the_other(second, pooled, said):
    query = query_of(np.stack([axis(2), axis(5)]), words=(0, 1), word_texts=("torque", "bolt"))
    told = sentence(describe_pair(paired(query, two_pages([(0, 0)], second, pooled))))
    assert told.removeprefix("X is ").startswith(said)


@given(seeds, weightings)
@settings(max_examples=60, deadline=None)
def test_numbers_of_the_sentence_stand_in_the_table(seed, weights):
    rng = np.random.default_rng(seed)
    told = describe_pair(paired(random_query(rng), [random_page(rng, 1), random_page(rng, 2)], weights))
    shown = {str(abs(number(line["difference"]))) for line in (*told["lines"], told["fold"] or told["total"])}
    shown.add(str(abs(number(told["total"]["difference"]))))
    assert set(re.findall(r"\d+\.\d{4,6}", sentence(told))) <= shown
    assert not {"because", "attention"} & set(sentence(told).lower().split())


def test_a_page_that_smart_did_not_rank_is_never_said_to_have_been_passed():
    query = query_of(np.stack([axis(2)]))
    pair = paired(query, two_pages([(0, 0)], [(0, 1)]), candidates=1)
    told = describe_pair(pair)
    assert pair.swap_weight is None
    assert told["title"] == "X against Y"
    assert told["pages"][1]["ranks"][1] == ["SMART", "not ranked"]
    assert sentence(told).startswith(
        "SMART did not rank Y: it was not scored token by token. Computed only for this view, X would be "
    )
    assert "X would be 0.1000 ahead of Y" in sentence(told)
    assert (
        told["swap"]
        == "At which late weight they change places is not known: one of them was not scored token by token."
    )


# -- where it matched on both pages


def test_a_patch_is_outlined_on_both_pages_and_named_by_row_and_column():
    told = describe_pair(
        paired(
            query_of(np.stack([axis(2)])),
            [block_page(3, 5, [(1, 3)]), replace(block_page(4, 2, [(3, 0)]), page=stored(2).id)],
        )
    )
    first, second = words_of(told)["t0"]["spots"]
    assert first["box"] == pytest.approx([3 / 5, 1 / 3, 4 / 5, 2 / 3])
    assert second["box"] == pytest.approx([0, 3 / 4, 1 / 2, 1])
    assert first["said"] == "Similarity 1.000, in row 2 of 3, column 4 of 5."
    assert first["won"]
    assert second["won"]


def test_a_winner_that_is_no_place_is_said_and_the_closest_is_dashed():
    query = query_of(np.stack([(axis(3) + 0.5 * axis(2)) / math.sqrt(1.25)]))
    nowhere = page_of(axis(3)[None], [TEMPLATE], TokenBoxes(np.full((1, 4), np.nan, "f4")), number=2)
    told = describe_pair(paired(query, [block_page(3, 5, [(2, 0)]), nowhere]))
    first, second = words_of(told)["t0"]["spots"]
    assert first["box"] == pytest.approx([0, 2 / 3, 1 / 5, 1])
    assert not first["won"]
    assert first["said"] == (
        "The winner is not a place on the page but the template, at 0.894. The closest place is dashed; it did not win."
    )
    assert second == {
        "box": None,
        "won": False,
        "said": "The winner is not a place on the page but the template, at 0.894. The page has no places to show.",
    }


def test_the_pooled_part_and_shared_lines_point_nowhere():
    told = describe_pair(paired(query_of(np.stack([axis(2)] * 3), [CONTENT, TAIL, TAIL], (0, -1, -1)), two_pages()))
    (pooled,) = (line for line in told["lines"] if line["kind"] == "pooled")
    for line in (pooled, told["fold"], told["total"]):
        assert line["spots"] == []
        assert line["id"] == ""


# -- words and names from outside


@pytest.mark.parametrize("text", [*HOSTILE, "x" * 10_000, "\u202e\n\t"])
def test_hostile_words_are_plain_and_short(text):
    query = query_of(np.stack([axis(2)]), words=(0,), word_texts=(text,))
    told = describe_pair(paired(query, two_pages(second=[(0, 0)])))
    (line,) = (line for line in told["lines"] if line["kind"] == "word")
    assert 1 <= len(line["label"]) <= MAX_LABEL_CHARS
    assert not set(line["label"]) & set("\n\t\x00\u202e")
    assert {piece["word"] for piece in told["said"] if "word" in piece} == {line["label"]}
    assert text not in "".join(piece.get("text", "") for piece in told["said"])


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_isolated_in_the_choices(name):
    found = searched(query_of(np.stack([axis(2)])), two_pages())
    named = replace(found.parts.pages[0], document=name)
    offered = list_choices(found, (named, found.parts.pages[1]))
    label = offered[0]["label"]
    assert re.fullmatch("\u2068[^\u202a-\u202e\u2066-\u2069\x00]*\u2069, page 1", label, re.S)


def test_every_page_of_either_column_may_be_chosen_and_those_shown():
    query = query_of(np.stack([axis(2)]))
    pages = [near(n + 1, 0.9 - n / 10, [(0, 0)] if n > 5 else []) for n in range(8)]
    pair = paired(query, pages, first=3, second=4, top=2)
    keys = [one["key"][-4:] for one in describe_pair(pair)["choices"]]
    columns = {f"{hit.page.number:04d}" for name in (POOLED.name, SMART.name) for hit in pair.found.results[name].hits}
    assert columns == {"0001", "0002", "0007", "0008"}
    assert keys == ["0007", "0008", "0001", "0002", "0004", "0005"]


def test_a_pair_agrees_with_the_two_explanations_it_is_made_of():
    rng = np.random.default_rng(2)
    pair = paired(random_query(rng), [random_page(rng, 1), random_page(rng, 2)])
    assert pair.pair.difference == pytest.approx(pair.first.attribution.score - pair.second.attribution.score)
    assert sum(row.difference for row in pair.pair.rows) == pytest.approx(pair.pair.difference, abs=1e-9)
    assert explain.compare_pages(pair.first.attribution, pair.second.attribution).rows == pair.pair.rows
    assert PATCH in pair.first.attribution.by_kind
