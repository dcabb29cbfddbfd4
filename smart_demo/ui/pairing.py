"""Two pages set against each other -> plain values for the dialog's script, which sets every one of them as text."""

from __future__ import annotations

from dataclasses import asdict

from smart_demo.search.comparison import Key
from smart_demo.search.explain import Row, Term
from smart_demo.search.explain.explainer import Explanation, Pairing
from smart_demo.types import POOLED, SMART, Found, StoredPage
from smart_demo.ui.explaining import KINDS, telling, whereabouts, word_label
from smart_demo.ui.ledger import Ledger, Line, ledger
from smart_demo.ui.pair_sentences import decided, places_change, title
from smart_demo.ui.wording import page_key, plain, score


def described(pairing: Pairing) -> dict[str, object]:
    """All that the dialog shows of a pair."""
    terms = pairing.first.attribution.terms
    table = ledger(pairing.pair, {terms[number].tokens for number in telling(terms)})
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
        {"key": page_key(*key), "label": f"\u2068{plain(page.document)}\u2069, page {page.number}"}
        for key, page in sorted(pages.items(), key=lambda one: places(one[0]))
    ]


def _page(page: StoredPage, found: Found) -> dict[str, object]:
    before, after = (found.results[method.name].ranks.get(page.key) for method in (POOLED, SMART))
    return {
        "key": page_key(page.scope, page.id),
        "name": plain(page.document),
        "where": f"page {page.number} of {page.pages}",
        "pooled": f"{before}" if before else "not ranked",
        "smart": f"{after}" if after else "not ranked",
        "width": page.width,
        "height": page.height,
    }


def _line(line: Line, table: Ledger, most: int, pairing: Pairing) -> dict[str, object]:
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


def _kind(line: Line) -> str:
    if not line.rows:
        return "total"
    if len(line.rows) > 1:
        return "several"
    return "pooled" if line.rows[0].pooled else "word"


def _label(line: Line) -> str:
    if len(line.rows) == 1:
        term = line.rows[0].first_term
        return word_label(term) if term else "pooled part"
    return f"other tokens ({len(line.rows)})" if line.rows else "score"


def _spots(row: Row, pairing: Pairing) -> list[dict[str, object]]:
    sides = ((pairing.first, row.first_term), (pairing.second, row.second_term))
    return [_spot(explanation, term) for explanation, term in sides if term]


def _spot(explanation: Explanation, term: Term) -> dict[str, object]:
    """Where a word matched best on one page: its rectangle, whether that place won, and both in words."""
    shown = term.winner if term.winner.placed else term.closest
    box = shown.box if shown else None
    if term.winner.placed and box:
        place = whereabouts(explanation.attribution, box, term.winner.cell)
        said = f"Similarity {score(term.similarity)}, {place}."
    else:
        won = f"The winner is no place on the page but {KINDS[term.winner.kind]}, at {score(term.similarity)}."
        said = f"{won} {'The closest place is dashed; it did not win.' if box else 'The page has no places to show.'}"
    return {"box": list(asdict(box).values()) if box else None, "won": term.winner.placed, "said": said}
