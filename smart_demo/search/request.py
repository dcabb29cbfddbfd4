"""A search request, checked: from the page's controls, from JSON, or from the query string of a URL.

Also the references to pictures that a request may contain: a part of a page of the library, or an uploaded picture. A
reference is a short string. It comes back from browsers, URLs and curl, so only what `str` wrote is parsed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from urllib.parse import urlencode

from smart_demo.errors import InputRefused
from smart_demo.methods import Counted, Method, Reduce, Weights, compared_methods, part_methods
from smart_demo.page_text import Box
from smart_demo.types import LOCAL, SAMPLES, PageId, Scope

MIN_K, MAX_K = 3, 20
MAX_WEIGHT = 4.0
MAX_URL_QUERY_CHARS = 500
"""Maximum length of a query's text in a URL."""
MAX_REFERENCE_CHARS = 200
ON_SAMPLES, ON_MINE, ON_BOTH = "Samples", "My documents", "Both"
SCOPE_CHOICES = {ON_SAMPLES: (SAMPLES,), ON_MINE: (LOCAL,), ON_BOTH: (SAMPLES, LOCAL)}
"""Scopes that each choice searches, by its label. LOCAL stands for the library of the visitor who requests it."""
REGION_PREFIX, UPLOADED_PREFIX = "region:", "kept:"
_CORNER = r"(0\.[0-9]{4}|1\.0000)"
_REGION = re.compile(rf"([a-z0-9-]{{1,64}})/([0-9a-f]{{16}}-[0-9]{{4}}):{','.join([_CORNER] * 4)}")
_KEY = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A checked search request. `parse_request` makes it."""

    text: str
    scope: str
    """One of SCOPE_CHOICES: the label on the page, which URLs and JSON of requests contain as it is."""
    top: int
    weights: Weights
    picture: str = ""
    """Reference to the query's picture, as `QueryPictures` resolves it; empty for a query of text alone."""

    @property
    def compared(self) -> tuple[Method, Method]:
        """The two rankings that the page shows side by side, left and right."""
        return compared_methods(self.weights)

    @property
    def methods(self) -> tuple[Method, ...]:
        """The compared rankings, then those by one part of the score alone, whose ranks the cards state."""
        return tuple(dict.fromkeys((*self.compared, *part_methods(self.weights))))

    @property
    def fields(self) -> dict[str, object]:
        """Arguments of `parse_request` by name, in plain JSON types: `parse_request(**fields)` is an equal request."""
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


def parse_request(  # noqa: PLR0913 - everything that determines a result, as the page sends it
    text: object = "",
    scope: object = ON_SAMPLES,
    top: object = 5,
    pooled: object = 1.0,
    late: object = 1.0,
    reduce: object = Reduce.MEAN,
    counted: object = Counted.ALL,
    picture: object = "",
) -> SearchRequest:
    """Return a checked request. Numbers out of range are clamped; other invalid values become the defaults."""
    return SearchRequest(
        text if isinstance(text, str) else "",
        scope if isinstance(scope, str) and scope in SCOPE_CHOICES else ON_SAMPLES,
        int(_clamp(top, MIN_K, MAX_K, 5)),
        Weights(
            _clamp(pooled, 0.0, MAX_WEIGHT, 1.0),
            _clamp(late, 0.0, MAX_WEIGHT, 1.0),
            Reduce(reduce) if isinstance(reduce, str) and reduce in set(Reduce) else Reduce.MEAN,
            Counted(counted) if isinstance(counted, str) and counted in set(Counted) else Counted.ALL,
        ),
        picture if isinstance(picture, str) and len(picture) <= MAX_REFERENCE_CHARS else "",
    )


def _clamp(value: object, low: float, high: float, default: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return default
    return min(max(float(value), low), high)


def parse_request_fields(fields: object) -> SearchRequest:
    """Parse `SearchRequest.fields` as a browser sends it back. Raises InputRefused if it is not a dict."""
    if not isinstance(fields, dict):
        raise InputRefused("That is not a search request.")
    known = SearchRequest("", "", 0, Weights()).fields
    return parse_request(**{name: fields[name] for name in known if name in fields})


def parse_url_query(parameters: Mapping[str, str], default: SearchRequest) -> SearchRequest:
    """Parse the parameters of a URL's query string. Missing and invalid ones are taken from `default`."""

    def number(name: str, fallback: float, *, old_name: str = "") -> float:
        """Return a parameter as a number; `old_name` is its name in links of earlier versions."""
        try:
            return float(parameters.get(name, parameters.get(old_name, "")))
        except ValueError:
            return fallback

    try:
        picture = str(parse_region(parameters.get("like", "")))
    except InputRefused:
        picture = ""
    return parse_request(
        parameters.get("q", "").strip()[:MAX_URL_QUERY_CHARS] or ("" if picture else default.text),
        parameters.get("in", default.scope),
        number("k", default.top),
        number("lp", default.weights.pooled, old_name="pooled"),
        number("ll", default.weights.late, old_name="late"),
        Reduce.SUM if parameters.get("sum") == "1" else default.weights.reduce,
        Counted.CONTENT if parameters.get("words") == "1" else default.weights.counted,
        picture,
    )


def format_url_query(request: SearchRequest) -> str:
    """Return the query string of a URL that repeats the request. Default values are left out.

    An uploaded picture is left out, too: it is stored for a while, and for its visitor alone.
    """
    weights = request.weights
    is_region = request.picture.startswith(REGION_PREFIX)
    parameters: dict[str, object] = {"q": request.text[:MAX_URL_QUERY_CHARS]} if request.text else {}
    parameters |= {"like": request.picture.removeprefix(REGION_PREFIX)} if is_region else {}
    parameters |= {"in": request.scope, "k": request.top}
    parameters |= {"lp": f"{weights.pooled:g}", "ll": f"{weights.late:g}"}
    parameters |= {"sum": "1"} if weights.reduce is Reduce.SUM else {}
    parameters |= {"words": "1"} if weights.counted is Counted.CONTENT else {}
    return urlencode(parameters)


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a page, or all of it. The corners of the box have four decimals; the box is not empty.

    >>> str(Region(Scope("samples"), PageId("00ff00ff00ff00ff", 7), Box(0, 0.25, 1, 1)))
    'region:samples/00ff00ff00ff00ff-0007:0.0000,0.2500,1.0000,1.0000'
    """

    scope: Scope
    page: PageId
    box: Box

    def __str__(self) -> str:
        corners = ",".join(f"{corner:.4f}" for corner in astuple(self.box))
        return f"{REGION_PREFIX}{self.scope}/{self.page}:{corners}"

    @property
    def whole(self) -> bool:
        """Whether it is the whole page."""
        return astuple(self.box) == (0, 0, 1, 1)


@dataclass(frozen=True, slots=True)
class UploadedPicture:
    """An uploaded picture. Its key is 128 random bits in hex: only a caller with the key can search with it."""

    key: str

    def __str__(self) -> str:
        return f"{UPLOADED_PREFIX}{self.key}"


def parse_reference(reference: str) -> Region | UploadedPicture:
    """Parse a reference to a picture. Raises InputRefused for anything that `str` did not write."""
    if reference.startswith(REGION_PREFIX):
        return parse_region(reference.removeprefix(REGION_PREFIX))
    key = reference.removeprefix(UPLOADED_PREFIX)
    if reference.startswith(UPLOADED_PREFIX) and _KEY.fullmatch(key):
        return UploadedPicture(key)
    raise _invalid_picture()


def parse_region(text: str) -> Region:
    """Parse a region from its reference without the prefix. Raises InputRefused for anything else."""
    match = _REGION.fullmatch(text)
    try:
        if match is not None:
            corners = [float(corner) for corner in match.groups()[2:]]
            return make_region(Scope(match[1]), PageId.parse(match[2]), corners)
    except ValueError:
        pass
    raise _invalid_picture()


def make_region(scope: Scope, page: PageId, corners: object) -> Region:
    """Return a region from four numbers of a browser: left, top, right, bottom.

    They are clamped to [0, 1] and rounded to four decimals. Raises InputRefused if they are invalid or enclose nothing.
    """
    if not isinstance(corners, list) or len(corners) != 4 or not all(map(_is_number, corners)):
        raise _invalid_picture()
    # Adding 0 turns a minus zero, which would be written with its sign, into a plain one.
    left, top, right, bottom = (round(min(max(float(corner), 0.0), 1.0), 4) + 0.0 for corner in corners)
    if not (left < right and top < bottom):
        raise InputRefused("There is nothing in that part of the page.", "Draw a larger one.")
    return Region(scope, page, Box(left, top, right, bottom))


def _invalid_picture() -> InputRefused:
    return InputRefused("That is not a picture to search with.", "Choose one again.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
