"""What is asked, checked once: from the page's controls, from an address, or from anyone with curl."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from smart_demo.types import LOCAL, SAMPLES, Weights

FEWEST, MOST = 3, 20
HEAVIEST = 4.0
"""Of a weight."""
LONGEST_ADDRESS = 500
"""Characters of a query in an address."""
ON_SAMPLES, ON_MINE, ON_BOTH = "Samples", "My documents", "Both"
CHOICES = {ON_SAMPLES: (SAMPLES,), ON_MINE: (LOCAL,), ON_BOTH: (SAMPLES, LOCAL)}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the columns answer: kept so that weights can be turned without reading the box again."""

    text: str
    scope: str
    top: int
    weights: Weights


def asked(text: object, scope: object, top: object, pooled: object, late: object) -> Asked:
    """Checked arguments of a search; what makes no sense becomes the nearest that does, or the default."""
    return Asked(
        text if isinstance(text, str) else "",
        scope if isinstance(scope, str) and scope in CHOICES else ON_SAMPLES,
        int(_number(top, FEWEST, MOST, 5)),
        Weights(_number(pooled, 0.0, HEAVIEST, 1.0), _number(late, 0.0, HEAVIEST, 1.0)),
    )


def address(wanted: Asked) -> str:
    """The part of an address after `?` that asks the same again."""
    weights = {"lp": f"{wanted.weights.pooled:g}", "ll": f"{wanted.weights.late:g}"}
    return urlencode({"q": wanted.text[:LONGEST_ADDRESS], "in": wanted.scope, "k": wanted.top} | weights)


def asked_by(parameters: Mapping[str, str], otherwise: Asked) -> Asked:
    """What an address asks; whatever it leaves out or says wrongly is taken from `otherwise`."""

    def number(name: str, default: float, *, once: str = "") -> float:
        """`once` is what links of earlier versions called it."""
        try:
            return float(parameters.get(name, parameters.get(once, "")))
        except ValueError:
            return default

    return asked(
        parameters.get("q", "").strip()[:LONGEST_ADDRESS] or otherwise.text,
        parameters.get("in", otherwise.scope),
        number("k", otherwise.top),
        number("lp", otherwise.weights.pooled, once="pooled"),
        number("ll", otherwise.weights.late, once="late"),
    )


def _number(value: object, low: float, high: float, otherwise: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return otherwise
    return min(max(float(value), low), high)
