"""Record which lines of the readers ran, in this process and in the decoders."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import PIL
import pillow_heif

import smart_demo.ingest
from smart_demo.ingest import images, sandbox

WATCHED = {
    **{str(path): f"ingest/{path.stem}" for path in Path(smart_demo.ingest.__file__).parent.glob("*.py")},
    **{str(path): path.stem for path in Path(PIL.__file__).parent.glob("*ImagePlugin.py")},
    str(Path(PIL.__file__).with_name("ImageFile.py")): "ImageFile",
    **{str(path): f"heif/{path.stem}" for path in Path(pillow_heif.__file__).parent.glob("*.py")},
}
"""Files whose executed lines show that an input did something new."""
PROGRAM = sandbox.PROGRAM.replace("smart_demo.ingest.images", "tests.fuzz.coverage")


def main() -> None:
    """Run the decoder's program; its responses also hold the lines that ran and the peak memory."""
    plain = images.handle_request

    def handle_request(request: dict, data: bytes) -> tuple:
        lines: set[str] = set()
        with traced_lines(lines):
            fields, image = plain(request, data)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024
        return {**fields, "lines": sorted(lines), "peak": peak}, image

    images.handle_request = handle_request
    images.main()


@contextmanager
def traced_lines(lines: set[str]) -> Iterator[None]:
    """Record which lines of the readers run, as `module:line`."""
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
def decoder_coverage(lines: set[str], peaks: list[int]) -> Iterator[None]:
    """Collect the decoders' lines and peak memory. Raises AssertionError if a decoder fails with an unknown error."""
    plain = sandbox.DecoderProcess.request

    def request(self: sandbox.DecoderProcess, message: dict, data: bytes) -> tuple:
        fields, pixels = plain(self, message, data)
        lines.update(fields.get("lines", ()))
        peaks.append(fields.get("peak", 0))
        assert "fault" not in fields, f"a decoder failed: {fields['fault']}"
        return fields, pixels

    sandbox.DecoderProcess.request = request
    try:
        yield
    finally:
        sandbox.DecoderProcess.request = plain
