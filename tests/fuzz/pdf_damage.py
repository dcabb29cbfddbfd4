"""Damage to a PDF by its own grammar: numbers, objects, streams, and words that mean something to a reader."""

from __future__ import annotations

import re
import zlib
from random import Random

OBJECT = re.compile(rb"(\d+) (\d+) obj\b(.*?)endobj", re.DOTALL)
NUMBER = re.compile(rb"(?<![A-Za-z#])[-+]?\d+(?:\.\d+)?")
STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.DOTALL)
NAME = re.compile(rb"/[A-Za-z0-9]+")
REFERENCE = re.compile(rb"(\d+) 0 R")
NUMBERS = tuple(
    b"0 1 -1 2 3 9 90 -90 45 0.0001 1e30 14400 14401 65536 2147483647 -2147483648 4294967296 99999999999 NaN".split()
)
NAMES = (
    b"Kids Count Parent Type Page Pages MediaBox CropBox Rotate UserUnit Resources Contents Length Filter FlateDecode "
    b"LZWDecode ASCII85Decode DCTDecode JPXDecode JBIG2Decode CCITTFaxDecode RunLengthDecode DecodeParms Predictor "
    b"Columns Colors XObject Image Form Width Height BitsPerComponent ColorSpace Indexed DeviceN SMask Font Type0 "
    b"Type1 Type3 TrueType CIDFontType2 ToUnicode Encoding FontFile2 Widths Pattern Shading ShadingType Function "
    b"FunctionType Domain Range Annots AP N AcroForm Encrypt Standard V R O U P ObjStm XRef Prev Root Size W "
    b"Index Extends First JavaScript OpenAction Launch URI GoToR EmbeddedFiles OCProperties Names Dests"
)
TOKENS = (
    b"<<|>>|[|]|(|)|<|>|null|true|obj|endobj|stream|endstream|xref|trailer|startxref|%%EOF|1 0 R|2 0 R|3 0 R|BI ID EI|"
    b"BT|ET|Tj|Do|q|Q|cm|re f|W n|sh|gs|d0|%PDF-1.7"
)
WORDS = (*(b"/" + name for name in NAMES.split()), *TOKENS.split(b"|"))


def damage(content: bytes, rng: Random) -> bytes:
    """Apply one kind of damage; correct the object table half of the time. Return empty bytes if nothing applies."""
    out = rng.choice((_number, _number, _word, _name, _object, _object, _reference, _stream))(content, rng)
    return repaired(out) if out and rng.random() < 0.5 else out


def repaired(content: bytes) -> bytes:
    """Return the PDF with an object table and a trailer that match its objects; unchanged if it has no root."""
    places = {int(match[1]): match.start() for match in OBJECT.finditer(content) if len(match[1]) < 5}
    trailer = re.search(rb"trailer\s*(<<.*?>>)\s*startxref", content, re.DOTALL)
    if not places or not trailer or b"/Root" not in trailer[1]:
        return content
    start = content.find(b"\nxref\n")
    start = start + 1 if start >= 0 else len(content)
    rows = [
        b"%010d 00000 n \n" % places[n] if n in places else b"0000000000 65535 f \n" for n in range(max(places) + 1)
    ]
    table = b"xref\n0 %d\n%s" % (len(rows), b"".join(rows))
    return content[:start] + table + b"trailer\n%s\nstartxref\n%d\n%%%%EOF\n" % (trailer[1], start)


def _replace(content: bytes, match: re.Match[bytes], new: bytes) -> bytes:
    return content[: match.start()] + new + content[match.end() :]


def _one(pattern: re.Pattern[bytes], content: bytes, rng: Random) -> re.Match[bytes] | None:
    found = list(pattern.finditer(content, 0, 60_000))
    return rng.choice(found) if found else None


def _number(content: bytes, rng: Random) -> bytes:
    match = _one(NUMBER, content, rng)
    return _replace(content, match, rng.choice(NUMBERS)) if match else b""


def _word(content: bytes, rng: Random) -> bytes:
    match = _one(NAME, content, rng)
    place = match.end() if match else rng.randrange(len(content))
    return content[:place] + b" " + rng.choice(WORDS) + b" " + content[place:]


def _name(content: bytes, rng: Random) -> bytes:
    match = _one(NAME, content, rng)
    return _replace(content, match, rng.choice(WORDS)) if match else b""


def _reference(content: bytes, rng: Random) -> bytes:
    """Refer to another object, which makes cycles and wrong types."""
    match = _one(REFERENCE, content, rng)
    return _replace(content, match, b"%d 0 R" % rng.randint(0, 9)) if match else b""


def _object(content: bytes, rng: Random) -> bytes:
    """Double or delete an object, or give it the content of another."""
    one, other = _one(OBJECT, content, rng), _one(OBJECT, content, rng)
    if not one or not other:
        return b""
    body = b"%s 0 obj%sendobj\n" % (one[1], other[3])
    return _replace(content, one, rng.choice((b"", one[0] + b"\n" + body, body)))


def _stream(content: bytes, rng: Random) -> bytes:
    """Unpack a stream, damage its operators, and pack it again with its length."""
    match = _one(STREAM, content, rng)
    if not match:
        return b""
    try:
        inside = zlib.decompressobj().decompress(match[1], 200_000)
    except zlib.error:
        return b""
    for _ in range(rng.randint(1, 4)):
        inside = (_number(inside, rng) if rng.random() < 0.6 else _word(inside or b" ", rng)) or inside
    packed = zlib.compress(inside * rng.choice((1, 1, 1, 20)))
    out = _replace(content, match, b"stream\n" + packed + b"\nendstream")
    length = list(re.compile(rb"/Length\s+\d+").finditer(out, 0, match.start()))
    return _replace(out, length[-1], b"/Length %d" % len(packed)) if length else out
