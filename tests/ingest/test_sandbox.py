"""Decoders that crash, hang, exhaust memory or send nonsense: one sentence each; the app and other files continue.

The decoder's program is patched to do what a hostile image could make it do, chosen by the image's name.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace

import pytest
from PIL import Image

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.config import Limits
from smart_demo.errors import FileRefused
from smart_demo.indexing.indexer import Indexer
from smart_demo.indexing.progress import State
from smart_demo.ingest import decode_image_bytes, decode_image_file, inspect, render, sandbox
from smart_demo.types import LOCAL
from tests.documents import write_pdf
from tests.ingest.cases import picture
from tests.store.cases import open_library

LIMITS = Limits(pixels=1_000_000)
BRIEF = replace(LIMITS, seconds=1)
HOSTILE = r"""
import json, os, resource, signal, sys
from smart_demo.ingest import images

DEEDS = dict(
    crash=lambda: os.kill(os.getpid(), signal.SIGSEGV),
    leave=lambda: os._exit(0),
    fail=lambda: os._exit(7),
    killed=lambda: os.kill(os.getpid(), signal.SIGKILL),
    hang=lambda: [None for _ in iter(int, 1)],
    wait=lambda: signal.sigwait([signal.SIGUSR1]),
    eat=lambda: [bytearray(10**8) for _ in range(1000)],
    raise_=lambda: {}["an error of no known type"],
    babble=lambda: os.write(1, b"\x89 not json\n"),
    boast=lambda: os.write(1, b'{"width": 1000000, "height": 1000000}\n'),
    break_off=lambda: (os.write(1, b'{"width": 9, "height": 9}\nabc'), os._exit(0)),
    die_halfway=lambda: (os.write(1, b'{"width": 9, "height": 9}\nabc'), os.kill(os.getpid(), signal.SIGSEGV)),
    endless=lambda: [os.write(1, b"[" * 65536) for _ in iter(int, 1)],
    parent=lambda: os.kill(os.getppid(), signal.SIGKILL),
    stop_parent=lambda: os.kill(os.getppid(), signal.SIGSTOP),
    tell=lambda: images._refuse_with(json.dumps([dict(os.environ), sorted(sys.modules),
        resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CPU),
        resource.getrlimit(resource.RLIMIT_FSIZE), resource.getrlimit(resource.RLIMIT_CORE)])),
)

def refuse(sentence):
    raise images.FileRefused(sentence)

images._refuse_with = refuse

def hostile(real):
    def read(source, name, *rest):
        deed = DEEDS.get(name.partition(".")[0])
        if deed:
            deed()
        return real(source, name, *rest)
    return read

images.decode_image, images.inspect_image = hostile(images.decode_image), hostile(images.inspect_image)
"""
DAMAGED, LATE, MEMORY = "is damaged", "took more than 1 seconds", "too much memory"
ENDINGS = {
    "crash": DAMAGED,
    "leave": DAMAGED,
    "fail": DAMAGED,
    "killed": MEMORY,
    "hang": LATE,
    "wait": LATE,
    "eat": MEMORY,
    "raise_": DAMAGED,
    "babble": DAMAGED,
    "boast": DAMAGED,
    "break_off": DAMAGED,
    "die_halfway": DAMAGED,
    "endless": DAMAGED,
    "parent": DAMAGED,
    "stop_parent": LATE,
}


STARTED: list[int] = []
"""Process ids of the decoders of this file. Other tests of this process may have children, too."""


def remembering(popen):
    class Remembered(popen):
        def __init__(self, *given, **named):
            super().__init__(*given, **named)
            STARTED.append(self.pid)

    return Remembered


def children():
    """Return the decoders that are still children of this process: (process id, whether it has ended)."""
    found = []
    for process in STARTED:
        with suppress(ChildProcessError):
            ended = os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            found.append((process, ended is not None))
    return found


def png(shade=200):
    return picture(Image.new("RGB", (9, 7), (shade, 0, 0)), "PNG")


@pytest.fixture(autouse=True, scope="module")
def acting_decoders():
    """Start decoders that act on an image's name and read other images."""
    with pytest.MonkeyPatch.context() as patch:
        prelude, begin = sandbox.PROGRAM.split("\n", 1)
        patch.setattr(sandbox, "PROGRAM", "\n".join([prelude, HOSTILE.replace("{", "{{").replace("}", "}}"), begin]))
        patch.setattr(sandbox, "GRACE_SECONDS", 1)
        patch.setattr(subprocess, "Popen", remembering(subprocess.Popen))
        sandbox.DECODER_POOL.close()
        yield
    sandbox.DECODER_POOL.close()


@pytest.fixture(autouse=True)
def no_dead_process_is_left():
    yield
    assert not any(ended for _, ended in children())


@pytest.mark.parametrize("deed", ENDINGS)
def test_an_image_that_breaks_its_decoder_is_refused_and_the_next_is_read(tmp_path, deed):
    name = f"{deed}.png"
    (tmp_path / name).write_bytes(png())
    with pytest.raises(FileRefused) as refusal:
        inspect(tmp_path / name, name, BRIEF if ENDINGS[deed] == LATE else LIMITS)
    assert ENDINGS[deed] in str(refusal.value)
    assert name in str(refusal.value)
    assert refusal.value.hint.endswith(".")
    assert decode_image_bytes(png(90), "good.png", LIMITS)[0, 0].tolist() == [90, 0, 0]


def test_a_picture_in_bytes_that_ends_its_decoder_is_refused_too():
    with pytest.raises(FileRefused, match=r"crash\.png is damaged"):
        decode_image_bytes(png(), "crash.png", LIMITS)
    assert decode_image_bytes(png(90), "good.png", LIMITS)[0, 0].tolist() == [90, 0, 0]


def test_a_batch_continues_after_pictures_that_end_their_decoders(tmp_path):
    for name in ("crash.png", "parent.png"):
        (tmp_path / name).write_bytes(png())
    for name in ("a.pdf", "b.pdf"):
        write_pdf(tmp_path / name, f"words of {name}")
    batch = ["crash.png", "a.pdf", "parent.png", "b.pdf"]
    with closing(open_library(tmp_path / "library")) as library:
        steps = Indexer(library, LIMITS).add(LOCAL, [(tmp_path / name, name) for name in batch], WordBackbone())
        ends = {step.document: step.state for step in steps if step.state in (State.DONE, State.REFUSED)}
        assert [ends[name] for name in batch] == [State.REFUSED, State.DONE] * 2
        assert len(library.pages([LOCAL], WordBackbone().encoder.fingerprint)) == 2


def test_pages_continue_if_the_program_is_ended_between_them(tmp_path):
    path = tmp_path / "scan.tif"
    frames = [Image.new("L", (9, 9), shade) for shade in (10, 20, 30)]
    path.write_bytes(picture(frames[0], "TIFF", save_all=True, append_images=frames[1:]))
    upload = inspect(path, path.name, LIMITS)
    pages = render(upload, LIMITS)
    first = next(pages)
    for process, _ in children():
        os.kill(process, signal.SIGKILL)  # as the kernel would that has no memory left
    second, third = pages
    assert [int(page.pixels[0, 0, 0]) for page in (first, second, third)] == [10, 20, 30]


def test_a_decoder_sees_no_secret_has_bounds_and_imports_little(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    with pytest.raises(FileRefused) as refusal:
        decode_image_bytes(png(), "tell.png", LIMITS)
    environment, modules, memory, seconds, written, core = json.loads(str(refusal.value))
    assert "HF_TOKEN" not in environment
    assert set(environment) <= {
        *sandbox.INHERITED_VARIABLES,
        "LC_ALL",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "GOMP_SPINCOUNT",
        "LC_CTYPE",
    }
    assert not {"torch", "gradio", "chromadb", "transformers", "smart_demo.engine"} & set(modules)
    assert memory[1] < 700_000_000
    assert (*seconds, written[1], core[1]) == (LIMITS.seconds, LIMITS.seconds + 1, 0, 0)


def test_many_threads_each_get_their_own_picture_and_few_programs_stay():
    with ThreadPoolExecutor(8) as threads:
        shades = list(range(40))
        pictures = threads.map(lambda shade: decode_image_bytes(png(shade), "a.png", LIMITS), shades)
        assert [int(pixels[0, 0, 0]) for pixels in pictures] == shades
    assert len(children()) <= sandbox.MAX_IDLE
    sandbox.DECODER_POOL.close()
    assert children() == []


def test_a_fork_of_the_app_starts_its_own_programs():
    decode_image_bytes(png(), "a.png", LIMITS)
    count = len(STARTED)
    child = os.fork()
    if not child:
        decode_image_bytes(png(), "a.png", LIMITS)
        os._exit(len(STARTED) - count)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    decode_image_bytes(png(), "a.png", LIMITS)  # its own still answers
    assert len(STARTED) == count


def test_no_decoder_outlives_the_app_however_that_ends():
    program = (
        "import os, psutil; from smart_demo.config import Limits; from smart_demo.ingest import decode_image_bytes\n"
        f"decode_image_bytes({png()!r}, 'a.png', Limits())\n"
        "print(*[child.pid for child in psutil.Process().children()], flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == -9
    try:
        left = os.pidfd_open(int(ended.stdout))
    except ProcessLookupError:
        return
    try:
        assert select.select([left], [], [], 60)[0]  # it ends when its input ends
    finally:
        os.close(left)


def test_a_file_is_refused_if_no_program_can_be_started(monkeypatch, tmp_path):
    sandbox.DECODER_POOL.close()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(FileRefused, match=r"a\.png cannot be read just now"):
        decode_image_bytes(png(), "a.png", LIMITS)


@pytest.mark.parametrize(
    "program", ["raise SystemExit(3)", "print('not json', flush=True)", "import time\ntime.sleep(60)"]
)
def test_a_program_that_does_not_start_does_not_blame_the_picture(monkeypatch, program):
    sandbox.DECODER_POOL.close()
    monkeypatch.setattr(sandbox, "PROGRAM", program)
    monkeypatch.setattr(sandbox, "START_SECONDS", 1)
    with pytest.raises(FileRefused) as refusal:
        decode_image_bytes(png(), "a.png", LIMITS)
    assert refusal.value.sentence == (
        "a.png cannot be read just now: the program that reads pictures does not run here. Try it again in a while."
    )


def test_a_picture_that_needs_more_memory_than_its_pixels_may_is_refused_for_it(tmp_path, monkeypatch):
    """Real images, too little memory: no error of the C libraries is reported as damage."""
    monkeypatch.setattr("smart_demo.ingest.sandbox.BYTES_PER_PIXEL", 0)
    monkeypatch.setattr("smart_demo.ingest.sandbox.BASE_MEMORY_BYTES", 30_000_000)
    sheet = Image.new("RGBA", (2_500, 2_500))
    for kind in ("PNG", "TIFF", "JPEG"):
        path = tmp_path / f"a.{kind}"
        path.write_bytes(picture(sheet.convert("RGB") if kind == "JPEG" else sheet, kind))
        with pytest.raises(FileRefused, match="needs too much memory"):
            decode_image_file(path, replace(LIMITS, pixels=40_000_000))
