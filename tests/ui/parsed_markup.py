"""Markup as a browser reads it, to assert on elements, attributes and text."""

import re
from collections import defaultdict
from collections.abc import Collection
from html.parser import HTMLParser

TAGS = """section aside div header h1 h2 h3 h4 p span ol ul li dl dt dd table caption thead tbody tr th td button
label input select option textarea output kbd b i bdi em small a nav pre code sub br img figure
figcaption details summary footer svg path rect circle text
"""
"""Elements that views may contain."""
_IMAGE = re.compile("data:image/webp;base64,|pictures/samples/[0-9a-f-]{21}/[0-9a-f]{16}/[a-z0-9.-]+[.]webp$")
VOID = {"br", "circle", "img", "input", "meta", "path", "rect"}
"""Elements without an end."""


class ParsedMarkup(HTMLParser):
    """Elements and text of a view, or of a whole document.

    Raises AssertionError if an element is not closed in turn or not `allowed`, or if it can run a script or load a
    file.
    """

    def __init__(self, markup: object, allowed: Collection[str] = frozenset(TAGS.split())) -> None:
        super().__init__(convert_charrefs=True)
        self.allowed = allowed
        self.elements: list[tuple[str, dict[str, str]]] = []
        """Tag and attributes of each element."""
        self.words: list[str] = []
        self.by_class: defaultdict[str, list[str]] = defaultdict(list)
        """Texts of the elements of each class."""
        self.open: list[tuple[str, list[str]]] = []
        """Tag and classes of each open element."""
        self.feed(str(markup))
        self.close()
        assert self.open == []

    @property
    def text(self) -> str:
        """The text, with one space between elements."""
        return " ".join(" ".join(self.words).split())

    @property
    def joined(self) -> str:
        """The text without any space between elements."""
        return "".join(self.words)

    @property
    def tags(self) -> list[str]:
        """Tag of each element."""
        return [tag for tag, _ in self.elements]

    @property
    def attributes(self) -> list[tuple[str, str, str]]:
        """Tag, name and value of each attribute."""
        return [(tag, *pair) for tag, attributes in self.elements for pair in attributes.items()]

    def values(self, name: str, tag: str = "") -> list[str]:
        """Return the values of an attribute, in order."""
        return [value for of, called, value in self.attributes if called == name and tag in {"", of}]

    def find(self, *tags: str, **attributes: str) -> list[dict[str, str]]:
        """Return the attributes of each element with one of the tags, if given, and with all of the attributes."""
        return [
            found
            for tag, found in self.elements
            if (not tags or tag in tags) and all(found.get(name) == value for name, value in attributes.items())
        ]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            classes = self.elements[-1][1].get("class", "").split()
            self.open.append((tag, classes))
            for name in classes:
                self.by_class[name].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.allowed, tag
        given = {name: value or "" for name, value in attrs}
        for name, value in given.items():
            assert not name.startswith("on"), (tag, name, value)
            assert not value.lower().startswith("javascript:"), (tag, name, value)
            assert (tag, name) != ("img", "src") or _IMAGE.match(value), value
        self.elements.append((tag, given))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1][0] == "style":
            return
        self.words.append(data)
        for _, classes in self.open:
            for name in classes:
                self.by_class[name][-1] += data
