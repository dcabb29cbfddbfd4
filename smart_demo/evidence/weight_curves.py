"""A judged collection that was encoded once, with its token states whole: every codec and every weight is free then.

One collection's parts under any weights: values of every query, curves over a weight, intervals.

No model runs here. Rankings are those of `scoring.rank`, ties and all, without making a result of each page: a curve
asks for thousands of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from smart_demo import scoring
from smart_demo.backbones.base import Backbone
from smart_demo.engine import Engine
from smart_demo.errors import InputRefused, QueryRefused
from smart_demo.evaluation.documents import index_shelf, look_at, lost_pages
from smart_demo.evaluation.judgements import QueryJudgements, read_judged
from smart_demo.evaluation.metrics import METRICS, SEED, paired_difference
from smart_demo.evaluation.runner import Tell
from smart_demo.evaluation.texts import TextCollection, Texts, TokenSpillFile, encode, score
from smart_demo.store import token_file
from smart_demo.types import (
    LATE,
    LOCAL,
    POOLED,
    SMART,
    Encoder,
    PageId,
    Parts,
    Query,
    QueryEncoding,
    Reduce,
    TokenCodes,
    Weights,
)

WHOLE = "float32"
"""The codec that loses nothing: what token states are kept in until one is asked for."""


class Recoded(Mapping[PageId, TokenCodes]):
    """Token states as another codec would have stored them, coded as they are read."""

    def __init__(self, states: Mapping[PageId, TokenCodes], codec: str) -> None:
        self._states, self._codec = states, codec

    def __getitem__(self, page: PageId) -> TokenCodes:
        states = self._states[page]
        return states if self._codec == WHOLE else token_file.encode(states.states(), self._codec)

    def __iter__(self) -> Iterator[PageId]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)


@dataclass(frozen=True, eq=False)
class EncodedCollection:
    """One collection under one encoder. Its token states may lie in a folder that goes away: use it before."""

    name: str
    unit: str
    """What is ranked, in the plural: `pages` or `texts`."""
    judged: tuple[QueryJudgements, ...]
    """The queries that could be asked,"""
    queries: tuple[QueryEncoding, ...]
    """and their encodings, in the same order."""
    texts: Texts
    """What is ranked, with token states under the codec WHOLE."""
    encoder: Encoder
    notices: tuple[str, ...]
    seconds: float
    """What encoding all of it took."""

    def parts(self, codec: str) -> list[Parts]:
        """Parts of each query, in order, over token states that went through `codec`."""
        recoded = Texts(self.texts.pages, self.texts.pooled, Recoded(self.texts.tokens, codec))
        found = score(recoded, self.queries)
        return [found[query.query.text] for query in self.queries]


def text_bench(collection: TextCollection, backbone: Backbone, spool: TokenSpillFile, tell: Tell) -> EncodedCollection:
    """Encode a text collection. spool: where its token states go; the bench is of use while it is open."""
    begun = time.perf_counter()
    judged, queries, refused = _ask(backbone, collection.judged)
    texts = encode(collection, backbone, WHOLE, tell, spool)
    seconds = time.perf_counter() - begun
    notices = (*collection.notices, *refused)
    return EncodedCollection(collection.name, "texts", judged, queries, texts, backbone.encoder, notices, seconds)


def page_bench(engine: Engine, documents: Path, queries: Path, tell: Tell) -> EncodedCollection:
    """Index a folder of documents in the engine's library, whose codec is WHOLE, and encode its judged queries.

    Errors as `evaluate_documents`.
    """
    shelf = look_at(documents, engine.settings.limits)
    judged = read_judged(queries, shelf.page)
    backbone = engine.backbone(LOCAL)
    begun = time.perf_counter()
    notices = index_shelf(engine, shelf, tell)  # what is no document in the folder says nothing of the figures
    pages, pooled = engine.library.pooled([LOCAL], backbone.encoder.fingerprint)
    if not pages:
        raise InputRefused("None of the pages could be indexed.", " ".join(notices))
    notices += lost_pages(shelf, judged, {page.id for page in pages})
    texts = Texts(pages, pooled, {page.id: engine.library.tokens(page) for page in pages})
    asked, encodings, refused = _ask(backbone, judged)
    seconds = time.perf_counter() - begun
    name = documents.absolute().name
    return EncodedCollection(name, "pages", asked, encodings, texts, backbone.encoder, (*notices, *refused), seconds)


def _ask(
    backbone: Backbone, judged: Sequence[QueryJudgements]
) -> tuple[tuple[QueryJudgements, ...], tuple[QueryEncoding, ...], tuple[str, ...]]:
    """Queries that could be encoded, their encodings, and a notice for each that could not. InputRefused if none."""
    asked, encodings, notices = [], [], []
    for one in judged:
        try:
            encodings.append(backbone.encode_query(Query(one.query.strip())))
        except QueryRefused as refused:
            notices.append(f"Query {one.qid} was left out. {refused.sentence}")
        else:
            asked.append(one)
    if not asked:
        raise InputRefused("None of the queries could be asked.", notices[0] if notices else "")
    return tuple(asked), tuple(encodings), tuple(notices)


HEADLINE = "ndcg@10"
LAMBDAS = tuple(float(value) for value in np.arange(0, 4.01, 0.25))
"""Weights of the late part, pooled staying at 1."""
DEPTH = 10
"""The deepest cut of any metric."""
SPLITS = 1_000
SUM = replace(SMART.weights, reduce=Reduce.SUM)
Values = Mapping[str, npt.NDArray[np.float64]]
"""(queries,) by metric."""
Json = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Outcome:
    """Every query's values under one choice of weights."""

    values: Values
    ties: int
    """Queries in whose first DEPTH places, or at their end, two scores agree to TIE decimals: ids decide those."""

    @property
    def means(self) -> dict[str, float]:
        return {metric: fmean(values) for metric, values in self.values.items()}


class WeightCurves:
    """A bench whose token states went through one codec."""

    def __init__(self, bench: EncodedCollection, codec: str) -> None:
        self.bench, self.codec = bench, codec
        self._parts = bench.parts(codec)
        keys = [(str(page.id), str(page.scope)) for page in bench.texts.pages]
        self._before = np.argsort(np.array(sorted(range(len(keys)), key=keys.__getitem__)))
        self._known: dict[Weights, Outcome] = {}

    def outcome(self, weights: Weights) -> Outcome:
        """Values under `weights`, worked out once."""
        if weights not in self._known:
            rankings = [self.first(parts, weights) for parts in self._parts]
            values = {
                name: np.array([metric(pages, one.grades) for (pages, _), one in self._asked(rankings)])
                for name, metric in METRICS.items()
            }
            self._known[weights] = Outcome(values, sum(tied for _, tied in rankings))
        return self._known[weights]

    def first(self, parts: Parts, weights: Weights) -> tuple[list[PageId], bool]:
        """The first DEPTH pages, as `scoring.rank` orders them, and whether a tie was broken among them."""
        late = scoring.late(parts, weights) if weights.late != 0.0 else None
        scores = scoring.combined(weights, parts.pooled, late)
        rounded = (-scores.astype(np.float64)).round(scoring.TIE)
        order = np.lexsort((self._before, rounded))[: DEPTH + 1]
        tied = bool((np.diff(rounded[order]) == 0).any())
        return [self.bench.texts.pages[row].id for row in order[:DEPTH]], tied

    def _asked(
        self, rankings: list[tuple[list[PageId], bool]]
    ) -> Iterator[tuple[tuple[list[PageId], bool], QueryJudgements]]:
        return zip(rankings, self.bench.judged, strict=True)

    def difference(self, weights: Weights, base: Weights, metric: str = HEADLINE) -> Json:
        """How much higher than `base`, with its bootstrap interval over the queries."""
        return self.against(weights, self, base, metric)

    def against(self, weights: Weights, other: WeightCurves, base: Weights, metric: str = HEADLINE) -> Json:
        """The same over another standing of the same queries."""
        own, theirs = self.outcome(weights).values[metric], other.outcome(base).values[metric]
        return asdict(paired_difference(list(own), list(theirs)))

    def describe(self) -> Json:
        """Everything that evidence.json says of a collection."""
        every = {method.name: method.weights for method in (POOLED, LATE, SMART)}
        forms = every | {"smart_sum": SUM}
        lengths = [page.tokens for page in self.bench.texts.pages]
        return {
            "collection": self.bench.name,
            "unit": self.bench.unit,
            "documents": len(lengths),
            "queries": len(self.bench.judged),
            "codec": self.codec,
            "tokens": {
                "fewest": min(lengths),
                "mean": fmean(lengths),
                "most": max(lengths),
                "with_most": lengths.count(max(lengths)),
            },
            "methods": {name: self.outcome(weights).means for name, weights in forms.items()},
            "ties": {name: self.outcome(weights).ties for name, weights in forms.items()},
            "difference": {
                f"{name}-{base}": {
                    metric: self.difference(forms[name], forms[base], metric) for metric in ("ndcg@5", HEADLINE)
                }
                for name, base in (("late", "pooled"), ("smart", "pooled"), ("smart", "late"), ("smart_sum", "pooled"))
            },
            "kinds": self._kinds(every),
            "curve": {reduce.value: self._curve(reduce) for reduce in Reduce},
            "chosen": chosen(self._curve_values(), SEED),
            "notices": list(self.bench.notices),
            "seconds": {"encode": round(self.bench.seconds, 1)},
        }

    def _kinds(self, methods: Mapping[str, Weights]) -> Json:
        kinds: dict[str, list[int]] = {}
        for row, one in enumerate(self.bench.judged):
            kinds.setdefault(one.kind, []).append(row)
        return {
            kind: {
                "queries": len(rows),
                "methods": {
                    name: {metric: fmean(values[rows]) for metric, values in self.outcome(weights).values.items()}
                    for name, weights in methods.items()
                },
                "difference": self._of_kind(rows),
            }
            for kind, rows in kinds.items()
        }

    def _of_kind(self, rows: list[int]) -> Json:
        own, other = (self.outcome(method.weights).values[HEADLINE][rows] for method in (SMART, POOLED))
        return asdict(paired_difference(list(own), list(other)))

    def _curve(self, reduce: Reduce) -> list[Json]:
        points = []
        for late in LAMBDAS:
            weights = Weights(1.0, late, reduce)
            found = self.difference(weights, POOLED.weights)
            kept = {key: found[key] for key in ("mean", "low", "high", "better", "same", "worse")}
            points.append({"late_weight": late, HEADLINE: self.outcome(weights).means[HEADLINE], **kept})
        return points

    def _curve_values(self) -> npt.NDArray[np.float64]:
        """(weights, queries) of the mean's curve."""
        return np.stack([self.outcome(Weights(1.0, late)).values[HEADLINE] for late in LAMBDAS])


def chosen(values: npt.NDArray[np.float64], seed: int, splits: int = SPLITS) -> Json:
    """What a tuned weight is worth where it was not tuned: chosen on one half of the queries, measured on the other.

    values: (weights, queries) over LAMBDAS. The best weight of a curve is chosen on the queries it is measured on and
    so flatters itself; this does not. The spread is over random halves, which overlap: it is no confidence interval.
    """
    random, at_one, queries = np.random.default_rng(seed), LAMBDAS.index(1.0), values.shape[1]
    picks, gains = [], []
    for _ in range(splits if queries > 1 else 0):
        order = random.permutation(queries)
        tuned_on, measured_on = order[: queries // 2], order[queries // 2 :]
        best = int(values[:, tuned_on].mean(axis=1).argmax())
        picks.append(LAMBDAS[best])
        gains.append(float((values[best, measured_on] - values[at_one, measured_on]).mean()))
    best_of_all = int(values.mean(axis=1).argmax())
    told: Json = {"best": LAMBDAS[best_of_all], "best_value": float(values[best_of_all].mean()), "splits": len(picks)}
    if picks:
        low, middle, high = (float(value) for value in np.quantile(picks, [0.1, 0.5, 0.9]))
        told |= {"picked": {"low": low, "middle": middle, "high": high}, "gain_over_one": fmean(gains)}
    return told
