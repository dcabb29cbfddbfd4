"""The records of `scoreboards.json`: every board with its figures and everything needed to reproduce them.

The names of the fields are keys of the file. Other programs read it, so none is renamed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from smart_demo.judging import scoreboard
from smart_demo.judging.randomisation import Sides
from smart_demo.judging.records import JudgedQuery, RecordedEncoder, RecordedLibrary, Trial, Versions
from smart_demo.judging.replay import Judgements, count_ungraded
from smart_demo.judging.scoreboard import Board
from smart_demo.types import Weights

FORMAT_VERSION = 1
NOTES = (
    "Measures are cut at k. nDCG has linear gain and its ideal knows every grade; pages without a grade count as 0; "
    "queries without a relevant page are left out of the measures and of the TREC files.",
    "Scores in the runs that are equal in 32 bits are written one step apart, so that tools keep the order shown.",
    "Sides: SHA-256 of seed, 'sides' and query key, joined by zero bytes; odd means that pooled is column A.",
)


@dataclass(frozen=True)
class SessionEntry:
    """One session of the evaluation."""

    id: str
    begun: str
    seed: str
    versions: Versions


@dataclass(frozen=True)
class VotesEntry:
    """A board's `VoteCount` with its sign test."""

    wins: int
    ties: int
    losses: int
    bad: int
    seen_before: int
    p: float
    conclusion: str


@dataclass(frozen=True)
class DifferenceEntry:
    """The `Difference` of one method from another in one measure."""

    of: str
    base: Annotated[str, Field(alias="from")]
    measure: str
    mean: float
    low: float
    high: float
    better: int
    same: int
    worse: int
    resamples: int
    confidence: float


@dataclass(frozen=True)
class QueryEntry:
    """A query judged under a board's conditions."""

    id: str
    query: str
    picture: str
    k: int
    seed: str
    sides: Sides
    values: Mapping[str, Mapping[str, float]] | None
    """Measures by method and name, if the query has a relevant page; otherwise the key is left out."""


@dataclass(frozen=True)
class BoardEntry:
    """One board. Library, encoder, weights and versions are those of its last trial."""

    id: str
    title: str
    library: RecordedLibrary
    encoder: RecordedEncoder
    weights: Weights
    versions: Versions
    k: int
    votes: VotesEntry
    scored: int
    too_few: bool
    means: Mapping[str, Mapping[str, float]]
    differences: tuple[DifferenceEntry, ...]
    unjudged: Mapping[str, int]
    cautions: tuple[str, ...]
    queries: tuple[QueryEntry, ...]


@dataclass(frozen=True)
class EvaluationRecord:
    """Everything of an evaluation but the single events."""

    form: int
    notes: tuple[str, ...]
    sessions: tuple[SessionEntry, ...]
    skipped: tuple[str, ...]
    ungraded: int
    grouping: str
    boards: tuple[BoardEntry, ...]


_EVALUATION = TypeAdapter(EvaluationRecord)


def format_evaluation(judged: Judgements, boards: Sequence[Board]) -> bytes:
    """Return the content of `scoreboards.json`."""
    record = EvaluationRecord(
        FORMAT_VERSION,
        NOTES,
        tuple(SessionEntry(one.id, one.at, one.seed, one.versions) for one in judged.sessions),
        tuple(sorted(judged.skipped)),
        count_ungraded(judged).total,
        scoreboard.grouping_note(boards),
        tuple(map(_board_entry, boards)),
    )
    fields = _EVALUATION.dump_python(record, mode="json", by_alias=True, exclude_none=True)
    return (json.dumps(fields, indent=1, allow_nan=False) + "\n").encode("ascii")


def query_id(query: JudgedQuery) -> str:
    """Return a query's id in exported files; the `q` keeps tools from reading it as a number.

    >>> query_id(JudgedQuery("", "00112233445566aa", "a picture"))
    'q00112233445566aa'
    """
    return f"q{query.key}"


def _board_entry(board: Board) -> BoardEntry:
    last, votes = board.trials[-1], board.votes
    scored = {query.trial.query.key: query.values for query in board.queries}
    return BoardEntry(
        id=board.conditions.id,
        title=scoreboard.board_title(board),
        library=last.library,
        encoder=last.encoder,
        weights=last.weights,
        versions=last.versions,
        k=board.k,
        votes=VotesEntry(**asdict(votes), p=votes.p, conclusion=votes.conclusion),
        scored=len(board.queries),
        too_few=board.too_few,
        means=board.means,
        differences=tuple(
            DifferenceEntry(of, base, measure, **asdict(difference))
            for (of, base), by_measure in board.differences.items()
            for measure, difference in by_measure.items()
        ),
        unjudged=board.unjudged if board.queries else {},
        cautions=tuple(scoreboard.cautions(board)),
        queries=tuple(_query_entry(trial, scored.get(trial.query.key)) for trial in board.trials),
    )


def _query_entry(trial: Trial, values: Mapping[str, Mapping[str, float]] | None) -> QueryEntry:
    query = trial.query
    return QueryEntry(query_id(query), query.text, query.picture, trial.k, trial.seed, trial.sides, values)
