"""Threads share heaps; asked of the C library in a process of its own."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys, threading
from smart_demo.heaps import share_heaps
if sys.argv[1] == "shared":
    assert share_heaps()
libc, gate = ctypes.CDLL(None), threading.Barrier(12)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
def hold():
    libc.malloc(100_000)
    gate.wait()
threads = [threading.Thread(target=hold) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.fopen.restype, libc.fopen.argtypes = ctypes.c_void_p, [ctypes.c_char_p] * 2
libc.malloc_info.argtypes, libc.fclose.argtypes = [ctypes.c_int, ctypes.c_void_p], [ctypes.c_void_p]
out = libc.fopen(b"/dev/stdout", b"w")
libc.malloc_info(0, out)
libc.fclose(out)
"""


def heaps(how: str) -> int:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    out = subprocess.run([sys.executable, "-c", PROGRAM, how], env=env, capture_output=True, text=True, check=True)
    return out.stdout.count("<heap ")


@pytest.mark.parametrize(("how", "few"), [("shared", True), ("alone", False)])
def test_threads_share_heaps_where_the_system_is_told_to(how, few):
    assert platform.libc_ver()[0] == "glibc"
    assert (heaps(how) <= 2) is few


def test_who_decided_by_the_variable_is_not_overruled(monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "7")
    monkeypatch.setattr("smart_demo.heaps.ctypes", None)
    from smart_demo.heaps import share_heaps

    assert share_heaps()
