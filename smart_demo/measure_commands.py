"""The commands that measure: eval, evidence and reproduce. They leave the local library as it is.

Results go to standard output, progress to standard error.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

from smart_demo.config import Settings
from smart_demo.errors import SettingRefused

EVIDENCE_PARTS = ("text", "pages", "binding", "ablations")
DEFAULT_PAIRS, MAX_PAIRS = 40, 1_000


def add_measure_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parsers of these commands to those of the program."""
    evaluate = commands.add_parser(
        "eval", help="measure pooled, late and SMART on judged queries, in a temporary library"
    )
    source = evaluate.add_mutually_exclusive_group()
    source.add_argument("--documents", type=Path, metavar="DIR", help="documents to index (the sample documents)")
    source.add_argument("--cranfield", type=Path, metavar="DIR", help="the Cranfield 1400 collection instead")
    source.add_argument("--dataset", metavar="DIR_OR_NAME", help="a BEIR- or ViDoRe-style set: folder or hub dataset")
    evaluate.add_argument("--split", metavar="NAME", help="split of the dataset (test)")
    evaluate.add_argument(
        "--language", metavar="NAME", help="use only the dataset's queries in this language, such as english"
    )
    evaluate.add_argument(
        "--limit", type=whole_number(), metavar="N", help="use only the dataset's first N judged queries"
    )
    evaluate.add_argument("--revision", metavar="NAME", help="revision of a dataset on the hub (the newest)")
    evaluate.add_argument(
        "--queries", type=Path, metavar="FILE", help="judged queries (queries.jsonl of the documents)"
    )
    evaluate.add_argument("--run-dir", type=Path, metavar="DIR", help="write TREC files of judgements and rankings")
    evaluate.add_argument("--json", action="store_true")
    evaluate.set_defaults(run=_eval)

    evidence = commands.add_parser(
        "evidence", help="measure everything the README claims: text, pages, binding, ablations"
    )
    evidence.add_argument("--out", type=Path, default=Path("build"), metavar="DIR", help="where to write (build)")
    evidence.add_argument("--cranfield", type=Path, metavar="DIR", help="the Cranfield 1400 collection, for the texts")
    evidence.add_argument("--only", action="append", choices=EVIDENCE_PARTS, help="one part; repeatable (all)")
    evidence.add_argument(
        "--pairs",
        type=whole_number(MAX_PAIRS),
        default=DEFAULT_PAIRS,
        metavar="N",
        help=f"pairs of reports for binding ({DEFAULT_PAIRS})",
    )
    evidence.set_defaults(run=_evidence)

    reproduce = commands.add_parser(
        "reproduce", help="measure public benchmarks of page images beside published figures; goes on after a stop"
    )
    reproduce.add_argument("--backbone", metavar="NAME", help="backbone to measure (SMART_BACKBONE)")
    reproduce.add_argument(
        "--sets",
        default="",
        metavar="LIST",
        help="vidore-v1,vidore-v2,visrag,vidore-v3, or single sets such as vidore-v1/docvqa (all)",
    )
    reproduce.add_argument(
        "--limit", type=whole_number(), metavar="N", help="use only the first N judged queries of each set"
    )
    reproduce.add_argument(
        "--out",
        type=Path,
        default=Path("build/reproduce"),
        metavar="DIR",
        help="where to keep encodings and results (build/reproduce)",
    )
    reproduce.set_defaults(run=_reproduce)


def whole_number(maximum: int = 10**9) -> Callable[[str], int]:
    """Return an argparse type for whole numbers from 1 to `maximum`."""

    def convert(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= maximum:
            raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {maximum}")
        return int(text)

    return convert


def _eval(options: argparse.Namespace, settings: Settings) -> int:
    from smart_demo.evaluation.collections import evaluate_dataset
    from smart_demo.evaluation.cranfield import evaluate_cranfield
    from smart_demo.evaluation.documents import evaluate_documents
    from smart_demo.evaluation.query_sets import CollectionOptions

    choice = {name: value for name in ("split", "language", "limit", "revision") if (value := getattr(options, name))}
    if (options.cranfield or options.dataset) and options.queries:
        flag = "--cranfield" if options.cranfield else "--dataset"
        raise SettingRefused(f"--queries does not go with {flag}.", "The collection brings its own.")
    if choice and not options.dataset:
        raise SettingRefused(f"--{next(iter(choice))} goes with --dataset alone.")
    if options.dataset:
        chosen = CollectionOptions(**choice)
        report = evaluate_dataset(settings, options.dataset, chosen, print_notice, options.run_dir)
    elif options.cranfield:
        report = evaluate_cranfield(settings, options.cranfield, print_notice, options.run_dir)
    else:
        documents = options.documents or settings.samples
        queries = options.queries or documents / "queries.jsonl"
        report = evaluate_documents(settings, documents, queries, print_notice, options.run_dir)
    print(json.dumps(report.as_json(), indent=1) if options.json else report.as_text())
    return 0


def _evidence(options: argparse.Namespace, settings: Settings) -> int:
    from smart_demo import evidence

    parts = options.only or EVIDENCE_PARTS
    command = [f"SMART_BACKBONE={settings.backbone}", "python -m smart_demo evidence"]
    command += ["--cranfield DIR"] if options.cranfield else []
    command += [f"--only {part}" for part in options.only or ()]
    command += [f"--pairs {options.pairs}"] if options.pairs != DEFAULT_PAIRS else []
    plan = evidence.Plan(
        documents=settings.samples,
        queries=settings.samples / "queries.jsonl",
        cranfield=options.cranfield,
        only=frozenset(parts),
        pairs=options.pairs,
        command=" ".join(command),
    )
    found = evidence.run_experiments(settings, plan, on_progress=print_notice)
    files, notices = evidence.write_evidence(found, options.out)
    for notice in [*notices, *(part["left_out"] for name in parts if "left_out" in (part := found[name]))]:
        print_notice(notice)
    for file in files:
        print(file)
    return 0


def _reproduce(options: argparse.Namespace, settings: Settings) -> int:
    from smart_demo.evidence.benchmarks import choose_benchmarks
    from smart_demo.evidence.reproduction import ReproductionPlan, run_reproduction
    from smart_demo.evidence.reproduction_report import compare_run, format_reproduction, write_report

    if options.backbone:
        settings = dataclasses.replace(settings, backbone=options.backbone)
    benchmarks = choose_benchmarks(options.sets)
    command = f"python -m smart_demo reproduce --backbone {settings.backbone}"
    command += f" --sets {options.sets}" if options.sets else ""
    command += f" --limit {options.limit}" if options.limit else ""
    plan = ReproductionPlan(benchmarks, options.out, options.limit or 0, command)
    found = run_reproduction(settings, plan, print_notice)
    report = compare_run(found, benchmarks)
    for file in write_report(report, options.out):
        print_notice(f"Written: {file}")
    print(format_reproduction(report), end="")
    return 0 if any("error" not in own for own in found["sets"].values()) else 1


def print_notice(sentence: str) -> None:
    """Print a sentence to standard error."""
    print(sentence, file=sys.stderr)
