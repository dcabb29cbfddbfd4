"""What is asked, checked once: from the page's controls, from an address, or from anyone with curl."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from smart_demo.errors import InputRefused
from smart_demo.types import LOCAL, SAMPLES, Counted, Reduce, Weights
from smart_demo.ui.references import REGION, parse_place

FEWEST, MOST = 3, 20
HEAVIEST = 4.0
"""Of a weight."""
LONGEST_ADDRESS = 500
"""Characters of a query in an address."""
LONGEST_REFERENCE = 200
"""Characters of what names a picture."""
ON_SAMPLES, ON_MINE, ON_BOTH = "Samples", "My documents", "Both"
CHOICES = {ON_SAMPLES: (SAMPLES,), ON_MINE: (LOCAL,), ON_BOTH: (SAMPLES, LOCAL)}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the columns answer: kept so that weights can be turned without reading the box again."""

    text: str
    scope: str
    top: int
    weights: Weights
    picture: str = ""
    """What it is asked with beside the words: a reference that `QueryPictures` resolves; empty for words alone."""

    @property
    def fields(self) -> dict[str, object]:
        """The arguments of `asked` by name, plain enough for JSON: `asked(**fields)` is the same again."""
        weights = self.weights
        return {
            "text": self.text,
            "scope": self.scope,
            "top": self.top,
            "pooled": weights.pooled,
            "late": weights.late,
            "reduce": str(weights.reduce),
            "counted": str(weights.counted),
            "picture": self.picture,
        }


def asked(  # noqa: PLR0913 - all that decides an answer, as the page sends it
    text: object = "",
    scope: object = ON_SAMPLES,
    top: object = 5,
    pooled: object = 1.0,
    late: object = 1.0,
    reduce: object = Reduce.MEAN,
    counted: object = Counted.ALL,
    picture: object = "",
) -> Asked:
    """Checked arguments of a search; what makes no sense becomes the nearest that does, or the default."""
    return Asked(
        text if isinstance(text, str) else "",
        scope if isinstance(scope, str) and scope in CHOICES else ON_SAMPLES,
        int(_number(top, FEWEST, MOST, 5)),
        Weights(
            _number(pooled, 0.0, HEAVIEST, 1.0),
            _number(late, 0.0, HEAVIEST, 1.0),
            Reduce(reduce) if isinstance(reduce, str) and reduce in set(Reduce) else Reduce.MEAN,
            Counted(counted) if isinstance(counted, str) and counted in set(Counted) else Counted.ALL,
        ),
        picture if isinstance(picture, str) and len(picture) <= LONGEST_REFERENCE else "",
    )


def asked_again(fields: object) -> Asked:
    """What `Asked.fields` gave, on its way back from a browser. InputRefused for what is no such thing."""
    if not isinstance(fields, dict):
        raise InputRefused("That is no question.")
    return asked(**{name: fields[name] for name in Asked("", "", 0, Weights()).fields if name in fields})


def address(wanted: Asked) -> str:
    """The part of an address after `?` that asks the same again. What is as usual is left out of it.

    So is an uploaded picture: it is kept for a while and for whoever gave it, and its words are asked alone.
    """
    weights = wanted.weights
    like = wanted.picture.removeprefix(REGION) if wanted.picture.startswith(REGION) else ""
    parts: dict[str, object] = {"q": wanted.text[:LONGEST_ADDRESS]} if wanted.text else {}
    parts |= {"like": like} if like else {}
    parts |= {"in": wanted.scope, "k": wanted.top}
    parts |= {"lp": f"{weights.pooled:g}", "ll": f"{weights.late:g}"}
    parts |= {"sum": "1"} if weights.reduce is Reduce.SUM else {}
    parts |= {"words": "1"} if weights.counted is Counted.CONTENT else {}
    return urlencode(parts)


def asked_by(parameters: Mapping[str, str], otherwise: Asked) -> Asked:
    """What an address asks; whatever it leaves out or says wrongly is taken from `otherwise`."""

    def number(name: str, default: float, *, once: str = "") -> float:
        """`once` is what links of earlier versions called it."""
        try:
            return float(parameters.get(name, parameters.get(once, "")))
        except ValueError:
            return default

    like = _place(parameters.get("like", ""))
    return asked(
        parameters.get("q", "").strip()[:LONGEST_ADDRESS] or ("" if like else otherwise.text),
        parameters.get("in", otherwise.scope),
        number("k", otherwise.top),
        number("lp", otherwise.weights.pooled, once="pooled"),
        number("ll", otherwise.weights.late, once="late"),
        Reduce.SUM if parameters.get("sum") == "1" else otherwise.weights.reduce,
        Counted.CONTENT if parameters.get("words") == "1" else otherwise.weights.counted,
        like,
    )


def _place(like: str) -> str:
    """The reference of a part of a page that an address names; empty where it names none."""
    try:
        return str(parse_place(like))
    except InputRefused:
        return ""


def _number(value: object, low: float, high: float, otherwise: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return otherwise
    return min(max(float(value), low), high)
