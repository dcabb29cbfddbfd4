"""Damage to pictures by their own structure: chunks of PNG and WebP, segments of JPEG, directories of TIFF, boxes.

Checksums and lengths are usually corrected, since readers reject a file with wrong ones before they parse the damage.
"""

from __future__ import annotations

import struct
import zlib
from random import Random

from tests.ingest.cases import boxes, joined_boxes

Piece = tuple[bytes, bytes]
"""(name, content) of a chunk or segment."""
CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0}
"""Boxes of HEIC and AVIF that hold other boxes, and the bytes before these."""
PNG = b"\x89PNG\r\n\x1a\n"
NUMBERS = (
    0, 1, 2, 3, 4, 7, 8, 16, 32, 127, 128, 255, 256, 257, 1_000, 32_767, 32_768, 65_535, 65_536, 70_000, 10**6, 2**24,
    2**31 - 1, 2**31, 2**32 - 1,
)  # fmt: skip
TAGS = (254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 284, 296, 317, 320, 322, 323, 324, 325,
        330, 338, 339, 347, 513, 529, 530, 700, 33432, 34665, 34675, 34853, 40965)  # fmt: skip


def damage(content: bytes, rng: Random) -> bytes:
    """Apply one kind of damage; return empty bytes if the structure is unknown or already lost."""
    if content.startswith(PNG):
        return _png(content, rng)
    if content.startswith(b"RIFF"):
        return _riff(content, rng)
    if content.startswith(b"\xff\xd8"):
        return _jpeg(content, rng)
    if content[:2] in (b"II", b"MM"):
        return _tiff(content, rng)
    if content[4:8] == b"ftyp":
        return _iso(content, rng)
    return b""


def _png(content: bytes, rng: Random) -> bytes:
    pieces, at = [], len(PNG)
    while at + 12 <= len(content):
        (size,) = struct.unpack_from(">I", content, at)
        pieces.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    out = PNG
    for name, inside in _shuffled(pieces, rng):
        size, check = len(inside), zlib.crc32(name + inside)
        if rng.random() < 0.02:
            size, check = rng.choice(NUMBERS), rng.choice((check, 0))
        out += struct.pack(">I", size) + name + inside + struct.pack(">I", check)
    return out


def _riff(content: bytes, rng: Random) -> bytes:
    pieces, at = [], 12
    while at + 8 <= len(content):
        (size,) = struct.unpack_from("<I", content, at + 4)
        pieces.append((content[at : at + 4], content[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    out = b""
    for name, inside in _shuffled(pieces, rng):
        size = rng.choice(NUMBERS) if rng.random() < 0.02 else len(inside)
        out += name + struct.pack("<I", size) + inside + b"\0" * (len(inside) % 2)
    size = rng.choice(NUMBERS) if rng.random() < 0.05 else len(out) + 4
    return b"RIFF" + struct.pack("<I", size) + content[8:12] + out


def _jpeg(content: bytes, rng: Random) -> bytes:
    pieces, at = [], 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] != 0xDA:
        (size,) = struct.unpack_from(">H", content, at + 2)
        pieces.append((content[at : at + 2], content[at + 4 : at + 2 + size]))
        at += 2 + max(size, 2)
    out, scan = content[:2], content[at:]
    for name, inside in _shuffled(pieces, rng):
        size = rng.choice(NUMBERS) & 0xFFFF if rng.random() < 0.03 else min(len(inside) + 2, 0xFFFF)
        out += name + struct.pack(">H", size) + inside
    return out + scan


def _iso(content: bytes, rng: Random) -> bytes:
    """Damage one box of a HEIC or AVIF, usually one inside others."""
    found = boxes(content)
    inner = [index for index, (name, _) in enumerate(found) if name in CONTAINERS]
    if inner and rng.random() < 0.85:
        index = rng.choice(inner)
        name, inside = found[index]
        head = CONTAINERS[name]
        found[index] = name, inside[:head] + _iso(inside[head:], rng)
    else:
        found = _shuffled(found, rng)
    return joined_boxes(found)


def _shuffled(pieces: list[Piece], rng: Random) -> list[Piece]:
    """Return the pieces with one of them damaged, doubled, deleted, moved or renamed."""
    if not pieces:
        return pieces
    index = rng.randrange(len(pieces))
    name, inside = pieces[index]
    match rng.randrange(8):
        case 0:
            return [*pieces[:index], *[pieces[index]] * rng.choice((2, 3, 40)), *pieces[index + 1 :]]
        case 1:
            return pieces[:index] + pieces[index + 1 :]
        case 2:
            moved = pieces[:index] + pieces[index + 1 :]
            moved.insert(rng.randrange(len(moved) + 1), pieces[index])
            return moved
        case 3:
            other = rng.choice(pieces)[0]
            return [*pieces[:index], (other, inside), *pieces[index + 1 :]]
        case 4:
            return [*pieces[:index], (name, _repacked(inside, rng)), *pieces[index + 1 :]]
    return [*pieces[:index], (name, _numbered(inside, rng)), *pieces[index + 1 :]]


def replace_number(content: bytes, start: int, rng: Random) -> bytes:
    """Replace a number of one, two or four bytes, in either order, by one that programs often mishandle."""
    form = rng.choice(("B", ">H", ">I", "<H", "<I"))
    size = struct.calcsize(form)
    number = struct.pack(form, rng.choice(NUMBERS) & ((1 << 8 * size) - 1))
    return content[:start] + number + content[start + size :]


def _numbered(inside: bytes, rng: Random) -> bytes:
    return replace_number(inside, rng.randrange(min(len(inside), 40)), rng) if inside else rng.randbytes(4)


def _repacked(inside: bytes, rng: Random) -> bytes:
    """Unpack the compressed data of a piece, damage it and pack it again."""
    try:
        raw = zlib.decompressobj().decompress(inside, 100_000)
    except zlib.error:
        return inside[: rng.randrange(len(inside) + 1)]
    if raw:
        raw = _numbered(raw, rng)
    return zlib.compress(raw * rng.choice((1, 1, 2, 30)) if rng.random() < 0.7 else raw[: len(raw) // 2])


def _tiff(content: bytes, rng: Random) -> bytes:
    """Change one entry of a directory, or the offset at the end of a directory."""
    order = "<" if content[:2] == b"II" else ">"
    out = bytearray(content)
    starts, offset = [], _read(order + "I", content, 4)
    while offset and offset not in starts and len(starts) < 20:
        starts.append(offset)
        offset = _read(order + "I", content, offset + 2 + 12 * _read(order + "H", content, offset))
    start = rng.choice(starts) if starts else 0
    count = _read(order + "H", content, start)
    if not start or not count:
        return b""
    if rng.random() < 0.1:
        _write(out, order + "I", start + 2 + 12 * count, rng.choice((*starts, *NUMBERS)))
        return bytes(out)
    entry = start + 2 + 12 * rng.randrange(min(count, 60))
    form, place, values = rng.choice(
        (("H", 0, TAGS), ("H", 2, tuple(range(20))), ("I", 4, NUMBERS), ("I", 8, NUMBERS), ("H", 8, NUMBERS))
    )
    _write(out, order + form, entry + place, rng.choice((*values, len(content))))
    return bytes(out)


def _read(form: str, content: bytes, offset: int) -> int:
    return struct.unpack_from(form, content, offset)[0] if offset + struct.calcsize(form) <= len(content) else 0


def _write(out: bytearray, form: str, offset: int, value: int) -> None:
    size = struct.calcsize(form)
    if offset + size <= len(out):
        struct.pack_into(form, out, offset, value & ((1 << 8 * size) - 1))
