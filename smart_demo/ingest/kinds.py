"""What a file is, by its first bytes. Names and suffixes are not asked: people and attackers rename."""

from __future__ import annotations

PDF = "pdf"
PICTURE = "picture"
SUFFIXES = frozenset({".pdf", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif", ".bmp"})
"""What names may claim to be. Only a folder's listing asks."""
STARTS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",
    b"MM\0*",
    b"II+\0\x08\0\0\0",  # TIFF over 4 GB of address, which small files use too
    b"MM\0+\0\x08\0\0",
)


def kind_of(head: bytes) -> str:
    """`pdf`, `picture` or nothing, from the first 1,024 bytes of a file.

    >>> kind_of(b"junk before %PDF-1.7"), kind_of(b"GIF89a...."), kind_of(b"<svg>")
    ('pdf', 'picture', '')
    """
    riff = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    # Two letters begin many texts; the four reserved bytes of a bitmap's header are zero.
    bitmap = head[:2] == b"BM" and head[6:10] == b"\0\0\0\0"
    if head.startswith(STARTS) or riff or bitmap:
        return PICTURE
    return PDF if b"%PDF-" in head else ""
