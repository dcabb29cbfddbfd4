"""Pairs of reports that are equal as bags and differ in what is bound to what: the code-marker stress test.

Rebuilt from the description of the paper's test. A report has 25 chart panels in a 5x5 layout; each panel binds a
marker, told by colour and shape, to a short code. Report B of a pair has A's layout, charts, markers and codes, and
only permutes the codes by a derangement, so that no panel keeps its own. A question asks for the report "where code X
labels the red star marker"; every word of it stands on both pages, and only one of them binds the two.

Pure data of a seed: no picture is drawn here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

SEED = 20_260_524
PAIRS, ROWS, COLUMNS = 40, 5, 5
PANELS = ROWS * COLUMNS
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black")
SHAPES = ("circle", "square", "triangle", "diamond", "star", "cross", "hexagon", "arrow")
CHARTS = ("lines", "bars", "points", "area", "steps", "columns")
LETTERS, DIGITS = "ABCDEFGHJKLMNPQRSTUVWXYZ", "23456789"
"""Without I, O, 0 and 1: a code should be readable on a small picture."""
_SUBJECTS = (
    "Pump flow|Boiler pressure|Grid load|Fuel use|Crane hours|Valve leaks|Steam yield|Dock traffic|Water level|"
    "Wind speed|Parts scrap|Order backlog|Heat loss|Cable strain|Noise level|Tank volume|Belt speed|Oil pressure|"
    "Test failures|Gate delay|Salt content|Air quality|Shift hours|Repair cost|Spare stock|Turbine wear|Filter life|"
    "Motor current|Cargo weight|Ice cover|Fan speed|Gas burned"
)
PLACES = tuple(f"{place} {number}" for place in ("hall", "line", "unit", "site") for number in range(1, 7))
_STATIONS = (
    "Aldermoor|Brackwater|Coldharbour|Dunsby|Eastlea|Fernhill|Greywell|Holmfirth|Ironbridge|Kettering|Langdale|"
    "Marsden|Northfield|Oakhanger|Penrith|Quarrydown|Ravenglass|Saltburn|Thornbury|Upwell"
)
SUBJECTS, STATIONS = tuple(_SUBJECTS.split("|")), tuple(_STATIONS.split("|"))


@dataclass(frozen=True, slots=True, order=True)
class Marker:
    """A sign that is known by its colour and its shape."""

    colour: str
    shape: str

    def __str__(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart of a layout: everything of it but the code."""

    caption: str
    marker: Marker
    chart: str
    """One of CHARTS,"""
    seed: int
    """and where its data come from: equal seeds, equal charts."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One layout and two ways to spread its codes over it."""

    number: int
    """Counted from 1."""
    title: str
    panels: tuple[Panel, ...]
    """PANELS of them, row by row, with as many different markers."""
    a: tuple[str, ...]
    """Code of each panel in report A,"""
    b: tuple[str, ...]
    """and in report B: the same codes, none in its place."""


def make_pairs(count: int = PAIRS, seed: int = SEED) -> tuple[Pair, ...]:
    """The first `count` pairs of a seed. Pair n is the same however many are made. ValueError for less than one."""
    if count < 1:
        raise ValueError(f"{count} pairs cannot be asked about")
    return tuple(_pair(number, np.random.default_rng([seed, number])) for number in range(1, count + 1))


def question(code: str, marker: Marker) -> str:
    """What is asked of a pair.

    >>> question("K7Q2", Marker("red", "star"))
    'find the report where code K7Q2 labels the red star marker'
    """
    return f"find the report where code {code} labels the {marker} marker"


def _pair(number: int, random: np.random.Generator) -> Pair:
    signs = [Marker(*sign) for sign in product(COLOURS, SHAPES)]
    markers = [signs[n] for n in random.choice(len(signs), PANELS, replace=False)]
    subjects = [SUBJECTS[n] for n in random.choice(len(SUBJECTS), PANELS, replace=False)]
    panels = tuple(
        Panel(f"{subject}, {random.choice(PLACES)}", marker, str(random.choice(CHARTS)), int(random.integers(2**31)))
        for subject, marker in zip(subjects, markers, strict=True)
    )
    codes = _codes(random)
    title = f"{random.choice(STATIONS)} works: operations report {number}"
    return Pair(number, title, panels, codes, tuple(codes[n] for n in _derangement(random)))


def _codes(random: np.random.Generator) -> tuple[str, ...]:
    """PANELS different codes such as `K7Q2`."""
    alphabets = (LETTERS, DIGITS, LETTERS, DIGITS)
    codes: dict[str, None] = {}
    while len(codes) < PANELS:
        codes["".join(random.choice(list(alphabet)) for alphabet in alphabets)] = None
    return tuple(codes)


def _derangement(random: np.random.Generator) -> list[int]:
    """A permutation of PANELS places without a fixed point, every one as likely as any other."""
    while True:
        places = random.permutation(PANELS)
        if (places != np.arange(PANELS)).all():
            return [int(place) for place in places]
