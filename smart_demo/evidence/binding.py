"""The code-marker stress test: which of two reports, equal as bags of words, binds a code to a marker.

Rebuilt from the description of the paper's test. A report has 25 chart panels in a 5x5 layout; each panel binds a
marker, known by its colour and shape, to a short code. Report B of a pair has A's layout, charts, markers and codes,
and only permutes the codes by a derangement, so that no panel has the same code in both. A question asks for the report
"where code X labels the red star marker"; every word of it is on both pages, and only one of them binds the two.

Each pair has 50 questions: one for every panel of A, with B as the distractor, and one for every panel of B, with A as
the distractor. Only the two reports of the pair are ranked. Chance is one half, and so is a system that always prefers
the same report of a pair: it wins in one direction and loses in the other, so both directions are reported.

The questions of a pair depend on each other (one pair of pooled vectors answers all of them), so intervals come from
drawing whole pairs with replacement. A binomial error over 1,000 questions would be too small.

This module draws no images: `marker_pages` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean

import numpy as np
import numpy.typing as npt

from smart_demo import scoring
from smart_demo.backbones.base import Backbone
from smart_demo.errors import PageRefused
from smart_demo.evaluation.metrics import paired_difference
from smart_demo.evaluation.runner import ProgressCallback, report_tenths
from smart_demo.evaluation.texts import EncodedPages, make_stored_page
from smart_demo.evidence.weight_curves import (
    LATE_WEIGHTS,
    LOSSLESS_CODEC,
    METHOD_WEIGHTS,
    Json,
    difference_as_json,
    score_through,
)
from smart_demo.methods import Counted, Reduce, Weights
from smart_demo.store import token_file
from smart_demo.types import Page, PageEncoding, Query, QueryEncoding, StoredPage, TokenCodes

SEED = 20_260_524
DEFAULT_PAIRS, ROWS, COLUMNS = 40, 5, 5
PANELS_PER_REPORT = ROWS * COLUMNS
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black")
SHAPES = ("circle", "square", "triangle", "diamond", "star", "cross", "hexagon", "arrow")
CHARTS = ("lines", "bars", "points", "area", "steps", "columns")
LETTERS, DIGITS = "ABCDEFGHJKLMNPQRSTUVWXYZ", "23456789"
"""Letters and digits of codes, without I, O, 0 and 1, which are hard to tell apart on a small image."""
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
DIRECTIONS = {"a_to_b": slice(0, 1), "b_to_a": slice(1, 2)}
"""The report of the target and that of the distractor: their places in Outcomes, in the order of a pair's pages."""
SIDES = DIRECTIONS | {"both": slice(0, 2)}
"""Both directions, each alone and together."""
PAPER_ACCURACY = {"pooled": 0.319, "late": 0.568, "smart": 0.426}
"""Accuracy of Qwen3-VL-Embedding-2B in the paper; in one direction, according to its description."""
Outcomes = npt.NDArray[np.float64]
"""Scores (pairs, 2, PANELS_PER_REPORT) of 1, 1/2 and 0: the target's report won, tied, or lost."""


@dataclass(frozen=True, slots=True, order=True)
class Marker:
    """A sign, known by its colour and its shape."""

    colour: str
    shape: str

    def __str__(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart of a layout, without its code."""

    caption: str
    marker: Marker
    chart: str
    """The kind of chart, one of CHARTS."""
    seed: int
    """Seed of the chart's data: equal seeds give equal charts."""


@dataclass(frozen=True, slots=True)
class ReportPair:
    """One layout with its codes in two orders."""

    number: int
    """Number of the pair, from 1."""
    title: str
    panels: tuple[Panel, ...]
    """Panels, PANELS_PER_REPORT of them, row by row, each with a different marker."""
    a: tuple[str, ...]
    """Code of each panel in report A."""
    b: tuple[str, ...]
    """Code of each panel in report B: the same codes, none in the same panel."""


def make_pairs(count: int = DEFAULT_PAIRS, seed: int = SEED) -> tuple[ReportPair, ...]:
    """Return the first `count` pairs of a seed; pair n does not depend on `count`.

    Raises ValueError if `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"{count} pairs: at least one is needed")
    return tuple(_make_pair(number, np.random.default_rng([seed, number])) for number in range(1, count + 1))


def format_question(code: str, marker: Marker) -> str:
    """Return the question about a code and a marker.

    >>> format_question("K7Q2", Marker("red", "star"))
    'find the report where code K7Q2 labels the red star marker'
    """
    return f"find the report where code {code} labels the {marker} marker"


def _make_pair(number: int, random: np.random.Generator) -> ReportPair:
    signs = [Marker(*sign) for sign in product(COLOURS, SHAPES)]
    markers = [signs[n] for n in random.choice(len(signs), PANELS_PER_REPORT, replace=False)]
    subjects = [SUBJECTS[n] for n in random.choice(len(SUBJECTS), PANELS_PER_REPORT, replace=False)]
    panels = tuple(
        Panel(f"{subject}, {random.choice(PLACES)}", marker, str(random.choice(CHARTS)), int(random.integers(2**31)))
        for subject, marker in zip(subjects, markers, strict=True)
    )
    codes = _draw_codes(random)
    title = f"{random.choice(STATIONS)} works: operations report {number}"
    return ReportPair(number, title, panels, codes, tuple(codes[n] for n in _draw_derangement(random)))


def _draw_codes(random: np.random.Generator) -> tuple[str, ...]:
    """Return PANELS_PER_REPORT different codes such as `K7Q2`."""
    alphabets = (LETTERS, DIGITS, LETTERS, DIGITS)
    codes: dict[str, None] = {}
    while len(codes) < PANELS_PER_REPORT:
        codes["".join(random.choice(list(alphabet)) for alphabet in alphabets)] = None
    return tuple(codes)


def _draw_derangement(random: np.random.Generator) -> list[int]:
    """Return a permutation of the panels without a fixed point, all equally likely."""
    while True:
        places = random.permutation(PANELS_PER_REPORT)
        if (places != np.arange(PANELS_PER_REPORT)).all():
            return [int(place) for place in places]


@dataclass(frozen=True, eq=False)
class EncodedPair:
    """One encoded pair: its two reports, and 2 x PANELS_PER_REPORT questions, those of report A first."""

    reports: EncodedPages
    questions: tuple[QueryEncoding, ...]


def encode_pairs(
    backbone: Backbone, pairs: Sequence[ReportPair], sheets: Sequence[tuple[Page, Page]], on_progress: ProgressCallback
) -> tuple[EncodedPair, ...]:
    """Encode every pair and its questions. Raises PageRefused if the backbone cannot encode a report."""
    encoded = []
    for done, (pair, pages) in enumerate(zip(pairs, sheets, strict=True), start=1):
        reports: list[tuple[StoredPage, PageEncoding, TokenCodes]] = []
        for page, made in zip(pages, backbone.encode_pages(pages), strict=True):
            if isinstance(made, PageRefused):
                raise made
            codes = token_file.encode(made.tokens, LOSSLESS_CODEC)
            reports.append((make_stored_page(page.id, page.document, made, codes, LOSSLESS_CODEC), made, codes))
        encoded_reports = EncodedPages(
            tuple(page for page, _, _ in reports),
            np.stack([made.pooled for _, made, _ in reports]),
            {page.id: codes for page, _, codes in reports},
        )
        words = [
            format_question(code, panel.marker)
            for codes in (pair.a, pair.b)
            for code, panel in zip(codes, pair.panels, strict=True)
        ]
        encoded.append(EncodedPair(encoded_reports, tuple(backbone.encode_query(Query(text)) for text in words)))
        report_tenths(on_progress, "Encoded", done, len(pairs), "pairs of reports")
    return tuple(encoded)


class BindingScores:
    """The score parts of all questions under one codec, evaluated under any weights."""

    def __init__(self, pairs: Sequence[EncodedPair], codec: str) -> None:
        self.codec, self._pairs = codec, pairs
        parts = [score_through(codec, pair.reports, pair.questions) for pair in pairs]
        self._pooled = np.array([[query.pooled for query in pair] for pair in parts], dtype=np.float32)
        self._late = {
            (reduce, counted): np.array(
                [[scoring.late_scores(query, Weights(0, 1, reduce, counted)) for query in pair] for pair in parts],
                np.float32,
            )
            for reduce in Reduce
            for counted in Counted
        }

    def with_codec(self, codec: str) -> BindingScores:
        """Return the scores of the same reports and questions under another codec."""
        return BindingScores(self._pairs, codec)

    @property
    def queries(self) -> tuple[QueryEncoding, ...]:
        """Every question of every pair."""
        return tuple(query for pair in self._pairs for query in pair.questions)

    def outcomes(self, weights: Weights) -> Outcomes:
        """Return the outcome of every question, by the scores and ties of `scoring.rank`."""
        late = self._late[weights.reduce, weights.counted] if weights.late != 0.0 else None
        scores = scoring.combine(weights, self._pooled, late)
        rounded = scores.astype(np.float64).round(scoring.TIE_DECIMALS).reshape(len(scores), 2, PANELS_PER_REPORT, 2)
        lead = rounded[..., 0] - rounded[..., 1]  # report A minus report B
        lead[:, 1] *= -1  # report A is the distractor in the second direction
        return np.asarray(np.where(lead > 0, 1.0, np.where(lead < 0, 0.0, 0.5)))

    def accuracy(self, weights: Weights) -> float:
        """Return the accuracy over both directions."""
        return float(self.outcomes(weights).mean())

    def difference(self, weights: Weights, base: BindingScores, base_weights: Weights) -> Json:
        """Return the difference in accuracy over both directions to `base`, with its interval over pairs."""
        own, other = (scores.outcomes(w).mean(axis=(1, 2)) for scores, w in ((self, weights), (base, base_weights)))
        return difference_as_json(own, other)

    def as_json(self, seed: int) -> Json:
        """Return the form of the binding test in evidence.json."""
        outcomes = {name: self.outcomes(weights) for name, weights in METHOD_WEIGHTS.items()}
        lengths = [page.tokens for pair in self._pairs for page in pair.reports.pages]
        return {
            **{
                side: {name: float(found[:, part].mean()) for name, found in outcomes.items()}
                for side, part in SIDES.items()
            },
            "intervals": {
                side: {name: cluster_interval(found[:, part]) for name, found in outcomes.items()}
                for side, part in SIDES.items()
            },
            "difference": {
                f"{name}-{base}": self.difference(METHOD_WEIGHTS[name], self, METHOD_WEIGHTS[base])
                for name, base in (("late", "pooled"), ("smart", "pooled"), ("smart", "late"))
            },
            "ties": {
                side: {name: int((found[:, part] == 0.5).sum()) for name, found in outcomes.items()}
                for side, part in DIRECTIONS.items()
            },
            "one_sided": {name: one_sidedness(found) for name, found in outcomes.items()},
            "curve": [self._curve_point(late) for late in LATE_WEIGHTS],
            "pairs": len(self._pairs),
            "panels": PANELS_PER_REPORT,
            "questions": outcomes["smart"].size,
            "seed": seed,
            "codec": self.codec,
            "tokens": {"fewest": min(lengths), "mean": fmean(lengths), "most": max(lengths)},
            "pooled_cosine": fmean(float(pair.reports.pooled[0] @ pair.reports.pooled[1]) for pair in self._pairs),
            "paper": PAPER_ACCURACY,
        }

    def _curve_point(self, late: float) -> Json:
        found = self.outcomes(Weights(1.0, late))
        sides = {side: float(found[:, part].mean()) for side, part in SIDES.items()}
        return {"late_weight": late, **sides, **cluster_interval(found)}


def one_sidedness(outcomes: Outcomes) -> float:
    """Return how much the same report of a pair wins for any question, in [0, 1].

    The mean over pairs of |accuracy of A's questions - accuracy of B's|. 0 is no preference; 1 is a system that ignores
    the question.

    >>> one_sidedness(np.stack([np.ones((2, 25)), np.stack([np.ones(25), np.zeros(25)])]))
    0.5
    """
    by_side = outcomes.mean(axis=2)
    return float(np.abs(by_side[:, 0] - by_side[:, 1]).mean())


def cluster_interval(outcomes: Outcomes) -> Json:
    """Return a bootstrap interval over pairs; all pairs have equally many questions, so each counts by its mean."""
    means = outcomes.mean(axis=(1, 2))
    found = paired_difference(list(means), [0.0] * len(means))
    return {"low": found.low, "high": found.high}
