"""What names a picture that is asked with: a part of a page of the library, or an uploaded picture that is kept.

A reference is a short string that travels with every question of the page. It comes back from browsers, addresses and
curl, so it is read strictly: what `str` writes and nothing else.

What is asked, checked once: from the page's controls, from an address, or from anyone with curl.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from urllib.parse import urlencode

from smart_demo.errors import InputRefused
from smart_demo.types import LOCAL, SAMPLES, Box, Counted, PageId, Reduce, Scope, Weights

REGION_PREFIX, UPLOADED_PREFIX = "region:", "kept:"
"""What the two kinds of references begin with."""
_CORNER = r"(0\.[0-9]{4}|1\.0000)"
_PLACE = re.compile(rf"([a-z0-9-]{{1,64}})/([0-9a-f]{{16}}-[0-9]{{4}}):{','.join([_CORNER] * 4)}")
_KEY = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a page, or all of it. The box has four decimals and is not empty.

    >>> str(Region(Scope("samples"), PageId("00ff00ff00ff00ff", 7), Box(0, 0.25, 1, 1)))
    'region:samples/00ff00ff00ff00ff-0007:0.0000,0.2500,1.0000,1.0000'
    """

    scope: Scope
    page: PageId
    box: Box

    def __str__(self) -> str:
        return f"{REGION_PREFIX}{self.place}"

    @property
    def place(self) -> str:
        """The reference without its kind: what stands in an address."""
        return f"{self.scope}/{self.page}:{','.join(f'{corner:.4f}' for corner in astuple(self.box))}"

    @property
    def whole(self) -> bool:
        """Whether it is the whole page."""
        return astuple(self.box) == (0, 0, 1, 1)


@dataclass(frozen=True, slots=True)
class UploadedPicture:
    """An uploaded picture, by 128 random bits in hex: who does not know them cannot ask with it."""

    key: str

    def __str__(self) -> str:
        return f"{UPLOADED_PREFIX}{self.key}"


def parse_reference(reference: str) -> Region | UploadedPicture:
    """Read what `str` wrote. InputRefused for anything else."""
    if reference.startswith(REGION_PREFIX):
        return parse_region(reference.removeprefix(REGION_PREFIX))
    key = reference.removeprefix(UPLOADED_PREFIX)
    if reference.startswith(UPLOADED_PREFIX) and _KEY.fullmatch(key):
        return UploadedPicture(key)
    raise _refusal()


def parse_region(place: str) -> Region:
    """Read what `Region.place` wrote. InputRefused for anything else."""
    found = _PLACE.fullmatch(place)
    try:
        if found is not None:
            return make_region(
                Scope(found[1]), PageId.parse(found[2]), [float(corner) for corner in found.groups()[2:]]
            )
    except ValueError:
        pass
    raise _refusal()


def make_region(scope: Scope, page: PageId, corners: object) -> Region:
    """A region from four numbers of a browser: left, top, right, bottom. InputRefused where they enclose nothing."""
    if not isinstance(corners, list) or len(corners) != 4 or not all(map(_is_number, corners)):
        raise _refusal()
    # Adding 0 turns a minus zero, which would be written with its sign, into a plain one.
    left, top, right, bottom = (round(min(max(float(corner), 0.0), 1.0), 4) + 0.0 for corner in corners)
    if not (left < right and top < bottom):
        raise InputRefused("There is nothing in that part of the page.", "Draw a larger one.")
    return Region(scope, page, Box(left, top, right, bottom))


def _refusal() -> InputRefused:
    return InputRefused("That is no picture to ask with.", "Choose one again.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


MIN_K, MAX_K = 3, 20
MAX_WEIGHT = 4.0
"""Of a weight."""
MAX_URL_QUERY_CHARS = 500
"""Characters of a query in an address."""
MAX_REFERENCE_CHARS = 200
"""Characters of what names a picture."""
ON_SAMPLES, ON_MINE, ON_BOTH = "Samples", "My documents", "Both"
SCOPE_CHOICES = {ON_SAMPLES: (SAMPLES,), ON_MINE: (LOCAL,), ON_BOTH: (SAMPLES, LOCAL)}


@dataclass(frozen=True, slots=True)
class SearchRequest:
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


def parse_request(  # noqa: PLR0913 - all that decides an answer, as the page sends it
    text: object = "",
    scope: object = ON_SAMPLES,
    top: object = 5,
    pooled: object = 1.0,
    late: object = 1.0,
    reduce: object = Reduce.MEAN,
    counted: object = Counted.ALL,
    picture: object = "",
) -> SearchRequest:
    """Checked arguments of a search; what makes no sense becomes the nearest that does, or the default."""
    return SearchRequest(
        text if isinstance(text, str) else "",
        scope if isinstance(scope, str) and scope in SCOPE_CHOICES else ON_SAMPLES,
        int(_number(top, MIN_K, MAX_K, 5)),
        Weights(
            _number(pooled, 0.0, MAX_WEIGHT, 1.0),
            _number(late, 0.0, MAX_WEIGHT, 1.0),
            Reduce(reduce) if isinstance(reduce, str) and reduce in set(Reduce) else Reduce.MEAN,
            Counted(counted) if isinstance(counted, str) and counted in set(Counted) else Counted.ALL,
        ),
        picture if isinstance(picture, str) and len(picture) <= MAX_REFERENCE_CHARS else "",
    )


def parse_request_fields(fields: object) -> SearchRequest:
    """What `Asked.fields` gave, on its way back from a browser. InputRefused for what is no such thing."""
    if not isinstance(fields, dict):
        raise InputRefused("That is no question.")
    return parse_request(
        **{name: fields[name] for name in SearchRequest("", "", 0, Weights()).fields if name in fields}
    )


def format_url_query(wanted: SearchRequest) -> str:
    """The part of an address after `?` that asks the same again. What is as usual is left out of it.

    So is an uploaded picture: it is kept for a while and for whoever gave it, and its words are asked alone.
    """
    weights = wanted.weights
    like = wanted.picture.removeprefix(REGION_PREFIX) if wanted.picture.startswith(REGION_PREFIX) else ""
    parts: dict[str, object] = {"q": wanted.text[:MAX_URL_QUERY_CHARS]} if wanted.text else {}
    parts |= {"like": like} if like else {}
    parts |= {"in": wanted.scope, "k": wanted.top}
    parts |= {"lp": f"{weights.pooled:g}", "ll": f"{weights.late:g}"}
    parts |= {"sum": "1"} if weights.reduce is Reduce.SUM else {}
    parts |= {"words": "1"} if weights.counted is Counted.CONTENT else {}
    return urlencode(parts)


def parse_url_query(parameters: Mapping[str, str], otherwise: SearchRequest) -> SearchRequest:
    """What an address asks; whatever it leaves out or says wrongly is taken from `otherwise`."""

    def number(name: str, default: float, *, once: str = "") -> float:
        """`once` is what links of earlier versions called it."""
        try:
            return float(parameters.get(name, parameters.get(once, "")))
        except ValueError:
            return default

    like = _place(parameters.get("like", ""))
    return parse_request(
        parameters.get("q", "").strip()[:MAX_URL_QUERY_CHARS] or ("" if like else otherwise.text),
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
        return str(parse_region(like))
    except InputRefused:
        return ""


def _number(value: object, low: float, high: float, otherwise: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return otherwise
    return min(max(float(value), low), high)
