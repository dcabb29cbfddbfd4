"""Votes and grades as a table for a spreadsheet: CSV, one row each, also those that were taken back.

Scoreboards as plain data: their figures, and what somebody needs to make them again.

An evaluation as one zip file, built in memory, and what to import out of one.

judgements.jsonl                 the journal: importing it continues the evaluation
judgements.csv                   one row a vote or grade, for spreadsheets
scoreboards.json                 every board with its figures and all that is needed to run it again
trec/<board>/qrels.txt           of the queries on the board that have a relevant page
trec/<board>/{pooled,late,smart}.run
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from smart_demo.errors import InputRefused
from smart_demo.evaluation.trec import format_qrels, format_run, query_id, run_of
from smart_demo.judging import scoreboard
from smart_demo.judging.record_lines import MAX_JOURNAL_BYTES, format_lines, trial_fields
from smart_demo.judging.records import METHODS, Grade, Trial, Vote
from smart_demo.judging.replay import Judgements, count_ungraded
from smart_demo.judging.scoreboard import Board, boards
from smart_demo.types import POOLED, SMART

COLUMNS = (
    "event", "id", "time", "session", "counts", "query id", "query", "picture",
    "choice", "column a", "column b", "winner", "reasons", "note",
    "page id", "document", "page", "grade", "pooled rank", "smart rank",
    "k", "encoder", "revision", "encoder fingerprint", "library", "library pages",
    "pooled weight", "late weight", "reduce", "counted", "seed",
)  # fmt: skip
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
"""How a cell begins that a spreadsheet would run."""


def csv_bytes(judged: Judgements) -> bytes:
    """UTF-8 with a mark at its beginning, which spreadsheets need to see that it is; rows by time."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, COLUMNS)
    writer.writeheader()
    for event in judged.events:
        if isinstance(event, Vote | Grade):
            writer.writerow({column: spreadsheet_cell(value) for column, value in _row(event, judged).items()})
    return stream.getvalue().encode("utf-8-sig")


def spreadsheet_cell(value: object) -> object:
    r"""A value for a spreadsheet: a text that would be run as a formula is shown as text instead.

    >>> cell('=HYPERLINK("//evil")'), cell("  @SUM(A1)"), cell(-0.5), cell("M8 bolts")
    ('\'=HYPERLINK("//evil")', "'  @SUM(A1)", -0.5, 'M8 bolts')
    """
    if not isinstance(value, str):
        return value
    return f"'{value}" if value.startswith(_FORMULA_STARTS) or value.lstrip().startswith(_FORMULA_STARTS) else value


def _row(event: Vote | Grade, judged: Judgements) -> dict[str, object]:
    trial = event.trial
    row: dict[str, object] = {
        "event": "vote" if isinstance(event, Vote) else "grade",
        "id": event.id,
        "time": event.at,
        "session": event.session,
        "counts": "undone" if event.id in judged.undone else "yes" if judged.stands(event) else "replaced",
        "query id": query_id(trial.query),
        "query": trial.query.text,
        "picture": trial.query.picture,
        "k": trial.k,
        "encoder": trial.encoder.name,
        "revision": trial.encoder.revision,
        "encoder fingerprint": trial.encoder.fingerprint,
        "library": trial.library.fingerprint,
        "library pages": trial.library.pages,
        "pooled weight": trial.weights.pooled,
        "late weight": trial.weights.late,
        "reduce": str(trial.weights.reduce),
        "counted": str(trial.weights.counted),
        "seed": trial.seed,
    }
    return row | (_vote(event) if isinstance(event, Vote) else _grade(event))


def _vote(vote: Vote) -> dict[str, object]:
    return {
        "choice": str(vote.choice),
        "column a": vote.trial.sides.a,
        "column b": vote.trial.sides.b,
        "winner": vote.winner,
        "reasons": ", ".join(vote.reasons),
        "note": vote.note,
    }


def _grade(grade: Grade) -> dict[str, object]:
    ranks = {
        f"{name} rank": order.index(grade.page) + 1
        for name, order in grade.trial.orders.items()
        if name in {POOLED.name, SMART.name} and grade.page in order
    }
    named = {"page id": str(grade.page), "document": grade.document, "page": grade.page.number}
    return named | {"grade": grade.grade} | ranks


FORMAT_VERSION = 1
NOTES = (
    "Measures are cut at k. nDCG has linear gain and its ideal knows every grade; pages without a grade count as 0; "
    "queries without a relevant page are left out of the measures and of the TREC files.",
    "Scores in the runs that are equal in 32 bits are written one step apart, so that tools keep the order shown.",
    "Sides: SHA-256 of seed, 'sides' and query key, joined by zero bytes; odd means that pooled is column A.",
)


def evaluation_fields(judged: Judgements, boards: Sequence[Board]) -> dict[str, Any]:
    """Everything about an evaluation but its single events, which are in the journal."""
    return {
        "form": FORMAT_VERSION,
        "notes": list(NOTES),
        "sessions": [
            {"id": one.id, "begun": one.at, "seed": one.seed, "versions": dict(one.versions)} for one in judged.sessions
        ],
        "skipped": sorted(judged.skipped),
        "ungraded": count_ungraded(judged).total,
        "grouping": scoreboard.grouping_note(boards),
        "boards": [board_fields(board) for board in boards],
    }


def board_fields(board: Board) -> dict[str, Any]:
    """One board. `queries` has an entry for each query judged under its conditions."""
    scored = {query.trial.query.key: query for query in board.queries}
    last = trial_fields(board.trials[-1])
    return {
        "id": board.conditions.id,
        "title": scoreboard.board_title(board),
        "library": last["library"],
        "encoder": last["encoder"],
        "weights": last["weights"],
        "versions": last["versions"],
        "k": board.k,
        "votes": asdict(board.votes) | {"p": board.votes.p, "conclusion": board.votes.conclusion},
        "scored": len(board.queries),
        "too_few": board.too_few,
        "means": board.means,
        "differences": [
            {"of": pair[0], "from": pair[1], "measure": measure, **asdict(found)}
            for pair, some in board.differences.items()
            for measure, found in some.items()
        ],
        "unjudged": dict(board.unjudged) if board.queries else {},
        "cautions": list(scoreboard.cautions(board)),
        "queries": [
            _query(trial) | ({"values": scored[trial.query.key].values} if trial.query.key in scored else {})
            for trial in board.trials
        ],
    }


def _query(trial: Trial) -> dict[str, Any]:
    query, sides = trial.query, {"a": trial.sides.a, "b": trial.sides.b}
    return {
        "id": query_id(query),
        "query": query.text,
        "picture": query.picture,
        "k": trial.k,
        "seed": trial.seed,
        "sides": sides,
    }


JOURNAL_NAME = "judgements.jsonl"
_ZIP_SIGNATURE = b"PK\x03\x04"
_ENTRY_TIME = (1980, 1, 1, 0, 0, 0)
"""One time for all entries, so that the same evaluation gives the same bytes."""


def build_archive(judged: Judgements) -> bytes:
    """The zip file. It holds the seed, from which the sides of queries still to come can be worked out."""
    found = boards(judged)
    files = {JOURNAL_NAME: format_lines(judged.events), "judgements.csv": csv_bytes(judged)}
    files["scoreboards.json"] = _json(evaluation_fields(judged, found))
    for board in found:
        files |= {
            f"trec/{board.conditions.id}/{name}": text.encode("ascii") for name, text in trec_files(board).items()
        }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _ENTRY_TIME)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            target.writestr(entry, data)
    return stream.getvalue()


def trec_files(board: Board) -> dict[str, str]:
    """TREC files of a board by name; none without a scored query. A standard tool finds the board's figures in them."""
    if not board.queries:
        return {}
    scored = {query_id(query.trial.query): query for query in board.queries}
    files = {"qrels.txt": format_qrels({name: query.grades for name, query in scored.items()})}
    for method in METHODS:
        run = run_of({name: query.trial.ranking(method) for name, query in scored.items()})
        files[f"{method}.run"] = format_run(run, method)
    return files


def extract_journal(data: bytes) -> bytes:
    """The journal in an upload: out of what `pack` made, or as it is. InputRefused for other archives."""
    if not data.startswith(_ZIP_SIGNATURE):
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as source, source.open(JOURNAL_NAME) as entry:
            found = entry.read(
                MAX_JOURNAL_BYTES + 1
            )  # whatever the entry claims to hold, no more than this is unpacked
    except KeyError:
        raise InputRefused(
            f"There is no {JOURNAL_NAME} in that zip file.", "Choose one that this program exported."
        ) from None
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError, zlib.error):
        raise InputRefused("That zip file cannot be read.", "Export it again.") from None
    return found


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode("ascii")
