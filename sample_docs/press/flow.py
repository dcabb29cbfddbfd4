"""Typesetting: turns the blocks of a text into paragraphs, tables, charts, figures and full-page plates of a PDF."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    FrameBreak,
    KeepTogether,
    PageBreak,
    PageTemplate,
    Paragraph,
    Table,
)

from press import charts, figures, furniture, markup, plates
from press.markup import Block
from press.theme import WHITE, Theme

TAG = re.compile(r"<[^>]+>")
NUMBER = set("0123456789.,+-−–%() ")


def typeset(text: str, target: Path, theme: Theme) -> None:
    """Typeset a text as the PDF `target`; equal texts give equal bytes.

    The front matter's `drop`, in points, lowers the top of the first page's columns.
    """
    matter, blocks = markup.parse(text)
    document = BaseDocTemplate(
        str(target),
        pagesize=theme.page,
        title=matter["title"],
        author=matter.get("author", ""),
        invariant=1,
        lang=matter.get("lang", "en"),
        initialFontName=theme.body,
    )

    def dress(canvas: Canvas, _: BaseDocTemplate) -> None:
        furniture.KINDS[theme.furniture](canvas, theme, matter)

    first = frames(theme, float(matter.get("drop", 0)))
    document.addPageTemplates(
        [
            PageTemplate("first", frames=first, onPage=dress, autoNextPageTemplate="page"),
            PageTemplate("page", frames=frames(theme), onPage=dress),
        ]
    )
    document.build(flowables(blocks, theme))


def frames(theme: Theme, drop: float = 0) -> list[Frame]:
    """Return the columns of a page, their tops lowered by `drop` points."""
    width, height = theme.page
    room = width - theme.left - theme.right - theme.gutter * (theme.columns - 1)
    each = room / theme.columns
    return [
        Frame(theme.left + n * (each + theme.gutter), theme.bottom, each, height - theme.top - theme.bottom - drop,
              leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)
        for n in range(theme.columns)
    ]  # fmt: skip


def flowables(blocks: list[Block], theme: Theme) -> list[Flowable]:
    """Return reportlab's flowables for the blocks, in order."""
    out: list[Flowable] = []
    for block in blocks:
        out.extend(_flowable(block, theme))
    return out


def _flowable(block: Block, theme: Theme) -> list[Flowable]:
    """Return the flowables of one block."""
    if block.kind in charts.KINDS:
        return _captioned(charts.Chart(block, theme), block, theme)
    if block.kind in SETTERS:
        return SETTERS[block.kind](block, theme)
    return [Paragraph(block.text, theme.style(block.kind)), *_rule(block, theme)]


def _rule(block: Block, theme: Theme) -> list[Flowable]:
    """Return a rule below a heading of the first level if the theme wants one, else no flowable."""
    return [Rule(theme)] if block.kind == "heading1" and theme.heading == "rule" else []


def _step(block: Block, theme: Theme) -> list[Flowable]:
    """Return a numbered step as a paragraph with its number as bullet."""
    number, _, words = block.text.partition(". ")
    return [Paragraph(words, theme.style("step"), bulletText=f"{number}.")]


def _table(block: Block, theme: Theme) -> list[Flowable]:
    """Return the table, kept on one page if it has at most 25 rows."""
    made = table(block, theme)
    return [made if len(block.rows) > 25 else KeepTogether([made])]


def _lead(block: Block, theme: Theme) -> list[Flowable]:
    """Return the rows of a fence as one lead paragraph."""
    return [Paragraph(" ".join(" | ".join(row) for row in block.rows), theme.style("lead"))]


def _captioned(drawing: Flowable, block: Block, theme: Theme) -> list[Flowable]:
    """Return the drawing, kept together with its caption if it has one."""
    caption = block.options.get("caption")
    return [KeepTogether([drawing, Paragraph(caption, theme.style("caption"))]) if caption else drawing]


class Rule(Flowable):
    """A short bar below a heading."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """Return the full width and a height of 12 points."""
        return width, 12

    def draw(self) -> None:
        """Draw the bar in the theme's second colour."""
        self.canv.setFillColor(self.theme.colour("second"))
        self.canv.rect(0, 8, 42, 2.6, stroke=0, fill=1)


class Plate(Flowable):
    """A drawing over the whole page or the top of it, in page coordinates."""

    def __init__(self, block: Block, theme: Theme) -> None:
        super().__init__()
        self.block, self.theme = block, theme

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """Return the height that the plate occupies in its frame: the option `height`, 0 for a full page."""
        return width, float(self.block.options.get("height", 0))

    def draw(self) -> None:
        """Move the origin back to the page's corner, then draw."""
        x, y = self.canv.absolutePosition(0, 0)
        self.canv.translate(-x, -y)
        plates.KINDS[self.block.options["art"]](self.canv, self.theme, self.block)


def note(block: Block, theme: Theme) -> Flowable:
    """Return the text in a tinted box with a coloured left edge."""
    box = Table([[Paragraph(block.text, theme.style("note"))]], colWidths=["100%"])
    box.setStyle(
        [
            ("FONT", (0, 0), (-1, -1), theme.body),
            ("BACKGROUND", (0, 0), (-1, -1), theme.colour("pale")),
            ("LINEBEFORE", (0, 0), (0, -1), 3, theme.colour("second")),
            ("LEFTPADDING", (0, 0), (-1, -1), 10),
            ("TOPPADDING", (0, 0), (-1, -1), 6),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 7),
        ]
    )
    box.spaceBefore, box.spaceAfter = 5, 9
    return box


def table(block: Block, theme: Theme) -> Table:
    """Return a table as wide as the column. Number columns are right-aligned; the head repeats on every page."""
    head, *body = block.rows
    bare = [[TAG.sub("", cell) for cell in row] for row in body]
    right = [all(set(row[n]) <= NUMBER for row in bare) and any(row[n] for row in bare) for n in range(len(head))]
    styles = {side: (_cell(theme, "head", side), _cell(theme, "cell", side)) for side in (False, True)}
    rows = [[Paragraph(cell, styles[right[n]][0]) for n, cell in enumerate(head)]]
    rows += [[Paragraph(cell, styles[right[n]][1]) for n, cell in enumerate(row)] for row in body]
    room = (theme.page[0] - theme.left - theme.right - theme.gutter * (theme.columns - 1)) / theme.columns
    made = Table(rows, colWidths=_widths(block.rows, theme, room), repeatRows=1)
    made.setStyle(_look(theme, body))
    made.spaceBefore, made.spaceAfter = 4, 11
    return made


def _cell(theme: Theme, kind: str, right: bool) -> ParagraphStyle:
    """Return the style of a cell, right-aligned if `right`; head cells on a coloured ground are white."""
    look = theme.style(kind)
    look.alignment = 2 if right else 0
    if kind == "head" and theme.table != "lines":
        look.textColor = WHITE
    return look


def _widths(rows: list[list[str]], theme: Theme, room: float) -> list[float]:
    """Return column widths that add up to `room`.

    If the natural widths exceed it, the widest columns are cut to one common limit; the result is then scaled to fit.
    """
    size = theme.size * 0.9
    natural = [max(stringWidth(row[n], theme.bold, size) + 11 for row in rows) for n in range(len(rows[0]))]
    limit = room
    while sum(min(width, limit) for width in natural) > room:
        limit *= 0.97
    cut = [min(width, limit) for width in natural]
    return [width * room / sum(cut) for width in cut]


def _look(theme: Theme, body: list[list[str]]) -> list[tuple]:
    """Return the table style commands; rows that start in bold or with "Total" are marked as sums."""
    accent, line = theme.colour("accent"), theme.grid
    tight = 2.1 if len(body) > 18 else 3.2
    look: list[tuple] = [
        ("FONT", (0, 0), (-1, -1), theme.body),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 4.5),
        ("RIGHTPADDING", (0, 0), (-1, -1), 4.5),
        ("TOPPADDING", (0, 0), (-1, -1), tight),
        ("BOTTOMPADDING", (0, 0), (-1, -1), tight + 0.6),
    ]
    if theme.table == "lines":
        look += [("LINEBELOW", (0, 0), (-1, 0), 1.1, accent), ("LINEBELOW", (0, 1), (-1, -1), 0.4, line)]
    else:
        look.append(("BACKGROUND", (0, 0), (-1, 0), accent))
    if theme.table == "zebra":
        look.append(("ROWBACKGROUNDS", (0, 1), (-1, -1), [WHITE, theme.colour("pale")]))
    if theme.table == "grid":
        look.append(("GRID", (0, 0), (-1, -1), 0.5, line))
    for n, row in enumerate(body, start=1):
        if row[0].startswith(("<b>", "Total")):
            look += [("LINEABOVE", (0, n), (-1, n), 0.9, accent), ("BACKGROUND", (0, n), (-1, n), theme.colour("pale"))]
    return look


SETTERS: dict[str, Callable[[Block, Theme], list[Flowable]]] = {
    "break": lambda block, theme: [PageBreak()],
    "column": lambda block, theme: [FrameBreak()],
    "plate": lambda block, theme: [Plate(block, theme), PageBreak()],
    "opener": lambda block, theme: [Plate(block, theme)],
    "table": _table,
    "figure": lambda block, theme: _captioned(figures.Figure(block, theme), block, theme),
    "note": lambda block, theme: [note(block, theme)],
    "bullet": lambda block, theme: [Paragraph(block.text, theme.style("bullet"), bulletText="•")],
    "step": _step,
    "lead": _lead,
}
"""Maps a kind of block to the maker of its flowables. Charts are in `charts.KINDS`; all other kinds are paragraphs."""
