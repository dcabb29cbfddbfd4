"""The threads between the columns: one curve per page, from its place on the left to its place on the right.

Rows of both columns are equally high, so places are known without measuring: row i of n lies at (i + ½) / n.
"""

from __future__ import annotations

from smart_demo.search.comparison import Change
from smart_demo.ui.rows import Columns, Row
from smart_demo.ui.wording import esc, page_key

HEIGHT = 1000


def threads(shown: Columns) -> str:
    """An SVG as high as the columns. Pages that leave or enter the top k end in the air, dashed."""
    rows = max(len(shown.left), len(shown.right), 1)
    curves = [_thread(row, rows, leaving=True) for row in shown.left]
    curves += [_thread(row, rows, leaving=False) for row in shown.right if row.move.change is Change.NEW]
    return (
        f'<svg class="threads" viewBox="0 0 100 {HEIGHT}" preserveAspectRatio="none" aria-hidden="true" '
        f'focusable="false">{"".join(curves)}</svg>'
    )


def _thread(row: Row, rows: int, *, leaving: bool) -> str:
    def at(rank: int) -> float:
        return (rank - 0.5) / rows * HEIGHT

    here, change = at(row.hit.rank), row.move.change
    reach = min(HEIGHT / rows * 0.3, HEIGHT - here)
    if change is Change.LEFT:
        path = f"M0,{here:.1f} C26,{here:.1f} 40,{here + reach * 0.4:.1f} 42,{here + reach:.1f}"
    elif change is Change.NEW:
        path = f"M100,{here:.1f} C74,{here:.1f} 60,{here + reach * 0.4:.1f} 58,{here + reach:.1f}"
    else:
        there = at(row.move.right or row.hit.rank) if leaving else here
        path = f"M0,{here:.1f} C50,{here:.1f} 50,{there:.1f} 100,{there:.1f}"
    key = page_key(row.hit.page.scope, row.hit.page.id)
    return (
        f'<path class="thread thread-{change}" data-page="{esc(key)}" d="{path}" fill="none" '
        'vector-effect="non-scaling-stroke"/>'
    )
