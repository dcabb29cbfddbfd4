"""The page files: token file, picture and thumbnail of each page. They are the library; every index is a copy of them.

    <data>/tokens/<scope>/<encoder>/<ab>/<page id>.safetensors    the page, which exists exactly if this file does
    <data>/tokens/<scope>/<encoder>/<ab>/<page id>.webp           its picture, at most 1,600 pixels long or 900 wide
    <data>/tokens/<scope>/<encoder>/<ab>/<page id>.thumb.webp     its thumbnail
    <data>/damaged/<scope>/<encoder>/<page id>.safetensors        token files that failed verification

`ab` are the first two digits of the page id. Files are written once and never changed, so the folder may be a mounted
bucket. Renaming the token file commits a page, and unlinking it deletes the page; the next start deletes all leftovers.
Pictures are lossy WebP copies for people to look at: no backbone reads them.

A page may be committed before its pictures are drawn: then its token file has no digests of them, and is replaced by
one that has once they are.

A page that is read again replaces the one before. Its pictures wait as `*.next` until its token file is renamed; after
a kill the next start puts them in their place, or deletes them if the old token file is still there.

`<encoder>` may be a former fingerprint of a model. Its pages are listed under the fingerprint of today, and their files
stay as they are: nothing is written at a start, and an older version of this program still reads all of them. A page
that is stored again goes to the folder of today, and the file in the former folder is deleted.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import zip_longest
from pathlib import Path

from smart_demo.errors import LibraryError, TokenFileDamaged
from smart_demo.page_text import PageWords
from smart_demo.store import atomic_files, token_file
from smart_demo.store.prepared_page import PreparedPage
from smart_demo.store.snapshot import Snapshot
from smart_demo.store.token_file import StoredKey, TokenFileBody, TokenFileHeader, stored_key
from smart_demo.types import Floats, PageId, Scope, StoredPage, TokenSpace

TOKENS_SUFFIX = ".safetensors"
PICTURE_SUFFIX = ".webp"
THUMBNAIL_SUFFIX = ".thumb.webp"
NEXT_SUFFIX = ".next"
"""Added to the suffix of a picture that waits for its token file."""
_PICTURE_SUFFIXES = (PICTURE_SUFFIX, THUMBNAIL_SUFFIX)
_ALL_SUFFIXES = (*_PICTURE_SUFFIXES, *(suffix + NEXT_SUFFIX for suffix in _PICTURE_SUFFIXES))
FindSnapshot = Callable[[Scope, str], Snapshot | None]
"""Returns the snapshot of a scope under an encoder, if there is one."""


@dataclass
class ScanResult:
    """The pages found in the folder, and what was wrong with the rest."""

    headers: list[TokenFileHeader] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    """One sentence per token file that was quarantined or could not be read."""
    deleted_leftovers: int = 0
    """Number of files of killed writes that were deleted."""
    unread: list[StoredPage] = field(default_factory=list)
    """Pages whose headers came from a snapshot and were not read."""


@dataclass(frozen=True, slots=True)
class LibraryReport:
    """The state of a library, for `doctor`."""

    pages: int
    damaged: tuple[str, ...]
    """One sentence per token file that was quarantined since the library was opened."""
    deleted_leftovers: int
    """Number of files of killed writes that were deleted when the library was opened."""
    index: str
    """`ok`, `rebuilt: why` or `unhealthy: why`; in the background also `opening` and `catching up: how far`."""


class PageFiles:
    """The page files under one data folder. One writer at a time; any number of readers."""

    def __init__(self, data_dir: Path, former: Mapping[str, str] | None = None) -> None:
        """`former`: former fingerprint -> fingerprint of the same encoder today."""
        self.data_dir = data_dir
        self._former = former or {}
        self._homes: dict[StoredKey, str] = {}
        """Folder of each page that is stored under a former fingerprint of its encoder."""
        self._former_folders: dict[str, set[str]] = {}
        """Folders of former fingerprints that the scan found, by the fingerprint of today."""
        self._tokens = data_dir / "tokens"
        self._damaged = data_dir / "damaged"
        atomic_files.make_folder(self._tokens)

    def path(self, page: StoredPage) -> Path:
        """Return the path of a page's token file."""
        return self._path_in(self._homes.get(stored_key(page), page.encoder) if self._homes else page.encoder, page)

    def scan(self, before: float = math.inf, find_snapshot: FindSnapshot = lambda *_: None) -> ScanResult:
        """Read the header of every token file, quarantine damaged files and delete leftovers of killed writes.

        before: Unix time. Folders, and files modified later, may belong to another process that is writing and are
        left as they are. A header is taken from a snapshot if the page's files have the name, sizes and time in it.
        """
        result = ScanResult()
        find_once = cache(find_snapshot)  # the vectors of a snapshot belong to the headers of one reading
        with atomic_files.storage_errors("read the library"):
            folders = sorted(_subfolders(self._tokens, depth=2))
            for encoder in sorted(folders, key=lambda folder: folder.name in self._former):
                snapshot = self._snapshot_for(encoder, find_once)
                for folder in sorted(_subfolders(encoder, depth=1)):
                    self._scan_folder(folder, result, before, snapshot)
            if before < math.inf:
                return result
            for depth in (2, 1):  # killed between making a folder and its first page
                for folder in list(_subfolders(self._tokens, depth)):
                    self._delete_empty_parents(folder)
        return result

    def commit(self, prepared: PreparedPage) -> TokenFileHeader:
        """Write a prepared page: pictures first if there are any, then the token file, whose rename is the commit.

        Raises StorageFull if space is short, LibraryError for other refusals of the disk; the page then does not exist.
        """
        page = prepared.page
        self._homes.pop(stored_key(page), None)
        path = self.path(page)
        try:
            with atomic_files.storage_errors(f"keep page {page.number} of {page.document}"):
                atomic_files.make_folder(path.parent)
                atomic_files.check_space(path.parent, page.bytes)
                for suffix, data in zip(_PICTURE_SUFFIXES, prepared.pictures or (), strict=False):
                    atomic_files.write_file(path.with_suffix(suffix), data)
                atomic_files.write_file(path, prepared.tokens)
                header, _ = token_file.read_header(path)
        except LibraryError:
            with suppress(LibraryError):
                self.delete([page])
            raise
        return replace(header, page=page)

    def replace(self, page: StoredPage, prepared: PreparedPage) -> TokenFileHeader:
        """Write a drawn page in place of a stored one, which exists until the rename of the new token file.

        Raises as `commit`; the stored page then is as it was.
        """
        old, path = self.path(page), self._path_in(page.encoder, page)
        waiting = [path.with_suffix(suffix + NEXT_SUFFIX) for suffix in _PICTURE_SUFFIXES]
        with atomic_files.storage_errors(f"keep page {page.number} of {page.document}"):
            try:
                atomic_files.make_folder(path.parent)
                atomic_files.check_space(path.parent, prepared.page.bytes)
                for next_path, data in zip(waiting, prepared.pictures or (), strict=True):
                    atomic_files.write_file(next_path, data)
                atomic_files.write_file(path, prepared.tokens)
            except (OSError, LibraryError):
                if not _holds(path, prepared.tokens):  # else only the folder could not be synced: the page is replaced
                    with suppress(OSError):
                        atomic_files.delete_files(waiting)
                    raise
            self._homes.pop(stored_key(page), None)
            with suppress(OSError):  # what is left is done by the next start
                _move_waiting_pictures(path)
                if old != path:
                    atomic_files.delete_files([old])
                    atomic_files.delete_files(old.with_suffix(suffix) for suffix in _PICTURE_SUFFIXES)
            header, _ = token_file.read_header(path)
        if old != path:
            self._delete_empty_parents(old.parent)
        return replace(header, page=prepared.page)

    def delete(self, pages: Iterable[StoredPage]) -> None:
        """Delete pages: the token files first, each of which commits a deletion, then the pictures."""
        paths = [path for page in pages for path in self._all_paths(page)]
        with atomic_files.storage_errors("delete the document"):
            atomic_files.delete_files(paths)
            atomic_files.delete_files(path.with_suffix(suffix) for path in paths for suffix in _ALL_SUFFIXES)
        for folder in {path.parent for path in paths}:
            self._delete_empty_parents(folder)

    def delete_damaged(self, scope: Scope, file: str) -> None:
        """Delete the quarantined token files of one document."""
        with atomic_files.storage_errors("delete the document"):
            atomic_files.delete_files(self._damaged.glob(f"{scope}/*/{file}-*"))
            atomic_files.delete_empty_folders(self._damaged / str(scope))

    def delete_old_damaged(self, scope: Scope, before: float) -> int:
        """Delete the quarantined files of a scope that are older than a Unix time. Return how many."""
        with atomic_files.storage_errors("delete damaged files"):
            return atomic_files.delete_older_files(self._damaged / str(scope), before)

    def delete_scope(self, scope: Scope) -> int:
        """Delete every file of a scope, listed or not, and return the bytes freed."""
        with atomic_files.storage_errors("delete the library"):
            return sum(atomic_files.delete_tree(folder / str(scope)) for folder in (self._tokens, self._damaged))

    def damaged_scopes(self) -> list[Scope]:
        """Return the scopes that have quarantined files."""
        found = []
        with suppress(OSError):
            for path in self._damaged.iterdir():
                with suppress(ValueError):  # not a folder of this program
                    found.append(Scope(path.name))
        return found

    def quarantine(self, path: Path) -> None:
        """Move a damaged token file to `damaged`, for later inspection, and delete its pictures."""
        target = self._damaged / path.relative_to(self._tokens).parent.parent
        with atomic_files.storage_errors("move a damaged token file"):
            atomic_files.make_folder(target)
            os.rename(path, _unused_path(target / path.name))
            atomic_files.delete_files(path.with_suffix(suffix) for suffix in _ALL_SUFFIXES)

    def header(self, page: StoredPage) -> tuple[TokenFileHeader, Floats]:
        """Return a page's header, whose size excludes its pictures, and its pooled vector (P,). Errors as `pooled`."""
        header, pooled = token_file.read_header(self.path(page))
        return self._renamed(header), pooled

    def pooled(self, page: StoredPage) -> Floats:
        """Return a page's verified pooled vector (P,).

        Raises TokenFileDamaged, or FileNotFoundError if the page was deleted.
        """
        return token_file.read_header(self.path(page))[1]

    def body(self, header: TokenFileHeader, space: TokenSpace = TokenSpace.RAW, *, verified: bool) -> TokenFileBody:
        """Return the mapped token states of a space, which the encoder must give.

        Raises TokenFileDamaged, or FileNotFoundError if the page was deleted.
        """
        return token_file.read_body(self.path(header.page), header, verified=verified, space=space)

    def words(self, header: TokenFileHeader, *, verified: bool) -> PageWords | None:
        """Return a page's words; None if its file, of an earlier version, has none. Errors as `body`."""
        return token_file.read_words(self.path(header.page), header, verified=verified)

    def has_pictures(self, header: TokenFileHeader) -> bool:
        """Return whether a page's pictures were drawn. Files of earlier versions have no digests of theirs."""
        return bool(header.picture_digests) or self.path(header.page).with_suffix(PICTURE_SUFFIX).exists()

    def picture(self, header: TokenFileHeader) -> bytes:
        """Return a page's verified picture as WebP. Errors as `pooled`."""
        return self._read_picture(header, PICTURE_SUFFIX)

    def thumbnail(self, header: TokenFileHeader) -> bytes:
        """Return a page's verified thumbnail as WebP. Errors as `pooled`."""
        return self._read_picture(header, THUMBNAIL_SUFFIX)

    def _read_picture(self, header: TokenFileHeader, suffix: str) -> bytes:
        path = self.path(header.page)
        data = atomic_files.read_file(path.with_suffix(suffix))
        digests = header.picture_digests  # empty in files of earlier versions
        if not digests or digests[_PICTURE_SUFFIXES.index(suffix)] == token_file.digest(data):
            return data
        with suppress(FileNotFoundError):  # the page was replaced and its pictures could not be moved yet
            data = atomic_files.read_file(path.with_suffix(suffix + NEXT_SUFFIX))
            if digests[_PICTURE_SUFFIXES.index(suffix)] == token_file.digest(data):
                return data
        token_file.raise_damaged(path, "has an altered picture beside it")

    def _path_in(self, folder: str, page: StoredPage) -> Path:
        name = str(page.id)
        return self._tokens / str(page.scope) / folder / name[:2] / (name + TOKENS_SUFFIX)

    def _all_paths(self, page: StoredPage) -> list[Path]:
        """Return the path of a page's token file, and those that a copy under a former fingerprint would have."""
        others = (self._path_in(folder, page) for folder in self._former_folders.get(page.encoder, ()))
        return list(dict.fromkeys([self.path(page), *others]))

    def _renamed(self, header: TokenFileHeader) -> TokenFileHeader:
        """Return a header under the fingerprint of today."""
        encoder = self._former.get(header.page.encoder)
        return header if encoder is None else replace(header, page=replace(header.page, encoder=encoder))

    def _snapshot_for(self, folder: Path, find_snapshot: FindSnapshot) -> Snapshot | None:
        """Return the snapshot for the folder of a scope and encoder; None if the folder is not one of this program."""
        try:
            return find_snapshot(Scope(folder.parent.name), self._former.get(folder.name, folder.name))
        except ValueError:
            return None

    def _adopt(self, path: Path) -> bool:
        """Record the folder of a page that is stored under a former fingerprint.

        Returns False if the page is stored again elsewhere, so that this file is a leftover.
        """
        folder = path.parent.parent
        encoder = self._former[folder.name]
        self._former_folders.setdefault(encoder, set()).add(folder.name)
        try:
            key = (Scope(folder.parent.name), encoder, PageId.parse(path.stem))
        except ValueError:  # not a file of this program: reading it says so
            return True
        again = folder.with_name(encoder) / path.parent.name / path.name
        if os.path.lexists(again) or self._homes.get(key, folder.name) != folder.name:
            return False
        self._homes[key] = folder.name
        return True

    def _scan_folder(self, folder: Path, result: ScanResult, before: float, snapshot: Snapshot | None) -> None:
        entries = {entry.name: entry.stat(follow_symlinks=False) for entry in os.scandir(folder)}
        for name in [name for name in entries if name.endswith(NEXT_SUFFIX) and entries[name].st_mtime < before]:
            with suppress(LibraryError, OSError):
                _move_waiting_pictures(folder / (name.partition(".")[0] + TOKENS_SUFFIX))
                result.deleted_leftovers += 1
            entries = {entry.name: entry.stat(follow_symlinks=False) for entry in os.scandir(folder)}
        sizes = {name: info.st_size for name, info in entries.items()}
        former = folder.parent.name in self._former
        for name in sorted(entries):
            path, old = folder / name, entries[name].st_mtime < before
            stem = name.partition(".")[0]
            if name == stem + TOKENS_SUFFIX:
                if former and not self._adopt(path):
                    if old:
                        self._delete_leftovers([path, *map(path.with_suffix, _PICTURE_SUFFIXES)], result)
                    continue
                picture_bytes = sizes.get(stem + PICTURE_SUFFIX, 0) + sizes.get(stem + THUMBNAIL_SUFFIX, 0)
                if snapshot is None or not _add_from_snapshot(path, entries[name], picture_bytes, snapshot, result):
                    self._scan_file(path, picture_bytes, result, old=old)
            elif old and (
                name.endswith(atomic_files.TEMPORARY_SUFFIX)
                or (name in {stem + PICTURE_SUFFIX, stem + THUMBNAIL_SUFFIX} and stem + TOKENS_SUFFIX not in sizes)
            ):
                self._delete_leftovers([path], result)
        if before == math.inf:
            self._delete_empty_parents(folder)

    def _delete_leftovers(self, paths: Iterable[Path], result: ScanResult) -> None:
        with suppress(OSError):
            atomic_files.delete_files(paths)
            result.deleted_leftovers += 1

    def _scan_file(self, path: Path, picture_bytes: int, result: ScanResult, *, old: bool) -> None:
        try:
            with atomic_files.storage_errors(f"read {path.name}"):
                header, _ = token_file.read_header(path)
                if self._path_in(header.page.encoder, header.page) != path:
                    token_file.raise_damaged(path, "belongs to another page")
            header = self._renamed(header)
            page = replace(header.page, bytes=header.page.bytes + picture_bytes)
            result.headers.append(replace(header, page=page))
        except TokenFileDamaged as error:
            result.damaged.append(error.sentence)
            with suppress(LibraryError):  # if it cannot be moved, it is at least not listed
                if old:
                    self.quarantine(path)
        except LibraryError as error:  # one unreadable file must not hide the others
            result.damaged.append(error.sentence)

    def _delete_empty_parents(self, folder: Path) -> None:
        """Delete a folder and its parents below `tokens` as far as they are empty."""
        with suppress(OSError):  # not empty, or not ours: leaving it does no harm
            while folder != self._tokens:
                folder.rmdir()
                folder = folder.parent


def _move_waiting_pictures(path: Path) -> None:
    """Put the waiting pictures of a token file in their place if they are its own, else delete them."""
    try:
        digests = token_file.read_header(path)[0].picture_digests
    except (TokenFileDamaged, FileNotFoundError):
        digests = ()
    for suffix, digest in zip_longest(_PICTURE_SUFFIXES, digests):
        waiting = path.with_suffix(suffix + NEXT_SUFFIX)
        with suppress(FileNotFoundError):
            if token_file.digest(atomic_files.read_file(waiting)) == digest:
                os.replace(waiting, path.with_suffix(suffix))
            else:
                atomic_files.delete_files([waiting])
    atomic_files.sync_folder(path.parent)


def _holds(path: Path, content: bytes) -> bool:
    """Return whether a file can be read and has this content."""
    try:
        return atomic_files.read_file(path) == content
    except (OSError, TokenFileDamaged):
        return False


def _add_from_snapshot(
    path: Path, info: os.stat_result, picture_bytes: int, snapshot: Snapshot, result: ScanResult
) -> bool:
    """Add the header of a token file to the result, and return True, if the snapshot has it and its files match."""
    plain = stat.S_ISREG(info.st_mode) and path.parent.name == path.stem[:2]
    header = snapshot.header(path.stem, info.st_size, info.st_mtime_ns, picture_bytes) if plain else None
    if header is not None:
        result.headers.append(header)
        result.unread.append(header.page)
    return header is not None


def _subfolders(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the folders `depth` levels below a folder. Links do not count as folders."""
    if depth == 0:
        yield folder
        return
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _subfolders(folder / entry.name, depth - 1)


def _unused_path(path: Path) -> Path:
    """Return the path, or the path with the first free number, so that no earlier file is overwritten."""
    return next(candidate for candidate in _numbered(path) if not os.path.lexists(candidate))


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    number = 1
    while True:
        yield path.with_name(f"{path.name}.{number}")
        number += 1
