"""Files as people have them: a question about what the page shows finds it, through everything that an upload does."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from smart_demo.config import Limits
from smart_demo.indexing.indexer import Indexer
from smart_demo.indexing.progress import State
from smart_demo.page_text import WordSource
from smart_demo.store.library import Library
from smart_demo.types import LOCAL, Query
from tests.backbones.cases import loaded
from tests.documents import write_pdf
from tests.ingest.cases import drawn_pdf, picture, stream_object

LINES = (
    "Torque of the flange bolts",
    "Tighten the flange bolts to 45 newton metres.",
    "Use part number AX-2291/B for the gasket.",
    "Check the bolts again after 50 hours.",
)
QUERY = "torque of the flange bolts"
DISTRACTOR = "High water at the north pier is at 06:40 on Monday. The lock gates open one hour before high water."


def scan(mode: str = "RGB", ink: str = "black", ground: str = "white", size: int = 34) -> Image.Image:
    """Return a picture of the lines, as a scanner or a camera makes it."""
    image = Image.new(mode, (1_000, 700), ground)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for row, line in enumerate(LINES):
        draw.text((60, 60 + 100 * row), line, font=font, fill=ink)
    return image


def pdf_around(image: Image.Image, typed: str = "", rotate: int = 0) -> bytes:
    """Return a PDF page that is a picture, with a typed line at its foot."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(595, 842), invariant=1)
    canvas.setPageRotation(rotate)
    canvas.drawImage(ImageReader(image), 40, 400, 515, 515 * image.height / image.width)
    canvas.drawString(400, 30, typed)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def mapped_pdf(first: int) -> bytes:
    """Return a PDF whose font draws the lines and says other characters: code 0x20 is said to be `first`, and so on."""
    ranges = b"1 beginbfrange <20> <7e> <%04x> endbfrange" % first
    cmap = b"/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <00> <ff> endcodespacerange "
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 6 0 R>>"
    content = b"BT /F 16 Tf 60 780 Td 30 TL " + b" ".join(b"(%s) ' " % line.encode() for line in LINES) + b"ET"
    resources = b"/Resources<</Font<</F 5 0 R>>>>"
    return drawn_pdf(content, resources=resources, extra=(font, stream_object(cmap + ranges + b" endcmap end")))


def typed_pdf(*lines: str, before: bytes = b"", after: bytes = b"", spacing: float = 0, size=(595, 842)) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=size, invariant=1)
    text = canvas.beginText(10, size[1] - 40)
    text.setFont("Helvetica", 10)
    text.setCharSpace(spacing)
    for line in lines:
        text.textLine(line)
    canvas.drawText(text)
    canvas.showPage()
    canvas.save()
    return before + buffer.getvalue() + after


def screenshot() -> Image.Image:
    """Return a whole web page as one tall picture, the lines far down."""
    image = Image.new("RGB", (800, 4_000), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(17)
    for row in range(60):
        line = LINES[row - 45] if 45 <= row < 49 else f"Section {row + 1}: parcels are sent on working days only"
        draw.text((40, 30 + 65 * row), line, font=font, fill="#222")
    return image


def transparent(kind: str) -> bytes:
    image = scan("RGBA", ink="white", ground="#00000000")
    return picture(image if kind == "PNG" else image.quantize(), "PNG")


FILES: dict[str, tuple[str, Callable[[], bytes], WordSource]] = {
    "a stamp over a scan": ("bates.pdf", lambda: pdf_around(scan(), "SMITH-000417"), WordSource.BOTH),
    "a scan": ("scan.pdf", lambda: pdf_around(scan()), WordSource.OCR),
    "a dark slide that is a picture": (
        "slide.pdf",
        lambda: pdf_around(scan(ink="#eee", ground="#223"), "Quarterly overview"),
        WordSource.BOTH,
    ),
    "a scan on its side": ("side.pdf", lambda: pdf_around(scan().rotate(90, expand=True)), WordSource.OCR),
    "a photo on its head": ("head.png", lambda: picture(scan().rotate(180), "PNG"), WordSource.OCR),
    "a scan on its side under a stamp": (
        "stamp.pdf",
        lambda: pdf_around(scan().rotate(90, expand=True), "EX-000123"),
        WordSource.BOTH,
    ),
    "a scan on its head under a stamp": (
        "upside.pdf",
        lambda: pdf_around(scan().rotate(180), "EX-000123"),
        WordSource.BOTH,
    ),
    "letters shifted by three": ("shifted.pdf", lambda: mapped_pdf(0x23), WordSource.OCR),
    "letters said to be private": ("private.pdf", lambda: mapped_pdf(0xE020), WordSource.OCR),
    "letters said to be Cyrillic": ("cyrillic.pdf", lambda: mapped_pdf(0x400), WordSource.OCR),
    "a whole web page": ("page.png", lambda: picture(screenshot(), "PNG"), WordSource.OCR),
    "words broken at line ends": (
        "hyphens.pdf",
        lambda: typed_pdf("This sheet gives the tor-", "que of the flange bolts", "in newton metres."),
        WordSource.LAYER,
    ),
    "letters set apart": ("spaced.pdf", lambda: typed_pdf(*LINES, spacing=2.2), WordSource.LAYER),
    "bytes before and after": (
        "junk.pdf",
        lambda: typed_pdf(*LINES, before=b"\r\n--part\r\n" * 150, after=b"\0" * 5_000),
        WordSource.LAYER,
    ),
    "a receipt": (
        "receipt.pdf",
        lambda: typed_pdf(*LINES, *(f"{n} oat biscuits" for n in range(300)), size=(226, 4_904)),
        WordSource.LAYER,
    ),
    "white ink on nothing": ("white.png", lambda: transparent("PNG"), WordSource.OCR),
    "a palette with white ink on nothing": ("palette.png", lambda: transparent("P"), WordSource.OCR),
    "a phone's picture": ("photo.heic", lambda: picture(scan(), "HEIC", quality=80), WordSource.OCR),
    "an AVIF": ("photo.avif", lambda: picture(scan(), "AVIF", quality=80), WordSource.OCR),
    "a fax": (
        "fax.tif",
        lambda: picture(scan().resize((1_000, 336)), "TIFF", dpi=(204, 98)),
        WordSource.OCR,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_a_question_about_what_a_page_shows_finds_it(tmp_path, kind):
    name, make, source = FILES[kind]
    file = tmp_path / name
    file.write_bytes(make())
    other = write_pdf(tmp_path / "tides.pdf", DISTRACTOR)
    backbone = loaded("minilm")
    with Library.open(tmp_path / "data", tmp_path / "index") as library:
        steps = list(Indexer(library, Limits()).add(LOCAL, [(path, path.name) for path in (file, other)], backbone))
        assert [step.state for step in steps if step.state is not State.WORKING] == [State.DONE] * 2
        pages = library.pages([LOCAL], backbone.encoder.fingerprint)
        query = backbone.encode_query(Query(QUERY))
        scores = {}
        for page in pages:
            states = library.tokens(page).states()
            late = float((query.tokens @ states.T).max(axis=1).mean())
            scores[page.document] = float(query.pooled @ library.encoding(page).pooled) + late
            if page.document == name:
                assert page.source is source
                said = library.page_words(page)
        assert max(scores, key=scores.__getitem__) == name, scores
    words = " ".join(word.text for word in said.words)
    for wanted in ("flange bolts", "torque"):
        assert wanted in words.lower(), words


def test_a_sideways_scan_is_shown_upright(tmp_path):
    file = tmp_path / "side.png"
    Image.fromarray(np.rot90(np.array(scan()), 1)).save(file)
    with Library.open(tmp_path / "data", tmp_path / "index") as library:
        *_, last = Indexer(library, Limits()).add(LOCAL, [(file, file.name)], loaded("minilm"))
        (page,) = library.pages([LOCAL], loaded("minilm").encoder.fingerprint)
        assert (page.width, page.height) == (1_000, 700)
        assert "turned upright" in last.message
        shown = np.asarray(Image.open(io.BytesIO(library.picture(page))).convert("L"))
    drawn = np.asarray(scan("L").resize(shown.shape[::-1]))
    assert np.abs(shown.astype(int) - drawn).mean() < 8
