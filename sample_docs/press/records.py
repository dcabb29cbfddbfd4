"""Station log of SK-2, January 2024: charts and a long table, from a small storm model with a fixed seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HEAD = """title: Station log SK-2, January 2024
author: Tidewerk Instruments
head: Station log SK-2 · January 2024
brand: Tidewerk Data
foot: Petrel 3, serial P3-1877, depth 24 m · times in UTC · quality controlled, version 2

"""
POINTS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
ROSE = (6, 4, 3, 7, 12, 27, 29, 12)
"""Share of the readings by direction in per cent, in the order of POINTS."""


@dataclass(frozen=True)
class Record:
    """One reading: heights in metres, period in seconds, direction in degrees, water in °C, wind in m/s."""

    day: int
    hour: int
    height: float
    highest: float
    period: float
    direction: int
    water: float
    wind: float


def readings() -> list[Record]:
    """Return four readings a day for 31 days, with storms on the 4th, the 13th and the 23rd, the last the heaviest."""
    rng = np.random.default_rng(2024)
    out = []
    for n in range(124):
        day = 1 + n / 4
        storm = sum(top * np.exp(-(((day - when) / 1.1) ** 2)) for when, top in ((4.5, 2.6), (13.2, 3.4), (23.4, 5.1)))
        height = float(0.7 + 0.25 * np.sin(day) ** 2 + storm + rng.normal(0, 0.09))
        out.append(
            Record(
                day=1 + n // 4,
                hour=6 * (n % 4),
                height=round(height, 2),
                highest=round(height * rng.uniform(1.55, 1.85), 2),
                period=round(4.2 + 1.5 * height**0.8 + rng.normal(0, 0.2), 1),
                direction=int(225 + 40 * np.sin(day / 3) + rng.normal(0, 9)),
                water=round(6.9 - 0.06 * day + rng.normal(0, 0.05), 1),
                wind=round(3.5 + 3.4 * height + abs(rng.normal(0, 0.7)), 1),
            )
        )
    return out


def text() -> str:
    """Return the log as a text for `markup.parse`: a page of charts, a page of statistics, then every reading."""
    log = readings()
    heights = "\n".join(f"{r.day} | {r.height} | {r.highest}" for r in log)
    petals = "\n".join(f"{point} | {share}" for point, share in zip(POINTS, ROSE, strict=True))
    classes = "\n".join(_class(log, low) for low in range(7))
    rows = "\n".join(map(_row, log))
    return f"""{HEAD}# Wave height, January 2024
```lines unit="metres, six-hourly, by day of the month" names="significant height Hs / maximum height Hmax" height="230"
{heights}
```
```rose title="Where the waves came from" unit="share of readings, per cent" height="280"
{petals}
```
---

# How often which height
```bars title="Readings by wave height" unit="number of readings, by significant height in metres" height="230"
{classes}
```
## Accessibility for crew transfer
Transfer by boat is possible while significant wave height stays below 1.5 metres. In January this held for
{_share(log, 1.5)} per cent of the readings. The longest closed spell lasted {_closed(log, 1.5)}.

```lines title="Water temperature" unit="degrees Celsius by day of the month" height="210" max="8"
{chr(10).join(f"{r.day} | {r.water}" for r in log if r.hour == 12)}
```
---

# All readings
| Time | Hs, m | Hmax, m | Tp, s | Direction, ° | Water, °C | Wind, m/s |
{rows}
"""


def _row(r: Record) -> str:
    """Return a reading as a table row."""
    when = f"{r.day:02d} Jan {r.hour:02d}:00"
    return f"| {when} | {r.height:.2f} | {r.highest:.2f} | {r.period} | {r.direction} | {r.water} | {r.wind} |"


def _closed(log: list[Record], limit: float) -> str:
    """Return the dates of the longest run of readings at or above the limit, in words."""
    runs: list[list[Record]] = [[]]
    for reading in log:
        runs = [*runs, []] if reading.height < limit else [*runs[:-1], [*runs[-1], reading]]
    longest = max(runs, key=len)
    first, last = longest[0], longest[-1]
    return f"from {first.day} January, {first.hour:02d}:00, to {last.day} January, {last.hour:02d}:00"


def _class(log: list[Record], low: int) -> str:
    """Return the chart row for wave heights from `low` to under `low` + 1 metres."""
    return f"{low}–{low + 1} | {sum(low <= r.height < low + 1 for r in log)}"


def _share(log: list[Record], limit: float) -> int:
    """Return the share of readings below the limit, in whole per cent."""
    return round(100 * sum(r.height < limit for r in log) / len(log))
