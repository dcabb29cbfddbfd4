"""The copies of a page that people look at: WebP, lossy, small. No backbone ever reads them.

The folder of token files: the truth of the library.

    <data>/tokens/<scope>/<encoder>/<ab>/<page id>.safetensors    the page; it is there exactly when this file is
    <data>/tokens/<scope>/<encoder>/<ab>/<page id>.webp           its picture, at most 1,600 pixels long
    <data>/tokens/<scope>/<encoder>/<ab>/<page id>.thumb.webp     its thumbnail
    <data>/damaged/<scope>/<encoder>/<page id>.safetensors        token files that could not prove themselves

`ab` are the first two digits of the page id. Files are written once and never changed, so the folder may be a mounted
bucket. Renaming the token file commits a page, unlinking it removes the page; all else is swept up at the next start.
"""

from __future__ import annotations

import io
import math
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from smart_demo.errors import LibraryError, TokenFileDamaged
from smart_demo.store import atomic_files, token_file
from smart_demo.store.snapshot import Snapshot
from smart_demo.store.token_file import TokenFileBody, TokenFileHeader
from smart_demo.types import Floats, Page, PageEncoding, Pixels, Scope, StoredPage

LONG_SIDE = 1_600
THUMB_WIDTH = 360
_QUALITY = 80


class Pictures(NamedTuple):
    """A page's picture and its thumbnail, as WebP bytes."""

    picture: bytes
    thumbnail: bytes


def draw(pixels: Pixels) -> Pictures:
    """WebP copies: long side at most 1,600 pixels; thumbnail at most 360 wide. Never enlarged."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.BICUBIC)
    thumbnail = picture.copy()
    thumbnail.thumbnail((THUMB_WIDTH, LONG_SIDE), Image.Resampling.BOX)
    return Pictures(_webp(picture), _webp(thumbnail))


def _webp(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    # Method 2 of 6: half the time of the default for a few per cent more bytes.
    picture.save(stream, "WEBP", quality=_QUALITY, method=2)
    return stream.getvalue()


TOKENS = ".safetensors"
PICTURE = ".webp"
THUMBNAIL = ".thumb.webp"


@dataclass(frozen=True, eq=False)
class Prepared:
    """One page, ready to be written: everything slow that needs no disk is done."""

    page: StoredPage
    tokens: bytes
    pictures: Pictures


@dataclass
class Scan:
    """What was found when the folder was read through."""

    heads: list[TokenFileHeader] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    """A sentence for each token file that was set aside or could not be read."""
    swept: int = 0
    """Leftovers of killed writes that were removed."""
    unread: list[StoredPage] = field(default_factory=list)
    """Pages whose heads were taken from a snapshot."""


Remembered = Callable[[Scope, str], Snapshot | None]
"""What is remembered of a scope under an encoder."""


def prepare(scope: Scope, page: Page, encoding: PageEncoding, codec: str, seconds: float = 0.0) -> Prepared:
    """Encode the token states and draw the pictures of one page. ValueError where the two do not belong together.

    `seconds` is kept with the page: what it took so far, 0 where nobody measured.
    """
    if encoding.page != page.id or len(encoding.kinds) != len(encoding.tokens):
        raise ValueError(f"encoding of {encoding.page} with {len(encoding.kinds)} kinds does not fit page {page.id}")
    if encoding.pooled.ndim != 1 or not np.isfinite(encoding.pooled).all():
        raise ValueError(f"the pooled vector of page {page.id} must be finite, (P,), not {encoding.pooled.shape}")
    copies = draw(page.pixels)
    codes = token_file.encode(encoding.tokens, codec)
    stored = StoredPage(
        scope=scope,
        encoder=encoding.encoder,
        id=page.id,
        document=page.document,
        pages=page.pages,
        width=page.pixels.shape[1],
        height=page.pixels.shape[0],
        tokens=len(encoding.tokens),
        bytes=0,
        codec=codec,
        added=time.time(),
        seconds=seconds,
    )
    data = token_file.serialise(stored, encoding, codes, tuple(copies))
    size = len(data) + sum(map(len, copies))
    return Prepared(replace(stored, bytes=size), data, copies)


class Sidecar:
    """Token files and pictures under one data folder. One writer at a time; any number of readers."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._tokens = data_dir / "tokens"
        self._damaged = data_dir / "damaged"
        atomic_files.make_folder(self._tokens)

    def commit(self, prepared: Prepared) -> TokenFileHeader:
        """Write a prepared page: pictures, then the token file, whose rename is the commit.

        StorageFull where space is short, LibraryError for other refusals of the disk; the page is then not there.
        """
        page = prepared.page
        path = self.path(page)
        try:
            with atomic_files.storage_errors(f"keep page {page.number} of {page.document}"):
                atomic_files.make_folder(path.parent)
                atomic_files.check_space(path.parent, page.bytes)
                atomic_files.write_new(path.with_suffix(PICTURE), prepared.pictures.picture)
                atomic_files.write_new(path.with_suffix(THUMBNAIL), prepared.pictures.thumbnail)
                atomic_files.write_new(path, prepared.tokens)
                head, _ = token_file.read_head(path)
        except LibraryError:
            with suppress(LibraryError):
                self.remove([page])
            raise
        return replace(head, page=page)

    def remove(self, pages: Iterable[StoredPage]) -> None:
        """Unlink the token files (each one's commit), then everything else of these pages."""
        paths = [self.path(page) for page in pages]
        with atomic_files.storage_errors("remove the document"):
            atomic_files.unlink(paths)
            atomic_files.unlink(path.with_suffix(ending) for path in paths for ending in (PICTURE, THUMBNAIL))
        for folder in {path.parent for path in paths}:
            self._drop_empty(folder)

    def forget_damaged(self, scope: Scope, file: str) -> None:
        """Unlink what was set aside of one document: who deletes a document deletes all its bytes."""
        with atomic_files.storage_errors("remove the document"):
            atomic_files.unlink(self._damaged.glob(f"{scope}/*/{file}-*"))
            atomic_files.drop_empty(self._damaged / str(scope))

    def forget(self, scope: Scope) -> int:
        """Delete whatever is left under a scope's name, listed or not. Bytes freed."""
        with atomic_files.storage_errors("delete the library"):
            return sum(atomic_files.remove(folder / str(scope)) for folder in (self._tokens, self._damaged))

    def drop_damaged(self, scope: Scope, before: float) -> int:
        """Delete what was set aside of a scope and was written before a time in seconds. How many files."""
        with atomic_files.storage_errors("delete damaged files"):
            return atomic_files.remove_old(self._damaged / str(scope), before)

    def damaged_scopes(self) -> list[Scope]:
        """Scopes of which something is set aside."""
        found = []
        with suppress(OSError):
            for path in self._damaged.iterdir():
                with suppress(ValueError):  # somebody's own folder
                    found.append(Scope(path.name))
        return found

    def head(self, page: StoredPage) -> tuple[TokenFileHeader, Floats]:
        """What a page's token file says, without its pictures, and its pooled vector (P,). Errors as `pooled`."""
        return token_file.read_head(self.path(page))

    def pooled(self, page: StoredPage) -> Floats:
        """(P,) pooled vector, proven. TokenFileDamaged, or FileNotFoundError once the page was removed."""
        return token_file.read_head(self.path(page))[1]

    def body(self, head: TokenFileHeader, *, proven: bool) -> TokenFileBody:
        """Mapped token states. TokenFileDamaged, or FileNotFoundError once the page was removed."""
        return token_file.read_body(self.path(head.page), head, proven=proven)

    def picture(self, head: TokenFileHeader) -> bytes:
        """The page's picture as WebP, proven. TokenFileDamaged, or FileNotFoundError once the page was removed."""
        return self._proven(head, PICTURE)

    def thumbnail(self, head: TokenFileHeader) -> bytes:
        """The page's thumbnail as WebP, proven. TokenFileDamaged, or FileNotFoundError once the page was removed."""
        return self._proven(head, THUMBNAIL)

    def scan(self, before: float = math.inf, snapshots: Remembered = lambda *_: None) -> Scan:
        """Read every token file's head, set damaged ones aside, sweep what killed writes left.

        before: in seconds of the epoch. What was written later, or is a folder, may be another process's work at hand
        and is left where it is. A head that a snapshot knows is not read, where name, sizes and time of its files are
        those of the snapshot.
        """
        found = Scan()
        with atomic_files.storage_errors("read the library"):
            for encoder in sorted(_subfolders(self._tokens, depth=2)):
                snapshot = _snapshot_of(encoder, snapshots)
                for folder in sorted(_subfolders(encoder, depth=1)):
                    self._scan_folder(folder, found, before, snapshot)
            if before < math.inf:
                return found
            for depth in (2, 1):  # killed between making a folder and its first page
                for folder in list(_subfolders(self._tokens, depth)):
                    self._drop_empty(folder)
        return found

    def set_aside(self, page_file: Path) -> None:
        """Move a damaged token file out of the library, for whoever wants to look; its pictures go."""
        target = self._damaged / page_file.relative_to(self._tokens).parent.parent
        with atomic_files.storage_errors("set a damaged token file aside"):
            atomic_files.make_folder(target)
            os.rename(page_file, _unused(target / page_file.name))
            atomic_files.unlink(page_file.with_suffix(ending) for ending in (PICTURE, THUMBNAIL))

    def _proven(self, head: TokenFileHeader, ending: str) -> bytes:
        path = self.path(head.page)
        data = atomic_files.read_whole(path.with_suffix(ending))
        if head.pictures and head.pictures[(PICTURE, THUMBNAIL).index(ending)] != token_file.digest(data):
            token_file.damaged(path, "has an altered picture beside it")
        return data

    def _scan_folder(self, folder: Path, found: Scan, before: float, snapshot: Snapshot | None) -> None:
        entries = {entry.name: entry.stat(follow_symlinks=False) for entry in os.scandir(folder)}
        sizes = {name: facts.st_size for name, facts in entries.items()}
        for name in sorted(entries):
            path, old = folder / name, entries[name].st_mtime < before
            stem = name.partition(".")[0]
            if name == stem + TOKENS:
                pictured = sizes.get(stem + PICTURE, 0) + sizes.get(stem + THUMBNAIL, 0)
                if snapshot is None or not _remembered(folder, stem, entries[name], pictured, snapshot, found):
                    self._scan_file(path, pictured, found, old=old)
            elif old and (
                name.endswith(atomic_files.TEMPORARY)
                or (name in {stem + PICTURE, stem + THUMBNAIL} and stem + TOKENS not in sizes)
            ):
                with suppress(OSError):
                    atomic_files.unlink([path])
                    found.swept += 1
        if before == math.inf:
            self._drop_empty(folder)

    def _scan_file(self, path: Path, pictured: int, found: Scan, *, old: bool) -> None:
        try:
            with atomic_files.storage_errors(f"read {path.name}"):
                head, _ = token_file.read_head(path)
                if self.path(head.page) != path:
                    token_file.damaged(path, "lies in the place of another page")
            found.heads.append(replace(head, page=replace(head.page, bytes=head.page.bytes + pictured)))
        except TokenFileDamaged as error:
            found.damaged.append(error.sentence)
            with suppress(LibraryError):  # where nothing may be moved it is at least not listed
                if old:
                    self.set_aside(path)
        except LibraryError as error:  # a disk that cannot read one file must not close the others
            found.damaged.append(error.sentence)

    def path(self, page: StoredPage) -> Path:
        """Where the page's token file lies."""
        name = str(page.id)
        return self._tokens / str(page.scope) / page.encoder / name[:2] / (name + TOKENS)

    def _drop_empty(self, folder: Path) -> None:
        """Remove folders that hold nothing any more, up to `tokens`."""
        with suppress(OSError):  # not empty, or not ours to remove: it costs nothing
            while folder != self._tokens:
                folder.rmdir()
                folder = folder.parent


def _snapshot_of(folder: Path, snapshots: Remembered) -> Snapshot | None:
    """Of the scope and the encoder that a folder belongs to; None for somebody's own folder."""
    try:
        return snapshots(Scope(folder.parent.name), folder.name)
    except ValueError:
        return None


def _remembered(folder: Path, stem: str, facts: os.stat_result, pictured: int, snapshot: Snapshot, found: Scan) -> bool:
    """Whether the head of a token file is in the snapshot, and added to what was found."""
    plain = stat.S_ISREG(facts.st_mode) and folder.name == stem[:2]
    head = snapshot.head(stem, facts.st_size, facts.st_mtime_ns, pictured) if plain else None
    if head is not None:
        found.heads.append(head)
        found.unread.append(head.page)
    return head is not None


def _subfolders(folder: Path, depth: int) -> Iterator[Path]:
    """Folders so many levels down; links are no folders."""
    if depth == 0:
        yield folder
        return
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _subfolders(folder / entry.name, depth - 1)


def _unused(path: Path) -> Path:
    """The path itself, or with the first free number: what was set aside earlier is not overwritten."""
    return next(p for p in _numbered(path) if not os.path.lexists(p))


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    number = 1
    while True:
        yield path.with_name(f"{path.name}.{number}")
        number += 1
