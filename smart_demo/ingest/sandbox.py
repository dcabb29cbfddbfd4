"""Pictures read by other processes: started, asked, and ended when they do not answer.

Whatever a picture does, the app goes on and says which file it was. A program costs a quarter of a second to start and
is kept for the next pictures; a question costs some milliseconds.

What is asked of decoders: look at a picture, decode a frame; and how each answer becomes pixels or a refusal.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from smart_demo.config import Limits
from smart_demo.errors import FileRefused
from smart_demo.types import Pixels

PROGRAM = "import sys; sys.path[:] = {path!r}\nfrom smart_demo.ingest.images import main\nmain()"
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
"""All of our environment that a decoder may need. Nothing that could be a secret."""
STARTING = 60
"""Seconds that a program may take to start, on a busy machine."""
GRACE = 5
"""Seconds after the fork's own clock until the program is ended from outside."""
MOST_AT_ONCE = 4
MOST_IDLE = 2
LONGEST_LINE = 65_536
T = TypeVar("T")


class LostError(Exception):
    """A program that ended, or said what makes no sense."""


class LateError(LostError):
    """A program that did not answer in time and was ended."""


class Decoder:
    """One program. It may be asked again until it is lost or spent."""

    def __init__(self) -> None:
        """OSError where it does not start."""
        environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        path = [os.path.abspath(folder) for folder in sys.path]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", PROGRAM.format(path=path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment | {"LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # so that the program and its fork end together
        )
        self._late = False
        self.spent = False
        """Whether it ends by itself now, since its fork ended badly."""
        try:
            self._within(STARTING, self._line)
        except LostError:
            raise OSError("the program does not start") from None

    def ask(self, question: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], Pixels | None]:
        """(fields of the answer, RGB where a picture was decoded). After a `LostError` it is of no more use."""
        return self._within(question["clock"] + GRACE, lambda: self._asked(question, data))

    def _within(self, seconds: float, wait: Callable[[], T]) -> T:
        """What `wait` gives. After so many seconds the program is ended, whereupon there is nothing to wait for."""
        overdue = threading.Timer(seconds, self._end_late)
        overdue.daemon = True
        overdue.start()
        try:
            return wait()
        except (OSError, ValueError, TypeError, KeyError, RecursionError):  # of JSON as deep as it is long
            self.close()
            raise (LateError if self._late else LostError) from None
        finally:
            overdue.cancel()

    def _asked(self, question: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], Pixels | None]:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(dict(question)).encode() + b"\n")
        self._process.stdin.write(data)
        self._process.stdin.flush()
        fields = self._line()
        if "ended" in fields:
            self.spent = True
            return fields, None
        pixels = self._pixels(fields, question["pixels"]) if "width" in fields else None
        self.spent = self._line()["ended"] != 0
        if self.spent and "fault" not in fields:
            raise ValueError
        return fields, pixels

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout
        fields = json.loads(self._process.stdout.readline(LONGEST_LINE))
        if not isinstance(fields, dict):
            raise ValueError
        return fields

    def _pixels(self, fields: Mapping[str, Any], most: int) -> Pixels:
        """The bytes that follow, by a size that is doubted: it was said by a process that read hostile bytes."""
        assert self._process.stdout
        width, height = int(fields["width"]), int(fields["height"])
        if width < 1 or height < 1 or width * height > most:
            raise ValueError
        pixels = np.empty((height, width, 3), np.uint8)
        if self._process.stdout.readinto(pixels.reshape(-1).data) != pixels.size:  # type: ignore[attr-defined]
            raise ValueError
        return pixels

    def _end_late(self) -> None:
        self._late = True
        self.end()

    def end(self) -> None:
        """End the program and its fork, and wait until they are gone. May be called again."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """`end`, and close what leads to it."""
        self.end()
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # bytes that it never took
                stream.close()  # type: ignore[union-attr]


class Decoders:
    """The programs of this process: as many as are asked at once, up to a bound. Safe for threads."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin with none. In a fork of this process: two that asked one program would read each other's answers."""
        self._idle: list[Decoder] = []
        self._lock, self._room = threading.Lock(), threading.BoundedSemaphore(MOST_AT_ONCE)

    def ask(self, question: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], Pixels | None]:
        """As `Decoder.ask`. A program that was kept and is lost by now is replaced; OSError where none can start."""
        with self._room:
            with self._lock:
                decoder = self._idle.pop() if self._idle else None
            try:
                if decoder:
                    return self._ask_one(decoder, question, data)
            except LateError:
                raise
            except LostError:
                pass
            return self._ask_one(Decoder(), question, data)

    def _ask_one(
        self, decoder: Decoder, question: Mapping[str, Any], data: bytes
    ) -> tuple[dict[str, Any], Pixels | None]:
        try:
            answer = decoder.ask(question, data)
        except BaseException:
            decoder.close()
            raise
        with self._lock:
            keep = not decoder.spent and len(self._idle) < MOST_IDLE
            if keep:
                self._idle.append(decoder)
        if not keep:
            decoder.close()
        return answer

    def close(self) -> None:
        """End all that are idle; a later question starts one again."""
        with self._lock:
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.close()


DECODERS = Decoders()
atexit.register(DECODERS.close)
os.register_at_fork(after_in_child=DECODERS.forget)

MEMORY = 500_000_000
"""Bytes of address space for the program, beside the file as it is mapped and as it is read;"""
MEMORY_PER_PIXEL = 24
"""and for each pixel that the limit allows: the copies that turning, scaling and flattening make of a picture."""
CLOCKS = 2
"""A picture may take so many times its seconds of processor by the clock on the wall: the machine may be busy."""

log = logging.getLogger(__name__)


def look_at(path: Path, name: str, limits: Limits) -> tuple[str, int, tuple[str, ...]]:
    """(format, pages, notices) of a picture file, from its headers alone.

    FileRefused where it is damaged, no picture, has too many frames, or any frame has too many pixels.
    """
    fields, _ = _ask(path, name, limits, 0)
    try:  # what a process says that read hostile bytes is doubted too
        kind, pages, notices = str(fields["kind"]), int(fields["pages"]), tuple(map(str, fields["notices"]))
    except (KeyError, TypeError, ValueError):
        raise _damaged(name) from None
    if not 1 <= pages <= limits.pages:
        raise _damaged(name)
    return kind, pages, notices


def decode(source: Path | bytes, name: str, limits: Limits, number: int = 1) -> Pixels:
    """Frame `number`, counted from 1: (height, width, 3) RGB, upright, alpha on white, every pixel it has.

    source: where the picture lies, or the bytes of its file. FileRefused where it is damaged, has too many pixels, or
    takes more time or memory than it may.
    """
    _, pixels = _ask(source, name, limits, number)
    if pixels is None:
        raise _damaged(name)
    return pixels


def _ask(source: Path | bytes, name: str, limits: Limits, number: int) -> tuple[dict[str, Any], Pixels | None]:
    data = source if isinstance(source, bytes) else b""
    question = {
        "path": "" if isinstance(source, bytes) else str(source),
        "bytes": len(data),
        "name": name,
        "number": number,
        "pages": limits.pages,
        "pixels": limits.pixels,
        "seconds": limits.seconds,
        "clock": CLOCKS * limits.seconds,
        "memory": MEMORY + 2 * limits.file_bytes + MEMORY_PER_PIXEL * limits.pixels,
    }
    try:
        fields, pixels = DECODERS.ask(question, data)
    except LateError:
        raise _late(name, limits) from None
    except LostError:
        raise _damaged(name) from None
    except OSError:
        sentence = f"{name} cannot be read just now: the program that reads pictures does not run here."
        raise FileRefused(sentence, "Try it again in a while.") from None
    _refuse(fields, name, limits)
    return fields, pixels


def _refuse(fields: Mapping[str, Any], name: str, limits: Limits) -> None:
    """FileRefused where the answer is a refusal, or how the process ended."""
    match fields.get("refused"):
        case [str() as sentence, str() as hint]:
            raise FileRefused(sentence, hint)
    if "fault" in fields:
        log.warning("a picture made its decoder fail: %s", fields["fault"])
        raise _damaged(name)
    ended = fields.get("ended", 0)
    if ended in (-signal.SIGALRM, -signal.SIGXCPU):
        raise _late(name, limits)
    if "memory" in fields or ended == -signal.SIGKILL:
        raise FileRefused(f"{name} needs too much memory to be read.", "Save it smaller.")
    if ended:
        log.warning("a picture ended its decoder with %s", ended)
    if "ended" in fields:
        raise _damaged(name)


def _late(name: str, limits: Limits) -> FileRefused:
    return FileRefused(f"{name} took more than {limits.seconds} seconds to read.", "Save it again, or smaller.")


def _damaged(name: str) -> FileRefused:
    return FileRefused(f"{name} is damaged and cannot be read.", "Save or download it again.")
