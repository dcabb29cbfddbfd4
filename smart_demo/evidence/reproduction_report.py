"""A reproduction compared with the published figures: reproduction.json, and reproduction.md to paste.

`compare_run` computes every mean, difference and interval; the Markdown only prints them. A difference to a published
figure has the interval of our queries alone, since the published queries are not known one by one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

from smart_demo.evaluation.metrics import MIN_QUERIES, stratified_difference
from smart_demo.evidence.benchmarks import (
    ALL_SETS,
    NOT_CHOSEN,
    NOT_STATED,
    PUBLISHED,
    PUBLISHED_BUDGETS,
    Benchmark,
    PublishedFigure,
)
from smart_demo.evidence.report import format_interval, format_signed, format_table
from smart_demo.evidence.reproduction import FIGURES, Json
from smart_demo.methods import LATE, POOLED, SMART, TRAINED
from smart_demo.store.atomic_files import make_folder, storage_errors, write_file
from smart_demo.wording import count, count_queries, list_in_words

LABELS = {method.name: method.label for method in (POOLED, LATE, SMART, TRAINED)}
COMPARED = (
    (LATE.name, POOLED.name),
    (SMART.name, POOLED.name),
    (TRAINED.name, POOLED.name),
    (TRAINED.name, SMART.name),
)
"""Pairs of methods whose difference is reported, as (method, base)."""
GAINS = ("linear", "exponential")
TRAINED_TOGETHER = (
    "This model's states were trained for the pooled vector and for late interaction together. So SMART on its raw "
    "states is no clean test of the paper's claim; pooled against trained late is."
)
BOTH_GAINS = "either"
"""The gain of a set whose grades are 0 and 1: both rules give the same figure."""


def compare_run(found: Json, benchmarks: Sequence[Benchmark], published: Sequence[PublishedFigure] = PUBLISHED) -> Json:
    """Return the report of a run as plain data, the form of reproduction.json."""
    return {
        "made": found["made"],
        "model": found["model"],
        "methods": found["methods"],
        "benchmarks": {
            benchmark.name: _compare_benchmark(
                benchmark,
                {one.name: found["sets"][f"{benchmark.name}/{one.name}"] for one in benchmark.sets},
                found["methods"],
                [own for own in published if (own.model, own.benchmark) == (found["model"], benchmark.name)],
            )
            for benchmark in benchmarks
        },
    }


def write_report(report: Json, folder: Path) -> tuple[Path, Path]:
    """Write reproduction.json and reproduction.md into a folder and return them. Raises LibraryError or StorageFull."""
    data, text = folder / "reproduction.json", folder / "reproduction.md"
    with storage_errors(f"write the report to {folder}"):
        make_folder(folder)
        write_file(data, (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode())
        write_file(text, format_reproduction(report).encode())
    return data, text


def _compare_benchmark(
    benchmark: Benchmark, sets: Mapping[str, Json], methods: Sequence[str], published: Sequence[PublishedFigure]
) -> Json:
    measured = {name: own for name, own in sets.items() if "error" not in own}
    failed = {name: own["error"] for name, own in sets.items() if "error" in own}
    absent = [*failed, *(name for name, reason in benchmark.left_out.items() if reason == NOT_CHOSEN)]
    return {
        "title": benchmark.title,
        "note": benchmark.note,
        "cut": benchmark.cut,
        "sets": {
            name: {
                **{key: value for key, value in own.items() if key not in ("values", "key")},
                "dataset": own["key"]["dataset"],
                **_summarise([own], methods),
            }
            for name, own in measured.items()
        },
        "all": _summarise(list(measured.values()), methods) if measured else None,
        "published": [_compare_published(own, measured, absent) for own in published],
        "gain": _compare_gain(published, measured, absent),
        "absent": absent,
        "failed": failed,
        "left_out": dict(benchmark.left_out),
    }


def _summarise(sets: Sequence[Json], methods: Sequence[str]) -> Json:
    """Return the means of the sets' means, and the differences between methods, by figure."""
    return {
        "means": {
            method: {figure: fmean(fmean(own["values"][method][figure]) for own in sets) for figure in FIGURES}
            for method in methods
        },
        "difference": {
            f"{method}-{base}": {
                figure: asdict(stratified_difference(_values(sets, method, figure), _values(sets, base, figure)))
                for figure in FIGURES
            }
            for method, base in COMPARED
            if method in methods
        },
    }


def _values(sets: Sequence[Json], method: str, figure: str) -> list[list[float]]:
    return [own["values"][method][figure] for own in sets]


def _figure_of(published: PublishedFigure) -> str:
    """Return the name in FIGURES of what a published figure is compared with."""
    return f"ndcg@{published.cut}-{'linear' if published.gain == NOT_STATED else published.gain}"


def _compare_published(published: PublishedFigure, measured: Mapping[str, Json], absent: Sequence[str]) -> Json:
    """Return a published figure with ours and the difference; ours is None if sets of it were not measured."""
    entry: Json = {**asdict(published), "figure": _figure_of(published), "ours": None, "difference": None}
    entry["ours_exponential"] = None
    if published.set == ALL_SETS:
        sets = [] if absent else list(measured.values())
    else:
        sets = [measured[published.set]] if published.set in measured else []
    if not sets or published.method not in sets[0]["values"]:
        return entry
    values = _values(sets, published.method, entry["figure"])
    difference = stratified_difference(values, [[published.value] * len(own) for own in values])
    entry |= {"ours": fmean(map(fmean, values)), "difference": asdict(difference)}
    if published.gain == NOT_STATED:
        other = _values(sets, published.method, f"ndcg@{published.cut}-exponential")
        entry["ours_exponential"] = fmean(map(fmean, other))
    return entry


def _compare_gain(
    published: Sequence[PublishedFigure], measured: Mapping[str, Json], absent: Sequence[str]
) -> list[Json]:
    """Return each published gain of SMART over pooled, from one table, beside ours and its interval."""
    pooled = {own.source: own for own in published if (own.method, own.set) == (POOLED.name, ALL_SETS)}
    gains = []
    for own in published:
        if own.method != SMART.name or own.source not in pooled or absent or not measured:
            continue
        sets, figure = list(measured.values()), _figure_of(own)
        ours = stratified_difference(_values(sets, SMART.name, figure), _values(sets, POOLED.name, figure))
        gain = round(own.value - pooled[own.source].value, 6)
        inside = ours.low <= gain <= ours.high
        gains.append(
            {"source": own.source, "figure": figure, "published": gain, "ours": asdict(ours), "inside": inside}
        )
    return gains


def format_reproduction(report: Json) -> str:
    """Return the text of reproduction.md."""
    return "\n\n".join(_format_paragraphs(report)) + "\n"


def _format_paragraphs(report: Json) -> Iterator[str]:
    made = report["made"]
    yield f"# Reproduction with {made['encoder']['name']}"
    commit = made["commit"]
    yield (
        f"Made by `{made['command']}` at commit `{commit[:12] or 'unknown'}`"
        f"{' with changes' if 'changes' in commit else ''}, {made['date']}."
    )
    if made["limit"]:
        yield (
            f"**Only the first {count_queries(made['limit'])} of each set were run, each against all of its pages: "
            "these are not the figures of the sets.**"
        )
    yield "\n".join(_format_facts(made, PUBLISHED_BUDGETS.get(report["model"], 0)))
    if TRAINED.name in report["methods"]:
        yield TRAINED_TOGETHER
    yield (
        "nDCG is given by its cut-off and its gain: the grade itself (linear) or 2^grade − 1 (exponential). Ties in "
        f"six decimals are ordered by the collection. Intervals: bootstrap over queries within each set, "
        f"{made['resamples']:,} resamples, 95 %. They do not cover other sets, and against a published figure they "
        "contain the chance of our queries alone."
    )
    for name, benchmark in report["benchmarks"].items():
        yield from _format_benchmark(name, benchmark, report["methods"])


def _format_facts(made: Json, published_budget: int) -> Iterator[str]:
    """Yield lines on model, machine, budget and versions. published_budget: of the published figures; 0 if unknown."""
    encoder = made["encoder"]
    machine = made["gpu"] or f"{made['device']}, {made['cores']} cores"
    yield f"- Model: {encoder['name']} ({encoder['model']}), revision `{encoder['revision'] or 'a local folder'}`."
    yield f"  Encoder fingerprint `{encoder['fingerprint']}`; held to {made['held_to']}."
    yield f"- Machine: {machine}; {made['dtype']}. Token states kept as {made['codec']}."
    budget = f"at most {made['visual_tokens']:,} visual tokens a page" if made["visual_tokens"] else "it reads words"
    if published_budget and published_budget != made["visual_tokens"]:
        budget += f", where the published figures have {published_budget:,} (SMART_VISUAL_TOKENS)"
    yield f"- Budget: {budget}; token filter `{encoder['token_filter'] or 'none'}`."
    yield "- Versions: " + ", ".join(f"{name} {version}" for name, version in made["versions"].items()) + "."


def _format_benchmark(name: str, own: Json, methods: Sequence[str]) -> Iterator[str]:
    yield f"## {name}: {own['title']}"
    if own["all"] is None:
        yield "No set could be measured."
    else:
        yield from _format_measured(own, methods)
    if own["note"]:
        yield own["note"]
    if own["failed"] or own["left_out"]:
        names: dict[str, list[str]] = {}
        for key, reason in (own["failed"] | own["left_out"]).items():
            names.setdefault(reason, []).append(key)
        yield "Left out:\n\n" + format_table(
            ["sets", "reason"], [[", ".join(sets), why] for why, sets in names.items()]
        )


def _format_measured(own: Json, methods: Sequence[str]) -> Iterator[str]:
    sets, cut = own["sets"], own["cut"]
    queries = count_queries(sum(one["queries"] for one in sets.values()))
    yield f"Mean of {count(len(sets), 'set')}, each counted alike, {queries}:"
    yield _format_means(
        {"all sets": own["all"] | {"graded": _is_graded(sets), "pages": "", "queries": ""}}, cut, methods
    )
    if own["absent"]:
        missing = list_in_words(own["absent"], "and")
        yield f"Not in this mean: {missing}. So it is not compared with published means of the whole benchmark."
    if own["published"]:
        yield "Published figures and ours:"
        yield format_table(
            ["method", "set", "figure", "published", "ours", "ours − published", "95 % interval", "source, protocol"],
            [_format_published(one) for one in own["published"]],
        )
    else:
        yield "No published figure is known for this model."
    for gain in own["gain"]:
        where = "inside" if gain["inside"] else "outside"
        yield (
            f"SMART − pooled, {_label(gain['figure'])}: published {format_signed(gain['published'])} "
            f"({gain['source']}), ours {format_signed(gain['ours']['mean'])} "
            f"({_format_chance(gain['ours'])}). The published gain is {where} our interval."
        )
    yield "Each set:"
    yield _format_means(sets, cut, methods)
    yield format_table(
        ["set", "dataset and commit", "encoded pages", "token states a page", "notices"],
        [
            [
                name,
                one["collection"],
                f"{one['encoded']:,} of {one['pages']:,}",
                ", ".join(f"{space} {tokens:g}" for space, tokens in one["tokens_per_page"].items()),
                " ".join(one["notices"]).replace("|", "/"),
            ]
            for name, one in sets.items()
        ],
    )


def _is_graded(sets: Mapping[str, Json]) -> bool:
    return any(own["graded"] for own in sets.values())


def _format_means(sets: Mapping[str, Json], cut: int, methods: Sequence[str]) -> str:
    """Return a table of the methods' nDCG, a row for each set and gain, with the differences to pooled."""
    pairs = [f"{method}-{POOLED.name}" for method in (SMART.name, TRAINED.name) if method in methods]
    head = ["set", "pages", "queries", f"nDCG@{cut}, gain", *(LABELS[name] for name in methods)]
    head += [f"{LABELS[pair.split('-')[0]]} − {LABELS[POOLED.name]}" for pair in pairs]
    rows = []
    for name, own in sets.items():
        for gain in GAINS if own["graded"] else GAINS[:1]:
            figure = f"ndcg@{cut}-{gain}"
            rows.append(
                [
                    name,
                    f"{own['pages']:,}" if own["pages"] else "",
                    f"{own['queries']:,}" if own["queries"] else "",
                    gain if own["graded"] else BOTH_GAINS,
                    *(f"{own['means'][method][figure]:.4f}" for method in methods),
                    *(
                        f"{format_signed(found['mean'])} ({_format_chance(found)})"
                        for pair in pairs
                        for found in (own["difference"][pair][figure],)
                    ),
                ]
            )
    return format_table(head, rows)


def _format_published(own: Json) -> list[str]:
    gain = "" if own["gain"] != NOT_STATED else "; its gain is not stated"
    difference = own["difference"]
    ours = "not measured" if own["ours"] is None else f"{own['ours']:.4f}"
    if own["ours_exponential"] is not None:
        ours += f" (exponential gain {own['ours_exponential']:.4f})"
    return [
        LABELS[own["method"]],
        own["set"] or "all sets",
        f"{_label(own['figure'])}{gain}",
        f"{own['value']:.4f}",
        ours,
        "–" if difference is None else format_signed(difference["mean"]),
        "–" if difference is None else _format_chance(difference),
        f"{own['source']}; {own['protocol']}",
    ]


def _format_chance(difference: Json) -> str:
    """Return a difference's interval, or that there are too few queries for one."""
    queries = difference["better"] + difference["same"] + difference["worse"]
    return format_interval(difference) if queries >= MIN_QUERIES else "too few queries for an interval"


def _label(figure: str) -> str:
    """Return a figure's name with its gain.

    >>> _label("ndcg@5-linear")
    'nDCG@5, linear gain'
    """
    name, gain = figure.split("-")
    return f"{name.replace('ndcg', 'nDCG')}, {gain} gain"
