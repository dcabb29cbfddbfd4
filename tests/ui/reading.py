"""Markup as a browser would see it: text, elements and attributes."""

from html.parser import HTMLParser

EMPTY = {"br", "circle", "img", "input", "path", "rect"}
"""Elements without an end."""
FORBIDDEN = {"script", "style", "iframe", "object", "embed", "form", "link", "meta", "base"}
"""Elements that no view has."""


class Reader(HTMLParser):
    """The text and the elements of a view. Asserts that elements are closed and that none of them runs a script."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.words, self.tags, self.open = [], [], []
        self.feed(str(markup))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag not in FORBIDDEN
        assert not [name for name, value in attrs if name.startswith("on") or "javascript:" in (value or "")]
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        """The text, with a space between elements."""
        return " ".join(" ".join(self.words).split())

    def find(self, *tags: str, **attributes: str) -> list[dict[str, str]]:
        """Return the attributes of each element with one of the tags, if given, and with all of the attributes."""
        return [
            found
            for tag, found in self.tags
            if (not tags or tag in tags) and all(found.get(name) == value for name, value in attributes.items())
        ]
