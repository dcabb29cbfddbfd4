"""The content of the trials, derived from names, so that the expected bytes are known at any time."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from smart_demo.store import prepared_page, token_file
from smart_demo.store.library import Library
from smart_demo.types import (
    LOCAL,
    SAMPLES,
    Page,
    PageEncoding,
    PageId,
    Scope,
    StoredPage,
    TokenBoxes,
    TokenCodes,
    TokenGrid,
    TokenKind,
)

SCOPES = (LOCAL, SAMPLES, Scope("visitor-" + "0e" * 16))
ENCODERS = ("a1" * 8, "b2" * 8)
PAGES = 1_000
"""Pages of the longest document; enough to make Chroma rewrite its files."""
POOLED, WIDTH = 64, 8


class Key(NamedTuple):
    """A page's identity: scope, encoder, document number, page number."""

    scope: str
    encoder: str
    file: int
    number: int

    @property
    def page(self) -> PageId:
        return PageId(f"{self.file:016x}", self.number)


def key_of(page: StoredPage) -> Key:
    return Key(str(page.scope), page.encoder, int(page.id.file, 16), page.id.number)


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    rows = rng.normal(size=shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def queries(count: int) -> np.ndarray:
    return unit(np.random.default_rng(77), count, POOLED)


@cache
def make_page(key: Key) -> tuple[Page, PageEncoding]:
    """Return a page and its encoding. Even documents have boxes, odd ones a grid; 3 to 14 tokens in every scope."""
    rng = np.random.default_rng([key.file, key.number, int(key.encoder, 16) % 997])
    tokens = 3 + (5 * key.file + key.number) % 12
    page = Page(key.page, f"document {key.file}.pdf", PAGES, rng.integers(0, 255, (24, 16, 3), dtype=np.uint8))
    boxes = np.concatenate([rng.uniform(size=(tokens - 1, 4)), np.full((1, 4), np.nan)]).astype(np.float32)
    place = TokenGrid(1, 1, tokens - 1) if key.file % 2 else TokenBoxes(boxes)
    kinds = np.full(tokens, TokenKind.PATCH, np.uint8)
    return page, PageEncoding(page.id, key.encoder, unit(rng, POOLED), unit(rng, tokens, WIDTH), kinds, place)


@cache
def expected_parts(key: Key) -> dict[str, bytes]:
    """Return what a page must contain, each part as bytes."""
    page, encoding = make_page(key)
    copies = prepared_page.encode_pictures(page.pixels)
    facts = (page.document, page.pages, *page.pixels.shape[:2], len(encoding.tokens), "int8")
    codes = token_file.encode(encoding.tokens, "int8")
    return _parts(facts, encoding.pooled, codes, encoding.kinds) | {
        "picture": copies.picture,
        "thumbnail": copies.thumbnail,
    }


def stored_parts(library: Library, page: StoredPage, pooled: np.ndarray) -> dict[str, bytes]:
    """Return the same parts of a stored page, as the library returns them."""
    facts = (page.document, page.pages, page.height, page.width, page.tokens, page.codec)
    return _parts(facts, pooled, library.tokens(page), library.encoding(page).kinds) | {
        "picture": library.picture(page),
        "thumbnail": library.thumbnail(page),
    }


def _parts(facts: tuple[object, ...], pooled: np.ndarray, codes: TokenCodes, kinds: np.ndarray) -> dict[str, bytes]:
    mean = b"" if codes.mean is None else codes.mean.tobytes()
    return {
        "facts": repr(facts).encode(),
        "pooled vector": pooled.tobytes(),
        "token states": codes.codes.tobytes() + mean + np.float32(codes.scale).tobytes(),
        "kinds": kinds.tobytes(),
    }


def differences(library: Library, page: StoredPage, pooled: np.ndarray, *, whole: bool = True) -> list[str]:
    """Return the names of the parts that differ from what was added; compare the vector alone unless `whole`."""
    if not whole:
        return [] if pooled.tobytes() == make_page(key_of(page))[1].pooled.tobytes() else ["pooled vector"]
    stored, expected = stored_parts(library, page, pooled), expected_parts(key_of(page))
    return [name for name, data in expected.items() if stored[name] != data]


def ranking_error(library: Library, scopes: tuple[Scope, ...], encoder: str, query: np.ndarray, count: int) -> str:
    """Return an empty string if `nearest` equals a sort in numpy by scores: the same document in two scopes ties."""
    pages = library.pages(scopes, encoder)
    scores = {page.key: float(make_page(key_of(page))[1].pooled @ query) for page in pages}
    found = library.nearest(scopes, encoder, query, count)
    want = sorted(scores.values(), reverse=True)[:count]
    if len(set(found)) != len(found) or not set(found) <= scores.keys():
        return "a search found a page twice, or one that is not there"
    got = [scores[key] for key in found]
    if len(got) != len(want) or not np.allclose(got, want, atol=1e-5):
        return f"a search over {len(pages)} pages found others than numpy"
    return ""
