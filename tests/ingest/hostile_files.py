"""Files that are broken, hostile or odd on purpose: small, made in about a second, the same bytes every time.

`write_hostile_files` writes all of them; three tables state their expected outcomes. Numbers in comments are the rows
of the project's list of bad inputs.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

from PIL import Image
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

REFUSED = {
    "empty.pdf": "empty",  # 1
    "text.pdf": "neither a PDF nor a picture",  # 2
    "cut.pdf": "damaged",  # 3
    "locked.pdf": "password-protected",  # 4
    "many-pages.pdf": "5,000 pages",  # 11
    "endless.pdf": "damaged",  # 13
    "huge.png": "13,000 × 13,000 pixels",  # 18
    "huge-1bit.png": "pixels",  # 19
    "stack.tif": "9,000 × 9,000 pixels",  # 21
    "tags.tif": "claim more than it holds",
    "tags.png": "claim more than it holds",
    "tags.webp": "claim more than it holds",
    "tags.jpg": "claim more than it holds",
    "postscript.png": "neither a PDF nor a picture",  # 22
    "drawing.png": "neither a PDF nor a picture",  # 24
    "page.png": "neither a PDF nor a picture",  # 24
    "header-only.png": "damaged",
}
"""Files that `inspect` refuses, and words of the message."""

PAGES_REFUSED = {
    "vast.pdf": {1: "too large"},  # 8
    "strip.pdf": {1: "strip"},  # 10
    "cycle.pdf": {1: "no size"},  # 12
    "strokes.pdf": {2: "seconds"},  # 16
    "lost-page.pdf": {3: "no size"},  # poppler closes the gap that a missing page leaves
    "cut.jpg": {1: "damaged"},  # 25
}
"""Pages that `render` refuses, and words of the message; the other pages of the file are stored."""

TAKEN = {
    "owner.pdf": 1,  # 5
    "a0.pdf": 1,  # 6
    "widest.pdf": 1,  # 7
    "user-unit.pdf": 1,  # 8
    "zero-box.pdf": 2,  # 9: poppler takes a Letter page instead
    "flate-bomb.pdf": 1,  # 14
    "image-bomb.pdf": 1,  # 15
    "active.pdf": 1,  # 17
    "film.gif": 1,  # 20
    "film.webp": 1,  # 20
    "really-a-pdf.png": 1,  # 23
    "really-a-png.pdf": 1,  # 23
    "cmyk.jpg": 1,  # 25
    "metadata.png": 1,  # 26
}
"""Files that are accepted, and their number of pages."""


def write_hostile_files(folder: Path) -> dict[str, Path]:
    """Write every file into `folder`; return the paths by the names in the tables above."""
    contents = {**_documents(), **_pages(), **_pictures()}
    assert set(contents) == {*REFUSED, *PAGES_REFUSED, *TAKEN}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}


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
    buffer = io.BytesIO()
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


CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"


def _documents() -> dict[str, bytes]:
    whole = text_pdf("A harmless page", "and another")
    return {
        "empty.pdf": b"",
        "text.pdf": b"Dear Sir or Madam,\n",
        "cut.pdf": whole[: len(whole) // 2],
        "locked.pdf": text_pdf("secret", encrypt=StandardEncryption("user", "owner")),
        "owner.pdf": text_pdf("open", encrypt=StandardEncryption("", "owner", canPrint=0)),
        "many-pages.pdf": boxed_pdf(*[b"/MediaBox [0 0 595 842]"] * 5_000),
        "endless.pdf": raw_pdf(
            CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 2147483647>>", b"<</Type/Page/Parent 2 0 R>>"
        ),
        "active.pdf": raw_pdf(
            b"<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>/AA<</O<</S/Launch>>>>>>",
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>",
        ),
        "really-a-pdf.png": text_pdf("A page under a false name"),
    }


def _pages() -> dict[str, bytes]:
    strokes = b"0 0 m 595 842 l 0 842 l 595 0 l S\n" * 400_000
    image = stream_object(
        bytes(6_000 * 6_000),
        b"/Type/XObject/Subtype/Image/Width 6000/Height 6000/ColorSpace/DeviceGray/BitsPerComponent 8",
    )
    return {
        "a0.pdf": boxed_pdf(b"/MediaBox [0 0 2384 3370]"),
        "widest.pdf": boxed_pdf(b"/MediaBox [0 0 14400 14400]"),
        "vast.pdf": boxed_pdf(b"/MediaBox [0 0 1000000 1000000]"),
        "user-unit.pdf": boxed_pdf(b"/MediaBox [0 0 595 842]/UserUnit 75000"),
        "zero-box.pdf": boxed_pdf(b"/MediaBox [0 0 0 0]", b"/MediaBox [0 0 595 842]"),
        "strip.pdf": boxed_pdf(b"/MediaBox [0 0 100 9000]", b"/MediaBox [0 0 595 842]"),
        "cycle.pdf": raw_pdf(CATALOG, b"<</Type/Pages/Kids[2 0 R]/Count 1>>"),
        "lost-page.pdf": raw_pdf(
            CATALOG,
            b"<</Type/Pages/Kids[3 0 R 5 0 R 4 0 R]/Count 3>>",
            *[b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>"] * 2,
            b"null",
        ),
        "flate-bomb.pdf": drawn_pdf(b" " * 40_000_000),
        "image-bomb.pdf": drawn_pdf(
            b"595 0 0 842 0 0 cm /I Do", resources=b"/Resources<</XObject<</I 5 0 R>>>>", extra=(image,)
        ),
        "strokes.pdf": drawn_pdf(b"", strokes, b""),
    }


def _pictures() -> dict[str, bytes]:
    photo = Image.effect_noise((240, 160), 60).convert("RGB")
    jpeg = picture(photo, "JPEG")
    film = [Image.new("RGB", (40, 30), (number, 0, 255 - number)) for number in range(0, 255, 3)]
    greedy = _greedy_tags(4_000, 48_000)
    options = {"save_all": True, "append_images": film[1:]}
    large = {256: (4, 1, 9_000), 257: (4, 1, 9_000), 258: (3, 1, 8), 262: (3, 1, 1), 273: (4, 1, 8)}
    return {
        "huge.png": raw_png(13_000, 13_000, 8, 2, (b"IDAT", zlib.compress(bytes(100)))),
        "huge-1bit.png": raw_png(20_000, 20_000, 1, 0, (b"IDAT", zlib.compress(bytes(100)))),
        "stack.tif": raw_tiff(*[large] * 60),
        "tags.jpg": jpeg[:2] + b"\xff\xe1\xff\xfeExif\0\0" + greedy.ljust(65_526, b"\0") + jpeg[2:],
        "tags.png": raw_png(2, 1, 8, 0, (b"eXIf", greedy), (b"IDAT", zlib.compress(b"\0\0\xff"))),
        "tags.webp": picture(photo, "WEBP", exif=greedy),
        # 20,000 tags that all refer to the same two megabytes: copied one by one, they would take forty gigabytes.
        "tags.tif": _greedy_tags(20_000, 2_000_000) + bytes(2_000_000),
        "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "drawing.png": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "page.png": b"<!doctype html><script>alert(1)</script>",
        "header-only.png": b"\x89PNG\r\n\x1a\n" + bytes(64),
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "cmyk.jpg": picture(photo.convert("CMYK"), "JPEG"),
        "film.gif": picture(film[0], "GIF", **options),
        "film.webp": picture(film[0], "WEBP", **options),
        "really-a-png.pdf": picture(photo, "PNG"),
        "metadata.png": raw_png(
            2, 1, 8, 0, (b"eXIf", b"MM\0*" + bytes(12_000_000)), (b"IDAT", zlib.compress(b"\0\0\xff"))
        ),
    }


def _greedy_tags(count: int, claim: int) -> bytes:
    return raw_tiff({number: (1, claim, 8) for number in range(300, 300 + count)})
