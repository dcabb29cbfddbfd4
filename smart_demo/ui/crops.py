"""The evidence on the cards: the part of each page in which most of the late score was won, with its words outlined."""

from __future__ import annotations

import math

from markupsafe import Markup

from smart_demo.errors import InputRefused, SmartError
from smart_demo.page_list import Key
from smart_demo.search.explain import EvidenceCrop, Mark, NoPlace, Slot
from smart_demo.search.explain.evidence_crop import MAX_ENLARGEMENT
from smart_demo.search.explain.explainer import PageCrop
from smart_demo.search.request import MAX_K
from smart_demo.server.picture_addresses import MIN_CROP_WIDTH, CropAddress, PictureAddresses, data_address
from smart_demo.ui.events import answer_errors, request_field
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.pair_view import shorten_label
from smart_demo.ui.render import render
from smart_demo.ui.viewer import resolve_search

MAX_PAGES = 2 * MAX_K
"""Maximum number of pages of one request: both columns, without a page in common."""
SLOT_STEPS = (40, 10)
"""CSS pixels of width and height to whose multiples slots are rounded down, so that cards share crops."""
SLOT_LIMITS = ((120, 1_200), (40, 800))
"""Range of a slot's width, and of its height. Others are clamped."""
MAX_SENT_SIDE = 1_000_000
"""CSS pixels above which a side is refused rather than clamped."""
DENSITY = 2
"""Pixels of a crop for one CSS pixel of its slot, at most, for sharp screens."""
MAX_LABELS = 4
"""Maximum number of words that a caption names."""
NO_CLEAR_PLACE = "No clear place on this page."
REASONS = {
    NoPlace.NO_MATCH: "The words of the question match nothing here.",
    NoPlace.UNPLACED: "The match comes from the page as a whole.",
    NoPlace.FLAT: "No part of it stands out from the rest.",
}
"""Sentences that follow NO_CLEAR_PLACE."""
NO_PAGE = "That page is no longer in the library."
"""Sentence for every page that was deleted, is another visitor's or was never there."""


class CropHandlers:
    """The crops of one app's pages. Every argument is validated, because any client can call its methods."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    @answer_errors("crops could not be found")
    def crops(self, request: object) -> dict[str, object]:
        """Return `crops`, the evidence of each page as markup, in the order of the request, or `{"sentence": …}`.

        request: `asked`, the fields of the search, and `pages`, a list of [key of a page, width and height of the
        crop's place in CSS pixels]. A page that cannot be shown has a sentence in place of its crop.
        """
        search, scopes = resolve_search(self._handlers, request)
        slots = _parse_slots(request_field(request, "pages"))
        keys = [self._find_key(name) for name, _ in slots]
        pages = {key: slot for key, (_, slot) in zip(keys, slots, strict=True) if key}
        query = self._handlers.build_query(search)
        found = self._handlers.engine.crops(query, scopes, pages, search.weights, search.top)
        address, missing = self._handlers.picture_addresses.crop, render_sentence(NO_PAGE)
        return {"crops": [render_crop(found[key], pages[key], address) if key in found else missing for key in keys]}

    def _find_key(self, name: str) -> Key | None:
        """Return the page of a browser's key, or None if the visitor can see no such page."""
        try:
            return self._handlers.resolve_page(name)
        except SmartError:  # the same sentence as for a page that was deleted
            return None


def _parse_slots(pages: object) -> list[tuple[str, Slot]]:
    """Return the key of each page and the size of its crop's place, as a browser sent both.

    Raises InputRefused for anything but a list of a key and two numbers each, and for too many.
    """
    if not isinstance(pages, list) or len(pages) > MAX_PAGES:
        raise InputRefused(f"That is not a list of at most {MAX_PAGES} pages.")
    slots = []
    for page in pages:
        match page:
            case [str(name), int() | float() as width, int() | float() as height] if _is_size(width, height):
                slots.append((name, _round_slot(width, height)))
            case _:
                raise InputRefused("That is not a list of pages.")
    return slots


def _is_size(*sides: float) -> bool:
    return all(abs(side) < MAX_SENT_SIDE for side in sides)  # false for what is no number


def _round_slot(width: float, height: float) -> Slot:
    """Return a slot of about this size.

    >>> _round_slot(366.5, 103), _round_slot(-1, 1e9)
    (Slot(width=360, height=100), Slot(width=120, height=800))
    """
    sides = zip((width, height), SLOT_STEPS, SLOT_LIMITS, strict=True)
    return Slot(*(int(min(max(side, low), high)) // step * step for side, step, (low, high) in sides))


def render_crop(page_crop: PageCrop, slot: Slot, address: CropAddress) -> Markup:
    """Return the evidence of a page: its crop with outlined words and a caption, or that there is no clear place.

    slot: the size for which the crop was found. Raises LibraryError if its picture cannot be read, if `address` reads.
    """
    crop = page_crop.crop
    if isinstance(crop, NoPlace):
        return render_sentence(f"{NO_CLEAR_PLACE} {REASONS[crop]}")
    return render(
        "crop",
        crop=crop,
        address=address(page_crop.page, crop.box, max(MIN_CROP_WIDTH, min(page_crop.width, DENSITY * slot.width))),
        width=page_crop.width,
        height=page_crop.height,
        most=math.floor(page_crop.width * MAX_ENLARGEMENT),
        labels=[shorten_label(label) for label in crop.labels[:MAX_LABELS]],
        others=max(0, len(crop.labels) - MAX_LABELS),
        share=format_share(crop.share),
        rings=lambda mark: _list_rings(crop, mark),
        name_mark=lambda mark: ", ".join(f"“{shorten_label(label)}”" for label in mark.labels),
        sentence="",
    )


def _list_rings(crop: EvidenceCrop, mark: Mark) -> list[int]:
    """Return the places in the caption, from 1, of the words that a mark outlines; [0] if the caption names none."""
    named = crop.labels[:MAX_LABELS]
    return [place for place, label in enumerate(named, start=1) if label in mark.labels] or [0]


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


def embed_crops(addresses: PictureAddresses) -> CropAddress:
    """Return a function whose addresses contain the whole picture, for a document that must be complete by itself."""
    return lambda page, box, width: data_address(addresses.read_crop(page, box, width))
