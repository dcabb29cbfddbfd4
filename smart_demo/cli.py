"""The command line: index, search, check, eval, evidence, reproduce, fetch, samples, reencode, doctor.

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
from smart_demo.backbones.checkpoint_files import HUB_IDS, find_checkpoint, is_hub_id, resolve_revision
from smart_demo.backbones.hub_download import download, plan_download
from smart_demo.backbones.registry import EYES
from smart_demo.config import Settings, read_settings
from smart_demo.diagnostics import collect_diagnostics
from smart_demo.engine import Engine, open_engine
from smart_demo.errors import BackboneUnavailable, InputRefused, Notice, NoticeCode, SettingRefused, SmartError
from smart_demo.indexing.progress import FileOutcome, Progress, ReencodingProgress, State
from smart_demo.measure_commands import add_measure_commands, print_notice, whole_number
from smart_demo.methods import Found, Hit
from smart_demo.search.candidate_check import CHECKED_TOP
from smart_demo.search.retrieval import MAX_RESULTS, as_dict, list_little_known
from smart_demo.types import LOCAL, SAMPLES, Query
from smart_demo.wording import (
    count,
    describe_pages_of_older_versions,
    describe_pages_of_other_models,
    describe_sources,
    list_in_words,
    size_in_words,
)

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
        print_notice(error.sentence)
        return 1
    except KeyboardInterrupt:
        print_notice("Stopped. Pages that were added stay.")
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
        type=whole_number(MAX_RESULTS),
        default=5,
        metavar="K",
        help=f"results per ranking, 1 to {MAX_RESULTS} (5)",
    )
    search.add_argument("--samples", action="store_true", help="search the sample library too")
    search.add_argument("--json", action="store_true")
    search.set_defaults(run=_search)

    add_measure_commands(commands)

    check = commands.add_parser(
        "check", help="compare the candidates of a large local library with a scan of all its pages"
    )
    check.add_argument("--queries", type=Path, metavar="FILE", help="one query a line (those of the sample documents)")
    check.set_defaults(run=_check)

    fetch = commands.add_parser(
        "fetch", help="download a model: size and free space first, resumed, checksums verified"
    )
    fetch.add_argument("model", metavar="NAME", help=f"{list_in_words(tuple(HUB_IDS), 'or')}, or a hub id")
    fetch.set_defaults(run=_fetch)
    samples = commands.add_parser(
        "samples", help="encode the sample library, for example on a GPU machine before a demo"
    )
    samples.add_argument("--backbone", metavar="NAME", help="backbone to encode with (SMART_BACKBONE)")
    samples.add_argument(
        "--out", type=Path, metavar="FILE", help="also write the encodings to a file, for SMART_SAMPLE_ENCODINGS"
    )
    samples.set_defaults(run=_samples)

    reencode = commands.add_parser(
        "reencode", help="encode the pages of another model again, from their stored pictures and words"
    )
    reencode.add_argument(
        "--measure",
        action="store_true",
        help="instead measure on judged documents how far that is from encoding the documents, in a temporary library",
    )
    reencode.add_argument("--documents", type=Path, metavar="DIR", help="documents to measure (the sample documents)")
    reencode.add_argument(
        "--queries", type=Path, metavar="FILE", help="judged queries (queries.jsonl of the documents)"
    )
    reencode.add_argument("--json", action="store_true", help="print what was measured as JSON")
    reencode.set_defaults(run=_reencode)

    doctor = commands.add_parser(
        "doctor", help="show versions, settings, the backbone in use and the state of the library"
    )
    doctor.add_argument("--json", action="store_true")
    doctor.set_defaults(run=_doctor)
    return parser


def _index(options: argparse.Namespace, settings: Settings) -> int:
    files, notices = ingest.find_files(options.paths)
    for notice in notices:
        print_notice(notice)
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
    if outcome.reencoded:
        print(f"  {count(outcome.reencoded, 'page')} encoded from the stored picture and words, not from this file")


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
        "reencoded": outcome.reencoded,
        "message": end.message,
    }
    print(json.dumps(facts))


def _notice_pages_of_older_versions(engine: Engine) -> None:
    if sentence := describe_pages_of_older_versions(engine.pages_of_older_versions(LOCAL)):
        print_notice(sentence)


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
        text = describe_pages_of_other_models(others, ": python -m smart_demo reencode")
        notices.append(Notice(NoticeCode.OTHER_MODEL, text))
    elif not found.parts.pages:
        text = "The library is empty. Add files first: python -m smart_demo index PATH, or search with --samples."
        notices.append(Notice(NoticeCode.EMPTY_LIBRARY, text))
    hits = [hit for result in found.results.values() for hit in result.hits]
    for notice in (*notices, *found.encoding.notices, *list_little_known(found.encoder, hits)):
        print_notice(notice.text)
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


def _check(options: argparse.Namespace, settings: Settings) -> int:
    path = options.queries or settings.samples / "queries.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise SettingRefused("The queries cannot be read.", "Name a file with one query a line by --queries.") from None
    with open_engine(settings, fall_back=False, background=True) as engine:
        queries = [_parse_query(line) for line in lines]
        found = engine.check_candidates(queries, LOCAL, lambda pages: print_notice(f"{pages:,} pages read"))
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


def _fetch(options: argparse.Namespace, settings: Settings) -> int:
    name = options.model.lower() if options.model.lower() in HUB_IDS else options.model
    source = HUB_IDS.get(name, name)
    if not is_hub_id(source):
        raise SettingRefused(
            f"{name!r} is no model that can be fetched.",
            f"Name {list_in_words(tuple(HUB_IDS), 'or')}, or a hub id such as {HUB_IDS[EYES]}.",
        )
    revision = resolve_revision(source, settings.revision)
    start = f"Start the page with it: SMART_BACKBONE={name} python app.py"
    try:
        plan = plan_download(source, revision)
        print_notice(plan.describe())
        folder = download(plan)
    except BackboneUnavailable as error:
        if (found := find_checkpoint(source, revision)) is None:
            raise
        print_notice(error.sentence)
        print(f"{name} is on this disk. Its checksums were not compared with the hub's: {found.folder}\n{start}")
        return 0
    except KeyboardInterrupt:
        print_notice(f"Stopped. What was fetched stays: fetch {name} again to continue.")
        return 130
    if find_checkpoint(source, plan.commit) is None:
        raise BackboneUnavailable(f"The files of {source} are no complete model.", "It cannot be used here.")
    fetched = "was fetched and" if plan.missing else "is already on this disk and"
    print(f"{name} {fetched} matches the hub's checksums: {folder}\n{start}")
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
        print_notice(sentence)
    print(f"{samples.ready} of {samples.total} sample pages are encoded by {samples.encoder}.")
    if options.out:
        print(f"{options.out}: {count(written[0], 'page')}, {size_in_words(written[1])}.")
    return 0 if all(end.state != State.REFUSED for end in ends) else 1


def _reencode(options: argparse.Namespace, settings: Settings) -> int:
    if options.measure:
        from smart_demo.evaluation.reencoding_distance import measure_distance

        documents = options.documents or settings.samples
        distance = measure_distance(settings, documents, options.queries or documents / "queries.jsonl", print_notice)
        print(json.dumps(dataclasses.asdict(distance), indent=1) if options.json else distance.as_text())
        return 0
    if options.documents or options.queries or options.json:
        raise SettingRefused("--documents, --queries and --json go with --measure.")
    with open_engine(settings, fall_back=False, background=True) as engine:
        step = ReencodingProgress()
        for step in engine.reencode(LOCAL):
            if sys.stderr.isatty():
                left = "" if step.seconds_left is None else f", {step.seconds_left:,.0f} s left"
                print(f"\r{step.total - step.left} of {step.total} pages{left} \033[K", end="", file=sys.stderr)
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)
        name = engine.backbones.main().encoder.name
    for message in (*step.messages, step.error):
        if message:
            print_notice(message)
    if step.total:
        print(f"{step.done} of {count(step.total, 'page')} of another model are now encoded by {name}.")
    else:
        print(f"No page needs it: {name} has encoded all of them.")
    return 1 if step.refused or step.error else 0


def _prepare_samples(engine: Engine) -> tuple[Notice, ...]:
    """Encode what is missing of the samples, without printing to standard output; return what is still missing.

    Uses the model that searches the local library, even if another one serves the samples in the app: only then can
    both be ranked together.
    """
    main = engine.backbones.main()
    samples = engine.samples()
    if not samples.complete or samples.encoder != main.encoder.name:
        print_notice(f"Preparing the sample library by {main.encoder.name}, once.")
        for step in engine.prepare_samples(main):
            if step.state is State.REFUSED:
                print_notice(f"{step.document}: {step.message}")
        for sentence in engine.sample_notices:
            print_notice(sentence)
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
