"""Which lines of the readers ran, here and in the decoders, which are told to say so too."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import PIL

import smart_demo.ingest
from smart_demo.ingest import images, sandbox

WATCHED = {
    **{str(path): f"ingest/{path.stem}" for path in Path(smart_demo.ingest.__file__).parent.glob("*.py")},
    **{str(path): path.stem for path in Path(PIL.__file__).parent.glob("*ImagePlugin.py")},
    str(Path(PIL.__file__).with_name("ImageFile.py")): "ImageFile",
}
"""Whose lines tell that a file did something new."""
PROGRAM = sandbox.PROGRAM.replace("smart_demo.ingest.images", "tests.fuzz.tracing")


def main() -> None:
    """The decoder's program, whose answers also hold the lines that ran and the most memory that was held."""
    plain = images.answer

    def answer(question: dict, data: bytes) -> tuple:
        lines: set[str] = set()
        with tracing(lines):
            fields, image = plain(question, data)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024
        return {**fields, "lines": sorted(lines), "peak": peak}, image

    images.answer = answer
    images.main()


@contextmanager
def tracing(lines: set[str]) -> Iterator[None]:
    """Write down which lines of the readers run, as `module:line`."""
    found: set[tuple[str, int]] = set()

    def line(frame: FrameType, event: str, _: object) -> object:
        if event == "line":
            found.add((frame.f_code.co_filename, frame.f_lineno))
        return line

    def call(frame: FrameType, _: str, __: object) -> object:
        return line if frame.f_code.co_filename in WATCHED else None

    sys.settrace(call)
    try:
        yield
    finally:
        sys.settrace(None)
        lines |= {f"{WATCHED[name]}:{number}" for name, number in found}


@contextmanager
def listening(lines: set[str], peaks: list[int]) -> Iterator[None]:
    """Take what decoders say of lines and memory. An error of theirs that has no type of ours is raised here."""
    plain = sandbox.Decoder.ask

    def ask(self: sandbox.Decoder, question: dict, data: bytes) -> tuple:
        fields, pixels = plain(self, question, data)
        lines.update(fields.get("lines", ()))
        peaks.append(fields.get("peak", 0))
        assert "fault" not in fields, f"a decoder failed: {fields['fault']}"
        return fields, pixels

    sandbox.Decoder.ask = ask
    try:
        yield
    finally:
        sandbox.Decoder.ask = plain
