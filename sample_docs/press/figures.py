"""Line drawings for the manual, the datasheets and the paper: numbered call-outs over simple vector shapes."""

from __future__ import annotations

from collections.abc import Callable

from reportlab.lib.colors import HexColor
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable

from press.markup import Block
from press.theme import WHITE, Theme

INK = HexColor("#24313c")
FAINT = HexColor("#9fb0ba")


class Figure(Flowable):
    """A drawing of 440 x 220 units, scaled to its column. Options: name, caption. The rows hold the call-out texts."""

    def __init__(self, block: Block, theme: Theme) -> None:
        super().__init__()
        self.block, self.theme = block, theme

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """Return the column's width and half of it as height, with a margin of 8 points."""
        self.width, self.height = width, width / 2
        return width, self.height + 8

    def draw(self) -> None:
        """Draw the frame, then the drawing of the option `name`."""
        canvas = self.canv
        canvas.translate(0, 4)
        canvas.setStrokeColor(FAINT)
        canvas.setLineWidth(0.6)
        canvas.setFillColor(HexColor("#fafcfc"))
        canvas.roundRect(0, 0, self.width, self.height, 4, stroke=1, fill=1)
        canvas.scale(self.width / 440, self.width / 440)
        canvas.setStrokeColor(INK)
        canvas.setLineWidth(1.3)
        canvas.setFillColor(WHITE)
        DRAWINGS[self.block.options["name"]](self, canvas)

    def call(self, canvas: Canvas, number: int, end: tuple[float, float], tip: tuple[float, float]) -> None:
        """Draw call-out `number`: a disc at `end`, its text beside it and a leader line to `tip`."""
        words = self.block.rows[number - 1][0]
        canvas.setStrokeColor(FAINT)
        canvas.setLineWidth(0.8)
        canvas.line(*end, *tip)
        canvas.setFillColor(self.theme.colour("second"))
        canvas.circle(*end, 7.5, stroke=0, fill=1)
        canvas.setFillColor(WHITE)
        canvas.setFont(self.theme.bold, 8.5)
        canvas.drawCentredString(end[0], end[1] - 3, str(number))
        canvas.setFillColor(INK)
        canvas.setFont(self.theme.body, 8.6)
        if end[0] < tip[0]:
            canvas.drawRightString(end[0] - 11, end[1] - 3, words)
        else:
            canvas.drawString(end[0] + 11, end[1] - 3, words)
        canvas.setStrokeColor(INK)
        canvas.setLineWidth(1.3)
        canvas.setFillColor(WHITE)


def buoy(figure: Figure, canvas: Canvas) -> None:
    """Draw the buoy from the side, with call-outs for its parts."""
    canvas.line(220, 20, 220, 60)
    canvas.circle(220, 92, 48, stroke=1, fill=1)
    canvas.rect(166, 86, 108, 11, stroke=1, fill=1)
    canvas.rect(216, 138, 8, 52, stroke=1, fill=1)
    canvas.rect(198, 150, 44, 20, stroke=1, fill=1)
    canvas.circle(220, 196, 6, stroke=1, fill=1)
    canvas.circle(220, 38, 6, stroke=1, fill=1)
    canvas.ellipse(192, 110, 248, 128, stroke=1, fill=1)
    figure.call(canvas, 1, (320, 196), (228, 196))
    figure.call(canvas, 2, (120, 160), (197, 160))
    figure.call(canvas, 3, (320, 140), (244, 120))
    figure.call(canvas, 4, (120, 92), (164, 92))
    figure.call(canvas, 5, (320, 84), (268, 76))
    figure.call(canvas, 6, (120, 38), (212, 38))


def mooring(figure: Figure, canvas: Canvas) -> None:
    """Draw the mooring from the surface to the sea bed."""
    canvas.setStrokeColor(FAINT)
    for n in range(8):
        canvas.arc(20 + 50 * n, 184, 70 + 50 * n, 196, 0, 180)
    canvas.setStrokeColor(INK)
    canvas.line(20, 22, 420, 22)
    for n in range(20):
        canvas.line(24 + 20 * n, 22, 16 + 20 * n, 14)
    canvas.circle(150, 192, 13, stroke=1, fill=1)
    canvas.bezier(150, 179, 150, 120, 230, 150, 250, 84)
    canvas.circle(214, 124, 8, stroke=1, fill=1)
    canvas.setDash(5, 2)
    canvas.bezier(250, 84, 262, 40, 290, 28, 330, 26)
    canvas.setDash()
    canvas.circle(250, 84, 4, stroke=1, fill=1)
    canvas.rect(326, 22, 38, 22, stroke=1, fill=1)
    figure.call(canvas, 1, (230, 204), (164, 194))
    figure.call(canvas, 2, (140, 112), (166, 140))
    figure.call(canvas, 3, (290, 136), (223, 125))
    figure.call(canvas, 4, (320, 92), (255, 85))
    figure.call(canvas, 5, (200, 50), (268, 42))
    figure.call(canvas, 6, (340, 70), (340, 44))


def panel(figure: Figure, canvas: Canvas) -> None:
    """Draw the service panel under the lid."""
    canvas.roundRect(130, 26, 180, 168, 14, stroke=1, fill=1)
    canvas.roundRect(146, 126, 82, 52, 4, stroke=1, fill=1)
    for n in range(3):
        canvas.line(154, 166 - 12 * n, 220, 166 - 12 * n)
    for n in range(4):
        canvas.circle(254 + 13 * n, 166, 4, stroke=1, fill=1)
    canvas.circle(270, 130, 13, stroke=1, fill=1)
    canvas.line(270, 130, 270, 143)
    canvas.rect(150, 76, 34, 20, stroke=1, fill=1)
    canvas.circle(222, 86, 12, stroke=1, fill=1)
    canvas.circle(270, 86, 12, stroke=1, fill=1)
    canvas.roundRect(150, 40, 140, 22, 3, stroke=1, fill=1)
    figure.call(canvas, 1, (106, 152), (146, 152))
    figure.call(canvas, 2, (340, 168), (298, 166))
    figure.call(canvas, 3, (340, 130), (283, 130))
    figure.call(canvas, 4, (106, 86), (150, 86))
    figure.call(canvas, 5, (340, 86), (282, 86))
    figure.call(canvas, 6, (106, 50), (150, 50))


def lift(figure: Figure, canvas: Canvas) -> None:
    """Draw the buoy lifted by a crane, with sling angles and safe zone."""
    canvas.line(60, 24, 400, 24)
    canvas.rect(70, 24, 54, 40, stroke=1, fill=1)
    canvas.line(98, 64, 250, 196)
    canvas.line(108, 64, 250, 190)
    canvas.line(250, 194, 250, 152)
    canvas.line(250, 152, 228, 112)
    canvas.line(250, 152, 272, 112)
    canvas.circle(250, 92, 28, stroke=1, fill=1)
    canvas.setDash(4, 3)
    canvas.ellipse(170, 14, 330, 34, stroke=1, fill=0)
    canvas.setDash()
    figure.call(canvas, 1, (310, 176), (252, 176))
    figure.call(canvas, 2, (320, 130), (266, 124))
    figure.call(canvas, 3, (330, 86), (278, 88))
    figure.call(canvas, 4, (310, 56), (290, 33))


def battery(figure: Figure, canvas: Canvas) -> None:
    """Draw the change of the battery pack: lid, pack, connector and seal."""
    canvas.arc(140, 10, 300, 120, 0, -180)
    canvas.ellipse(140, 48, 300, 82, stroke=1, fill=1)
    canvas.ellipse(168, 54, 272, 76, stroke=1, fill=1)
    canvas.roundRect(186, 94, 68, 62, 4, stroke=1, fill=1)
    canvas.line(186, 140, 254, 140)
    canvas.bezier(220, 94, 206, 86, 232, 80, 220, 66)
    canvas.ellipse(170, 178, 270, 204, stroke=1, fill=1)
    canvas.setDash(3, 3)
    canvas.line(220, 176, 220, 158)
    canvas.setDash()
    figure.call(canvas, 1, (320, 191), (270, 191))
    figure.call(canvas, 2, (120, 126), (186, 126))
    figure.call(canvas, 3, (320, 96), (226, 84))
    figure.call(canvas, 4, (120, 66), (142, 66))


def outline(figure: Figure, canvas: Canvas) -> None:
    """Draw the outline with dimension lines; the rows hold the measures."""
    canvas.circle(220, 84, 50, stroke=1, fill=1)
    canvas.rect(164, 79, 112, 10, stroke=1, fill=1)
    canvas.rect(215, 133, 10, 52, stroke=1, fill=1)
    canvas.rect(196, 148, 48, 22, stroke=1, fill=1)
    canvas.setLineWidth(0.7)
    canvas.setStrokeColor(figure.theme.colour("accent"))
    for (x1, y1), (x2, y2), row in (((164, 20), (276, 20), 0), ((350, 34), (350, 185), 1), ((100, 34), (100, 134), 2)):
        canvas.line(x1, y1, x2, y2)
        for x, y in ((x1, y1), (x2, y2)):
            canvas.line(x - 4, y - 4, x + 4, y + 4)
        canvas.setFillColor(INK)
        canvas.setFont(figure.theme.bold, 9)
        canvas.drawString((x1 + x2) / 2 + 6, (y1 + y2) / 2 + 5, figure.block.rows[row][0])
    canvas.setDash(6, 2)
    canvas.line(220, 10, 220, 205)


def chain(figure: Figure, canvas: Canvas) -> None:
    """Draw a processing chain: one box per row, joined by arrows."""
    slot = 420 / len(figure.block.rows)
    for n, (words,) in enumerate(figure.block.rows):
        x = 10 + slot * n
        canvas.setFillColor(figure.theme.colour("pale"))
        canvas.roundRect(x + 3, 76, slot - 20, 66, 5, stroke=1, fill=1)
        canvas.setFillColor(INK)
        canvas.setFont(figure.theme.body, 11)
        for k, part in enumerate(words.split(" / ")):
            canvas.drawCentredString(x + (slot - 14) / 2, 116 - 15 * k, part)
        if n + 1 < len(figure.block.rows):
            canvas.line(x + slot - 17, 109, x + slot + 1, 109)
            canvas.line(x + slot - 5, 113, x + slot + 1, 109)
            canvas.line(x + slot - 5, 105, x + slot + 1, 109)


DRAWINGS: dict[str, Callable[[Figure, Canvas], None]] = {
    "buoy": buoy, "mooring": mooring, "panel": panel, "lift": lift, "battery": battery, "outline": outline,
    "chain": chain,
}  # fmt: skip
