"""What names a picture that is asked with: a part of a page of the library, or an uploaded picture that is kept.

A reference is a short string that travels with every question of the page. It comes back from browsers, addresses and
curl, so it is read strictly: what `str` writes and nothing else.
"""

from __future__ import annotations

import math
import re
from dataclasses import astuple, dataclass

from smart_demo.errors import InputRefused
from smart_demo.types import Box, PageId, Scope

REGION, KEPT = "region:", "kept:"
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
        return f"{REGION}{self.place}"

    @property
    def place(self) -> str:
        """The reference without its kind: what stands in an address."""
        return f"{self.scope}/{self.page}:{','.join(f'{corner:.4f}' for corner in astuple(self.box))}"

    @property
    def whole(self) -> bool:
        """Whether it is the whole page."""
        return astuple(self.box) == (0, 0, 1, 1)


@dataclass(frozen=True, slots=True)
class Kept:
    """An uploaded picture, by 128 random bits in hex: who does not know them cannot ask with it."""

    key: str

    def __str__(self) -> str:
        return f"{KEPT}{self.key}"


def parse(reference: str) -> Region | Kept:
    """Read what `str` wrote. InputRefused for anything else."""
    if reference.startswith(REGION):
        return parse_place(reference.removeprefix(REGION))
    key = reference.removeprefix(KEPT)
    if reference.startswith(KEPT) and _KEY.fullmatch(key):
        return Kept(key)
    raise _refusal()


def parse_place(place: str) -> Region:
    """Read what `Region.place` wrote. InputRefused for anything else."""
    found = _PLACE.fullmatch(place)
    try:
        if found is not None:
            return region(Scope(found[1]), PageId.parse(found[2]), [float(corner) for corner in found.groups()[2:]])
    except ValueError:
        pass
    raise _refusal()


def region(scope: Scope, page: PageId, corners: object) -> Region:
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
