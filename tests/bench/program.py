"""Modules of the bench that run in a process of their own, so that what they take is their own."""

from __future__ import annotations

import subprocess
import sys

from smart_demo.config import REPOSITORY


def run(module: str, *arguments: str) -> str:
    """What a module of the bench prints. CalledProcessError where it fails; what it complains of is seen."""
    # Importing the bench imports the module before it is run, of which Python warns.
    command = [sys.executable, "-W", "ignore::RuntimeWarning:runpy", "-m", f"tests.bench.{module}", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True).stdout
