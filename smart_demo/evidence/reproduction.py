"""Measure public benchmarks by every method, beside the published figures, in a run that a kill does not undo.

Each set has a library of its own under the run's folder, and its per-query values go to one JSON file when they are
complete. A later run with the same encoder skips finished sets, keeps encoded pages and goes on with the rest. A set
that cannot be read or measured is reported, and the others go on. The library of a finished set is deleted, unless
`limit` left queries out.

    <out>/<model>-<fingerprint>-<codec>/<benchmark>-<set>.json     what was measured
    <out>/<model>-<fingerprint>-<codec>/<benchmark>-<set>/         encoded pages, until then
    <out>/reproduction.json, reproduction.md                       the report
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from smart_demo import scoring
from smart_demo.backbones import registry
from smart_demo.backbones.base import Backbone
from smart_demo.backbones.registry import Backbones
from smart_demo.config import Settings, core_count
from smart_demo.diagnostics import describe_environment, figure_commit, figure_versions, package_versions
from smart_demo.errors import InputRefused, SmartError
from smart_demo.evaluation.collections import read_dataset
from smart_demo.evaluation.metrics import RESAMPLES, SEED, Metric, ndcg, ndcg_exponential
from smart_demo.evaluation.pages import PageCollection, describe_refused, encode_pages, format_duration
from smart_demo.evaluation.query_sets import CollectionOptions, QueryJudgements
from smart_demo.evaluation.runner import METHODS, ProgressCallback, ignore_progress
from smart_demo.evaluation.texts import EncodedPages, encode_queries, group_queries, score_queries
from smart_demo.evidence.benchmarks import PUBLISHED_BUDGETS, Benchmark, BenchmarkSet, model_name
from smart_demo.methods import TRAINED, Method, Parts, TokenMaxima
from smart_demo.store.atomic_files import delete_tree, make_folder, storage_errors, write_file
from smart_demo.store.library import Library
from smart_demo.types import LOCAL, Floats, PageId, QueryEncoding, StoredPage, TokenCodes, TokenSpace
from smart_demo.wording import count, count_queries, size_in_words

FORMAT = 1
"""Version of the sets' JSON files; files of another are measured again."""
FIGURES: Mapping[str, Metric] = {
    f"ndcg@{cut}-{gain}": partial(metric, k=cut)
    for cut in (5, 10)
    for gain, metric in (("linear", ndcg), ("exponential", ndcg_exponential))
}
"""The figures of every query, by cut-off and gain."""
MAX_CUT = 10
QUERY_BATCH = 500
"""Queries encoded and scored together: their states and maxima stay in memory."""
MIN_TIMED_PAGES = 4
"""Fewest pages timed for the estimate, after a batch that includes loading and compiling."""
TIMED_QUERIES = 8
Json = dict[str, Any]


@dataclass(frozen=True)
class ReproductionPlan:
    """What to measure and where to keep it."""

    benchmarks: tuple[Benchmark, ...]
    out: Path
    limit: int = 0
    """Number of judged queries of each set, from the start, each against all pages; 0 for all."""
    command: str = ""
    """The command that was run, for the report."""


@dataclass(frozen=True)
class _SetRun:
    """One set of a run."""

    benchmark: str
    chosen: BenchmarkSet
    folder: Path
    """Folder of its encoded pages; its JSON file is beside it."""
    key: Json
    """What its figures depend on: a file with another key is measured again."""
    limit: int

    @property
    def label(self) -> str:
        return f"{self.benchmark}/{self.chosen.name}"

    @property
    def file(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.json")

    def read(self) -> PageCollection:
        """Return the collection, fetched if needed. Raises InputRefused if it cannot be used."""
        options = CollectionOptions(self.chosen.split, limit=self.limit, revision=self.chosen.revision)
        collection = read_dataset(self.chosen.dataset, options)
        if not isinstance(collection, PageCollection):
            raise InputRefused(f"{collection.name} has no page images.")
        return collection

    def finished(self) -> Json | None:
        """Return what was measured, or None if it was not, or under another key."""
        try:
            found = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and found.get("key") == self.key else None


class _Runner:
    """Measures sets by one backbone."""

    def __init__(self, backbone: Backbone, settings: Settings, on_progress: ProgressCallback) -> None:
        self._backbone, self._settings, self._on_progress = backbone, settings, on_progress
        trained = (TRAINED,) if TokenSpace.TRAINED in backbone.encoder.widths else ()
        self.methods: tuple[Method, ...] = (*METHODS, *trained)

    @contextmanager
    def open_library(self, run: _SetRun) -> Iterator[Library]:
        """Open the library of a set. Chroma stays closed: no page is searched in it."""
        with Library.open(
            run.folder / "data",
            run.folder / "index",
            self._settings.codec,
            cache_bytes=self._settings.resident_bytes,
            in_background=True,
        ) as library:
            yield library

    def estimate(self, pending: Mapping[str, tuple[_SetRun, PageCollection]]) -> None:
        """Encode a few pages of the first set and report how long all sets will take. The pages are kept."""
        run, collection = next(iter(pending.values()))
        pages_left = queries = pairs = 0
        for other, own in pending.values():
            with self.open_library(other) as library:
                pages_left += own.count - len(self._pages(library))
            queries += len(own.judgements)
            pairs += len(own.judgements) * own.count
        with self.open_library(run) as library:
            timed, seconds = self._time_pages(library, collection)
            pages, pooled = self._pooled(library)
            per_page = seconds / timed if timed else 0.0
            query_seconds = pair_seconds = size = 0.0
            if pages:
                query_seconds, pair_seconds = self._time_queries(library, pages, pooled, collection)
                size = fmean(page.bytes for page in pages)
        encode = per_page * pages_left
        rank = query_seconds * queries + pair_seconds * pairs
        largest = round(size * max(own.count for _, own in pending.values()))
        free = shutil.disk_usage(run.folder).free
        self._on_progress(
            f"Estimate for {count(len(pending), 'set')}: {format_duration(encode + rank)}. "
            f"{count(pages_left, 'page')} to encode at {per_page:.2f} s each: {format_duration(encode)}; "
            f"{count_queries(queries)} to rank: {format_duration(rank)}. "
            f"The encodings of the largest set take {size_in_words(largest)} until it is finished; "
            f"{size_in_words(free)} are free."
        )

    def _time_pages(self, library: Library, collection: PageCollection) -> tuple[int, float]:
        """Return (number of pages, seconds) of pages encoded now, without the first batch if there are more."""
        timed = (0, 0.0)
        for most in (self._backbone.batch, max(MIN_TIMED_PAGES, 2 * self._backbone.batch)):
            before, begun = len(self._pages(library)), time.perf_counter()
            encode_pages(library, self._settings.limits, self._backbone, collection, most=most)
            if added := len(self._pages(library)) - before:
                timed = (added, time.perf_counter() - begun)
        return timed

    def _time_queries(
        self, library: Library, pages: Sequence[StoredPage], pooled: Floats, collection: PageCollection
    ) -> tuple[float, float]:
        """Return the seconds to encode a query, and to score it on one page."""
        begun = time.perf_counter()
        queries, _ = encode_queries(self._backbone, collection.judgements[:TIMED_QUERIES])
        encoded = time.perf_counter()
        if not queries:
            return 0.0, 0.0
        self._score(library, pages, pooled, list(queries.values()))
        scored = time.perf_counter() - encoded
        return (encoded - begun) / len(queries), scored / len(queries) / len(pages)

    def measure(self, run: _SetRun, collection: PageCollection) -> Json:
        """Encode what is missing, rank every query, and return what the set's file holds.

        Raises SmartError if the set cannot be measured.
        """
        with self.open_library(run) as library:
            before, begun = len(self._pages(library)), time.perf_counter()
            refused, noticed = encode_pages(
                library, self._settings.limits, self._backbone, collection, self._on_progress
            )
            seconds = {"encode": time.perf_counter() - begun}
            pages, pooled = self._pooled(library)
            missing = list(describe_refused(collection, refused))
            if not pages:
                raise InputRefused("None of the pages could be encoded.", " ".join(missing))
            begun = time.perf_counter()
            values, left_out = self._rank(library, pages, pooled, collection.judgements, run.label)
            seconds["rank"] = time.perf_counter() - begun
        read = [f"At least {count(pages_of, 'page')}: {notice}" for notice, pages_of in noticed.items()]
        return {
            "key": run.key,
            "collection": collection.name,
            "pages": collection.count,
            "encoded": len(pages),
            "queries": len(next(iter(values.values()))[next(iter(FIGURES))]),
            "graded": any(grade not in (0, 1) for query in collection.judgements for grade in query.grades.values()),
            "tokens_per_page": self._mean_tokens(pages),
            "bytes_per_page": round(fmean(page.bytes for page in pages)),
            "encoded_now": len(pages) - before,
            "seconds": {stage: round(spent, 3) for stage, spent in seconds.items()},
            "notices": [*collection.notices, *missing, *read, *left_out],
            "values": values,
        }

    def _rank(
        self,
        library: Library,
        pages: Sequence[StoredPage],
        pooled: Floats,
        judgements: Sequence[QueryJudgements],
        label: str,
    ) -> tuple[Json, list[str]]:
        """Return every query's figures by method and figure, and a notice for each query that was left out."""
        values: Json = {method.name: {figure: [] for figure in FIGURES} for method in self.methods}
        notices = []
        for start in range(0, len(judgements), QUERY_BATCH):
            batch = judgements[start : start + QUERY_BATCH]
            queries, refused = encode_queries(self._backbone, batch)
            parts = self._score(library, pages, pooled, list(queries.values()))
            for query in batch:
                if query.query in refused:
                    notices.append(f"Query {query.qid} was left out. {refused[query.query].sentence}")
                    continue
                for method in self.methods:
                    hits = scoring.rank(parts[query.query], method, MAX_CUT).hits
                    ranking = [hit.page.id for hit in hits]
                    for figure, metric in FIGURES.items():
                        values[method.name][figure].append(metric(ranking, query.grades))
            self._on_progress(f"{label}: ranked {start + len(batch):,} of {count_queries(len(judgements))}.")
        if len(notices) == len(judgements):
            raise InputRefused("None of the queries could be run.", notices[0])
        return values, notices

    def _score(
        self, library: Library, pages: Sequence[StoredPage], pooled: Floats, queries: Sequence[QueryEncoding]
    ) -> Mapping[str, Parts]:
        """Return the score parts of every query in all token spaces of the methods, by its text."""
        found: dict[str, Parts] = {}
        for group in group_queries(queries, len(pages)):
            raw = score_queries(_in_space(library, pages, pooled, TokenSpace.RAW), group)
            for space in {method.weights.space for method in self.methods} - {TokenSpace.RAW}:
                own = score_queries(_in_space(library, pages, pooled, space), [one.in_space(space) for one in group])
                raw = {
                    text: replace(parts, spaces={**parts.spaces, space: TokenMaxima(own[text].kinds, own[text].maxima)})
                    for text, parts in raw.items()
                }
            found.update(raw)
        return found

    def _pages(self, library: Library) -> Sequence[StoredPage]:
        return library.pages([LOCAL], self._backbone.encoder.fingerprint)

    def _pooled(self, library: Library) -> tuple[Sequence[StoredPage], Floats]:
        return library.pooled([LOCAL], self._backbone.encoder.fingerprint)

    def _mean_tokens(self, pages: Sequence[StoredPage]) -> Json:
        """Return the mean number of token states of a page, by token space."""
        counts = [{TokenSpace.RAW: page.tokens, **dict(page.space_tokens)} for page in pages]
        return {space.value: round(fmean(own[space] for own in counts), 1) for space in counts[0]}


class _StoredTokens(Mapping[PageId, TokenCodes]):
    """The token states of a library's pages in one space, read when they are scored."""

    def __init__(self, library: Library, pages: Sequence[StoredPage], space: TokenSpace) -> None:
        self._library, self._space = library, space
        self._pages = {page.id: page for page in pages}

    def __getitem__(self, page: PageId) -> TokenCodes:
        return self._library.tokens(self._pages[page], self._space)

    def __iter__(self) -> Iterator[PageId]:
        return iter(self._pages)

    def __len__(self) -> int:
        return len(self._pages)


def _in_space(library: Library, pages: Sequence[StoredPage], pooled: Floats, space: TokenSpace) -> EncodedPages:
    return EncodedPages(tuple(pages), pooled, _StoredTokens(library, pages, space))


def run_reproduction(
    settings: Settings, plan: ReproductionPlan, on_progress: ProgressCallback = ignore_progress
) -> Json:
    """Measure every set that is not finished and return the facts of the run with each set's file.

    Raises BackboneUnavailable as the backbone does, LibraryError if the folder cannot be used. A set that fails has an
    `error` in place of its figures.
    """
    choice = registry.choose_backbone(settings)
    budget = settings.visual_tokens or PUBLISHED_BUDGETS.get(model_name(choice.name), 0)
    settings = replace(settings, visual_tokens=budget)
    load = partial(registry.load_backbone, settings=settings)
    backbone = Backbones(choice, load, fall_back=False).main()
    runner, runs = _Runner(backbone, settings, on_progress), _list_runs(backbone, settings, plan)
    found = {run.label: done for run in runs if (done := run.finished())}
    if found:
        on_progress(f"Finished before: {', '.join(found)}.")
    pending: dict[str, tuple[_SetRun, PageCollection]] = {}
    for run in (run for run in runs if run.label not in found):
        on_progress(f"Reading {run.label}: {run.chosen.dataset}.")
        try:
            pending[run.label] = (run, run.read())
        except SmartError as error:
            found[run.label] = _report_failure(run, error, on_progress)
    if pending:
        try:
            runner.estimate(pending)
        except SmartError as error:  # the set's own turn will report it again
            on_progress(f"There is no estimate: {error}")
    for run, collection in pending.values():
        on_progress(f"{run.label}: {count(collection.count, 'page')}, {count_queries(len(collection.judgements))}.")
        try:
            found[run.label] = runner.measure(run, collection)
        except SmartError as error:
            found[run.label] = _report_failure(run, error, on_progress)
            continue
        with storage_errors(f"keep the figures of {run.label}"):
            write_file(run.file, (json.dumps(found[run.label]) + "\n").encode())
            if not run.limit:
                delete_tree(run.folder)
    if any("error" in own for own in found.values()):
        on_progress("Run the same command again to try the sets that were left out; finished sets are kept.")
    return {
        "made": _describe_run(backbone, settings, plan),
        "model": model_name(backbone.encoder.name),
        "methods": [method.name for method in runner.methods],
        "sets": {run.label: found[run.label] for run in runs},
    }


def _list_runs(backbone: Backbone, settings: Settings, plan: ReproductionPlan) -> list[_SetRun]:
    """Return the sets of a plan, in order, and make the folder of this encoder."""
    encoder = backbone.encoder
    name = re.sub(r"[^a-z0-9.]+", "-", encoder.name.lower()).strip("-.") or "model"
    folder = plan.out / f"{name}-{encoder.fingerprint}-{settings.codec}"
    with storage_errors(f"use {plan.out}"):
        make_folder(folder)
    return [
        _SetRun(
            benchmark.name,
            chosen,
            folder / f"{benchmark.name}-{chosen.name}",
            {
                "format": FORMAT,
                **asdict(chosen),
                "limit": plan.limit,
                "encoder": encoder.fingerprint,
                "codec": settings.codec,
            },
            plan.limit,
        )
        for benchmark in plan.benchmarks
        for chosen in benchmark.sets
    ]


def _report_failure(run: _SetRun, error: SmartError, on_progress: ProgressCallback) -> Json:
    on_progress(f"{run.label} was left out: {error}")
    return {"key": run.key, "error": str(error)}


def _describe_run(backbone: Backbone, settings: Settings, plan: ReproductionPlan) -> Json:
    """Return what the figures depend on: program, machine, model and settings."""
    environment = asdict(describe_environment(backbone, settings))
    packages = {key: environment["versions"][key] for key in ("accelerate", "safetensors")}
    return {
        "command": plan.command,
        "commit": figure_commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": figure_versions() | packages | {"datasets": package_versions(["datasets"])["datasets"]},
        "gpu": (registry.detect_gpu() or "") if environment["device"].startswith("cuda") else "",
        "cores": core_count(),
        "limit": plan.limit,
        "encoder": asdict(backbone.encoder) | {"fingerprint": backbone.encoder.fingerprint},
        **{name: environment[name] for name in ("device", "dtype", "codec", "revision", "held_to", "visual_tokens")},
        "resamples": RESAMPLES,
        "seed": SEED,
    }
