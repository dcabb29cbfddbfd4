"""Small real files for tests: PDFs with a text layer, pictures of words."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from reportlab.pdfgen.canvas import Canvas


def write_pdf(path: Path, *pages: str, size: tuple[float, float] = (420, 595)) -> Path:
    """A PDF with one page per text, its lines set from the top in a text layer."""
    canvas = Canvas(str(path), pagesize=size, invariant=1)
    for text in pages:
        canvas.setFont("Helvetica", 14)
        for row, line in enumerate(text.splitlines() or [""]):
            canvas.drawString(40, size[1] - 60 - 22 * row, line)
        canvas.showPage()
    canvas.save()
    return path


def write_picture(path: Path, text: str, size: tuple[int, int] = (900, 500)) -> Path:
    """A picture of words, large enough for OCR; the format is the suffix's."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).multiline_text((60, 60), text, fill="black", font=ImageFont.load_default(48))
    image.save(path)
    return path
