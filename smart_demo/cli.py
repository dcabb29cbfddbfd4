"""The command line: index, search, check, eval, evidence, samples, doctor.

Results go to standard output, notices and progress to standard error, so that `--json` prints JSON alone. The exit
status is 0 for success, 1 with one sentence for failure, 2 for an invalid command line.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from smart_demo import ingest
from smart_demo.config import Settings, read_settings
from smart_demo.diagnostics import collect_diagnostics
from smart_demo.engine import Engine, open_engine
from smart_demo.errors import InputRefused, Notice, NoticeCode, SettingRefused, SmartError
from smart_demo.indexing.progress import FileOutcome, Progress, State
from smart_demo.methods import Found, Hit
from smart_demo.search.candidate_check import CHECKED_TOP
from smart_demo.search.retrieval import MAX_RESULTS, as_dict, list_little_known
from smart_demo.types import LOCAL, SAMPLES, Query
from smart_demo.wording import (
    count,
    describe_pages_of_older_versions,
    describe_pages_of_other_models,
    describe_sources,
    size_in_words,
)

EVIDENCE_PARTS = ("text", "pages", "binding", "ablations")
DEFAULT_PAIRS, MAX_PAIRS = 40, 1_000
OUTCOMES = {State.DONE: "added", State.KNOWN: "known", State.REFUSED: "refused"}


def main(arguments: Sequence[str] | None = None, env: Mapping[str, str] = os.environ) -> int:
    """Run one command line; return the exit status."""
    options = build_parser().parse_args(arguments)
    run: Callable[[argparse.Namespace, Settings], int] = options.run
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop cleanly, as Ctrl-C does
    try:
        status = run(options, read_settings(env))
        sys.stdout.flush()
        return status
    except SmartError as error:
        _notice(error.sentence)
        return 1
    except KeyboardInterrupt:
        _notice("Stopped. Pages that were added stay.")
        return 130
    except BrokenPipeError:  # the reader closed our output early, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or closing it at exit fails again
        return 0


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = argparse.ArgumentParser(prog="python -m smart_demo", description="Pooled-only and SMART search of pages.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    index = commands.add_parser("index", help="add PDFs and pictures, or folders of them, to the local library")
    index.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    index.add_argument("--json", action="store_true", help="print one JSON object a file instead of sentences")
    index.set_defaults(run=_index)

    search = commands.add_parser("search", help="search the local library")
    search.add_argument("query", metavar="QUERY")
    search.add_argument(
        "--top",
        type=_whole_number(MAX_RESULTS),
        default=5,
        metavar="K",
        help=f"results per ranking, 1 to {MAX_RESULTS} (5)",
    )
    search.add_argument("--samples", action="store_true", help="search the sample library too")
    search.add_argument("--json", action="store_true")
    search.set_defaults(run=_search)

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
        "--limit", type=_whole_number(), metavar="N", help="use only the dataset's first N judged queries"
    )
    evaluate.add_argument("--revision", metavar="NAME", help="revision of a dataset on the hub (the newest)")
    evaluate.add_argument(
        "--queries", type=Path, metavar="FILE", help="judged queries (queries.jsonl of the documents)"
    )
    evaluate.add_argument("--run-dir", type=Path, metavar="DIR", help="write TREC files of judgements and rankings")
    evaluate.add_argument("--json", action="store_true")
    evaluate.set_defaults(run=_eval)

    check = commands.add_parser(
        "check", help="compare the candidates of a large local library with a scan of all its pages"
    )
    check.add_argument("--queries", type=Path, metavar="FILE", help="one query a line (those of the sample documents)")
    check.set_defaults(run=_check)

    evidence = commands.add_parser(
        "evidence", help="measure everything the README claims: text, pages, binding, ablations"
    )
    evidence.add_argument("--out", type=Path, default=Path("build"), metavar="DIR", help="where to write (build)")
    evidence.add_argument("--cranfield", type=Path, metavar="DIR", help="the Cranfield 1400 collection, for the texts")
    evidence.add_argument("--only", action="append", choices=EVIDENCE_PARTS, help="one part; repeatable (all)")
    evidence.add_argument(
        "--pairs",
        type=_whole_number(MAX_PAIRS),
        default=DEFAULT_PAIRS,
        metavar="N",
        help=f"pairs of reports for binding ({DEFAULT_PAIRS})",
    )
    evidence.set_defaults(run=_evidence)

    samples = commands.add_parser(
        "samples", help="encode the sample library, for example on a GPU machine before a demo"
    )
    samples.add_argument("--backbone", metavar="NAME", help="backbone to encode with (SMART_BACKBONE)")
    samples.add_argument(
        "--out", type=Path, metavar="FILE", help="also write the encodings to a file, for SMART_SAMPLE_ENCODINGS"
    )
    samples.set_defaults(run=_samples)

    doctor = commands.add_parser(
        "doctor", help="show versions, settings, the backbone in use and the state of the library"
    )
    doctor.add_argument("--json", action="store_true")
    doctor.set_defaults(run=_doctor)
    return parser


def _whole_number(maximum: int = 10**9) -> Callable[[str], int]:
    """Return an argparse type for whole numbers from 1 to `maximum`."""

    def convert(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= maximum:
            raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {maximum}")
        return int(text)

    return convert


def _index(options: argparse.Namespace, settings: Settings) -> int:
    files, notices = ingest.find_files(options.paths)
    for notice in notices:
        _notice(notice)
    if not files:
        raise InputRefused("There is nothing to index.", "Name PDFs or pictures, or a folder that holds some.")
    with open_engine(settings, fall_back=False, background=True) as engine:
        steps = engine.add(LOCAL, [(path, path.name) for path in files])
        ends = _print_progress(steps, _print_json if options.json else _print_outcome)
        if not all(end.state is State.REFUSED for end in ends):  # else there may be no model to ask
            _notice_pages_of_older_versions(engine)
    if not options.json:
        print(f"{sum(end.state != State.REFUSED for end in ends)} of {len(files)} files are in the library.")
    return 0 if any(end.state != State.REFUSED for end in ends) else 1


def _print_progress(steps: Iterable[Progress], print_end: Callable[[Progress], None]) -> list[Progress]:
    """Print progress to standard error and call `print_end` with the last step of each file; return the last steps."""
    ends = []
    for step in steps:
        if step.state is State.WORKING:
            if sys.stderr.isatty():
                print(f"\r{step.document}: {step.done} of {step.total} pages \033[K", end="", file=sys.stderr)
            continue
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)
        print_end(step)
        ends.append(step)
    return ends


def _print_outcome(end: Progress) -> None:
    """Print what became of a file, and how its pages were read."""
    pages = f" {end.done} of {end.total} pages" if end.total else ""
    outcome = end.outcome or FileOutcome()
    more = f" And {count(left, 'more notice')}: see index --json." if (left := outcome.notices_left_out) else ""
    print(f"{OUTCOMES[end.state]}: {end.document}{pages}{' - ' if end.message else ''}{end.message}{more}")
    if outcome.sources:
        print(f"  {describe_sources(outcome.sources)}")


def _print_json(end: Progress) -> None:
    """Print what became of a file as one line of JSON."""
    outcome = end.outcome or FileOutcome()
    facts = {
        "document": end.document,
        "state": OUTCOMES[end.state],
        "pages": end.total,
        "stored": end.done,
        "added": outcome.added,
        "refused": [{"page": page, "reason": reason} for page, reason in outcome.refused.items()],
        "notices": [{"text": text, "pages": pages} for text, pages in outcome.notices.items()],
        "sources": outcome.sources,
        "message": end.message,
    }
    print(json.dumps(facts))


def _notice_pages_of_older_versions(engine: Engine) -> None:
    if sentence := describe_pages_of_older_versions(engine.pages_of_older_versions(LOCAL)):
        _notice(sentence)


def _search(options: argparse.Namespace, settings: Settings) -> int:
    notices: list[Notice] = []
    with open_engine(settings, fall_back=False, background=True) as engine:
        scopes = [LOCAL]
        if options.samples:
            scopes.append(SAMPLES)
            notices += _prepare_samples(engine)
        found = engine.search(Query(options.query), scopes, top=options.top)
        others = engine.pages_of_other_encoders(LOCAL)
    if others:
        notices.append(Notice(NoticeCode.OTHER_MODEL, describe_pages_of_other_models(others)))
    elif not found.parts.pages:
        text = "The library is empty. Add files first: python -m smart_demo index PATH, or search with --samples."
        notices.append(Notice(NoticeCode.EMPTY_LIBRARY, text))
    hits = [hit for result in found.results.values() for hit in result.hits]
    for notice in (*notices, *found.encoding.notices, *list_little_known(found.encoder, hits)):
        _notice(notice.text)
    print(json.dumps(as_dict(found, notices), indent=1) if options.json else "\n".join(_result_lines(found)))
    return 0


def _result_lines(found: Found) -> Iterable[str]:
    for result in found.results.values():
        yield f"{result.method.label}: ranked {result.candidates} of {result.pages} pages"
        yield from (_hit_line(hit) for hit in result.hits)


def _hit_line(hit: Hit) -> str:
    late = "not scored" if math.isnan(hit.late) else f"{hit.late:.4f}"
    return (
        f"{hit.rank:3d}  {hit.score:.4f}  (pooled {hit.pooled:.4f}, late {late})  "
        f"{hit.page.document} p. {hit.page.number}"
    )


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
        report = evaluate_dataset(settings, options.dataset, chosen, _notice, options.run_dir)
    elif options.cranfield:
        report = evaluate_cranfield(settings, options.cranfield, _notice, options.run_dir)
    else:
        documents = options.documents or settings.samples
        queries = options.queries or documents / "queries.jsonl"
        report = evaluate_documents(settings, documents, queries, _notice, options.run_dir)
    print(json.dumps(report.as_json(), indent=1) if options.json else report.as_text())
    return 0


def _check(options: argparse.Namespace, settings: Settings) -> int:
    path = options.queries or settings.samples / "queries.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise SettingRefused("The queries cannot be read.", "Name a file with one query a line by --queries.") from None
    with open_engine(settings, fall_back=False, background=True) as engine:
        queries = [_parse_query(line) for line in lines]
        found = engine.check_candidates(queries, LOCAL, lambda pages: _notice(f"{pages:,} pages read"))
    if found is None:
        raise InputRefused("There is nothing to check.", "It takes a page in the library and a query.")
    print(
        f"A full scan of {found.pages:,} pages agreed on the first {CHECKED_TOP} pages of {found.agreed:,} "
        f"of {found.queries:,} queries with the {found.depth:,} nearest pooled. Searches score as many from now on, if "
        f"there are more than {settings.exhaustive:,} pages."
    )
    return 0


def _parse_query(line: str) -> str:
    """Return the `query` of a line that is a JSON object with one, or the line itself."""
    try:
        row = json.loads(line)
    except ValueError:
        return line
    return str(row["query"]) if isinstance(row, dict) and "query" in row else line


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
    found = evidence.run_experiments(settings, plan, on_progress=_notice)
    files, notices = evidence.write_evidence(found, options.out)
    for notice in [*notices, *(part["left_out"] for name in parts if "left_out" in (part := found[name]))]:
        _notice(notice)
    for file in files:
        print(file)
    return 0


def _samples(options: argparse.Namespace, settings: Settings) -> int:
    if options.backbone:
        settings = dataclasses.replace(settings, backbone=options.backbone)
    with open_engine(settings, fall_back=False) as engine:
        backbone = engine.backbones.main()
        steps = itertools.chain(engine.prepare_samples(backbone), engine.draw_samples(backbone))
        ends = _print_progress(steps, _print_outcome)
        samples, notices = engine.samples(backbone), engine.sample_notices
        if options.out:
            export = engine.sample_documents.export_encodings
            written = export(engine.library, backbone.encoder, options.out.absolute(), notices)
    for sentence in notices:
        _notice(sentence)
    print(f"{samples.ready} of {samples.total} sample pages are encoded by {samples.encoder}.")
    if options.out:
        print(f"{options.out}: {count(written[0], 'page')}, {size_in_words(written[1])}.")
    return 0 if all(end.state != State.REFUSED for end in ends) else 1


def _prepare_samples(engine: Engine) -> tuple[Notice, ...]:
    """Encode what is missing of the samples, without printing to standard output; return what is still missing.

    Uses the model that searches the local library, even if another one serves the samples in the app: only then can
    both be ranked together.
    """
    main = engine.backbones.main()
    samples = engine.samples()
    if not samples.complete or samples.encoder != main.encoder.name:
        _notice(f"Preparing the sample library by {main.encoder.name}, once.")
        for step in engine.prepare_samples(main):
            if step.state is State.REFUSED:
                _notice(f"{step.document}: {step.message}")
        for sentence in engine.sample_notices:
            _notice(sentence)
    return engine.samples(main).notices


def _doctor(options: argparse.Namespace, settings: Settings) -> int:
    facts = collect_diagnostics(settings)
    if options.json:
        print(json.dumps(facts, indent=1))
    else:
        for part, rows in facts.items():
            print(part)
            for name, value in rows.items():
                print(f"  {name:<14} {value}")
    return 0


def _notice(sentence: str) -> None:
    print(sentence, file=sys.stderr)
