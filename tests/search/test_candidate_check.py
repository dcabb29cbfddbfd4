"""How deep the candidates must go, against trying every depth; and what the page and the shell say of it."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_demo import cli, scoring
from smart_demo.methods import POOLED, SMART
from smart_demo.page_list import PageList
from smart_demo.search import candidate_check
from smart_demo.search.candidate_check import CandidateCheck
from smart_demo.types import LOCAL, Query, QueryEncoding, StoredPage, TokenCodes, TokenKind
from smart_demo.ui import compare
from tests.apps import open_words, settings_below
from tests.documents import write_pdf
from tests.server.cases import add
from tests.store.cases import ENCODER, page_id, unit

D = 6


def a_query(rng, number):
    tokens = unit(rng, int(rng.integers(1, 4)), D)
    kinds = np.full(len(tokens), TokenKind.CONTENT, np.uint8)
    return QueryEncoding(Query(f"q{number}"), ENCODER, unit(rng, D), tokens, kinds, tuple("abc"[: len(tokens)]))


@given(st.integers(0, 9_999), st.integers(1, 30), st.integers(1, 5))
def test_it_is_the_first_depth_at_which_the_first_places_are_those_of_a_full_scan(seed, count, queries):
    rng = np.random.default_rng(seed)
    facts = ("x.pdf", 1, 1, 1, 1, 1, "float32", 0.0)
    pages = PageList(StoredPage(LOCAL, ENCODER, page_id(number), *facts) for number in range(count))
    pooled, codes = unit(rng, count, D), {page.id: TokenCodes(unit(rng, 3, D)) for page in pages}
    some = [a_query(rng, number) for number in range(queries)]
    found = candidate_check.find_depths(some, pages, pooled, lambda page: codes[page.id])

    def first(query, depth):
        nearest = np.sort(np.argsort(-(pooled @ query.pooled))[:depth])
        parts = scoring.compute_parts(query, pages, pooled @ query.pooled, nearest, lambda page, _: codes[page.id])
        return [hit.page.id for hit in scoring.rank(parts, SMART, candidate_check.CHECKED_TOP).hits]

    slow = [next(d for d in range(1, count + 1) if first(query, d) == first(query, count)) for query in some]
    assert found.tolist() == slow


@given(st.lists(st.integers(1, 3_000), min_size=1, max_size=200))
def test_the_depth_reaches_its_target_unless_that_is_too_deep(needed):
    found = candidate_check.choose_depth(np.array(needed), 9_000, 100, 2_000)
    assert 100 <= found.depth <= 2_000
    assert found.agreed == sum(one <= found.depth for one in needed)
    assert (found.pages, found.queries) == (9_000, len(needed))
    if found.depth < 2_000:
        assert found.agreed >= candidate_check.MIN_AGREEMENT * len(needed)
    if found.depth > 100:  # no deeper than it takes
        assert sum(one <= found.depth - 50 for one in needed) < candidate_check.MIN_AGREEMENT * len(needed)


def test_a_check_holds_while_the_library_is_much_the_same():
    found = CandidateCheck(1_000, 10, 10, 100)
    assert [found.holds(pages) for pages in (899, 900, 1_100, 1_101)] == [False, True, True, False]


@pytest.mark.parametrize("said", [b"", b"{", b"[]", b'{"pages": 1}', b'{"pages":1,"queries":1,"agreed":2,"depth":9}'])
def test_a_check_that_cannot_be_read_is_none(tmp_path, said):
    candidate_check.save_check(tmp_path, LOCAL, ENCODER, CandidateCheck(9, 8, 7, 6))
    assert candidate_check.load_check(tmp_path, LOCAL, ENCODER) == CandidateCheck(9, 8, 7, 6)
    (path,) = (tmp_path / "checks").iterdir()
    path.write_bytes(said)
    assert candidate_check.load_check(tmp_path, LOCAL, ENCODER) is None


@pytest.fixture
def two_of_twelve(tmp_path):
    """Twelve pages, of which two are scored."""
    with open_words(settings_below(tmp_path, exhaustive=6, candidates=2)) as engine:
        words = ("red", "blue", "moon", "star", "tide", "sand")
        pages = [" ".join((words * 2)[at : at + 3]) for at in range(6)]
        add(engine, LOCAL, write_pdf(tmp_path / "a.pdf", *pages, *words))
        yield engine


def ranked(engine, text="red moon"):
    return engine.search(Query(text), (LOCAL,), (POOLED, SMART))


def test_a_search_goes_as_deep_as_the_check_says_and_tells_of_it(two_of_twelve, tmp_path):
    found = ranked(two_of_twelve)
    assert (found.results["smart"].candidates, found.results["pooled"].candidates) == (2, 12)
    assert len(found.results["smart"].ranks) == 2
    assert two_of_twelve.candidate_check(found, (LOCAL,)) is None
    told = []
    checked = two_of_twelve.check_candidates(["red moon", " red moon ", "", "tide"], LOCAL, told.append)
    assert (checked.pages, checked.queries, told) == (12, 2, [0])
    found = ranked(two_of_twelve, "blue")
    assert len(found.parts.candidates) == checked.depth > 2
    assert two_of_twelve.candidate_check(found, (LOCAL,)) == checked
    add(two_of_twelve, LOCAL, write_pdf(tmp_path / "b.pdf", "sand", "sand"))  # a sixth more: it no longer holds
    found = ranked(two_of_twelve, "blue")
    assert len(found.parts.candidates) == 2
    assert two_of_twelve.candidate_check(found, (LOCAL,)) is None


def test_candidates_are_the_nearest_pooled(two_of_twelve):
    found = ranked(two_of_twelve)
    nearest = np.argsort(-found.parts.pooled, kind="stable")[:2]
    assert found.parts.candidates.tolist() == sorted(nearest.tolist())


def test_there_is_nothing_to_check_without_pages_or_queries(two_of_twelve):
    assert two_of_twelve.check_candidates([], LOCAL) is None
    assert two_of_twelve.check_candidates(["  "], LOCAL) is None


def test_the_page_says_how_often_a_full_scan_agreed(two_of_twelve):
    found = two_of_twelve.search(Query("red"), (LOCAL,), (POOLED, SMART, dataclasses.replace(POOLED, name="late")))
    plain = compare.render_results(found, lambda _: b"", "", "")
    assert "ranked 2 of 12 pages" in plain
    assert "full scan" not in plain
    said = compare.render_results(found, lambda _: b"", "", "", CandidateCheck(12, 100, 99, 2))
    assert "ranked 2 of 12 pages; a full scan agreed on the first 5 for 99 of 100 checked queries" in said


def test_the_shell_checks_the_local_library(tmp_path, capsys):
    environment = {"HOME": str(tmp_path), "SMART_DATA_DIR": str(tmp_path / "data"), "SMART_BACKBONE": "words"}
    queries = tmp_path / "queries"
    queries.write_text(json.dumps({"qid": "1", "query": "red"}) + "\nblue moon\n")
    assert cli.main(["check", "--queries", str(queries)], environment) == 1
    assert "nothing to check" in capsys.readouterr().err
    assert cli.main(["check", "--queries", str(tmp_path)], environment) == 1
    assert cli.main(["index", str(write_pdf(tmp_path / "a.pdf", "red", "blue"))], environment) == 0
    assert cli.main(["check", "--queries", str(queries)], environment) == 0
    assert "2 of 2 queries" in capsys.readouterr().out
