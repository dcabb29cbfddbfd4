"""What is asked of decoders: look at a picture, decode a frame; and how each answer becomes pixels or a refusal."""

from __future__ import annotations

import logging
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smart_demo.config import Limits
from smart_demo.errors import FileRefused
from smart_demo.ingest.decoders import DECODERS, LateError, LostError
from smart_demo.types import Pixels

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
