"""Forked processes that report their events over a pipe until they are killed.

Children are forked from a process that has imported everything, opened no Chroma and started no thread. So a start
takes milliseconds, and a child inherits no state of an earlier one.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from smart_demo.store import chroma_index

Event = dict[str, object]
Report = Callable[[Event], None]
write = os.write
"""The `os.write` that reports events; `kills` replaces `os.write`, and reports must not count as steps."""

REAL_CANARY = chroma_index.why_unreadable


class ReportingProcess:
    """A process in its own session that runs `act` and reports events, one JSON line each."""

    def __init__(self, act: Callable[[Report], None], *, forked_canary: bool = False) -> None:
        reader, writer = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            if forked_canary:
                use_forked_canary()
            _run_child(act, reader, writer)
        os.close(writer)
        os.set_blocking(reader, False)
        self.pipe, self.output = reader, b""
        self.status: int | None = None

    def listen(self, seconds: float) -> None:
        """Read its events for `seconds`, or until it has ended."""
        end = time.monotonic() + seconds
        while self.alive and (left := end - time.monotonic()) > 0:
            select.select([self.pipe], [], [], min(left, 0.05))
            self.take()

    @property
    def alive(self) -> bool:
        if self.status is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = status if ended else None
        return self.status is None

    def kill(self, *, group: bool = False) -> bool:
        """Kill it as the system does when memory is short, if `group` with its process group. False if it had ended."""
        if not self.alive:
            return False
        (os.killpg if group else os.kill)(self.pid, signal.SIGKILL)
        return True

    def end(self) -> list[Event]:
        """Wait for its end and return all its events. An incomplete last line does not count."""
        while self.alive:
            self.listen(1)
        self.take()
        os.close(self.pipe)
        return [json.loads(line) for line in self.output.split(b"\n")[:-1]]

    @property
    def killed(self) -> bool:
        return self.status is not None and os.WIFSIGNALED(self.status)

    def take(self) -> None:
        while True:
            try:
                data = os.read(self.pipe, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                return
            self.output += data


def _run_child(act: Callable[[Report], None], reader: int, writer: int) -> None:
    os.setsid()
    os.close(reader)
    code = 1

    def report(event: Event) -> None:
        data = memoryview(json.dumps(event).encode() + b"\n")
        while data:
            data = data[write(writer, data) :]

    try:
        act(report)
        code = 0
    except BaseException:  # noqa: BLE001 - the trial reports any error
        with suppress(OSError):  # the reader may be closed
            report({"broke": traceback.format_exc()})
    finally:
        os._exit(code)


def run_in_process(act: Callable[[Report], None], *, forked_canary: bool = False) -> list[Event]:
    """Run `act` in its own process to the end and return its events."""
    process = ReportingProcess(act, forked_canary=forked_canary)
    events = process.end()
    if process.killed:
        events.append({"broke": f"it died of signal {os.WTERMSIG(process.status or 0)}"})
    return events


def use_forked_canary() -> None:
    """Make the next canary in this process a fork, which need not import Chroma first.

    Applies once, until `use_real_canary`. A fork must not use Chroma after this process has opened it.
    """

    def forked(folder: Path) -> str:
        child = os.fork()
        if child == 0:
            code = 1
            os.closerange(3, 256)  # closes the lock and the pipe, as for a separate program
            with suppress(BaseException):
                chroma_index.check_folder(str(folder))
                code = 0
            os._exit(code)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return f"opening it crashed with signal {os.WTERMSIG(status)}"
        return "it could not be read" if status else ""

    chroma_index.why_unreadable = forked


def use_real_canary() -> None:
    """Use the real canary again."""
    chroma_index.why_unreadable = REAL_CANARY
