"""Addresses of page pictures, and the bytes behind them: thumbnails, whole pages and crops.

The address of a sample's picture says what it shows and never changes, so that any cache may keep it. The address of a
visitor's picture is a random name, known for ten minutes to the app alone and served to that visitor alone.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import astuple, dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from PIL import Image

from smart_demo.engine import Engine
from smart_demo.errors import LibraryError
from smart_demo.page_text import Box
from smart_demo.search.cache import LRUCache
from smart_demo.types import SAMPLES, PageId, Scope, StoredPage

SAMPLES_FOLDER, OWN_FOLDER = "pictures/samples/", "pictures/own/"
"""Where the addresses begin, relative to the page's, which may be below a proxy's path."""
NAME_SECONDS = 600.0
"""Seconds for which a visitor's picture can be fetched by its name."""
REUSE_SECONDS = 300.0
"""Seconds for which a new answer gets the same name, so that there is still time to fetch it."""
MAX_NAMES, MAX_NAMES_PER_VISITOR = 20_000, 1_000
"""Limits of the names in memory. The oldest are forgotten: first the visitor's own, then those of idle visitors."""
MAX_CROPS, MAX_CROPS_BYTES = 500, 16 * 2**20
"""Limits of the crops in memory, the least recently used of which are evicted."""
MIN_CROP_WIDTH, MAX_CROP_SIDE = 16, 1_600
"""Pixels of a crop: its least width, and the most along a side."""
CROP_QUALITY, CROP_METHOD = 80, 2
"""WebP quality, and effort from 0 to 6: a visitor waits for a crop."""
CropAddress = Callable[[StoredPage, Box, int], str]
"""Returns the address of the picture of a part of a page, drawn with a width in pixels."""

_CORNER = r"([01]\.[0-9]{4})"
_CROP = re.compile(rf"crop-{'-'.join([_CORNER] * 4)}-([1-9][0-9]{{1,3}})")


class PictureKind(StrEnum):
    """What a picture shows of its page. The values are parts of addresses."""

    THUMBNAIL = "thumbnail"
    PAGE = "page"
    CROP = "crop"


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a page, and the width of its picture in pixels. The corners of the box have four decimals."""

    box: Box
    width: int

    def __post_init__(self) -> None:
        left, top, right, bottom = astuple(self.box)
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise ValueError(f"not a part of a page: {self.box}")
        if not MIN_CROP_WIDTH <= self.width <= MAX_CROP_SIDE:
            raise ValueError(f"not a width of a crop: {self.width}")


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A picture of a stored page: its thumbnail, all of it, or a crop."""

    page: StoredPage
    kind: PictureKind
    crop: Crop | None = None

    @property
    def stem(self) -> str:
        """Name of the picture among those of its page.

        >>> Crop(Box(0, 0.25, 1, 1), 480) == parse_stem("crop-0.0000-0.2500-1.0000-1.0000-480")[1]
        True
        """
        if self.crop is None:
            return self.kind
        corners = "-".join(f"{corner:.4f}" for corner in astuple(self.crop.box))
        return f"{self.kind}-{corners}-{self.crop.width}"


def parse_stem(stem: str) -> tuple[PictureKind, Crop | None]:
    """Parse the stem of a picture. Raises ValueError for anything that `PagePicture.stem` did not return."""
    if match := _CROP.fullmatch(stem):
        *corners, width = match.groups()
        return PictureKind.CROP, Crop(Box(*map(float, corners)), int(width))
    kind = PictureKind(stem)
    if kind is PictureKind.CROP:
        raise ValueError("a crop without its box")
    return kind, None


def make_crop(box: Box, width: int) -> Crop:
    """Return a crop whose box is clamped to the page and rounded. Raises ValueError if it encloses nothing."""
    # Adding 0 turns a minus zero, which would be written with its sign, into a plain one.
    return Crop(Box(*(round(min(max(corner, 0.0), 1.0), 4) + 0.0 for corner in astuple(box))), width)


class NamedPicture(NamedTuple):
    """A visitor's picture, and the seconds for which it can still be fetched by its name."""

    picture: PagePicture
    seconds_left: float


@dataclass
class _VisitorNames:
    """The names of one visitor's pictures, oldest first."""

    names: OrderedDict[str, tuple[PagePicture, float]] = field(default_factory=OrderedDict)
    """Picture and time of expiry by name."""
    latest: dict[PagePicture, str] = field(default_factory=dict)
    """Newest name of each picture."""

    def add(self, name: str, picture: PagePicture, expires: float) -> None:
        self.names[name] = picture, expires
        self.latest[picture] = name

    def forget_oldest(self) -> None:
        name, (picture, _) = self.names.popitem(last=False)
        if self.latest.get(picture) == name:
            del self.latest[picture]

    def forget_expired(self, now: float) -> int:
        """Forget names that have expired and return how many."""
        before = len(self.names)
        while self.names and next(iter(self.names.values()))[1] <= now:
            self.forget_oldest()
        return before - len(self.names)


class PictureNames:
    """Random names of visitors' pictures, each known for NAME_SECONDS. Safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._visitors: OrderedDict[Scope, _VisitorNames] = OrderedDict()
        """Names of each visitor, the longest idle first."""
        self._count = 0

    def name(self, picture: PagePicture) -> str:
        """Return a name of the picture: the same as before if that was given within REUSE_SECONDS."""
        now, visitor = self._clock(), picture.page.scope
        with self._lock:
            own = self._visitors.setdefault(visitor, _VisitorNames())
            self._visitors.move_to_end(visitor)
            name = own.latest.get(picture)
            if name is not None and own.names[name][1] - now > NAME_SECONDS - REUSE_SECONDS:
                return name
            name = secrets.token_hex(16)
            own.add(name, picture, now + NAME_SECONDS)
            self._count += 1
            self._forget_surplus(own, now)
            return name

    def _forget_surplus(self, own: _VisitorNames, now: float) -> None:
        """Forget names that have expired or exceed a limit. `own` belongs to the visitor who was active last."""
        self._count -= own.forget_expired(now)
        if len(own.names) > MAX_NAMES_PER_VISITOR:
            own.forget_oldest()
            self._count -= 1
        while True:
            visitor, idle = next(iter(self._visitors.items()))
            self._count -= idle.forget_expired(now)
            if self._count > MAX_NAMES:
                idle.forget_oldest()
                self._count -= 1
            elif idle.names:
                return
            if not idle.names:
                del self._visitors[visitor]

    def find(self, visitor: Scope, name: str) -> NamedPicture | None:
        """Return a visitor's picture by its name, or None if it is unknown, has expired or is another's."""
        with self._lock:
            own = self._visitors.get(visitor)
            found = own.names.get(name) if own else None
        if found is None:
            return None
        picture, expires = found
        left = expires - self._clock()
        return NamedPicture(picture, left) if left > 0 else None

    def delete(self, visitor: Scope) -> None:
        """Forget every name of a visitor."""
        with self._lock:
            if own := self._visitors.pop(visitor, None):
                self._count -= len(own.names)


class PictureAddresses:
    """The addresses of one app's pictures, and the bytes behind them. Safe for threads."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self.engine, self.names = engine, PictureNames(clock)
        self._crops: LRUCache[bytes] = LRUCache(MAX_CROPS, len, MAX_CROPS_BYTES)

    # -- from a page to an address

    def thumbnail(self, page: StoredPage) -> str:
        """Return the address of a page's thumbnail."""
        return self._address(PagePicture(page, PictureKind.THUMBNAIL))

    def whole(self, page: StoredPage) -> str:
        """Return the address of a whole page's picture."""
        return self._address(PagePicture(page, PictureKind.PAGE))

    def crop(self, page: StoredPage, box: Box, width: int) -> str:
        """Return the address of a part of a page, drawn `width` pixels wide. Raises ValueError as `make_crop`."""
        return self._address(PagePicture(page, PictureKind.CROP, make_crop(box, width)))

    def _address(self, picture: PagePicture) -> str:
        page = picture.page
        if page.scope != SAMPLES:
            return OWN_FOLDER + self.names.name(picture)
        return f"{SAMPLES_FOLDER}{page.id}/{picture_version(page)}/{picture.stem}.webp"

    # -- from an address to its bytes

    def find_sample(self, page: str, version: str, stem: str) -> PagePicture | None:
        """Return the picture at a sample's address, or None if there is none. Waits for no model."""
        try:
            kind, crop = parse_stem(stem)
            versions = self.engine.library.page_versions(SAMPLES, PageId.parse(page))
        except ValueError:
            return None
        return next((PagePicture(one, kind, crop) for one in versions if picture_version(one) == version), None)

    def find_own(self, visitor: Scope | None, name: str) -> NamedPicture | None:
        """Return a visitor's picture by its name, or None if this visitor has none of that name."""
        found = self.names.find(visitor, name) if visitor is not None else None
        return found if found is not None and found.picture.page in self.engine.library else None

    def is_quick(self, picture: PagePicture) -> bool:
        """Return whether `read` only reads a file or memory: it cuts nothing and draws no page of the samples.

        Raises LibraryError if a sample page was deleted.
        """
        if picture.crop is not None:
            return self._crops.get(picture) is not None
        return picture.page.scope != SAMPLES or self.engine.library.has_pictures(picture.page)

    def read(self, picture: PagePicture) -> bytes:
        """Return a picture as WebP. Raises SmartError if its page was deleted or cannot be read.

        The pictures of a sample page are drawn now if they are missing.
        """
        page, library = self.engine.with_pictures(picture.page), self.engine.library
        picture = replace(picture, page=page)
        if picture.crop is None:
            return library.thumbnail(page) if picture.kind is PictureKind.THUMBNAIL else library.picture(page)
        if page not in library:
            raise LibraryError("That page is no longer in the library.")
        cut = self._crops.get(picture)
        if cut is None:
            cut = cut_picture(library.picture(page), picture.crop)
            self._crops.put(picture, cut)
            if page not in library:  # deleted a moment ago: the deletion may have missed this crop
                self.discard_deleted_pages()
        return cut

    def read_crop(self, page: StoredPage, box: Box, width: int) -> bytes:
        """Return a part of a page as WebP, for a file that is complete by itself. Raises as `crop` and `read`."""
        return self.read(PagePicture(page, PictureKind.CROP, make_crop(box, width)))

    # -- deletion

    def delete(self, visitor: Scope) -> None:
        """Forget every name and crop of a visitor."""
        self.names.delete(visitor)
        self._crops.discard(lambda key: isinstance(key, PagePicture) and key.page.scope == visitor)

    def discard_deleted_pages(self) -> None:
        """Discard the crops of pages that are no longer in the library."""
        library = self.engine.library
        self._crops.discard(lambda key: isinstance(key, PagePicture) and key.page not in library)


def is_own_picture(address: str) -> bool:
    """Return whether an address is that of a visitor's picture, which is sent with the visitor's header only."""
    return address.startswith(OWN_FOLDER)


def data_address(picture: bytes) -> str:
    """Return the address of a WebP file that contains all of it, for a document that must be complete by itself."""
    return f"data:image/webp;base64,{base64.b64encode(picture).decode('ascii')}"


def picture_version(page: StoredPage) -> str:
    """Return 16 hex digits that change if the stored picture of the page may have changed."""
    return hashlib.sha256(f"{page.encoder} {page.added!r}".encode()).hexdigest()[:16]


def cut_picture(picture: bytes, crop: Crop) -> bytes:
    """Return a part of a page's stored picture, drawn as wide as the crop says, as WebP.

    The box is cut exactly, between pixels too, so that marks over it are where they belong. A part that would be higher
    than MAX_CROP_SIDE is drawn that high. Raises LibraryError if the picture is damaged.
    """
    left, top, right, bottom = astuple(crop.box)
    try:
        with Image.open(io.BytesIO(picture), formats=("WEBP",)) as image:
            corners = (left * image.width, top * image.height, right * image.width, bottom * image.height)
            width, height = corners[2] - corners[0], corners[3] - corners[1]
            scale = min(crop.width / width, MAX_CROP_SIDE / height)
            size = max(1, round(width * scale)), max(1, round(height * scale))
            part = image.convert("RGB").resize(size, Image.Resampling.BICUBIC, corners)
    except OSError:
        raise LibraryError("The picture of that page cannot be read.", "Add its file again.") from None
    stream = io.BytesIO()
    part.save(stream, "WEBP", quality=CROP_QUALITY, method=CROP_METHOD)
    return stream.getvalue()
