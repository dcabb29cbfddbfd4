"""The identity of visitors on a public page.

A public page has no accounts: each browser holds a secret of 128 random bits and sends it with every request
(`head.js`). Uploads and judgements belong to the holder of that secret. On disk, in Chroma and in journals only its
digest is stored, so the name of a folder or a row does not give access.
"""

from __future__ import annotations

import hashlib
import re

from gradio.context import LocalContext
from starlette.datastructures import Headers
from starlette.types import Scope as HTTPScope

from smart_demo.config import Settings
from smart_demo.store.quotas import VISITOR_PREFIX
from smart_demo.types import LOCAL, Scope

VISITOR_HEADER = "x-smart-visitor"


def visitor_scope(secret: object) -> Scope | None:
    """Return the scope of the visitor who holds a secret, or None if it is not 32 hex digits.

    The scope is named by a digest, so a folder's or a row's name does not reveal the secret.

    >>> str(visitor_scope("0" * 32))
    'visitor-84e0c0eafaa95a34c293f278ac52e45c'
    >>> visitor_scope("0" * 31) is None
    True
    """
    if not isinstance(secret, str) or not re.fullmatch("[0-9a-f]{32}", secret):
        return None
    return Scope(VISITOR_PREFIX + hashlib.sha256(secret.encode("ascii")).hexdigest()[:32])


def current_visitor(settings: Settings) -> Scope | None:
    """Return the owner of what the current visitor uploads and judges, or None if the request names no visitor.

    A private page has one owner. On any other page the visitor comes from the header of the request that Gradio handles
    in this thread.
    """
    if settings.is_private:
        return LOCAL
    request = LocalContext.request.get(None)
    return visitor_scope(request.headers.get(VISITOR_HEADER)) if request is not None else None


def request_visitor(request: HTTPScope) -> Scope | None:
    """Return the visitor who sends an ASGI request, or None if its header holds no valid secret."""
    return visitor_scope(Headers(scope=request).get(VISITOR_HEADER))


def client_id(request: HTTPScope) -> str:
    """Return an id of the client that sends an ASGI request, for limits: its visitor, or else its IP address."""
    address = request.get("client")
    return str(request_visitor(request) or f"from {address[0] if address else 'nowhere'}")
