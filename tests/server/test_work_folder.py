"""Temporary files: a start deletes those of killed processes and no others."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

PROGRAM = textwrap.dedent("""
    import sys, tempfile
    from smart_demo.server.cleanup import create_work_folder
    folder = create_work_folder()
    (folder / "uploads").mkdir()
    (folder / "uploads" / "mine.pdf").write_bytes(b"private")
    assert tempfile.mkdtemp().startswith(str(folder))
    print(folder, flush=True)
    sys.stdin.read()
""")


def started(parent: Path) -> tuple[subprocess.Popen, Path]:
    env = os.environ | {"TMPDIR": str(parent)}
    command = [sys.executable, "-c", PROGRAM]
    program = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return program, Path(program.stdout.readline().strip())


def test_a_start_deletes_the_folder_of_a_killed_process_and_no_other(tmp_path):
    (tmp_path / "smart-demo-other-program").mkdir()
    killed, left = started(tmp_path)
    killed.send_signal(signal.SIGKILL)
    killed.wait(20)
    assert (left / "uploads" / "mine.pdf").exists()
    first, kept = started(tmp_path)
    assert not left.exists()
    second, other = started(tmp_path)
    assert (kept / "uploads" / "mine.pdf").exists()
    assert other != kept
    for program in (first, second):
        program.communicate("", 20)
        assert program.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["smart-demo-other-program"]
