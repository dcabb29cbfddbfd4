"""Run judged queries through a search and report the metrics by method and kind of query.

The search is a callable; this module does not know what it ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from smart_demo import scoring
from smart_demo.errors import InputRefused, QueryRefused
from smart_demo.evaluation.metrics import CONFIDENCE, METRICS, RESAMPLES, Difference, paired_difference
from smart_demo.evaluation.query_sets import QueryJudgements
from smart_demo.methods import LATE, POOLED, SMART, Parts, SearchResult
from smart_demo.types import Encoder, PageId
from smart_demo.wording import count_queries

METHODS = (POOLED, LATE, SMART)
RUN_DEPTH = 1_000
"""Number of results a ranking holds with their scores; ranks are known for all pages."""
COMPARED_METRICS = ("ndcg@5", "ndcg@10")
"""The metrics of which a report gives the difference between SMART and pooled."""
MEANS_WIDTHS, DIFFERENCE_WIDTHS = (10,) * len(METRICS), (10, 22, 8, 8, 8)
"""Column widths of the two tables."""
Means = Mapping[str, Mapping[str, float]]
"""Mean values by method name, then by metric name."""
RankQuery = Callable[[str], Mapping[str, SearchResult]]
"""Maps a query's text to its rankings of the whole collection, one for each of METHODS, by method name."""
RankingsCallback = Callable[[QueryJudgements, Mapping[str, SearchResult]], None]
"""Called with every query that ran and its rankings, right after the query ran."""
ProgressCallback = Callable[[str], None]
"""Called with one line of progress."""


@dataclass(frozen=True)
class QueryScores:
    """One query's metric values, by method name, then by metric name."""

    kind: str
    values: Mapping[str, Mapping[str, float]]


def ignore_progress(_: str) -> None:
    """Do nothing."""


def discard_rankings(_judged: QueryJudgements, _results: Mapping[str, SearchResult]) -> None:
    """Do nothing, so that only a query's metric values remain."""


def rank_by_methods(parts: Parts) -> Mapping[str, SearchResult]:
    """Return one query's rankings by every method."""
    return {method.name: scoring.rank(parts, method, RUN_DEPTH) for method in METHODS}


def evaluate_queries(
    judgements: Sequence[QueryJudgements],
    search: RankQuery,
    on_progress: ProgressCallback = ignore_progress,
    on_rankings: RankingsCallback = discard_rankings,
) -> tuple[tuple[QueryScores, ...], tuple[str, ...]]:
    """Return the scores of every query that ran, and one notice for each that was refused.

    Raises InputRefused if every query was refused.
    """
    scored: list[QueryScores] = []
    notices: list[str] = []
    for done, query in enumerate(judgements, start=1):
        try:
            results = search(query.query)
        except QueryRefused as refused:
            notices.append(f"Query {query.qid} was left out. {refused.sentence}")
        else:
            on_rankings(query, results)
            scored.append(
                QueryScores(
                    query.kind, {method.name: _score_rankings(results[method.name], query) for method in METHODS}
                )
            )
        report_tenths(on_progress, "Ran", done, len(judgements), "queries")
    if not scored:
        raise InputRefused("None of the queries could be run.", notices[0] if notices else "")
    return tuple(scored), tuple(notices)


def report_tenths(on_progress: ProgressCallback, verb: str, done: int, total: int, things: str) -> None:
    """Call `on_progress` whenever another tenth of the `total` is done."""
    if done * 10 // total > (done - 1) * 10 // total:
        on_progress(f"{verb} {done:,} of {total:,} {things}.")


def _score_rankings(result: SearchResult, judgements: QueryJudgements) -> Mapping[str, float]:
    ranking = list_ranked_pages(result)
    return {name: metric(ranking, judgements.grades) for name, metric in METRICS.items()}


def list_ranked_pages(result: SearchResult) -> list[PageId]:
    """Return the ranked pages, best first."""
    return [page for _, page in sorted(result.ranks, key=result.ranks.__getitem__)]


def find_unreachable(judgements: Sequence[QueryJudgements], found: set[PageId]) -> dict[PageId, list[str]]:
    """Return the relevant pages that are not in `found`, each with the ids of the queries it answers."""
    missing: dict[PageId, list[str]] = {}
    for query in judgements:
        for page, grade in query.grades.items():
            if grade > 0 and page not in found:
                missing.setdefault(page, []).append(query.qid)
    return missing


@dataclass(frozen=True)
class Report:
    """The results of one collection with one encoder."""

    collection: str
    """The collection's name."""
    unit: str
    """What was ranked, in the plural: `pages` or `texts`."""
    pages: int
    """Number of pages or texts ranked."""
    encoder: Encoder
    codec: str
    """The codec of the token states while they were scored."""
    queries: tuple[QueryScores, ...]
    """Scores of every query; at least one."""
    seconds: Mapping[str, float]
    """Duration of each stage, in order."""
    notices: tuple[str, ...] = ()
    """Sentences on what was left out or could not be found."""

    @property
    def means(self) -> Means:
        """Means over all queries."""
        return _mean_by_method(self.queries)

    @property
    def kinds(self) -> Mapping[str, Sequence[QueryScores]]:
        """Queries by kind, in order of first appearance."""
        groups: dict[str, list[QueryScores]] = {}
        for query in self.queries:
            groups.setdefault(query.kind, []).append(query)
        return groups

    @property
    def differences(self) -> Mapping[str, Difference]:
        """Difference SMART minus pooled, by metric."""
        values = {
            (method, metric): [query.values[method.name][metric] for query in self.queries]
            for method in (SMART, POOLED)
            for metric in COMPARED_METRICS
        }
        return {metric: paired_difference(values[SMART, metric], values[POOLED, metric]) for metric in COMPARED_METRICS}

    def as_json(self) -> dict[str, Any]:
        """Return plain data, the form of `eval --json`."""
        return {
            "collection": self.collection,
            "pages": self.pages,
            "queries": len(self.queries),
            "methods": self.means,
            "difference": {
                metric: {"of": SMART.name, "from": POOLED.name, **asdict(found)}
                for metric, found in self.differences.items()
            },
            "kinds": {kind: {"queries": len(own), "methods": _mean_by_method(own)} for kind, own in self.kinds.items()},
            "encoder": {**asdict(self.encoder), "fingerprint": self.encoder.fingerprint, "codec": self.codec},
            "seconds": {stage: round(value, 3) for stage, value in self.seconds.items()},
            "notices": list(self.notices),
        }

    def as_text(self) -> str:
        """Return tables of fixed width for a terminal."""
        return "\n".join(_format_report(self))


def _mean_by_method(queries: Sequence[QueryScores]) -> Means:
    return {
        method.name: {metric: fmean(query.values[method.name][metric] for query in queries) for metric in METRICS}
        for method in METHODS
    }


def _format_report(report: Report) -> Iterator[str]:
    spent = ", ".join(f"{value:,.1f} s to {stage}" for stage, value in report.seconds.items())
    yield f"{report.collection}: {report.pages:,} {report.unit}, {count_queries(len(report.queries))}; {spent}"
    yield f"{report.encoder.name} ({report.encoder.model}), token states kept as {report.codec}"
    yield ""
    yield _format_row("", [format_metric(metric) for metric in METRICS])
    yield from _format_means(report.means)
    yield ""
    yield f"{SMART.label} minus {POOLED.label}; interval: paired bootstrap over the queries, {RESAMPLES:,} resamples"
    yield _format_row("", ["mean", f"{CONFIDENCE:.0%} interval", "better", "same", "worse"], DIFFERENCE_WIDTHS)
    for metric, found in report.differences.items():
        interval = f"{found.low:+.4f} to {found.high:+.4f}"
        counts = [f"{n:,}" for n in (found.better, found.same, found.worse)]
        yield _format_row(format_metric(metric), [f"{found.mean:+.4f}", interval, *counts], DIFFERENCE_WIDTHS)
    if len(report.kinds) > 1:
        for kind, own in report.kinds.items():
            yield ""
            yield f"{kind}, {count_queries(len(own))}"
            yield from _format_means(_mean_by_method(own))
    yield from ("", *report.notices) if report.notices else ()


def _format_means(means: Means) -> Iterator[str]:
    for method in METHODS:
        yield _format_row(method.label, [f"{value:.4f}" for value in means[method.name].values()])


def _format_row(label: str, cells: Sequence[str], widths: Sequence[int] = MEANS_WIDTHS) -> str:
    return f"{label:<12}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def format_metric(metric: str) -> str:
    """Return a metric's name in its usual spelling.

    >>> format_metric("ndcg@10"), format_metric("recall@1")
    ('nDCG@10', 'recall@1')
    """
    return metric.replace("ndcg", "nDCG").replace("mrr", "MRR")
