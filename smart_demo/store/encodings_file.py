r"""Encodings files: the token files of many pages in one file, so that another machine need not encode them.

    b"smart-demo encodings 1\n"
    seal       64 hex digits and a line break: the SHA-256 of all that follows
    length     8 bytes, little endian: bytes of the list
    list       JSON: {"encoder": fingerprint, "name": "minilm", "codec": "int8", "pages": [["<page id>", bytes], ...]}
    the rest   the token files in the order of the list, as `store.token_file` writes them, without digests of pictures

Such a file may come from other people. The seal shows damage. Nothing in the file is run, every size is bounded, and
`check_encoded` compares every page with what the encoder in use would make.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, NoReturn, Self

import numpy as np

from smart_demo.errors import EncodingsRefused, TokenFileDamaged
from smart_demo.page_text import WordSource
from smart_demo.store import atomic_files
from smart_demo.store.prepared_page import EncodedPage, prepare_encoded, read_encoded_page
from smart_demo.store.token_file import TokenFileBody
from smart_demo.types import SAMPLES, Encoder, Floats, PageId, TokenGrid, TokenKind

SUFFIX = ".encodings"
MAX_FILE_BYTES = 4 * 2**30
MAX_PAGE_BYTES = 2**29
MAX_LIST_BYTES = 2**20
MAX_SIDE = 65_535
"""Pixels of a page's side."""
MAX_NORM_ERROR = 0.5
"""Distance of a state's length from 1 beyond which no codec of `store.token_file` explains it."""
_MAGIC = b"smart-demo encodings 1\n"
_SEAL = slice(len(_MAGIC), len(_MAGIC) + 64)
_LENGTH = slice(_SEAL.stop + 1, _SEAL.stop + 9)


class PagePlace(NamedTuple):
    """Where a page's token file is in an encodings file, in bytes."""

    start: int
    size: int


@dataclass(frozen=True)
class EncodingsFile:
    """An encodings file whose list of pages was read. `verify` checks its seal."""

    path: Path
    encoder: str
    """Fingerprint of the encoder that made the pages."""
    name: str
    """Display name of that encoder."""
    codec: str
    pages: Mapping[PageId, PagePlace]

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the list of an encodings file. Raises EncodingsRefused if it is missing, or not such a file."""
        try:
            with open(path, "rb", opener=lambda opened, flags: os.open(opened, flags | os.O_NONBLOCK)) as file:
                info = os.fstat(file.fileno())
                if not stat.S_ISREG(info.st_mode) or info.st_size > MAX_FILE_BYTES:
                    _refuse(path, "is no file, or too large")
                head = file.read(_LENGTH.stop)
                length = int.from_bytes(head[_LENGTH], "little")
                if head[: _SEAL.start] != _MAGIC or len(head) < _LENGTH.stop or not 2 <= length <= MAX_LIST_BYTES:
                    _refuse(path, "is not a file of encodings")
                listed = json.loads(file.read(length))
        except (ValueError, RecursionError):
            _refuse(path, "is damaged")
        except OSError as error:
            _refuse(path, f"cannot be read ({(error.strerror or str(error)).lower()})")
        return cls(path, *_read_list(path, listed, _LENGTH.stop + length, info.st_size))

    def verify(self) -> None:
        """Check the seal over the whole file. Raises EncodingsRefused if any byte of it was altered."""
        try:
            with self.path.open("rb") as file:
                head = file.read(_LENGTH.start)
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            _refuse(self.path, f"cannot be read ({(error.strerror or str(error)).lower()})")
        if head[_SEAL] != found.encode():
            _refuse(self.path, "is damaged: its seal does not fit")

    def read(self, page: PageId, encoder: Encoder) -> EncodedPage:
        """Return one page of the list. Raises EncodingsRefused if it is not what this encoder would make of a page."""
        place = self.pages[page]
        with tempfile.TemporaryDirectory(prefix="smart-encodings-") as folder:
            path = Path(folder, f"{page}.safetensors")
            try:
                with self.path.open("rb") as file:
                    file.seek(place.start)
                    path.write_bytes(file.read(place.size))
                encoded = read_encoded_page(path)
            except TokenFileDamaged as error:
                raise EncodingsRefused(f"{self.path.name} is damaged. {error}") from None
            except OSError as error:
                _refuse(self.path, f"cannot be read ({(error.strerror or str(error)).lower()})")
        if fault := check_encoded(encoded, page, encoder):
            _refuse(self.path, f"is not valid: page {page} {fault}")
        return encoded


def write_encodings(path: Path, encoder: Encoder, codec: str, pages: Iterable[EncodedPage]) -> int:
    """Write an encodings file with pages of one encoder and codec; return its size in bytes.

    Equal pages give equal bytes: what differs between two encodings of one page, such as the time, is left out. Raises
    LibraryError if the disk refuses.
    """
    files = {}
    for encoded in sorted(pages, key=lambda one: str(one.page.id)):
        page = replace(encoded.page, scope=SAMPLES, document=str(encoded.page.id), added=0.0, seconds=0.0)
        files[str(page.id)] = prepare_encoded(encoded, page).tokens
    sizes = [[name, len(data)] for name, data in files.items()]
    listed = {"encoder": encoder.fingerprint, "name": encoder.name, "codec": codec, "pages": sizes}
    text = json.dumps(listed, separators=(",", ":")).encode()
    parts = [len(text).to_bytes(8, "little"), text, *files.values()]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    with atomic_files.storage_errors(f"write {path.name}"):
        atomic_files.write_file(path, _MAGIC, digest.hexdigest().encode(), b"\n", *parts)
        path.chmod(0o644)  # to be given to others
        return path.stat().st_size


def check_encoded(encoded: EncodedPage, page: PageId, encoder: Encoder) -> str:
    """Return what is wrong with a page for this encoder, as the end of a sentence; empty if nothing is."""
    stored = encoded.page
    if stored.id != page or stored.encoder != encoder.fingerprint or stored.scope != SAMPLES:
        return "is another page, or of another encoder"
    if not page.number <= stored.pages or not all(1 <= side <= MAX_SIDE for side in (stored.width, stored.height)):
        return "has impossible sizes"
    if encoded.words is None or not isinstance(stored.source, WordSource):
        return "has no words"
    if encoded.pooled.shape != (encoder.pooled_width,) or not _are_unit(encoded.pooled[None], 1e-3):
        return "has another pooled vector"
    if {space: body.codes.codes.shape[1] for space, body in encoded.bodies.items()} != encoder.widths:
        return "has other token states"
    return next(filter(None, map(_find_fault, encoded.bodies.values())), "")


def _find_fault(body: TokenFileBody) -> str:
    """Return what is wrong with the token states of one space, as the end of a sentence; empty if nothing is."""
    codes = body.codes
    error = 0.01 + math.sqrt(codes.codes.shape[1]) * abs(codes.scale) / 2  # the codec's, and that of 16-bit models
    if not math.isfinite(codes.scale) or not _are_unit(codes.states(), min(error, MAX_NORM_ERROR)):
        return "has impossible token states"
    if not np.isin(body.kinds, list(TokenKind)).all():
        return "has tokens of an unknown kind"
    place, tokens = body.place, len(body.kinds)
    if isinstance(place, TokenGrid) and not (
        place.start >= 0 and place.rows > 0 and place.cols > 0 and place.start + place.rows * place.cols <= tokens
    ):
        return "has an impossible grid"
    return ""


def _are_unit(rows: Floats, error: float) -> bool:
    """Return whether every row (n, D) has length 1, within an error. NaN and infinity do not."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool((np.abs(np.linalg.norm(rows, axis=1) - 1) <= error).all())


def _read_list(path: Path, listed: object, start: int, size: int) -> tuple[str, str, str, Mapping[PageId, PagePlace]]:
    """Return encoder, name, codec and pages of a parsed list; its pages must fill the file from `start` to its end."""
    if not isinstance(listed, dict):
        _refuse(path, "is damaged")
    encoder, name, codec, rows = (listed.get(key) for key in ("encoder", "name", "codec", "pages"))
    if not (isinstance(encoder, str) and isinstance(name, str) and isinstance(codec, str) and isinstance(rows, list)):
        _refuse(path, "is damaged")
    if not re.fullmatch(r"[0-9a-f]{16}", encoder) or not re.fullmatch(r"[\w./-]{1,255}", name):
        _refuse(path, "is damaged")
    places: dict[PageId, PagePlace] = {}
    try:
        for text, length in rows:
            page = PageId.parse(text)
            if page in places or type(length) is not int or not 0 < length <= MAX_PAGE_BYTES:
                _refuse(path, "is damaged")
            places[page] = PagePlace(start, length)
            start += length
    except (ValueError, TypeError, AttributeError):
        _refuse(path, "is damaged")
    if start != size:
        _refuse(path, "is cut off")
    return encoder, name, codec, places


def _refuse(path: Path, fault: str) -> NoReturn:
    """Raise EncodingsRefused; `fault` completes "<file> … "."""
    raise EncodingsRefused(f"{path.name} {fault}.")
