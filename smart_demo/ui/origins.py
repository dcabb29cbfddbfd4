"""Which page a request comes from. Another site, open in the same browser, can post to a demo on this machine; without
this it could delete a presenter's library, though it could never read the answer.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.types import Scope

from smart_demo.ui.bodies import Refused, header

OWN = {b"same-origin", b"none"}
"""`none` is what a person does without any page, such as opening an address."""
ELSEWHERE = 403, "This page takes nothing from other sites."


def expect_own_page(scope: Scope) -> None:
    """Refused where a browser says that another site's page sends this. Programs say nothing of the kind and pass.

    Browsers tell it themselves where they trust the address (https, this machine), whatever proxies rewrite; elsewhere
    the sender's address is compared with the one that is asked.
    """
    site, origin = header(scope, b"sec-fetch-site"), header(scope, b"origin")
    if site:
        if site.lower() not in OWN:
            raise Refused(*ELSEWHERE)
    elif origin:
        asked = [header(scope, name).decode("latin-1").lower() for name in (b"host", b"x-forwarded-host")]
        if _host(origin) not in filter(None, asked):
            raise Refused(*ELSEWHERE)


def _host(origin: bytes) -> str:
    """Host and port of an origin; empty for `null` and for nonsense."""
    try:
        return urlsplit(origin.decode("latin-1")).netloc.lower()
    except ValueError:
        return ""
