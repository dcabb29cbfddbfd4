"""What a pair of pages comes to, in sentences made of its numbers. A page is called X or Y; words of the query stand
apart, so that a script sets each as text of its own direction. Nothing here says "because".
"""

from __future__ import annotations

from collections.abc import Sequence

from smart_demo.search.explain import LARGEST
from smart_demo.search.explain.explainer import Pairing
from smart_demo.types import POOLED, SMART
from smart_demo.ui.explaining import word_label
from smart_demo.ui.facts import apart, weight
from smart_demo.ui.ledger import Ledger, Line

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


def decided(pairing: Pairing, ledger: Ledger) -> list[Piece]:
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
    weights, meeting = pairing.first.attribution.weights, pairing.swap
    gap = next(row.difference for row in pairing.pair.rows if row.pooled)
    by_pooled, by_late = ("X", "Y") if gap > 0 else ("Y", "X")
    if meeting is None:
        if not weights.pooled:
            return "At a pooled weight of 0 the late part alone ranks them, whatever its weight."
        return "No late weight changes their order." + (f" {by_pooled} is ahead at every one." if gap else "")
    beyond = f", beyond the slider’s end at {LARGEST:g}" if meeting > LARGEST else ""
    return (
        f"They change places at a late weight of {apart(meeting, weights.late)}{beyond}: below it {by_pooled} is "
        f"ahead, above it {by_late}. It is {weight(weights.late)} now."
    )


def _unreached(pairing: Pairing) -> list[Piece]:
    """Which of the two the search did not score, said before anything is said of scores."""
    left_out = [name for name, one in (("X", pairing.first), ("Y", pairing.second)) if not one.scored]
    if not left_out:
        return []
    were = "they were" if len(left_out) > 1 else "it was"
    said = f"SMART did not rank {' and '.join(left_out)}: {were} not scored token by token. "
    return [_text(f"{said}Computed for this look alone, ")]


def _speak(lines: Sequence[Line], behind: str, ledger: Ledger) -> list[Piece]:
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


def _called(line: Line) -> Piece:
    if len(line.rows) > 1:
        return _text("the other tokens together")
    (row,) = line.rows
    return {"word": word_label(row.first_term)} if row.first_term else _text("the pooled part")


def _s(line: Line) -> str:
    return "" if len(line.rows) > 1 else "s"


def _amount(ledger: Ledger, line: Line) -> str:
    return ledger.shown(abs(line.difference))


def _text(text: str) -> Piece:
    return {"text": text}
