"""Files to begin with: good ones of every kind, the hostile ones, and those that earlier runs found."""

from __future__ import annotations

import hashlib
import tempfile
from functools import cache
from pathlib import Path

from PIL import Image
from reportlab.lib.pdfencrypt import StandardEncryption

from smart_demo.ingest import sandbox
from tests.fuzz import coverage
from tests.fuzz.attempt import NAME, attempt_file
from tests.ingest.cases import boxed_pdf, drawn_pdf, picture, text_pdf
from tests.ingest.hostile_files import ENDING, write_hostile_files

CORPUS = Path(__file__).with_name("corpus")
LARGEST = 120_000
"""Bytes of the largest seed: damage to a larger file mostly hits bytes that no reader parses."""

BOMBS = {"strokes.pdf", "flate-bomb.pdf", "image-bomb.pdf", *ENDING}
"""Files that take seconds each, as does everything derived from them."""


@cache
def make_seeds() -> tuple[bytes, ...]:
    """Return every file to begin with that is made: good and hostile ones, the same bytes every time."""
    return (*_good_pictures(), *_good_documents(), *_hostile())


def load_corpus() -> tuple[bytes, ...]:
    """Return the files that earlier runs found, ordered by name."""
    return tuple(path.read_bytes() for path in sorted(CORPUS.glob("*.bin")))


def _good_pictures() -> tuple[bytes, ...]:
    """Return one small picture of every kind that is read, with metadata as in real pictures."""
    image = Image.effect_noise((24, 16), 80).convert("RGB")
    frames = {"save_all": True, "append_images": [image.rotate(180)]}
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera"
    exif.get_ifd(0x8825)[1] = "N"
    metadata = {"exif": exif, "icc_profile": bytes(128), "dpi": (150, 150)}
    pictures = [picture(image, kind, **metadata) for kind in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF")]
    pictures += [picture(image, kind, **frames) for kind in ("PNG", "TIFF", "GIF", "WEBP", "MPO", "AVIF", "HEIC")]
    pictures += [picture(image, "HEIC", exif=exif), picture(image.convert("RGBA"), "HEIC", quality=-1)]
    pictures += [picture(image.convert("1"), "TIFF", dpi=(204, 98)), picture(image.convert("RGBA"), "AVIF")]
    pictures += [picture(image, "TIFF", compression=name) for name in ("tiff_lzw", "jpeg", "packbits", "tiff_deflate")]
    pictures += [picture(image.convert(mode), "TIFF") for mode in ("1", "L", "CMYK", "RGBA", "I;16", "F", "LAB")]
    pictures += [picture(image.convert(mode), "PNG") for mode in ("1", "LA", "P", "I;16", "RGBA")]
    pictures += [picture(image.convert(mode), "BMP") for mode in ("1", "P", "RGB", "RGBA")]
    pictures += [picture(image.convert("CMYK"), "JPEG"), picture(image, "JPEG", progressive=True)]
    pictures += [
        picture(image.convert("RGBA"), "WEBP", lossless=True),
        picture(image.convert("1"), "TIFF", compression="group4"),
    ]
    return tuple(pictures)


def _good_documents() -> tuple[bytes, ...]:
    drawing = b"1 0 0 RG 2 w 20 20 m 300 400 l S 0.5 g 100 100 200 200 re f BT /F1 12 Tf 50 700 Td (words) Tj ET"
    return (
        text_pdf("A page of words", "and another"),
        text_pdf("open", encrypt=StandardEncryption("", "owner", canPrint=0)),
        boxed_pdf(b"/MediaBox [0 0 300 400]/Rotate 90/CropBox [10 10 200 300]"),
        b"odd bytes\n" * 200 + text_pdf("a page after them") + bytes(3_000),
        boxed_pdf(b"/MediaBox [0 0 20 790]", b"/MediaBox [0 0 60 84]/UserUnit 10"),
        drawn_pdf(drawing, resources=b"/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Times>>>>>>"),
    )


def _hostile() -> tuple[bytes, ...]:
    with tempfile.TemporaryDirectory() as folder:
        files = write_hostile_files(Path(folder))
        contents = [path.read_bytes() for name, path in files.items() if name not in BOMBS]
    return tuple(content for content in contents if content and len(content) <= LARGEST)


# -- the corpus that `make test` replays: the fewest and smallest files that show every behaviour that was found

LARGEST_KEPT = 60_000
MOST_BYTES = 1_500_000
MOST_DOCUMENTS = 40
"""Each PDF starts a dozen programs, and `make test` replays all of them."""
SLOWEST = 1.0
"""Seconds that a stored file may take."""


def choose_corpus(found: Path) -> str:
    """Choose the corpus again from itself and `found`; return a sentence with the results."""
    sandbox.PROGRAM = coverage.PROGRAM
    behaviours: dict[bytes, set[str]] = {}
    with tempfile.TemporaryDirectory(prefix="smart-keep-") as folder:
        path = Path(folder, NAME)
        Path(folder, "tmp").mkdir()
        tempfile.tempdir = str(Path(folder, "tmp"))
        for source in sorted([*CORPUS.glob("*.bin"), *found.glob("*.bin")]):
            content = source.read_bytes()
            path.write_bytes(content)
            outcome = attempt_file(path)
            if len(content) <= LARGEST_KEPT and outcome.seconds < SLOWEST and not outcome.broken:
                behaviours[content] = {outcome.behaviour, *outcome.lines}
        tempfile.tempdir = None
    chosen = _cover(behaviours)
    CORPUS.mkdir(exist_ok=True)
    for old in CORPUS.glob("*.bin"):
        old.unlink()
    for content in chosen:
        (CORPUS / f"{hashlib.sha256(content).hexdigest()[:16]}.bin").write_bytes(content)
    return f"{len(chosen)} of {len(behaviours)} files kept, {sum(map(len, chosen)):,} bytes."


def _cover(behaviours: dict[bytes, set[str]]) -> list[bytes]:
    """Return the smallest files first, each with a behaviour that none before it has."""
    chosen, seen, size, documents = [], set(), 0, 0
    for content in sorted(behaviours, key=lambda content: (len(content), content)):
        document = b"%PDF-" in content[:1_024]
        fits = size + len(content) <= MOST_BYTES and documents + document <= MOST_DOCUMENTS
        if fits and behaviours[content] - seen:
            chosen.append(content)
            seen |= behaviours[content]
            size, documents = size + len(content), documents + document
    return chosen
