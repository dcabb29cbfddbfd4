"""Every sample document: its file, and what makes it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from press.flow import typeset
from press.theme import Theme

TEXTS = Path(__file__).resolve().parent.parent / "text"

REPORT = Theme(body="Manrope", head="Manrope-Heavy", size=9.2, accent="#0b4d6e", second="#e0762f", heading="rule")
SHEET = Theme(accent="#0c5f73", second="#f2a31e", pale="#eaf4f5", table="zebra", size=9.3)
HERON = Theme(accent="#5a2a27", second="#e8662c", pale="#f9efea", table="zebra", size=9.3)
MANUAL = Theme(accent="#20303c", second="#d9480f", pale="#fff3e6", table="grid", furniture="side", left=64, right=48,
               top=44, size=9.6, scale=1.08)  # fmt: skip
PRICES = Theme(accent="#19405c", second="#c0392b", pale="#eef3f7", table="zebra", furniture="band", top=78, size=9.4)

Maker = Callable[[Path], None]


def _text(name: str, theme: Theme) -> Maker:
    return partial(typeset, TEXTS / name, theme=theme)


DOCUMENTS: dict[str, Maker] = {
    "annual-report-2024.pdf": _text("annual-report-2024.md", REPORT),
    "petrel-3-datasheet.pdf": _text("petrel-3-datasheet.md", SHEET),
    "heron-600-datasheet.pdf": _text("heron-600-datasheet.md", HERON),
    "petrel-3-manual.pdf": _text("petrel-3-manual.md", MANUAL),
    "price-list-2023.pdf": _text("price-list-2023.md", PRICES),
    "price-list-2024.pdf": _text("price-list-2024.md", PRICES),
}
"""File name: what writes it to a path."""
