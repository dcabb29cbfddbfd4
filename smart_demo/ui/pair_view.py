"""Two scores as a table whose numbers add up as they stand there: one that does not is not believed. Pure numbers.

What a pair of pages comes to, in sentences made of its numbers. A page is called X or Y; words of the query stand
apart, so that a script sets each as text of its own direction. Nothing here says "because".

Two pages set against each other -> plain values for the dialog's script, which sets every one of them as text.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from smart_demo.page_list import Key
from smart_demo.search.explain import MAX_LATE_WEIGHT, PairDifference, PairRow, Term
from smart_demo.search.explain.explainer import Explanation, Pairing
from smart_demo.types import POOLED, SMART, Found, StoredPage
from smart_demo.ui.cards import format_distinct_weight, format_weight
from smart_demo.ui.format import format_score, page_key, strip_unprintable
from smart_demo.ui.viewer import KINDS, telling, whereabouts, word_label

FEWEST_PLACES, MOST_PLACES = 4, 6
"""Four decimals never contradict the three that other places of the page round the same numbers to."""
WORDS = 16
"""Words with a line of their own."""
FEW = 8
"""Tokens that stand open where the query has no words."""
LISTED = 60
"""Tokens that a fold opens to; the rest of them share a line."""


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """What one or several parts add to both scores, in units of the ledger's last decimal."""

    first: int
    second: int
    rows: tuple[PairRow, ...]
    """The parts: one, or those that share the line; none for the sum."""

    @property
    def difference(self) -> int:
        return self.first - self.second


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """The lines add up to the total in both columns, and those of the fold to their common line."""

    places: int
    """Decimals."""
    lines: tuple[ScoreLine, ...]
    """The pooled part and the words that tell, the largest difference first."""
    fold: ScoreLine | None
    """All other tokens together,"""
    folded: tuple[ScoreLine, ...]
    """and each of them; the last line may stand for several."""
    total: ScoreLine

    def shown(self, units: int, *, sign: bool = False) -> str:
        """A number of the table.

        >>> Ledger(4, (), None, (), Line(0, 0, ())).shown(123, sign=True)
        '+0.0123'
        """
        text = format_score(units / 10**self.places, self.places)
        return f"+{text}" if sign and units > 0 else text


def score_table(pair: PairDifference, telling: Collection[tuple[int, ...]]) -> ScoreTable:
    """A pair as a table. `telling` are the words that get a line of their own, each by its query tokens; of many, those
    that differ most.

    Totals are rounded to the nearest; a line up or down, whichever lets its column add up.
    """
    places = _places(pair.difference)
    kept, others = _split(pair, telling)
    groups = [(row,) for row in kept] + ([tuple(others)] if others else [])
    unit = 10**places
    total = ScoreLine(round(pair.first * unit), round(pair.second * unit), ())
    lines = _lines(groups, total, unit)
    fold = lines.pop() if others else None
    listed = [(row,) for row in others[:LISTED]] + ([tuple(others[LISTED:])] if others[LISTED:] else [])
    folded = _lines(listed, fold, unit) if fold else []
    return ScoreTable(places, tuple(sorted(lines, key=_size)), fold, tuple(sorted(folded, key=_size)), total)


def shares(values: Sequence[float], total: int) -> list[int]:
    """Whole numbers beside the values, each rounded up or down, that add up to the total: the largest remainders go
    up. total is the rounded sum of the values.

    >>> shares([0.4, 0.4, 0.4], 1), shares([-0.3, 2.4, 0.0], 2)
    ([1, 0, 0], [0, 2, 0])
    """
    floors = [math.floor(value) for value in values]
    order = sorted(range(len(values)), key=lambda n: floors[n] - values[n])
    for n in order[: max(0, total - sum(floors))]:
        floors[n] += 1
    return floors


def _split(pair: PairDifference, telling: Collection[tuple[int, ...]]) -> tuple[list[PairRow], list[PairRow]]:
    """The rows that get a line of their own, the pooled one first among them, and the others."""
    pooled = [row for row in pair.rows if row.first_term is None]
    told = [row for row in pair.rows if row.first_term and row.first_term.tokens in telling]
    rest = [row for row in pair.rows if row.first_term and row.first_term.tokens not in telling]
    if not told:
        told, rest = rest[:FEW], rest[FEW:]
    kept, others = pooled + told[:WORDS], told[WORDS:] + rest
    return (kept + others, []) if len(others) == 1 else (kept, others)


def _places(difference: float) -> int:
    """The fewest decimals that show two digits of the difference."""
    return next((p for p in range(FEWEST_PLACES, MOST_PLACES) if abs(difference) * 10**p >= 10), MOST_PLACES)


def _lines(groups: Sequence[tuple[PairRow, ...]], total: ScoreLine, unit: int) -> list[ScoreLine]:
    first = shares([sum(row.first for row in rows) * unit for rows in groups], total.first)
    second = shares([sum(row.second for row in rows) * unit for rows in groups], total.second)
    return [ScoreLine(x, y, rows) for x, y, rows in zip(first, second, groups, strict=True)]


def _size(line: ScoreLine) -> tuple[bool, int]:
    """The largest difference first, but what several share last."""
    return len(line.rows) > 1, -abs(line.difference)


Piece = dict[str, str]
"""`text`, or a `word` of the query."""
NAMED = 2
"""Parts of a score that a sentence names on each side."""


def title(pairing: Pairing) -> str:
    """The question that the pair answers."""
    if not pairing.scored:
        return "X against Y"
    x, y = pairing.first.page.key, pairing.second.page.key
    before, after = (pairing.found.results[method.name].ranks for method in (POOLED, SMART))
    was, now = before[x] < before[y], after[x] < after[y]
    ahead, behind = ("X", "Y") if now else ("Y", "X")
    return f"Why is {ahead} above {behind}?" if was == now else f"Why did {ahead} pass {behind}?"


def decided(pairing: Pairing, ledger: ScoreTable) -> list[Piece]:
    """Which page is ahead, by how much, and what speaks for either."""
    pieces, verb = _unreached(pairing), "is" if pairing.scored else "would be"
    lead = ledger.total.difference
    if not lead:
        return [*pieces, _text(f"X and Y {'have' if pairing.scored else 'would have'} the same score.")]
    ahead, behind = ("X", "Y") if lead > 0 else ("Y", "X")
    lines = [line for line in (*ledger.lines, ledger.fold) if line]
    lines.sort(key=lambda line: -abs(line.difference))
    speaking = [line for line in lines if line.difference * lead > 0]
    against = [line for line in lines if line.difference * lead < 0]
    above_all = "above all " if len(speaking) > NAMED else ""
    pieces.append(_text(f"{ahead} {verb} {ledger.shown(abs(lead))} ahead of {behind}: {above_all}"))
    for number, line in enumerate(speaking[:NAMED]):
        more = f" add{_s(line)} {_amount(ledger, line)} more on {ahead}" if not number else f" {_amount(ledger, line)}"
        pieces += [*([_text(", ")] if number else []), _called(line), _text(more)]
    return [*pieces, _text(". "), *_speak(against[:NAMED], behind, ledger)]


def places_change(pairing: Pairing) -> str:
    """At which late weight the two change places."""
    if not pairing.scored:
        return "At which late weight they change places is not known: SMART did not rank both."
    weights, meeting = pairing.first.attribution.weights, pairing.swap_weight
    gap = next(row.difference for row in pairing.pair.rows if row.pooled)
    by_pooled, by_late = ("X", "Y") if gap > 0 else ("Y", "X")
    if meeting is None:
        if not weights.pooled:
            return "At a pooled weight of 0 the late part alone ranks them, whatever its weight."
        return "No late weight changes their order." + (f" {by_pooled} is ahead at every one." if gap else "")
    beyond = f", beyond the slider’s end at {MAX_LATE_WEIGHT:g}" if meeting > MAX_LATE_WEIGHT else ""
    return (
        f"They change places at a late weight of {format_distinct_weight(meeting, weights.late)}{beyond}: below it {by_pooled} is "
        f"ahead, above it {by_late}. It is {format_weight(weights.late)} now."
    )


def _unreached(pairing: Pairing) -> list[Piece]:
    """Which of the two the search did not score, said before anything is said of scores."""
    left_out = [name for name, one in (("X", pairing.first), ("Y", pairing.second)) if not one.scored]
    if not left_out:
        return []
    were = "they were" if len(left_out) > 1 else "it was"
    said = f"SMART did not rank {' and '.join(left_out)}: {were} not scored token by token. "
    return [_text(f"{said}Computed for this look alone, ")]


def _speak(lines: Sequence[ScoreLine], behind: str, ledger: ScoreTable) -> list[Piece]:
    if not lines:
        return [_text(f"Nothing speaks for {behind}.")]
    pieces: list[Piece] = []
    for number, line in enumerate(lines):
        called = _called(line)
        if not number and "text" in called:
            called = _text(called["text"][0].upper() + called["text"][1:])
        pieces += [*([_text(" and ")] if number else []), called, _text(f" ({_amount(ledger, line)})")]
    several = len(lines) > 1 or len(lines[0].rows) > 1
    return [*pieces, _text(f" speak{'' if several else 's'} for {behind}.")]


def _called(line: ScoreLine) -> Piece:
    if len(line.rows) > 1:
        return _text("the other tokens together")
    (row,) = line.rows
    return {"word": word_label(row.first_term)} if row.first_term else _text("the pooled part")


def _s(line: ScoreLine) -> str:
    return "" if len(line.rows) > 1 else "s"


def _amount(ledger: ScoreTable, line: ScoreLine) -> str:
    return ledger.shown(abs(line.difference))


def _text(text: str) -> Piece:
    return {"text": text}


def described(pairing: Pairing) -> dict[str, object]:
    """All that the dialog shows of a pair."""
    terms = pairing.first.attribution.terms
    table = score_table(pairing.pair, {terms[number].tokens for number in telling(terms)})
    most = max((abs(line.difference) for line in table.lines), default=0) or 1
    return {
        "pages": [_page(one.page, pairing.found) for one in (pairing.first, pairing.second)],
        "choices": choices(pairing.found, (pairing.first.page, pairing.second.page)),
        "title": title(pairing),
        "said": decided(pairing, table),
        "swap": places_change(pairing),
        "lines": [_line(line, table, most, pairing) for line in table.lines],
        "fold": _line(table.fold, table, most, pairing) if table.fold else None,
        "folded": [_line(line, table, most, pairing) for line in table.folded],
        "total": _line(table.total, table, most, pairing),
    }


def choices(found: Found, pair: tuple[StoredPage, ...]) -> list[dict[str, str]]:
    """Every page in either column, and those of the pair, by their places in SMART's ranking and then in the other."""
    columns = [found.results[method.name] for method in (SMART, POOLED)]
    pages = {hit.page.key: hit.page for column in columns for hit in column.hits} | {page.key: page for page in pair}
    last = len(found.parts.pages) + 1

    def places(key: Key) -> list[int]:
        return [column.ranks.get(key, last) for column in columns]

    # What isolates a name's direction in an option, which can hold no markup.
    return [
        {"key": page_key(*key), "label": f"\u2068{strip_unprintable(page.document)}\u2069, page {page.number}"}
        for key, page in sorted(pages.items(), key=lambda one: places(one[0]))
    ]


def _page(page: StoredPage, found: Found) -> dict[str, object]:
    before, after = (found.results[method.name].ranks.get(page.key) for method in (POOLED, SMART))
    return {
        "key": page_key(page.scope, page.id),
        "name": strip_unprintable(page.document),
        "where": f"page {page.number} of {page.pages}",
        "pooled": f"{before}" if before else "not ranked",
        "smart": f"{after}" if after else "not ranked",
        "width": page.width,
        "height": page.height,
    }


def _line(line: ScoreLine, table: ScoreTable, most: int, pairing: Pairing) -> dict[str, object]:
    row = line.rows[0] if len(line.rows) == 1 else None
    return {
        "id": "-".join(map(str, row.first_term.tokens)) if row and row.first_term else "",
        "kind": _kind(line),
        "label": _label(line),
        "first": table.shown(line.first),
        "second": table.shown(line.second),
        "difference": table.shown(line.difference, sign=True),
        "bar": round(max(-1.0, min(1.0, line.difference / most)), 3),
        "spots": _spots(row, pairing) if row else [],
    }


def _kind(line: ScoreLine) -> str:
    if not line.rows:
        return "total"
    if len(line.rows) > 1:
        return "several"
    return "pooled" if line.rows[0].pooled else "word"


def _label(line: ScoreLine) -> str:
    if len(line.rows) == 1:
        term = line.rows[0].first_term
        return word_label(term) if term else "pooled part"
    return f"other tokens ({len(line.rows)})" if line.rows else "score"


def _spots(row: PairRow, pairing: Pairing) -> list[dict[str, object]]:
    sides = ((pairing.first, row.first_term), (pairing.second, row.second_term))
    return [_spot(explanation, term) for explanation, term in sides if term]


def _spot(explanation: Explanation, term: Term) -> dict[str, object]:
    """Where a word matched best on one page: its rectangle, whether that place won, and both in words."""
    shown = term.winner if term.winner.placed else term.closest
    box = shown.box if shown else None
    if term.winner.placed and box:
        place = whereabouts(explanation.attribution, box, term.winner.cell)
        said = f"Similarity {format_score(term.similarity)}, {place}."
    else:
        won = f"The winner is no place on the page but {KINDS[term.winner.kind]}, at {format_score(term.similarity)}."
        said = f"{won} {'The closest place is dashed; it did not win.' if box else 'The page has no places to show.'}"
    return {"box": list(asdict(box).values()) if box else None, "won": term.winner.placed, "said": said}
