"""A judged collection, encoded once, and its values, curves and intervals under any weights and codec.

Token states are stored losslessly, so no model runs for another weight or codec. Rankings are those of `scoring.rank`,
ties included, without a result for each page: a curve needs thousands of rankings.
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
from smart_demo.errors import InputRefused
from smart_demo.evaluation.documents import index_folder, list_unindexed_pages, scan_folder
from smart_demo.evaluation.metrics import METRICS, SEED, paired_difference
from smart_demo.evaluation.query_sets import QueryJudgements, read_judgements
from smart_demo.evaluation.runner import ProgressCallback
from smart_demo.evaluation.texts import (
    EncodedPages,
    TextCollection,
    TokenSpillFile,
    encode_collection,
    encode_queries,
    score_queries,
)
from smart_demo.methods import LATE, POOLED, SMART, Parts, Reduce, Weights
from smart_demo.store import token_file
from smart_demo.types import LOCAL, Encoder, PageId, QueryEncoding, TokenCodes

HEADLINE_METRIC = "ndcg@10"
LOSSLESS_CODEC = "float32"
"""The codec of stored token states, before any other codec is applied."""
LATE_WEIGHTS = tuple(float(value) for value in np.arange(0, 4.01, 0.25))
"""Weights of the late part on a curve; the pooled weight stays 1."""
MAX_CUT = 10
"""The deepest cut of any metric."""
SPLIT_COUNT = 1_000
"""Number of random halves in `cross_validate_late_weight`."""
SMART_SUM = replace(SMART.weights, reduce=Reduce.SUM)
METHOD_WEIGHTS: Mapping[str, Weights] = {
    **{method.name: method.weights for method in (POOLED, LATE, SMART)},
    "smart_sum": SMART_SUM,
}
Values = Mapping[str, npt.NDArray[np.float64]]
"""Values of every query, (queries,), by metric."""
Json = dict[str, Any]


@dataclass(frozen=True, eq=False)
class EncodedCollection:
    """One collection encoded by one encoder.

    Its token states may be in a temporary folder: use it before that is deleted.
    """

    name: str
    unit: str
    """What is ranked, in the plural: `pages` or `texts`."""
    judgements: tuple[QueryJudgements, ...]
    """The queries that could be encoded."""
    queries: tuple[QueryEncoding, ...]
    """The encodings of `judgements`, in the same order."""
    encoded: EncodedPages
    """The pages or texts, with token states under LOSSLESS_CODEC."""
    encoder: Encoder
    notices: tuple[str, ...]
    seconds: float
    """Duration of the encoding."""


def encode_text_collection(
    collection: TextCollection, backbone: Backbone, spill_file: TokenSpillFile, on_progress: ProgressCallback
) -> EncodedCollection:
    """Encode a text collection. spill_file: stores its token states; the result is usable while it is open."""
    begun = time.perf_counter()
    judgements, queries, refused = _encode_queries(backbone, collection.judgements)
    texts = encode_collection(collection, backbone, LOSSLESS_CODEC, on_progress, spill_file)
    seconds = time.perf_counter() - begun
    notices = (*collection.notices, *refused)
    return EncodedCollection(collection.name, "texts", judgements, queries, texts, backbone.encoder, notices, seconds)


def encode_page_collection(
    engine: Engine, documents: Path, queries: Path, on_progress: ProgressCallback
) -> EncodedCollection:
    """Index a folder of documents into the engine's library and encode its judged queries.

    The codec of the library must be LOSSLESS_CODEC. Errors as `evaluate_documents`.
    """
    folder = scan_folder(documents, engine.settings.limits)
    judgements = read_judgements(queries, folder.find_page)
    backbone = engine.backbone(LOCAL)
    begun = time.perf_counter()
    notices = index_folder(engine, folder, on_progress)  # without folder.notices: other files do not affect the figures
    pages, pooled = engine.library.pooled([LOCAL], backbone.encoder.fingerprint)
    if not pages:
        raise InputRefused("None of the pages could be indexed.", " ".join(notices))
    notices += list_unindexed_pages(folder, judgements, {page.id for page in pages})
    encoded = EncodedPages(pages, pooled, {page.id: engine.library.tokens(page) for page in pages})
    encodable, encodings, refused = _encode_queries(backbone, judgements)
    seconds = time.perf_counter() - begun
    name = documents.absolute().name
    return EncodedCollection(
        name, "pages", encodable, encodings, encoded, backbone.encoder, (*notices, *refused), seconds
    )


def _encode_queries(
    backbone: Backbone, judgements: Sequence[QueryJudgements]
) -> tuple[tuple[QueryJudgements, ...], tuple[QueryEncoding, ...], tuple[str, ...]]:
    """Return the queries that could be encoded, their encodings, and a notice for each other query.

    Raises InputRefused if no query could be encoded.
    """
    encodings, refused = encode_queries(backbone, judgements)
    encodable = tuple(query for query in judgements if query.query in encodings)
    notices = tuple(
        f"Query {query.qid} was left out. {refused[query.query].sentence}"
        for query in judgements
        if query.query in refused
    )
    if not encodable:
        raise InputRefused("None of the queries could be run.", notices[0] if notices else "")
    return encodable, tuple(encodings[query.query] for query in encodable), notices


def score_through(codec: str, encoded: EncodedPages, queries: Sequence[QueryEncoding]) -> list[Parts]:
    """Return the score parts of each query, in order, with token states through `codec`."""
    found = score_queries(EncodedPages(encoded.pages, encoded.pooled, _RecodedTokens(encoded.tokens, codec)), queries)
    return [found[query.query.text] for query in queries]


class _RecodedTokens(Mapping[PageId, TokenCodes]):
    """Token states as another codec would have stored them, encoded as they are read."""

    def __init__(self, states: Mapping[PageId, TokenCodes], codec: str) -> None:
        self._states, self._codec = states, codec

    def __getitem__(self, page: PageId) -> TokenCodes:
        states = self._states[page]
        return states if self._codec == LOSSLESS_CODEC else token_file.encode(states.states(), self._codec)

    def __iter__(self) -> Iterator[PageId]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)


@dataclass(frozen=True, eq=False)
class QueryValues:
    """Every query's values under one choice of weights."""

    values: Values
    ties: int
    """Number of queries with scores equal to TIE_DECIMALS decimals in the first MAX_CUT places or at their end."""

    @property
    def means(self) -> dict[str, float]:
        """Means over the queries, by metric."""
        return {metric: fmean(values) for metric, values in self.values.items()}


class WeightCurves:
    """A collection whose token states went through one codec, evaluated under any weights."""

    def __init__(self, collection: EncodedCollection, codec: str) -> None:
        self.collection, self.codec = collection, codec
        self._parts = score_through(codec, collection.encoded, collection.queries)
        keys = [(str(page.id), str(page.scope)) for page in collection.encoded.pages]
        self._id_rank = np.argsort(np.array(sorted(range(len(keys)), key=keys.__getitem__)))
        self._cached: dict[Weights, QueryValues] = {}

    def evaluate(self, weights: Weights) -> QueryValues:
        """Return the values under `weights`, computed once."""
        if weights not in self._cached:
            rankings, ties = zip(*(self.rank_top(parts, weights) for parts in self._parts), strict=True)
            grades = [query.grades for query in self.collection.judgements]
            values = {
                name: np.array([metric(*pair) for pair in zip(rankings, grades, strict=True)])
                for name, metric in METRICS.items()
            }
            self._cached[weights] = QueryValues(values, sum(ties))
        return self._cached[weights]

    def rank_top(self, parts: Parts, weights: Weights) -> tuple[list[PageId], bool]:
        """Return the first MAX_CUT pages in the order of `scoring.rank`, and whether ids decided a tie among them."""
        late = scoring.late_scores(parts, weights) if weights.late != 0.0 else None
        scores = scoring.combine(weights, parts.pooled, late)
        rounded = (-scores.astype(np.float64)).round(scoring.TIE_DECIMALS)
        order = np.lexsort((self._id_rank, rounded))[: MAX_CUT + 1]
        tied = bool((np.diff(rounded[order]) == 0).any())
        return [self.collection.encoded.pages[row].id for row in order[:MAX_CUT]], tied

    def compare_with(self, weights: Weights, other: WeightCurves, base: Weights, metric: str = HEADLINE_METRIC) -> Json:
        """Return the difference to `other` under `base`, over the same queries."""
        return difference_as_json(self.evaluate(weights).values[metric], other.evaluate(base).values[metric])

    def as_json(self) -> Json:
        """Return the form of a collection in evidence.json."""
        every = {name: weights for name, weights in METHOD_WEIGHTS.items() if weights != SMART_SUM}
        lengths = [page.tokens for page in self.collection.encoded.pages]
        return {
            "collection": self.collection.name,
            "unit": self.collection.unit,
            "documents": len(lengths),
            "queries": len(self.collection.judgements),
            "codec": self.codec,
            "tokens": {
                "fewest": min(lengths),
                "mean": fmean(lengths),
                "most": max(lengths),
                "with_most": lengths.count(max(lengths)),
            },
            "methods": {name: self.evaluate(weights).means for name, weights in METHOD_WEIGHTS.items()},
            "ties": {name: self.evaluate(weights).ties for name, weights in METHOD_WEIGHTS.items()},
            "difference": {
                f"{name}-{base}": {
                    metric: self.compare_with(METHOD_WEIGHTS[name], self, METHOD_WEIGHTS[base], metric)
                    for metric in ("ndcg@5", HEADLINE_METRIC)
                }
                for name, base in (("late", "pooled"), ("smart", "pooled"), ("smart", "late"), ("smart_sum", "pooled"))
            },
            "kinds": self._kinds(every),
            "curve": {reduce.value: self._curve(reduce) for reduce in Reduce},
            "chosen": cross_validate_late_weight(self._curve_values(), SEED),
            "notices": list(self.collection.notices),
            "seconds": {"encode": round(self.collection.seconds, 1)},
        }

    def _kinds(self, methods: Mapping[str, Weights]) -> Json:
        smart, pooled = (self.evaluate(method.weights).values[HEADLINE_METRIC] for method in (SMART, POOLED))
        kinds: dict[str, list[int]] = {}
        for row, query in enumerate(self.collection.judgements):
            kinds.setdefault(query.kind, []).append(row)
        return {
            kind: {
                "queries": len(rows),
                "methods": {
                    name: {metric: fmean(values[rows]) for metric, values in self.evaluate(weights).values.items()}
                    for name, weights in methods.items()
                },
                "difference": difference_as_json(smart[rows], pooled[rows]),
            }
            for kind, rows in kinds.items()
        }

    def _curve(self, reduce: Reduce) -> list[Json]:
        points = []
        for late in LATE_WEIGHTS:
            weights = Weights(1.0, late, reduce)
            found = self.compare_with(weights, self, POOLED.weights)
            shown = {key: found[key] for key in ("mean", "low", "high", "better", "same", "worse")}
            points.append(
                {"late_weight": late, HEADLINE_METRIC: self.evaluate(weights).means[HEADLINE_METRIC], **shown}
            )
        return points

    def _curve_values(self) -> npt.NDArray[np.float64]:
        """Return the values of the mean's curve, (weights, queries)."""
        return np.stack([self.evaluate(Weights(1.0, late)).values[HEADLINE_METRIC] for late in LATE_WEIGHTS])


def difference_as_json(own: npt.NDArray[np.float64], base: npt.NDArray[np.float64]) -> Json:
    """Return the difference between values of the same queries or pairs, with its bootstrap interval."""
    return asdict(paired_difference(list(own), list(base)))


def cross_validate_late_weight(values: npt.NDArray[np.float64], seed: int, splits: int = SPLIT_COUNT) -> Json:
    """Return the best late weight, and the gain of tuning it: chosen on one half of the queries, measured on the other.

    values: (weights, queries) over LATE_WEIGHTS. The best weight of a curve is chosen on the queries it is measured on,
    so its value is too high; the gain on the other half is not. The spread is over random halves, which overlap: it is
    no confidence interval.
    """
    random, at_one, queries = np.random.default_rng(seed), LATE_WEIGHTS.index(1.0), values.shape[1]
    picks, gains = [], []
    for _ in range(splits if queries > 1 else 0):
        order = random.permutation(queries)
        tuned_on, measured_on = order[: queries // 2], order[queries // 2 :]
        best = int(values[:, tuned_on].mean(axis=1).argmax())
        picks.append(LATE_WEIGHTS[best])
        gains.append(float((values[best, measured_on] - values[at_one, measured_on]).mean()))
    best_of_all = int(values.mean(axis=1).argmax())
    found: Json = {
        "best": LATE_WEIGHTS[best_of_all],
        "best_value": float(values[best_of_all].mean()),
        "splits": len(picks),
    }
    if picks:
        low, middle, high = (float(value) for value in np.quantile(picks, [0.1, 0.5, 0.9]))
        found |= {"picked": {"low": low, "middle": middle, "high": high}, "gain_over_one": fmean(gains)}
    return found
