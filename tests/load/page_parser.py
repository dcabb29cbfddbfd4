"""Parse documents, uploads and rankings from the page's markup."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

_DOCUMENT = re.compile(r'<li class="document"[^>]*>(.*?)</li>', re.S)
_UPLOAD = re.compile(r'<li class="upload-item is-(\w+)">(.*?)</li>', re.S)
_RANKING = re.compile(r'<ol class="ranking of-(\w+)".*?</ol>', re.S)
_CARD = re.compile(r'<button[^>]* data-page="(\w+)/([0-9a-f]{16})-(\d{4})"')
_PAGES = re.compile(r"(?:(\d+) of )?(\d+) pages?")


@dataclass(frozen=True)
class ListedDocument:
    """A document as the Library lists it."""

    file: str
    name: str
    pages: int
    """Number of stored pages."""


@dataclass(frozen=True)
class ListedUpload:
    """A file as the list of uploads shows it."""

    name: str
    state: str
    pages: int
    message: str


@dataclass(frozen=True)
class Card:
    """A page in a column of an answer."""

    scope: str
    file: str
    page: int

    @property
    def key(self) -> str:
        """Return the key with which the page's script requests it."""
        return f"{self.scope}/{self.file}-{self.page:04d}"


def parse_documents(markup: str) -> list[ListedDocument]:
    """Return the visitor's own documents: those with a delete button."""
    found = []
    for row in _DOCUMENT.findall(markup):
        if remove := re.search(r'data-remove="([0-9a-f]{16})"', row):
            facts = _text(_part(row, "document-facts"))
            found.append(ListedDocument(remove[1], _text(_part(row, "document-name")), _pages(facts)))
    return found


def parse_uploads(markup: str) -> list[ListedUpload]:
    """Return the files of the last uploads."""
    return [
        ListedUpload(
            _text(_part(row, "upload-name")), state, _pages(message := _text(_part(row, "upload-status"))), message
        )
        for state, row in _UPLOAD.findall(markup)
    ]  # fmt: skip


def parse_rankings(markup: str) -> dict[str, list[Card]]:
    """Return the pages of an answer by column, best first."""
    return {
        found[1]: [Card(scope, file, int(page)) for scope, file, page in _CARD.findall(found[0])]
        for found in _RANKING.finditer(markup)
    }


def parse_request(markup: str) -> str:
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
