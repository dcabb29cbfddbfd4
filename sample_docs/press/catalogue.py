"""List of all sample documents: file names, themes and the functions that write them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from press import invoices, plans, poster, records, scans
from press.flow import typeset
from press.theme import Theme

TEXTS = Path(__file__).resolve().parent.parent / "text"

REPORT = Theme(body="Manrope", head="Manrope-Heavy", size=11.2, accent="#0b4d6e", second="#e0762f", heading="rule")
SHEET = Theme(accent="#0c5f73", second="#f2a31e", pale="#eaf4f5", table="zebra", size=11.2)
HERON = Theme(accent="#5a2a27", second="#e8662c", pale="#f9efea", table="zebra", size=11.2)
MANUAL = Theme(
    accent="#20303c",
    second="#d9480f",
    pale="#fff3e6",
    table="grid",
    furniture="side",
    left=64,
    right=48,
    top=44,
    size=12.1,
)
PRICES = Theme(accent="#19405c", second="#c0392b", pale="#eef3f7", table="zebra", furniture="band", top=78, size=10.8)
PAPER = Theme(
    body="Serif",
    head="Serif-Bold",
    size=10.7,
    accent="#1c1c28",
    second="#8a1c2b",
    pale="#f1f1f4",
    columns=2,
    gutter=18,
    left=46,
    right=46,
    top=62,
    bottom=50,
    justified=True,
    furniture="journal",
    scale=0.9,
)
GAZETTE = Theme(
    body="Serif",
    head="Serif-Bold",
    size=12.3,
    ink="#22201c",
    accent="#7c1f1f",
    second="#7c1f1f",
    pale="#f6f1e6",
    columns=2,
    gutter=22,
    left=46,
    right=46,
    top=64,
    bottom=50,
    scale=0.98,
    furniture="journal",
)
MINUTES = Theme(size=12.6, head="Lato-Bold", accent="#333a40", second="#6c7a86", pale="#f0f2f3", scale=0.9)
GERMAN = Theme(
    body="Manrope", head="Manrope-Bold", size=10.8, accent="#1d5b45", second="#d4a017", pale="#edf4ef", table="zebra"
)
NOTICE = Theme(
    size=13, head="Fjalla", accent="#9b1c31", second="#e9a820", pale="#fdf4e1", table="grid", furniture="band", top=82
)
MENU = Theme(
    body="Serif",
    head="Amatic",
    size=14.6,
    ink="#3b2a1e",
    accent="#8c3b1f",
    second="#8c3b1f",
    pale="#f4e6c8",
    left=64,
    right=64,
    top=62,
    bottom=104,
    heading="centre",
    furniture="menu",
    scale=2.0,
)
LOG = Theme(size=10, accent="#123f5c", second="#d9782b", pale="#eef4f8", table="zebra", scale=1.1)
SLIDES = Theme(
    body="Manrope",
    head="Manrope-Heavy",
    size=20,
    ink="#f2f6f8",
    accent="#ffcf40",
    second="#35b6c9",
    pale="#16405a",
    page=(960, 540),
    left=56,
    right=56,
    top=44,
    bottom=58,
    furniture="slide",
)

Maker = Callable[[Path], None]


def _text(name: str, theme: Theme) -> Maker:
    """Return a function that typesets the text file `name` with `theme`."""
    return lambda target: typeset((TEXTS / name).read_text(encoding="utf-8"), target, theme)


def _log(target: Path) -> None:
    """Write the station log, whose text is computed."""
    typeset(records.text(), target, LOG)


DOCUMENTS: dict[str, Maker] = {
    "annual-report-2024.pdf": _text("annual-report-2024.md", REPORT),
    "petrel-3-datasheet.pdf": _text("petrel-3-datasheet.md", SHEET),
    "heron-600-datasheet.pdf": _text("heron-600-datasheet.md", HERON),
    "petrel-3-manual.pdf": _text("petrel-3-manual.md", MANUAL),
    "price-list-2023.pdf": _text("price-list-2023.md", PRICES),
    "price-list-2024.pdf": _text("price-list-2024.md", PRICES),
    "investor-update-q3-2024.pdf": _text("investor-update-q3-2024.md", SLIDES),
    "invoices-march-2024.pdf": partial(invoices.write, TEXTS / "invoices.toml"),
    "scanned-letter-harbour-master.pdf": partial(scans.letter, TEXTS / "letter.toml"),
    "scanned-service-form.pdf": partial(scans.form, TEXTS / "form.toml"),
    "site-map-and-floor-plan.pdf": partial(plans.write, TEXTS / "plans.toml"),
    "poster-ocean-day.jpg": poster.write,
    "station-log-sk2-january-2024.pdf": _log,
    "paper-fouling-spectra.pdf": _text("paper-fouling-spectra.md", PAPER),
    "minutes-vesterrev-2024-10-17.pdf": _text("minutes-vesterrev-2024-10-17.md", MINUTES),
    "wellenboje-kurzanleitung-de.pdf": _text("wellenboje-kurzanleitung-de.md", GERMAN),
    "boya-aviso-es.pdf": _text("boya-aviso-es.md", NOTICE),
    "skarhavn-gazette-june.pdf": _text("skarhavn-gazette-june.md", GAZETTE),
    "galley-menu-week-24.pdf": _text("galley-menu-week-24.md", MENU),
}
"""Maps each file name to the function that writes this document to a path."""
