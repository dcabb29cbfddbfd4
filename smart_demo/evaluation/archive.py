"""An evaluation as one zip file, built in memory, and what to import out of one.

judgements.jsonl                 the journal: importing it continues the evaluation
judgements.csv                   one row a vote or grade, for spreadsheets
scoreboards.json                 every board with its figures and all that is needed to run it again
trec/<board>/qrels.txt           of the queries on the board that have a relevant page
trec/<board>/{pooled,late,smart}.run
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from typing import Any

from smart_demo.errors import InputRefused
from smart_demo.evaluation import board_fields
from smart_demo.evaluation.event_reading import MOST_BYTES, as_lines
from smart_demo.evaluation.event_table import csv_bytes
from smart_demo.evaluation.scoreboard import Board, boards
from smart_demo.evaluation.trec import qrels_text, query_id, run_of, run_text
from smart_demo.evaluation.trial import METHODS
from smart_demo.evaluation.verdicts import Judgements

JOURNAL = "judgements.jsonl"
_ZIP = b"PK\x03\x04"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""One time for all entries, so that the same evaluation gives the same bytes."""


def pack(judged: Judgements) -> bytes:
    """The zip file. It holds the seed, from which the sides of queries still to come can be worked out."""
    found = boards(judged)
    files = {JOURNAL: as_lines(judged.events), "judgements.csv": csv_bytes(judged)}
    files["scoreboards.json"] = _json(board_fields.evaluation_fields(judged, found))
    for board in found:
        files |= {f"trec/{board.conditions.id}/{name}": text.encode("ascii") for name, text in trec(board).items()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            target.writestr(entry, data)
    return stream.getvalue()


def trec(board: Board) -> dict[str, str]:
    """TREC files of a board by name; none without a scored query. A standard tool finds the board's figures in them."""
    if not board.queries:
        return {}
    scored = {query_id(query.trial.query): query for query in board.queries}
    files = {"qrels.txt": qrels_text({name: query.grades for name, query in scored.items()})}
    for method in METHODS:
        run = run_of({name: query.trial.ranking(method) for name, query in scored.items()})
        files[f"{method}.run"] = run_text(run, method)
    return files


def unpack(data: bytes) -> bytes:
    """The journal in an upload: out of what `pack` made, or as it is. InputRefused for other archives."""
    if not data.startswith(_ZIP):
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as source, source.open(JOURNAL) as entry:
            found = entry.read(MOST_BYTES + 1)  # whatever the entry claims to hold, no more than this is unpacked
    except KeyError:
        raise InputRefused(
            f"There is no {JOURNAL} in that zip file.", "Choose one that this program exported."
        ) from None
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError, zlib.error):
        raise InputRefused("That zip file cannot be read.", "Export it again.") from None
    return found


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode("ascii")
