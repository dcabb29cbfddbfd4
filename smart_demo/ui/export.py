"""A comparison as one sheet that leaves the demo: an HTML file without scripts, which is also what the picture shows.

Everything is inside the file: style, typefaces, pictures. It speaks of one answer, whose numbers it repeats and whose
weights, model and pages it names, so that whoever sees it on a slide can tell what was compared.

What the page asks to take away: the comparison on the screen, as one file. Every argument is doubted, as in
`handlers`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl

from smart_demo.errors import LibraryError
from smart_demo.search.request import (
    SearchRequest,
    format_url_query,
    parse_request,
    parse_request_fields,
    parse_url_query,
)
from smart_demo.types import LATE, POOLED, SMART, Found, Method
from smart_demo.ui.cards import (
    CardRow,
    RankedColumns,
    ScorePart,
    Side,
    ThumbnailLoader,
    build_columns,
    render_thumbnail,
    summarize_move,
)
from smart_demo.ui.compare import describe_formula, list_notices, render_rank_curves
from smart_demo.ui.events import answer_or_error
from smart_demo.ui.format import bdi, esc, format_score, strip_unprintable
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.stories import STORIES, StoryOutcome, find_story
from smart_demo.wording import count

SHEET_CSS = Path(__file__).resolve().parent / "sheet.css"
MAX_QUERY_CHARS = 240
"""Characters of a query that a sheet has room for."""
MAX_LINK_CHARS = 240
MAX_NAME_CHARS = 60
"""Characters of a query in a file's name."""
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
FOOTNOTE = (
    "Scores are for ranking: they say which page is nearer, not how good it is. # is a page’s place by that part "
    "alone. Late is made of the best match of each query token. Method: SMART, arXiv 2605.24938; an independent "
    "implementation."
)


@dataclass(frozen=True, slots=True)
class ExportContext:
    """What a sheet says beside the answer itself."""

    scope: str
    """Where was searched, as the page calls it."""
    at: datetime
    pictured: bool = False
    """Whether a picture was asked with."""
    link: str = ""
    """Where the demo answers the same again; empty where no link does."""
    story: StoryOutcome | None = None


def render_document(shown: RankedColumns, thumbnail: ThumbnailLoader, around: ExportContext, faces: str = "") -> str:
    """The whole HTML file. `faces` are `@font-face` rules of ours, with the files inside."""
    query = _cut(shown.found.query.text)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_SECURITY_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light">'
        f"<title>{_safe(query or 'A picture')} · SMART demo</title>"
        f"<style>{faces}\n{SHEET_CSS.read_text(encoding='utf-8')}</style></head>"
        f"<body>{_sheet(shown, thumbnail, around, query)}</body></html>\n"
    )


def make_file_name(query: str) -> str:
    """A name without its ending, for any file system, that says what was asked.

    >>> file_name("restricted area, no anchoring"), file_name("../..")
    ('smart-restricted-area-no-anchoring', 'smart-comparison')
    """
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFC", strip_unprintable(query)).casefold())
    said = "-".join(words)
    if len(said) > MAX_NAME_CHARS:
        said = said[: MAX_NAME_CHARS + 1].rpartition("-")[0] or said[:MAX_NAME_CHARS]
    return f"smart-{said or 'comparison'}"


def _sheet(shown: RankedColumns, thumbnail: ThumbnailLoader, around: ExportContext, query: str) -> str:
    density = _density(shown)
    said = "".join(f'<p class="notice">{_safe(one)}</p>' for one in list_notices(shown))
    return (
        f'<main class="sheet is-{density}">{_asked(query, around)}{_verdict(shown, around)}'
        f"{_story(around.story)}{said}"
        f'<div class="columns">{_head("Pooled only", "one vector per page", Side.POOLED)}<span></span>'
        f"{_head('SMART', describe_formula(shown.weights), Side.SMART)}"
        f"{_column(shown.left, Side.POOLED, shown, thumbnail)}"
        f'<div class="gutter">{render_rank_curves(shown)}</div>'
        f"{_column(shown.right, Side.SMART, shown, thumbnail)}</div>{_foot(around)}</main>"
    )


def _density(shown: RankedColumns) -> str:
    """How much room a row has: `few` get pictures and bars, `some` and `many` one line each."""
    rows = max(len(shown.left), len(shown.right))
    return "few" if rows <= 6 else "some" if rows <= 10 else "many"


def _asked(query: str, around: ExportContext) -> str:
    asked = query or "A picture, without words"
    beside = "<p>with a picture</p>" if query and around.pictured else ""
    return f'<header class="asked"><h1>{_safe(asked)}</h1>{beside}</header>'


def _verdict(shown: RankedColumns, around: ExportContext) -> str:
    right = shown.found.results["smart"]
    facts = (
        f"ranked {right.candidates:,} of {count(right.pages, 'page')}",
        f"in {around.scope}",
        f"model {shown.found.encoder.name}",
    )
    meta = "".join(f"<span>{_safe(fact)}</span>" for fact in facts)
    return f'<div class="verdict"><p>{_safe(shown.comparison.verdict)}</p><p class="meta">{meta}</p></div>'


def _story(told: StoryOutcome | None) -> str:
    if told is None:
        return ""
    change = "up" if told.smart < told.pooled else "down" if told.smart > told.pooled else "same"
    return (
        f'<aside class="story is-{change}"><p><b>{_safe(told.story.title)}</b> {_safe(told.story.look)} '
        f"<b>{_safe(told.outcome)}</b></p><p>Story {told.number} of {len(STORIES)}</p></aside>"
    )


def _head(title: str, subtitle: str, side: Side) -> str:
    return f'<header class="head of-{side}"><h2>{title}</h2><p>{_safe(subtitle)}</p></header>'


def _column(rows: tuple[CardRow, ...], side: Side, shown: RankedColumns, thumbnail: ThumbnailLoader) -> str:
    k, short = shown.comparison.k, _density(shown) != "few"
    items = "".join(_row(row, summarize_move(row.move, side, k, short=short), thumbnail(row.hit.page)) for row in rows)
    label = "Pooled only" if side is Side.POOLED else "SMART"
    return f'<ol class="of-{side}" aria-label="{label}">{items}</ol>'


def _row(row: CardRow, moved: str, thumbnail: bytes) -> str:
    page = row.hit.page
    return (
        f'<li class="row"><span class="rank">{row.hit.rank}</span><span class="tray">{render_thumbnail(page, thumbnail)}</span>'
        f'<span class="about"><b class="name">{bdi(_sound(page.document))}</b> '
        f'<span class="where">page {page.number} of {page.pages}</span></span>'
        f'<span class="badge badge-{row.move.change}">{_safe(moved)}</span>'
        f'<span class="parts">{_part("pooled", row.pooled)}{_part("late", row.late)}</span></li>'
    )


def _part(label: str, part: ScorePart) -> str:
    rank = f"#{part.rank}" if part.rank else "–"
    return (
        f'<span class="part of-{label}"><i>{label}</i><span class="bar"><span style="width:{part.fill * 100:.1f}%">'
        f"</span></span><b>{format_score(part.value)}</b><em>{rank}</em></span>"
    )


def _foot(around: ExportContext) -> str:
    at = around.at
    when = f"{at.day} {at:%B %Y, %H:%M}"
    link = f'<span class="link">{_safe(around.link)}</span>' if 0 < len(around.link) <= MAX_LINK_CHARS else ""
    return f"<footer><p>{FOOTNOTE}</p><p>SMART demo · {when} {link}</p></footer>"


def _cut(query: str) -> str:
    """What a sheet has room for; a cut is shown."""
    query = " ".join(_sound(query).split())
    return query if len(query) <= MAX_QUERY_CHARS else f"{query[: MAX_QUERY_CHARS - 1]}…"


def _safe(text: str) -> str:
    return esc(_sound(text))


def _sound(text: str) -> str:
    """Text without what a file in UTF-8, or the XML that a picture is drawn from, cannot hold."""
    sound = strip_unprintable(text).encode("utf-8", "replace").decode("utf-8")
    return sound.replace("\ufffe", "").replace("\uffff", "")


def _now() -> datetime:
    return datetime.now().astimezone()


class Exporter:
    """Files of one app's answers. `faces` are the page's typefaces as style, `clock` says when a file is made."""

    def __init__(self, handlers: Handlers, faces: str = "", clock: Callable[[], datetime] = _now) -> None:
        self._handlers, self._faces, self._clock = handlers, faces, clock

    def comparison(self, wanted: object) -> dict[str, object]:
        """`page`, the HTML of the search `asked`, seen at the address `at`, and `name`, a file's; or a sentence."""
        given = wanted if isinstance(wanted, dict) else {}
        return answer_or_error(
            lambda: self._comparison(parse_request_fields(given.get("asked")), given.get("at")),
            "a comparison could not be saved",
        )

    def _comparison(self, search: SearchRequest, at: object) -> dict[str, str]:
        found = self._found(search)
        shown = build_columns(found)
        if not shown.left:
            raise LibraryError("There is no page to compare.", "Add a document, or search the samples.")
        around = ExportContext(
            search.scope, self._clock(), bool(search.picture), make_link(search, at), find_story(found)
        )
        page = render_document(shown, self._handlers.load_thumbnail, around, self._faces)
        return {"page": page, "name": make_file_name(search.text)}

    def _found(self, search: SearchRequest) -> Found:
        """The answer once more; what it needed was kept, so no model runs."""
        scopes, engine = self._handlers.resolve_scopes(search.scope), self._handlers.engine
        if self._handlers.is_model_loading(scopes):
            raise LibraryError("That search cannot be saved here.")
        methods = (POOLED, LATE, Method(SMART.name, SMART.label, search.weights))
        return engine.search(self._handlers.build_query(search), scopes, methods, search.top)


def make_link(search: SearchRequest, at: object) -> str:
    """An address that asks the same again, where the page is seen at `at`; empty where there is none.

    Long questions are cut in addresses, and some pictures are in none: a link that asks otherwise is not given.
    """
    if not isinstance(at, str) or not re.fullmatch(r"https?://[\w.:\[\]~%/-]{1,200}", at, re.ASCII):
        return ""
    same = replace(search, text=search.text.strip())
    said = format_url_query(same)
    return f"{at}?{said}" if parse_url_query(dict(parse_qsl(said)), parse_request()) == same else ""
