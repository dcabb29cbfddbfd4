"""Export of an evaluation as one zip file, built in memory, and extraction of the journal from an upload.

judgements.jsonl                 the journal: importing it continues the evaluation
judgements.csv                   one row for each vote and grade, for spreadsheets
scoreboards.json                 every board with its figures and everything needed to reproduce them
trec/<board>/qrels.txt           grades of the board's queries that have a relevant page
trec/<board>/{pooled,late,smart}.run
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pydantic_core import to_jsonable_python

from smart_demo.errors import InputRefused
from smart_demo.evaluation.trec import format_qrels, format_run
from smart_demo.judging.journal import MAX_JOURNAL_BYTES, format_lines
from smart_demo.judging.records import Grade, Judgements, Vote, count_ungraded
from smart_demo.judging.scoreboard import Board, board_title, boards, cautions, grouping_note
from smart_demo.judging.trials import METHOD_NAMES, JudgedQuery, Trial, write_weights
from smart_demo.methods import POOLED, SMART

JOURNAL_NAME = "judgements.jsonl"
COLUMNS = (
    "event", "id", "time", "session", "counts", "query id", "query", "picture",
    "choice", "column a", "column b", "winner", "reasons", "note",
    "page id", "document", "page", "grade", "pooled rank", "smart rank",
    "k", "encoder", "revision", "encoder fingerprint", "library", "library pages",
    "pooled weight", "late weight", "reduce", "counted", "seed",
)  # fmt: skip
FORMAT_VERSION = 1
NOTES = (
    "Measures are cut at k. nDCG has linear gain and its ideal knows every grade; pages without a grade count as 0; "
    "queries without a relevant page are left out of the measures and of the TREC files.",
    "Scores in the runs that are equal in 32 bits are written one step apart, so that tools keep the order shown.",
    "Sides: SHA-256 of seed, 'sides' and query key, joined by zero bytes; odd means that pooled is column A.",
)
"""How the figures of `scoreboards.json` are computed, for its readers."""
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
"""Characters that make a spreadsheet run a cell as a formula."""
_ZIP_SIGNATURE = b"PK\x03\x04"
_ENTRY_TIME = (1980, 1, 1, 0, 0, 0)
"""Time of every zip entry, so that the same evaluation gives the same bytes."""


def build_archive(judged: Judgements, unreadable_lines: Sequence[bytes] = ()) -> bytes:
    """Return the zip file. It holds the seed, from which the sides of future queries can be computed.

    unreadable_lines: those of the journal, which are exported with it.
    """
    found = boards(judged)
    files = {JOURNAL_NAME: format_lines(judged.events, unreadable_lines), "judgements.csv": csv_bytes(judged)}
    files["scoreboards.json"] = format_scoreboards(judged, found)
    for board in found:
        folder = f"trec/{board.conditions.id}"
        files |= {f"{folder}/{name}": text.encode("ascii") for name, text in trec_files(board).items()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _ENTRY_TIME)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            archive.writestr(entry, data)
    return stream.getvalue()


def extract_journal(data: bytes) -> bytes:
    """Return the journal in an upload: from a zip that `build_archive` made, or the upload itself if it is no zip.

    Returns at most one byte more than a journal may have. Raises InputRefused for other zip files.
    """
    if not data.startswith(_ZIP_SIGNATURE):
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(JOURNAL_NAME) as entry:
            return entry.read(MAX_JOURNAL_BYTES + 1)  # a limit, because the entry's own size may be forged
    except KeyError:
        raise InputRefused(
            f"There is no {JOURNAL_NAME} in that zip file.", "Choose one that this program exported."
        ) from None
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError, zlib.error):
        raise InputRefused("That zip file cannot be read.", "Export it again.") from None


def csv_bytes(judged: Judgements) -> bytes:
    """Return every vote and grade as CSV, one row each, by time, including those undone or replaced.

    UTF-8 with a byte order mark, by which spreadsheets recognise it.
    """
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, COLUMNS)
    writer.writeheader()
    for event in judged.events:
        if isinstance(event, Vote | Grade):
            row = _csv_row(event, judged)
            writer.writerow({column: spreadsheet_cell(value) for column, value in row.items()})
    return stream.getvalue().encode("utf-8-sig")


def spreadsheet_cell(value: object) -> object:
    r"""Return a value for a spreadsheet; text that would run as a formula gets an apostrophe in front.

    >>> spreadsheet_cell('=HYPERLINK("//evil")'), spreadsheet_cell("  @SUM(A1)")
    ('\'=HYPERLINK("//evil")', "'  @SUM(A1)")
    >>> spreadsheet_cell(-0.5), spreadsheet_cell("M8 bolts")
    (-0.5, 'M8 bolts')
    """
    if not isinstance(value, str):
        return value
    is_formula = value.startswith(_FORMULA_STARTS) or value.lstrip().startswith(_FORMULA_STARTS)
    return f"'{value}" if is_formula else value


def format_scoreboards(judged: Judgements, found: Sequence[Board]) -> bytes:
    """Return the content of `scoreboards.json`. Other programs read it, so none of its keys is renamed."""
    fields = {
        "form": FORMAT_VERSION,
        "notes": NOTES,
        "sessions": [
            {"id": one.id, "begun": one.at, "seed": one.seed, "versions": dict(one.versions)} for one in judged.sessions
        ],
        "skipped": sorted(judged.skipped),
        "ungraded": sum(count_ungraded(judged).values()),
        "grouping": grouping_note(found),
        "boards": [_board_fields(board) for board in found],
    }
    return (json.dumps(to_jsonable_python(fields), indent=1, allow_nan=False) + "\n").encode("ascii")


def query_id(query: JudgedQuery) -> str:
    """Return a query's id in exported files; the `q` keeps tools from reading it as a number.

    >>> query_id(JudgedQuery("", "00112233445566aa", "a picture"))
    'q00112233445566aa'
    """
    return f"q{query.key}"


def trec_files(board: Board) -> dict[str, str]:
    """Return the texts of a board's TREC files by name; empty if no query has a relevant page.

    trec_eval, ir_measures, pytrec_eval and ranx compute the board's figures from them.
    """
    if not board.queries:
        return {}
    scored = {query_id(query.trial.query): query for query in board.queries}
    files = {"qrels.txt": format_qrels({name: query.grades for name, query in scored.items()})}
    for method in METHOD_NAMES:
        run = {name: [(row.page, row.score) for row in query.trial.ranking(method)] for name, query in scored.items()}
        files[f"{method}.run"] = format_run(run, method)
    return files


def _board_fields(board: Board) -> dict[str, Any]:
    """Return a board's figures. Library, encoder, weights and versions are those of its last trial."""
    last, votes = board.trials[-1], board.votes
    values = {query.trial.query.key: query.values for query in board.queries}
    return {
        "id": board.conditions.id,
        "title": board_title(board),
        "library": last.library,
        "encoder": last.encoder,
        "weights": write_weights(last.weights),
        "versions": dict(last.versions),
        "k": board.k,
        "votes": asdict(votes) | {"p": votes.p, "conclusion": votes.conclusion},
        "scored": len(board.queries),
        "too_few": board.too_few,
        "means": board.means,
        "differences": [
            {"of": of, "from": base, "measure": measure} | asdict(difference)
            for (of, base), by_measure in board.differences.items()
            for measure, difference in by_measure.items()
        ],
        "unjudged": board.unjudged if board.queries else {},
        "cautions": list(cautions(board)),
        "queries": [_query_fields(trial, values.get(trial.query.key)) for trial in board.trials],
    }


def _query_fields(trial: Trial, values: Mapping[str, Mapping[str, float]] | None) -> dict[str, Any]:
    query = trial.query
    fields: dict[str, Any] = {"id": query_id(query), "query": query.text, "picture": query.picture}
    fields |= {"k": trial.k, "seed": trial.seed, "sides": trial.sides}
    return fields if values is None else fields | {"values": values}


def _csv_row(event: Vote | Grade, judged: Judgements) -> dict[str, object]:
    trial = event.trial
    row: dict[str, object] = {
        "event": "vote" if isinstance(event, Vote) else "grade",
        "id": event.id,
        "time": event.at,
        "session": event.session,
        "counts": "undone" if event.id in judged.undone else "yes" if judged.is_current(event) else "replaced",
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
    return row | (_vote_cells(event) if isinstance(event, Vote) else _grade_cells(event))


def _vote_cells(vote: Vote) -> dict[str, object]:
    return {
        "choice": str(vote.choice),
        "column a": vote.trial.sides.a,
        "column b": vote.trial.sides.b,
        "winner": vote.winner,
        "reasons": ", ".join(vote.reasons),
        "note": vote.note,
    }


def _grade_cells(grade: Grade) -> dict[str, object]:
    ranks = {
        f"{name} rank": order.index(grade.page) + 1
        for name, order in grade.trial.orders.items()
        if name in {POOLED.name, SMART.name} and grade.page in order
    }
    page = {"page id": str(grade.page), "document": grade.document, "page": grade.page.number}
    return page | {"grade": grade.grade} | ranks
