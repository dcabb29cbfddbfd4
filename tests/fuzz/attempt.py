"""Read one file by the real ingest code: its outcome, the lines that ran, and the promises that it broke."""

from __future__ import annotations

import os
import re
import resource
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from smart_demo.config import Limits
from smart_demo.errors import InputRefused
from smart_demo.ingest import decode_image_bytes, decode_image_file, inspect, render
from smart_demo.ingest.sandbox import DECODER_POOL
from smart_demo.types import Page
from tests.fuzz.coverage import decoder_coverage, traced_lines

LIMITS = Limits(pages=12, file_bytes=2**21, pixels=1_000_000, rendered_pixels=60_000, seconds=3)
"""Limits below the real ones, so that an hour is enough for many files."""
MOST_SECONDS = 30
MOST_BYTES = 600_000_000
"""Bytes by which a file may grow the process that reads it, and which a decoder may hold."""
NAME = "fuzzed.pdf"
TYPED, ALIVE, QUICK, SMALL, TIDY, REAPED, CLOSED = PROMISES = (
    "every file is pages or a refusal in one sentence",
    "no file ends the process that reads it",
    f"no file takes more than {MOST_SECONDS} seconds",
    f"no file takes more than {MOST_BYTES // 10**6} MB",
    "no temporary file is left",
    "no process is left",
    "no file is left open",
)


@dataclass
class Outcome:
    """The outcome of one file."""

    kind: str = "refused"
    """`pages`, `some pages`, `refused`, or `broken`."""
    behaviour: str = ""
    """The outcome in words that many files share. A file with a new outcome is stored."""
    lines: set[str] = field(default_factory=set)
    """Lines of the readers that ran, as `module:line`."""
    seconds: float = 0.0
    peak: int = 0
    """Bytes by which this process grew during the attempt, or that a decoder held, whichever are more."""
    broken: list[tuple[str, str]] = field(default_factory=list)
    """(promise, what happened instead)."""


def attempt_file(path: Path, *, traced: bool = True) -> Outcome:
    """Read the file at `path` and return its outcome, whatever the file contains."""
    outcome = Outcome()
    peaks: list[int] = [0]
    open_before, thorough, began = _open_files(), _is_document(path), time.monotonic()
    others = _children() if thorough else set()
    _reset_peak()
    held = _memory("VmRSS")
    try:
        with decoder_coverage(outcome.lines, peaks), traced_lines(outcome.lines) if traced else nullcontext():
            outcome.kind, outcome.behaviour = _read(path)
    except Exception:  # noqa: BLE001 -- any other type of error is a finding
        outcome.kind, outcome.behaviour = "broken", traceback.format_exc(limit=-3)
        outcome.broken.append((TYPED, traceback.format_exc()))
    outcome.seconds, outcome.peak = time.monotonic() - began, max(_memory("VmHWM") - held, *peaks)
    outcome.broken += _leftovers(open_before, others, thorough=thorough)
    if outcome.seconds > MOST_SECONDS:
        outcome.broken.append((QUICK, f"{outcome.seconds:.0f} s"))
    if outcome.peak > MOST_BYTES:
        outcome.broken.append((SMALL, f"{outcome.peak / 1e6:.0f} MB"))
    return outcome


def _read(path: Path) -> tuple[str, str]:
    """Return (kind, behaviour); assert what is promised of pages and sentences."""
    try:
        upload = inspect(path, NAME, LIMITS)
        pages = list(render(upload, LIMITS))
    except InputRefused as refusal:
        return "refused", _sentence(refusal)
    assert len(pages) == upload.pages, f"{len(pages)} outcomes for {upload.pages} pages"
    described = sorted({_describe_page(page) if isinstance(page, Page) else _sentence(page) for page in pages})
    good = sum(isinstance(page, Page) for page in pages)
    kind = "refused" if not good else "pages" if good == len(pages) else "some pages"
    described += [_without_numbers(notice) for notice in upload.notices]
    if upload.kind != "pdf" and int(upload.file, 16) % 4 == 0:  # a quarter of all: the code is the same
        described.append(_as_picture(path))
    return kind, " | ".join((upload.kind, "1 page" if len(pages) == 1 else "pages", *described))


def _as_picture(path: Path) -> str:
    """Read the same file as a query picture and as bytes of a table; both must have the same outcome."""
    outcomes = []
    ways: tuple[Callable[[], object], ...] = (
        lambda: decode_image_file(path, LIMITS).shape,
        lambda: decode_image_bytes(path.read_bytes(), NAME, LIMITS).shape,
    )
    for way in ways:
        try:
            outcomes.append(way())
        except InputRefused as refusal:
            outcomes.append(_sentence(refusal))
    assert outcomes[0] == outcomes[1], outcomes
    return "as a query" if isinstance(outcomes[0], tuple) else "no query"


def _without_numbers(sentence: str) -> str:
    return re.sub(r"\d[\d,.]*", "#", sentence)


def _sentence(refusal: InputRefused) -> str:
    """Return the sentence without its numbers; assert that it is short and names no path."""
    sentence = refusal.sentence
    assert "\n" not in sentence, sentence
    assert len(sentence) < 400, sentence
    assert "Traceback" not in sentence, sentence
    assert "/" not in sentence.replace("and/or", ""), f"the sentence names a path: {sentence}"
    return _without_numbers(sentence)


def _describe_page(page: Page) -> str:
    """Describe a page by its size, ink and number of words."""
    height, width, channels = page.pixels.shape
    assert page.pixels.dtype == "uint8"
    assert channels == 3
    assert 0 < height * width <= LIMITS.pixels
    ink = float((page.pixels.min(axis=2) < 200).mean())
    for word in page.words:
        box = word.box
        assert word.text.strip()
        assert 0 <= box.left < box.right <= 1
        assert 0 <= box.top < box.bottom <= 1
    inked = "blank" if ink == 0 else "a little ink" if ink < 0.02 else "ink" if ink < 0.5 else "dark"
    words = "no words" if not page.words else "words" if len(page.words) < 9 else "many words"
    shape = "tall" if height > 2 * width else "wide" if width > 2 * height else "page"
    return f"{shape}, {inked}, {words}"


def _is_document(path: Path) -> bool:
    with path.open("rb") as file:
        return b"%PDF-" in file.read(1_024)


def _leftovers(open_before: int, others: set[int], *, thorough: bool) -> Iterator[tuple[str, str]]:
    folder = Path(tempfile.gettempdir())
    if names := os.listdir(folder):
        yield TIDY, ", ".join(sorted(names)[:5])
    try:
        thorough = thorough or os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        thorough = False
    if thorough and (left := _children() - others - DECODER_POOL.idle_pids()):
        yield REAPED, f"{len(left)} still there"
    if (still := _open_files()) > open_before:
        yield CLOSED, f"{still - open_before} more than before"


def _children() -> set[int]:
    """Return child processes that run or were not waited for."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state = path.read_text().rpartition(")")[2].split()
            if int(state[1]) == os.getpid():
                found.add(int(path.parent.name))
    return found


def _open_files() -> int:
    """Return the open files of this process, without the two of each running decoder."""
    files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    return files - 2 * len(DECODER_POOL.idle_pids())


def _reset_peak() -> None:
    """Reset the kernel's high-water mark of memory, so that it belongs to this file, if the kernel allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _memory(which: str) -> int:
    """Return the bytes of this process from /proc, or the peak since its start if that is missing."""
    try:
        match = re.search(which + r":\s+(\d+)", Path("/proc/self/status").read_text())
    except OSError:
        match = None
    return int(match[1]) * 1_024 if match else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024
