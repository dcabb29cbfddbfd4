"""Outcomes of judged questions against a calculation by hand, and their copy on disk."""

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest

from smart_demo.errors import QueryRefused
from smart_demo.evaluation.outcomes import (
    Outcome,
    OutcomeKind,
    Outcomes,
    load_outcomes,
    measure_outcomes,
    outcomes_key,
    outcomes_path,
    save_outcomes,
)
from smart_demo.evaluation.query_sets import QueryJudgements
from smart_demo.judging.query_list import read_queries
from smart_demo.methods import LATE, POOLED, SMART, Parts
from smart_demo.types import SAMPLES, PageId, Query, StoredPage, TokenKind
from tests.apps import ROOT

COUNT = 14
PAGES = tuple(
    StoredPage(SAMPLES, "e" * 16, PageId("a" * 16, number), "report.pdf", COUNT, 8, 10, 3, 200, "int8", float(number))
    for number in range(1, COUNT + 1)
)


def parts_of(pooled: list[float], late: list[float]) -> Parts:
    """Return the parts of one query with these scores of PAGES, in their order."""
    kinds = np.array([TokenKind.CONTENT], np.uint8)
    scores = (np.array(part, np.float32) for part in (pooled, late))
    pooled_scores, late_scores = scores
    return Parts(kinds, PAGES, pooled_scores, np.arange(COUNT), late_scores[:, None])


def judged(grades: dict[int, float], query: str = "what") -> QueryJudgements:
    return QueryJudgements("", query, "", {PageId("a" * 16, number): grade for number, grade in grades.items()})


def dcg_by_hand(scores: list[float], grades: dict[int, float]) -> float:
    """Return the DCG of the first ten pages in falling order of score; no two scores are equal."""
    order = sorted(range(1, COUNT + 1), key=lambda number: -scores[number - 1])
    return sum(grades.get(number, 0) / math.log2(place + 1) for place, number in enumerate(order[:10], start=1))


def test_a_question_is_better_if_its_answers_stand_higher_in_the_first_ten():
    chance = random.Random(7)
    kinds = set()
    for _ in range(300):
        pooled, late = (chance.sample([step / 64 for step in range(40)], COUNT) for _ in range(2))
        grades = {number: float(chance.randint(0, 3)) for number in chance.sample(range(1, COUNT + 1), 3)}
        if not any(grades.values()):
            continue
        found = measure_outcomes([judged(grades)], lambda _, p=pooled, late=late: parts_of(p, late), POOLED, LATE)
        difference = dcg_by_hand(late, grades) - dcg_by_hand(pooled, grades)
        expected = "equal" if abs(difference) < 1e-9 else "better" if difference > 0 else "worse"
        assert found[0].kind == expected
        _, answer = found[0].answer
        assert grades[answer.number] > 0
        place = [1 + sum(other > scores[answer.number - 1] for other in scores) for scores in (pooled, late)]
        assert (found[0].left_rank, found[0].right_rank) == tuple(place)
        if expected != "equal":  # the shown page moves the way of the outcome
            assert (place[1] < place[0]) == (expected == "better")
        kinds.add(expected)
    assert kinds == {"better", "equal", "worse"}


def test_the_samples_give_the_counts_of_the_readme(sample_engine):
    """Another program made those: `evidence` ranks and measures in its own way."""
    told = json.loads((ROOT / "assets" / "evidence.json").read_text())["pages"]["difference"]["smart-pooled"]["ndcg@10"]
    pages = sample_engine.library.pages([SAMPLES], sample_engine.backbone(SAMPLES).encoder.fingerprint)
    queries = read_queries((sample_engine.settings.samples / "queries.jsonl").read_bytes()).queries
    questions = [QueryJudgements(query.qid, query.query, "", query.grades(pages)) for query in queries]
    items = measure_outcomes(questions, lambda text: sample_engine.score(Query(text), SAMPLES), POOLED, SMART)
    found = Outcomes("Pooled only", "SMART", items)
    assert (found.better, found.equal, found.worse) == (told["better"], told["same"], told["worse"])
    assert found.judged == found.better + found.equal + found.worse == len(queries)


def test_questions_that_cannot_be_judged_here_are_left_out():
    def score(text: str) -> Parts:
        if text == "refused":
            raise QueryRefused("The query is empty.")
        return parts_of([step / 64 for step in range(COUNT)], [0.5] * COUNT)

    elsewhere = QueryJudgements("", "elsewhere", "", {PageId("b" * 16, 1): 3.0})
    questions = [judged({1: 1}, "refused"), elsewhere, judged({1: 0}, "none relevant"), judged({COUNT: 1}, "kept")]
    found = measure_outcomes(questions, score, POOLED, SMART)
    assert [(item.question, item.kind) for item in found] == [("kept", OutcomeKind.EQUAL)]


OUTCOMES = (
    Outcome("what", OutcomeKind.BETTER, PAGES[0].key, "report.pdf", 4, 1),
    Outcome("who", OutcomeKind.WORSE),
    Outcome("café ${x}", OutcomeKind.EQUAL, PAGES[1].key, "report.pdf", None, 3),
)


def test_saved_outcomes_are_those_of_the_same_pages_questions_and_methods(tmp_path):
    questions = [judged({1: 3.0})]
    key = outcomes_key(PAGES, questions, POOLED, SMART)
    path = outcomes_path(tmp_path, SAMPLES, "e" * 16)
    save_outcomes(path, key, OUTCOMES)
    assert load_outcomes(path, key) == OUTCOMES
    assert load_outcomes(outcomes_path(tmp_path, SAMPLES, "f" * 16), key) is None
    others = [
        outcomes_key(PAGES[1:], questions, POOLED, SMART),
        outcomes_key((replace(PAGES[0], added=99.0), *PAGES[1:]), questions, POOLED, SMART),
        outcomes_key(PAGES, [judged({1: 2.0})], POOLED, SMART),
        outcomes_key(PAGES, [judged({1: 3.0}, "who")], POOLED, SMART),
        outcomes_key(PAGES, questions, POOLED, LATE),
        outcomes_key(PAGES, questions, POOLED, SMART, [OutcomeKind.BETTER]),
    ]
    assert len({key, *others}) == 1 + len(others)
    assert [load_outcomes(path, other) for other in others] == [None] * len(others)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"key": "k", "items": [["what"]]}', b"\xff"])
def test_a_damaged_copy_is_no_copy(tmp_path, content):
    path = outcomes_path(tmp_path, SAMPLES, "e" * 16)
    save_outcomes(path, "k", OUTCOMES)
    path.write_bytes(content)
    assert load_outcomes(path, "k") is None
