"""What the page shows, parsed from its markup as a person would read it."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

_DOCUMENT = re.compile(r'<li class="document">(.*?)</li>', re.S)
_ARRIVAL = re.compile(r'<li class="arrival is-(\w+)">(.*?)</li>', re.S)
_RANKING = re.compile(r'<ol class="ranking of-(\w+)".*?</ol>', re.S)
_CARD = re.compile(r'data-page="(\w+)/([0-9a-f]{16})-(\d{4})"')
_PAGES = re.compile(r"(?:(\d+) of )?(\d+) pages?")


@dataclass(frozen=True)
class Listed:
    """A document as the Library lists it."""

    file: str
    name: str
    pages: int
    """Number of stored pages."""


@dataclass(frozen=True)
class Arrived:
    """A file as the list of uploads shows it."""

    name: str
    state: str
    pages: int
    said: str


@dataclass(frozen=True)
class Card:
    """A page in a column of an answer."""

    whose: str
    file: str
    page: int

    @property
    def key(self) -> str:
        """Return the key with which the page's script requests it."""
        return f"{self.whose}/{self.file}-{self.page:04d}"


def shelf(markup: str) -> list[Listed]:
    """Return the visitor's own documents: those with a delete button."""
    found = []
    for row in _DOCUMENT.findall(markup):
        if remove := re.search(r'data-remove="([0-9a-f]{16})"', row):
            facts = _text(_part(row, "document-facts"))
            found.append(Listed(remove[1], _text(_part(row, "document-name")), _pages(facts)))
    return found


def arrivals(markup: str) -> list[Arrived]:
    """Return the files of the last uploads."""
    return [
        Arrived(
            _text(_part(row, "arrival-name")), state, _pages(said := _text(_part(row, "arrival-said"))), said
        )
        for state, row in _ARRIVAL.findall(markup)
    ]  # fmt: skip


def columns(markup: str) -> dict[str, list[Card]]:
    """Return the pages of an answer by column, best first."""
    return {
        found[1]: [Card(whose, file, int(page)) for whose, file, page in _CARD.findall(found[0])]
        for found in _RANKING.finditer(markup)
    }


def asked(markup: str) -> str:
    """Return the request that the answer's script sends back, as JSON; empty if there is no answer."""
    found = re.search(r'data-asked="([^"]*)"', markup)
    return html.unescape(found[1]) if found else ""


def _part(row: str, name: str) -> str:
    found = re.search(rf'<span class="{name}">(.*?)</span>', row, re.S)
    return found[1] if found else ""


def _text(markup: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", markup))


def _pages(said: str) -> int:
    found = _PAGES.search(said)
    return int(found[1] or found[2]) if found else 0
