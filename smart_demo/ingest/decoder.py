"""The program that reads pictures for the app, which never does so itself.

A decoder is C code over bytes of strangers: it may crash, run for ever or fill the memory. So this program is started
beside the app, without its environment, and answers each question in a fork of its own, inside bounds that the kernel
keeps. What a picture does to its fork ends with the fork; what it learns there is one picture.

A question is a line of JSON and, where the picture is not a file, its bytes. The answer is a line of JSON and, for a
decoded picture, its RGB bytes row by row; then a line that says how the fork ended. It ends when nobody asks any more,
and after a fork that ended badly: whoever waits for the rest of a picture then sees that nothing follows.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from smart_demo.config import Limits
from smart_demo.errors import FileRefused
from smart_demo.ingest.pictures import decode, look_at

BAND = 256
"""Rows that are written at once."""
OPEN_FILES = 64
WHOLE = 42
"""How a fork ends that answered wholly. Not 0: a library that calls exit() in the middle must not look like it."""


def main() -> None:
    """Answer on standard output what is asked on standard input, until that ends."""
    warnings.simplefilter("ignore")
    Image.init()  # here, so that no fork has to
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    _write(answers, {"ready": True})
    while line := questions.readline():
        question = json.loads(line)
        data = questions.read(question["bytes"])
        child = os.fork()
        if not child:
            _answer_and_end(question, data, answers)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        _write(answers, {"ended": 0 if ended == WHOLE else ended or 1})
        if ended != WHOLE:
            return


def answer(question: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], Image.Image | None]:
    """What is asked, and the picture where it was to be decoded. Refusals are answers too."""
    source, name = Path(question["path"]) if question["path"] else data, question["name"]
    limits = Limits(pages=question["pages"], pixels=question["pixels"])
    try:
        if number := question["number"]:
            image = decode(source, name, limits, number)
            return {"width": image.width, "height": image.height}, image
        kind, pages, notices = look_at(source, name, limits)
    except FileRefused as refusal:
        return {"refused": [str(refusal), refusal.hint]}, None
    except MemoryError:
        return {"memory": True}, None
    return {"kind": kind, "pages": pages, "notices": notices}, None


def _answer_and_end(question: Mapping[str, Any], data: bytes, answers: BinaryIO) -> None:
    """In the fork, which returns to nobody."""
    try:
        _bound(question)
        fields, image = answer(question, data)
        _write(answers, fields)
        for top in range(0, image.height if image else 0, BAND):
            assert image
            answers.write(image.crop((0, top, image.width, min(top + BAND, image.height))).tobytes())
        answers.flush()
        os._exit(WHOLE)
    except BaseException as error:  # noqa: BLE001 -- nothing is above this frame but the other program
        os.write(answers.fileno(), json.dumps({"fault": _fault(error)}).encode() + b"\n")
    finally:
        os._exit(1)


def _fault(error: BaseException) -> str:
    """Its type and where it came from, for the log: neither names nor bytes of the file."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(last.filename).stem}:{last.lineno}"


def _bound(question: Mapping[str, Any]) -> None:
    """Bounds of this process that no decoder can lift: wall clock, processor, memory, files."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(question["clock"])
    for bound, value in (
        (resource.RLIMIT_CPU, question["seconds"]),
        (resource.RLIMIT_AS, question["memory"]),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(bound)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # At its soft bound of time a process is told which; at its hard one it is killed like one that eats memory.
        grace = 1 if bound == resource.RLIMIT_CPU and hard == resource.RLIM_INFINITY else 0
        try:
            resource.setrlimit(bound, (value, value + grace))
        except (OSError, ValueError):  # a platform without it; the wall clock still holds
            continue


def _write(answers: BinaryIO, fields: Mapping[str, Any]) -> None:
    answers.write(json.dumps(fields).encode() + b"\n")
    answers.flush()
