"""Small PDFs and pictures, built from their parts so that any part can be wrong."""

from __future__ import annotations

import io
import struct
import zlib

import pillow_heif
from PIL import Image
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"


def raw_pdf(*objects: bytes) -> bytes:
    """Return a PDF of exactly these objects, numbered from 1; the first is its catalogue."""
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size, start = len(objects) + 1, len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R>>\n" % (size, table, size)
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % start)


def boxed_pdf(*pages: bytes) -> bytes:
    """Return a PDF with one empty page per entry, such as b"/MediaBox [0 0 100 100]"."""
    kids = b" ".join(b"%d 0 R" % number for number in range(3, 3 + len(pages)))
    bodies = [b"<</Type/Page/Parent 2 0 R %s>>" % page for page in pages]
    return raw_pdf(CATALOG, b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, len(pages)), *bodies)


def drawn_pdf(*streams: bytes, resources: bytes = b"", extra: tuple[bytes, ...] = ()) -> bytes:
    """Return a PDF with one A4 page per content stream; `extra` objects are numbered from 3 + 2 * streams."""
    kids = b" ".join(b"%d 0 R" % (3 + 2 * index) for index in range(len(streams)))
    objects = [CATALOG, b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, len(streams))]
    for index, stream in enumerate(streams):
        objects += [
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents %d 0 R%s>>" % (4 + 2 * index, resources),
            stream_object(stream),
        ]
    return raw_pdf(*objects, *extra)


def stream_object(content: bytes, facts: bytes = b"") -> bytes:
    packed = zlib.compress(content, 9)
    return b"<</Length %d/Filter/FlateDecode%s>>stream\n%s\nendstream" % (len(packed), facts, packed)


def text_pdf(*pages: str, encrypt: StandardEncryption | None = None) -> bytes:
    """Return a PDF with a page of 400 × 600 points per text, which is written near the top left corner."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(400, 600), encrypt=encrypt, invariant=1)
    for text in pages:
        canvas.drawString(20, 570, text)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def picture(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return the bytes of a file of that kind; HEIC without the plugin in Pillow, which only decoders have."""
    buffer = io.BytesIO()
    if kind == "HEIC":
        others = options.pop("append_images", ())
        options.pop("save_all", None)
        file = pillow_heif.from_pillow(image)
        for other in others:
            file.add_from_pillow(other)
        if isinstance(exif := options.get("exif"), Image.Exif):
            options["exif"] = exif.tobytes()
        file.save(buffer, **options)
    else:
        image.save(buffer, kind, **options)
    return buffer.getvalue()


def raw_png(width: int, height: int, depth: int, colour: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG that declares this size; `chunks` are the (name, content) after its header."""
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    out = b"\x89PNG\r\n\x1a\n"
    for name, content in (header, *chunks, (b"IEND", b"")):
        out += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return out


def raw_tiff(*directories: dict[int, tuple[int, int, int]]) -> bytes:
    """Return a TIFF of these directories, each tag -> (type, count, value or offset), without pixels."""
    out = bytearray(b"II*\0" + struct.pack("<I", 8))
    for number, tags in enumerate(directories, 1):
        out += struct.pack("<H", len(tags))
        for tag, (kind, count, value) in sorted(tags.items()):
            out += struct.pack("<HHII", tag, kind, count, value)
        out += struct.pack("<I", len(out) + 4 if number < len(directories) else 0)
    return bytes(out)


def boxes(content: bytes) -> list[tuple[bytes, bytes]]:
    """Return the (name, content) of the boxes of an ISO file, such as a HEIC, or of a box."""
    found, at = [], 0
    while at + 8 <= len(content):
        size = max(8, int.from_bytes(content[at : at + 4]))
        found.append((content[at + 4 : at + 8], content[at + 8 : at + size]))
        at += size
    return found


def joined_boxes(found: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(struct.pack(">I", len(content) + 8) + name + content for name, content in found)


def repeated_stream(block: bytes, times: int, facts: bytes = b"") -> bytes:
    """Return a deflated stream of `times` copies of `block`, packed once: quick to make and as small as a bomb is."""
    packer = zlib.compressobj(9)
    first = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = first + again * (times - 1) + b"\3\0" + struct.pack(">I", 0)
    return b"<</Length %d/Filter/FlateDecode%s>>stream\n%s\nendstream" % (len(packed), facts, packed)
