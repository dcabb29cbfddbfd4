"""Whether two folders of pinned views differ in more than their wording: `python -m tests.pinned.structure OLD NEW`.

Compared are tags, names of attributes, classes, ids and all other values of machines, numbers, and the keys of JSON.
Ignored is what people read: text between tags, names and titles of controls, and sentences in JSON; but for numbers.
Exit status 1 if anything else differs.
"""

from __future__ import annotations

import difflib
import html
import json
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

READ = {
    "alt", "aria-label", "aria-description", "aria-roledescription", "aria-valuetext", "content", "data-facts",
    "data-head", "data-own", "label", "placeholder", "title",
}  # fmt: skip
"""Attributes whose values people read."""
SENTENCES = {
    "alt", "body", "caption", "differences", "doc", "done", "info", "label", "note", "placeholder", "said", "sentence",
    "shell_differences", "swap", "text", "title", "where", "word",
}  # fmt: skip
"""Keys of JSON whose values people read."""
NUMBER = re.compile(r"\d[\d,.]*\d|\d")


class Skeleton(HTMLParser):
    """A piece of markup without its words, a tag a line."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = (f"{name}={numbers(value or '') if name in READ else value!r}" for name, value in sorted(attrs))
        self.lines.append(" ".join([f"<{tag}", *said]) + ">")

    def handle_endtag(self, tag: str) -> None:
        self.lines.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if found := numbers(data):
            self.lines.append(" ".join(found))


class Normal(HTMLParser):
    """A piece of markup with white space and escaped characters written in one way."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        written = (
            name if value is None else f'{name}="{html.escape(" ".join(value.split()))}"' for name, value in attrs
        )
        self.parts.append(f"<{' '.join([tag, *written])}>")

    def handle_endtag(self, tag: str) -> None:
        self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.parts.append(html.escape(re.sub(r"\s+", " ", data)))


def normal_markup(markup: str) -> str:
    """Return markup with each run of white space as one space, and every escape written in one way."""
    return "".join(Normal(markup).parts)


def numbers(text: str) -> list[str]:
    """The numbers in a text, in order; digests of texts are none."""
    return NUMBER.findall(re.sub(r"sha256 [0-9a-f]{16}", "", text))


def skeleton(name: str, text: str) -> list[str]:
    """What of a pinned view is no wording, in lines."""
    if name.endswith(".html"):
        return Skeleton(text).lines
    return list(_values(json.loads(text), "", ""))


def _values(value: Any, path: str, key: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield f"{path}: {{{', '.join(sorted(value))}}}"
        for name in sorted(value):
            yield from _values(value[name], f"{path}.{name}", name)
    elif isinstance(value, list):
        yield f"{path}: [{len(value)}]"
        for at, one in enumerate(value):
            yield from _values(one, f"{path}[{at}]", key)
    elif isinstance(value, str) and (key in SENTENCES or " " in value):
        yield f"{path}: {numbers(value)}"
    else:
        yield f"{path}: {value!r}"


def differences(old: Path, new: Path) -> list[str]:
    """All that differs but words, as a diff; empty if nothing does."""
    before, after = (
        {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} for folder in (old, new)
    )
    found = [f"only in {old}: {name}" for name in sorted(before.keys() - after)]
    found += [f"only in {new}: {name}" for name in sorted(after.keys() - before)]
    for name in sorted(before.keys() & after):
        lines = skeleton(name, before[name]), skeleton(name, after[name])
        found += difflib.unified_diff(*lines, f"{old}/{name}", f"{new}/{name}", lineterm="", n=1)
    return found


if __name__ == "__main__":
    told = differences(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.write("".join(f"{line}\n" for line in told))
    sys.exit(bool(told))
