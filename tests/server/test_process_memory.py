"""Threads share heaps; asked of the C library in a process of its own."""

import os
import platform
import subprocess
import sys

import pytest

from smart_demo.server.process_memory import limit_malloc_arenas

PROGRAM = """
import ctypes, sys, threading
from smart_demo.server.process_memory import limit_malloc_arenas
if sys.argv[1] == "shared":
    assert limit_malloc_arenas()
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
def test_threads_limit_malloc_arenas_where_the_system_is_told_to(how, few):
    assert platform.libc_ver()[0] == "glibc"
    assert (heaps(how) <= 2) is few


TRIMMED = """
import ctypes
from smart_demo.server.process_memory import start_periodic_release
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
blocks = [libc.malloc(60_000) for _ in range(2_000)]
for block in blocks:
    ctypes.memset(block, 1, 60_000)
held = resident()
for block in blocks[:-1]:  # the last one stands on top of them all
    libc.free(block)
assert resident() > held - 20_000_000, "the heap gave it back by itself: the test shows nothing"
end = start_periodic_release(0.01)
while resident() > held - 80_000_000:
    pass
end()
"""


CYCLES = """
import gc, weakref
from smart_demo.server.process_memory import start_periodic_release
class Node:
    pass
def cycle():
    one, other = Node(), Node()
    one.other, other.one = other, one
    return weakref.ref(one)
gc.disable()  # what Python itself would do one day
end = start_periodic_release(0.01)
while not gc.get_freeze_count():
    pass
for _ in range(3):
    dead = cycle()
    while dead() is not None:
        pass
end()
"""


def test_dead_objects_that_name_each_other_go_also_after_the_start():
    subprocess.run([sys.executable, "-c", CYCLES], check=True, timeout=60)


def test_what_is_free_is_given_back_also_below_what_is_used():
    subprocess.run([sys.executable, "-c", TRIMMED], check=True, timeout=60)


def test_who_decided_by_the_variable_is_not_overruled(monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "7")
    monkeypatch.setattr("smart_demo.server.process_memory.ctypes", None)
    assert limit_malloc_arenas()
