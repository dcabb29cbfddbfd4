"""The comparison of two pages, X and Y: a table of both scores whose printed numbers add up, and sentences about it.

All answers are plain values. Words of the query are pieces of their own in a sentence, so that the script sets each as
text of its own direction. No sentence says "because". The labels of query terms and of places on a page are here too.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from smart_demo.methods import Found
from smart_demo.page_list import Key
from smart_demo.page_text import Box
from smart_demo.search.explain import (
    MAX_LATE_WEIGHT,
    Attribution,
    Cell,
    PairDifference,
    PairRow,
    Term,
    select_informative_terms,
)
from smart_demo.search.explain.explainer import Explanation, Pairing
from smart_demo.types import StoredPage, TokenGrid, TokenKind
from smart_demo.ui.format import format_distinct_weight, format_score, format_weight, page_key, strip_unprintable

MIN_DECIMALS, MAX_DECIMALS = 4, 6
"""Range of the table's decimals. Four never contradict the three to which the rest of the page rounds these numbers."""
MAX_WORD_LINES = 16
"""Maximum number of words with a line of their own."""
MAX_TOKEN_LINES = 8
"""Maximum number of tokens with a line of their own if the query has no words."""
MAX_FOLDED_LINES = 60
"""Maximum number of lines in the fold; all further tokens share one more."""
MAX_NAMED_PARTS = 2
"""Maximum number of parts of a score that a sentence names for each page."""
MAX_LABEL_CHARS = 32
"""Maximum number of characters of a term's label."""
KIND_NAMES = {
    TokenKind.PATCH: "patches of the page",
    TokenKind.CONTENT: "words on the page",
    TokenKind.INSTRUCTION: "the instruction",
    TokenKind.TEMPLATE: "the template",
    TokenKind.TAIL: "the tail after the page",
}
"""Names of the page tokens that may win a query token."""
Piece = dict[str, str]
"""A piece of a sentence: its `text`, or a `word` of the query."""


def describe_pair(pairing: Pairing) -> dict[str, object]:
    """Return all values that the dialog shows of a pair."""
    terms = pairing.first.attribution.terms
    table = build_score_table(pairing.pair, {terms[number].tokens for number in select_informative_terms(terms)})
    largest = max((abs(line.difference) for line in table.lines), default=0) or 1
    return {
        "pages": [_page_fields(side.page, pairing.found) for side in (pairing.first, pairing.second)],
        "choices": list_choices(pairing.found, (pairing.first.page, pairing.second.page)),
        "title": format_title(pairing),
        "said": describe_lead(pairing, table),
        "swap": describe_swap(pairing),
        "lines": [_line_fields(line, table, largest, pairing) for line in table.lines],
        "fold": _line_fields(table.fold, table, largest, pairing) if table.fold else None,
        "folded": [_line_fields(line, table, largest, pairing) for line in table.folded],
        "total": _line_fields(table.total, table, largest, pairing),
    }


def list_choices(found: Found, pair: tuple[StoredPage, ...]) -> list[dict[str, str]]:
    """Return every page of either column and of the pair, ordered by rank in the right one and then in the other."""
    columns = found.compared[::-1]
    pages = {hit.page.key: hit.page for column in columns for hit in column.hits} | {page.key: page for page in pair}
    unranked = len(found.parts.pages) + 1

    def ranks(key: Key) -> list[int]:
        return [column.ranks.get(key, unranked) for column in columns]

    # An option can hold no markup, so these characters isolate the direction of a name.
    return [
        {"key": page_key(*key), "label": f"\u2068{strip_unprintable(page.document)}\u2069, page {page.number}"}
        for key, page in sorted(pages.items(), key=lambda item: ranks(item[0]))
    ]


def _page_fields(page: StoredPage, found: Found) -> dict[str, object]:
    ranks = [(result.method.label, result.ranks.get(page.key)) for result in found.compared]
    return {
        "key": page_key(page.scope, page.id),
        "name": strip_unprintable(page.document),
        "where": f"page {page.number} of {page.pages}",
        "ranks": [[label, f"{rank}" if rank else "not ranked"] for label, rank in ranks],
        "width": page.width,
        "height": page.height,
    }


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """Contributions of one or more parts to both scores, in units of the table's last decimal."""

    first: int
    second: int
    rows: tuple[PairRow, ...]
    """The parts that share the line; empty for the total."""

    @property
    def difference(self) -> int:
        return self.first - self.second


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Both scores by part. In each column the lines and the fold add up to the total, and the folded lines to the fold.

    Lines have the largest difference first.
    """

    decimals: int
    lines: tuple[ScoreLine, ...]
    """The pooled part and the informative words."""
    fold: ScoreLine | None
    """All other tokens together, or None if there are none."""
    folded: tuple[ScoreLine, ...]
    """The tokens of the fold. The last line may join several."""
    total: ScoreLine

    def format(self, units: int, *, sign: bool = False) -> str:
        """Return a number of the table as text.

        >>> ScoreTable(4, (), None, (), ScoreLine(0, 0, ())).format(123, sign=True)
        '+0.0123'
        """
        text = format_score(units / 10**self.decimals, self.decimals)
        return f"+{text}" if sign and units > 0 else text


def build_score_table(pair: PairDifference, informative: Collection[tuple[int, ...]]) -> ScoreTable:
    """Return a pair as a table.

    informative: the words that get a line of their own, each by its query tokens. If there are more than
    MAX_WORD_LINES, those that differ most get one. Totals are rounded to the nearest number; lines are rounded up or
    down so that each column adds up.
    """
    decimals = _choose_decimals(pair.difference)
    own, others = _split_rows(pair, informative)
    groups = [(row,) for row in own] + ([tuple(others)] if others else [])
    unit = 10**decimals
    total = ScoreLine(round(pair.first * unit), round(pair.second * unit), ())
    lines = _round_lines(groups, total, unit)
    fold = lines.pop() if others else None
    listed, rest = others[:MAX_FOLDED_LINES], others[MAX_FOLDED_LINES:]
    folded = _round_lines([(row,) for row in listed] + ([tuple(rest)] if rest else []), fold, unit) if fold else []
    return ScoreTable(decimals, tuple(sorted(lines, key=_order)), fold, tuple(sorted(folded, key=_order)), total)


def round_to_total(values: Sequence[float], total: int) -> list[int]:
    """Round each value up or down so that they add up to `total`; those with the largest remainders are rounded up.

    total: the rounded sum of the values.

    >>> round_to_total([0.4, 0.4, 0.4], 1), round_to_total([-0.3, 2.4, 0.0], 2)
    ([1, 0, 0], [0, 2, 0])
    """
    rounded = [math.floor(value) for value in values]
    order = sorted(range(len(values)), key=lambda n: rounded[n] - values[n])
    for n in order[: max(0, total - sum(rounded))]:
        rounded[n] += 1
    return rounded


def _choose_decimals(difference: float) -> int:
    """Return the fewest decimals that show two digits of the difference."""
    return next((d for d in range(MIN_DECIMALS, MAX_DECIMALS) if abs(difference) * 10**d >= 10), MAX_DECIMALS)


def _split_rows(pair: PairDifference, informative: Collection[tuple[int, ...]]) -> tuple[list[PairRow], list[PairRow]]:
    """Return the rows with a line of their own, the pooled part first, and the other rows."""
    pooled = [row for row in pair.rows if row.first_term is None]
    words = [row for row in pair.rows if row.first_term and row.first_term.tokens in informative]
    rest = [row for row in pair.rows if row.first_term and row.first_term.tokens not in informative]
    if not words:
        words, rest = rest[:MAX_TOKEN_LINES], rest[MAX_TOKEN_LINES:]
    own, others = pooled + words[:MAX_WORD_LINES], words[MAX_WORD_LINES:] + rest
    return (own + others, []) if len(others) == 1 else (own, others)


def _round_lines(groups: Sequence[tuple[PairRow, ...]], total: ScoreLine, unit: int) -> list[ScoreLine]:
    first = round_to_total([sum(row.first for row in rows) * unit for rows in groups], total.first)
    second = round_to_total([sum(row.second for row in rows) * unit for rows in groups], total.second)
    return [ScoreLine(x, y, rows) for x, y, rows in zip(first, second, groups, strict=True)]


def _order(line: ScoreLine) -> tuple[bool, int]:
    """Return a sort key: the largest difference first, but a line of several parts last."""
    return len(line.rows) > 1, -abs(line.difference)


def _line_fields(line: ScoreLine, table: ScoreTable, largest: int, pairing: Pairing) -> dict[str, object]:
    row = line.rows[0] if len(line.rows) == 1 else None
    return {
        "id": "-".join(map(str, row.first_term.tokens)) if row and row.first_term else "",
        "kind": _line_kind(line),
        "label": _line_label(line),
        "first": table.format(line.first),
        "second": table.format(line.second),
        "difference": table.format(line.difference, sign=True),
        "bar": round(max(-1.0, min(1.0, line.difference / largest)), 3),
        "spots": _list_spots(row, pairing) if row else [],
    }


def _line_kind(line: ScoreLine) -> str:
    if not line.rows:
        return "total"
    if len(line.rows) > 1:
        return "several"
    return "pooled" if line.rows[0].pooled else "word"


def _line_label(line: ScoreLine) -> str:
    if len(line.rows) == 1:
        term = line.rows[0].first_term
        return label_term(term) if term else "pooled part"
    return f"other tokens ({len(line.rows)})" if line.rows else "score"


def _list_spots(row: PairRow, pairing: Pairing) -> list[dict[str, object]]:
    sides = ((pairing.first, row.first_term), (pairing.second, row.second_term))
    return [_spot_fields(explanation, term) for explanation, term in sides if term]


def _spot_fields(explanation: Explanation, term: Term) -> dict[str, object]:
    """Return a word's best match on one page: its rectangle, whether that place won, and both in a sentence."""
    location = term.winner if term.winner.placed else term.closest
    box = location.box if location else None
    if term.winner.placed and box:
        place = describe_location(explanation.attribution, box, term.winner.cell)
        sentence = f"Similarity {format_score(term.similarity)}, {place}."
    else:
        closest = "The closest place is dashed; it did not win." if box else "The page has no places to show."
        sentence = f"{describe_unplaced_winner(term)} {closest}"
    return {"box": list(asdict(box).values()) if box else None, "won": term.winner.placed, "said": sentence}


def format_title(pairing: Pairing) -> str:
    """Return the question that the pair answers, or a plain title if the search did not score both pages."""
    if not pairing.scored:
        return "X against Y"
    x, y = pairing.first.page.key, pairing.second.page.key
    was, now = (result.ranks[x] < result.ranks[y] for result in pairing.found.compared)
    ahead, behind = ("X", "Y") if now else ("Y", "X")
    return f"Why is {ahead} above {behind}?" if was == now else f"Why did {ahead} pass {behind}?"


def describe_lead(pairing: Pairing, table: ScoreTable) -> list[Piece]:
    """Return which page is ahead, by how much, and which parts of the score favour each page."""
    pieces, verb = _describe_unscored(pairing), "is" if pairing.scored else "would be"
    lead = table.total.difference
    if not lead:
        return [*pieces, _text(f"X and Y {'have' if pairing.scored else 'would have'} the same score.")]
    ahead, behind = ("X", "Y") if lead > 0 else ("Y", "X")
    lines = [line for line in (*table.lines, table.fold) if line]
    lines.sort(key=lambda line: -abs(line.difference))
    in_favour = [line for line in lines if line.difference * lead > 0]
    against = [line for line in lines if line.difference * lead < 0]
    above_all = "above all " if len(in_favour) > MAX_NAMED_PARTS else ""
    pieces.append(_text(f"{ahead} {verb} {table.format(abs(lead))} ahead of {behind}: {above_all}"))
    for number, line in enumerate(in_favour[:MAX_NAMED_PARTS]):
        amount = table.format(abs(line.difference))
        adds = "add" if len(line.rows) > 1 else "adds"
        added = f" {amount}" if number else f" {adds} {amount} more on {ahead}"
        pieces += [*([_text(", ")] if number else []), _name_line(line), _text(added)]
    return [*pieces, _text(". "), *_describe_opposing(against[:MAX_NAMED_PARTS], behind, table)]


def _describe_unscored(pairing: Pairing) -> list[Piece]:
    """Return a note that precedes the sentence if the search did not score both pages."""
    unscored = [name for name, side in (("X", pairing.first), ("Y", pairing.second)) if not side.scored]
    if not unscored:
        return []
    were = "they were" if len(unscored) > 1 else "it was"
    _, right = pairing.found.compared
    note = f"{right.method.label} did not rank {' and '.join(unscored)}: {were} not scored token by token. "
    return [_text(f"{note}Computed only for this view, ")]


def _describe_opposing(lines: Sequence[ScoreLine], behind: str, table: ScoreTable) -> list[Piece]:
    """Return which parts of the score favour the page that is behind."""
    if not lines:
        return [_text(f"Nothing speaks for {behind}.")]
    pieces: list[Piece] = []
    for number, line in enumerate(lines):
        name = _name_line(line)
        if not number and "text" in name:
            name = _text(name["text"][0].upper() + name["text"][1:])
        pieces += [*([_text(" and ")] if number else []), name, _text(f" ({table.format(abs(line.difference))})")]
    several = len(lines) > 1 or len(lines[0].rows) > 1
    return [*pieces, _text(f" speak{'' if several else 's'} for {behind}.")]


def _name_line(line: ScoreLine) -> Piece:
    if len(line.rows) > 1:
        return _text("the other tokens together")
    (row,) = line.rows
    return {"word": label_term(row.first_term)} if row.first_term else _text("the pooled part")


def _text(text: str) -> Piece:
    return {"text": text}


def describe_swap(pairing: Pairing) -> str:
    """Return at which late weight the two pages change places."""
    if not pairing.scored:
        return "At which late weight they change places is not known: one of them was not scored token by token."
    weights, swap = pairing.first.attribution.weights, pairing.swap_weight
    gap = next(row.difference for row in pairing.pair.rows if row.pooled)
    below, above = ("X", "Y") if gap > 0 else ("Y", "X")
    if swap is None:
        if not weights.pooled:
            return "At a pooled weight of 0 the late part alone ranks them, whatever its weight."
        return "No late weight changes their order." + (f" {below} is ahead at every one." if gap else "")
    beyond = f", beyond the slider’s end at {MAX_LATE_WEIGHT:g}" if swap > MAX_LATE_WEIGHT else ""
    return (
        f"They change places at a late weight of {format_distinct_weight(swap, weights.late)}{beyond}: "
        f"below it {below} is ahead, above it {above}. It is {format_weight(weights.late)} now."
    )


def label_term(term: Term) -> str:
    """Return a term as short plain text that is visible even if it is a space or a line break."""
    return shorten_label(term.label)


def shorten_label(label: str) -> str:
    """Return a word of the query as `label_term` does."""
    text = strip_unprintable(label).replace("\n", "↵").replace("\t", "⇥").strip() or "␣"
    return text if len(text) <= MAX_LABEL_CHARS else f"{text[: MAX_LABEL_CHARS - 1]}…"


def describe_location(attribution: Attribution, box: Box, cell: Cell | None) -> str:
    """Return a place on a page in words: row and column of its grid, or how far it is from the left and the top."""
    place = attribution.match.page.place
    if cell is not None and isinstance(place, TokenGrid):
        return f"in row {cell.row + 1} of {place.rows}, column {cell.col + 1} of {place.cols}"
    across, down = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    return f"{across * 100:.0f} % from the left and {down * 100:.0f} % from the top"


def describe_unplaced_winner(term: Term) -> str:
    """Return a sentence about a term whose winning page token has no place on the page."""
    kind, similarity = KIND_NAMES[term.winner.kind], format_score(term.similarity)
    return f"The winner is not a place on the page but {kind}, at {similarity}."
