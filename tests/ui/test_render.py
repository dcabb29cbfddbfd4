"""Templates: every value is escaped, layout costs nothing, and only named places may pass markup on unescaped."""

import re

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from smart_demo.ui import render as renderer
from smart_demo.ui.render import TEMPLATES, inline_style, join_lines, render
from tests.ui.cases import HOSTILE

TRUSTED = {"render.py": 3}
"""Files of `smart_demo/ui` that may call `Markup(`, and how often. No template may use `|safe`."""


def test_only_named_places_make_markup_of_text():
    found = {
        path.name: text.count("Markup(")
        for path in TEMPLATES.parent.glob("*.py")
        if "Markup(" in (text := path.read_text())
    }
    assert found == TRUSTED
    for path in TEMPLATES.glob("*.html"):
        assert not re.search(r"\|\s*safe\b|autoescape|Markup", path.read_text()), path


@pytest.mark.parametrize("text", [*HOSTILE, "`${alert(1)}`", "{{ 7 * 7 }}", "\u202egpj.exe", "a\0b"])
def test_text_is_shown_as_text(text, monkeypatch):
    shown = renderer._ENVIRONMENT.from_string('<p title="{{ text }}">{{ text }}</p>').render(text=text)
    assert not re.search('<(?!p title="|/p>)', shown)
    assert shown.count('"') == 2
    assert "\u202e" not in shown
    assert "\0" not in shown


def test_markup_of_another_template_is_not_escaped_again():
    inner = render("badge", change="up", words={"icon": "▲", "text": "<3", "other_rank": ""})
    assert isinstance(inner, Markup)
    assert renderer._ENVIRONMENT.from_string("<i>{{ inner }}</i>").render(inner=inner) == f"<i>{inner}</i>"


def test_a_missing_value_is_an_error():
    with pytest.raises(UndefinedError):
        render("badge", change="up")


def test_a_style_cannot_end_its_element():
    assert inline_style("a > b { font: 'x' }") == "a > b { font: 'x' }"
    with pytest.raises(ValueError, match="end its element"):
        inline_style("</style><script>")


def test_every_template_has_a_purpose_and_compiles():
    for path in TEMPLATES.glob("*.html"):
        assert path.read_text().startswith("{# "), path
        renderer._ENVIRONMENT.get_template(path.name)


def test_lines_of_a_template_are_joined_without_space_beside_tags():
    assert join_lines("<ul>\n  <li>\n    a\n  </li>\n</ul>\n") == "<ul><li>a</li></ul>"
    assert join_lines("<p>{{ a }}\n{{ b }}</p>") == "<p>{{ a }}{{ b }}</p>"
    assert join_lines('<p\n  class="x">two\n  lines</p>') == '<p class="x">two lines</p>'
