"""Scoreboards as plain data: their figures, and what somebody needs to make them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from smart_demo.evaluation import board_sentences
from smart_demo.evaluation.pool import ungraded
from smart_demo.evaluation.scoreboard import Board
from smart_demo.evaluation.trec import query_id
from smart_demo.evaluation.trial import Trial
from smart_demo.evaluation.trial_fields import trial_fields
from smart_demo.evaluation.verdicts import Judgements

FORM = 1
NOTES = (
    "Measures are cut at k. nDCG has linear gain and its ideal knows every grade; pages without a grade count as 0; "
    "queries without a relevant page are left out of the measures and of the TREC files.",
    "Scores in the runs that are equal in 32 bits are written one step apart, so that tools keep the order shown.",
    "Sides: SHA-256 of seed, 'sides' and query key, joined by zero bytes; odd means that pooled is column A.",
)


def evaluation_fields(judged: Judgements, boards: Sequence[Board]) -> dict[str, Any]:
    """Everything about an evaluation but its single events, which are in the journal."""
    return {
        "form": FORM,
        "notes": list(NOTES),
        "sessions": [
            {"id": one.id, "begun": one.at, "seed": one.seed, "versions": dict(one.versions)} for one in judged.sessions
        ],
        "skipped": sorted(judged.skipped),
        "ungraded": ungraded(judged).total,
        "grouping": board_sentences.grouping(boards),
        "boards": [board_fields(board) for board in boards],
    }


def board_fields(board: Board) -> dict[str, Any]:
    """One board. `queries` has an entry for each query judged under its conditions."""
    scored = {query.trial.query.key: query for query in board.queries}
    last = trial_fields(board.trials[-1])
    return {
        "id": board.conditions.id,
        "title": board_sentences.title(board),
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
        "cautions": list(board_sentences.cautions(board)),
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
