"""Searches with given scores, small enough to rank by hand; values that any client may send; keys of stored pages."""

import math
from collections.abc import Sequence

import numpy as np

from smart_demo import scoring
from smart_demo.errors import Notice, NoticeCode
from smart_demo.methods import SMART, Found, Parts, Weights, compared_methods, part_methods
from smart_demo.types import SAMPLES, Encoder, PageId, Query, QueryEncoding, Scope, StoredPage, TokenKind
from smart_demo.ui.format import page_key
from smart_demo.ui.handlers import Handlers

HOSTILE = [
    '"><img src=x onerror=alert(1)>.pdf',
    "${alert(1)}.pdf",
    "`${alert`1`}`.pdf",
    "</button></li><script>alert(1)</script>.pdf",
    "' onmouseover='alert(1).pdf",
    "\u202egpj.exe\u202c.pdf",
    "{{constructor}}\\new.pdf",
    "line\nbreak\x00\x1b[31m.pdf",
]
NONSENSE = [None, "", "x" * 12_000, -1, 10**9, math.nan, math.inf, True, [], {}, ["a"], {"a": 1}, b"\x00", "\ud800"]


def stored_pages(handlers: Handlers, scope: Scope) -> list[StoredPage]:
    engine = handlers.engine
    return engine.library.pages([scope], engine.backbone(scope).encoder.fingerprint)


def page_keys(handlers: Handlers, scope: Scope) -> list[str]:
    """Return the pages of a scope as browsers name them."""
    return [page_key(page.scope, page.id) for page in stored_pages(handlers, scope)]


def stored(number: int, document: str = "report.pdf", scope: Scope = SAMPLES, pages: int = 12) -> StoredPage:
    return StoredPage(scope, "e" * 16, PageId("a" * 16, number), document, pages, 800, 1000, 300, 200_000, "int8", 0.0)


def found(
    pooled: Sequence[float],
    late: Sequence[float],
    *,
    top: int = 3,
    weights: Weights = SMART.weights,
    document: str = "report.pdf",
    query: str = "what",
    notice: str = "",
) -> Found:
    """Return a search: page i + 1 has pooled[i] and late[i]; the query has one token, whose maximum is late[i]."""
    pages = tuple(stored(number, document) for number in range(1, len(pooled) + 1))
    kinds = np.array([TokenKind.CONTENT], dtype=np.uint8)
    parts = Parts(
        kinds,
        pages,
        np.array(pooled, dtype=np.float32),
        np.arange(len(pages)),
        np.array(late, dtype=np.float32).reshape(-1, 1),
    )
    row = np.ones((1, 1), dtype=np.float32)
    notices = (Notice(NoticeCode.QUERY_CUT, notice),) if notice else ()
    encoding = QueryEncoding(Query(query), "e" * 16, row[0], row, kinds, (query,), notices)
    methods = dict.fromkeys((*compared_methods(weights), *part_methods(weights)))
    results = {method.name: scoring.rank(parts, method, top) for method in methods}
    encoder = Encoder("minilm", "bert", "", "w")
    return Found(encoding.query, encoder, encoding, parts, results, {"encode": 12.0, "score": 3.0, "rank": 0.2})
