"""Tags of a picture (TIFF directories, EXIF blocks) that claim more than the file holds.

Pillow reads every tag into memory when it opens a file. Thousands of tags may all point at the same megabytes, so
that a file of 2 MB asks for 40 GB. In an honest file each value is stored once: a directory cannot claim more than the
file has.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

EXIF_BLOCKS = tuple(
    re.compile(prefix + rb".{0,10}?(?=II\*\0|MM\0\*)", re.DOTALL) for prefix in (rb"E(?:xif|XIF)", rb"eXIf")
)
"""How JPEG (Exif), WebP (EXIF and a length) and PNG (eXIf) introduce a block of EXIF, which is a small TIFF.

Two patterns that begin with a letter: such are searched ten times faster than one that begins with a choice.
"""
TIFF_START = re.compile(rb"II[*+]\0|MM\0[*+]")
UNIT_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""By type of value, from the TIFF 6.0 and BigTIFF tables."""
POINTERS = {34665, 34853, 40965}
"""Tags whose value is where another directory begins (EXIF, GPS, interoperability)."""
MOST_TAGS = 65_535
"""Tag numbers have 16 bits."""


def claim_too_much(data: bytes) -> bool:
    """True where any directory of tags in the bytes of a file claims more bytes than there are."""
    starts = [match.end() for block in EXIF_BLOCKS for match in block.finditer(data)]
    if TIFF_START.match(data):
        starts.append(0)
    return any(claim > len(data) for start in starts for claim in claims(data, start))


def claims(data: bytes, start: int) -> Iterator[int]:
    r"""For every directory of the TIFF at `start`: how many bytes its values claim. Each directory is read once.

    >>> list(claims(b"II*\0" + struct.pack("<IHHHIII", 8, 1, 300, 1, 5_000_000, 0, 0), 0))
    [5000000]
    """
    order = "<" if data[start : start + 2] == b"II" else ">"
    big = b"+" in data[start + 2 : start + 4]
    head, entry, pointer = (struct.Struct(order + form) for form in (("Q", "HHQQ", "Q") if big else ("H", "HHII", "I")))
    waiting = [_read(pointer, data, start + (8 if big else 4))]
    seen: set[int] = set()
    while waiting:
        offset = waiting.pop()
        if not offset or offset in seen:
            continue
        seen.add(offset)
        claim, first = 0, start + offset + head.size
        count = min(_read(head, data, start + offset), MOST_TAGS)
        end = min(first + count * entry.size, len(data) - (len(data) - first) % entry.size)
        for tag, kind, values, value in entry.iter_unpack(data[first : max(first, end)]):
            claim += values * UNIT_BYTES.get(kind, 0)
            waiting += [value] if tag in POINTERS else []
        waiting.append(_read(pointer, data, first + count * entry.size))
        yield claim


def _read(form: struct.Struct, data: bytes, offset: int) -> int:
    """One number; 0 where the file ends before it."""
    return int(form.unpack_from(data, offset)[0]) if offset + form.size <= len(data) else 0
