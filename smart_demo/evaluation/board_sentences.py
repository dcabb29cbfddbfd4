"""What a scoreboard says in words: under what conditions, what follows from it, what to be careful about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from smart_demo.evaluation.metrics import FEWEST_QUERIES, SAME, Difference
from smart_demo.evaluation.scoreboard import Board
from smart_demo.evaluation.trial import METHODS
from smart_demo.types import LATE, POOLED, SMART, Counted, Reduce, Weights

LABELS = {method.name: method.label for method in (POOLED, LATE, SMART)}
TITLES = {"ndcg": "nDCG", "mrr": "MRR", "hit": "hit"}
NAMED = 5
"""Queries that are named at most."""


def title(board: Board) -> str:
    """The board's conditions in one line."""
    last = board.trials[-1]
    where = " and ".join({"samples": "the samples", "local": "my documents"}[scope] for scope in last.library.scopes)
    pages = "1 page" if last.library.pages == 1 else f"{last.library.pages:,} pages"
    return f"{last.encoder.name}, {pages} of {where}, {weights(board.conditions.weights)}"


def weights(given: Weights) -> str:
    """Weights as the formula has them.

    >>> weights(Weights(1.0, 0.5, Reduce.SUM))
    '1 × pooled + 0.5 × late (sum)'
    """
    form = "mean" if given.reduce is Reduce.MEAN else "sum"
    form += ", own words only" if given.counted is Counted.CONTENT else ""
    return f"{given.pooled:g} × pooled + {given.late:g} × late ({form})"


def grouping(boards: Sequence[Board]) -> str:
    """Why there are several boards; empty where there is one or none."""
    if len(boards) < 2:
        return ""
    return (
        f"Judgements were made under {len(boards)} settings of library, model and weights. "
        "They are not added up: each has its own board, the latest first."
    )


def measure(name: str, k: int) -> str:
    """A measure as people write it.

    >>> measure("ndcg", 5)
    'nDCG@5'
    """
    return f"{TITLES[name]}@{k}"


def conclusion(board: Board, pair: tuple[str, str], name: str) -> str:
    """What may be said of one difference. Empty where nothing was graded."""
    if not board.queries:
        return ""
    one, other = (LABELS[method] for method in pair)
    if board.too_few:
        n = len(board.queries)
        counted = "1 query" if n == 1 else f"{n} queries"
        return f"Too few to conclude: {counted} with a relevant page; an interval means little below {FEWEST_QUERIES}."
    found, what = board.differences[pair][name], measure(name, board.k)
    if found.low <= SAME and found.high >= -SAME:  # an end of 0 may have come out in the last bit of either sign
        return f"No difference shown between {one} and {other} in {what}: {_interval(found)}."
    return f"{one} is {'better' if found.mean > 0 else 'worse'} than {other} in {what}: {_interval(found)}."


def cautions(board: Board) -> Iterator[str]:
    """What one must know before believing the figures."""
    unjudged = {LABELS[name]: board.unjudged[name] for name in METHODS if board.unjudged[name]}
    if unjudged:
        listed = ", ".join(f"{number} of {label}" for label, number in unjudged.items())
        yield (
            f"Nobody graded some pages among the first {board.k}: {listed}. They count as not relevant, "
            "so a method with many of them may be better than its figures."
        )
    if board.without:
        texts = [trial.query.text for trial in board.without]
        yield f"Left out of the measures, since no graded page is relevant: {_named(texts)}."
    if seen := board.votes.seen_before:
        votes = "1 vote was not blind: it was" if seen == 1 else f"{seen} votes were not blind: they were"
        yield f"{votes} cast on a query whose sides had been shown before."
    if board.carried:
        grades = "1 grade was" if board.carried == 1 else f"{board.carried} grades were"
        yield f"{grades} given under other weights; a grade is about a page, so it counts here too."


def _interval(found: Difference) -> str:
    return f"{found.mean:+z.3f} ({found.confidence:.0%} {found.low:+z.3f} to {found.high:+z.3f})".replace("-", "−")


def _named(texts: Sequence[str]) -> str:
    """The first few in quotes, and how many more.

    >>> _named(["tide table", ""])
    '"tide table", a picture'
    """
    shown = ", ".join(f'"{" ".join(text.split())[:80]}"' if text else "a picture" for text in texts[:NAMED])
    return shown + (f" and {len(texts) - NAMED} more" if len(texts) > NAMED else "")
