"""Which page a request comes from. Another site, open in the same browser, can post to a demo on this machine; without
this it could delete a presenter's library, though it could never read the answer. A site that points a name of its own
at this machine could even read it, so a page that only this machine can reach answers to this machine's names alone.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.types import Scope

from smart_demo.ui.bodies import Refused, header

OWN = {b"same-origin", b"none"}
"""`none` is what a person does without any page, such as opening an address."""
NAMES = (
    "Open it as localhost; if it stands behind a proxy, set SMART_HOSTS to the name in its address and start it again."
)
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


def expect_own_name(scope: Scope, hosts: Collection[str]) -> None:
    """Refused where the host that is asked is neither this machine's own nor one of `hosts`; if these are none, any is
    taken. Browsers always say it, and no page can make them say another.
    """
    asked = header(scope, b"host").decode("latin-1").lower()
    if not hosts or not asked:
        return
    try:
        name = (urlsplit(f"//{asked}").hostname or "").removesuffix(".")
    except ValueError:
        name = ""
    if name not in hosts and f"[{name}]" not in hosts and not _is_this_machine(name):
        raise Refused(403, f"This page is private and does not answer to that name. {NAMES}")


def _is_this_machine(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _host(origin: bytes) -> str:
    """Host and port of an origin; empty for `null` and for nonsense."""
    try:
        return urlsplit(origin.decode("latin-1")).netloc.lower()
    except ValueError:
        return ""
