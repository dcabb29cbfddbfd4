"""Curves agree with `eval`: rankings with `scoring.rank`, λ 1 with SMART, λ 0 with pooled."""

from contextlib import closing
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo import scoring
from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.config import Settings
from smart_demo.evaluation.cranfield import evaluate_cranfield, read_cranfield
from smart_demo.evaluation.documents import evaluate_documents, open_temporary_engine
from smart_demo.evaluation.metrics import METRICS
from smart_demo.evaluation.query_sets import QueryJudgements
from smart_demo.evaluation.runner import ignore_progress
from smart_demo.evaluation.texts import EncodedPages, TokenSpillFile
from smart_demo.evidence.weight_curves import (
    LATE_WEIGHTS,
    SMART_SUM,
    EncodedCollection,
    WeightCurves,
    cross_validate_late_weight,
    encode_page_collection,
    encode_text_collection,
)
from smart_demo.methods import LATE, POOLED, SMART, Counted, Method, Parts, Reduce, Weights
from smart_demo.types import Query, TokenCodes
from tests.documents import write_pdf
from tests.evaluation.cases import write_cranfield, write_judged
from tests.search.explain.cases import stored

SETTINGS = Settings(backbone="words")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve pages of few words, so that scores tie, and six queries of two kinds."""
    path = tmp_path_factory.mktemp("harbour")
    random, words = np.random.default_rng(4), ["tide", "table", "port", "north", "pier", "bolt"]
    texts = [" ".join(random.choice(words, size=random.integers(1, 7))) for _ in range(12)]
    write_pdf(path / "log.pdf", *texts)
    rows = [
        (f"q{n}", " ".join(random.choice(words, size=2, replace=False)), [("log.pdf", int(p), int(g)) for p, g in some])
        for n in range(6)
        for some in [zip(random.choice(12, 3, replace=False) + 1, random.integers(1, 4, size=3), strict=True)]
    ]
    write_judged(path, *rows, kinds=["plain", "exact"] * 3)
    return path


@pytest.fixture(scope="module")
def bench(folder):
    with open_temporary_engine(replace(SETTINGS, codec="float32")) as engine:
        yield encode_page_collection(engine, folder, folder / "queries.jsonl", ignore_progress)


@pytest.fixture(scope="module", params=["int8", "float32"])
def both(request, folder, bench):
    """Return eval's report and our curves of one folder under one codec."""
    report = evaluate_documents(replace(SETTINGS, codec=request.param), folder, folder / "queries.jsonl")
    return report, WeightCurves(bench, request.param)


def test_methods_and_kinds_are_evals_own(both):
    report, curves = both
    told, expected = curves.as_json(), report.as_json()
    for method in ("pooled", "late", "smart"):
        assert told["methods"][method] == pytest.approx(expected["methods"][method])
        for kind, own in expected["kinds"].items():
            assert told["kinds"][kind]["methods"][method] == pytest.approx(own["methods"][method])
    for metric, found in expected["difference"].items():
        ours = told["difference"]["smart-pooled"][metric]
        assert {key: ours[key] for key in ours} == pytest.approx({key: found[key] for key in ours})


def test_the_curve_passes_through_pooled_and_smart(both):
    report, curves = both
    expected, told = report.as_json()["methods"], curves.as_json()
    assert [point["late_weight"] for point in told["curve"]["mean"]] == list(LATE_WEIGHTS)
    for form in ("mean", "sum"):
        points = {point["late_weight"]: point for point in told["curve"][form]}
        assert points[0.0]["ndcg@10"] == pytest.approx(expected["pooled"]["ndcg@10"])
        assert (points[0.0]["mean"], points[0.0]["low"], points[0.0]["high"]) == (0.0, 0.0, 0.0)
        for point in points.values():
            gap = point["ndcg@10"] - expected["pooled"]["ndcg@10"]
            assert point["mean"] == pytest.approx(gap)
            assert point["low"] - 1e-9 <= gap <= point["high"] + 1e-9
    one = next(point for point in told["curve"]["mean"] if point["late_weight"] == 1.0)
    assert one["ndcg@10"] == pytest.approx(expected["smart"]["ndcg@10"])
    total = next(point for point in told["curve"]["sum"] if point["late_weight"] == 1.0)
    assert total["ndcg@10"] == told["methods"]["smart_sum"]["ndcg@10"]


def test_texts_are_measured_as_eval_measures_them(tmp_path):
    report = evaluate_cranfield(SETTINGS, write_cranfield(tmp_path))
    with closing(TokenSpillFile(tmp_path / "tokens")) as spill_file:
        bench = encode_text_collection(read_cranfield(tmp_path), WordBackbone(), spill_file, ignore_progress)
        told = WeightCurves(bench, "int8").as_json()
    assert (told["documents"], told["queries"], told["unit"]) == (3, 2, "texts")
    for method in ("pooled", "late", "smart"):
        assert told["methods"][method] == pytest.approx(report.as_json()["methods"][method])
    assert told["notices"] == list(report.notices)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    pages=st.integers(1, 30),
    pooled=st.sampled_from([0.0, 0.5, 1.0]),
    late=st.sampled_from([0.0, 0.25, 1.0, 4.0]),
    reduce=st.sampled_from(list(Reduce)),
    counted=st.sampled_from(list(Counted)),
)
def test_a_ranking_is_scorings_ties_and_all(seed, pages, pooled, late, reduce, counted):
    random = np.random.default_rng(seed)
    kept = tuple(stored(int(n)) for n in random.permutation(pages) + 1)
    few = np.round(random.uniform(-1, 1, (pages, 4)) * 2) / 2  # values of a few kinds, so that many tie
    kinds = random.integers(2, 4, size=3).astype(np.uint8)
    parts = Parts(kinds, kept, few[:, 0].astype(np.float32), np.arange(pages), few[:, 1:].astype(np.float32))
    weights = Weights(pooled, late, reduce, counted)
    query = WordBackbone(["tide"]).encode_query(Query("tide"))
    codes = {page.id: TokenCodes(np.zeros((1, 1024), np.float32)) for page in kept}
    encoded = EncodedPages(kept, np.zeros((pages, 1024), np.float32), codes)
    bench = EncodedCollection(
        "x", "pages", (QueryJudgements("q", "tide", "plain", {}),), (query,), encoded, WordBackbone().encoder, (), 0.0
    )
    ours, tied = WeightCurves(bench, "float32").rank_top(parts, weights)
    expected = scoring.rank(parts, Method("m", "M", weights), 11).hits
    assert ours == [hit.page.id for hit in expected][:10]
    scores = [round(hit.score, scoring.TIE_DECIMALS) for hit in expected]
    assert tied == any(a == b for a, b in pairwise(scores))


def test_an_outcome_is_means_of_every_query(both):
    _, curves = both
    evaluate = curves.evaluate(SMART_SUM)
    assert set(evaluate.values) == set(METRICS)
    assert all(len(values) == 6 for values in evaluate.values.values())
    assert evaluate.means["mrr@10"] == pytest.approx(float(np.mean(evaluate.values["mrr@10"])))
    assert curves.evaluate(LATE.weights) is curves.evaluate(Weights(0.0, 1.0))
    gap = curves.compare_with(LATE.weights, curves, POOLED.weights)
    assert gap["better"] + gap["same"] + gap["worse"] == 6
    assert curves.compare_with(SMART.weights, curves, SMART.weights)["mean"] == 0.0


def test_a_weight_that_is_better_everywhere_keeps_its_gain_where_it_was_not_chosen():
    values = np.full((len(LATE_WEIGHTS), 40), 0.5)
    values[LATE_WEIGHTS.index(2.0)] = 0.6
    found = cross_validate_late_weight(values, seed=1, splits=50)
    assert (found["best"], found["picked"]) == (2.0, {"low": 2.0, "middle": 2.0, "high": 2.0})
    assert found["best_value"] == pytest.approx(0.6)
    assert found["gain_over_one"] == pytest.approx(0.1)


def test_a_weight_that_is_best_by_chance_gains_nothing_where_it_was_not_chosen():
    values = np.random.default_rng(5).normal(0.5, 0.2, size=(len(LATE_WEIGHTS), 60))
    found = cross_validate_late_weight(values, seed=1, splits=400)
    assert found["best_value"] - values[LATE_WEIGHTS.index(1.0)].mean() > 0.02  # what the curve alone would claim
    assert found["gain_over_one"] < 0.02


def test_one_query_cannot_be_halved():
    assert cross_validate_late_weight(np.zeros((len(LATE_WEIGHTS), 1)), seed=1)["splits"] == 0
