"""Themes: page size, typefaces and colours of a document, and the paragraph styles derived from them."""

from __future__ import annotations

from dataclasses import dataclass

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_CENTER, TA_JUSTIFY
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle

WHITE = HexColor("#ffffff")


@dataclass(frozen=True)
class Theme:
    """Look of a document. Lengths are in points."""

    body: str = "Lato"
    head: str = "Lato-Black"
    size: float = 9.6
    ink: str = "#1d2733"
    accent: str = "#0b5d7a"
    second: str = "#e0762f"
    pale: str = "#e9f1f4"
    page: tuple[float, float] = A4
    left: float = 56
    right: float = 56
    top: float = 70
    bottom: float = 62
    columns: int = 1
    gutter: float = 20
    heading: str = "plain"
    """Style of the headings: plain, rule or centre."""
    table: str = "lines"
    """Style of the tables: lines, zebra or grid."""
    justified: bool = False
    furniture: str = "line"
    """Header and footer, a key of `furniture.KINDS`: line, band, side, journal, slide, menu or none."""
    scale: float = 1.0
    """Factor on the size of headings of the first and second level."""

    def colour(self, name: str) -> Color:
        """Return the colour of a role: ink, accent, second or pale."""
        return HexColor(getattr(self, name))

    @property
    def bold(self) -> str:
        """Name of the bold face of the body's family."""
        return f"{self.body}-Bold"

    @property
    def dark(self) -> bool:
        """True if the text is light on a dark page."""
        return sum(HexColor(self.ink).rgb()) > 2

    @property
    def grid(self) -> Color:
        """Colour of the hairlines in charts and tables."""
        return HexColor("#2c4c61" if self.dark else "#cfd8dd")

    @property
    def grey(self) -> Color:
        """Colour of small text: labels, units, captions."""
        return HexColor("#a9bdca" if self.dark else "#5c6873")

    def series(self) -> list[Color]:
        """Return the colours for the series of a chart, in order."""
        mixed = [self.accent, self.second, "#7d93a3", "#c3a13a", "#5b8f6b", "#8c5a7f"]
        return [HexColor(value) for value in mixed]

    def style(self, kind: str) -> ParagraphStyle:
        """Return the paragraph style of a kind of block, of a cell or of a caption."""
        sizes = {"heading1": 2.15 * self.scale, "heading2": 1.4 * self.scale, "heading3": 1.08, "lead": 1.3,
                 "cell": 0.88, "head": 0.82, "caption": 0.84, "step": 1.0}  # fmt: skip
        size = self.size * sizes.get(kind, 1.0)
        leading = size * (1.2 if kind.startswith("heading") else 1.28 if kind in ("cell", "head") else 1.42)
        look = ParagraphStyle(kind, fontName=self.body, fontSize=size, leading=leading, textColor=self.colour("ink"))
        if kind.startswith("heading"):
            look.fontName, look.textColor, look.keepWithNext = self.head, self.colour("accent"), 1
            look.spaceBefore, look.spaceAfter = size * 0.75, size * 0.38
            look.alignment = TA_CENTER if self.heading == "centre" else 0
        elif kind in ("text", "lead"):
            look.spaceAfter = size * 0.62
            look.alignment = TA_JUSTIFY if self.justified else TA_CENTER if self.heading == "centre" else 0
        elif kind in ("bullet", "step"):
            look.leftIndent, look.bulletIndent, look.spaceAfter = size * 1.5, size * 0.2, size * 0.35
            look.bulletFontName, look.bulletFontSize = self.bold, size
        elif kind == "head":
            look.fontName = self.bold
        elif kind == "caption":
            look.textColor, look.spaceAfter = self.grey, size * 0.9
        return look
