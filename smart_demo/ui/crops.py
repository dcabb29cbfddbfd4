"""The evidence on the cards: the part of each page in which most of the late score was won, with its words outlined."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable

from markupsafe import Markup
from PIL import Image

from smart_demo.errors import InputRefused, LibraryError, SmartError
from smart_demo.page_text import Box
from smart_demo.search.explain import NoPlace
from smart_demo.search.explain.evidence_crop import MAX_ENLARGEMENT
from smart_demo.search.explain.explainer import PageCrop
from smart_demo.search.request import MAX_K
from smart_demo.types import StoredPage
from smart_demo.ui.events import answer_errors
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.pair_view import shorten_label
from smart_demo.ui.render import render
from smart_demo.ui.viewer import request_field, resolve_search

CropAddress = Callable[[StoredPage, Box, int], str]
"""Returns the address of the picture of a part of a page, drawn that many pixels wide."""
MAX_PAGES = 2 * MAX_K
"""Maximum number of pages of one request: both columns, without a page in common."""
MAX_CROP_PIXELS = 660
"""Pixels of a crop's width, at most: a sharp picture of a card's crop on a screen of double density."""
MAX_LABELS = 4
"""Maximum number of words that a caption names."""
NO_CLEAR_PLACE = "No clear place on this page."
REASONS = {
    NoPlace.NO_MATCH: "The words of the question match nothing here.",
    NoPlace.UNPLACED: "Won by tokens without a place on the page.",
    NoPlace.FLAT: "No part of it stands out from the rest.",
}
"""Sentences that follow NO_CLEAR_PLACE."""
NO_PAGE = "That page is no longer in the library."
"""Sentence for every page that was deleted, is another visitor's or was never there."""


class CropHandlers:
    """The crops of one app's pages. Every argument is validated, because any client can call its methods."""

    def __init__(self, handlers: Handlers, address: CropAddress) -> None:
        self._handlers, self._address = handlers, address

    @answer_errors("crops could not be found")
    def crops(self, request: object) -> dict[str, object]:
        """Return `crops`, the evidence of each of `pages` by its key as markup, or `{"sentence": …}`.

        A page that cannot be shown has a sentence in place of its crop, and the others have theirs.
        """
        search, scopes = resolve_search(self._handlers, request)
        names = _parse_page_names(request_field(request, "pages"))
        keys = {}
        for name in names:
            try:
                keys[name] = self._handlers.resolve_page(name)
            except SmartError:  # the page has a sentence, as one that was deleted
                continue
        query = self._handlers.build_query(search)
        found = self._handlers.engine.crops(query, scopes, keys.values(), search.weights, search.top)
        return {"crops": {name: self._render(found.get(keys[name]) if name in keys else None) for name in names}}

    def _render(self, page_crop: PageCrop | None) -> Markup:
        if page_crop is None:
            return render_sentence(NO_PAGE)
        try:
            return render_crop(page_crop, self._address)
        except LibraryError:  # deleted a moment ago
            return render_sentence(NO_PAGE)


def _parse_page_names(names: object) -> list[str]:
    """Return the distinct names of pages in a request. Raises InputRefused if they are no list, or too many."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputRefused("That is not a list of pages.")
    distinct = list(dict.fromkeys(names))
    if len(distinct) > MAX_PAGES:
        raise InputRefused(f"At most {MAX_PAGES} pages are shown at once.")
    return distinct


def render_crop(page_crop: PageCrop, address: CropAddress) -> Markup:
    """Return the evidence of a page: its crop with outlined words and a caption, or that there is no clear place."""
    crop = page_crop.crop
    if isinstance(crop, NoPlace):
        return render_sentence(f"{NO_CLEAR_PLACE} {REASONS[crop]}")
    return render(
        "crop",
        crop=crop,
        picture=address(page_crop.page, crop.box, min(page_crop.width, MAX_CROP_PIXELS)),
        width=page_crop.width,
        height=page_crop.height,
        most=math.floor(page_crop.width * MAX_ENLARGEMENT),
        labels=[shorten_label(label) for label in crop.labels[:MAX_LABELS]],
        others=max(0, len(crop.labels) - MAX_LABELS),
        share=format_share(crop.share),
        name_mark=lambda mark: ", ".join(f"“{shorten_label(label)}”" for label in mark.labels),
        sentence="",
    )


def render_sentence(sentence: str) -> Markup:
    """Return a sentence in place of a crop."""
    return render("crop", crop=None, sentence=sentence)


def format_share(share: float) -> str:
    """Return a share from 0 to 1 in per cent; one that is neither 0 nor 1 is not rounded to either.

    >>> format_share(0.7149), format_share(0.002), format_share(0.998), format_share(1.0)
    ('71 %', '<1 %', '>99 %', '100 %')
    """
    if 0 < share < 0.01:
        return "<1 %"
    return ">99 %" if 0.99 < share < 1 else f"{share * 100:.0f} %"


def embed_crops(load_picture: Callable[[StoredPage], bytes]) -> CropAddress:
    """Return a function that puts the whole picture of a crop into its address, for a document that must be complete.

    load_picture: returns a page's stored picture.
    """

    def address(page: StoredPage, box: Box, width: int) -> str:
        return f"data:image/webp;base64,{base64.b64encode(crop_bytes(load_picture(page), box, width)).decode('ascii')}"

    return address


def crop_bytes(picture: bytes, box: Box, width: int) -> bytes:
    """Return a part of a page's stored picture, drawn `width` pixels wide, as WebP.

    Raises LibraryError if the picture cannot be read.
    """
    try:
        with Image.open(io.BytesIO(picture), formats=("WEBP",)) as image:
            across, down = image.size
            corners = (box.left * across, box.top * down, box.right * across, box.bottom * down)
            height = max(1, round(width * (corners[3] - corners[1]) / (corners[2] - corners[0])))
            part = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC, corners)
    except OSError:
        raise LibraryError("The picture of that page cannot be read.", "Add its file again.") from None
    stream = io.BytesIO()
    part.save(stream, "WEBP", quality=80, method=2)
    return stream.getvalue()
