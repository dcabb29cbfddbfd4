"""Versions of what a judgement was made with."""

from __future__ import annotations

import hashlib
import platform
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from smart_demo.config import REPOSITORY

PACKAGES = ("torch", "transformers", "gradio", "chromadb")


@cache
def versions_here() -> Mapping[str, str]:
    """By name: this program, python, and the packages that scores depend on. Imports none of them."""
    return {"program": _program(), "python": platform.python_version()} | {name: _package(name) for name in PACKAGES}


def _program() -> str:
    """The version of pyproject.toml and 8 hex digits of the source itself, which changes more often."""
    try:
        version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    except (OSError, ValueError, KeyError):  # only the package was copied
        version = "0"
    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{version}+{digest.hexdigest()[:8]}"


def _package(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"
