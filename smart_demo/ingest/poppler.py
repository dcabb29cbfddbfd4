"""Poppler's programs inside bounds of time and memory, with an environment that holds no secrets.

pdf2image starts what it finds in `poppler_path` and hands it our whole environment. So it gets a folder of small shell
scripts that set the bounds of their own process and then become the program: nothing of ours runs between fork and
exec, and the bounds hold even if we are killed.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smart_demo.errors import FileRefused, StorageFull

MEMORY = 1_500_000_000
"""Bytes of address space. Hostile pages measured: 41 MB by splash; cairo, which is not used, took 3.5 GB."""
OUTPUT = 16 * 2**20
"""Bytes that one program may write into a file: the words of one page, what is wrong with a document."""
FACTS = "facts"
"""The name under which pdfinfo lies in the folder."""
PROGRAMS = {FACTS: ("pdfinfo", ""), "pdftoppm": ("pdftoppm", "-q"), "pdftotext": ("pdftotext", "-q")}
"""By their names in the folder: programs, and options that keep a broken file from flooding standard error.

pdfinfo has no such option and is read for its reason: three megabytes of junk made it write a gigabyte. So it writes
into files, and never for pdf2image, which would read all of it.
"""
ENOUGH = """#!/bin/sh
echo "Pages: 2147483647"
"""
"""What pdf2image finds as pdfinfo, which it asks for the number of pages before each page: they are counted already."""

# Bounds that a platform lacks or already sets lower are left as they are; the wall clock of the caller still holds.
SCRIPT = """#!/bin/sh
ulimit -c 0 2>/dev/null
ulimit -t {seconds} 2>/dev/null
ulimit -v {kilobytes} 2>/dev/null
ulimit -f {blocks} 2>/dev/null
exec env -i HOME="$HOME" LC_ALL=C.UTF-8 {program} {options} "$@"
"""

log = logging.getLogger(__name__)


@contextmanager
def bounded_poppler(seconds: int) -> Iterator[str | None]:
    """A folder for pdf2image's `poppler_path`, there while the context lasts; None where scripts cannot be run.

    seconds: of processor time for one run. FileRefused where poppler is not installed, StorageFull where there is no
    room for the scripts.
    """
    programs = {name: path for name, (program, _) in PROGRAMS.items() if (path := shutil.which(program))}
    if len(programs) < len(PROGRAMS):
        raise FileRefused("PDF files need poppler, which is not installed here.", "Install poppler-utils.")
    with _folder_of_scripts(programs, seconds) as folder:
        if _runs_scripts(folder):
            yield folder
        else:
            log.warning("temporary files cannot be executed here: poppler runs without bounds of memory")
            yield None


def _folder_of_scripts(programs: dict[str, str], seconds: int) -> tempfile.TemporaryDirectory[str]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="smart-poppler-")
        for name, program in programs.items():
            _write_script(Path(folder.name, name), _bounds(program, PROGRAMS[name][1], seconds))
        _write_script(Path(folder.name, "pdfinfo"), ENOUGH)
    except OSError:
        raise StorageFull("Nothing can be written into the temporary folder.", "Free some space there.") from None
    return folder


def _bounds(program: str, options: str, seconds: int) -> str:
    """The script that bounds itself and becomes `program`."""
    quoted = "'" + program.replace("'", "'\\''") + "'"
    # A second more than the caller's clock: that one is told apart from a crash, this one is the safety net.
    return SCRIPT.format(
        program=quoted, options=options, seconds=seconds + 1, kilobytes=MEMORY // 1_024, blocks=OUTPUT // 512
    )


def _write_script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o700)


def _runs_scripts(folder: str) -> bool:
    return os.name == "posix" and not os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0)
