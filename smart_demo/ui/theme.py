"""What the page is launched with: colours, fonts, style sheets, scripts and the middleware around Gradio.

The page fetches nothing from other hosts. Its fonts are those that Gradio serves, then the system's.

`head.js` is inlined into the page, because the first request must contain the visitor's secret. It imports modules from
`SCRIPT_FOLDER`, whose name is a hash of what they contain: a browser may store them for ever, and an update has another
address. Inline modules could import each other only by `data:` or `blob:` addresses, which the Content-Security-Policy
forbids.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from smart_demo.config import Settings
from smart_demo.diagnostics import has_mcp
from smart_demo.server.compression import CompressionMiddleware
from smart_demo.server.gate import GateMiddleware
from smart_demo.server.headers_and_links import PageLinkMiddleware, SecurityHeadersMiddleware
from smart_demo.server.picture_addresses import PictureAddresses
from smart_demo.server.picture_routes import PictureRoutes
from smart_demo.server.upload_limits import max_upload_file_bytes

UI_DIR = Path(__file__).resolve().parent
STATIC_DIR = UI_DIR / "static"
STYLE_SHEETS = (
    "page.css",
    "compare.css",
    "cards.css",
    "crops.css",
    "adding.css",
    "slides.css",
    "judge.css",
)
"""File names in the order of the cascade."""
PRINT_SHEET = "print.css"
"""Style sheet for paper. It is put into the head unchanged, because Gradio rewrites the rules inside media queries."""
HEAD_SCRIPT = "head.js"
MODULES = {path.name: path.read_bytes() for path in sorted(STATIC_DIR.glob("*.js")) if path.name != HEAD_SCRIPT}
"""Content of the modules by file name: what is served is what was hashed, whatever happens to the files."""
SCRIPT_FOLDER = f"static/page-{hashlib.sha256(b''.join(MODULES.values())).hexdigest()[:16]}/"
"""Address of the modules, relative to the page's, which may be below a proxy's path."""
MAX_SESSIONS = 100
"""Sessions whose state Gradio keeps, closed ones for an hour, at about 0.7 MB each (measured). An open page beyond them
behaves as if reloaded: its weights work again after the next search."""

SANS_FONTS = [gr.themes.Font(face) for face in ("IBM Plex Sans", "ui-sans-serif", "system-ui", "sans-serif")]
MONO_FONTS = [gr.themes.Font(face) for face in ("IBM Plex Mono", "ui-monospace", "monospace")]
FONT_FILES = {
    ("IBM Plex Sans", "400"): "IBMPlexSans/IBMPlexSans-Regular",
    ("IBM Plex Sans", "500 800"): "IBMPlexSans/IBMPlexSans-Bold",
    ("IBM Plex Mono", "400"): "IBMPlexMono/IBMPlexMono-Regular",
}
"""Family and weight -> file among Gradio's static files. Its other files of these two lack most of the alphabet."""

LIGHT = {
    "paper": "#f7f6f2",
    "sheet": "#ffffff",
    "sunken": "#efede6",
    "line": "#e2dfd6",
    "line-strong": "#cfcabd",
    "ink": "#15171c",
    "ink-2": "#454952",
    "ink-3": "#5f646e",
    "smart": "#2f46d8",
    "smart-soft": "#e8ebff",
    "pooled": "#6c7078",
    "pooled-soft": "#e9e7e0",
    "fall": "#a43d0a",
    "fall-soft": "#fbe8dc",
    "trouble": "#8f1d1d",
    "trouble-soft": "#fbe9e7",
    "mark-0": "#5b5f6b",
    "mark-1": "#c8102e",
    "mark-2": "#0057b8",
    "mark-3": "#00724a",
    "mark-4": "#7a2a8c",
}
"""Colours by the names that the style sheets use, without their dashes. This is their only definition."""
DARK = {
    "paper": "#0e1014",
    "sheet": "#161920",
    "sunken": "#1f232b",
    "line": "#2a2f39",
    "line-strong": "#3d4452",
    "ink": "#ecedef",
    "ink-2": "#bfc4cd",
    "ink-3": "#9aa0ab",
    "smart": "#93a4ff",
    "smart-soft": "#1f2750",
    "pooled": "#8d939e",
    "pooled-soft": "#272b34",
    "fall": "#f0a274",
    "fall-soft": "#3b2214",
    "trouble": "#ff9b93",
    "trouble-soft": "#3a1a1a",
    "mark-0": "#5b5f6b",
    "mark-1": "#c8102e",
    "mark-2": "#0057b8",
    "mark-3": "#00724a",
    "mark-4": "#7a2a8c",
}
PRINT = {**LIGHT, "paper": "#fff", "sheet": "#fff", "sunken": "#f1efe9", "line": "#d9d5ca", "line-strong": "#bdb7a8"}
"""Colours on paper: white, with stronger lines."""

GRADIO_LIGHT = {
    "body_background_fill": LIGHT["paper"],
    "body_text_color": LIGHT["ink"],
    "body_text_color_subdued": "#5d626c",
    "background_fill_primary": LIGHT["sheet"],
    "background_fill_secondary": "#f1efe9",
    "block_background_fill": LIGHT["sheet"],
    "border_color_primary": LIGHT["line"],
    "border_color_accent": LIGHT["smart"],
    "color_accent": LIGHT["smart"],
    "color_accent_soft": LIGHT["smart-soft"],
    "input_background_fill": LIGHT["sheet"],
    "input_border_color": "#d6d2c7",
    "slider_color": LIGHT["ink"],
    "button_primary_background_fill": LIGHT["ink"],
    "button_primary_background_fill_hover": "#2a2d35",
    "button_primary_text_color": LIGHT["sheet"],
    "button_secondary_background_fill": LIGHT["sheet"],
    "button_secondary_background_fill_hover": "#f1efe9",
    "button_secondary_text_color": LIGHT["ink"],
    "link_text_color": LIGHT["smart"],
}
"""Colours of Gradio's components by its own names."""
GRADIO_DARK = {
    "body_background_fill": DARK["paper"],
    "body_text_color": DARK["ink"],
    "body_text_color_subdued": DARK["ink-3"],
    "background_fill_primary": DARK["sheet"],
    "background_fill_secondary": "#1d2129",
    "block_background_fill": DARK["sheet"],
    "border_color_primary": DARK["line"],
    "border_color_accent": DARK["smart"],
    "color_accent_soft": DARK["smart-soft"],
    "input_background_fill": DARK["sheet"],
    "input_border_color": "#363c48",
    "slider_color": DARK["ink"],
    "button_primary_background_fill": DARK["ink"],
    "button_primary_background_fill_hover": "#ffffff",
    "button_primary_text_color": DARK["paper"],
    "button_secondary_background_fill": "#1d2129",
    "button_secondary_background_fill_hover": "#262b35",
    "button_secondary_text_color": DARK["ink"],
    "link_text_color": DARK["smart"],
}


_STARTING_STYLE = (
    '.main.app > [data-testid="status-tracker"] { position: fixed !important; inset: 0; height: 100vh !important; }'
    "body:not(:has(#results)) :is(#explain, #footer) { visibility: hidden; }"
)
"""Keeps Gradio's sign that it is starting in the middle of the window, wherever the page below it grows, and hides the
end of the page until Gradio has mounted what comes before it."""


def launch_options(settings: Settings, picture_addresses: PictureAddresses) -> dict[str, Any]:
    """Return the arguments of `Blocks.launch`. Address and port are left to Gradio's own variables.

    picture_addresses: those that `build_app` was given.
    """
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
        "max_file_size": max_upload_file_bytes(settings),
        "state_session_capacity": MAX_SESSIONS,
        "app_kwargs": {"middleware": build_middleware(settings), "routes": build_routes(picture_addresses)},
        "mcp_server": has_mcp(),
    }


def build_theme() -> gr.themes.Base:
    """Return a theme that gives Gradio's components our colours, light and dark."""
    base = gr.themes.Base(font=SANS_FONTS, font_mono=MONO_FONTS, radius_size=gr.themes.sizes.radius_md)
    return base.set(
        **GRADIO_LIGHT, **{f"{key}_dark": value for key, value in GRADIO_DARK.items()}, block_border_width="0px"
    )


def build_css() -> str:
    """Return all style sheets in one text, after the font faces and colours."""
    colors = [color_rule(":root", LIGHT), color_rule(".dark", DARK)]
    return "\n".join([_font_faces("static/fonts/{}.woff2".format), *colors, *map(_read, STYLE_SHEETS)])


def color_rule(selector: str, colors: Mapping[str, str]) -> str:
    """Return a CSS rule that defines `colors` as custom properties."""
    return f"{selector} {{ {' '.join(f'--{name}: {color};' for name, color in colors.items())} }}"


def build_head() -> str:
    """Return the markup of the page's head: metadata, preloaded files, the print style sheet and the head's script."""
    metadata = '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
    fonts = "".join(
        f'<link rel="preload" href="static/fonts/{file}.woff2" as="font" type="font/woff2" crossorigin>'
        for file in FONT_FILES.values()
    )
    modules = "".join(f'<link rel="modulepreload" href="{SCRIPT_FOLDER}{name}">' for name in MODULES)
    print_colors = color_rule(":is(html, html *):not(#screen#screen#screen)", PRINT)
    print_style = f'<style media="print">{print_colors}\n{_read(PRINT_SHEET)}</style>'
    script = f'<script data-modules="{SCRIPT_FOLDER}">{_read(HEAD_SCRIPT)}</script>'
    return f"{metadata}<style>{_STARTING_STYLE}</style>{fonts}{modules}{print_style}{script}"


def build_routes(picture_addresses: PictureAddresses) -> list[Route]:
    """Return a route for each module, and those of pictures. Gradio's own follow; no other file has an address."""
    modules = [Route(f"/{SCRIPT_FOLDER}{name}", _send_module) for name in MODULES]
    return modules + PictureRoutes(picture_addresses).routes


async def _send_module(request: Request) -> Response:
    name = request.url.path.rpartition("/")[2]
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(MODULES[name], headers=headers, media_type="text/javascript")


def inline_fonts() -> str:
    """Return the font faces with their files inside, for a document that must be complete by itself."""

    def data_address(file: str) -> str:
        content = (gr.themes.utils.fonts.STATIC_FONTS_DIR / f"{file}.woff2").read_bytes()
        return f"data:font/woff2;base64,{base64.b64encode(content).decode('ascii')}"

    return _font_faces(data_address)


def _font_faces(address: Callable[[str], str]) -> str:
    return "\n".join(
        f"@font-face {{ font-family: '{family}'; src: url('{address(file)}') format('woff2'); "
        f"font-weight: {weight}; font-display: swap; }}"
        for (family, weight), file in FONT_FILES.items()
    )


def _read(file: str) -> str:
    return (STATIC_DIR / file).read_text(encoding="utf-8")


def build_middleware(settings: Settings) -> list[Middleware]:
    """Return the middleware around Gradio, outermost first."""
    on_space = gr.utils.get_space() is not None
    return [
        Middleware(SecurityHeadersMiddleware, on_space=on_space),
        Middleware(GateMiddleware, settings=settings),
        Middleware(CompressionMiddleware),
        Middleware(PageLinkMiddleware),
    ]
