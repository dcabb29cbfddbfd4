"""Limits on uploads: each one while it streams in, and the copies that wait in the upload folder until they are read.

Gradio limits the size of each file and nothing else: it takes 1,000 files a request without a limit of their sum, holds
fields without a file name in memory, and leaves what it has written of an interrupted upload on the disk. It keeps one
folder of copies for the whole process, so there is one tracker of them. If space is short, unclaimed copies are deleted
first, the oldest before the others; only then is an upload refused.
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gradio.context import LocalContext
from gradio.utils import get_upload_folder
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.formparsers import MultiPartException
from starlette.types import Message, Receive

from smart_demo.config import Settings
from smart_demo.errors import StorageFull
from smart_demo.judging.journal import max_journal_bytes
from smart_demo.server.request_limits import BodyDeadline, RequestRefused, drain
from smart_demo.server.visitors import client_id
from smart_demo.store import atomic_files
from smart_demo.wording import count, limit_in_words

MAX_WAITING_FILES = 2_000
"""Maximum number of files in the upload folder, of any size."""
MIN_UNCLAIMED_SECONDS = 60.0
"""Age from which an unclaimed copy may be deleted to make room for other uploads."""
MAX_UNCLAIMED_SECONDS = 600.0
"""Age from which every unclaimed file is deleted."""
MAX_MEASUREMENT_AGE = 1.0
"""Seconds for which a measurement of the folder is reused."""
HEADROOM_BYTES = 2**20
"""Space that must remain free in the folder. It covers what arrives between two checks."""
BYTES_BETWEEN_CHECKS = 2**20
"""Bytes of one upload after which the folder is checked again, since other uploads run at the same time."""
FULL = 503, "Too many uploads wait to be read; try again in a few minutes."
FULL_FOR_CLIENT = 429, "Your earlier uploads still wait to be read; add more when they are done."


class FolderUsage(NamedTuple):
    """The files of a folder and of all folders below it."""

    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class UploadFolderLimits:
    """The limits of the copies that wait in the upload folder."""

    folder: Path
    max_bytes: int
    """Maximum of all clients together."""
    per_client: FolderUsage | None = None
    """Maximum of each client, or None if the page has one owner."""


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """The limits of one upload, and of the folder in which its copies wait."""

    max_files: int
    max_file_bytes: int
    max_bytes: int
    waiting: UploadFolderLimits
    message: str
    """Sentence that states the limits of one upload."""


def max_upload_file_bytes(settings: Settings) -> int:
    """Return the bytes of one file up to which it is received, so that an error can name it; beyond, it is cut off."""
    return settings.limits.file_bytes * 4 if settings.uploads else 1_024


def upload_limits(settings: Settings) -> UploadLimits:
    """Return the limits of uploads under these settings, and create the folder of uploads if it is missing."""
    limits, folder = settings.limits, Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    # An evaluation to import may be larger than all documents together if their limits are small.
    max_bytes = max(limits.files * limits.file_bytes, max_journal_bytes(settings))
    size = limit_in_words(limits.file_bytes)
    folder_bytes = max_bytes + settings.quotas.waiting_files * limits.file_bytes
    per_client = FolderUsage(limits.files * 2, max(max_bytes, folder_bytes // 3)) if settings.public else None
    return UploadLimits(
        max_files=limits.files,
        max_file_bytes=max_upload_file_bytes(settings),
        max_bytes=max_bytes + 2**16,  # what frames the files in a form
        waiting=UploadFolderLimits(folder, folder_bytes, per_client),
        message=f"At most {count(limits.files, 'file')} of {size} can be uploaded at once; add them in smaller parts.",
    )


@dataclass(slots=True)
class _Copy:
    path: Path
    client: str
    arrived: float
    name: str
    """The file's name on the client's disk."""


class UploadTracker:
    """The copies in the upload folder, with their clients and ages. Safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._copies: list[_Copy] = []
        """Copies in order of arrival, including those that were moved or read since the last measurement."""
        self._claimed: set[Path] = set()
        """Copies that will be read, including those that were deleted since the last measurement."""
        self._measured: tuple[Path, float, FolderUsage, int] | None = None
        """Folder, time, usage, and `_written` at the last measurement."""
        self._written = 0

    def add_copies(self, client: str, paths: Sequence[Path], names: Sequence[str] = ()) -> None:
        """Record copies that Gradio has written for a client, with the names of the files if it sent one for each."""
        with self._lock:
            named = names if len(names) == len(paths) else [""] * len(paths)
            self._copies += [
                _Copy(path, client, self._clock(), name or path.name) for path, name in zip(paths, named, strict=True)
            ]

    def original_name(self, path: Path) -> str:
        """Return the name of the file that a copy was made of: Gradio rewrites names that some system reserves.

        Clients share the copy of a file of one content and one rewritten name. In a request that Gradio handles, only
        the name that its own client gave counts.
        """
        client = _current_client()
        with self._lock:
            own = (copy.name for copy in reversed(self._copies) if copy.path == path and client in {None, copy.client})
            return next(own, path.name)

    def claim(self, path: Path) -> None:
        """Keep a copy: the caller reads it and deletes it then."""
        with self._lock:
            self._claimed.add(path)

    def count_bytes(self, size: int) -> None:
        """Count bytes that are being written since the last measurement."""
        self._written += size

    async def ensure_room(self, limits: UploadFolderLimits, client: str, incoming: int = 0) -> None:
        """Ensure that the folder may take more, deleting old unclaimed copies if needed.

        `incoming`: bytes of the client that are already on their way. Raises RequestRefused if a limit is met, of the
        client or of all.
        """
        refusal = await asyncio.to_thread(self._ensure_room, limits, client, incoming)
        if refusal is not None:
            raise RequestRefused(*refusal)

    def delete_unclaimed(self, folder: Path) -> int:
        """Delete the files of the folder that were not claimed for MAX_UNCLAIMED_SECONDS; return the bytes freed.

        Age counts from a file's last change. This includes parts of interrupted uploads, empty files and the folders
        that become empty. `folder` itself stays.
        """
        now, freed = time.time(), 0
        for path, info in sorted(_walk(folder), key=lambda entry: len(entry[0].parts), reverse=True):
            # A copy keeps the modification time of its original.
            if now - max(info.st_mtime, info.st_ctime) > MAX_UNCLAIMED_SECONDS:
                with self._lock, suppress(OSError):
                    if stat.S_ISDIR(info.st_mode):
                        path.rmdir()  # which the system refuses if it is not empty
                    elif path not in self._claimed:
                        path.unlink()
                        freed += info.st_size
        return freed

    def _ensure_room(self, limits: UploadFolderLimits, client: str, incoming: int) -> tuple[int, str] | None:
        with self._lock:
            refusal = self._check(limits, client, incoming)
            if refusal is FULL:
                self._measured = None  # many bytes since then may belong to refused uploads that are deleted
                refusal = self._check(limits, client, incoming)
            for copy in list(self._copies):
                if refusal is None:
                    break
                if (
                    self._clock() - copy.arrived >= MIN_UNCLAIMED_SECONDS
                    and copy.path not in self._claimed
                    and (refusal is FULL or copy.client == client)
                ):
                    self._delete(copy)
                    refusal = self._check(limits, client, incoming)
            return refusal

    def _check(self, limits: UploadFolderLimits, client: str, incoming: int) -> tuple[int, str] | None:
        """Return status and message of the limit that is met, or None."""
        used = self._measure(limits.folder)
        if used.files >= MAX_WAITING_FILES or used.bytes + HEADROOM_BYTES > limits.max_bytes:
            return FULL
        if limits.per_client is not None:
            own = _measure_files(copy.path for copy in self._copies if copy.client == client)
            most = limits.per_client
            if own.files >= most.files or own.bytes + incoming + HEADROOM_BYTES > most.bytes:
                return FULL_FOR_CLIENT
        return None

    def _measure(self, folder: Path) -> FolderUsage:
        """Return the usage of the folder: the last measurement plus the bytes written since."""
        now = self._clock()
        if self._measured is None or self._measured[0] != folder or now - self._measured[1] >= MAX_MEASUREMENT_AGE:
            self._copies = [c for c in self._copies if now - c.arrived < MIN_UNCLAIMED_SECONDS or c.path.exists()]
            self._claimed = {path for path in self._claimed if path.exists()}
            written = self._written
            self._measured = folder, now, measure_folder(folder), written
        _, _, usage, written = self._measured
        return FolderUsage(usage.files, usage.bytes + self._written - written)

    def _delete(self, copy: _Copy) -> None:
        self._copies.remove(copy)
        self._measured = None
        with suppress(OSError):
            copy.path.unlink()
            copy.path.parent.rmdir()  # which the system refuses if it is not empty


UPLOAD_TRACKER = UploadTracker()


def _current_client() -> str | None:
    """Return the id of the client whose request Gradio handles in this thread; None outside of requests."""
    request = LocalContext.request.get(None)
    return client_id(request.request.scope) if request is not None and request.request is not None else None


def decode_file_name(name: bytes) -> str:
    """Return the file name of a part of a form. Browsers escape three characters of it (WHATWG, HTML, 4.10.21.8).

    They leave the per cent sign as it is, so a name that really holds `%22` cannot be told from an escaped one, and is
    read as if it held the character.

    >>> decode_file_name(b"100%25 %22quoted%22.pdf")
    '100%25 "quoted".pdf'
    """
    try:
        text = name.decode()
    except UnicodeDecodeError:
        text = name.decode("latin-1")
    for escaped, character in (("%22", '"'), ("%0D", "\r"), ("%0A", "\n")):
        text = text.replace(escaped, character)
    return text


def measure_folder(folder: Path) -> FolderUsage:
    """Return the number and size of the files below a folder; zero if it does not exist."""
    sizes = [info.st_size for _, info in _walk(folder) if not stat.S_ISDIR(info.st_mode)]
    return FolderUsage(len(sizes), sum(sizes))


def _measure_files(paths: Iterable[Path]) -> FolderUsage:
    """Return count and size of those files that exist, each once."""
    sizes = []
    for path in set(paths):
        with suppress(OSError):
            sizes.append(path.stat(follow_symlinks=False).st_size)
    return FolderUsage(len(sizes), sum(sizes))


def _walk(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield every file and folder below a folder with its status.

    Links are not followed. Entries that vanish while other threads delete are skipped.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                info = entry.stat(follow_symlinks=False)
                yield Path(entry.path), info
                if stat.S_ISDIR(info.st_mode):
                    yield from _walk(Path(entry.path))


class UploadStream:
    """An upload while it streams in: pass `receive` to the app, and read afterwards in `refused` if it was cut off.

    It is cut off with the exception that Gradio's parser itself raises; then Gradio deletes what it has written.
    """

    def __init__(self, receive: Receive, content_type: bytes, limits: UploadLimits, client: str = "") -> None:
        """`client` matters if the limits of the folder are per client. Raises RequestRefused if it is not a form."""
        self._receive, self._limits, self._client = receive, limits, client
        self._deadline = BodyDeadline()
        kind, options = parse_options_header(content_type)  # as Gradio reads it, so that both see the same parts
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise RequestRefused(400, "An upload is a form with files.")
        callbacks = {
            "on_part_begin": self._on_part_begin,
            "on_part_data": self._on_part_data,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_end": self._on_end,
        }
        self._parser = MultipartParser(options[b"boundary"], callbacks)  # type: ignore[arg-type]
        self.refused: RequestRefused | None = None
        self.names: list[str] = []
        """Names of the files so far, as the client has them."""
        self._received = self._files = self._file_bytes = 0
        self._checked_at = -BYTES_BETWEEN_CHECKS
        self._header_name = self._header_value = self._disposition = b""
        self._form_complete = self._body_complete = False

    async def receive(self) -> Message:
        """Return the next piece of the upload, within the limits."""
        if self._body_complete:
            return await self._receive()  # how Gradio learns of a disconnect
        try:
            return await self._receive_piece()
        except RequestRefused as refused:
            self.refused = refused
            if not self._body_complete:
                await drain(self._receive)
            raise MultiPartException(refused.sentence) from refused

    async def _receive_piece(self) -> Message:
        if self._received - self._checked_at >= BYTES_BETWEEN_CHECKS:
            await self._check_room()
        message = await self._deadline.receive_piece(self._receive)
        self._body_complete = not message.get("more_body", False)
        data = message.get("body", b"")
        self._received += len(data)
        UPLOAD_TRACKER.count_bytes(len(data))
        if self._received > self._limits.max_bytes:
            raise RequestRefused(413, self._limits.message)
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise RequestRefused(400, "The upload is not a complete form.") from error
        if self._body_complete and not self._form_complete:
            raise RequestRefused(400, "The upload was interrupted.")
        return message

    async def _check_room(self) -> None:
        """Raise RequestRefused if the folder or the disk is full."""
        self._checked_at = self._received
        await UPLOAD_TRACKER.ensure_room(self._limits.waiting, self._client, self._received)
        try:
            atomic_files.check_space(self._limits.waiting.folder, 0)
        except (StorageFull, OSError) as error:
            raise RequestRefused(507, "The disk is nearly full, so nothing can be uploaded now.") from error

    def _on_part_begin(self) -> None:
        self._files += 1
        self._file_bytes = 0
        self._header_name = self._header_value = self._disposition = b""
        if self._files > self._limits.max_files:
            raise RequestRefused(413, self._limits.message)

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        """Refuse other parts: Gradio holds those without a file name in memory, and never reads other fields' files."""
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") != b"files" or b"filename" not in options:
            raise RequestRefused(400, "An upload may contain only files.")
        self.names.append(decode_file_name(options[b"filename"]))

    def _on_part_data(self, _: bytes, start: int, end: int) -> None:
        self._file_bytes += end - start
        if self._file_bytes > self._limits.max_file_bytes:
            raise RequestRefused(413, self._limits.message)

    def _on_end(self) -> None:
        self._form_complete = True
