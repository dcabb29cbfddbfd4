"""Full disks, and processes killed between two calls of the system: what either leaves behind must be whole."""

import errno
import os
import signal

DISK_CALLS = ("open", "write", "fsync", "ftruncate", "replace", "unlink", "mkdir")
"""Every call by which this program changes a disk."""


def fill_up(monkeypatch, room):
    """Let this process write that many more bytes."""
    real = os.write

    def write(file, data):
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real(file, bytes(data[:room]))
        room -= written
        return written

    monkeypatch.setattr(os, "write", write)


def dies_after(step, act, *, torn_writes=False) -> bool:
    """Run `act` in a process that is killed after its n-th call of DISK_CALLS. False if it came to its end before.

    torn_writes: whether the last call, if it is a write, is done by half.
    """
    child = os.fork()
    if child == 0:
        _die_after(step, torn_writes)
        act()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def _die_after(step, torn_writes):
    done = 0

    def counted(name):
        call = getattr(os, name)

        def stepping(*given, **named):
            nonlocal done
            if torn_writes and name == "write" and done + 1 == step:
                call(given[0], bytes(given[1])[: len(given[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            result = call(*given, **named)
            done += 1
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return stepping

    for name in DISK_CALLS:
        setattr(os, name, counted(name))
