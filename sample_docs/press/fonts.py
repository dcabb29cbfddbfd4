"""Typefaces of the sample documents, all under the SIL Open Font License, loaded from their Python packages."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from reportlab.lib.fonts import addMapping
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

FILES = {
    "Manrope": ("font_manrope", "Manrope-Regular.ttf"),
    "Manrope-Medium": ("font_manrope", "Manrope-Medium.ttf"),
    "Manrope-Bold": ("font_manrope", "Manrope-Bold.ttf"),
    "Manrope-Heavy": ("font_manrope", "Manrope-ExtraBold.ttf"),
    "Lato": ("font_lato", "Lato-Regular.ttf"),
    "Lato-Bold": ("font_lato", "Lato-Bold.ttf"),
    "Lato-Italic": ("font_lato", "Lato-Italic.ttf"),
    "Lato-Light": ("font_lato", "Lato-Light.ttf"),
    "Lato-Black": ("font_lato", "Lato-Black.ttf"),
    "Serif": ("font_source_serif_pro", "SourceSerifPro-Regular.ttf"),
    "Serif-Bold": ("font_source_serif_pro", "SourceSerifPro-Bold.ttf"),
    "Serif-Italic": ("font_source_serif_pro", "SourceSerifPro-It.ttf"),
    "Serif-Light": ("font_source_serif_pro", "SourceSerifPro-Light.ttf"),
    "Fjalla": ("font_fjallaone", "FjallaOne-Regular.ttf"),
    "Amatic": ("font_amatic_sc", "AmaticSC-Bold.ttf"),
    "Hand": ("font_intuitive", "Intuitive.ttf"),
}
FAMILIES = {
    "Manrope": ("Manrope", "Manrope-Bold", "Manrope-Medium"),
    "Lato": ("Lato", "Lato-Bold", "Lato-Italic"),
    "Serif": ("Serif", "Serif-Bold", "Serif-Italic"),
}
"""Maps a family to its regular, bold and italic face; Manrope has no italic, so its medium weight replaces it."""


def path(name: str) -> Path:
    """Return the path of a typeface's file.

    Raises RuntimeError with the install command if the typeface's package is missing.
    """
    package, file = FILES[name]
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"the typeface {name} is missing: pip install {package.replace('_', '-')}")
    return Path(spec.submodule_search_locations[0]) / "files" / file


@cache
def register() -> None:
    """Register every typeface with reportlab, once, so that `<b>` and `<i>` work within the families."""
    for name in FILES:
        pdfmetrics.registerFont(TTFont(name, str(path(name))))
    for family, (regular, bold, italic) in FAMILIES.items():
        for is_bold, is_italic, face in ((0, 0, regular), (1, 0, bold), (0, 1, italic), (1, 1, bold)):
            addMapping(family, is_bold, is_italic, face)
            addMapping(bold, is_bold, is_italic, bold)
