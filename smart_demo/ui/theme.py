"""Addresses of the page. A link names the page in the viewer as `page=…`, which Gradio takes for one of its own pages
and fails on. So the server is handed the same address under the name that links of earlier versions had; the browser,
whose script reads it, keeps what was written.

Colours, type and the files of the page, as Gradio's `launch` takes them. Nothing is fetched from elsewhere:
the faces are the ones that Gradio itself serves, with the system's own behind them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import gradio as gr
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from smart_demo.config import Settings
from smart_demo.diagnostics import has_mcp
from smart_demo.server.gate import Gate, Headers, largest

BROWSER_PARAMETER, SERVER_PARAMETER = b"page", b"at"
READ_METHODS = {"GET", "HEAD"}


class PageLinks:
    """An ASGI application around another: looks at the page itself get their `page=` renamed, all else passes as it is.

    The value's bytes are never decoded, so nothing in them can fail here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, of whatever kind."""
        if scope["type"] == "http" and scope["method"] in READ_METHODS and _is_home(scope):
            scope = {**scope, "query_string": rename_page_parameter(scope["query_string"])}
        await self._app(scope, receive, send)


def rename_page_parameter(query: bytes) -> bytes:
    """A query string in which the page has its earlier name.

    >>> renamed(b"q=tide&page=samples%2Fx&present=1")
    b'q=tide&at=samples%2Fx&present=1'
    """
    return b"&".join(map(_renamed, query.split(b"&")))


def _renamed(parameter: bytes) -> bytes:
    name, equals, value = parameter.partition(b"=")
    return SERVER_PARAMETER + equals + value if unquote_to_bytes(name) == BROWSER_PARAMETER else parameter


def _is_home(scope: Scope) -> bool:
    return scope["path"].removeprefix(scope.get("root_path", "")) in {"", "/"}


UI_DIR = Path(__file__).resolve().parent
PARTS = ("page", "explain", "stories", "pair", "region", "picture", "hood", "export", "judge", "board", "queries")
STYLE_SHEETS = tuple(f"{part}.css" for part in PARTS)
SCRIPTS = tuple(f"{part}.js" for part in ("visit", "intake", *PARTS, "vote", "grade"))
"""In the order in which they build on each other."""
PRINT_SHEET = "print.css"
"""For paper alone. It stands in the head as it is: Gradio rewrites what is inside media queries."""
SANS_FONTS = [gr.themes.Font(face) for face in ("IBM Plex Sans", "ui-sans-serif", "system-ui", "sans-serif")]
MONO_FONTS = [gr.themes.Font(face) for face in ("IBM Plex Mono", "ui-monospace", "monospace")]
FONT_FILES = {
    ("IBM Plex Sans", "400"): "IBMPlexSans/IBMPlexSans-Regular",
    ("IBM Plex Sans", "500 800"): "IBMPlexSans/IBMPlexSans-Bold",
    ("IBM Plex Mono", "400"): "IBMPlexMono/IBMPlexMono-Regular",
}
"""Family and weight -> file among Gradio's static files. Its other files of these two lack most of the alphabet."""

LIGHT_COLORS = {
    "body_background_fill": "#f7f6f2",
    "body_text_color": "#15171c",
    "body_text_color_subdued": "#5d626c",
    "background_fill_primary": "#ffffff",
    "background_fill_secondary": "#f1efe9",
    "block_background_fill": "#ffffff",
    "border_color_primary": "#e2dfd6",
    "border_color_accent": "#2f46d8",
    "color_accent": "#2f46d8",
    "color_accent_soft": "#e8ebff",
    "input_background_fill": "#ffffff",
    "input_border_color": "#d6d2c7",
    "slider_color": "#15171c",
    "button_primary_background_fill": "#15171c",
    "button_primary_background_fill_hover": "#2a2d35",
    "button_primary_text_color": "#ffffff",
    "button_secondary_background_fill": "#ffffff",
    "button_secondary_background_fill_hover": "#f1efe9",
    "button_secondary_text_color": "#15171c",
    "link_text_color": "#2f46d8",
}
DARK_COLORS = {
    "body_background_fill": "#0e1014",
    "body_text_color": "#ecedef",
    "body_text_color_subdued": "#9aa0ab",
    "background_fill_primary": "#161920",
    "background_fill_secondary": "#1d2129",
    "block_background_fill": "#161920",
    "border_color_primary": "#2a2f39",
    "border_color_accent": "#93a4ff",
    "color_accent_soft": "#1f2750",
    "input_background_fill": "#161920",
    "input_border_color": "#363c48",
    "slider_color": "#ecedef",
    "button_primary_background_fill": "#ecedef",
    "button_primary_background_fill_hover": "#ffffff",
    "button_primary_text_color": "#0e1014",
    "button_secondary_background_fill": "#1d2129",
    "button_secondary_background_fill_hover": "#262b35",
    "button_secondary_text_color": "#ecedef",
    "link_text_color": "#93a4ff",
}

MAX_SESSIONS = 100
"""Open pages whose state is remembered, closed ones among them for an hour, at some 0.7 MB each (measured). A page
beyond them is as good as reloaded: its weights turn again after the next search."""


def build_theme() -> gr.themes.Base:
    """Gradio's own parts in our colours, light and dark."""
    base = gr.themes.Base(font=SANS_FONTS, font_mono=MONO_FONTS, radius_size=gr.themes.sizes.radius_md)
    return base.set(
        **LIGHT_COLORS, **{f"{key}_dark": value for key, value in DARK_COLORS.items()}, block_border_width="0px"
    )


def build_css() -> str:
    """The style sheet with its faces."""
    return "\n".join([_faces("static/fonts/{}.woff2".format), *(_read(sheet) for sheet in STYLE_SHEETS)])


def inline_fonts() -> str:
    """The same faces with their files inside, for what must stand alone."""

    def data(file: str) -> str:
        content = (gr.themes.utils.fonts.STATIC_FONTS_DIR / f"{file}.woff2").read_bytes()
        return f"data:font/woff2;base64,{base64.b64encode(content).decode('ascii')}"

    return _faces(data)


def _faces(address: Callable[[str], str]) -> str:
    return "\n".join(
        f"@font-face {{ font-family: '{family}'; src: url('{address(file)}') format('woff2'); "
        f"font-weight: {weight}; font-display: swap; }}"
        for (family, weight), file in FONT_FILES.items()
    )


def build_head() -> str:
    """What goes into the page's head: its behaviour, and what it says of itself."""
    printed = f'<style media="print">{_read(PRINT_SHEET)}</style>'
    scripts = "".join(f"<script>{_read(script)}</script>" for script in SCRIPTS)
    faces = "".join(
        f'<link rel="preload" href="static/fonts/{file}.woff2" as="font" type="font/woff2" crossorigin>'
        for file in FONT_FILES.values()
    )
    said = '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
    return f"{said}{faces}{printed}{scripts}"


def _read(file: str) -> str:
    return (UI_DIR / file).read_text(encoding="utf-8")


def build_middleware(settings: Settings) -> list[Middleware]:
    """What stands around Gradio, outermost first."""
    on_space = gr.utils.get_space() is not None
    return [Middleware(Headers, on_space=on_space), Middleware(Gate, settings=settings), Middleware(PageLinks)]


def launch_options(settings: Settings) -> dict[str, Any]:
    """Arguments of `Blocks.launch`. Address and port are left to Gradio's own variables."""
    return {
        "theme": build_theme(),
        "css": build_css(),
        "head": build_head(),
        "favicon_path": UI_DIR / "favicon.svg",
        "show_error": False,
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "share": False,
        "footer_links": [],
        "allowed_paths": [],
        "max_file_size": largest(settings),
        "state_session_capacity": MAX_SESSIONS,
        "app_kwargs": {"middleware": build_middleware(settings)},
        "mcp_server": has_mcp(),
    }
