"""What each query token and word adds to a page's score, and which token of the page it owes it to.

late is linear in the per-token maxima: λl · late = Σ_i contribution_i, with contribution_i = λl · f_i · max_j q_i · t_j
and f_i = 1/|counted| under the mean, 1 under the sum, 0 for a token that does not count. Nothing is left over.

Why did X pass Y: the two scores taken apart, row against row, with nothing left over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smart_demo import scoring
from smart_demo.search.explain.matching import Match, TokenLocation
from smart_demo.types import Floats, Parts, TokenKind, Weights

PICTURE_LABEL = "▦ picture"
"""What the patches of a query's picture are called together."""
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Term:
    """One token of the query, or the pieces of one word together."""

    label: str
    """As it was asked. Data, never markup."""
    kind: TokenKind
    tokens: tuple[int, ...]
    """Rows of the query's token matrix."""
    word: int
    """Which word of `QueryEncoding.word_texts` it is or belongs to; -1 for none."""
    similarity: float
    """Best cosine of any of its tokens on this page."""
    contribution: float
    """What it adds to the page's score: the sum over its tokens."""
    winner: TokenLocation
    """The page token with that best cosine."""
    closest: TokenLocation | None
    """Where the winner has no place on the page: the best token that has one. It did not win."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """One page's score taken apart. pooled + the contributions of `tokens`, or of `terms`, are the score."""

    match: Match
    weights: Weights
    pooled: float
    """λp · z_q · z_c"""
    late: float
    """λl · late"""
    tokens: tuple[Term, ...]
    """Each of the Q tokens, in order."""
    terms: tuple[Term, ...]
    """The query's picture as one, its words in order, then the tokens that are of neither."""
    by_kind: Mapping[TokenKind, float]
    """λl · late by the kind of the winning page token, for every kind."""

    @property
    def score(self) -> float:
        return self.pooled + self.late

    def share(self, kind: TokenKind) -> float:
        """Part of late that winners of this kind carry, 1 being all of it; 0 where late is 0."""
        return self.by_kind[kind] / self.late if self.late else 0.0


def token_factors(kinds: npt.NDArray[np.uint8], weights: Weights) -> Numbers:
    """What each token's maximum is multiplied by on its way into the score, (Q,).

    late is linear and treats tokens of one kind alike, so it is asked with a lone 1 for the first token of each kind:
    the rule of who counts stays where it is, in scoring.
    """
    present, first, own = np.unique(kinds, return_index=True, return_inverse=True)
    lone = np.zeros((len(present), len(kinds)), dtype=np.float32)
    lone[np.arange(len(present)), first] = 1
    asked = Parts(kinds, (), np.zeros(0, np.float32), np.arange(len(present)), lone)
    each: Numbers = weights.late * scoring.late_scores(asked, weights).astype(np.float64)
    return each[own]


def attribute(match: Match, weights: Weights) -> Attribution:
    """Take one page's score apart under the weights."""
    query, page = match.query, match.page
    winners = match.cosines.argmax(axis=1)
    best = match.cosines[np.arange(len(winners)), winners]
    contributions = token_factors(query.kinds, weights) * best
    tokens = tuple(_term(match, (n,), query.labels[n], best, contributions, winners) for n in range(len(query.tokens)))
    pieces: list[list[int]] = [[] for _ in query.word_texts]
    for n, word in enumerate(query.words):
        if word >= 0:
            pieces[word].append(n)
    words = [
        _term(match, own, label, best, contributions, winners)
        for label, own in zip(query.word_texts, pieces, strict=True)
        if own
    ]
    patches = np.flatnonzero(query.kinds == TokenKind.PATCH).tolist()
    picture = [_term(match, patches, PICTURE_LABEL, best, contributions, winners)] if patches else []
    rest = [term for term in tokens if term.word < 0 and term.kind is not TokenKind.PATCH]
    winning = page.kinds[winners]
    by_kind = {kind: float(contributions[winning == kind].sum()) for kind in TokenKind}
    pooled = weights.pooled * float(query.pooled @ page.pooled)
    return Attribution(match, weights, pooled, float(contributions.sum()), tokens, (*picture, *words, *rest), by_kind)


def _term(
    match: Match,
    tokens: Sequence[int],
    label: str,
    best: Floats,
    contributions: Numbers,
    winners: npt.NDArray[np.int64],
) -> Term:
    own = list(tokens)
    top = own[int(best[own].argmax())]
    winner, closest = match.spot(int(winners[top])), None
    if not winner.placed and match.placed.any():
        cosines = np.where(match.placed, match.cosines[own].max(axis=0), -np.inf)
        closest = match.spot(int(cosines.argmax()))
    return Term(
        label=label,
        kind=TokenKind(int(match.query.kinds[top])),
        tokens=tuple(own),
        word=match.query.words[top],
        similarity=float(best[top]),
        contribution=float(contributions[own].sum()),
        winner=winner,
        closest=closest,
    )


@dataclass(frozen=True, slots=True)
class PairRow:
    """One part of both scores: a word or token of the query, or the pooled part, which has no terms."""

    first: float
    """What it adds to X's score,"""
    second: float
    """and to Y's."""
    first_term: Term | None = None
    """How the word stands on X: similarity, winner, closest place;"""
    second_term: Term | None = None
    """and on Y."""

    @property
    def difference(self) -> float:
        return self.first - self.second

    @property
    def pooled(self) -> bool:
        """Whether this is the row of the pooled part."""
        return self.first_term is None


@dataclass(frozen=True, slots=True)
class PairDifference:
    """X against Y. The rows' differences add up to the difference of the scores."""

    first: float
    """X's score,"""
    second: float
    """and Y's."""
    rows: tuple[PairRow, ...]
    """The largest differences first, whichever page they favour; of equals the query's order, pooled before all."""

    @property
    def difference(self) -> float:
        return self.first - self.second


def compare_pages(first: Attribution, second: Attribution) -> PairDifference:
    """The attributions of one query on two pages. ValueError where query or weights are not the same."""
    mine, other = first.match.query, second.match.query
    same = mine is other or (mine.encoder, mine.query.key) == (other.encoder, other.query.key)
    if not same or first.weights != second.weights:
        raise ValueError("two pages are compared under one query and one set of weights")
    rows = [PairRow(first.pooled, second.pooled)]
    for x, y in zip(first.terms, second.terms, strict=True):
        rows.append(PairRow(x.contribution, y.contribution, x, y))
    rows.sort(key=lambda row: -abs(row.difference))
    return PairDifference(first.score, second.score, tuple(rows))
