"""Words of a PDF page's text layer: split and spelled as plain pdftotext does, with the boxes of its -bbox-layout.

Poppler knows a line's words before it joins what touches: `-bbox-layout` prints them so, with their boxes, and plain
`pdftotext` prints the joined text without boxes. Both come from the same lines in the same order, so the plain text
tells which neighbours have a space between them. If the two outputs differ, all boxes are taken as whole words.

What plain `pdftotext` leaves undone follows: it joins lines at a hyphen-minus only, keeps soft hyphens and strong drop
shadows, leaves letters set far apart, and takes all right-to-left text for drawn order.
"""

from __future__ import annotations

import itertools
import math
import re
import subprocess
import tempfile
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from smart_demo.ingest.drop_shadows import Line, Piece, PointBox, box_around, compare, drop_shadows
from smart_demo.ingest.text_direction import (
    has_right_to_left,
    is_drawn_as_read,
    logical_order,
    right_to_left_excess,
    written,
)
from smart_demo.page_text import Box, Word

MAX_PLAIN_CHARACTERS = 1_000_000
"""Longest page whose two outputs are matched. A page full of small print has some 20,000."""
INVALID_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML forbids but poppler copies from the file."""
JOINERS = "\u200c\u200d"
"""Format characters that Persian, Indic and emoji words need."""
HYPHENS = "-\u2010\u00ad"
"""Characters that divide a word at the end of a line. Plain pdftotext knows the first."""
MAX_PARTS = 8
"""Lines over which hyphens may divide one word."""
MAX_WORD_LENGTH = 300
"""Characters of a word that are kept. A file may give megabytes as the text of a few glyphs."""
LONG_WORD = re.compile(rf"(\S{{{MAX_WORD_LENGTH}}})\S+")

MIN_SPACED_LETTERS = 4
"""Length of the shortest run of single letters that is joined. "x y z" are three words."""
MAX_SPACED_GAP = 1.0
"""Widest gap between letters of one word, in heights of the print. Columns of a table have wider ones."""
WORD_GAP_RATIO = 1.5
"""A gap ends a word if it is this many times as wide as that between letters. Spacing widens a space by two gaps."""


Draft = list[tuple[str, PointBox]]
"""A word in logical order: the text and the box of each part, of which each line has one."""


def read_words(
    path: Path, number: int, size: tuple[float, float], seconds: int, folder: str | None, max_bytes: int
) -> tuple[Word, ...]:
    """Return the words of page `number` with their boxes, in reading order; empty if they cannot be read.

    size: (width, height) of the page in points, rotation applied. folder: from `limited_poppler`. max_bytes: limit on
    each output. A broken text layer does not refuse the page, which still has its image.
    """
    program = str(Path(folder, "pdftotext")) if folder else "pdftotext"
    page = str(number)
    command = [program, "-cropbox", "-enc", "UTF-8", "-f", page, "-l", page]
    layout = _run([*command, "-bbox-layout", str(path), "-"], seconds, max_bytes)
    lines = parse_layout(layout)
    if any(len(line.pieces) > 1 for line in lines):
        mark_spaces(lines, _run([*command, str(path), "-"], seconds, max_bytes))
    return join_words(lines, size)


def _run(command: Sequence[str], seconds: int, max_bytes: int) -> str:
    """Return the command's output, or nothing if it fails."""
    try:
        with tempfile.TemporaryFile() as output:  # not a pipe: the limit on written files then applies
            subprocess.run(command, stdout=output, stderr=subprocess.DEVNULL, timeout=seconds, check=True)
            output.seek(0)
            return output.read(max_bytes).decode("utf-8", "replace")
    except (subprocess.SubprocessError, OSError):
        return ""


def parse_layout(xhtml: str) -> list[Line]:
    """Return the lines in the output of `pdftotext -bbox-layout` for one page; none if it is malformed.

    >>> line = '<line><word xMin="1" yMin="0" xMax="3" yMax="5">a&amp;b</word></line>'
    >>> parse_layout(f"<page><flow><block>{line}</block></flow></page>")
    [Line(pieces=[Piece(text='a&b', box=(1.0, 0.0, 3.0, 5.0), space_after=True)], block=1, ends_flow=True)]
    """
    # Parse from the page element on: without a DOCTYPE the file cannot declare entities.
    start, end = xhtml.rfind("<page "), xhtml.rfind("</page>")
    start = start if start >= 0 else xhtml.rfind("<page>")
    if not 0 <= start < end:
        return []
    lines: list[Line] = []
    block_number = 0
    try:
        page = ElementTree.fromstring(INVALID_XML.sub("", xhtml[start : end + len("</page>")]))
        for flow in page.iter("flow"):
            for block in flow.iter("block"):
                block_number += 1
                lines += [
                    Line([_piece(word) for word in line.iter("word")], block_number) for line in block.iter("line")
                ]
            if lines:
                lines[-1].ends_flow = True
    except (ElementTree.ParseError, KeyError, ValueError):
        return []
    return lines


def _piece(word: ElementTree.Element) -> Piece:
    left, top, right, bottom = (float(word.attrib[side]) for side in ("xMin", "yMin", "xMax", "yMax"))
    return Piece(_without_controls(word.text or ""), (left, top, right, bottom))


def _without_controls(text: str, keep: str = "") -> str:
    if text.isprintable():
        return text
    return "".join(c for c in text if c in keep or unicodedata.category(c) not in {"Cc", "Cs"})


# The match with plain pdftotext.


def mark_spaces(lines: Sequence[Line], plain: str) -> None:
    """Set `space_after` of all pieces as in the output of plain pdftotext; leave it from the first difference on."""
    if len(plain) > MAX_PLAIN_CHARACTERS:
        return
    plain = _without_controls(INVALID_XML.sub("", plain.replace("\f", "\n")), keep="\n")
    text = _text(lines)
    left_to_right = not has_right_to_left(text) or right_to_left_excess(text) <= 0  # as poppler judges the page
    position = 0
    for line in lines:
        text = "".join(piece.text for piece in line.pieces)
        while plain.startswith(("\n",) if text[:1].isspace() else ("\n", " "), position):
            position += 1
        hyphenated = text.endswith("-") and not line.ends_flow
        found = _match_line(line, plain, position, left_to_right, hyphenated)
        if found is None:
            return
        position, spaces = found
        for index, piece in enumerate(line.pieces):
            piece.space_after = index in spaces


def _text(lines: Sequence[Line]) -> str:
    return "".join(piece.text for line in lines for piece in line.pieces)


def _match_line(
    line: Line, plain: str, position: int, left_to_right: bool, hyphenated: bool
) -> tuple[int, set[int]] | None:
    """Return the end of `line` in `plain` and the indices of its pieces before a space, or None if it is not there.

    hyphenated: plain pdftotext leaves out the line's last character.
    """
    spaces: set[int] = set()
    pieces = [piece.text for piece in line.pieces]
    if hyphenated:
        pieces[-1] = pieces[-1][:-1]
    for token in written(pieces, left_to_right):
        if isinstance(token, str):
            if not plain.startswith(token, position):
                return None
            position += len(token)
        elif plain.startswith(" ", position):
            spaces.add(token)
            position += 1
    return position, spaces


# From lines to words.


def join_words(lines: Sequence[Line], size: tuple[float, float]) -> tuple[Word, ...]:
    """Return the words of the lines of one page in logical order, boxes relative to `size` and clipped to the page."""
    drop_shadows(lines)
    for line in lines:
        line.pieces = _join_touching(line.pieces)
        for piece in line.pieces:
            if len(piece.text) > MAX_WORD_LENGTH:
                piece.text = LONG_WORD.sub(r"\1", piece.text)
    drop_shadows(lines)  # of words set letter by letter
    _rejoin_spread_lines(lines)
    for line in lines:
        line.pieces = _join_spaced_letters(line.pieces)
    texts = [piece.text for line in lines for piece in line.pieces]
    reorder = any(map(has_right_to_left, texts)) and not is_drawn_as_read(texts)
    right_to_left = _right_to_left_blocks(lines) if reorder else frozenset()
    drafts: list[Draft] = []
    is_divided = False
    for line in lines:
        words = _words_of_line(line, line.block in right_to_left) if reorder else _words_as_drawn(line)
        if not words:
            is_divided = is_divided and not line.ends_flow
            continue
        if is_divided and len(drafts[-1]) < MAX_PARTS:
            drafts[-1] += words.pop(0)
        drafts += words
        text, box = drafts[-1][-1]
        is_divided = not line.ends_flow and text[-1:] in HYPHENS
        if is_divided:
            drafts[-1][-1] = (text[:-1], box)
            is_divided = len(text) > 1
    return tuple(word for draft in drafts if (word := _finish(draft, size)) is not None)


def _join_touching(pieces: Sequence[Piece]) -> list[Piece]:
    words: list[list[Piece]] = []
    touches = False
    for piece in pieces:
        if touches:
            words[-1].append(piece)
        else:
            words.append([piece])
        touches = not piece.space_after
    return [_joined(word) for word in words]


def _joined(pieces: Sequence[Piece]) -> Piece:
    return Piece(
        "".join(piece.text for piece in pieces), box_around([piece.box for piece in pieces]), pieces[-1].space_after
    )


def _rejoin_spread_lines(lines: Sequence[Line]) -> None:
    """Put the single letters of one printed line into one line: poppler takes their wide gaps for those of columns."""
    printed: dict[tuple[bool, bool, float, float], list[Line]] = {}
    for line in lines:
        if len(line.pieces) > 1 and all(len(piece.text) == 1 for piece in line.pieces):
            printed.setdefault(_printed_line(*line.pieces[:2]), []).append(line)
    for (is_turned, runs_back, _, _), parts in printed.items():
        order = {id(line): number for number, line in enumerate(parts)}
        parts.sort(key=lambda line: line.pieces[0].box[is_turned], reverse=runs_back)
        groups = [parts[:1]]
        for line in parts[1:]:
            if _continues(groups[-1][-1].pieces, line.pieces):
                groups[-1].append(line)
            else:
                groups.append([line])
        for group in groups:
            pieces = [piece for line in group for piece in line.pieces]
            for line in group:
                line.pieces = []
            min(group, key=lambda line: order[id(line)]).pieces = pieces


def _printed_line(first: Piece, second: Piece) -> tuple[bool, bool, float, float]:
    """Return whether a line is turned by 90 or 270 degrees, whether it runs up or to the left, and its two edges."""
    is_turned = compare(first, second).is_turned
    runs_back = second.box[is_turned] < first.box[is_turned]
    return is_turned, runs_back, round(first.box[not is_turned], 1), round(first.box[2 + (not is_turned)], 1)


def _continues(pieces: Sequence[Piece], following: Sequence[Piece]) -> bool:
    """Return whether two parts of a printed line are as far apart as spaced words are: two letter gaps and a space."""
    between, within = compare(pieces[-1], following[0]), compare(*following[:2])
    return 0 < between.gap <= 2 * within.gap + within.height and within.gap <= MAX_SPACED_GAP * within.height


def _join_spaced_letters(pieces: list[Piece]) -> list[Piece]:
    """Join runs of single letters by comparing the gaps between them."""
    if sum(len(piece.text) == 1 for piece in pieces) < MIN_SPACED_LETTERS:
        return pieces
    joined: list[Piece] = []
    start = 0
    while start < len(pieces):
        end = start
        while end < len(pieces) and len(pieces[end].text) == 1:
            end += 1
        if end - start >= MIN_SPACED_LETTERS:
            neighbours = [compare(*pieces[i : i + 2]).gap for i in (start - 1, end - 1) if 0 <= i < len(pieces) - 1]
            joined += _spaced_words(pieces[start:end], min(neighbours, default=math.inf))
        else:
            end = max(end, start + 1)
            joined += pieces[start:end]
        start = end
    return joined


def _spaced_words(letters: list[Piece], neighbour_gap: float) -> list[Piece]:
    """Return the words that single letters in a row are, or the letters if they are no spaced words.

    neighbour_gap: the smaller gap to the longer words beside them.
    """
    pairs = [compare(first, second) for first, second in itertools.pairwise(letters)]
    gaps = [pair.gap for pair in pairs]
    letter_gap = sorted(gaps)[len(gaps) // 3]  # most gaps lie within words; kerning narrows some of them
    widest = WORD_GAP_RATIO * letter_gap
    alphabetic = sum(letter.text.isalpha() for letter in letters)
    if not (
        0 < letter_gap <= MAX_SPACED_GAP * max(pair.height for pair in pairs)
        and widest <= neighbour_gap
        and 2 * alphabetic > len(letters)
    ):
        return letters
    words = [[letters[0]]]
    for gap, letter in zip(gaps, letters[1:], strict=True):
        if gap <= widest:
            words[-1].append(letter)
        else:
            words.append([letter])
    if max(map(len, words)) < MIN_SPACED_LETTERS:
        return letters
    return [_joined(word) for word in words]


def _right_to_left_blocks(lines: Sequence[Line]) -> frozenset[int]:
    """Return the numbers of the paragraphs that run from right to left, as most letters of them or of the page do."""
    balance: dict[int, int] = {}
    for line in lines:
        excess = right_to_left_excess(_text([line]))
        balance[line.block] = balance.get(line.block, 0) + excess
    page_is = sum(balance.values()) > 0
    return frozenset(block for block, count in balance.items() if page_is or count > 0)


def _words_as_drawn(line: Line) -> list[Draft]:
    # A piece may hold spaces: that of a replacement text, whose parts have no boxes of their own.
    return [[(text, piece.box)] for piece in line.pieces for text in piece.text.split()]


def _words_of_line(line: Line, right_to_left: bool) -> list[Draft]:
    """Return the words of a line in logical order."""
    text = " ".join(piece.text for piece in line.pieces)
    if not has_right_to_left(text):
        return _words_as_drawn(line)
    owners = [index for index, piece in enumerate(line.pieces) for _ in range(len(piece.text) + 1)]
    words: list[Draft] = []
    for is_space, group in itertools.groupby(logical_order(text, right_to_left), lambda index: text[index].isspace()):
        if not is_space:
            indices = list(group)
            boxes = [line.pieces[owner].box for owner in sorted({owners[index] for index in indices})]
            words.append([("".join(text[index] for index in indices), box_around(boxes))])
    return words


# From points on the page to words.


def _finish(draft: Draft, size: tuple[float, float]) -> Word | None:
    """Return the word without control and format characters; None if nothing of it is visible on the page."""
    text = ""
    parts: list[tuple[int, Box]] = []
    for part, box in draft:
        clipped = _clip(box, size)
        readable = "".join(filter(_is_readable, part)).strip()[: MAX_WORD_LENGTH - len(text)]
        if readable and clipped is not None:
            parts.append((len(text), clipped))
            text += readable
    return Word(text, parts[0][1], tuple(parts[1:])) if parts else None


def _clip(box: PointBox, size: tuple[float, float]) -> Box | None:
    """Return the box relative to the page and clipped to it, or None if nothing of it is on the page."""
    width, height = size
    left, top, right, bottom = (
        min(max(side / length, 0.0), 1.0) for side, length in zip(box, (width, height, width, height), strict=True)
    )
    # Written so that NaN, which compares to nothing, fails too.
    return Box(left, top, right, bottom) if left < right and top < bottom else None


def _is_readable(character: str) -> bool:
    return character in JOINERS or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}
