"""Files that are broken, hostile or odd on purpose: small, made in seconds, the same bytes every time.

Loops, nesting, bombs, polyglots, long metadata. `write_hostile_files` writes all of them; the tables state their
expected outcomes. Numbers in comments are the rows of the project's list of bad inputs.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from PIL import Image
from reportlab.lib.pdfencrypt import StandardEncryption

from tests.ingest.cases import (
    CATALOG,
    boxed_pdf,
    drawn_pdf,
    picture,
    raw_pdf,
    raw_png,
    raw_tiff,
    repeated_stream,
    stream_object,
    text_pdf,
)

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
    "tags.heic": "claim more than it holds",
    "tags.avif": "claim more than it holds",
    "huge.heic": "pixels",
    "huge.avif": "pixels",
    "header-only.heic": "damaged",
    "header-only.avif": "damaged",
    "cut.avif": "damaged",
    "film.mp4": "neither a PDF nor a picture",
    "postscript.png": "neither a PDF nor a picture",  # 22
    "drawing.png": "neither a PDF nor a picture",  # 24
    "page.png": "neither a PDF nor a picture",  # 24
    "header-only.png": "damaged",
    "no-pages.pdf": "damaged",
    "negative-count.pdf": "damaged",
    "no-catalogue.pdf": "damaged",
    "nested.pdf": "damaged",
    "flood.pdf": "damaged",
    "unknown-lock.pdf": "damaged",
    "script.png": "neither a PDF nor a picture",  # 24
}
"""Files that `inspect` refuses, and words of the message."""

PAGES_REFUSED = {
    "vast.pdf": {1: "too large"},  # 8
    "strip.pdf": {1: "strip"},  # 10
    "cycle.pdf": {1: "no size"},  # 12
    "strokes.pdf": {2: "seconds"},  # 16
    "lost-page.pdf": {3: "no size"},  # poppler closes the gap that a missing page leaves
    "cut.jpg": {1: "damaged"},  # 25
    "cut.heic": {1: "damaged"},
    "beyond.pdf": {1: "too large"},  # 8
    "thread.pdf": {1: "too large"},  # 10
    "speck.pdf": {1: "too small"},
    "crop-outside.pdf": {1: "no size"},
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
    "film.avif": 1,  # 20
    "burst.heic": 1,  # 20
    "photo.heic": 1,
    "photo.avif": 1,
    "really-a-pdf.png": 1,  # 23
    "really-a-png.pdf": 1,  # 23
    "cmyk.jpg": 1,  # 25
    "metadata.png": 1,  # 26
    "exponent.pdf": 1,  # 8: poppler reads no 1e30 and takes a Letter page instead
    "negative-box.pdf": 2,  # 9
    "far.pdf": 1,
    "odd-turn.pdf": 1,
    "broken-stream.pdf": 1,
    "endless-stream.pdf": 1,
    "broken-font.pdf": 1,
    "font-in-itself.pdf": 1,
    "form-in-itself.pdf": 1,
    "contents-in-itself.pdf": 1,
    "tables-in-a-loop.pdf": 1,
    "links.pdf": 1,  # 17: nothing is fetched or run
    "launches.pdf": 1,  # 17
    "deep-tree.pdf": 1,
    "lying-title.pdf": 1,
    "zip.pdf": 1,  # 23
    "html.pdf": 1,  # 23
    "jpeg-and-pdf.jpg": 1,  # 23
    "gif-and-script.gif": 1,  # 23
}
"""Files that are accepted, and their number of pages."""

ENDING = ("filters.pdf", "forms.pdf", "wavelets.pdf", "flate.pdf", "image.pdf", "words.pdf")
"""Files whose first page is drawn or takes too long (14, 15), and whose second page is harmless and is stored."""

PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]"
PAGES = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
LONG_METADATA = 40_000_000

POLYGLOTS = {
    "zip.pdf": "pdf",
    "html.pdf": "pdf",
    "jpeg-and-pdf.jpg": "JPEG",
    "gif-and-script.gif": "GIF",
    "really-a-pdf.png": "pdf",
    "really-a-png.pdf": "PNG",
}
"""Accepted files that could be of several kinds, and the kind that they are taken for."""


def write_hostile_files(folder: Path) -> dict[str, Path]:
    """Write every file into `folder`; return the paths by the names in the tables above."""
    contents = _documents() | _pages() | _pictures() | _structures() | _drawings() | _polyglots() | _bombs()
    assert set(contents) == {*REFUSED, *PAGES_REFUSED, *TAKEN, *ENDING}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}


def long_metadata() -> dict[str, bytes]:
    """Return pictures with 40 MB of metadata (26): uncompressed, compressed, and in the places of each format."""
    filler = bytes(LONG_METADATA)
    image = Image.new("RGB", (9, 9))
    pixels = (b"IDAT", zlib.compress(b"\0\0\xff"))
    return {
        "profile.tif": picture(image, "TIFF", icc_profile=filler),
        "profile.webp": picture(image, "WEBP", icc_profile=filler),
        "exif.webp": picture(image, "WEBP", exif=b"Exif\0\0MM\0*" + filler),
        "profile.png": raw_png(2, 1, 8, 0, (b"iCCP", b"icc\0\0" + zlib.compress(filler)), pixels),
        "text.png": raw_png(2, 1, 8, 0, (b"zTXt", b"text\0\0" + zlib.compress(filler)), pixels),
        "segments.jpg": _after_start(picture(image, "JPEG"), b"\xff\xe2\xff\xffICC_PROFILE\0" * 600),
    }


def _after_start(jpeg: bytes, more: bytes) -> bytes:
    segment = more.ljust(65_537, b"\0")[:65_537]
    return jpeg[:2] + segment * (LONG_METADATA // 65_537) + jpeg[2:]


def one_page(extra: bytes = b"", *objects: bytes) -> bytes:
    """Return a PDF page of 200 points; `objects` are numbered from 4."""
    return raw_pdf(CATALOG, PAGES, PAGE + extra + b">>", *objects)


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
    jpeg, heic, avif = (picture(photo, kind) for kind in ("JPEG", "HEIC", "AVIF"))
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
        "cut.heic": heic[: len(heic) * 3 // 4],
        "cut.avif": avif[: len(avif) * 3 // 4],
        "photo.heic": heic,
        "photo.avif": avif,
        "huge.heic": _with_size(heic, 60_000, 60_000),
        "huge.avif": _with_size(avif, 16_000, 16_000),
        "header-only.heic": heic[:32] + bytes(64),
        "header-only.avif": avif[:32] + bytes(64),
        "tags.heic": picture(photo, "HEIC", exif=greedy),
        "tags.avif": picture(photo, "AVIF", exif=greedy),
        "film.mp4": b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + bytes(200),
        "film.avif": picture(film[0], "AVIF", save_all=True, append_images=film[1:5]),
        "burst.heic": picture(film[0], "HEIC", append_images=film[1:5]),
        "cmyk.jpg": picture(photo.convert("CMYK"), "JPEG"),
        "film.gif": picture(film[0], "GIF", **options),
        "film.webp": picture(film[0], "WEBP", **options),
        "really-a-png.pdf": picture(photo, "PNG"),
        "metadata.png": raw_png(
            2, 1, 8, 0, (b"eXIf", b"MM\0*" + bytes(12_000_000)), (b"IDAT", zlib.compress(b"\0\0\xff"))
        ),
    }


def _with_size(content: bytes, width: int, height: int) -> bytes:
    """Return a HEIC or AVIF whose properties declare another size (their boxes `ispe`)."""
    start = content.index(b"ispe") + 8
    return content[:start] + struct.pack(">II", width, height) + content[start + 8 :]


def _greedy_tags(count: int, claim: int) -> bytes:
    return raw_tiff({number: (1, claim, 8) for number in range(300, 300 + count)})


def _structures() -> dict[str, bytes]:
    whole = one_page()
    tree = [b"<</Type/Pages/Kids[%d 0 R]/Count 1/Parent %d 0 R>>" % (n + 1, n - 1) for n in range(2, 3_000)]
    title = one_page(b"", b"<</Title(a\\nPages: 7\\nPage    1 size: 9 x 9 pts\\n)>>")
    return {
        "no-pages.pdf": raw_pdf(CATALOG, b"<</Type/Pages/Kids[]/Count 0>>"),
        "negative-count.pdf": raw_pdf(CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count -1>>", PAGE + b">>"),
        "no-catalogue.pdf": raw_pdf(b"null"),
        "nested.pdf": raw_pdf(b"<</Type/Catalog/Pages 2 0 R/X" + b"[" * 100_000 + b"]" * 100_000 + b">>", PAGES),
        # Poppler reports every bracket: a gigabyte of messages, if all of them are read.
        "flood.pdf": raw_pdf(b"<</Type/Catalog/Pages 2 0 R/X[" + b")" * 3_000_000 + b"]>>", PAGES, PAGE + b">>"),
        "unknown-lock.pdf": whole.replace(b"/Root 1 0 R", b"/Root 1 0 R/Encrypt<</Filter/No/V 9>>/ID[<00><00>]"),
        "tables-in-a-loop.pdf": whole.replace(b"/Root 1 0 R", b"/Root 1 0 R/Prev 15"),
        "deep-tree.pdf": raw_pdf(CATALOG, *tree, b"<</Type/Page/Parent 2999 0 R/MediaBox[0 0 99 99]>>"),
        "lying-title.pdf": title.replace(b"/Root 1 0 R", b"/Root 1 0 R/Info 4 0 R"),
        "exponent.pdf": boxed_pdf(b"/MediaBox [0 0 1e30 1e30]"),
        "beyond.pdf": boxed_pdf(b"/MediaBox [0 0 %d %d]" % (10**30, 10**30)),
        "thread.pdf": boxed_pdf(b"/MediaBox [0 0 1 200000]"),
        "speck.pdf": boxed_pdf(b"/MediaBox [0 0 0.01 0.01]"),
        "crop-outside.pdf": boxed_pdf(b"/MediaBox [0 0 200 200]/CropBox [500 500 700 700]"),
        "negative-box.pdf": boxed_pdf(b"/MediaBox [300 300 0 0]", b"/MediaBox [0 0 -100 -100]"),
        "far.pdf": boxed_pdf(b"/MediaBox [1000000 1000000 1000200 1000200]"),
        "odd-turn.pdf": boxed_pdf(b"/MediaBox [0 0 200 300]/Rotate 2147483647"),
    }


def _drawings() -> dict[str, bytes]:
    words = stream_object(b"BT /F 20 Tf 20 100 Td (words) Tj ET")
    with_font, with_form = (
        b"/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>",
        b"/Contents 4 0 R/Resources<</XObject<</X 5 0 R>>>>",
    )
    glyph = b"<</Type/Font/Subtype/Type3/FontBBox[0 0 9 9]/FontMatrix[1 0 0 1 0 0]/CharProcs<</a 6 0 R>>/FirstChar 97"
    glyph += b"/LastChar 97/Widths[9]/Encoding<</Differences[97/a]>>/Resources<</Font<</F 5 0 R>>>>>>"
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 5 0 R>>>>"
    font = b"<</Type/Font/Subtype/TrueType/BaseFont/X/FontDescriptor 6 0 R>>"
    link = b"<</Subtype/Link/Rect[0 0 9 9]/A<</S/URI/URI(http://169.254.169.254/)>>>>"
    attached = b"<</Subtype/FileAttachment/Rect[0 0 9 9]/FS<</F(/etc/passwd)>>>>"
    launch = b"/AA<</O<</S/Launch/F(/bin/sh)/Win<</F(cmd.exe)/P(/c calc)>>>>>>"
    return {
        "broken-stream.pdf": one_page(b"/Contents 4 0 R", b"<</Length 4/Filter/FlateDecode>>stream\nnone\nendstream"),
        "endless-stream.pdf": one_page(b"/Contents 4 0 R", b"<</Length 999999999>>stream\n0 0 10 10 re f"),
        "contents-in-itself.pdf": one_page(b"/Contents 3 0 R"),
        "broken-font.pdf": one_page(
            with_font, words, font, b"<</Type/FontDescriptor/FontName/X/Flags 4/FontFile2 7 0 R>>",
            stream_object(b"\0\1\0\0" + bytes(range(256)) * 40),
        ),
        "font-in-itself.pdf": one_page(
            with_font, stream_object(b"BT /F 20 Tf 20 100 Td (aaa) Tj ET"), glyph,
            stream_object(b"9 0 d0 BT /F 1 Tf (aaa) Tj ET"),
        ),
        "form-in-itself.pdf": one_page(with_form, stream_object(b"/X Do"), stream_object(b"/X Do /X Do", form)),
        "links.pdf": one_page(b"/Annots[" + link * 50 + attached + b"]"),
        "launches.pdf": one_page(launch, b"<</Type/EmbeddedFile/Length 4>>stream\nMZ\0\0\nendstream"),
    }  # fmt: skip


def _polyglots() -> dict[str, bytes]:
    whole, jpeg = one_page(), picture(Image.new("RGB", (9, 9)), "JPEG")
    return {
        "zip.pdf": b"PK\3\4" + bytes(20) + whole + b"PK\5\6" + bytes(18),
        "html.pdf": b"<!doctype html><script>alert(1)</script><!--\n" + whole + b"\n-->",
        "jpeg-and-pdf.jpg": jpeg[:2] + b"\xff\xfe\0\x0d%PDF-1.4\n12" + jpeg[2:] + whole,
        "gif-and-script.gif": picture(Image.new("P", (9, 9)), "GIF") + b"*/=1;alert(1)//",
        "script.png": b"alert(document.cookie)//" + bytes(100),
    }


def _bombs() -> dict[str, bytes]:
    """Return files of two pages each, a bomb and an empty one. Compressed, all are small."""
    image = b"/Type/XObject/Subtype/Image/Width %d/Height %d/BitsPerComponent 8"
    draw = b"595 0 0 842 0 0 cm /X Do"
    uses = b"/Resources<</XObject<</X 7 0 R>>/Font<</F<</Type/Font/Subtype/Type1/BaseFont/Times>>>>>>"
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X %d 0 R>>>>"
    forms = [stream_object(b"/X Do " * 10, form % after) for after in range(8, 19)]
    forms.append(stream_object(b"0 0 5 5 re f", form % 19))
    wavelets = b"<<%s/Filter/JPXDecode/Length 40>>stream\n%s\nendstream" % (image % (60_000, 60_000), bytes(40))
    white = repeated_stream(bytes(30_000 * 30), 1_000, image % (30_000, 30_000) + b"/ColorSpace/DeviceGray")
    dots = b"".join(b"1 0 0 1 %d %d Tm (ab) Tj " % (5 + n % 100 * 5, 5 + n // 100 * 8) for n in range(10_000))
    filters, spaces = b"/Filter[" + b"/FlateDecode" * 5_000 + b"]", repeated_stream(b" " * 10**6, 400)
    return {
        "filters.pdf": drawn_pdf(b"", b"").replace(b"/Filter/FlateDecode", filters, 1),
        "forms.pdf": drawn_pdf(b"/X Do", b"", resources=uses, extra=tuple(forms)),
        "wavelets.pdf": drawn_pdf(draw, b"", resources=uses, extra=(wavelets,)),
        "flate.pdf": drawn_pdf(b"@", b"").replace(stream_object(b"@"), spaces, 1),
        "image.pdf": drawn_pdf(draw, b"", resources=uses, extra=(white,)),
        "words.pdf": drawn_pdf(b"BT /F 0.5 Tf " + dots + b"ET", b"", resources=uses),
    }
