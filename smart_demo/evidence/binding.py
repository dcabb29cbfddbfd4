"""Pairs of reports that are equal as bags and differ in what is bound to what: the code-marker stress test.

Rebuilt from the description of the paper's test. A report has 25 chart panels in a 5x5 layout; each panel binds a
marker, told by colour and shape, to a short code. Report B of a pair has A's layout, charts, markers and codes, and
only permutes the codes by a derangement, so that no panel keeps its own. A question asks for the report "where code X
labels the red star marker"; every word of it stands on both pages, and only one of them binds the two.

Pure data of a seed: no picture is drawn here.

Which of two reports binds the code to the marker: accuracy on pairs that are equal as bags, asked both ways.

Each pair is asked 50 questions: one for every panel of A, with B as the distractor, and one for every panel of B, with
A as the distractor. Only the two reports of the pair are ranked. Chance is one half, and so is a system that always
prefers the same report of a pair: it wins one direction and loses the other, which is why both are told.

The questions of a pair depend on each other (one pair of pooled vectors answers all of them), so intervals come from
drawing whole pairs with replacement. A binomial error over 1,000 questions would be too small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from statistics import fmean

import numpy as np
import numpy.typing as npt

from smart_demo import scoring
from smart_demo.backbones.base import Backbone
from smart_demo.errors import PageRefused
from smart_demo.evaluation.metrics import paired_difference
from smart_demo.evaluation.runner import Tell, tell_tenths
from smart_demo.evaluation.texts import Texts, score
from smart_demo.evidence.weight_curves import LAMBDAS, SUM, WHOLE, Json, Recoded
from smart_demo.store import token_file
from smart_demo.types import (
    LATE,
    LOCAL,
    POOLED,
    SMART,
    Counted,
    Page,
    PageEncoding,
    Query,
    QueryEncoding,
    Reduce,
    StoredPage,
    Weights,
)

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
class ReportPair:
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


def make_pairs(count: int = PAIRS, seed: int = SEED) -> tuple[ReportPair, ...]:
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


def _pair(number: int, random: np.random.Generator) -> ReportPair:
    signs = [Marker(*sign) for sign in product(COLOURS, SHAPES)]
    markers = [signs[n] for n in random.choice(len(signs), PANELS, replace=False)]
    subjects = [SUBJECTS[n] for n in random.choice(len(SUBJECTS), PANELS, replace=False)]
    panels = tuple(
        Panel(f"{subject}, {random.choice(PLACES)}", marker, str(random.choice(CHARTS)), int(random.integers(2**31)))
        for subject, marker in zip(subjects, markers, strict=True)
    )
    codes = _codes(random)
    title = f"{random.choice(STATIONS)} works: operations report {number}"
    return ReportPair(number, title, panels, codes, tuple(codes[n] for n in _derangement(random)))


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


DIRECTIONS = ("a_to_b", "b_to_a")
"""The target's report and its distractor's, in the order of the pages of a pair."""
PAPER = {"pooled": 0.319, "late": 0.568, "smart": 0.426}
"""Accuracy of Qwen3-VL-Embedding-2B as the paper has it; in one direction, as far as its description says."""
METHODS: Mapping[str, Weights] = {
    **{method.name: method.weights for method in (POOLED, LATE, SMART)},
    "smart_sum": SUM,
}
Outcomes = npt.NDArray[np.float64]
"""(pairs, 2, PANELS) of 1, 1/2 and 0: the target's report won, tied, or lost."""


@dataclass(frozen=True, eq=False)
class EncodedPair:
    """One pair, encoded: its two reports, and 2 x PANELS questions, those of report A first."""

    reports: Texts
    questions: tuple[QueryEncoding, ...]


def ask(
    backbone: Backbone, pairs: Sequence[ReportPair], sheets: Sequence[tuple[Page, Page]], tell: Tell
) -> tuple[EncodedPair, ...]:
    """Encode every pair and its questions. PageRefused where the backbone can make nothing of a report."""
    asked = []
    for done, (pair, pages) in enumerate(zip(pairs, sheets, strict=True), start=1):
        reports = []
        for made in backbone.encode_pages(pages):
            if isinstance(made, PageRefused):
                raise made
            reports.append(made)
        texts = Texts(
            tuple(_stored(page, made) for page, made in zip(pages, reports, strict=True)),
            np.stack([made.pooled for made in reports]),
            {page.id: token_file.encode(made.tokens, WHOLE) for page, made in zip(pages, reports, strict=True)},
        )
        words = [
            question(code, panel.marker)
            for codes in (pair.a, pair.b)
            for code, panel in zip(codes, pair.panels, strict=True)
        ]
        asked.append(EncodedPair(texts, tuple(backbone.encode_query(Query(text)) for text in words)))
        tell_tenths(tell, "Asked", done, len(pairs), "pairs of reports")
    return tuple(asked)


class Duels:
    """All questions' parts under one codec: accuracy under any weights is free."""

    def __init__(self, asked: Sequence[EncodedPair], codec: str) -> None:
        self.codec, self._asked = codec, asked
        parts = []
        for one in asked:
            recoded = Texts(one.reports.pages, one.reports.pooled, Recoded(one.reports.tokens, codec))
            found = score(recoded, one.questions)
            parts.append([found[query.query.text] for query in one.questions])
        self._pooled = np.array([[own.pooled for own in pair] for pair in parts], dtype=np.float32)
        self._late = {
            (reduce, counted): np.array(
                [[scoring.late(own, Weights(0, 1, reduce, counted)) for own in pair] for pair in parts], np.float32
            )
            for reduce in Reduce
            for counted in Counted
        }

    def recoded(self, codec: str) -> Duels:
        """The same reports and questions through another codec."""
        return Duels(self._asked, codec)

    @property
    def queries(self) -> tuple[QueryEncoding, ...]:
        """Every question of every pair."""
        return tuple(query for one in self._asked for query in one.questions)

    def outcomes(self, weights: Weights) -> Outcomes:
        """Who won, by the scores and the ties of `scoring.rank`."""
        late = self._late[weights.reduce, weights.counted] if weights.late != 0.0 else None
        scores = scoring.combined(weights, self._pooled, late)
        rounded = scores.astype(np.float64).round(scoring.TIE).reshape(len(scores), 2, PANELS, 2)
        lead = rounded[..., 0] - rounded[..., 1]  # of report A
        lead[:, 1] *= -1  # whose report is the distractor in the second direction
        return np.asarray(np.where(lead > 0, 1.0, np.where(lead < 0, 0.0, 0.5)))

    def accuracy(self, weights: Weights) -> float:
        """Over both directions."""
        return float(self.outcomes(weights).mean())

    def difference(self, weights: Weights, base: Duels, base_weights: Weights) -> Json:
        """Accuracy over both directions above `base`'s on the same pairs, with its interval over pairs."""
        own, other = (duels.outcomes(w).mean(axis=(1, 2)) for duels, w in ((self, weights), (base, base_weights)))
        return asdict(paired_difference(list(own), list(other)))

    def describe(self, seed: int) -> Json:
        """Everything that evidence.json says of binding."""
        outcomes = {name: self.outcomes(weights) for name, weights in METHODS.items()}
        lengths = [page.tokens for one in self._asked for page in one.reports.pages]
        return {
            **{
                direction: {name: float(found[:, at].mean()) for name, found in outcomes.items()}
                for at, direction in enumerate(DIRECTIONS)
            },
            "both": {name: float(found.mean()) for name, found in outcomes.items()},
            "intervals": {
                **{
                    direction: {name: _interval(found[:, at].mean(axis=1)) for name, found in outcomes.items()}
                    for at, direction in enumerate(DIRECTIONS)
                },
                "both": {name: _interval(found.mean(axis=(1, 2))) for name, found in outcomes.items()},
            },
            "difference": {
                f"{name}-{base}": self.difference(METHODS[name], self, METHODS[base])
                for name, base in (("late", "pooled"), ("smart", "pooled"), ("smart", "late"))
            },
            "ties": {
                direction: {name: int((found[:, at] == 0.5).sum()) for name, found in outcomes.items()}
                for at, direction in enumerate(DIRECTIONS)
            },
            "one_sided": {name: one_sided(found) for name, found in outcomes.items()},
            "curve": [self._point(late) for late in LAMBDAS],
            "pairs": len(self._asked),
            "panels": PANELS,
            "questions": outcomes["smart"].size,
            "seed": seed,
            "codec": self.codec,
            "tokens": {"fewest": min(lengths), "mean": fmean(lengths), "most": max(lengths)},
            "pooled_cosine": fmean(float(one.reports.pooled[0] @ one.reports.pooled[1]) for one in self._asked),
            "paper": PAPER,
        }

    def _point(self, late: float) -> Json:
        found = self.outcomes(Weights(1.0, late))
        sides = {direction: float(found[:, at].mean()) for at, direction in enumerate(DIRECTIONS)}
        return {"late_weight": late, **sides, "both": float(found.mean()), **_interval(found.mean(axis=(1, 2)))}


def one_sided(outcomes: Outcomes) -> float:
    """How far the same report of a pair wins whatever is asked, [0, 1]: mean over pairs of |accuracy of A's questions -
    accuracy of B's|. 0 is no preference; 1 is a system that never looks at the question.

    >>> one_sided(np.stack([np.ones((2, 25)), np.stack([np.ones(25), np.zeros(25)])]))
    0.5
    """
    by_side = outcomes.mean(axis=2)
    return float(np.abs(by_side[:, 0] - by_side[:, 1]).mean())


def _interval(of_pairs: npt.NDArray[np.float64]) -> Json:
    """Cluster bootstrap over pairs: all have equally many questions, so each counts by its mean."""
    found = paired_difference(list(of_pairs), [0.0] * len(of_pairs))
    return {"low": found.low, "high": found.high}


def _stored(page: Page, made: PageEncoding) -> StoredPage:
    height, width = page.pixels.shape[:2]
    return StoredPage(
        scope=LOCAL,
        encoder=made.encoder,
        id=page.id,
        document=page.document,
        pages=1,
        width=width,
        height=height,
        tokens=len(made.tokens),
        bytes=0,
        codec=WHOLE,
        added=0.0,
    )
