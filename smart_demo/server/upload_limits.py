"""Copies of uploads that lie here until they are read: how many, how large, whose. Gradio keeps one folder of them for
the whole process, so there is one account of it.

Where room is short, what nothing has claimed goes first, the oldest before the others; nobody is refused for it before.

An upload as it streams in: counted before a byte of it reaches Gradio, and refused in words where it is too much.

Gradio bounds each file and nothing else: 1,000 files a request, no sum, fields without a file name in memory, and what
it has written of an upload that breaks off stays on the disk.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakMethod

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.formparsers import MultiPartException
from starlette.types import Message, Receive

from smart_demo.errors import StorageFull
from smart_demo.server.cleanup import FolderUsage, folder_usage
from smart_demo.server.request_body import BodyDeadline, RequestRefused, drain
from smart_demo.store import atomic_files

MAX_WAITING_FILES = 2_000
"""Files in the folder of uploads, however small."""
UNCLAIMED = 60.0
"""Seconds after its arrival from which a copy that nothing has claimed makes room for others."""
FRESH = 1.0
"""Seconds for which a measurement of the folder is good."""
MARGIN = 2**20
"""Bytes that must be free beyond what is there: uploads are looked at again after so many."""
FULL = 503, "Too many uploads wait to be read; try again in a few minutes."
YOURS = 429, "Your earlier uploads still wait to be read; add more when they are through."
Claims = Callable[[], Iterable[Path]]


@dataclass(frozen=True, slots=True)
class UploadBounds:
    """What may lie here."""

    folder: Path
    octets: int
    """Of everybody."""
    each: FolderUsage | None = None
    """Of one asker; None where there is one owner."""


@dataclass(slots=True)
class _Copy:
    path: Path
    whose: str
    at: float


class UploadTracker:
    """Safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._copies: list[_Copy] = []
        """In the order of their arrival, those that were moved or read a moment ago among them."""
        self._claims: list[WeakMethod[Claims]] = []
        self._measured: tuple[Path, float, FolderUsage, int] | None = None
        """Which folder, when, what lay there, and how many bytes had come until then."""
        self._written = 0

    def attend(self, claims: Claims) -> None:
        """A bound method that says which copies are on their way to be read; forgotten with its object."""
        with self._lock:
            self._claims.append(WeakMethod(claims))

    def arrived(self, whose: str, paths: Iterable[Path]) -> None:
        """Copies that Gradio told somebody of."""
        with self._lock:
            self._copies += [_Copy(path, whose, self._clock()) for path in paths]

    def came(self, octets: int) -> None:
        """Bytes that are being written."""
        self._written += octets

    async def make_room(self, bounds: UploadBounds, whose: str, coming: int = 0) -> None:
        """Refused where no more may lie here, of all or of somebody, `coming` bytes of whose are on their way."""
        refused = await asyncio.to_thread(self._make_room, bounds, whose, coming)
        if refused is not None:
            raise RequestRefused(*refused)

    def _make_room(self, bounds: UploadBounds, whose: str, coming: int) -> tuple[int, str] | None:
        with self._lock:
            short = self._short(bounds, whose, coming)
            if short is FULL:
                self._measured = None  # much of what came since may have been refused and be gone
                short = self._short(bounds, whose, coming)
            if short is None:
                return None
            claimed = {path for claims in self._claims if (told := claims()) is not None for path in told()}
            for copy in list(self._copies):
                if (
                    self._clock() - copy.at < UNCLAIMED
                    or copy.path in claimed
                    or (short is YOURS and copy.whose != whose)
                ):
                    continue
                self._drop(copy)
                short = self._short(bounds, whose, coming)
                if short is None:
                    return None
            return short

    def _short(self, bounds: UploadBounds, whose: str, coming: int) -> tuple[int, str] | None:
        """Which bound is met."""
        lying = self._measure(bounds.folder)
        if lying.files >= MAX_WAITING_FILES or lying.octets + MARGIN > bounds.octets:
            return FULL
        if bounds.each is not None:
            own = _sizes(copy.path for copy in self._copies if copy.whose == whose)
            if own.files >= bounds.each.files or own.octets + coming + MARGIN > bounds.each.octets:
                return YOURS
        return None

    def _measure(self, folder: Path) -> FolderUsage:
        """What lies in the folder, with what came since it was last looked at."""
        now = self._clock()
        if self._measured is None or self._measured[0] != folder or now - self._measured[1] >= FRESH:
            self._copies = [copy for copy in self._copies if now - copy.at < UNCLAIMED or copy.path.exists()]
            written = self._written
            self._measured = folder, now, folder_usage(folder), written
        _, _, lying, written = self._measured
        return FolderUsage(lying.files, lying.octets + self._written - written)

    def _drop(self, copy: _Copy) -> None:
        self._copies.remove(copy)
        self._measured = None
        with suppress(OSError):
            copy.path.unlink()
            copy.path.parent.rmdir()  # which the system refuses while there is something in it


def _sizes(paths: Iterable[Path]) -> FolderUsage:
    """Those of the files that are there, each once."""
    sizes = []
    for path in set(paths):
        with suppress(OSError):
            sizes.append(path.stat(follow_symlinks=False).st_size)
    return FolderUsage(len(sizes), sum(sizes))


UPLOAD_TRACKER = UploadTracker()

STEP = 2**20
"""Bytes after which the room is looked at again: others upload at the same time."""


@dataclass(frozen=True, slots=True)
class UploadRoom:
    """What may be uploaded at once, and what may lie in the folder of uploads until it is read."""

    files: int
    largest: int
    octets: int
    lying: UploadBounds
    said: str
    """The limits of one upload in words."""


class UploadStream:
    """One upload on its way. Hand `receive` to the app; afterwards `refused` says whether it was cut off.

    It is cut off by the exception that Gradio's parser itself raises: on that one it deletes what it has written.
    """

    def __init__(self, receive: Receive, content_type: bytes, room: UploadRoom, whose: str = "") -> None:
        """Refused where it is no form. `whose` it is counts where each may have so much lying here."""
        self._receive, self._room, self._whose = receive, room, whose
        self._pace = BodyDeadline()
        kind, options = parse_options_header(content_type)  # as Gradio reads it: what it sees is what is counted
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise RequestRefused(400, "An upload is a form with files.")
        calls = {"on_part_begin": self._part, "on_header_field": self._field, "on_header_value": self._value}
        calls |= {"on_part_data": self._data}
        calls |= {"on_header_end": self._header, "on_headers_finished": self._headers, "on_end": self._end}
        self._parser = MultipartParser(options[b"boundary"], calls)  # type: ignore[arg-type]
        self.refused: RequestRefused | None = None
        self._came = self._files = self._part_came = 0
        self._looked = -STEP
        self._name = self._said = self._disposition = b""
        self._closed = self._over = False

    async def receive(self) -> Message:
        """The next piece, counted."""
        if self._over:
            return await self._receive()  # whether the visitor is still there
        try:
            return await self._next()
        except RequestRefused as refused:
            self.refused = refused
            if not self._over:
                await drain(self._receive)
            raise MultiPartException(refused.sentence) from refused

    async def _next(self) -> Message:
        if self._came - self._looked >= STEP:
            await self._look()
        message = await self._pace.piece(self._receive)
        self._over = not message.get("more_body", False)
        data = message.get("body", b"")
        self._came += len(data)
        UPLOAD_TRACKER.came(len(data))
        if self._came > self._room.octets:
            raise RequestRefused(413, self._room.said)
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise RequestRefused(400, "The upload is no whole form.") from error
        if self._over and not self._closed:
            raise RequestRefused(400, "The upload broke off.")
        return message

    async def _look(self) -> None:
        """Refused where no more may lie here."""
        self._looked = self._came
        await UPLOAD_TRACKER.make_room(self._room.lying, self._whose, self._came)
        try:
            atomic_files.check_space(self._room.lying.folder, 0)
        except (StorageFull, OSError) as error:
            raise RequestRefused(507, "The disk here is nearly full, so nothing can be uploaded now.") from error

    def _part(self) -> None:
        self._files += 1
        self._part_came = 0
        self._name = self._said = self._disposition = b""
        if self._files > self._room.files:
            raise RequestRefused(413, self._room.said)

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _value(self, data: bytes, start: int, end: int) -> None:
        self._said += data[start:end]

    def _header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._said
        self._name = self._said = b""

    def _headers(self) -> None:
        """A part that is no file would be held in memory, one of another name would lie about unclaimed."""
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") != b"files" or b"filename" not in options:
            raise RequestRefused(400, "An upload holds files alone.")

    def _data(self, _: bytes, start: int, end: int) -> None:
        self._part_came += end - start
        if self._part_came > self._room.largest:
            raise RequestRefused(413, self._room.said)

    def _end(self) -> None:
        self._closed = True
