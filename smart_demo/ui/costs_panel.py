"""Markup of what late interaction costs. Every figure says where it comes from; one that nobody measured says that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from smart_demo.config import CODECS
from smart_demo.search.costs import STAGES, Costs, Stage
from smart_demo.ui.wording import count, digits, duration, esc, room

SIZES = ((10_000, "10 thousand"), (1_000_000, "1 million"), (1_000_000_000, "1 billion"))
UNMEASURED, UNKNOWN, NOTHING = "not measured yet", "not extrapolated", "–"
CALLED = {
    "encode": "Encoding the query",
    "candidates": "Finding the candidates",
    "score": "Scoring token by token",
    "rank": "Ranking",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: what is told, its figures, and where they come from."""

    label: str
    cells: Sequence[str]
    source: str = ""
    share: float | None = None
    """0..1 of a bar below the label; None for no bar."""


def costs_panel(costs: Costs | None, whose: str, encoder: str) -> str:
    """The whole section. `whose` and `encoder` are plain text: whose pages these are and what made them."""
    if costs is None:
        return '<p class="quiet">There are no pages here yet, so there is nothing to measure.</p>'
    return (
        f'<p class="price">{esc(price(costs))}</p>'
        f'<p class="hood-said">{esc(_counted(costs, whose, encoder))}</p>'
        f'<div class="hood-pair">{_per_page(costs)}{_times(costs)}</div>{_at_scale(costs)}'
    )


def price(costs: Costs) -> str:
    """The price of late interaction in one plain sentence."""
    return (
        f"Keeping the token states takes {digits(costs.price)} times the room of the pooled vectors alone: "
        f"{room(costs.kept)} a page instead of {room(costs.pooled)}. That is the price of late interaction."
    )


def _counted(costs: Costs, whose: str, encoder: str) -> str:
    span = f", from {costs.fewest:,} to {costs.most:,}" if costs.fewest < costs.most else ""
    return (
        f"{count(costs.pages, 'page')} of {whose}, encoded by {encoder}: {costs.tokens:,.0f} token states "
        f"a page{span}, of {costs.width:,} numbers each. On this disk all of it takes {room(costs.disk)}, page images "
        "included."
    )


def _per_page(costs: Costs) -> str:
    largest = max(costs.states.values())
    rows = [Row("Pooled vector, float32", ["1", room(costs.pooled), "1"], share=costs.pooled / largest)]
    for codec in CODECS:
        kept, size = costs.stored.get(codec, 0), costs.states[codec]
        said = "" if not kept else "kept so here" if kept == costs.pages else f"{count(kept, 'page')} kept so here"
        cells = [f"{costs.tokens:,.0f}", room(size), digits(size / costs.pooled)]
        rows.append(Row(f"Token states, {codec}", cells, said, size / largest))
    return _table(
        "Room of a page",
        ["vectors", "bytes", "× pooled"],
        rows,
        "Means over these pages, from the layout of a token file: codes, and each token's kind and place. The file's "
        "header and the page image come on top.",
    )


def _times(costs: Costs) -> str:
    rows = [_indexing(costs), *(_stage(stage, costs.stages.get(stage)) for stage in STAGES)]
    return _table(
        "Time, on this machine",
        ["takes", "from"],
        rows,
        "Wall time. A page: drawing it, encoding it and writing it to the disk. A query: the last ones since the start "
        "that really ran the stage; what was answered from memory does not count.",
    )


def _indexing(costs: Costs) -> Row:
    label, found = "Taking a page in", costs.indexing
    if found is None:
        return Row(label, [UNMEASURED, NOTHING])
    pages = count(found.pages, "page") if found.pages == costs.pages else f"{found.pages:,} of {costs.pages:,} pages"
    return Row(label, [duration(found.mean), f"mean of {pages}, median {duration(found.median)}"])


def _stage(stage: str, found: Stage | None) -> Row:
    if found is None:
        return Row(CALLED[stage], [UNMEASURED, NOTHING])
    queries = "1 query" if found.queries == 1 else f"{found.queries:,} queries"
    return Row(CALLED[stage], [duration(found.milliseconds / 1_000), f"median of {queries}"])


def _at_scale(costs: Costs) -> str:
    scaled, depth = [costs.at(pages) for pages, _ in SIZES], f"{costs.depth:,}"
    rows = [
        Row("Pooled vectors, float32", [room(one.pooled) for one in scaled], "bytes of a page × pages"),
        *(
            Row(f"Token states, {codec}", [room(one.states[codec]) for one in scaled], "mean bytes of a page × pages")
            for codec in CODECS
        ),
        Row("Taking them in", _spans(one.indexing for one in scaled), "mean time of a page × pages, one such machine"),
        Row(
            "Scoring every page, a query",
            _spans(_seconds(one.every_page) for one in scaled),
            "median time of a scored page × pages",
        ),
        Row(
            f"Scoring {depth} candidates, a query",
            _spans(_seconds(one.candidates) for one in scaled),
            f"median time of a scored page × {depth}, whatever the size",
        ),
        Row("Finding those candidates", [UNKNOWN] * len(SIZES), "never measured at such a size"),
    ]
    return _table(
        "What more pages would need",
        [said for _, said in SIZES],
        rows,
        "Extrapolated in a straight line from the figures above, without page images and file headers. "
        f"Up to {count(costs.exhaustive, 'page')} this program "
        f"scores every page; beyond that the {depth} whose pooled vectors are nearest.",
        wide=True,
    )


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1_000


def _spans(seconds: Iterable[float | None]) -> list[str]:
    return [UNMEASURED if value is None else duration(value) for value in seconds]


def _table(title: str, heads: Sequence[str], rows: Sequence[Row], note: str, *, wide: bool = False) -> str:
    """A table with its source below; narrow screens show each head above its figure."""
    columns = "".join(f'<th scope="col">{esc(head)}</th>' for head in heads)
    return (
        f'<figure class="hood-table{" is-wide" if wide else ""}"><table><caption>{esc(title)}</caption>'
        f"<thead><tr><td></td>{columns}</tr></thead><tbody>{''.join(_markup(row, heads) for row in rows)}</tbody>"
        f"</table><figcaption>{esc(note)}</figcaption></figure>"
    )


def _markup(row: Row, heads: Sequence[str]) -> str:
    source = f"<small>{esc(row.source)}</small>" if row.source else ""
    bar = (
        ""
        if row.share is None
        else f'<span class="bar"><i class="fill" style="width:{row.share * 100:.2f}%"></i></span>'
    )
    cells = "".join(
        f'<td data-head="{esc(head)}"{_quiet(cell)}>{esc(cell)}</td>'
        for head, cell in zip(heads, row.cells, strict=True)
    )
    return f'<tr><th scope="row">{esc(row.label)}{source}{bar}</th>{cells}</tr>'


def _quiet(cell: str) -> str:
    """Words are set smaller than figures."""
    return "" if cell[0].isdigit() or cell[0] == "<" else ' class="is-said"'
