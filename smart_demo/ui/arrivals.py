"""An upload as it streams in: counted before a byte of it reaches Gradio, and refused in words where it is too much.

Gradio bounds each file and nothing else: 1,000 files a request, no sum, fields without a file name in memory, and what
it has written of an upload that breaks off stays on the disk.
"""

from __future__ import annotations

from dataclasses import dataclass

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.formparsers import MultiPartException
from starlette.types import Message, Receive

from smart_demo.errors import StorageFull
from smart_demo.store import atomic_files
from smart_demo.ui.bodies import Pace, Refused, drain
from smart_demo.ui.lying import LYING, Bounds

STEP = 2**20
"""Bytes after which the room is looked at again: others upload at the same time."""


@dataclass(frozen=True, slots=True)
class Room:
    """What may be uploaded at once, and what may lie in the folder of uploads until it is read."""

    files: int
    largest: int
    octets: int
    lying: Bounds
    said: str
    """The limits of one upload in words."""


class Arrival:
    """One upload on its way. Hand `receive` to the app; afterwards `refused` says whether it was cut off.

    It is cut off by the exception that Gradio's parser itself raises: on that one it deletes what it has written.
    """

    def __init__(self, receive: Receive, content_type: bytes, room: Room, whose: str = "") -> None:
        """Refused where it is no form. `whose` it is counts where each may have so much lying here."""
        self._receive, self._room, self._whose = receive, room, whose
        self._pace = Pace()
        kind, options = parse_options_header(content_type)  # as Gradio reads it: what it sees is what is counted
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise Refused(400, "An upload is a form with files.")
        calls = {"on_part_begin": self._part, "on_header_field": self._field, "on_header_value": self._value}
        calls |= {"on_part_data": self._data}
        calls |= {"on_header_end": self._header, "on_headers_finished": self._headers, "on_end": self._end}
        self._parser = MultipartParser(options[b"boundary"], calls)  # type: ignore[arg-type]
        self.refused: Refused | None = None
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
        except Refused as refused:
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
        LYING.came(len(data))
        if self._came > self._room.octets:
            raise Refused(413, self._room.said)
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise Refused(400, "The upload is no whole form.") from error
        if self._over and not self._closed:
            raise Refused(400, "The upload broke off.")
        return message

    async def _look(self) -> None:
        """Refused where no more may lie here."""
        self._looked = self._came
        await LYING.make_room(self._room.lying, self._whose, self._came)
        try:
            atomic_files.check_space(self._room.lying.folder, 0)
        except (StorageFull, OSError) as error:
            raise Refused(507, "The disk here is nearly full, so nothing can be uploaded now.") from error

    def _part(self) -> None:
        self._files += 1
        self._part_came = 0
        self._name = self._said = self._disposition = b""
        if self._files > self._room.files:
            raise Refused(413, self._room.said)

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
            raise Refused(400, "An upload holds files alone.")

    def _data(self, _: bytes, start: int, end: int) -> None:
        self._part_came += end - start
        if self._part_came > self._room.largest:
            raise Refused(413, self._room.said)

    def _end(self) -> None:
        self._closed = True
