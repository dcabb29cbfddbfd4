"""The contribution of each query token and word to a page's score, and the differences of two pages' scores.

late is linear in the per-token maxima: λl · late = Σ_i contribution_i, with contribution_i = λl · f_i · max_j q_i · t_j
and f_i = 1/|counted| under the mean, 1 under the sum, 0 for a token that does not count. There is no remainder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from smart_demo import scoring
from smart_demo.methods import Parts, Weights
from smart_demo.search.explain.matching import Match, TokenLocation
from smart_demo.types import Floats, TokenKind, TokenSpace

PICTURE_LABEL = "▦ picture"
"""Label of the term that joins the patches of a query's picture."""
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Term:
    """One token of the query, or all tokens of one word."""

    label: str
    """Text of the query: data, never markup."""
    kind: TokenKind
    tokens: tuple[int, ...]
    """Rows of the query's token matrix."""
    word: int
    """Index in `QueryEncoding.word_texts` of its word; -1 if it has none."""
    similarity: float
    """Best cosine of any of its tokens on this page."""
    contribution: float
    """Part of the page's score: the sum over its tokens."""
    winner: TokenLocation
    """The page token with the best cosine."""
    closest: TokenLocation | None
    """The best token with a place on the page, if the winner has none. It did not win."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """One page's score by query terms. It equals pooled + the contributions of `tokens`, or of `terms`."""

    match: Match
    weights: Weights
    pooled: float
    """The pooled part, λp · z_q · z_c."""
    late: float
    """The late part, λl · late."""
    tokens: tuple[Term, ...]
    """Each of the Q tokens, in order."""
    terms: tuple[Term, ...]
    """The query's picture as one term, its words in order, then the other tokens."""
    by_kind: Mapping[TokenKind, float]
    """The late part by the kind of the winning page token, for every kind."""

    @property
    def score(self) -> float:
        return self.pooled + self.late

    def share(self, kind: TokenKind) -> float:
        """Return the share of late that winners of this kind carry, from 0 to 1; 0 if late is 0."""
        return self.by_kind[kind] / self.late if self.late else 0.0


def token_factors(kinds: npt.NDArray[np.uint8], weights: Weights) -> Numbers:
    """Return the factor (Q,) of each token's maximum in the score.

    late is linear and treats tokens of one kind alike, so it is computed for a single 1 at the first token of each
    kind. That keeps the rule which tokens count in one place, in scoring.
    """
    present, first, kind_of = np.unique(kinds, return_index=True, return_inverse=True)
    maxima = np.zeros((len(present), len(kinds)), dtype=np.float32)
    maxima[np.arange(len(present)), first] = 1
    parts = Parts(kinds, (), np.zeros(0, np.float32), np.arange(len(present)), maxima)
    one_space = replace(weights, space=TokenSpace.RAW)  # the rule is the same in every space
    by_kind: Numbers = weights.late * scoring.late_scores(parts, one_space).astype(np.float64)
    return by_kind[kind_of]


def attribute(match: Match, weights: Weights) -> Attribution:
    """Return one page's score by query terms under the weights."""
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
    others = [term for term in tokens if term.word < 0 and term.kind is not TokenKind.PATCH]
    winner_kinds = page.kinds[winners]
    by_kind = {kind: float(contributions[winner_kinds == kind].sum()) for kind in TokenKind}
    pooled = weights.pooled * float(query.pooled @ page.pooled)
    terms = (*picture, *words, *others)
    return Attribution(match, weights, pooled, float(contributions.sum()), tokens, terms, by_kind)


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
    winner, closest = match.locate(int(winners[top])), None
    if not winner.placed and match.placed.any():
        cosines = np.where(match.placed, match.cosines[own].max(axis=0), -np.inf)
        closest = match.locate(int(cosines.argmax()))
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
    """One part of two pages' scores: a word or token of the query, or the pooled part, which has no terms."""

    first: float
    """Contribution to X's score."""
    second: float
    """Contribution to Y's score."""
    first_term: Term | None = None
    """The term on X: similarity, winner, closest place."""
    second_term: Term | None = None
    """The term on Y."""

    @property
    def difference(self) -> float:
        return self.first - self.second

    @property
    def pooled(self) -> bool:
        """Whether this is the row of the pooled part."""
        return self.first_term is None


@dataclass(frozen=True, slots=True)
class PairDifference:
    """The difference of the scores of X and Y, as the sum of its rows' differences."""

    first: float
    """X's score."""
    second: float
    """Y's score."""
    rows: tuple[PairRow, ...]
    """Rows by the size of their difference, largest first; equal ones in the query's order, the pooled part first."""

    @property
    def difference(self) -> float:
        return self.first - self.second


def compare_pages(first: Attribution, second: Attribution) -> PairDifference:
    """Compare the attributions of one query on two pages. Raises ValueError if their queries or weights differ."""
    query, other = first.match.query, second.match.query
    same = query is other or (query.encoder, query.query.key) == (other.encoder, other.query.key)
    if not same or first.weights != second.weights:
        raise ValueError("two pages are compared under one query and one set of weights")
    rows = [PairRow(first.pooled, second.pooled)]
    for x, y in zip(first.terms, second.terms, strict=True):
        rows.append(PairRow(x.contribution, y.contribution, x, y))
    rows.sort(key=lambda row: -abs(row.difference))
    return PairDifference(first.score, second.score, tuple(rows))
