"""The export of a comparison: one HTML file without scripts, which the page's script also draws as a picture.

The file includes its style, fonts and pictures, and names the weights, model and pages of its answer, so that a reader
of a slide knows what was compared. Arguments from a browser are validated, as in `handlers`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from urllib.parse import parse_qsl

from markupsafe import Markup

from smart_demo.errors import LibraryError
from smart_demo.page_list import Key
from smart_demo.search.explain.evidence_crop import Slot
from smart_demo.search.request import (
    SearchRequest,
    format_url_query,
    parse_request,
    parse_request_fields,
    parse_url_query,
)
from smart_demo.types import Query, Scope
from smart_demo.ui import theme
from smart_demo.ui.cards import (
    CardRow,
    RankedColumns,
    ThumbnailAddress,
    build_columns,
    render_thumbnail,
)
from smart_demo.ui.compare import list_notices, render_rank_curves
from smart_demo.ui.crops import embed_crops, render_crop
from smart_demo.ui.events import answer_errors, request_field
from smart_demo.ui.format import strip_unprintable
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.moves import Side, summarize_move
from smart_demo.ui.render import inline_style, render
from smart_demo.ui.stories import STORIES, StoryOutcome

SHEETS = (theme.STATIC_DIR / "crops.css", theme.STATIC_DIR / "sheet.css")
EVIDENCE_SLOT = Slot(320, 90)
"""Size of a crop's place on the sheet, in pixels of the picture."""
MAX_QUERY_CHARS = 240
"""Characters of a query that fit on the sheet."""
MAX_LINK_CHARS = 240
MAX_NAME_CHARS = 60
"""Characters of a query in a file's name."""


@dataclass(frozen=True, slots=True)
class ExportContext:
    """What a sheet states beside the answer."""

    scope: str
    """One of SCOPE_CHOICES."""
    time: datetime
    has_picture: bool = False
    """Whether the query has a picture."""
    link: str = ""
    """An address that repeats the search, or empty if none does."""
    story: StoryOutcome | None = None


def _now() -> datetime:
    return datetime.now().astimezone()


class Exporter:
    """Exports the answers of one app."""

    def __init__(self, handlers: Handlers, fonts: str = "", clock: Callable[[], datetime] = _now) -> None:
        """Create an exporter.

        fonts: the page's font faces as CSS.
        clock: returns the time that a file states.
        """
        self._handlers, self._fonts, self._clock = handlers, fonts, clock

    @answer_errors("a comparison could not be saved")
    def comparison(self, request: object) -> dict[str, object]:
        """Return `page`, the HTML of a search again, and `name`, its file's name without extension; or a sentence.

        request: `asked`, the fields of the search, and `at`, the address of the page.
        """
        search = parse_request_fields(request_field(request, "asked"))
        query, scopes = self._resolve(search)
        # The query's encoding is cached, so no model runs.
        found = self._handlers.engine.search(query, scopes, search.methods, search.top)
        columns = build_columns(found)
        if not columns.left.rows:
            raise LibraryError("There is no page to compare.", "Add a document, or search the samples.")
        link, outcome = (
            make_link(search, request_field(request, "at")),
            self._handlers.find_outcome(found, search.scope),
        )
        story = outcome if outcome and outcome.is_ranked else None
        context = ExportContext(search.scope, self._clock(), bool(search.picture), link, story)
        evidence = self._embed_evidence(search, query, scopes, columns) if choose_density(columns) == "few" else {}
        page = render_document(columns, self._handlers.embed_thumbnail, context, self._fonts, evidence)
        return {"page": page, "name": make_file_name(search.text)}

    def _resolve(self, search: SearchRequest) -> tuple[Query, tuple[Scope, ...]]:
        """Return the query on the screen and its scopes."""
        scopes = self._handlers.resolve_scopes(search.scope)
        if self._handlers.is_model_loading(scopes):
            raise LibraryError("That search cannot be saved here.")
        return self._handlers.build_query(search), scopes

    def _embed_evidence(
        self, search: SearchRequest, query: Query, scopes: tuple[Scope, ...], columns: RankedColumns
    ) -> dict[Key, Markup]:
        """Return the crop of each page as markup that includes its picture."""
        handlers = self._handlers
        pages = {row.hit.page.key: EVIDENCE_SLOT for row in (*columns.left.rows, *columns.right.rows)}
        crops = handlers.engine.crops(query, scopes, pages, search.weights, search.top)
        address, evidence = embed_crops(handlers.picture_addresses), {}
        for key, crop in crops.items():
            with suppress(LibraryError):  # its picture was deleted a moment ago
                evidence[key] = render_crop(crop, EVIDENCE_SLOT, address)
        return evidence


def make_link(search: SearchRequest, address: object) -> str:
    """Return an address that repeats a search on the page at `address`, or an empty text if there is none.

    Addresses cut long queries and omit uploaded pictures. A link that would search for something else is not returned.
    """
    if not isinstance(address, str) or not re.fullmatch(r"https?://[\w.:\[\]~%/-]{1,200}", address, re.ASCII):
        return ""
    same = replace(search, text=search.text.strip())
    query = format_url_query(same)
    return f"{address}?{query}" if parse_url_query(dict(parse_qsl(query)), parse_request()) == same else ""


def make_file_name(query: str) -> str:
    """Return a file name without extension that names the query and is valid on any file system.

    >>> make_file_name("restricted area, no anchoring"), make_file_name("../..")
    ('smart-restricted-area-no-anchoring', 'smart-comparison')
    """
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFC", strip_unprintable(query)).casefold())
    name = "-".join(words)
    if len(name) > MAX_NAME_CHARS:
        name = name[: MAX_NAME_CHARS + 1].rpartition("-")[0] or name[:MAX_NAME_CHARS]
    return f"smart-{name or 'comparison'}"


def choose_density(columns: RankedColumns) -> str:
    """Return how much each row shows: a `few` rows have crops and bars; `some` or `many` have one line each."""
    rows = max(len(columns.left.rows), len(columns.right.rows))
    return "few" if rows <= 6 else "some" if rows <= 10 else "many"


def render_document(
    columns: RankedColumns,
    thumbnail: ThumbnailAddress,
    context: ExportContext,
    fonts: str = "",
    evidence: Mapping[Key, Markup] = MappingProxyType({}),
) -> str:
    """Return the HTML file.

    fonts: `@font-face` rules with the font files inside. evidence: the crops of the pages, as `crops.render_crop` makes
    them.
    """
    density = choose_density(columns)

    def describe(row: CardRow, side: Side) -> str:
        return summarize_move(row.move, side, columns.comparison.k)

    colors = theme.color_rule("html, .sheet", theme.LIGHT)
    document = render(
        "export",
        style=inline_style("\n".join([fonts, colors, *(sheet.read_text(encoding="utf-8") for sheet in SHEETS)])),
        evidence=evidence,
        columns=columns,
        context=context,
        query=_shorten(columns.found.query.text),
        link=context.link if len(context.link) <= MAX_LINK_CHARS else "",
        stories=len(STORIES),
        notices=list_notices(columns),
        curves=render_rank_curves(columns),
        density=density,
        move=describe,
        thumbnail=lambda page: render_thumbnail(page, thumbnail(page)),
    )
    return _encodable(document)


def _shorten(query: str) -> str:
    """Return a query in one line of at most MAX_QUERY_CHARS, with an ellipsis if it was cut."""
    query = " ".join(_encodable(query).split())
    return query if len(query) <= MAX_QUERY_CHARS else f"{query[: MAX_QUERY_CHARS - 1]}…"


def _encodable(text: str) -> str:
    """Return a text without what UTF-8, or the XML from which the picture is drawn, cannot encode."""
    encodable = strip_unprintable(text).encode("utf-8", "replace").decode("utf-8")
    return encodable.replace("\ufffe", "").replace("\uffff", "")
