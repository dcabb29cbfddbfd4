"""Markup as a browser reads it, to assert on tags, attributes and text."""

from html.parser import HTMLParser

TAGS = """section aside div header h1 h2 h3 h4 p span ol ul li dl dt dd table thead tbody tr th td button output kbd b i
bdi a nav pre code sub br img details summary footer svg path rect circle text"""
"""Tags that views may contain."""
VOID = ("img", "br")


class ParsedMarkup(HTMLParser):
    """Tags, attributes and text of a piece of markup. Raises AssertionError if an element is not closed in turn."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        """Tag, name and value."""
        self.text = ""
        self.open: list[str] = []
        self.feed(str(markup))
        self.close()
        assert self.open == []

    def values(self, name: str, tag: str = "") -> list[str]:
        """Return the values of an attribute, in order."""
        return [value for of, called, value in self.attributes if called == name and tag in {"", of}]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def check(self) -> None:
        """Assert that no tag and no attribute can run a script or load a file."""
        assert set(self.tags) <= set(TAGS.split())
        for tag, name, value in self.attributes:
            assert not name.startswith("on"), (tag, name, value)
            assert not value.lower().startswith("javascript:")
            if tag == "img" and name == "src":
                assert value.startswith("data:image/webp;base64,")
