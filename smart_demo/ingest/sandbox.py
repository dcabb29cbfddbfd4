"""Processes that decode images for the app, and the requests to them.

`images` holds the program that they run. If an image crashes, hangs or exhausts its process, the app continues and
names the file. A process takes a quarter of a second to start and is reused; a request takes some milliseconds.
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
INHERITED_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
"""Environment variables that a decoder may need. None can hold a secret."""
START_SECONDS = 60
"""Time a process may take to start, on a busy machine."""
GRACE_SECONDS = 5
"""Time after the fork's own wall clock limit until the process is killed from outside."""
MAX_DECODERS = 4
MAX_IDLE = 2
MAX_LINE_BYTES = 65_536
BASE_MEMORY_BYTES = 500_000_000
"""Address space of the program, without the file as mapped and as read."""
BYTES_PER_PIXEL = 24
"""Address space per pixel of the limit: rotating, scaling and flattening each copy the image."""
WALL_CLOCK_FACTOR = 2
"""Wall clock limit over CPU limit of one image: the machine may be busy."""
T = TypeVar("T")

log = logging.getLogger(__name__)


class DecoderError(Exception):
    """A decoder process ended, or its response makes no sense."""


class DecoderTimeoutError(DecoderError):
    """A decoder process did not respond in time and was killed."""


class DecoderProcess:
    """One running decoder. It takes one request at a time, until a `DecoderError` or until it is `exiting`."""

    def __init__(self) -> None:
        """Start the process. Raises OSError if it does not start."""
        environment = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
        path = [os.path.abspath(folder) for folder in sys.path]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", PROGRAM.format(path=path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment | {"LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # one process group, so that the program and its fork are killed together
        )
        self.pid = self._process.pid
        self._timed_out = False
        self.exiting = False
        """True once a fork failed: the program then exits by itself."""
        try:
            self._with_timeout(START_SECONDS, self._read_line)
        except DecoderError:
            raise OSError("the program does not start") from None

    def request(self, request: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], Pixels | None]:
        """Send a request and return (response fields, RGB pixels if an image was decoded).

        Raises DecoderError; the process is closed then.
        """
        return self._with_timeout(request["clock"] + GRACE_SECONDS, lambda: self._exchange(request, data))

    def _with_timeout(self, seconds: float, wait: Callable[[], T]) -> T:
        """Return what `wait` returns. Kills the process after `seconds`, which ends the wait at end of file."""
        timer = threading.Timer(seconds, self._kill_late)
        timer.daemon = True
        timer.start()
        try:
            return wait()
        except (OSError, ValueError, TypeError, KeyError, RecursionError):  # RecursionError: deeply nested JSON
            self.close()
            raise (DecoderTimeoutError if self._timed_out else DecoderError) from None
        finally:
            timer.cancel()

    def _exchange(self, request: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], Pixels | None]:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(dict(request)).encode() + b"\n")
        self._process.stdin.write(data)
        self._process.stdin.flush()
        fields = self._read_line()
        if "ended" in fields:
            self.exiting = True
            return fields, None
        pixels = self._read_pixels(fields, request["pixels"]) if "width" in fields else None
        self.exiting = self._read_line()["ended"] != 0
        if self.exiting and "fault" not in fields:
            raise ValueError
        return fields, pixels

    def _read_line(self) -> dict[str, Any]:
        assert self._process.stdout
        fields = json.loads(self._process.stdout.readline(MAX_LINE_BYTES))
        if not isinstance(fields, dict):
            raise ValueError
        return fields

    def _read_pixels(self, fields: Mapping[str, Any], max_pixels: int) -> Pixels:
        """Read the pixels of the stated size. The size is checked: the process that sent it read hostile bytes."""
        assert self._process.stdout
        width, height = int(fields["width"]), int(fields["height"])
        if width < 1 or height < 1 or width * height > max_pixels:
            raise ValueError
        pixels = np.empty((height, width, 3), np.uint8)
        if self._process.stdout.readinto(pixels.reshape(-1).data) != pixels.size:  # type: ignore[attr-defined]
            raise ValueError
        return pixels

    def _kill_late(self) -> None:
        self._timed_out = True
        self.kill()

    def kill(self) -> None:
        """Kill the program and its fork, and wait until they have ended. May be called again."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Kill the process and close its pipes."""
        self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # unsent bytes cannot be flushed
                stream.close()  # type: ignore[union-attr]


class DecoderPool:
    """The decoders of this process, started as needed up to a limit. Safe for threads."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Empty the pool without ending its processes.

        Runs in each fork of this process: two processes that use one decoder would read each other's responses.
        """
        self._idle: list[DecoderProcess] = []
        self._lock, self._slots = threading.Lock(), threading.BoundedSemaphore(MAX_DECODERS)

    def request(self, request: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], Pixels | None]:
        """Send a request to a decoder, as `DecoderProcess.request`.

        An idle decoder that has ended is replaced by a new one. Raises DecoderError, or OSError if none can start.
        """
        with self._slots:
            with self._lock:
                decoder = self._idle.pop() if self._idle else None
            try:
                if decoder:
                    return self._request_from(decoder, request, data)
            except DecoderTimeoutError:
                raise
            except DecoderError:
                pass
            return self._request_from(DecoderProcess(), request, data)

    def _request_from(
        self, decoder: DecoderProcess, request: Mapping[str, Any], data: bytes
    ) -> tuple[dict[str, Any], Pixels | None]:
        try:
            response = decoder.request(request, data)
        except BaseException:
            decoder.close()
            raise
        with self._lock:
            keep = not decoder.exiting and len(self._idle) < MAX_IDLE
            if keep:
                self._idle.append(decoder)
        if not keep:
            decoder.close()
        return response

    def idle_pids(self) -> set[int]:
        """Return the process ids of the idle decoders."""
        with self._lock:
            return {decoder.pid for decoder in self._idle}

    def close(self) -> None:
        """End all idle decoders; a later request starts a new one."""
        with self._lock:
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.close()


DECODER_POOL = DecoderPool()
atexit.register(DECODER_POOL.close)
os.register_at_fork(after_in_child=DECODER_POOL.reset)


def inspect_image(path: Path, name: str, limits: Limits) -> tuple[str, int, tuple[str, ...]]:
    """Return (format, page count, notices) of an image file, from its headers alone.

    Raises FileRefused if it is damaged, not an image, has too many frames, or any frame has too many pixels.
    """
    fields, _ = _request(path, name, limits, 0)
    try:  # checked like the pixels' size: the process that sent them read hostile bytes
        kind, pages, notices = str(fields["kind"]), int(fields["pages"]), tuple(map(str, fields["notices"]))
    except (KeyError, TypeError, ValueError):
        raise _damaged(name) from None
    if not 1 <= pages <= limits.pages:
        raise _damaged(name)
    return kind, pages, notices


def decode_image(source: Path | bytes, name: str, limits: Limits, number: int = 1) -> Pixels:
    """Return frame `number`, counted from 1, at full size: (height, width, 3) RGB, upright, opaque.

    source: path of the file, or its bytes. Raises FileRefused if it is damaged, has too many pixels, or takes too much
    time or memory.
    """
    _, pixels = _request(source, name, limits, number)
    if pixels is None:
        raise _damaged(name)
    return pixels


def _request(source: Path | bytes, name: str, limits: Limits, number: int) -> tuple[dict[str, Any], Pixels | None]:
    """Send one request to the pool, for the headers if `number` is 0. Raises FileRefused if it is refused or fails."""
    data = source if isinstance(source, bytes) else b""
    request = {
        "path": "" if isinstance(source, bytes) else str(source),
        "bytes": len(data),
        "name": name,
        "number": number,
        "pages": limits.pages,
        "pixels": limits.pixels,
        "seconds": limits.seconds,
        "clock": WALL_CLOCK_FACTOR * limits.seconds,
        "memory": BASE_MEMORY_BYTES + 2 * limits.file_bytes + BYTES_PER_PIXEL * limits.pixels,
    }
    try:
        fields, pixels = DECODER_POOL.request(request, data)
    except DecoderTimeoutError:
        raise _too_slow(name, limits) from None
    except DecoderError:
        raise _damaged(name) from None
    except OSError:
        sentence = f"{name} cannot be read just now: the program that reads pictures does not run here."
        raise FileRefused(sentence, "Try it again in a while.") from None
    _raise_refusal(fields, name, limits)
    return fields, pixels


def _raise_refusal(fields: Mapping[str, Any], name: str, limits: Limits) -> None:
    """Raise FileRefused if the response is a refusal, or if its fork failed."""
    match fields.get("refused"):
        case [str() as sentence, str() as hint]:
            raise FileRefused(sentence, hint)
    if "fault" in fields:
        log.warning("a picture made its decoder fail: %s", fields["fault"])
        raise _damaged(name)
    ended = fields.get("ended", 0)
    if ended in (-signal.SIGALRM, -signal.SIGXCPU):
        raise _too_slow(name, limits)
    if "memory" in fields or ended == -signal.SIGKILL:
        raise FileRefused(f"{name} needs too much memory to be read.", "Save it smaller.")
    if ended:
        log.warning("a picture ended its decoder with %s", ended)
    if "ended" in fields:
        raise _damaged(name)


def _too_slow(name: str, limits: Limits) -> FileRefused:
    return FileRefused(f"{name} took more than {limits.seconds} seconds to read.", "Save it again, or smaller.")


def _damaged(name: str) -> FileRefused:
    return FileRefused(f"{name} is damaged and cannot be read.", "Save or download it again.")
