"""Markup from the templates in `ui/templates/`, a view a file. Jinja2 escapes every value."""

from __future__ import annotations

import json
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension
from markupsafe import Markup

from smart_demo import wording
from smart_demo.search.request import format_url_query
from smart_demo.server.picture_addresses import is_own_picture
from smart_demo.ui import format as formats

TEMPLATES = Path(__file__).resolve().parent / "templates"
NOTHING = Markup()
"""No markup, for a part that a view leaves out."""


class LineBreaks(Extension):
    """Drops line breaks that only lay out a template, as JSX does, so that markup is compact.

    A line break with the white space around it prints nothing beside a tag or a Jinja2 delimiter, and one space between
    words. To print a space beside a tag, write `{{ " " }}`.
    """

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return join_lines(source)


def join_lines(template: str) -> str:
    r"""Return the template without the line breaks that only lay it out.

    >>> join_lines('<p>\n  One\n  word <b\n    class="x"\n  >{{ y }}</b>\n</p>\n')
    '<p>One word <b class="x">{{ y }}</b></p>'
    """

    def joint(found: re.Match[str]) -> str:
        before, after = template[: found.start()][-1:], template[found.end() :][:1]
        return "" if before in ">}" or after in "<>{" else " "

    return re.sub(r"\s*\n\s*", joint, template)


def render(template: str, /, **values: object) -> Markup:
    """Return the markup of a template, named by its file in `ui/templates/` without `.html`.

    Every value that is not Markup is escaped, and control characters and direction marks are removed from it. Raises
    `jinja2.UndefinedError` if the template needs a value that is missing.
    """
    return Markup(_ENVIRONMENT.get_template(f"{template}.html").render(values))


def inline_style(css: str) -> Markup:
    """Return CSS for a `<style>` element, in which browsers read no escapes. Raises ValueError if it has a `<`."""
    if "<" in css:
        raise ValueError("CSS with `<` could end its element.")
    return Markup(css)


def _printable(value: object) -> object:
    return value if isinstance(value, Markup) else formats.strip_unprintable(str(value))


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_printable,
    extensions=[LineBreaks],
    auto_reload=False,
)
_ENVIRONMENT.globals |= {
    "count": wording.count,
    "count_queries": wording.count_queries,
    "size_in_words": wording.size_in_words,
    "page_key": formats.page_key,
    "is_own_picture": is_own_picture,
    "document_key": formats.document_key,
    "format_url_query": format_url_query,
    "count_of": formats.count_of,
    "to_json": json.dumps,
    **{name: function for name, function in vars(formats).items() if name.startswith("format_")},
}
