"""Votes and grades as a table for a spreadsheet: CSV, one row each, also those that were taken back."""

from __future__ import annotations

import csv
import io

from smart_demo.evaluation.events import Grade, Vote
from smart_demo.evaluation.trec import query_id
from smart_demo.evaluation.verdicts import Judgements
from smart_demo.types import POOLED, SMART

COLUMNS = (
    "event", "id", "time", "session", "counts", "query id", "query", "picture",
    "choice", "column a", "column b", "winner", "reasons", "note",
    "page id", "document", "page", "grade", "pooled rank", "smart rank",
    "k", "encoder", "revision", "encoder fingerprint", "library", "library pages",
    "pooled weight", "late weight", "reduce", "counted", "seed",
)  # fmt: skip
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
"""How a cell begins that a spreadsheet would run."""


def csv_bytes(judged: Judgements) -> bytes:
    """UTF-8 with a mark at its beginning, which spreadsheets need to see that it is; rows by time."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, COLUMNS)
    writer.writeheader()
    for event in judged.events:
        if isinstance(event, Vote | Grade):
            writer.writerow({column: cell(value) for column, value in _row(event, judged).items()})
    return stream.getvalue().encode("utf-8-sig")


def cell(value: object) -> object:
    r"""A value for a spreadsheet: a text that would be run as a formula is shown as text instead.

    >>> cell('=HYPERLINK("//evil")'), cell("  @SUM(A1)"), cell(-0.5), cell("M8 bolts")
    ('\'=HYPERLINK("//evil")', "'  @SUM(A1)", -0.5, 'M8 bolts')
    """
    if not isinstance(value, str):
        return value
    return f"'{value}" if value.startswith(_FORMULA) or value.lstrip().startswith(_FORMULA) else value


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
