"""Parser for the small Markdown dialect in which the texts of the sample documents are written.

Front matter of `key: value` lines up to the first empty line, then blocks: `#`, `##`, `###` headings, paragraphs,
`- ` bullets, `1. ` steps, `> ` notes, `| a | b |` tables (the first row is the head), `---` for a new page, and
fences for drawings: three backticks, a kind, options as key="value", then rows with cells between `|`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

OPTION = re.compile(r'(\w+)="([^"]*)"')
STARTS = ("#", "- ", "> ", "|", "```", "---")
BOLD = re.compile(r"\*\*(.+?)\*\*")
SLANTED = re.compile(r"\*(\S.*?)\*")
STEP = re.compile(r"\d+\. ")


@dataclass(frozen=True)
class Block:
    """One block of a text. `kind` is heading1..3, text, bullet, step, note, table, break, or the kind of a fence."""

    kind: str
    text: str = ""
    rows: list[list[str]] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)

    def numbers(self) -> list[list[float]]:
        """Return the rows without their first cells, as numbers."""
        return [[float(cell.replace(",", "")) for cell in row[1:]] for row in self.rows]

    def labels(self) -> list[str]:
        """Return the first cell of every row."""
        return [row[0] for row in self.rows]


def inline(words: str) -> str:
    """Replace `**bold**` and `*slanted*` by the tags that reportlab reads."""
    return SLANTED.sub(r"<i>\1</i>", BOLD.sub(r"<b>\1</b>", words))


def cells(line: str) -> list[str]:
    """Split a row at its bars into stripped cells."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def parse(source: str) -> tuple[dict[str, str], list[Block]]:
    """Return the front matter and the blocks of a text, in order."""
    front, _, rest = source.partition("\n\n")
    matter = dict(line.split(": ", 1) for line in front.splitlines())
    lines = rest.splitlines()
    blocks: list[Block] = []
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        block, at = _block(lines, at)
        blocks.append(block)
    return matter, blocks


def _block(lines: list[str], at: int) -> tuple[Block, int]:
    """Parse the block that starts at line `at`; return it and the index of the line after it."""
    line = lines[at]
    if line.startswith("```"):
        end = lines.index("```", at + 1)
        rows = [cells(row) for row in lines[at + 1 : end] if row.strip()]
        return Block(line[3:].split(" ")[0], rows=rows, options=dict(OPTION.findall(line))), end + 1
    if line.startswith("|"):
        end = _run(lines, at, lambda row: row.startswith("|"))
        return Block("table", rows=[cells(row) for row in lines[at:end]]), end
    if line.startswith("---"):
        return Block("break"), at + 1
    if line.startswith("#"):
        level = len(line) - len(line.lstrip("#"))
        return Block(f"heading{level}", line[level:].strip()), at + 1
    kind = "bullet" if line.startswith("- ") else "note" if line.startswith("> ") else "text"
    kind = "step" if STEP.match(line) else kind
    end = _run(lines, at + 1, lambda row: bool(row.strip()) and not row.startswith(STARTS) and not STEP.match(row))
    words = inline(" ".join(row.strip() for row in lines[at:end]))
    return Block(kind, words[2:] if kind in ("bullet", "note") else words), end


def _run(lines: list[str], at: int, belongs: Callable[[str], bool]) -> int:
    """Return the index of the first line from `at` on that does not belong, or the number of lines."""
    while at < len(lines) and belongs(lines[at]):
        at += 1
    return at
