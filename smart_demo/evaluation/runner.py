"""Judged queries through a search -> values by query, method and metric. Knows nothing of where rankings come from.

What a run comes to: means by method and kind, and whether SMART differs from pooled by more than chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from smart_demo import scoring
from smart_demo.errors import InputRefused, QueryRefused
from smart_demo.evaluation.judgements import QueryJudgements
from smart_demo.evaluation.metrics import CONFIDENCE, METRICS, RESAMPLES, Difference, paired_difference
from smart_demo.types import LATE, POOLED, SMART, Encoder, PageId, Parts, SearchResult

METHODS = (POOLED, LATE, SMART)
DEPTH = 1_000
"""Results of a ranking that have their scores with them; ranks are known of all."""
Search = Callable[[str], Mapping[str, SearchResult]]
"""A query's text -> its rankings of the whole collection, by method name, one for each of METHODS."""
Keep = Callable[[QueryJudgements, Mapping[str, SearchResult]], None]
"""Takes every query that could be asked, with its rankings, the moment it was."""
Tell = Callable[[str], None]
"""Takes one line of progress for the person who waits."""


@dataclass(frozen=True)
class Scored:
    """One query's values: by method name, then by metric name."""

    kind: str
    values: Mapping[str, Mapping[str, float]]


def silent(_: str) -> None:
    """Tell nobody."""


def forget(_judged: QueryJudgements, _results: Mapping[str, SearchResult]) -> None:
    """Keep nothing of a query but its values."""


def ranked(parts: Parts) -> Mapping[str, SearchResult]:
    """One query's rankings by every method."""
    return {method.name: scoring.rank(parts, method, DEPTH) for method in METHODS}


def evaluate(
    judged: Sequence[QueryJudgements], search: Search, tell: Tell = silent, keep: Keep = forget
) -> tuple[tuple[Scored, ...], tuple[str, ...]]:
    """(values of every query that could be asked, one notice for each that could not).

    InputRefused if none could.
    """
    scored: list[Scored] = []
    notices: list[str] = []
    for done, one in enumerate(judged, start=1):
        try:
            results = search(one.query)
        except QueryRefused as refused:
            notices.append(f"Query {one.qid} was left out. {refused.sentence}")
        else:
            keep(one, results)
            scored.append(Scored(one.kind, {method.name: _values(results[method.name], one) for method in METHODS}))
        tell_tenths(tell, "Asked", done, len(judged), "queries")
    if not scored:
        raise InputRefused("None of the queries could be asked.", notices[0] if notices else "")
    return tuple(scored), tuple(notices)


def tell_tenths(tell: Tell, verb: str, done: int, total: int, things: str) -> None:
    """One line of progress whenever another tenth is done."""
    if done * 10 // total > (done - 1) * 10 // total:
        tell(f"{verb} {done:,} of {total:,} {things}.")


def _values(result: SearchResult, judged: QueryJudgements) -> Mapping[str, float]:
    ranking = [page for _, page in sorted(result.ranks, key=result.ranks.__getitem__)]
    return {name: metric(ranking, judged.grades) for name, metric in METRICS.items()}


def never_found(judged: Sequence[QueryJudgements], found: set[PageId]) -> dict[PageId, list[str]]:
    """Relevant pages that no ranking can reach, each with the ids of the queries that ask for it."""
    missing: dict[PageId, list[str]] = {}
    for one in judged:
        for page, grade in one.grades.items():
            if grade > 0 and page not in found:
                missing.setdefault(page, []).append(one.qid)
    return missing


COMPARED = ("ndcg@5", "ndcg@10")
MEANS, BESIDE_INTERVAL = (10,) * len(METRICS), (10, 22, 8, 8, 8)
"""Widths of a table's columns."""
Means = Mapping[str, Mapping[str, float]]
"""By method name, then by metric name."""


@dataclass(frozen=True)
class Report:
    """One collection measured with one encoder."""

    collection: str
    """Its name, for people."""
    unit: str
    """What was ranked, in the plural: `pages` or `texts`."""
    pages: int
    """How many of them."""
    encoder: Encoder
    codec: str
    """How the token states were kept while they were scored."""
    queries: tuple[Scored, ...]
    """1 or more."""
    seconds: Mapping[str, float]
    """By stage, in order."""
    notices: tuple[str, ...] = ()
    """Sentences on what was left out and what could not be found."""

    @property
    def means(self) -> Means:
        """Over all queries."""
        return _means(self.queries)

    @property
    def kinds(self) -> Mapping[str, Sequence[Scored]]:
        """Queries by kind; kinds in the order in which they first came."""
        groups: dict[str, list[Scored]] = {}
        for query in self.queries:
            groups.setdefault(query.kind, []).append(query)
        return groups

    @property
    def differences(self) -> Mapping[str, Difference]:
        """SMART minus pooled, by metric."""
        values = {
            (method, metric): [query.values[method.name][metric] for query in self.queries]
            for method in (SMART, POOLED)
            for metric in COMPARED
        }
        return {metric: paired_difference(values[SMART, metric], values[POOLED, metric]) for metric in COMPARED}

    def as_json(self) -> dict[str, Any]:
        """Plain data, the form of `eval --json`."""
        return {
            "collection": self.collection,
            "pages": self.pages,
            "queries": len(self.queries),
            "methods": self.means,
            "difference": {
                metric: {"of": SMART.name, "from": POOLED.name, **asdict(found)}
                for metric, found in self.differences.items()
            },
            "kinds": {kind: {"queries": len(some), "methods": _means(some)} for kind, some in self.kinds.items()},
            "encoder": {**asdict(self.encoder), "fingerprint": self.encoder.fingerprint, "codec": self.codec},
            "seconds": {stage: round(value, 3) for stage, value in self.seconds.items()},
            "notices": list(self.notices),
        }

    def as_text(self) -> str:
        """Tables of fixed width for a terminal."""
        return "\n".join(_lines(self))


def _means(queries: Sequence[Scored]) -> Means:
    return {
        method.name: {metric: fmean(query.values[method.name][metric] for query in queries) for metric in METRICS}
        for method in METHODS
    }


def _lines(report: Report) -> Iterator[str]:
    spent = ", ".join(f"{value:,.1f} s to {stage}" for stage, value in report.seconds.items())
    yield f"{report.collection}: {report.pages:,} {report.unit}, {_count(len(report.queries))}; {spent}"
    yield f"{report.encoder.name} ({report.encoder.model}), token states kept as {report.codec}"
    yield ""
    yield _row("", [_title(metric) for metric in METRICS])
    yield from _table(report.means)
    yield ""
    yield f"{SMART.label} minus {POOLED.label}; interval: paired bootstrap over the queries, {RESAMPLES:,} resamples"
    yield _row("", ["mean", f"{CONFIDENCE:.0%} interval", "better", "same", "worse"], BESIDE_INTERVAL)
    for metric, found in report.differences.items():
        interval = f"{found.low:+.4f} to {found.high:+.4f}"
        counts = [f"{n:,}" for n in (found.better, found.same, found.worse)]
        yield _row(_title(metric), [f"{found.mean:+.4f}", interval, *counts], BESIDE_INTERVAL)
    if len(report.kinds) > 1:
        for kind, some in report.kinds.items():
            yield ""
            yield f"{kind}, {_count(len(some))}"
            yield from _table(_means(some))
    yield from ("", *report.notices) if report.notices else ()


def _table(means: Means) -> Iterator[str]:
    for method in METHODS:
        yield _row(method.label, [f"{value:.4f}" for value in means[method.name].values()])


def _row(label: str, cells: Sequence[str], widths: Sequence[int] = MEANS) -> str:
    return f"{label:<12}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _title(metric: str) -> str:
    """As people write it.

    >>> _title("ndcg@10"), _title("recall@1")
    ('nDCG@10', 'recall@1')
    """
    return metric.replace("ndcg", "nDCG").replace("mrr", "MRR")


def _count(queries: int) -> str:
    return "1 query" if queries == 1 else f"{queries:,} queries"
