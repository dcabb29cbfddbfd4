"""Vector charts from the rows of a fence: bars, stacked bars, lines, ring, key figures, scatter plot, wind rose."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sin

from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable

from press.markup import Block
from press.theme import WHITE, Theme

SIZE = 9.4
"""Font size in points that the coordinates are made for; a chart is scaled by the theme's size over this one."""


class Chart(Flowable):
    """A chart as wide as its column. Options: title, unit, height, max, names (of the series, split at /), caption."""

    def __init__(self, block: Block, theme: Theme) -> None:
        super().__init__()
        self.block, self.theme = block, theme
        self.height = float(block.options.get("height", 170))
        self.zoom = theme.size / SIZE
        self.names = [name.strip() for name in block.options.get("names", "").split("/") if name.strip()]

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """Return the column's full width and the chart's height with a margin of 14 units."""
        self.width = width / self.zoom
        return width, (self.height + 14) * self.zoom

    def draw(self) -> None:
        """Draw title and unit, then the plot of this kind of chart."""
        canvas = self.canv
        canvas.scale(self.zoom, self.zoom)
        canvas.translate(0, 8)
        canvas.setFillColor(self.theme.colour("ink"))
        canvas.setFont(self.theme.bold, SIZE)
        canvas.drawString(0, self.height - 11, self.block.options.get("title", ""))
        canvas.setFillColor(self.theme.grey)
        canvas.setFont(self.theme.body, 8)
        canvas.drawString(0, self.height - 23, self.block.options.get("unit", ""))
        KINDS[self.block.kind](self, canvas)

    def axis(self, canvas: Canvas, top: float) -> tuple[float, float, float, float]:
        """Draw five grid lines with numbers from 0 to `top`; return left, bottom, width and height of the plot."""
        left, bottom = 30.0, 30.0 if len(self.names) > 1 else 17.0
        width, height = self.width - left - 4, self.height - bottom - 36
        canvas.setFont(self.theme.body, 7)
        for step in range(5):
            y = bottom + height * step / 4
            canvas.setStrokeColor(self.theme.grid)
            canvas.setLineWidth(0.5)
            canvas.line(left, y, left + width, y)
            canvas.setFillColor(self.theme.grey)
            canvas.drawRightString(left - 4, y - 2.4, f"{top * step / 4:,.{0 if top >= 8 else 1}f}")
        return left, bottom, width, height

    def legend(self, canvas: Canvas) -> None:
        """Draw the names and colours of the series below the plot."""
        x = 30.0
        for name, colour in zip(self.names, self.theme.series(), strict=False):
            canvas.setFillColor(colour)
            canvas.rect(x, 2, 7, 7, stroke=0, fill=1)
            canvas.setFillColor(self.theme.grey)
            canvas.setFont(self.theme.body, 7.5)
            canvas.drawString(x + 11, 2.6, name)
            x += 24 + stringWidth(name, self.theme.body, 7.5)

    def top(self, highest: float) -> float:
        """Return the upper end of the axis: the option `max` if set, else the next round number from `highest` up."""
        if "max" in self.block.options:
            return float(self.block.options["max"])
        unit = 10 ** (len(str(int(highest))) - 1)
        return next(unit * n for n in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if unit * n >= highest)


def bars(chart: Chart, canvas: Canvas) -> None:
    """Draw the bars of each row side by side, with their values if there are at most 14 bars."""
    values = chart.block.numbers()
    left, bottom, width, height = chart.axis(canvas, top := chart.top(max(map(max, values))))
    slot = width / len(values)
    for n, (label, row) in enumerate(zip(chart.block.labels(), values, strict=True)):
        bar = slot * 0.66 / len(row)
        for k, value in enumerate(row):
            x = left + slot * n + slot * 0.17 + bar * k
            canvas.setFillColor(chart.theme.series()[k])
            canvas.rect(x, bottom, bar * 0.92, height * value / top, stroke=0, fill=1)
            if len(row) * len(values) <= 14:
                canvas.setFillColor(chart.theme.colour("ink"))
                canvas.setFont(chart.theme.bold, 7)
                canvas.drawCentredString(x + bar * 0.46, bottom + height * value / top + 3, f"{value:g}")
        _label(chart, canvas, left + slot * (n + 0.5), bottom, label)
    if len(chart.names) > 1:
        chart.legend(canvas)


def stacked(chart: Chart, canvas: Canvas) -> None:
    """Draw the bars of each row on top of each other, with their sum above."""
    values = chart.block.numbers()
    left, bottom, width, height = chart.axis(canvas, top := chart.top(max(map(sum, values))))
    slot = width / len(values)
    for n, (label, row) in enumerate(zip(chart.block.labels(), values, strict=True)):
        y = bottom
        for k, value in enumerate(row):
            canvas.setFillColor(chart.theme.series()[k])
            canvas.rect(left + slot * (n + 0.24), y, slot * 0.52, height * value / top, stroke=0, fill=1)
            y += height * value / top
        canvas.setFillColor(chart.theme.colour("ink"))
        canvas.setFont(chart.theme.bold, 7.5)
        canvas.drawCentredString(left + slot * (n + 0.5), y + 3, f"{sum(row):g}")
        _label(chart, canvas, left + slot * (n + 0.5), bottom, label)
    chart.legend(canvas)


def lines(chart: Chart, canvas: Canvas) -> None:
    """Draw one line per series over the rows. From 13 rows on, only every second or later label is drawn."""
    values = chart.block.numbers()
    left, bottom, width, height = chart.axis(canvas, top := chart.top(max(map(max, values))))
    step = width / max(1, len(values) - 1)
    for k in range(len(values[0])):
        points = [(left + step * n, bottom + height * row[k] / top) for n, row in enumerate(values)]
        canvas.setStrokeColor(chart.theme.series()[k])
        canvas.setFillColor(chart.theme.series()[k])
        canvas.setLineWidth(1.7)
        path = canvas.beginPath()
        path.moveTo(*points[0])
        for point in points[1:]:
            path.lineTo(*point)
        canvas.drawPath(path)
        if len(points) <= 16:
            for x, y in points:
                canvas.circle(x, y, 2.1, stroke=0, fill=1)
    every = 1 + len(values) // 13
    for n, label in enumerate(chart.block.labels()):
        if n % every == 0:
            _label(chart, canvas, left + step * n, bottom, label)
    if len(chart.names) > 1:
        chart.legend(canvas)


def ring(chart: Chart, canvas: Canvas) -> None:
    """Draw shares as a ring, with a list of labels and values beside it."""
    values = [row[0] for row in chart.block.numbers()]
    radius = (chart.height - 40) / 2
    x, y, angle = radius + 12, radius + 6, 90.0
    for value, colour in zip(values, chart.theme.series(), strict=False):
        canvas.setFillColor(colour)
        canvas.setStrokeColor(WHITE)
        canvas.setLineWidth(1.4)
        sweep = 360 * value / sum(values)
        canvas.wedge(x - radius, y - radius, x + radius, y + radius, angle - sweep, sweep, stroke=1, fill=1)
        angle -= sweep
    canvas.setFillColor(WHITE)
    canvas.circle(x, y, radius * 0.56, stroke=0, fill=1)
    for n, (label, value) in enumerate(zip(chart.block.labels(), values, strict=True)):
        row = y + 9 * len(values) - 19 * n - 12
        canvas.setFillColor(chart.theme.series()[n])
        canvas.rect(x + radius + 26, row - 1, 8, 8, stroke=0, fill=1)
        canvas.setFillColor(chart.theme.colour("ink"))
        canvas.setFont(chart.theme.body, 9)
        canvas.drawString(x + radius + 40, row, f"{label}  {value:g} %")


def keys(chart: Chart, canvas: Canvas) -> None:
    """Draw key figures as a row of boxes: a large number, its name and its change."""
    slot = chart.width / len(chart.block.rows)
    for n, (number, name, change) in enumerate(chart.block.rows):
        x = slot * n
        canvas.setFillColor(chart.theme.colour("pale"))
        canvas.roundRect(x, 0, slot - 10, chart.height, 5, stroke=0, fill=1)
        canvas.setFillColor(chart.theme.colour("accent"))
        canvas.setFont(chart.theme.head, 21)
        canvas.drawString(x + 10, chart.height - 32, number)
        canvas.setFillColor(chart.theme.colour("ink"))
        canvas.setFont(chart.theme.body, 8)
        canvas.drawString(x + 10, chart.height - 47, name)
        canvas.setFillColor(chart.theme.colour("second"))
        canvas.setFont(chart.theme.bold, 8)
        canvas.drawString(x + 10, chart.height - 60, change)


def scatter(chart: Chart, canvas: Canvas) -> None:
    """Draw points (x, y) and the diagonal; both axes run from 0 to the same upper end."""
    points = [(float(row[0]), float(row[1])) for row in chart.block.rows]
    left, bottom, width, height = chart.axis(canvas, top := chart.top(max(map(max, points))))
    canvas.setStrokeColor(chart.theme.grey)
    canvas.setDash(3, 2)
    canvas.line(left, bottom, left + width, bottom + height)
    canvas.setDash()
    canvas.setFillColor(chart.theme.series()[0])
    for x, y in points:
        canvas.circle(left + width * x / top, bottom + height * y / top, 1.8, stroke=0, fill=1)
    for step in range(5):
        _label(chart, canvas, left + width * step / 4, bottom, f"{top * step / 4:g}")


def rose(chart: Chart, canvas: Canvas) -> None:
    """Draw a wind rose: one petal per direction, clockwise from north."""
    values = [row[0] for row in chart.block.numbers()]
    radius = (chart.height - 66) / 2
    x, y = chart.width / 2, radius + 16
    canvas.setStrokeColor(chart.theme.grid)
    for part in (0.25, 0.5, 0.75, 1):
        canvas.circle(x, y, radius * part, stroke=1, fill=0)
    for n, (label, value) in enumerate(zip(chart.block.labels(), values, strict=True)):
        middle, half = 90 - 360 * n / len(values), 150 / len(values)
        reach = radius * value / max(values)
        canvas.setFillColor(chart.theme.series()[0])
        canvas.setStrokeColor(WHITE)
        canvas.wedge(x - reach, y - reach, x + reach, y + reach, middle - half, 2 * half, stroke=1, fill=1)
        canvas.setFillColor(chart.theme.grey)
        canvas.setFont(chart.theme.body, 7.5)
        across, up = cos(middle * pi / 180), sin(middle * pi / 180)
        canvas.drawCentredString(x + (radius + 10) * across, y + (radius + 10) * up - 2.5, f"{label} {value:g}")


def _label(chart: Chart, canvas: Canvas, x: float, bottom: float, label: str) -> None:
    """Draw a label of the horizontal axis, centred on `x`."""
    canvas.setFillColor(chart.theme.grey)
    canvas.setFont(chart.theme.body, 7.2)
    canvas.drawCentredString(x, bottom - 10, label)


KINDS: dict[str, Callable[[Chart, Canvas], None]] = {
    "bars": bars, "stacked": stacked, "lines": lines, "ring": ring, "keys": keys, "scatter": scatter, "rose": rose,
}  # fmt: skip
