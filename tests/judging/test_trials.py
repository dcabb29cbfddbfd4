"""Sides and grading orders are random, reproducible, and reveal nothing."""

from dataclasses import asdict
from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo.judging.records import count_ungraded, pages_to_grade, pages_without_grade, replay
from smart_demo.judging.trials import draw_sides, library_fingerprint, new_seed, shuffled
from smart_demo.methods import SMART
from smart_demo.types import LOCAL, SAMPLES, Query, Scope, StoredPage
from tests.judging.cases import SEED, Script, page, trial_of

KEYS = [Query(f"query {n}").key for n in range(4_000)]
SIGMA = 4_000**0.5 / 2
"""Of a count of 4,000 fair throws."""


def heads(draws):
    return sum(sides.a == SMART.name for sides in draws)


@pytest.mark.parametrize("seed", [SEED, "00" * 16, "ff" * 16])
def test_sides_are_as_often_one_as_the_other_over_queries(seed):
    drawn = [draw_sides(seed, key) for key in KEYS]
    assert abs(heads(drawn) - 2_000) < 4 * SIGMA
    # and a query's side says nothing of the next one's
    changes = sum(a != b for a, b in pairwise(drawn))
    assert abs(changes - 2_000) < 4 * SIGMA
    assert {tuple(sorted(asdict(sides).values())) for sides in drawn} == {("pooled", "smart")}


def test_sides_are_as_often_one_as_the_other_over_seeds_and_seeds_do_not_agree():
    drawn = [draw_sides(f"{n:032x}", KEYS[0]) for n in range(4_000)]
    assert abs(heads(drawn) - 2_000) < 4 * SIGMA
    same = sum(draw_sides(SEED, key) == draw_sides("00" * 16, key) for key in KEYS)
    assert abs(same - 2_000) < 4 * SIGMA


@settings(deadline=None, max_examples=20)
@given(order=st.permutations(KEYS[:20]))
def test_sides_do_not_depend_on_what_was_drawn_before(order):
    assert {key: draw_sides(SEED, key) for key in order} == {key: draw_sides(SEED, key) for key in KEYS[:20]}


def test_a_seed_cannot_be_guessed():
    assert len({new_seed() for _ in range(100)}) == 100
    assert all(len(bytes.fromhex(new_seed())) == 16 for _ in range(10))


def test_every_order_of_grading_is_as_likely_as_any_other_and_ignores_the_ranking():
    pages = [page(n) for n in (1, 2, 3)]
    orders = [shuffled(SEED, key, pages) for key in KEYS[:1_200]]
    for order in permutations(pages):
        assert abs(orders.count(order) - 200) < 5 * (1_200 * 1 / 6 * 5 / 6) ** 0.5
    assert orders == [shuffled(SEED, key, [*reversed(pages), page(1)]) for key in KEYS[:1_200]]


def stored(n, scope=SAMPLES, encoder="0e" * 8):
    return StoredPage(scope, encoder, page(n), f"document {n}.pdf", 1, 10, 10, 1, 1, "int8", 0.0)


def test_the_pool_is_the_union_of_both_first_k_without_ranks():
    trial = trial_of(pooled=(1, 2, 3, 4), smart=(5, 2, 1, 6), late=(7, 8, 9), k=2)
    found = pages_to_grade(trial)
    assert sorted(found) == [page(1), page(2), page(5)]
    assert found == pages_to_grade(trial)


def test_what_is_ungraded_is_counted_by_query_and_in_all():
    script, tide, bolt = Script(), trial_of("tide"), trial_of("bolt", pooled=(1, 2), smart=(3, 4))
    script.grade(tide, {1: 3})
    script.vote(bolt, "smart")
    (undone,) = script.grade(bolt, {4: 2})
    script.undo(undone)
    judged = replay(script.events)
    assert pages_without_grade(tide, judged) == (page(2),)
    assert count_ungraded(judged) == {tide.query.key: 1, bolt.query.key: 4}
    script.grade(tide, {2: 0})
    assert count_ungraded(replay(script.events))[tide.query.key] == 0


def test_the_fingerprint_is_of_scope_encoder_and_pages_in_any_order():
    pages = [stored(1), stored(2), stored(3)]
    same = library_fingerprint(pages)
    assert library_fingerprint(reversed(pages)) == same
    others = [pages[:2], [stored(1, LOCAL), *pages[1:]], [stored(1, encoder="0f" * 8), *pages[1:]], [*pages, stored(4)]]
    prints = [library_fingerprint(other) for other in others]
    assert len({same, *prints}) == 5
    # A visitor's scope is a secret and never the same again: its name must not matter.
    assert library_fingerprint([stored(1, Scope("f00d" * 8))]) == library_fingerprint([stored(1, LOCAL)])
